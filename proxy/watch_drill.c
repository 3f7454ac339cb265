/* SPDX-License-Identifier: ISC */
#include "proxy/watch_drill.h"

#include "cache/clock.h"
#include "cache/event.h"
#include "proxy/watch_takeover.h"

static void publish(const struct watched_pool *p)
{
	atomic_store_explicit(&p->plan->drill->percent, p->drill.percent, memory_order_relaxed);
}

void drill_begin(struct watched_pool *p, unsigned percent, uint64_t duration_us, uint64_t now)
{
	struct event e;

	drill_end(p, "operator");
	p->drill = (struct watched_drill){
		.percent = percent, .until_us = now + duration_us,
		.served_before = plan_drill_served(p->plan->drill),
	};
	publish(p);
	event_begin(&e, EVENT_NOTICE, "drill_begin");
	event_text(&e, "pool", p->name);
	event_number(&e, "percent", percent);
	event_number(&e, "duration_ms", duration_us / US_PER_MS);
	event_end(&e);
}

void drill_end(struct watched_pool *p, const char *cause)
{
	struct event e;

	if (p->drill.percent == 0)
		return;
	p->drill.percent = 0;
	publish(p);
	event_begin(&e, EVENT_NOTICE, "drill_end");
	event_text(&e, "pool", p->name);
	event_text(&e, "cause", cause);
	event_number(&e, "served", plan_drill_served(p->plan->drill) - p->drill.served_before);
	event_end(&e);
}

bool drill_is_possible(const struct watched_pool *p)
{
	return p->has_mirror &&
	       takeover_target_is_fit(p, &p->plan->targets[p->mirror_target], NULL);
}

void drill_look(struct watched_pool *p, uint64_t now)
{
	if (p->drill.percent == 0)
		return;
	if (now >= p->drill.until_us)
		drill_end(p, "over");
	else if (!drill_is_possible(p))
		drill_end(p, "mirror_not_servable");
}
