/* SPDX-License-Identifier: ISC */
/*
 * Timers: `idle` runs while we wait for the peer and is put back by each byte that comes or
 * goes. One io watcher: writing until the request is out, reading from then on.
 */
#include "cache/stream.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cache/clock.h"
#include "cache/dns.h"
#include "cache/memory.h"
#include "cache/wire.h"

#define CONNECT_S	3.0
#define IDLE_S		15.0

enum {
	LENGTH_LEN = 2,		/* before each message, RFC 1035 s.4.2.2 */
	READS_MAX = 8,		/* in one turn of the loop; then the others run */
	REASON_MAX = 160,
};

enum state {
	STATE_CLOSED,		/* no watcher runs but perhaps `idle`, to tell of `error` */
	STATE_CONNECTING,	/* io waits for writable */
	STATE_READY,		/* connected, nothing asked yet; in on_ready only */
	STATE_SENDING,		/* io waits for writable; some of `out` is sent */
	STATE_READING,		/* io waits for readable */
};

struct stream {
	struct ev_loop *loop;
	ev_io io;
	ev_timer idle;
	int fd;			/* -1: none */
	enum state state;
	int error;		/* of a connect() that said no at once */
	bool has_heard;
	struct address peer;
	struct stream_owner owner;
	size_t out_len, out_sent;
	size_t in_len;
	uint8_t out[LENGTH_LEN + STREAM_REQUEST_MAX];
	uint8_t in[LENGTH_LEN + DNS_MESSAGE_MAX];
};

void stream_close(struct stream *s)
{
	ev_io_stop(s->loop, &s->io);
	ev_timer_stop(s->loop, &s->idle);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->state = STATE_CLOSED;
}

/* The only end. Nothing of `s` may be touched after it. */
static void end(struct stream *s, enum stream_end how, const char *reason)
{
	stream_close(s);
	s->owner.on_end(how, reason, s->owner.arg);
}

static void end_errno(struct stream *s, enum stream_end how, const char *doing, int err)
{
	char reason[REASON_MAX];

	snprintf(reason, sizeof(reason), "%s: %s", doing, strerrordesc_np(err));
	end(s, how, reason);
}

/* The peer is gone; `err` 0: it closed in good order. */
static void end_closed(struct stream *s, int err)
{
	if (err != 0)
		end_errno(s, STREAM_CLOSED, "connection lost", err);
	else
		end(s, STREAM_CLOSED, "primary closed the connection early");
}

static void wait_for(struct stream *s, enum state state, int events, double patience_s)
{
	s->state = state;
	ev_io_stop(s->loop, &s->io);
	ev_io_set(&s->io, s->fd, events);
	ev_io_start(s->loop, &s->io);
	s->idle.repeat = patience_s;
	ev_timer_again(s->loop, &s->idle);
}

/* ---- Connecting ---- */

/* 0, or the errno. */
static int open_socket(struct stream *s)
{
	const struct sockaddr *peer = (const struct sockaddr *)&s->peer.storage;
	int one = 1;

	s->fd = socket(peer->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return errno;
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));	/* or it is slower */
	if (connect(s->fd, peer, s->peer.len) < 0 && errno != EINPROGRESS)
		return errno;
	return 0;
}

void stream_connect(struct stream *s)
{
	stream_close(s);
	s->in_len = 0;
	s->has_heard = false;
	s->error = open_socket(s);
	if (s->error == 0) {
		wait_for(s, STATE_CONNECTING, EV_WRITE, CONNECT_S);
		return;
	}
	stream_close(s);
	ev_timer_set(&s->idle, 0., 0.);		/* the owner hears of it from the loop */
	ev_timer_start(s->loop, &s->idle);
}

static void on_connected(struct stream *s)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		err = errno;
	if (err != 0) {
		end_errno(s, STREAM_FAILED, "cannot connect", err);
		return;
	}
	s->state = STATE_READY;
	s->owner.on_ready(s->owner.arg);
}

