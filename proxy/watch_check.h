/* SPDX-License-Identifier: ISC */
/*
 * watch_check - the probes under way to one backend.
 *
 * Purpose:  sends what health says is due: one UDP and one TCP probe at a time, more in a burst;
 *           and what the zones' gates and the guard ask for.
 * Not here: what a verdict means (watch_verdict.h).
 * Owns:     every struct check, each with its probe.
 * Threads:  control.
 */
#ifndef WATCH_CHECK_H
#define WATCH_CHECK_H

#include "proxy/sample.h"
#include "proxy/watched.h"

/* A probe on its way. */
struct check {
	struct watched *b;
	struct probe *probe;
	bool is_tcp;
	bool is_sweep;		/* asked only for its zone's gate */
	bool is_guard;		/* asked to see whether it comes back to us */
	size_t zone;		/* of the pool; unused without zones */
	uint64_t number;	/* upwards, of all backends */
	struct gate_facts facts;	/* of the zone, when it was asked */
	struct sample sample;	/* type 0: the SOA */
	uint64_t in_time, expired;	/* of clients' queries by this transport, when it left */
	struct check *prev, *next;
};

/* Sends what is due now. */
void check_send_due(struct watched *b, uint64_t now);

/* Asks for a zone's gate: the SOA, or a sample. */
void check_ask(struct watched *b, size_t zone, const struct sample *sample,
	       const struct gate_facts *facts);

/* Asks for this name on behalf of the guard. */
void check_ask_guard(struct watched *b, const uint8_t *name);

void check_cancel_all(struct watched *b);

#endif
