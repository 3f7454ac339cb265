/* SPDX-License-Identifier: ISC */
/*
 * conf_addresses - lists of addresses: each once, and not too many.
 *
 * Purpose:  adds one address to a list of the configuration.
 * Not here: texts to addresses (conf_value.c).
 * Threads:  one.
 * Failure:  false, with "what is wrong: the mend".
 */
#ifndef CONF_ADDRESSES_H
#define CONF_ADDRESSES_H

#include "proxy/conf_value.h"

bool conf_listen_add(struct conf *c, const struct address *a, char problem[CONF_PROBLEM_MAX]);
bool conf_sentinel_add(struct redis_sentinel_conf *c, const struct address *a,
		       char problem[CONF_PROBLEM_MAX]);

#endif
