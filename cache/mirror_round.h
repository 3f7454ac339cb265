/* SPDX-License-Identifier: ISC */
/*
 * mirror_round - one round of asking the primaries of a zone, from due to the next time.
 *
 * Purpose:  see the picture in mirror_work.h: lease, primaries in turn, outcome.
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

#endif
