/* SPDX-License-Identifier: ISC */
#include "proxy/watch_gate.h"

#include <stdlib.h>
#include <string.h>

#include "cache/clock.h"
#include "cache/memory.h"
#include "cache/serial.h"
#include "proxy/watch_accept.h"
#include "proxy/watch_due.h"
#include "proxy/watch_shadow.h"
#include "proxy/watch_takeover.h"

enum {
	ASKS_RETURNING = 256,	/* questions that may begin in one tick, to one backend */
	ASKS_SERVING = 64,
	ASKS_OUT_MAX = 64,	/* under way to one backend */
	SAMPLES_MAX = 16, SAMPLES_MIN = 4, SAMPLES_OF_POOL = 1024,
};

#define RECHECK_US	(60 * US_PER_S)		/* clients can make a server suspect */
#define RETURN_US	(600 * US_PER_S)	/* so long it is asked faster, for all its zones */
#define LAG_TOLD_US	(10 * US_PER_S)		/* every update has a short lag */

/* ---- Facts ---- */

static uint8_t samples_of(const struct watched_pool *p)
{
	size_t n = p->zone_count ? SAMPLES_OF_POOL / p->zone_count : 0;

	return (uint8_t)(n > SAMPLES_MAX ? SAMPLES_MAX : n < SAMPLES_MIN ? SAMPLES_MIN : n);
}

bool gates_are_open_for(const struct watched *b, size_t zone)
{
	const struct gate *g = &b->gates[zone].gate;

	return g->reason == GATE_OPEN && g->has_serial &&
	       atomic_load_explicit(&b->slot->share, memory_order_relaxed) > 0;
}

struct gate_facts gates_facts(const struct watched *b, size_t zone)
{
	const struct watched_zone *z = &b->pool->zones[zone];
	const struct generation *g = plan_zone_servable(z->plan);
	struct gate_facts f = {
		.has_newest = g != NULL, .has_mirror = g != NULL,
		.is_primary = b->target->is_primary,
		.is_away = b->health.state == HEALTH_DOWN, .is_accepted = z->is_accepted,
		.accepted = z->accepted, .samples = samples_of(b->pool),
	};

	if (g) {
		f.newest = f.mirror_serial = g->soa.serial;
		f.generation = (uint32_t)g->number;
	}
	for (unsigned i = 0; i < b->pool->primary_count; i++) {
		const struct watched *p = b->pool->primaries[i];

		if (p == b || !gates_are_open_for(p, zone) ||
		    (f.has_newest && !serial_is_newer(p->gates[zone].gate.serial, f.newest)))
			continue;
		f.has_newest = true;
		f.newest = p->gates[zone].gate.serial;
	}
	return f;
}

/*
 * The mirror lags while a primary that is to be believed is known to have been newer; but not
 * where the operator wants it to.
 */
static void look_at_mirror(struct watched_pool *p, size_t zone)
{
	struct plan_zone *z = p->zones[zone].plan;
	const struct generation *g = plan_zone_servable(z);
	bool is_free = g && mirror_zone_hold(z->mirror) == ZONE_FREE, is_behind = false;

	if (!p->has_mirror)
		return;
	for (unsigned i = 0; is_free && i < p->primary_count; i++) {
		const struct gate *gate = &p->primaries[i]->gates[zone].gate;
		bool is_good = gate->reason == GATE_OPEN || gate->reason == GATE_UNPROVEN ||
			       gate->reason == GATE_MISSING;

		is_behind |= is_good && gate->has_serial &&
			     serial_is_newer(gate->serial, g->soa.serial);
	}
	if (is_behind != plan_zone_holds(z, p->mirror_target))
		plan_zone_hold(z, p->mirror_target, is_behind);
}

/* ---- What follows ---- */

bool gates_hold(const struct watched *b, size_t zone)
{
	return plan_zone_holds(b->pool->zones[zone].plan, watched_target(b));
}

bool gates_are_open(const struct watched *b)
{
	return b->pool->zone_count == 0 || b->held_zones < b->pool->zone_count;
}

