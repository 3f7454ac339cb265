/* SPDX-License-Identifier: ISC */
/*
 * probe - one query of our own to one server, mostly for a SOA, and the verdict on its reply.
 *
 * Purpose:  asks over UDP or TCP, from a new socket on a random port with a random ID, and
 *           believes only a reply that matches; tells what the reply shows.
 * Not here: when to probe and what follows (health.h, watch.c).
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

#include "cache/address.h"
#include "cache/name.h"
#include "cache/random.h"
#include "proxy/health.h"

struct probe_ask {
	const struct address *address;
	const uint8_t *zone;		/* copied; of a sample the name */
	uint16_t sample_type;		/* 0: the SOA; else whatever reply comes is good */
	bool is_tcp;
	bool any_reply;			/* whatever it says, it lives: pools without zones */
	bool needs_aa;
	uint64_t timeout_us;
};

struct probe_verdict {
	enum health_cause cause;	/* CAUSE_NONE: good */
	bool is_ours;			/* the fault is here: says nothing about the server */
	bool has_serial;		/* good replies that were not truncated */
	uint32_t serial;
	int rcode;			/* with CAUSE_RCODE */
	int error;			/* errno with CAUSE_REFUSED and is_ours; 0: closed */
	uint64_t rtt_us;		/* with a reply */
	const uint8_t *reply;		/* of a sample, until done() returns; NULL: none */
	size_t reply_len;
};

struct probe;

/* Called once, never from within probe_start(). The probe is gone when it returns. */
typedef void (*probe_done_fn)(struct probe *p, const struct probe_verdict *v, void *arg);

struct probe *probe_start(struct ev_loop *loop, struct random *random, const struct probe_ask *ask,
			  probe_done_fn done, void *arg);

/* No verdict wanted any more. NULL is fine. Not from within its own done(). */
void probe_cancel(struct probe *p);

/* ---- The pure part, for tests and fuzzers ---- */

enum { PROBE_QUERY_MAX = 12 + NAME_LEN_MAX + 4 };

/* Writes the query and returns its length. */
size_t probe_question(uint16_t id, const uint8_t *name, uint16_t type,
		      uint8_t query[PROBE_QUERY_MAX]);
/* The same for a zone's SOA. */
size_t probe_query(uint16_t id, const uint8_t *zone, uint8_t query[PROBE_QUERY_MAX]);

/*
 * Judges one message. False when it does not answer `query` (another ID, another question, no
 * reply at all): go on waiting. The verdict's rtt_us is left alone.
 */
bool probe_judge(const struct probe_ask *ask, const uint8_t *query, size_t query_len,
		 const uint8_t *message, size_t len, struct probe_verdict *v);

#endif
