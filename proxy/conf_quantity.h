/* SPDX-License-Identifier: ISC */
/*
 * conf_quantity - whole numbers with units, as operators write them.
 *
 * Purpose:  "12", "10m", "64M"; also for words of the control socket.
 * Threads:  any; pure.
 * Failure:  false: it is none. What overflows is UINT64_MAX: some number out of every range.
 */
#ifndef CONF_QUANTITY_H
#define CONF_QUANTITY_H

#include <stdbool.h>
#include <stdint.h>

bool conf_number_parse(const char *text, uint64_t *n);
bool conf_duration_parse(const char *text, uint64_t *us);	/* ms, s, m, h, d: a unit is a must */
bool conf_size_parse(const char *text, uint64_t *bytes);	/* k, M, G, or none */

#endif