/* ---- Sending ---- */

void stream_send(struct stream *s, const uint8_t *message, size_t len)
{
	assert(s->state == STATE_READY || s->state == STATE_READING);
	assert(len > 0 && len <= STREAM_REQUEST_MAX);
	wire_put_u16(s->out, (uint16_t)len);
	memcpy(s->out + LENGTH_LEN, message, len);
	s->out_len = LENGTH_LEN + len;
	s->out_sent = 0;
	s->has_heard = false;
	wait_for(s, STATE_SENDING, EV_WRITE, IDLE_S);
}

static void on_writable(struct stream *s)
{
	ssize_t n = send(s->fd, s->out + s->out_sent, s->out_len - s->out_sent, MSG_NOSIGNAL);

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			end_closed(s, errno);
		return;
	}
	s->out_sent += (size_t)n;
	if (s->out_sent == s->out_len)
		wait_for(s, STATE_READING, EV_READ, IDLE_S);
}

/* ---- Reading ---- */

/* Takes the whole messages out of the buffer. False when `s` may be gone. */
static bool take_messages(struct stream *s)
{
	size_t at = 0;

	while (s->in_len - at >= LENGTH_LEN) {
		size_t len = wire_get_u16(s->in + at);

		if (s->in_len - at - LENGTH_LEN < len)
			break;
		at += LENGTH_LEN;
		if (!s->owner.on_message(s->in + at, len, s->owner.arg))
			return false;
		at += len;
	}
	s->in_len -= at;
	memmove(s->in, s->in + at, s->in_len);
	return true;
}

static void on_readable(struct stream *s)
{
	for (int i = 0; i < READS_MAX && s->state == STATE_READING; i++) {
		ssize_t n = recv(s->fd, s->in + s->in_len, sizeof(s->in) - s->in_len, 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			end_closed(s, n < 0 ? errno : 0);
			return;
		}
		s->has_heard = true;
		s->in_len += (size_t)n;
		ev_timer_again(s->loop, &s->idle);
		if (!take_messages(s))
			return;
	}
}

/* ---- Callbacks ---- */

static void on_io(struct ev_loop *loop, ev_io *w, int revents)
{
	struct stream *s = w->data;

	(void)loop;
	(void)revents;
	switch (s->state) {
	case STATE_CONNECTING:	on_connected(s); return;
	case STATE_SENDING:	on_writable(s); return;
	case STATE_READING:	on_readable(s); return;
	case STATE_READY:
	case STATE_CLOSED:	return;
	}
}

static void on_idle(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct stream *s = w->data;

	(void)loop;
	(void)revents;
	switch (s->state) {
	case STATE_CONNECTING:
		end(s, STREAM_FAILED, "cannot connect: no answer within 3 s");
		return;
	case STATE_READY:
	case STATE_SENDING:
	case STATE_READING:
		end(s, STREAM_FAILED, "primary is silent for 15 s");
		return;
	case STATE_CLOSED:	/* of stream_connect() */
		end_errno(s, STREAM_FAILED, "cannot connect", s->error);
		return;
	}
}

/* ---- */

struct stream *stream_new(struct ev_loop *loop, const struct address *peer,
			  const struct stream_owner *owner)
{
	struct stream *s = memory_zeroed(1, sizeof(*s));

	s->loop = loop;
	s->fd = -1;
	s->peer = *peer;
	s->owner = *owner;
	ev_init(&s->io, on_io);
	ev_init(&s->idle, on_idle);
	s->io.data = s->idle.data = s;
	return s;
}

void stream_free(struct stream *s)
{
	if (!s)
		return;
	stream_close(s);
	free(s);
}

/* Counted anew with each byte, in any case. */
void stream_set_patience(struct stream *s, uint64_t us)
{
	s->idle.repeat = us ? (double)us / (double)US_PER_S : IDLE_S;
	ev_timer_again(s->loop, &s->idle);
}

bool stream_has_heard(const struct stream *s)
{
	return s->has_heard;
}
