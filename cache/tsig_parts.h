/* SPDX-License-Identifier: ISC */
/*
 * tsig_parts - what both directions of TSIG share. Private to tsig*.c.
 *
 *      tsig.c          keys; the client's side: signs a request, verifies a stream of replies
 *      tsig_server.c   the server's side: verifies a request, signs a stream of replies
 *      tsig_record.c   the record in a message, and what is digested: one of each
 */
#ifndef TSIG_PARTS_H
#define TSIG_PARTS_H

#include <openssl/evp.h>

#include "cache/tsig.h"
#include "cache/wire.h"

enum {
	TSIG_FUDGE_S = 300,		/* RFC 8945 s.10 recommends it */
	TSIG_TIME_LEN = 6,		/* BADTIME's Other Data: the server's clock, s.5.2.3 */
	TSIG_ALGORITHMS = 5,
};

/* Values of the record's error field, RFC 8945 s.3. */
enum {
	TSIG_CODE_BADSIG = 16, TSIG_CODE_BADKEY = 17, TSIG_CODE_BADTIME = 18,
	TSIG_CODE_BADTRUNC = 22,
};

struct tsig_algorithm {
	const char *name;	/* also its domain name, of one label */
	const char *digest;	/* OpenSSL's name */
	size_t mac_len;
};

/* RFC 8945 s.6. MD5 is left out: nobody should start with it now. */
extern const struct tsig_algorithm TSIG_TABLE[TSIG_ALGORITHMS];

/* NULL when we have none of this name. */
const struct tsig_algorithm *tsig_algorithm_find(const char *name);

/* A TSIG record as it stands in a message, or will. */
struct tsig_record {
	size_t start;			/* where it begins: the end of the message proper */
	uint8_t name[NAME_LEN_MAX];
	uint8_t algorithm[NAME_LEN_MAX];
	uint64_t time_s;
	uint16_t fudge, mac_len, original_id, error, other_len;
	const uint8_t *mac, *other;
};

/*
 * Walks the message. False when it does not parse, or has TSIG anywhere but last: one that
 * is accepted elsewhere would let what follows it go unsigned (RFC 8945 s.5.1).
 */
bool tsig_record_find(const uint8_t *message, size_t len, struct tsig_record *r, bool *has_tsig);

/*
 * Appends `r` to the message of `len` bytes (room: cap) and raises ARCOUNT. Returns the new
 * length, or 0 when it does not fit.
 */
size_t tsig_record_put(const struct tsig_record *r, uint8_t *message, size_t len, size_t cap);

/* RFC 8945 s.5.2.2.1: TSIG_OK, TSIG_BADTRUNC for a lawful part of the MAC, TSIG_MALFORMED. */
enum tsig_error tsig_check_mac_len(const struct tsig_algorithm *a, size_t len);

/* True when `now_s` lies within the fudge of the record: RFC 8945 s.5.2.3. */
bool tsig_is_in_time(const struct tsig_record *r, uint64_t now_s);

/* ---- The digest. `mac` is tsig_mac_new()'s; abort is for want of memory ---- */

EVP_MAC_CTX *tsig_mac_new(const struct tsig_algorithm *a);
void tsig_mac_start(EVP_MAC_CTX *mac, const struct tsig_key *key);
void tsig_mac_add(EVP_MAC_CTX *mac, const void *bytes, size_t len);

/* Ends the digest. Returns its length. */
size_t tsig_mac_end(EVP_MAC_CTX *mac, uint8_t out[TSIG_MAC_MAX]);

/* An earlier MAC with its length before it: RFC 8945 s.4.3.1 and s.5.3.1. */
void tsig_mac_add_mac(EVP_MAC_CTX *mac, const uint8_t *earlier, size_t len);

/* A received message as its signer saw it: with its own ID, without TSIG. RFC 8945 s.4.3.2. */
void tsig_mac_add_message(EVP_MAC_CTX *mac, const uint8_t *message, const struct tsig_record *r);

/*
 * RFC 8945 s.4.3.3: the TSIG variables; later messages of a stream (not `is_whole`) have the
 * timers only. Names are taken in lower case, whatever the record has.
 */
void tsig_mac_add_variables(EVP_MAC_CTX *mac, const struct tsig_record *r, bool is_whole);

#endif
