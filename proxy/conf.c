/* SPDX-License-Identifier: ISC */
/*
 * The way of a file: conf_scan makes flat texts of it, conf_tree makes a tree of each, and here
 * each section of a tree fills its struct. Keys come first, then pools, then the rest, so that
 * names can be looked up as they are met.
 */
#include "proxy/conf.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "cache/memory.h"
#include "proxy/conf_check.h"
#include "proxy/conf_redis.h"
#include "proxy/conf_tls.h"
#include "proxy/conf_tree.h"

enum { CONF_KEYS_MAX = 1024, CONF_WORKERS_MAX = 64 };

/* Two options that fill one field. */
static void check_either(struct conf_build *b, cfg_t *section, const char *one, const char *other,
			 struct conf_where where)
{
	if (cfg_size(section, one) > 0 && cfg_size(section, other) > 0)
		conf_report_add(&b->report, where, "both %s and %s are given: remove one", one,
				other);
}

/* Names go into logs, control lines and metrics as they are. */
static void name_set(struct conf_build *b, const char *kind, const char *name,
		     char to[CONF_NAME_MAX], struct conf_where where)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	size_t len = strlen(name);

	if (len == 0 || len >= CONF_NAME_MAX || name[strspn(name, allowed)])
		conf_report_add(&b->report, where,
				"%s '%.80s' has no usable name: use 1 to %d letters, "
				"digits and _ . -",
				kind, name, CONF_NAME_MAX - 1);
	snprintf(to, CONF_NAME_MAX, "%.*s", CONF_NAME_MAX - 1, name);
}

/* ---- Sections ---- */

static void build_key(struct conf_build *b, cfg_t *section, struct tsig_key *key, const char *title,
		      struct conf_where where)
{
	if (!name_from_text(title, key->name))
		conf_report_add(&b->report, where,
				"key '%.80s' is no domain name: name it as the primary "
				"does, as in \"transfer.example.com\"",
				title);
	name_lower(key->name);
	conf_tree_set(b, section, SECTION_KEY, key, where);
	check_either(b, section, "secret", "secret-file", where);
	if (!(cfg_getopt(section, "secret")->flags & CFGF_MODIFIED) &&
	    !(cfg_getopt(section, "secret-file")->flags & CFGF_MODIFIED))
		conf_report_add(&b->report, where,
				"key '%.80s' has no secret: add secret = \"...\" or "
				"secret-file = \"...\"",
				title);
}

static void build_keys(struct conf_build *b, cfg_t *tree)
{
	unsigned count = cfg_size(tree, "key");
	const char *title;

	b->conf->keys = memory_zeroed(count, sizeof(*b->conf->keys));
	b->key_places = memory_zeroed(count, sizeof(*b->key_places));
	for (unsigned i = 0; i < count; i++) {
		cfg_t *section = conf_tree_section(b, tree, SECTION_KEY, i, &title, &b->key_places[i]);

		if (i == CONF_KEYS_MAX) {
			conf_report_add(&b->report, b->key_places[i],
					"more than %d keys: remove some", CONF_KEYS_MAX);
			return;
		}
		build_key(b, section, &b->conf->keys[i], title, b->key_places[i]);
		b->conf->key_count++;
	}
}

static void build_backend(struct conf_build *b, cfg_t *section, struct conf_target *t,
			  const char *title)
{
	t->kind = TARGET_BACKEND;
	name_set(b, "backend", title, t->name, t->where);
	if (strcmp(t->name, "mirror") == 0)
		conf_report_add(&b->report, t->where,
				"backend 'mirror' has the name of the mirror: "
				"choose another");
	conf_tree_set(b, section, SECTION_BACKEND, t, t->where);
}

static unsigned long place_of(cfg_t *section)
{
	return strtoul(cfg_getstr(section, CONF_SCAN_TITLE), NULL, 10);
}

/* The mirror takes its place among the backends as the file has it: "ordered" means that. */
static void build_mirror(struct conf_build *b, cfg_t *pool, cfg_t *section, struct conf_pool *p,
			 struct conf_where where)
{
	unsigned at = 0;

	while (at < p->target_count &&
	       place_of(cfg_getnsec(pool, "backend", at)) < place_of(section))
		at++;
	memmove(&p->targets[at + 1], &p->targets[at], (p->target_count - at) * sizeof(*p->targets));
	struct conf_target *t = &p->targets[at];

	*t = (struct conf_target){ .kind = TARGET_MIRROR, .name = "mirror", .where = where };
	conf_tree_set(b, section, SECTION_MIRROR, t, where);
	p->target_count++;
	p->has_mirror = true;
}

