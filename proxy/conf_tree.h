/* SPDX-License-Identifier: ISC */
/*
 * conf_tree - a file as libconfuse's tree, and the sections of that into structs.
 *
 * Purpose:  the tree is made by the table of sections and options; a section fills its struct row
 *           by row, what is not written from the defaults.
 * Not here: which sections there are and what becomes of them (conf.c), one value (conf_value.h).
 * Threads:  one.
 * Failure:  each error is one line in the report, with its place; what follows goes on.
 */
#ifndef CONF_TREE_H
#define CONF_TREE_H

#include <confuse.h>

#include "proxy/conf.h"
#include "proxy/conf_report.h"
#include "proxy/conf_scan.h"
#include "proxy/conf_table.h"

/* What is shared while one file is read. */
struct conf_build {
	struct conf *conf;
	struct conf_scan scan;
	struct conf_report report;
	struct conf_where *key_places;	/* parallel to conf->keys */
};

/* Of one text of b->scan, all but zones or zones alone; cfg_free() is the caller's. */
cfg_t *conf_tree_parse(struct conf_build *b, const char *text);
cfg_t *conf_tree_parse_zones(struct conf_build *b, const char *text);

/* Fills `object` from a section of the tree; from the defaults when there is no section (NULL). */
void conf_tree_set(struct conf_build *b, cfg_t *section, enum conf_section id, void *object,
		   struct conf_where where);

/* Section number `i`, its title and place. */
cfg_t *conf_tree_section(const struct conf_build *b, cfg_t *parent, enum conf_section id,
			 unsigned i, const char **title, struct conf_where *where);

/* A section that may be there once; NULL when it is not. */
cfg_t *conf_tree_single(struct conf_build *b, cfg_t *parent, enum conf_section id,
			struct conf_where *where);

#endif
