/* SPDX-License-Identifier: ISC */
/*
 * One timer for all: it runs at the earliest probe that is due, and every TICK_US at the latest,
 * for evidence, slow start and the mirror's state. Workers' wake-ups run the same look().
 * The timer's priority is the default; probe.c's sockets come first.
 */
#include "proxy/watch.h"

#include <stdlib.h>
#include <string.h>

#include "cache/clock.h"
#include "cache/memory.h"
#include "proxy/watch_drill.h"
#include "proxy/watch_due.h"
#include "proxy/watch_gate.h"
#include "proxy/watch_guard.h"
#include "proxy/watch_newer.h"
#include "proxy/watch_shadow.h"
#include "proxy/watch_takeover.h"
#include "proxy/watch_verdict.h"
#include "proxy/watched.h"

enum {
	TICK_US = 100 * 1000,
	AT_ONCE = 4,			/* so many new backends of a pool are probed in one instant: */
	APART_US = 4 * 1000,		/* of a hundred all would seem far, each behind the others */
};

/* ---- Looking ---- */

static void look(struct watch *w, bool is_tick)
{
	uint64_t now = clock_monotonic_us();

	for (unsigned i = 0; i < w->count; i++) {
		verdict_look(w->all[i], now);
		check_send_due(w->all[i], now);
		guards_look(w->all[i], now);
	}
	newers_look(w, now);
	if (is_tick) {
		shadows_tick(w, now);
		due_tick(w, now);
	}
	for (unsigned i = 0; i < w->pool_count; i++) {
		takeover_look(&w->pools[i], NULL, now);
		drill_look(&w->pools[i], now);
	}
	watch_arm(w, now);
}

/* To the earliest probe that is due, at most a tick ahead. */
void watch_arm(struct watch *w, uint64_t now)
{
	uint64_t next = now + TICK_US;

	for (unsigned i = 0; i < w->count; i++) {
		uint64_t due = verdict_next_us(w->all[i], now);

		if (due < next)
			next = due;
	}
	ev_now_update(w->loop);
	ev_timer_stop(w->loop, &w->timer);
	ev_timer_set(&w->timer, next > now ? (double)(next - now) / 1e6 : 0., 0.);
	ev_timer_start(w->loop, &w->timer);
}

static void on_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
	(void)loop, (void)revents;
	look(t->data, true);
}

static void on_wake(struct ev_loop *loop, ev_async *a, int revents)
{
	(void)loop, (void)revents;
	look(a->data, false);
}

void watch_wake(struct watch *w)
{
	ev_async_send(w->loop, &w->wake);
}

void watch_suspect(struct watch *w, unsigned worker, const struct suspicion *s)
{
	shadows_put(w->shadows, worker, s);
}

void watch_newer(struct watch *w, unsigned worker, const struct newer *n)
{
	newers_put(w->newers, worker, n);
	watch_wake(w);
}

/* ---- Plans ---- */

static void watched_free(struct watched *b)
{
	if (!b)
		return;
	check_cancel_all(b);
	fitness_free(b->fitness);
	gates_free(b->gates, b->pool->zone_count);
	free(b);
}

/* `place`: in its pool. */
static struct watched *watched_new(struct watch *w, struct backend *slot, unsigned place,
				   uint64_t now)
{
	struct watched *b = memory_zeroed(1, sizeof(*b));

	b->watch = w;
	b->slot = slot;
	health_init(&b->health, now);
	health_put_off(&b->health, now + place / AT_ONCE * APART_US);
	backend_sum(slot, &b->seen);
	b->calm = b->before = b->seen;
	return b;
}

/* A zone that is new must not make the server prove all others again. */
static void carry_fitness(struct watched *b, const struct watched_pool *pool)
{
	struct fitness *old = b->fitness;

	b->fitness = fitness_new(pool->zone_count);
	if (!old)
		return;
	for (size_t i = 0; i < pool->zone_count; i++)
		if (pool->zones[i].before != SIZE_MAX)
			fitness_carry(b->fitness, i, old, pool->zones[i].before);
	fitness_go_on(b->fitness, old);
	fitness_free(old);
}

