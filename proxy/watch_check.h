/* SPDX-License-Identifier: ISC */
/*
 * watch_check - the probes under way to one backend.
 *
 * Purpose:  sends what health says is due: one UDP and one TCP probe at a time, more in a burst;
 *           and, while a backend is returning, one for each zone that it has not shown yet.
 * Not here: what a verdict means (watch_verdict.h).
 * Owns:     every struct check, each with its probe.
 * Threads:  control.
 */
#ifndef WATCH_CHECK_H
#define WATCH_CHECK_H

#include "proxy/watched.h"

/* A probe on its way. */
struct check {
	struct watched *b;
	struct probe *probe;
	bool is_tcp;
	bool is_sweep;		/* asked only for its zone's serial */
	size_t zone;		/* of the pool; unused without zones */
	struct check *prev, *next;
};

/* Sends what is due now. */
void check_send_due(struct watched *b, uint64_t now);

/* A returning backend shows all its zones while its good probes are counted. */
void check_sweep(struct watched *b);

void check_cancel_all(struct watched *b);

#endif
