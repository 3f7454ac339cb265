/* SPDX-License-Identifier: ISC */
/*
 * sim_run - many worlds, one after another.
 *
 * Failure:  the seed of the world that failed is on stderr, even when the product aborted in it.
 */
#ifndef SIM_RUN_H
#define SIM_RUN_H

#include "tests/scenario/sim.h"

/* Sanitizers bring their own malloc(). */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SIM_COUNTS_NO_ALLOCATIONS
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SIM_COUNTS_NO_ALLOCATIONS
#endif

enum { SIM_WORLD_S = 10 * 3600 };	/* how long a world lasts */

/* Before the first world: the log goes nowhere, and a crash says its seed. */
void sim_run_prepare(void);

/* Worlds of the seeds from `first` on. False: sim.why. */
bool sim_run_hours(uint64_t hours, uint64_t first, struct sim_tally *sum);

void sim_run_print(const struct sim_tally *sum);

#endif
