/* SPDX-License-Identifier: ISC */
#include "proxy/plan.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/dns.h"
#include "cache/memory.h"

/*
 * The operator's `failover POOL on|off` and `drill`, kept by pool name from plan to plan. It lives
 * for as long as some plan has a pool of its name. Control only, but for `order` and `drill`.
 */
struct force {
	struct force *next;
	unsigned plans;
	char pool[CONF_NAME_MAX];
	_Atomic int order;
	struct plan_drill drill;
};
static struct force *forces;

static struct force *force_take(const char *pool)
{
	struct force *f = forces;

	while (f && strcmp(f->pool, pool) != 0)
		f = f->next;
	if (!f) {
		f = memory_zeroed(1, sizeof(*f));
		snprintf(f->pool, sizeof(f->pool), "%s", pool);
		f->next = forces;
		forces = f;
	}
	f->plans++;
	return f;
}

static void force_leave(const char *pool)
{
	struct force **at = &forces;

	while (*at && strcmp((*at)->pool, pool) != 0)
		at = &(*at)->next;
	struct force *f = *at;

	assert(f);
	if (--f->plans > 0)
		return;
	*at = f->next;
	free(f);
}

/* FNV-1a: spreads a few dozen names well enough, and is the same on every machine. */
static uint32_t hash_of(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return h;
}

static struct plan_target target_from(const struct conf_pool *pool, const struct conf_target *t)
{
	return (struct plan_target){
		.kind = t->kind,
		.backend = t->kind == TARGET_BACKEND
			? backend_take(pool->name, t->name, &t->address) : NULL,
		.is_primary = t->kind == TARGET_BACKEND && t->is_primary,
		.key = t->key,
		.tier = t->tier,
		.weight = t->weight,
		.max_outstanding = t->max_outstanding,
		.hash = hash_of(t->name),
	};
}

static void tier_measure(struct plan_target *first, unsigned from, unsigned end)
{
	unsigned sum = 0;
	bool is_even = true;

	for (struct plan_target *t = first; t < first + (end - from); t++) {
		is_even &= t->weight == first->weight;
		t->weight_end = sum += t->weight;
		t->tier_end = end;
	}
	for (struct plan_target *t = first; t < first + (end - from); t++)
		t->is_tier_even = is_even;
}

void plan_pool_measure(struct plan_pool *pool)
{
	for (unsigned from = 0, end; from < pool->target_count; from = end) {
		for (end = from; end < pool->target_count; end++)
			if (pool->targets[end].tier != pool->targets[from].tier)
				break;
		tier_measure(&pool->targets[from], from, end);
	}
}

static void pool_init(struct plan_pool *p, const struct conf_pool *conf, unsigned index)
{
	p->conf = conf;
	p->index = index;
	struct force *force = force_take(conf->name);

	p->forced = &force->order;
	p->drill = &force->drill;
	p->targets = memory_zeroed(conf->target_count, sizeof(*p->targets));
	for (unsigned tier = 0; tier < CONF_TIERS_MAX; tier++)
		for (size_t i = 0; i < conf->target_count; i++)
			if (conf->targets[i].tier == tier)
				p->targets[p->target_count++] =
					target_from(conf, &conf->targets[i]);
	assert(p->target_count == conf->target_count);
	plan_pool_measure(p);
}

static void pool_fini(struct plan_pool *p)
{
	for (unsigned i = 0; i < p->target_count; i++)
		if (p->targets[i].backend)
			backend_leave(p->targets[i].backend);
	force_leave(p->conf->name);
	free(p->targets);
}

/* The leaves of plan->by_name are entries of plan->zones: trees need not count them. */
static const uint8_t *leaf_name(const void *leaf)
{
	return ((const struct plan_zone *)leaf)->origin;
}

static void leaf_keep(void *leaf)
{
	(void)leaf;
}

static const struct tree_ops zone_ops = {
	.name = leaf_name, .hold = leaf_keep, .drop = leaf_keep,
};

/* conf->pools and plan->pools run parallel. */
static const struct plan_pool *pool_of(const struct plan *p, const struct conf_pool *conf)
{
	return conf ? &p->pools[conf - p->conf->pools] : NULL;
}

static void plan_add_pools(struct plan *p)
{
	p->pool_count = (unsigned)p->conf->pool_count;
	for (unsigned i = 0; i < p->pool_count; i++)
		pool_init(&p->pools[i], &p->conf->pools[i], i);
	p->unlisted = pool_of(p, p->conf->forward_unlisted);
}

