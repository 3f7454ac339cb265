/* SPDX-License-Identifier: ISC */
/*
 * review - may this version of a zone take the place of the one that is held.
 *
 * Purpose:  the rules, as functions of two generations and of what the options say: how much a
 *           zone may shrink, what its ZONEMD must be, what a program said of it; and the memory
 *           of the last version that was refused, so that the operator is told once.
 * Not here: digesting (zonemd.h), running the program (verifier.h), when all this happens
 *           (mirror_review.h), whether a zone is well-formed (zone.h).
 * Threads:  any; pure.
 * Memory:   none.
 * Failure:  false, with a sentence.
 */
#ifndef REVIEW_H
#define REVIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/zone.h"
#include "cache/zonemd.h"

enum {
	REVIEW_REASON_MAX = 240,
	REVIEW_LOST_MIN = 8,		/* no RFC: fewer names or records may go on any day */
};

/* What to do with the ZONEMD of a zone; 0 is for "not said" in a configuration. */
enum review_zonemd { REVIEW_ZONEMD_OFF = 1, REVIEW_ZONEMD_IF_PRESENT, REVIEW_ZONEMD_REQUIRE };

struct review_rules {
	unsigned max_shrink;		/* percent of names or records; 100: any */
	enum review_zonemd zonemd;
	char *program;			/* absolute path, of whoever has the rules; NULL: none */
	uint64_t program_us;		/* how long it may take */
};

/* What a version failed at, in the order in which it is tried. */
enum review_check { REVIEW_PASSED, REVIEW_SHRINK, REVIEW_ZONEMD, REVIEW_PROGRAM };

/* The name of the option: "max-shrink". */
const char *review_check_text(enum review_check c);

bool review_rules_are_equal(const struct review_rules *a, const struct review_rules *b);

/*
 * False when `new` has lost too much of `old` (NULL: nothing is held): of the names, or of the
 * records while both are signed or neither is. A loss of fewer than REVIEW_LOST_MIN is none, but
 * for a zone of four names or more of which nothing is left.
 */
bool review_shrink(const struct review_rules *r, const struct generation *old,
		   const struct generation *new, char reason[REVIEW_REASON_MAX]);

/* True when the outcome of a digest matters. */
bool review_wants_digest(const struct review_rules *r);

bool review_digest(const struct review_rules *r, enum zonemd_outcome o,
		   char reason[REVIEW_REASON_MAX]);

/* The last version that was refused; `check` REVIEW_PASSED: none. */
struct review_refusal {
	enum review_check check;
	uint32_t serial;
	size_t records, records_before;	/* of it, and of what was held then */
	char *reason;			/* of whoever has this; NULL: none */
};

/* The operator has not been told of `now` yet. */
bool review_is_news(const struct review_refusal *last, const struct review_refusal *now);

#endif
