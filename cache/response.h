/* SPDX-License-Identifier: ISC */
/*
 * response - the compressing writer of an answer: sections, counts, OPT, whole RRsets.
 *
 * Purpose:  puts RRsets into a buffer that never grows past the client's limit, and
 *           keeps room for OPT from the start, so that OPT always fits.
 * Not here: which RRsets belong into an answer (answer.c).
 * Threads:  one per response, on its caller's stack.
 * Memory:   none. It remembers names that it was given, for compression: they must stay
 *           where they are until response_end().
 * Failure:  an RRset that does not fit leaves no byte behind (RFC 2181 s.9). Extended errors take
 *           the room that is left in the end: they push nothing out (RFC 8914 s.3).
 * Spec:     RFC 1035 s.4.1, RFC 3597 s.4 (only old types are compressed), RFC 6891.
 */
#ifndef RESPONSE_H
#define RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/message.h"
#include "cache/name.h"
#include "cache/wire.h"
#include "cache/zone.h"

enum section { SECTION_ANSWER = 1, SECTION_AUTHORITY = 2, SECTION_ADDITIONAL = 3 };

/*
 * Names to point at, found by their hash; what finds no place is not pointed at, so work
 * and memory are bounded whatever a zone holds. The end that a name shares with the question's,
 * as most do, is compared instead.
 */
enum { RESPONSE_NAMES = 256 };

/* Where each label of a name begins, the leftmost first, and behind them the root. */
struct response_labels {
	uint8_t count;
	uint8_t start[NAME_LABELS_MAX + 1];
};

struct response {
	struct wire_out out;	/* cap: the limit less what OPT needs */
	uint16_t flags;		/* the second word of the header, host order */
	uint16_t counts[4];	/* QDCOUNT, ANCOUNT, NSCOUNT, ARCOUNT */
	const struct message *query;	/* borrowed until response_end() */
	const struct edns_reply *edns;	/* likewise; NULL: nothing to tell in OPT */
	size_t opt_len;		/* bytes kept back for OPT; 0: no OPT */
	enum dns_ede ede;	/* EDE_NONE unless response_set_ede() */
	uint16_t class;		/* of the records: IN, unless the caller sets another */
	uint32_t ttl_max;	/* no record says more; UINT32_MAX unless the caller sets another */
	uint16_t rotation;	/* 0: RRsets as the zone has them; see response_put() */
	const uint8_t *owner;	/* of the RRset before, NULL: not known; its signatures have it, too */
	uint16_t owner_at;	/* where that stands; 0: nowhere to point at */
	bool has_names;		/* else what follows is not set yet: the question's name needs none of it */
	struct response_labels question;
	uint16_t at[RESPONSE_NAMES];	/* offset of names[i]; 0: no entry */
	uint16_t tags[RESPONSE_NAMES];	/* a part of its hash */
	const uint8_t *names[RESPONSE_NAMES];
};

/* A state to come back to. */
struct response_mark {
	size_t len;
	uint16_t counts[4];
};

/*
 * Starts a response to `query`, whose bytes are `packet`, with its question as it stands.
 * `edns` is what its OPT may tell, or NULL. `limit` is DNS_UDP_MAX at least.
 */
void response_begin(struct response *r, const struct message *query, const uint8_t *packet,
		    const struct edns_reply *edns, uint8_t *out, size_t limit);

/*
 * Adds a whole RRset under `owner`, or returns false and adds nothing. In the answer section the
 * records begin with number `r->rotation`, counted around; signatures stay as they are.
 */
bool response_put(struct response *r, enum section section, const uint8_t *owner,
		  const struct rrset *set);

struct response_mark response_mark(const struct response *r);
void response_undo(struct response *r, const struct response_mark *to);

/* The reason that a client with EDNS shall hear; the last one counts. */
void response_set_ede(struct response *r, enum dns_ede ede);

/*
 * Writes OPT and the header. An rcode over 15 needs a query with EDNS. Returns the length of the
 * whole.
 */
size_t response_end(struct response *r, enum dns_rcode rcode);

#endif
