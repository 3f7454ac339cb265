/* SPDX-License-Identifier: ISC */
/*
 * Timers: `idle` runs while we wait for the peer and is put back by each byte that comes or
 * goes; `total` runs once, from fetch_new(). One io watcher: writing until the request is
 * out, reading from then on.
 */
#include "cache/fetch.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cache/clock.h"
#include "cache/dns.h"
#include "cache/wire.h"

#define CONNECT_S	3.0
#define IDLE_S		15.0
#define LONE_S		2.0	/* whether anything follows a single SOA */
#define TOTAL_S		(30.0 * 60)

enum {
	LENGTH_LEN = 2,		/* before each message, RFC 1035 s.4.2.2 */
	READS_MAX = 8,		/* in one turn of the loop; then the others run */
};

enum state {
	STATE_CONNECTING,	/* io waits for writable */
	STATE_ASKING,		/* the same; some of `out` is sent */
	STATE_READING,		/* io waits for readable */
	STATE_ENDED,		/* no watcher runs but perhaps `idle`, to deliver a failure */
};

enum asking { ASKING_SOA, ASKING_IXFR, ASKING_AXFR };

struct fetch {
	struct ev_loop *loop;
	ev_io io;
	ev_timer idle, total;
	int fd;			/* -1: none */
	enum state state;
	enum fetch_want want;
	enum asking asking;
	bool is_second_use;	/* asked on a connection that has served another request */
	bool is_reply_seen;	/* some byte came since the last request */
	struct address address;
	struct generation *const *held;
	struct random *random;
	struct transfer *transfer;
	fetch_end_fn on_end;
	void *arg;
	uint64_t started_us;
	size_t out_len, out_sent;
	size_t in_len;
	uint8_t out[LENGTH_LEN + TRANSFER_ASK_MAX];
	uint8_t in[LENGTH_LEN + DNS_MESSAGE_MAX];
};

