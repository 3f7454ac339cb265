/* SPDX-License-Identifier: ISC */
/*
 * watch_verdict - what follows when a backend's health is judged.
 *
 * Purpose:  hands probes' verdicts and workers' evidence to health.c, and does what its changes
 *           ask for: publishes the share, tells the operator, the pool and the mirror.
 * Threads:  control, inside an RCU read.
 */
#ifndef WATCH_VERDICT_H
#define WATCH_VERDICT_H

#include "proxy/watch_check.h"

/* What workers read of this backend, as it is now. */
void verdict_publish(struct watched *b, uint64_t now);

/* Every change goes through here. */
void verdict_follow(struct watched *b, struct health_change c, uint64_t now);

/* A probe ended. `c` is borrowed, and on no list any more. */
void verdict_on_check(struct watched *b, const struct check *c, const struct probe_verdict *v,
		      uint64_t now);

/* Its serial of this zone is newer than the mirror's, it may be: then the mirror should fetch. */
void verdict_tell_mirror(struct watched *b, size_t zone, uint32_t serial, uint64_t now);

/* Looks at what workers counted since the last look, and at the time. */
void verdict_look(struct watched *b, uint64_t now);

/* When to look again at the latest. */
uint64_t verdict_next_us(const struct watched *b, uint64_t now);

#endif
