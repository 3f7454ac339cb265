/* SPDX-License-Identifier: ISC */
/*
 * verifier - asks the operator's program whether a version of a zone may be served.
 *
 * Purpose:  waits until few enough of them run, writes the zone to a file in slices, runs the
 *           program with it, and says what it said: exit code 0 accepts, all else refuses, with
 *           the first line of its standard error as the reason.
 *
 *      waiting --a place is free--> writing --last slice--> running --its end--> verifier_end_fn
 *
 *           The program is PROGRAM FILE, the file is its standard input as well, and the
 *           environment is PATH, UNDERSTUDY_FILE, UNDERSTUDY_ZONE, UNDERSTUDY_SERIAL and, when
 *           something is held, UNDERSTUDY_OLD_SERIAL.
 * Not here: processes (program.h), the text of a zone (dump.h), what follows (mirror_review.h).
 * Owns:     the folder `state-dir`/verify, and the files in it: each is removed at the end, and
 *           what a crash left at the start.
 * Threads:  the mirror's.
 * Memory:   a text buffer while it writes.
 * Failure:  what cannot be written or run refuses the zone, with errno as the reason.
 */
#ifndef VERIFIER_H
#define VERIFIER_H

#include <stdbool.h>
#include <stdint.h>

#include <ev.h>

#include "cache/program.h"
#include "cache/review.h"
#include "cache/slice.h"
#include "cache/zone.h"

enum {
	VERIFIERS_MAX = 4,		/* no RFC: more at once make each slower */
	VERIFIER_PATH_MAX = 320,
};

struct verifier;

/* All of a mirror. */
struct verifiers {
	const char *state_dir;
	struct slices *slices;
	struct programs programs;
	struct verifier *first, *last;	/* those that wait, in order */
	unsigned waiting, writing;
	unsigned files;			/* made so far: each has a number */
};

void verifiers_init(struct verifiers *all, struct ev_loop *loop, struct slices *slices,
		    const char *state_dir);
void verifiers_fini(struct verifiers *all);	/* kills all; every verifier is freed before */

struct verifier_job {
	const struct review_rules *rules;	/* outlive the verifier */
	const struct generation *zone;		/* likewise; nobody changes it */
	bool has_held;				/* something is served so far, of: */
	uint32_t held_serial;
};

/* `reason` NULL: accepted. The verifier may be freed in the call. */
typedef void (*verifier_end_fn)(const char *reason, void *arg);

/* Never calls `end` at once. */
struct verifier *verifier_new(struct verifiers *all, const struct verifier_job *job,
			      verifier_end_fn end, void *arg);
void verifier_free(struct verifier *v);		/* at any time; NULL is fine */

#endif
