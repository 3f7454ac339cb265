/* SPDX-License-Identifier: ISC */
/*
 * ticks - when a CPU did not run at all, to half a millisecond.
 *
 * Purpose:  what of a delay is the server's, and what the machine's? On each CPU that is watched the kernel's
 *           cpu-clock (perf_event_open(2)) interrupts each TICK_US, whatever runs there, and notes the time and
 *           who that is. Where ticks are missing, the host did not run the CPU; unless something was seen to
 *           happen there meanwhile, or the late tick found it idle: there timers are late by themselves, while
 *           packets wake it at once, and a server that sleeps where it should not leaves it idle.
 *           A thread that sleeps and wakes as a witness (held.h) would not do here: each time it wakes the
 *           scheduler chooses anew, and a server that waits for the end of another thread's slice waits less
 *           while it is watched.
 *           Strangers are those who had the CPU and were none of ours. That is told and excuses nothing: they
 *           also have it while a server sleeps that should not. Figures with many of them are to be taken again.
 * Not here: a CPU that is busy, in the kernel or out of it, takes interrupts all the same. What the kernel
 *           does with interrupts off would count as stillness; it is shorter than STILL_US.
 * Owns:     a ring of each CPU, read at the end. One that is full notes nothing more, so nothing more is excused.
 * Time:     CLOCK_MONOTONIC, microseconds.
 * Failure:  ticks_watch() is false where the kernel will not let us (CAP_PERFMON); then nothing is excused.
 */
#ifndef TESTS_BENCH_TICKS_H
#define TESTS_BENCH_TICKS_H

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/system/held.h"

enum {
	TICK_US = 500,			/* a tick costs a virtual machine some 25 us: a twentieth of the CPU */
	STILL_US = 400,			/* between two questions of a steady client are 200, so it was seen to run */
	TICKS_RING = 4 << 20,		/* bytes: a minute and a half */
	TICKS_PAGE = 4096,
	TICKS_GROUPS_MAX = 64,
};

/* When something was seen to happen on a CPU, in order. */
struct ticks_seen { const uint64_t *at_us; size_t count, next; };

struct tick {
	struct perf_event_header head;
	int32_t pid, tid;
	uint64_t at_ns;
};

static struct {
	struct perf_event_mmap_page *rings[HELD_CPUS_MAX];
	pid_t groups[TICKS_GROUPS_MAX];		/* whose processes are no strangers */
	size_t group_count;
	struct ticks_seen seen[HELD_CPUS_MAX];	/* the caller's, before ticks_missing() */
	uint64_t still_us, ran_us, strangers_us;	/* of all CPUs, once ticks_missing() has read them */
} ticks;

static inline bool ticks_watch(size_t cpu)
{
	struct perf_event_attr a = {
		.type = PERF_TYPE_SOFTWARE, .size = sizeof(a), .config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = TICK_US * 1000, .sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME,
		.use_clockid = 1, .clockid = CLOCK_MONOTONIC,
	};
	void *ring = MAP_FAILED;
	int fd = -1;

	if (cpu < HELD_CPUS_MAX)
		fd = (int)syscall(SYS_perf_event_open, &a, -1, (int)cpu, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd >= 0)
		ring = mmap(NULL, TICKS_PAGE + TICKS_RING, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ring == MAP_FAILED)
		return false;
	ticks.rings[cpu] = ring;
	return true;
}

static inline bool ticks_add_group(pid_t group)
{
	if (ticks.group_count == TICKS_GROUPS_MAX)
		return false;
	ticks.groups[ticks.group_count++] = group;
	return true;
}

/* Neither idle, nor a thread of the kernel, which may work for us; one that has ended was none of ours. */
static inline bool ticks_is_stranger(pid_t pid)
{
	pid_t group = pid != 0 ? getpgid(pid) : 0;

	for (size_t i = 0; i < ticks.group_count; i++)
		if (ticks.groups[i] == group)
			return false;
	return ticks.group_count > 0 && group != 0;
}

static inline void ticks_note(size_t cpu, uint64_t from_us, uint64_t to_us)
{
	if (to_us < from_us + STILL_US)
		return;
	held_note(&held_witnesses[cpu], from_us, to_us);
	ticks.still_us += to_us - from_us;
}

/* Whatever was seen parts it; pieces that are long enough count. */
static inline void ticks_part(size_t cpu, uint64_t from_us, uint64_t to_us)
{
	struct ticks_seen *s = &ticks.seen[cpu];

	while (s->next < s->count && s->at_us[s->next] <= from_us)
		s->next++;
	for (; s->next < s->count && s->at_us[s->next] < to_us; s->next++) {
		ticks_note(cpu, from_us, s->at_us[s->next]);
		from_us = s->at_us[s->next];
	}
	ticks_note(cpu, from_us, to_us);
}

static inline void ticks_take(size_t cpu, const struct tick *t, uint64_t before_us)
{
	if (before_us && t->pid != 0)
		ticks_part(cpu, before_us + TICK_US, t->at_ns / 1000);
	ticks.ran_us += TICK_US;
	if (ticks_is_stranger(t->pid))
		ticks.strangers_us += TICK_US;
}

static inline void ticks_read(size_t cpu)
{
	const struct perf_event_mmap_page *page = ticks.rings[cpu];
	const uint8_t *data = (const uint8_t *)page + TICKS_PAGE;
	uint64_t end = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE), before_us = 0;

	for (uint64_t at = 0; at < end;) {
		const struct tick *t = (const struct tick *)(const void *)(data + at);

		at += t->head.size;
		if (t->head.type != PERF_RECORD_SAMPLE)
			continue;
		ticks_take(cpu, t, before_us);
		before_us = t->at_ns / 1000;
	}
}

/* When any CPU that is watched stood still: a list for the caller to free(), or NULL. Once. */
static inline struct held_time *ticks_missing(size_t *count)
{
	for (size_t cpu = 0; cpu < HELD_CPUS_MAX; cpu++)
		if (ticks.rings[cpu])
			ticks_read(cpu);
	return held_times(count);
}

#endif
