/* SPDX-License-Identifier: ISC */
#include "cache/mirror_holding.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "cache/catalog.h"
#include "cache/clock.h"
#include "cache/history.h"
#include "cache/memory.h"
#include "cache/rcu.h"
#include "cache/schedule.h"
#include "cache/serial.h"

/* A confirmation is worth a write after this part of SOA expire, or this many seconds. */
enum { TOUCH_PART = 50, TOUCH_MAX_S = 300 };

void holding_init(struct holding *h, struct workshop *shop, struct mirror_zone *slot,
		  struct zonelog *log)
{
	memset(h, 0, sizeof(*h));
	h->shop = shop;
	h->slot = slot;
	h->log = log;
}

static void lock(struct holding *h)
{
	pthread_mutex_lock(h->shop->mutex);
}

static void unlock(struct holding *h)
{
	pthread_mutex_unlock(h->shop->mutex);
}

static void set_keep(struct holding *h, unsigned keep)
{
	lock(h);
	h->keep = keep;
	kept_trim(&h->kept, keep, &h->shop->retired);
	unlock(h);
}

void holding_fini(struct holding *h)
{
	struct generation *g = h->slot->current;

	holding_leave_aside(h);
	atomic_store_explicit(&h->slot->is_servable, false, memory_order_release);
	rcu_publish(h->slot->current, NULL);
	retired_add(&h->shop->retired, g);
	set_keep(h, 0);
	free(h->source);
}

void holding_set_policy(struct holding *h, unsigned keep, uint64_t grace_us)
{
	set_keep(h, keep);
	expiry_set_grace(&h->expiry, grace_us, clock_monotonic_us());
}

uint64_t holding_next_number(const struct holding *h)
{
	return (h->seen > h->given ? h->seen : h->given) + 1;
}

const struct generation *holding_current(const struct holding *h)
{
	return h->slot->current;
}

bool holding_is_frozen(const struct holding *h)
{
	return h->times.hold != ZONE_FREE;
}

bool holding_wants(const struct holding *h, uint32_t serial)
{
	const struct generation *g = holding_current(h);

	return !g || serial_is_newer(serial, g->soa.serial);
}

void holding_saw(struct holding *h, uint64_t number)
{
	if (number > h->seen)
		h->seen = number;
}

/* What is answered from now on is past its time, or is not any more. */
static void set_stale(struct holding *h, bool is_stale)
{
	atomic_store_explicit(&h->slot->current->is_stale, is_stale, memory_order_relaxed);
}

/* A new lease of life, if there is any left; from here on the monotonic clock counts. */
static void set_times(struct holding *h, const struct zone_times *times)
{
	uint64_t wall_s = clock_wall_us() / US_PER_S, now_us = clock_monotonic_us();
	uint64_t stale_at = schedule_stale_at(&h->slot->current->soa, times->refreshed_at);
	uint64_t fresh_s = stale_at > wall_s ? stale_at - wall_s : 0;
	bool is_back = expiry_set(&h->expiry, times, wall_s, now_us);
	bool is_in_grace = h->expiry.phase == EXPIRY_GRACE;

	h->times.refreshed_at = times->refreshed_at;
	h->times.expires_at = times->expires_at;
	set_stale(h, is_in_grace);
	atomic_store_explicit(&h->slot->stale_us, now_us + fresh_s * US_PER_S, memory_order_relaxed);
	atomic_store_explicit(&h->slot->expires_us, h->expiry.expires_us, memory_order_relaxed);
	atomic_store_explicit(&h->slot->is_servable, is_in_grace || h->expiry.late_us == 0,
			      memory_order_release);
	if (is_back)
		zonelog_grace_ended(h->log, h->slot->current->soa.serial, "confirmed");
}

/*
 * Times that came from a store: neither a clock that was ahead when they were written nor a
 * hostile store may stretch the life of a zone past one SOA expire from now.
 */
static struct zone_times sane_times(const struct zone_times *times, const struct generation *g,
				    struct random *random)
{
	uint64_t wall_s = clock_wall_us() / US_PER_S;
	struct zone_times sane = *times;
	struct schedule confirmed;

	if (sane.refreshed_at > wall_s)
		sane.refreshed_at = wall_s;
	schedule_success(&confirmed, &g->soa, 0, sane.refreshed_at, random);
	if (sane.expires_at > confirmed.expires_at)
		sane.expires_at = confirmed.expires_at;
	return sane;
}

