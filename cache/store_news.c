/* SPDX-License-Identifier: ISC */
/*
 * Reads the streams `events` and `wanted` on a connection of its own, since XREAD BLOCK holds
 * up all that comes after it on the same one.
 *
 *      connected -> the newest ID of both -> XREAD BLOCK behind them -> told -> XREAD ...
 *
 * What is said here is a hint and never believed: whoever hears of a generation reads the
 * zone's hash. So what was missed (before we were connected, or trimmed) is found by polls.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/memory.h"
#include "cache/store_parts.h"
#include "cache/store_step.h"

enum {
	BLOCK_MS = 1000,	/* then the same again, so that a dead connection is noticed */
	NEWS_COUNT = 200,	/* entries in one reply, of each stream */
	WANTED_MAX = 1000,
	WANTED_S = 60,		/* how long the stream outlives the last wish */
	WORDS_MAX = 12,
};

#define AGAIN_S		1.	/* after an error reply */
#define PAUSE_S		0.005	/* between two questions, or whoever replies at once keeps us busy */

enum stream { STREAM_EVENTS, STREAM_WANTED, STREAMS };

struct store_news {
	struct store *store;
	struct redis *redis;		/* NULL while the store's own connection is down */
	char *keys[STREAMS];
	char after[STREAMS][STEP_ID_MAX];
	bool is_told;			/* that it cannot be read */
	ev_timer again, pause;
};

static void ask_newest(struct store_news *n, enum stream which);
static void read_on(struct store_news *n);

static void send_words(struct store_news *n, const char **words, int count, redis_reply_fn got)
{
	size_t len[WORDS_MAX];

	for (int i = 0; i < count; i++)
		len[i] = strlen(words[i]);
	redis_command(n->redis, count, words, len, got, n);
}

static void start(const struct store *s, ev_timer *t, ev_tstamp after)
{
	ev_timer_stop(s->loop, t);
	ev_timer_set(t, after, 0.);
	ev_timer_start(s->loop, t);
}

/* An error that will not go away by itself is told once; until it does, polls have to do. */
static void give_up(struct store_news *n, const redisReply *reply)
{
	struct store *s = n->store;

	if (!reply)
		return;		/* the connection comes back, and begins anew */
	start(s, &n->again, AGAIN_S);
	if (!n->is_told && !s->is_closing)
		s->listener->on_deaf(reply_text(reply), s->arg);
	n->is_told = true;
}

/* ---- What is said ---- */

static bool field_number(const redisReply *fields, const char *name, uint64_t *v)
{
	for (size_t i = 0; i + 1 < fields->elements; i += 2)
		if (reply_is_string(fields->element[i], name))
			return reply_number(fields->element[i + 1], v);
	return false;
}

/* The zone it speaks of, if that is one of ours: nobody else may add to them. */
static struct store_zone *field_zone(struct store *s, const redisReply *fields)
{
	uint8_t origin[NAME_LEN_MAX];
	struct name_key key;
	const redisReply *text;

	if (fields->type != REDIS_REPLY_ARRAY || fields->elements < 2 ||
	    !reply_is_string(fields->element[0], "origin"))
		return NULL;
	text = fields->element[1];
	if (text->type != REDIS_REPLY_STRING || text->len >= NAME_TEXT_MAX ||
	    name_from_text(text->str, origin) == 0)
		return NULL;
	name_lower(origin);
	name_to_key(origin, &key);
	return tree_get(&s->zones, &key);
}

static void tell(struct store *s, enum stream which, const redisReply *fields)
{
	struct store_zone *z = field_zone(s, fields);
	uint64_t v;

	if (!z || s->is_closing)
		return;
	switch (which) {
	case STREAM_EVENTS:
		if (field_number(fields, "generation", &v) && v <= STORE_GENERATION_MAX)
			s->listener->on_newer(z->origin, v, s->arg);
		return;
	case STREAM_WANTED:
		if (field_number(fields, "serial", &v) && v <= UINT32_MAX)
			s->listener->on_wanted(z->origin, (uint32_t)v, s->arg);
		if (field_number(fields, "generation", &v))
			s->listener->on_spoilt(z->origin, v, s->arg);
		return;
	case STREAMS:
		return;
	}
}

static void take_entries(struct store_news *n, enum stream which, const redisReply *entries)
{
	if (entries->type != REDIS_REPLY_ARRAY)
		return;
	for (size_t i = 0; i < entries->elements; i++) {
		const redisReply *fields = step_fields(entries->element[i], n->after[which]);

		if (fields)
			tell(n->store, which, fields);
	}
}

/* ---- Asking ---- */

static void got_news(const redisReply *reply, void *arg)
{
	struct store_news *n = arg;

	if (reply_is_error(reply) ||
	    (reply->type != REDIS_REPLY_ARRAY && reply->type != REDIS_REPLY_NIL)) {
		give_up(n, reply);
		return;
	}
	n->is_told = false;
	for (size_t i = 0; i < reply->elements; i++) {
		const redisReply *stream = reply->element[i];

		for (unsigned k = 0; k < STREAMS && reply_is_array(stream, 2); k++)
			if (reply_is_string(stream->element[0], n->keys[k]))
				take_entries(n, k, stream->element[1]);
	}
	start(n->store, &n->pause, PAUSE_S);
}

