/* SPDX-License-Identifier: ISC */
/*
 * nsec3 - hashed owner names: parameters, hashing, and the text of a hash.
 *
 * Purpose:  turns a name into the owner name of its NSEC3 record.
 * Not here: which NSEC3 records prove what (denial.h), where they are kept (zone.h).
 * Owns:     a hasher owns the budget of its thread.
 * Threads:  one hasher for each thread.
 * Memory:   allocates at creation and aborts when it cannot; a hash allocates nothing.
 * Time:     `now_us`, given by the caller.
 * Failure:  a name that costs more hashing than is left is not hashed: CVE-2023-50868.
 * Spec:     RFC 5155 s.3 (format), s.5 (hash), RFC 9276 (iterations should be 0).
 */
#ifndef NSEC3_H
#define NSEC3_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/name.h"

enum {
	NSEC3_HASH_LEN = 20,		/* SHA-1, the only algorithm there is */
	NSEC3_LABEL_LEN = 32,		/* as base32hex */
	NSEC3_QUERY_MAX = 2500,		/* blocks of SHA-1 that one query may cost: some 500 us */
	NSEC3_SECOND_MAX = 1000000,	/* of each second and thread, for names with iterations */
};

struct nsec3_params {
	uint16_t iterations;	/* beyond the first */
	uint8_t salt_len;
	const uint8_t *salt;	/* where it was read: good for as long as that; never NULL */
};

/*
 * Reads what NSEC3PARAM and NSEC3 rdata begin with. False: malformed, or an algorithm other
 * than SHA-1. *flags: opt-out in NSEC3, 0 in an NSEC3PARAM that is in force.
 */
bool nsec3_params_parse(const uint8_t *rdata, uint16_t len, struct nsec3_params *p, uint8_t *flags);
bool nsec3_params_are_equal(const struct nsec3_params *a, const struct nsec3_params *b);

/* The next hashed owner of a well-formed NSEC3; NULL when it has not NSEC3_HASH_LEN bytes. */
const uint8_t *nsec3_next_hash(const uint8_t *rdata, uint16_t len);

/* The hash that is an owner's first label. False when it is none. */
bool nsec3_hash_of_owner(const uint8_t *owner, uint8_t hash[NSEC3_HASH_LEN]);

/* The owner of a hash in a zone. False: the name would be too long. */
bool nsec3_owner_of_hash(const uint8_t hash[NSEC3_HASH_LEN], const uint8_t *origin,
			 uint8_t owner[NAME_LEN_MAX]);

struct nsec3_hasher;

struct nsec3_hasher *nsec3_hasher_new(void);
void nsec3_hasher_free(struct nsec3_hasher *h);		/* NULL is fine */

/* Another query: its budget is fresh, that of the second as far as time has passed. */
void nsec3_hasher_begin(struct nsec3_hasher *h, uint64_t now_us);

/* Blocks of SHA-1 that one name costs: a long salt makes several of each round. */
unsigned nsec3_cost(const struct nsec3_params *p);

/* The hash of a name, whatever its case. False: the budget does not allow it. */
bool nsec3_hash(struct nsec3_hasher *h, const struct nsec3_params *p, const uint8_t *name,
		uint8_t hash[NSEC3_HASH_LEN]);

#endif
