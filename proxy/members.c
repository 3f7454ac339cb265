/* SPDX-License-Identifier: ISC */
#include "proxy/members.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cache/memory.h"

const char *member_refusal_text(enum member_refusal why)
{
	switch (why) {
	case MEMBER_IS_ZONE:	 return "the configuration has it as a zone";
	case MEMBER_IS_CATALOG:	 return "it is a catalog, or a name in one";
	case MEMBER_TOO_HIGH:	 return "the root or a top level domain: member-suffixes must name it";
	case MEMBER_NOT_ALLOWED: return "it lies below none of member-suffixes";
	case MEMBER_IS_ELSEWHERE: return "another catalog has it, and does not name this one in coo";
	}
	abort();
}

/* One catalog has this zone. */
struct candidate {
	const struct catalog_member *entry;
	unsigned catalog;
};

struct gathering {
	const struct conf *conf;
	struct members *m;
	const struct members *before;
	size_t before_at;		/* next of before->items */
	const uint8_t **zones;		/* of the configuration, sorted */
	size_t zone_at;			/* next of them */
	struct candidate *candidates;	/* by zone, then by catalog */
	size_t count, refused_room;
};

/* ---- Sorting ---- */

static int compare_candidates(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	int order = catalog_compare(x->entry->zone, y->entry->zone);

	return order ? order : (x->catalog > y->catalog) - (x->catalog < y->catalog);
}

static int compare_names(const void *a, const void *b)
{
	return catalog_compare(*(const uint8_t *const *)a, *(const uint8_t *const *)b);
}

static void gather_zones(struct gathering *g)
{
	g->zones = memory_zeroed(g->conf->zone_count, sizeof(const uint8_t *));
	for (size_t i = 0; i < g->conf->zone_count; i++)
		g->zones[i] = g->conf->zones[i].origin;
	qsort(g->zones, g->conf->zone_count, sizeof(const uint8_t *), compare_names);
}

static void gather_candidates(struct gathering *g)
{
	size_t total = 0;

	for (size_t i = 0; i < g->conf->catalog_count; i++)
		total += g->m->lists[i] ? g->m->lists[i]->catalog->count : 0;
	g->candidates = memory_zeroed(total, sizeof(*g->candidates));
	for (unsigned i = 0; i < g->conf->catalog_count; i++) {
		const struct catalog *c = g->m->lists[i] ? g->m->lists[i]->catalog : NULL;

		for (size_t n = 0; c && n < c->count; n++)
			g->candidates[g->count++] = (struct candidate){ &c->members[n], i };
	}
	qsort(g->candidates, g->count, sizeof(*g->candidates), compare_candidates);
}

/* ---- Refusing ---- */

static void refuse(struct gathering *g, const struct candidate *c, enum member_refusal why)
{
	struct members *m = g->m;

	if (m->refused_count == g->refused_room) {
		g->refused_room = g->refused_room ? 2 * g->refused_room : 16;
		m->refused = realloc(m->refused, g->refused_room * sizeof(*m->refused));
		if (!m->refused)
			abort();
	}
	m->refused[m->refused_count++] = (struct member_refused){ c->entry, c->catalog, why };
}

/* Zones are asked for in their order. */
static bool is_zone(struct gathering *g, const uint8_t *zone)
{
	int order = -1;

	for (; g->zone_at < g->conf->zone_count; g->zone_at++) {
		order = catalog_compare(g->zones[g->zone_at], zone);
		if (order >= 0)
			break;
	}
	return order == 0;
}

static bool is_in_catalog(const struct conf *conf, const uint8_t *zone)
{
	for (size_t i = 0; i < conf->catalog_count; i++)
		if (name_is_at_or_below(zone, conf->catalogs[i].zone.origin))
			return true;
	return false;
}

/* A top level domain must be named itself: `com` as a suffix means the zones below. */
static bool is_too_high(const struct conf_names *suffixes, const uint8_t *zone)
{
	if (name_label_count(zone) > 1)
		return false;
	for (size_t i = 0; i < suffixes->count; i++)
		if (name_is_equal(zone, suffixes->items[i]))
			return false;
	return true;
}

/* False, and refused, when this one may not have the zone, whoever else has it. */
static bool is_fine(struct gathering *g, const struct candidate *c, bool is_ours)
{
	const struct conf_names *suffixes = &g->conf->catalogs[c->catalog].suffixes;
	const uint8_t *zone = c->entry->zone;

	if (is_ours)
		refuse(g, c, MEMBER_IS_ZONE);
	else if (is_in_catalog(g->conf, zone))
		refuse(g, c, MEMBER_IS_CATALOG);
	else if (is_too_high(suffixes, zone))
		refuse(g, c, MEMBER_TOO_HIGH);
	else if (suffixes->count > 0 && !conf_names_cover(suffixes, zone))
		refuse(g, c, MEMBER_NOT_ALLOWED);
	else
		return true;
	return false;
}

/* ---- Owners ---- */

static const uint8_t *origin_of(const struct gathering *g, const struct candidate *c)
{
	return g->conf->catalogs[c->catalog].zone.origin;
}

