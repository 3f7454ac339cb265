/* SPDX-License-Identifier: ISC */
/*
 * A change stream must not grow for ever, and a new base with each hundredth version would
 * make every follower load the whole zone then. So a base of a version that is there already
 * is written beside, while commits and followers go on, and the stream is cut behind it:
 *
 *      the last entry is that of our generation -> stage its chunks -> WATCH, look again
 *           -> same base as before? MULTI: new base, entries up to ours go, EXEC
 *
 * Nobody hears of it: no generation comes to be. When it does not work out, what was staged
 * goes, and a later commit tries again.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/memory.h"
#include "cache/store_parts.h"

enum { COMPACT_FROM = 64 };	/* entries; from STORE_CHANGES_MAX on a commit writes a base */

struct store_compact {
	struct store_task task;		/* first */
	struct section section;
	const struct generation *g;	/* pinned */
	struct store_base base;
	struct store_head seen, head;	/* at the beginning, and under WATCH */
	char id[STEP_ID_MAX];		/* of the entry that led to `g` */
	uint64_t last;			/* the generation that the last entry leads to */
	uint64_t staged;
	size_t bytes_before;		/* of the stream, up to that entry */
};

static struct store_compact *compact_of(struct store_task *t)
{
	return (struct store_compact *)t;
}

/* ---- The end ---- */

static void end_compact(struct store_task *t)
{
	struct store_compact *x = compact_of(t);
	struct store *s = t->zone->store;

	t->zone->compact = NULL;
	s->is_compacting = false;
	base_forget(&x->base);
	generation_drop(x->g);
	free(x);
	store_pump(s);
}

/* The section has been left, or was not entered. */
static void give_up(struct store_compact *x)
{
	struct store_task *t = &x->task;

	t->next = end_compact;
	if (x->base.key && !t->is_lost)
		task_send_words(t, "UNLINK", x->base.key, NULL);
	if (t->outstanding == 0)
		end_compact(t);
}

/* ---- Looking ---- */

static void got_head(struct store_task *t, const redisReply *reply)
{
	struct store_head *h = &compact_of(t)->head;

	h->is_there = reply_is_array(reply, 2) && reply_number(reply->element[0], &h->generation) &&
		      reply_number(reply->element[1], &h->base);
}

static void got_last(struct store_task *t, const redisReply *reply)
{
	struct store_compact *x = compact_of(t);
	const redisReply *fields = NULL;

	if (reply_is_array(reply, 1))
		fields = step_fields(reply->element[0], x->id);
	x->last = fields ? step_generation(fields) : 0;
}

static void send_head(struct store_compact *x)
{
	struct store_command c;

	x->head = (struct store_head){ 0 };
	command_start(&c, "HMGET");
	command_text(&c, x->task.zone->key_hash);
	command_text(&c, "generation");
	command_text(&c, "base");
	task_send(&x->task, &c, got_head);
}

/* ---- The commit ---- */

static void committed(struct store_task *t)
{
	struct store_compact *x = compact_of(t);

	if (task_is_failed(t) || t->is_raced) {
		give_up(x);
		return;
	}
	t->zone->changes_bytes -= x->bytes_before < t->zone->changes_bytes ? x->bytes_before
									   : t->zone->changes_bytes;
	end_compact(t);
}

/* The ID after `id`: what has a lower one is cut off. */
static bool next_id(const char *id, char next[STEP_ID_MAX])
{
	const char *dash = strchr(id, '-');
	uint64_t ms, part;

	if (!dash || !reply_parse_number(id, (size_t)(dash - id), &ms) ||
	    !reply_parse_number(dash + 1, strlen(dash + 1), &part) || part == UINT64_MAX)
		return false;
	snprintf(next, STEP_ID_MAX, "%" PRIu64 "-%" PRIu64, ms, part + 1);
	return true;
}

static void put_head(struct store_compact *x)
{
	struct store_command c;
	char digest[STEP_DIGEST_LEN + 1];

	step_digest_text(x->base.digest, digest);
	command_start(&c, "HSET");
	command_text(&c, x->task.zone->key_hash);
	command_field(&c, "base", x->g->number);
	command_field(&c, "chunks", x->base.chunks);
	command_text(&c, "digest");
	command_text(&c, digest);
	task_send(&x->task, &c, NULL);
}

