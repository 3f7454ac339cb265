/* SPDX-License-Identifier: ISC */
/*
 * A base is staged under a key of this process' own, so that two writers of one generation
 * cannot mix their chunks; the commit gives it its final name. Chunks are made as Redis takes
 * them: a turn of the loop makes some, and the replies ask for the next.
 */
#include <assert.h>
#include <stdlib.h>

#include "cache/store_parts.h"

enum { EXPIRE_EVERY = 64 };	/* chunks between two renewals of the staging key's life */

/* The next node that has records, at its first RRset. */
static void cursor_at_node(struct store_cursor *c, const struct generation *g, const struct node *n)
{
	while (n && !node_first(n, &c->set))
		n = generation_next(g, n);
	c->node = n;
	c->pos = 0;
}

/* The record at the cursor, which moves on; false at the end. */
static bool cursor_next(struct store_cursor *c, const struct generation *g, const uint8_t **rdata,
			uint16_t *len)
{
	while (c->node && !rrset_next(&c->set, &c->pos, rdata, len)) {
		c->pos = 0;
		if (node_next(c->node, &c->set))
			continue;
		cursor_at_node(c, g, generation_next(g, c->node));
	}
	return c->node;
}

/* Fills the writer with what fits; at the end of the zone the cursor has no node. */
static void make_chunk(struct store_base *b)
{
	struct chunk_writer *w = b->writer;
	const uint8_t *rdata = NULL;
	uint16_t len = 0;

	chunk_start(w);
	for (;;) {
		struct store_cursor before = b->cursor;

		if (!cursor_next(&b->cursor, b->g, &rdata, &len))
			break;
		if (!chunk_add(w, node_name(b->cursor.node), b->cursor.set.type,
			       b->cursor.set.ttl, rdata, len)) {
			b->cursor = before;
			break;
		}
	}
	assert(w->records > 0);
	chunk_finish(w);
}

/* The key gets its life span together with its first field, and again now and then. */
static void send_chunk(struct store_base *b, struct store_task *t, task_reply_fn got)
{
	struct store_command c;

	command_start(&c, "HSET");
	command_text(&c, b->key);
	command_number(&c, b->chunks);
	command_bytes(&c, b->writer->bytes, b->writer->len);
	task_send(t, &c, got);
	if (b->chunks % EXPIRE_EVERY == 0) {
		command_start(&c, "EXPIRE");
		command_text(&c, b->key);
		command_number(&c, STORE_STAGING_S);
		task_send(t, &c, NULL);
	}
	b->digest = store_digest(b->digest, b->writer->bytes);
	b->chunks++;
}

void base_start(struct store_base *b, struct store_task *t, const struct generation *g)
{
	b->g = g;
	b->chunks = b->digest = 0;
	b->key = store_base_key(t->zone, g->number, t->zone->store->conf.instance);
	b->writer = malloc(sizeof(*b->writer));
	if (!b->writer)
		abort();
	cursor_at_node(&b->cursor, g, generation_first(g));
	task_send_words(t, "UNLINK", b->key, NULL);
}

void base_forget(struct store_base *b)
{
	free(b->key);
	free(b->writer);
	b->key = NULL;
	b->writer = NULL;
}

bool base_is_staged(const struct store_base *b)
{
	return !b->cursor.node;
}

void base_put(const struct store_base *b, struct store_task *t)
{
	char *key = store_base_key(t->zone, b->g->number, NULL);
	struct store_command c;

	/* RENAME over an old key would free it while everybody waits. */
	task_send_words(t, "UNLINK", key, NULL);
	command_start(&c, "RENAME");
	command_text(&c, b->key);
	command_text(&c, key);
	task_send(t, &c, NULL);
	task_send_words(t, "PERSIST", key, NULL);
	free(key);
}

/* With nothing outstanding nobody would wake us again, however much others have queued. */
void base_stage(struct store_base *b, struct store_task *t, task_reply_fn got)
{
	const struct redis *r = t->zone->store->redis;

	while (!task_is_failed(t) && b->cursor.node &&
	       (t->outstanding == 0 || redis_queued(r) < STORE_QUEUE_MARK)) {
		make_chunk(b);
		send_chunk(b, t, got);
	}
}
