/* SPDX-License-Identifier: ISC */
/*
 * Following, step by step:
 *
 *      hash, and the stream behind the entry that led to what is held
 *           -> entries in order, each a generation (store_step.h) -> as the hash says?
 *
 * What cannot be had by changes is no fault to tell of: the caller loads the whole zone, and
 * hears there what is wrong with it.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/memory.h"
#include "cache/serial.h"
#include "cache/store_parts.h"
#include "cache/store_step.h"

enum {
	FOLLOWS_MAX = 32,	/* at the same time */
	ENTRIES = 2,		/* in one reply: each may have 1 MB */
};

struct store_follow {
	struct store_task task;		/* first */
	const struct generation *held;	/* pinned: what the caller has */
	struct generation *g;		/* the latest that was made after it, or NULL */
	struct store_head head;
	struct zone_times times;
	char after[STEP_ID_MAX];	/* the last entry that was read; empty: none */
	size_t entries;			/* in the reply at hand */
	bool is_past;			/* an entry lies behind what the hash says */
};

static struct store_follow *follow_of(struct store_task *t)
{
	return (struct store_follow *)t;
}

static const struct generation *latest(const struct store_follow *f)
{
	return f->g ? f->g : f->held;
}

/* ---- The end ---- */

/* The place in the stream is remembered: the next look begins there. */
static void remember_place(struct store_zone *z, const struct store_follow *f)
{
	if (!f->after[0] || f->is_past)
		return;
	z->place_generation = latest(f)->number;
	memcpy(z->place, f->after, sizeof(z->place));
}

/* NULL: well, and f->g is what came, or NULL. */
static void end_follow(struct store_follow *f, const char *reason)
{
	struct store_zone *z = f->task.zone;
	struct store *s = z->store;
	struct generation *g = reason ? NULL : f->g;
	struct zone_times times = f->times;
	bool has_times = g || f->head.generation == f->held->number;
	char copy[STORE_REASON_MAX];

	snprintf(copy, sizeof(copy), "%s", reason ? reason : "");
	if (reason)
		generation_free(f->g);
	else
		remember_place(z, f);
	generation_drop(f->held);
	free(f);
	z->follow = NULL;
	s->following--;
	if (s->is_closing)
		generation_free(g);
	else
		s->listener->on_followed(z->origin, g, !reason && has_times ? &times : NULL,
					 reason ? copy : NULL, s->arg);
	store_pump(s);
}

static void arrive(struct store_follow *f)
{
	const struct generation *g = latest(f);

	if (g->soa.serial != f->head.serial || g->records != f->head.records)
		end_follow(f, "serial or number of records is not what the zone's hash says");
	else
		end_follow(f, NULL);
}

/* ---- Entries ---- */

static void take_entry(struct store_follow *f, const redisReply *entry)
{
	const struct store_zone *z = f->task.zone;
	char before[STEP_ID_MAX];
	const redisReply *fields;
	struct generation *next;
	uint64_t generation;
	const char *wrong;

	memcpy(before, f->after, sizeof(before));
	fields = step_fields(entry, f->after);
	generation = fields ? step_generation(fields) : 0;
	if (generation == 0) {
		task_fail(&f->task, "the change stream has an entry of an unexpected kind");
		return;
	}
	if (generation <= latest(f)->number)
		return;		/* known already */
	if (generation > f->head.generation) {
		memcpy(f->after, before, sizeof(before));
		f->is_past = true;
		return;
	}
	wrong = step_take(latest(f), fields, z->max_records, z->max_bytes, &next);
	if (wrong) {
		task_fail(&f->task, wrong);
		return;
	}
	generation_free(f->g);
	f->g = next;
}

static bool is_behind(const struct store_follow *f)
{
	return latest(f)->number < f->head.generation;
}

/* A base that is later than what we hold has taken the changes in between with it. */
static bool is_within_reach(const struct store_follow *f)
{
	return f->head.is_there && f->head.base <= f->held->number;
}

static void got_entries(struct store_task *t, const redisReply *reply)
{
	struct store_follow *f = follow_of(t);

	if (task_is_failed(t) || !is_within_reach(f))
		return;
	if (reply->type != REDIS_REPLY_ARRAY) {
		task_fail(t, reply_text(reply));
		return;
	}
	f->entries = reply->elements;
	for (size_t i = 0; i < reply->elements && !task_is_failed(t) && is_behind(f); i++)
		take_entry(f, reply->element[i]);
}

