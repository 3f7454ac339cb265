/* SPDX-License-Identifier: ISC */
/*
 * mirror_status - what operators see of a zone, in as few bytes as it takes.
 *
 * Purpose:  each zone keeps such a copy for other threads (mirror.h). Most of its texts are empty,
 *           the rest short: packed they take a fifth, and a hundred thousand zones have one each.
 * Owns:     nothing; the caller frees what is packed with free().
 * Threads:  any; the copy is guarded by its owner's mutex.
 * Failure:  aborts when memory is short.
 */
#ifndef MIRROR_STATUS_H
#define MIRROR_STATUS_H

#include "cache/mirror.h"

struct status_packed;

struct status_packed *status_pack(const struct mirror_zone_status *status);

/* NULL is a zone of which nothing is known yet: all zeroes. */
void status_unpack(const struct status_packed *packed, struct mirror_zone_status *status);

#endif