/* `g` takes the place of the one before, of which `keep` may stay, in what others list, too. */
static void replace(struct holding *h, struct generation *g, const char *source, unsigned keep)
{
	struct generation *old = h->slot->current;

	lock(h);
	if (old && keep > 0)
		kept_add(&h->kept, old, h->published_at, holding_source(h), keep, &h->shop->retired);
	else
		retired_add(&h->shop->retired, old);
	rcu_publish(h->slot->current, g);
	h->published_at = clock_wall_us() / US_PER_S;
	h->copy_of = 0;
	memory_set_text(&h->source, source);
	unlock(h);
}

static void publish(struct holding *h, struct generation *g, const struct zone_times *times,
		    const char *source, unsigned keep)
{
	struct generation *old = h->slot->current;
	enum catalog_fault fault;
	const uint8_t *owner;

	holding_saw(h, g->number);
	h->is_fresh = true;
	if (old && !g->history)		/* what came by changes has one already */
		g->history = history_new(old, g);
	if (h->slot->is_catalog && !g->catalog)		/* the records of one that was read before */
		g->catalog = catalog_read(g, SIZE_MAX, &fault, &owner);
	replace(h, g, source, keep);
	set_times(h, times);
	/* whoever reads the event and then asks for the status shall find the same there */
	h->shop->report(h->slot->work, h->shop->report_arg);
}

void holding_publish(struct holding *h, struct generation *g, const struct zone_times *times,
		     const char *source)
{
	publish(h, g, times, source, h->keep);
}

/* The generation that we hold, confirmed by someone else (our former self, another of us). */
static void take_confirmation(struct holding *h, const struct zone_times *times)
{
	if (times->refreshed_at > h->times.refreshed_at)
		set_times(h, times);
}

void holding_take_confirmation(struct holding *h, const struct zone_times *times)
{
	struct zone_times sane = sane_times(times, holding_current(h), &h->shop->random);

	take_confirmation(h, &sane);
}

static void end_order(struct holding *h, uint32_t serial)
{
	if (serial_is_newer(serial, h->sent_away))
		h->is_ordered = false;
}

static void send_away(struct holding *h, uint32_t serial)
{
	if (!h->is_ordered || serial_is_newer(serial, h->sent_away))
		h->sent_away = serial;
	h->is_ordered = true;
}

void holding_note_order(struct holding *h, uint32_t serial, bool is_forced)
{
	const struct generation *held = holding_current(h);

	if (!is_forced || !held || !serial_is_newer(held->soa.serial, serial)) {
		end_order(h, serial);
		return;
	}
	send_away(h, held->soa.serial);
}

static bool is_better(const struct holding *h, const struct generation *g)
{
	const struct generation *held = holding_current(h);

	if (g->soa.serial == held->soa.serial)
		return g->number > held->number;	/* so that all of us count alike */
	if (h->is_ordered && g->soa.serial == h->sent_away)
		return false;				/* of one who has yet to be told */
	return serial_is_newer(g->soa.serial, held->soa.serial);
}

bool holding_restore(struct holding *h, struct generation *g, const struct zone_times *times,
		     const char *source)
{
	struct zone_times sane = sane_times(times, g, &h->shop->random);
	const struct generation *held = holding_current(h);

	holding_saw(h, g->number);
	if (held && !is_better(h, g)) {
		if (g->number == held->number && g->soa.serial == held->soa.serial)
			take_confirmation(h, &sane);
		generation_free(g);
		return false;
	}
	holding_publish(h, g, &sane, source);
	h->is_fresh = false;
	end_order(h, g->soa.serial);
	h->touched_at = sane.refreshed_at;
	zonelog_restored(h->log, g, source);
	holding_check_faithful(h);
	holding_check_expiry(h);
	return true;
}

void holding_pass_over(struct holding *h, struct generation *g)
{
	holding_saw(h, g->number);
	generation_free(g);
}

/* ---- Saving ---- */

/* What is frozen is nobody else's: the fleet goes on without us. */
void holding_save_store(struct holding *h, const struct generation *old)
{
	struct store *s = h->shop->store;

	if (!s || holding_is_frozen(h))
		return;
	if (h->is_ordered)
		store_order(s, h->log->origin);
	store_save(s, holding_current(h), old, &h->times, holding_source(h));
}

void holding_save(struct holding *h, const struct generation *old)
{
	holding_save_snapshot(h);
	holding_save_store(h, old);
	h->touched_at = h->times.refreshed_at;
}

static bool is_worth_a_touch(const struct holding *h)
{
	uint64_t part = holding_current(h)->soa.expire / TOUCH_PART;

	return h->times.refreshed_at - h->touched_at >= (part < TOUCH_MAX_S ? part : TOUCH_MAX_S);
}

