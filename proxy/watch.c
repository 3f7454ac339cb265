/* SPDX-License-Identifier: ISC */
/*
 * One timer for all: it runs at the earliest probe that is due, and every TICK_US at the latest,
 * for evidence, slow start and the mirror's state. Workers' wake-ups run the same look().
 * The timer's priority is the default; probe.c's sockets come first.
 */
#include "proxy/watch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cache/clock.h"
#include "cache/serial.h"
#include "proxy/takeover.h"
#include "proxy/watched.h"

enum {
	TICK_US = 100 * 1000,
	CHECKS_MAX = 64,	/* of one kind under way to one backend, in a burst */
	SWEEPS_MAX = 64,	/* a backend returns: its other zones, so many at a time */
	REASK_US = 30 * 1000 * 1000,	/* the mirror failed to fetch a serial: not at each probe */
};

_Static_assert((int)HEALTH_SHARE_FULL == (int)BACKEND_SHARE_FULL, "one scale of shares");

/* A probe on its way. */
struct check {
	struct watched *b;
	struct probe *probe;
	bool is_tcp;
	bool is_sweep;		/* asked only for its zone's serial */
	size_t zone;		/* of the pool; unused without zones */
	struct check *prev, *next;
};

struct watch {
	struct ev_loop *loop;
	struct mirror *mirror;	/* NULL in tests */
	ev_timer timer;
	ev_async wake;
	struct random random;
	struct watched_pool *pools;	/* parallel to plan->pools */
	unsigned pool_count;
	struct watched *by_index[BACKENDS_MAX];	/* slots of the registry; NULL: not watched */
};

static void *zeroed(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size);

	if (!p)
		abort();
	return p;
}

/* ---- Checks ---- */

static unsigned *out_count(struct check *c)
{
	if (c->is_sweep)
		return &c->b->sweeps_out;
	return c->is_tcp ? &c->b->tcp_out : &c->b->udp_out;
}

static struct check *check_new(struct watched *b, bool is_tcp, bool is_sweep, size_t zone)
{
	struct check *c = zeroed(1, sizeof(*c));

	*c = (struct check){
		.b = b, .is_tcp = is_tcp, .is_sweep = is_sweep, .zone = zone, .next = b->checks,
	};
	if (b->checks)
		b->checks->prev = c;
	b->checks = c;
	++*out_count(c);
	return c;
}

static void check_free(struct check *c)
{
	--*out_count(c);
	*(c->prev ? &c->prev->next : &c->b->checks) = c->next;
	if (c->next)
		c->next->prev = c->prev;
	free(c);
}

static void cancel_checks(struct watched *b)
{
	while (b->checks) {
		probe_cancel(b->checks->probe);
		check_free(b->checks);
	}
}

/* ---- What follows from a change ---- */

static void publish(struct watched *b, uint64_t now)
{
	uint32_t share = health_share(&b->health, &b->rules, now);
	bool is_suspect = health_is_suspect(&b->health) && b->health.order == ORDER_AUTO;

	atomic_store_explicit(&b->slot->share, share, memory_order_relaxed);
	atomic_store_explicit(&b->slot->is_suspect, is_suspect, memory_order_relaxed);
}

/* It is back: whatever changed at the primary meanwhile, the mirror should see now. */
static void refresh_zones(struct watched *b)
{
	if (!b->target->is_primary || !b->watch->mirror)
		return;
	for (size_t i = 0; i < b->pool->zone_count; i++)
		if (b->pool->zones[i].plan->mirror)
			mirror_refresh(b->watch->mirror, b->pool->zones[i].plan->mirror);
}

static const char *takeover_cause(const struct health_change *c)
{
	if (c->cause == CAUSE_OPERATOR)
		return "operator";
	switch (c->to) {
	case HEALTH_DOWN:	return "backend_down";
	case HEALTH_PROBATION:	return "backend_probation";
	case HEALTH_UP:
	case HEALTH_SUSPECT:	break;
	}
	return "backend_up";
}

