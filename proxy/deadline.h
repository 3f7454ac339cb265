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
	ev_io io;		/* in the crowd: it rings seldom, and each socket that is polled costs */
	ev_timer ring;		/* never started: by it the worker's loop is told */
	struct ev_loop *loop;
	unsigned rung_in;	/* which turn of it */
	uint64_t rung_us;	/* when that began; 0: it does not ring */
	uint64_t at_us;		/* when it rings; UINT64_MAX: it does not */
};

/*
 * `on_ring` is called by `loop`, in which `crowd` is embedded, after all sockets of its turn, and again each
 * turn until deadline_stop().
 */
void deadline_init(struct deadline *d, struct ev_loop *loop, struct ev_loop *crowd,
		   void (*on_ring)(struct ev_loop *loop, ev_timer *ring, int revents));
void deadline_fini(struct deadline *d);		/* all zeroes is fine */

/* Rings at `at_us` or earlier; UINT64_MAX: need not ring. */
void deadline_set(struct deadline *d, uint64_t at_us);

/*
 * It rings: deadlines up to which may be kept now? What had come by then has been read. A thread that is held
 * up finds a later hour, but no more sockets ready than there were; so it is that of the turn before, and none
 * (0) in the first turn. `now_us`: when this turn began.
 */
uint64_t deadline_read_until(struct deadline *d, uint64_t now_us);

/* It has rung, and was heard. */
void deadline_stop(struct deadline *d);

#endif
