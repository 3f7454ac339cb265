/* SPDX-License-Identifier: ISC */
#include "cache/priority.h"

#include <sched.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cache/clock.h"

enum {
	SLICE_NS = 500000,	/* longer than a batch takes, shorter than others' */
	TRANSFERS_NICE = 10,	/* weighs a ninth of 0 */
	ASIDES_NICE = 15,	/* a third of that */
	YIELD_US = 100,		/* between two yields, at least */
	LEAST_PART = 8,		/* of the time that others took before, if they want it all */
};

_Thread_local struct priority priority;

/* The kernel's struct sched_attr of the beginning: its header and <sched.h> do not go together. */
struct attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t realtime;
	uint64_t runtime_ns, deadline_ns, period_ns;
};

void priority_of_queries(void)
{
	struct attributes a;

	if (syscall(SYS_sched_getattr, 0, &a, sizeof(a), 0) < 0 || a.policy != SCHED_OTHER)
		return;		/* the operator's choice stays */
	a.runtime_ns = SLICE_NS;
	syscall(SYS_sched_setattr, 0, &a, 0);
}

static void be_nice(int by)
{
	int first = getpriority(PRIO_PROCESS, (id_t)getpid());	/* of the first thread, on Linux */

	setpriority(PRIO_PROCESS, 0, first + by);
	priority.gives_way = true;
}

void priority_of_transfers(void)
{
	be_nice(TRANSFERS_NICE);
}

void priority_of_asides(void)
{
	be_nice(ASIDES_NICE);
}

/* Who was kept waiting for long yields to nobody until it has had its share. */
void priority_yield(void)
{
	uint64_t before = clock_monotonic_us(), after;

	if (before < priority.next_us)
		return;
	sched_yield();
	after = clock_monotonic_us();
	priority.next_us = after + YIELD_US + (after - before) / LEAST_PART;
}