static bool is_trouble(const struct health_change *c)
{
	return c->to == HEALTH_SUSPECT || (c->to == HEALTH_DOWN && c->from != HEALTH_SUSPECT);
}

/* Every change goes through here: checks that were sent before it prove nothing after it. */
static void follow(struct watched *b, struct health_change c, uint64_t now)
{
	if (!c.is_change)
		return;
	if (is_trouble(&c))
		b->before = b->calm;
	backend_sum(b->slot, &b->seen);
	publish(b, now);
	watched_tell(b, &c, now);
	takeover_look(b->pool, takeover_cause(&c), now);
	if (c.cause == CAUSE_OPERATOR)
		return;
	cancel_checks(b);
	if (c.to == HEALTH_DOWN) {
		fitness_forget(b->fitness);
		b->held.is_told = false;
	} else if (c.from == HEALTH_DOWN) {
		refresh_zones(b);
	}
}

/* ---- Verdicts ---- */

/* A newer serial than the mirror's: it should fetch, but not over and over if it cannot. */
static void tell_mirror(struct watched *b, size_t zone, uint32_t serial, uint64_t now)
{
	struct watched_zone *z = &b->pool->zones[zone];
	uint32_t held;

	if (!b->watch->mirror || !watched_mirror_serial(z->plan, &held) ||
	    !serial_is_newer(serial, held))
		return;
	if (z->asked_us && z->asked_serial == serial && now - z->asked_us < REASK_US)
		return;
	z->asked_serial = serial;
	z->asked_us = now;
	mirror_refresh(b->watch->mirror, z->plan->mirror);
}

static void remember_bad(struct watched *b, const struct check *c, const struct probe_verdict *v)
{
	const struct health_run *run = c->is_tcp ? &b->health.tcp : &b->health.udp;

	b->bad = *v;
	b->bad_run = run->bad + 1;
	b->bad_zone[0] = '\0';
	if (b->pool->zone_count > 0)
		name_to_text(b->pool->zones[c->zone].plan->conf->origin, b->bad_zone);
}

/* Notes what the reply says of its zone. False when it says nothing about the server. */
static bool note_zone(struct watched *b, const struct check *c, const struct probe_verdict *v,
		      uint64_t now)
{
	bool counts;

	if (b->pool->zone_count == 0)
		return true;
	counts = fitness_counts(b->fitness, c->zone, v->cause);
	fitness_note(b->fitness, c->zone, v->cause, v->has_serial ? &v->serial : NULL);
	if (v->has_serial && v->cause == CAUSE_NONE)
		tell_mirror(b, c->zone, v->serial, now);
	return counts;
}

static void judge(struct watched *b, const struct check *c, const struct probe_verdict *v, uint64_t now)
{
	size_t behind = SIZE_MAX;
	bool gate_is_open = true;

	if (v->is_ours || !note_zone(b, c, v, now))
		return;
	if (v->cause != CAUSE_NONE)
		remember_bad(b, c, v);
	else if (c->is_sweep)		/* its serial was all we wanted */
		return;
	else if (!c->is_tcp)
		health_on_rtt(&b->health, v->rtt_us);
	if (b->health.state == HEALTH_DOWN)
		gate_is_open = watched_gate_is_open(b, &behind);
	b->good_run = b->health.udp.good + (v->cause == CAUSE_NONE && !c->is_tcp);
	follow(b, health_on_probe(&b->health, &b->rules, c->is_tcp, v->cause, gate_is_open, now), now);
	if (b->health.is_held && behind != SIZE_MAX)
		watched_tell_held(b, behind);
}

static void send_due(struct watched *b, uint64_t now);
static void arm(struct watch *w, uint64_t now);

static void on_verdict(struct probe *p, const struct probe_verdict *v, void *arg)
{
	struct check own = *(struct check *)arg;
	uint64_t now = clock_monotonic_us();

	(void)p;
	check_free(arg);
	judge(own.b, &own, v, now);
	publish(own.b, now);		/* suspicion in PROBATION ends without a change */
	send_due(own.b, now);
	arm(own.b->watch, now);
}

/* ---- Sending ---- */

