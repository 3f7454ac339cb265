/* SPDX-License-Identifier: ISC */
#include "cache/mirror_round.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "cache/clock.h"
#include "cache/mirror_catalog.h"
#include "cache/mirror_fleet.h"
#include "cache/mirror_order.h"
#include "cache/mirror_turn.h"
#include "cache/rcu.h"
#include "cache/serial.h"

enum {
	EMPTY_MAX = 100,	/* messages without a record in one transfer */
	/* Rounds that wait for the store before we fetch it ourselves; and while we hold nothing.
	 * Who has the lease and lives is at work on it: the first transfer may be a large one. */
	BEHIND_MAX = 20,
	BEHIND_MAX_EMPTY = 10,
};

#define STORE_GRACE_US	(500 * US_PER_MS)	/* at start: to connect, before we act alone */
#define BEHIND_US	(2 * US_PER_S)		/* between two looks at a zone left to others */

static uint64_t wall_s(void)
{
	return clock_wall_us() / US_PER_S;
}

static const char *source_text(const struct mirror_work *w, char text[ADDRESS_TEXT_MAX])
{
	return address_to_text(&w->conf->primaries[w->primary].address, text);
}

bool round_may_begin(const struct mirror_work *w, uint64_t now_us)
{
	const struct workshop *shop = w->shop;

	if (w->conf->primary_count == 0)
		return false;
	if (w->conf->review.program && !w->is_waived && reviews_are_full(&shop->reviews))
		return false;
	return !shop->store || shop->is_store_known || now_us - shop->started_us >= STORE_GRACE_US;
}

/* ---- Asking ---- */

static void on_fetch_end(struct fetch *f, enum fetch_outcome outcome, void *arg);

static bool is_patient(const struct mirror_work *w)
{
	unsigned most = holding_current(&w->hold) ? BEHIND_MAX : BEHIND_MAX_EMPTY;

	return w->behind < most;
}

/* Whoever has the lease fetches it. */
static bool is_others(const struct mirror_work *w)
{
	return !w->is_waived && work_is_shared(w) && !w->has_lease && is_patient(w);
}

static enum fetch_want what_to_fetch(const struct mirror_work *w)
{
	if (holding_is_frozen(&w->hold))
		return FETCH_SOA_ONLY;
	if (w->is_forced || w->is_whole)
		return FETCH_ANYWAY;
	if (is_others(w) || (!w->is_waived && work_has_refused(w)))
		return FETCH_SOA_ONLY;
	return ixfr_is_trusted(&w->ixfr[w->primary], clock_monotonic_us()) ? FETCH_DIFFERENCE
									    : FETCH_IF_NEWER;
}

static uint64_t held_number(const struct mirror_work *w)
{
	const struct generation *g = holding_current(&w->hold);

	return g ? g->number : 0;
}

static unsigned bit(unsigned primary)
{
	return 1u << primary;
}

/* Whoever has failed is asked last: a server that is frozen shall hold up nobody twice. */
static unsigned next_primary(const struct mirror_work *w)
{
	unsigned next = w->conf->primary_count;

	for (unsigned i = w->conf->primary_count; i-- > 0;)
		if (!(w->asked & bit(i)) && (next == w->conf->primary_count || !(w->shy & bit(i)) ||
					     w->shy & bit(next)))
			next = i;
	return next;
}

/* It has its place at the primary. */
static void start_fetch(struct mirror_work *w)
{
	const struct mirror_primary *p = &w->conf->primaries[w->primary];
	struct fetch_job job = {
		.origin = w->conf->origin,
		.peer = { p->address, p->tls },
		.key = p->has_key ? &p->key : NULL,
		.held = &w->slot->current,
		.limits = { w->conf->max_records, w->conf->max_bytes, EMPTY_MAX,
			    w->conf->max_rrset },
		.stream_limits = w->conf->stream_limits,
		.timeout_us = w->conf->timeout_us,
		.want = turn_allows(w, what_to_fetch(w)),
	};

	w->round = ROUND_PRIMARY;
	w->asked_with = held_number(w);
	w->fetch = fetch_new(w->shop->loop, &job, &w->shop->random, on_fetch_end, w);
	w->shop->report(w, w->shop->report_arg);
}

static void ask_primary(struct mirror_work *w)
{
	w->round = ROUND_TURN;
	w->asked |= bit(w->primary);
	if (turn_take(w, what_to_fetch(w)))
		round_on_turn(w);
}

