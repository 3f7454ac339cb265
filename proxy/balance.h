/* SPDX-License-Identifier: ISC */
/*
 * balance - which target of a pool gets this attempt.
 *
 * Purpose:  the lowest tier that has an eligible target, then the pool's policy inside it. What a
 *           backend cannot take goes to the others of its tier, or to the next (limit.h). One whose
 *           data of the zone is held, or that is at its limit, is asked when nobody else is left.
 *           In a drill a share of the queries is the mirror's, whatever its tier.
 * Not here: what is eligible beyond share, limit and "tried already" (health decides shares).
 * Owns:     per worker: the counters that round-robin needs.
 * Threads:  one struct per worker; reads what control publishes (share, forced).
 * Memory:   none.
 * Failure:  NULL: no target is eligible.
 */
#ifndef BALANCE_H
#define BALANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/random.h"
#include "proxy/limit.h"
#include "proxy/plan.h"
#include "proxy/rtt.h"

/* What this worker knows of a backend; one row for each index. */
struct balance_view {
	struct rtt udp, tcp;
	struct limit_count limit_count[TRANSPORTS];
	uint32_t outstanding;		/* attempts in ATTEMPT_WAITING */
	unsigned life;			/* backend->life: all but `outstanding` is of that server */
};

struct balance {
	uint32_t turn[CONF_POOLS_MAX];	/* round-robin: choices made so far */
	struct balance_view views[BACKENDS_MAX];
	const struct plan_target *spared;	/* of the last choice: would have had its turn, but is at
						 * its limit. NULL: none */
};

struct balance_ask {
	const struct plan_pool *pool;
	const struct plan_zone *zone;	/* of the pool; NULL: forward-unlisted */
	const uint16_t *tried;		/* backend indexes that are not to be asked again */
	unsigned tried_count;
	uint32_t hash;			/* of the question, for consistent-hash */
	enum transport transport;
	uint64_t now_us;
	bool mirror_can_answer;		/* the zone is held, and was not tried */
	bool is_last_resort;		/* whoever is there, in whatever state: the trickle */
	bool through_loops;		/* those from whom queries come back to us, too */
	bool is_shadowed;		/* a backend's answer is wanted, to be compared */
	bool takes_held;		/* those whose data of the zone is held, too */
	bool takes_limited;		/* those that are at the limit which was found out */
};

const struct plan_target *balance_choose(struct balance *b, const struct balance_ask *ask,
					 struct random *random);

/*
 * The mirror, when a drill wants this query: where it can answer and does not lag. Else NULL: the
 * choice is as ever.
 */
const struct plan_target *balance_drill(const struct balance_ask *ask, struct random *random);

/* True when some target could be chosen; changes nothing. */
bool balance_has_target(struct balance *b, const struct balance_ask *ask);

/* True when the mirror can answer, lags behind no primary, and was not ordered out. */
bool balance_mirror_may_serve(const struct balance_ask *ask);

#endif
