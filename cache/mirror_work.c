/* SPDX-License-Identifier: ISC */
/*
 * Each zone has one timer, `tick`, for what is due next, and none when nothing is. What no time can
 * be given for, the mirror's round sees (mirror_thread.c).
 */
#include "cache/mirror_work.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/clock.h"
#include "cache/memory.h"
#include "cache/rcu.h"
#include "cache/mirror_catalog.h"
#include "cache/mirror_fleet.h"
#include "cache/mirror_order.h"
#include "cache/mirror_round.h"
#include "cache/mirror_zoneconf.h"

#define TURNS_MAX		5000			/* of those that wait, in a second */
#define WAIT_TURN_US		(50 * US_PER_MS)	/* due, but the round may not begin yet */
#define LEASE_PATIENCE_US	(3 * US_PER_S)		/* the store is up and does not answer */

/* For how long what was refused is not fetched again. */
enum { REFUSED_MIN_S = 300, REFUSED_MAX_S = 86400 };

struct mirror_work *work_new(const uint8_t *origin, const struct mirror_zone_conf *conf)
{
	size_t origin_len = name_len(origin);
	struct mirror_work *w = memory_zeroed(1, sizeof(*w) + origin_len);
	struct mirror_zone *slot = memory_zeroed(1, sizeof(*slot));

	memcpy(w->origin, origin, origin_len);
	slot->is_catalog = conf->catalog.is_one;
	slot->work = w;
	w->slot = slot;
	w->conf = conf;
	w->status_next_us = UINT64_MAX;
	w->is_newcomer = conf->is_newcomer;
	w->added_at = clock_wall_us() / US_PER_S;
	return w;
}

void work_free(struct mirror_work *w)
{
	if (w->shop)
		holding_fini(&w->hold);
	zonelog_forget(&w->log);
	zoneconf_free(w->conf);
	free(w->ixfr);
	free(w->holder);
	free(w->refusal.reason);
	free(w->last_error);
	free(w->status);
	free(w->slot);
	free(w);
}

static void report(struct mirror_work *w)
{
	w->shop->report(w, w->shop->report_arg);
}

void work_forget_error(struct mirror_work *w)
{
	free(w->last_error);
	w->last_error = NULL;
}

void work_note_error(struct mirror_work *w, const char *format, ...)
{
	char *text;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);
	free(w->last_error);
	w->last_error = text;
}

/* ---- The timer ---- */

static void set_waiting(struct mirror_work *w, bool is_waiting)
{
	w->shop->waiting += is_waiting;
	w->shop->waiting -= w->is_waiting;
	w->is_waiting = is_waiting;
}

