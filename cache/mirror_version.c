/* SPDX-License-Identifier: ISC */
#include "cache/mirror_version.h"

#include "cache/mirror_attempt.h"
#include "cache/mirror_catalog.h"
#include "cache/mirror_round.h"
#include "cache/mirror_turn.h"
#include "cache/rcu.h"

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
		attempt_newer_held(w, serial);
	} else if (failed == REVIEW_ZONEMD && fetch_is_ixfr(w->fetch)) {
		generation_free(g);
		attempt_whole(w, reason);	/* more likely the difference is wrong than the zone */
	} else if (failed != REVIEW_PASSED) {
		work_refuse(w, g, failed, reason, round_source(w, source));
		generation_free(g);
		attempt_refused(w);
	} else if (!w->is_forced && !holding_wants(&w->hold, serial)) {
		generation_free(g);
		attempt_unwanted(w, serial);
	} else if (!w->is_forced && !w->is_waived && is_overtaken(w)) {
		review(w, g);
	} else {
		attempt_delivered(w, g);
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

void version_take(struct mirror_work *w, struct transfer *t)
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
		attempt_whole(w, reason);
	} else if (!g) {
		attempt_failed(w, why, reason, owner[0] ? owner : NULL);
	} else if (holding_is_frozen(&w->hold)) {
		generation_free(g);
		attempt_newer_held(w, serial);
	} else if ((!w->is_forced || mirror_catalog_is_other(w, serial)) &&
		   !holding_wants(&w->hold, serial)) {
		generation_free(g);
		attempt_unwanted(w, serial);
	} else if (mirror_catalog_holds(w, g, held)) {
		generation_free(g);
		attempt_withheld(w, held);
	} else {
		review(w, g);
	}
}

