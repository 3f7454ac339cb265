/* SPDX-License-Identifier: ISC */
/*
 * deadline - the one timer of a worker's loop.
 *
 * Purpose:  rings when the earliest deadline has come, or before. Setting it later costs nothing:
 *           it is left alone, rings too early, and is set anew then. So a query that is answered
 *           in time sets no timer, and neither does the loop each time that it goes to sleep: a
 *           timer that is due within milliseconds is one that the kernel gives to the hardware,
 *           which on a virtual machine costs more than the query.
 * Not here: what the deadlines are (wheel.h), what follows (worker.c).
 * Threads:  one per worker, inside its loop.
 * Time:     monotonic microseconds, as the caller's.
 * Failure:  aborts when the kernel gives no timer: at worker_new() only.
 */
#ifndef DEADLINE_H
#define DEADLINE_H

#include <stdint.h>

#include <ev.h>

struct deadline {
	ev_io io;
	uint64_t at_us;		/* when it rings; UINT64_MAX: it does not */
};

/*
 * `on_ring` is called after all sockets of its turn, and again each turn until deadline_stop(). `loop` is
 * the one that polls: the crowd in it looks later, and what came meanwhile would lie there unread.
 */
void deadline_init(struct deadline *d, struct ev_loop *loop,
		   void (*on_ring)(struct ev_loop *loop, ev_io *io, int revents));
void deadline_fini(struct deadline *d);		/* all zeroes is fine */

/* Rings at `at_us` or earlier; UINT64_MAX: need not ring. */
void deadline_set(struct deadline *d, uint64_t at_us);

/* It has rung, and was heard. */
void deadline_stop(struct deadline *d);

#endif