static void build_pool(struct conf_build *b, cfg_t *section, struct conf_pool *p, const char *title)
{
	unsigned backends = cfg_size(section, "backend");
	struct conf_where where = p->where;

	name_set(b, "pool", title, p->name, p->where);
	conf_tree_set(b, section, SECTION_POOL, p, p->where);
	conf_tree_set(b, conf_tree_single(b, section, SECTION_HEALTH, &where), SECTION_HEALTH, p,
		    where);

	p->targets = memory_zeroed(backends + 1, sizeof(*p->targets));
	for (unsigned i = 0; i < backends; i++) {
		struct conf_target *t = &p->targets[p->target_count++];
		cfg_t *backend = conf_tree_section(b, section, SECTION_BACKEND, i, &title, &t->where);

		build_backend(b, backend, t, title);
	}
	cfg_t *mirror = conf_tree_single(b, section, SECTION_MIRROR, &where);

	if (mirror)
		build_mirror(b, section, mirror, p, where);
}

static void build_pools(struct conf_build *b, cfg_t *tree)
{
	unsigned count = cfg_size(tree, "pool");
	const char *title;

	b->conf->pools = memory_zeroed(count, sizeof(*b->conf->pools));
	for (unsigned i = 0; i < count; i++) {
		struct conf_pool *p = &b->conf->pools[i];
		cfg_t *section = conf_tree_section(b, tree, SECTION_POOL, i, &title, &p->where);

		if (i == CONF_POOLS_MAX) {
			conf_report_add(&b->report, p->where, "more than %d pools: remove some",
					CONF_POOLS_MAX);
			return;
		}
		b->conf->pool_count++;
		build_pool(b, section, p, title);
	}
}

static void build_sentinel(struct conf_build *b, cfg_t *redis)
{
	struct conf_where where;
	cfg_t *section = conf_tree_single(b, redis, SECTION_SENTINEL, &where);

	if (!section)
		return;
	conf_tree_set(b, section, SECTION_SENTINEL, b->conf, where);
	check_either(b, section, "password", "password-file", where);
}

static void build_redis(struct conf_build *b, cfg_t *tree)
{
	struct conf_where where;
	cfg_t *section = conf_tree_single(b, tree, SECTION_REDIS, &where);

	if (!section)
		return;
	b->conf->has_redis = true;
	conf_tree_set(b, section, SECTION_REDIS, b->conf, where);
	check_either(b, section, "password", "password-file", where);
	build_sentinel(b, section);
	conf_redis_check(b->conf, cfg_size(section, "address") > 0,
			 cfg_size(section, "sentinel") > 0, where, &b->report);
}

/* False: no name, and that was said. */
static bool name_zone(struct conf_build *b, const char *kind, const char *title,
		      struct conf_zone *z)
{
	uint8_t origin[NAME_LEN_MAX];

	if (!name_from_text(title, origin)) {
		conf_report_add(&b->report, z->where,
				"%s '%.80s' is no domain name: write it as in \"example.com\"",
				kind, title);
		return false;
	}
	name_lower(origin);
	conf_zone_name(z, origin);
	z->keep = CONF_KEEP_AS_POOL;
	return true;
}

/* A list of its own, { } included, takes the place of the root's. */
static void choose_allow(struct conf_build *b, cfg_t *section, struct conf_zone *z)
{
	bool is_own = cfg_getopt(section, "allow-transfer")->flags & CFGF_MODIFIED;

	z->allow_transfer = is_own ? &z->own_allow_transfer : &b->conf->allow_transfer;
}

static void add_zones(struct conf_build *b, cfg_t *tree)
{
	struct conf *c = b->conf;
	unsigned count = cfg_size(tree, "zone");
	const char *title;

	for (unsigned i = 0; i < count; i++) {
		struct conf_zone *z = &c->zones[c->zone_count];
		cfg_t *section = conf_tree_section(b, tree, SECTION_ZONE, i, &title, &z->where);

		if (!name_zone(b, "zone", title, z))
			continue;
		conf_tree_set(b, section, SECTION_ZONE, z, z->where);
		choose_allow(b, section, z);
		c->zone_count++;
	}
}

static void build_zones(struct conf_build *b)
{
	const char *text = NULL;

	b->conf->zones = memory_zeroed(b->scan.zone_count, sizeof(*b->conf->zones));
	while ((text = conf_scan_zones(&b->scan, text))) {
		cfg_t *tree = conf_tree_parse_zones(b, text);

		add_zones(b, tree);
		cfg_free(tree);
	}
}

