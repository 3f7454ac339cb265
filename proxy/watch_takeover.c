/* SPDX-License-Identifier: ISC */
#include "proxy/watch_takeover.h"

#include <stdio.h>
#include <string.h>

#include "cache/clock.h"
#include "cache/event.h"
#include "proxy/watch_gate.h"

unsigned takeover_first_tier(const struct plan_pool *pool)
{
	return pool->target_count ? pool->targets[0].tier : TAKEOVER_NONE;
}

enum plan_failover takeover_order(const struct plan_pool *pool)
{
	return (enum plan_failover)atomic_load_explicit(pool->forced, memory_order_relaxed);
}

static bool zone_is_servable(const struct plan_zone *z)
{
	return plan_zone_servable(z) != NULL;
}

static bool mirror_is_fit(const struct watched_pool *p, const struct plan_zone *zone)
{
	if (zone)
		return zone_is_servable(zone);
	for (size_t i = 0; i < p->zone_count; i++)
		if (zone_is_servable(p->zones[i].plan))
			return true;
	return false;
}

/* The zone, or every zone of the pool. */
static bool zone_is_held(const struct watched_pool *p, const struct plan_target *t,
			 const struct plan_zone *zone)
{
	unsigned target = (unsigned)(t - p->plan->targets);

	if (zone)
		return plan_zone_holds(zone, target);
	return !gates_serve(p->members[target]);
}

bool takeover_target_is_fit(const struct watched_pool *p, const struct plan_target *t,
			    const struct plan_zone *zone)
{
	switch (t->kind) {
	case TARGET_MIRROR:
		return mirror_is_fit(p, zone);
	case TARGET_BACKEND:
		return atomic_load_explicit(&t->backend->share, memory_order_relaxed) > 0 &&
		       !zone_is_held(p, t, zone);
	}
	return false;
}

bool takeover_target_is_eligible(const struct watched_pool *p, const struct plan_target *t,
				 const struct plan_zone *zone)
{
	if (t->tier == takeover_first_tier(p->plan)) {
		switch (takeover_order(p->plan)) {
		case POOL_FAILOVER_ON:
			return false;
		case POOL_FAILOVER_OFF:
			if (t->kind == TARGET_BACKEND)
				return !atomic_load_explicit(&t->backend->is_looping,
							     memory_order_relaxed);
			break;
		case POOL_FAILOVER_AUTO:
			break;
		}
	}
	return takeover_target_is_fit(p, t, zone);
}

unsigned takeover_tier(const struct watched_pool *p, const struct plan_zone *zone)
{
	for (unsigned i = 0; i < p->plan->target_count; i++)
		if (takeover_target_is_eligible(p, &p->plan->targets[i], zone))
			return p->plan->targets[i].tier;
	return TAKEOVER_NONE;
}

const char *takeover_names(const struct watched_pool *p, unsigned tier,
			   char text[WATCHED_NAMES_MAX])
{
	size_t len = 0;
	bool only_eligible = tier == takeover_tier(p, NULL);

	snprintf(text, WATCHED_NAMES_MAX, "none");
	for (unsigned i = 0; i < p->plan->target_count; i++) {
		const struct plan_target *t = &p->plan->targets[i];
		const char *name = t->kind == TARGET_MIRROR ? "mirror" : t->backend->name;

		if (t->tier != tier || (only_eligible && !takeover_target_is_eligible(p, t, NULL)))
			continue;
		if (len + strlen(name) + sizeof(",,...") > WATCHED_NAMES_MAX) {
			snprintf(text + len, WATCHED_NAMES_MAX - len, ",...");
			return text;
		}
		len += (size_t)snprintf(text + len, WATCHED_NAMES_MAX - len, "%s%s", len ? "," : "",
					name);
	}
	return text;
}

/* Keeps left_us right: it runs while the first tier does not serve. */
static void set_tier(struct watched_pool *p, unsigned tier, uint64_t now)
{
	if (tier != p->tier)
		p->since_us = now;
	p->tier = tier;
	if (tier == takeover_first_tier(p->plan))
		p->left_us = 0;
	else if (p->left_us == 0)
		p->left_us = now;
}

void takeover_set(struct watched_pool *p, uint64_t now)
{
	set_tier(p, takeover_tier(p, NULL), now);
}

static void tell(const struct watched_pool *p, unsigned from, unsigned to, const char *cause,
		 uint64_t held_us)
{
	char names[WATCHED_NAMES_MAX];
	struct event e;
	bool is_failover = to > from;
	enum event_level level = to == TAKEOVER_NONE ? EVENT_ERROR
			       : is_failover ? EVENT_WARNING : EVENT_NOTICE;

	if (!cause)
		cause = is_failover ? "mirror_not_servable" : "mirror_servable";
	event_begin(&e, level, is_failover ? "failover" : "failback");
	event_text(&e, "pool", p->plan->conf->name);
	event_text(&e, "from", takeover_names(p, from, names));
	event_text(&e, "to", takeover_names(p, to, names));
	event_text(&e, "cause", cause);
	if (!is_failover)
		event_number(&e, "held_ms", held_us / US_PER_MS);
	event_end(&e);
}

void takeover_look(struct watched_pool *p, const char *cause, uint64_t now)
{
	unsigned from = p->tier, to = takeover_tier(p, NULL);
	uint64_t held_us = p->left_us ? now - p->left_us : 0;

	if (to == from)
		return;
	set_tier(p, to, now);
	tell(p, from, to, cause, held_us);
}
