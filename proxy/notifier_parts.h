/* SPDX-License-Identifier: ISC */
/*
 * notifier_parts - what the files of the notifier share. Private to notifier*.c.
 *
 *      notifier.c       notes from workers; which backends are to be told
 *      notifier_peer.c  one backend: its socket, what it has not acknowledged
 */
#ifndef NOTIFIER_PARTS_H
#define NOTIFIER_PARTS_H

#include "cache/notify.h"
#include "cache/random.h"
#include "proxy/notifier.h"
#include "proxy/plan.h"

struct peer;

/* What all peers share; the notifier's. */
struct peers {
	struct ev_loop *loop;
	struct random random;
	struct notifier_counts counts;
};

/* For this backend of the pool. Opens nothing yet. */
struct peer *peer_new(struct peers *shared, const struct plan_pool *pool,
		      const struct plan_target *target);
void peer_free(struct peer *p);

/* The same pool, name, address and key. */
bool peer_is_for(const struct peer *p, const struct plan_pool *pool,
		 const struct plan_target *target);

/* It shall hear that this zone has changed: at once, or a second after it was told last. */
void peer_tell(struct peer *p, const uint8_t *origin);

#endif
