/* SPDX-License-Identifier: ISC */
#include "cache/store.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/memory.h"
#include "cache/store_parts.h"

#define CLOCK_EVERY_S	30.	/* between two looks at Redis' clock */

/* ---- Keys ---- */

static char *join_key(const char *prefix, const char *noun, const char *origin, const char *end)
{
	char *key = NULL;

	if (asprintf(&key, "%s:%s:{%s}%s%s", prefix, noun, origin, end ? ":" : "",
		     end ? end : "") < 0)
		abort();
	return key;
}

char *store_key(const struct store_zone *z, const char *noun, const char *end)
{
	return join_key(z->store->conf.prefix, noun, z->text, end);
}

char *store_base_key(const struct store_zone *z, uint64_t generation, const char *end)
{
	char tail[24 + sizeof(z->store->conf.instance)];

	snprintf(tail, sizeof(tail), "%" PRIu64 "%s%s", generation, end ? ":" : "", end ? end : "");
	return store_key(z, "base", tail);
}

static char *plain_key(const struct store *s, const char *noun)
{
	char *key = NULL;

	if (asprintf(&key, "%s:%s", s->conf.prefix, noun) < 0)
		abort();
	return key;
}

/* ---- Zones ---- */

static const uint8_t *zone_name(const void *leaf)
{
	return ((const struct store_zone *)leaf)->origin;
}

/* The tree has the only reference, and store_free() takes the zones down itself. */
static void zone_hold(void *leaf)
{
	(void)leaf;
}

static const struct tree_ops zone_ops = { .name = zone_name, .hold = zone_hold, .drop = zone_hold };

void store_ready(struct store_zone *z)
{
	struct store_queue *q = &z->store->to_save;

	if (z->is_queued_save)
		return;
	z->is_queued_save = true;
	z->after_save = NULL;
	if (q->head)
		q->tail->after_save = z;
	else
		q->head = z;
	q->tail = z;
}

static void on_retry(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct store_zone *z = w->data;

	(void)loop;
	(void)revents;
	store_ready(z);
	store_pump(z->store);
}

static struct store_zone *zone_new(struct store *s, const uint8_t *origin)
{
	struct store_zone *z = calloc(1, sizeof(*z));
	char text[NAME_TEXT_MAX];

	if (!z)
		abort();
	z->store = s;
	memcpy(z->origin, origin, name_len(origin));
	name_lower(z->origin);
	if (!(z->text = strdup(name_to_text(z->origin, text))))
		abort();
	z->key_hash = store_key(z, "zone", NULL);
	z->key_changes = store_key(z, "changes", NULL);
	z->key_lease = store_key(z, "lease", NULL);
	z->backoff = 1.;
	ev_timer_init(&z->retry, on_retry, 0., 0.);
	z->retry.data = z;
	tree_put(&s->zones, z);
	return z;
}

struct store_zone *store_zone_get(struct store *s, const uint8_t *origin)
{
	struct name_key key;
	struct store_zone *z;

	name_to_key(origin, &key);
	z = tree_get(&s->zones, &key);
	if (!z)
		return zone_new(s, origin);
	z->is_forgotten = false;
	return z;
}

void store_zone_saw_serial(struct store_zone *z, uint64_t generation, uint64_t serial)
{
	store_zone_saw(z, generation);
	if (generation != z->generation || serial > UINT32_MAX)
		return;
	z->serial_generation = generation;
	z->serial = (uint32_t)serial;
}

void store_zone_saw(struct store_zone *z, uint64_t generation)
{
	uint64_t before = z->stored;
	struct store *s = z->store;

	if (generation > STORE_GENERATION_MAX)
		return;
	z->stored = generation;
	if (generation > z->generation)
		z->generation = generation;
	if (generation < before && !s->is_closing)
		s->listener->on_older(z->origin, generation, before, s->arg);
}

void wish_drop(struct store_wish *w)
{
	if (w->g)
		generation_drop(w->g);
	if (w->old)
		generation_drop(w->old);
	*w = (struct store_wish){ 0 };
}

