/* SPDX-License-Identifier: ISC */
#include "cache/mirror_catalog.h"

#include <stdio.h>

#include "cache/catalog.h"

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
	event_name(&e, "catalog", w->conf->origin);
	event_number(&e, "serial", h->serial);
	event_number(&e, "members", before);
	event_number(&e, "removed", h->removed);
	event_number(&e, "left", h->members);
	event_text(&e, "reason", reason);
	event_end(&e);
}

bool mirror_catalog_holds(struct mirror_work *w, const struct generation *g,
			  char reason[MIRROR_CATALOG_REASON_MAX])
{
	const struct generation *held = holding_current(&w->hold);
	struct mirror_catalog_held now = { .is_held = true, .serial = g->soa.serial };
	bool is_told = w->catalog_held.removed > 0 && w->catalog_held.serial == now.serial;

	if (!g->catalog || !held || !held->catalog || w->is_accepted ||
	    !catalog_loses_too_many(held->catalog, g->catalog, w->conf->catalog.max_removed))
		return false;
	now.members = g->catalog->count;
	now.removed = catalog_lost(held->catalog, g->catalog);
	w->catalog_held = now;
	snprintf(reason, MIRROR_CATALOG_REASON_MAX,
		 "serial %u removes %zu of %zu members, more than max-removed: accept takes it",
		 now.serial, now.removed, held->catalog->count);
	if (!is_told)
		tell(w, held->catalog->count, reason);
	return true;
}
