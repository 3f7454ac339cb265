/* SPDX-License-Identifier: ISC */
/*
 * catalogs - members of catalogs appear and vanish without an operator.
 *
 * Purpose:  looks several times a second whether the mirror has a new version of some catalog;
 *           if so makes a plan of the same configuration with the members as they are now, and
 *           takes it into use as a reload does. Tells what changed, and has zones transferred anew
 *           whose label did.
 * Not here: reading catalogs (cache/catalog.h), versions that are refused or held
 *           (cache/mirror_catalog.h), whose a member is (members.h).
 * Owns:     its timer, its thread. What it knows of catalogs is in the plan in use (plan->members).
 * Threads:  control, inside an RCU read; plans are drafted in a thread beside it (aside.h).
 * Time:     updates in a row are taken together: two seconds apart, and further when there are so
 *           many zones that a plan takes long, so that it is not over 5 % of control's time.
 * Failure:  none: a catalog without a good version leaves its members as they were.
 */
#ifndef CATALOGS_H
#define CATALOGS_H

#include <stdbool.h>

#include "proxy/plan.h"

struct catalogs;
struct daemon;

struct catalogs *catalogs_new(struct daemon *d);
void catalogs_free(struct catalogs *c);		/* NULL is fine */

/* Takes what is new at once. False: nothing is. */
bool catalogs_take(struct catalogs *c);

/* Until no plan is in the making: before another one replaces that in use. NULL is fine. */
void catalogs_settle(struct catalogs *c);

/* The members of `conf` by what is held of its catalogs, and by whose they are in `plan`. */
struct members *catalogs_gather(const struct plan *plan, const struct conf *conf);

/* `new` has taken the place of `old`: events, and transfers of zones that are to begin anew. */
void catalogs_tell(struct mirror *mirror, const struct plan *old, const struct plan *new);

#endif
