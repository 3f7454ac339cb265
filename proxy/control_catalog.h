/* SPDX-License-Identifier: ISC */
/*
 * control_catalog - catalogs and their members as operators see them, in JSON.
 *
 * Purpose:  what the views of control_view.h say of a zone that is a catalog, or comes from one.
 * Threads:  control, inside an RCU read.
 */
#ifndef CONTROL_CATALOG_H
#define CONTROL_CATALOG_H

#include <jansson.h>

#include "proxy/plan.h"

/* "catalog" and "group" of a member; nothing for a zone of the configuration. */
void catalog_put_origin(json_t *zone, const struct plan *p, const struct plan_zone *z);

/* Numbers of a catalog; "held", when a new version waits for the operator. */
void catalog_put_counts(json_t *zone, const struct plan *p, const struct plan_zone *z,
			const struct mirror_zone_status *s);

/* Its members, and who is refused with the reason: the first thousand of each. */
void catalog_put_members(json_t *zone, const struct plan *p, const struct plan_zone *z);

/* What of all catalogs makes us degraded. */
void catalog_put_reasons(json_t *reasons, struct mirror *mirror, const struct plan *p);

#endif
