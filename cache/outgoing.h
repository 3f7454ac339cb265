/* SPDX-License-Identifier: ISC */
/*
 * outgoing - a zone transfer to a client, written message by message.
 *
 * Purpose:  AXFR and IXFR from one generation throughout: begin, then the next message
 *           whenever the client has taken the one before, however long that takes.
 * Not here: who may have the zone (dispatch_transfer.c), connections (tcp_transfer.c).
 *
 *   AXFR   SOA, every other record, SOA
 *   IXFR   SOA, then for each difference { old SOA, removed, new SOA, added }, SOA
 *          no such differences: as AXFR; nothing newer: the SOA alone
 *
 * Owns:     a hold on the generation, from outgoing_begin() to outgoing_end(); a copy of the
 *           request and of its key, so that a reload of the configuration disturbs nothing.
 * Threads:  one; outgoing_begin() inside an RCU read.
 * Memory:   embedded in its owner; nothing else.
 * Failure:  a record that fits into no message ends the transfer: outgoing_next() says so.
 * Spec:     RFC 5936 s.2.2 (messages of AXFR: the question in each, as some old clients want),
 *           RFC 1995 s.2 to s.4, RFC 8945 s.5.3.1 (each message signed).
 */
#ifndef OUTGOING_H
#define OUTGOING_H

#include "cache/history.h"
#include "cache/message.h"
#include "cache/tsig_server.h"
#include "cache/zone_cursor.h"

enum {
	OUTGOING_REQUEST_MAX = 2048,	/* the longest lawful request, with room to spare */
	OUTGOING_MESSAGE_AIM = 16384,	/* pointers reach no further, and others want their turn */
};

enum outgoing_kind { OUTGOING_AXFR, OUTGOING_IXFR, OUTGOING_SOA };

struct outgoing_ask {
	const struct generation *zone;
	const uint8_t *packet;		/* the request, well-formed, its name the zone's */
	size_t len;			/* OUTGOING_REQUEST_MAX at most */
	bool is_ixfr;
	uint32_t serial;		/* IXFR: what the client has */
	const struct tsig_session *session;	/* NULL: the request was not signed */
};

enum outgoing_stage {
	STAGE_FIRST_SOA, STAGE_ZONE, STAGE_DIFFERENCES, STAGE_LAST_SOA, STAGE_DONE,
};

struct outgoing {
	const struct generation *zone;
	enum outgoing_kind kind;
	enum outgoing_stage stage;
	struct zone_cursor cursor;	/* STAGE_ZONE */
	size_t difference, difference_pos;	/* STAGE_DIFFERENCES: which, and where in it */
	struct zone_record record;	/* the next one; none when STAGE_DONE */
	uint64_t messages, bytes, records;	/* written so far */

	struct message query;		/* points into `packet` */
	uint8_t packet[OUTGOING_REQUEST_MAX];
	bool is_signed;
	struct tsig_session session;
	struct tsig_key key;
};

/* The kind of reply that this request gets. */
enum outgoing_kind outgoing_kind_of(const struct outgoing_ask *ask);

/*
 * Serial in an IXFR request: the one SOA of its authority section, of the name that is asked
 * for (RFC 1995 s.3). False: there is none, or it does not parse.
 */
bool outgoing_request_serial(const uint8_t *packet, size_t len, const struct message *query,
			     uint32_t *serial);

/* Holds ask->zone until outgoing_end(). */
void outgoing_begin(struct outgoing *o, const struct outgoing_ask *ask);
void outgoing_end(struct outgoing *o);

bool outgoing_is_done(const struct outgoing *o);

/*
 * Writes the next message: about OUTGOING_MESSAGE_AIM bytes, more when a single record is
 * longer, never more than `cap` (DNS_UDP_MAX at least). Returns its length; 0 when a record
 * fits into no message. Not after outgoing_is_done().
 */
size_t outgoing_next(struct outgoing *o, struct tsig_server *tsig, uint64_t now_s, uint8_t *out,
		     size_t cap);

/* "axfr" or "ixfr", as the client asked and as it was answered. */
const char *outgoing_kind_text(enum outgoing_kind kind);

#endif
