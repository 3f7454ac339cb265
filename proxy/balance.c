/* SPDX-License-Identifier: ISC */
#include "proxy/balance_parts.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

enum { P2C_EXPLORE = 64 };	/* one choice in so many is blind */

/* The eligible targets of one tier. */
struct candidates {
	const struct plan_target *but;	/* this one had its chance */
	const struct plan_target *target[CONF_TARGETS_MAX];
	unsigned count;
	unsigned weight;		/* summed */
	const struct plan_target *spared;	/* the first that is eligible and has no room */
};

static void add(struct candidates *c, const struct plan_target *t)
{
	c->target[c->count++] = t;
	c->weight += t->weight;
}

/* A mirror that lags behind a primary serves alone or not at all: no serial goes back and forth. */
static void collect_tier(struct balance *b, const struct balance_ask *ask, struct random *random,
			 unsigned from, unsigned end, struct candidates *c)
{
	const struct plan_target *lagging = NULL;

	for (unsigned i = from; i < end; i++) {
		const struct plan_target *t = &ask->pool->targets[i];

		if (t == c->but || !balance_is_eligible(ask, t, random))
			continue;
		if (t->kind == TARGET_MIRROR && balance_is_held(ask, t))
			lagging = t;
		else if (balance_has_room(b, ask, t))
			add(c, t);
		else if (!c->spared)
			c->spared = t;
	}
	if (c->count == 0 && lagging)
		add(c, lagging);
}

static void collect(struct balance *b, const struct balance_ask *ask, struct random *random,
		    struct candidates *c)
{
	const struct plan_pool *pool = ask->pool;

	c->count = c->weight = 0;
	c->spared = NULL;
	for (unsigned from = balance_first_allowed(ask), end; from < pool->target_count && !c->count;
	     from = end) {
		end = pool->targets[from].tier_end;
		collect_tier(b, ask, random, from, end, c);
	}
}

/* ---- The policies, among candidates ---- */

/* The target on whose stretch of the summed weights `point` falls. */
static const struct plan_target *at_weight(const struct candidates *c, unsigned point)
{
	for (unsigned i = 0; i < c->count; i++) {
		if (point < c->target[i]->weight)
			return c->target[i];
		point -= c->target[i]->weight;
	}
	return c->target[c->count - 1];
}

static uint32_t outstanding(const struct balance *b, const struct plan_target *t)
{
	return t->kind == TARGET_MIRROR ? 0 : b->views[t->backend->index].outstanding;
}

/* By weight. */
static const struct plan_target *draw(const struct candidates *c, struct random *random)
{
	return at_weight(c, random_below(random, c->weight));
}

/* Starts at a random place, so that equals share evenly. */
static const struct plan_target *least_busy(const struct balance *b, const struct candidates *c,
					    struct random *random)
{
	unsigned start = random_below(random, c->count);
	const struct plan_target *best = c->target[start];

	for (unsigned i = 1; i < c->count; i++) {
		const struct plan_target *t = c->target[(start + i) % c->count];

		/* (outstanding + 1) / weight, without division */
		if ((outstanding(b, t) + 1ull) * best->weight
		    < (outstanding(b, best) + 1ull) * t->weight)
			best = t;
	}
	return best;
}

/* Whether `y` would be no busier, for its weight, with this query than `x` is without it. */
static bool is_less_busy(const struct balance *b, const struct plan_target *y,
			 const struct plan_target *x)
{
	return (outstanding(b, y) + 1ull) * x->weight <= (uint64_t)outstanding(b, x) * y->weight;
}

/*
 * One is drawn by weight, and has it unless another is less busy. So servers that are quick enough
 * to be idle most of the time share by weight: were the least busy one always taken, the heaviest
 * would have all.
 */
static const struct plan_target *least_outstanding(const struct balance *b,
						   const struct candidates *c,
						   const struct plan_target *drawn,
						   struct random *random)
{
	const struct plan_target *best;

	if (outstanding(b, drawn) == 0)
		return drawn;
	best = least_busy(b, c, random);
	return is_less_busy(b, best, drawn) ? best : drawn;
}

/*
 * Unknown counts as fast. Below a millisecond latencies are equal: on one LAN the difference is
 * noise, and would starve one.
 */
static uint64_t latency_ms(const struct balance *b, const struct plan_target *t)
{
	return t->kind == TARGET_MIRROR ? 0 : b->views[t->backend->index].udp.srtt_us / 1000;
}

/* Latency times the queue in front of us; the draws have given each its weight already. */
static bool is_faster(const struct balance *b, const struct plan_target *y,
		      const struct plan_target *x)
{
	uint64_t cost_y = (latency_ms(b, y) + 1) * (outstanding(b, y) + 1ull);
	uint64_t cost_x = (latency_ms(b, x) + 1) * (outstanding(b, x) + 1ull);

	return cost_y < cost_x && cost_y * x->weight < cost_x * y->weight;
}

