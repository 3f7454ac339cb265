/* SPDX-License-Identifier: ISC */
#include "cache/mirror_holding.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "cache/catalog.h"
#include "cache/clock.h"
#include "cache/history.h"
#include "cache/rcu.h"
#include "cache/schedule.h"
#include "cache/serial.h"

/* Percent of SOA expire that is left when the operator hears of it. */
static const unsigned WARNINGS[] = { 50, 25, 10 };
enum { WARNINGS_COUNT = sizeof(WARNINGS) / sizeof(WARNINGS[0]) };

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

void holding_fini(struct holding *h)
{
	struct generation *g = h->slot->current;

	holding_wait_aside(h);
	atomic_store_explicit(&h->slot->is_servable, false, memory_order_release);
	rcu_publish(h->slot->current, NULL);
	retired_add(&h->shop->retired, g);
}

uint64_t holding_next_number(const struct holding *h)
{
	return (h->seen > h->given ? h->seen : h->given) + 1;
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

/* A new lease of life, if there is any left; from here on the monotonic clock counts. */
static void set_times(struct holding *h, const struct zone_times *times)
{
	uint64_t wall_s = clock_wall_us() / US_PER_S;
	uint64_t left_s = times->expires_at > wall_s ? times->expires_at - wall_s : 0;
	uint64_t stale_at = schedule_stale_at(&h->slot->current->soa, times->refreshed_at);
	uint64_t fresh_s = stale_at > wall_s ? stale_at - wall_s : 0;
	uint64_t now_us = clock_monotonic_us();

	h->times = *times;
	h->expires_us = now_us + left_s * US_PER_S;
	atomic_store_explicit(&h->slot->stale_us, now_us + fresh_s * US_PER_S, memory_order_relaxed);
	h->warned = 0;
	atomic_store_explicit(&h->slot->expires_us, h->expires_us, memory_order_relaxed);
	atomic_store_explicit(&h->slot->is_servable, left_s > 0, memory_order_release);
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

void holding_publish(struct holding *h, struct generation *g, const struct zone_times *times,
		     const char *source)
{
	struct generation *old = h->slot->current;
	enum catalog_fault fault;
	const uint8_t *owner;

	if (g->number > h->seen)
		h->seen = g->number;
	h->is_fresh = true;
	if (source != h->source)
		snprintf(h->source, sizeof(h->source), "%s", source);
	if (old && !g->history)		/* what came by changes has one already */
		g->history = history_new(old, g);
	if (h->slot->is_catalog && !g->catalog)		/* the records of one that was read before */
		g->catalog = catalog_read(g, SIZE_MAX, &fault, &owner);
	rcu_publish(h->slot->current, g);
	set_times(h, times);
	retired_add(&h->shop->retired, old);
	/* whoever reads the event and then asks for the status shall find the same there */
	h->shop->report(h->slot->work, h->shop->report_arg);
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

static bool is_better(const struct generation *g, const struct generation *held)
{
	if (g->soa.serial == held->soa.serial)
		return g->number > held->number;	/* so that all of us count alike */
	return serial_is_newer(g->soa.serial, held->soa.serial);
}

bool holding_restore(struct holding *h, struct generation *g, const struct zone_times *times,
		     const char *source)
{
	struct zone_times sane = sane_times(times, g, &h->shop->random);
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
	h->is_fresh = h->is_ordered = false;
	h->touched_at = sane.refreshed_at;
	zonelog_restored(h->log, g, source);
	holding_check_faithful(h);
	holding_check_expiry(h);
	return true;
}

/* ---- Saving ---- */

void holding_save_store(struct holding *h, const struct generation *old)
{
	if (h->shop->store)
		store_save(h->shop->store, holding_current(h), old, &h->times, h->source);
}

void holding_repair_store(struct holding *h)
{
	struct store *s = h->shop->store;

	if (h->is_ordered)
		holding_save_store(h, NULL);
	else if (s)
		store_repair(s, holding_current(h), &h->times, h->source);
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
	if (h->shop->store && h->stored == g->number)
		store_touch(h->shop->store, g->origin, g->number, times);
}

void holding_renumber(struct holding *h)
{
	const struct generation *g = holding_current(h);
	struct zone_times times = h->times;
	enum zone_error why;
	struct generation *again =
		zone_edit_finish(zone_edit_new(g->origin, g, 0, 0), holding_next_number(h), &why, NULL);

	assert(again);		/* nothing was touched, so nothing can be wrong */
	holding_publish(h, again, &times, h->source);
	holding_save(h, NULL);
}

/* ---- Expiry ---- */

static void warn(struct holding *h, uint64_t left_us)
{
	uint64_t life_us = (h->times.expires_at - h->times.refreshed_at) * US_PER_S;
	unsigned due = h->warned;

	while (due < WARNINGS_COUNT && left_us <= life_us / 100 * WARNINGS[due])
		due++;
	if (due == h->warned)
		return;
	h->warned = due;	/* the last one due speaks for those before it */
	zonelog_expiring(h->log, WARNINGS[due - 1], left_us / US_PER_S);
}

uint64_t holding_next_us(const struct holding *h)
{
	return holding_current(h) && h->warned <= WARNINGS_COUNT ? h->expires_us : UINT64_MAX;
}

void holding_check_expiry(struct holding *h)
{
	uint64_t now_us = clock_monotonic_us();

	if (!holding_current(h) || h->warned > WARNINGS_COUNT)
		return;
	if (now_us < h->expires_us) {
		warn(h, h->expires_us - now_us);
		return;
	}
	h->warned = WARNINGS_COUNT + 1;
	atomic_store_explicit(&h->slot->is_servable, false, memory_order_release);
	h->shop->report(h->slot->work, h->shop->report_arg);
	zonelog_expired(h->log, holding_current(h)->soa.serial);
}
