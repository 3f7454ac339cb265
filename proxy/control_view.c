/* SPDX-License-Identifier: ISC */
#include "proxy/control_view.h"

#include <string.h>
#include <unistd.h>

#include "cache/clock.h"
#include "cache/dns.h"
#include "cache/rdata.h"
#include "proxy/control_catalog.h"

/* ---- Zones ---- */

/* Past its SOA expire, and served all the same. */
static bool is_in_grace(struct mirror_zone *z)
{
	const struct generation *g = mirror_zone_servable(z);

	return g && atomic_load_explicit(&g->is_stale, memory_order_relaxed);
}

/* What a client gets from the mirror for this zone, now. */
static const char *zone_state(const struct plan_zone *z, const struct mirror_zone_status *s)
{
	if (!z->mirror)
		return "forwarded";
	if (is_in_grace(z->mirror))
		return "grace";
	if (mirror_zone_servable(z->mirror) && s->hold != ZONE_FREE)
		return "held";
	if (mirror_zone_servable(z->mirror))
		return s->is_transferring ? "refreshing" : "ok";
	if (rcu_read(z->mirror->current))
		return "expired";
	return s->is_transferring ? "loading" : "empty";
}

/* No primary has confirmed it in time. */
static bool is_overdue(struct mirror_zone *z)
{
	return clock_monotonic_us() >= atomic_load_explicit(&z->stale_us, memory_order_relaxed);
}

static void put_served(json_t *o, const struct generation *g)
{
	json_object_update_new(o, json_pack("{sI sI sI sI}",
		"serial", (json_int_t)g->soa.serial, "generation", (json_int_t)g->number,
		"records", (json_int_t)g->records, "bytes", (json_int_t)g->bytes));
}

/* Who transfers it for all that share the store, and since when that has a later version. */
static void put_fleet(json_t *o, const struct mirror_zone_status *s)
{
	uint64_t since_us = s->lacks_since_us;
	uint64_t lag_us = since_us > 0 ? clock_monotonic_us() - since_us : 0;

	json_object_set_new(o, "lease", json_boolean(s->has_lease));
	if (s->lease_holder[0])
		json_object_set_new(o, "lease_holder", json_string(s->lease_holder));
	json_object_set_new(o, "lag_ms", json_integer((json_int_t)(lag_us / US_PER_MS)));
}

static void put_refusal(json_t *o, const struct mirror_zone_status *s)
{
	if (s->refused_by == REVIEW_PASSED)
		return;
	json_object_update_new(o, json_pack("{sI ss ss}",
		"refused_serial", (json_int_t)s->refused_serial,
		"refused_by", review_check_text(s->refused_by),
		"refused_reason", s->refused_reason));
}

static void put_mirrored(json_t *o, const struct mirror_zone_status *s)
{
	json_int_t now_s = (json_int_t)(clock_wall_us() / US_PER_S);

	if (s->is_held)
		json_object_set_new(o, "faithful", json_boolean(!s->unfaithful[0]));
	if (s->unfaithful[0])
		json_object_set_new(o, "unfaithful_reason", json_string(s->unfaithful));
	if (s->refreshed_at)
		json_object_set_new(o, "age_s", json_integer(now_s - (json_int_t)s->refreshed_at));
	if (s->expires_at)
		json_object_set_new(o, "expires_in_s",
				    json_integer((json_int_t)s->expires_at - now_s));
	put_fleet(o, s);
	put_refusal(o, s);
	json_object_update_new(o, json_pack("{ss sI sI sb sb ss}",
		"source", s->source, "next_refresh_s", (json_int_t)s->next_refresh_s,
		"saved_generation", (json_int_t)s->saved_generation,
		"transferring", s->is_transferring, "reviewed", s->is_reviewed,
		"last_error", s->last_error));
}

static void put_grace(json_t *o, const struct mirror_zone_status *s)
{
	uint64_t now_us = clock_monotonic_us();

	json_object_set_new(o, "grace_left_s", json_integer(s->end_us > now_us
		? (json_int_t)((s->end_us - now_us) / US_PER_S) : 0));
}

