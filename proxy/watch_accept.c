/* SPDX-License-Identifier: ISC */
#include "proxy/watch_accept.h"

#include "cache/clock.h"
#include "proxy/watch_due.h"
#include "proxy/watch_gate.h"

#define REASK_US	(30 * US_PER_S)		/* the mirror could not take what was accepted */

/* A primary that others agree with has not gone back: it lags, or they do. */
static bool is_alone(const struct watched *b, size_t zone)
{
	for (unsigned i = 0; i < b->pool->primary_count; i++)
		if (b->pool->primaries[i] != b && gates_are_open_for(b->pool->primaries[i], zone))
			return false;
	return true;
}

static void accept_from(struct watched *b, size_t zone, const char *cause, uint64_t now)
{
	struct watched_pool *pool = b->pool;
	struct watched_zone *z = &pool->zones[zone];
	const struct generation *g = plan_zone_servable(z->plan);

	z->is_accepted = true;
	z->accepted = b->gates[zone].gate.serial;
	z->accepted_over = g ? g->number : 0;
	z->accepted_us = now;
	due_zone(pool, zone);
	for (unsigned i = 0; i < pool->primary_count; i++) {
		struct gate *gate = &pool->primaries[i]->gates[zone].gate;

		if (!gate_is_acceptable(gate) || gate->serial != z->accepted)
			continue;
		gate_accept(gate);
		gates_settle(pool->primaries[i], zone, cause, now);
	}
	if (b->watch->mirror && z->plan->mirror)
		mirror_retransfer(b->watch->mirror, z->plan->mirror);
}

bool accept_is_pending(const struct watched_zone *z)
{
	const struct generation *g = z->is_accepted ? plan_zone_servable(z->plan) : NULL;

	return g && g->number == z->accepted_over;
}

void accept_push(struct watch *w, struct watched_zone *z, uint64_t now)
{
	if (!w->mirror || !accept_is_pending(z) || now - z->accepted_us < REASK_US)
		return;
	if (atomic_load_explicit(&z->plan->mirror->is_refused, memory_order_relaxed))
		return;		/* it was transferred, and is not wanted: the operator decides */
	z->accepted_us = now;
	mirror_retransfer(w->mirror, z->plan->mirror);
}

void accept_by_policy(struct watched *b, size_t zone, uint64_t now)
{
	const struct conf_regression *policy =
		conf_regression_of(b->pool->zones[zone].plan->conf);
	const struct watched_gate *g = &b->gates[zone];

	if (policy->policy == REGRESS_HOLD || !b->target->is_primary ||
	    !gate_is_acceptable(&g->gate) || !g->hold || !is_alone(b, zone))
		return;
	if (policy->policy == REGRESS_ACCEPT || now - g->hold->since_us >= policy->after_us)
		accept_from(b, zone, "policy", now);
}

bool watch_accept(struct watch *w, const struct plan_zone *z, uint32_t *serial, const char **why)
{
	struct watched_pool *pool = &w->pools[z->pool->index];

	*why = "nothing of it is held";
	for (unsigned i = 0; i < pool->primary_count; i++) {
		struct watched *b = pool->primaries[i];
		const struct gate *g = &b->gates[z->number].gate;

		if (g->reason == GATE_MISSING)
			*why = "its primary does not serve it: there is nothing to accept";
		if (!gate_is_acceptable(g))
			continue;
		*serial = g->serial;
		accept_from(b, z->number, "operator", clock_monotonic_us());
		return true;
	}
	return false;
}
