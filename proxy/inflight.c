/* SPDX-License-Identifier: ISC */
#include "proxy/inflight.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "cache/dns.h"
#include "cache/memory.h"
#include "cache/wire.h"

enum {
	ATTEMPTS_PER_QUERY = 4,
	LINE_LEN = 64,		/* what memory brings at a time */
};

struct large_buffer {
	struct large_buffer *next;	/* while free */
	uint8_t bytes[DNS_MESSAGE_MAX];
};

struct inflight {
	struct query *free_queries;
	uint32_t free_attempts;		/* index + 1; chained by next_hash */
	struct large_buffer *free_large;
	size_t query_count;
	uint32_t bucket_mask;
	uint32_t *buckets;		/* index + 1 of the first attempt; 0: none */
	struct attempt *attempts;
	struct query *queries;
	struct large_buffer *large;
	/* of each table: slots that were in use at some time; the rest is zeroed, and no page yet */
	size_t queries_used, attempts_used, large_used;
	size_t queries_max, attempts_max;
};

/* When no slot is free that has been in use, the next one is: nothing is chained behind it. */
static void free_more_queries(struct inflight *t)
{
	if (t->queries_used < t->queries_max)
		t->free_queries = &t->queries[t->queries_used++];
}

static void free_more_attempts(struct inflight *t)
{
	if (t->attempts_used < t->attempts_max)
		t->free_attempts = (uint32_t)++t->attempts_used;
}

static void free_more_large(struct inflight *t)
{
	if (t->large_used < QUERY_LARGE_COUNT)
		t->free_large = &t->large[t->large_used++];
}

struct inflight *inflight_new(size_t queries)
{
	struct inflight *t = memory_zeroed(1, sizeof(*t));
	size_t attempts = queries * ATTEMPTS_PER_QUERY;
	size_t buckets = 1024;

	assert(queries > 0 && queries <= UINT32_MAX / 64);
	while (buckets < attempts)
		buckets *= 2;
	t->bucket_mask = (uint32_t)(buckets - 1);
	t->buckets = memory_table(buckets, sizeof(*t->buckets));
	t->attempts = memory_table(attempts, sizeof(*t->attempts));
	t->queries = memory_table(queries, sizeof(*t->queries));
	t->large = memory_table(QUERY_LARGE_COUNT, sizeof(*t->large));
	t->queries_max = queries;
	t->attempts_max = attempts;
	return t;
}

void inflight_free(struct inflight *t)
{
	if (!t)
		return;
	free(t->buckets);
	free(t->attempts);
	free(t->queries);
	free(t->large);
	free(t);
}

static bool take_bytes(struct inflight *t, struct query *q, size_t len)
{
	q->bytes = q->own;
	if (len <= sizeof(q->own))
		return true;
	if (!t->free_large)
		free_more_large(t);
	if (!t->free_large)
		return false;
	q->bytes = t->free_large->bytes;
	t->free_large = t->free_large->next;
	return true;
}

static void give_bytes_back(struct inflight *t, struct query *q)
{
	if (q->bytes == q->own)
		return;
	struct large_buffer *b = list_entry(q->bytes, struct large_buffer, bytes);

	b->next = t->free_large;
	t->free_large = b;
	q->bytes = q->own;
}

/* The next query comes soon, and its slot has not been looked at for a while. */
static void foresee_slot(const struct inflight *t)
{
	const char *next = (const char *)t->free_queries;
	size_t used = offsetof(struct query, own) + LINE_LEN;	/* most queries are short */

	for (size_t at = 0; next && at < used; at += LINE_LEN)
		__builtin_prefetch(next + at, 1);
}

struct query *inflight_add_query(struct inflight *t, const uint8_t *bytes, size_t len,
				 size_t question_end, uint64_t now)
{
	if (!t->free_queries)
		free_more_queries(t);

	struct query *q = t->free_queries;

	assert(len <= DNS_MESSAGE_MAX && question_end <= len);
	if (!q || !take_bytes(t, q, len))
		return NULL;
	t->free_queries = q->next_free;
	foresee_slot(t);
	t->query_count++;
	q->serial++;
	q->len = (uint16_t)len;
	q->question_end = (uint16_t)question_end;
	memcpy(q->bytes, bytes, len);
	q->received_us = now;
	q->is_open = true;
	q->was_reconnected = q->has_silent = q->is_shadowed = false;
	q->failure = FAILURE_NONE;
	q->waiting = q->round = q->try_count = q->tried_count = 0;
	wheel_item_init(&q->give_up, 0);
	return q;
}

void inflight_end_query(struct inflight *t, struct query *q)
{
	assert(q->is_open && q->give_up.at_us == UINT64_MAX);
	give_bytes_back(t, q);
	q->is_open = false;
	q->serial++;
	q->next_free = t->free_queries;
	t->free_queries = q;
	t->query_count--;
}

static uint32_t *bucket_of(const struct inflight *t, uint32_t socket, uint16_t id)
{
	uint32_t h = (socket * 0x9e3779b1u) ^ (id * 0x85ebca6bu);

	return &t->buckets[(h ^ h >> 15) & t->bucket_mask];
}

static struct attempt *find(const struct inflight *t, uint32_t socket, uint16_t id)
{
	uint32_t i = *bucket_of(t, socket, id);

	while (i && (t->attempts[i - 1].socket != socket || t->attempts[i - 1].id != id))
		i = t->attempts[i - 1].next_hash;
	return i ? &t->attempts[i - 1] : NULL;
}

