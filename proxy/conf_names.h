/* SPDX-License-Identifier: ISC */
/*
 * conf_names - a list of domain names, as in `member-suffixes`.
 *
 * Owns:     its names.
 * Threads:  immutable once read; any.
 * Memory:   aborts when there is none.
 */
#ifndef CONF_NAMES_H
#define CONF_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/name.h"

struct conf_names {
	uint8_t (*items)[NAME_LEN_MAX];	/* lower case */
	size_t count;
};

/* False: it is no name, and nothing was added. */
bool conf_names_add(struct conf_names *list, const char *text);

/* `name` is one of them or lies below one. */
bool conf_names_cover(const struct conf_names *list, const uint8_t *name);

#endif
