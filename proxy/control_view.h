/* SPDX-License-Identifier: ISC */
/*
 * control_view - the process as operators see it: JSON objects for the verbs that read.
 *
 * Purpose:  status, zones, explain, stats. What is said of a zone comes from the generation that
 *           workers answer from, never from what the mirror is about to do.
 * Not here: backends and pools (watch_json.c).
 * Threads:  control, inside an RCU read.
 * Memory:   each returns a new reference.
 */
#ifndef CONTROL_VIEW_H
#define CONTROL_VIEW_H

#include <jansson.h>

#include "proxy/daemon.h"

/* Pools, zones in numbers, store; "degraded" with "reasons". */
json_t *view_status(struct daemon *d);

json_t *view_zones(struct daemon *d);		/* array of zones */
json_t *view_zone(struct daemon *d, const struct plan_zone *z);
json_t *view_zone_whole(struct daemon *d, const struct plan_zone *z);	/* with examples */

/* `name` in wire form. */
json_t *view_explain(struct daemon *d, const uint8_t *name, uint16_t type);

json_t *view_stats(struct daemon *d);		/* name: value */

#endif
