/* SPDX-License-Identifier: ISC */
#include "proxy/watch_due.h"

#include "proxy/watch_gate.h"

enum {
	LOOKS_MAX = 8192,	/* gates looked at in one tick, of all pools */
	LOOKS_LEAST = 256,	/* and of each pool that has as many; */
	LOOKS_ROUND = 10,	/* of more so many that a round takes about a second */
	LOOKS_IN_TURN = 128,	/* zones of a pool about which nothing is known to be due */
	CHANGES_MAX = 512,	/* zones that the mirror has changed: the rest at the next tick */
	CHANGES_AT_ONCE = 16,
};

/* ---- What others changed ---- */

/* It may have left the plan meanwhile, or be a catalog, which no pool watches over. */
static void look_at_changed(struct watch *w, const uint8_t *origin, uint64_t now)
{
	const struct plan_zone *z = plan_zone_named(w->plan, origin);

	if (z && !z->catalog)
		gates_look(&w->pools[z->pool->index], z->number, now);
}

static void look_at_changes(struct watch *w, uint64_t now)
{
	uint8_t origins[CHANGES_AT_ONCE][NAME_LEN_MAX];
	size_t count = CHANGES_AT_ONCE;

	for (size_t n = 0; w->mirror && n < CHANGES_MAX && count == CHANGES_AT_ONCE; n += count) {
		count = mirror_take_changed(w->mirror, origins, CHANGES_AT_ONCE);
		for (size_t i = 0; i < count; i++)
			look_at_changed(w, origins[i], now);
	}
}

/* What workers have written lies in one piece, so that reading it costs little. */
static void hear(struct watch *w)
{
	const struct plan *plan = w->plan;
	size_t part = LOOKS_LEAST + plan->zone_count / LOOKS_ROUND;

	for (size_t n = 0; n < part && n < plan->zone_count; n++) {
		const struct plan_zone *z = &plan->zones[w->heard];

		if (plan_has_any_target(&plan->heard[w->heard].denied))
			due_zone(&w->pools[z->pool->index], z->number);
		w->heard = (w->heard + 1) % plan->zone_count;
	}
}

/* ---- Looking ---- */

static void add_in_turn(struct watched_pool *p)
{
	for (size_t n = 0; n < p->zone_count && n < LOOKS_IN_TURN; n++) {
		due_zone(p, p->cursor);
		p->cursor = (p->cursor + 1) % p->zone_count;
	}
}

/* When no more may be asked, what is left waits without being looked at: asking is most of it. */
static void look_at_due(struct watch *w, struct watched_pool *p, uint64_t now)
{
	size_t most = LOOKS_MAX / w->pool_count / (p->plan->target_count + 1) + 1;
	size_t round = LOOKS_LEAST + p->zone_count / LOOKS_ROUND, left = p->zone_count, zone;

	for (size_t n = 0; n < most && n < round; n++) {
		if (n >= LOOKS_LEAST && !gates_may_ask(p))
			return;
		zone = agenda_next(&p->agenda, &left);
		if (zone == SIZE_MAX)
			return;
		gates_look(p, zone, now);
	}
}

void due_tick(struct watch *w, uint64_t now)
{
	gates_begin_tick(w, now);
	look_at_changes(w, now);
	hear(w);
	for (unsigned i = 0; i < w->pool_count; i++) {
		add_in_turn(&w->pools[i]);
		look_at_due(w, &w->pools[i], now);
	}
}