void holding_confirm(struct holding *h, const struct zone_times *times)
{
	const struct generation *g = holding_current(h);

	assert(g);
	set_times(h, times);
	if (!is_worth_a_touch(h))
		return;
	h->touched_at = times->refreshed_at;
	holding_touch_snapshot(h);
	if (h->shop->store && h->stored == g->number && !holding_is_frozen(h))
		store_touch(h->shop->store, g->origin, g->number, times);
}

/* The same records under a number past all seen ones. */
static struct generation *numbered_anew(const struct holding *h, const struct generation *g)
{
	enum zone_error why;
	struct generation *again =
		zone_edit_finish(zone_edit_new(g->origin, g, 0, 0), holding_next_number(h), &why, NULL);

	assert(again);		/* nothing was touched, so nothing can be wrong */
	return again;
}

void holding_renumber(struct holding *h)
{
	struct zone_times times = h->times;

	publish(h, numbered_anew(h, holding_current(h)), &times, holding_source(h), 0);
	holding_save(h, NULL);
}

void holding_supersede(struct holding *h, struct generation *g)
{
	holding_saw(h, g->number);
	if (serial_is_newer(g->soa.serial, holding_current(h)->soa.serial))
		send_away(h, g->soa.serial);
	generation_free(g);
	holding_renumber(h);
}

/* ---- Orders ---- */

void holding_freeze(struct holding *h, enum zone_hold hold, uint64_t since)
{
	h->times.hold = hold;
	h->hold_since = since;
	h->has_newer = false;
	atomic_store_explicit(&h->slot->hold, (uint8_t)hold, memory_order_relaxed);
}

/* It was confirmed when the one was that it replaces; how long that lasts, its own SOA says. */
static struct zone_times times_of_older(const struct holding *h, const struct generation *g)
{
	struct zone_times times = { .expires_at = UINT64_MAX };

	times.refreshed_at = h->times.refreshed_at;
	return sane_times(&times, g, &h->shop->random);
}

void holding_roll_back(struct holding *h, const struct kept_item *to)
{
	struct generation *again = numbered_anew(h, to->generation);
	struct zone_times times = times_of_older(h, again);
	uint64_t copy_of = to->generation->number;

	lock(h);
	kept_drop(&h->kept, to, &h->shop->retired);
	unlock(h);
	publish(h, again, &times, "rollback", h->keep);
	lock(h);
	h->copy_of = copy_of;
	unlock(h);
}

/* ---- Expiry ---- */

static void serve_stale(struct holding *h, uint64_t left_us)
{
	set_stale(h, true);
	atomic_store_explicit(&h->slot->is_servable, true, memory_order_release);
	h->shop->report(h->slot->work, h->shop->report_arg);
	zonelog_grace_begun(h->log, holding_current(h)->soa.serial, left_us / US_PER_S,
			    expiry_limit(&h->expiry));
}

static void expire(struct holding *h, bool was_in_grace)
{
	uint32_t serial = holding_current(h)->soa.serial;

	atomic_store_explicit(&h->slot->is_servable, false, memory_order_release);
	h->shop->report(h->slot->work, h->shop->report_arg);
	if (was_in_grace)
		zonelog_grace_ended(h->log, serial, expiry_limit(&h->expiry));
	zonelog_expired(h->log, serial);
}

uint64_t holding_next_us(const struct holding *h)
{
	const struct generation *g = holding_current(h);
	uint64_t next_us = UINT64_MAX;

	if (!g)
		return next_us;
	next_us = expiry_next_us(&h->expiry);
	if (h->is_snapshot_due && !h->bundle && !h->is_in_line && h->write_at_us < next_us)
		next_us = h->write_at_us;
	if (h->checked != g->number && !h->checking && h->check_at_us < next_us)
		next_us = h->check_at_us;
	return next_us;
}

void holding_check_expiry(struct holding *h)
{
	enum expiry_phase before = h->expiry.phase;
	struct expiry_word word;

	if (!holding_current(h))
		return;
	switch (expiry_look(&h->expiry, clock_monotonic_us(), &word)) {
	case EXPIRY_NO_NEWS:
		return;
	case EXPIRY_WARNS:
		zonelog_expiring(h->log, word.percent_left, word.left_us / US_PER_S);
		return;
	case EXPIRY_CHANGED:
		if (h->expiry.phase == EXPIRY_GRACE)
			serve_stale(h, word.left_us);
		else
			expire(h, before == EXPIRY_GRACE);
		return;
	}
}
