/* SPDX-License-Identifier: ISC */
/*
 * fuzz_store - all of the store behind a Redis that says what the input says.
 *
 * The functions of redis.h are here; the library's own are left out by the linker. Even first
 * byte: the rest is what Redis sends, reply by reply, whatever was asked: loads, saves, polls,
 * leases, settings. Odd: the rest is a zone in Redis, made of pieces, whose digests and sizes
 * are made right, since no fuzzer guesses those; flags make some of it wrong again.
 *
 *      piece   = u8 kind | u16 length | bytes
 *      kind    0 chunk | 1 entry of the change stream: u8 generation, u32 from, u32 to
 *              | 2, 3 records that the entry adds, removes
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include <hiredis/async.h>

#include "cache/dns.h"
#include "cache/memory.h"
#include "cache/redis_reply.h"
#include "cache/store.h"
#include "cache/store_parts.h"
#include "cache/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PIECES_MAX = 64, COMMANDS_MAX = 2000, RECORDS_MAX = 1000, BYTES_MAX = 100000 };
enum { LIE_DIGEST = 1, LIE_FIELD = 2, LIE_MOVED = 4, LIE_COUNT = 8 };

static const uint8_t origin[] = "\7example\3com";

struct piece {
	uint8_t kind;
	size_t len;
	uint8_t *bytes;		/* of a chunk: with its header */
};

struct call {
	struct call *next;
	redis_reply_fn done;
	void *arg;
	char word[16], key[128], field[64];
};

struct redis {
	redis_state_fn on_state;
	void *arg;
	bool is_up;
	struct call *first, **last;
	redisAsyncContext context;	/* for its reader, behind the guard */
	struct reply_guard guard;
	struct address address;
};

/* What the input is made into. */
static struct {
	bool is_made;
	const uint8_t *raw;
	size_t raw_len;
	uint8_t generation, base, flags;
	uint16_t records;
	uint32_t serial;
	unsigned count, chunks, loaded;
	struct piece pieces[PIECES_MAX];
} given;

/* The connection for commands, and that for the news of others. */
static struct redis *connections[2];

/* ---- redis.h ---- */

struct redis *redis_new(struct ev_loop *loop, const struct redis_conf *conf,
			redis_state_fn on_state, void *arg)
{
	static redisCallback asked;
	struct redis *r = memory_zeroed(1, sizeof(*r));

	(void)loop;
	(void)conf;
	r->on_state = on_state;
	r->arg = arg;
	r->last = &r->first;
	r->context.c.reader = redisReaderCreate();
	r->context.replies.head = &asked;
	reply_guard_attach(&r->guard, &r->context);
	assert(!connections[0] || !connections[1]);
	connections[connections[0] ? 1 : 0] = r;
	if (!given.is_made)
		redisReaderFeed(r->context.c.reader, (const char *)given.raw, given.raw_len);
	return r;
}

static struct call *take(struct redis *r)
{
	struct call *c = r->first;

	if (c && !(r->first = c->next))
		r->last = &r->first;
	return c;
}

static void answer(struct call *c, const redisReply *reply)
{
	if (c->done)
		c->done(reply, c->arg);
	free(c);
}

void redis_free(struct redis *r)
{
	struct call *c;

	if (!r)
		return;
	r->is_up = false;
	while ((c = take(r)))
		answer(c, NULL);
	connections[r == connections[1]] = NULL;
	redisReaderFree(r->context.c.reader);
	free(r);
}

void redis_start(struct redis *r)
{
	r->is_up = true;
	r->on_state(true, NULL, r->arg);
}

bool redis_is_up(const struct redis *r)
{
	return r->is_up;
}

const struct address *redis_address(const struct redis *r)
{
	return &r->address;
}

size_t redis_queued(const struct redis *r)
{
	(void)r;
	return 0;
}

static void copy(char *to, size_t room, int argc, const char **argv, const size_t *len, int i)
{
	if (i < argc)
		snprintf(to, room, "%.*s", (int)len[i], argv[i]);
}

