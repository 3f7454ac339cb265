/* SPDX-License-Identifier: ISC */
/*
 * zonemd - does a zone have the digest that it says it has.
 *
 * Purpose:  reads the ZONEMD records at the apex of a generation, digests its records (scheme
 *           SIMPLE; SHA-384 and SHA-512), as many in one call as one likes, and compares.
 * Not here: what follows from it (review.h), signatures of the ZONEMD: we have no trust anchors,
 *           so a digest guards against accidents, not against whoever can make one.
 * Owns:     its digests and one buffer; the generation must stay while it is at work.
 * Threads:  the caller's, who may take any time between two calls.
 * Memory:   zonemd_new() and a first set of many records allocate, and abort when they cannot.
 * Failure:  enum zonemd_outcome.
 * Spec:     RFC 8976 s.2 (the record), s.3.3 (what is digested, and in which order), s.4 (when
 *           it counts: one record that fits is enough); RFC 4034 s.6, RFC 6840 s.5.1 (canonical
 *           form).
 */
#ifndef ZONEMD_H
#define ZONEMD_H

#include <stdbool.h>
#include <stddef.h>

#include "cache/zone.h"

/* Of several records that do not fit, what is said is the last of these that holds for one. */
enum zonemd_outcome {
	ZONEMD_ABSENT,		/* the apex has none */
	ZONEMD_UNSUPPORTED,	/* schemes or hashes that we do not compute, and no other */
	ZONEMD_MALFORMED,	/* a digest has not the length of its hash */
	ZONEMD_TWICE,		/* two records of one scheme and hash */
	ZONEMD_OTHER_SERIAL,	/* a serial is not that of the SOA */
	ZONEMD_DIFFERS,		/* a digest is not that of the records */
	ZONEMD_GOOD,
};

/* A clause for each, for events: "its ZONEMD is not the digest of its records". */
const char *zonemd_text(enum zonemd_outcome o);

struct zonemd;

struct zonemd *zonemd_new(const struct generation *g);
void zonemd_free(struct zonemd *z);		/* NULL is fine */

/*
 * Digests about `records` more. True while records are left; false at the end, which may be at
 * once: only records that could fit are worth the work.
 */
bool zonemd_step(struct zonemd *z, size_t records);

/* After zonemd_step() has said false. */
enum zonemd_outcome zonemd_outcome(const struct zonemd *z);

#endif
