/* SPDX-License-Identifier: ISC */
/*
 * mirror_aside - what of a holding goes through a whole zone: its snapshot, and the look for what
 * is not faithful. Of a small zone both are done at once, while snapshots take a small part of
 * the loop's time: the disk does not hold up the first load of many. Of a big one they are done
 * aside, over a generation that is pinned meanwhile, and take a part of that thread's time at the
 * most; only the first snapshot of all is written at once, or a crash would find none.
 *
 * Snapshots that are written aside wait in line. While some are under way others come, and go to
 * disk together when these are done: a first load of very many zones waits a hundredth as often for
 * the disk. But it is to be served before it is saved, so a bundle of several is followed by a pause.
 */
#include "cache/mirror_holding.h"

#include <stdlib.h>
#include <string.h>

#include "cache/clock.h"
#include "cache/memory.h"
#include "cache/rcu.h"

enum {
	BIG_BYTES = 1 << 20,	/* on the wire: some 30 ms for both */
	CHECK_PART = 50,	/* of the time goes into looks: big zones that change wait for theirs */
	WRITE_PART = 20,	/* likewise into snapshots of one zone */
	LOOP_PART = 10,		/* of the loop's time, into small ones */
	SIGNED_PART = 12,	/* of a signature's life is left when that is told, */
	SIGNED_PART_ALONE = 4,	/* or this part while no primary is heard of */
	BUNDLE_MAX = 256,	/* snapshots that go to disk together: of more each costs hardly less, */
	BUNDLE_BYTES = BIG_BYTES,	/* and of zones of so many bytes: a big one alone */
	BUNDLE_PAUSE = 3,	/* times as long as they took, */
	PAUSE_MAX_US = 1000000,	/* unless a disk that is busy otherwise took long */
};

struct took {
	uint64_t begun_us, ended_us;	/* monotonic */
};

struct check_job {
	struct aside_job job;	/* first: a job is cast back */
	struct holding *h;
	const struct generation *g;
	struct faithful found;
	struct took took;
};

struct bundle {
	struct aside_job job;	/* first: a job is cast back */
	struct workshop *shop;
	size_t count, bytes;
	struct holding *of[BUNDLE_MAX];
	struct snapshot_file files[BUNDLE_MAX];
	struct took took;	/* all of them */
};

static bool is_big(const struct generation *g)
{
	return g->bytes >= BIG_BYTES;
}

/* When the next one may begin, so that they take one part of so many of the time. */
static uint64_t next_at_us(struct took took, unsigned part)
{
	return took.ended_us + (took.ended_us - took.begun_us) * part;
}

/* ---- The snapshot ---- */

/* A full disk is said once, not with every version of the zone. */
static void note_snapshot(struct holding *h, int error)
{
	if (error < 0 && !h->is_snapshot_broken)
		zonelog_not_saved(h->log, "snapshot_failed", strerrordesc_np(-error),
				  clock_monotonic_us());
	h->is_snapshot_broken = error < 0;
}

static void note_written(struct holding *h, const struct generation *g, int error)
{
	note_snapshot(h, error);
	if (error < 0)
		return;
	h->in_snapshot = g->number;
	h->is_snapshot_big = is_big(g);
}

void holding_saw_snapshot(struct holding *h, const struct generation *g)
{
	h->in_snapshot = g->number;
	h->is_snapshot_big = is_big(g);
	h->given = g->number + HOLDING_LAG_MAX;	/* it may be behind what a crash ended */
}

/* File calls may take long; no other thread's rcu_wait() is to wait for them. */
static void write_now(struct holding *h)
{
	const struct generation *g = holding_current(h);
	struct took took = { .begun_us = clock_monotonic_us() };
	int error;

	h->is_snapshot_due = h->is_order_due = false;
	rcu_sleep();
	error = snapshot_write(h->shop->state_dir, g, &h->times);
	rcu_wake();
	ev_now_update(h->shop->loop);
	took.ended_us = clock_monotonic_us();
	h->shop->snapshot_at_us = next_at_us(took, LOOP_PART);
	note_written(h, g, error);
}

/* ---- Many snapshots ---- */

static void run_bundle(struct aside_job *job)
{
	struct bundle *b = (struct bundle *)job;

	b->took.begun_us = clock_monotonic_us();
	snapshot_write_all(b->shop->state_dir, b->files, b->count);
	b->took.ended_us = clock_monotonic_us();
}

/* What each of them took. */
static struct took share_of(const struct bundle *b)
{
	uint64_t ended_us = b->took.ended_us;

	return (struct took){ ended_us - (ended_us - b->took.begun_us) / b->count, ended_us };
}

/* What was confirmed meanwhile is written behind it. */
static void note_bundled(struct bundle *b, struct holding *h, const struct snapshot_file *file)
{
	bool is_ordered = file->times.hold != h->times.hold;

	h->bundle = NULL;
	h->is_order_due = is_ordered;
	h->write_at_us = next_at_us(share_of(b), WRITE_PART);
	note_written(h, file->g, file->error);
	if (file->error == 0 && (is_ordered || file->times.refreshed_at != h->times.refreshed_at))
		holding_touch_snapshot(h);
	generation_drop(file->g);
	holding_tend_snapshot(h);
	h->shop->rearm(h->slot->work);
}