static void disconnect(struct fetch *f)
{
	ev_io_stop(f->loop, &f->io);
	ev_timer_stop(f->loop, &f->idle);
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

/* The only end. Nothing of `f` may be touched after it. */
static void end(struct fetch *f, enum fetch_outcome outcome)
{
	disconnect(f);
	ev_timer_stop(f->loop, &f->total);
	f->state = STATE_ENDED;
	f->on_end(f, outcome, f->arg);
}

static void end_failed(struct fetch *f, const char *reason)
{
	transfer_close(f->transfer, reason);
	end(f, FETCH_FAILED);
}

static void end_errno(struct fetch *f, const char *doing, int err)
{
	char reason[160];

	snprintf(reason, sizeof(reason), "%s: %s", doing, strerrordesc_np(err));
	end_failed(f, reason);
}

static void wait_for(struct fetch *f, int events, double patience_s)
{
	ev_io_stop(f->loop, &f->io);
	ev_io_set(&f->io, f->fd, events);
	ev_io_start(f->loop, &f->io);
	f->idle.repeat = patience_s;
	ev_timer_again(f->loop, &f->idle);
}

static void set_patience(struct fetch *f, double patience_s)
{
	if (f->idle.repeat == patience_s)
		return;
	f->idle.repeat = patience_s;
	ev_timer_again(f->loop, &f->idle);
}

/* ---- Asking ---- */

static size_t write_question(struct fetch *f, uint8_t *at)
{
	uint16_t id = random_u16(f->random);
	uint64_t now_s = clock_wall_us() / US_PER_S;

	switch (f->asking) {
	case ASKING_SOA:
		return transfer_ask_soa(f->transfer, id, now_s, at, TRANSFER_ASK_MAX);
	case ASKING_IXFR:
		return transfer_ask_ixfr(f->transfer, *f->held, id, now_s, at, TRANSFER_ASK_MAX);
	case ASKING_AXFR:
		return transfer_ask_axfr(f->transfer, id, now_s, at, TRANSFER_ASK_MAX);
	}
	abort();
}

static void write_request(struct fetch *f)
{
	size_t len = write_question(f, f->out + LENGTH_LEN);

	assert(len > 0);
	wire_put_u16(f->out, (uint16_t)len);
	f->out_len = LENGTH_LEN + len;
	f->out_sent = 0;
	f->is_reply_seen = false;
}

static void ask(struct fetch *f)
{
	write_request(f);
	f->state = STATE_ASKING;
	wait_for(f, EV_WRITE, IDLE_S);
}

/* 0, or -errno. */
static int connect_to(struct fetch *f)
{
	const struct sockaddr *peer = (const struct sockaddr *)&f->address.storage;
	int one = 1;

	f->is_second_use = false;
	f->in_len = 0;
	f->fd = socket(peer->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (f->fd < 0)
		return -errno;
	setsockopt(f->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));	/* or it is slower */
	if (connect(f->fd, peer, f->address.len) < 0 && errno != EINPROGRESS)
		return -errno;
	f->state = STATE_CONNECTING;
	wait_for(f, EV_WRITE, CONNECT_S);
	return 0;
}

static void on_connected(struct fetch *f)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(f->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		err = errno;
	if (err != 0)
		end_errno(f, "cannot connect", err);
	else
		ask(f);
}

/*
 * The connection is over. RFC 7766 s.6.2.4 wants us ready for a server that closes early:
 * when it had answered the SOA and nothing of what came next, that is worth one more.
 */
static void on_closed(struct fetch *f, int err)
{
	int error;

	if (f->is_second_use && !f->is_reply_seen) {
		disconnect(f);
		error = connect_to(f);
		if (error < 0)
			end_errno(f, "cannot connect", -error);
	} else if (err != 0) {
		end_errno(f, "connection lost", err);
	} else {
		end_failed(f, "primary closed the connection early");
	}
}

static void on_writable(struct fetch *f)
{
	ssize_t n = send(f->fd, f->out + f->out_sent, f->out_len - f->out_sent, MSG_NOSIGNAL);

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			on_closed(f, errno);
		return;
	}
	f->out_sent += (size_t)n;
	if (f->out_sent < f->out_len)
		return;
	f->state = STATE_READING;
	wait_for(f, EV_READ, IDLE_S);
}

/* ---- Reading ---- */

/* Another request on the same connection. */
static void ask_next(struct fetch *f)
{
	f->is_second_use = true;
	ask(f);
}

static enum asking what_is_next(const struct fetch *f)
{
	return f->want == FETCH_DIFFERENCE && *f->held ? ASKING_IXFR : ASKING_AXFR;
}

/* One whole message. True when reading goes on; false when `f` may be gone. */
static bool take_message(struct fetch *f, const uint8_t *message, size_t len)
{
	uint64_t now_s = clock_wall_us() / US_PER_S;

	switch (transfer_take_message(f->transfer, *f->held, message, len, now_s)) {
	case TRANSFER_MORE:
		set_patience(f, transfer_is_lone(f->transfer) ? LONE_S : IDLE_S);
		return true;
	case TRANSFER_ASK_AGAIN:
		ask_next(f);
		return true;
	case TRANSFER_NEWER:
		if (f->want == FETCH_SOA_ONLY) {
			end(f, FETCH_NEWER);
			return false;
		}
		f->asking = what_is_next(f);
		ask_next(f);
		return true;
	case TRANSFER_DONE:
		end(f, FETCH_ZONE);
		return false;
	case TRANSFER_UP_TO_DATE:
		end(f, FETCH_UP_TO_DATE);
		return false;
	case TRANSFER_FAILED:
		end(f, FETCH_FAILED);
		return false;
	}
	abort();
}

