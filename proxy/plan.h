/* SPDX-License-Identifier: ISC */
/*
 * plan - what the workers act on: zones, their pools, the pools' targets. Immutable.
 *
 * Purpose:  built by control from a configuration, published to the workers by one pointer,
 *           replaced whole at a reload. Finding the zone of a name is one tree descent.
 * Not here: choosing among targets (balance.h), health (health.h).
 * Owns:     the configuration that it was built from; backends and mirror slots are borrowed.
 * Threads:  built and freed by control; read by workers inside an RCU read: no pointer into a
 *           plan survives a turn of a loop.
 */
#ifndef PLAN_H
#define PLAN_H

#include "cache/mirror.h"
#include "cache/tree.h"
#include "proxy/backend.h"
#include "proxy/conf.h"
#include "proxy/members.h"

/* failover POOL on|off|auto, as the operator ordered it. */
enum plan_failover { POOL_FAILOVER_AUTO, POOL_FAILOVER_ON, POOL_FAILOVER_OFF };

/* A bit for each target of a pool. */
enum { PLAN_TARGET_WORDS = (CONF_TARGETS_MAX + 63) / 64 };
struct plan_targets { _Atomic uint64_t words[PLAN_TARGET_WORDS]; };

struct plan_target {
	enum conf_target_kind kind;
	struct backend *backend;	/* NULL for the mirror */
	bool is_primary;		/* zones are transferred from it */
	const struct tsig_key *key;	/* of transfers and NOTIFY, or NULL; in conf->keys */
	unsigned tier, weight, max_outstanding;
	uint32_t hash;			/* of the name, for consistent hashing */
	/* Of its tier, so that nobody need walk it: see plan_pool_measure(). */
	unsigned tier_end;		/* index behind the last target */
	unsigned weight_end;		/* weights summed up to this one */
	bool is_tier_even;		/* all weights are the same */
};

/* drill POOL: a share of its queries is the mirror's. Workers write their row of `served`. */
struct plan_drill {
	_Atomic uint32_t percent;	/* 0: no drill */
	counter served[WORKERS_MAX];	/* queries, in all drills */
};

struct plan_pool {
	const struct conf_pool *conf;
	struct plan_target *targets;	/* sorted by tier, file order inside one */
	unsigned target_count;
	unsigned index;			/* in plan->pools */
	/* Order of the operator (control writes, workers read): 0 auto; 1 on: the first tier is
	 * left out; 2 off: the first tier stays eligible whatever health says. Shared by all
	 * plans that have a pool of this name, so the order survives a reload. */
	_Atomic int *forced;
	struct plan_drill *drill;	/* shared likewise */
};

/* What servers told clients of a zone: workers write it, control reads. */
struct plan_heard {
	struct plan_targets denied;	/* what the mirror has, under no newer serial; control takes it */
	_Atomic uint64_t newer;		/* a newer serial than the mirror's: PLAN_HEARD | serial; 0: none */
};

#define PLAN_HEARD	((uint64_t)1 << 32)

struct plan_zone {
	const uint8_t *origin;		/* lower case; of `conf` */
	const struct conf_zone *conf;
	const struct plan_pool *pool;
	const struct member *member;	/* the catalog that it comes from; NULL: the configuration */
	const struct conf_catalog *catalog;	/* it is this catalog itself; else NULL */
	struct mirror_zone *mirror;	/* NULL: not mirrored */
	size_t number;			/* among the zones of its pool */
	/*
	 * A backend's bit: its data of this zone may not serve while others can. The mirror's: a
	 * primary has a newer serial. Control writes, workers read.
	 */
	struct plan_targets held;
	/* Answers otherwise than the mirror by design: what it denies is believed. Likewise. */
	struct plan_targets others;
	struct plan_heard *heard;
};

static inline bool plan_has_target(const struct plan_targets *t, unsigned target)
{
	return atomic_load_explicit(&t->words[target / 64], memory_order_relaxed) >> target % 64 & 1;
}

static inline bool plan_has_any_target(const struct plan_targets *t)
{
	uint64_t all = 0;

	for (unsigned i = 0; i < PLAN_TARGET_WORDS; i++)
		all |= atomic_load_explicit(&t->words[i], memory_order_relaxed);
	return all != 0;
}

