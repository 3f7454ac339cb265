/* SPDX-License-Identifier: ISC */
/* watch_json - the watch as understudyctl shows it. */
#include <string.h>

#include "cache/clock.h"
#include "cache/rdata.h"
#include "proxy/watch_gate.h"
#include "proxy/watch_limit.h"
#include "proxy/watch_shadow.h"
#include "proxy/watch_takeover.h"
#include "proxy/watched.h"

static json_int_t seconds_since(uint64_t then_us, uint64_t now_us)
{
	return (json_int_t)((now_us - then_us) / US_PER_S);
}

static double percent(uint32_t share)
{
	return (double)(share * 1000ull / BACKEND_SHARE_FULL) / 10.;
}

static double ms(uint64_t us)
{
	return (double)us / 1000.;
}

static void put_counters(json_t *o, const struct evidence_sum *e)
{
	uint64_t silent = e->heard[TRANSPORT_UDP].silent + e->heard[TRANSPORT_TCP].silent;
	const struct { const char *name; uint64_t value; } rows[] = {
		{ "outstanding", e->outstanding }, { "sent", e->sent }, { "replies", e->replies },
		{ "late", e->late }, { "silent", silent }, { "refused", e->refused },
		{ "failed", e->failed }, { "rescued", e->rescued }, { "mismatched", e->mismatched },
		{ "spared", e->spared },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		json_object_set_new(o, rows[i].name, json_integer((json_int_t)rows[i].value));
}

static json_t *backend_json(const struct watched *b, uint64_t now)
{
	char address[ADDRESS_TEXT_MAX];
	struct evidence_sum sum;
	json_t *o = json_pack("{ss ss ss sI sI sb ss ss ss ss sI sf sf}",
		"name", b->slot->name, "pool", b->slot->pool,
		"address", address_to_text(&b->slot->address, address),
		"tier", (json_int_t)b->target->tier, "weight", (json_int_t)b->target->weight,
		"primary", b->target->is_primary,
		"state", watched_state_text(b),
		"health", health_state_text(b->health.state),
		"order", health_order_text(b->health.order),
		"cause", health_cause_text(b->health.cause),
		"since_s", seconds_since(b->health.since_us, now),
		"share_percent", percent(health_share(&b->health, &b->rules, now)),
		"probe_rtt_ms", ms(b->health.rtt_us));

	backend_sum(b->slot, &sum);
	json_object_set_new(o, "srtt_ms", json_real(ms(sum.srtt_us)));
	put_counters(o, &sum);
	json_object_set_new(o, "rise", json_integer(health_rise(&b->health, &b->rules)));
	json_object_set_new(o, "relapses", json_integer(health_relapses(&b->health)));
	json_object_set_new(o, "looping", json_boolean(b->health.is_looping));
	if (b->health.state == HEALTH_DOWN && b->health.order == ORDER_AUTO && !b->health.is_looping)
		json_object_set_new(o, "returns_in_s", json_integer((json_int_t)(
			(health_return_us(&b->health, &b->rules, now) + US_PER_S - 1) / US_PER_S)));
	if (limits_are_on(b, &sum))
		json_object_set_new(o, "limit_per_s", json_integer(sum.limit));
	json_object_set_new(o, "held", json_boolean(b->health.is_held));
	json_object_set_new(o, "held_zones", json_integer((json_int_t)b->loud_zones));
	return o;
}

json_t *watch_backends_json(struct watch *w)
{
	json_t *all = json_array();
	uint64_t now = clock_monotonic_us();

	for (unsigned i = 0; i < w->pool_count; i++) {
		const struct plan_pool *p = w->pools[i].plan;

		for (unsigned t = 0; t < p->target_count; t++)
			if (p->targets[t].kind == TARGET_BACKEND)
				json_array_append_new(all, backend_json(
					w->by_index[p->targets[t].backend->index], now));
	}
	return all;
}

/* ---- Zones ---- */

static json_t *hold_json(const struct watched *b, size_t zone, uint64_t now)
{
	const struct watched_gate *g = &b->gates[zone];
	const struct conf_regression *policy =
		conf_regression_of(b->pool->zones[zone].plan->conf);
	json_t *o = json_pack("{ss ss}", "backend", b->slot->name, "reason",
			      gate_reason_text(g->gate.reason));
	uint64_t age_us = g->hold && g->hold->since_us ? now - g->hold->since_us : 0;

	if (g->gate.has_serial)
		json_object_set_new(o, "serial", json_integer((json_int_t)g->gate.serial));
	json_object_set_new(o, "since_s", json_integer((json_int_t)(age_us / US_PER_S)));
	if (g->hold && g->hold->example)
		json_object_set_new(o, "example", json_string(g->hold->example));
	if (policy->policy == REGRESS_ACCEPT_AFTER && b->target->is_primary &&
	    gate_is_acceptable(&g->gate) && age_us < policy->after_us)
		json_object_set_new(o, "accepted_in_s", json_integer(
			(json_int_t)((policy->after_us - age_us) / US_PER_S)));
	return o;
}

/* That a server which is down has shown nothing is no news. */
static bool is_shown(const struct watched *b, size_t zone)
{
	bool is_away = b->health.state == HEALTH_DOWN;

	return gates_hold(b, zone) && !(is_away && b->gates[zone].gate.reason == GATE_UNPROVEN);
}

json_t *watch_zone_json(struct watch *w, const struct plan_zone *z, char text[WATCH_HELD_MAX])
{
	const struct watched_pool *p = &w->pools[z->pool->index];
	uint64_t now = clock_monotonic_us();
	json_t *all = NULL;
	size_t len = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < p->plan->target_count; i++) {
		const struct watched *b = p->members[i];

		if (!b || !is_shown(b, z->number))
			continue;
		all = all ? all : json_array();
		json_array_append_new(all, hold_json(b, z->number, now));
		if (len < WATCH_HELD_MAX)
			len += (size_t)snprintf(text + len, WATCH_HELD_MAX - len, "%s%s %s",
						len ? ", " : "", b->slot->name,
						gate_reason_text(b->gates[z->number].gate.reason));
	}
	return all;
}

