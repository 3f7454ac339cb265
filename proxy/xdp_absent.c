/* SPDX-License-Identifier: ISC */
/*
 * In place of xdp.c, xdp_asked.c and xdp_interface.c where libxdp, libbpf or clang are missing
 * (see the Makefile): the operator who wishes for AF_XDP is told, and everything takes the
 * kernel's way.
 */
#include <stdlib.h>

#include "cache/event.h"
#include "proxy/xdp.h"
#include "proxy/xdp_interface.h"

struct xdp_interfaces *xdp_interfaces_open(struct ev_loop *loop, const struct conf *conf,
					   struct worker *const *workers, unsigned worker_count)
{
	struct event e;

	(void)loop, (void)workers, (void)worker_count;
	for (size_t i = 0; i < conf->listen_xdp.count; i++) {
		event_begin(&e, EVENT_WARNING, "xdp_failed");
		event_text(&e, "interface", conf->listen_xdp.name[i]);
		event_text(&e, "reason", "this Understudy was built without AF_XDP: "
			   "build it with libxdp-dev, libbpf-dev and clang");
		event_end(&e);
	}
	return NULL;
}

void xdp_interfaces_listen(struct xdp_interfaces *x, const struct conf *conf)
{
	(void)x, (void)conf;
}

void xdp_interfaces_close(struct xdp_interfaces *x)
{
	(void)x;
}

/* Without interfaces no worker has a queue, and none of these is called. */

struct xdp *xdp_new(struct ev_loop *loop, struct dispatch *dispatch, struct udp *udp,
		    void (*flush)(void *arg), void *arg)
{
	(void)loop, (void)dispatch, (void)udp, (void)flush, (void)arg;
	abort();
}

bool xdp_take(struct xdp *x, struct xdp_queue *q)
{
	(void)x, (void)q;
	abort();
}

void xdp_stop(struct xdp *x)
{
	(void)x;
	abort();
}

uint8_t *xdp_room(struct xdp *x, const struct client *to, size_t want)
{
	(void)x, (void)to, (void)want;
	abort();
}

bool xdp_answer(struct xdp *x, const struct client *to, const uint8_t *bytes, size_t len)
{
	(void)x, (void)to, (void)bytes, (void)len;
	abort();
}

void xdp_flush(struct xdp *x)
{
	(void)x;
	abort();
}

void xdp_free(struct xdp *x)
{
	(void)x;
}
