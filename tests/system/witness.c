/* SPDX-License-Identifier: ISC */
/*
 * witness - tells when the machine itself stood still, while tests run.
 *
 * Purpose:  prints a line for each such time, as soon as it is over: when it began and when it ended, in
 *           microseconds of CLOCK_MONOTONIC; and "ready" before the first. Ends with its standard input.
 *           Where it may, it runs before everything else: tests that want all of both CPUs do not hold
 *           it up, so what it tells is the host's doing.
 * Usage:    witness <&N
 * Threads:  those of held.h; the first one reads what they write.
 * Time:     CLOCK_MONOTONIC. It looks for news each LOOK_MS.
 */
#include <err.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

#include "held.h"

enum { LOOK_MS = 20 };

static size_t told[HELD_CPUS_MAX];

static void tell_news(size_t cpu)
{
	const struct held_witness *w = &held_witnesses[cpu];
	size_t n = atomic_load_explicit(&w->count, memory_order_acquire);

	for (; told[cpu] < n; told[cpu]++)
		printf("%" PRIu64 " %" PRIu64 "\n", w->times[told[cpu]].from_us, w->times[told[cpu]].to_us);
}

int main(void)
{
	struct sched_param first = { .sched_priority = 1 };
	struct pollfd end = { .fd = STDIN_FILENO, .events = POLLIN };

	setvbuf(stdout, NULL, _IOLBF, 0);
	(void)sched_setscheduler(0, SCHED_FIFO, &first);	/* threads inherit it */
	if (!held_start())
		err(1, "a thread for each CPU");
	printf("ready\n");
	while (poll(&end, 1, LOOK_MS) == 0) {
		for (size_t cpu = 0; cpu < HELD_CPUS_MAX; cpu++)
			tell_news(cpu);
	}
	return 0;
}
