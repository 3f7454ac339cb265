/* SPDX-License-Identifier: ISC */
#include "proxy/upstream_tcp.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/clock.h"
#include "cache/dns.h"
#include "cache/memory.h"
#include "cache/wire.h"

enum {
	CONNECTIONS_MAX = 4,		/* to each backend */
	PIPELINE_GOAL = 16,		/* attempts on one connection before another is opened */
	IDLE_US = 3000000,		/* less than servers allow (Knot: 10 s), so that we close */
	CONNECT_US = 2000000,
	MUTE_US = 2000000,		/* owing and saying nothing: as good as dead */
	LENGTH_LEN = 2,
	IN_MAX = LENGTH_LEN + DNS_MESSAGE_MAX,
	OUT_MAX = 4 * IN_MAX,
	READS_MAX = 8,			/* for each wake-up: then the others run */
	ID_TRIES = 8,
};

struct connection {
	ev_io io;
	struct upstream_tcp *owner;
	struct link link;		/* on owner->free while closed */
	struct link dirty;		/* on owner->dirty while there is something to send */
	uint32_t serial;		/* never reused */
	uint16_t backend;
	bool is_open;			/* connected; else the handshake is on */
	uint64_t begun_us;		/* the handshake; what waits for it makes it no younger */
	uint64_t opened_us;		/* when connected; 0: not yet */
	uint64_t used_us;		/* last sent on, or begun */
	uint64_t heard_us;		/* last byte received, or when it began to owe */
	unsigned owed;			/* attempts sent and not yet answered */
	bool has_answered;		/* at least one of them */
	size_t in_len, out_pos, out_len;
	uint8_t in[IN_MAX];
	uint8_t out[OUT_MAX];
};

struct backend_connections {
	struct address address;		/* len 0: not in use */
	struct connection *connections[CONNECTIONS_MAX];
};

struct upstream_tcp {
	struct upstream_shell shell;
	struct link dirty, free;
	uint32_t last_serial;
	struct backend_connections backends[BACKENDS_MAX];
};

static void on_event(struct ev_loop *loop, ev_io *io, int revents);

struct upstream_tcp *upstream_tcp_new(const struct upstream_shell *shell)
{
	struct upstream_tcp *u = memory_zeroed(1, sizeof(*u));

	u->shell = *shell;
	list_init(&u->dirty);
	list_init(&u->free);
	return u;
}

static uint64_t now_us(const struct upstream_tcp *u)
{
	return u->shell.dispatch->now_us;
}

/* ---- The life of a connection ---- */

static struct connection *take_free(struct upstream_tcp *u)
{
	struct link *l = list_first(&u->free);
	struct connection *c;

	if (l) {
		list_remove(l);
		return list_entry(l, struct connection, link);
	}
	c = malloc(sizeof(*c));
	if (!c)
		return NULL;
	list_init(&c->link);
	list_init(&c->dirty);
	return c;
}

static int open_connecting(const struct address *to)
{
	int on = 1;
	int fd = socket(to->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (const struct sockaddr *)&to->storage, to->len) < 0 && errno != EINPROGRESS) {
		close(fd);
		return -1;
	}
	return fd;
}

static struct connection *connection_new(struct upstream_tcp *u, unsigned backend)
{
	int fd = open_connecting(&u->backends[backend].address);
	struct connection *c = fd < 0 ? NULL : take_free(u);

	if (!c) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	u->last_serial += 2;		/* even: odd serials are UDP's, 0 is nobody's */
	if (u->last_serial == 0)
		u->last_serial += 2;
	c->owner = u;
	c->serial = u->last_serial;
	c->backend = (uint16_t)backend;
	c->is_open = false;
	c->opened_us = 0;
	c->begun_us = c->used_us = now_us(u);
	c->owed = 0;
	c->has_answered = false;
	c->in_len = c->out_pos = c->out_len = 0;
	ev_io_init(&c->io, on_event, fd, EV_WRITE);
	ev_io_start(u->shell.loop, &c->io);
	return c;
}

