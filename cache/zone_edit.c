/* SPDX-License-Identifier: ISC */
/*
 * zone_edit - the building half of zone.h.
 *
 * One owner at a time is *open*: its records are in the draft. When another owner comes, the
 * open one is closed: packed into a node that replaces the old one in the tree. The counts of
 * records and bytes follow each record at once; the tree, the empty non-terminals and the
 * count of clashes follow when an owner is closed.
 *
 * NSEC3 records have a tree of their own, with an open owner of its own: in a transfer they
 * stand between the names.
 */
#include "cache/zone.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cache/denial.h"
#include "cache/dns.h"
#include "cache/draft.h"
#include "cache/memory.h"
#include "cache/node.h"
#include "cache/priority.h"
#include "cache/wire.h"

/* The owner whose records are being changed. */
struct owner {
	bool is_open;
	size_t name_len;
	struct draft draft;
	struct name_key key;
	struct node *found;		/* its node in the tree, or NULL */
	unsigned missing;		/* names between it and its closest encloser */
};

struct zone_edit {
	struct tree tree, nsec3;
	struct tree_path last, last_hashed;	/* of those, as long as nothing is shared with a base */
	bool has_base;
	uint8_t origin[NAME_LEN_MAX];	/* lower case */
	size_t origin_len;
	struct name_key origin_key;
	size_t max_records, max_bytes;	/* 0: no bound */
	size_t records, bytes, empties;
	size_t clashes;			/* nodes with NODE_CLASH */
	uint64_t may_move;		/* bytes of nodes that are opened again; see open_for() */
	struct owner owner, hashed;	/* of `tree`, of `nsec3` */
};

/* ---- Nodes in the tree ---- */

static bool is_apex(const struct zone_edit *e, const struct name_key *key)
{
	return key->len == e->origin_key.len;	/* all keys of a zone begin alike */
}

/* Keeps the counts that follow nodes; `step` is 1 for a node that comes, -1 for one that goes. */
static void count_node(struct zone_edit *e, const struct node *n, int step)
{
	if (node_is_empty(n))
		e->empties += (size_t)step;
	if (n->flags & NODE_CLASH)
		e->clashes += (size_t)step;
}

/* `last`: the way to the last of `t`; of no use while that shares twigs with a base. */
static void put_leaf(const struct zone_edit *e, struct tree *t, struct tree_path *last,
		     struct node *n, const struct name_key *key)
{
	if (e->has_base)
		tree_put(t, n);
	else
		tree_put_next(t, last, n, key);
}

/* `n` takes its place in the tree, that of `old` if there is one. */
static void put_node(struct zone_edit *e, struct node *n, const struct name_key *key, const struct node *old)
{
	if (old)
		count_node(e, old, -1);
	count_node(e, n, 1);
	put_leaf(e, &e->tree, &e->last, n, key);
}

static void put_empty(struct zone_edit *e, const uint8_t *name, const struct node *old)
{
	struct name_key key;

	name_to_key(name, &key);
	put_node(e, node_new(name, false, NULL, 0), &key, old);
}

static bool has_below(const struct zone_edit *e, const struct name_key *key, const uint8_t *name)
{
	const struct node *next = tree_after(&e->tree, key);

	return next && name_is_at_or_below(node_name(next), name);
}

/*
 * Takes out the node of a name that has no records left, and its empty ancestors for as long
 * as nothing else needs them. With names below, it stays as an empty non-terminal.
 */
static void prune(struct zone_edit *e, const struct node *n)
{
	uint8_t name[NAME_LEN_MAX];
	const uint8_t *at = name;
	struct name_key key;

	memcpy(name, node_name(n), n->name_len);	/* `n` may be freed on the way */
	name_to_key(at, &key);
	if (is_apex(e, &key) || has_below(e, &key, at)) {
		put_empty(e, at, n);
		return;
	}
	e->last.depth = 0;
	do {
		count_node(e, n, -1);
		tree_del(&e->tree, &key);
		at = name_skip(at, 1);
		name_to_key(at, &key);
		n = tree_get(&e->tree, &key);
	} while (!is_apex(e, &key) && node_is_empty(n) && !has_below(e, &key, at));
}

/* ---- The open owners ---- */

static size_t wire_len(size_t owner_len, uint16_t rdata_len)
{
	return owner_len + 10 + rdata_len;
}

