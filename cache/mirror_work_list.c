/* SPDX-License-Identifier: ISC */
#include "cache/mirror_work_list.h"

#include <stdlib.h>
#include <string.h>

#include "cache/memory.h"

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

static int compare_origins(const uint8_t *a, const uint8_t *b)
{
	size_t a_len = name_len(a), b_len = name_len(b);

	if (a_len != b_len)
		return a_len < b_len ? -1 : 1;
	return memcmp(a, b, a_len);
}

static int compare_works(const void *a, const void *b)
{
	const struct mirror_work *const *x = a, *const *y = b;

	return compare_origins((*x)->origin, (*y)->origin);
}

static int compare_origin_work(const void *origin, const void *b)
{
	const struct mirror_work *const *work = b;

	return compare_origins(origin, (*work)->origin);
}

struct mirror_work *work_list_find(const struct work_list *l, const uint8_t *origin)
{
	struct mirror_work **at =
		l->count == 0 ? NULL : bsearch(origin, l->items, l->count, sizeof(l->items[0]),
					       compare_origin_work);

	return at ? *at : NULL;
}

void work_list_set(struct work_list *l, struct mirror_work *const *items, size_t count)
{
	free(l->items);
	l->items = memory_zeroed(count + 1, sizeof(l->items[0]));
	l->count = count;
	if (count > 0)
		memcpy(l->items, items, count * sizeof(l->items[0]));
	qsort(l->items, count, sizeof(l->items[0]), compare_works);
}

void work_list_add(struct work_list *l, struct mirror_work *w)
{
	l->items = must(realloc(l->items, (l->count + 1) * sizeof(l->items[0])));
	l->items[l->count++] = w;
}

void work_list_free_all(struct work_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		work_free(l->items[i]);
	free(l->items);
	*l = (struct work_list){ 0 };
}
