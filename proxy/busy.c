/* SPDX-License-Identifier: ISC */
#include "proxy/busy.h"

static void on_idle(struct ev_loop *loop, ev_idle *idle, int revents)
{
	(void)loop;
	(void)idle;
	(void)revents;
}

void busy_init(struct busy *b)
{
	ev_idle_init(&b->idle, on_idle);
	ev_set_priority(&b->idle, EV_MINPRI);
}

void busy_mark(struct busy *b, struct ev_loop *loop, uint64_t now_us)
{
	b->until_us = now_us + b->for_us;
	if (b->for_us > 0)
		ev_idle_start(loop, &b->idle);
}

void busy_look(struct busy *b, struct ev_loop *loop, uint64_t now_us)
{
	if (now_us >= b->until_us)
		ev_idle_stop(loop, &b->idle);
}
