/* SPDX-License-Identifier: ISC */
/*
 * turns - whose turn it is to ask a primary.
 *
 * Purpose:  places at each primary and in all, and queues for them. Transfers have places of
 *           their own, and so have questions for the SOA: a long transfer holds up no other
 *           zone's check, and a slow primary no other primary's zones. Primaries take turns;
 *           at one primary, first come is first served, but for those on which others hang.
 *           A primary that did not answer a moment ago is *mute*: who waits for it need not
 *           find out for itself, but may go to its next primary at once.
 * Not here: asking (mirror_round.h).
 * Owns:     its lanes, one for each primary that is known; turns are embedded by who asks.
 * Threads:  one.
 * Time:     monotonic microseconds, given by the caller.
 * Memory:   a lane for each primary; nothing for each turn.
 */
#ifndef TURNS_H
#define TURNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/address.h"
#include "cache/tls_profile.h"

enum turn_kind {
	TURN_CHECK,	/* the SOA, and no more */
	TURN_TRANSFER,
	TURN_KINDS,
};

enum {
	TURNS_CHECKS = 256,		/* in all; no RFC says */
	TURNS_CHECKS_EACH = 32,		/* at one primary: a dead one holds them for 3 s */
	TURNS_REASON_MAX = 256,
};

#define TURNS_MUTE_US	1000000

struct turns_limits {
	unsigned transfers, transfers_each;	/* in all; at one primary. 1 at least */
};

struct lane;

/* Zeroed: neither waits nor has a place. */
struct turn {
	struct lane *lane;
	enum turn_kind kind;
	bool is_waiting;
	struct turn *prev, *next;	/* in the lane's queue, while it waits */
};

struct turns;

struct turns *turns_new(const struct turns_limits *limits);
void turns_free(struct turns *t);	/* NULL is fine */

/* Takes a place at once, if there is one and nobody waits for such a one. */
bool turns_try(struct turns *t, struct turn *turn, enum turn_kind kind,
	       const struct address *primary, const struct tls_profile *tls);

/* Waits for one: turns_next() will give the turn back. */
void turns_wait(struct turns *t, struct turn *turn, enum turn_kind kind,
		const struct address *primary, const struct tls_profile *tls);

/* The same, ahead of all who wait there: for few. */
void turns_wait_ahead(struct turns *t, struct turn *turn, enum turn_kind kind,
		      const struct address *primary, const struct tls_profile *tls);

/* Gives the place back, or leaves the queue. Twice is fine. */
void turns_leave(struct turns *t, struct turn *turn);

/* The next one that waited and has its place now; NULL: none can have one. */
struct turn *turns_next(struct turns *t);

bool turns_has_waiting(const struct turns *t);

/* The primary of `turn` did not answer, or has: `reason` NULL. */
void turns_note(struct turn *turn, const char *reason, uint64_t now_us);

/* Why its primary is mute, or NULL. */
const char *turns_mute(const struct turn *turn, uint64_t now_us);

#endif
