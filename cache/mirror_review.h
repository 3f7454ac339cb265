/* SPDX-License-Identifier: ISC */
/*
 * mirror_review - the review of a version of a zone before it is published: its rules at work.
 *
 * Purpose:  asks in turn how much the zone has shrunk, what its ZONEMD says, and the operator's
 *           program; whatever takes longer than a moment is done in slices, or by the program,
 *           while the mirror goes on with everything else. Small zones without a program pass at
 *           once, inside review_begin().
 *
 *      begin --shrink--> digest --in slices--> program --its end--> review_end_fn
 *
 * Not here: the rules (review.h), what follows from a refusal (mirror_round.c, mirror_work.c).
 * Owns:     the version under review, which nobody else has seen.
 * Threads:  the mirror's.
 * Memory:   a whole zone for as long as its review takes; a program that hangs makes others wait
 *           at the primaries, not in memory: see reviews_are_full().
 * Failure:  what cannot be tried is refused.
 */
#ifndef MIRROR_REVIEW_H
#define MIRROR_REVIEW_H

#include <stdbool.h>

#include "cache/review.h"
#include "cache/slice.h"
#include "cache/verifier.h"

enum { REVIEWS_WAITING_MAX = 64 };	/* zones in memory that wait for their program */

/* What the reviews of all zones share. */
struct reviews {
	struct slices slices;
	struct verifiers verifiers;
};

void reviews_init(struct reviews *all, struct ev_loop *loop, const char *state_dir);
void reviews_fini(struct reviews *all);		/* after each review has ended */

/* True when zones with a program should not be fetched yet. */
bool reviews_are_full(const struct reviews *all);

/* Takes `g` back: whole, and freed by nobody. `reason` for as long as the call. */
typedef void (*review_end_fn)(struct generation *g, enum review_check failed, const char *reason,
			      void *arg);

struct review {
	struct reviews *all;
	const struct review_rules *rules;
	struct generation *zone;	/* NULL: no review */
	bool has_held;
	uint32_t held_serial;
	struct slice slice;
	struct zonemd *digest;
	struct verifier *verifier;
	review_end_fn end;
	void *arg;
};

struct review_job {
	const struct review_rules *rules;	/* outlive the review */
	struct generation *zone;		/* taken */
	const struct generation *held;		/* NULL: none; read during the call */
	bool may_shrink;			/* whatever the rules say */
};

/* May call `end` at once. */
void review_begin(struct review *r, struct reviews *all, const struct review_job *job,
		  review_end_fn end, void *arg);

/* Frees the version under review. No review is fine. */
void review_cancel(struct review *r);

#endif
