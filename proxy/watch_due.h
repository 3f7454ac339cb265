/* SPDX-License-Identifier: ISC */
/*
 * watch_due - which zones' gates are looked at in a tick.
 *
 * Purpose:  those about which something has changed, or something is still to be asked or told;
 *           the rest in turn, a few in each tick, for what might have been overlooked. Who has a
 *           hundred thousand zones, of which one changes, looks at that one.
 * Not here: the look (watch_gate.h).
 * Owns:     each pool's agenda.
 * Threads:  control, inside an RCU read.
 * Time:     what the mirror has changed is looked at in the next tick, what workers heard within a
 *           second or so.
 */
#ifndef WATCH_DUE_H
#define WATCH_DUE_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/watched.h"

/* This zone is looked at in the next tick, or the next one that has time for it. */
static inline void due_zone(struct watched_pool *p, size_t zone)
{
	agenda_add(&p->agenda, zone);
}

/* All its zones are: a server is not what it was. */
static inline void due_pool(struct watched_pool *p)
{
	agenda_add_all(&p->agenda);
}

/* Time passes: looks at what is due, in bounds. */
void due_tick(struct watch *w, uint64_t now);

#endif