/* ---- Zones ---- */

/* As its catalog has it: all members share what holds for them there. */
static void name_member(struct conf_zone *z, const struct conf_catalog *catalog,
			const struct member *m)
{
	*z = catalog->member;
	z->pool = m->pool;
	conf_zone_name(z, m->entry->zone);
}

static void plan_add_zone(struct plan *p, struct plan_zone *z, const struct conf_zone *conf)
{
	z->conf = conf;
	z->origin = conf->origin;
	z->pool = pool_of(p, conf->pool);
	tree_put(&p->by_name, z);
}

static void plan_add_zones(struct plan *p)
{
	size_t members = p->members->count;

	p->zone_count = p->conf->zone_count + members;
	p->zones = memory_zeroed(p->zone_count, sizeof(*p->zones));
	p->member_zones = memory_zeroed(members, sizeof(*p->member_zones));
	for (size_t i = 0; i < p->conf->zone_count; i++)
		plan_add_zone(p, &p->zones[i], &p->conf->zones[i]);
	for (size_t i = 0; i < members; i++) {
		const struct member *m = &p->members->items[i];
		struct plan_zone *z = &p->zones[p->conf->zone_count + i];

		name_member(&p->member_zones[i], member_catalog(p->members, m), m);
		z->member = m;
		plan_add_zone(p, z, &p->member_zones[i]);
	}
}

static void number_zones(struct plan *p)
{
	size_t *counts = memory_zeroed(p->conf->pool_count, sizeof(*counts));

	p->heard = memory_zeroed(p->zone_count, sizeof(*p->heard));
	for (size_t i = 0; i < p->zone_count; i++) {
		p->zones[i].heard = &p->heard[i];
		p->zones[i].number = counts[p->zones[i].pool - p->pools]++;
	}
	free(counts);
}

static void plan_add_catalogs(struct plan *p)
{
	p->catalogs = memory_zeroed(p->conf->catalog_count, sizeof(*p->catalogs));
	for (size_t i = 0; i < p->conf->catalog_count; i++) {
		p->catalogs[i].catalog = &p->conf->catalogs[i];
		p->catalogs[i].number = SIZE_MAX;	/* of no pool's zones */
		plan_add_zone(p, &p->catalogs[i], &p->conf->catalogs[i].zone);
	}
}

struct plan *plan_draft(struct conf *conf, struct members *members)
{
	struct plan *p = memory_zeroed(1, sizeof(*p));

	p->conf = conf;
	p->members = members;
	p->pools = memory_zeroed(conf->pool_count, sizeof(*p->pools));
	tree_init(&p->by_name, &zone_ops);
	plan_add_zones(p);
	number_zones(p);
	plan_add_catalogs(p);
	return p;
}

void plan_complete(struct plan *p, uint64_t number)
{
	p->number = number;
	plan_add_pools(p);
}

struct plan *plan_new_with(struct conf *conf, struct members *members, uint64_t number)
{
	struct plan *p = plan_draft(conf, members);

	plan_complete(p, number);
	return p;
}

struct plan *plan_new(struct conf *conf, struct mirror *mirror, uint64_t number)
{
	const struct generation *none[CONF_CATALOGS_MAX] = { NULL };
	struct plan *p = plan_new_with(conf, members_new(conf, none, NULL), number);

	if (mirror)
		plan_set_mirror(p, mirror);
	return p;
}

/* ---- The mirror ---- */

/* Primaries of one pool, in the order in which queries would try them. */
struct primaries { unsigned count; struct mirror_primary list[MIRROR_PRIMARIES_MAX]; };

static void primary_add(struct primaries *p, const struct conf_target *t)
{
	assert(p->count < MIRROR_PRIMARIES_MAX);
	struct mirror_primary *to = &p->list[p->count++];

	to->address = t->transfer_address;
	to->tls = t->tls;		/* kept by the copies that the mirror makes */
	to->has_key = t->key != NULL;
	if (t->key)
		to->key = *t->key;
}

static void primaries_of(struct primaries *p, const struct conf_pool *pool)
{
	for (unsigned tier = 0; tier < CONF_TIERS_MAX; tier++)
		for (size_t i = 0; i < pool->target_count; i++)
			if (pool->targets[i].is_primary && pool->targets[i].tier == tier)
				primary_add(p, &pool->targets[i]);
}

