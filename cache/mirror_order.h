/* SPDX-License-Identifier: ISC */
/*
 * mirror_order - what the operator orders of one zone: hold, roll back, accept.
 *
 * Purpose:  a held zone takes nothing from primaries, Redis or others, and gives nothing to Redis;
 *           its primaries are asked for the serial alone, which confirms it. It lasts until it is
 *           accepted, over restarts, too.
 * Not here: which generations there are (mirror_kept.h), who may order (proxy/verbs.c).
 * Threads:  the mirror's.
 * Failure:  what cannot be done is an outcome, and changes nothing.
 */
#ifndef MIRROR_ORDER_H
#define MIRROR_ORDER_H

#include "cache/mirror_work.h"

enum mirror_done order_hold(struct mirror_work *w);
enum mirror_done order_roll_back(struct mirror_work *w, const struct mirror_which *which);
enum mirror_done order_accept(struct mirror_work *w);

/* After any of these: writes to the snapshot what is held, and that. May take long. */
void order_save(struct mirror_work *w);

/* The snapshot remembers an order: it holds on. */
void order_restore(struct mirror_work *w, enum zone_hold hold);

/* What is held takes part in nothing: the lease is for others. */
void order_leave_lease(struct mirror_work *w);

/* The primary has a newer serial, which a held zone does not take. Says so once. */
void order_note_newer(struct mirror_work *w, uint32_t serial, const char *source);

#endif
