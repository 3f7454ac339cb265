/* SPDX-License-Identifier: ISC */
#include "tests/scenario/sim_run.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cache/event.h"

/* ---- Counting allocations: not with sanitizers, who bring their own malloc() ---- */

#ifndef SIM_COUNTS_NO_ALLOCATIONS
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

void *malloc(size_t size)
{
	sim.allocations++;
	return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	sim.allocations++;
	return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
	sim.allocations++;
	return __libc_realloc(old, size);
}
#endif

/* ---- Running ---- */

static void on_crash(int number)
{
	char text[64];
	int len = snprintf(text, sizeof(text), "seed %llu: signal %d\n",
			   (unsigned long long)sim.seed, number);

	(void)!write(STDERR_FILENO, text, (size_t)len);
	signal(number, SIG_DFL);
	raise(number);
}

void sim_run_prepare(void)
{
	event_open_log("/dev/null", EVENT_LOGFMT, EVENT_INFO);
	backend_set_workers(1);
	signal(SIGABRT, on_crash);
	signal(SIGSEGV, on_crash);
}

bool sim_run_hours(uint64_t hours, uint64_t first, struct sim_tally *sum)
{
	for (uint64_t seed = first; sum->simulated_s < hours * 3600; seed++)
		if (!sim_play(seed, SIM_WORLD_S, BREACH_NONE, false, sum))
			return false;
	return true;
}

void sim_run_print(const struct sim_tally *sum)
{
	double used = (double)clock() / CLOCKS_PER_SEC, hours = (double)sum->simulated_s / 3600;
	double awake = hours - (double)sum->leapt_us / 3600e6;

	printf("%llu worlds, %.0f simulated hours (%.1f of them step by step), %.0f in a second of CPU\n",
	       (unsigned long long)sum->worlds, hours, awake, used > 0 ? hours / used : 0);
	printf("  %llu faults, %llu reloads, %llu probes, %llu event lines\n",
	       (unsigned long long)sum->faults, (unsigned long long)sum->reloads,
	       (unsigned long long)sum->probes, (unsigned long long)sum->lines);
	printf("  %llu queries, %llu rescued, slowest %.3f ms, %llu errors that nobody could have "
	       "prevented, %llu answers older than one before\n",
	       (unsigned long long)sum->queries, (unsigned long long)sum->rescued,
	       (double)sum->slowest_us / 1e3, (unsigned long long)sum->errors,
	       (unsigned long long)sum->went_back);
}