/* ---- Divergences ---- */

static const struct divergence *divergence_of(struct watch *w, const struct plan_zone *z)
{
	return w->pools[z->pool->index].zones[z->number].divergence;
}

uint64_t watch_divergences(struct watch *w, const struct plan_zone *z)
{
	uint64_t sum = 0;

	if (z)
		return divergence_of(w, z) ? divergence_of(w, z)->count : 0;
	for (size_t i = 0; i < w->plan->zone_count; i++)
		sum += watch_divergences(w, &w->plan->zones[i]);
	return sum;
}

size_t watch_diverged_zones(struct watch *w)
{
	size_t count = 0;

	for (size_t i = 0; i < w->plan->zone_count; i++)
		count += watch_divergences(w, &w->plan->zones[i]) > 0;
	return count;
}

static json_t *example_json(const struct divergence_example *e, uint64_t now)
{
	const struct suspicion *s = &e->suspicion;
	char name[NAME_TEXT_MAX], type[16], theirs[SHADOW_TEXT_MAX], ours[SHADOW_TEXT_MAX];

	return json_pack("{ss ss ss sI sI ss ss}",
		"backend", e->backend, "name", name_to_text(s->name, name),
		"type", rdata_type_text(s->type, type), "serial", (json_int_t)s->serial,
		"ago_s", seconds_since(e->at_us, now),
		"backend_says", shadow_text(&s->theirs, theirs),
		"mirror_says", shadow_text(&s->ours, ours));
}

json_t *watch_examples_json(struct watch *w, const struct plan_zone *z)
{
	const struct divergence *v = divergence_of(w, z);
	uint64_t now = clock_monotonic_us();
	json_t *all = v ? json_array() : NULL;

	for (unsigned i = 0; v && i < v->example_count; i++)
		json_array_append_new(all, example_json(&v->examples[i], now));
	return all;
}

