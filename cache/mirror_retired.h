/* SPDX-License-Identifier: ISC */
/*
 * mirror_retired - generations that were replaced and wait for their last reader.
 *
 * Purpose:  frees each when workers have passed (rcu_wait) and nobody holds it: a dump or a
 *           commit to the store may hold one for long, and must not hold up the others.
 * Owns:     the generations given to it.
 * Threads:  the mirror's; a registered RCU thread.
 * Memory:   a list that grows by what is given; aborts when it cannot.
 */
#ifndef MIRROR_RETIRED_H
#define MIRROR_RETIRED_H

#include <stdbool.h>
#include <stddef.h>

#include "cache/zone.h"

struct retired {
	struct generation **list;
	size_t count, room;
	size_t passed;		/* list[0 .. passed-1]: no reader can still come to it */
};

void retired_init(struct retired *r);
void retired_fini(struct retired *r);	/* frees all, held or not: the readers are gone */

/* Takes a generation that is published nowhere any more. NULL is fine. */
void retired_add(struct retired *r, struct generation *g);

/* True when retired_pass() would have to wait for readers. */
bool retired_is_fresh(const struct retired *r);

/* Waits for the readers if need be, and frees what nobody holds. */
void retired_pass(struct retired *r);

#endif
