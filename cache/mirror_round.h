/* SPDX-License-Identifier: ISC */
/*
 * mirror_round - one round of asking the primaries of a zone, from due to the next time.
 *
 * Purpose:  see the picture in mirror_work.h: lease, primaries in turn, what each of them says.
 * Not here: what follows from that (mirror_attempt.h), whole zones that came (mirror_version.h).
 * Threads:  the mirror's.
 * Time:     reads the clocks itself, since building a zone takes time.
 */
#ifndef MIRROR_ROUND_H
#define MIRROR_ROUND_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/mirror_work.h"

/* False while the store has not said yet whether it is there. */
bool round_may_begin(const struct mirror_work *w, uint64_t now_us);

void round_begin(struct mirror_work *w, uint64_t now_us);

/* Goes on to the primaries: the store has answered about the lease, or will not. */
void round_go_on(struct mirror_work *w, bool is_alone);

/* The place at the primary that it waited for is had. */
void round_on_turn(struct mirror_work *w);

/* Ends it without an outcome. */
void round_cancel(struct mirror_work *w);

/* ---- For the ends of attempts ---- */

/* A primary in `asked` and `shy`. */
static inline unsigned round_bit(unsigned primary)
{
	return 1u << primary;
}

/* Asks primaries[primary], once that has a place for us. */
void round_ask(struct mirror_work *w);

/* Who has not been asked in this round; primary_count: nobody. */
unsigned round_next_primary(const struct mirror_work *w);

/* Its connection and its place are done with. */
void round_drop_fetch(struct mirror_work *w);

/* It is over; the next one begins when the schedule says so. */
void round_end(struct mirror_work *w);

/* The address of primaries[primary]. */
const char *round_source(const struct mirror_work *w, char text[ADDRESS_TEXT_MAX]);

/* Of the generation that is held; 0: none. */
uint64_t round_held_number(const struct mirror_work *w);

#endif