bool gates_serve(const struct watched *b)
{
	return b->pool->zone_count == 0 || b->loud_zones < b->pool->zone_count;
}

/* A server that lags a moment behind an update is out, but that is no news. */
static bool is_worth_telling(const struct watched *b, const struct watched_gate *g, uint64_t now)
{
	const struct watched_hold *h = g->hold;

	if (g->gate.reason != GATE_BEHIND && g->gate.reason != GATE_OLDER)
		return true;
	if (g->gate.has_regressed || b->health.state == HEALTH_DOWN)
		return true;
	return h && (h->is_told || (h->since_us && now - h->since_us >= LAG_TOLD_US));
}

static void publish(struct watched *b, size_t zone, uint64_t now)
{
	struct watched_gate *g = &b->gates[zone];
	bool is_held = g->gate.reason != GATE_OPEN && b->health.order != ORDER_UP;
	bool was_loud = g->is_loud;

	if (g->gate.is_other != plan_has_target(&b->pool->zones[zone].plan->others, watched_target(b)))
		plan_set_target(&b->pool->zones[zone].plan->others, watched_target(b), g->gate.is_other);
	g->is_loud = is_held && (was_loud || is_worth_telling(b, g, now));
	b->loud_zones += (size_t)g->is_loud - was_loud;
	if (is_held == gates_hold(b, zone))
		return;
	plan_zone_hold(b->pool->zones[zone].plan, watched_target(b), is_held);
	b->held_zones += is_held ? 1 : (size_t)-1;
}

static struct watched_hold *hold_of(struct watched *b, size_t zone)
{
	struct watched_gate *g = &b->gates[zone];

	if (!g->hold)
		g->hold = memory_zeroed(1, sizeof(*g->hold));
	return g->hold;
}

static void drop_hold(struct watched_gate *g)
{
	if (g->hold)
		free(g->hold->example);
	free(g->hold);
	g->hold = NULL;
}

void gates_settle(struct watched *b, size_t zone, const char *cause, uint64_t now)
{
	struct watched_gate *g = &b->gates[zone];
	bool did_serve = gates_serve(b);

	publish(b, zone, now);
	if (g->gate.reason > GATE_UNPROVEN) {
		if (hold_of(b, zone)->since_us == 0)
			g->hold->since_us = now;
		if (!g->hold->is_told && g->is_loud)
			g->hold->is_told = watched_tell_held(b, zone, now);
	} else if (g->hold && g->gate.reason == GATE_OPEN && !g->gate.is_doubted &&
		   !g->gate.is_sampling) {
		if (g->hold->is_told)
			watched_tell_released(b, zone, cause, now);
		drop_hold(g);
	}
	if (did_serve != gates_serve(b))
		takeover_look(b->pool, did_serve ? "zones_held" : "zones_released", now);
}

/* ---- Asking ---- */

static uint32_t ms_of(uint64_t us)
{
	return (uint32_t)(us / US_PER_MS);
}

static unsigned asks_of(const struct watched *b, uint64_t now)
{
	bool is_new = now - b->health.since_us < RETURN_US && b->loud_zones > 0;

	switch (b->health.state) {
	case HEALTH_UP:		return is_new ? ASKS_RETURNING : ASKS_SERVING;
	case HEALTH_PROBATION:	return ASKS_RETURNING;
	case HEALTH_DOWN:	return b->health.udp.good > 0 ? ASKS_RETURNING : 0;
	case HEALTH_SUSPECT:	break;
	}
	return 0;
}

/* Who differs in few names would be let off by a lucky draw: the name that told is asked first. */
static bool choose_sample(struct watched_gate *w, const struct gate_facts *f,
			  const struct generation *g, struct random *random, struct sample *s)
{
	bool is_first = w->gate.samples_left == f->samples;

	if (is_first)
		w->first = random_u16(random);
	if (!is_first || !w->hold || !w->hold->example)
		return sample_choose(g, random, (unsigned)w->first + w->gate.samples_left, s);
	*s = w->hold->witness;
	return true;
}

