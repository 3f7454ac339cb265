/* SPDX-License-Identifier: ISC */
/*
 * watch_takeover - which tier of a pool serves now, and one event line when that changes.
 *
 * Purpose:  failover and failback as operators see them: the lowest tier with a target that may
 *           be asked. Workers decide for each query by the same rule (balance.h).
 * Threads:  control, inside an RCU read.
 */
#ifndef WATCH_TAKEOVER_H
#define WATCH_TAKEOVER_H

#include "proxy/watched.h"

#define TAKEOVER_NONE	UINT32_MAX	/* no tier has a target that may be asked */

/* The lowest tier that the pool has: where it is meant to be served. */
unsigned takeover_first_tier(const struct plan_pool *pool);

/* The operator's order for the pool. */
enum plan_failover takeover_order(const struct plan_pool *pool);

/* May this target be asked, by its state alone? `zone`: decides for the mirror; NULL: any. */
bool takeover_target_is_fit(const struct watched_pool *p, const struct plan_target *t,
			    const struct plan_zone *zone);

/* The same, with the operator's order for the pool. */
bool takeover_target_is_eligible(const struct watched_pool *p, const struct plan_target *t,
				 const struct plan_zone *zone);

/* The tier that serves now. */
unsigned takeover_tier(const struct watched_pool *p, const struct plan_zone *zone);

/* The names of a tier's targets: "mirror,ns2"; of those that are eligible, if there are any. */
const char *takeover_names(const struct watched_pool *p, unsigned tier,
			   char text[WATCHED_NAMES_MAX]);

/* Notes the serving tier without a word: a new plan. */
void takeover_set(struct watched_pool *p, uint64_t now);

/* Looks again. One line if it changed; `cause` is what the caller knows, NULL: the mirror. */
void takeover_look(struct watched_pool *p, const char *cause, uint64_t now);

#endif