/* By the operator's order. */
static void put_frozen(json_t *o, const struct mirror_zone_status *s)
{
	if (s->hold == ZONE_FREE)
		return;
	json_object_set_new(o, "order", json_string(s->hold == ZONE_HELD ? "hold" : "rollback"));
	json_object_set_new(o, "order_age_s",
			    json_integer((json_int_t)(clock_wall_us() / US_PER_S - s->hold_since)));
	if (s->has_newer)
		json_object_set_new(o, "newer_serial", json_integer((json_int_t)s->newer_serial));
}

/* Where others serve it, and why. */
static void put_held(json_t *o, struct daemon *d, const struct plan_zone *z)
{
	char text[WATCH_HELD_MAX], others[WATCH_HELD_MAX];
	json_t *holds = watch_zone_json(d->watch, z, text);

	if (z->mirror)
		json_object_set_new(o, "divergence",
				    json_integer((json_int_t)watch_divergences(d->watch, z)));
	if (watch_zone_others(d->watch, z, others))
		json_object_set_new(o, "answers_otherwise", json_string(others));
	if (!holds)
		return;
	json_object_set_new(o, "held", json_string(text));
	json_object_set_new(o, "holds", holds);
}

/* Its servers are not watched for it. */
static json_t *view_catalog(struct daemon *d, const struct plan_zone *z)
{
	struct mirror_zone_status s;
	const struct generation *g = rcu_read(z->mirror->current);
	json_t *o;

	mirror_zone_status(d->mirror, z->mirror, &s);
	o = json_pack("{ss ss ss}", "zone", z->conf->text, "pool", z->conf->pool->name,
		      "state", zone_state(z, &s));
	if (g)
		put_served(o, g);
	put_mirrored(o, &s);
	catalog_put_counts(o, d->plan, z, &s);
	return o;
}

json_t *view_zone(struct daemon *d, const struct plan_zone *z)
{
	struct mirror_zone_status s = { .is_held = false };
	const struct generation *g = NULL;
	json_t *o;

	if (z->catalog)
		return view_catalog(d, z);
	if (z->mirror) {
		mirror_zone_status(d->mirror, z->mirror, &s);
		g = rcu_read(z->mirror->current);
	}
	o = json_pack("{ss ss ss}", "zone", z->conf->text, "pool", z->conf->pool->name,
		      "state", zone_state(z, &s));
	catalog_put_origin(o, d->plan, z);
	if (g) {
		put_served(o, g);
		json_object_set_new(o, "stale", json_boolean(is_overdue(z->mirror)));
	}
	if (z->mirror) {
		put_mirrored(o, &s);
		put_frozen(o, &s);
		if (is_in_grace(z->mirror))
			put_grace(o, &s);
	}
	put_held(o, d, z);
	return o;
}

/* In memory: the first one serves, the others can be gone back to. */
static json_t *generations(struct daemon *d, const struct plan_zone *z)
{
	struct mirror_generation list[MIRROR_KEEP_MAX + 1];
	unsigned count = mirror_generations(d->mirror, z->mirror, list);
	uint64_t now_s = clock_wall_us() / US_PER_S;
	json_t *all = json_array();

	for (unsigned i = 0; i < count; i++) {
		const struct mirror_generation *g = &list[i];
		json_t *o = json_pack("{sI sI sI sI sI ss sb}",
			"generation", (json_int_t)g->number, "serial", (json_int_t)g->serial,
			"records", (json_int_t)g->records, "since", (json_int_t)g->since,
			"age_s", (json_int_t)(now_s - g->since), "source", g->source,
			"serves", i == 0);

		if (g->copy_of)
			json_object_set_new(o, "copy_of", json_integer((json_int_t)g->copy_of));
		json_array_append_new(all, o);
	}
	return all;
}

json_t *view_zone_whole(struct daemon *d, const struct plan_zone *z)
{
	json_t *o = view_zone(d, z), *examples;

	if (z->catalog) {
		catalog_put_members(o, d->plan, z);
		return o;
	}
	if (z->mirror)
		json_object_set_new(o, "generations", generations(d, z));
	examples = watch_examples_json(d->watch, z);
	if (examples)
		json_object_set_new(o, "divergences", examples);
	return o;
}