/* Another one, by weight; `first` when it is alone. */
static const struct plan_target *draw_other(const struct candidates *c,
					    const struct plan_target *first, struct random *random)
{
	unsigned point = c->count > 1 ? random_below(random, c->weight - first->weight) : 0;

	for (unsigned i = 0; i < c->count; i++) {
		if (c->target[i] == first)
			continue;
		if (point < c->target[i]->weight)
			return c->target[i];
		point -= c->target[i]->weight;
	}
	return first;
}

/* Now and then the worse of two is taken: a server that was slow once must be measured again. */
static const struct plan_target *better_of(const struct balance *b, const struct plan_target *x,
					   const struct plan_target *y, struct random *random)
{
	uint64_t ms_x = latency_ms(b, x), ms_y = latency_ms(b, y);
	bool is_better = ms_y == ms_x ? is_less_busy(b, y, x) : is_faster(b, y, x);

	return is_better && random_below(random, P2C_EXPLORE) != 0 ? y : x;
}

static const struct plan_target *p2c_latency(const struct balance *b, const struct candidates *c,
					     struct random *random)
{
	const struct plan_target *x = draw(c, random);

	return better_of(b, x, draw_other(c, x, random), random);
}

static uint32_t mix(uint32_t x)
{
	x = (x ^ x >> 16) * 0x7feb352du;
	x = (x ^ x >> 15) * 0x846ca68bu;
	return x ^ x >> 16;
}

/*
 * Weighted rendezvous hashing: -weight / ln(u) for a number u in (0, 1) of target and question. Of
 * equal weights the highest number has the highest score, and needs no logarithm.
 */
static uint32_t score(const struct plan_target *t, uint32_t hash)
{
	uint32_t number = mix(hash ^ t->hash), bits;
	float u, weighted;

	if (t->is_tier_even)
		return number;
	u = ((float)(number >> 8) + 0.5f) / 16777216.0f;
	weighted = -(float)t->weight / logf(u);
	memcpy(&bits, &weighted, sizeof(bits));	/* above 0 in the order of their bits: IEEE 754 */
	return bits;
}

/* The highest score wins; when a target goes, only its own questions move. */
static const struct plan_target *consistent_hash(const struct candidates *c, uint32_t hash)
{
	const struct plan_target *best = c->target[0];
	uint32_t highest = 0;

	for (unsigned i = 0; i < c->count; i++) {
		uint32_t own = score(c->target[i], hash);

		if (own > highest) {
			highest = own;
			best = c->target[i];
		}
	}
	return best;
}

/* ---- While all are well ---- */

/* As at_weight(), of a whole tier. */
static const struct plan_target *in_tier(const struct plan_target *targets, unsigned from,
					 unsigned point)
{
	unsigned low = from, high = targets[from].tier_end - 1;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (point < targets[middle].weight_end)
			high = middle;
		else
			low = middle + 1;
	}
	return &targets[low];
}

/* As consistent_hash(), of a whole tier. */
static const struct plan_target *nearest_in_tier(const struct plan_target *targets, unsigned from,
						 uint32_t hash)
{
	const struct plan_target *best = &targets[from];
	uint32_t highest = 0;

	for (unsigned i = from; i < targets[from].tier_end; i++) {
		uint32_t own = score(&targets[i], hash);

		if (own > highest) {
			highest = own;
			best = &targets[i];
		}
	}
	return best;
}

static unsigned tier_weight(const struct plan_target *targets, unsigned of)
{
	return targets[targets[of].tier_end - 1].weight_end;
}

/* Who would have the query if all of the first tier were well. NULL: there is no tier left. */
static const struct plan_target *first_choice(struct balance *b, const struct balance_ask *ask,
					      struct random *random)
{
	const struct plan_target *targets = ask->pool->targets;
	unsigned from = balance_first_allowed(ask);

	if (from >= ask->pool->target_count)
		return NULL;
	switch (ask->pool->conf->policy) {
	case POLICY_ORDERED:
		return &targets[from];
	case POLICY_ROUND_ROBIN:
		return in_tier(targets, from, b->turn[ask->pool->index]++ % tier_weight(targets, from));
	case POLICY_WEIGHTED_RANDOM:
	case POLICY_LEAST_OUTSTANDING:
	case POLICY_P2C_LATENCY:
		return in_tier(targets, from, random_below(random, tier_weight(targets, from)));
	case POLICY_CONSISTENT_HASH:
		return nearest_in_tier(targets, from, ask->hash);
	}
	return NULL;
}

/* A mirror that lags depends on the others: collect_tier(). */
static bool is_ready(struct balance *b, const struct balance_ask *ask, const struct plan_target *t,
		     struct random *random)
{
	return balance_is_eligible(ask, t, random) && balance_has_room(b, ask, t)
	       && !(t->kind == TARGET_MIRROR && balance_is_held(ask, t));
}