/* The one whose catalog is `origin`, or NULL. */
static const struct candidate *find(const struct gathering *g, const struct candidate *all,
				    size_t count, const uint8_t *origin)
{
	for (size_t i = 0; i < count; i++)
		if (name_is_equal(origin_of(g, &all[i]), origin))
			return &all[i];
	return NULL;
}

/* The member of this zone before; asked for in the order of zones. NULL: it was not ours. */
static const struct member *member_before(struct gathering *g, const uint8_t *zone)
{
	int order = -1;

	for (; g->before && g->before_at < g->before->count; g->before_at++) {
		order = catalog_compare(g->before->items[g->before_at].entry->zone, zone);
		if (order >= 0)
			break;
	}
	return order == 0 ? &g->before->items[g->before_at] : NULL;
}

/* Follows `coo` as far as it leads. Where it leads in a circle, nothing moves. */
static const struct candidate *hand_on(const struct gathering *g, const struct candidate *all,
				       size_t count, const struct candidate *owner)
{
	const struct candidate *at = owner, *next;

	for (size_t hops = 0; at->entry->coo; hops++) {
		next = find(g, all, count, at->entry->coo);
		if (hops == count)
			return owner;
		if (!next || next == at)
			break;
		at = next;
	}
	return at;
}

static const struct candidate *choose_owner(const struct gathering *g, const struct member *before,
					    const struct candidate *all, size_t count)
{
	const struct candidate *owner = NULL;

	if (before)
		owner = find(g, all, count, member_catalog(g->before, before)->zone.origin);
	return hand_on(g, all, count, owner ? owner : all);
}

/* There was a version of it already: what is new in this one did not exist before. */
static bool was_known(const struct gathering *g, const uint8_t *catalog)
{
	for (size_t i = 0; g->before && i < g->before->conf->catalog_count; i++)
		if (name_is_equal(g->before->conf->catalogs[i].zone.origin, catalog))
			return g->before->lists[i] != NULL;
	return false;
}

static void take(struct gathering *g, const struct candidate *c, const struct member *before)
{
	const struct conf_catalog *conf = &g->conf->catalogs[c->catalog];
	const struct catalog *list = g->m->lists[c->catalog]->catalog;
	struct member *m = &g->m->items[g->m->count++];

	*m = (struct member){ .entry = c->entry, .pool = conf->member.pool, .catalog = c->catalog,
			      .is_new = !before && was_known(g, origin_of(g, c)) };
	for (size_t i = 0; i < conf->group_count && !m->group; i++)
		if (catalog_is_in_group(list, c->entry, conf->groups[i].name))
			m->group = &conf->groups[i];
	if (m->group)
		m->pool = m->group->pool;
}

/* All candidates for one zone, `count` at least 1. */
static void settle(struct gathering *g, const struct candidate *all, size_t count)
{
	struct candidate fine[CONF_CATALOGS_MAX];
	bool is_ours = is_zone(g, all->entry->zone);
	const struct candidate *owner;
	const struct member *before;
	size_t fine_count = 0;

	assert(count <= CONF_CATALOGS_MAX);
	for (size_t i = 0; i < count; i++)
		if (is_fine(g, &all[i], is_ours))
			fine[fine_count++] = all[i];
	if (fine_count == 0)
		return;
	before = member_before(g, all->entry->zone);
	owner = choose_owner(g, before, fine, fine_count);
	take(g, owner, before);
	for (const struct candidate *c = fine; c < fine + fine_count; c++)
		if (c != owner && !(c->entry->coo &&
				    name_is_equal(c->entry->coo, origin_of(g, owner))))
			refuse(g, c, MEMBER_IS_ELSEWHERE);
}

static void settle_all(struct gathering *g)
{
	for (size_t i = 0, end; i < g->count; i = end) {
		for (end = i + 1; end < g->count; end++)
			if (catalog_compare(g->candidates[i].entry->zone,
					    g->candidates[end].entry->zone) != 0)
				break;
		settle(g, &g->candidates[i], end - i);
	}
}

/* ---- Life ---- */

struct members *members_new(const struct conf *conf, const struct generation *const *lists,
			    const struct members *before)
{
	struct members *m = memory_zeroed(1, sizeof(*m));
	struct gathering g = { .conf = conf, .m = m, .before = before };

	m->conf = conf;
	for (size_t i = 0; i < conf->catalog_count; i++) {
		if (!lists[i])
			continue;
		assert(lists[i]->catalog);
		generation_hold(lists[i]);
		m->lists[i] = lists[i];
	}
	gather_zones(&g);
	gather_candidates(&g);
	m->items = memory_zeroed(g.count, sizeof(*m->items));
	settle_all(&g);
	free(g.candidates);
	free(g.zones);
	return m;
}

void members_free(struct members *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < CONF_CATALOGS_MAX; i++)
		if (m->lists[i])
			generation_drop(m->lists[i]);
	free(m->items);
	free(m->refused);
	free(m);
}

const struct conf_catalog *member_catalog(const struct members *m, const struct member *one)
{
	return &m->conf->catalogs[one->catalog];
}