bool watch_zone_others(struct watch *w, const struct plan_zone *z, char text[WATCH_HELD_MAX])
{
	const struct watched_pool *p = &w->pools[z->pool->index];
	size_t len = 0;

	for (unsigned i = 0; i < p->plan->target_count && len < WATCH_HELD_MAX; i++) {
		const struct watched *b = p->members[i];

		if (b && b->gates[z->number].gate.is_other)
			len += (size_t)snprintf(text + len, WATCH_HELD_MAX - len, "%s%s",
						len ? ", " : "", b->slot->name);
	}
	return len > 0;
}

/* ---- Targets ---- */

static const char *mirror_state(const struct watched_pool *p, const struct plan_target *t,
				const struct plan_zone *zone)
{
	if (zone && !zone->mirror)
		return "not mirrored";
	if (takeover_target_is_fit(p, t, zone))
		return "servable";
	return zone && rcu_read(zone->mirror->current) ? "expired" : "empty";
}

static bool takes_queries(const struct plan_target *t)
{
	return t->kind == TARGET_MIRROR ||
	       atomic_load_explicit(&t->backend->share, memory_order_relaxed) > 0;
}

/* Its data of the zone; of a pool: of all zones. "": right, as far as is known. */
static const char *held_reason(const struct watched_pool *p, const struct plan_target *t,
			       const struct plan_zone *zone)
{
	static const char *const sentences[] = {
		[GATE_OPEN] = "",
		[GATE_UNPROVEN] = "held: it was away, and has not shown the zone yet",
		[GATE_MISSING] = "held: it does not serve the zone",
		[GATE_BEHIND] = "held: its serial is older than others'",
		[GATE_OLDER] = "held: its serial is older than the mirror's",
		[GATE_DIFFERS] = "held: the mirror's serial, but other data",
		[GATE_SHRUNK] = "held: next to nothing is left of the zone",
	};
	const struct watched *b = p->members[t - p->plan->targets];

	if (!b || p->zone_count == 0)
		return "";
	if (!zone)
		return gates_serve(b) ? "" : "held: its data of each zone is wrong";
	return sentences[b->gates[zone->number].gate.reason];
}

static bool is_limited(const struct watched_pool *p, const struct plan_target *t)
{
	const struct watched *b = p->members[t - p->plan->targets];
	struct evidence_sum sum;

	if (!b)
		return false;
	backend_sum(b->slot, &sum);
	return limits_are_on(b, &sum);
}

/* A drill gives it a share of the queries. */
static bool is_drilled(const struct watched_pool *p, const struct plan_target *t,
		       const struct plan_zone *zone)
{
	return p->drill.percent > 0 && t->kind == TARGET_MIRROR &&
	       takeover_target_is_fit(p, t, zone) &&
	       !(zone && plan_zone_holds(zone, p->mirror_target));
}

/* Why this target is asked now, or is not. */
static const char *target_reason(const struct watched_pool *p, const struct plan_target *t,
				 const struct plan_zone *zone, unsigned serving)
{
	bool is_fit = takeover_target_is_fit(p, t, zone);
	const char *held = held_reason(p, t, zone);

	if (is_drilled(p, t, zone))
		return "serves its share: a drill is on";
	if (!is_fit && *held && !takeover_target_is_eligible(p, t, zone) && takes_queries(t))
		return held;

	if (t->kind == TARGET_BACKEND
	    && atomic_load_explicit(&t->backend->is_looping, memory_order_relaxed))
		return "left out: what we send there comes back to us";
	if (!takeover_target_is_eligible(p, t, zone))
		return is_fit ? "left out: failover is ordered"
		       : t->kind == TARGET_MIRROR ? "holds nothing that it may serve"
						  : "takes no queries in its state";
	if (t->tier != serving)
		return "waits: a lower tier serves";
	if (!is_fit)
		return "serves whatever its state: failover is off";
	if (is_limited(p, t))
		return "serves as much as it can take: what is more goes to others";
	return "serves";
}