static void close_owner(struct zone_edit *e)
{
	struct owner *o = &e->owner;

	if (!o->is_open)
		return;
	o->is_open = false;
	if (!o->draft.is_changed)
		return;
	if (o->draft.set_count == 0) {
		if (o->found)
			prune(e, o->found);
		return;
	}
	for (unsigned up = o->missing; up > 0; up--)
		put_empty(e, name_skip(o->draft.owner, up), NULL);
	put_node(e, draft_pack(&o->draft, is_apex(e, &o->key)), &o->key, o->found);
}

/* A hashed owner name is no name of the zone: nothing above it comes to be by it. */
static void close_hashed(struct zone_edit *e)
{
	struct owner *o = &e->hashed;

	if (!o->is_open)
		return;
	o->is_open = false;
	if (!o->draft.is_changed)
		return;
	if (o->draft.set_count > 0) {
		put_leaf(e, &e->nsec3, &e->last_hashed, draft_pack(&o->draft, false), &o->key);
	} else if (o->found) {
		e->last_hashed.depth = 0;
		tree_del(&e->nsec3, &o->key);
	}
}

/* Its name is at or below the origin, and so is its key. */
static void name_owner(const struct zone_edit *e, struct owner *o, const uint8_t *name, size_t name_len)
{
	o->name_len = name_len;
	name_to_key_below(name, name_len - e->origin_len, &e->origin_key, &o->key);
}

static void open_found(struct owner *o, const uint8_t *name)
{
	if (o->found)
		draft_load(&o->draft, o->found);
	else
		draft_start(&o->draft, name);
	o->is_open = true;
}

static void find_owner(const struct zone_edit *e, struct owner *o)
{
	struct tree_match match;
	unsigned labels;

	if (tree_path_ends_before(&e->last, &o->key, &labels)) {
		o->found = NULL;
		o->missing = o->key.label_count - labels - 1;
		return;
	}
	tree_find(&e->tree, &o->key, &match);
	assert(match.depth > 0);	/* the apex is always there */
	o->found = match.exact;
	/* The chain has every name from the apex to the closest encloser. */
	o->missing = match.exact ? 0 : o->key.label_count - e->origin_key.label_count - match.depth;
}

static void open_owner(struct zone_edit *e, const uint8_t *name, size_t name_len)
{
	close_owner(e);
	name_owner(e, &e->owner, name, name_len);
	find_owner(e, &e->owner);
	open_found(&e->owner, name);
}

static void open_hashed(struct zone_edit *e, const uint8_t *name, size_t name_len)
{
	struct owner *o = &e->hashed;
	unsigned labels;

	close_hashed(e);
	name_owner(e, o, name, name_len);
	o->found = tree_path_ends_before(&e->last_hashed, &o->key, &labels)
		   ? NULL : tree_get(&e->nsec3, &o->key);
	o->missing = 0;
	open_found(o, name);
}

/* NSEC3 and its signatures. */
static bool is_hashed(const struct draft_record *r)
{
	if (r->type == TYPE_RRSIG && r->rdata_len >= 2)
		return wire_get_u16(r->rdata) == TYPE_NSEC3;
	return r->type == TYPE_NSEC3;
}

/* A record has come or gone, of so many bytes. */
static void earn(struct zone_edit *e, size_t len)
{
	e->may_move += ZONE_MOVED_PER_BYTE * len;
	if (e->may_move > ZONE_MOVED_MAX)
		e->may_move = ZONE_MOVED_MAX;
}

static bool spend(struct zone_edit *e, const struct node *n)
{
	size_t len = n ? n->sets_len : 0;

	if (len > e->may_move)
		return false;
	e->may_move -= len;
	return true;
}

/*
 * NULL when it is too much work. Two names that come by turns, 13 MB of records at each, take
 * 10 ms for every record: a hostile primary has them cheaply, and all zones wait for us.
 */
static struct owner *open_for(struct zone_edit *e, const uint8_t *name, size_t name_len,
			      const struct draft_record *r)
{
	struct owner *o = is_hashed(r) ? &e->hashed : &e->owner;

	earn(e, wire_len(name_len, r->rdata_len));
	if (o->is_open && name_len == o->name_len && name_ends_with(name, name_len, o->draft.owner, name_len))
		return o;
	if (o == &e->hashed)
		open_hashed(e, name, name_len);
	else
		open_owner(e, name, name_len);
	return spend(e, o->found) ? o : NULL;
}

