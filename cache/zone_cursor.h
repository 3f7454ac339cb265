/* SPDX-License-Identifier: ISC */
/*
 * zone_cursor - a place in a generation: its records one by one, as slowly as one likes.
 *
 * Purpose:  every record but the SOA, owner by owner, a call for each; between calls any time
 *           may pass.
 * Not here: walks in one go (generation_walk()).
 * Owns:     nothing: the generation must be held (generation_hold()) while a cursor is in it.
 * Threads:  any; a cursor belongs to its caller.
 * Memory:   none. A step to the next owner is a descent or two of a tree.
 */
#ifndef ZONE_CURSOR_H
#define ZONE_CURSOR_H

#include "cache/zone.h"

/* One record. The pointers lead into the generation. */
struct zone_record {
	const uint8_t *owner;
	struct rrset set;	/* type, TTL and rdata, of this record alone */
};

struct zone_cursor {
	const struct generation *zone;
	const struct node *node;	/* NULL: at the end */
	struct rrset set;		/* of `node` */
	size_t pos;			/* in it */
};

void zone_cursor_start(struct zone_cursor *c, const struct generation *zone);

/* False at the end. */
bool zone_cursor_next(struct zone_cursor *c, struct zone_record *record);

/* The SOA of the zone as a record. */
void zone_record_of_soa(const struct generation *zone, struct zone_record *record);

#endif