static void ask_sample(struct watched *b, size_t zone, const struct gate_facts *f, uint64_t now)
{
	const struct generation *g = plan_zone_servable(b->pool->zones[zone].plan);
	struct gate *gate = &b->gates[zone].gate;
	struct sample s;

	gate_on_asked(gate, ms_of(now));
	if (g && choose_sample(&b->gates[zone], f, g, &b->watch->random, &s))
		check_ask(b, zone, &s, f);
	else
		gate_on_sample(gate, SAMPLE_NOTHING, f);
}

static bool may_ask(const struct watched *b)
{
	return b->asks_left > 0 && b->sweeps_out < ASKS_OUT_MAX;
}

bool gates_may_ask(const struct watched_pool *p)
{
	for (unsigned i = 0; i < p->plan->target_count; i++)
		if (p->members[i] && may_ask(p->members[i]))
			return true;
	return false;
}

static void ask(struct watched *b, size_t zone, uint64_t now)
{
	struct gate *g = &b->gates[zone].gate;
	struct gate_facts f;

	if (!may_ask(b))
		return;
	switch (gate_next(g, ms_of(now), ms_of(b->rules.interval_us))) {
	case GATE_ASK_NOTHING:
		return;
	case GATE_ASK_SOA:
		f = gates_facts(b, zone);
		gate_on_asked(g, ms_of(now));
		check_ask(b, zone, NULL, &f);
		break;
	case GATE_ASK_SAMPLE:
		f = gates_facts(b, zone);
		ask_sample(b, zone, &f, now);
		break;
	}
	b->asks_left--;
}

/* Workers saw it deny what the mirror has, since the last look. */
static bool has_denied(const struct watched *b, size_t zone)
{
	struct plan_targets *denied = &b->pool->zones[zone].plan->heard->denied;

	return plan_has_target(denied, watched_target(b)) &&
	       plan_set_target(denied, watched_target(b), false);
}

static bool is_quiet(const struct watched_pool *p, size_t zone)
{
	for (unsigned i = 0; i < p->plan->target_count; i++) {
		const struct watched *b = p->members[i];

		if (b && (b->gates[zone].hold || !gate_is_quiet(&b->gates[zone].gate)))
			return false;
	}
	return !accept_is_pending(&p->zones[zone]);
}

void gates_look(struct watched_pool *p, size_t zone, uint64_t now)
{
	look_at_mirror(p, zone);
	for (unsigned i = 0; i < p->plan->target_count; i++) {
		struct watched *b = p->members[i];
		struct gate_facts f;

		if (!b)
			continue;
		f = gates_facts(b, zone);
		if (has_denied(b, zone))
			gate_on_denial(&b->gates[zone].gate, f.samples, ms_of(now));
		gate_look(&b->gates[zone].gate, &f);
		gates_settle(b, zone, "nobody_to_compare", now);
		accept_by_policy(b, zone, now);
		ask(b, zone, now);
	}
	if (p->primary_count > 0)
		accept_push(p->primaries[0]->watch, &p->zones[zone], now);
	if (!is_quiet(p, zone))
		due_zone(p, zone);
}

/* What it showed was true then; it may have been started again since, with an old version. */
void gates_look_all(struct watched *b, uint64_t now)
{
	for (size_t i = 0; i < b->pool->zone_count; i++) {
		struct gate_facts f = gates_facts(b, i);

		if (gate_look(&b->gates[i].gate, &f))
			gates_settle(b, i, "nobody_to_compare", now);
		gate_want_soa(&b->gates[i].gate);
		ask(b, i, now);
	}
	due_pool(b->pool);
}

void gates_begin_tick(struct watch *w, uint64_t now)
{
	for (unsigned i = 0; i < w->count; i++)
		w->all[i]->asks_left = asks_of(w->all[i], now);
}

/* ---- Replies ---- */

static void keep_example(struct watched_hold *h, const struct sample *s, const char *text)
{
	free(h->example);
	h->example = strdup(text);
	if (!h->example)
		abort();
	h->witness = *s;
}

