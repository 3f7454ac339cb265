/* SPDX-License-Identifier: ISC */
/*
 * shadow - a server's answer beside what the mirror would have said to the same question.
 *
 * Purpose:  tells whether two answers mean the same to a client: rcode, AA, the answer's records
 *           as a set; of a referral the NS records. Order, TTL, additional records, signatures and
 *           their chains do not matter.
 * Not here: which answers are compared (dispatch_shadow.c), and whether the server had the
 *           mirror's version of the zone at all (watch_shadow.h): a difference is a suspicion.
 * Owns:     room for both answers, made once.
 * Threads:  any, each with its own struct shadow; inside an RCU read.
 * Memory:   all of it in shadow_new().
 * Failure:  a reply that cannot be read, was cut short, or is an error tells nothing.
 * Spec:     RFC 1034 s.4.3.2, RFC 6604 (rcode of a chain).
 */
#ifndef SHADOW_H
#define SHADOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/message.h"
#include "cache/zone.h"

enum {
	SHADOW_RDATA_MAX = 64,		/* of the example: the rest of a long record is left out */
	SHADOW_TEXT_MAX = NAME_TEXT_MAX + 80,
};

enum shadow_verdict {
	SHADOW_SAME,
	SHADOW_DIFFERS,
	SHADOW_NOTHING,		/* nothing that could be compared */
};

/* What one side says, in short. */
struct shadow_side {
	uint8_t rcode;
	bool is_authoritative, is_referral;
	uint8_t count;		/* records */
	bool has_extra;		/* one of them that the other side lacks: */
	uint16_t type, len;	/* `len` may be more than is kept of it */
	uint8_t rdata[SHADOW_RDATA_MAX];
};

struct shadow_ask {
	const struct generation *zone;	/* the name is at or below its origin */
	const struct message *query;	/* MESSAGE_OK */
	const uint8_t *packet;		/* the query's bytes */
	const struct name_key *key;	/* lookup form of query->qname */
	const uint8_t *reply;
	size_t len;
};

struct shadow;

struct shadow *shadow_new(void);	/* aborts if memory is short */
void shadow_free(struct shadow *s);	/* NULL is fine */

/* An unsigned question of class IN for data that does not depend on who is asked. */
bool shadow_is_comparable(const struct message *query);

/* With SHADOW_DIFFERS both sides are set. */
enum shadow_verdict shadow_compare(struct shadow *s, const struct shadow_ask *ask,
				   struct shadow_side *theirs, struct shadow_side *ours);

/* "NXDOMAIN", "2 records, A 192.0.2.1": printable; the record is one that the other side lacks. */
char *shadow_text(const struct shadow_side *side, char text[SHADOW_TEXT_MAX]);

#endif
