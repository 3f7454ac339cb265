/* SPDX-License-Identifier: ISC */
/*
 * answer - what a zone says to a question: RFC 1034 s.4.3.2 as a pure function.
 *
 * Purpose:  (generation, question) -> bytes of a complete reply.
 * Not here: whether we may answer at all (dispatch.c), malformed queries (message.h).
 * Threads:  workers, each inside an RCU read.
 * Memory:   none; the reply goes into the caller's buffer.
 * Failure:  none: whatever the zone holds, some reply comes out that fits `limit`.
 * Spec:     RFC 1034 s.4.3.2, RFC 2181, RFC 2308 (negative), RFC 4592 (wildcards),
 *           RFC 6604 (rcode of a chain), RFC 6672 (DNAME), RFC 6891, RFC 8482 (ANY),
 *           RFC 9471 (glue or TC), RFC 4035 s.3 and RFC 5155 s.7 (denial.h). Where these
 *           leave a choice, as NSD does. Past expire: RFC 8767 s.4 (30 s), RFC 8914 s.4.4.
 */
#ifndef ANSWER_H
#define ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/message.h"
#include "cache/zone.h"

/* The other zones that we may answer for, for aliases that lead there. */
struct answer_zones {
	/*
	 * The generation to answer a question for `name` and `type` from; NULL: none of ours.
	 * When a zone was met before in the same answer, its generation of then is used.
	 */
	const struct generation *(*find)(void *arg, const uint8_t *name,
					 const struct name_key *key, uint16_t type);
	void *arg;
};

struct answer_ask {
	const struct generation *zone;	/* the name is at or below its origin */
	const struct message *query;	/* MESSAGE_OK, opcode QUERY */
	const uint8_t *packet;		/* the query's bytes */
	const struct name_key *key;	/* lookup form of query->qname */
	const struct tree_match *found;	/* where it fell in `zone`; NULL: nobody has looked */
	const struct edns_reply *edns;	/* what OPT may tell, or NULL */
	const struct answer_zones *zones;	/* NULL: aliases are followed in `zone` alone */
	struct nsec3_hasher *hasher;	/* begun for this query; NULL: NSEC3 zones get SERVFAIL */
	size_t limit;			/* the most bytes this client takes: DNS_UDP_MAX or more */
	bool is_tcp;
	bool is_rotating;		/* RRsets of the answer begin anywhere, by the query's ID */
};

/*
 * Whether the zone itself has records to answer with: of that type, or an alias; a wildcard's
 * count. False below a cut or a DNAME, and for what only the primary can compute.
 */
bool answer_has_data(const struct generation *zone, const struct name_key *key, uint16_t type);

/* Writes the reply into `out` (ask->limit bytes at least) and returns its length. */
size_t answer_write(const struct answer_ask *ask, uint8_t *out);

#endif