static void watch_target(struct watch *w, struct watched_pool *pool, const struct plan_target *t,
			 struct watched **old, uint64_t now)
{
	const struct conf_health *conf = &pool->plan->conf->health;
	struct watched *b = old[t->backend->index];
	size_t old_count = b ? b->pool->zone_count : 0;

	old[t->backend->index] = NULL;
	if (!b)
		b = watched_new(w, t->backend, (unsigned)(t - pool->plan->targets), now);
	check_cancel_all(b);		/* they speak of zones by their old number */
	carry_fitness(b, pool);
	b->pool = pool;
	b->target = t;
	pool->members[watched_target(b)] = b;
	if (t->is_primary && pool->primary_count < MIRROR_PRIMARIES_MAX)
		pool->primaries[pool->primary_count++] = b;
	gates_take(b, b->gates, old_count, now);
	guards_take(b, old_count, now);
	b->rules = (struct health_rules){
		.interval_us = conf->interval_us, .timeout_us = conf->timeout_us,
		.slow_start_us = conf->slow_start_us, .rise = conf->rise, .fall = conf->fall,
	};
	w->by_index[t->backend->index] = b;
	verdict_publish(b, now);
}

static void find_zones(struct watched_pool *pool, const struct plan *plan)
{
	size_t count = 0;

	for (size_t i = 0; i < plan->zone_count; i++)
		count += plan->zones[i].pool == pool->plan;
	pool->zones = memory_zeroed(count, sizeof(*pool->zones));
	for (size_t i = 0; i < plan->zone_count; i++)
		if (plan->zones[i].pool == pool->plan)
			pool->zones[pool->zone_count++] = (struct watched_zone){
				.plan = &plan->zones[i], .before = SIZE_MAX,
			};
	agenda_init(&pool->agenda, count);
	due_pool(pool);
}

static void find_mirror(struct watched_pool *pool)
{
	for (unsigned t = 0; t < pool->plan->target_count; t++) {
		if (pool->plan->targets[t].kind != TARGET_MIRROR)
			continue;
		pool->has_mirror = true;
		pool->mirror_target = t;
	}
}

/* What is known of a zone that was in this pool before the reload. */
static void carry_zone(const struct watch *w, struct watched_pool *old, struct watched_zone *z)
{
	const struct plan_zone *before = plan_zone_named(w->plan, z->plan->origin);
	struct plan_zone *plan = z->plan;

	if (!before || before->catalog || before->pool != old->plan)
		return;
	*z = old->zones[before->number];
	old->zones[before->number].divergence = NULL;
	z->plan = plan;
	z->before = before->number;
}

/* A pool that stays keeps the memory of when it was left. */
static void carry_pool(const struct watch *w, struct watched_pool *pool)
{
	for (unsigned i = 0; i < w->pool_count; i++) {
		if (strcmp(w->pools[i].name, pool->name) != 0)
			continue;
		pool->tier = w->pools[i].tier;
		pool->since_us = w->pools[i].since_us;
		pool->left_us = w->pools[i].left_us;
		pool->drill = w->pools[i].drill;
		pool->cursor = pool->zone_count > 0 ? w->pools[i].cursor % pool->zone_count : 0;
		w->pools[i].drill.percent = 0;
		for (size_t z = 0; z < pool->zone_count; z++)
			carry_zone(w, &w->pools[i], &pool->zones[z]);
	}
}

static void free_pools(struct watched_pool *pools, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		drill_end(&pools[i], "operator");	/* a reload took the pool away */
		for (size_t z = 0; z < pools[i].zone_count; z++)
			free(pools[i].zones[z].divergence);
		free(pools[i].zones);
		agenda_fini(&pools[i].agenda);
	}
	free(pools);
}

static void list_all(struct watch *w)
{
	w->count = 0;
	for (unsigned i = 0; i < BACKENDS_MAX; i++)
		if (w->by_index[i])
			w->all[w->count++] = w->by_index[i];
}

