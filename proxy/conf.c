/* SPDX-License-Identifier: ISC */
/*
 * The way of a file: conf_scan makes one flat text of it, libconfuse makes a tree of that, and
 * here each section of the tree fills its struct, row by row of the table. Keys come first,
 * then pools, then the rest, so that names can be looked up as they are met.
 */
#include "proxy/conf.h"

#include <assert.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include <confuse.h>

#include "cache/memory.h"
#include "proxy/conf_check.h"
#include "proxy/conf_redis.h"
#include "proxy/conf_report.h"
#include "proxy/conf_scan.h"
#include "proxy/conf_table.h"
#include "proxy/conf_tls.h"
#include "proxy/conf_value.h"

enum { CONF_OPTIONS_MAX = 64, CONF_KEYS_MAX = 1024, CONF_WORKERS_MAX = 64 };

/* What is shared while one file is read. */
struct build {
	struct conf *conf;
	struct conf_scan scan;
	struct conf_report report;
	struct conf_where *key_places;	/* parallel to conf->keys */
};

/* ---- libconfuse ---- */

static void options_fill(cfg_opt_t options[SECTION_COUNT][CONF_OPTIONS_MAX], enum conf_section id)
{
	const cfg_opt_t end = CFG_END(), title = CFG_STR_LIST(CONF_SCAN_TITLE, 0, CFGF_NODEFAULT);
	size_t n = 0;

	options[id][n++] = title;
	for (size_t i = 0; i < conf_row_count; i++)
		if (conf_rows[i].section == id)
			options[id][n++] =
				(cfg_opt_t)CFG_STR_LIST(conf_rows[i].name, 0, CFGF_NODEFAULT);
	for (size_t i = 0; i < SECTION_COUNT; i++)
		if (conf_sections[i].parent == id)
			options[id][n++] =
				(cfg_opt_t)CFG_SEC(conf_sections[i].name, options[i], CFGF_MULTI);
	assert(n < CONF_OPTIONS_MAX);
	options[id][n] = end;
}

/* conf_scan has reported all errors already; see tree_parse(). */
__attribute__((format(printf, 2, 0)))
static void on_libconfuse_error(cfg_t *cfg, const char *format, va_list args)
{
	(void)cfg;
	(void)format;
	(void)args;
}

static cfg_t *tree_parse(struct build *b)
{
	cfg_opt_t options[SECTION_COUNT][CONF_OPTIONS_MAX];

	for (unsigned i = 0; i < SECTION_COUNT; i++)
		options_fill(options, (enum conf_section)i);
	cfg_t *tree = cfg_init(options[SECTION_ROOT], CFGF_NONE);

	if (!tree)
		abort();
	cfg_set_error_function(tree, on_libconfuse_error);
	/* Cannot fail, but if it does nothing may go on with half a tree. */
	if (cfg_parse_buf(tree, b->scan.text) != CFG_SUCCESS)
		conf_report_add(&b->report, (struct conf_where){ .file = b->conf->files[0] },
				"libconfuse cannot read this file: look for unusual characters");
	return tree;
}

/* ---- Rows ---- */

static void value_set(struct build *b, const struct conf_row *row, const char *text, void *object,
		      struct conf_where where)
{
	char problem[CONF_PROBLEM_MAX];

	if (conf_value_set(row, text, b->conf, object, problem))
		return;
	conf_report_add(&b->report, where, "%s", problem);
	/* The checks that follow shall not stumble over what is missing here. */
	if (row->def && !(row->flags & CONF_LIST))
		conf_value_set(row, row->def, b->conf, object, problem);
}

static void default_set(struct build *b, const struct conf_row *row, void *object,
			struct conf_where where)
{
	char texts[128], *rest = texts;

	snprintf(texts, sizeof(texts), "%s", row->def);
	if (!(row->flags & CONF_LIST)) {
		value_set(b, row, texts, object, where);
		return;
	}
	for (char *text = strsep(&rest, ","); text; text = strsep(&rest, ","))
		value_set(b, row, text + strspn(text, " "), object, where);
}