/* What the mirror needs to know of a zone. */
static void mirrored_from(struct mirror_zone_conf *m, const struct conf *c,
			  const struct plan_zone *of, const struct primaries *p)
{
	const struct conf_zone *z = of->conf;

	m->origin = of->origin;
	m->primaries = p->list;
	m->primary_count = p->count;
	m->max_records = z->max_records;
	m->max_bytes = z->max_bytes;
	m->keep = conf_keep_of(z);
	m->grace_us = conf_grace_of(z);
	m->max_rrset = z->max_rrset;
	m->stream_limits = z->pool->transfer_limits;
	m->timeout_us = z->pool->transfer_timeout_us;
	conf_review_of(c, z, &m->review);
	if (of->catalog)	/* of which max-removed says how much may go */
		m->review.max_shrink = 100;
	m->catalog.is_one = of->catalog != NULL;
	m->catalog.max_members = of->catalog ? of->catalog->max_members : 0;
	m->catalog.max_removed = of->catalog ? of->catalog->max_removed : 0;
	m->is_newcomer = of->member && of->member->is_new;
}

static bool is_mirrored(const struct plan_zone *z)
{
	return z->catalog || z->pool->conf->has_mirror;
}

void plan_set_mirror(struct plan *p, struct mirror *mirror)
{
	size_t most = plan_zone_count(p), count = 0, taken = 0;
	struct mirror_zone_conf *wanted = memory_zeroed(most, sizeof(*wanted));
	struct mirror_zone **slots = memory_zeroed(most, sizeof(struct mirror_zone *));
	struct primaries *primaries = memory_zeroed(p->pool_count, sizeof(*primaries));

	for (unsigned i = 0; i < p->pool_count; i++)
		primaries_of(&primaries[i], p->pools[i].conf);
	for (size_t i = 0; i < most; i++)
		if (is_mirrored(plan_zone_at(p, i)))
			mirrored_from(&wanted[count++], p->conf, plan_zone_at(p, i),
				      &primaries[plan_zone_at(p, i)->pool->index]);
	mirror_configure(mirror, wanted, count, slots);
	for (size_t i = 0; i < most; i++)
		if (is_mirrored(plan_zone_at(p, i)))
			plan_zone_at(p, i)->mirror = slots[taken++];

	explicit_bzero(primaries, p->pool_count * sizeof(*primaries));	/* it held keys */
	free(primaries);
	free(wanted);
	free(slots);
}

void plan_free(struct plan *p)
{
	if (!p)
		return;
	tree_clear(&p->by_name);
	for (unsigned i = 0; i < p->pool_count; i++)
		pool_fini(&p->pools[i]);
	for (size_t i = 0; i < p->members->count; i++)
		free(p->member_zones[i].text);
	free(p->member_zones);
	members_free(p->members);
	free(p->pools);
	free(p->zones);
	free(p->catalogs);
	free(p->heard);
	conf_free(p->conf);
	free(p);
}

/* `name`: as for tree_find_name(). */
static const struct plan_zone *find_above(const struct plan *p, const uint8_t *name,
					  const struct name_key *key)
{
	struct tree_match match;

	tree_find_name(&p->by_name, name, key, &match);
	return match.depth > 0 ? match.chain[match.depth - 1] : NULL;
}

const struct plan_zone *plan_find(const struct plan *p, const struct name_key *key)
{
	return find_above(p, NULL, key);
}

const struct plan_zone *plan_find_for(const struct plan *p, const uint8_t *name,
				      const struct name_key *key, uint16_t type)
{
	const struct plan_zone *zone = find_above(p, name, key), *parent;
	struct name_key above;

	if (type != TYPE_DS || !zone || name[0] == 0 || !name_is_equal(name, zone->origin))
		return zone;
	name_to_key(name_skip(name, 1), &above);
	parent = find_above(p, name_skip(name, 1), &above);
	return parent ? parent : zone;
}

const struct plan_zone *plan_zone_named(const struct plan *p, const uint8_t *origin)
{
	struct name_key key;

	name_to_key(origin, &key);
	return tree_get(&p->by_name, &key);
}

bool plan_pool_has_one_tier(const struct plan_pool *pool)
{
	return pool->target_count == 0 ||
	       pool->targets[pool->target_count - 1].tier == pool->targets[0].tier;
}

uint64_t plan_drill_served(struct plan_drill *drill)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < WORKERS_MAX; i++)
		sum += counter_get(&drill->served[i]);
	return sum;
}

const struct plan_pool *plan_pool_named(const struct plan *p, const char *name)
{
	for (unsigned i = 0; i < p->pool_count; i++)
		if (strcmp(p->pools[i].conf->name, name) == 0)
			return &p->pools[i];
	return NULL;
}
