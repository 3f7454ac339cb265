/* SPDX-License-Identifier: ISC */
/*
 * guard - do queries that we pass on come back to us? The question that shows it, and what follows.
 *
 * DNS counts no hops. So we send a name through each backend that nobody else can know, below a
 * zone that it serves; whoever passes on the zone's names passes on this one. If it arrives at a
 * listener of ours, queries for that zone go in a circle.
 *
 * Purpose:  writes and reads such names; when to ask, and when a loop is found and mended; what a
 *           worker remembers of the names of others that it passes on.
 * Not here: probes (watch_guard.c), queries (dispatch_guard.c), the backend's state (health.h).
 * Owns:     nothing.
 * Threads:  pure. A struct guard is control's, a struct guard_memory its worker's.
 * Time:     monotonic microseconds, given by the caller.
 * Memory:   none.
 *
 * What the verdict rests on. Each question has a number of its own, 64 random bits, which counts
 * only while its probe is on its way and only for the backend that was asked. So nobody can bring
 * about a verdict but that backend, and whoever it shows the question in that moment; it could as
 * well answer SERVFAIL. What is left of an earlier life of ours means nothing.
 *
 * Others' names pass through us like any name, with two exceptions. A backend that is down for a
 * loop is asked all the same: else two that have found each other would see no loop any more, and
 * both would let it begin anew. And the same name passes a worker once, so that one whose
 * sender is gone does not go round for ever.
 */
#ifndef GUARD_H
#define GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <strings.h>

#include "cache/name.h"

/* ---- The name ---- */

#define GUARD_PREFIX	"understudy-loop-"

enum {
	GUARD_PREFIX_LEN = sizeof(GUARD_PREFIX) - 1,
	GUARD_LABEL_LEN = GUARD_PREFIX_LEN + 16 + 4,	/* the number and the backend, in hex */
};

struct guard_mark {
	uint64_t number;	/* never 0 */
	uint16_t backend;	/* index in the registry */
};

/* Writes the mark as a label below `zone`. False: the name would be too long. */
bool guard_name(const struct guard_mark *m, const uint8_t *zone, uint8_t name[NAME_LEN_MAX]);

/* What every query is asked: next to nothing for those whose first label has another length. */
static inline bool guard_is_likely(const uint8_t *qname)
{
	return qname[0] == GUARD_LABEL_LEN
	       && strncasecmp((const char *)qname + 1, GUARD_PREFIX, GUARD_PREFIX_LEN) == 0;
}

/* Reads the mark, ours or another's, in any case. False: there is none. */
bool guard_read(const uint8_t *qname, struct guard_mark *m);

/* ---- When to ask, and what follows ---- */

enum guard_news { GUARD_NOTHING, GUARD_FOUND, GUARD_MENDED };

struct guard {
	bool is_looping;
	bool is_found;		/* the question on its way has come back */
	unsigned clean;		/* while looping: rounds in a row in which it did not */
	unsigned hurry;		/* questions left that follow each other quickly */
	size_t zone;		/* the next to be asked for; while looping it stays */
	size_t turn;		/* whose turn it is after a hint's question */
	bool is_hinted;		/* `zone` is a hint's */
	bool was_hinted;	/* so was that of the last question: strangers can give hints */
	uint64_t number;	/* of the question on its way; 0: none is */
	uint64_t asked_us;	/* when the latest left */
	uint64_t next_us;
};

/* A backend of `zones` zones is new, or back: each is asked for soon, a few times at least. */
void guard_hurry(struct guard *g, size_t zones, uint64_t now);

/* Something hints at a loop, or there is trouble of any kind: the next question leaves earlier. */
void guard_alarm(struct guard *g, uint64_t now);

/* The same, and this zone is the next; not twice in a row, and as long as no loop is known. */
void guard_on_hint(struct guard *g, size_t zone, uint64_t now);

bool guard_is_due(const struct guard *g, uint64_t now);

/* A question leaves. `chance` below GUARD_CHANCE spreads what follows. */
enum { GUARD_CHANCE = 1 << 16 };
void guard_on_asked(struct guard *g, uint64_t number, uint32_t chance, uint64_t now);

/* `number` arrived at a listener. GUARD_FOUND: at most once for each question. */
enum guard_news guard_on_return(struct guard *g, uint64_t number);

/*
 * The question on its way ended. `proves`: a reply came that was not SERVFAIL; silence says
 * nothing about a loop, and whoever says SERVFAIL may have failed to pass it on.
 */
enum guard_news guard_on_end(struct guard *g, size_t zones, bool proves);

/* ---- What a worker remembers ---- */

enum { GUARD_MEMORY = 64 };

struct guard_memory {
	uint64_t seen[GUARD_MEMORY];	/* a ring */
	unsigned next;
	unsigned passed;		/* since `since_us` */
	uint64_t since_us;
};

enum guard_pass { GUARD_PASS, GUARD_SEEN, GUARD_TOO_MANY };

void guard_remember(struct guard_memory *m, uint64_t number);

/* May a name of others go on? GUARD_PASS remembers it; fewer pass in a second than it remembers. */
enum guard_pass guard_pass(struct guard_memory *m, uint64_t number, uint64_t now);

#endif
