/* SPDX-License-Identifier: ISC */
/*
 * mirror_turn - the place that a zone needs at its primary before it may ask.
 *
 * Purpose:  which kind of place a question needs, taking it or waiting for it (turns.h), and a
 *           timer that gives places which become free to zones that wait.
 * Not here: asking (mirror_round.h), who is next (turns.h).
 * Threads:  the mirror's.
 */
#ifndef MIRROR_TURN_H
#define MIRROR_TURN_H

#include <stdbool.h>

#include "cache/mirror_work.h"

/* Once for a mirror, before any other. */
void turn_init(struct workshop *shop);

/* True: the place at primaries[primary] is had. False: round_on_turn() follows when it is. */
bool turn_take(struct mirror_work *w, enum fetch_want want);

void turn_leave(struct mirror_work *w);		/* the place, or the queue; twice is fine */

/* What may be asked with the place that is had: a check's is not good for the zone. */
enum fetch_want turn_allows(const struct mirror_work *w, enum fetch_want want);

#endif