static void begin_bundle(struct workshop *shop);

static void on_pause_over(struct ev_loop *loop, ev_timer *pause, int revents)
{
	(void)loop;
	(void)revents;
	begin_bundle(pause->data);
}

static void pause_line(struct workshop *shop, struct took took)
{
	uint64_t pause_us = (took.ended_us - took.begun_us) * BUNDLE_PAUSE;

	if (pause_us > PAUSE_MAX_US)
		pause_us = PAUSE_MAX_US;
	ev_timer_stop(shop->loop, &shop->pause);	/* at the end nobody waits until it is over */
	ev_timer_set(&shop->pause, (double)pause_us / (double)US_PER_S, 0.);
	ev_timer_start(shop->loop, &shop->pause);
}

static void done_bundle(struct aside_job *job)
{
	struct bundle *b = (struct bundle *)job;
	struct workshop *shop = b->shop;

	for (size_t i = 0; i < b->count; i++)
		note_bundled(b, b->of[i], &b->files[i]);
	if (b->count > 1)
		pause_line(shop, b->took);
	shop->bundle = NULL;
	free(b);
	begin_bundle(shop);
}

static bool has_room(const struct bundle *b, const struct holding *h)
{
	return b->count == 0 ||
	       (b->count < BUNDLE_MAX && b->bytes + holding_current(h)->bytes <= BUNDLE_BYTES);
}

static void leave_line(struct holding *h)
{
	if (h->is_in_line)
		TAILQ_REMOVE(&h->shop->line, h, in_line);
	h->is_in_line = false;
}

/* What the operator ordered, and what lags far behind, goes before all that wait. */
static bool is_urgent(const struct holding *h)
{
	return h->is_order_due || (h->in_snapshot != 0 &&
				   holding_current(h)->number - h->in_snapshot >= HOLDING_LAG_MAX / 2);
}

static void join_line(struct holding *h)
{
	leave_line(h);
	if (is_urgent(h))
		TAILQ_INSERT_HEAD(&h->shop->line, h, in_line);
	else
		TAILQ_INSERT_TAIL(&h->shop->line, h, in_line);
	h->is_in_line = true;
}

static void put_into(struct bundle *b, struct holding *h)
{
	const struct generation *g = holding_current(h);

	leave_line(h);
	h->is_snapshot_due = h->is_order_due = false;
	h->bundle = b;
	generation_hold(g);
	b->files[b->count] = (struct snapshot_file){ .g = g, .times = h->times };
	b->of[b->count++] = h;
	b->bytes += g->bytes;
}

/* Those that are first in line; not while others are under way, or had their time. */
static void begin_bundle(struct workshop *shop)
{
	struct holding *h;

	if (shop->bundle || TAILQ_EMPTY(&shop->line) || (ev_is_active(&shop->pause) && !shop->is_ending))
		return;
	shop->bundle = memory_zeroed(1, sizeof(*shop->bundle));
	shop->bundle->job = (struct aside_job){ .run = run_bundle, .done = done_bundle };
	shop->bundle->shop = shop;
	while ((h = TAILQ_FIRST(&shop->line)) && has_room(shop->bundle, h))
		put_into(shop->bundle, h);
	aside_begin(shop->aside, &shop->bundle->job);
}

void holding_tend_snapshot(struct holding *h)
{
	if (!h->is_snapshot_due || h->bundle)
		return;
	bool is_early = !h->shop->is_ending && clock_monotonic_us() < h->write_at_us;

	if ((is_early || h->is_in_line) && !is_urgent(h))
		return;
	join_line(h);
	begin_bundle(h->shop);
}

void holding_line_init(struct workshop *shop)
{
	TAILQ_INIT(&shop->line);
	ev_init(&shop->pause, on_pause_over);
	shop->pause.data = shop;
}

void holding_line_flush(struct workshop *shop)
{
	begin_bundle(shop);
	rcu_sleep();
	aside_wait(shop->aside);
	rcu_wake();
}

/* A first big one, or a small one when the loop has time for it. */
static bool is_written_now(const struct holding *h)
{
	if (h->bundle || h->is_in_line)
		return false;
	return is_big(holding_current(h)) ? !h->is_snapshot_big :
					    clock_monotonic_us() >= h->shop->snapshot_at_us;
}

void holding_save_snapshot(struct holding *h)
{
	if (is_written_now(h)) {
		write_now(h);
		return;
	}
	h->is_snapshot_due = true;
	holding_tend_snapshot(h);
}

void holding_touch_snapshot(struct holding *h)
{
	if (h->bundle || h->is_snapshot_due)
		return;			/* the times will be there with the zone */
	if (h->is_snapshot_broken)	/* what it lacks is the zone, not the time */
		holding_save_snapshot(h);
	else
		note_snapshot(h, snapshot_touch(h->shop->state_dir, holding_current(h), &h->times));
	h->is_order_due = false;
}