/* An option that the file does not have, or `listen = { }`. */
static void row_absent(struct build *b, const struct conf_row *row, const cfg_opt_t *option,
		       void *object, struct conf_where where)
{
	bool is_written = option && option->flags & CFGF_MODIFIED;

	if (is_written && row->type == CONF_LISTEN)
		conf_report_add(&b->report, where,
				"listen has no address: add one, or leave it out");
	else if (is_written)
		return;		/* an empty list, or its value is a syntax error */
	else if (row->flags & CONF_REQUIRED)
		conf_report_add(&b->report, where, "section '%s' has no %s: add %s = \"...\"",
				conf_sections[row->section].name, row->name, row->name);
	else if (row->def)
		default_set(b, row, object, where);
}

static void row_set(struct build *b, const struct conf_row *row, cfg_t *section, void *object,
		    struct conf_where where)
{
	cfg_opt_t *option = section ? cfg_getopt(section, row->name) : NULL;
	unsigned count = option ? cfg_opt_size(option) : 0;
	struct conf_where first = where, at;

	if (count == 0)
		row_absent(b, row, option, object, where);
	for (unsigned i = 0; i < count; i++) {
		const char *text = conf_scan_value(&b->scan, cfg_opt_getnstr(option, i), &at);

		if (i == 0)
			first = at;
		if (i == 0 || row->flags & CONF_LIST)
			value_set(b, row, text, object, at);
		else
			conf_report_add(&b->report, at, "%s is given twice: the first is at %s:%d",
					row->name, first.file, first.line);
	}
	if (conf_row_is_single(row))
		b->conf->places[row - conf_rows] = first;
}

/* Fills `object` from a section of the tree; from the defaults when there is no section. */
static void section_set(struct build *b, cfg_t *section, enum conf_section id, void *object,
			struct conf_where where)
{
	for (size_t i = 0; i < conf_row_count; i++)
		if (conf_rows[i].section == id)
			row_set(b, &conf_rows[i], section, object, where);
}

static const char *title_of(const struct build *b, cfg_t *section, struct conf_where *where)
{
	return conf_scan_value(&b->scan, cfg_getstr(section, CONF_SCAN_TITLE), where);
}

/* Section number `i`, its title and place. */
static cfg_t *section_at(const struct build *b, cfg_t *parent, enum conf_section id, unsigned i,
			 const char **title, struct conf_where *where)
{
	cfg_t *section = cfg_getnsec(parent, conf_sections[id].name, i);

	*title = title_of(b, section, where);
	return section;
}

/* A section that may be there once; NULL when it is not. */
static cfg_t *section_single(struct build *b, cfg_t *parent, enum conf_section id,
			     struct conf_where *where)
{
	const char *name = conf_sections[id].name;
	unsigned count = cfg_size(parent, name);
	struct conf_where again;

	if (count == 0)
		return NULL;
	cfg_t *section = cfg_getnsec(parent, name, 0);

	title_of(b, section, where);
	for (unsigned i = 1; i < count; i++) {
		title_of(b, cfg_getnsec(parent, name, i), &again);
		conf_report_add(&b->report, again,
				"section '%s' is given twice: the first is at %s:%d", name,
				where->file, where->line);
	}
	return section;
}

/* Two options that fill one field. */
static void check_either(struct build *b, cfg_t *section, const char *one, const char *other,
			 struct conf_where where)
{
	if (cfg_size(section, one) > 0 && cfg_size(section, other) > 0)
		conf_report_add(&b->report, where, "both %s and %s are given: remove one", one,
				other);
}

/* Names go into logs, control lines and metrics as they are. */
static void name_set(struct build *b, const char *kind, const char *name, char to[CONF_NAME_MAX],
		     struct conf_where where)
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

static void build_key(struct build *b, cfg_t *section, struct tsig_key *key, const char *title,
		      struct conf_where where)
{
	if (!name_from_text(title, key->name))
		conf_report_add(&b->report, where,
				"key '%.80s' is no domain name: name it as the primary "
				"does, as in \"transfer.example.com\"",
				title);
	name_lower(key->name);
	section_set(b, section, SECTION_KEY, key, where);
	check_either(b, section, "secret", "secret-file", where);
	if (!(cfg_getopt(section, "secret")->flags & CFGF_MODIFIED) &&
	    !(cfg_getopt(section, "secret-file")->flags & CFGF_MODIFIED))
		conf_report_add(&b->report, where,
				"key '%.80s' has no secret: add secret = \"...\" or "
				"secret-file = \"...\"",
				title);
}

