/* SPDX-License-Identifier: ISC */
/*
 * mirror_fleet - what the store says of one zone: several Understudies on one Redis.
 *
 * Purpose:  one of us has the zone's lease and transfers; the rest follow what it commits, by
 *           changes where they can; whoever finds the lease free takes it.
 * Not here: keys and commands (store.h), asking primaries (mirror_round.c).
 *
 *      news, or a poll: later than ours --> follow by changes --well--> published
 *                                                \--gap, other data--> load the whole zone
 *      poll: nobody's lease --> take it, if our own last round went well
 *
 * Threads:  the mirror's.
 * Time:     monotonic; a lease's life is Redis' own time, and nobody else's clock matters.
 * Failure:  a store that cannot say or has nonsense stops nothing: we transfer for ourselves.
 */
#ifndef MIRROR_FLEET_H
#define MIRROR_FLEET_H

#include <stdint.h>

#include "cache/mirror_work.h"

/* What is due: renews our lease, looks whether others have written and who has the lease. */
void fleet_tend(struct mirror_work *w, uint64_t now_us);

/* When that is next; UINT64_MAX: not before something comes from the store. */
uint64_t fleet_next_us(const struct mirror_work *w);

/* From what is held to what the store has: by changes, or whole. */
void fleet_follow(struct mirror_work *w);

/* All that the store has, whatever its number. */
void fleet_load(struct mirror_work *w);

/*
 * Seconds that a lease of one of so many zones lives: what must be renewed by one member for
 * 100,000 zones shall not keep Redis busy. A dead one's zones wait as long for another.
 */
unsigned fleet_lease_s(unsigned least, size_t zones);

#endif