void holding_save_order(struct holding *h)
{
	h->is_order_due = true;
	if (h->in_snapshot == holding_current(h)->number)
		holding_touch_snapshot(h);
	else
		holding_save_snapshot(h);
}

/* ---- Faithfulness ---- */

/* From here on it is no matter of the wall clock any more. 0 stays 0. */
static uint64_t monotonic_of(uint64_t wall_s, uint64_t now_us)
{
	uint64_t now_s = clock_wall_us() / US_PER_S;

	if (wall_s == 0)
		return 0;
	return wall_s > now_s ? now_us + (wall_s - now_s) * US_PER_S : now_us;
}

static void take_check(struct holding *h, const struct generation *g, const struct faithful *found,
		       struct took took)
{
	h->faithful = *found;
	h->expiry.signed_us = monotonic_of(found->first_end, clock_monotonic_us());
	h->checked = g->number;
	h->check_at_us = next_at_us(took, CHECK_PART);
}

/*
 * Signers renew when a third (BIND) to a tenth (Knot) of a signature's life is left: less than
 * that, and nobody does. Nor does anybody while no primary is heard of, so that is told sooner.
 */
static bool are_signatures_ending(const struct holding *h, uint64_t now_us)
{
	uint64_t life_us = h->faithful.first_life_s * US_PER_S;
	bool is_alone = now_us >= atomic_load_explicit(&h->slot->stale_us, memory_order_relaxed);

	return h->expiry.signed_us != 0 &&
	       h->expiry.signed_us < now_us + life_us / (is_alone ? SIGNED_PART_ALONE : SIGNED_PART);
}

static void tell_signatures(struct holding *h, const struct generation *g)
{
	uint64_t now_us = clock_monotonic_us();
	uint64_t left_us = h->expiry.signed_us > now_us ? h->expiry.signed_us - now_us : 0;
	bool are_ending = are_signatures_ending(h, now_us);

	if (are_ending && !h->is_end_said)
		zonelog_signatures_ending(h->log, g->soa.serial, left_us / US_PER_S,
					  h->faithful.first_owner);
	h->is_end_said = are_ending;
}

/* `g` is what was checked. */
static void tell(struct holding *h, const struct generation *g)
{
	enum faithful_fault fault = faithful_at(&h->faithful, clock_wall_us() / US_PER_S);

	tell_signatures(h, g);
	if (fault == h->said)
		return;
	h->said = fault;
	h->shop->report(h->slot->work, h->shop->report_arg);
	zonelog_faithful(h->log, g->soa.serial, holding_unfaithful(h), h->faithful.owner);
}

static void check_now(struct holding *h)
{
	const struct generation *g = holding_current(h);
	struct took took = { .begun_us = clock_monotonic_us() };
	struct faithful found;

	rcu_sleep();		/* only this thread retires it */
	found = faithful_check(g, clock_wall_us() / US_PER_S);
	rcu_wake();
	ev_now_update(h->shop->loop);
	took.ended_us = clock_monotonic_us();
	take_check(h, g, &found, took);
}

static void run_check(struct aside_job *job)
{
	struct check_job *c = (struct check_job *)job;

	c->took.begun_us = clock_monotonic_us();
	c->found = faithful_check(c->g, clock_wall_us() / US_PER_S);
	c->took.ended_us = clock_monotonic_us();
}

/* It may not be what is held any more: then its pin ends, and with that what `owner` points to. */
static void done_check(struct aside_job *job)
{
	struct check_job *c = (struct check_job *)job;
	struct holding *h = c->h;

	h->checking = NULL;
	take_check(h, c->g, &c->found, c->took);
	tell(h, c->g);
	if (c->g != holding_current(h))
		h->faithful.owner = h->faithful.first_owner = NULL;
	generation_drop(c->g);
	free(c);
	h->shop->rearm(h->slot->work);
}

static void begin_check(struct holding *h)
{
	struct check_job *c = memory_zeroed(1, sizeof(*c));

	*c = (struct check_job){ { .run = run_check, .done = done_check }, .h = h,
				 .g = holding_current(h) };
	generation_hold(c->g);
	h->checking = c;
	aside_begin(h->shop->aside, &c->job);
}

void holding_check_faithful(struct holding *h)
{
	const struct generation *g = holding_current(h);

	if (!g || h->checking)
		return;
	if (h->checked != g->number && clock_monotonic_us() < h->check_at_us)
		return;
	if (h->checked != g->number && is_big(g)) {
		begin_check(h);
		return;
	}
	if (h->checked != g->number)
		check_now(h);
	tell(h, g);
}

const char *holding_unfaithful(const struct holding *h)
{
	return h->said == FAITHFUL ? NULL : faithful_text(h->said);
}

/* ---- The end ---- */

/* Waits too: should the zone come back, it has another holding, and two would write one file. */
void holding_leave_aside(struct holding *h)
{
	h->is_snapshot_due = false;
	leave_line(h);
	rcu_sleep();
	if (h->bundle)
		aside_wait_for(h->shop->aside, &h->bundle->job);
	if (h->checking)
		aside_wait_for(h->shop->aside, &h->checking->job);
	rcu_wake();
}
