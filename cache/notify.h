/* SPDX-License-Identifier: ISC */
/*
 * notify - NOTIFY as we send it: the message, and what a reply to it means.
 *
 * Purpose:  bytes out, bytes in, a verdict.
 * Not here: sockets, retries and whom to tell (notifier.h); NOTIFY that comes to us
 *           (dispatch_notify.c).
 * Threads:  any; pure.
 * Failure:  a reply that is not to be believed is an outcome like others: the wait goes on.
 * Spec:     RFC 1996 s.3.6, s.4.7 (what acknowledges), RFC 8945.
 */
#ifndef NOTIFY_H
#define NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/tsig.h"

enum { NOTIFY_MAX = 1024 };	/* bytes of the message: a name and a TSIG fit */

/*
 * Writes it, signed unless `tsig` is NULL (a fresh stream then). `cap` is at least NOTIFY_MAX.
 * Returns the length.
 */
size_t notify_put(const uint8_t *origin, uint16_t id, struct tsig_stream *tsig, uint64_t now_s,
		  uint8_t *out, size_t cap);

enum notify_reply {
	NOTIFY_IGNORE,		/* no reply to this */
	NOTIFY_FORGED,		/* not signed as it must be: `tsig` is used up */
	NOTIFY_ACKNOWLEDGED,
	NOTIFY_REFUSED,		/* *rcode says how */
};

/* `tsig`: the stream that signed the request, or NULL. */
enum notify_reply notify_judge(const uint8_t *origin, uint16_t id, struct tsig_stream *tsig,
			       uint64_t now_s, const uint8_t *reply, size_t len, unsigned *rcode);

#endif
