/* SPDX-License-Identifier: ISC */
/*
 * catalog - a catalog zone read as a list of member zones.
 *
 * Purpose:  finds the members of a generation, their labels, groups and changes of ownership, all
 *           or nothing; counts what a newer list has lost.
 *
 *      version.$CATZ              TXT "2"
 *      LABEL.zones.$CATZ          PTR example.com.       a member
 *      group.LABEL.zones.$CATZ    TXT "edge"             of it; any number
 *      coo.LABEL.zones.$CATZ      PTR other-catalog.     it may move there
 *
 *           Everything else (other types, other properties, `ext`) is passed over.
 * Not here: which members become zones of ours (proxy/members.h), transfers, events.
 * Owns:     a list its names in lower case; labels, groups and coo lie in the generation.
 * Threads:  made by the mirror's and freed with the generation; read by control, which pins it.
 * Memory:   some 60 bytes a member; bounded by what the caller gives. Aborts when there is none.
 * Failure:  enum catalog_fault, with the owner name that is at fault. A broken catalog has no list
 *           (RFC 9432 s.5.1).
 * Spec:     RFC 9432 s.4.
 */
#ifndef CATALOG_H
#define CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/zone.h"

enum { CATALOG_GROUP_MAX = 255 };	/* no RFC: one string of a TXT record */

enum catalog_fault {
	CATALOG_OK,
	CATALOG_NO_VERSION,	/* no TXT at version.$CATZ */
	CATALOG_BAD_VERSION,	/* another one than "2", or several */
	CATALOG_PTR_TWICE,	/* a member node with two zones */
	CATALOG_COO_TWICE,
	CATALOG_ZONE_TWICE,	/* one zone under two labels */
	CATALOG_TOO_MANY,	/* more members than the caller allows */
};

/* A sentence for each. */
const char *catalog_fault_text(enum catalog_fault fault);

/* The rdata of one TXT record. */
struct catalog_group {
	const uint8_t *rdata;
	uint16_t len;
};

struct catalog_member {
	const uint8_t *zone;	/* lower case */
	const uint8_t *label;	/* its length, then its bytes, case as sent */
	const uint8_t *coo;	/* the catalog that it may move to; NULL: none */
	uint32_t first_group, group_count;	/* of catalog->groups */
};

struct catalog {
	struct catalog_member *members;	/* in the order of catalog_compare() */
	size_t count;
	struct catalog_group *groups;
	size_t group_count;
	uint8_t *names;		/* of the members */
};

/*
 * The list of `g`, or NULL with the fault and the owner name at fault, which lies in `g`. Keep `g`
 * for as long as the list.
 */
struct catalog *catalog_read(const struct generation *g, size_t max_members,
			     enum catalog_fault *fault, const uint8_t **owner);
void catalog_free(struct catalog *c);		/* NULL is fine */

/* The order of members: any one that is the same everywhere. Names in lower case. */
int catalog_compare(const uint8_t *a, const uint8_t *b);

/* NULL: not a member. `zone` in lower case. */
const struct catalog_member *catalog_find(const struct catalog *c, const uint8_t *zone);

bool catalog_is_in_group(const struct catalog *c, const struct catalog_member *m,
			 const char *group);

/* The member node was not renamed: RFC 9432 s.5.4. */
bool catalog_is_same_label(const struct catalog_member *a, const struct catalog_member *b);

/* True when a member that has left its list is in the one that its `coo` names. */
typedef bool (*catalog_moved_fn)(const struct catalog_member *gone, void *arg);

/* Members of `old` that `new` does not have, but for those with a `coo` that have moved there. */
size_t catalog_lost(const struct catalog *old, const struct catalog *new,
		    catalog_moved_fn has_moved, void *arg);

/*
 * True when these are more than `percent` of the members of `old`. Three may always go, but of
 * those that leave nothing behind only one; 100: any number.
 */
bool catalog_loses_too_many(const struct catalog *old, const struct catalog *new, size_t lost,
			    unsigned percent);

#endif
