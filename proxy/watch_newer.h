/* SPDX-License-Identifier: ISC */
/*
 * watch_newer - a backend answered a client with a newer serial than the mirror's.
 *
 * Purpose:  a worker tells control, which would else hear of it with the next probe: until then
 *           a query whose server is late would go to a target that is behind, and the client see
 *           the serial go back. The answer counts as a reply to a probe: who is behind is held.
 * Not here: finding it (dispatch_reply.c), what is held (watch_gate.h).
 * Owns:     a ring for each worker, in which it writes and control reads; nobody waits.
 * Threads:  newers_put() in the worker of that number; all else in control, newers_look() inside
 *           an RCU read.
 * Memory:   all of it in newers_new().
 * Failure:  a full ring drops it: a probe will show it.
 * Spec:     RFC 1982 (serials).
 */
#ifndef WATCH_NEWER_H
#define WATCH_NEWER_H

#include <stdint.h>

#include "cache/name.h"

struct watch;

/* No pointers: a reload may come between the two threads. */
struct newer {
	unsigned backend;		/* index */
	uint32_t serial;
	uint8_t origin[NAME_LEN_MAX];	/* of the zone */
};

struct newers;

struct newers *newers_new(unsigned workers);
void newers_free(struct newers *n);	/* NULL is fine */

/* [worker number `worker`] */
void newers_put(struct newers *n, unsigned worker, const struct newer *one);

/* Takes what workers saw to the gates, and has the mirror fetch. */
void newers_look(struct watch *w, uint64_t now);

#endif
