/* SPDX-License-Identifier: ISC */
/*
 * store_step - an entry of a zone's change stream, which takes one generation to the next.
 *
 * Purpose:  writes and believes entries. One is checked as an IXFR would be: it must say that it
 *           follows what is held, its parts must be all there and whole, what it removes must
 *           have been there, and what comes out must be a zone with as many records and bytes as
 *           its writer had.
 * Not here: asking Redis for entries (store_load.c, store_follow.c), the parts (change.h).
 *
 *      generation N  from_serial S  serial T  from_generation M  records R  bytes B  digest D
 *      then `removed` and `added`, each as often as there are such parts
 *
 * `digest` is 16 hex digits: XXH3 (64 bits) of each part's header in order, seeded with the
 * outcome of the one before, one more for an added one, the first with 0 (or 1).
 *
 * Threads:  the mirror's.
 * Memory:   what the changes cost; the generation before is shared, not copied.
 * Failure:  a sentence, and nothing is made.
 */
#ifndef STORE_STEP_H
#define STORE_STEP_H

#include <stdint.h>

#include "cache/change.h"
#include "cache/redis_reply.h"
#include "cache/zone.h"

enum { STEP_DIGEST_LEN = 16, STEP_ID_MAX = 44 };	/* an ID: two 64-bit numbers and a dash */

/* The digest over the parts of a change. */
uint64_t step_digest(const struct change *c);

/* 16 hex digits of lower case and a NUL; reading gives false for anything else. */
void step_digest_text(uint64_t digest, char text[STEP_DIGEST_LEN + 1]);
bool step_digest_parse(const redisReply *r, uint64_t *digest);

/* Copies an entry's ID. NULL when `entry` has not the shape of an entry; else its fields. */
const redisReply *step_fields(const redisReply *entry, char id[STEP_ID_MAX]);

/* The generation that the fields of an entry lead to; 0: they are none of ours. */
uint64_t step_generation(const redisReply *fields);

/*
 * Makes the generation after `before`, with its history; the caller owns *after. NULL, or what
 * is wrong. Bounds as in zone_edit_new().
 */
const char *step_take(const struct generation *before, const redisReply *fields,
		      size_t max_records, size_t max_bytes, struct generation **after);

#endif
