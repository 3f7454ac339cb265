/* SPDX-License-Identifier: ISC */
/*
 * mirror_version - a version of a zone that a primary delivered: is it taken?
 *
 * Purpose:  builds the generation, asks whether it is wanted at all (newer, not frozen by an order,
 *           no catalog that loses too much), has it reviewed, and looks again afterwards: while a
 *           program took its time, a store may have brought another one, or the operator an order.
 *
 *      the last byte --> build --> wanted? --> review --> still wanted? --> attempt_delivered()
 *                          |         |            |             |
 *                          '---------'------------'-------------'--> another end of the attempt
 *
 * Not here: the review (mirror_review.h), what follows (mirror_attempt.h).
 * Threads:  the mirror's.
 */
#ifndef MIRROR_VERSION_H
#define MIRROR_VERSION_H

#include "cache/mirror_work.h"

/* `t`, of the zone's fetch, is complete. */
void version_take(struct mirror_work *w, struct transfer *t);

#endif