/* ---- Edits ---- */

struct zone_edit *zone_edit_new(const uint8_t *origin, const struct generation *base,
				size_t max_records, size_t max_bytes)
{
	struct zone_edit *e = memory_zeroed(1, sizeof(*e));

	e->origin_len = name_len(origin);
	memcpy(e->origin, origin, e->origin_len);
	name_lower(e->origin);
	name_to_key(e->origin, &e->origin_key);
	e->max_records = max_records;
	e->max_bytes = max_bytes;
	e->may_move = ZONE_MOVED_MAX;
	draft_init(&e->owner.draft);
	draft_init(&e->hashed.draft);
	e->has_base = base != NULL;
	if (base) {
		assert(name_is_equal(origin, base->origin));
		tree_copy(&e->tree, &base->tree);
		tree_copy(&e->nsec3, &base->nsec3);
		e->records = base->records;
		e->bytes = base->bytes;
		e->empties = base->empties;
	} else {
		tree_init(&e->tree, &node_tree_ops);
		tree_init(&e->nsec3, &node_tree_ops);
		put_empty(e, e->origin, NULL);
	}
	return e;
}

void zone_edit_limit_rrset(struct zone_edit *e, unsigned max_records)
{
	e->owner.draft.max_set = e->hashed.draft.max_set =
		max_records ? max_records : ZONE_RRSET_RECORDS_MAX;
}

void zone_edit_free(struct zone_edit *e)
{
	if (!e)
		return;
	draft_fini(&e->owner.draft);
	draft_fini(&e->hashed.draft);
	tree_clear(&e->tree);
	tree_clear(&e->nsec3);
	free(e);
}

/* Question types and OPT are no data: RFC 6895 s.3.1. */
static bool is_data_type(uint16_t type)
{
	return type != 0 && type != TYPE_OPT && (type < 128 || type > 255);
}

/* Also bounds the nodes that no record pays for: a name of 120 labels makes as many. */
static bool is_over(const struct zone_edit *e, size_t more_bytes)
{
	size_t empties = e->empties + e->owner.missing;

	if (e->max_records && (e->records >= e->max_records ||
			       empties / ZONE_EMPTIES_PER_RECORD > e->max_records))
		return true;
	return e->max_bytes && (e->bytes > e->max_bytes || more_bytes > e->max_bytes - e->bytes);
}

static enum zone_error add_record(struct zone_edit *e, const uint8_t *owner,
				  const struct draft_record *r, bool *is_new)
{
	size_t owner_len = name_len(owner), len = wire_len(owner_len, r->rdata_len);
	enum zone_error why;
	struct owner *o;

	priority_give_way();
	if (!is_data_type(r->type))
		return ZONE_BAD_RDATA;
	if (!name_ends_with(owner, owner_len, e->origin, e->origin_len))
		return ZONE_OUT_OF_ZONE;
	o = open_for(e, owner, owner_len, r);
	if (!o)
		return ZONE_SCATTERED;
	if (r->type == TYPE_SOA && !is_apex(e, &o->key))
		return ZONE_SOA_ELSEWHERE;
	if (o->draft.set_count == 0)	/* the case as in its first record */
		memcpy(o->draft.owner, owner, owner_len);
	why = draft_add(&o->draft, r, is_new);
	if (why != ZONE_OK || !*is_new)
		return why;
	if (is_over(e, len))
		return ZONE_TOO_BIG;
	e->records++;
	e->bytes += len;
	return ZONE_OK;
}

/* RFC 2181 s.8: a TTL with the top bit set is 0. */
static uint32_t sane_ttl(uint32_t ttl)
{
	return ttl >> 31 ? 0 : ttl;
}

enum zone_error zone_edit_add(struct zone_edit *e, const uint8_t *owner, uint16_t type,
			      uint32_t ttl, const uint8_t *rdata, uint16_t rdata_len)
{
	struct draft_record r = { type, rdata_len, sane_ttl(ttl), rdata };
	bool is_new;

	return add_record(e, owner, &r, &is_new);
}