void round_begin(struct mirror_work *w, uint64_t now_us)
{
	assert(w->round == ROUND_NONE);
	w->schedule.next_us = UINT64_MAX;
	w->asked = 0;
	w->primary = next_primary(w);
	w->is_confirmed = w->is_blemished = w->is_whole = w->is_delivered = false;
	w->is_newer_there = w->is_holding_back = false;
	if (w->is_forced || w->is_waived || w->has_lease || !work_is_shared(w)) {
		ask_primary(w);
		return;
	}
	w->round = ROUND_LEASE;
	w->lease_asked_us = now_us;
	store_take_lease(w->shop->store, w->conf->origin);
}

void round_go_on(struct mirror_work *w, bool is_alone)
{
	assert(w->round == ROUND_LEASE);
	if (is_alone)
		w->behind = BEHIND_MAX;
	ask_primary(w);
}

static void drop_fetch(struct mirror_work *w)
{
	fetch_free(w->fetch);
	w->fetch = NULL;
	turn_leave(w);
}

void round_cancel(struct mirror_work *w)
{
	if (w->round == ROUND_NONE)
		return;
	drop_fetch(w);
	review_cancel(&w->review);
	w->round = ROUND_NONE;
	w->is_forced = w->is_waived = w->is_accepted = false;
}

static void end_round(struct mirror_work *w)
{
	round_cancel(w);
	if (w->is_hurried)
		schedule_hurry(&w->schedule, clock_monotonic_us());
	w->is_hurried = false;
	work_rearm(w);
	w->shop->report(w, w->shop->report_arg);
}

/* ---- Outcomes ---- */

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
	w->last_error[0] = '\0';
	if (!w->is_holding_back)
		w->catalog_held.is_held = false;
	if (failures > 0)
		zonelog_refreshed(&w->log, g->soa.serial, failures, w->hold.source);
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
		store_leave_lease(w->shop->store, w->conf->origin);
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

/* This primary is done with: on to the next one, or the round is over. */
static void attempt_over(struct mirror_work *w)
{
	drop_fetch(w);
	w->is_whole = w->is_newer_there = false;
	w->primary = next_primary(w);
	if (w->primary < w->conf->primary_count)
		ask_primary(w);
	else
		end_round(w);
}

static bool is_last_attempt(const struct mirror_work *w)
{
	return next_primary(w) == w->conf->primary_count;
}

/* `reason` and `owner` may live in the fetch. */
static void attempt_failed(struct mirror_work *w, enum zone_error broken, const char *reason,
			   const char *owner)
{
	char source[ADDRESS_TEXT_MAX];
	struct zonelog_failure f = {
		.source = source_text(w, source), .reason = reason, .owner = owner,
	};

	w->shy |= bit(w->primary);
	if (w->is_delivered) {	/* others may lag, or be away: it is told when they are needed */
		attempt_over(w);
		return;
	}
	w->is_blemished = true;
	if (is_last_attempt(w))
		settle(w);
	f.now_us = clock_monotonic_us();
	f.retry_s = is_last_attempt(w) ? seconds_until(w->schedule.next_us, f.now_us) : 0;
	snprintf(w->last_error, sizeof(w->last_error), "%s: %s", source, reason);
	w->shop->report(w, w->shop->report_arg);
	if (broken != ZONE_OK)
		zonelog_rejected(&w->log, &f);
	else
		zonelog_failed(&w->log, &f);
	attempt_over(w);
}

/* RFC 1995 s.4: the same primary is asked for the zone. `reason` may live in the fetch. */
static void ask_whole(struct mirror_work *w, const char *reason)
{
	char source[ADDRESS_TEXT_MAX];
	struct zonelog_failure f = {
		.source = source_text(w, source), .reason = reason, .retry_s = UINT64_MAX,
		.now_us = clock_monotonic_us(),
	};

	ixfr_failed(&w->ixfr[w->primary], f.now_us);
	zonelog_ixfr_failed(&w->log, &f);
	w->is_blemished = w->is_whole = true;
	drop_fetch(w);
	ask_primary(w);
}

static void take_failure(struct mirror_work *w, struct transfer *t)
{
	const uint8_t *owner;
	enum zone_error broken = transfer_zone_error(t, &owner);
	char text[NAME_TEXT_MAX];

	if (fetch_is_ixfr(w->fetch))
		ask_whole(w, transfer_reason(t));
	else if (broken != ZONE_OK)
		attempt_failed(w, broken, zone_error_text(broken), name_to_text(owner, text));
	else
		attempt_failed(w, ZONE_OK, transfer_reason(t), NULL);
}

