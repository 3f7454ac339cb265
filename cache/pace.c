/* SPDX-License-Identifier: ISC */
#include "cache/pace.h"

#include "cache/clock.h"

bool pace_is_too_slow(struct pace *p, const struct pace_limit *limit, uint64_t now_us,
		      uint64_t *rate)
{
	uint64_t gone_us = now_us - p->since_us;

	if (limit->min_rate == 0 || now_us <= p->since_us || gone_us < limit->span_us)
		return false;
	*rate = (uint64_t)((double)p->bytes * (double)US_PER_S / (double)gone_us);
	if (*rate < limit->min_rate)
		return true;
	pace_start(p, now_us);
	return false;
}
