/* SPDX-License-Identifier: ISC */
/*
 * conf_value - one value of one option: from its text into its field.
 *
 * Purpose:  types, units and ranges, with a mend for whatever is wrong.
 * Not here: which values fit together (conf_check.h).
 * Threads:  one; reads the files that the types of conf_table.h named _FILE name.
 * Failure:  false with "what is wrong: the mend" in `problem`; secrets are never quoted.
 */
#ifndef CONF_VALUE_H
#define CONF_VALUE_H

#include <stdbool.h>

#include "proxy/conf.h"
#include "proxy/conf_table.h"

enum { CONF_PROBLEM_MAX = CONF_ALLOW_PROBLEM_MAX };

/*
 * `object` is the struct that the row's section fills. `conf` already has its keys and pools,
 * which names are looked up in.
 */
bool conf_value_set(const struct conf_row *row, const char *text, struct conf *conf, void *object,
		    char problem[CONF_PROBLEM_MAX]);

const struct tsig_key *conf_key_find(const struct conf *c, const uint8_t *name);
const struct conf_pool *conf_pool_find(const struct conf *c, const char *name);

#endif
