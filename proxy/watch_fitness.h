/* SPDX-License-Identifier: ISC */
/*
 * watch_fitness - what one backend last said of each zone of its pool.
 *
 * Purpose:  one zone that a server does not hold must not take the whole server down: that needs
 *           a memory by zone; and whose turn it is to be probed.
 * Not here: the server as a whole (health.h), whether its data is right (gate.h).
 * Threads:  control; pure.
 * Memory:   one allocation in fitness_new().
 */
#ifndef WATCH_FITNESS_H
#define WATCH_FITNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/health.h"

struct fitness_zone {
	bool is_seen;		/* some reply since fitness_forget() */
	enum health_cause why;	/* CAUSE_NONE: fit, or never asked */
};

struct fitness {
	size_t count;		/* zones */
	size_t fit;		/* of these, seen and without a `why` */
	size_t next_udp, next_tcp;	/* the zone whose turn it is */
	struct fitness_zone zones[];
};

/* Aborts if memory is short. */
struct fitness *fitness_new(size_t count);
void fitness_free(struct fitness *f);	/* NULL is fine */

/* What `old` knows of its zone `from` holds for `zone`: a new plan has other numbers. */
void fitness_carry(struct fitness *f, size_t zone, const struct fitness *old, size_t from);

/* Goes on with the turn of `old`, as far as its number means anything. */
void fitness_go_on(struct fitness *f, const struct fitness *old);

/* The backend went down: what it served is of the past. */
void fitness_forget(struct fitness *f);

/* A reply for `zone` with this cause. */
void fitness_note(struct fitness *f, size_t zone, enum health_cause why);

/*
 * Whether a verdict, before it is noted, says something about the server and not only about
 * this zone: not while it serves other zones, unless it has served this one, too.
 */
bool fitness_counts(const struct fitness *f, size_t zone, enum health_cause why);

/*
 * The next zone in turn; each transport has its own, or in a burst they would split the zones
 * between them. TCP passes over zones that the server does not serve, as long as there are others
 * nearby: it is to show that TCP works. f->count > 0.
 */
size_t fitness_turn(struct fitness *f, bool is_tcp);

#endif