json_t *view_zones(struct daemon *d)
{
	json_t *all = json_array();

	for (size_t i = 0; i < plan_zone_count(d->plan); i++)
		json_array_append_new(all, view_zone(d, plan_zone_at(d->plan, i)));
	return all;
}

/* ---- Status ---- */

static void put_zone_counts(json_t *o, json_t *reasons, const struct plan *plan)
{
	size_t mirrored = 0, servable = 0, frozen = 0, stale = 0, refused = 0;

	for (size_t i = 0; i < plan->zone_count; i++) {
		struct mirror_zone *m = plan->zones[i].mirror;

		mirrored += m != NULL;
		servable += m && mirror_zone_servable(m);
		stale += m && is_in_grace(m);
		frozen += m && mirror_zone_hold(m) != ZONE_FREE;
		refused += m && atomic_load_explicit(&m->is_refused, memory_order_relaxed);
	}
	json_object_set_new(o, "zones", json_pack("{sI sI sI}",
		"configured", (json_int_t)plan->zone_count, "mirrored", (json_int_t)mirrored,
		"servable", (json_int_t)servable));
	if (servable < mirrored)
		json_array_append_new(reasons,
				      json_sprintf("%zu of %zu mirrored zones cannot be served",
						   mirrored - servable, mirrored));
	if (stale > 0)
		json_array_append_new(reasons, json_sprintf("%zu zone%s expired and served in grace: "
			"see zones", stale, stale == 1 ? " is" : "s are"));
	if (frozen > 0)
		json_array_append_new(reasons, json_sprintf("%zu zone%s held by the operator: see zones",
							    frozen, frozen == 1 ? " is" : "s are"));
	if (refused > 0)	/* the mirror is behind until somebody decides */
		json_array_append_new(reasons,
				      json_sprintf("%zu zone%s a version that was refused: see zones",
						   refused, refused == 1 ? " has" : "s have"));
}

/* Settings of Redis that endanger what lies in it. */
static json_t *unsafe_json(struct mirror *m)
{
	char text[SETTING_COUNT][MIRROR_UNSAFE_MAX];
	json_t *list = json_array();

	mirror_store_unsafe(m, text);
	for (size_t i = 0; i < SETTING_COUNT; i++)
		if (text[i][0])
			json_array_append_new(list, json_string(text[i]));
	return list;
}

/* The store is a replica: its absence is told, but no client feels it. */
static void put_store(json_t *o, struct mirror *m)
{
	char reason[160] = "";
	bool is_up = false;
	const char *state = "none";

	if (mirror_store_status(m, &is_up, reason))
		state = is_up ? "up" : "down";
	json_object_set_new(o, "store", json_pack("{ss ss so}", "state", state, "reason",
						  is_up ? "" : reason, "unsafe", unsafe_json(m)));
}

static void put_held_reason(json_t *reasons, const json_t *backend)
{
	json_int_t held = json_integer_value(json_object_get(backend, "held_zones"));
	const char *health = json_string_value(json_object_get(backend, "health"));

	if (held > 0 && health && strcmp(health, "down") != 0)
		json_array_append_new(reasons, json_sprintf("%lld zone%s held at backend %s: see zones",
			(long long)held, held == 1 ? " is" : "s are",
			json_string_value(json_object_get(backend, "name"))));
}

static void put_reasons(json_t *reasons, json_t *pools, json_t *backends)
{
	size_t i;
	json_t *one;

	json_array_foreach(pools, i, one)
		if (!json_is_true(json_object_get(one, "first_tier")))
			json_array_append_new(reasons, json_sprintf("pool %s is served by %s",
				json_string_value(json_object_get(one, "name")),
				json_string_value(json_object_get(one, "serving"))));
	json_array_foreach(backends, i, one) {
		const char *state = json_string_value(json_object_get(one, "state"));

		if (state && strcasecmp(state, "up") != 0)
			json_array_append_new(reasons, json_sprintf("backend %s is %s",
				json_string_value(json_object_get(one, "name")), state));
		put_held_reason(reasons, one);
	}
}

