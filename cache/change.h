/* SPDX-License-Identifier: ISC */
/*
 * change - the difference between two generations of a zone, packed for a stream.
 *
 * Purpose:  makes the entry that takes a reader from one generation to the next, and plays
 *           such an entry back into an edit.
 * Not here: where entries are kept (store.c), how records are packed (chunk.h).
 *
 * A change is a list of parts, each one chunk: first those of removed records, then those of
 * added ones. A changed TTL is a removal and an addition; so is the SOA, in every change.
 *
 * Owns:     a change owns its parts.
 * Threads:  the mirror's.
 * Memory:   bounded by the limit given; two chunk writers while it is made.
 * Failure:  NULL when the difference is over the limit: write the whole zone instead.
 */
#ifndef CHANGE_H
#define CHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/zone.h"

enum {
	CHANGE_PARTS_MAX = 64,
	CHANGE_NAMES_MAX = 20000,	/* differing names that are looked at: some 10 ms */
};

struct change_part {
	bool is_added;
	size_t len;
	uint8_t *bytes;
};

struct change {
	size_t count;
	size_t bytes;		/* of all parts */
	struct change_part parts[CHANGE_PARTS_MAX];
};

/*
 * True when at most CHANGE_NAMES_MAX names have to be looked at. Two generations that were
 * transferred whole share nothing: then that is every name, however little has changed.
 */
bool change_is_cheap(const struct generation *old, const struct generation *new);

/* At most `limit` bytes. */
struct change *change_new(const struct generation *old, const struct generation *new, size_t limit);
void change_free(struct change *c);	/* NULL is fine */

/*
 * Plays one part into `edit`. Returns NULL, or a sentence saying what is wrong; the edit is
 * then good for zone_edit_free() only. When the part holds an SOA, *serial becomes its.
 */
const char *change_part_apply(struct zone_edit *edit, bool is_added, const uint8_t *bytes,
			      size_t len, uint32_t *serial);

#endif
