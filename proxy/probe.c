/* SPDX-License-Identifier: ISC */
/*
 * Priorities: sockets (1) before deadlines (0), so that a reply which lay in the socket while we
 * were held up is read before its deadline is looked at.
 */
#include "proxy/probe.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/clock.h"
#include "cache/dns.h"
#include "cache/message.h"
#include "cache/wire.h"

enum {
	BATCH_MAX = 16,		/* messages read in one turn: a flood of forgeries waits */
	TCP_LENGTH_LEN = 2,
};

struct probe {
	struct ev_loop *loop;
	ev_io io;
	ev_timer timer;		/* the deadline; or, when `early` is set, the next turn */
	int fd;
	struct probe_ask ask;
	struct address address;	/* ask.address and ask.zone are not used after the start */
	bool is_early;		/* failed at once: `verdict` is told in the next turn */
	unsigned mismatched;	/* messages that answered something else */
	uint64_t sent_us;
	struct probe_verdict verdict;
	probe_done_fn done;
	void *arg;
	size_t query_len, out_pos;	/* TCP: bytes of length and query already sent */
	size_t in_len;			/* TCP: bytes at `in` */
	uint8_t query[PROBE_QUERY_MAX];
	uint8_t in[TCP_LENGTH_LEN + DNS_MESSAGE_MAX];
};

static void probe_free(struct probe *p)
{
	ev_io_stop(p->loop, &p->io);
	ev_timer_stop(p->loop, &p->timer);
	if (p->fd >= 0)
		close(p->fd);
	free(p);
}

/* The one end of a probe that was not cancelled. */
static void probe_finish(struct probe *p)
{
	p->done(p, &p->verdict, p->arg);
	probe_free(p);
}

/* Errors of ours say nothing about the server; all others mean that it cannot be reached. */
static void set_error(struct probe *p, int error)
{
	p->verdict.cause = CAUSE_REFUSED;
	p->verdict.error = error;
	p->verdict.is_ours = error == EMFILE || error == ENFILE || error == ENOMEM ||
			     error == ENOBUFS || error == EADDRNOTAVAIL;
}

static void fail_later(struct probe *p, int error)
{
	set_error(p, error);
	p->is_early = true;
}

static void fail_now(struct probe *p, int error)
{
	set_error(p, error);
	probe_finish(p);
}

static void finish_with_reply(struct probe *p)
{
	p->verdict.rtt_us = clock_monotonic_us() - p->sent_us;
	probe_finish(p);
}

static void on_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct probe *p = t->data;

	(void)loop, (void)revents;
	if (!p->is_early)
		p->verdict.cause = p->mismatched ? CAUSE_MALFORMED : CAUSE_TIMEOUT;
	probe_finish(p);
}

/* Wrong messages are counted and the wait goes on: the true reply may still come. */
static void on_udp(struct ev_loop *loop, ev_io *io, int revents)
{
	struct probe *p = io->data;

	(void)loop, (void)revents;
	for (int i = 0; i < BATCH_MAX; i++) {
		ssize_t n = recv(p->fd, p->in, sizeof(p->in), 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			fail_now(p, errno);
			return;
		}
		if (probe_judge(&p->ask, p->query, p->query_len, p->in, (size_t)n, &p->verdict)) {
			finish_with_reply(p);
			return;
		}
		p->mismatched++;
	}
}

static void tcp_write(struct probe *p)
{
	uint8_t out[TCP_LENGTH_LEN + PROBE_QUERY_MAX];
	size_t len = TCP_LENGTH_LEN + p->query_len;

	wire_put_u16(out, (uint16_t)p->query_len);
	memcpy(out + TCP_LENGTH_LEN, p->query, p->query_len);
	ssize_t n = send(p->fd, out + p->out_pos, len - p->out_pos, MSG_NOSIGNAL);

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			fail_now(p, errno);
		return;
	}
	p->out_pos += (size_t)n;
	if (p->out_pos < len)
		return;
	ev_io_stop(p->loop, &p->io);
	ev_io_set(&p->io, p->fd, EV_READ);
	ev_io_start(p->loop, &p->io);
}

static void tcp_read(struct probe *p)
{
	ssize_t n = recv(p->fd, p->in + p->in_len, sizeof(p->in) - p->in_len, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		fail_now(p, n < 0 ? errno : 0);
		return;
	}
	p->in_len += (size_t)n;
	if (p->in_len < TCP_LENGTH_LEN || p->in_len < TCP_LENGTH_LEN + (size_t)wire_get_u16(p->in))
		return;
	/* On a stream of one question there is nothing else to wait for. */
	if (!probe_judge(&p->ask, p->query, p->query_len, p->in + TCP_LENGTH_LEN,
			 wire_get_u16(p->in), &p->verdict))
		p->verdict.cause = CAUSE_MALFORMED;
	finish_with_reply(p);
}

static void on_tcp(struct ev_loop *loop, ev_io *io, int revents)
{
	struct probe *p = io->data;

	(void)loop;
	if (revents & EV_WRITE)
		tcp_write(p);
	else
		tcp_read(p);
}

static int open_socket(struct probe *p)
{
	int type = p->ask.is_tcp ? SOCK_STREAM : SOCK_DGRAM;

	/* Unbound before connect(): the kernel picks a random port, RFC 6056. */
	p->fd = socket(p->address.storage.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (p->fd < 0)
		return errno;
	if (connect(p->fd, (struct sockaddr *)&p->address.storage, p->address.len) < 0 &&
	    errno != EINPROGRESS)
		return errno;
	if (!p->ask.is_tcp && send(p->fd, p->query, p->query_len, MSG_NOSIGNAL) < 0)
		return errno;
	return 0;
}

struct probe *probe_start(struct ev_loop *loop, struct random *random, const struct probe_ask *ask,
			  probe_done_fn done, void *arg)
{
	struct probe *p = malloc(sizeof(*p));
	int error;

	if (!p)
		abort();
	memset(p, 0, offsetof(struct probe, in));	/* 64 kB that recv() fills */
	p->loop = loop;
	p->ask = *ask;
	p->address = *ask->address;
	p->ask.address = NULL;
	p->ask.zone = NULL;
	p->done = done;
	p->arg = arg;
	p->sent_us = clock_monotonic_us();
	p->query_len = probe_question(random_u16(random), ask->zone,
				      ask->sample_type ? ask->sample_type : TYPE_SOA, p->query);
	error = open_socket(p);
	if (error)
		fail_later(p, error);
	ev_io_init(&p->io, ask->is_tcp ? on_tcp : on_udp, p->fd, ask->is_tcp ? EV_WRITE : EV_READ);
	p->io.data = p;
	ev_set_priority(&p->io, 1);
	ev_now_update(loop); /* the timeout counts from now, not from this turn's start */
	ev_timer_init(&p->timer, on_timer, p->is_early ? 0. : (double)ask->timeout_us / 1e6, 0.);
	p->timer.data = p;
	if (!p->is_early)
		ev_io_start(loop, &p->io);
	ev_timer_start(loop, &p->timer);
	return p;
}

void probe_cancel(struct probe *p)
{
	if (p)
		probe_free(p);
}
