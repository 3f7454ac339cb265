/* SPDX-License-Identifier: ISC */
/*
 * transfer - a zone transfer as a state machine over messages: bytes in, generation out.
 *
 * Purpose:  makes the SOA and AXFR requests; takes the replies one message at a time,
 *           trusting none of them; ends with a zone_edit ready to finish, or a reason.
 * Not here: sockets and timers (fetch.c), the zone's own rules (zone.c).
 * Owns:     the zone_edit until transfer_take_edit().
 * Threads:  the mirror's.
 * Time:     wall seconds for TSIG only; deadlines are the shell's.
 * Memory:   limits are checked record by record, before anything is stored.
 * Failure:  TRANSFER_FAILED and a sentence; the first one sticks.
 * Spec:     RFC 5936 (AXFR: ID, rcode, question in the first message only, SOA first and
 *           last and identical), RFC 1982, RFC 8945.
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
	TRANSFER_UP_TO_DATE,	/* the SOA reply says there is nothing newer */
	TRANSFER_NEWER,		/* the SOA reply says there is; now ask for the zone */
	TRANSFER_FAILED,	/* transfer_reason() says why */
};

struct transfer_limits {
	size_t max_records;	/* 0: none */
	size_t max_bytes;	/* of the zone; messages may take twice that. 0: none */
	unsigned max_empty;	/* messages without an answer record, in all */
};

enum { TRANSFER_ASK_MAX = 1024, TRANSFER_REASON_MAX = 400 };

struct transfer;

/* `origin` lower case. `key` may be NULL and outlives the transfer. */
struct transfer *transfer_new(const uint8_t *origin, const struct tsig_key *key,
			      const struct transfer_limits *limits);
void transfer_free(struct transfer *t);		/* NULL is fine */

/*
 * Writes the next request: SOA first, then AXFR (or AXFR at once). Each has its own `id`
 * (random, from the caller). An AXFR may be asked for again, on a new connection, while no
 * reply to it was taken. Returns the length; TRANSFER_ASK_MAX bytes always suffice.
 */
size_t transfer_ask_soa(struct transfer *t, uint16_t id, uint64_t now_s, uint8_t *out, size_t cap);
size_t transfer_ask_axfr(struct transfer *t, uint16_t id, uint64_t now_s, uint8_t *out, size_t cap);

/*
 * Takes one reply message. `have` is the generation that we hold, or NULL: with an SOA
 * reply it decides between UP_TO_DATE and NEWER (RFC 1982).
 */
enum transfer_status transfer_take_message(struct transfer *t, const struct generation *have,
					   const uint8_t *message, size_t len, uint64_t now_s);

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
size_t transfer_records(const struct transfer *t);	/* the last SOA not counted */
size_t transfer_bytes(const struct transfer *t);	/* of all AXFR messages */

/* After DONE, once: the caller owns the edit. */
struct zone_edit *transfer_take_edit(struct transfer *t);

#endif
