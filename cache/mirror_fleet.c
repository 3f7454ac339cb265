/* SPDX-License-Identifier: ISC */
#include "cache/mirror_fleet.h"

#include <stdio.h>
#include <string.h>

#include "cache/clock.h"
#include "cache/memory.h"
#include "cache/mirror_catalog.h"
#include "cache/mirror_order.h"
#include "cache/mirror_round.h"
#include "cache/serial.h"

#define POLL_US			US_PER_S
#define POLL_OURS_US		(10 * US_PER_S)		/* with the lease: others rarely write */
#define POLL_BROKEN_US		(30 * US_PER_S)		/* what the store has cannot be believed */

enum {
	POLLS_PER_S = 2000,		/* of all zones: news come by the stream, polls are the net */
	ZONES_PER_LEASE_S = 1000,	/* the same for renewals */
	RENEWALS = 3,			/* in the life of a lease */
};

unsigned fleet_lease_s(unsigned least, size_t zones)
{
	size_t s = zones / ZONES_PER_LEASE_S;

	return s > least ? (unsigned)s : least;
}

static void report(struct mirror_work *w)
{
	w->shop->report(w, w->shop->report_arg);
}

/* ---- What is due ---- */

static uint64_t poll_every_us(const struct mirror_work *w)
{
	uint64_t crowded_us = w->shop->zones * US_PER_S / POLLS_PER_S;
	uint64_t every_us = w->has_lease ? POLL_OURS_US : POLL_US;

	return crowded_us > every_us ? crowded_us : every_us;
}

/* What the store has was just asked for; polls of many zones shall not come in step. */
static void put_off_poll(struct mirror_work *w)
{
	uint32_t every_ms = (uint32_t)(poll_every_us(w) / US_PER_MS);

	w->poll_at_us = clock_monotonic_us() + random_below(&w->shop->random, every_ms + 1) * US_PER_MS;
}

static uint64_t renewal_us(const struct mirror_work *w)
{
	return w->shop->lease_s * US_PER_S / RENEWALS;
}

/* A little early, each time another while: leases of many zones shall not be renewed in step. */
static void renew(struct mirror_work *w, uint64_t now_us)
{
	uint64_t life_us = w->shop->lease_s * US_PER_S;
	uint32_t jitter_ms = (uint32_t)(life_us / US_PER_MS / (4 * RENEWALS));

	if (now_us - w->lease_asked_us < renewal_us(w))
		return;
	w->lease_asked_us = now_us - random_below(&w->shop->random, jitter_ms + 1) * US_PER_MS;
	store_take_lease(w->shop->store, w->origin);
}

void fleet_tend(struct mirror_work *w, uint64_t now_us)
{
	struct store *store = w->shop->store;

	if (!work_is_shared(w))
		return;
	if (w->has_lease)
		renew(w, now_us);
	if (now_us >= w->poll_at_us && !w->is_loading) {
		w->poll_at_us = now_us + poll_every_us(w);
		store_poll(store, w->origin, w->hold.seen);
	}
}

uint64_t fleet_next_us(const struct mirror_work *w)
{
	uint64_t next_us = UINT64_MAX;

	if (!work_is_shared(w))
		return next_us;
	if (w->has_lease)
		next_us = w->lease_asked_us + renewal_us(w);
	if (!w->is_loading && w->poll_at_us < next_us)
		next_us = w->poll_at_us;
	return next_us;
}

/* ---- What the store has ---- */

void fleet_load(struct mirror_work *w)
{
	if (w->is_loading || holding_is_frozen(&w->hold))
		return;
	w->is_loading = true;
	store_load(w->shop->store, w->origin, w->conf->max_records, w->conf->max_bytes);
}

void fleet_follow(struct mirror_work *w)
{
	const struct generation *g = holding_current(&w->hold);

	if (w->is_loading || holding_is_frozen(&w->hold))
		return;
	w->heard_then = w->heard;
	if (!g) {
		fleet_load(w);
		return;
	}
	w->is_loading = true;
	store_follow(w->shop->store, g, w->conf->max_records, w->conf->max_bytes);
}

/* What was heard of while we were at it is for the next time; the rest is here or was not true. */
static void settle_news(struct mirror_work *w)
{
	if (w->heard > w->hold.seen && w->heard > w->heard_then) {
		fleet_follow(w);
		return;
	}
	if (w->heard > w->hold.seen)
		w->heard = w->hold.seen;
	w->heard_us = 0;
}

/*
 * A store that we know may have lost or never got what we hold: to save what is there
 * already costs it one look.
 */
void work_on_store_up(struct mirror_work *w)
{
	put_off_poll(w);
	if (holding_is_frozen(&w->hold)) {
		w->is_store_seen = true;	/* whatever it has is no matter */
		report(w);
	} else if (w->is_store_read && holding_current(&w->hold)) {
		holding_save_store(&w->hold, NULL);
	} else {
		fleet_follow(w);
	}
	work_rearm(w);
}

