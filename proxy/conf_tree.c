/* SPDX-License-Identifier: ISC */
#include "proxy/conf_tree.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/conf_value.h"

enum { CONF_OPTIONS_MAX = 64 };

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

/* conf_scan has reported all errors already; see conf_tree_parse(). */
__attribute__((format(printf, 2, 0)))
static void on_libconfuse_error(cfg_t *cfg, const char *format, va_list args)
{
	(void)cfg;
	(void)format;
	(void)args;
}

static cfg_t *parse(struct conf_build *b, const char *text, cfg_opt_t *root)
{
	cfg_t *tree = cfg_init(root, CFGF_NONE);

	if (!tree)
		abort();
	cfg_set_error_function(tree, on_libconfuse_error);
	/* Cannot fail, but if it does nothing may go on with half a tree. */
	if (cfg_parse_buf(tree, text) != CFG_SUCCESS)
		conf_report_add(&b->report, (struct conf_where){ .file = b->conf->files[0] },
				"libconfuse cannot read this file: look for unusual characters");
	return tree;
}

cfg_t *conf_tree_parse(struct conf_build *b, const char *text)
{
	cfg_opt_t options[SECTION_COUNT][CONF_OPTIONS_MAX];

	for (unsigned i = 0; i < SECTION_COUNT; i++)
		options_fill(options, (enum conf_section)i);
	return parse(b, text, options[SECTION_ROOT]);
}

/* Without the root's own options, through which libconfuse would look for each "zone". */
cfg_t *conf_tree_parse_zones(struct conf_build *b, const char *text)
{
	cfg_opt_t options[SECTION_COUNT][CONF_OPTIONS_MAX];
	cfg_opt_t root[] = {
		CFG_SEC(conf_sections[SECTION_ZONE].name, options[SECTION_ZONE], CFGF_MULTI), CFG_END(),
	};

	options_fill(options, SECTION_ZONE);
	return parse(b, text, root);
}

/* ---- Rows ---- */

static void value_set(struct conf_build *b, const struct conf_row *row, const char *text,
		      void *object, struct conf_where where)
{
	char problem[CONF_PROBLEM_MAX];

	if (conf_value_set(row, text, b->conf, object, problem))
		return;
	conf_report_add(&b->report, where, "%s", problem);
	/* The checks that follow shall not stumble over what is missing here. */
	if (row->def && !(row->flags & CONF_LIST))
		conf_value_set(row, row->def, b->conf, object, problem);
}

static void default_set(struct conf_build *b, const struct conf_row *row, void *object,
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
static void row_absent(struct conf_build *b, const struct conf_row *row, const cfg_opt_t *option,
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

static void row_set(struct conf_build *b, const struct conf_row *row, cfg_opt_t *option,
		    void *object, struct conf_where where)
{
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

void conf_tree_set(struct conf_build *b, cfg_t *section, enum conf_section id, void *object,
		   struct conf_where where)
{
	cfg_opt_t *option = section ? section->opts : NULL;	/* as options_fill() put them */

	for (size_t i = 0; i < conf_row_count; i++) {
		if (conf_rows[i].section != id)
			continue;
		if (option)
			option++;
		assert(!option || strcmp(option->name, conf_rows[i].name) == 0);
		row_set(b, &conf_rows[i], option, object, where);
	}
}

static const char *title_of(const struct conf_build *b, cfg_t *section, struct conf_where *where)
{
	return conf_scan_value(&b->scan, cfg_getstr(section, CONF_SCAN_TITLE), where);
}

cfg_t *conf_tree_section(const struct conf_build *b, cfg_t *parent, enum conf_section id,
			 unsigned i, const char **title, struct conf_where *where)
{
	cfg_t *section = cfg_getnsec(parent, conf_sections[id].name, i);

	*title = title_of(b, section, where);
	return section;
}

cfg_t *conf_tree_single(struct conf_build *b, cfg_t *parent, enum conf_section id,
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
