/* SPDX-License-Identifier: ISC */
/*
 * denied - does this reply deny what the mirror has?
 *
 * Purpose:  tells a server that has lost its data, or part of it, from one whose zone has changed:
 *           both say that there is nothing. The SOA beside the denial has the serial that it is
 *           made under; only a newer one than the mirror's can be right. A denial without any SOA
 *           is that of a server which has none.
 * Not here: what follows (dispatch_reply.c), the server's other answers (gate.h).
 * Threads:  any; pure.
 * Memory:   none.
 * Failure:  what cannot be read tells no serial.
 * Spec:     RFC 2308 s.2 (denials carry the zone's SOA), RFC 1982 (serials).
 */
#ifndef DENIED_H
#define DENIED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/dns.h"
#include "cache/message.h"
#include "cache/wire.h"
#include "cache/zone.h"

/* Looks at the header alone: NXDOMAIN, or no answer. Whoever truncates has not said it all. */
static inline bool denied_is_denial(const uint8_t *reply)
{
	unsigned flags = wire_get_u16(reply + 2), rcode = flags & DNS_RCODE;

	return (rcode == RCODE_NOERROR || rcode == RCODE_NXDOMAIN) && !(flags & DNS_TC)
	       && wire_get_u16(reply + 6) == 0;
}

/*
 * `m`, `key`: the question, class IN, at or below the zone's origin; the reply repeats it. True
 * when the reply is a denial, and either rests on nothing, or `g` has records for that question
 * under no older serial.
 */
bool denied_is_reply(const struct generation *g, const struct message *m,
		     const struct name_key *key, const uint8_t *reply, size_t len);

#endif
