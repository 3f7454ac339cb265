/* SPDX-License-Identifier: ISC */
/* balance_eligible - which targets may have a query, whatever the policy. */
#include "proxy/balance_parts.h"

#include <stdatomic.h>

static bool was_tried(const struct balance_ask *ask, unsigned backend)
{
	for (unsigned i = 0; i < ask->tried_count; i++)
		if (ask->tried[i] == backend)
			return true;
	return false;
}

/* failover POOL off: the operator trusts the first tier, whatever probes say, or its data. */
static bool is_trusted(const struct plan_pool *pool, const struct plan_target *t)
{
	return atomic_load_explicit(pool->forced, memory_order_relaxed) == POOL_FAILOVER_OFF
	       && t->tier == pool->targets[0].tier;
}

/* Slow start: of the choices that would fall on a target it gets its share. */
static bool share_allows(uint32_t share, struct random *random)
{
	if (share >= BACKEND_SHARE_FULL || share == 0)
		return share != 0;
	return !random || random_below(random, BACKEND_SHARE_FULL) < share;
}

bool balance_is_held(const struct balance_ask *ask, const struct plan_target *t)
{
	return ask->zone && plan_zone_holds(ask->zone, (unsigned)(t - ask->pool->targets));
}

bool balance_is_eligible(const struct balance_ask *ask, const struct plan_target *t,
			struct random *random)
{
	if (t->kind == TARGET_MIRROR)
		return ask->mirror_can_answer;
	if (was_tried(ask, t->backend->index))
		return false;
	if (atomic_load_explicit(&t->backend->is_barred, memory_order_relaxed))
		return false;
	if (atomic_load_explicit(&t->backend->is_looping, memory_order_relaxed))
		return ask->through_loops;
	if (is_trusted(ask->pool, t))
		return true;
	if (!ask->takes_held && balance_is_held(ask, t))
		return false;
	if (ask->is_last_resort)
		return true;
	return share_allows(atomic_load_explicit(&t->backend->share, memory_order_relaxed), random);
}

/* More than this must not wait for it, whoever else is there. */
static bool is_full(const struct balance *b, const struct plan_target *t)
{
	return t->kind == TARGET_BACKEND
	       && b->views[t->backend->index].outstanding >= t->max_outstanding;
}

static bool is_limited(const struct balance_ask *ask, const struct plan_target *t)
{
	return t->kind == TARGET_BACKEND && !ask->takes_limited && ask->pool->conf->has_adaptive_limit
	       && !limit_allows(&t->backend->limit[ask->transport], ask->now_us);
}

bool balance_has_room(const struct balance *b, const struct balance_ask *ask,
		     const struct plan_target *t)
{
	return !is_full(b, t) && !is_limited(ask, t);
}

unsigned balance_first_allowed(const struct balance_ask *ask)
{
	bool is_forced = atomic_load_explicit(ask->pool->forced, memory_order_relaxed)
			 == POOL_FAILOVER_ON;

	return is_forced && !ask->is_last_resort ? ask->pool->targets[0].tier_end : 0;
}

bool balance_has_target(struct balance *b, const struct balance_ask *ask)
{
	struct balance_ask any = *ask;

	any.takes_held = true;
	for (unsigned i = balance_first_allowed(ask); i < ask->pool->target_count; i++) {
		const struct plan_target *t = &ask->pool->targets[i];

		if (balance_is_eligible(&any, t, NULL) && !is_full(b, t))
			return true;
	}
	return false;
}

bool balance_mirror_may_serve(const struct balance_ask *ask)
{
	for (unsigned i = balance_first_allowed(ask); i < ask->pool->target_count; i++)
		if (ask->pool->targets[i].kind == TARGET_MIRROR)
			return ask->mirror_can_answer && !balance_is_held(ask, &ask->pool->targets[i]);
	return false;
}
