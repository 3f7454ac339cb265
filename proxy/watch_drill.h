/* SPDX-License-Identifier: ISC */
/*
 * watch_drill - a share of a pool's queries is the mirror's, although its servers are well.
 *
 * Purpose:  begins drills, and ends them: when their time is over, at the operator's word, when the
 *           shadow check confirms a divergence, when the mirror can serve no zone any more.
 * Not here: which queries these are (balance.h).
 * Threads:  control, inside an RCU read.
 */
#ifndef WATCH_DRILL_H
#define WATCH_DRILL_H

#include "proxy/watched.h"

void drill_begin(struct watched_pool *p, unsigned percent, uint64_t duration_us, uint64_t now);

/* `cause`: of the event line. Nothing happens when none is running. */
void drill_end(struct watched_pool *p, const char *cause);

/* Time passes. */
void drill_look(struct watched_pool *p, uint64_t now);

/* Whether the pool's mirror can serve any of its zones. */
bool drill_is_possible(const struct watched_pool *p);

#endif
