/* SPDX-License-Identifier: ISC */
#include "proxy/sample.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "cache/answer.h"
#include "cache/dns.h"
#include "cache/rdata.h"
#include "cache/wire.h"
#include "proxy/probe.h"
#include "proxy/records.h"

enum {
	SMALL_ZONE = 64,	/* names */
	DRAWS_MAX = 8,		/* until one is not the apex, which is near the root */
	LOOKS_MAX = 64,		/* names looked at for one question */
};

/* ---- Choosing ---- */

/* One of the node's types, each with the same chance; 0: none can be compared. */
static uint16_t choose_type(const struct node *n, struct random *random)
{
	struct rrset set;
	uint16_t chosen = 0;
	uint32_t seen = 0;

	for (bool ok = node_first(n, &set); ok; ok = node_next(n, &set))
		if (records_is_comparable(set.type) && random_below(random, ++seen) == 0)
			chosen = set.type;
	return chosen;
}

static const struct node *next_node(const struct generation *g, const struct node *n)
{
	struct name_key key;
	const struct node *next;

	name_to_key(node_name(n), &key);
	next = tree_after(&g->tree, &key);
	return next ? next : tree_first(&g->tree);
}

/* In a small zone one after the other; in a bigger one some way down the tree leads. */
static const struct node *choose_node(const struct generation *g, struct random *random,
				      unsigned turn)
{
	const struct node *n = g->apex;

	if (g->tree.count <= SMALL_ZONE) {
		for (unsigned i = turn % (unsigned)g->tree.count; i > 0; i--)
			n = next_node(g, n);
		return n;
	}
	for (unsigned i = 0; i < DRAWS_MAX && n == g->apex; i++)
		n = tree_choose(&g->tree, random);
	return n;
}

/* ---- The RRset that was asked for, out of a message ---- */

struct found {
	unsigned rcode;
	unsigned others;	/* records of the name, of other types */
	unsigned count;
	struct records records;	/* the whole answer section */
};

static bool is_asked(const struct found *f, unsigned i, const struct sample *s)
{
	return f->records.record[i].type == s->type &&
	       name_is_equal(records_owner(&f->records, i), s->name);
}

/* False when it cannot be read, or tells nothing. */
static bool read_answer(const uint8_t *message, size_t len, const struct sample *s, struct found *f)
{
	struct wire w;

	f->others = f->count = 0;
	records_clear(&f->records);
	if (!records_begin(message, len, &w) ||
	    !records_read(&f->records, &w, wire_get_u16(message + 6), NULL))
		return false;
	f->rcode = wire_get_u16(message + 2) & DNS_RCODE;
	for (unsigned i = 0; i < f->records.count; i++)
		if (is_asked(f, i, s))
			f->count++;
		else if (name_is_equal(records_owner(&f->records, i), s->name))
			f->others++;
	return true;
}

static bool is_same_set(const struct found *a, const struct found *b, const struct sample *s)
{
	if (a->rcode != b->rcode || a->count != b->count)
		return false;
	for (unsigned i = 0; i < a->records.count; i++)
		if (is_asked(a, i, s) && !records_have(&b->records, &a->records, i))
			return false;
	return true;
}

/* ---- What the zone says ---- */

/* False when our own answer has no such RRset (it lies below a cut, or is too long for UDP). */
static bool own_answer(const struct generation *g, const struct sample *s, struct found *f)
{
	uint8_t query[PROBE_QUERY_MAX], reply[DNS_UDP_MAX];
	struct message m;
	struct name_key key;
	struct answer_ask ask = {
		.zone = g, .query = &m, .packet = query, .key = &key, .limit = sizeof(reply),
	};
	size_t len = probe_question(0, s->name, s->type, query);

	if (message_parse(query, len, &m) != MESSAGE_OK)
		return false;
	name_to_key(s->name, &key);
	len = answer_write(&ask, reply);
	return read_answer(reply, len, s, f) && f->count > 0;
}

bool sample_choose(const struct generation *g, struct random *random, unsigned turn,
		   struct sample *s)
{
	const struct node *n = choose_node(g, random, turn);
	struct found own;

	for (unsigned i = 0; i < LOOKS_MAX; i++, n = next_node(g, n)) {
		/* An empty zone has an apex, too: it shows nothing, unless there is nothing else. */
		if (n == g->apex && i + 1 < LOOKS_MAX && g->tree.count > 1)
			continue;
		memcpy(s->name, node_name(n), name_len(node_name(n)));
		s->type = choose_type(n, random);
		if (s->type != 0 && own_answer(g, s, &own))
			return true;
	}
	return false;
}

static const char *plural(unsigned n)
{
	return n == 1 ? "" : "s";
}

static void put_text(const struct sample *s, const struct found *theirs, const struct found *ours,
		     char text[SAMPLE_TEXT_MAX])
{
	char name[NAME_TEXT_MAX], type[16], has[40];

	if (theirs->rcode == RCODE_NXDOMAIN && theirs->others == 0)
		snprintf(has, sizeof(has), "NXDOMAIN");
	else if (theirs->count == 0)
		snprintf(has, sizeof(has), "no such record");
	else if (theirs->count == ours->count)
		snprintf(has, sizeof(has), "other data");
	else
		snprintf(has, sizeof(has), "%u record%s", theirs->count, plural(theirs->count));
	snprintf(text, SAMPLE_TEXT_MAX, "%s %s: %s, the mirror has %u record%s",
		 name_to_text(s->name, name), rdata_type_text(s->type, type), has, ours->count,
		 plural(ours->count));
}

enum gate_sample sample_compare(const struct generation *g, const struct sample *s,
				const uint8_t *reply, size_t len, char text[SAMPLE_TEXT_MAX])
{
	struct found theirs, ours;

	if (!read_answer(reply, len, s, &theirs) || !(wire_get_u16(reply + 2) & DNS_AA))
		return SAMPLE_NOTHING;
	if (!own_answer(g, s, &ours) || is_same_set(&ours, &theirs, s))
		return SAMPLE_SAME;
	put_text(s, &theirs, &ours, text);
	return theirs.count == 0 && theirs.others == 0 ? SAMPLE_VANISHED : SAMPLE_DIFFERS;
}
