/* SPDX-License-Identifier: ISC */
#include "cache/review.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/dns.h"

enum { EMPTIED_MIN = 4 };	/* names that are a zone worth missing when all are gone */

const char *review_check_text(enum review_check c)
{
	switch (c) {
	case REVIEW_PASSED:	return "";
	case REVIEW_SHRINK:	return "max-shrink";
	case REVIEW_ZONEMD:	return "zonemd";
	case REVIEW_PROGRAM:	return "verify";
	}
	abort();
}

static bool is_same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool review_rules_are_equal(const struct review_rules *a, const struct review_rules *b)
{
	return a->max_shrink == b->max_shrink && a->zonemd == b->zonemd &&
	       a->program_us == b->program_us && is_same_text(a->program, b->program);
}

/* ---- Shrinking ---- */

static size_t names_of(const struct generation *g)
{
	return g->tree.count - 1;	/* below the apex */
}

static bool is_signed(const struct generation *g)
{
	struct rrset set;

	return node_find_rrsig(g->apex, TYPE_SOA, &set);
}

/* Signatures are most of a signed zone: when they come or go, records tell nothing. */
static bool are_alike(const struct generation *a, const struct generation *b)
{
	return is_signed(a) == is_signed(b);
}

static bool is_too_much(const struct review_rules *r, size_t had, size_t has)
{
	size_t lost = had > has ? had - has : 0;

	return lost >= REVIEW_LOST_MIN && lost * 100 > had * r->max_shrink;
}

static void tell_lost(const struct review_rules *r, size_t had, size_t has, const char *what,
		      char reason[REVIEW_REASON_MAX])
{
	snprintf(reason, REVIEW_REASON_MAX, "it has lost %zu of %zu %s, more than max-shrink = %u percent",
		 had - has, had, what, r->max_shrink);
}

bool review_shrink(const struct review_rules *r, const struct generation *old,
		   const struct generation *new, char reason[REVIEW_REASON_MAX])
{
	size_t had, has;

	if (!old || r->max_shrink >= 100)
		return true;
	had = names_of(old);
	has = names_of(new);
	if (is_too_much(r, had, has) || (has == 0 && had >= EMPTIED_MIN)) {
		tell_lost(r, had, has, "names", reason);
		return false;
	}
	if (are_alike(old, new) && is_too_much(r, old->records, new->records)) {
		tell_lost(r, old->records, new->records, "records", reason);
		return false;
	}
	return true;
}

/* ---- ZONEMD ---- */

bool review_wants_digest(const struct review_rules *r)
{
	return r->zonemd != REVIEW_ZONEMD_OFF;
}

bool review_digest(const struct review_rules *r, enum zonemd_outcome o,
		   char reason[REVIEW_REASON_MAX])
{
	bool is_required = r->zonemd == REVIEW_ZONEMD_REQUIRE;

	snprintf(reason, REVIEW_REASON_MAX, "%s", zonemd_text(o));
	switch (o) {
	case ZONEMD_GOOD:		return true;
	case ZONEMD_ABSENT:
	case ZONEMD_UNSUPPORTED:	return !is_required;
	case ZONEMD_MALFORMED:
	case ZONEMD_TWICE:
	case ZONEMD_OTHER_SERIAL:
	case ZONEMD_DIFFERS:		return !review_wants_digest(r);
	}
	abort();
}

/* ---- Memory ---- */

/* A program may well say it in other words each time: those are not compared. */
bool review_is_news(const struct review_refusal *last, const struct review_refusal *now)
{
	return last->check != now->check || last->serial != now->serial;
}
