/* SPDX-License-Identifier: ISC */
/*
 * One load, step by step:
 *
 *      hash -> checked -> HLEN base -> chunk, chunk, ... -> digest -> the base's generation
 *           -> changes in order, each a generation (store_step.h)
 *           -> serial, records as the hash says?
 *
 * Nothing that comes back is believed: every size is checked before it is used, every record
 * as if it came from the wire. When something is off and the hash has moved meanwhile, a
 * commit of somebody else pulled the base away, and the load begins again.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/change.h"
#include "cache/clock.h"
#include "cache/memory.h"
#include "cache/store_parts.h"
#include "cache/store_step.h"

enum {
	WINDOW = 8,		/* chunks asked for at the same time: half a megabyte */
	ENTRIES = 2,		/* of the stream in one reply: each may have 1 MB */
};

/* The zone's hash, all of it. */
struct hash {
	uint64_t generation, serial, base, chunks, records, digest, schema;
	struct zone_times times;
	unsigned seen;		/* a bit for each field, in the order of `fields` */
};

struct store_load {
	struct store_task task;		/* first */
	struct hash hash;
	char *key_base;
	struct zone_edit *edit;
	uint64_t asked, taken, digest;	/* of the chunks */
	uint64_t fields;		/* what HLEN says of the base */
	struct generation *g;		/* come so far; NULL before the base is whole */
	char after[STEP_ID_MAX];	/* the last entry of the stream that was read */
	size_t entries;			/* in the reply at hand */
	unsigned attempts;
};

static void load_begin(struct store_load *l);

static struct store_load *load_of(struct store_task *t)
{
	return (struct store_load *)t;
}

/* ---- The end ---- */

static void forget(struct store_load *l)
{
	zone_edit_free(l->edit);
	generation_free(l->g);
	free(l->key_base);
	l->edit = NULL;
	l->g = NULL;
	l->key_base = NULL;
}

static void end_load(struct store_load *l, struct generation *g, const char *reason)
{
	struct store_zone *z = l->task.zone;
	struct store *s = z->store;
	struct zone_times times = l->hash.times;
	char copy[STORE_REASON_MAX];

	snprintf(copy, sizeof(copy), "%s", reason ? reason : "");
	forget(l);
	free(l);
	z->load = NULL;
	z->is_loading = false;
	s->loading--;
	if (!s->is_closing)
		s->listener->on_loaded(z->origin, g, g ? &times : NULL, reason ? copy : NULL,
				       s->arg);
	else
		generation_free(g);
	store_pump(s);
}

static void got_place_again(struct store_task *t, const redisReply *reply)
{
	struct store_load *l = load_of(t);
	uint64_t generation, base;

	if (reply_is_array(reply, 2) && reply_number(reply->element[0], &generation) &&
	    reply_number(reply->element[1], &base) &&
	    (generation != l->hash.generation || base != l->hash.base))
		t->is_raced = true;
}

static void after_looking_again(struct store_task *t)
{
	struct store_load *l = load_of(t);

	if (!t->is_raced) {
		/* the next save replaces it whole; not what we may not read just now */
		if (!store_is_refusal(t->reason))
			t->zone->doubted = l->hash.generation;
		end_load(l, NULL, t->reason);
		return;
	}
	forget(l);
	load_begin(l);
}

/* Something is off. Perhaps only because the ground moved: then once more. */
static void fail_load(struct store_load *l, const char *reason)
{
	struct store_command c;

	task_fail(&l->task, reason);
	if (l->task.is_lost || ++l->attempts >= STORE_ATTEMPTS_MAX) {
		end_load(l, NULL, l->task.reason);
		return;
	}
	l->task.next = after_looking_again;
	l->task.is_raced = false;
	command_start(&c, "HMGET");
	command_text(&c, l->task.zone->key_hash);
	command_text(&c, "generation");
	command_text(&c, "base");
	task_send(&l->task, &c, got_place_again);
}

static void fail_format(struct store_load *l, const char *what, uint64_t number, const char *reason)
{
	char text[STORE_REASON_MAX];

	snprintf(text, sizeof(text), "%s %" PRIu64 ": %s", what, number, reason);
	task_fail(&l->task, text);
}

/* ---- The outcome ---- */

/*
 * The zone must not live longer than its SOA allows, whatever the store says, nor have been
 * refreshed in a time to come.
 */
static void bound_times(struct zone_times *times, const struct soa *soa)
{
	uint64_t now = clock_wall_us() / US_PER_S;

	if (times->refreshed_at > now)
		times->refreshed_at = now;
	if (times->expires_at > times->refreshed_at + soa->expire)
		times->expires_at = times->refreshed_at + soa->expire;
}