/* Each of `count` zones that wait looks whether it may begin, TURNS_MAX of them a second. */
static uint64_t wait_turn_us(size_t count)
{
	uint64_t us = (uint64_t)count * US_PER_S / TURNS_MAX;

	return us > WAIT_TURN_US ? us : WAIT_TURN_US;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* When the next round may begin. During one: at its end. */
static uint64_t next_round_us(const struct mirror_work *w, uint64_t now_us)
{
	if (w->round == ROUND_LEASE)
		return w->lease_asked_us + LEASE_PATIENCE_US;
	if (w->round != ROUND_NONE)
		return UINT64_MAX;
	return w->is_waiting ? now_us + wait_turn_us(w->shop->waiting) : w->schedule.next_us;
}

/* Only ever forward: a flood of refreshes must not put off the very thing they ask for. */
void work_rearm(struct mirror_work *w)
{
	struct ev_loop *loop = w->shop->loop;
	uint64_t now_us = clock_monotonic_us(), next_us;
	double wait_s;

	if (w->is_left)
		return;
	set_waiting(w, w->round == ROUND_NONE && schedule_is_due(&w->schedule, now_us) &&
			       !round_may_begin(w, now_us));
	next_us = next_round_us(w, now_us);
	next_us = earlier(next_us, fleet_next_us(w));
	next_us = earlier(next_us, holding_next_us(&w->hold));
	if (next_us == UINT64_MAX)
		return;
	wait_s = next_us > now_us ? (double)(next_us - now_us) / (double)US_PER_S : 0.;
	if (ev_is_active(&w->tick) && ev_timer_remaining(loop, &w->tick) <= wait_s)
		return;
	ev_timer_stop(loop, &w->tick);
	ev_timer_set(&w->tick, wait_s, 0.);
	ev_timer_start(loop, &w->tick);
}

void work_look(struct mirror_work *w)
{
	uint64_t now_us = clock_monotonic_us();

	holding_check_expiry(&w->hold);
	holding_check_faithful(&w->hold);
	holding_tend_snapshot(&w->hold);
	fleet_tend(w, now_us);
	if (w->round == ROUND_LEASE && now_us - w->lease_asked_us >= LEASE_PATIENCE_US)
		round_go_on(w, true);
	if (w->round == ROUND_NONE && schedule_is_due(&w->schedule, now_us) &&
	    round_may_begin(w, now_us))
		round_begin(w, now_us);
	work_rearm(w);
	if (w->status_next_us != w->schedule.next_us)	/* this thread alone writes it */
		report(w);
}

static void on_tick(struct ev_loop *loop, ev_timer *t, int revents)
{
	(void)loop;
	(void)revents;
	work_look(t->data);
}

/* ---- Life ---- */

void work_start(struct mirror_work *w, struct workshop *shop, uint64_t spread_us)
{
	w->shop = shop;
	zonelog_init(&w->log, w->origin);
	holding_init(&w->hold, shop, w->slot, &w->log);
	holding_set_policy(&w->hold, w->conf->keep, w->conf->grace_us);
	schedule_start(&w->schedule, clock_monotonic_us(), spread_us, &shop->random);
	ev_init(&w->tick, on_tick);
	w->tick.data = w;
	w->is_store_seen = !shop->store || (shop->is_store_known && !store_is_up(shop->store));
	if (shop->store && store_is_up(shop->store))
		work_on_store_up(w);
	work_rearm(w);
	report(w);
}

void work_stop(struct mirror_work *w)
{
	round_cancel(w);
	holding_leave_aside(&w->hold);
	set_waiting(w, false);
	ev_timer_stop(w->shop->loop, &w->tick);
	if (w->has_lease)
		store_leave_lease(w->shop->store, w->origin);
	w->has_lease = false;
	w->is_left = w->is_snapshot_seen = w->is_store_seen = true;
	report(w);
}

void work_configure(struct mirror_work *w, const struct mirror_zone_conf *conf)
{
	const struct mirror_zone_conf *old = w->conf;

	holding_set_policy(&w->hold, conf->keep, conf->grace_us);
	if (zoneconf_is_same(old, conf)) {
		zoneconf_free(conf);
		return;
	}
	round_cancel(w);	/* its fetch borrows a key of the old one, its review the rules */
	work_forget_refusal(w);
	w->conf = conf;
	w->shy = 0;
	free(w->ixfr);
	w->ixfr = NULL;
	zoneconf_free(old);
	schedule_start(&w->schedule, clock_monotonic_us(), 0, &w->shop->random);
	work_rearm(w);
}

/* ---- What is refused ---- */

/* Probes and NOTIFY bring us back to it all the time; it may be a big zone. */
static uint64_t refused_s(const struct generation *held)
{
	uint64_t retry_s = held ? held->soa.retry : 0;

	if (retry_s < REFUSED_MIN_S)
		return REFUSED_MIN_S;
	return retry_s < REFUSED_MAX_S ? retry_s : REFUSED_MAX_S;
}

void work_refuse(struct mirror_work *w, const struct generation *g, enum review_check failed,
		 const char *reason, const char *source)
{
	const struct generation *held = holding_current(&w->hold);
	struct review_refusal now = {
		.check = failed, .serial = g->soa.serial, .records = g->records,
		.records_before = held ? held->records : 0, .reason = strdup(reason),
	};
	bool is_news = review_is_news(&w->refusal, &now);

	if (!now.reason)
		abort();
	free(w->refusal.reason);
	w->refusal = now;
	w->refused_until_us = clock_monotonic_us() + refused_s(held) * US_PER_S;
	atomic_store_explicit(&w->slot->is_refused, true, memory_order_relaxed);
	work_note_error(w, "%s: serial %u is refused by %s: %.160s", source, now.serial,
			review_check_text(failed), reason);
	report(w);
	if (is_news)
		zonelog_refused(&w->log, &now, held, source, clock_monotonic_us());
}

bool work_has_refused(const struct mirror_work *w)
{
	return w->refusal.check != REVIEW_PASSED && clock_monotonic_us() < w->refused_until_us;
}

void work_forget_refusal(struct mirror_work *w)
{
	free(w->refusal.reason);
	w->refusal = (struct review_refusal){ .check = REVIEW_PASSED };
	atomic_store_explicit(&w->slot->is_refused, false, memory_order_relaxed);
	w->refused_until_us = 0;
}

/* A store is believed no more than a primary; its digests have shown that nothing got lost. */
bool work_may_restore(struct mirror_work *w, struct generation *g, const char *source)
{
	const struct generation *held = holding_current(&w->hold);
	char reason[REVIEW_REASON_MAX];

	if (!holding_wants(&w->hold, g->soa.serial) ||
	    review_shrink(&w->conf->review, held, g, reason))
		return true;
	holding_saw(&w->hold, g->number);
	work_refuse(w, g, REVIEW_SHRINK, reason, source);
	return false;
}

/* ---- The snapshot ---- */

/* What a store knew of the zone's age is the schedule's too. */
void work_take_times(struct mirror_work *w)
{
	w->schedule.refreshed_at = w->hold.times.refreshed_at;
	w->schedule.expires_at = w->hold.times.expires_at;
}

void work_read_snapshot(struct mirror_work *w)
{
	struct zonelog_failure bad = { .source = "snapshot", .retry_s = UINT64_MAX };
	struct zone_times times = { 0 };
	char owner[NAME_TEXT_MAX] = "";
	struct generation *g;

	rcu_sleep();		/* a long read of ours is nobody's wait */
	g = snapshot_read(w->shop->state_dir, w->origin, w->conf->max_records,
			  w->conf->max_bytes, &times, &bad.reason);
	rcu_wake();
	ev_now_update(w->shop->loop);
	bad.now_us = clock_monotonic_us();
	if (g)
		holding_saw_snapshot(&w->hold, g);
	if (g)
		g = mirror_catalog_only(w, g, &bad.reason, owner);
	bad.owner = *owner ? owner : NULL;
	if (g && !work_may_restore(w, g, "snapshot")) {
		generation_free(g);
	} else if (g && holding_restore(&w->hold, g, &times, "snapshot")) {
		work_take_times(w);
		order_restore(w, times.hold);
	} else if (!g && bad.reason) {
		zonelog_rejected(&w->log, &bad);
	}
	w->is_snapshot_seen = true;
	work_rearm(w);
	report(w);
}

/* ---- Wishes ---- */

/* A held zone has nothing to hurry for once the operator was told that there is something newer. */
void work_refresh(struct mirror_work *w)
{
	if (holding_is_frozen(&w->hold) && w->hold.has_newer)
		return;
	if (w->round == ROUND_PRIMARY && w->is_delivered)
		round_cancel(w);	/* that primary may be slow, and has the least to say */
	if (w->round != ROUND_NONE)
		w->is_hurried = true;
	else
		schedule_hurry(&w->schedule, clock_monotonic_us());
	work_rearm(w);
}

void work_retransfer(struct mirror_work *w)
{
	if (holding_is_frozen(&w->hold))
		return;
	round_cancel(w);
	w->is_forced = true;
	schedule_hurry(&w->schedule, clock_monotonic_us());
	work_rearm(w);
}

void work_accept(struct mirror_work *w)
{
	if (holding_is_frozen(&w->hold))
		return;
	work_retransfer(w);
	w->is_accepted = true;
}

/*
 * Of several primaries that one may have it which is not the first: hence no force without need, or
 * without being asked for it beside this.
 */
void work_take_refused(struct mirror_work *w)
{
	bool is_forced = w->is_forced, is_accepted = w->is_accepted;

	if (holding_is_frozen(&w->hold))
		return;
	round_cancel(w);
	w->is_waived = true;
	w->is_accepted = is_accepted;
	w->is_forced = is_forced || !holding_wants(&w->hold, w->refusal.serial);
	schedule_hurry(&w->schedule, clock_monotonic_us());
	work_rearm(w);
}

/* ---- Status ---- */

static void copy_text(char *to, size_t size, const char *from)
{
	size_t len = strnlen(from, size - 1);

	memcpy(to, from, len);
	to[len] = '\0';
}

void work_describe(const struct mirror_work *w, struct mirror_zone_status *s)
{
	const struct generation *g = holding_current(&w->hold);
	const char *unfaithful = holding_unfaithful(&w->hold);

	s->is_held = g != NULL;
	s->is_servable = atomic_load_explicit(&w->slot->is_servable, memory_order_relaxed);
	s->is_transferring = w->fetch && fetch_is_zone_coming(w->fetch);
	s->is_reviewed = w->round == ROUND_REVIEW;
	s->refused_by = w->refusal.check;
	s->refused_serial = w->refusal.serial;
	copy_text(s->refused_reason, sizeof(s->refused_reason),
		  w->refusal.reason ? w->refusal.reason : "");
	s->has_lease = w->has_lease;
	s->lacks_since_us = w->heard_us;
	copy_text(s->lease_holder, sizeof(s->lease_holder),
		  w->has_lease ? w->shop->instance : w->holder ? w->holder : "");
	s->serial = g ? g->soa.serial : 0;
	s->generation = g ? g->number : 0;
	s->records = g ? g->records : 0;
	s->bytes = g ? g->bytes : 0;
	s->refreshed_at = w->hold.times.refreshed_at;
	s->expires_at = w->hold.times.expires_at;
	s->saved_generation = w->hold.stored;
	s->hold = w->hold.times.hold;
	s->hold_since = w->hold.hold_since;
	s->end_us = expiry_end_us(&w->hold.expiry);
	s->has_newer = w->hold.has_newer;
	s->newer_serial = w->hold.newer_serial;
	copy_text(s->unfaithful, sizeof(s->unfaithful), unfaithful ? unfaithful : "");
	copy_text(s->source, sizeof(s->source), holding_source(&w->hold));
	s->catalog_held = w->catalog_held;
	copy_text(s->last_error, sizeof(s->last_error), w->last_error ? w->last_error : "");
}
