/* SPDX-License-Identifier: ISC */
/*
 * worker - one thread that answers queries: its loop, its sockets, its tables.
 *
 * Purpose:  ties together listeners (udp.h, tcp.h), the core (dispatch.h) and the backend
 *           sockets (upstream.h) on one libev loop.
 * Owns:     all of these; shares nothing that it writes but counters.
 * Threads:  worker_new/start/stop/free by control; everything else inside the thread.
 * Time:     one clock read for each turn of the loop.
 * Memory:   everything is sized at worker_new().
 * Failure:  worker_new() says what could not be bound; nothing fails later.
 */
#ifndef WORKER_H
#define WORKER_H

#include <stdio.h>

#include "proxy/plan.h"
#include "proxy/stats.h"

struct worker;
struct watch;
struct transfer_log;
struct notifier;
struct xdp_queue;

/* What a worker is given for life. */
struct worker_conf {
	unsigned index;				/* 0 .. workers-1: its row of evidence */
	struct watch *watch;			/* is woken by evidence of trouble */
	struct mirror *mirror;			/* is told of NOTIFY */
	struct transfer_log *transfers;		/* is told of zone transfers to clients */
	struct notifier *notifier;		/* is told of NOTIFY that goes on, or is refused */
	unsigned tcp_connections;		/* clients, at the most */
	const uint8_t *cookie_secret;		/* COOKIE_SECRET_LEN bytes, the same for all workers */
};

/*
 * Binds every listen address of `plan` for this worker (SO_REUSEPORT). NULL, with a sentence
 * on `errors`, when one cannot be bound.
 */
struct worker *worker_new(const struct worker_conf *conf, const struct plan *plan, FILE *errors);

/*
 * [control] Before worker_start(): the receive queue of an interface, owned from now on. False:
 * it has too many.
 */
bool worker_take_queue(struct worker *w, struct xdp_queue *q);

void worker_start(struct worker *w);

/*
 * [control] A new plan: listeners that are new are bound here (false and a sentence if that
 * fails: nothing has changed then). worker_use_plan() makes the worker go over to it and returns
 * when it has: nothing of the old plan is in use by it then. Before worker_start(), too.
 */
bool worker_prepare_plan(struct worker *w, const struct plan *plan, FILE *errors);
void worker_use_plan(struct worker *w, const struct plan *plan);
void worker_cancel_plan(struct worker *w);

/* [control] Begins the end: answers what is in flight. All workers, then worker_join(). */
void worker_stop(struct worker *w);
void worker_join(struct worker *w);
void worker_free(struct worker *w);	/* NULL is fine */

struct stats *worker_stats(struct worker *w);

#endif