/* Takes the whole messages out of the buffer. False when `f` may be gone. */
static bool take_messages(struct fetch *f)
{
	size_t at = 0;

	while (f->in_len - at >= LENGTH_LEN) {
		size_t len = wire_get_u16(f->in + at);

		if (f->in_len - at - LENGTH_LEN < len)
			break;
		at += LENGTH_LEN;
		if (!take_message(f, f->in + at, len))
			return false;
		at += len;
	}
	f->in_len -= at;
	memmove(f->in, f->in + at, f->in_len);
	return true;
}

static void on_readable(struct fetch *f)
{
	for (int i = 0; i < READS_MAX && f->state == STATE_READING; i++) {
		ssize_t n = recv(f->fd, f->in + f->in_len, sizeof(f->in) - f->in_len, 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			on_closed(f, n < 0 ? errno : 0);
			return;
		}
		f->is_reply_seen = true;
		f->in_len += (size_t)n;
		ev_timer_again(f->loop, &f->idle);
		if (!take_messages(f))
			return;
	}
}

/* ---- Callbacks ---- */

static void on_io(struct ev_loop *loop, ev_io *w, int revents)
{
	struct fetch *f = w->data;

	(void)loop;
	(void)revents;
	switch (f->state) {
	case STATE_CONNECTING:	on_connected(f); return;
	case STATE_ASKING:	on_writable(f); return;
	case STATE_READING:	on_readable(f); return;
	case STATE_ENDED:	return;
	}
}

static void on_idle(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct fetch *f = w->data;

	(void)loop;
	(void)revents;
	switch (f->state) {
	case STATE_CONNECTING:	end_failed(f, "cannot connect: no answer within 3 s"); return;
	case STATE_ASKING:
	case STATE_READING:	end_failed(f, "primary is silent for 15 s"); return;
	case STATE_ENDED:	end(f, FETCH_FAILED); return;	/* of fetch_new() */
	}
}

static void on_total(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	end_failed(w->data, "transfer takes longer than 30 minutes");
}

/* ---- */

/* connect() said no at once; the owner hears of it from the loop, like of all else. */
static void fail_soon(struct fetch *f, int err)
{
	char reason[160];

	snprintf(reason, sizeof(reason), "cannot connect: %s", strerrordesc_np(err));
	transfer_close(f->transfer, reason);
	disconnect(f);
	f->state = STATE_ENDED;
	ev_timer_set(&f->idle, 0., 0.);
	ev_timer_start(f->loop, &f->idle);
}

struct fetch *fetch_new(struct ev_loop *loop, const struct fetch_job *job, struct random *random,
			fetch_end_fn on_end, void *arg)
{
	struct fetch *f = calloc(1, sizeof(*f));
	int error;

	if (!f)
		abort();
	f->loop = loop;
	f->want = job->want;
	f->asking = job->want == FETCH_ANYWAY ? ASKING_AXFR : ASKING_SOA;
	f->address = *job->address;
	f->held = job->held;
	f->random = random;
	f->transfer = transfer_new(job->origin, job->key, &job->limits);
	f->on_end = on_end;
	f->arg = arg;
	f->started_us = clock_monotonic_us();
	ev_init(&f->io, on_io);
	ev_init(&f->idle, on_idle);
	ev_timer_init(&f->total, on_total, TOTAL_S, 0.);
	f->io.data = f->idle.data = f->total.data = f;
	ev_timer_start(loop, &f->total);
	error = connect_to(f);
	if (error < 0)
		fail_soon(f, -error);
	return f;
}

void fetch_free(struct fetch *f)
{
	if (!f)
		return;
	disconnect(f);
	ev_timer_stop(f->loop, &f->total);
	transfer_free(f->transfer);
	free(f);
}

struct transfer *fetch_transfer(struct fetch *f)
{
	return f->transfer;
}

bool fetch_is_zone_coming(const struct fetch *f)
{
	return f->asking != ASKING_SOA;
}

bool fetch_is_ixfr(const struct fetch *f)
{
	return f->asking == ASKING_IXFR;
}

uint64_t fetch_duration_us(const struct fetch *f)
{
	return clock_monotonic_us() - f->started_us;
}