static json_t *target_json(struct watch *w, const struct watched_pool *p,
			   const struct plan_target *t, const struct plan_zone *zone,
			   unsigned serving)
{
	bool is_mirror = t->kind == TARGET_MIRROR;
	const struct watched *b = is_mirror ? NULL : w->by_index[t->backend->index];
	uint32_t share = BACKEND_SHARE_FULL;

	if (is_mirror)
		share = takeover_target_is_fit(p, t, zone) ? BACKEND_SHARE_FULL : 0;
	else
		share = atomic_load_explicit(&t->backend->share, memory_order_relaxed);
	return json_pack("{ss ss sI sI ss sf sb sb ss}",
		"name", is_mirror ? "mirror" : t->backend->name,
		"kind", is_mirror ? "mirror" : t->is_primary ? "primary" : "backend",
		"tier", (json_int_t)t->tier, "weight", (json_int_t)t->weight,
		"state", is_mirror ? mirror_state(p, t, zone) : watched_state_text(b),
		"share_percent", percent(share),
		"eligible", takeover_target_is_eligible(p, t, zone),
		"serves", is_drilled(p, t, zone) ||
			  (t->tier == serving && takeover_target_is_eligible(p, t, zone)),
		"why", target_reason(p, t, zone, serving));
}

static json_t *targets_json(struct watch *w, const struct watched_pool *p,
			    const struct plan_zone *zone)
{
	json_t *all = json_array();
	unsigned serving = takeover_tier(p, zone);

	for (unsigned i = 0; i < p->plan->target_count; i++)
		json_array_append_new(all, target_json(w, p, &p->plan->targets[i], zone, serving));
	return all;
}

json_t *watch_targets_json(struct watch *w, const struct plan_pool *pool,
			   const struct plan_zone *zone)
{
	for (unsigned i = 0; i < w->pool_count; i++)
		if (w->pools[i].plan == pool)
			return targets_json(w, &w->pools[i], zone);
	return json_array();
}

/* ---- Pools ---- */

static const char *order_text(enum plan_failover order)
{
	switch (order) {
	case POOL_FAILOVER_AUTO:	return "auto";
	case POOL_FAILOVER_ON:		return "on";
	case POOL_FAILOVER_OFF:		return "off";
	}
	return "?";
}

static json_t *pool_json(struct watch *w, const struct watched_pool *p, uint64_t now)
{
	char names[WATCHED_NAMES_MAX];
	json_t *o = json_pack("{ss ss ss sI sI sb ss sI}",
		"name", p->name, "policy", conf_policy_text(p->plan->conf->policy),
		"failover", order_text(takeover_order(p->plan)),
		"zones", (json_int_t)p->zone_count,
		"tier", p->tier == TAKEOVER_NONE ? (json_int_t)-1 : (json_int_t)p->tier,
		"first_tier", p->tier == takeover_first_tier(p->plan),
		"serving", takeover_names(p, p->tier, names),
		"since_s", seconds_since(p->since_us, now));

	if (p->drill.percent > 0)
		json_object_update_new(o, json_pack("{sf sI sI}",
			"drill_percent", (double)p->drill.percent,
			"drill_left_s", (json_int_t)((p->drill.until_us - now + US_PER_S - 1) / US_PER_S),
			"drill_served", (json_int_t)(plan_drill_served(p->plan->drill) -
						     p->drill.served_before)));
	json_object_set_new(o, "targets", targets_json(w, p, NULL));
	return o;
}

json_t *watch_pools_json(struct watch *w)
{
	json_t *all = json_array();
	uint64_t now = clock_monotonic_us();

	for (unsigned i = 0; i < w->pool_count; i++)
		json_array_append_new(all, pool_json(w, &w->pools[i], now));
	return all;
}

bool watch_is_degraded(struct watch *w)
{
	for (unsigned i = 0; i < w->pool_count; i++)
		if (takeover_tier(&w->pools[i], NULL) != takeover_first_tier(w->pools[i].plan))
			return true;
	for (unsigned i = 0; i < w->count; i++)
		if (strcasecmp(watched_state_text(w->all[i]), "up") != 0 || w->all[i]->loud_zones > 0)
			return true;
	return false;
}
