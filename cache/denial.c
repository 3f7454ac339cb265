/* SPDX-License-Identifier: ISC */
#include "cache/denial.h"

#include <assert.h>
#include <string.h>

#include "cache/dns.h"
#include "cache/node.h"

/*
 * How far to look for a record of the chain: names without one are few in a sound zone, and so
 * are chains. What a hostile zone may cost is the product of these.
 */
enum { STEPS_MAX = 256, RECORDS_MAX = 8, CHAINS_MAX = 8 };

static void add(struct denial *d, const struct node *n)
{
	for (unsigned i = 0; i < d->count; i++)
		if (d->nodes[i] == n)
			return;
	assert(d->count < DENIAL_NODES_MAX);
	d->nodes[d->count++] = n;
}

/* ---- NSEC ---- */

/* A cut or DNAME at or above `n`, which hides what is below it, or `n`. */
static const struct node *visible(const struct generation *g, const struct node *n)
{
	struct tree_match at;
	struct name_key key;

	name_to_key(node_name(n), &key);
	tree_find(&g->tree, &key, &at);
	for (unsigned i = 0; i < at.depth; i++)
		if (node_is_cut(at.chain[i]) || node_has_dname(at.chain[i]))
			return at.chain[i];
	return n;
}

/* The NSEC whose interval holds a name that has none: that of the nearest name before it. */
static void add_nsec_over(struct denial *d, const struct generation *g, const struct name_key *key)
{
	const struct node *n = visible(g, tree_before(&g->tree, key));
	struct name_key here;
	struct rrset set;

	/* The apex has one and is the first of all. */
	for (int i = 0; i < STEPS_MAX && !node_find(n, TYPE_NSEC, &set); i++) {
		name_to_key(node_name(n), &here);
		n = visible(g, tree_before(&g->tree, &here));
	}
	add(d, n);
}

/* At a node; or over it, when it is an empty non-terminal. */
static void add_nsec_at(struct denial *d, const struct generation *g, const struct node *n)
{
	struct name_key key;
	struct rrset set;

	if (node_find(n, TYPE_NSEC, &set)) {
		add(d, n);
		return;
	}
	name_to_key(node_name(n), &key);
	add_nsec_over(d, g, &key);
}

/* ---- NSEC3 ---- */

/* Has an NSEC3 of the chain in use. */
static bool is_in_chain(const struct generation *g, const struct node *n)
{
	struct nsec3_params params;
	const uint8_t *rdata;
	struct rrset set;
	uint8_t flags;
	uint16_t len;
	int looked = 0;

	if (!node_find(n, TYPE_NSEC3, &set))
		return false;
	for (size_t pos = 0; looked < RECORDS_MAX && rrset_next(&set, &pos, &rdata, &len); looked++)
		if (nsec3_params_parse(rdata, len, &params, &flags) &&
		    nsec3_params_are_equal(&params, &g->nsec3_params))
			return true;
	return false;
}

/* The place of a name in the chain. False when it cannot be known. */
static bool find_place(struct denial *d, const struct generation *g, const uint8_t *name,
		       struct name_key *key)
{
	uint8_t owner[NAME_LEN_MAX], hash[NSEC3_HASH_LEN];

	if (!d->hasher || !nsec3_hash(d->hasher, &g->nsec3_params, name, hash)) {
		d->is_over = true;
		return false;
	}
	if (!nsec3_owner_of_hash(hash, g->origin, owner))
		return false;
	name_to_key(owner, key);
	return true;
}

static const struct node *nsec3_at(struct denial *d, const struct generation *g,
				   const uint8_t *name)
{
	const struct node *n;
	struct name_key key;

	if (g->nsec3_apex && name_is_equal(name, g->origin))
		return g->nsec3_apex;
	if (!find_place(d, g, name, &key))
		return NULL;
	n = tree_get(&g->nsec3, &key);
	return n && is_in_chain(g, n) ? n : NULL;
}

/* The last one's interval goes round to the first. The chain in use is not empty. */
static const struct node *one_before(const struct generation *g, const struct name_key *key)
{
	const struct node *n = tree_before(&g->nsec3, key);

	return n ? n : tree_last(&g->nsec3);
}

