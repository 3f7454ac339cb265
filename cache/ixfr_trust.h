/* SPDX-License-Identifier: ISC */
/*
 * ixfr_trust - whether a primary is asked for differences, or for the zone at once.
 *
 * Purpose:  the memory of one zone and primary: after a second failure in a row IXFR is left
 *           out for a minute, then for longer each time. One that worked, or an hour in which
 *           nothing was tried after the wait, and all is forgotten.
 * Not here: what counts as a failure (mirror_round.c).
 * Threads:  the mirror's; pure.
 * Time:     monotonic microseconds, given by the caller.
 * Memory:   none.
 */
#ifndef IXFR_TRUST_H
#define IXFR_TRUST_H

#include <stdbool.h>
#include <stdint.h>

/* All zero: trusted. */
struct ixfr_trust {
	uint64_t until_us;	/* not asked before */
	unsigned failures;	/* in a row */
};

/* Seconds. The most is no longer than zones commonly go between two refreshes. */
enum { IXFR_WAIT_S = 60, IXFR_WAIT_MAX_S = 6 * 3600, IXFR_FORGET_S = 3600 };

bool ixfr_is_trusted(const struct ixfr_trust *t, uint64_t now_us);

void ixfr_failed(struct ixfr_trust *t, uint64_t now_us);
void ixfr_worked(struct ixfr_trust *t);

#endif
