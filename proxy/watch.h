/* SPDX-License-Identifier: ISC */
/*
 * watch - probes the backends, hears the workers' evidence, publishes who may serve.
 *
 * Purpose:  the shell around health.h: SOA probes over UDP and TCP, one event line for each
 *           change of state, failover and failback of pools, orders of the operator. And around
 *           gate.h, limit.h, guard.h and shadow.h, which say what else may be wrong: watched.h
 *           lists the files.
 * Not here: the decisions, the mirror's refreshes (it is only told when a probe saw a newer
 *           serial).
 * Owns:     a struct health and the probe sockets for each backend (watched.h).
 * Threads:  control's loop; only watch_wake() may be called by workers.
 * Time:     one clock read for each turn of the loop.
 * Failure:  a probe that cannot be sent counts as a bad probe, unless it is descriptors or
 *           memory that we lack: that says nothing about the backend.
 */
#ifndef WATCH_H
#define WATCH_H

#include <ev.h>
#include <jansson.h>

#include "proxy/health.h"
#include "proxy/plan.h"

struct watch;
struct suspicion;
struct newer;

enum { WATCH_HELD_MAX = 256 };

struct watch *watch_new(struct ev_loop *loop, struct mirror *mirror, unsigned worker_count);
void watch_free(struct watch *w);

/*
 * The plan to watch from now on. Health, and which zones are held, carry over for every backend
 * that keeps its slot; new ones start UP and are probed at once. The old plan is still there, and
 * is not touched afterwards.
 */
void watch_set_plan(struct watch *w, const struct plan *plan);

/* [any thread] A worker saw an ICMP error or silence: looks at the evidence in this turn. */
void watch_wake(struct watch *w);

/* [worker] A backend's answer was not the mirror's: it is looked into, some time. */
void watch_suspect(struct watch *w, unsigned worker, const struct suspicion *s);

/* [worker] A backend's answer has a newer serial than the mirror: it is followed in this turn. */
void watch_newer(struct watch *w, unsigned worker, const struct newer *n);

/* Orders. False when there is no such backend (in any pool), or pool. */
bool watch_order_backend(struct watch *w, const char *name, enum health_order order);
bool watch_order_failover(struct watch *w, const char *pool, enum plan_failover order);

/*
 * A primary's data of this zone is right, whatever its serial: the hold ends, and the mirror takes
 * it. False, with a sentence, when there is nothing to accept.
 */
bool watch_accept(struct watch *w, const struct plan_zone *z, uint32_t *serial, const char **why);

/*
 * Serves `percent` of the pool's queries from its mirror for so long; 0: ends that. False, with a
 * sentence, when it cannot.
 */
bool watch_order_drill(struct watch *w, const struct plan_pool *pool, unsigned percent,
		       uint64_t duration_us, const char **why);

/* For understudyctl: arrays of objects, new references. */
json_t *watch_backends_json(struct watch *w);
json_t *watch_pools_json(struct watch *w);

/*
 * The targets of a pool in the order they are tried, each with whether it may be asked now and
 * why. `zone` decides for the mirror; NULL: any zone of the pool.
 */
json_t *watch_targets_json(struct watch *w, const struct plan_pool *pool,
			   const struct plan_zone *zone);

/*
 * The backends that a zone is held at, each with the reason. NULL: none. `text`: the same in a
 * few words, "ns1 older, ns2 missing".
 */
json_t *watch_zone_json(struct watch *w, const struct plan_zone *z, char text[WATCH_HELD_MAX]);

/* Answers that were confirmed to be other than the mirror's; of all zones when `z` is NULL. */
uint64_t watch_divergences(struct watch *w, const struct plan_zone *z);
size_t watch_diverged_zones(struct watch *w);

/* The latest of them. NULL: none. */
json_t *watch_examples_json(struct watch *w, const struct plan_zone *z);

/* The backends that answer otherwise than the mirror by design: "ns1, ns2". False: none. */
bool watch_zone_others(struct watch *w, const struct plan_zone *z, char text[WATCH_HELD_MAX]);

/* Some pool is not served by its first tier, some backend is not UP, or a zone is held there. */
bool watch_is_degraded(struct watch *w);

#endif
