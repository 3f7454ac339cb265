/* SPDX-License-Identifier: ISC */
#include "cache/faithful.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cache/dns.h"
#include "cache/node.h"
#include "cache/nsec3.h"
#include "cache/wire.h"

enum {
	RRSIG_EXPIRATION_AT = 8,	/* offset in RRSIG rdata, RFC 4034 s.3.1 */
	RRSIG_INCEPTION_AT = 12,
	NSEC3_OPTOUT = 1,		/* RFC 5155 s.3.1.2.1 */
	HASHES_PER_DENIAL = 3,		/* closest encloser, next closer name, wildcard */
};

const char *faithful_text(enum faithful_fault fault)
{
	switch (fault) {
	case FAITHFUL:			return "";
	case FAITHFUL_COMPUTED:		return "it has ALIAS or LUA records, which only the primary computes";
	case FAITHFUL_NO_CHAIN:		return "it is signed, but nothing proves what is not there";
	case FAITHFUL_NSEC_GAP:		return "it is signed, but its NSEC chain has a gap";
	case FAITHFUL_NSEC3_GAP:	return "it is signed, but its NSEC3 chain has a gap";
	case FAITHFUL_NSEC3_COST:	return "it has more NSEC3 iterations than we compute";
	case FAITHFUL_EXPIRED:		return "its signatures have expired";
	}
	abort();
}

struct look {
	const struct generation *g;
	uint64_t wall_s;
	struct faithful found;
	const struct node *cover;	/* the last cut or DNAME: what is below it is hidden */
	const uint8_t *next;		/* where the chain goes on, as its last record says */
	const uint8_t *first;		/* NSEC3: the hash that the chain began with */
	bool is_optout;
	size_t hashed;			/* NSEC3 records of the chain */
	size_t least, most;		/* how many the names call for */
};

static void blame(struct look *l, enum faithful_fault fault, const struct node *where)
{
	if (l->found.fault != FAITHFUL && l->found.fault <= fault)
		return;
	l->found.fault = fault;
	l->found.owner = node_name(where);
}

/* ---- The end of signatures ---- */

/* The last of a set's signatures to end; `life_s` is that one's. 0: there is none. */
static uint64_t last_end(const struct rrset *signatures, uint64_t wall_s, uint32_t *life_s)
{
	const uint8_t *rdata;
	uint64_t until = 0;
	uint16_t len;

	for (size_t pos = 0; rrset_next(signatures, &pos, &rdata, &len);) {
		uint32_t end = wire_get_u32(rdata + RRSIG_EXPIRATION_AT);
		int64_t left = (int32_t)(end - (uint32_t)wall_s);
		int64_t at = (int64_t)wall_s + left;

		if (at <= 0 || (uint64_t)at <= until)
			continue;
		until = (uint64_t)at;
		*life_s = end - wire_get_u32(rdata + RRSIG_INCEPTION_AT);
	}
	return until;
}

/* What has ended already is the primary's own doing, and ends nothing here. */
static void note_ends(struct look *l, const struct node *n)
{
	struct rrset set;
	uint32_t life_s = 0;

	for (bool ok = node_find(n, TYPE_RRSIG, &set); ok && set.type == TYPE_RRSIG;
	     ok = node_next(n, &set)) {
		uint64_t end = last_end(&set, l->wall_s, &life_s);

		if (end <= l->wall_s || (l->found.first_end != 0 && end >= l->found.first_end))
			continue;
		l->found.first_end = end;
		l->found.first_life_s = life_s;
		l->found.first_owner = node_name(n);
	}
}

/* ---- NSEC ---- */

static void check_nsec(struct look *l, const struct node *n)
{
	const uint8_t *rdata;
	struct rrset nsec;
	size_t pos = 0;
	uint16_t len;

	if (node_is_empty(n))
		return;
	if (!node_find(n, TYPE_NSEC, &nsec) || !rrset_next(&nsec, &pos, &rdata, &len)) {
		blame(l, FAITHFUL_NSEC_GAP, n);
		return;
	}
	if (l->next && !name_is_equal(l->next, node_name(n)))
		blame(l, FAITHFUL_NSEC_GAP, n);
	l->next = rdata;	/* its first field is a name, uncompressed */
}

/* ---- NSEC3 ---- */

static const uint8_t *next_in_chain(const struct look *l, const struct node *n, uint8_t *flags)
{
	struct nsec3_params params;
	const uint8_t *rdata;
	struct rrset set;
	uint16_t len;

	if (!node_find(n, TYPE_NSEC3, &set))
		return NULL;
	for (size_t pos = 0; rrset_next(&set, &pos, &rdata, &len);)
		if (nsec3_params_parse(rdata, len, &params, flags) &&
		    nsec3_params_are_equal(&params, &l->g->nsec3_params))
			return nsec3_next_hash(rdata, len);
	return NULL;
}

