/* SPDX-License-Identifier: ISC */
#include "cache/mirror_order.h"

#include "cache/clock.h"
#include "cache/mirror_fleet.h"
#include "cache/mirror_round.h"
#include "cache/serial.h"

static uint64_t wall_s(void)
{
	return clock_wall_us() / US_PER_S;
}

static void report(struct mirror_work *w)
{
	w->shop->report(w, w->shop->report_arg);
}

/* Others may transfer it, and are not waited for. */
void order_leave_lease(struct mirror_work *w)
{
	if (w->has_lease)
		store_leave_lease(w->shop->store, w->origin);
	w->has_lease = false;
}

/*
 * A round that runs would bring what is not wanted any more. The next one asks for the SOA alone,
 * and soon: the operator hears what he keeps out.
 */
static void freeze(struct mirror_work *w, enum zone_hold hold)
{
	round_cancel(w);
	order_leave_lease(w);
	w->heard_us = 0;	/* we lag behind nobody: others are no matter */
	holding_freeze(&w->hold, hold, wall_s());
	schedule_hurry(&w->schedule, clock_monotonic_us());
	work_rearm(w);
}

enum mirror_done order_hold(struct mirror_work *w)
{
	if (!holding_current(&w->hold))
		return MIRROR_EMPTY;
	if (holding_is_frozen(&w->hold))
		return MIRROR_DONE;
	freeze(w, ZONE_HELD);
	report(w);
	zonelog_held(&w->log, holding_current(&w->hold), "hold");
	return MIRROR_DONE;
}

/* ---- Going back ---- */

/* Where in the row of generations we are: rolled back, at the place of the original. */
static uint64_t place(const struct holding *h)
{
	return h->copy_of ? h->copy_of : holding_current(h)->number;
}

static enum mirror_done choose(const struct holding *h, const struct mirror_which *which,
			       const struct kept_item **item)
{
	const struct kept_item *by_number = NULL, *by_serial = NULL;

	if (!which->may_be_generation && !which->may_be_serial) {
		*item = kept_before(&h->kept, place(h));
		return *item ? MIRROR_DONE : MIRROR_NONE_OLDER;
	}
	if (which->may_be_generation)
		by_number = kept_find_number(&h->kept, which->number);
	if (which->may_be_serial && which->number <= UINT32_MAX)
		by_serial = kept_find_serial(&h->kept, (uint32_t)which->number);
	if (by_number && by_serial && by_number != by_serial)
		return MIRROR_AMBIGUOUS;
	*item = by_number ? by_number : by_serial;
	return *item ? MIRROR_DONE : MIRROR_NOT_KEPT;
}

enum mirror_done order_roll_back(struct mirror_work *w, const struct mirror_which *which)
{
	struct holding *h = &w->hold;
	const struct generation *from = holding_current(h);
	const struct kept_item *to = NULL;
	enum mirror_done done = from ? choose(h, which, &to) : MIRROR_EMPTY;

	if (done != MIRROR_DONE)
		return done;
	freeze(w, ZONE_ROLLED_BACK);
	holding_roll_back(h, to);
	zonelog_rolled_back(&w->log, from, holding_current(h), h->copy_of);
	zonelog_held(&w->log, holding_current(h), "rollback");
	holding_check_faithful(h);
	holding_check_expiry(h);
	work_rearm(w);
	report(w);
	return MIRROR_DONE;
}

/* ---- The end of it ---- */

/*
 * The store may have what the primary has. What was rolled back took a number of its own, and
 * others may have given that, too: then nothing there looks later.
 */
static void ask_store(struct mirror_work *w, enum zone_hold was)
{
	w->poll_at_us = 0;
	if (was == ZONE_ROLLED_BACK && work_is_shared(w))
		fleet_load(w);
}

enum mirror_done order_accept(struct mirror_work *w)
{
	enum zone_hold was = w->hold.times.hold;

	if (holding_is_frozen(&w->hold)) {
		holding_freeze(&w->hold, ZONE_FREE, 0);
		report(w);
		zonelog_released(&w->log, holding_current(&w->hold));
	}
	ask_store(w, was);
	work_retransfer(w);
	return MIRROR_DONE;
}

void order_save(struct mirror_work *w)
{
	if (!holding_current(&w->hold))
		return;
	holding_save_order(&w->hold);
	work_rearm(w);
}

void order_restore(struct mirror_work *w, enum zone_hold hold)
{
	if (hold == ZONE_FREE)
		return;
	order_leave_lease(w);
	holding_freeze(&w->hold, hold, wall_s());
	zonelog_held(&w->log, holding_current(&w->hold), "snapshot");
}

void order_note_newer(struct mirror_work *w, uint32_t serial, const char *source)
{
	struct holding *h = &w->hold;

	if (!h->has_newer)
		zonelog_newer_held(&w->log, holding_current(h)->soa.serial, serial, source);
	if (!h->has_newer || serial_is_newer(serial, h->newer_serial))
		h->newer_serial = serial;
	h->has_newer = true;
}
