/* SPDX-License-Identifier: ISC */
/* Canonical order and cover of NSEC: RFC 4034 s.6.1, RFC 4035 s.5.4. Chains of NSEC3: RFC 5155. */
#include "tests/system/differ/compare.h"

#include <string.h>

#include <ldns/ldns.h>

#include "tests/system/differ/truth.h"

enum { LABELS_MAX = 128 };

static unsigned labels_of(const uint8_t *name, uint8_t *starts)
{
	unsigned count = 0;

	for (size_t at = 0; name[at] != 0; at += name[at] + 1u)
		starts[count++] = (uint8_t)at;
	return count;
}

/* How many labels two names share, from the root; `order` as memcmp() has it. */
static unsigned compare_names(const uint8_t *a, const uint8_t *b, int *order)
{
	uint8_t in_a[LABELS_MAX], in_b[LABELS_MAX];
	unsigned a_count = labels_of(a, in_a), b_count = labels_of(b, in_b), i;

	for (i = 0; i < a_count && i < b_count; i++) {
		const uint8_t *x = a + in_a[a_count - 1 - i], *y = b + in_b[b_count - 1 - i];
		int head = memcmp(x + 1, y + 1, x[0] < y[0] ? x[0] : y[0]);

		*order = head ? head : x[0] - y[0];
		if (*order != 0)
			return i;
	}
	*order = (int)a_count - (int)b_count;
	return i;
}

static bool covers(const struct record *nsec, const uint8_t *name)
{
	const uint8_t *owner = nsec->bytes, *next = nsec->bytes + nsec->owner_len + 8;
	int to_owner, to_next, wrap;

	compare_names(name, owner, &to_owner);
	compare_names(name, next, &to_next);
	compare_names(next, owner, &wrap);
	/* the last one leads back to the apex, and covers what is behind it */
	return to_owner > 0 && (to_next < 0 || wrap <= 0);
}

static const struct record *find_cover(const struct packet *p, const uint8_t *name)
{
	for (unsigned i = 0; i < p->counts[PART_AUTHORITY]; i++)
		if (p->parts[PART_AUTHORITY][i].type == T_NSEC &&
		    covers(&p->parts[PART_AUTHORITY][i], name))
			return &p->parts[PART_AUTHORITY][i];
	return NULL;
}

/* "*" below the closest encloser that the covering NSEC leaves. */
static void wildcard_of(const uint8_t *name, const struct record *cover, uint8_t *wildcard)
{
	uint8_t starts[LABELS_MAX];
	unsigned count = labels_of(name, starts), with_owner, with_next;
	int order;

	with_owner = compare_names(name, cover->bytes, &order);
	with_next = compare_names(name, cover->bytes + cover->owner_len + 8, &order);
	unsigned shared = with_owner > with_next ? with_owner : with_next;
	const uint8_t *encloser = shared ? name + starts[count - shared] : (const uint8_t *)"";
	size_t at = 0;

	while (encloser[at] != 0)
		at += encloser[at] + 1u;
	memcpy(wildcard, "\1*", 2);
	memcpy(wildcard + 2, encloser, at + 1);
}

/* The name that the chain of aliases in an answer leads to. */
static const uint8_t *last_name(const struct packet *p, const uint8_t *name)
{
	for (unsigned links = 0; links <= p->counts[PART_ANSWER]; links++) {
		const uint8_t *next = NULL;

		for (unsigned i = 0; i < p->counts[PART_ANSWER]; i++) {
			const struct record *r = &p->parts[PART_ANSWER][i];
			int order;

			compare_names(r->bytes, name, &order);
			if (r->type == T_CNAME && order == 0)
				next = r->bytes + r->owner_len + 8;
		}
		if (!next)
			return name;
		name = next;
	}
	return name;
}

/* The first alias is one that a DNAME made. */
static bool is_made_by_dname(const struct packet *p, const uint8_t *asked)
{
	uint8_t starts[LABELS_MAX];
	int order;

	for (unsigned i = 0; i < p->counts[PART_ANSWER]; i++) {
		const struct record *r = &p->parts[PART_ANSWER][i];

		if (r->type == T_DNAME &&
		    compare_names(asked, r->bytes, &order) == labels_of(r->bytes, starts))
			return true;
	}
	return false;
}

