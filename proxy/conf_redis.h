/* SPDX-License-Identifier: ISC */
/*
 * conf_redis - what must fit together in the section `redis`.
 *
 * Purpose:  an address or sentinels, and what TLS needs: its files are read once, so that a
 *           wrong one is found before it is needed.
 * Not here: single values (conf_value.h), the rest of the file (conf_check.h).
 * Threads:  one.
 * Failure:  errors go to the report, at the option's own place.
 */
#ifndef CONF_REDIS_H
#define CONF_REDIS_H

#include "proxy/conf_report.h"

/* `where` is the section's place. */
void conf_redis_check(const struct conf *c, bool has_address, bool has_sentinel,
		      struct conf_where where, struct conf_report *report);

#endif