/* It was emptied, or is older than it was; perhaps others have written it again already. */
void work_on_older(struct mirror_work *w, uint64_t generation)
{
	if (w->hold.stored <= generation || !holding_current(&w->hold))
		return;
	w->hold.stored = generation;
	holding_save_store(&w->hold, NULL);
	report(w);
}

void work_on_store_down(struct mirror_work *w)
{
	w->has_lease = w->is_loading = false;
	memory_set_text(&w->holder, "");
	w->heard_us = 0;
	w->is_store_seen = true;
	if (w->round == ROUND_LEASE)
		round_go_on(w, true);
	report(w);
}

/* We hold something that the store has not got. */
static void catch_up_store(struct mirror_work *w, uint64_t stored_number)
{
	const struct generation *g = holding_current(&w->hold);

	if (g->number > stored_number)
		holding_save_store(&w->hold, NULL);
	else if (w->hold.is_fresh)	/* both of us transferred while the store was away */
		holding_renumber(&w->hold);
}

/* What nobody has confirmed since we were told of the zone: it was another one of its name. */
static bool is_removed_one(const struct mirror_work *w, const struct zone_times *times)
{
	return w->is_newcomer && times->refreshed_at < w->added_at;
}

static void take_loaded(struct mirror_work *w, struct generation *g, const struct zone_times *times)
{
	uint64_t number = g->number;
	uint32_t serial = g->soa.serial;
	const struct generation *held;

	if (!w->is_snapshot_seen)	/* an order to hold another one; what Redis is measured by */
		work_read_snapshot(w);
	if (holding_is_frozen(&w->hold)) {
		holding_pass_over(&w->hold, g);
		return;
	}
	if (is_removed_one(w, times) && w->hold.is_fresh) {	/* the primary was quicker */
		holding_supersede(&w->hold, g);
		return;
	}
	if (!work_may_restore(w, g, "redis")) {
		generation_free(g);
		return;
	}
	if (holding_restore(&w->hold, g, times, "redis")) {
		work_forget_refusal(w);
		w->hold.stored = number;
		w->behind = 0;
		work_take_times(w);
		if (number < w->hold.seen)	/* else what comes after it would pass for known */
			holding_renumber(&w->hold);
		else
			holding_save_snapshot(&w->hold);
		w->holds_removed = w->is_newcomer;
		if (w->holds_removed)
			work_retransfer(w);
		return;
	}
	work_take_times(w);
	held = holding_current(&w->hold);
	if (held->number == number && held->soa.serial == serial)
		w->hold.stored = number;
	else if (serial_is_newer(held->soa.serial, serial) || held->number > number)
		catch_up_store(w, number);
}

/*
 * What the store holds cannot be read. Ours replaces it, above its number, unless it was newer:
 * then whoever has it shall write it again, and we look at the primary ourselves.
 */
static void mend_store(struct mirror_work *w)
{
	struct store *store = w->shop->store;
	uint64_t stored = store_generation(store, w->origin);
	const struct generation *g = holding_current(&w->hold);
	uint32_t serial;

	if (!g || !work_is_shared(w))
		return;
	if (store_serial(store, w->origin, &serial) && serial_is_newer(serial, g->soa.serial)) {
		if (w->complained != stored)
			store_complain(store, w->origin, stored);
		w->complained = stored;
		work_refresh(w);
		return;
	}
	if (stored > w->hold.seen)
		w->hold.seen = stored;
	if (g->number >= stored)
		holding_save_store(&w->hold, NULL);
	else
		holding_renumber(&w->hold);
}

static void reject_loaded(struct mirror_work *w, const char *reason)
{
	struct zonelog_failure bad = {
		.source = "redis", .reason = reason, .retry_s = POLL_BROKEN_US / US_PER_S,
		.now_us = clock_monotonic_us(),
	};

	w->poll_at_us = bad.now_us + POLL_BROKEN_US;
	if (store_is_refusal(reason) || store_is_lost(reason))
		return;		/* the log knows; it may hold the best of zones */
	zonelog_rejected(&w->log, &bad);
	mend_store(w);
}

/* What is passed over while an order holds the zone is met again when our next save hits its fence. */
static void note_read(struct mirror_work *w)
{
	if (!holding_is_frozen(&w->hold))
		w->is_newcomer = false;
}

void work_on_loaded(struct mirror_work *w, struct generation *g, const struct zone_times *times,
		    const char *reason)
{
	char owner[NAME_TEXT_MAX];

	w->is_loading = false;
	w->is_store_seen = w->is_store_read = true;
	if (g)
		g = mirror_catalog_only(w, g, &reason, owner);
	if (g)
		take_loaded(w, g, times);
	else if (reason)
		reject_loaded(w, reason);
	else if (holding_current(&w->hold))
		holding_save_store(&w->hold, NULL);
	if (!reason) {
		note_read(w);
		settle_news(w);
	}
	work_rearm(w);
	report(w);
}