static void finish(struct store_load *l)
{
	struct generation *g = l->g;

	if (g->soa.serial != l->hash.serial || g->records != l->hash.records) {
		fail_load(l, "serial or number of records is not what the zone's hash says");
		return;
	}
	l->g = NULL;
	if (l->task.zone->doubted == l->hash.generation)
		l->task.zone->doubted = 0;
	bound_times(&l->hash.times, &g->soa);
	end_load(l, g, NULL);
}

/* ---- Changes ---- */

static void take_entry(struct store_load *l, const redisReply *entry)
{
	const struct store_zone *z = l->task.zone;
	const redisReply *fields = step_fields(entry, l->after);
	struct generation *next;
	const char *wrong = "an entry of an unexpected kind";

	if (fields)
		wrong = step_take(l->g, fields, z->max_records, z->max_bytes, &next);
	if (wrong) {
		fail_format(l, "change after generation", l->g->number, wrong);
		return;
	}
	generation_free(l->g);
	l->g = next;
}

static void got_entries(struct store_task *t, const redisReply *reply)
{
	struct store_load *l = load_of(t);

	if (reply->type != REDIS_REPLY_ARRAY) {
		task_fail(t, reply_text(reply));
		return;
	}
	l->entries = reply->elements;
	for (size_t i = 0; i < reply->elements && !task_is_failed(t) &&
			   l->g->number < l->hash.generation; i++)
		take_entry(l, reply->element[i]);
}

static void ask_entries(struct store_load *l);

static void after_entries(struct store_task *t)
{
	struct store_load *l = load_of(t);

	if (task_is_failed(t))
		fail_load(l, t->reason);
	else if (l->g->number == l->hash.generation)
		finish(l);
	else if (l->g->number > l->hash.generation)
		fail_load(l, "the change stream passes over the generation of the zone's hash");
	else if (l->entries == 0)
		fail_load(l, "the change stream ends too early");
	else
		ask_entries(l);
}

static void ask_entries(struct store_load *l)
{
	struct store_command c;
	char from[STEP_ID_MAX + 1];

	snprintf(from, sizeof(from), "%s%s", l->after[0] ? "(" : "-", l->after);
	l->entries = 0;
	l->task.next = after_entries;
	command_start(&c, "XRANGE");
	command_text(&c, l->task.zone->key_changes);
	command_text(&c, from);
	command_text(&c, "+");
	command_field(&c, "COUNT", ENTRIES);
	task_send(&l->task, &c, got_entries);
}

/* ---- Chunks ---- */

static void ask_chunks(struct store_load *l);

static void got_chunk(struct store_task *t, const redisReply *reply)
{
	struct store_load *l = load_of(t);
	const uint8_t *bytes = (const uint8_t *)reply->str;
	const char *wrong;
	uint32_t serial;

	if (task_is_failed(t))
		return;
	if (reply->type != REDIS_REPLY_STRING)
		wrong = reply->type == REDIS_REPLY_NIL ? "missing" : reply_text(reply);
	else if (reply->len < CHUNK_HEADER_LEN || reply->len > CHUNK_ALONE_MAX)
		wrong = "too short or too long";
	else
		wrong = change_part_apply(l->edit, true, bytes, reply->len, &serial);
	if (wrong) {
		fail_format(l, "chunk", l->taken, wrong);
		return;
	}
	l->digest = store_digest(l->digest, bytes);
	l->taken++;
	ask_chunks(l);
}

static void finish_base(struct store_load *l)
{
	char where[NAME_TEXT_MAX], text[STORE_REASON_MAX];
	enum zone_error why = ZONE_OK;

	l->g = zone_edit_finish(l->edit, l->hash.base, &why, where);
	l->edit = NULL;
	if (!l->g) {
		snprintf(text, sizeof(text), "%s at %.80s", zone_error_text(why), where);
		fail_load(l, text);
	} else if (l->g->number == l->hash.generation) {
		finish(l);
	} else {
		ask_entries(l);
	}
}

static void after_chunks(struct store_task *t)
{
	struct store_load *l = load_of(t);

	if (task_is_failed(t))
		fail_load(l, t->reason);
	else if (l->digest != l->hash.digest)
		fail_load(l, "the digest of the base does not match");
	else
		finish_base(l);
}

/* One chunk a reply, so that a turn of the loop has 65 kB to work through and not more. */
static void ask_chunks(struct store_load *l)
{
	struct store_command c;

	for (; l->asked < l->hash.chunks && l->asked - l->taken < WINDOW; l->asked++) {
		command_start(&c, "HGET");
		command_text(&c, l->key_base);
		command_number(&c, l->asked);
		task_send(&l->task, &c, got_chunk);
	}
}

