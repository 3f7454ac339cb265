/* SPDX-License-Identifier: ISC */
/*
 * priority - who runs first when threads want the same CPU: whoever answers queries.
 *
 * Purpose:  a transfer may take a second longer, an answer not a millisecond. On a machine that
 *           has a CPU for each it changes nothing.
 * Threads:  each call is about the thread that makes it, and those that it begins afterwards.
 * Failure:  none: where the kernel will not have it, all stay alike.
 */
#ifndef PRIORITY_H
#define PRIORITY_H

#include <stdbool.h>
#include <stdint.h>

/*
 * It runs in short pieces and sleeps between them: with a slice as short as that (Linux 6.12) it
 * need not wait until another's, of some milliseconds, is over.
 */
void priority_of_queries(void);

/* It may take long, and waits while others have something to do. Twice is fine. */
void priority_of_transfers(void);

/*
 * It waits for transfers, too, which seldom wait for it. Of two threads that weigh alike the one that
 * had to wait for the other would be owed CPU for that, and all others would wait until it has had it, those that
 * answer queries included.
 */
void priority_of_asides(void);

struct priority {
	bool gives_way;
	unsigned items;
	uint64_t next_us;
};

extern _Thread_local struct priority priority;

void priority_yield(void);

/*
 * For loops that take long, once for each of their items, of some tenths of a microsecond: whoever
 * answers queries and waits for the CPU gets it within a fraction of a millisecond. By
 * itself the kernel may look for him only when its clock ticks, each four. Does nothing in a thread
 * that answers queries itself.
 */
static inline void priority_give_way(void)
{
	if (++priority.items % 128 == 0 && priority.gives_way)
		priority_yield();
}

#endif
