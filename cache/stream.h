/* SPDX-License-Identifier: ISC */
/*
 * stream - a connection to a server, TCP or TLS over it, that moves whole messages.
 *
 * Purpose:  connects, sends a request, and hands over each message of the reply, whatever
 *           pieces it came in; deadlines for connecting and for silence, and a least rate.
 * Not here: bytes and sockets (channel.h), what messages say, and what is asked next (fetch.h).
 * Owns:     its channel and watchers.
 * Threads:  the thread of the loop.
 * Time:     libev's timers.
 * Memory:   one buffer of a message and one of a request.
 * Failure:  one call of `on_end`, from the loop and never from inside a function below; the
 *           stream is closed by then, and may be freed or connected anew there.
 * Spec:     RFC 1035 s.4.2.2 (two bytes of length before each message), RFC 7766.
 */
#ifndef STREAM_H
#define STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ev.h>

#include "cache/address.h"
#include "cache/pace.h"
#include "cache/tls_profile.h"

enum { STREAM_REQUEST_MAX = 1024 };

struct stream;

enum stream_end {
	STREAM_CLOSED,		/* the peer closed it, or it broke */
	STREAM_FAILED,		/* it never came about, or the peer is silent or not to be believed */
};

/* Nothing of the stream is touched after on_ready and on_end, which may free it. */
struct stream_owner {
	void (*on_ready)(void *arg);	/* connected; time to send */
	/* False when the stream was freed, closed or connected anew. */
	bool (*on_message)(const uint8_t *message, size_t len, void *arg);
	void (*on_end)(enum stream_end end, const char *reason, void *arg);
	void *arg;
};

struct stream_peer {
	struct address address;
	struct tls_profile *tls;	/* NULL: clear text */
};

struct stream_limits {
	uint64_t idle_us;		/* without a byte */
	struct pace_limit pace;		/* from a request on */
};

/* All three are copied. Nothing happens before stream_connect(). */
struct stream *stream_new(struct ev_loop *loop, const struct stream_peer *peer,
			  const struct stream_limits *limits,
			  const struct stream_owner *owner);
void stream_free(struct stream *s);	/* without on_end; NULL is fine */

void stream_connect(struct stream *s);	/* closes what there was */
void stream_close(struct stream *s);	/* without on_end */

/* One request at a time: the one before is out when a message has come. `message` is copied. */
void stream_send(struct stream *s, const uint8_t *message, size_t len);

/* Until the next request, silence may last so long and no longer; 0: as always. */
void stream_set_patience(struct stream *s, uint64_t us);

/* Some byte came since the last request. */
bool stream_has_heard(const struct stream *s);

#endif
