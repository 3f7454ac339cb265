/* SPDX-License-Identifier: ISC */
/*
 * upstream - a worker's sockets to the backends, UDP and TCP.
 *
 * Purpose:  puts attempts on the wire and brings replies, refusals and closed connections back to
 *           dispatch.
 * Not here: any decision (dispatch.h); client sockets (udp.h, tcp.h).
 *
 * UDP: each backend has a few connected sockets on random ports. One of them, chosen anew for
 * each turn of the loop, takes all queries of that turn, so that batches stay full; each is
 * replaced after a second or some thousand queries, so that ports stay unguessable (RFC 5452
 * s.9.2). A replaced socket is still read until late replies are no longer welcome. A few of those in
 * use are polled with the worker's listeners, while replies are due: epoll is called for each packet.
 * TCP: up to a few pipelined connections (RFC 7766), opened when needed, closed when idle.
 *
 * Owns:     the sockets, their queues and buffers.
 * Threads:  one per worker, inside its loop.
 * Time:     dispatch's now_us.
 * Memory:   sockets are recycled; a new one is allocated only when none is free, at most once
 *           for each replacement and never for a query.
 * Failure:  an attempt that cannot be sent is told to dispatch; errors of a socket close it.
 */
#ifndef UPSTREAM_H
#define UPSTREAM_H

#include <ev.h>

#include "proxy/dispatch.h"

struct upstreams;
struct upstream_udp;
struct upstream_tcp;

/* What both kinds need of the worker. */
struct upstream_shell {
	struct ev_loop *loop;		/* for many sockets (crowd.h) */
	struct ev_loop *polled;		/* the worker's own: for a few */
	struct dispatch *dispatch;
	void (*flush)(void *arg);	/* after each batch of replies: sends what is queued */
	void *arg;
};

struct upstreams *upstreams_new(const struct upstream_shell *shell);
void upstreams_free(struct upstreams *u);	/* NULL is fine */

/* dispatch_ops.send */
bool upstreams_send(struct upstreams *u, struct attempt *a, const struct query *q);

/* Sends what is queued. Failures may queue more for other backends: returns when all is out. */
void upstreams_flush(struct upstreams *u);

/* Closes what leads to backends that are no longer there, or now have another address. */
void upstreams_set_plan(struct upstreams *u, const struct plan *plan);

/* About once a second: closes replaced sockets and idle connections. */
void upstreams_sweep(struct upstreams *u);

#endif
