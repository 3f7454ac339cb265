/* SPDX-License-Identifier: ISC */
/*
 * balance_parts - what the files of balance share. Private to balance*.c.
 *
 *      balance.c           who gets the query, of those that may have it
 *      balance_eligible.c  who may have it
 */
#ifndef BALANCE_PARTS_H
#define BALANCE_PARTS_H

#include "proxy/balance.h"

/* By its state and the question. `random` NULL: asks whether it could be chosen at all. */
bool balance_is_eligible(const struct balance_ask *ask, const struct plan_target *t,
			 struct random *random);

/* It can take one more query, as far as we know. */
bool balance_has_room(const struct balance *b, const struct balance_ask *ask,
		      const struct plan_target *t);

/*
 * A backend's data of this zone are older than others', or otherwise not to be trusted; a mirror
 * lags behind a primary.
 */
bool balance_is_held(const struct balance_ask *ask, const struct plan_target *t);

/* The first target of the first tier that is not left out. */
unsigned balance_first_allowed(const struct balance_ask *ask);

#endif