void watch_set_plan(struct watch *w, const struct plan *plan)
{
	struct watched **old = memory_zeroed(BACKENDS_MAX, sizeof(struct watched *));
	struct watched_pool *pools = memory_zeroed(plan->pool_count, sizeof(*pools));
	uint64_t now = clock_monotonic_us();

	shadows_forget(w, NULL);	/* they speak of zones by their old number */
	memcpy(old, w->by_index, sizeof(w->by_index));
	memset(w->by_index, 0, sizeof(w->by_index));
	for (unsigned i = 0; i < plan->pool_count; i++) {
		struct watched_pool *pool = &pools[i];

		pool->plan = &plan->pools[i];
		memcpy(pool->name, pool->plan->conf->name, sizeof(pool->name));
		pool->since_us = now;
		find_zones(pool, plan);
		find_mirror(pool);
		pool->takes_unlisted = plan->unlisted == pool->plan;
		carry_pool(w, pool);
		for (unsigned t = 0; t < pool->plan->target_count; t++)
			if (pool->plan->targets[t].kind == TARGET_BACKEND)
				watch_target(w, pool, &pool->plan->targets[t], old, now);
		takeover_set(pool, now);
	}
	list_all(w);
	for (unsigned i = 0; i < BACKENDS_MAX; i++)
		watched_free(old[i]);
	free(old);
	free_pools(w->pools, w->pool_count);
	w->pools = pools;
	w->pool_count = plan->pool_count;
	w->plan = plan;
	w->heard = 0;
	watch_arm(w, now);
}

struct watch *watch_new(struct ev_loop *loop, struct mirror *mirror, unsigned worker_count)
{
	struct watch *w = memory_zeroed(1, sizeof(*w));

	w->loop = loop;
	w->shadows = shadows_new(worker_count);
	w->newers = newers_new(worker_count);
	w->mirror = mirror;
	random_init(&w->random);
	ev_timer_init(&w->timer, on_timer, 0., 0.);
	w->timer.data = w;
	ev_async_init(&w->wake, on_wake);
	w->wake.data = w;
	ev_async_start(loop, &w->wake);
	return w;
}

void watch_free(struct watch *w)
{
	if (!w)
		return;
	ev_timer_stop(w->loop, &w->timer);
	ev_async_stop(w->loop, &w->wake);
	for (unsigned i = 0; i < w->count; i++)
		watched_free(w->all[i]);
	free_pools(w->pools, w->pool_count);
	shadows_free(w->shadows);
	newers_free(w->newers);
	free(w);
}

/* ---- Orders ---- */

bool watch_order_backend(struct watch *w, const char *name, enum health_order order)
{
	uint64_t now = clock_monotonic_us();
	bool is_known = false;

	for (unsigned i = 0; i < w->count; i++) {
		struct watched *b = w->all[i];

		if (strcmp(b->slot->name, name) != 0)
			continue;
		verdict_follow(b, health_on_order(&b->health, order, now), now);
		gates_on_order(b, now);
		verdict_publish(b, now);
		takeover_look(b->pool, "operator", now);
		is_known = true;
	}
	return is_known;
}

bool watch_order_failover(struct watch *w, const char *pool, enum plan_failover order)
{
	for (unsigned i = 0; i < w->pool_count; i++) {
		struct watched_pool *p = &w->pools[i];

		if (strcmp(p->name, pool) != 0)
			continue;
		atomic_store_explicit(p->plan->forced, (int)order, memory_order_relaxed);
		if (order == POOL_FAILOVER_OFF)
			drill_end(p, "operator");	/* the first tier is not to be left */
		takeover_look(p, "operator", clock_monotonic_us());
		return true;
	}
	return false;
}

bool watch_order_drill(struct watch *w, const struct plan_pool *pool, unsigned percent,
		       uint64_t duration_us, const char **why)
{
	struct watched_pool *p = &w->pools[pool->index];

	if (percent == 0) {
		drill_end(p, "operator");
		return true;
	}
	*why = !p->has_mirror ? "it has no mirror"
	       : takeover_order(pool) == POOL_FAILOVER_OFF ? "failover is off: its first tier is not left"
	       : !drill_is_possible(p) ? "its mirror can serve none of its zones" : NULL;
	if (*why)
		return false;
	drill_begin(p, percent, duration_us, clock_monotonic_us());
	return true;
}
