/* SPDX-License-Identifier: ISC */
#include "proxy/conf_check.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "cache/catalog.h"
#include "cache/clock.h"
#include "cache/memory.h"
#include "cache/mirror.h"

static void check_key_names(const struct conf *c, const struct conf_where *places,
			    struct conf_report *r)
{
	char text[NAME_TEXT_MAX];

	for (size_t i = 0; i < c->key_count; i++)
		for (size_t j = 0; j < i; j++)
			if (name_is_equal(c->keys[i].name, c->keys[j].name)) {
				conf_report_add(r, places[i],
						"key '%.80s' is given twice: the first is at "
						"%s:%d",
						name_to_text(c->keys[i].name, text), places[j].file,
						places[j].line);
				break;
			}
}

static void check_pool_names(const struct conf *c, struct conf_report *r)
{
	for (size_t i = 0; i < c->pool_count; i++) {
		const struct conf_pool *first = c->pools;

		while (strcmp(first->name, c->pools[i].name) != 0)
			first++;
		if (first != &c->pools[i])
			conf_report_add(r, c->pools[i].where,
					"pool '%s' is given twice: the first is at %s:%d",
					c->pools[i].name, first->where.file, first->where.line);
	}
}

static void check_target_names(const struct conf_pool *p, struct conf_report *r)
{
	for (size_t i = 0; i < p->target_count; i++) {
		const struct conf_target *t = &p->targets[i], *first = p->targets;

		while (strcmp(first->name, t->name) != 0)
			first++;
		if (first != t && first->kind == TARGET_BACKEND && t->kind == TARGET_BACKEND)
			conf_report_add(r, t->where,
					"backend '%s' is given twice in pool '%s': the first is at "
					"%s:%d",
					t->name, p->name, first->where.file, first->where.line);
	}
}

static size_t primary_count(const struct conf_pool *p)
{
	size_t count = 0;

	for (size_t i = 0; i < p->target_count; i++)
		count += p->targets[i].is_primary;
	return count;
}

static struct conf_where mirror_where(const struct conf_pool *p)
{
	for (size_t i = 0; i < p->target_count; i++)
		if (p->targets[i].kind == TARGET_MIRROR)
			return p->targets[i].where;
	return p->where;
}

static void check_pool(const struct conf_pool *p, struct conf_report *r)
{
	size_t primaries = primary_count(p);

	check_target_names(p, r);
	if (p->target_count == 0)
		conf_report_add(r, p->where,
				"pool '%s' has no target: add backend \"NAME\" { address = ... }",
				p->name);
	if (p->target_count > CONF_TARGETS_MAX)
		conf_report_add(r, p->where, "pool '%s' has more than %d targets: split it",
				p->name, CONF_TARGETS_MAX);
	if (p->has_mirror && primaries == 0)
		conf_report_add(r, mirror_where(p),
				"pool '%s' has a mirror but no primary to transfer from: "
				"add primary = true to a backend",
				p->name);
	if (primaries > MIRROR_PRIMARIES_MAX)
		conf_report_add(r, p->where,
				"pool '%s' has more than %d primaries: remove primary = true "
				"from some",
				p->name, MIRROR_PRIMARIES_MAX);
	if (p->attempt_max_us > p->give_up_us)
		conf_report_add(r, p->where,
				"pool '%s': attempt-max is longer than give-up: no second "
				"target would ever be tried, so make it shorter",
				p->name);
	if (p->health.timeout_us > p->health.interval_us)
		conf_report_add(r, p->where,
				"pool '%s': health timeout (%llums) is longer than interval "
				"(%llums): probes would overlap, so make it shorter",
				p->name, (unsigned long long)(p->health.timeout_us / US_PER_MS),
				(unsigned long long)(p->health.interval_us / US_PER_MS));
}

/* ---- Zones and catalogs ---- */

struct named {
	const struct conf_zone *zone;
	size_t place;			/* zones in the order of the file, then catalogs */
	const char *kind;
};

static int named_order(const void *a, const void *b)
{
	const struct named *x = a, *y = b;
	int order = name_compare(x->zone->origin, y->zone->origin);

	return order ? order : (x->place > y->place) - (x->place < y->place);
}

static void check_zone_names(const struct conf *c, struct conf_report *r)
{
	size_t count = c->zone_count + c->catalog_count;
	struct named *sorted = memory_zeroed(count, sizeof(*sorted));

	for (size_t i = 0; i < c->zone_count; i++)
		sorted[i] = (struct named){ &c->zones[i], i, "zone" };
	for (size_t i = 0; i < c->catalog_count; i++)
		sorted[c->zone_count + i] = (struct named){ &c->catalogs[i].zone, c->zone_count + i,
							     "catalog" };
	qsort(sorted, count, sizeof(*sorted), named_order);
	for (size_t i = 1; i < count; i++) {
		const struct named *other = &sorted[i - 1], *z = &sorted[i];

		if (name_is_equal(other->zone->origin, z->zone->origin))
			conf_report_add(r, z->zone->where, "%s '%.200s' is given twice: the other is "
					"at %s:%d", z->kind, z->zone->text, other->zone->where.file,
					other->zone->where.line);
	}
	free(sorted);
}

