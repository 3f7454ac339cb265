/* SPDX-License-Identifier: ISC */
#include "cache/mirror_kept.h"

#include <stdlib.h>
#include <string.h>

static void drop_at(struct kept *k, unsigned at, struct retired *retired)
{
	retired_add(retired, k->items[at].generation);
	free(k->items[at].source);
	k->count--;
	memmove(&k->items[at], &k->items[at + 1], (k->count - at) * sizeof(k->items[0]));
}

void kept_trim(struct kept *k, unsigned most, struct retired *retired)
{
	while (k->count > most)
		drop_at(k, k->count - 1, retired);
	if (k->count > 0)
		return;
	free(k->items);
	k->items = NULL;
}

void kept_add(struct kept *k, struct generation *g, uint64_t since, const char *source,
	      unsigned most, struct retired *retired)
{
	struct kept_item item = { .generation = g, .since = since };
	unsigned at = 0;

	if (most == 0) {
		retired_add(retired, g);
		return;
	}
	item.source = strdup(source);
	k->items = realloc(k->items, (k->count + 1) * sizeof(k->items[0]));
	if (!item.source || !k->items)
		abort();
	while (at < k->count && k->items[at].generation->number > g->number)
		at++;
	memmove(&k->items[at + 1], &k->items[at], (k->count - at) * sizeof(k->items[0]));
	k->items[at] = item;
	k->count++;
	kept_trim(k, most, retired);
}

const struct kept_item *kept_before(const struct kept *k, uint64_t number)
{
	for (unsigned i = 0; i < k->count; i++)
		if (k->items[i].generation->number < number)
			return &k->items[i];
	return NULL;
}

const struct kept_item *kept_find_number(const struct kept *k, uint64_t number)
{
	for (unsigned i = 0; i < k->count; i++)
		if (k->items[i].generation->number == number)
			return &k->items[i];
	return NULL;
}

const struct kept_item *kept_find_serial(const struct kept *k, uint32_t serial)
{
	for (unsigned i = 0; i < k->count; i++)
		if (k->items[i].generation->soa.serial == serial)
			return &k->items[i];
	return NULL;
}

void kept_drop(struct kept *k, const struct kept_item *item, struct retired *retired)
{
	drop_at(k, (unsigned)(item - k->items), retired);
	kept_trim(k, k->count, retired);
}
