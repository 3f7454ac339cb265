/* SPDX-License-Identifier: ISC */
#include "cache/mirror_turn.h"

#include <stddef.h>

#include "cache/mirror_round.h"

enum { PUMP_MAX = 64 };		/* zones that begin in one turn of the loop */

/* The zone will be wanted, whatever the SOA is going to be. */
static bool is_zone_wanted(const struct mirror_work *w, enum fetch_want want)
{
	if (want == FETCH_SOA_ONLY)
		return false;
	return want == FETCH_ANYWAY || w->is_newer_there || !holding_current(&w->hold);
}

/* A check takes a transfer's place when one is free: then one connection does for both. */
bool turn_take(struct mirror_work *w, enum fetch_want want)
{
	const struct mirror_primary *p = &w->conf->primaries[w->primary];
	struct turns *turns = w->shop->turns;
	bool is_wanted = is_zone_wanted(w, want);
	enum turn_kind kind;

	if (want != FETCH_SOA_ONLY &&
	    turns_try(turns, &w->turn, TURN_TRANSFER, &p->address, p->tls))
		return true;
	if (!is_wanted && turns_try(turns, &w->turn, TURN_CHECK, &p->address, p->tls))
		return true;
	kind = is_wanted ? TURN_TRANSFER : TURN_CHECK;
	/* its members, however many and bad, shall not hold up the version that takes them back */
	if (w->conf->catalog.is_one)
		turns_wait_ahead(turns, &w->turn, kind, &p->address, p->tls);
	else
		turns_wait(turns, &w->turn, kind, &p->address, p->tls);
	return false;
}

enum fetch_want turn_allows(const struct mirror_work *w, enum fetch_want want)
{
	return w->turn.kind == TURN_CHECK ? FETCH_SOA_ONLY : want;
}

static void pump_soon(struct workshop *shop)
{
	if (ev_is_active(&shop->pump))
		return;
	ev_timer_set(&shop->pump, 0., 0.);
	ev_timer_start(shop->loop, &shop->pump);
}

void turn_leave(struct mirror_work *w)
{
	turns_leave(w->shop->turns, &w->turn);
	if (turns_has_waiting(w->shop->turns))
		pump_soon(w->shop);
}

/* Those that still wait when this ends are looked at in the next turn of the loop. */
static void on_pump(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct workshop *shop = t->data;
	struct turn *turn = NULL;

	(void)loop;
	(void)revents;
	for (int i = 0; i < PUMP_MAX && (turn = turns_next(shop->turns)); i++)
		round_on_turn((struct mirror_work *)((char *)turn -
						     offsetof(struct mirror_work, turn)));
	if (turn)
		pump_soon(shop);
}

void turn_init(struct workshop *shop)
{
	ev_init(&shop->pump, on_pump);
	shop->pump.data = shop;
}
