/* SPDX-License-Identifier: ISC */
/*
 * denial - which NSEC or NSEC3 records prove that something is not there.
 *
 * Purpose:  collects, for one answer, the nodes whose NSEC or NSEC3 a validator needs; chooses
 *           the chain that a zone's answers use.
 * Not here: what the answer is (answer.c), hashing (nsec3.h).
 * Threads:  workers, each inside an RCU read.
 * Memory:   none; a struct denial lies on its caller's stack and points into generations.
 * Failure:  a chain with gaps gives the nearest record there is, which a validator will refuse:
 *           faithful or not, nothing is made up here. Over the budget of hashing: is_over.
 * Spec:     RFC 4035 s.3.1.3 (NSEC), RFC 5155 s.7.2 (NSEC3), RFC 6840, RFC 9077.
 *
 *      what is not there             NSEC                        NSEC3
 *      the type                      at the name                 at the name, or as below (opt-out)
 *      the name                      over the name, over *       at the closest encloser, over the
 *                                                                next closer name, over *
 *      the name, but * answers       over the name               over the next closer name
 *      the type at *                 over the name, at *         at the closest encloser, over the
 *                                                                next closer name, at *
 *      DS at a cut                   as a type                   as a type
 */
#ifndef DENIAL_H
#define DENIAL_H

#include "cache/zone.h"

enum { DENIAL_NODES_MAX = 32 };

struct denial {
	struct nsec3_hasher *hasher;
	bool is_over;		/* the budget of hashing is used up: the proof is not whole */
	unsigned count;
	const struct node *nodes[DENIAL_NODES_MAX];	/* each once, in the order found */
};

/* Finds which chain, if any, a new generation proves with. By zone_edit_finish() alone. */
void denial_settle(struct generation *g);

/* `hasher` may be NULL when the zones are known to have no NSEC3. */
void denial_begin(struct denial *d, struct nsec3_hasher *hasher);

/* `n` exists, perhaps as an empty non-terminal, and has not the type; or is a cut without DS. */
void denial_of_type(struct denial *d, const struct generation *g, const struct node *n);

/* `name` does not exist below `encloser`, the closest that does; nor a wildcard there. */
void denial_of_name(struct denial *d, const struct generation *g, const uint8_t *name,
		    const struct name_key *key, const struct node *encloser);

/* `name` itself does not exist: the wildcard at `encloser` answers for it. */
void denial_of_exact_name(struct denial *d, const struct generation *g, const uint8_t *name,
			  const struct name_key *key, const struct node *encloser);

/* That wildcard has not the type: goes with denial_of_exact_name(). */
void denial_of_wildcard_type(struct denial *d, const struct generation *g,
			     const struct node *encloser, const struct node *wildcard);

#endif