static void build_groups(struct conf_build *b, cfg_t *section, struct conf_catalog *c)
{
	unsigned count = cfg_size(section, "group");
	const char *title;

	c->groups = memory_zeroed(count, sizeof(*c->groups));
	for (unsigned i = 0; i < count; i++) {
		struct conf_group *g = &c->groups[i];
		cfg_t *group = conf_tree_section(b, section, SECTION_GROUP, i, &title, &g->where);

		if (i == CONF_GROUPS_MAX) {
			conf_report_add(&b->report, g->where, "more than %d groups: remove some",
					CONF_GROUPS_MAX);
			return;
		}
		g->name = strdup(title);
		if (!g->name)
			abort();
		conf_tree_set(b, group, SECTION_GROUP, g, g->where);
		c->group_count++;
	}
}

/* The signatures and denials of a signed catalog leave room for sixteen records a member. */
static void limit_catalog(struct conf_catalog *c)
{
	c->zone.pool = c->from ? c->from : c->member.pool;
	c->zone.max_records = c->max_members * 16 + 10000;
	c->zone.max_bytes = c->zone.max_records * 256;
	c->zone.allow_transfer = &c->zone.own_allow_transfer;
	c->zone.where = c->member.where = c->where;
	c->member.keep = CONF_KEEP_AS_POOL;
}

static void build_catalogs(struct conf_build *b, cfg_t *tree)
{
	struct conf *all = b->conf;
	unsigned count = cfg_size(tree, "catalog");
	const char *title;

	all->catalogs = memory_zeroed(count, sizeof(*all->catalogs));
	for (unsigned i = 0; i < count; i++) {
		struct conf_catalog *c = &all->catalogs[all->catalog_count];
		cfg_t *section = conf_tree_section(b, tree, SECTION_CATALOG, i, &title, &c->where);

		if (i == CONF_CATALOGS_MAX) {
			conf_report_add(&b->report, c->where, "more than %d catalogs: remove some",
					CONF_CATALOGS_MAX);
			return;
		}
		c->zone.where = c->where;
		if (!name_zone(b, "catalog", title, &c->zone))
			continue;
		conf_tree_set(b, section, SECTION_CATALOG, c, c->where);
		build_groups(b, section, c);
		choose_allow(b, section, &c->member);
		limit_catalog(c);
		all->catalog_count++;
	}
}

static unsigned cpu_count(void)
{
	cpu_set_t set;
	int count = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;

	return count < CONF_WORKERS_MAX ? (unsigned)count : CONF_WORKERS_MAX;
}

static void build(struct conf_build *b)
{
	struct conf *c = b->conf;
	const struct conf_where top = { .file = c->files[0], .line = 1 };
	cfg_t *tree = conf_tree_parse(b, b->scan.text.at);

	build_keys(b, tree);
	build_pools(b, tree);
	conf_tree_set(b, tree, SECTION_ROOT, c, top);
	build_redis(b, tree);
	build_zones(b);
	build_catalogs(b, tree);
	cfg_free(tree);
	if (c->workers == 0)
		c->workers = cpu_count();
	conf_tls_make(c, &b->report);
	conf_check(c, b->key_places, &b->report);
	free(b->key_places);
}

unsigned conf_keep_of(const struct conf_zone *z)
{
	return z->keep == CONF_KEEP_AS_POOL ? z->pool->keep : z->keep;
}

uint64_t conf_grace_of(const struct conf_zone *z)
{
	enum conf_expire expire = z->expire == EXPIRE_AS_POOL ? z->pool->expire : z->expire;

	if (expire != EXPIRE_GRACE)
		return 0;
	return z->grace_us ? z->grace_us : z->pool->grace_us;
}

struct conf *conf_read(const char *file, FILE *errors)
{
	struct conf_build *b = memory_zeroed(1, sizeof(*b));
	struct conf *c = b->conf = memory_zeroed(1, sizeof(*c));

	c->references = 1;
	snprintf(c->file, sizeof(c->file), "%s", file);
	c->places = memory_zeroed(conf_row_count, sizeof(*c->places));
	conf_scan_init(&b->scan, c, &b->report);
	if (conf_scan_file(&b->scan, file))
		build(b);
	conf_scan_fini(&b->scan);
	if (b->report.count > 0) {
		conf_report_print(&b->report, errors);
		conf_free(c);
		c = NULL;
	}
	free(b);
	return c;
}
