/* SPDX-License-Identifier: ISC */
#include "cache/mirror_round.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "cache/clock.h"
#include "cache/mirror_attempt.h"
#include "cache/mirror_turn.h"
#include "cache/mirror_version.h"

enum {
	EMPTY_MAX = 100,	/* messages without a record in one transfer */
	/* Rounds that wait for the store before we fetch it ourselves; and while we hold nothing.
	 * Who has the lease and lives is at work on it: the first transfer may be a large one. */
	BEHIND_MAX = 20,
	BEHIND_MAX_EMPTY = 10,
};

#define STORE_GRACE_US	(500 * US_PER_MS)	/* at start: to connect, before we act alone */
#define BEHIND_US	(2 * US_PER_S)		/* between two looks at a zone left to others */
#define FETCHED_US	(500 * US_PER_MS)	/* by then they may have it in the store */

const char *round_source(const struct mirror_work *w, char text[ADDRESS_TEXT_MAX])
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
	if (w->ixfr && !ixfr_is_trusted(&w->ixfr[w->primary], clock_monotonic_us()))
		return FETCH_IF_NEWER;
	return FETCH_DIFFERENCE;
}

uint64_t round_held_number(const struct mirror_work *w)
{
	const struct generation *g = holding_current(&w->hold);

	return g ? g->number : 0;
}

/* Whoever has failed is asked last: a server that is frozen shall hold up nobody twice. */
unsigned round_next_primary(const struct mirror_work *w)
{
	unsigned next = w->conf->primary_count;

	for (unsigned i = w->conf->primary_count; i-- > 0;)
		if (!(w->asked & round_bit(i)) && (next == w->conf->primary_count || !(w->shy & round_bit(i)) ||
					     w->shy & round_bit(next)))
			next = i;
	return next;
}

/* It has its place at the primary. */
static void start_fetch(struct mirror_work *w)
{
	const struct mirror_primary *p = &w->conf->primaries[w->primary];
	struct fetch_job job = {
		.origin = w->origin,
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
	w->asked_with = round_held_number(w);
	w->fetch = fetch_new(w->shop->loop, &job, &w->shop->random, on_fetch_end, w);
	w->shop->report(w, w->shop->report_arg);
}

void round_ask(struct mirror_work *w)
{
	w->round = ROUND_TURN;
	w->asked |= round_bit(w->primary);
	if (turn_take(w, what_to_fetch(w)))
		round_on_turn(w);
}

void round_begin(struct mirror_work *w, uint64_t now_us)
{
	assert(w->round == ROUND_NONE);
	w->schedule.next_us = UINT64_MAX;
	w->is_forced |= w->holds_removed && !work_has_refused(w);
	w->asked = 0;
	w->primary = round_next_primary(w);
	w->is_confirmed = w->is_blemished = w->is_whole = w->is_delivered = false;
	w->is_newer_there = w->is_holding_back = false;
	if (w->is_forced || w->is_waived || w->has_lease || !work_is_shared(w)) {
		round_ask(w);
		return;
	}
	w->round = ROUND_LEASE;
	w->lease_asked_us = now_us;
	store_take_lease(w->shop->store, w->origin);
}

void round_go_on(struct mirror_work *w, bool is_alone)
{
	assert(w->round == ROUND_LEASE);
	if (is_alone)
		w->behind = BEHIND_MAX;
	round_ask(w);
}

void round_drop_fetch(struct mirror_work *w)
{
	fetch_free(w->fetch);
	w->fetch = NULL;
	turn_leave(w);
}

void round_cancel(struct mirror_work *w)
{
	if (w->round == ROUND_NONE)
		return;
	round_drop_fetch(w);
	review_cancel(&w->review);
	w->round = ROUND_NONE;
	w->is_forced = w->is_waived = w->is_accepted = false;
}

void round_end(struct mirror_work *w)
{
	round_cancel(w);
	if (w->is_hurried)
		schedule_hurry(&w->schedule, clock_monotonic_us());
	w->is_hurried = false;
	work_rearm(w);
	w->shop->report(w, w->shop->report_arg);
}

/* ---- What came ---- */

static void take_failure(struct mirror_work *w, struct transfer *t)
{
	const uint8_t *owner;
	enum zone_error broken = transfer_zone_error(t, &owner);
	char text[NAME_TEXT_MAX];

	if (fetch_is_ixfr(w->fetch))
		attempt_whole(w, transfer_reason(t));
	else if (broken != ZONE_OK)
		attempt_failed(w, broken, zone_error_text(broken), name_to_text(owner, text));
	else
		attempt_failed(w, ZONE_OK, transfer_reason(t), NULL);
}

/* The holder of the lease hears of it and fetches it; we shall find it in the store. */
static void leave_to_others(struct mirror_work *w, uint32_t serial)
{
	w->behind++;
	if (work_is_shared(w))
		store_want(w->shop->store, w->origin, serial);
	w->schedule.next_us = clock_monotonic_us() + BEHIND_US;
	w->poll_at_us = clock_monotonic_us() + FETCHED_US;
	round_end(w);
}

/* Its SOA alone was asked for. */
static void take_newer(struct mirror_work *w, uint32_t serial)
{
	if (holding_is_frozen(&w->hold)) {
		attempt_newer_held(w, serial);
	} else if (is_others(w)) {
		leave_to_others(w, serial);
	} else if (!w->is_waived && work_has_refused(w) && serial == w->refusal.serial) {
		attempt_refused(w);
	} else {
		w->refused_until_us = 0;	/* another version has a review of its own */
		round_drop_fetch(w);
		w->is_newer_there = true;	/* now the zone has to wait for its place */
		round_ask(w);
	}
}

/* Its primary did not answer somebody else just now: no use in finding that out anew. */
void round_on_turn(struct mirror_work *w)
{
	const char *mute = turns_mute(&w->turn, clock_monotonic_us());
	char reason[TURNS_REASON_MAX];

	if (!mute || (w->is_forced && !w->holds_removed)) {
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
		attempt_same(w);
	else
		attempt_not_newer(w, transfer_serial(t));
}

static void on_fetch_end(struct fetch *f, enum fetch_outcome outcome, void *arg)
{
	struct mirror_work *w = arg;

	assert(w->fetch == f && w->round == ROUND_PRIMARY);
	turns_note(&w->turn, fetch_was_answered(f) ? NULL : transfer_reason(fetch_transfer(f)),
		   clock_monotonic_us());
	switch (outcome) {
	case FETCH_ZONE:	version_take(w, fetch_transfer(f)); return;
	case FETCH_UP_TO_DATE:	take_up_to_date(w, fetch_transfer(f)); return;
	case FETCH_NEWER:	take_newer(w, transfer_serial(fetch_transfer(f))); return;
	case FETCH_FAILED:	take_failure(w, fetch_transfer(f)); return;
	}
}
