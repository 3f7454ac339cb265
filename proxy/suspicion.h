/* SPDX-License-Identifier: ISC */
/*
 * suspicion - an answer of a backend that was not the mirror's: a worker tells control.
 *
 * Purpose:  a ring for each worker, in which it writes and control reads; nobody waits. It may be
 *           that the server has a newer version of the zone: control finds out (watch_shadow.h).
 * Not here: comparing (shadow.h).
 * Owns:     the rings.
 * Threads:  suspicions_put() in the worker of that number; all else in control.
 * Memory:   all of it in suspicions_new().
 * Failure:  a full ring drops the suspicion: there will be others.
 */
#ifndef SUSPICION_H
#define SUSPICION_H

#include "cache/name.h"
#include "proxy/shadow.h"

/* No pointers: a reload may come between the two threads. */
struct suspicion {
	unsigned backend;		/* index */
	uint16_t type;
	uint64_t generation;		/* the mirror's, that it was compared with */
	uint32_t serial;		/* of that */
	uint64_t received_us;		/* the query; monotonic */
	struct shadow_side theirs, ours;
	uint8_t origin[NAME_LEN_MAX];	/* of the zone */
	uint8_t name[NAME_LEN_MAX];	/* that was asked */
};

struct suspicions;

struct suspicions *suspicions_new(unsigned workers);
void suspicions_free(struct suspicions *s);	/* NULL is fine */

/* [worker number `worker`] */
void suspicions_put(struct suspicions *s, unsigned worker, const struct suspicion *one);

/* False when there is none left. */
bool suspicions_take(struct suspicions *s, struct suspicion *one);

#endif
