/* SPDX-License-Identifier: ISC */
/*
 * channel - bytes to a server and back, in clear text or through TLS.
 *
 * Purpose:  a TCP connection that never blocks, from connect() to close(); which of the two
 *           kinds it is shows nowhere above. There is no way from TLS back to clear text.
 * Not here: waiting and deadlines, messages (stream.h); TLS as such (tls.h).
 * Owns:     the socket.
 * Threads:  one per struct.
 * Failure:  CHANNEL_CLOSED or CHANNEL_FAILED with a sentence; then channel_close().
 */
#ifndef CHANNEL_H
#define CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/address.h"
#include "cache/tls.h"

enum { CHANNEL_REASON_MAX = 400 };

enum channel_status {
	CHANNEL_OK,
	CHANNEL_WAIT,		/* for the socket: see channel_wants_write() */
	CHANNEL_CLOSED,		/* the peer closed it, or it broke */
	CHANNEL_FAILED,		/* it never came about, or the peer may not be believed */
};

struct channel {
	int fd;				/* -1: none */
	bool is_connected;		/* TCP is; TLS may still be on its way */
	bool wants_write;
	struct tls_profile *profile;	/* NULL: clear text */
	struct tls *tls;		/* once connected, with a profile */
	char reason[CHANNEL_REASON_MAX];
};

/* Keeps `profile`, which may be NULL. */
void channel_init(struct channel *c, struct tls_profile *profile);
void channel_fini(struct channel *c);

/* WAIT, or FAILED at once. */
enum channel_status channel_open(struct channel *c, const struct address *peer);
void channel_close(struct channel *c);		/* twice is fine */

/* Goes on with connecting; with OK bytes may flow. */
enum channel_status channel_proceed(struct channel *c);

/* With CHANNEL_OK *len is 1 at least. */
enum channel_status channel_read(struct channel *c, uint8_t *to, size_t room, size_t *len);
enum channel_status channel_write(struct channel *c, const uint8_t *from, size_t size, size_t *len);

/* More can be read though the socket may never become readable. */
bool channel_has_pending(const struct channel *c);

#endif
