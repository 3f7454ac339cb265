/* SPDX-License-Identifier: ISC */
/*
 * clock - the two clocks: one that never jumps, and the one on the wall.
 *
 * Purpose:  read by the shells only, once for each turn of a loop; the core takes `now`.
 * Time:     microseconds. Monotonic for every interval and deadline; wall time only
 *           for what outlives the process (expiry, refreshed_at) and for log lines.
 */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

#define US_PER_MS	1000ull
#define US_PER_S	1000000ull

uint64_t clock_monotonic_us(void);
uint64_t clock_wall_us(void);

#endif
