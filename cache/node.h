/* SPDX-License-Identifier: ISC */
/*
 * node - one owner name and its RRsets in a single packed allocation.
 *
 * Purpose:  the leaf of a zone's tree as bytes: 12 bytes of head, the name, the sets. The
 *           reading side is declared in zone.h; here is what builds and counts nodes.
 * Not here: how a node comes about record by record (draft.h).
 *
 *      node = head | name | set ... by (type, covered)
 *      set  = struct packed_set | count times { u16 length (network order), rdata }
 *
 * Owns:     itself, by a count: each tree that has it is one reference.
 * Threads:  node_hold/drop in the mirror's thread only; the rest never changes.
 * Memory:   node_new() allocates and aborts when it cannot.
 */
#ifndef NODE_H
#define NODE_H

#include <stddef.h>
#include <stdint.h>

#include "cache/tree.h"
#include "cache/zone.h"

enum node_flag {
	NODE_CUT = 1,		/* NS below the apex: RFC 1034 s.4.2.1 */
	NODE_DNAME = 2,
	NODE_CLASH = 4,		/* CNAME beside what may not be: RFC 2181 s.10.1 */
	NODE_NSEC3 = 8,		/* NSEC3 and their signatures, and nothing else */
	NODE_COMPUTED = 16,	/* ALIAS or LUA: see node_is_computed() */
};

struct node {
	uint32_t refs;
	uint32_t sets_len;	/* bytes of all sets */
	uint8_t flags;		/* enum node_flag */
	uint8_t name_len;
	uint8_t bytes[];	/* name, then sets; nothing in it is aligned */
};

/*
 * A node of `count` sets, which must be in order of (type, covered). One reference, the
 * caller's. `is_apex` tells a cut from the apex.
 */
struct node *node_new(const uint8_t *owner, bool is_apex, const struct rrset *sets, size_t count);

/* What its records weigh on the wire: owner + 10 + rdata, summed (as generation.bytes). */
size_t node_wire_len(const struct node *n);
size_t node_record_count(const struct node *n);

/* For trees of nodes. */
extern const struct tree_ops node_tree_ops;

#endif