void inflight_foresee_id(const struct inflight *t, uint32_t socket, uint16_t id)
{
	__builtin_prefetch(bucket_of(t, socket, id), 1);
}

/* Mostly the first of its bucket is the one. */
void inflight_foresee(const struct inflight *t, uint32_t socket, const uint8_t *reply,
		      enum inflight_glance glance)
{
	uint32_t i = glance == GLANCE_BUCKET ? 0 : *bucket_of(t, socket, wire_get_u16(reply));

	if (glance == GLANCE_BUCKET)
		inflight_foresee_id(t, socket, wire_get_u16(reply));
	else if (i && glance == GLANCE_ATTEMPT)
		__builtin_prefetch(&t->attempts[i - 1]);
	else if (i)
		__builtin_prefetch(t->attempts[i - 1].query);
}

bool inflight_is_id_free(const struct inflight *t, uint32_t socket, uint16_t id)
{
	return find(t, socket, id) == NULL;
}

static uint32_t question_hash(const uint8_t *message, size_t question_end)
{
	return (uint32_t)XXH3_64bits(message + DNS_HEADER_LEN, question_end - DNS_HEADER_LEN);
}

struct attempt *inflight_add_attempt(struct inflight *t, struct query *q, uint16_t backend,
				     uint64_t now)
{
	if (!t->free_attempts)
		free_more_attempts(t);

	uint32_t i = t->free_attempts;

	if (!i)
		return NULL;
	struct attempt *a = &t->attempts[i - 1];

	t->free_attempts = a->next_hash;
	a->socket = 0;
	a->backend = backend;
	a->state = ATTEMPT_WAITING;
	a->is_tcp = q->client.is_tcp;
	a->is_judged = false;
	a->query = q;
	a->query_serial = q->serial;
	a->question_hash = question_hash(q->bytes, q->question_end);
	a->sent_us = now;
	wheel_item_init(&a->timer, 0);
	list_init(&a->of_backend);
	q->waiting++;
	return a;
}

void inflight_sent(struct inflight *t, struct attempt *a, uint32_t socket, uint16_t id)
{
	uint32_t *bucket = bucket_of(t, socket, id);

	assert(socket != 0 && a->socket == 0);
	a->socket = socket;
	a->id = id;
	wire_put_u16(a->id_wire, id);
	a->next_hash = *bucket;
	*bucket = (uint32_t)(a - t->attempts) + 1;
}

void inflight_set_late(struct attempt *a)
{
	struct query *q = inflight_query_of(a);

	assert(a->state == ATTEMPT_WAITING);
	a->state = ATTEMPT_LATE;
	if (q)
		q->waiting--;
}

static void unhash(struct inflight *t, struct attempt *a)
{
	uint32_t *at = bucket_of(t, a->socket, a->id);

	while (&t->attempts[*at - 1] != a)
		at = &t->attempts[*at - 1].next_hash;
	*at = a->next_hash;
}

void inflight_end_attempt(struct inflight *t, struct attempt *a)
{
	assert(a->state != ATTEMPT_FREE && a->timer.at_us == UINT64_MAX);
	if (a->state == ATTEMPT_WAITING)
		inflight_set_late(a);
	if (a->socket)
		unhash(t, a);
	list_remove(&a->of_backend);
	a->state = ATTEMPT_FREE;
	a->socket = 0;
	a->next_hash = t->free_attempts;
	t->free_attempts = (uint32_t)(a - t->attempts) + 1;
}

struct query *inflight_query_of(const struct attempt *a)
{
	return a->query->serial == a->query_serial && a->query->is_open ? a->query : NULL;
}

/* RFC 9619: one question; but a short error may leave it out. */
static bool is_short_error(const uint8_t *reply,
			       size_t len)
{
	unsigned rcode = wire_get_u16(reply + 2) & DNS_RCODE;

	return len == DNS_HEADER_LEN && wire_get_u16(reply + 4) == 0
	       && (rcode == RCODE_FORMERR || rcode == RCODE_NOTIMP);
}

static bool is_reply_to(const struct attempt *a, const uint8_t *reply,
			       size_t len)
{
	const struct query *q = inflight_query_of(a);

	if (!q) {	/* answered already: the hash of its question is what is left of it */
		struct wire w = wire_over(reply, len);

		w.pos = DNS_HEADER_LEN;
		while (!w.bad && wire_need(&w, 1) && w.base[w.pos] != 0 && w.base[w.pos] < 64)
			wire_skip(&w, w.base[w.pos] + 1u);
		wire_skip(&w, 5);
		return !w.bad && question_hash(reply, w.pos) == a->question_hash;
	}
	if ((wire_get_u16(reply + 2) ^ wire_get_u16(q->bytes + 2)) & DNS_OPCODE)
		return false;
	if (is_short_error(reply, len))
		return true;
	return len >= q->question_end && wire_get_u16(reply + 4) == 1
	       && memcmp(reply + DNS_HEADER_LEN, q->bytes + DNS_HEADER_LEN,
			 q->question_end - DNS_HEADER_LEN) == 0;
}

struct attempt *inflight_match(struct inflight *t, uint32_t socket, const uint8_t *reply,
			       size_t len)
{
	if (len < DNS_HEADER_LEN || !(wire_get_u16(reply + 2) & DNS_QR))
		return NULL;
	struct attempt *a = find(t, socket, wire_get_u16(reply));

	return a && is_reply_to(a, reply, len) ? a : NULL;
}

size_t inflight_query_count(const struct inflight *t)
{
	return t->query_count;
}
