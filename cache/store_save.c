/* SPDX-License-Identifier: ISC */
/*
 * One save, step by step:
 *
 *      look -> decide -> (stage a base) -> enter the section -> WATCH, look again
 *           -> still as decided? MULTI ... EXEC -> committed (store_commit.c)
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/memory.h"
#include "cache/serial.h"
#include "cache/store_save.h"

/*
 * A difference is worth an entry below a quarter of the zone and 1 MB; one chunk always is,
 * or a small zone would never have a history.
 */
enum { CHANGE_BYTES_MAX = 1 << 20, CHANGE_SHARE = 4 };

static const char FENCED[] = "a later generation is there";

static void decide(struct store_task *t);

bool store_is_fence(const char *reason)
{
	return strcmp(reason, FENCED) == 0;
}

/* ---- The end ---- */

/* Gives the wish back, unless a newer one has come: without `old`, which costs memory. */
static void wish_again(struct store_zone *z, struct store_wish *w, bool is_reported)
{
	if (w->old)
		generation_drop(w->old);
	w->old = NULL;
	w->is_reported = is_reported;
	if (z->wish.g) {
		z->wish.is_reported = is_reported;
		z->wish.is_ordered = z->wish.is_ordered || w->is_ordered;
		wish_drop(w);
	} else {
		z->wish = *w;
	}
}

static void retry_later(struct store_zone *z)
{
	ev_timer_stop(z->store->loop, &z->retry);
	ev_timer_set(&z->retry, z->backoff, 0.);
	ev_timer_start(z->store->loop, &z->retry);
	z->backoff = z->backoff * 2. < 60. ? z->backoff * 2. : 60.;
}

static void report_saved(struct store_zone *z, uint64_t generation, const char *reason)
{
	struct store *s = z->store;

	if (!s->is_closing)
		s->listener->on_saved(z->origin, generation, reason, s->arg);
}

/*
 * The one way out. NULL: it stands. Lost with the connection: it is written when there is
 * one again, and nobody need hear of it. FENCED is final. Anything else is told once and
 * tried again, for a full disk or a replica that was written to may pass.
 */
static void end_save(struct store_save *v, const char *reason)
{
	struct store_zone *z = v->task.zone;
	uint64_t generation = v->wish.g->number;
	bool was_reported = v->wish.is_reported;
	bool is_final = !reason || reason == FENCED;
	bool is_lost = v->task.is_lost;
	char copy[STORE_REASON_MAX];

	snprintf(copy, sizeof(copy), "%s", reason ? reason : "");
	if (is_final)
		wish_drop(&v->wish);
	else
		wish_again(z, &v->wish, was_reported || !is_lost);
	change_free(v->change);
	base_forget(&v->base);
	free(v);
	z->save = NULL;
	z->store->saving--;
	if (is_final)
		z->backoff = 1.;
	else if (!store_is_refusal(copy) && (!is_lost || redis_is_up(z->store->redis)))
		retry_later(z);		/* lost, and there is a connection: its queue was full */
	if (is_final || (!is_lost && !was_reported))
		report_saved(z, generation, reason ? copy : NULL);
	store_ready(z);		/* a newer wish, or a touch */
	store_pump(z->store);
}

static void after_unstaging(struct store_task *t)
{
	struct store_save *v = save_of(t);
	char reason[STORE_REASON_MAX];

	snprintf(reason, sizeof(reason), "%s", t->reason);
	end_save(v, reason);
}

/* What was staged would go by itself, but a Redis without memory wants it sooner. */
static void fail_save(struct store_save *v, const char *reason)
{
	task_fail(&v->task, reason);
	if (!v->base.key || v->task.is_lost || reason == FENCED) {
		end_save(v, reason);
		return;
	}
	v->task.next = after_unstaging;
	task_send_words(&v->task, "UNLINK", v->base.key, NULL);
}

/* ---- Looking at what is there ---- */

static bool read_field(const redisReply *r, size_t i, uint64_t *v)
{
	return reply_number(r->element[i], v);
}

/* A hash that cannot be read counts as none: what we have in memory is better. */
static void got_head(struct store_task *t, const redisReply *reply)
{
	struct store_head *h = &save_of(t)->head;

	if (!reply_is_array(reply, 4)) {
		task_fail(t, reply_text(reply));
		return;
	}
	h->is_there = read_field(reply, 0, &h->generation) &&
		      h->generation <= STORE_GENERATION_MAX && read_field(reply, 1, &h->serial) &&
		      read_field(reply, 2, &h->base) && read_field(reply, 3, &h->records) &&
		      h->base <= h->generation;
	store_zone_saw(t->zone, h->generation);
}

static void got_changes(struct store_task *t, const redisReply *reply)
{
	if (!reply_number(reply, &save_of(t)->head.changes))
		task_fail(t, reply_text(reply));
}

void save_look(struct store_save *v)
{
	struct store_command c;

	v->head = (struct store_head){ 0 };
	command_start(&c, "HMGET");
	command_text(&c, v->task.zone->key_hash);
	command_text(&c, "generation");
	command_text(&c, "serial");
	command_text(&c, "base");
	command_text(&c, "records");
	task_send(&v->task, &c, got_head);
	task_send_words(&v->task, "XLEN", v->task.zone->key_changes, got_changes);
}

static void look(struct store_save *v)
{
	task_reset(&v->task);
	v->task.next = decide;
	save_look(v);
}