static void got_field_count(struct store_task *t, const redisReply *reply)
{
	if (!reply_number(reply, &load_of(t)->fields))
		task_fail(t, reply_text(reply));
}

static void after_field_count(struct store_task *t)
{
	struct store_load *l = load_of(t);

	if (task_is_failed(t)) {
		fail_load(l, t->reason);
	} else if (l->fields != l->hash.chunks) {
		fail_load(l, "the base has another number of chunks than the zone's hash says");
	} else {
		t->next = after_chunks;
		ask_chunks(l);
	}
}

/* ---- The hash ---- */

static const struct field {
	const char *name;
	size_t offset;
} fields[] = {
	{ "generation",   offsetof(struct hash, generation) },
	{ "serial",       offsetof(struct hash, serial) },
	{ "base",         offsetof(struct hash, base) },
	{ "chunks",       offsetof(struct hash, chunks) },
	{ "records",      offsetof(struct hash, records) },
	{ "refreshed_at", offsetof(struct hash, times.refreshed_at) },
	{ "expires_at",   offsetof(struct hash, times.expires_at) },
	{ "schema",       offsetof(struct hash, schema) },
};

enum { FIELD_COUNT = sizeof(fields) / sizeof(fields[0]), SEEN_DIGEST = 1 << FIELD_COUNT,
       SEEN_ALL = (SEEN_DIGEST << 1) - 1 };

/* Fields that we do not know may be a later schema's; what we need must be there. */
static void read_hash_field(struct hash *h, const redisReply *name, const redisReply *value)
{
	if (reply_is_string(name, "digest") && step_digest_parse(value, &h->digest))
		h->seen |= SEEN_DIGEST;
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		uint64_t *v = (uint64_t *)((char *)h + fields[i].offset);

		if (reply_is_string(name, fields[i].name) && reply_number(value, v))
			h->seen |= 1u << i;
	}
}

static const char *check_hash(const struct hash *h, const struct store_zone *zone)
{
	if (h->seen != SEEN_ALL)
		return "the zone's hash lacks a field, or one cannot be read";
	if (h->schema != STORE_SCHEMA)
		return "the zone is kept in a schema that we do not know";
	if (h->generation == 0 || h->generation > STORE_GENERATION_MAX || h->base == 0 ||
	    h->base > h->generation || h->serial > UINT32_MAX)
		return "the zone's hash holds impossible numbers";
	if (zone->max_records > 0 && h->records > zone->max_records)
		return "the zone has more records than we take";
	/* A chunk holds one record at least, and the base may be larger than what came of it. */
	if (h->chunks == 0 || (zone->max_bytes > 0 && h->chunks > zone->max_bytes))
		return "the zone has an impossible number of chunks";
	return NULL;
}

static void got_hash(struct store_task *t, const redisReply *reply)
{
	struct store_load *l = load_of(t);

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements % 2 != 0) {
		task_fail(t, reply_text(reply));
		return;
	}
	l->entries = reply->elements;
	for (size_t i = 0; i < reply->elements; i += 2)
		read_hash_field(&l->hash, reply->element[i], reply->element[i + 1]);
	store_zone_saw(t->zone, l->hash.generation);
}

static void after_hash(struct store_task *t)
{
	struct store_load *l = load_of(t);
	const char *wrong;

	if (task_is_failed(t)) {
		fail_load(l, t->reason);
		return;
	}
	if (l->entries == 0) {
		end_load(l, NULL, NULL);	/* no such zone */
		return;
	}
	wrong = check_hash(&l->hash, t->zone);
	if (wrong) {
		fail_load(l, wrong);
		return;
	}
	store_times_from(t->zone->store, &l->hash.times);
	store_zone_saw_serial(t->zone, l->hash.generation, l->hash.serial);
	l->edit = zone_edit_new(t->zone->origin, NULL, t->zone->max_records,
				t->zone->max_bytes);
	l->key_base = store_base_key(t->zone, l->hash.base, NULL);
	t->next = after_field_count;
	task_send_words(t, "HLEN", l->key_base, got_field_count);
}

static void load_begin(struct store_load *l)
{
	unsigned attempts = l->attempts;
	struct store_zone *z = l->task.zone;

	*l = (struct store_load){ .task = { .zone = z, .next = after_hash }, .attempts = attempts };
	task_send_words(&l->task, "HGETALL", z->key_hash, got_hash);
}

void load_start(struct store_zone *z)
{
	struct store_load *l = memory_zeroed(1, sizeof(*l));

	l->task.zone = z;
	z->load = l;
	z->store->loading++;
	load_begin(l);
}