static void read_on(struct store_news *n)
{
	char count[12], block[12];
	const char *words[] = { "XREAD", "COUNT", count, "BLOCK", block, "STREAMS",
				n->keys[STREAM_EVENTS], n->keys[STREAM_WANTED],
				n->after[STREAM_EVENTS], n->after[STREAM_WANTED] };

	snprintf(count, sizeof(count), "%d", NEWS_COUNT);
	snprintf(block, sizeof(block), "%d", BLOCK_MS);
	send_words(n, words, sizeof(words) / sizeof(words[0]), got_news);
}

static void take_newest(struct store_news *n, enum stream which, const redisReply *reply)
{
	snprintf(n->after[which], STEP_ID_MAX, "0-0");
	if (reply_is_array(reply, 1))
		step_fields(reply->element[0], n->after[which]);
}

static void got_newest_wanted(const redisReply *reply, void *arg)
{
	struct store_news *n = arg;

	if (reply_is_error(reply)) {
		give_up(n, reply);
		return;
	}
	take_newest(n, STREAM_WANTED, reply);
	read_on(n);
}

static void got_newest_event(const redisReply *reply, void *arg)
{
	struct store_news *n = arg;

	if (reply_is_error(reply)) {
		give_up(n, reply);
		return;
	}
	take_newest(n, STREAM_EVENTS, reply);
	ask_newest(n, STREAM_WANTED);
}

static void ask_newest(struct store_news *n, enum stream which)
{
	const char *words[] = { "XREVRANGE", n->keys[which], "+", "-", "COUNT", "1" };

	send_words(n, words, sizeof(words) / sizeof(words[0]),
		   which == STREAM_EVENTS ? got_newest_event : got_newest_wanted);
}

/* ---- The object ---- */

static void stop(struct store_news *n)
{
	ev_timer_stop(n->store->loop, &n->again);
	ev_timer_stop(n->store->loop, &n->pause);
}

static void begin(struct store_news *n)
{
	stop(n);
	if (redis_is_up(n->redis))
		ask_newest(n, STREAM_EVENTS);
}

static void on_again(struct ev_loop *loop, ev_timer *t, int revents)
{
	(void)loop;
	(void)revents;
	begin(t->data);
}

static void on_pause(struct ev_loop *loop, ev_timer *t, int revents)
{
	(void)loop;
	(void)revents;
	read_on(t->data);
}

/* That Redis is down is told by the store's own connection. */
static void on_redis(bool up, const char *reason, void *arg)
{
	(void)reason;
	if (up)
		begin(arg);
}

struct store_news *news_new(struct store *s)
{
	struct store_news *n = memory_zeroed(1, sizeof(*n));

	n->store = s;
	n->keys[STREAM_EVENTS] = s->key_events;
	n->keys[STREAM_WANTED] = s->key_wanted;
	ev_timer_init(&n->again, on_again, 0., 0.);
	ev_timer_init(&n->pause, on_pause, 0., 0.);
	n->again.data = n->pause.data = n;
	return n;
}

void news_free(struct store_news *n)
{
	news_stop(n);
	free(n);
}

void news_start(struct store_news *n)
{
	struct redis_conf conf = n->store->conf.redis;

	news_stop(n);
	conf.command_ms += BLOCK_MS;
	n->redis = redis_new(n->store->loop, &conf, on_redis, n);
	redis_start(n->redis);
}

void news_stop(struct store_news *n)
{
	redis_free(n->redis);
	n->redis = NULL;
	stop(n);
}

/* ---- Saying ---- */

static void forget_wish(struct store_task *t)
{
	free(t);
}

/* Of the stream `wanted`: what is in it follows. */
static void start_entry(const struct store *s, struct store_command *c)
{
	command_start(c, "XADD");
	command_text(c, s->key_wanted);
	command_text(c, "MAXLEN");
	command_text(c, "~");
	command_number(c, WANTED_MAX);
	command_text(c, "*");
}

static void say(struct store_zone *z, const char *field, uint64_t v)
{
	struct store *s = z->store;
	struct store_task *t = memory_zeroed(1, sizeof(*t));
	struct store_command c;

	t->zone = z;
	t->next = forget_wish;
	start_entry(s, &c);
	command_text(&c, "origin");
	command_text(&c, z->text);
	command_field(&c, field, v);
	task_send(t, &c, NULL);
	command_start(&c, "EXPIRE");
	command_text(&c, s->key_wanted);
	command_number(&c, WANTED_S);
	task_send(t, &c, NULL);
}

/* It has no `origin`, so whoever reads it passes it over. */
void store_try_write(struct store *s, redis_reply_fn done)
{
	struct store_command c;

	start_entry(s, &c);
	command_field(&c, "try", 1);
	redis_command(s->redis, c.argc, c.argv, c.len, done, s);
	command_start(&c, "EXPIRE");
	command_text(&c, s->key_wanted);
	command_number(&c, WANTED_S);
	redis_command(s->redis, c.argc, c.argv, c.len, NULL, NULL);
}

void store_want(struct store *s, const uint8_t *origin, uint32_t serial)
{
	say(store_zone_get(s, origin), "serial", serial);
}

void store_complain(struct store *s, const uint8_t *origin, uint64_t generation)
{
	say(store_zone_get(s, origin), "generation", generation);
}