json_t *view_status(struct daemon *d)
{
	json_t *reasons = json_array(), *pools = watch_pools_json(d->watch);
	json_t *backends = watch_backends_json(d->watch);
	json_t *o = json_pack("{sI sI sI sI}",
		"pid", (json_int_t)getpid(),
		"uptime_s", (json_int_t)((clock_monotonic_us() - d->started_us) / US_PER_S),
		"workers", (json_int_t)d->worker_count, "plan", (json_int_t)d->plan->number);

	put_zone_counts(o, reasons, d->plan);
	put_store(o, d->mirror);
	put_reasons(reasons, pools, backends);
	catalog_put_reasons(reasons, d->mirror, d->plan);
	json_object_set_new(o, "divergence", json_pack("{sI sI}",
		"answers", (json_int_t)watch_divergences(d->watch, NULL),
		"zones", (json_int_t)watch_diverged_zones(d->watch)));
	json_object_set_new(o, "degraded", json_boolean(json_array_size(reasons) > 0 ||
							watch_is_degraded(d->watch)));
	json_object_set_new(o, "reasons", reasons);
	json_object_set_new(o, "pools", pools);
	json_object_set_new(o, "backends", backends);
	return o;
}

/* ---- Explain ---- */

static json_t *refused(const char *why)
{
	return json_pack("{ss ss}", "answer", "REFUSED", "why", why);
}

static void put_answering(json_t *o, const json_t *targets)
{
	json_t *names = json_array();
	size_t i;
	json_t *t;

	json_array_foreach(targets, i, t)
		if (json_is_true(json_object_get(t, "serves")))
			json_array_append(names, json_object_get(t, "name"));
	if (json_array_size(names) == 0)
		json_object_set_new(o, "why",
			json_string("no target may be asked: a trickle tries the backends, "
				    "the rest is SERVFAIL"));
	json_object_set_new(o, "answered_by", names);
}

static json_t *explain_route(struct daemon *d, const struct plan_pool *pool,
			     const struct plan_zone *z)
{
	json_t *targets = watch_targets_json(d->watch, pool, z);
	json_t *o = json_pack("{ss ss ss}", "answer", "forwarded or mirrored",
		"pool", pool->conf->name, "policy", conf_policy_text(pool->conf->policy));

	put_answering(o, targets);
	json_object_set_new(o, "targets", targets);
	if (z)
		json_object_set_new(o, "zone", json_string(z->conf->text));
	return o;
}

json_t *view_explain(struct daemon *d, const uint8_t *name, uint16_t type)
{
	char text[NAME_TEXT_MAX], type_text[16];
	const struct plan_zone *z;
	struct name_key key;
	json_t *o;

	name_to_key(name, &key);
	z = plan_find_for(d->plan, name, &key, type);
	if (type == TYPE_AXFR || type == TYPE_IXFR)
		o = refused("transfers go to those whom allow-transfer names, from the mirror alone");
	else if (z && z->catalog)
		o = refused("it is a catalog, which nobody may ask about");
	else if (!z && !d->plan->unlisted)
		o = refused("no configured zone holds this name (forward-unlisted is not set)");
	else
		o = explain_route(d, z ? z->pool : d->plan->unlisted, z);
	json_object_set_new(o, "name", json_string(name_to_text(name, text)));
	json_object_set_new(o, "type", json_string(rdata_type_text(type, type_text)));
	return o;
}

/* ---- Stats ---- */

json_t *view_stats(struct daemon *d)
{
	struct notifier_counts notify = notifier_counts(d->notifier);
	struct stats_row rows[STATS_ROWS];
	json_t *o = json_object();

	stats_sum(d->stats, d->worker_count, rows);
	for (unsigned i = 0; i < STATS_ROWS; i++)
		json_object_set_new(o, rows[i].name, json_integer((json_int_t)rows[i].value));
	json_object_set_new(o, "divergence",
			    json_integer((json_int_t)watch_divergences(d->watch, NULL)));
	json_object_update_new(o, json_pack("{sI sI sI sI sI}",
		"notify_sent_on", (json_int_t)notify.sent_on,
		"notify_acknowledged", (json_int_t)notify.acknowledged,
		"notify_not_taken", (json_int_t)notify.refused,
		"notify_unanswered", (json_int_t)notify.unanswered,
		"notify_dropped", (json_int_t)notify.dropped));
	return o;
}
