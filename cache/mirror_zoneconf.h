/* SPDX-License-Identifier: ISC */
/*
 * mirror_zoneconf - the mirror's own copies of struct mirror_zone_conf.
 *
 * Purpose:  a hundred thousand zones with one primary have one copy of its address and key.
 * Owns:     the copies, until zoneconf_free(). Secrets are wiped with the last of them.
 * Threads:  made by control, freed by control or the mirror's.
 * Memory:   aborts when there is none.
 */
#ifndef MIRROR_ZONECONF_H
#define MIRROR_ZONECONF_H

#include "cache/mirror.h"

/*
 * A copy of `conf`. `like`: of another zone whose copy is `made`; when both point to the same
 * primaries, so do the copies. NULL: nobody.
 */
struct mirror_zone_conf *zoneconf_copy(const struct mirror_zone_conf *conf,
				       const struct mirror_zone_conf *like,
				       const struct mirror_zone_conf *made);
void zoneconf_free(struct mirror_zone_conf *conf);	/* NULL is fine */

bool zoneconf_is_same(const struct mirror_zone_conf *a, const struct mirror_zone_conf *b);

#endif
