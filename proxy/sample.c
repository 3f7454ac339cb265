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

enum {
	SMALL_ZONE = 64,	/* names */
	DRAWS_MAX = 8,		/* until one is not the apex, which is near the root */
	LOOKS_MAX = 64,		/* names looked at for one question */
	RECORDS_MAX = 64,	/* of an RRset that is compared */
	RDATA_MAX = UINT16_MAX,
};

/* ---- Choosing ---- */

/* What a server may make by itself, or what moves while we ask. */
static bool is_comparable(uint16_t type)
{
	if (type >= TYPE_PRIVATE)	/* ALIAS, LUA: a server answers what they mean */
		return false;
	switch (type) {
	case TYPE_SOA:
	case TYPE_RRSIG:
	case TYPE_NSEC:
	case TYPE_NSEC3:
	case TYPE_NSEC3PARAM:
	case TYPE_DNSKEY:
	case TYPE_ZONEMD:
		return false;
	default:
		return true;
	}
}

/* One of the node's types, each with the same chance; 0: none can be compared. */
static uint16_t choose_type(const struct node *n, struct random *random)
{
	struct rrset set;
	uint16_t chosen = 0;
	uint32_t seen = 0;

	for (bool ok = node_first(n, &set); ok; ok = node_next(n, &set))
		if (is_comparable(set.type) && random_below(random, ++seen) == 0)
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

/* In a small zone each name has the same chance; in a bigger one some way down the tree leads. */
static const struct node *random_node(const struct generation *g, struct random *random)
{
	const struct node *n = g->apex;

	if (g->tree.count <= SMALL_ZONE) {
		for (uint32_t i = random_below(random, (uint32_t)g->tree.count); i > 0; i--)
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
	struct { size_t at; uint16_t len; } record[RECORDS_MAX];
	uint8_t rdata[2 * RDATA_MAX];
	size_t used;
};

static bool take_record(struct wire *w, const struct sample *s, struct found *f)
{
	uint8_t owner[NAME_LEN_MAX];
	uint16_t type, class, rdlength;
	bool is_ours;

	name_parse(w, owner);
	type = wire_u16(w);
	class = wire_u16(w);
	wire_skip(w, 4);
	rdlength = wire_u16(w);
	is_ours = !w->bad && class == CLASS_IN && name_is_equal(owner, s->name);
	if (!is_ours || type != s->type) {
		f->others += is_ours;
		wire_skip(w, rdlength);
		return !w->bad;
	}
	if (f->count == RECORDS_MAX || f->used > RDATA_MAX)
		return false;
	f->record[f->count].at = f->used;
	if (!rdata_parse(w, type, rdlength, f->rdata + f->used, &f->record[f->count].len))
		return false;
	f->used += f->record[f->count++].len;
	return true;
}

/* False when it cannot be read, or tells nothing. */
static bool read_answer(const uint8_t *message, size_t len, const struct sample *s, struct found *f)
{
	struct wire w = wire_over(message, len);
	uint8_t name[NAME_LEN_MAX];
	unsigned flags, answers;

	f->others = f->count = 0;
	f->used = 0;
	if (len < DNS_HEADER_LEN || wire_get_u16(message + 4) != 1)
		return false;
	flags = wire_get_u16(message + 2);
	f->rcode = flags & DNS_RCODE;
	if ((flags & DNS_TC) || (f->rcode != RCODE_NOERROR && f->rcode != RCODE_NXDOMAIN))
		return false;
	answers = wire_get_u16(message + 6);
	wire_skip(&w, DNS_HEADER_LEN);
	name_parse(&w, name);
	wire_skip(&w, 4);
	while (answers-- > 0 && !w.bad)
		if (!take_record(&w, s, f))
			return false;
	return !w.bad;
}

static bool has_record(const struct found *f, uint16_t type, const uint8_t *rdata, uint16_t len)
{
	for (unsigned i = 0; i < f->count; i++)
		if (rdata_is_equal(type, f->rdata + f->record[i].at, f->record[i].len, rdata, len))
			return true;
	return false;
}

static bool is_same_set(const struct found *a, const struct found *b, uint16_t type)
{
	if (a->rcode != b->rcode || a->count != b->count)
		return false;
	for (unsigned i = 0; i < a->count; i++)
		if (!has_record(b, type, a->rdata + a->record[i].at, a->record[i].len))
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

bool sample_choose(const struct generation *g, struct random *random, struct sample *s)
{
	const struct node *n = random_node(g, random);
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
	if (!own_answer(g, s, &ours) || is_same_set(&ours, &theirs, s->type))
		return SAMPLE_SAME;
	put_text(s, &theirs, &ours, text);
	return theirs.count == 0 && theirs.others == 0 ? SAMPLE_VANISHED : SAMPLE_DIFFERS;
}