/* Another one of the tier of `x`, by weight. NULL: it is alone. */
static const struct plan_target *other_in_tier(const struct balance_ask *ask,
					       const struct plan_target *x, struct random *random)
{
	const struct plan_target *targets = ask->pool->targets;
	unsigned sum = tier_weight(targets, (unsigned)(x - targets)), point;

	if (sum == x->weight)
		return NULL;
	point = random_below(random, sum - x->weight);
	if (point >= x->weight_end - x->weight)
		point += x->weight;
	return in_tier(targets, balance_first_allowed(ask), point);
}

/* The first choice is ready: it, or NULL when all have to be looked at. */
static const struct plan_target *choose_quickly(struct balance *b, const struct balance_ask *ask,
						const struct plan_target *first,
						struct random *random)
{
	const struct plan_target *y;

	switch (ask->pool->conf->policy) {
	case POLICY_ORDERED:
	case POLICY_ROUND_ROBIN:
	case POLICY_WEIGHTED_RANDOM:
	case POLICY_CONSISTENT_HASH:
		return first;
	case POLICY_LEAST_OUTSTANDING:
		return outstanding(b, first) == 0 ? first : NULL;
	case POLICY_P2C_LATENCY:
		y = other_in_tier(ask, first, random);
		if (!y)
			return first;
		return is_ready(b, ask, y, random) ? better_of(b, first, y, random) : NULL;
	}
	return NULL;
}

/* ---- When some are not ---- */

/* `drawn`: by weight, of all that are eligible; NULL: nobody was. */
static const struct plan_target *choose_among(const struct balance *b,
					      const struct balance_ask *ask,
					      const struct candidates *c,
					      const struct plan_target *drawn,
					      struct random *random)
{
	switch (ask->pool->conf->policy) {
	case POLICY_ORDERED:		return c->target[0];
	case POLICY_ROUND_ROBIN:
	case POLICY_WEIGHTED_RANDOM:	return draw(c, random);
	case POLICY_LEAST_OUTSTANDING:
		return least_outstanding(b, c, drawn ? drawn : draw(c, random), random);
	case POLICY_P2C_LATENCY:	return p2c_latency(b, c, random);
	case POLICY_CONSISTENT_HASH:	return consistent_hash(c, ask->hash);
	}
	return c->target[0];
}

/* Nobody else is there: half an answer is better than none, and old data, too. */
static void collect_last(struct balance *b, const struct balance_ask *ask, struct candidates *c)
{
	struct balance_ask last = *ask;

	last.takes_limited = true;
	collect(b, &last, NULL, c);
	if (c->count > 0)
		return;
	last.takes_held = true;
	collect(b, &last, NULL, c);
}

/*
 * Mostly all are well, and a pool of a hundred costs what a pool of one does. A first choice that
 * is not eligible, or in slow start and over its share, leaves the query to all the others.
 */
const struct plan_target *balance_choose(struct balance *b, const struct balance_ask *ask,
					 struct random *random)
{
	const struct plan_target *drawn = first_choice(b, ask, random), *t;
	struct candidates c;

	b->spared = NULL;
	c.but = NULL;
	if (drawn && is_ready(b, ask, drawn, random)) {
		t = choose_quickly(b, ask, drawn, random);
		if (t)
			return t;
	} else if (drawn && !balance_has_room(b, ask, drawn)) {
		drawn = NULL;
	} else {
		c.but = drawn && drawn->kind == TARGET_BACKEND ? drawn : NULL;
		drawn = NULL;
	}
	collect(b, ask, random, &c);
	c.but = NULL;
	if (drawn && (c.count == 0 || c.target[0]->tier != drawn->tier))
		return drawn;	/* its share allowed it once: not asked again */
	if (c.count == 0)	/* a share is one of choices: where there are none, it is all */
		collect(b, ask, NULL, &c);
	if (c.count == 0)
		collect_last(b, ask, &c);
	b->spared = c.spared;
	return c.count > 0 ? choose_among(b, ask, &c, drawn, random) : NULL;
}

const struct plan_target *balance_drill(const struct balance_ask *ask, struct random *random)
{
	uint32_t percent = atomic_load_explicit(&ask->pool->drill->percent, memory_order_relaxed);

	if (percent == 0 || !ask->mirror_can_answer || ask->is_shadowed)
		return NULL;
	for (unsigned i = 0; i < ask->pool->target_count; i++) {
		const struct plan_target *t = &ask->pool->targets[i];

		if (t->kind == TARGET_MIRROR && !balance_is_held(ask, t))
			return random_below(random, 100) < percent ? t : NULL;
	}
	return NULL;
}