/* Records of other chains, which are being made or were forgotten, do not matter. */
static bool check_nsec3(void *leaf, void *arg)
{
	uint8_t hash[NSEC3_HASH_LEN], flags;
	struct look *l = arg;
	const uint8_t *next = next_in_chain(l, leaf, &flags);

	note_ends(l, leaf);
	if (!next || !nsec3_hash_of_owner(node_name(leaf), hash))
		return true;
	if (l->next && memcmp(l->next, hash, sizeof(hash)) != 0)
		blame(l, FAITHFUL_NSEC3_GAP, leaf);
	if (!l->next)
		l->first = node_name(leaf);
	l->next = next;
	l->is_optout |= flags & NSEC3_OPTOUT;
	l->hashed++;
	return true;
}

static void check_nsec3_end(struct look *l)
{
	uint8_t hash[NSEC3_HASH_LEN];

	if (!l->first || !nsec3_hash_of_owner(l->first, hash) ||
	    memcmp(l->next, hash, sizeof(hash)) != 0)
		blame(l, FAITHFUL_NSEC3_GAP, l->g->apex);
}

/*
 * Opt-out may leave out insecure delegations, and empty non-terminals that lead to no other
 * name: RFC 5155 s.7.1.
 */
static void count_name(struct look *l, const struct node *n)
{
	struct rrset ds;
	bool is_insecure = node_is_cut(n) && !node_find(n, TYPE_DS, &ds);

	l->most++;
	if (!l->is_optout || (!is_insecure && !node_is_empty(n)))
		l->least++;
}

/* ---- All names ---- */

static bool is_hidden(const struct look *l, const struct node *n)
{
	return l->cover && name_is_at_or_below(node_name(n), node_name(l->cover));
}

static bool check_name(void *leaf, void *arg)
{
	const struct node *n = leaf;
	struct look *l = arg;

	if (is_hidden(l, n)) {
		l->most += node_has_dname(l->cover);	/* not every signer leaves these out */
		return true;
	}
	if (node_is_cut(n) || node_has_dname(n))
		l->cover = n;
	if (n->flags & NODE_COMPUTED)
		blame(l, FAITHFUL_COMPUTED, n);
	if (l->found.signed_until == 0)
		return true;
	note_ends(l, n);
	if (l->g->denial == ZONE_DENIAL_NSEC)
		check_nsec(l, n);
	else
		count_name(l, n);
	return true;
}

static void check_names(struct look *l)
{
	bool is_signed = l->found.signed_until > 0;

	tree_walk(&l->g->tree, check_name, l);
	if (!is_signed)
		return;
	switch (l->g->denial) {
	case ZONE_DENIAL_NONE:
		blame(l, FAITHFUL_NO_CHAIN, l->g->apex);
		break;
	case ZONE_DENIAL_NSEC:
		if (!l->next || !name_is_equal(l->next, l->g->origin))
			blame(l, FAITHFUL_NSEC_GAP, l->g->apex);
		break;
	case ZONE_DENIAL_NSEC3:
		if (l->hashed < l->least || l->hashed > l->most)
			blame(l, FAITHFUL_NSEC3_GAP, l->g->apex);
		if (nsec3_cost(&l->g->nsec3_params) * HASHES_PER_DENIAL > NSEC3_QUERY_MAX)
			blame(l, FAITHFUL_NSEC3_COST, l->g->apex);
		break;
	}
}

/* ---- Signatures ---- */

/* The end of the last signature of a type at the apex; 0: there is none. */
static uint64_t valid_until(const struct generation *g, uint16_t type, uint64_t wall_s)
{
	struct rrset set;
	uint32_t life_s;

	return node_find_rrsig(g->apex, type, &set) ? last_end(&set, wall_s, &life_s) : 0;
}

/* Without keys or signatures of its SOA nobody takes the zone for signed. */
static uint64_t signed_until(const struct generation *g, uint64_t wall_s)
{
	uint64_t soa = valid_until(g, TYPE_SOA, wall_s), keys = valid_until(g, TYPE_DNSKEY, wall_s);

	return soa < keys ? soa : keys;
}

struct faithful faithful_check(const struct generation *g, uint64_t wall_s)
{
	struct look l = { .g = g, .wall_s = wall_s };

	l.found.signed_until = signed_until(g, wall_s);
	if (l.found.signed_until > 0 && g->denial == ZONE_DENIAL_NSEC3) {
		tree_walk(&g->nsec3, check_nsec3, &l);
		check_nsec3_end(&l);
	}
	check_names(&l);
	return l.found;
}

enum faithful_fault faithful_at(const struct faithful *f, uint64_t wall_s)
{
	if (f->fault == FAITHFUL && f->signed_until > 0 && wall_s >= f->signed_until)
		return FAITHFUL_EXPIRED;
	return f->fault;
}
