/* SPDX-License-Identifier: ISC */
/*
 * mirror_catalog - a mirrored zone that is a catalog: which versions of it are taken.
 *
 * Purpose:  a broken version is refused from whatever source, and one of a primary that removes too
 *           many members is held until the operator accepts it. So what is published, saved and
 *           restored is always a good list, and a restart does not take what was held.
 * Not here: reading the list (catalog.h), what follows from it (proxy/catalogs.h). What another of
 *           us has put into the store was judged there.
 * Threads:  the mirror's.
 * Failure:  catalog_held, once for each version; a broken one is the caller's to tell.
 */
#ifndef MIRROR_CATALOG_H
#define MIRROR_CATALOG_H

#include <stdbool.h>

#include "cache/mirror_work.h"

enum { MIRROR_CATALOG_REASON_MAX = 160 };

/*
 * `g` with its list of members; any zone that is no catalog as it is. NULL: it is a broken one, and
 * was freed: *reason says why, `owner` (as text) where.
 */
struct generation *mirror_catalog_only(const struct mirror_work *w, struct generation *g,
				       const char **reason, char owner[NAME_TEXT_MAX]);

/*
 * True when `g` would remove too many members: noted in w->catalog_held, told, `reason` filled.
 * What the operator has accepted may remove as many as he was told of.
 */
bool mirror_catalog_holds(struct mirror_work *w, const struct generation *g,
			  char reason[MIRROR_CATALOG_REASON_MAX]);

/* The operator has accepted a version of another serial: that of a primary that lags is none. */
bool mirror_catalog_is_other(const struct mirror_work *w, uint32_t serial);

#endif