static void take_not_newer(struct mirror_work *w, uint32_t serial)
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
static void take_same(struct mirror_work *w)
{
	uint32_t left_s = transfer_expire_s(fetch_transfer(w->fetch));

	w->shy &= ~bit(w->primary);
	if (!w->is_confirmed || left_s > w->confirmed_s)
		w->confirmed_s = left_s;
	w->is_confirmed = true;
	if (is_last_attempt(w) && !w->is_delivered)
		settle(w);
	attempt_over(w);
}

/* The primary lives, and the operator wants what we hold: that is confirmed. */
static void take_held(struct mirror_work *w, uint32_t serial)
{
	char source[ADDRESS_TEXT_MAX];

	order_note_newer(w, serial, source_text(w, source));
	take_same(w);
}

/* Memory first, then the event, then what outlives us. */
static void deliver(struct mirror_work *w, struct generation *g)
{
	const struct generation *old = holding_current(&w->hold);
	char source[ADDRESS_TEXT_MAX];
	struct zonelog_transfer done = {
		.old = old, .new = g, .source = source_text(w, source),
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
	w->last_error[0] = '\0';
	if (fetch_is_ixfr(w->fetch))
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
	w->shy &= ~bit(w->primary);
	w->is_delivered = true;
	if (w->is_forced || w->is_waived || w->is_hurried)	/* its word counts; or time does */
		end_round(w);
	else
		attempt_over(w);
}

/* Finishing a big zone takes time; no other thread's rcu_wait() is to wait for it. */
static struct generation *finish(struct mirror_work *w, struct transfer *t, enum zone_error *why,
				 char owner[NAME_TEXT_MAX])
{
	struct generation *g;

	if (!w->is_snapshot_seen)	/* its number must not be given again */
		work_read_snapshot(w);
	rcu_sleep();
	g = zone_edit_finish(transfer_take_edit(t), holding_next_number(&w->hold), why, owner);
	rcu_wake();
	ev_now_update(w->shop->loop);
	return g;
}

/* ---- Review ---- */

/* What it has is not for us, as we know by now. */
static void stand_by_refusal(struct mirror_work *w)
{
	w->is_blemished = true;
	if (is_last_attempt(w) && !w->is_delivered)
		settle(w);
	w->shop->report(w, w->shop->report_arg);
	attempt_over(w);
}

/* The same serial, or an older one, came: from a store meanwhile, or the primary was wrong. */
static void take_unwanted(struct mirror_work *w, uint32_t serial)
{
	if (serial == holding_current(&w->hold)->soa.serial &&
	    (w->asked_with != held_number(w) || w->is_accepted))
		take_same(w);
	else
		take_not_newer(w, serial);
}

/* A store brought another version while this one was reviewed. */
static bool is_overtaken(const struct mirror_work *w)
{
	const struct generation *held = holding_current(&w->hold);

	return held && (!w->review.has_held || w->review.held_serial != held->soa.serial);
}

static void review(struct mirror_work *w, struct generation *g);

static void on_reviewed(struct generation *g, enum review_check failed, const char *reason,
			void *arg)
{
	struct mirror_work *w = arg;
	uint32_t serial = g->soa.serial;
	char source[ADDRESS_TEXT_MAX];

	w->round = ROUND_PRIMARY;
	if (holding_is_frozen(&w->hold)) {
		generation_free(g);
		take_held(w, serial);
	} else if (failed == REVIEW_ZONEMD && fetch_is_ixfr(w->fetch)) {
		generation_free(g);
		ask_whole(w, reason);	/* more likely the difference is wrong than the zone */
	} else if (failed != REVIEW_PASSED) {
		work_refuse(w, g, failed, reason, source_text(w, source));
		generation_free(g);
		stand_by_refusal(w);
	} else if (!w->is_forced && !holding_wants(&w->hold, serial)) {
		generation_free(g);
		take_unwanted(w, serial);
	} else if (!w->is_forced && !w->is_waived && is_overtaken(w)) {
		review(w, g);
	} else {
		deliver(w, g);
	}
}

/* The place at the primary is for others now: a program may take its time. */
static void review(struct mirror_work *w, struct generation *g)
{
	struct review_job job = {
		.rules = &w->conf->review, .zone = g, .held = holding_current(&w->hold),
		.may_shrink = w->is_forced,
	};

	w->round = ROUND_REVIEW;
	turn_leave(w);
	if (w->is_waived)
		on_reviewed(g, REVIEW_PASSED, "", w);
	else
		review_begin(&w->review, &w->shop->reviews, &job, on_reviewed, w);
	if (w->round == ROUND_REVIEW)	/* it takes its time */
		w->shop->report(w, w->shop->report_arg);
}

/* A catalog that waits for the operator: that was its own event. */
static void attempt_held(struct mirror_work *w, const char *reason)
{
	w->is_blemished = w->is_holding_back = true;
	if (is_last_attempt(w))
		settle(w);
	snprintf(w->last_error, sizeof(w->last_error), "%s", reason);
	attempt_over(w);
}

static void take_zone(struct mirror_work *w, struct transfer *t)
{
	enum zone_error why = ZONE_OK;
	char owner[NAME_TEXT_MAX] = "";
	uint32_t serial = transfer_serial(t);
	struct generation *g = finish(w, t, &why, owner);
	const char *reason = g ? NULL : zone_error_text(why);
	char held[MIRROR_CATALOG_REASON_MAX];

	if (g && !(g = mirror_catalog_only(w, g, &reason, owner)))
		why = ZONE_NO_CATALOG;
	if (!g && fetch_is_ixfr(w->fetch)) {
		ask_whole(w, reason);
	} else if (!g) {
		attempt_failed(w, why, reason, owner[0] ? owner : NULL);
	} else if (holding_is_frozen(&w->hold)) {
		generation_free(g);
		take_held(w, serial);
	} else if ((!w->is_forced || mirror_catalog_is_other(w, serial)) &&
		   !holding_wants(&w->hold, serial)) {
		generation_free(g);
		take_unwanted(w, serial);
	} else if (mirror_catalog_holds(w, g, held)) {
		generation_free(g);
		attempt_held(w, held);
	} else {
		review(w, g);
	}
}

/* The holder of the lease hears of it and fetches it; we shall find it in the store. */
static void leave_to_others(struct mirror_work *w, uint32_t serial)
{
	w->behind++;
	if (work_is_shared(w))
		store_want(w->shop->store, w->conf->origin, serial);
	w->schedule.next_us = clock_monotonic_us() + BEHIND_US;
	w->poll_at_us = 0;
	end_round(w);
}

/* Its SOA alone was asked for. */
static void take_newer(struct mirror_work *w, uint32_t serial)
{
	if (holding_is_frozen(&w->hold)) {
		take_held(w, serial);
	} else if (is_others(w)) {
		leave_to_others(w, serial);
	} else if (!w->is_waived && work_has_refused(w) && serial == w->refusal.serial) {
		stand_by_refusal(w);
	} else {
		w->refused_until_us = 0;	/* another version has a review of its own */
		drop_fetch(w);
		w->is_newer_there = true;	/* now the zone has to wait for its place */
		ask_primary(w);
	}
}

/* Its primary did not answer somebody else just now: no use in finding that out anew. */
void round_on_turn(struct mirror_work *w)
{
	const char *mute = turns_mute(&w->turn, clock_monotonic_us());
	char reason[TURNS_REASON_MAX];

	if (!mute || w->is_forced) {
		start_fetch(w);
		return;
	}
	snprintf(reason, sizeof(reason), "%s", mute);	/* the lane may be left on the way */
	attempt_failed(w, ZONE_OK, reason, NULL);
}

static void take_up_to_date(struct mirror_work *w, struct transfer *t)
{
	bool is_same = transfer_serial(t) == holding_current(&w->hold)->soa.serial;

	if (is_same || holding_is_frozen(&w->hold))	/* older is no matter: the primary lives */
		take_same(w);
	else
		take_not_newer(w, transfer_serial(t));
}

static void on_fetch_end(struct fetch *f, enum fetch_outcome outcome, void *arg)
{
	struct mirror_work *w = arg;

	assert(w->fetch == f && w->round == ROUND_PRIMARY);
	turns_note(&w->turn, fetch_was_answered(f) ? NULL : transfer_reason(fetch_transfer(f)),
		   clock_monotonic_us());
	switch (outcome) {
	case FETCH_ZONE:	take_zone(w, fetch_transfer(f)); return;
	case FETCH_UP_TO_DATE:	take_up_to_date(w, fetch_transfer(f)); return;
	case FETCH_NEWER:	take_newer(w, transfer_serial(fetch_transfer(f))); return;
	case FETCH_FAILED:	take_failure(w, fetch_transfer(f)); return;
	}
}
