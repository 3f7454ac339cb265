/* SPDX-License-Identifier: ISC */
/*
 * notifier - sends a primary's NOTIFY on to the other backends of its pool (notify = "repeat").
 *
 * Purpose:  these are secondaries of the primary as a rule, and know Understudy as the one who
 *           speaks for it. Workers tell that a NOTIFY was heard; from there on this asks each
 *           backend until it acknowledges, five times in half a minute at the most.
 * Not here: whom we hear ourselves (dispatch_notify.c), the message (notify.h).
 * Owns:     a ring for each worker, in which it writes and control reads; a socket for each
 *           backend that is being told something.
 * Threads:  notifier_put() in the worker of that number; all else in control.
 * Time:     monotonic; libev's timers.
 * Memory:   what a backend has not acknowledged is bounded (NOTICES_MAX zones), as are the rings.
 * Failure:  what does not fit is dropped and counted: secondaries ask by themselves some time.
 *           Who never acknowledges is told of once a minute: notify_unanswered.
 * Spec:     RFC 1996 s.3.6 (retries), s.4.3 (one at a time for a zone and a server).
 */
#ifndef NOTIFIER_H
#define NOTIFIER_H

#include <ev.h>

#include "cache/address.h"
#include "cache/name.h"

struct notifier;
struct plan;

/* No pointers: a reload may come between the two threads. */
struct notify_note {
	bool is_refused;		/* else it was heard, and is to be sent on */
	uint8_t origin[NAME_LEN_MAX];	/* of the zone */
	struct address from;
};

struct notifier *notifier_new(struct ev_loop *loop, unsigned workers);
void notifier_free(struct notifier *n);		/* NULL is fine */

/* The plan in use. What is under way to backends that it does not have ends. */
void notifier_set_plan(struct notifier *n, const struct plan *plan);

/* [worker number `worker`] */
void notifier_put(struct notifier *n, unsigned worker, const struct notify_note *note);

struct notifier_counts {
	uint64_t sent_on;	/* to a backend, about a zone */
	uint64_t acknowledged, refused, unanswered;	/* what became of these */
	uint64_t dropped;	/* too many at a time */
};
struct notifier_counts notifier_counts(const struct notifier *n);

#endif
