/* SPDX-License-Identifier: ISC */
/*
 * One walk over the zone in canonical order: a member node comes just before its properties, so
 * that these belong to the last member seen, or to none.
 */
#include "cache/catalog.h"

#include <stdlib.h>
#include <string.h>

#include "cache/dns.h"
#include "cache/memory.h"

enum { LOSS_ALWAYS_FINE = 3 };

struct reader {
	struct catalog *list;
	size_t room, group_room, max_members;
	unsigned origin_labels;
	unsigned versions;
	const uint8_t *member_owner;	/* of the last member; NULL: none yet */
	enum catalog_fault fault;
	const uint8_t *owner;		/* at fault */
};

const char *catalog_fault_text(enum catalog_fault fault)
{
	switch (fault) {
	case CATALOG_OK:		return "a good catalog";
	case CATALOG_NO_VERSION:	return "a catalog without a version property";
	case CATALOG_BAD_VERSION:	return "the version of the catalog is not \"2\" alone";
	case CATALOG_PTR_TWICE:		return "a member of the catalog with two PTR records";
	case CATALOG_COO_TWICE:		return "a member of the catalog with two coo records";
	case CATALOG_ZONE_TWICE:	return "the catalog has one zone under two labels";
	case CATALOG_TOO_MANY:		return "the catalog has more members than max-members";
	}
	abort();
}

static bool broken(struct reader *r, enum catalog_fault fault, const uint8_t *owner)
{
	r->fault = fault;
	r->owner = owner;
	return false;
}

static bool label_is(const uint8_t *name, const char *label)
{
	size_t len = strlen(label);

	return name[0] == len && strncasecmp((const char *)name + 1, label, len) == 0;
}

static void *grown(void *items, size_t count, size_t *room, size_t size)
{
	if (count < *room)
		return items;
	*room = *room ? *room * 2 : 64;
	items = realloc(items, *room * size);
	if (!items)
		abort();
	return items;
}

/* ---- Records ---- */

static bool take_version(struct reader *r, const uint8_t *owner, const uint8_t *rdata, uint16_t len)
{
	static const uint8_t two[] = { 1, '2' };

	if (++r->versions > 1 || len != sizeof(two) || memcmp(rdata, two, sizeof(two)) != 0)
		return broken(r, CATALOG_BAD_VERSION, owner);
	return true;
}

static bool take_member(struct reader *r, const uint8_t *owner, const uint8_t *zone)
{
	struct catalog *c = r->list;

	if (r->member_owner && name_is_equal(r->member_owner, owner))
		return broken(r, CATALOG_PTR_TWICE, owner);
	if (c->count == r->max_members)
		return broken(r, CATALOG_TOO_MANY, owner);
	c->members = grown(c->members, c->count, &r->room, sizeof(*c->members));
	c->members[c->count++] = (struct catalog_member){
		.zone = zone, .label = owner, .first_group = (uint32_t)c->group_count,
	};
	r->member_owner = owner;
	return true;
}

static bool take_coo(struct reader *r, const uint8_t *owner, const uint8_t *catalog)
{
	struct catalog_member *m = &r->list->members[r->list->count - 1];

	if (m->coo)
		return broken(r, CATALOG_COO_TWICE, owner);
	m->coo = catalog;
	return true;
}

static void take_group(struct reader *r, const uint8_t *rdata, uint16_t len)
{
	struct catalog *c = r->list;

	c->groups = grown(c->groups, c->group_count, &r->group_room, sizeof(*c->groups));
	c->groups[c->group_count++] = (struct catalog_group){ rdata, len };
	c->members[c->count - 1].group_count++;
}

/* Of the last member: a property of a node without a PTR is nobody's. */
static bool is_property(const struct reader *r, const uint8_t *owner)
{
	return r->member_owner && name_is_equal(name_skip(owner, 1), r->member_owner);
}

static bool take_record(const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
			uint16_t rdata_len, void *arg)
{
	struct reader *r = arg;
	unsigned depth = name_label_count(owner) - r->origin_labels;

	(void)ttl;
	if (depth == 1)
		return type != TYPE_TXT || !label_is(owner, "version") ||
		       take_version(r, owner, rdata, rdata_len);
	if (depth < 2 || depth > 3 || !label_is(name_skip(owner, depth - 1), "zones"))
		return true;
	if (depth == 2)
		return type != TYPE_PTR || take_member(r, owner, rdata);
	if (!is_property(r, owner))
		return true;
	if (type == TYPE_PTR && label_is(owner, "coo"))
		return take_coo(r, owner, rdata);
	if (type == TYPE_TXT && label_is(owner, "group"))
		take_group(r, rdata, rdata_len);
	return true;
}

