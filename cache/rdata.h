/* SPDX-License-Identifier: ISC */
/*
 * rdata - what is inside a record: one table of layouts, walked for every purpose.
 *
 * Purpose:  checks and decompresses rdata from the wire into its stored form, tells which
 *           names in it may be compressed when written, and names the types.
 * Not here: presentation form of whole records (dump.h, by ldns).
 * Threads:  any; pure.
 * Memory:   none; stored form is never longer than NAME expansion allows: 65,535 bytes.
 * Failure:  fails closed: a field that runs past RDLENGTH, a name that ends elsewhere, or
 *           bytes left over make the record bad. Unknown types are opaque, RFC 3597.
 * Spec:     RFC 1035 s.3.3, RFC 3597 s.4 (compression in old types only), RFC 4034,
 *           5155, 9460 and each type's own.
 */
#ifndef RDATA_H
#define RDATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/wire.h"

/*
 * Reads `rdlength` bytes of rdata at `w` (which spans the whole message, for pointers)
 * and writes its stored form: names uncompressed, everything else as it was.
 * Returns its length through *len; false with w->bad set when it does not parse.
 * `out` holds at least 65,535 bytes.
 */
bool rdata_parse(struct wire *w, uint16_t type, uint16_t rdlength, uint8_t *out, uint16_t *len);

/* True when stored rdata is well-formed for its type. What comes back from a store. */
bool rdata_is_valid(uint16_t type, const uint8_t *rdata, uint16_t len);

/*
 * Equal as records: names in types of RFC 1035 and those listed in RFC 4034 s.6.2 compare
 * without case (but A6, which RFC 6563 buried), all else by the byte. Both are valid.
 */
bool rdata_is_equal(uint16_t type, const uint8_t *a, uint16_t a_len, const uint8_t *b,
		    uint16_t b_len);

/*
 * The form that is signed and digested: RFC 4034 s.6.2 without NSEC, whose name keeps its case by
 * RFC 6840 s.5.1, and without A6. Valid rdata; `out` has room for `len` bytes.
 */
void rdata_to_canonical(uint16_t type, const uint8_t *rdata, uint16_t len, uint8_t *out);

/*
 * The names in rdata of a type that may be compressed on the wire, of RFC 1035 only: one or two,
 * next to each other, behind so many bytes.
 */
struct rdata_names { uint8_t before, count; };

struct rdata_names rdata_compressible(uint16_t type);

/* "A", "TYPE65280": writes at most 16 bytes with NUL. Returns `text`. */
char *rdata_type_text(uint16_t type, char text[16]);

/* 0 when the text names no type. Takes "A", "a", "TYPE1". */
uint16_t rdata_type_from_text(const char *text);

#endif
