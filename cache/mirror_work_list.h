/* SPDX-License-Identifier: ISC */
/*
 * mirror_work_list - zones in the order of their origins, found by name.
 *
 * Owns:     its array, and not the zones but in work_list_free_all().
 * Threads:  whose list it is.
 * Memory:   aborts when there is none.
 */
#ifndef MIRROR_WORK_LIST_H
#define MIRROR_WORK_LIST_H

#include <stddef.h>
#include <stdint.h>

#include "cache/mirror_work.h"

struct work_list {
	struct mirror_work **items;
	size_t count;
};

/* Replaces the list by a sorted copy of `items`. */
void work_list_set(struct work_list *l, struct mirror_work *const *items, size_t count);

/* Adds at the end, out of order: such a list is walked, not searched. */
void work_list_add(struct work_list *l, struct mirror_work *w);

/* NULL if none. */
struct mirror_work *work_list_find(const struct work_list *l, const uint8_t *origin);

void work_list_free_all(struct work_list *l);

#endif
