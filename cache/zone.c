/* SPDX-License-Identifier: ISC */
#include "cache/zone.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cache/catalog.h"
#include "cache/dns.h"
#include "cache/history.h"
#include "cache/node.h"

const char *zone_error_text(enum zone_error e)
{
	switch (e) {
	case ZONE_OK:			return "no error";
	case ZONE_OUT_OF_ZONE:		return "owner name outside the zone";
	case ZONE_NO_SOA:		return "no SOA at the apex";
	case ZONE_SOA_ELSEWHERE:	return "SOA below the apex, or a second one at it";
	case ZONE_NO_NS:		return "no NS at the apex";
	case ZONE_CNAME_CLASH:		return "CNAME beside other data, or a second one";
	case ZONE_RRSET_OVER:		return "over the limit of records in one RRset: raise max-rrset";
	case ZONE_RRSET_TOO_BIG:	return "more than 4096 records or 64 kB in one RRset";
	case ZONE_TYPES_TOO_MANY:	return "more than 100 types at one name";
	case ZONE_TOO_BIG:		return "zone over the configured limit of records or bytes";
	case ZONE_SCATTERED:		return "records of names that have many do not come together";
	case ZONE_NO_RECORD:		return "deletion of a record that is not there";
	case ZONE_DUPLICATE:		return "addition of a record that is there";
	case ZONE_BAD_RDATA:		return "record data that does not fit its type";
	case ZONE_NO_CATALOG:		return "no usable catalog";
	}
	abort();
}

/* ---- Walking ---- */

const struct node *generation_first(const struct generation *g)
{
	return g->apex;
}

const struct node *generation_next(const struct generation *g, const struct node *n)
{
	const struct node *next;
	struct name_key key;

	name_to_key(node_name(n), &key);
	if (n->flags & NODE_NSEC3)
		return tree_after(&g->nsec3, &key);
	next = tree_after(&g->tree, &key);
	return next ? next : tree_first(&g->nsec3);
}

struct walk {
	zone_record_fn visit;
	void *arg;
};

static bool walk_set(const struct walk *w, const struct node *n, const struct rrset *set)
{
	const uint8_t *rdata;
	uint16_t len;

	for (size_t pos = 0; rrset_next(set, &pos, &rdata, &len);)
		if (!w->visit(node_name(n), set->type, set->ttl, rdata, len, w->arg))
			return false;
	return true;
}

/* All of a node but the SOA, which generation_walk() has visited before all else. */
static bool walk_node(void *leaf, void *arg)
{
	struct rrset set;

	for (bool ok = node_first(leaf, &set); ok; ok = node_next(leaf, &set))
		if (set.type != TYPE_SOA && !walk_set(arg, leaf, &set))
			return false;
	return true;
}

bool generation_walk(const struct generation *g, zone_record_fn visit, void *arg)
{
	struct walk w = { visit, arg };
	struct rrset soa;

	if (node_find(g->apex, TYPE_SOA, &soa) && !walk_set(&w, g->apex, &soa))
		return false;
	return tree_walk(&g->tree, walk_node, &w) && tree_walk(&g->nsec3, walk_node, &w);
}

/* ---- Differences ---- */

enum { COMPARED_MAX = 256 };	/* records of a set that are compared one by one */

struct diff {
	struct walk removed, added;
};

/* The set of `n` that is the same but for its records; false when there is none. */
static bool find_same_set(const struct node *n, const struct rrset *like, struct rrset *set)
{
	bool ok = like->type == TYPE_RRSIG ? node_find_rrsig(n, like->covered, set)
					   : node_find(n, like->type, set);

	return ok && set->ttl == like->ttl;
}

/*
 * True when `set` has exactly this record. The search begins at *hint and leaves it behind
 * the record: sets that are nearly the same are compared in one pass.
 */
static bool set_has(const struct rrset *set, size_t *hint, const uint8_t *rdata, uint16_t len)
{
	const uint8_t *have;
	uint16_t have_len;
	size_t start = *hint;

	for (size_t pos = start; rrset_next(set, &pos, &have, &have_len);)
		if (have_len == len && memcmp(have, rdata, len) == 0) {
			*hint = pos;
			return true;
		}
	for (size_t pos = 0; pos < start && rrset_next(set, &pos, &have, &have_len);)
		if (have_len == len && memcmp(have, rdata, len) == 0) {
			*hint = pos;
			return true;
		}
	return false;
}

static bool is_same_data(const struct rrset *a, const struct rrset *b)
{
	return a->rdata_len == b->rdata_len && memcmp(a->rdata, b->rdata, a->rdata_len) == 0;
}

/*
 * Visits the records of `set` that `than` lacks. Large sets that differ count as wholly removed
 * and added: in another order they would take a comparison of all with all.
 */
static bool walk_set_without(const struct walk *w, const struct node *n, const struct rrset *set,
			     const struct rrset *than)
{
	const uint8_t *rdata;
	uint16_t len;

	if (is_same_data(set, than))
		return true;
	if (set->count > COMPARED_MAX || than->count > COMPARED_MAX)
		return walk_set(w, n, set);
	for (size_t pos = 0, hint = 0; rrset_next(set, &pos, &rdata, &len);)
		if (!set_has(than, &hint, rdata, len) &&
		    !w->visit(node_name(n), set->type, set->ttl, rdata, len, w->arg))
			return false;
	return true;
}

/* Visits the records of `n` that `than` lacks; `than` has the same name, or is NULL. */
static bool walk_node_without(const struct walk *w, const struct node *n, const struct node *than)
{
	struct rrset set, same;

	if (than && memcmp(node_name(n), node_name(than), n->name_len) != 0)
		than = NULL;	/* the case differs: see zone.h */
	for (bool ok = node_first(n, &set); ok; ok = node_next(n, &set)) {
		bool has_same = than && find_same_set(than, &set, &same);

		if (has_same ? !walk_set_without(w, n, &set, &same) : !walk_set(w, n, &set))
			return false;
	}
	return true;
}

static bool diff_node(void *old_leaf, void *new_leaf, void *arg)
{
	const struct diff *d = arg;

	if (old_leaf && !walk_node_without(&d->removed, old_leaf, new_leaf))
		return false;
	return !new_leaf || walk_node_without(&d->added, new_leaf, old_leaf);
}

bool generation_diff(const struct generation *old, const struct generation *new,
		     zone_record_fn removed, zone_record_fn added, void *arg)
{
	struct diff d = { { removed, arg }, { added, arg } };

	return tree_diff(&old->tree, &new->tree, diff_node, &d) &&
	       tree_diff(&old->nsec3, &new->nsec3, diff_node, &d);
}

/* ---- Life ---- */

/* A pin is the one thing that changes in a published generation, hence the casts. */
void generation_hold(const struct generation *g)
{
	atomic_fetch_add_explicit(&((struct generation *)g)->holds, 1, memory_order_relaxed);
}

void generation_drop(const struct generation *g)
{
	uint32_t before = atomic_fetch_sub_explicit(&((struct generation *)g)->holds, 1,
						    memory_order_release);

	assert(before > 0);
	(void)before;
}

bool generation_is_held(const struct generation *g)
{
	return atomic_load_explicit(&((struct generation *)g)->holds, memory_order_acquire) > 0;
}

void generation_free(struct generation *g)
{
	if (!g)
		return;
	assert(!generation_is_held(g));
	history_free(g->history);
	catalog_free(g->catalog);
	tree_clear(&g->tree);
	tree_clear(&g->nsec3);
	free(g);
}
