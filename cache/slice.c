/* SPDX-License-Identifier: ISC */
/*
 * The timer is due at once, so each turn of the loop looks at its sockets, then comes here.
 */
#include "cache/slice.h"

#include <assert.h>
#include <stddef.h>

static void append(struct slices *all, struct slice *s)
{
	s->next = NULL;
	s->prev = all->last;
	*(all->last ? &all->last->next : &all->first) = s;
	all->last = s;
}

static void take_out(struct slices *all, struct slice *s)
{
	*(s->prev ? &s->prev->next : &all->first) = s->next;
	*(s->next ? &s->next->prev : &all->last) = s->prev;
	s->prev = s->next = NULL;
}

static void wake(struct slices *all)
{
	if (!all->first || ev_is_active(&all->turn))
		return;
	ev_timer_set(&all->turn, 0., 0.);
	ev_timer_start(all->loop, &all->turn);
}

static void on_turn(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct slices *all = t->data;
	struct slice *s = all->first;

	(void)loop;
	(void)revents;
	if (s) {
		take_out(all, s);
		append(all, s);		/* the others come first, next time */
		s->step(s->arg);	/* `s` may be gone */
	}
	wake(all);
}

void slices_init(struct slices *all, struct ev_loop *loop)
{
	*all = (struct slices){ .loop = loop };
	ev_timer_init(&all->turn, on_turn, 0., 0.);
	all->turn.data = all;
}

void slice_start(struct slices *all, struct slice *s, slice_fn step, void *arg)
{
	assert(!s->step);
	s->step = step;
	s->arg = arg;
	append(all, s);
	wake(all);
}

void slice_stop(struct slices *all, struct slice *s)
{
	if (!s->step)
		return;
	s->step = NULL;
	take_out(all, s);
	if (!all->first)
		ev_timer_stop(all->loop, &all->turn);
}
