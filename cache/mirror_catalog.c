/* SPDX-License-Identifier: ISC */
#include "cache/mirror_catalog.h"

#include <stdio.h>
#include <string.h>

#include "cache/catalog.h"
#include "cache/mirror_work_list.h"

struct generation *mirror_catalog_only(const struct mirror_work *w, struct generation *g,
				       const char **reason, char owner[NAME_TEXT_MAX])
{
	enum catalog_fault fault;
	const uint8_t *where;

	if (!w->conf->catalog.is_one)
		return g;
	g->catalog = catalog_read(g, w->conf->catalog.max_members, &fault, &where);
	if (g->catalog)
		return g;
	*reason = catalog_fault_text(fault);
	name_to_text(where, owner);
	generation_free(g);
	return NULL;
}

static void tell(const struct mirror_work *w, size_t before, const char *reason)
{
	const struct mirror_catalog_held *h = &w->catalog_held;
	struct event e;

	event_begin(&e, EVENT_ERROR, "catalog_held");
	event_name(&e, "catalog", w->origin);
	event_number(&e, "serial", h->serial);
	event_number(&e, "members", before);
	event_number(&e, "removed", h->removed);
	event_number(&e, "left", h->members);
	event_text(&e, "reason", reason);
	event_end(&e);
}

/* In what we hold of the catalog that it was handed on to. It may be one that we do not have. */
static bool has_moved(const struct catalog_member *gone, void *arg)
{
	const struct mirror_work *w = arg, *to;
	const struct generation *g;
	uint8_t origin[NAME_LEN_MAX];

	memcpy(origin, gone->coo, name_len(gone->coo));
	name_lower(origin);
	to = work_list_find(w->shop->works, origin);
	g = to && to != w ? holding_current(&to->hold) : NULL;
	return g && g->catalog && catalog_find(g->catalog, gone->zone);
}

/* Only so much: it may be another version by now. */
static bool is_accepted(const struct mirror_work *w, size_t removed)
{
	return w->is_accepted && removed <= w->catalog_held.removed;
}

bool mirror_catalog_is_other(const struct mirror_work *w, uint32_t serial)
{
	return w->is_accepted && serial != w->catalog_held.serial;
}

bool mirror_catalog_holds(struct mirror_work *w, const struct generation *g,
			  char reason[MIRROR_CATALOG_REASON_MAX])
{
	const struct generation *held = holding_current(&w->hold);
	struct mirror_catalog_held now = { .is_held = true, .serial = g->soa.serial };
	bool is_told = w->catalog_held.removed > 0 && w->catalog_held.serial == now.serial;

	if (!g->catalog || !held || !held->catalog)
		return false;
	now.members = g->catalog->count;
	now.removed = catalog_lost(held->catalog, g->catalog, has_moved, w);
	if (is_accepted(w, now.removed) || !catalog_loses_too_many(held->catalog, g->catalog, now.removed,
								    w->conf->catalog.max_removed))
		return false;
	w->catalog_held = now;
	snprintf(reason, MIRROR_CATALOG_REASON_MAX,
		 "serial %u removes %zu of %zu members, more than max-removed: accept takes it",
		 now.serial, now.removed, held->catalog->count);
	if (!is_told)
		tell(w, held->catalog->count, reason);
	return true;
}