/* An alias of a signed zone, which the zone has not in this form. */
static bool is_made_by_wildcard(const struct question *q, const struct packet *p,
				const uint8_t *asked)
{
	const uint8_t *origin = truth_zone_of(asked, q->name_len);
	size_t len = 0;

	while (origin && origin[len] != 0)
		len += origin[len] + 1u;
	return origin && truth_has_set(origin, len + 1, T_DNSKEY) &&
	       !is_made_by_dname(p, asked) && !truth_has_set(asked, q->name_len, T_CNAME);
}

bool is_denial_whole(const struct question *q, const struct packet *p)
{
	uint8_t asked[NAME_MAX_LEN], wildcard[2 + NAME_MAX_LEN];
	const struct record *cover;
	const uint8_t *name;

	question_name(q, asked);
	name = last_name(p, asked);
	cover = find_cover(p, name);
	if (name != asked && is_made_by_wildcard(q, p, asked)) {
		if (!find_cover(p, asked))
			return false;	/* it is a wildcard's alias */
		if (p->rcode == 0)
			return true;
	}
	if (p->rcode != 3)
		return cover != NULL || p->rcode != 0;
	if (!cover)
		return false;
	wildcard_of(name, cover, wildcard);
	return find_cover(p, wildcard) != NULL;
}

/* NSEC3 of one zone, but with other iterations or another salt: RFC 5155 s.3.2. */
static bool is_of_other_chain(const struct record *a, const struct record *b)
{
	size_t a_hash = a->bytes[0] + 1u, b_hash = b->bytes[0] + 1u;
	const uint8_t *x = a->bytes + a->owner_len + 8, *y = b->bytes + b->owner_len + 8;

	if (a->type != T_NSEC3 || b->type != T_NSEC3 || a->owner_len != b->owner_len ||
	    memcmp(a->bytes + a_hash, b->bytes + b_hash, a->owner_len - a_hash) != 0)
		return false;
	return memcmp(x + 2, y + 2, 3) != 0 || memcmp(x + 5, y + 5, x[4]) != 0;
}

bool has_other_chain(const struct packet *a, const struct packet *b)
{
	for (unsigned i = 0; i < a->counts[PART_AUTHORITY]; i++)
		for (unsigned k = 0; k < b->counts[PART_AUTHORITY]; k++)
			if (is_of_other_chain(&a->parts[PART_AUTHORITY][i],
					      &b->parts[PART_AUTHORITY][k]))
				return true;
	return false;
}

static bool is_nsec3_of(const struct record *r, const uint8_t *name, size_t len)
{
	const uint8_t *rdata = r->bytes + r->owner_len + 8;
	ldns_rdf *dname = ldns_dname_new_frm_data((uint16_t)len, name);
	ldns_rdf *hash = ldns_nsec3_hash_name(dname, rdata[0], read_u16(rdata + 2), rdata[4],
					      rdata + 5);
	bool is_same = hash && memcmp(ldns_rdf_data(hash), r->bytes, r->bytes[0] + 1u) == 0;

	ldns_rdf_deep_free(dname);
	ldns_rdf_deep_free(hash);
	return is_same;
}

static bool has_nsec3_of(const struct packet *p, const uint8_t *name, size_t len)
{
	for (unsigned i = 0; i < p->counts[PART_AUTHORITY]; i++)
		if (p->parts[PART_AUTHORITY][i].type == T_NSEC3 &&
		    is_nsec3_of(&p->parts[PART_AUTHORITY][i], name, len))
			return true;
	return false;
}

bool has_encloser(const struct question *q, const struct packet *p)
{
	uint8_t asked[NAME_MAX_LEN], starts[LABELS_MAX];

	question_name(q, asked);
	const uint8_t *name = last_name(p, asked);
	unsigned count = labels_of(name, starts);
	size_t len = count ? starts[count - 1] + name[starts[count - 1]] + 2u : 1;

	for (unsigned i = 1; i < count; i++)
		if (has_nsec3_of(p, name + starts[i], len - starts[i]))
			return true;
	return false;
}
