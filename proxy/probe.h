/* SPDX-License-Identifier: ISC */
/*
 * probe - one query of our own to one server, mostly for a SOA, and the verdict on its reply.
 *
 * Purpose:  asks over UDP or TCP, from a new socket on a random port with a random ID, until
 *           a reply matches or time is up.
 * Not here: what a reply shows (probe_judge.h); when to probe and what follows (health.h, watch.c).
 * Owns:     its socket and watchers, from probe_start() until the verdict or probe_cancel().
 * Threads:  the loop's.
 * Memory:   one allocation for each probe.
 * Failure:  a cause in the verdict. A socket that we cannot get (descriptors, memory) says
 *           nothing about the server: is_ours.
 * Spec:     RFC 5452 s.9.1 (what a reply must match), RFC 1035 s.4.2.2 (TCP length).
 */
#ifndef PROBE_H
#define PROBE_H

#include <ev.h>

#include "cache/random.h"
#include "proxy/probe_judge.h"

struct probe;

/* Called once, never from within probe_start(). The probe is gone when it returns. */
typedef void (*probe_done_fn)(struct probe *p, const struct probe_verdict *v, void *arg);

struct probe *probe_start(struct ev_loop *loop, struct random *random, const struct probe_ask *ask,
			  probe_done_fn done, void *arg);

/* No verdict wanted any more. NULL is fine. Not from within its own done(). */
void probe_cancel(struct probe *p);

#endif
