/* SPDX-License-Identifier: ISC */
#include "cache/mirror_attempt.h"

#include <stdio.h>

#include "cache/clock.h"
#include "cache/memory.h"
#include "cache/mirror_fleet.h"
#include "cache/mirror_order.h"
#include "cache/mirror_round.h"
#include "cache/serial.h"

static uint64_t wall_s(void)
{
	return clock_wall_us() / US_PER_S;
}

/* ---- The end of a round ---- */

static struct zone_times times_of(const struct schedule *s)
{
	return (struct zone_times){ .refreshed_at = s->refreshed_at, .expires_at = s->expires_at };
}

static void confirm(struct mirror_work *w)
{
	const struct generation *g = holding_current(&w->hold);
	unsigned failures = w->schedule.failures;
	uint64_t known_until = w->schedule.expires_at;
	struct zone_times times;

	schedule_success(&w->schedule, &g->soa, clock_monotonic_us(), wall_s(), &w->shop->random);
	schedule_limit(&w->schedule, w->confirmed_s, known_until, clock_monotonic_us(), wall_s());
	times = times_of(&w->schedule);
	holding_confirm(&w->hold, &times);
	w->behind = 0;
	work_forget_error(w);
	if (!w->is_holding_back)
		w->catalog_held.is_held = false;
	if (failures > 0)
		zonelog_refreshed(&w->log, g->soa.serial, failures,
				  holding_source(&w->hold));
	if (!w->is_blemished) {
		zonelog_forget(&w->log);
		work_forget_refusal(w);
	}
}

/*
 * No primary delivered or confirmed. Whoever else shares our store may have better luck:
 * the lease is free, and when our copy gets old we look whether it was confirmed there.
 */
static void fall_back(struct mirror_work *w)
{
	const struct generation *g = holding_current(&w->hold);
	const struct zone_times *times = &w->hold.times;
	uint64_t now_s = wall_s();

	schedule_failure(&w->schedule, g ? &g->soa : NULL, clock_monotonic_us(), &w->shop->random);
	if (!work_is_shared(w))
		return;
	if (w->has_lease) {
		w->has_lease = false;
		store_leave_lease(w->shop->store, w->origin);
	} else if (g && now_s > times->refreshed_at &&
		   (now_s - times->refreshed_at) * 2 > g->soa.expire) {
		fleet_follow(w);
	}
}

static void settle(struct mirror_work *w)
{
	if (w->is_confirmed && holding_current(&w->hold))
		confirm(w);
	else
		fall_back(w);
}

static uint64_t seconds_until(uint64_t then_us, uint64_t now_us)
{
	return then_us > now_us ? (then_us - now_us + US_PER_S - 1) / US_PER_S : 0;
}

/* ---- The end of an attempt ---- */

/* This primary is done with: on to the next one, or the round is over. */
static void attempt_over(struct mirror_work *w)
{
	round_drop_fetch(w);
	w->is_whole = w->is_newer_there = false;
	w->primary = round_next_primary(w);
	if (w->primary < w->conf->primary_count)
		round_ask(w);
	else
		round_end(w);
}

static bool is_last_attempt(const struct mirror_work *w)
{
	return round_next_primary(w) == w->conf->primary_count;
}

/* `reason` and `owner` may live in the fetch. */
void attempt_failed(struct mirror_work *w, enum zone_error broken, const char *reason,
			   const char *owner)
{
	char source[ADDRESS_TEXT_MAX];
	struct zonelog_failure f = {
		.source = round_source(w, source), .reason = reason, .owner = owner,
	};

	w->shy |= round_bit(w->primary);
	if (w->is_delivered) {	/* others may lag, or be away: it is told when they are needed */
		attempt_over(w);
		return;
	}
	w->is_blemished = true;
	if (is_last_attempt(w))
		settle(w);
	f.now_us = clock_monotonic_us();
	f.retry_s = is_last_attempt(w) ? seconds_until(w->schedule.next_us, f.now_us) : 0;
	work_note_error(w, "%s: %s", source, reason);
	w->shop->report(w, w->shop->report_arg);
	if (broken != ZONE_OK)
		zonelog_rejected(&w->log, &f);
	else
		zonelog_failed(&w->log, &f);
	attempt_over(w);
}

/* RFC 1995 s.4: the same primary is asked for the zone. `reason` may live in the fetch. */
void attempt_whole(struct mirror_work *w, const char *reason)
{
	char source[ADDRESS_TEXT_MAX];
	struct zonelog_failure f = {
		.source = round_source(w, source), .reason = reason, .retry_s = UINT64_MAX,
		.now_us = clock_monotonic_us(),
	};

	if (!w->ixfr)
		w->ixfr = memory_zeroed(MIRROR_PRIMARIES_MAX, sizeof(w->ixfr[0]));
	ixfr_failed(&w->ixfr[w->primary], f.now_us);
	zonelog_ixfr_failed(&w->log, &f);
	w->is_blemished = w->is_whole = true;
	round_drop_fetch(w);
	round_ask(w);
}