enum zone_error zone_edit_add_new(struct zone_edit *e, const uint8_t *owner, uint16_t type,
				  uint32_t ttl, const uint8_t *rdata, uint16_t rdata_len)
{
	struct draft_record r = { type, rdata_len, sane_ttl(ttl), rdata };
	bool is_new = true;
	enum zone_error why = add_record(e, owner, &r, &is_new);

	return why == ZONE_OK && !is_new ? ZONE_DUPLICATE : why;
}

enum zone_error zone_edit_del(struct zone_edit *e, const uint8_t *owner, uint16_t type,
			      const uint8_t *rdata, uint16_t rdata_len)
{
	struct draft_record r = { type, rdata_len, 0, rdata };
	size_t owner_len = name_len(owner);
	struct owner *o;

	if (!name_ends_with(owner, owner_len, e->origin, e->origin_len))
		return ZONE_OUT_OF_ZONE;
	o = open_for(e, owner, owner_len, &r);
	if (!o)
		return ZONE_SCATTERED;
	if (!draft_del(&o->draft, &r))
		return ZONE_NO_RECORD;
	e->records--;
	e->bytes -= wire_len(owner_len, rdata_len);
	return ZONE_OK;
}

/* ---- Finishing ---- */

static enum zone_error read_soa(const struct node *apex, struct soa *soa)
{
	uint8_t name[NAME_LEN_MAX];
	const uint8_t *rdata;
	uint16_t len;
	size_t pos = 0;
	struct rrset set;

	if (!node_find(apex, TYPE_SOA, &set) || !rrset_next(&set, &pos, &rdata, &len))
		return ZONE_NO_SOA;
	struct wire w = wire_over(rdata, len);

	name_parse(&w, name);	/* MNAME, RNAME: RFC 1035 s.3.3.13 */
	name_parse(&w, name);
	soa->serial = wire_u32(&w);
	soa->refresh = wire_u32(&w);
	soa->retry = wire_u32(&w);
	soa->expire = wire_u32(&w);
	soa->minimum = wire_u32(&w);
	soa->ttl = set.ttl;
	return w.bad || wire_left(&w) > 0 ? ZONE_BAD_RDATA : ZONE_OK;
}

/* Stops at the first node that clashes. */
static bool is_fine(void *leaf, void *arg)
{
	const struct node *n = leaf, **clash = arg;

	if (n->flags & NODE_CLASH)
		*clash = n;
	return !*clash;
}

/* What is wrong with the zone as a whole, and where. */
static enum zone_error check(const struct zone_edit *e, const struct node *apex, struct soa *soa,
			     const struct node **where)
{
	struct rrset ns;
	enum zone_error why = read_soa(apex, soa);

	*where = apex;
	if (why != ZONE_OK)
		return why;
	if (!node_find(apex, TYPE_NS, &ns))
		return ZONE_NO_NS;
	if (e->clashes == 0)
		return ZONE_OK;
	*where = NULL;
	tree_walk(&e->tree, is_fine, where);
	return ZONE_CNAME_CLASH;
}

static struct generation *generation_new(struct zone_edit *e, const struct node *apex,
					 uint64_t number, const struct soa *soa)
{
	struct generation *g = memory_zeroed(1, sizeof(*g) + e->origin_len);

	g->tree = e->tree;	/* moved: the edit has none any more */
	g->nsec3 = e->nsec3;
	tree_init(&e->tree, &node_tree_ops);
	tree_init(&e->nsec3, &node_tree_ops);
	g->apex = apex;
	g->number = number;
	g->soa = *soa;
	g->records = e->records;
	g->bytes = e->bytes;
	g->empties = e->empties;
	memcpy(g->origin, e->origin, e->origin_len);
	g->origin_labels = e->origin_key.label_count;
	denial_settle(g);
	return g;
}

struct generation *zone_edit_finish(struct zone_edit *e, uint64_t number, enum zone_error *why,
				    char where[NAME_TEXT_MAX])
{
	struct generation *g = NULL;
	const struct node *at;
	struct soa soa;

	close_owner(e);
	close_hashed(e);
	const struct node *apex = tree_get(&e->tree, &e->origin_key);

	*why = check(e, apex, &soa, &at);
	if (*why == ZONE_OK)
		g = generation_new(e, apex, number, &soa);
	else if (where)
		name_to_text(node_name(at), where);
	zone_edit_free(e);
	return g;
}
