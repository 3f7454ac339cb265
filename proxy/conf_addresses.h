/* SPDX-License-Identifier: ISC */
/*
 * conf_addresses - lists of addresses and interfaces: each once, and not too many.
 *
 * Purpose:  adds one to a list of the configuration.
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

/* Whether there is such an interface is seen when it is used: it may come later. */
bool conf_interface_add(struct conf_interfaces *c, const char *name,
			char problem[CONF_PROBLEM_MAX]);

#endif
