/* SPDX-License-Identifier: ISC */
/*
 * Timers: `idle` runs while we wait for the peer, and is put back by each byte that comes or
 * goes; during a handshake it is not. `span` runs from the first request on. Both come after
 * io in a turn of the loop: when we were busy for long, what has come meanwhile is read first.
 * One io watcher: for what the channel waits for.
 */
#include "cache/stream.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/channel.h"
#include "cache/clock.h"
#include "cache/dns.h"
#include "cache/memory.h"
#include "cache/wire.h"

#define CONNECT_S	3.0
#define HANDSHAKE_S	5.0

enum {
	LENGTH_LEN = 2,		/* before each message, RFC 1035 s.4.2.2 */
	READS_MAX = 8,		/* in one turn of the loop; then the others run */
	REASON_MAX = 200,
};

enum state {
	STATE_CLOSED,		/* no watcher runs but perhaps `idle`, to tell of a failure */
	STATE_CONNECTING,	/* TCP, then TLS */
	STATE_READY,		/* connected, nothing asked yet; in on_ready only */
	STATE_SENDING,		/* some of `out` is sent */
	STATE_READING,
};

struct stream {
	struct ev_loop *loop;
	ev_io io;
	ev_timer idle, span;
	struct channel channel;
	enum state state;
	bool has_heard;
	struct address peer;
	struct stream_limits limits;
	struct pace pace;
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
	ev_timer_stop(s->loop, &s->span);
	channel_close(&s->channel);
	s->state = STATE_CLOSED;
}

/* The only end. Nothing of `s` may be touched after it. */
static void end(struct stream *s, enum stream_end how, const char *reason)
{
	stream_close(s);
	s->owner.on_end(how, reason, s->owner.arg);
}

static double seconds(uint64_t us)
{
	return (double)us / (double)US_PER_S;
}

static void watch(struct stream *s, int events)
{
	bool is_same = s->io.fd == s->channel.fd && (s->io.events & (EV_READ | EV_WRITE)) == events;

	if (ev_is_active(&s->io) && is_same)
		return;
	ev_io_stop(s->loop, &s->io);
	ev_io_set(&s->io, s->channel.fd, events);
	ev_io_start(s->loop, &s->io);
}

static void be_patient(struct stream *s, double for_s)
{
	ev_timer_stop(s->loop, &s->idle);
	ev_timer_set(&s->idle, for_s, for_s);
	ev_timer_start(s->loop, &s->idle);
}

/* What the channel says, when it is not OK. False when `s` may be gone. */
static bool go_on(struct stream *s, enum channel_status status)
{
	if (status == CHANNEL_WAIT) {
		watch(s, s->channel.wants_write ? EV_WRITE : EV_READ);
		return true;
	}
	end(s, status == CHANNEL_CLOSED ? STREAM_CLOSED : STREAM_FAILED, s->channel.reason);
	return false;
}

/* ---- Connecting ---- */

void stream_connect(struct stream *s)
{
	stream_close(s);
	s->in_len = 0;
	s->has_heard = false;
	if (channel_open(&s->channel, &s->peer) == CHANNEL_WAIT) {
		s->state = STATE_CONNECTING;
		watch(s, EV_WRITE);
		be_patient(s, CONNECT_S);
		return;
	}
	channel_close(&s->channel);
	be_patient(s, 0.);	/* the owner hears of it from the loop */
}

