/* SPDX-License-Identifier: ISC */
#include "proxy/crowd.h"

#include <stdlib.h>

#include "proxy/list.h"

/*
 * Before the outer loop sleeps: what was fed to the inner one from outside (ev_feed_event()) would
 * wait for its next packet. Sockets that it starts are made known to epoll by libev, which does so
 * at the lowest priority.
 */
static void on_before_sleep(struct ev_loop *outer, ev_prepare *prepare, int revents)
{
	(void)outer;
	(void)revents;
	ev_invoke_pending(list_entry(prepare, struct crowd, before_sleep)->loop);
}

void crowd_init(struct crowd *c, struct ev_loop *outer)
{
	c->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV | EVFLAG_NOSIGMASK);
	if (!c->loop)
		abort();
	ev_set_userdata(c->loop, ev_userdata(outer));
	ev_embed_init(&c->in_outer, NULL, c->loop);
	ev_embed_start(outer, &c->in_outer);
	ev_prepare_init(&c->before_sleep, on_before_sleep);
	ev_set_priority(&c->before_sleep, EV_MAXPRI);
	ev_prepare_start(outer, &c->before_sleep);
}

void crowd_fini(struct crowd *c)
{
	ev_loop_destroy(c->loop);
}
