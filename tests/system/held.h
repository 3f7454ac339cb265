/* SPDX-License-Identifier: ISC */
/*
 * held - when the machine itself stood still.
 *
 * Purpose:  a virtual machine is now and then not run by its host for a tenth of a second. What waits
 *           then waits for no fault of the server under test. On each CPU a witness sleeps for
 *           a millisecond, over and over; one that wakes HELD_US late or later had no CPU, though it
 *           wanted next to nothing of it. A CPU that is busy does not do that to one who slept.
 * Owns:     the list of such times, over all CPUs.
 * Threads:  one for each CPU writes its own list and its count; others read after the fact.
 * Time:     CLOCK_MONOTONIC, microseconds.
 */
#ifndef HELD_H
#define HELD_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { HELD_US = 10000, HELD_TIMES_MAX = 8192, HELD_CPUS_MAX = 64, HELD_NAP_US = 1000 };

struct held_time { uint64_t from_us, to_us; };

struct held_witness {
	struct held_time times[HELD_TIMES_MAX];
	atomic_size_t count;
};

static struct held_witness held_witnesses[HELD_CPUS_MAX];

static inline uint64_t held_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* A full list takes no more. */
static inline void held_note(struct held_witness *w, uint64_t from_us, uint64_t to_us)
{
	size_t n = atomic_load_explicit(&w->count, memory_order_relaxed);

	if (n == HELD_TIMES_MAX)
		return;
	w->times[n] = (struct held_time){ from_us, to_us };
	atomic_store_explicit(&w->count, n + 1, memory_order_release);
}

static inline void *held_watch(void *witness)
{
	struct timespec nap = { .tv_nsec = HELD_NAP_US * 1000 };
	uint64_t slept_us = held_now_us();

	for (;;) {
		nanosleep(&nap, NULL);
		uint64_t now_us = held_now_us();

		if (now_us - slept_us >= HELD_NAP_US + HELD_US)
			held_note(witness, slept_us + HELD_NAP_US, now_us);
		slept_us = now_us;
	}
	return NULL;
}

/* One witness for each CPU that we may use, to the end of the program. */
static inline bool held_start(void)
{
	cpu_set_t ours;

	if (sched_getaffinity(0, sizeof(ours), &ours) < 0)
		return false;
	for (size_t cpu = 0; cpu < HELD_CPUS_MAX; cpu++) {
		pthread_t thread;
		cpu_set_t one;

		if (!CPU_ISSET(cpu, &ours))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (pthread_create(&thread, NULL, held_watch, &held_witnesses[cpu]) != 0 ||
		    pthread_setaffinity_np(thread, sizeof(one), &one) != 0)
			return false;
	}
	return true;
}

static inline int held_compare(const void *a, const void *b)
{
	const struct held_time *x = a, *y = b;

	return (x->from_us > y->from_us) - (x->from_us < y->from_us);
}

/* The times of all CPUs, sorted, none touching the next: a list for the caller to free(), or NULL. */
static inline struct held_time *held_times(size_t *count)
{
	struct held_time *all = malloc(sizeof(*all) * HELD_TIMES_MAX * HELD_CPUS_MAX);
	size_t found = 0, kept = 0;

	for (size_t cpu = 0; all && cpu < HELD_CPUS_MAX; cpu++) {
		size_t n = atomic_load_explicit(&held_witnesses[cpu].count, memory_order_acquire);

		for (size_t i = 0; i < n; i++)
			all[found++] = held_witnesses[cpu].times[i];
	}
	if (found)
		qsort(all, found, sizeof(*all), held_compare);
	for (size_t i = 0; i < found; i++) {
		if (!kept || all[i].from_us > all[kept - 1].to_us)
			all[kept++] = all[i];
		else if (all[i].to_us > all[kept - 1].to_us)
			all[kept - 1].to_us = all[i].to_us;
	}
	*count = kept;
	return all;
}

/* How much of a span the machine stood still, in microseconds. */
static inline uint64_t held_within(const struct held_time *times, size_t count, uint64_t from_us,
				   uint64_t to_us)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < count && times[i].from_us < to_us; i++) {
		uint64_t from = times[i].from_us > from_us ? times[i].from_us : from_us;
		uint64_t to = times[i].to_us < to_us ? times[i].to_us : to_us;

		sum += to > from ? to - from : 0;
	}
	return sum;
}

#endif