static void connection_close(struct connection *c)
{
	struct upstream_tcp *u = c->owner;
	struct connection **slot = u->backends[c->backend].connections;

	ev_io_stop(u->shell.loop, &c->io);
	close(c->io.fd);
	while (*slot != c)
		slot++;
	*slot = NULL;
	list_remove(&c->dirty);
	list_append(&u->free, &c->link);
}

/* It is of no more use: what was asked on it goes elsewhere. */
static void connection_fail(struct connection *c, int error)
{
	struct upstream_tcp *u = c->owner;
	unsigned backend = c->backend;
	bool is_refusal = c->opened_us == 0 && error != 0;
	uint32_t serial = c->serial;
	uint64_t opened_us = c->opened_us;

	connection_close(c);
	if (is_refusal)
		dispatch_connection_refused(u->shell.dispatch, backend);
	else
		dispatch_connection_closed(u->shell.dispatch, backend, serial, opened_us);
}

/* The other side broke it, or breaks the protocol. */
static void connection_broke(struct connection *c, int error)
{
	if (c->is_open && c->owed > 0 && !c->has_answered)
		dispatch_connection_mute(c->owner->shell.dispatch, c->backend);
	connection_fail(c, error);
}

static void close_all_of(struct upstream_tcp *u, unsigned backend)
{
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
		if (u->backends[backend].connections[i])
			connection_close(u->backends[backend].connections[i]);
}

void upstream_tcp_free(struct upstream_tcp *u)
{
	struct link *l;

	if (!u)
		return;
	for (unsigned i = 0; i < BACKENDS_MAX; i++)
		close_all_of(u, i);
	while ((l = list_first(&u->free))) {
		list_remove(l);
		free(list_entry(l, struct connection, link));
	}
	free(u);
}

void upstream_tcp_set_address(struct upstream_tcp *u, unsigned index, const struct address *a)
{
	struct backend_connections *b = &u->backends[index];

	if (b->address.len == a->len && (a->len == 0 || address_is_equal(&b->address, a)))
		return;
	close_all_of(u, index);		/* upstream_udp has ended its attempts, or is about to */
	b->address = *a;
}

static bool has_outlived_itself(const struct connection *c, uint64_t now)
{
	if (!c->is_open)
		return now - c->begun_us > CONNECT_US;
	if (c->owed > 0 && now - c->heard_us > MUTE_US)
		return true;
	return now - c->used_us > IDLE_US;
}

void upstream_tcp_sweep(struct upstream_tcp *u)
{
	for (unsigned b = 0; b < BACKENDS_MAX; b++) {
		for (unsigned i = 0; u->backends[b].address.len && i < CONNECTIONS_MAX; i++) {
			struct connection *c = u->backends[b].connections[i];

			if (c && has_outlived_itself(c, now_us(u)))
				connection_fail(c, 0);
		}
	}
}

/* ---- Sending ---- */

/* The connection with the least to do; another is opened when even that one is busy. */
static struct connection *choose_connection(struct upstream_tcp *u, unsigned backend)
{
	struct connection **slot = u->backends[backend].connections;
	struct connection *best = NULL;
	unsigned vacant = CONNECTIONS_MAX;

	for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
		if (!slot[i])
			vacant = i;
		else if (!best || slot[i]->owed < best->owed)
			best = slot[i];
	}
	if (vacant == CONNECTIONS_MAX || (best && best->owed < PIPELINE_GOAL))
		return best;
	slot[vacant] = connection_new(u, backend);
	return slot[vacant] ? slot[vacant] : best;
}

static bool pick_id(struct upstream_tcp *u, const struct connection *c, uint16_t *id)
{
	for (unsigned i = 0; i < ID_TRIES; i++) {
		*id = random_u16(&u->shell.dispatch->random);
		if (inflight_is_id_free(u->shell.dispatch->inflight, c->serial, *id))
			return true;
	}
	return false;
}

