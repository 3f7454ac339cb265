/* SPDX-License-Identifier: ISC */
#include "tests/system/differ/compare.h"

#include <stdio.h>
#include <string.h>

#include "tests/system/differ/truth.h"

static bool is_same_record(const struct record *a, const struct record *b)
{
	return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

bool is_same_part(const struct packet *a, const struct packet *b, unsigned part)
{
	if (a->counts[part] != b->counts[part])
		return false;
	for (unsigned i = 0; i < a->counts[part]; i++)
		if (!is_same_record(&a->parts[part][i], &b->parts[part][i]))
			return false;
	return true;
}

bool has_record(const struct packet *p, unsigned part, const struct record *r)
{
	for (unsigned i = 0; i < p->counts[part]; i++)
		if (is_same_record(&p->parts[part][i], r))
			return true;
	return false;
}

bool has_type(const struct packet *p, unsigned part, uint16_t type)
{
	for (unsigned i = 0; i < p->counts[part]; i++)
		if (p->parts[part][i].type == type)
			return true;
	return false;
}

bool is_referral(const struct packet *p)
{
	return p->rcode == 0 && has_type(p, PART_AUTHORITY, T_NS) &&
	       !has_type(p, PART_AUTHORITY, T_SOA);
}

/* True when the name of `len` octets is at or below the owner of `above`. */
static bool is_below_owner(const struct record *above, const uint8_t *name, size_t len)
{
	size_t at = 0;

	if (len < above->owner_len)
		return false;
	while (at < len - above->owner_len)
		at += name[at] + 1u;
	return at == len - above->owner_len && memcmp(name + at, above->bytes, len - at) == 0;
}

static const struct record *find_type(const struct packet *p, unsigned part, uint16_t type)
{
	for (unsigned i = 0; i < p->counts[part]; i++)
		if (p->parts[part][i].type == type)
			return &p->parts[part][i];
	return NULL;
}

/* Glue inside the delegated zone is required; the rest is a kindness: RFC 9471 s.3. */
static bool has_glue_of(const struct packet *a, const struct packet *b)
{
	const struct record *ns = find_type(b, PART_AUTHORITY, T_NS);

	for (unsigned i = 0; ns && i < b->counts[PART_ADDITIONAL]; i++) {
		const struct record *r = &b->parts[PART_ADDITIONAL][i];

		if (is_below_owner(ns, r->bytes, r->owner_len) &&
		    !has_record(a, PART_ADDITIONAL, r))
			return false;
	}
	return true;
}

static bool has_set(const struct packet *p, unsigned part, const uint8_t *owner, size_t len,
		    uint16_t type)
{
	for (unsigned i = 0; i < p->counts[part]; i++) {
		const struct record *r = &p->parts[part][i];

		if (r->type == type && r->owner_len == len && memcmp(r->bytes, owner, len) == 0)
			return true;
	}
	return false;
}

bool lacks_glue(const struct packet *p)
{
	static const uint16_t types[] = { T_A, T_AAAA };

	if (p->fault || (p->flags & F_TC) || !is_referral(p))
		return false;
	for (unsigned i = 0; i < p->counts[PART_AUTHORITY]; i++) {
		const struct record *ns = &p->parts[PART_AUTHORITY][i];
		const uint8_t *target = ns->bytes + ns->owner_len + 8;
		size_t len = ns->len - ns->owner_len - 8u;

		for (unsigned t = 0; t < 2 && ns->type == T_NS; t++)
			if (is_below_owner(ns, target, len) &&
			    truth_has_set(target, len, types[t]) &&
			    !has_set(p, PART_ADDITIONAL, target, len, types[t]))
				return true;
	}
	return false;
}

const char *difference(const struct packet *a, const struct packet *b)
{
	if (a->fault || b->fault)
		return a->fault && b->fault ? NULL : "fault";
	if (a->rcode != b->rcode)
		return "rcode";
	if ((a->flags ^ b->flags) & F_TC)
		return "TC";
	if ((a->flags ^ b->flags) & F_AA)
		return "AA";
	if (a->has_opt != b->has_opt)
		return "EDNS";
	if (a->flags & F_TC)
		return NULL;
	if (!is_same_part(a, b, PART_ANSWER))
		return "answer";
	if (!is_same_part(a, b, PART_AUTHORITY))
		return "authority";
	if (is_referral(a) && !(has_glue_of(a, b) && has_glue_of(b, a)))
		return "glue";
	return NULL;
}

static bool is_all_true(const struct packet *p, unsigned part)
{
	for (unsigned i = 0; i < p->counts[part]; i++)
		if (!truth_has(&p->parts[part][i], false))
			return false;
	return true;
}

void question_name(const struct question *q, uint8_t *name)
{
	for (unsigned i = 0; i < q->name_len; i++)
		name[i] = q->name[i] >= 'A' && q->name[i] <= 'Z' ? (uint8_t)(q->name[i] + 32)
								  : q->name[i];
}

/* What no reply of ours may do, whatever the others do. */
static const char *find_misconduct(const struct question *q, const struct packet *p)
{
	size_t udp_limit = q->size < 512 ? 512 : q->size;

	if (p->fault)
		return p->fault;
	if (p->len > (q->is_tcp ? MESSAGE_MAX : udp_limit))
		return "longer than the client takes";
	if (p->has_opt != (q->size != 0))
		return "OPT unasked or missing";
	if (p->has_opt && (p->opt_size != 1232 || p->opt_flags != (q->is_dnssec_ok ? 0x8000 : 0)))
		return "size or flags in OPT";
	if ((p->flags & (F_RA | F_Z | F_AD)) || ((p->flags ^ q->flags) & (F_RD | F_CD)))
		return "RD, RA, Z, AD or CD";
	if (p->has_new_compression)
		return "compression in a new type's rdata, RFC 3597 s.4";
	if (p->has_double)
		return "a record twice";
	if (p->has_split_ttl)
		return "an RRset with several TTLs, RFC 2181 s.5.2";
	if (q->is_tcp && (p->flags & F_TC))
		return "TC by TCP";
	if (has_other_chain(p, p))
		return "NSEC3 of two chains, RFC 5155 s.8.2";
	if (lacks_glue(p))
		return "glue is missing and TC too, RFC 9471 s.3.1";
	return is_all_true(p, PART_ADDITIONAL) ? NULL : "additional data that no zone has";
}

static const struct rule *find_rule(const struct question *q, const struct packet *replies,
				    unsigned server)
{
	for (const struct rule *r = rules; r->why; r++)
		if (r->errs(q, replies, server))
			return r;
	return NULL;
}

/*
 * The rule by which a reference errs, when the mirror agrees with all that do not err. They
 * must not all err by the same rule, unless it says so. Else NULL.
 */
static const struct rule *find_excuse(const struct question *q, const struct packet *replies)
{
	const struct rule *first = NULL;
	bool is_free = false;

	for (unsigned i = 0; i < REFERENCES; i++) {
		if (!(q->servers >> i & 1))
			continue;
		if (!difference(&replies[MIRROR], &replies[i])) {
			is_free = true;
			continue;
		}
		const struct rule *r = find_rule(q, replies, i);

		if (!r)
			return NULL;
		first = first ? first : r;
		is_free |= r->is_free || r != first;	/* not all by one mistake */
	}
	return is_free ? first : NULL;
}

/* Names who differs from the mirror, and whether they differ among themselves. */
static const char *describe(const char *what, const struct question *q,
			    const struct packet *replies)
{
	static const char *const names[REFERENCES] = { " NSD", " Knot", " BIND" };
	static char text[160];
	const struct packet *first = NULL;
	size_t len = (size_t)snprintf(text, sizeof(text), "%s unlike", what);
	bool is_split = false;

	for (unsigned i = 0; i < REFERENCES; i++) {
		if (!(q->servers >> i & 1) || !difference(&replies[MIRROR], &replies[i]))
			continue;
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s", names[i]);
		is_split |= first && difference(first, &replies[i]);
		first = first ? first : &replies[i];
	}
	snprintf(text + len, sizeof(text) - len, "%s", is_split ? ", which differ" : "");
	return text;
}

struct verdict compare(const struct question *q, const struct packet *replies)
{
	const char *what = find_misconduct(q, &replies[MIRROR]);

	if (what)
		return (struct verdict){ false, what };
	for (unsigned i = 0; i < REFERENCES && !what; i++)
		if (q->servers >> i & 1)
			what = difference(&replies[MIRROR], &replies[i]);
	if (!what)
		return (struct verdict){ true, NULL };
	const struct rule *excuse = find_excuse(q, replies);

	if (excuse)
		return (struct verdict){ true, excuse->why };
	return (struct verdict){ false, describe(what, q, replies) };
}