static void send_range(struct store_follow *f)
{
	struct store_command c;
	char from[STEP_ID_MAX + 1];

	snprintf(from, sizeof(from), "%s%s", f->after[0] ? "(" : "-", f->after);
	f->entries = 0;
	command_start(&c, "XRANGE");
	command_text(&c, f->task.zone->key_changes);
	command_text(&c, from);
	command_text(&c, "+");
	command_field(&c, "COUNT", ENTRIES);
	task_send(&f->task, &c, got_entries);
}

static void after_entries(struct store_task *t)
{
	struct store_follow *f = follow_of(t);

	if (task_is_failed(t))
		end_follow(f, t->reason);
	else if (!is_behind(f))
		arrive(f);
	else if (f->entries == 0 || f->is_past)
		end_follow(f, "the change stream has a gap");
	else
		send_range(f);
}

/* ---- The hash ---- */

static void got_head(struct store_task *t, const redisReply *reply)
{
	struct store_follow *f = follow_of(t);
	struct store_head *h = &f->head;
	uint64_t schema;

	if (!reply_is_array(reply, 7)) {
		task_fail(t, reply_text(reply));
		return;
	}
	h->is_there = reply_number(reply->element[0], &h->generation) &&
		      reply_number(reply->element[1], &h->serial) &&
		      reply_number(reply->element[2], &h->base) &&
		      reply_number(reply->element[3], &h->records) &&
		      reply_number(reply->element[4], &f->times.refreshed_at) &&
		      reply_number(reply->element[5], &f->times.expires_at) &&
		      reply_number(reply->element[6], &schema) && schema == STORE_SCHEMA &&
		      h->generation <= STORE_GENERATION_MAX && h->base <= h->generation;
	store_times_from(t->zone->store, &f->times);
	if (h->is_there)
		store_zone_saw_serial(t->zone, h->generation, h->serial);
}

/* Others have counted on from an earlier number: this Redis was emptied, or promoted. */
static bool is_newer_by_serial(const struct store_head *h, const struct generation *held)
{
	return h->serial <= UINT32_MAX && serial_is_newer((uint32_t)h->serial, held->soa.serial);
}

static void after_first(struct store_task *t)
{
	struct store_follow *f = follow_of(t);
	const struct store_head *h = &f->head;

	if (task_is_failed(t))
		end_follow(f, t->reason);
	else if (!h->is_there)
		end_follow(f, "the store has no such zone, or its hash cannot be read");
	else if (h->generation == f->held->number)
		arrive(f);
	else if (h->generation < f->held->number)
		end_follow(f, is_newer_by_serial(h, f->held) ? "an earlier number has a newer serial"
							     : NULL);
	else if (!is_within_reach(f))
		end_follow(f, "the changes in between are gone");
	else
		after_entries(t);
}

static void send_head(struct store_follow *f)
{
	static const char *const FIELDS[] = { "generation", "serial", "base", "records",
					      "refreshed_at", "expires_at", "schema" };
	struct store_command c;

	command_start(&c, "HMGET");
	command_text(&c, f->task.zone->key_hash);
	for (size_t i = 0; i < sizeof(FIELDS) / sizeof(FIELDS[0]); i++)
		command_text(&c, FIELDS[i]);
	task_send(&f->task, &c, got_head);
}

/* Both at once: the stream is read after the hash, so it has what that promises. */
static void follow_start(struct store_zone *z)
{
	struct store_follow *f = memory_zeroed(1, sizeof(*f));

	f->task.zone = z;
	f->task.next = after_first;
	f->held = z->follow_from;
	z->follow_from = NULL;
	z->follow = f;
	z->store->following++;
	if (z->place_generation == f->held->number)
		memcpy(f->after, z->place, sizeof(f->after));
	send_head(f);
	send_range(f);
}

void follow_pump(struct store *s)
{
	struct store_zone *z;

	while (s->following < FOLLOWS_MAX && (z = s->to_follow.head)) {
		s->to_follow.head = z->after_follow;
		follow_start(z);
	}
}

void store_follow(struct store *s, const struct generation *held, size_t max_records,
		  size_t max_bytes)
{
	struct store_zone *z = store_zone_get(s, held->origin);

	if (z->follow || z->follow_from)
		return;
	generation_hold(held);
	z->follow_from = held;
	z->max_records = max_records;
	z->max_bytes = max_bytes;
	z->after_follow = NULL;
	if (s->to_follow.head)
		s->to_follow.tail->after_follow = z;
	else
		s->to_follow.head = z;
	s->to_follow.tail = z;
	store_pump(s);
}
