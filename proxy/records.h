/* SPDX-License-Identifier: ISC */
/*
 * records - the records of a section of somebody's reply, decompressed, to be compared as sets.
 *
 * Purpose:  what sample.h and shadow.h share: reading another server's words, and looking whether
 *           the other side has the same record. Order and TTL do not matter.
 * Not here: what a difference means.
 * Threads:  any; pure.
 * Memory:   none beyond the struct, which is big.
 * Failure:  fails closed: false for what cannot be read, or is more than is compared.
 * Spec:     RFC 2181 s.5 (RRsets), RFC 4343 (case of names).
 */
#ifndef RECORDS_H
#define RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/name.h"
#include "cache/wire.h"

enum {
	RECORDS_MAX = 64,
	RECORDS_BYTES_MAX = UINT16_MAX,	/* names and rdata; what begins within it is taken whole */
};

struct record {
	uint32_t owner, rdata;		/* offsets into `bytes` */
	uint16_t type, len;
};

struct records {
	unsigned count;
	size_t used;
	struct record record[RECORDS_MAX];
	uint8_t bytes[RECORDS_BYTES_MAX + NAME_LEN_MAX + UINT16_MAX];
};

/* False for what a server may make by itself, and for what moves while we ask. */
bool records_is_comparable(uint16_t type);

/*
 * Begins reading a reply: `w` stands behind the question then. False when it tells nothing: no
 * header or not one question, an error, or cut short (TC).
 */
bool records_begin(const uint8_t *reply, size_t len, struct wire *w);

/*
 * Reads the next `count` records, and appends those of class IN whose type `wants` takes; NULL:
 * all. False when one cannot be read, or there are too many.
 */
bool records_read(struct records *r, struct wire *w, unsigned count, bool (*wants)(uint16_t type));

static inline void records_clear(struct records *r)
{
	r->count = 0;
	r->used = 0;
}

static inline const uint8_t *records_owner(const struct records *r, unsigned i)
{
	return r->bytes + r->record[i].owner;
}

static inline const uint8_t *records_rdata(const struct records *r, unsigned i)
{
	return r->bytes + r->record[i].rdata;
}

/* Record `i` of `of` is among `r`, too. */
bool records_have(const struct records *r, const struct records *of, unsigned i);

#endif
