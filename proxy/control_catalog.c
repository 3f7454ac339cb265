/* SPDX-License-Identifier: ISC */
#include "proxy/control_catalog.h"

#include <stdio.h>

enum { SHOWN_MAX = 1000 };

static unsigned index_of(const struct plan *p, const struct plan_zone *z)
{
	return (unsigned)(z - p->catalogs);
}

void catalog_put_origin(json_t *zone, const struct plan *p, const struct plan_zone *z)
{
	if (!z->member)
		return;
	json_object_set_new(zone, "catalog", json_string(p->conf->catalogs[z->member->catalog].zone.text));
	if (z->member->group)
		json_object_set_new(zone, "group", json_string(z->member->group->name));
}

void catalog_put_counts(json_t *zone, const struct plan *p, const struct plan_zone *z,
			const struct mirror_zone_status *s)
{
	const struct mirror_catalog_held *h = &s->catalog_held;
	json_int_t members = 0, refused = 0;

	for (size_t i = 0; i < p->members->count; i++)
		members += p->members->items[i].catalog == index_of(p, z);
	for (size_t i = 0; i < p->members->refused_count; i++)
		refused += p->members->refused[i].catalog == index_of(p, z);
	json_object_update_new(zone, json_pack("{sb sI sI}", "is_catalog", 1, "members", members,
					       "refused", refused));
	if (h->is_held)
		json_object_set_new(zone, "held", json_sprintf(
			"serial %u leaves %zu and removes %zu members: accept takes it", h->serial,
			h->members, h->removed));
}

/* Names are safe; a group is whatever the configuration has. */
static json_t *member_json(const struct member *m)
{
	char text[NAME_TEXT_MAX];
	json_t *o = json_pack("{ss ss}", "zone", name_to_text(m->entry->zone, text), "pool",
			      m->pool->name);
	json_t *group = m->group ? json_string(m->group->name) : NULL;

	if (group)
		json_object_set_new(o, "group", group);
	return o;
}

static json_t *refused_json(const struct member_refused *r)
{
	char text[NAME_TEXT_MAX];

	return json_pack("{ss ss}", "zone", name_to_text(r->entry->zone, text), "reason",
			 member_refusal_text(r->why));
}

void catalog_put_members(json_t *zone, const struct plan *p, const struct plan_zone *z)
{
	json_t *members = json_array(), *refused = json_array();
	const struct members *all = p->members;

	for (size_t i = 0; i < all->count && json_array_size(members) < SHOWN_MAX; i++)
		if (all->items[i].catalog == index_of(p, z))
			json_array_append_new(members, member_json(&all->items[i]));
	for (size_t i = 0; i < all->refused_count && json_array_size(refused) < SHOWN_MAX; i++)
		if (all->refused[i].catalog == index_of(p, z))
			json_array_append_new(refused, refused_json(&all->refused[i]));
	json_object_set_new(zone, "member_zones", members);
	json_object_set_new(zone, "refused_zones", refused);
}

void catalog_put_reasons(json_t *reasons, struct mirror *mirror, const struct plan *p)
{
	struct mirror_zone_status s;

	for (size_t i = 0; i < p->conf->catalog_count; i++) {
		struct mirror_zone *slot = p->catalogs[i].mirror;
		const char *name = p->conf->catalogs[i].zone.text;

		mirror_zone_status(mirror, slot, &s);
		if (s.catalog_held.is_held)
			json_array_append_new(reasons, json_sprintf(
				"a version of catalog %s is held: see zone %s", name, name));
		else if (!mirror_zone_servable(slot))
			json_array_append_new(reasons, json_sprintf(
				"catalog %s is %s: its members stay as they are", name,
				rcu_read(slot->current) ? "expired" : "not there yet"));
	}
}
