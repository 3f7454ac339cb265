/* SPDX-License-Identifier: ISC */
#include "proxy/wheel.h"

#include <stddef.h>

static inline size_t slot_of(uint64_t tick)
{
	return tick % WHEEL_SLOTS;
}

void wheel_init(struct wheel *w, uint64_t now)
{
	w->tick = now >> WHEEL_TICK_SHIFT;
	for (size_t i = 0; i < WHEEL_SLOTS / 64; i++)
		w->used[i] = 0;
	for (size_t i = 0; i < WHEEL_SLOTS; i++)
		list_init(&w->slots[i]);
}

void wheel_item_init(struct wheel_item *item, unsigned kind)
{
	list_init(&item->link);
	item->at_us = UINT64_MAX;
	item->kind = kind;
}

/* A slot left empty loses its bit, so that nobody wakes for it. */
static void leave_slot(struct wheel *w, struct wheel_item *item)
{
	const struct link *next = item->link.next;

	list_remove(&item->link);
	if (next != &item->link && list_is_empty(next)) {
		size_t slot = (size_t)(next - w->slots);	/* for all that is left is its head */

		w->used[slot / 64] &= ~(1ull << slot % 64);
	}
}

void wheel_set(struct wheel *w, struct wheel_item *item, uint64_t at_us)
{
	uint64_t tick = at_us >> WHEEL_TICK_SHIFT;

	if (tick < w->tick)
		tick = w->tick;		/* already over: the next look finds it */
	leave_slot(w, item);
	item->at_us = at_us;
	list_append(&w->slots[slot_of(tick)], &item->link);
	w->used[slot_of(tick) / 64] |= 1ull << slot_of(tick) % 64;
}

void wheel_del(struct wheel *w, struct wheel_item *item)
{
	leave_slot(w, item);
	item->at_us = UINT64_MAX;
}

static struct wheel_item *expired_in_slot(struct link *slot, uint64_t now)
{
	for (struct link *l = slot->next; l != slot; l = l->next) {
		struct wheel_item *item = list_entry(l, struct wheel_item, link);

		if (item->at_us <= now)
			return item;
	}
	return NULL;
}

/* Ticks from w->tick to the next slot whose bit is set; WHEEL_SLOTS when none is. */
static uint64_t ticks_to_used(const struct wheel *w)
{
	size_t start = slot_of(w->tick);

	for (size_t passed = 0; passed < WHEEL_SLOTS;) {
		size_t at = (start + passed) % WHEEL_SLOTS;
		uint64_t word = w->used[at / 64] >> at % 64;

		if (word)
			return passed + (uint64_t)__builtin_ctzll(word);
		passed += 64 - at % 64;
	}
	return WHEEL_SLOTS;
}

struct wheel_item *wheel_expired(struct wheel *w, uint64_t now)
{
	uint64_t last = now >> WHEEL_TICK_SHIFT;

	if (last > w->tick + WHEEL_SLOTS)	/* a long pause: one turn sees every slot */
		w->tick = last - WHEEL_SLOTS;
	for (;;) {
		uint64_t tick = w->tick + ticks_to_used(w);

		if (tick > last) {
			w->tick = last > w->tick ? last : w->tick;
			return NULL;
		}
		w->tick = tick;

		struct link *slot = &w->slots[slot_of(tick)];
		struct wheel_item *item = expired_in_slot(slot, now);

		if (item) {
			wheel_del(w, item);
			return item;
		}
		if (tick == last)
			return NULL;
		w->tick++;
	}
}

uint64_t wheel_next_us(const struct wheel *w)
{
	uint64_t ahead = ticks_to_used(w);

	return ahead == WHEEL_SLOTS ? UINT64_MAX : (w->tick + ahead + 1) << WHEEL_TICK_SHIFT;
}
