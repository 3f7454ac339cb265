/* SPDX-License-Identifier: ISC */
/*
 * rtt - round trip times of one backend, and how long to wait for it.
 *
 * Purpose:  the estimator of RFC 6298 (alpha 1/8, beta 1/4) and the deadline that we
 *           take from it: srtt + max(4 x rttvar, 10 ms), capped.
 * Threads:  one per worker and transport; pure.
 * Time:     microseconds.
 */
#ifndef RTT_H
#define RTT_H

#include <stdint.h>

enum {
	RTT_GUARD_US = 10000,	/* the least margin over srtt: scheduling noise of a busy host */
	RTT_FIRST_US = 50000,	/* before any reply: LAN servers answer long before */
};

struct rtt {
	uint32_t srtt_us, var_us;	/* srtt 0: nothing measured yet */
};

static inline void rtt_add(struct rtt *r, uint64_t sample_us)
{
	uint32_t s = sample_us > 10000000 ? 10000000 : sample_us < 1 ? 1 : (uint32_t)sample_us;

	if (r->srtt_us == 0) {
		r->srtt_us = s;
		r->var_us = s / 2;
		return;
	}
	uint32_t off = s > r->srtt_us ? s - r->srtt_us : r->srtt_us - s;

	r->var_us += off / 4 - r->var_us / 4;
	r->srtt_us += s / 8 - r->srtt_us / 8;
	if (r->srtt_us == 0)
		r->srtt_us = 1;
}

/* How long a healthy server may take: past this, silence is evidence. */
static inline uint64_t rtt_patience_us(const struct rtt *r)
{
	uint64_t margin = 4ull * r->var_us;

	if (r->srtt_us == 0)
		return RTT_FIRST_US;
	return r->srtt_us + (margin > RTT_GUARD_US ? margin : RTT_GUARD_US);
}

/* When to turn to the next target. A suspect gets no margin for its variance. */
static inline uint64_t rtt_deadline_us(const struct rtt *r, uint64_t cap_us, int is_suspect)
{
	uint64_t wait = rtt_patience_us(r);

	if (is_suspect)
		wait = r->srtt_us + RTT_GUARD_US;
	return wait < cap_us ? wait : cap_us;
}

#endif