/* The record whose interval holds a hash that has none: those of other chains lie between. */
static const struct node *nsec3_over(const struct generation *g, const struct name_key *key)
{
	const struct node *n = one_before(g, key);
	struct name_key here;

	for (int i = 0; i < STEPS_MAX && !is_in_chain(g, n); i++) {
		name_to_key(node_name(n), &here);
		n = one_before(g, &here);
	}
	return n;
}

static const struct node *nsec3_over_name(struct denial *d, const struct generation *g,
					  const uint8_t *name)
{
	struct name_key key;

	return find_place(d, g, name, &key) ? nsec3_over(g, &key) : NULL;
}

static void add_nsec3_over(struct denial *d, const struct generation *g, const uint8_t *name)
{
	const struct node *n = nsec3_over_name(d, g, name);

	if (n)
		add(d, n);
}

/* The ancestor of `name` that has one label more than `encloser`: RFC 5155 s.1.3. */
static const uint8_t *next_closer(const uint8_t *name, const uint8_t *encloser)
{
	return name_skip(name, name_label_count(name) - name_label_count(encloser) - 1);
}

/*
 * RFC 5155 s.7.2.1. Opt-out leaves names out of the chain: then the proof begins higher up, at
 * the closest *provable* encloser, which is returned; NULL when there is none.
 */
static const uint8_t *add_encloser(struct denial *d, const struct generation *g,
				   const uint8_t *name, const uint8_t *encloser)
{
	for (;;) {
		const struct node *n = nsec3_at(d, g, encloser);

		if (n) {
			add(d, n);
			add_nsec3_over(d, g, next_closer(name, encloser));
			return encloser;
		}
		if (d->is_over || name_is_equal(encloser, g->origin))
			return NULL;
		encloser = name_skip(encloser, 1);
	}
}

static void add_nsec3_at(struct denial *d, const struct generation *g, const struct node *n)
{
	const struct node *at = nsec3_at(d, g, node_name(n));

	if (at)
		add(d, at);
	else if (!d->is_over && n != g->apex)
		add_encloser(d, g, node_name(n), name_skip(node_name(n), 1));
}

/* ---- Proofs ---- */

/* "*" at a name that has, or could have, something below it: so there is room. */
static void make_wildcard(const uint8_t *encloser, uint8_t name[NAME_LEN_MAX])
{
	size_t len = name_len(encloser);

	assert(len + 2 <= NAME_LEN_MAX);
	name[0] = 1;
	name[1] = '*';
	memcpy(name + 2, encloser, len);
}

void denial_begin(struct denial *d, struct nsec3_hasher *hasher)
{
	d->hasher = hasher;
	d->is_over = false;
	d->count = 0;
}

void denial_of_type(struct denial *d, const struct generation *g, const struct node *n)
{
	if (g->denial == ZONE_DENIAL_NSEC)
		add_nsec_at(d, g, n);
	else if (g->denial == ZONE_DENIAL_NSEC3)
		add_nsec3_at(d, g, n);
}

static void add_nsec_over_wildcard(struct denial *d, const struct generation *g,
				   const struct node *encloser)
{
	uint8_t wildcard[NAME_LEN_MAX];
	struct name_key key;

	make_wildcard(node_name(encloser), wildcard);
	name_to_key(wildcard, &key);
	add_nsec_over(d, g, &key);
}

static void add_nsec3_over_name(struct denial *d, const struct generation *g, const uint8_t *name,
				const struct node *encloser)
{
	const uint8_t *proven = add_encloser(d, g, name, node_name(encloser));
	uint8_t wildcard[NAME_LEN_MAX];

	if (!proven)
		return;
	if (g->nsec3_star && name_is_equal(proven, g->origin)) {
		add(d, g->nsec3_star);
		return;
	}
	make_wildcard(proven, wildcard);
	add_nsec3_over(d, g, wildcard);
}