/* Nothing later is there: what we hold is the newest, or the store has yet to get it. */
static void take_nothing_newer(struct mirror_work *w, const struct zone_times *times)
{
	const struct generation *g = holding_current(&w->hold);

	if (holding_is_frozen(&w->hold))
		return;
	if (!times || store_generation(w->shop->store, g->origin) != g->number) {
		holding_save_store(&w->hold, NULL);
		return;
	}
	w->hold.stored = g->number;
	holding_take_confirmation(&w->hold, times);
	work_take_times(w);
}

/* Whatever is in the way of following by changes: the whole zone will show it. */
void work_on_followed(struct mirror_work *w, struct generation *g, const struct zone_times *times,
		      const char *reason)
{
	char owner[NAME_TEXT_MAX];

	w->is_loading = false;
	if (g)
		g = mirror_catalog_only(w, g, &reason, owner);
	if (reason) {
		if (store_is_up(w->shop->store))
			fleet_load(w);
		return;
	}
	w->is_store_seen = w->is_store_read = true;
	if (g)
		take_loaded(w, g, times);
	else
		take_nothing_newer(w, times);
	note_read(w);
	settle_news(w);
	work_rearm(w);
	report(w);
}

void work_on_saved(struct mirror_work *w, uint64_t generation, const char *reason)
{
	if (!reason)
		w->hold.stored = generation;
	else if (store_is_fence(reason))
		fleet_follow(w);
	else if (!store_is_refusal(reason))
		zonelog_not_saved(&w->log, "store_failed", reason, clock_monotonic_us());
	report(w);
}

void work_on_newer(struct mirror_work *w, uint64_t generation)
{
	if (generation <= w->hold.seen || holding_is_frozen(&w->hold))
		return;
	if (generation > w->heard)
		w->heard = generation;
	if (w->heard_us == 0)
		w->heard_us = clock_monotonic_us();
	fleet_follow(w);
	report(w);
}

/* ---- Who transfers ---- */

/* Told when somebody else was known to have it, and not at each of our own failing rounds. */
static void note_lease(struct mirror_work *w, bool is_ours, const char *holder)
{
	if (is_ours && !w->has_lease && w->holder && w->schedule.failures == 0)
		zonelog_lease_taken(&w->log, w->holder);
	if (!is_ours && w->has_lease)
		zonelog_lease_lost(&w->log, holder);
	memory_set_text(&w->holder, is_ours ? "" : holder);
	w->has_lease = is_ours;
}

void work_on_lease(struct mirror_work *w, bool is_ours, const char *holder)
{
	bool is_new = is_ours && !w->has_lease;

	note_lease(w, is_ours, holder);
	if (holding_is_frozen(&w->hold))
		order_leave_lease(w);	/* asked for before the order came */
	if (w->round == ROUND_LEASE) {
		round_go_on(w, !store_is_up(w->shop->store));
	} else if (is_new && w->behind > 0) {	/* somebody left a newer zone to us */
		schedule_hurry(&w->schedule, clock_monotonic_us());
	}
	work_rearm(w);
	report(w);
}

/* Who cannot reach a primary leaves the lease to others. */
static bool may_take_lease(const struct mirror_work *w)
{
	return work_is_shared(w) && !w->has_lease && w->round == ROUND_NONE && holding_current(&w->hold) &&
	       w->conf->primary_count > 0 && w->schedule.failures == 0;
}

void work_on_holder(struct mirror_work *w, const char *holder)
{
	if (w->has_lease)
		return;		/* the renewal will tell */
	if (holder[0]) {
		if (!w->holder || strcmp(w->holder, holder) != 0) {
			memory_set_text(&w->holder, holder);
			report(w);
		}
		return;
	}
	if (!may_take_lease(w))
		return;
	w->lease_asked_us = clock_monotonic_us();
	store_take_lease(w->shop->store, w->origin);
}

/* Somebody without the lease has seen it at a primary. */
void work_on_wanted(struct mirror_work *w, uint32_t serial)
{
	if (w->has_lease && holding_wants(&w->hold, serial))
		work_refresh(w);
}

/* When the primaries are away nobody has the lease: then whoever has the zone writes it. */
void work_on_spoilt(struct mirror_work *w, uint64_t generation)
{
	const struct generation *g = holding_current(&w->hold);

	if (!g || !work_is_shared(w) || g->number != generation || w->hold.stored != generation ||
	    (!w->has_lease && w->schedule.failures == 0))
		return;
	store_doubt(w->shop->store, w->origin, generation);
	holding_save_store(&w->hold, NULL);
}
