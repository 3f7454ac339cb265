/* SPDX-License-Identifier: ISC */
/*
 * truth - which records the zones have, learnt by AXFR.
 *
 * Purpose:  tells whether a record that a server added on its own is one of the zones'.
 * Failure:  ends the program: without the truth there is no test.
 */
#ifndef DIFFER_TRUTH_H
#define DIFFER_TRUTH_H

#include <stdbool.h>

#include "tests/system/differ/net.h"
#include "tests/system/differ/packet.h"

/* Adds the records of a zone; `origin` in wire form. */
void truth_learn(const struct server *s, const uint8_t *origin, size_t origin_len);

/* With `is_any_owner` the owner does not count: a wildcard may stand for many. */
bool truth_has(const struct record *r, bool is_any_owner);
/* Is there an RRset of this owner, in lower case, and type? */
bool truth_has_set(const uint8_t *owner, size_t len, uint16_t type);
/* Is there any record below this name, in lower case? */
bool truth_has_below(const uint8_t *name, size_t len);
/* The origin of the zone that a name in lower case belongs to; NULL: of none. */
const uint8_t *truth_zone_of(const uint8_t *name, size_t len);

#endif
