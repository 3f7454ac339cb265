/* SPDX-License-Identifier: ISC */
#include "proxy/upstream_udp.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cache/clock.h"
#include "cache/dns.h"
#include "cache/memory.h"
#include "proxy/udp.h"

enum {
	SOCKETS_ACTIVE = 4,		/* for each backend */
	POLLED_MAX = 2 * SOCKETS_ACTIVE,	/* of all, and while replies are due: poll(2) looks at each */
	SOCKET_LIFE_US = 1000000,	/* then it is replaced, when next used */
	SOCKET_QUERIES_MAX = 4096,	/* likewise */
	SOCKET_LINGER_US = 2500000,	/* a replaced one is read for so long: late replies */
	QUEUE_MAX = 64,			/* queries sent by one sendmmsg(2) */
	BATCH_MAX = 32,			/* replies taken by one recvmmsg(2) */
	APART = 65,			/* whole pages on, all would fall into one set of the cache */
	BATCHES_MAX = 4,		/* for each wake-up: then the others run */
	ID_TRIES = 8,
	SOCKET_BUFFER = 1 << 20,
};

struct socket {
	ev_io io;
	struct upstream_udp *owner;
	struct link link;		/* on: free, retired, or none while active */
	struct link dirty;		/* on owner->dirty while its queue is not empty */
	uint32_t serial;		/* never reused: inflight matches replies by it */
	uint16_t backend;
	bool is_polled;			/* while `owed` > 0, and else not watched; or it is in the crowd */
	unsigned used;			/* queries sent */
	unsigned owed;			/* replies that we would believe; those that never come stay */
	uint64_t born_us, close_us;
	int error;			/* of the last send; the next flush acts on it */
	unsigned queued;
	struct mmsghdr messages[QUEUE_MAX];
	struct iovec parts[QUEUE_MAX][2];	/* the ID, and the query behind it */
};

struct backend_sockets {
	struct address address;		/* len 0: not in use */
	unsigned current;		/* which of `active` takes this turn's queries */
	struct socket *active[SOCKETS_ACTIVE];
};

struct upstream_udp {
	struct upstream_shell shell;
	struct link dirty, free, retired;
	uint32_t last_serial;
	uint16_t next_id;		/* of the next query */
	unsigned polled;		/* sockets that may be */
	struct backend_sockets backends[BACKENDS_MAX];
	struct mmsghdr in[BATCH_MAX];
	struct iovec in_parts[BATCH_MAX];
	uint8_t bytes[BATCH_MAX][DNS_MESSAGE_MAX + APART];
};

static void on_readable(struct ev_loop *loop, ev_io *io, int revents);

struct upstream_udp *upstream_udp_new(const struct upstream_shell *shell)
{
	struct upstream_udp *u = memory_table(1, sizeof(*u));

	u->shell = *shell;
	u->next_id = random_u16(&shell->dispatch->random);
	list_init(&u->dirty);
	list_init(&u->free);
	list_init(&u->retired);
	for (unsigned i = 0; i < BATCH_MAX; i++) {
		u->in_parts[i] = (struct iovec){ u->bytes[i], DNS_MESSAGE_MAX };
		u->in[i].msg_hdr.msg_iov = &u->in_parts[i];
		u->in[i].msg_hdr.msg_iovlen = 1;
	}
	return u;
}

static uint64_t now_us(const struct upstream_udp *u)
{
	return u->shell.dispatch->now_us;
}

/* ---- The life of a socket: open, active, retired, closed and free ---- */

static struct socket *take_free(struct upstream_udp *u)
{
	struct link *l = list_first(&u->free);
	struct socket *s;

