/* SPDX-License-Identifier: ISC */
/*
 * history - how a zone became what it is: the latest differences, for IXFR out.
 *
 * Purpose:  made when a generation is published, from the one before and that one's history:
 *           a chain of differences that ends at its serial.
 * Not here: differences as Redis keeps them (change.h), writing messages (outgoing.h).
 *
 *      generation 8 --history--> [5 -> 6] [6 -> 7] [7 -> 8]
 *      generation 7 --history-------'--------'               both refer to the same two
 *
 * A history is immutable and hangs off its generation: whoever holds that has its history.
 *
 * Owns:     a history owns references to differences, which generations share.
 * Threads:  made and freed by the mirror's (as generations are); read by all.
 * Memory:   HISTORY_MAX differences; bytes at most half of the zone's, HISTORY_BYTES_LEAST for
 *           small zones. What is over drops the oldest.
 * Failure:  no history is an outcome: whoever asks for a difference gets the whole zone.
 * Spec:     RFC 1995 s.4 (order of a difference) and s.5 (what to keep).
 */
#ifndef HISTORY_H
#define HISTORY_H

#include "cache/zone.h"
#include "cache/zone_cursor.h"

enum {
	HISTORY_MAX = 64,
	HISTORY_PART = 2,			/* of the zone's bytes, one in so many */
	HISTORY_BYTES_LEAST = 64 * 1024,
};

struct difference {
	unsigned references;
	uint32_t from, to;		/* serials */
	size_t len;
	uint8_t bytes[];		/* records: difference_next() */
};

struct history {
	size_t count, bytes;
	struct difference *items[HISTORY_MAX];	/* the oldest first; each begins where one ends */
};

/*
 * The history of `new`, which takes the place of `old`. NULL when there is none: the serial
 * went back, the difference is too large or costs too much to find, or nothing is known.
 */
struct history *history_new(const struct generation *old, const struct generation *new);
void history_free(struct history *h);	/* NULL is fine */

/* Index of the first difference of the chain from `serial` to the end; false if none. */
bool history_find(const struct history *h, uint32_t serial, size_t *index);

/*
 * The records of a difference as IXFR sends them: old SOA, removed ones, new SOA, added ones.
 * `pos` starts at 0; false at the end.
 */
bool difference_next(const struct difference *d, size_t *pos, struct zone_record *record);

#endif