/* In DOWN first the zones that keep the gate shut, else each in turn. */
static size_t choose_zone(struct watched *b)
{
	if (b->pool->zone_count == 0)
		return 0;
	for (size_t i = 0; b->health.state == HEALTH_DOWN && i < b->fitness->count; i++) {
		size_t zone = fitness_turn(b->fitness);
		uint32_t serial;

		if (!watched_mirror_serial(b->pool->zones[zone].plan, &serial))
			continue;
		if (!b->fitness->zones[zone].is_seen || fitness_is_behind(b->fitness, zone, serial))
			return zone;
	}
	return fitness_turn(b->fitness);
}

static void send_check(struct watched *b, bool is_tcp, bool is_sweep, size_t zone)
{
	static const uint8_t root[] = { 0 };
	bool has_zone = b->pool->zone_count > 0;
	struct check *c = check_new(b, is_tcp, is_sweep, zone);
	struct probe_ask ask = {
		.address = &b->slot->address,
		.zone = has_zone ? b->pool->zones[zone].plan->conf->origin : root,
		.is_tcp = is_tcp,
		.any_reply = !has_zone,
		.needs_aa = b->pool->plan->conf->retry_on & RETRY_LAME,
		.timeout_us = health_probe_timeout_us(&b->health, &b->rules),
	};

	c->probe = probe_start(b->watch->loop, &b->watch->random, &ask, on_verdict, c);
}

static void send_one(struct watched *b, bool is_tcp, uint64_t now)
{
	unsigned most = health_is_suspect(&b->health) ? CHECKS_MAX : 1;

	if (now < (is_tcp ? b->health.next_tcp_us : b->health.next_udp_us))
		return;
	if ((is_tcp ? b->tcp_out : b->udp_out) < most)
		send_check(b, is_tcp, false, choose_zone(b));
	health_on_probe_sent(&b->health, &b->rules, is_tcp, now);
}

/* A returning backend shows all its zones while its good probes are counted. */
static void sweep(struct watched *b)
{
	if (b->health.state != HEALTH_DOWN || b->health.udp.good == 0)
		return;
	for (size_t i = 0; i < b->fitness->count && b->sweeps_out < SWEEPS_MAX; i++)
		if (!b->fitness->zones[i].is_seen && b->pool->zones[i].plan->mirror)
			send_check(b, false, true, i);
}

static void send_due(struct watched *b, uint64_t now)
{
	send_one(b, false, now);
	send_one(b, true, now);
}

/* ---- Looking ---- */

/* Compares what workers saw with the last look. */
static enum health_cause find_evidence(const struct evidence_sum *old, const struct evidence_sum *new)
{
	if (new->refused > old->refused)
		return CAUSE_REFUSED;
	if (new->silent > old->silent && new->first_silent_us != 0)
		return CAUSE_SILENT;
	return CAUSE_NONE;
}

static bool is_calm(const struct watched *b)
{
	return (b->health.state == HEALTH_UP || b->health.state == HEALTH_PROBATION) &&
	       b->health.evidence_us == 0;
}

static void look_at(struct watched *b, uint64_t now)
{
	struct evidence_sum sum;
	enum health_cause cause;

	backend_sum(b->slot, &sum);
	cause = find_evidence(&b->seen, &sum);
	b->seen = sum;
	if (cause != CAUSE_NONE) {
		if (is_calm(b))
			b->bad = (struct probe_verdict){ .cause = CAUSE_NONE };
		follow(b, health_on_evidence(&b->health, &b->rules, cause, now), now);
	}
	if (is_calm(b))
		b->calm = sum;
	follow(b, health_on_time(&b->health, &b->rules, now), now);
	publish(b, now);
	send_due(b, now);
}

static void look(struct watch *w, bool is_tick)
{
	uint64_t now = clock_monotonic_us();

	for (unsigned i = 0; i < BACKENDS_MAX; i++) {
		if (!w->by_index[i])
			continue;
		look_at(w->by_index[i], now);
		if (is_tick)
			sweep(w->by_index[i]);
	}
	for (unsigned i = 0; i < w->pool_count; i++)
		takeover_look(&w->pools[i], NULL, now);
	arm(w, now);
}