/* ---- Staging a base ---- */

static void got_staged(struct store_task *t, const redisReply *reply)
{
	(void)reply;
	base_stage(&save_of(t)->base, t, got_staged);
}

static void after_staging(struct store_task *t)
{
	struct store_save *v = save_of(t);

	if (task_is_failed(t))
		fail_save(v, t->reason);
	else if (!base_is_staged(&v->base))
		base_stage(&v->base, t, got_staged);
	else
		section_enter(t->zone->store, &v->section);
}

static void start_staging(struct store_save *v)
{
	v->kind = SAVE_BASE;
	v->task.next = after_staging;
	base_start(&v->base, &v->task, v->wish.g);
	base_stage(&v->base, &v->task, got_staged);
}

/* ---- Deciding ---- */

/* A serial is 32 bits; what says more is spoilt, and no reason to stay behind it. */
static bool has_newer_serial(const struct store_head *h, const struct generation *g)
{
	return h->serial <= UINT32_MAX && serial_is_newer((uint32_t)h->serial, g->soa.serial);
}

/*
 * Numbers tell who wrote last only among those who saw each other's: a master that was promoted,
 * or one that was emptied, has gone on from where it was. There the serial tells.
 */
static bool is_fenced(const struct store_save *v)
{
	const struct generation *g = v->wish.g;

	return v->head.is_there && (v->head.generation > g->number ||
	       (v->head.generation == g->number && v->head.serial != g->soa.serial) ||
	       (!v->wish.is_ordered && v->head.generation != v->task.zone->doubted &&
		has_newer_serial(&v->head, g)));
}

static bool is_saved_already(const struct store_save *v)
{
	const struct generation *g = v->wish.g;

	return v->head.is_there && v->head.generation == g->number &&
	       v->head.serial == g->soa.serial && v->head.records == g->records &&
	       g->number != v->task.zone->doubted;
}

static size_t change_limit(const struct generation *g)
{
	size_t share = g->bytes / CHANGE_SHARE;

	if (share < CHUNK_MAX)
		return CHUNK_MAX;
	return share < CHANGE_BYTES_MAX ? share : CHANGE_BYTES_MAX;
}

/* The stream as a whole stays below the zone's size too: replaying it must not cost more. */
static bool has_stream_room(const struct store_save *v, size_t bytes)
{
	size_t zone = v->wish.g->bytes > STORE_STREAM_LEAST ? v->wish.g->bytes
							    : STORE_STREAM_LEAST;

	return v->head.changes < STORE_CHANGES_MAX && v->task.zone->changes_bytes + bytes <= zone;
}

static bool make_change(struct store_save *v)
{
	const struct generation *old = v->wish.old;

	if (!old || !v->head.is_there || v->head.generation != old->number ||
	    v->head.serial != old->soa.serial || v->head.records != old->records ||
	    v->head.generation == v->task.zone->doubted || !has_stream_room(v, 0))
		return false;
	v->change = change_new(old, v->wish.g, change_limit(v->wish.g));
	if (v->change && has_stream_room(v, v->change->bytes))
		return true;
	change_free(v->change);
	v->change = NULL;
	return false;
}

static void decide(struct store_task *t)
{
	struct store_save *v = save_of(t);

	if (task_is_failed(t)) {
		fail_save(v, t->reason);
	} else if (is_fenced(v)) {
		fail_save(v, FENCED);
	} else if (is_saved_already(v)) {
		end_save(v, NULL);
	} else {
		v->seen = v->head;
		if (make_change(v)) {
			v->kind = SAVE_CHANGE;
			section_enter(t->zone->store, &v->section);
		} else {
			start_staging(v);
		}
	}
}

/* ---- The commit ---- */

/* Somebody else committed, or an attempt of ours was lost to a race: from the start. */
static void start_over(struct store_save *v)
{
	if (++v->attempts >= STORE_ATTEMPTS_MAX) {
		fail_save(v, "others kept changing the zone in the store");
		return;
	}
	change_free(v->change);
	v->change = NULL;
	base_forget(&v->base);
	look(v);
}

void save_committed(struct store_task *t)
{
	struct store_save *v = save_of(t);
	struct store_zone *z = t->zone;

	if (task_is_failed(t)) {
		fail_save(v, t->reason);
	} else if (t->is_raced) {
		start_over(v);
	} else {
		z->doubted = 0;
		store_zone_saw(z, v->wish.g->number);
		refusal_note_commit(z->store);
		if (v->kind == SAVE_BASE)
			z->changes_bytes = 0;
		else
			z->changes_bytes += v->change->bytes;
		if (v->kind == SAVE_CHANGE)
			compact_if_due(z, v->wish.g, v->head.changes + 1);
		end_save(v, NULL);
	}
}

void save_abandoned(struct store_task *t)
{
	struct store_save *v = save_of(t);

	if (task_is_failed(t))
		fail_save(v, t->reason);
	else
		start_over(v);
}

/* ---- The beginning ---- */

void save_start(struct store_zone *z)
{
	struct store_save *v = memory_zeroed(1, sizeof(*v));

	assert(!z->save && z->wish.g);
	v->task.zone = z;
	v->task.is_save = true;
	v->section.enter = commit_enter;
	v->wish = z->wish;
	z->wish = (struct store_wish){ 0 };
	z->save = v;
	z->store->saving++;
	look(v);
}