static void build_keys(struct build *b, cfg_t *tree)
{
	unsigned count = cfg_size(tree, "key");
	const char *title;

	b->conf->keys = memory_zeroed(count, sizeof(*b->conf->keys));
	b->key_places = memory_zeroed(count, sizeof(*b->key_places));
	for (unsigned i = 0; i < count; i++) {
		cfg_t *section = section_at(b, tree, SECTION_KEY, i, &title, &b->key_places[i]);

		if (i == CONF_KEYS_MAX) {
			conf_report_add(&b->report, b->key_places[i],
					"more than %d keys: remove some", CONF_KEYS_MAX);
			return;
		}
		build_key(b, section, &b->conf->keys[i], title, b->key_places[i]);
		b->conf->key_count++;
	}
}

static void build_backend(struct build *b, cfg_t *section, struct conf_target *t, const char *title)
{
	t->kind = TARGET_BACKEND;
	name_set(b, "backend", title, t->name, t->where);
	if (strcmp(t->name, "mirror") == 0)
		conf_report_add(&b->report, t->where,
				"backend 'mirror' has the name of the mirror: "
				"choose another");
	section_set(b, section, SECTION_BACKEND, t, t->where);
}

static unsigned long place_of(cfg_t *section)
{
	return strtoul(cfg_getstr(section, CONF_SCAN_TITLE), NULL, 10);
}

/* The mirror takes its place among the backends as the file has it: "ordered" means that. */
static void build_mirror(struct build *b, cfg_t *pool, cfg_t *section, struct conf_pool *p,
			 struct conf_where where)
{
	unsigned at = 0;

	while (at < p->target_count &&
	       place_of(cfg_getnsec(pool, "backend", at)) < place_of(section))
		at++;
	memmove(&p->targets[at + 1], &p->targets[at], (p->target_count - at) * sizeof(*p->targets));
	struct conf_target *t = &p->targets[at];

	*t = (struct conf_target){ .kind = TARGET_MIRROR, .name = "mirror", .where = where };
	section_set(b, section, SECTION_MIRROR, t, where);
	p->target_count++;
	p->has_mirror = true;
}

static void build_pool(struct build *b, cfg_t *section, struct conf_pool *p, const char *title)
{
	unsigned backends = cfg_size(section, "backend");
	struct conf_where where = p->where;

	name_set(b, "pool", title, p->name, p->where);
	section_set(b, section, SECTION_POOL, p, p->where);
	section_set(b, section_single(b, section, SECTION_HEALTH, &where), SECTION_HEALTH, p,
		    where);

	p->targets = memory_zeroed(backends + 1, sizeof(*p->targets));
	for (unsigned i = 0; i < backends; i++) {
		struct conf_target *t = &p->targets[p->target_count++];
		cfg_t *backend = section_at(b, section, SECTION_BACKEND, i, &title, &t->where);

		build_backend(b, backend, t, title);
	}
	cfg_t *mirror = section_single(b, section, SECTION_MIRROR, &where);

	if (mirror)
		build_mirror(b, section, mirror, p, where);
}

static void build_pools(struct build *b, cfg_t *tree)
{
	unsigned count = cfg_size(tree, "pool");
	const char *title;

	b->conf->pools = memory_zeroed(count, sizeof(*b->conf->pools));
	for (unsigned i = 0; i < count; i++) {
		struct conf_pool *p = &b->conf->pools[i];
		cfg_t *section = section_at(b, tree, SECTION_POOL, i, &title, &p->where);

		if (i == CONF_POOLS_MAX) {
			conf_report_add(&b->report, p->where, "more than %d pools: remove some",
					CONF_POOLS_MAX);
			return;
		}
		b->conf->pool_count++;
		build_pool(b, section, p, title);
	}
}

static void build_sentinel(struct build *b, cfg_t *redis)
{
	struct conf_where where;
	cfg_t *section = section_single(b, redis, SECTION_SENTINEL, &where);

	if (!section)
		return;
	section_set(b, section, SECTION_SENTINEL, b->conf, where);
	check_either(b, section, "password", "password-file", where);
}

