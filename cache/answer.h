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
 *           RFC 9471 (glue or TC). Where these leave a choice, as NSD does.
 */
#ifndef ANSWER_H
#define ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/message.h"
#include "cache/zone.h"

struct answer_ask {
	const struct generation *zone;	/* the name is at or below its origin */
	const struct message *query;	/* MESSAGE_OK, opcode QUERY */
	const uint8_t *packet;		/* the query's bytes */
	const struct name_key *key;	/* lookup form of query->qname */
	const uint8_t *cookie;		/* COOKIE_FULL_LEN bytes to return, or NULL */
	size_t limit;			/* the most bytes this client takes: DNS_UDP_MAX or more */
	bool is_tcp;
};

/* Writes the reply into `out` (ask->limit bytes at least) and returns its length. */
size_t answer_write(const struct answer_ask *ask, uint8_t *out);

#endif
