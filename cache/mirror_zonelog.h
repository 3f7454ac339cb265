/* SPDX-License-Identifier: ISC */
/*
 * mirror_zonelog - the event lines of one mirrored zone.
 *
 * Purpose:  writes them with the fields that operators rely on, and keeps quiet about what
 *           was just said: the first of equal failures is logged, then one a minute with
 *           suppressed=N.
 * Not here: deciding that something went wrong (mirror_work.c, mirror_holding.c).
 * Threads:  the mirror's.
 * Time:     monotonic microseconds, given by the caller.
 */
#ifndef MIRROR_ZONELOG_H
#define MIRROR_ZONELOG_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/event.h"
#include "cache/review.h"
#include "cache/zone.h"

enum { ZONELOG_MEMORY = 8 };	/* different failures that are remembered */

struct zonelog_line {
	uint64_t hash;			/* of event, source and reason; 0: free */
	uint64_t logged_us;
	unsigned suppressed;
};

struct zonelog {
	const uint8_t *origin;		/* borrowed for its life */
	struct zonelog_line *said;	/* ZONELOG_MEMORY; NULL: nothing failed since all was well */
};

void zonelog_init(struct zonelog *l, const uint8_t *origin);

/* All is well again: the next failure is news. At the end, too: it frees what it remembers. */
void zonelog_forget(struct zonelog *l);

struct zonelog_transfer {
	const struct generation *old, *new;	/* old NULL: nothing was held */
	const char *source;
	bool is_difference;
	uint64_t records, bytes, duration_us;	/* records: of a difference */
};

void zonelog_transferred(const struct zonelog *l, const struct zonelog_transfer *t);

/* A generation came from a store of ours: "redis" or "snapshot". */
void zonelog_restored(const struct zonelog *l, const struct generation *g, const char *source);

/* The operator ordered that nothing newer be taken: "hold", "rollback"; or the snapshot says so. */
void zonelog_held(const struct zonelog *l, const struct generation *g, const char *cause);
void zonelog_released(const struct zonelog *l, const struct generation *g);

/* `to` has the records of generation `copy_of`. */
void zonelog_rolled_back(const struct zonelog *l, const struct generation *from,
			 const struct generation *to, uint64_t copy_of);

/* A primary has a newer serial, and the zone is held. */
void zonelog_newer_held(const struct zonelog *l, uint32_t serial, uint32_t newer,
			const char *source);

/* `source` is a primary, "redis" or "snapshot". */
struct zonelog_failure {
	const char *source, *reason;
	const char *owner;		/* of the offending record; NULL: none to name */
	uint64_t retry_s;		/* until the next try; UINT64_MAX: none is planned */
	uint64_t now_us;
};

/* Differences could not be had; the zone is asked for now. event=ixfr_failed. */
void zonelog_ixfr_failed(struct zonelog *l, const struct zonelog_failure *f);
void zonelog_failed(struct zonelog *l, const struct zonelog_failure *f);
void zonelog_rejected(struct zonelog *l, const struct zonelog_failure *f);

/* A version is not taken, and will not be unless the operator accepts it. */
void zonelog_refused(struct zonelog *l, const struct review_refusal *r,
		     const struct generation *held, const char *source, uint64_t now_us);

/* Saving it to `source` failed; the zone serves on. event=snapshot_failed, store_failed. */
void zonelog_not_saved(struct zonelog *l, const char *event, const char *reason, uint64_t now_us);

/* The primary answers again after failures, with what we hold. */
void zonelog_refreshed(const struct zonelog *l, uint32_t serial, unsigned failures,
		       const char *source);

/* Once for each reason, then when all is well again. NULL: nothing is wrong. */
void zonelog_faithful(const struct zonelog *l, uint32_t serial, const char *reason,
		      const uint8_t *owner);

/* We transfer the zone from now on in the place of `from`; somebody else does in ours. */
void zonelog_lease_taken(const struct zonelog *l, const char *from);
void zonelog_lease_lost(const struct zonelog *l, const char *to);
/* Those of `owner` end first, and nobody has renewed them. */
void zonelog_signatures_ending(const struct zonelog *l, uint32_t serial, uint64_t left_s,
			       const uint8_t *owner);

void zonelog_expiring(const struct zonelog *l, unsigned percent_left, uint64_t left_s);

/* It is served past its expire from now on, until `limit` ends that: "grace", "signatures". */
void zonelog_grace_begun(const struct zonelog *l, uint32_t serial, uint64_t left_s,
			 const char *limit);
void zonelog_grace_ended(const struct zonelog *l, uint32_t serial, const char *cause);

void zonelog_expired(const struct zonelog *l, uint32_t serial);

#endif
