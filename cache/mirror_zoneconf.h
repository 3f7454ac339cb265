/* SPDX-License-Identifier: ISC */
/*
 * mirror_zoneconf - the mirror's own copies of struct mirror_zone_conf.
 *
 * Purpose:  a hundred thousand zones of one pool have one copy of what is said of them: all but
 *           their origins, which a copy lacks.
 * Owns:     the copies, until zoneconf_free(). Secrets are wiped with the last of them.
 * Threads:  made by control, freed by control or the mirror's.
 * Memory:   aborts when there is none.
 */
#ifndef MIRROR_ZONECONF_H
#define MIRROR_ZONECONF_H

#include "cache/mirror.h"

/*
 * A copy of `conf`, without its origin; or `made` itself, the copy of another zone's `like`, when
 * both point to the same primaries and are the same in all else: each is freed for itself.
 * `like` NULL: there is none.
 */
const struct mirror_zone_conf *zoneconf_copy(const struct mirror_zone_conf *conf,
					     const struct mirror_zone_conf *like,
					     const struct mirror_zone_conf *made);
void zoneconf_free(const struct mirror_zone_conf *copy);	/* NULL is fine */

/* Nothing that a transfer or a review goes by has changed. */
bool zoneconf_is_same(const struct mirror_zone_conf *a, const struct mirror_zone_conf *b);

#endif