void redis_command(struct redis *r, int argc, const char **argv, const size_t *argv_len,
		   redis_reply_fn done, void *arg)
{
	struct call *c = memory_zeroed(1, sizeof(*c));

	c->done = done;
	c->arg = arg;
	copy(c->word, sizeof(c->word), argc, argv, argv_len, 0);
	copy(c->key, sizeof(c->key), argc, argv, argv_len, 1);
	copy(c->field, sizeof(c->field), argc, argv, argv_len, 2);
	*r->last = c;
	r->last = &c->next;
}

/* ---- Made replies ---- */

static struct {
	char *bytes;
	size_t len, room;
} text;

static void put(const void *bytes, size_t len)
{
	if (text.len + len > text.room) {
		text.room = 2 * (text.len + len);
		text.bytes = realloc(text.bytes, text.room);
		if (!text.bytes)
			abort();
	}
	memcpy(text.bytes + text.len, bytes, len);
	text.len += len;
}

static void put_head(char kind, uint64_t n)
{
	char head[32];

	put(head, (size_t)snprintf(head, sizeof(head), "%c%llu\r\n", kind, (unsigned long long)n));
}

static void put_bulk(const void *bytes, size_t len)
{
	put_head('$', len);
	put(bytes, len);
	put("\r\n", 2);
}

static void put_field(const char *name, uint64_t value)
{
	char number[24];

	put_bulk(name, strlen(name));
	put_bulk(number, (size_t)snprintf(number, sizeof(number), "%llu", (unsigned long long)value));
}

static uint64_t digest(void)
{
	uint64_t d = 0;

	for (unsigned i = 0; i < given.count; i++)
		if (given.pieces[i].kind == 0)
			d = store_digest(d, given.pieces[i].bytes);
	return d ^ (given.flags & LIE_DIGEST);
}

static void put_hash(void)
{
	char hex[17];
	bool is_short = given.flags & LIE_FIELD;

	put_head('*', is_short ? 16 : 18);
	put_field("generation", given.generation);
	put_field("serial", given.serial);
	put_field("base", given.base);
	put_field("chunks", given.chunks);
	put_field("records", given.records);
	put_field("refreshed_at", 1700000000);
	put_field("expires_at", 1900000000);
	put_field("schema", 1);
	if (is_short)
		return;
	snprintf(hex, sizeof(hex), "%016llx", (unsigned long long)digest());
	put_bulk("digest", 6);
	put_bulk(hex, 16);
}

static void put_chunk(unsigned long n)
{
	for (unsigned i = 0; i < given.count; i++) {
		if (given.pieces[i].kind == 0 && n-- == 0) {
			put_bulk(given.pieces[i].bytes, given.pieces[i].len);
			return;
		}
	}
	put("$-1\r\n", 5);
}

/* Entry number `i` of the pieces, and the parts behind it. */
static void put_entry(unsigned i)
{
	const struct piece *p = &given.pieces[i];
	unsigned parts = 0;
	char id[16];

	while (i + 1 + parts < given.count && given.pieces[i + 1 + parts].kind >= 2)
		parts++;
	put_head('*', 2);
	put_bulk(id, (size_t)snprintf(id, sizeof(id), "%u-0", i + 1));
	put_head('*', 6 + 2 * parts);
	put_field("generation", p->bytes[0]);
	put_field("from_serial", wire_get_u32(p->bytes + 1));
	put_field("serial", wire_get_u32(p->bytes + 5));
	for (unsigned k = 1; k <= parts; k++) {
		bool is_added = p[k].kind == 2;

		put_bulk(is_added ? "added" : "removed", is_added ? 5 : 7);
		put_bulk(p[k].bytes, p[k].len);
	}
}

static void put_entries(const char *from)
{
	unsigned after = from[0] == '(' ? (unsigned)strtoul(from + 1, NULL, 10) : 0;
	unsigned found[2], count = 0;

	for (unsigned i = after; i < given.count && count < 2; i++)
		if (given.pieces[i].kind == 1)
			found[count++] = i;
	put_head('*', count);
	for (unsigned i = 0; i < count; i++)
		put_entry(found[i]);
}