/* ---- The whole ---- */

int catalog_compare(const uint8_t *a, const uint8_t *b)
{
	size_t a_len = name_len(a), b_len = name_len(b);

	if (a_len != b_len)
		return a_len < b_len ? -1 : 1;
	return memcmp(a, b, a_len);
}

static int compare_members(const void *a, const void *b)
{
	const struct catalog_member *x = a, *y = b;

	return catalog_compare(x->zone, y->zone);
}

/* Names in lower case, so that they compare by their bytes. */
static void copy_names(struct catalog *c)
{
	size_t sum = 0, at = 0;

	for (size_t i = 0; i < c->count; i++)
		sum += name_len(c->members[i].zone);
	c->names = memory_new(sum);
	for (size_t i = 0; i < c->count; i++) {
		size_t len = name_len(c->members[i].zone);

		memcpy(c->names + at, c->members[i].zone, len);
		name_lower(c->names + at);
		c->members[i].zone = c->names + at;
		at += len;
	}
}

static void sort(struct reader *r)
{
	struct catalog *c = r->list;

	copy_names(c);
	if (c->count > 0)
		qsort(c->members, c->count, sizeof(*c->members), compare_members);
	for (size_t i = 1; i < c->count && r->fault == CATALOG_OK; i++)
		if (catalog_compare(c->members[i - 1].zone, c->members[i].zone) == 0)
			broken(r, CATALOG_ZONE_TWICE, c->members[i].label);
}

struct catalog *catalog_read(const struct generation *g, size_t max_members,
			     enum catalog_fault *fault, const uint8_t **owner)
{
	struct reader r = {
		.list = memory_zeroed(1, sizeof(*r.list)), .max_members = max_members,
		.origin_labels = g->origin_labels,
	};

	if (generation_walk(g, take_record, &r) && r.versions == 0)
		broken(&r, CATALOG_NO_VERSION, node_name(g->apex));
	if (r.fault == CATALOG_OK)
		sort(&r);
	*fault = r.fault;
	*owner = r.owner;
	if (r.fault == CATALOG_OK)
		return r.list;
	catalog_free(r.list);
	return NULL;
}

void catalog_free(struct catalog *c)
{
	if (!c)
		return;
	free(c->members);
	free(c->groups);
	free(c->names);
	free(c);
}

/* ---- Reading and comparing ---- */

const struct catalog_member *catalog_find(const struct catalog *c, const uint8_t *zone)
{
	const struct catalog_member key = { .zone = zone };

	return c->count == 0 ? NULL : bsearch(&key, c->members, c->count, sizeof(*c->members),
					      compare_members);
}

/* The strings of a TXT record are one value. */
static bool is_value(const struct catalog_group *g, const char *text)
{
	size_t left = strlen(text);

	for (size_t at = 0; at < g->len; at += 1u + g->rdata[at]) {
		size_t len = g->rdata[at];

		if (len > left || at + 1 + len > g->len || memcmp(g->rdata + at + 1, text, len) != 0)
			return false;
		text += len;
		left -= len;
	}
	return left == 0;
}

bool catalog_is_in_group(const struct catalog *c, const struct catalog_member *m, const char *group)
{
	for (uint32_t i = 0; i < m->group_count; i++)
		if (is_value(&c->groups[m->first_group + i], group))
			return true;
	return false;
}

bool catalog_is_same_label(const struct catalog_member *a, const struct catalog_member *b)
{
	return a->label[0] == b->label[0] &&
	       strncasecmp((const char *)a->label + 1, (const char *)b->label + 1, a->label[0]) == 0;
}

size_t catalog_lost(const struct catalog *old, const struct catalog *new,
		    catalog_moved_fn has_moved, void *arg)
{
	size_t lost = 0;

	for (size_t i = 0, j = 0; i < old->count;) {
		int order = j < new->count ? catalog_compare(old->members[i].zone, new->members[j].zone)
					   : -1;

		if (order < 0)
			lost += !old->members[i].coo || !has_moved(&old->members[i], arg);
		i += order <= 0;
		j += order >= 0;
	}
	return lost;
}

bool catalog_loses_too_many(const struct catalog *old, const struct catalog *new, size_t lost,
			    unsigned percent)
{
	if (lost <= (new->count == 0 ? 1 : LOSS_ALWAYS_FINE))
		return false;
	return lost * 100 > old->count * percent;
}
