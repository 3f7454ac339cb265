/* SPDX-License-Identifier: ISC */
/*
 * control_zones - the answer to `zones`, bit by bit.
 *
 * Purpose:  a hundred thousand zones make an answer of thirty megabytes; written at once it would
 *           keep probes and verdicts waiting for seconds.
 * Not here: what is said of a zone (control_view.h), the socket (control.c).
 * Owns:     nothing but its place in the list.
 * Threads:  control.
 * Failure:  a reload ends it in the middle, which the client sees as an answer that was cut off.
 */
#ifndef CONTROL_ZONES_H
#define CONTROL_ZONES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct daemon;

/* All zero: no listing. */
struct zone_listing {
	bool is_on;
	uint64_t plan;		/* number of the plan whose zones these are */
	size_t next;		/* index of the zone that comes next */
};

/* True when the list is so long that it is better told so. */
bool zone_listing_is_wanted(const struct daemon *d);

void zone_listing_begin(struct zone_listing *l, const struct daemon *d);

/*
 * The next part: JSON, in all one line with its end. Turns itself off with the last part. The
 * caller frees it. NULL: the plan has changed, and there is no end.
 */
char *zone_listing_next(struct zone_listing *l, struct daemon *d);

#endif