/* To the earliest probe that is due, at most a tick ahead. */
static void arm(struct watch *w, uint64_t now)
{
	uint64_t next = now + TICK_US;

	for (unsigned i = 0; i < BACKENDS_MAX; i++) {
		struct watched *b = w->by_index[i];
		uint64_t due = b ? health_next_us(&b->health, &b->rules) : next;

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

/* ---- Plans ---- */

static void watched_free(struct watched *b)
{
	if (!b)
		return;
	cancel_checks(b);
	fitness_free(b->fitness);
	free(b);
}

static struct watched *watched_new(struct watch *w, struct backend *slot, uint64_t now)
{
	struct watched *b = zeroed(1, sizeof(*b));

	b->watch = w;
	b->slot = slot;
	health_init(&b->health, now);
	backend_sum(slot, &b->seen);
	b->calm = b->before = b->seen;
	return b;
}

static void watch_target(struct watch *w, struct watched_pool *pool, const struct plan_target *t,
			 struct watched **old, uint64_t now)
{
	const struct conf_health *conf = &pool->plan->conf->health;
	struct watched *b = old[t->backend->index];

	old[t->backend->index] = NULL;
	if (!b)
		b = watched_new(w, t->backend, now);
	cancel_checks(b);		/* they speak of zones by their old number */
	fitness_free(b->fitness);
	b->fitness = fitness_new(pool->zone_count);
	b->held.is_told = false;
	b->pool = pool;
	b->target = t;
	b->rules = (struct health_rules){
		.interval_us = conf->interval_us, .timeout_us = conf->timeout_us,
		.slow_start_us = conf->slow_start_us, .rise = conf->rise, .fall = conf->fall,
	};
	w->by_index[t->backend->index] = b;
	publish(b, now);
}

static void find_zones(struct watched_pool *pool, const struct plan *plan)
{
	size_t count = 0;

	for (size_t i = 0; i < plan->zone_count; i++)
		count += plan->zones[i].pool == pool->plan;
	pool->zones = zeroed(count, sizeof(*pool->zones));
	for (size_t i = 0; i < plan->zone_count; i++)
		if (plan->zones[i].pool == pool->plan)
			pool->zones[pool->zone_count++].plan = &plan->zones[i];
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
	}
}

static void free_pools(struct watched_pool *pools, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		free(pools[i].zones);
	free(pools);
}

void watch_set_plan(struct watch *w, const struct plan *plan)
{
	struct watched **old = zeroed(BACKENDS_MAX, sizeof(struct watched *));
	struct watched_pool *pools = zeroed(plan->pool_count, sizeof(*pools));
	uint64_t now = clock_monotonic_us();

	memcpy(old, w->by_index, sizeof(w->by_index));
	memset(w->by_index, 0, sizeof(w->by_index));
	for (unsigned i = 0; i < plan->pool_count; i++) {
		struct watched_pool *pool = &pools[i];

		pool->plan = &plan->pools[i];
		memcpy(pool->name, pool->plan->conf->name, sizeof(pool->name));
		pool->since_us = now;
		find_zones(pool, plan);
		carry_pool(w, pool);
		for (unsigned t = 0; t < pool->plan->target_count; t++)
			if (pool->plan->targets[t].kind == TARGET_BACKEND)
				watch_target(w, pool, &pool->plan->targets[t], old, now);
		takeover_set(pool, now);
	}
	for (unsigned i = 0; i < BACKENDS_MAX; i++)
		watched_free(old[i]);
	free(old);
	free_pools(w->pools, w->pool_count);
	w->pools = pools;
	w->pool_count = plan->pool_count;
	arm(w, now);
}

struct watch *watch_new(struct ev_loop *loop, struct mirror *mirror)
{
	struct watch *w = zeroed(1, sizeof(*w));

	w->loop = loop;
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
	for (unsigned i = 0; i < BACKENDS_MAX; i++)
		watched_free(w->by_index[i]);
	free_pools(w->pools, w->pool_count);
	free(w);
}