void attempt_not_newer(struct mirror_work *w, uint32_t serial)
{
	uint32_t ours = holding_current(&w->hold)->soa.serial;
	char reason[100];

	if (serial == ours)
		snprintf(reason, sizeof(reason),
			 "a newer serial was promised, but the zone has %u again", serial);
	else
		snprintf(reason, sizeof(reason), "the primary's serial %u is older than ours, %u",
			 serial, ours);
	attempt_failed(w, ZONE_OK, reason, NULL);
}

/* The SOA reply has it, or a zone that a store delivered first: what we hold is confirmed. */
void attempt_same(struct mirror_work *w)
{
	uint32_t left_s = transfer_expire_s(fetch_transfer(w->fetch));

	w->shy &= ~round_bit(w->primary);
	if (!w->is_confirmed || left_s > w->confirmed_s)
		w->confirmed_s = left_s;
	w->is_confirmed = true;
	if (is_last_attempt(w) && !w->is_delivered)
		settle(w);
	attempt_over(w);
}

/* The primary lives, and the operator wants what we hold: that is confirmed. */
void attempt_newer_held(struct mirror_work *w, uint32_t serial)
{
	char source[ADDRESS_TEXT_MAX];

	order_note_newer(w, serial, round_source(w, source));
	if (w->refusal.check != REVIEW_PASSED && w->refusal.serial == serial)
		w->is_blemished = true;		/* it is refused as before: who accepts it means that one */
	attempt_same(w);
}

/* Memory first, then the event, then what outlives us. */
void attempt_delivered(struct mirror_work *w, struct generation *g)
{
	const struct generation *old = holding_current(&w->hold);
	char source[ADDRESS_TEXT_MAX];
	struct zonelog_transfer done = {
		.old = old, .new = g, .source = round_source(w, source),
		.is_difference = transfer_is_difference(fetch_transfer(w->fetch)),
		.records = transfer_records(fetch_transfer(w->fetch)),
		.bytes = transfer_bytes(fetch_transfer(w->fetch)),
		.duration_us = fetch_duration_us(w->fetch),
	};
	uint32_t left_s = transfer_expire_s(fetch_transfer(w->fetch));
	struct zone_times times;

	if (g->number < holding_next_number(&w->hold))	/* others came while this was reviewed */
		g->number = holding_next_number(&w->hold);
	schedule_success(&w->schedule, &g->soa, clock_monotonic_us(), wall_s(), &w->shop->random);
	schedule_limit(&w->schedule, left_s, 0, clock_monotonic_us(), wall_s());
	schedule_news(&w->schedule);
	times = times_of(&w->schedule);
	w->behind = 0;
	w->holds_removed = false;
	work_forget_error(w);
	if (fetch_is_ixfr(w->fetch) && w->ixfr)
		ixfr_worked(&w->ixfr[w->primary]);
	w->catalog_held = (struct mirror_catalog_held){ .is_held = false };
	holding_note_order(&w->hold, g->soa.serial, w->is_forced);
	work_forget_refusal(w);
	holding_publish(&w->hold, g, &times, source);
	zonelog_transferred(&w->log, &done);
	holding_check_faithful(&w->hold);
	if (!w->is_blemished)
		zonelog_forget(&w->log);
	holding_save(&w->hold, old);
	w->shy &= ~round_bit(w->primary);
	w->is_delivered = true;
	if (w->is_forced || w->is_waived || w->is_hurried)	/* its word counts; or time does */
		round_end(w);
	else
		attempt_over(w);
}

/* What it has is not for us, as we know by now. */
void attempt_refused(struct mirror_work *w)
{
	w->is_blemished = true;
	if (is_last_attempt(w) && !w->is_delivered)
		settle(w);
	w->shop->report(w, w->shop->report_arg);
	attempt_over(w);
}

/* The same serial, or an older one, came: from a store meanwhile, or the primary was wrong. */
void attempt_unwanted(struct mirror_work *w, uint32_t serial)
{
	if (serial == holding_current(&w->hold)->soa.serial &&
	    (w->asked_with != round_held_number(w) || w->is_accepted))
		attempt_same(w);
	else
		attempt_not_newer(w, serial);
}

/* A catalog that waits for the operator: that was its own event. */
void attempt_withheld(struct mirror_work *w, const char *reason)
{
	w->is_blemished = w->is_holding_back = true;
	if (is_last_attempt(w) && !w->is_delivered)
		settle(w);
	work_note_error(w, "%s", reason);
	attempt_over(w);
}

