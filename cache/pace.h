/* SPDX-License-Identifier: ISC */
/*
 * pace - does a transfer move on?
 *
 * Purpose:  the rate of a stream of bytes over one span of time after the other. A peer that
 *           drips a byte now and then is never silent; but it must not hold a place for ever.
 * Not here: silence, and the time that all of it takes (stream.h, fetch.h).
 * Threads:  one per struct.
 * Time:     monotonic microseconds, given by the caller.
 */
#ifndef PACE_H
#define PACE_H

#include <stdbool.h>
#include <stdint.h>

struct pace_limit {
	uint64_t min_rate;	/* bytes a second; 0: any will do */
	uint64_t span_us;
};

struct pace {
	uint64_t since_us, bytes;	/* of the span that runs */
};

static inline void pace_start(struct pace *p, uint64_t now_us)
{
	*p = (struct pace){ .since_us = now_us };
}

static inline void pace_count(struct pace *p, uint64_t bytes)
{
	p->bytes += bytes;
}

/*
 * True when the span is over and was too slow; *rate is what it was, in bytes a second. The
 * next one begins when it was not. Later calls than at the end of a span judge all the time
 * since its begin.
 */
bool pace_is_too_slow(struct pace *p, const struct pace_limit *limit, uint64_t now_us,
		      uint64_t *rate);

#endif
