/* SPDX-License-Identifier: ISC */
/*
 * chaos - what a server says of itself: id.server, version.bind and their like, class CHAOS.
 *
 * Purpose:  knows the four names, and writes the one TXT record.
 * Not here: the texts, and whether we say them at all (conf.h, dispatch_answer.c).
 * Threads:  any; pure functions.
 * Memory:   none.
 * Failure:  none: TC if the record should not fit.
 * Spec:     RFC 4892 (id.server); the rest is custom: TTL 0 everywhere, no AA in NSD and Knot,
 *           ANY as well as TXT in NSD and BIND.
 */
#ifndef CHAOS_H
#define CHAOS_H

#include "cache/message.h"

enum { CHAOS_TEXT_MAX = 255 };	/* one character-string */

enum chaos_name {
	CHAOS_NONE,		/* something else */
	CHAOS_IDENTITY,		/* id.server, hostname.bind */
	CHAOS_VERSION,		/* version.server, version.bind */
};

/* What a query, MESSAGE_OK or MESSAGE_BADVERS, asks for. */
enum chaos_name chaos_asked(const struct message *m);

/*
 * The answer to `query`, whose bytes are `packet`: `text`, CHAOS_TEXT_MAX bytes at most, and
 * `edns` (or NULL) in OPT. `limit` is DNS_UDP_MAX at least. Returns the length.
 */
size_t chaos_write(const struct message *query, const uint8_t *packet, const char *text,
		   const struct edns_reply *edns, uint8_t *out, size_t limit);

#endif