static bool zone_free(void *leaf, void *arg)
{
	struct store_zone *z = leaf;

	(void)arg;
	assert(!z->save && !z->load && !z->follow && !z->compact);
	ev_timer_stop(z->store->loop, &z->retry);
	if (z->follow_from)
		generation_drop(z->follow_from);
	wish_drop(&z->wish);
	free(z->text);
	free(z->key_hash);
	free(z->key_changes);
	free(z->key_lease);
	free(z);
	return true;
}

static bool is_at_rest(const struct store_zone *z)
{
	return !z->save && !z->is_loading && !z->follow_from && !z->follow && !z->compact &&
	       !z->is_queued_save && z->errands == 0;
}

/* Not from inside anything that a zone does. */
static void free_forgotten(struct store *s)
{
	struct store_zone **link = &s->forgotten, *z;
	struct name_key key;

	while ((z = *link)) {
		if (z->is_forgotten && !is_at_rest(z)) {
			link = &z->after_forgotten;
			continue;
		}
		*link = z->after_forgotten;
		if (!z->is_forgotten)
			continue;
		name_to_key(z->origin, &key);
		tree_del(&s->zones, &key);
		zone_free(z, NULL);
	}
}

/* ---- Who may run ---- */

static void run_zone(struct store_zone *z)
{
	if (z->save)
		return;		/* its end comes back here */
	if (z->wish.g && !ev_is_active(&z->retry))
		save_start(z);
	else if (z->touch.is_wished && !z->is_touching)
		touch_start(z);
}

static void pump_saves(struct store *s)
{
	struct store_zone *z;

	while (s->saving < refusal_saves_max(s) && (z = s->to_save.head)) {
		s->to_save.head = z->after_save;
		z->is_queued_save = false;
		run_zone(z);
	}
}

static void pump_loads(struct store *s)
{
	struct store_zone *z;

	while (s->loading < STORE_LOADS_MAX && (z = s->to_load.head)) {
		s->to_load.head = z->after_load;
		load_start(z);
	}
}

/* Loads start even without a connection, since each of them has to end in on_loaded. */
void store_pump(struct store *s)
{
	if (s->is_closing)
		return;
	pump_loads(s);
	follow_pump(s);
	if (redis_is_up(s->redis))
		pump_saves(s);
}

/* ---- The object ---- */

static void on_clock(struct ev_loop *loop, ev_timer *t, int revents)
{
	(void)loop;
	(void)revents;
	store_ask_time(t->data);
	free_forgotten(t->data);
}

static bool zone_up(void *leaf, void *arg)
{
	struct store_zone *z = leaf;

	(void)arg;
	ev_timer_stop(z->store->loop, &z->retry);
	z->backoff = 1.;
	if (z->wish.g || z->touch.is_wished)
		store_ready(z);
	return true;
}

static void on_redis(bool up, const char *reason, void *arg)
{
	struct store *s = arg;

	refusal_forget(s);
	store_check_stop(s);
	if (!up) {
		news_stop(s->news);
		ev_timer_stop(s->loop, &s->clock);
		s->listener->on_down(reason, s->arg);
		return;
	}
	news_start(s->news);
	store_ask_time(s);
	ev_timer_again(s->loop, &s->clock);
	s->listener->on_up(s->arg);
	store_check_ask(s);
	tree_walk(&s->zones, zone_up, NULL);
	store_pump(s);
}

struct store *store_new(struct ev_loop *loop, const struct store_conf *conf,
			const struct store_listener *listener, void *arg)
{
	struct store *s = memory_zeroed(1, sizeof(*s));

	assert(conf->lease_s > 0 && conf->prefix[0] && conf->instance[0]);
	s->loop = loop;
	s->conf = *conf;
	s->listener = listener;
	s->arg = arg;
	s->key_zones = plain_key(s, "zones");
	s->lease_s = conf->lease_s;
	s->key_events = plain_key(s, "events");
	s->key_wanted = plain_key(s, "wanted");
	tree_init(&s->zones, &zone_ops);
	refusal_init(s);
	store_check_init(s);
	s->redis = redis_new(loop, &conf->redis, on_redis, s);
	s->news = news_new(s);
	ev_timer_init(&s->clock, on_clock, 0., CLOCK_EVERY_S);
	s->clock.data = s;
	return s;
}