static void check_groups(const struct conf_catalog *c, struct conf_report *r)
{
	for (size_t i = 0; i < c->group_count; i++) {
		const struct conf_group *first = c->groups, *g = &c->groups[i];

		while (strcmp(first->name, g->name) != 0)
			first++;
		if (first != g)
			conf_report_add(r, g->where, "group '%.80s' is given twice: the first is at "
					"%s:%d", g->name, first->where.file, first->where.line);
		if (!*g->name || strlen(g->name) > CATALOG_GROUP_MAX)
			conf_report_add(r, g->where, "group '%.80s' has no usable name: use 1 to %d "
					"bytes", g->name, CATALOG_GROUP_MAX);
	}
}

static void check_catalog(const struct conf_catalog *c, struct conf_report *r)
{
	if (c->zone.pool && primary_count(c->zone.pool) == 0)
		conf_report_add(r, c->where,
				"catalog '%.200s': pool '%s' has no primary to transfer it from: add "
				"primary = true to a backend, or name another pool with from",
				c->zone.text, c->zone.pool->name);
	check_groups(c, r);
}

/* The root's list may well hold for some zones only; a zone's own is meant. */
static void check_transfers(const struct conf_zone *z, struct conf_report *r)
{
	if (z->pool && !z->pool->has_mirror && z->own_allow_transfer.count > 0)
		conf_report_add(r, z->where,
				"zone '%.200s' has allow-transfer, but its pool '%s' has no mirror to "
				"transfer from: add mirror { } to the pool, or take allow-transfer out",
				z->text, z->pool->name);
}

/* ---- Backends that are ourselves ---- */

static bool is_loopback(const struct address *a)
{
	if (a->storage.ss_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)&a->storage)->sin_addr.s_addr) >> 24 ==
		       127;
	return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)&a->storage)->sin6_addr);
}

static bool is_interface(const struct address *a, const struct ifaddrs *i)
{
	struct address own = { 0 };

	if (!i->ifa_addr || i->ifa_addr->sa_family != a->storage.ss_family)
		return false;
	own.len = i->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in)
						    : sizeof(struct sockaddr_in6);
	memcpy(&own.storage, i->ifa_addr, own.len);
	return address_is_same_host(&own, a);
}

/* An address of this machine. When the system does not tell, only loopback is known. */
static bool is_local(const struct address *a)
{
	struct ifaddrs *all;
	bool is_found = is_loopback(a);

	if (is_found || getifaddrs(&all) != 0)
		return is_found;
	for (const struct ifaddrs *i = all; i && !is_found; i = i->ifa_next)
		is_found = is_interface(a, i);
	freeifaddrs(all);
	return is_found;
}

/* Queries that we send there would come back to us. */
static bool is_ourselves(const struct address *listener, const struct address *backend)
{
	return address_is_equal(listener, backend) ||
	       (address_is_any(listener) &&
		listener->storage.ss_family == backend->storage.ss_family &&
		address_port(listener) == address_port(backend) && is_local(backend));
}

static void check_address(const struct conf *c, const struct conf_target *t, struct conf_report *r)
{
	char text[ADDRESS_TEXT_MAX];

	for (size_t i = 0; t->address.len > 0 && i < c->listen_count; i++) {
		if (!is_ourselves(&c->listen[i], &t->address))
			continue;
		conf_report_add(
			r, t->where,
			"backend '%s' is our own listener %s, so queries would go in "
			"circles: give the server another port, or set listen to other addresses",
			t->name, address_to_text(&c->listen[i], text));
		return;
	}
}

static void check_backends(const struct conf *c, struct conf_report *r)
{
	size_t count = 0;

	for (size_t p = 0; p < c->pool_count; p++)
		for (size_t i = 0; i < c->pools[p].target_count; i++) {
			const struct conf_target *t = &c->pools[p].targets[i];

			if (t->kind != TARGET_BACKEND)
				continue;
			check_address(c, t, r);
			if (++count == CONF_BACKENDS_MAX + 1)
				conf_report_add(r, t->where,
						"more than %d backends in all pools: remove some",
						CONF_BACKENDS_MAX);
		}
}

void conf_check(const struct conf *c, const struct conf_where *key_places, struct conf_report *r)
{
	check_key_names(c, key_places, r);
	check_pool_names(c, r);
	for (size_t i = 0; i < c->pool_count; i++)
		check_pool(&c->pools[i], r);
	check_zone_names(c, r);
	for (size_t i = 0; i < c->zone_count; i++)
		check_transfers(&c->zones[i], r);
	for (size_t i = 0; i < c->catalog_count; i++)
		check_catalog(&c->catalogs[i], r);
	check_backends(c, r);
}
