/* SPDX-License-Identifier: ISC */
/*
 * rtt - round trip times of one backend, and how long to wait for it.
 *
 * Purpose:  the estimator of RFC 6298 (alpha 1/8, beta 1/4) and the deadline that we
 *           take from it: srtt + max(4 x rttvar, 10 ms), capped. And the least round trip of the
 *           last minutes: past it by much, a server is slow, however it came to that.
 * Threads:  one per worker and transport; pure.
 * Time:     microseconds.
 */
#ifndef RTT_H
#define RTT_H

#include <stdint.h>

enum {
	RTT_GUARD_US = 10000,	/* the least margin over srtt: scheduling noise of a busy host */
	RTT_FIRST_US = 50000,	/* before any reply: LAN servers answer long before */
	RTT_SLOW_US = 25000,	/* so much over the least: who has another target takes it; two of
				 * these in a row still are an answer within 60 ms */
	RTT_WINDOW_US = 60000000,
};

struct rtt {
	uint32_t srtt_us, var_us;	/* srtt 0: nothing measured yet */
	uint32_t least_us[2];		/* of this window and of the one before; 0: none in it */
	uint64_t window_us;		/* when this window began */
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

/* Beside rtt_add(). A server that stays slow is taken for far after two windows at the most. */
static inline void rtt_note_least(struct rtt *r, uint64_t sample_us, uint64_t now)
{
	uint32_t s = sample_us > 10000000 ? 10000000 : sample_us < 1 ? 1 : (uint32_t)sample_us;

	if (now - r->window_us >= RTT_WINDOW_US) {
		r->least_us[1] = now - r->window_us < 2ull * RTT_WINDOW_US ? r->least_us[0] : 0;
		r->least_us[0] = 0;
		r->window_us = now;
	}
	if (r->least_us[0] == 0 || s < r->least_us[0])
		r->least_us[0] = s;
}

/* The least of both windows. 0: nothing measured in them. */
static inline uint32_t rtt_least_us(const struct rtt *r)
{
	uint32_t least = r->least_us[0];

	return least == 0 || (r->least_us[1] != 0 && r->least_us[1] < least) ? r->least_us[1] : least;
}

/* After so long a server is slow by its own measure. UINT64_MAX: it has none yet. */
static inline uint64_t rtt_slow_us(const struct rtt *r)
{
	uint64_t least = rtt_least_us(r);

	return least ? least + RTT_SLOW_US : UINT64_MAX;
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