void store_free(struct store *s)
{
	if (!s)
		return;
	s->is_closing = true;
	news_free(s->news);
	ev_timer_stop(s->loop, &s->clock);
	redis_free(s->redis);	/* ends every task */
	assert(s->tasks == 0 && !s->section);
	ev_timer_stop(s->loop, &s->refusal.again);
	store_check_stop(s);
	tree_walk(&s->zones, zone_free, NULL);
	tree_clear(&s->zones);
	free(s->key_zones);
	free(s->key_events);
	free(s->key_wanted);
	free(s);
}

void store_start(struct store *s)
{
	redis_start(s->redis);
}

bool store_is_up(const struct store *s)
{
	return redis_is_up(s->redis);
}

const struct address *store_address(const struct store *s)
{
	return redis_address(s->redis);
}

bool store_is_idle(const struct store *s)
{
	return s->tasks == 0 && !s->section;
}

/* ---- What the mirror asks for ---- */

/*
 * A wish that has not begun is replaced. What the store will hold by then is what the older
 * wish would have come after; while the store is down nobody knows, and `old` would only
 * take up memory.
 */
static void replace_wish(struct store_zone *z, const struct generation *g,
			 const struct generation *old)
{
	const struct generation *before = z->wish.g ? z->wish.old : old;
	bool is_reported = z->wish.is_reported, is_ordered = z->wish.is_ordered;

	if (!redis_is_up(z->store->redis))
		before = NULL;
	generation_hold(g);
	if (before)
		generation_hold(before);
	wish_drop(&z->wish);
	z->wish.g = g;
	z->wish.old = before;
	z->wish.is_reported = is_reported;
	z->wish.is_ordered = is_ordered;
}

void store_save(struct store *s, const struct generation *g, const struct generation *old,
		const struct zone_times *times, const char *source)
{
	struct store_zone *z = store_zone_get(s, g->origin);

	replace_wish(z, g, old);
	z->wish.times = *times;
	snprintf(z->wish.source, sizeof(z->wish.source), "%s", source);
	store_ready(z);
	store_pump(s);
}

/* A wish that comes after it keeps the order until it stands. */
void store_order(struct store *s, const uint8_t *origin)
{
	store_zone_get(s, origin)->wish.is_ordered = true;
}

void store_touch(struct store *s, const uint8_t *origin, uint64_t generation,
		 const struct zone_times *times)
{
	struct store_zone *z = store_zone_get(s, origin);

	if (z->wish.g && z->wish.g->number == generation)
		z->wish.times = *times;
	z->touch = (struct store_touch){ .is_wished = true, .generation = generation,
					 .times = *times };
	store_ready(z);
	store_pump(s);
}

void store_load(struct store *s, const uint8_t *origin, size_t max_records, size_t max_bytes)
{
	struct store_zone *z = store_zone_get(s, origin);

	if (z->is_loading)
		return;
	z->is_loading = true;
	z->max_records = max_records;
	z->max_bytes = max_bytes;
	z->after_load = NULL;
	if (s->to_load.head)
		s->to_load.tail->after_load = z;
	else
		s->to_load.head = z;
	s->to_load.tail = z;
	store_pump(s);
}

void store_doubt(struct store *s, const uint8_t *origin, uint64_t generation)
{
	store_zone_get(s, origin)->doubted = generation;
}

bool store_serial(struct store *s, const uint8_t *origin, uint32_t *serial)
{
	const struct store_zone *z = store_zone_get(s, origin);

	*serial = z->serial;
	return z->generation > 0 && z->serial_generation == z->generation;
}

uint64_t store_generation(struct store *s, const uint8_t *origin)
{
	return store_zone_get(s, origin)->generation;
}

void store_forget(struct store *s, const uint8_t *origin)
{
	struct name_key key;
	struct store_zone *z;

	free_forgotten(s);	/* after it all that are in the list are forgotten */
	name_to_key(origin, &key);
	z = tree_get(&s->zones, &key);
	if (!z || z->is_forgotten)
		return;
	ev_timer_stop(s->loop, &z->retry);
	wish_drop(&z->wish);
	z->touch.is_wished = false;
	z->is_forgotten = true;
	z->after_forgotten = s->forgotten;
	s->forgotten = z;
	free_forgotten(s);
}
