/* SPDX-License-Identifier: ISC */
/*
 * transfer - a zone transfer as a state machine over messages: bytes in, generation out.
 *
 * Purpose:  makes the SOA, AXFR and IXFR requests; takes the replies one message at a time,
 *           trusting none of them; ends with a zone_edit ready to finish, or a reason. A
 *           difference is applied to a copy of what we hold, as it comes.
 * Not here: sockets and timers (fetch.c), the zone's own rules (zone.c).
 * Owns:     the zone_edit until transfer_take_edit().
 * Threads:  the mirror's.
 * Time:     wall seconds for TSIG only; deadlines are the shell's.
 * Memory:   limits are checked record by record, before anything is stored.
 * Failure:  TRANSFER_FAILED and a sentence; the first one sticks. A difference that fails
 *           anywhere leaves nothing: whoever asked for it asks for the zone.
 * Spec:     RFC 5936 (AXFR: ID, rcode, question in the first message only, SOA first and
 *           last and identical), RFC 1995 (IXFR), RFC 1982, RFC 8945, RFC 7314 (EXPIRE).
 */
#ifndef TRANSFER_H
#define TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/tsig.h"
#include "cache/zone.h"

enum transfer_status {
	TRANSFER_MORE,		/* feed the next message */
	TRANSFER_DONE,		/* complete; take the edit */
	TRANSFER_UP_TO_DATE,	/* the reply to SOA or IXFR says there is nothing newer */
	TRANSFER_NEWER,		/* the SOA reply says there is; now ask for the zone */
	TRANSFER_ASK_AGAIN,	/* the same, which will be without EDNS now */
	TRANSFER_FAILED,	/* transfer_reason() says why */
};

struct transfer_limits {
	size_t max_records;	/* 0: none */
	size_t max_bytes;	/* of the zone; messages may take twice that. 0: none */
	unsigned max_empty;	/* messages without an answer record, in all */
	unsigned max_rrset;	/* records of one; 0: what a zone can hold */
};

enum { TRANSFER_ASK_MAX = 1024, TRANSFER_REASON_MAX = 400 };

struct transfer;

/* `origin` lower case. `key` may be NULL and outlives the transfer. */
struct transfer *transfer_new(const uint8_t *origin, const struct tsig_key *key,
			      const struct transfer_limits *limits);
void transfer_free(struct transfer *t);		/* NULL is fine */

/*
 * Writes the next request: SOA first, then AXFR or IXFR (or one of these at once). Each has
 * its own `id` (random, from the caller). The same may be asked again, on a new connection,
 * while no reply to it was taken. Returns the length; TRANSFER_ASK_MAX bytes always suffice.
 */
size_t transfer_ask_soa(struct transfer *t, uint16_t id, uint64_t now_s, uint8_t *out, size_t cap);
size_t transfer_ask_axfr(struct transfer *t, uint16_t id, uint64_t now_s, uint8_t *out, size_t cap);
size_t transfer_ask_ixfr(struct transfer *t, const struct generation *have, uint16_t id,
			 uint64_t now_s, uint8_t *out, size_t cap);

/*
 * Takes one reply message. `have` is the generation that we hold, or NULL: with an SOA
 * reply it decides between UP_TO_DATE and NEWER (RFC 1982).
 */
enum transfer_status transfer_take_message(struct transfer *t, const struct generation *have,
					   const uint8_t *message, size_t len, uint64_t now_s);

/*
 * True when the reply to IXFR so far is one newer SOA: more may come, or this is how the
 * primary says that it has no difference (RFC 1995 s.4 has that for UDP alone).
 */
bool transfer_is_lone(const struct transfer *t);

/* The peer closed the stream, or the shell gave up: a failure unless DONE. */
void transfer_close(struct transfer *t, const char *reason);

/* Why it failed, as a sentence for the event; never NULL. */
const char *transfer_reason(const struct transfer *t);

/*
 * ZONE_OK, or the zone's own rule that a record broke, with its owner (valid as long as
 * the transfer): the transfer as such was good.
 */
enum zone_error transfer_zone_error(const struct transfer *t, const uint8_t **owner);

uint32_t transfer_serial(const struct transfer *t);	/* that the primary reported */
size_t transfer_bytes(const struct transfer *t);	/* of all messages but the SOA reply */

/* Of the zone; of a difference those removed and those added, SOAs not counted. */
size_t transfer_records(const struct transfer *t);

/* True when what came was a difference, and not (or not yet) the whole zone. */
bool transfer_is_difference(const struct transfer *t);

/* Seconds until the primary's own copy expires, RFC 7314; UINT32_MAX: it did not say. */
uint32_t transfer_expire_s(const struct transfer *t);

/* After DONE, once: the caller owns the edit. */
struct zone_edit *transfer_take_edit(struct transfer *t);

#endif
