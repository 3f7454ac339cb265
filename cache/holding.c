/* SPDX-License-Identifier: ISC */
#include "cache/holding.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "cache/clock.h"
#include "cache/rcu.h"
#include "cache/schedule.h"
#include "cache/serial.h"

/* Percent of SOA expire that is left when the operator hears of it. */
static const unsigned WARNINGS[] = { 50, 25, 10 };
enum { WARNINGS_COUNT = sizeof(WARNINGS) / sizeof(WARNINGS[0]) };

/* A confirmation is worth a write after this part of SOA expire, or this many seconds. */
enum { TOUCH_PART = 50, TOUCH_MAX_S = 300 };

void holding_init(struct holding *h, struct workshop *shop, struct mirror_zone *slot, struct zonelog *log)
{
	memset(h, 0, sizeof(*h));
	h->shop = shop;
	h->slot = slot;
	h->log = log;
}

void holding_fini(struct holding *h)
{
	struct generation *g = h->slot->current;

	atomic_store_explicit(&h->slot->is_servable, false, memory_order_release);
	rcu_publish(h->slot->current, NULL);
	retired_add(&h->shop->retired, g);
}

const struct generation *holding_current(const struct holding *h)
{
	return h->slot->current;
}

bool holding_wants(const struct holding *h, uint32_t serial)
{
	const struct generation *g = holding_current(h);

	return !g || serial_is_newer(serial, g->soa.serial);
}

static void set_servable(struct holding *h, uint64_t wall_s)
{
	bool is_servable = holding_current(h) && wall_s < h->times.expires_at;

	atomic_store_explicit(&h->slot->is_servable, is_servable, memory_order_release);
}

/*
 * Times that came from a store: neither a clock that was ahead when they were written nor a
 * hostile store may stretch the life of a zone past one SOA expire from now.
 */
static struct zone_times sane_times(const struct zone_times *times, const struct generation *g,
				    uint64_t wall_s, struct random *random)
{
	struct zone_times sane = *times;
	struct schedule confirmed;

	if (sane.refreshed_at > wall_s)
		sane.refreshed_at = wall_s;
	schedule_success(&confirmed, &g->soa, 0, sane.refreshed_at, random);
	if (sane.expires_at > confirmed.expires_at)
		sane.expires_at = confirmed.expires_at;
	return sane;
}

void holding_publish(struct holding *h, struct generation *g, const struct zone_times *times,
		     const char *source)
{
	struct generation *old = h->slot->current;

	if (g->number > h->seen)
		h->seen = g->number;
	h->times = *times;
	h->warned = 0;
	h->is_fresh = true;
	if (source != h->source)
		snprintf(h->source, sizeof(h->source), "%s", source);
	rcu_publish(h->slot->current, g);
	set_servable(h, clock_wall_us() / US_PER_S);
	retired_add(&h->shop->retired, old);
}

/* The generation that we hold, confirmed by someone else (our former self, another of us). */
static void take_confirmation(struct holding *h, const struct zone_times *times)
{
	if (times->refreshed_at <= h->times.refreshed_at)
		return;
	h->times = *times;
	h->warned = 0;
	set_servable(h, clock_wall_us() / US_PER_S);
}

static bool is_better(const struct generation *g, const struct generation *held)
{
	if (g->soa.serial == held->soa.serial)
		return g->number > held->number;	/* so that all of us count alike */
	return serial_is_newer(g->soa.serial, held->soa.serial);
}

bool holding_restore(struct holding *h, struct generation *g, const struct zone_times *times,
		     const char *source)
{
	uint64_t wall_s = clock_wall_us() / US_PER_S;
	struct zone_times sane = sane_times(times, g, wall_s, &h->shop->random);
	const struct generation *held = holding_current(h);

	if (g->number > h->seen)
		h->seen = g->number;
	if (held && !is_better(g, held)) {
		if (g->number == held->number && g->soa.serial == held->soa.serial)
			take_confirmation(h, &sane);
		generation_free(g);
		return false;
	}
	holding_publish(h, g, &sane, source);
	h->is_fresh = false;
	h->touched_at = sane.refreshed_at;
	zonelog_restored(h->log, g, source);
	holding_check_expiry(h, wall_s);
	return true;
}

/* ---- Saving ---- */

/* A full disk is said once, not with every version of the zone. */
static void note_snapshot(struct holding *h, int error)
{
	if (error < 0 && !h->is_snapshot_broken)
		zonelog_not_saved(h->log, "snapshot_failed", strerrordesc_np(-error), clock_monotonic_us());
	h->is_snapshot_broken = error < 0;
}

/* File calls may take long; no other thread's rcu_wait() is to wait for them. */
void holding_save_snapshot(struct holding *h)
{
	const struct generation *g = holding_current(h);
	int error;

	rcu_sleep();
	error = snapshot_write(h->shop->state_dir, g, &h->times);
	rcu_wake();
	ev_now_update(h->shop->loop);
	note_snapshot(h, error);
}

void holding_save_store(struct holding *h, const struct generation *old)
{
	if (h->shop->store)
		store_save(h->shop->store, holding_current(h), old, &h->times, h->source);
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
	h->times = *times;
	h->warned = 0;
	set_servable(h, clock_wall_us() / US_PER_S);
	if (!is_worth_a_touch(h))
		return;
	h->touched_at = times->refreshed_at;
	if (h->is_snapshot_broken)	/* what it lacks is the zone, not the time */
		holding_save_snapshot(h);
	else
		note_snapshot(h, snapshot_touch(h->shop->state_dir, g, times));
	if (h->shop->store && h->stored == g->number)
		store_touch(h->shop->store, g->origin, g->number, times);
}

void holding_renumber(struct holding *h)
{
	const struct generation *g = holding_current(h);
	struct zone_times times = h->times;
	enum zone_error why;
	struct generation *again =
		zone_edit_finish(zone_edit_new(g->origin, g, 0, 0), h->seen + 1, &why, NULL);

	assert(again);		/* nothing was touched, so nothing can be wrong */
	holding_publish(h, again, &times, h->source);
	holding_save(h, NULL);
}

/* ---- Expiry ---- */

static void warn(struct holding *h, uint64_t wall_s)
{
	uint64_t life = h->times.expires_at - h->times.refreshed_at;
	uint64_t left = h->times.expires_at - wall_s;
	unsigned due = h->warned;

	while (due < WARNINGS_COUNT && left * 100 <= life * WARNINGS[due])
		due++;
	if (due == h->warned)
		return;
	h->warned = due;	/* the last one due speaks for those before it */
	zonelog_expiring(h->log, &h->times, wall_s, WARNINGS[due - 1]);
}

void holding_check_expiry(struct holding *h, uint64_t wall_s)
{
	if (!holding_current(h) || h->warned > WARNINGS_COUNT)
		return;
	if (wall_s < h->times.expires_at) {
		warn(h, wall_s);
		return;
	}
	h->warned = WARNINGS_COUNT + 1;
	set_servable(h, wall_s);
	zonelog_expired(h->log, &h->times, wall_s);
}