static enum gate_sample judge_sample(struct watched *b, const struct check *c,
				     const struct probe_verdict *v)
{
	const struct generation *g = plan_zone_servable(b->pool->zones[c->zone].plan);
	enum gate_sample said;
	char text[SAMPLE_TEXT_MAX] = "";

	if (v->cause != CAUSE_NONE || !v->reply || !g || (uint32_t)g->number != c->facts.generation)
		return SAMPLE_NOTHING;
	said = sample_compare(g, &c->sample, v->reply, v->reply_len, text);
	if (text[0])
		keep_example(hold_of(b, c->zone), &c->sample, text);
	return said;
}

/* A server that does not serve the zone for a moment may be loading another version. */
static void note_shown(struct watched_gate *g, const struct probe_verdict *v, uint64_t now)
{
	if (v->cause == CAUSE_RCODE || v->cause == CAUSE_LAME)
		g->shown_us = 0;
	else if (v->cause == CAUSE_NONE && v->has_serial &&
		 (g->shown_us == 0 || g->gate.serial != v->serial))
		g->shown_us = now;
}

static void on_soa(struct watched *b, const struct check *c, const struct probe_verdict *v,
		   uint64_t now)
{
	struct watched_gate *g = &b->gates[c->zone];

	note_shown(g, v, now);
	gate_on_soa(&g->gate, v->cause, v->has_serial ? &v->serial : NULL, &c->facts, b->rules.fall);
	shadows_on_soa(b, c, v, now);
}

void gates_on_check(struct watched *b, const struct check *c, const struct probe_verdict *v,
		    uint64_t now)
{
	struct gate *g = &b->gates[c->zone].gate;

	if (c->sample.type)
		gate_on_sample(g, judge_sample(b, c, v), &c->facts);
	else if (!v->is_ours)
		on_soa(b, c, v, now);
	look_at_mirror(b->pool, c->zone);
	gates_settle(b, c->zone, "caught_up", now);
	due_zone(b->pool, c->zone);	/* others are compared with what it shows */
	accept_by_policy(b, c->zone, now);
	if (v->cause == CAUSE_NONE)	/* else at the next tick: it may be going away */
		ask(b, c->zone, now);
}

/* ---- Lives ---- */

void gates_forget(struct watched *b, uint64_t now)
{
	for (size_t i = 0; i < b->pool->zone_count; i++) {
		gate_forget(&b->gates[i].gate, samples_of(b->pool));
		b->gates[i].shown_us = 0;
		publish(b, i, now);
	}
	shadows_forget(b->watch, b);
	b->is_rechecked = false;
}

void gates_recheck(struct watched *b, uint64_t now)
{
	for (size_t i = 0; i < b->pool->zone_count; i++)
		b->gates[i].shown_us = 0;
	if (b->is_rechecked && now - b->rechecked_us < RECHECK_US)
		return;
	b->is_rechecked = true;
	b->rechecked_us = now;
	for (size_t i = 0; i < b->pool->zone_count; i++)
		gate_recheck(&b->gates[i].gate, samples_of(b->pool));
}

void gates_on_order(struct watched *b, uint64_t now)
{
	for (size_t i = 0; i < b->pool->zone_count; i++)
		publish(b, i, now);
	due_pool(b->pool);
}

void gates_free(struct watched_gate *gates, size_t count)
{
	for (size_t i = 0; i < count; i++)
		drop_hold(&gates[i]);
	free(gates);
}

void gates_take(struct watched *b, struct watched_gate *old, size_t old_count, uint64_t now)
{
	const struct watched_pool *p = b->pool;
	bool is_away = b->health.state == HEALTH_DOWN;

	b->held_zones = b->loud_zones = 0;
	b->gates = memory_zeroed(p->zone_count, sizeof(*b->gates));
	for (size_t i = 0; i < p->zone_count; i++) {
		struct watched_gate *g = &b->gates[i];

		if (p->zones[i].before < old_count) {
			*g = old[p->zones[i].before];
			g->is_loud = false;
			old[p->zones[i].before].hold = NULL;
		} else {
			gate_init(&g->gate, samples_of(p));
			if (is_away)
				gate_forget(&g->gate, samples_of(p));
		}
		publish(b, i, now);
	}
	gates_free(old, old_count);
}
