/* SPDX-License-Identifier: ISC */
/*
 * busy - keeps a worker's loop from sleeping for a while after its last packet.
 *
 * Purpose:  a thread that sleeps is woken some microseconds after its packet came, twice for each
 *           query that is forwarded, and now and then, on a virtual machine, milliseconds. One
 *           that looks again at once is there already. That costs the CPU which it would have left
 *           to others, so it is the operator's choice (`busy-poll`).
 * Not here: what there is to do; whoever did it says so by busy_mark().
 * Threads:  one for each worker, inside its loop.
 * Time:     monotonic microseconds, as the caller's.
 */
#ifndef BUSY_H
#define BUSY_H

#include <stdint.h>

#include <ev.h>

struct busy {
	ev_idle idle;			/* while it is active, the loop only looks at its sockets */
	uint64_t for_us;		/* 0: it sleeps when there is nothing to do */
	uint64_t until_us;
};

void busy_init(struct busy *b);

/* There was something to do. */
void busy_mark(struct busy *b, struct ev_loop *loop, uint64_t now_us);

/* Each time before the loop may sleep. */
void busy_look(struct busy *b, struct ev_loop *loop, uint64_t now_us);

#endif