static void make_reply(const struct call *c)
{
	text.len = 0;
	if (strcmp(c->word, "HGETALL") == 0)
		put_hash();
	else if (strcmp(c->word, "HLEN") == 0)
		put_head(':', given.chunks + (given.flags & LIE_COUNT ? 1 : 0));
	else if (strcmp(c->field, "generation") == 0)
		put_head(':', given.generation + (given.flags & LIE_MOVED ? 1 : 0));
	else if (strcmp(c->word, "HGET") == 0)
		put_chunk(strtoul(c->field, NULL, 10));
	else if (strcmp(c->word, "XRANGE") == 0)
		put_entries(c->field);
	else
		put("-ERR no\r\n", 9);
}

/* ---- The input ---- */

/* A body becomes a chunk whose header is right; its first four bytes are the record count. */
static void make_chunk(struct piece *p, const uint8_t *body, size_t len)
{
	size_t rest = len < 4 ? 0 : len - 4;

	p->len = CHUNK_HEADER_LEN + rest;
	p->bytes = memory_zeroed(1, p->len);
	if (len < 4)
		return;		/* no magic */
	memcpy(p->bytes, "UZC1", 4);
	memcpy(p->bytes + 4, body, 4);
	wire_put_u32(p->bytes + 8, (uint32_t)rest);
	memcpy(p->bytes + CHUNK_HEADER_LEN, body + 4, rest);
	wire_put_u64(p->bytes + 12, XXH3_64bits_withSeed(body + 4, rest, wire_get_u32(body)));
}

static void make_piece(uint8_t kind, const uint8_t *bytes, size_t len)
{
	struct piece *p = &given.pieces[given.count];

	p->kind = kind % 4;
	if (p->kind != 1) {
		make_chunk(p, bytes, len);
	} else {
		p->len = 9;
		p->bytes = memory_zeroed(1, 9);
		memcpy(p->bytes, bytes, len < 9 ? len : 9);
	}
	given.chunks += p->kind == 0;
	given.count++;
}

static void read_input(const uint8_t *data, size_t size)
{
	memset(&given, 0, sizeof(given));
	given.is_made = size >= 10 && data[0] & 1;
	given.raw = data + 1;
	given.raw_len = size - 1;
	if (!given.is_made)
		return;
	given.generation = data[1];
	given.base = data[2];
	given.flags = data[3];
	given.records = wire_get_u16(data + 4);
	given.serial = wire_get_u32(data + 6);
	for (size_t at = 10; size - at > 3 && given.count < PIECES_MAX;) {
		size_t len = wire_get_u16(data + at + 1);

		if (len > size - at - 3)
			len = size - at - 3;
		make_piece(data[at], data + at + 3, len);
		at += 3 + len;
	}
}

/* ---- What is heard ---- */

static bool count_record(const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
			 uint16_t len, void *arg)
{
	(void)owner, (void)type, (void)ttl, (void)rdata, (void)len;
	++*(size_t *)arg;
	return true;
}

static void on_loaded(const uint8_t *name, struct generation *g, const struct zone_times *times,
		      const char *reason, void *arg)
{
	size_t count = 0;

	(void)arg;
	assert(name_is_equal(name, origin));
	given.loaded++;
	if (!g)
		return;
	generation_walk(g, count_record, &count);
	assert(!reason && count == g->records && count <= RECORDS_MAX);
	assert(times->expires_at <= times->refreshed_at + g->soa.expire);
	generation_free(g);
}

static void on_plain(void *arg)
{
	(void)arg;
}

static void on_reason(const char *reason, void *arg)
{
	(void)reason, (void)arg;
}

static void on_saved(const uint8_t *name, uint64_t generation, const char *reason, void *arg)
{
	(void)name, (void)generation, (void)reason, (void)arg;
}

static void on_lease(const uint8_t *name, bool is_ours, const char *holder, void *arg)
{
	(void)name, (void)is_ours, (void)arg;
	assert(strlen(holder) < STORE_HOLDER_MAX);
}

static void on_holder(const uint8_t *name, const char *holder, void *arg)
{
	(void)name, (void)arg;
	assert(strlen(holder) < STORE_HOLDER_MAX);
}

