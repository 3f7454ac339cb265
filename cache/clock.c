/* SPDX-License-Identifier: ISC */
#include "cache/clock.h"

#include <time.h>

/* Both clocks exist on every Linux, so clock_gettime(2) has no way to fail here. */
static uint64_t now_us(clockid_t clock)
{
	struct timespec t = { 0 };

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * US_PER_S + (uint64_t)t.tv_nsec / 1000;
}

uint64_t clock_monotonic_us(void)
{
	return now_us(CLOCK_MONOTONIC);
}

uint64_t clock_wall_us(void)
{
	return now_us(CLOCK_REALTIME);
}
