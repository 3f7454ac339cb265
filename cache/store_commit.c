/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>

#include "cache/store_save.h"
#include "cache/store_step.h"

static bool is_as_decided(const struct store_save *v)
{
	const struct store_head *a = &v->seen, *b = &v->head;

	return a->is_there == b->is_there && a->generation == b->generation && a->base == b->base &&
	       a->changes == b->changes;
}

/* The staged chunks take their name; the base before them and its changes go. */
static void put_base(struct store_save *v)
{
	struct store_task *t = &v->task;
	char *key;

	base_put(&v->base, t);
	task_send_words(t, "UNLINK", t->zone->key_changes, NULL);
	if (v->head.is_there && v->head.base != v->wish.g->number) {
		key = store_base_key(t->zone, v->head.base, NULL);
		task_send_words(t, "UNLINK", key, NULL);
		free(key);
	}
}

static void put_change(struct store_save *v)
{
	const struct generation *old = v->wish.old, *new = v->wish.g;
	struct store_command c;
	char digest[STEP_DIGEST_LEN + 1];

	command_start(&c, "XADD");
	command_text(&c, v->task.zone->key_changes);
	command_text(&c, "*");
	command_field(&c, "generation", new->number);
	command_field(&c, "from_serial", old->soa.serial);
	command_field(&c, "serial", new->soa.serial);
	command_field(&c, "from_generation", old->number);
	command_field(&c, "records", new->records);
	command_field(&c, "bytes", new->bytes);
	step_digest_text(step_digest(v->change), digest);
	command_text(&c, "digest");
	command_text(&c, digest);
	for (size_t i = 0; i < v->change->count; i++) {
		const struct change_part *part = &v->change->parts[i];

		command_text(&c, part->is_added ? "added" : "removed");
		command_bytes(&c, part->bytes, part->len);
	}
	task_send(&v->task, &c, NULL);
}

static void put_head(struct store_save *v)
{
	const struct generation *g = v->wish.g;
	struct zone_times times = v->wish.times;
	struct store_command c;
	char digest[17];

	store_times_to(store_of(v), &times);
	command_start(&c, "HSET");
	command_text(&c, v->task.zone->key_hash);
	command_field(&c, "generation", g->number);
	command_field(&c, "serial", g->soa.serial);
	command_field(&c, "records", g->records);
	command_field(&c, "refreshed_at", times.refreshed_at);
	command_field(&c, "expires_at", times.expires_at);
	command_text(&c, "source");
	command_text(&c, v->wish.source);
	if (v->kind == SAVE_BASE) {
		snprintf(digest, sizeof(digest), "%016llx", (unsigned long long)v->base.digest);
		command_field(&c, "base", g->number);
		command_field(&c, "chunks", v->base.chunks);
		command_text(&c, "digest");
		command_text(&c, digest);
		command_field(&c, "schema", STORE_SCHEMA);
	}
	task_send(&v->task, &c, NULL);
}

static void put_event(struct store_save *v)
{
	struct store *s = store_of(v);
	struct store_command c;

	command_start(&c, "SADD");
	command_text(&c, s->key_zones);
	command_text(&c, v->task.zone->text);
	task_send(&v->task, &c, NULL);
	command_start(&c, "XADD");
	command_text(&c, s->key_events);
	command_text(&c, "MAXLEN");
	command_text(&c, "~");
	command_number(&c, STORE_EVENTS_MAX);
	command_text(&c, "*");
	command_text(&c, "origin");
	command_text(&c, v->task.zone->text);
	command_field(&c, "generation", v->wish.g->number);
	command_field(&c, "serial", v->wish.g->soa.serial);
	task_send(&v->task, &c, NULL);
}

static void commit(struct store_save *v)
{
	v->task.next = save_committed;
	task_multi(&v->task);
	if (v->kind == SAVE_BASE)
		put_base(v);
	else
		put_change(v);
	put_head(v);
	put_event(v);
	task_exec(&v->task);
	section_leave(store_of(v));
}

static void unwatch(struct store_save *v)
{
	v->task.next = save_abandoned;
	task_send_words(&v->task, "UNWATCH", NULL, NULL);
	section_leave(store_of(v));
}

/* Under WATCH: if nothing has changed up to here, and EXEC goes through, nothing has at all. */
static void watched(struct store_task *t)
{
	struct store_save *v = save_of(t);

	if (v->kind == SAVE_BASE && !task_is_failed(t) && v->staged != v->base.chunks)
		task_fail(t, "staged chunks are missing");
	if (!task_is_failed(t) && is_as_decided(v))
		commit(v);
	else
		unwatch(v);
}

static void got_staged_count(struct store_task *t, const redisReply *reply)
{
	if (!reply_number(reply, &save_of(t)->staged))
		task_fail(t, reply_text(reply));
}

/*
 * EXEC does not roll back: a key of a wrong type would let half a commit stand. So every
 * key is asked for its size first, which gives WRONGTYPE in time.
 */
void commit_enter(struct section *x)
{
	struct store_save *v =
		(struct store_save *)((char *)x - offsetof(struct store_save, section));
	struct store *s = store_of(v);
	struct store_command c;

	v->task.next = watched;
	v->staged = 0;
	command_start(&c, "WATCH");
	command_text(&c, v->task.zone->key_hash);
	command_text(&c, v->task.zone->key_changes);
	if (v->kind == SAVE_BASE)
		command_text(&c, v->base.key);
	task_send(&v->task, &c, NULL);
	save_look(v);
	task_send_words(&v->task, "SCARD", s->key_zones, NULL);
	task_send_words(&v->task, "XLEN", s->key_events, NULL);
	if (v->kind == SAVE_BASE)
		task_send_words(&v->task, "HLEN", v->base.key, got_staged_count);
}