/* True when it was set before. */
static inline bool plan_set_target(struct plan_targets *t, unsigned target, bool is_set)
{
	uint64_t bit = (uint64_t)1 << target % 64, before;

	if (is_set)
		before = atomic_fetch_or_explicit(&t->words[target / 64], bit, memory_order_relaxed);
	else
		before = atomic_fetch_and_explicit(&t->words[target / 64], ~bit, memory_order_relaxed);
	return before & bit;
}

/* The mirror's zone as it may be answered from; NULL: there is none, or not now. */
static inline const struct generation *plan_zone_servable(const struct plan_zone *z)
{
	return z->mirror ? mirror_zone_servable(z->mirror) : NULL;
}

static inline bool plan_zone_holds(const struct plan_zone *z, unsigned target)
{
	return plan_has_target(&z->held, target);
}

static inline void plan_zone_hold(struct plan_zone *z, unsigned target, bool is_held)
{
	plan_set_target(&z->held, target, is_held);
}

struct plan {
	struct conf *conf;
	struct plan_pool *pools;
	unsigned pool_count;
	struct plan_zone *zones;
	struct plan_heard *heard;	/* for each zone: all that workers write */
	size_t zone_count;
	struct plan_zone *catalogs;	/* parallel to conf->catalogs; no pool watches over these */
	struct members *members;	/* never NULL */
	struct conf_zone *member_zones;	/* parallel to members->items */
	struct tree by_name;		/* of struct plan_zone, catalogs too */
	const struct plan_pool *unlisted;	/* NULL: refuse */
	uint64_t number;		/* 1, 2, ...: each that was made */
};

/*
 * Takes `conf`. Registers backends and, unless `mirror` is NULL, does plan_set_mirror().
 * Cannot fail: the configuration was checked.
 */
struct plan *plan_new(struct conf *conf, struct mirror *mirror, uint64_t number);

/* The same with the members of catalogs (taken), of this very `conf`; without a mirror yet. */
struct plan *plan_new_with(struct conf *conf, struct members *members, uint64_t number);

/*
 * The same in two steps. A draft has all that takes long, and is made in any thread; it may be
 * freed, and is a plan once it is complete.
 */
struct plan *plan_draft(struct conf *conf, struct members *members);
void plan_complete(struct plan *draft, uint64_t number);

/*
 * Hands the list of mirrored zones to `mirror` and gets their slots. A reload that may still
 * fail makes its plan without a mirror and does this last, just before the plan is published.
 */
void plan_set_mirror(struct plan *p, struct mirror *mirror);

/* After all workers have left it. Leaves its backends, its configuration; NULL is fine. */
void plan_free(struct plan *p);

/* The zone at or above the name, the longest match; NULL when none is configured. */
const struct plan_zone *plan_find(const struct plan *p, const struct name_key *key);

/*
 * The zone that answers this question. As plan_find(), but DS at a zone's apex is its parent's
 * to answer, if the parent is configured: RFC 4035 s.3.1.4.1.
 */
const struct plan_zone *plan_find_for(const struct plan *p, const uint8_t *name,
				      const struct name_key *key, uint16_t type);

/* The zone of exactly this origin. */
const struct plan_zone *plan_zone_named(const struct plan *p, const uint8_t *origin);

/* Zones and catalogs, these last. */
static inline size_t plan_zone_count(const struct plan *p)
{
	return p->zone_count + p->conf->catalog_count;
}

static inline struct plan_zone *plan_zone_at(const struct plan *p, size_t at)
{
	return at < p->zone_count ? &p->zones[at] : &p->catalogs[at - p->zone_count];
}

/* Sets what targets know of their tiers. plan_new() does it. */
void plan_pool_measure(struct plan_pool *pool);

/* Without a second tier nobody is left when the first is taken out. */
bool plan_pool_has_one_tier(const struct plan_pool *pool);

/* Queries that the mirror was given by all workers, in all drills of the pool. */
uint64_t plan_drill_served(struct plan_drill *drill);

const struct plan_pool *plan_pool_named(const struct plan *p, const char *name);

#endif