void denial_of_name(struct denial *d, const struct generation *g, const uint8_t *name,
		    const struct name_key *key, const struct node *encloser)
{
	if (g->denial == ZONE_DENIAL_NSEC) {
		add_nsec_over(d, g, key);
		add_nsec_over_wildcard(d, g, encloser);
	} else if (g->denial == ZONE_DENIAL_NSEC3) {
		add_nsec3_over_name(d, g, name, encloser);
	}
}

void denial_of_exact_name(struct denial *d, const struct generation *g, const uint8_t *name,
			  const struct name_key *key, const struct node *encloser)
{
	if (g->denial == ZONE_DENIAL_NSEC)
		add_nsec_over(d, g, key);
	else if (g->denial == ZONE_DENIAL_NSEC3)
		add_nsec3_over(d, g, next_closer(name, node_name(encloser)));
}

void denial_of_wildcard_type(struct denial *d, const struct generation *g,
			     const struct node *encloser, const struct node *wildcard)
{
	const struct node *n;

	if (g->denial == ZONE_DENIAL_NSEC3 && (n = nsec3_at(d, g, node_name(encloser))) != NULL)
		add(d, n);
	denial_of_type(d, g, wildcard);
}

/* ---- The chain in use ---- */

/* How many of the zone's first NSEC3 belong to it: other chains are being made, or forgotten. */
static unsigned count_in_chain(const struct generation *g)
{
	const struct node *n = tree_first(&g->nsec3);
	struct name_key key;
	unsigned count = 0;

	for (int i = 0; n && i < STEPS_MAX; i++) {
		count += is_in_chain(g, n);
		name_to_key(node_name(n), &key);
		n = tree_after(&g->nsec3, &key);
	}
	return count;
}

/*
 * So many that nsec3_over() finds its records among those of the others: one with opt-out may be
 * thin beside one without.
 */
static bool is_dense(const struct generation *g, unsigned count)
{
	return count * CHAINS_MAX >= STEPS_MAX || (count > 0 && g->nsec3.count <= STEPS_MAX);
}

/*
 * RFC 5155 s.4: an NSEC3PARAM with flags 0 says that its chain is whole. Of several we may choose
 * (s.7.3): the first, as other servers do, or the densest.
 */
static bool settle_nsec3(struct generation *g)
{
	struct nsec3_params densest = g->nsec3_params;
	unsigned count, most = 0;
	struct rrset set;
	const uint8_t *rdata;
	uint16_t len;
	uint8_t flags;
	int looked = 0;

	if (!node_find(g->apex, TYPE_NSEC3PARAM, &set))
		return false;
	for (size_t pos = 0; looked < CHAINS_MAX && rrset_next(&set, &pos, &rdata, &len); looked++) {
		if (!nsec3_params_parse(rdata, len, &g->nsec3_params, &flags) || flags != 0)
			continue;
		count = count_in_chain(g);
		if (is_dense(g, count))
			return true;
		if (count > most) {
			most = count;
			densest = g->nsec3_params;
		}
	}
	g->nsec3_params = densest;
	return most > 0;
}

/* What denials below the apex have in common. What costs too much hashing is left to them. */
static void prepare_apex(struct generation *g)
{
	struct nsec3_hasher *hasher = nsec3_hasher_new();
	uint8_t wildcard[NAME_LEN_MAX];
	struct denial d;

	denial_begin(&d, hasher);
	g->nsec3_apex = nsec3_at(&d, g, g->origin);
	if (g->nsec3_apex && name_len(g->origin) + 2 <= NAME_LEN_MAX) {
		make_wildcard(g->origin, wildcard);
		g->nsec3_star = nsec3_over_name(&d, g, wildcard);
	}
	nsec3_hasher_free(hasher);
}

void denial_settle(struct generation *g)
{
	struct rrset set;

	if (settle_nsec3(g))
		g->denial = ZONE_DENIAL_NSEC3;
	else if (node_find(g->apex, TYPE_NSEC, &set))
		g->denial = ZONE_DENIAL_NSEC;
	else
		g->denial = ZONE_DENIAL_NONE;
	if (g->denial == ZONE_DENIAL_NSEC3)
		prepare_apex(g);
}