static void build_redis(struct build *b, cfg_t *tree)
{
	struct conf_where where;
	cfg_t *section = section_single(b, tree, SECTION_REDIS, &where);

	if (!section)
		return;
	b->conf->has_redis = true;
	section_set(b, section, SECTION_REDIS, b->conf, where);
	check_either(b, section, "password", "password-file", where);
	build_sentinel(b, section);
	conf_redis_check(b->conf, cfg_size(section, "address") > 0,
			 cfg_size(section, "sentinel") > 0, where, &b->report);
}

/* False: no name, and that was said. */
static bool name_zone(struct build *b, const char *kind, const char *title, struct conf_zone *z)
{
	char text[NAME_TEXT_MAX];

	if (!name_from_text(title, z->origin)) {
		conf_report_add(&b->report, z->where,
				"%s '%.80s' is no domain name: write it as in \"example.com\"",
				kind, title);
		return false;
	}
	name_lower(z->origin);
	z->keep = CONF_KEEP_AS_POOL;
	z->text = strdup(name_to_text(z->origin, text));
	if (!z->text)
		abort();
	return true;
}

/* A list of its own, { } included, takes the place of the root's. */
static void choose_allow(struct build *b, cfg_t *section, struct conf_zone *z)
{
	bool is_own = cfg_getopt(section, "allow-transfer")->flags & CFGF_MODIFIED;

	z->allow_transfer = is_own ? &z->own_allow_transfer : &b->conf->allow_transfer;
}

static void build_zones(struct build *b, cfg_t *tree)
{
	struct conf *c = b->conf;
	unsigned count = cfg_size(tree, "zone");
	const char *title;

	c->zones = memory_zeroed(count, sizeof(*c->zones));
	for (unsigned i = 0; i < count; i++) {
		struct conf_zone *z = &c->zones[c->zone_count];
		cfg_t *section = section_at(b, tree, SECTION_ZONE, i, &title, &z->where);

		if (!name_zone(b, "zone", title, z))
			continue;
		section_set(b, section, SECTION_ZONE, z, z->where);
		choose_allow(b, section, z);
		c->zone_count++;
	}
}

static void build_groups(struct build *b, cfg_t *section, struct conf_catalog *c)
{
	unsigned count = cfg_size(section, "group");
	const char *title;

	c->groups = memory_zeroed(count, sizeof(*c->groups));
	for (unsigned i = 0; i < count; i++) {
		struct conf_group *g = &c->groups[i];
		cfg_t *group = section_at(b, section, SECTION_GROUP, i, &title, &g->where);

		if (i == CONF_GROUPS_MAX) {
			conf_report_add(&b->report, g->where, "more than %d groups: remove some",
					CONF_GROUPS_MAX);
			return;
		}
		g->name = strdup(title);
		if (!g->name)
			abort();
		section_set(b, group, SECTION_GROUP, g, g->where);
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

static void build_catalogs(struct build *b, cfg_t *tree)
{
	struct conf *all = b->conf;
	unsigned count = cfg_size(tree, "catalog");
	const char *title;

	all->catalogs = memory_zeroed(count, sizeof(*all->catalogs));
	for (unsigned i = 0; i < count; i++) {
		struct conf_catalog *c = &all->catalogs[all->catalog_count];
		cfg_t *section = section_at(b, tree, SECTION_CATALOG, i, &title, &c->where);

		if (i == CONF_CATALOGS_MAX) {
			conf_report_add(&b->report, c->where, "more than %d catalogs: remove some",
					CONF_CATALOGS_MAX);
			return;
		}
		c->zone.where = c->where;
		if (!name_zone(b, "catalog", title, &c->zone))
			continue;
		section_set(b, section, SECTION_CATALOG, c, c->where);
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

static void build(struct build *b)
{
	struct conf *c = b->conf;
	const struct conf_where top = { .file = c->files[0], .line = 1 };
	cfg_t *tree = tree_parse(b);

	build_keys(b, tree);
	build_pools(b, tree);
	section_set(b, tree, SECTION_ROOT, c, top);
	build_redis(b, tree);
	build_zones(b, tree);
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
	struct build *b = memory_zeroed(1, sizeof(*b));
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
