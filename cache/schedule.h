/* SPDX-License-Identifier: ISC */
/*
 * schedule - when a mirrored zone is asked about, and until when it may answer.
 *
 * Purpose:  SOA refresh, retry and expire as decisions over `now`, with clamps and jitter;
 *           no timers.
 * Threads:  the mirror's; pure.
 * Time:     monotonic microseconds for what is next; wall seconds for expiry, since that
 *           outlives the process.
 * Memory:   none.
 * Failure:  none.
 * Spec:     RFC 1034 s.4.3.5, RFC 1035 s.3.3.13, RFC 7314 s.4, RFC 1996 s.4.4 (NOTIFY as a timer
 *           that ends).
 */
#ifndef SCHEDULE_H
#define SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/random.h"
#include "cache/zone.h"

/* All zero before schedule_start(). */
struct schedule {
	uint64_t next_us;	/* when to ask next; the owner sets UINT64_MAX while it asks */
	uint64_t asked_us;	/* when the last question ended; 0: never, or it brought news */
	unsigned in_vain;	/* questions without news since the last pause or news; many after a failure */
	uint64_t refreshed_at;	/* wall seconds of the last confirmation; 0: never */
	uint64_t expires_at;	/* wall seconds; 0: nothing to expire */
	unsigned failures;	/* in a row */
};

/* Bounds against zones whose timers are 0, 2^31 and the like: seconds. */
enum {
	SCHEDULE_REFRESH_MIN = 1, SCHEDULE_REFRESH_MAX = 28 * 86400,
	SCHEDULE_RETRY_MIN = 1, SCHEDULE_RETRY_MAX = 14 * 86400,
	SCHEDULE_FIRST_RETRY_MAX = 60,	/* while nothing is held at all */
	SCHEDULE_JITTER_PERCENT = 10,	/* taken off, so that zones do not march in step */
};

/*
 * At start, or when the primaries have changed: ask at once (spread over `spread_us`), whatever
 * was restored from a store. What is known of the zone's age stays.
 */
void schedule_start(struct schedule *s, uint64_t now_us, uint64_t spread_us, struct random *r);

/*
 * The primary confirmed or delivered `soa`. A zone whose expire is shorter than two retries
 * could expire between two questions: it lives for two retries. One whose expire is shorter than
 * two refreshes is asked about at half of it.
 */
void schedule_success(struct schedule *s, const struct soa *soa, uint64_t now_us, uint64_t wall_s,
		      struct random *r);

/*
 * After schedule_success(): the primary's own copy expires in `left_s` (RFC 7314; UINT32_MAX: it
 * did not say), so ours does no later, unless another's word made it good until `known_until`
 * (wall seconds; 0 for a zone just transferred). What would expire before the next question is
 * asked about halfway.
 */
void schedule_limit(struct schedule *s, uint32_t left_s, uint64_t known_until, uint64_t now_us,
		    uint64_t wall_s);

/* It did not: SOA retry, or a quick exponential back-off from 1 s while nothing is held. */
void schedule_failure(struct schedule *s, const struct soa *held, uint64_t now_us,
		      struct random *r);

/* What came of the last question was a new version: who makes these may have another one. */
void schedule_news(struct schedule *s);

/*
 * Someone wants it now (probe saw a newer serial, NOTIFY, operator): brings the next question
 * forward, but not to within a second of one that failed. After one without news not to within
 * 10 ms of it, after more of them 40, 160, 640 ms and in the end a second: a NOTIFY that comes on
 * the heels of what a probe made us ask is not put off, and a flood of them gets a question a
 * second. News, or a pause of two seconds, ends the count.
 */
void schedule_hurry(struct schedule *s, uint64_t now_us);

/* Wall seconds: a zone confirmed at `refreshed_at` should have been confirmed again by then. */
uint64_t schedule_stale_at(const struct soa *soa, uint64_t refreshed_at);

bool schedule_is_due(const struct schedule *s, uint64_t now_us);
bool schedule_is_expired(const struct schedule *s, uint64_t wall_s);

#endif
