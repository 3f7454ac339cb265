/* SPDX-License-Identifier: ISC */
/*
 * message - a query as we see it, and the short replies that we make ourselves.
 *
 * Purpose:  parses what a client sent, once, and says whether it may be answered at
 *           all; writes FORMERR, REFUSED, SERVFAIL and the like.
 * Not here: what OPT says (edns.h), answers from a zone (answer.h), what to do with a query
 *           (dispatch.h).
 * Threads:  any; pure functions.
 * Memory:   none; struct message points into the packet it was parsed from.
 * Failure:  a verdict, never a log line.
 * Spec:     RFC 1035 s.4.1, RFC 9619 (QDCOUNT), RFC 6891 s.6.1.1 (one OPT); malformed input is
 *           treated as NSD treats it.
 */
#ifndef MESSAGE_H
#define MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/dns.h"
#include "cache/edns.h"
#include "cache/name.h"
#include "cache/wire.h"

enum message_verdict {
	MESSAGE_OK,		/* every field of struct message is set */
	MESSAGE_DROP,		/* short, or QR set: silence, or two servers loop */
	MESSAGE_FORMERR,	/* rely on id, flags and opcode only; 12 bytes back */
	MESSAGE_NOTIMP,		/* likewise: DSO, or an opcode not ours whose body we cannot read */
	MESSAGE_BADVERS,	/* well-formed but EDNS version > 0; every field is set */
};

struct message {
	uint16_t id;		/* host order, as are all integers here */
	uint16_t flags;		/* the second word of the header, DNS_* */
	uint8_t opcode;		/* enum dns_opcode */
	uint16_t qtype, qclass;
	uint16_t question_end;	/* offset just past QCLASS; the question starts at 12 */
	uint16_t len;		/* bytes of the message proper; garbage may follow */
	uint8_t qname[NAME_LEN_MAX];	/* uncompressed, case as sent */
	uint8_t qname_len;

	bool is_signed;		/* TSIG or SIG(0) is last: not a byte may change */
	struct edns edns;	/* points into the packet */
};

/*
 * Parses `len` bytes as a query. Walks every record; a record that does not parse, a
 * count that lies, an OPT that is not alone and in the additional section, or a TSIG
 * that is not last is a FORMERR, and so is a question whose name holds a pointer. Pointers
 * in other owner names are not followed. Bytes behind the last record are ignored (m->len
 * says where it ended).
 */
enum message_verdict message_parse(const uint8_t *packet, size_t len, struct message *m);

/*
 * True when every record that a reply's header promises is there, whole. Says nothing of what
 * they hold, nor of bytes behind them. A truncated reply (TC) may end in mid-record: old servers
 * cut there. `len` is at least DNS_HEADER_LEN.
 */
bool message_reply_is_whole(const uint8_t *packet, size_t len);

/*
 * The serial in the zone's SOA among the next `count` records. False: there is none, or w->bad is
 * set.
 */
bool message_find_serial(struct wire *w, unsigned count, const uint8_t *zone, uint32_t *serial);

/* The largest reply this client takes by UDP: 512, or its EDNS size. */
size_t message_udp_limit(const struct message *m);

/*
 * A reply of 12 bytes: ID, opcode and RD of the query, QR, the rcode, all counts zero.
 * For what could not be parsed. Returns 12.
 */
size_t message_reply_short(const struct message *m, enum dns_rcode rcode,
			   uint8_t out[DNS_HEADER_LEN]);

/*
 * A reply without records: header, the question as the client wrote it, OPT if and only
 * if the query had one, with `ede` in it unless EDE_NONE and what it asked for of `edns`, which
 * may be NULL. For MESSAGE_OK and MESSAGE_BADVERS only; `packet` is the query. Returns the
 * length: 512 bytes at `out` always suffice; with fewer, whatever does not fit is left out whole.
 */
size_t message_reply_error(const struct message *m, const uint8_t *packet,
			   enum dns_rcode rcode, enum dns_ede ede, const struct edns_reply *edns,
			   uint8_t *out, size_t cap);

#endif
