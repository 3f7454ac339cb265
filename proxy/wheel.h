/* SPDX-License-Identifier: ISC */
/*
 * wheel - many deadlines, one timer: a hashed timing wheel.
 *
 * Purpose:  adds and removes a deadline in O(1), whatever its length; hands out what has
 *           expired. Every query, attempt and connection of a worker has its deadline here,
 *           so that the loop needs a single timer.
 * Not here: libev, clocks, what a deadline means.
 * Threads:  one wheel per worker.
 * Time:     monotonic microseconds given by the caller; an item expires at its time or up to
 *           one tick (1.024 ms) later. Deadlines beyond one turn (4.2 s) stay for several.
 * Memory:   items are embedded in their owners; the wheel is a fixed array.
 */
#ifndef WHEEL_H
#define WHEEL_H

#include <stdint.h>

#include "proxy/list.h"

enum { WHEEL_SLOTS = 4096, WHEEL_TICK_SHIFT = 10 };

struct wheel_item {
	struct link link;
	uint64_t at_us;		/* UINT64_MAX: not in a wheel */
	unsigned kind;		/* the owner's: what to do when it expires */
};

struct wheel {
	uint64_t tick;				/* every earlier tick has been looked at */
	uint64_t used[WHEEL_SLOTS / 64];	/* bit set: the slot holds items */
	struct link slots[WHEEL_SLOTS];
};

void wheel_init(struct wheel *w, uint64_t now);

/* Makes `item` one that is in no wheel. */
void wheel_item_init(struct wheel_item *item, unsigned kind);

/* Sets or moves the item's deadline. */
void wheel_set(struct wheel *w, struct wheel_item *item, uint64_t at_us);

/* Takes it out; harmless when it is in no wheel. */
void wheel_del(struct wheel *w, struct wheel_item *item);

/* Takes out and returns one item whose time has come; NULL when there is none. */
struct wheel_item *wheel_expired(struct wheel *w, uint64_t now);

/* No item expires before this; UINT64_MAX when the wheel is empty. */
uint64_t wheel_next_us(const struct wheel *w);

#endif