static void on_followed(const uint8_t *name, struct generation *g, const struct zone_times *times,
			const char *reason, void *arg)
{
	size_t count = 0;

	(void)name, (void)times, (void)arg;
	if (!g)
		return;
	generation_walk(g, count_record, &count);
	assert(!reason && count == g->records && count <= RECORDS_MAX);
	generation_free(g);
}

static void on_wanted(const uint8_t *name, uint32_t serial, void *arg)
{
	(void)name, (void)serial, (void)arg;
}

static void on_spoilt(const uint8_t *name, uint64_t generation, void *arg)
{
	(void)name, (void)generation, (void)arg;
}

static void on_newer(const uint8_t *name, uint64_t generation, void *arg)
{
	(void)name, (void)arg;
	assert(generation <= STORE_GENERATION_MAX);
}

static void on_older(const uint8_t *name, uint64_t generation, uint64_t before, void *arg)
{
	(void)name, (void)arg;
	assert(generation < before);
}

static void on_denied(const char *command, const char *reason, void *arg)
{
	(void)arg;
	assert(command && reason);
}

static void on_setting(const struct store_finding *f, bool is_bad, void *arg)
{
	(void)is_bad, (void)arg;
	assert(f->name && f->value && strlen(f->value) < 200);
}

static const struct store_listener listener = {
	.on_up = on_plain, .on_down = on_reason, .on_loaded = on_loaded, .on_saved = on_saved,
	.on_lease = on_lease, .on_holder = on_holder, .on_newer = on_newer,
	.on_followed = on_followed, .on_wanted = on_wanted, .on_spoilt = on_spoilt,
	.on_deaf = on_reason, .on_older = on_older,
	.on_refusing = on_reason, .on_denied = on_denied, .on_setting = on_setting,
};

/* ---- The play ---- */

static struct generation *zone_new(void)
{
	static const uint8_t soa[22];
	struct zone_edit *e = zone_edit_new(origin, NULL, 0, 0);
	enum zone_error why;

	zone_edit_add(e, origin, TYPE_SOA, 2, soa, sizeof(soa));
	zone_edit_add(e, origin, TYPE_NS, 2, origin, sizeof(origin));
	return zone_edit_finish(e, 7, &why, NULL);
}

/* One command is answered; false when Redis has no more to say. */
static bool reply_one(struct redis *r)
{
	struct call *c = r->first;
	void *reply = NULL;

	if (given.is_made) {
		make_reply(c);
		redisReaderFeed(r->context.c.reader, text.bytes, text.len);
	}
	if (redisReaderGetReply(r->context.c.reader, &reply) != REDIS_OK || !reply)
		return false;
	answer(take(r), reply);
	freeReplyObject(reply);
	return true;
}

static void play(struct redis *r)
{
	unsigned left = COMMANDS_MAX;
	struct call *c;

	while (r->first && left-- > 0 && reply_one(r))
		;
	r->is_up = false;
	while ((c = take(r)))
		answer(c, NULL);
	r->on_state(false, "gone", r->arg);
}

static void ask_for_all(struct store *s)
{
	static struct generation *g;
	const struct zone_times times = { .refreshed_at = 1700000000, .expires_at = 1700003600 };

	if (!g)
		g = zone_new();
	store_poll(s, origin, 3);
	store_take_lease(s, origin);
	store_touch(s, origin, 7, &times);
	store_save(s, g, NULL, &times, "192.0.2.53:53");
	store_follow(s, g, RECORDS_MAX, BYTES_MAX);
	store_leave_lease(s, origin);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ev_loop *loop;
	static const struct store_conf conf = { .prefix = "p", .instance = "i", .lease_s = 30 };

	if (size < 2)
		return 0;
	if (!loop)
		loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	read_input(data, size);
	struct store *s = store_new(loop, &conf, &listener, NULL);

	store_start(s);
	store_load(s, origin, RECORDS_MAX, BYTES_MAX);
	if (!given.is_made)
		ask_for_all(s);
	if (connections[1])
		play(connections[1]);
	play(connections[0]);
	assert(given.loaded > 0);
	store_free(s);
	for (unsigned i = 0; i < given.count; i++)
		free(given.pieces[i].bytes);
	return 0;
}