static void cut_stream(struct store_compact *x, const char *from)
{
	struct store_command c;

	command_start(&c, "XTRIM");
	command_text(&c, x->task.zone->key_changes);
	command_text(&c, "MINID");
	command_text(&c, from);
	task_send(&x->task, &c, NULL);
}

static void commit(struct store_compact *x, const char *from)
{
	struct store_task *t = &x->task;
	char *old = store_base_key(t->zone, x->seen.base, NULL);

	t->next = committed;
	task_multi(t);
	base_put(&x->base, t);
	task_send_words(t, "UNLINK", old, NULL);
	cut_stream(x, from);
	put_head(x);
	task_exec(t);
	section_leave(t->zone->store);
	free(old);
}

static void watched(struct store_task *t)
{
	struct store_compact *x = compact_of(t);
	char from[STEP_ID_MAX];

	if (!task_is_failed(t) && x->head.is_there && x->head.base == x->seen.base &&
	    x->head.generation >= x->g->number && x->staged == x->base.chunks &&
	    next_id(x->id, from)) {
		commit(x, from);
		return;
	}
	task_send_words(t, "UNWATCH", NULL, NULL);	/* first: the next one watches at once */
	section_leave(t->zone->store);
	give_up(x);
}

static void got_staged_count(struct store_task *t, const redisReply *reply)
{
	if (!reply_number(reply, &compact_of(t)->staged))
		task_fail(t, reply_text(reply));
}

/* XLEN gives WRONGTYPE in time, as in a save. */
static void enter_section(struct section *s)
{
	struct store_compact *x =
		(struct store_compact *)((char *)s - offsetof(struct store_compact, section));
	struct store_command c;

	x->task.next = watched;
	command_start(&c, "WATCH");
	command_text(&c, x->task.zone->key_hash);
	command_text(&c, x->task.zone->key_changes);
	command_text(&c, x->base.key);
	task_send(&x->task, &c, NULL);
	send_head(x);
	task_send_words(&x->task, "XLEN", x->task.zone->key_changes, NULL);
	task_send_words(&x->task, "HLEN", x->base.key, got_staged_count);
}

/* ---- Staging ---- */

static void got_staged(struct store_task *t, const redisReply *reply)
{
	(void)reply;
	base_stage(&compact_of(t)->base, t, got_staged);
}

static void after_staging(struct store_task *t)
{
	struct store_compact *x = compact_of(t);

	if (task_is_failed(t))
		give_up(x);
	else if (!base_is_staged(&x->base))
		base_stage(&x->base, t, got_staged);
	else
		section_enter(t->zone->store, &x->section);
}

static void after_look(struct store_task *t)
{
	struct store_compact *x = compact_of(t);

	if (task_is_failed(t) || !x->head.is_there || x->head.generation != x->g->number ||
	    x->last != x->g->number || x->head.base >= x->g->number) {
		give_up(x);
		return;
	}
	x->seen = x->head;
	t->next = after_staging;
	base_start(&x->base, t, x->g);
	base_stage(&x->base, t, got_staged);
}

/* ---- The beginning ---- */

static void compact_start(struct store_zone *z, const struct generation *g)
{
	struct store_compact *x = memory_zeroed(1, sizeof(*x));
	struct store_command c;

	generation_hold(g);
	x->g = g;
	x->task.zone = z;
	x->task.next = after_look;
	x->section.enter = enter_section;
	x->bytes_before = z->changes_bytes;
	z->compact = x;
	z->store->is_compacting = true;
	send_head(x);
	command_start(&c, "XREVRANGE");
	command_text(&c, z->key_changes);
	command_text(&c, "+");
	command_text(&c, "-");
	command_field(&c, "COUNT", 1);
	task_send(&x->task, &c, got_last);
}

void compact_if_due(struct store_zone *z, const struct generation *g, uint64_t entries)
{
	size_t zone = g->bytes > STORE_STREAM_LEAST ? g->bytes : STORE_STREAM_LEAST;

	if (z->store->is_compacting || z->store->is_closing)
		return;
	if (entries >= COMPACT_FROM || z->changes_bytes > zone / 2)
		compact_start(z, g);
}
