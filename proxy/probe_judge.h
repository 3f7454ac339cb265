/* SPDX-License-Identifier: ISC */
/*
 * probe_judge - what a probe asks, and what the reply to it shows of the server.
 *
 * Purpose:  writes the query; believes only a reply that matches it; judges that reply.
 * Not here: sockets and time (probe.h).
 * Threads:  any; pure.
 * Memory:   none.
 * Failure:  a cause in the verdict.
 * Spec:     RFC 5452 s.9.1 (what a reply must match).
 */
#ifndef PROBE_JUDGE_H
#define PROBE_JUDGE_H

#include "cache/address.h"
#include "cache/name.h"
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
