/* SPDX-License-Identifier: ISC */
/*
 * members - the zones that catalogs give us: each member has one owner, one pool.
 *
 * Purpose:  from the lists of all catalogs (catalog.h), what the configuration says of them, and
 *           what was ours before: which members become zones, and which are refused. Then what
 *           differs.
 *
 *           A zone of the configuration wins over any member. Of two catalogs that have a zone, the
 *           one that had it before keeps it (RFC 9432 s.5.2), or else the one that stands first in
 *           the configuration; but its owner may hand it on by `coo` to another that has it
 *           (s.4.3.1).
 * Not here: zones as plans have them (plan.h), when to look, events (catalogs.h).
 * Owns:     its arrays; pins the generations whose lists it refers to. Borrows the configuration.
 * Threads:  control, inside an RCU read.
 * Memory:   some 40 bytes a member, and as much again while it is made. Aborts when there is none.
 * Spec:     RFC 9432 s.4.3, 5 and 7.
 */
#ifndef MEMBERS_H
#define MEMBERS_H

#include "cache/catalog.h"
#include "proxy/conf.h"

enum member_refusal {
	MEMBER_IS_ZONE,		/* the configuration has it as a zone */
	MEMBER_IS_CATALOG,	/* a catalog of ours, or a name in one */
	MEMBER_TOO_HIGH,	/* the root or a top level domain, and no suffix says that it may be */
	MEMBER_NOT_ALLOWED,	/* at or below none of member-suffixes */
	MEMBER_IS_ELSEWHERE,	/* another catalog has it */
};

/* A sentence for each. */
const char *member_refusal_text(enum member_refusal why);

struct member {
	const struct catalog_member *entry;	/* in the list of its catalog */
	const struct conf_pool *pool;
	const struct conf_group *group;		/* that gave it the pool; NULL: none */
	unsigned catalog;			/* in conf->catalogs */
	bool is_new;				/* we knew its catalog, and had it from nobody */
};

struct member_refused {
	const struct catalog_member *entry;
	unsigned catalog;
	enum member_refusal why;
};

struct members {
	const struct conf *conf;
	const struct generation *lists[CONF_CATALOGS_MAX];	/* by catalog; NULL: none yet */
	struct member *items;			/* in the order of catalog_compare() */
	size_t count;
	struct member_refused *refused;		/* likewise, then by catalog */
	size_t refused_count;
};

/*
 * `lists[i]`: the latest good version of conf->catalogs[i], or NULL. `before`: what was ours so
 * far; NULL: nothing.
 */
struct members *members_new(const struct conf *conf, const struct generation *const *lists,
			    const struct members *before);
void members_free(struct members *m);		/* NULL is fine */

const struct conf_catalog *member_catalog(const struct members *m, const struct member *one);

/*
 * Every member that is in one only (the other NULL), or in both and not the same: another pool,
 * catalog or label. Then every refusal that `old` does not have. `old` may be NULL.
 */
struct members_visitor {
	void (*on_change)(const struct member *old, const struct member *new, void *arg);
	void (*on_refused)(const struct member_refused *r, void *arg);
	void *arg;
};
void members_compare(const struct members *old, const struct members *new,
		     const struct members_visitor *v);

/*
 * What is known of the zone is to be forgotten: its label is another (RFC 9432 s.5.4), or it went
 * to another catalog that its former one has not named in `coo` (s.5.3).
 */
bool member_is_reset(const struct members *old, const struct member *x, const struct members *new,
		     const struct member *y);

#endif
