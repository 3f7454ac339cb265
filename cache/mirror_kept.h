/* SPDX-License-Identifier: ISC */
/*
 * mirror_kept - the older generations of a zone that stay in memory, to go back to.
 *
 * Purpose:  a short list, the latest first. What is put in pushes the oldest out.
 * Not here: which generation serves (mirror_holding.h), going back (mirror_order.h).
 * Owns:     the generations in it; what leaves it goes to the retired ones.
 * Threads:  the mirror's; others read it under the mirror's mutex, under which it changes, too.
 * Memory:   nothing for a zone that never had a second generation. Generations share what did not
 *           change when one was made from the other; after a transfer of the whole zone each is
 *           as large as the zone.
 */
#ifndef MIRROR_KEPT_H
#define MIRROR_KEPT_H

#include "cache/mirror_retired.h"

struct kept_item {
	struct generation *generation;
	uint64_t since;			/* wall seconds: when it was published */
	char *source;
};

struct kept {
	struct kept_item *items;	/* by number, the highest first */
	unsigned count;
};

/* Takes `g`. At most `most` stay; the rest goes to `retired`. */
void kept_add(struct kept *k, struct generation *g, uint64_t since, const char *source,
	      unsigned most, struct retired *retired);

/* At most so many stay. */
void kept_trim(struct kept *k, unsigned most, struct retired *retired);

/* The latest one with a lower number than that; NULL: none. */
const struct kept_item *kept_before(const struct kept *k, uint64_t number);

/* NULL: none. Of several with one serial the latest. */
const struct kept_item *kept_find_number(const struct kept *k, uint64_t number);
const struct kept_item *kept_find_serial(const struct kept *k, uint32_t serial);

/* It leaves the list, and goes to `retired`. */
void kept_drop(struct kept *k, const struct kept_item *item, struct retired *retired);

#endif
