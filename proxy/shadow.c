/* SPDX-License-Identifier: ISC */
#include "proxy/shadow.h"

#include <stdlib.h>

#include "cache/answer.h"
#include "cache/memory.h"
#include "proxy/records.h"

enum { NONE = -1, TYPE_META = 128, TYPE_META_END = 256 };	/* RFC 6895 s.3.1: QTYPEs, TSIG */

enum kind { KIND_ANSWER, KIND_NEGATIVE, KIND_REFERRAL };

struct reading {
	unsigned rcode;
	bool is_authoritative;
	enum kind kind;
	struct records records;		/* the answer's, or the referral's NS */
};

struct shadow {
	struct reading theirs, ours;
	uint8_t answer[DNS_MESSAGE_MAX];
};

struct shadow *shadow_new(void)
{
	return memory_zeroed(1, sizeof(struct shadow));
}

void shadow_free(struct shadow *s)
{
	free(s);
}

static bool is_of_data(uint16_t type)
{
	return type == TYPE_SOA || records_is_comparable(type);
}

static bool is_of_authority(uint16_t type)
{
	return type == TYPE_SOA || type == TYPE_NS;
}

bool shadow_is_comparable(const struct message *query)
{
	uint16_t type = query->qtype;

	return query->opcode == OPCODE_QUERY && query->qclass == CLASS_IN && !query->is_signed &&
	       type != 0 && type != TYPE_OPT && (type < TYPE_META || type >= TYPE_META_END) &&
	       is_of_data(type);
}

/* ---- Reading an answer ---- */

/* An SOA of the zone with another serial: the two are of different versions. */
static bool is_of_another_version(const struct records *r, const struct generation *g)
{
	for (unsigned i = 0; i < r->count; i++)
		if (r->record[i].type == TYPE_SOA &&
		    name_is_equal(records_owner(r, i), g->origin) &&
		    wire_get_u32(records_rdata(r, i) + r->record[i].len - 20) != g->soa.serial)
			return true;
	return false;
}

static bool has_soa(const struct records *r)
{
	for (unsigned i = 0; i < r->count; i++)
		if (r->record[i].type == TYPE_SOA)
			return true;
	return false;
}

/* Nothing is in the answer section: the authority section says why. */
static bool read_authority(struct reading *m, struct wire *w, unsigned count,
			   const struct generation *g)
{
	if (!records_read(&m->records, w, count, is_of_authority) ||
	    is_of_another_version(&m->records, g))
		return false;
	m->kind = m->rcode == RCODE_NOERROR && m->records.count > 0 && !has_soa(&m->records)
		? KIND_REFERRAL : KIND_NEGATIVE;
	if (m->kind == KIND_NEGATIVE)
		records_clear(&m->records);
	return true;
}

/* False when it cannot be read, or tells nothing. */
static bool read_reply(struct reading *m, const uint8_t *reply, size_t len,
		       const struct generation *g)
{
	struct wire w;
	unsigned flags;

	records_clear(&m->records);
	if (!records_begin(reply, len, &w))
		return false;
	flags = wire_get_u16(reply + 2);
	m->rcode = flags & DNS_RCODE;
	m->is_authoritative = flags & DNS_AA;
	m->kind = KIND_ANSWER;
	if (wire_get_u16(reply + 6) == 0)
		return read_authority(m, &w, wire_get_u16(reply + 8), g);
	return records_read(&m->records, &w, wire_get_u16(reply + 6), is_of_data) &&
	       !is_of_another_version(&m->records, g);
}

/*
 * What the mirror would say in this zone. Signatures are not compared, so none are asked for;
 * where an alias leads out of the zone, other versions than this one begin to matter.
 */
static bool read_own(struct shadow *s, const struct shadow_ask *ask)
{
	struct message query = *ask->query;
	struct answer_ask own = {
		.zone = ask->zone, .query = &query, .packet = ask->packet, .key = ask->key,
		.limit = sizeof(s->answer), .is_tcp = true,
	};

	query.edns.dnssec_ok = false;
	return read_reply(&s->ours, s->answer, answer_write(&own, s->answer), ask->zone);
}

/* ---- Comparing ---- */

/* The zone has the say about this: it is in it, and not delegated. RFC 4035 s.3.1.4.1: DS. */
static bool is_of_zone(const struct generation *g, const uint8_t *name, uint16_t type)
{
	struct tree_match match;
	struct name_key key;

	if (!name_is_at_or_below(name, g->origin))
		return false;
	name_to_key(type == TYPE_DS && name[0] ? name_skip(name, 1) : name, &key);
	tree_find(&g->tree, &key, &match);
	for (unsigned i = 0; i < match.depth; i++)
		if (node_is_cut(match.chain[i]))
			return false;
	return true;
}

/* The first record of `from` that `in` lacks, or NONE. `g`: of its names only; NULL: of all. */
static int find_extra(const struct records *from, const struct records *in,
		      const struct generation *g)
{
	for (unsigned i = 0; i < from->count; i++)
		if (!records_have(in, from, i) &&
		    (!g || is_of_zone(g, records_owner(from, i), from->record[i].type)))
			return (int)i;
	return NONE;
}

/* The alias at `name`: where it leads, or NULL. */
static const uint8_t *target_of(const struct records *r, const uint8_t *name)
{
	for (unsigned i = 0; i < r->count; i++)
		if (r->record[i].type == TYPE_CNAME && name_is_equal(records_owner(r, i), name))
			return records_rdata(r, i);
	return NULL;
}

/* Our answer ends in an alias that leads out of the zone: the rest is of others. */
static bool is_open_ended(const struct records *r, const struct shadow_ask *ask)
{
	const uint8_t *name = ask->query->qname, *next;

	if (ask->query->qtype == TYPE_CNAME)
		return false;
	for (unsigned i = 0; i < r->count && (next = target_of(r, name)); i++)
		name = next;
	return name != ask->query->qname && !is_of_zone(ask->zone, name, ask->query->qtype);
}

static void put_side(struct shadow_side *side, const struct reading *m, int extra)
{
	*side = (struct shadow_side){
		.rcode = (uint8_t)m->rcode, .is_authoritative = m->is_authoritative,
		.is_referral = m->kind == KIND_REFERRAL, .count = (uint8_t)m->records.count,
		.has_extra = extra != NONE,
	};
	if (extra == NONE)
		return;
	const struct record *r = &m->records.record[extra];

	side->type = r->type;
	side->len = r->len;
	memcpy(side->rdata, records_rdata(&m->records, (unsigned)extra),
	       r->len < SHADOW_RDATA_MAX ? r->len : SHADOW_RDATA_MAX);
}

enum shadow_verdict shadow_compare(struct shadow *s, const struct shadow_ask *ask,
				   struct shadow_side *theirs, struct shadow_side *ours)
{
	const struct reading *x = &s->theirs, *y = &s->ours;
	bool is_answer, is_open;
	int extra, missing;

	if (!read_reply(&s->theirs, ask->reply, ask->len, ask->zone) || !read_own(s, ask))
		return SHADOW_NOTHING;
	is_answer = y->kind == KIND_ANSWER;
	is_open = is_answer && is_open_ended(&y->records, ask);
	extra = find_extra(&x->records, &y->records, is_answer ? ask->zone : NULL);
	missing = find_extra(&y->records, &x->records, NULL);
	if (extra == NONE && missing == NONE && x->kind == y->kind &&
	    x->is_authoritative == y->is_authoritative && (is_open || x->rcode == y->rcode))
		return SHADOW_SAME;
	put_side(theirs, x, extra);
	put_side(ours, y, missing);
	return SHADOW_DIFFERS;
}