	if (l) {
		list_remove(l);
		return list_entry(l, struct socket, link);
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	list_init(&s->link);
	list_init(&s->dirty);
	for (unsigned i = 0; i < QUEUE_MAX; i++) {
		s->messages[i].msg_hdr.msg_iov = s->parts[i];
		s->messages[i].msg_hdr.msg_iovlen = 2;
	}
	return s;
}

static void watch_in_crowd(struct socket *s)
{
	s->is_polled = false;
	ev_io_start(s->owner->shell.loop, &s->io);
}

static void watch(struct upstream_udp *u, struct socket *s)
{
	if (u->polled == POLLED_MAX) {
		watch_in_crowd(s);
		return;
	}
	s->is_polled = true;
	u->polled++;
}

static void unwatch(struct socket *s)
{
	ev_io_stop(s->is_polled ? s->owner->shell.polled : s->owner->shell.loop, &s->io);
	s->owner->polled -= s->is_polled;
}

static void owe(struct socket *s)
{
	if (s->owed++ == 0 && s->is_polled)
		ev_io_start(s->owner->shell.polled, &s->io);
}

/* What comes unasked may wait: it is no reply. */
static void rest(struct socket *s)
{
	if (s->owed == 0 && s->is_polled)
		ev_io_stop(s->owner->shell.polled, &s->io);
}

/* The kernel picks the port at random from its range (RFC 6056). -1 with errno. */
static int open_connected(const struct address *to)
{
	int fd = socket(to->storage.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	udp_set_buffers(fd, SOCKET_BUFFER);
	if (connect(fd, (const struct sockaddr *)&to->storage, to->len) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* To be watched. */
static struct socket *socket_open(struct upstream_udp *u, unsigned backend)
{
	int fd = open_connected(&u->backends[backend].address);
	struct socket *s = fd < 0 ? NULL : take_free(u);

	if (!s) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	if (++u->last_serial % 2 == 0)	/* odd serials are ours, even ones TCP's */
		u->last_serial++;
	s->owner = u;
	s->serial = u->last_serial;
	s->backend = (uint16_t)backend;
	s->born_us = now_us(u);
	s->used = s->queued = s->owed = 0;
	s->error = 0;
	ev_io_init(&s->io, on_readable, fd, EV_READ);
	return s;
}

static void socket_close(struct socket *s)
{
	unwatch(s);
	close(s->io.fd);
	s->queued = 0;
	list_remove(&s->dirty);
	list_remove(&s->link);
	list_append(&s->owner->free, &s->link);
}

/* Takes it out of service; late replies are still read for a while. */
static void socket_retire(struct upstream_udp *u, struct socket **slot)
{
	struct socket *s = *slot;

	*slot = NULL;
	unwatch(s);
	watch_in_crowd(s);
	s->close_us = now_us(u) + SOCKET_LINGER_US;
	list_append(&u->retired, &s->link);
}

static void close_all_of(struct upstream_udp *u, unsigned backend)
{
	struct backend_sockets *b = &u->backends[backend];

	for (unsigned i = 0; i < SOCKETS_ACTIVE; i++) {
		if (b->active[i])
			socket_close(b->active[i]);
		b->active[i] = NULL;
	}
	for (struct link *l = u->retired.next, *next; l != &u->retired; l = next) {
		next = l->next;
		if (list_entry(l, struct socket, link)->backend == backend)
			socket_close(list_entry(l, struct socket, link));
	}
}

void upstream_udp_free(struct upstream_udp *u)
{
	struct link *l;

	if (!u)
		return;
	for (unsigned i = 0; i < BACKENDS_MAX; i++)
		close_all_of(u, i);
	while ((l = list_first(&u->free))) {
		list_remove(l);
		free(list_entry(l, struct socket, link));
	}
	free(u);
}

void upstream_udp_set_address(struct upstream_udp *u, unsigned index, const struct address *a)
{
	struct backend_sockets *b = &u->backends[index];

	if (b->address.len == a->len && (a->len == 0 || address_is_equal(&b->address, a)))
		return;
	if (b->address.len != 0) {
		close_all_of(u, index);
		dispatch_backend_refused(u->shell.dispatch, index);
	}
	b->address = *a;
}

void upstream_udp_sweep(struct upstream_udp *u)
{
	struct link *l;

	while ((l = list_first(&u->retired))) {	/* in the order of their closing times */
		struct socket *s = list_entry(l, struct socket, link);

		if (s->close_us > now_us(u))
			return;
		socket_close(s);
	}
}

/* ---- Sending ---- */

/* Not while its queue is part of this turn's batch, or it is to be read in this turn. */
static bool is_worn(const struct socket *s, uint64_t now)
{
	return list_is_empty(&s->dirty) && !ev_is_pending(&s->io)
	       && (now - s->born_us > SOCKET_LIFE_US || s->used >= SOCKET_QUERIES_MAX);
}

static struct socket *current_socket(struct upstream_udp *u, unsigned backend)
{
	struct backend_sockets *b = &u->backends[backend];
	struct socket **slot = &b->active[b->current];
	struct socket *fresh;

	if (*slot && !is_worn(*slot, now_us(u)))
		return *slot;
	fresh = socket_open(u, backend);
	if (fresh && *slot)
		socket_retire(u, slot);
	if (fresh) {
		watch(u, fresh);
		*slot = fresh;
	}
	return *slot;		/* the old one serves on when descriptors have run out */
}

/* Each is drawn one ahead: until its turn comes, so has what tells whether it is in use. */
static bool pick_id(struct upstream_udp *u, const struct socket *s, uint16_t *id)
{
	const struct inflight *t = u->shell.dispatch->inflight;

	for (unsigned i = 0; i < ID_TRIES; i++) {
		*id = u->next_id;
		u->next_id = random_u16(&u->shell.dispatch->random);
		inflight_foresee_id(t, s->serial, u->next_id);
		if (inflight_is_id_free(t, s->serial, *id))
			return true;
	}
	return false;
}

/* Sends the queue. An error waits for the flush: this may be the middle of a decision. */
static void push(struct socket *s)
{
	unsigned sent = 0;

	while (sent < s->queued && !s->error) {
		int n = sendmmsg(s->io.fd, s->messages + sent, s->queued - sent, MSG_DONTWAIT);

		if (n > 0)
			sent += (unsigned)n;
		else if (errno != EINTR)
			s->error = errno;
	}
	s->queued = 0;
}

bool upstream_udp_send(struct upstream_udp *u, struct attempt *a, const struct query *q)
{
	struct socket *s = current_socket(u, a->backend);
	uint16_t id;

	if (!s || !pick_id(u, s, &id))
		return false;
	if (s->queued == QUEUE_MAX)
		push(s);
	inflight_sent(u->shell.dispatch->inflight, a, s->serial, id);
	s->parts[s->queued][0] = (struct iovec){ a->id_wire, 2 };
	s->parts[s->queued][1] = (struct iovec){ q->bytes + 2, q->len - 2u };
	owe(s);
	s->used++;
	s->queued++;
	if (list_is_empty(&s->dirty))
		list_append(&u->dirty, &s->dirty);
	return true;
}

/* Nothing queued for this backend will leave: its attempts are about to end. */
static void forget_queues(struct upstream_udp *u, unsigned backend)
{
	for (struct link *l = u->dirty.next, *next; l != &u->dirty; l = next) {
		struct socket *s = list_entry(l, struct socket, dirty);

		next = l->next;
		if (s->backend == backend) {
			s->queued = 0;
			s->error = 0;
			list_remove(&s->dirty);
		}
	}
}

static void on_refused(struct upstream_udp *u, unsigned backend)
{
	forget_queues(u, backend);
	dispatch_backend_refused(u->shell.dispatch, backend);
}

/* Errors after which the socket itself is of no more use: its route has gone. */
static bool is_fatal(int error)
{
	return error == ENETUNREACH || error == ENETDOWN || error == EINVAL || error == EPERM
	       || error == EADDRNOTAVAIL || error == EACCES;
}

static bool is_refusal(int error)
{
	return error == ECONNREFUSED || error == EHOSTUNREACH || error == EHOSTDOWN
	       || error == ECONNRESET;
}

static void on_socket_error(struct upstream_udp *u, struct socket *s, int error)
{
	unsigned backend = s->backend;

	if (is_fatal(error))
		close_all_of(u, backend);
	if (is_fatal(error) || is_refusal(error))
		on_refused(u, backend);
}

static void socket_flush(struct upstream_udp *u, struct socket *s)
{
	int error;

	push(s);
	error = s->error;	/* a full buffer (EAGAIN) is a lost packet: deadlines mend it */
	s->error = 0;
	list_remove(&s->dirty);
	if (error)
		on_socket_error(u, s, error);
}

bool upstream_udp_flush(struct upstream_udp *u)
{
	struct link *l = list_first(&u->dirty);

	if (!l)
		return false;
	while ((l = list_first(&u->dirty))) {
		struct socket *s = list_entry(l, struct socket, dirty);
		struct backend_sockets *b = &u->backends[s->backend];

		b->current = random_below(&u->shell.dispatch->random, SOCKETS_ACTIVE);
		socket_flush(u, s);
	}
	return true;
}

/* ---- Receiving ---- */

/* One batch. False when there is no more to read now. */
static bool read_batch(struct upstream_udp *u, struct socket *s)
{
	int n = recvmmsg(s->io.fd, u->in, BATCH_MAX, MSG_DONTWAIT, NULL);

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			on_socket_error(u, s, errno);
		u->shell.flush(u->shell.arg);
		return false;
	}
	for (enum inflight_glance glance = 0; glance < GLANCES; glance++)
		for (int i = 0; i < n; i++)
			inflight_foresee(u->shell.dispatch->inflight, s->serial, u->bytes[i], glance);
	for (int i = 0; i < n; i++)
		if (dispatch_reply(u->shell.dispatch, s->serial, s->backend, u->bytes[i], u->in[i].msg_len))
			s->owed--;
	rest(s);
	u->shell.flush(u->shell.arg);
	return n == BATCH_MAX;
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
	struct socket *s = list_entry(io, struct socket, io);
	struct upstream_udp *u = s->owner;

	(void)loop;
	(void)revents;
	for (unsigned i = 0; i < BATCHES_MAX && ev_is_active(io) && read_batch(u, s); i++)
		;
}
