/* SPDX-License-Identifier: ISC */
/* Two lists of members side by side: both are in the order of zones. */
#include <string.h>

#include "proxy/members.h"

static const struct members NONE;

static const uint8_t *origin_of(const struct members *m, unsigned catalog)
{
	return m->conf->catalogs[catalog].zone.origin;
}

/* The catalog `from`, as it is now, names `to` in the coo of the zone. */
static bool is_handed_on(const struct members *now, const uint8_t *from, const uint8_t *zone,
			 const uint8_t *to)
{
	const struct catalog_member *entry = NULL;

	for (unsigned i = 0; i < now->conf->catalog_count && !entry; i++)
		if (now->lists[i] && name_is_equal(origin_of(now, i), from))
			entry = catalog_find(now->lists[i]->catalog, zone);
	return entry && entry->coo && name_is_equal(entry->coo, to);
}

bool member_is_reset(const struct members *old, const struct member *x, const struct members *new,
		     const struct member *y)
{
	const uint8_t *from = origin_of(old, x->catalog), *to = origin_of(new, y->catalog);

	if (!catalog_is_same_label(x->entry, y->entry))
		return true;
	return !name_is_equal(from, to) && !is_handed_on(new, from, y->entry->zone, to);
}

static bool is_same(const struct members *a, const struct member *x, const struct members *b,
		    const struct member *y)
{
	return catalog_is_same_label(x->entry, y->entry) && strcmp(x->pool->name, y->pool->name) == 0 &&
	       name_is_equal(origin_of(a, x->catalog), origin_of(b, y->catalog));
}

static void compare_items(const struct members *old, const struct members *new,
			  const struct members_visitor *v)
{
	for (size_t i = 0, j = 0; i < old->count || j < new->count;) {
		const struct member *x = i < old->count ? &old->items[i] : NULL;
		const struct member *y = j < new->count ? &new->items[j] : NULL;
		int order = !x ? 1 : !y ? -1 : catalog_compare(x->entry->zone, y->entry->zone);

		if (order != 0 || !is_same(old, x, new, y))
			v->on_change(order <= 0 ? x : NULL, order >= 0 ? y : NULL, v->arg);
		i += order <= 0;
		j += order >= 0;
	}
}

/* Of one zone there are few, one a catalog at most: compared each by each. */
static bool was_refused(const struct members *old, size_t from, const struct members *new,
			const struct member_refused *r)
{
	for (size_t i = from; i < old->refused_count; i++) {
		const struct member_refused *o = &old->refused[i];

		if (catalog_compare(o->entry->zone, r->entry->zone) != 0)
			return false;
		if (o->why == r->why &&
		    name_is_equal(origin_of(old, o->catalog), origin_of(new, r->catalog)))
			return true;
	}
	return false;
}

static void compare_refused(const struct members *old, const struct members *new,
			    const struct members_visitor *v)
{
	size_t from = 0;

	for (size_t i = 0; i < new->refused_count; i++) {
		const struct member_refused *r = &new->refused[i];

		while (from < old->refused_count &&
		       catalog_compare(old->refused[from].entry->zone, r->entry->zone) < 0)
			from++;
		if (!was_refused(old, from, new, r))
			v->on_refused(r, v->arg);
	}
}

void members_compare(const struct members *old, const struct members *new,
		     const struct members_visitor *v)
{
	compare_items(old ? old : &NONE, new, v);
	compare_refused(old ? old : &NONE, new, v);
}