bool upstream_tcp_send(struct upstream_tcp *u, struct attempt *a, const struct query *q)
{
	struct connection *c = choose_connection(u, a->backend);
	uint8_t *out;
	uint16_t id;

	if (!c || OUT_MAX - c->out_len < LENGTH_LEN + (size_t)q->len || !pick_id(u, c, &id))
		return false;
	inflight_sent(u->shell.dispatch->inflight, a, c->serial, id);
	out = c->out + c->out_len;
	wire_put_u16(out, q->len);
	memcpy(out + LENGTH_LEN, q->bytes, q->len);
	wire_put_u16(out + LENGTH_LEN, id);
	c->out_len += LENGTH_LEN + (size_t)q->len;
	c->used_us = now_us(u);
	if (c->owed++ == 0)
		c->heard_us = c->used_us;
	if (c->is_open && list_is_empty(&c->dirty))
		list_append(&u->dirty, &c->dirty);
	return true;
}

static void want(struct connection *c, int events)
{
	struct ev_loop *loop = c->owner->shell.loop;

	if ((c->io.events & (EV_READ | EV_WRITE)) == events)
		return;
	ev_io_stop(loop, &c->io);
	ev_io_modify(&c->io, events);
	ev_io_start(loop, &c->io);
}

/* Writes what it can. False, with errno, when the connection is broken. */
static bool connection_write(struct connection *c)
{
	list_remove(&c->dirty);
	while (c->out_pos < c->out_len) {
		ssize_t n = send(c->io.fd, c->out + c->out_pos, c->out_len - c->out_pos,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			want(c, EV_READ | EV_WRITE);
			return true;
		}
		if (n < 0)
			return false;
		c->out_pos += (size_t)n;
	}
	c->out_pos = c->out_len = 0;
	want(c, EV_READ);
	return true;
}

bool upstream_tcp_flush(struct upstream_tcp *u)
{
	bool has_failed = false;
	struct link *l;

	while ((l = list_first(&u->dirty))) {
		struct connection *c = list_entry(l, struct connection, dirty);

		if (!connection_write(c)) {
			connection_broke(c, errno);
			has_failed = true;
		}
	}
	return has_failed;
}

/* ---- Receiving ---- */

/* Hands on every whole message. False when the stream makes no sense. */
static bool take_messages(struct connection *c)
{
	struct upstream_tcp *u = c->owner;
	size_t pos = 0;

	while (c->in_len - pos >= LENGTH_LEN) {
		size_t len = wire_get_u16(c->in + pos);

		if (len < DNS_HEADER_LEN)
			return false;
		if (c->in_len - pos - LENGTH_LEN < len)
			break;
		if (dispatch_reply(u->shell.dispatch, c->serial, c->backend,
				   c->in + pos + LENGTH_LEN, len)) {
			c->owed -= c->owed > 0;
			c->has_answered = true;
		}
		pos += LENGTH_LEN + len;
	}
	if (pos > 0)
		memmove(c->in, c->in + pos, c->in_len - pos);
	c->in_len -= pos;
	return true;
}

enum reading { READING_MORE, READING_DONE, READING_BROKEN };

static enum reading connection_read(struct connection *c)
{
	ssize_t n = recv(c->io.fd, c->in + c->in_len, IN_MAX - c->in_len, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return READING_DONE;
	if (n <= 0) {
		errno = n == 0 ? 0 : errno;
		return READING_BROKEN;
	}
	c->in_len += (size_t)n;
	c->heard_us = now_us(c->owner);
	errno = 0;
	return take_messages(c) ? READING_MORE : READING_BROKEN;
}

static int finish_connecting(struct connection *c)
{
	int error = 0;
	socklen_t len = sizeof(error);

	getsockopt(c->io.fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error == 0) {
		c->is_open = true;
		c->opened_us = now_us(c->owner);
	}
	return error;
}

static void on_event(struct ev_loop *loop, ev_io *io, int revents)
{
	struct connection *c = list_entry(io, struct connection, io);
	struct upstream_tcp *u = c->owner;
	enum reading reading = READING_DONE;
	int error = 0;

	(void)loop;
	if (!c->is_open)
		error = finish_connecting(c);
	if (!error && (revents & EV_WRITE) && !connection_write(c))
		error = errno;
	if (!error && (revents & EV_READ)) {
		unsigned reads = 0;

		do
			reading = connection_read(c);
		while (reading == READING_MORE && ++reads < READS_MAX);
	}
	if (error || reading == READING_BROKEN)
		connection_broke(c, error ? error : errno);
	u->shell.flush(u->shell.arg);
}