static void on_connecting(struct stream *s)
{
	bool was_connected = s->channel.is_connected;
	enum channel_status status = channel_proceed(&s->channel);

	if (!was_connected && s->channel.is_connected)
		be_patient(s, HANDSHAKE_S);
	if (status != CHANNEL_OK) {
		go_on(s, status);
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
	s->state = STATE_SENDING;
	pace_start(&s->pace, clock_monotonic_us());
	ev_timer_again(s->loop, &s->span);
	watch(s, EV_WRITE);
	be_patient(s, seconds(s->limits.idle_us));
}

static void on_sending(struct stream *s)
{
	enum channel_status status;
	size_t n;

	status = channel_write(&s->channel, s->out + s->out_sent, s->out_len - s->out_sent, &n);
	if (status != CHANNEL_OK) {
		go_on(s, status);
		return;
	}
	s->out_sent += n;
	be_patient(s, seconds(s->limits.idle_us));
	if (s->out_sent < s->out_len)
		return;
	s->state = STATE_READING;
	watch(s, EV_READ);
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

/* TLS gives what it has decrypted in pieces, and no event comes for the rest of them. */
static bool reads_on(const struct stream *s, int reads)
{
	return s->state == STATE_READING && (reads < READS_MAX || channel_has_pending(&s->channel));
}

static void on_reading(struct stream *s)
{
	enum channel_status status;
	size_t n;

	watch(s, EV_READ);
	for (int i = 0; reads_on(s, i); i++) {
		status = channel_read(&s->channel, s->in + s->in_len, sizeof(s->in) - s->in_len, &n);
		if (status != CHANNEL_OK) {
			go_on(s, status);
			return;
		}
		s->has_heard = true;
		pace_count(&s->pace, n);
		s->in_len += n;
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
	case STATE_CONNECTING:	on_connecting(s); return;
	case STATE_SENDING:	on_sending(s); return;
	case STATE_READING:	on_reading(s); return;
	case STATE_READY:
	case STATE_CLOSED:	return;
	}
}

static const char *why_so_long(const struct stream *s, char text[REASON_MAX])
{
	switch (s->state) {
	case STATE_CLOSED:	/* of stream_connect() */
		return s->channel.reason;
	case STATE_CONNECTING:
		return s->channel.is_connected
			? "TLS: no handshake within 5 s: does the primary speak TLS on that port?"
			: "cannot connect: no answer within 3 s";
	case STATE_READY:
	case STATE_SENDING:
	case STATE_READING:
		break;
	}
	snprintf(text, REASON_MAX, "primary is silent for %g s: raise transfer-idle if it needs longer",
		 s->idle.repeat);
	return text;
}

static void on_idle(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct stream *s = w->data;
	char text[REASON_MAX];

	(void)loop;
	(void)revents;
	end(s, STREAM_FAILED, why_so_long(s, text));
}

static void on_span(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct stream *s = w->data;
	const struct pace_limit *limit = &s->limits.pace;
	char text[REASON_MAX];
	uint64_t rate;

	(void)loop;
	(void)revents;
	if (!pace_is_too_slow(&s->pace, limit, clock_monotonic_us(), &rate))
		return;
	snprintf(text, sizeof(text), "primary sends %" PRIu64 " bytes a second, less than %" PRIu64
		 " over %g s: lower transfer-min-rate if it cannot do better",
		 rate, limit->min_rate, seconds(limit->span_us));
	end(s, STREAM_FAILED, text);
}

/* ---- */

struct stream *stream_new(struct ev_loop *loop, const struct stream_peer *peer,
			  const struct stream_limits *limits,
			  const struct stream_owner *owner)
{
	struct stream *s = memory_zeroed(1, sizeof(*s));

	s->loop = loop;
	s->peer = peer->address;
	s->limits = *limits;
	s->owner = *owner;
	channel_init(&s->channel, peer->tls);
	ev_init(&s->io, on_io);
	ev_init(&s->idle, on_idle);
	ev_timer_init(&s->span, on_span, 0., seconds(limits->pace.span_us));
	ev_set_priority(&s->idle, EV_MINPRI);
	ev_set_priority(&s->span, EV_MINPRI);
	s->io.data = s->idle.data = s->span.data = s;
	return s;
}

void stream_free(struct stream *s)
{
	if (!s)
		return;
	stream_close(s);
	channel_fini(&s->channel);
	free(s);
}

/* Counted anew with each byte, in any case. */
void stream_set_patience(struct stream *s, uint64_t us)
{
	s->idle.repeat = seconds(us && us < s->limits.idle_us ? us : s->limits.idle_us);
	ev_timer_again(s->loop, &s->idle);
}

bool stream_has_heard(const struct stream *s)
{
	return s->has_heard;
}
