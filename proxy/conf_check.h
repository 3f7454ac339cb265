/* SPDX-License-Identifier: ISC */
/*
 * conf_check - what must fit together, once every value is good in itself.
 *
 * Purpose:  names that are given twice, zones and pools that cannot work, backends that are
 *           ourselves.
 * Not here: single values (conf_value.h).
 * Threads:  one. Asks the system for this host's own addresses.
 * Failure:  errors go to the report.
 */
#ifndef CONF_CHECK_H
#define CONF_CHECK_H

#include "proxy/conf_report.h"

/* The places of keys run parallel to conf->keys, which others read and need no place. */
void conf_check(const struct conf *c, const struct conf_where *key_places, struct conf_report *r);

#endif
