/* SPDX-License-Identifier: ISC */
#include "proxy/tcp.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "cache/dns.h"
#include "cache/wire.h"

enum {
	LISTENERS_MAX = 2 * CONF_LISTEN_MAX,	/* a reload starts all new ones, then stops the old */
	ACCEPTS_MAX = 32,		/* for each wake-up: then the others run */
	READS_MAX = 8,
	LENGTH_LEN = 2,
	OWN_LEN = 1024,			/* a connection's own input buffer: ordinary queries */
	LARGE_LEN = 2 * (LENGTH_LEN + DNS_MESSAGE_MAX),
	LARGE_COUNT = 128,
	BACKLOG = 4096,
};

struct large { struct large *next; uint8_t bytes[LARGE_LEN]; };

/* What a connection's timer stands for. */
enum waiting { WAITING_NONE, WAITING_IDLE, WAITING_MESSAGE, WAITING_READER };

struct connection {
	ev_io io;
	struct tcp *owner;
	struct link link;		/* on the free list, or on `idle` while nothing is owed */
	struct link same_bucket;	/* clients whose addresses hash alike */
	struct wheel_item timer;
	enum waiting waiting;		/* set by set_deadline() only */
	bool is_open;
	bool is_ending;			/* no more queries are taken: FIN came, or we stop */
	bool is_reading;		/* else paused */
	uint32_t serial;		/* changes with each client */
	unsigned in_flight;		/* queries not answered yet */
	struct client client;		/* as dispatch sees it */
	size_t in_len;
	uint8_t *in;			/* own, or a large buffer's bytes */
	size_t in_size;
	size_t out_pos, out_len;
	uint8_t *out;			/* a large buffer's bytes, or NULL: nothing waits */
	uint8_t own[OWN_LEN];
};

struct listener { ev_io io; struct tcp *owner; bool is_open; struct address address; };

struct tcp {
	struct ev_loop *loop;
	struct dispatch *dispatch;
	void (*flush)(void *arg);
	void *arg;
	unsigned per_client, pipeline;
	uint64_t idle_us, message_us;
	struct listener listeners[LISTENERS_MAX];
	struct connection *connections;
	size_t count;
	size_t open_count, busy_count;
	struct link free, idle;		/* idle: the longest first */
	struct link *buckets;
	uint32_t bucket_mask;
	struct large *larges, *free_large;
	int spare_fd;			/* given up for a moment when descriptors run out */
	uint8_t room[DNS_MESSAGE_MAX];	/* for answers of our own */
};

static void on_connection(struct ev_loop *loop, ev_io *io, int revents);

void tcp_set_conf(struct tcp *t, const struct conf *conf)
{
	t->per_client = conf->tcp_per_client;
	t->pipeline = conf->tcp_pipeline;
	t->idle_us = conf->tcp_idle_us;
	t->message_us = conf->tcp_message_us;
}

static void *allocate(size_t count, size_t size)
{
	void *p = calloc(count, size);

	if (!p)
		abort();
	return p;
}

static void init_tables(struct tcp *t)
{
	for (size_t i = 0; i < t->count; i++) {
		struct connection *c = &t->connections[i];

		c->owner = t;
		wheel_item_init(&c->timer, TIMER_SHELL);
		list_init(&c->same_bucket);
		list_append(&t->free, &c->link);
	}
	for (uint32_t i = 0; i <= t->bucket_mask; i++)
		list_init(&t->buckets[i]);
	for (size_t i = 0; i < LARGE_COUNT; i++) {
		t->larges[i].next = t->free_large;
		t->free_large = &t->larges[i];
	}
}

struct tcp *tcp_new(struct ev_loop *loop, struct dispatch *dispatch, const struct conf *conf,
		    void (*flush)(void *arg), void *arg)
{
	struct tcp *t = allocate(1, sizeof(*t));

	t->loop = loop;
	t->dispatch = dispatch;
	t->flush = flush;
	t->arg = arg;
	tcp_set_conf(t, conf);
	list_init(&t->free);
	list_init(&t->idle);
	t->count = conf->tcp_connections;
	t->connections = allocate(t->count, sizeof(*t->connections));
	t->bucket_mask = 4095;
	t->buckets = allocate(t->bucket_mask + 1, sizeof(*t->buckets));
	t->larges = allocate(LARGE_COUNT, sizeof(*t->larges));
	t->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	init_tables(t);
	return t;
}

/* ---- Large buffers ---- */

static uint8_t *borrow_large(struct tcp *t)
{
	struct large *l = t->free_large;

	if (!l)
		return NULL;
	t->free_large = l->next;
	return l->bytes;
}

static void return_large(struct tcp *t, uint8_t *bytes)
{
	struct large *l = list_entry(bytes, struct large, bytes);

	l->next = t->free_large;
	t->free_large = l;
}

static void shrink_input(struct connection *c)
{
	if (c->in == c->own)
		return;
	return_large(c->owner, c->in);
	c->in = c->own;
	c->in_size = OWN_LEN;
}

static bool grow_input(struct connection *c)
{
	uint8_t *bytes = borrow_large(c->owner);

	if (!bytes)
		return false;
	memcpy(bytes, c->in, c->in_len);
	c->in = bytes;
	c->in_size = LARGE_LEN;
	return true;
}

/* ---- The life of a connection ---- */

static struct link *bucket_of(struct tcp *t, const struct client *client)
{
	const void *p = &client->address.v4.sin_addr;
	size_t len = sizeof(client->address.v4.sin_addr);

	if (client->address.sa.sa_family == AF_INET6) {
		p = &client->address.v6.sin6_addr;
		len = sizeof(client->address.v6.sin6_addr);
	}
	return &t->buckets[XXH3_64bits(p, len) & t->bucket_mask];
}

static bool is_same_host(const struct client *a, const struct client *b)
{
	if (a->address.sa.sa_family != b->address.sa.sa_family)
		return false;
	if (a->address.sa.sa_family == AF_INET)
		return a->address.v4.sin_addr.s_addr == b->address.v4.sin_addr.s_addr;
	return IN6_ARE_ADDR_EQUAL(&a->address.v6.sin6_addr, &b->address.v6.sin6_addr);
}

static unsigned connections_from(struct tcp *t, const struct client *client)
{
	struct link *head = bucket_of(t, client);
	unsigned n = 0;

	for (struct link *l = head->next; l != head; l = l->next)
		n += is_same_host(&list_entry(l, struct connection, same_bucket)->client, client);
	return n;
}

static bool is_busy(const struct connection *c)
{
	return c->in_flight > 0 || c->out;
}

static void connection_close(struct connection *c)
{
	struct tcp *t = c->owner;

	ev_io_stop(t->loop, &c->io);
	close(c->io.fd);
	wheel_del(&t->dispatch->wheel, &c->timer);
	shrink_input(c);
	if (c->out)
		return_large(t, c->out);
	c->out = NULL;
	c->is_open = false;
	c->serial++;
	t->open_count--;
	list_remove(&c->same_bucket);
	list_remove(&c->link);
	list_append(&t->free, &c->link);
}

void tcp_free(struct tcp *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->count; i++)
		if (t->connections[i].is_open)
			connection_close(&t->connections[i]);
	for (unsigned i = 0; i < LISTENERS_MAX; i++)
		if (t->listeners[i].is_open)
			close(t->listeners[i].io.fd);
	close(t->spare_fd);
	free(t->connections);
	free(t->buckets);
	free(t->larges);
	free(t);
}

/* Whatever it waits for from now on has its whole time. */
static void forget_deadline(struct connection *c)
{
	wheel_del(&c->owner->dispatch->wheel, &c->timer);
	c->waiting = WAITING_NONE;
}

static enum waiting waiting_of(const struct connection *c)
{
	if (c->out)
		return WAITING_READER;
	if (c->in_len > 0 && c->is_reading)
		return WAITING_MESSAGE;
	return c->in_flight > 0 ? WAITING_NONE : WAITING_IDLE;	/* dispatch has its own deadlines */
}

/*
 * What it waits for now, and how long: the one place that says so. A byte now and then does
 * not put off the end of a message, nor of a backlog that the client does not read.
 */
static void set_deadline(struct connection *c)
{
	struct tcp *t = c->owner;
	struct wheel *wheel = &t->dispatch->wheel;
	enum waiting old = c->waiting;

	c->waiting = waiting_of(c);
	list_remove(&c->link);
	if (c->waiting == WAITING_IDLE)
		list_append(&t->idle, &c->link);
	if (c->waiting == old && old != WAITING_IDLE)
		return;
	if (c->waiting == WAITING_NONE)
		wheel_del(wheel, &c->timer);
	else
		wheel_set(wheel, &c->timer, t->dispatch->now_us
			  + (c->waiting == WAITING_MESSAGE ? t->message_us : t->idle_us));
}

void tcp_on_timer(struct tcp *t, struct wheel_item *item)
{
	struct connection *c = list_entry(item, struct connection, timer);

	counter_add(&t->dispatch->stats->tcp_closed_idle, 1);
	connection_close(c);
}

/* ---- Answers ---- */

static void want(struct connection *c)
{
	int events = (c->is_reading ? EV_READ : 0) | (c->out ? EV_WRITE : 0);

	if (ev_is_active(&c->io) && (c->io.events & (EV_READ | EV_WRITE)) == events)
		return;
	ev_io_stop(c->owner->loop, &c->io);
	ev_io_modify(&c->io, events);
	if (events)
		ev_io_start(c->owner->loop, &c->io);
}

uint8_t *tcp_room(struct tcp *t, size_t want_len)
{
	assert(want_len <= sizeof(t->room));
	return t->room;
}

/* Keeps what the kernel did not take. False: the client does not read, and enough waits. */
static bool keep_rest(struct connection *c, const uint8_t length[LENGTH_LEN], const uint8_t *bytes,
		      size_t len, size_t skip)
{
	size_t total = LENGTH_LEN + len;

	if (!c->out) {
		c->out = borrow_large(c->owner);
		c->out_pos = c->out_len = 0;
	}
	if (!c->out || LARGE_LEN - c->out_len < total - skip)
		return false;
	for (size_t i = skip; i < LENGTH_LEN; i++)
		c->out[c->out_len++] = length[i];
	skip = skip < LENGTH_LEN ? 0 : skip - LENGTH_LEN;
	memcpy(c->out + c->out_len, bytes + skip, len - skip);
	c->out_len += len - skip;
	return true;
}

static bool send_answer(struct connection *c, const uint8_t *bytes, size_t len)
{
	uint8_t length[LENGTH_LEN];
	struct iovec parts[2] = { { length, LENGTH_LEN }, { (void *)(uintptr_t)bytes, len } };
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = 2 };
	ssize_t n = 0;

	wire_put_u16(length, (uint16_t)len);
	if (!c->out) {
		n = sendmsg(c->io.fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		n = n < 0 ? 0 : n;
	}
	return (size_t)n == LENGTH_LEN + len || keep_rest(c, length, bytes, len, (size_t)n);
}

static bool has_whole_message(const struct connection *c)
{
	return c->in_len >= LENGTH_LEN && c->in_len - LENGTH_LEN >= wire_get_u16(c->in);
}

/* As long as it does, its buffer holds less than one message: there is room to read. */
static bool takes_queries(const struct connection *c)
{
	return c->in_flight < c->owner->pipeline && !c->out;
}

/* After anything has happened: closes it, or says what it waits for. */
static void settle(struct connection *c)
{
	if (c->is_ending && !is_busy(c) && !has_whole_message(c)) {
		connection_close(c);
		return;
	}
	c->is_reading = !c->is_ending && takes_queries(c);
	want(c);
	set_deadline(c);
}

static struct connection *connection_of(struct tcp *t, const struct client *to)
{
	struct connection *c = &t->connections[to->connection];

	return c->is_open && c->serial == to->connection_serial ? c : NULL;
}

void tcp_answer(struct tcp *t, const struct client *to, const uint8_t *bytes, size_t len)
{
	struct connection *c = connection_of(t, to);
	bool was_full;

	if (!c) {
		counter_add(&t->dispatch->stats->dropped_closed, 1);
		return;
	}
	c->in_flight--;
	if (!send_answer(c, bytes, len)) {
		connection_close(c);
		return;
	}
	was_full = !c->is_reading && !c->out && has_whole_message(c);
	settle(c);
	/* What was read before waits in the buffer. The loop is woken for it: recursion must not
	 * depend on what clients send. (After settle(): stopping a watcher drops its events.) */
	if (was_full)
		ev_feed_event(t->loop, &c->io, EV_CUSTOM);
}

/* ---- Queries ---- */

/* Hands every whole message to dispatch. False: the stream makes no sense, or it is gone. */
static bool take_messages(struct connection *c)
{
	struct tcp *t = c->owner;
	uint32_t serial = c->serial;
	size_t pos = 0;

	while (c->in_len - pos >= LENGTH_LEN && takes_queries(c)) {
		size_t len = wire_get_u16(c->in + pos);
		unsigned before = ++c->in_flight;

		if (c->in_len - pos - LENGTH_LEN < len) {
			c->in_flight--;
			break;
		}
		if (len < DNS_HEADER_LEN)
			return false;
		dispatch_query(t->dispatch, c->in + pos + LENGTH_LEN, len, &c->client);
		if (!c->is_open || c->serial != serial)
			return true;	/* closed while answering */
		if (c->in_flight == before
		    && (wire_get_u16(c->in + pos + LENGTH_LEN + 2) & DNS_QR))
			c->in_flight--;	/* a reply: dropped in silence, nothing is owed */
		pos += LENGTH_LEN + len;
	}
	if (pos > 0) {
		memmove(c->in, c->in + pos, c->in_len - pos);
		forget_deadline(c);	/* the next message has its own time */
	}
	c->in_len -= pos;
	return true;
}

/* Room for what the length announces, before it is read. False: no buffer is left. */
static bool make_room(struct connection *c)
{
	if (c->in_len == 0)
		shrink_input(c);
	return c->in_len < c->in_size || grow_input(c);
}

/* False when the connection is broken. */
static bool read_once(struct connection *c, bool *has_more)
{
	ssize_t n;

	*has_more = false;
	if (!make_room(c))
		return false;
	n = recv(c->io.fd, c->in + c->in_len, c->in_size - c->in_len, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0) {
		c->is_ending = true;	/* a half-closed client still reads its answers */
		c->is_reading = false;
		return true;
	}
	*has_more = c->in_len + (size_t)n == c->in_size;
	c->in_len += (size_t)n;
	return take_messages(c);
}

static bool write_rest(struct connection *c)
{
	ssize_t n = send(c->io.fd, c->out + c->out_pos, c->out_len - c->out_pos,
			 MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	c->out_pos += (size_t)n;
	if (c->out_pos == c->out_len) {
		return_large(c->owner, c->out);
		c->out = NULL;
		return take_messages(c);
	}
	return true;
}

static void on_connection(struct ev_loop *loop, ev_io *io, int revents)
{
	struct connection *c = list_entry(io, struct connection, io);
	struct tcp *t = c->owner;
	uint32_t serial = c->serial;
	bool is_well = true, has_more = true;

	(void)loop;
	if (c->out && (revents & EV_WRITE))
		is_well = write_rest(c);
	if (is_well && (revents & EV_CUSTOM) && c->serial == serial)
		is_well = take_messages(c);
	for (unsigned i = 0; is_well && (revents & EV_READ) && has_more && c->serial == serial
	     && c->is_reading && takes_queries(c) && i < READS_MAX; i++)
		is_well = read_once(c, &has_more);
	if (c->serial == serial) {
		if (is_well)
			settle(c);
		else
			connection_close(c);
	}
	t->flush(t->arg);
}

/* ---- Accepting ---- */

static struct connection *take_free(struct tcp *t)
{
	struct link *l = list_first(&t->free);

	if (!l && (l = list_first(&t->idle))) {	/* the longest idle one makes room */
		counter_add(&t->dispatch->stats->tcp_closed_idle, 1);
		connection_close(list_entry(l, struct connection, link));
		l = list_first(&t->free);
	}
	if (!l)
		return NULL;
	list_remove(l);
	return list_entry(l, struct connection, link);
}

static void connection_open(struct tcp *t, int fd, const struct client *client)
{
	struct connection *c = connections_from(t, client) < t->per_client ? take_free(t) : NULL;
	int on = 1;

	if (!c) {
		counter_add(&t->dispatch->stats->tcp_refused, 1);
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	counter_add(&t->dispatch->stats->tcp_accepted, 1);
	t->open_count++;
	c->is_open = c->is_reading = true;
	c->is_ending = false;
	c->in_flight = 0;
	c->client = *client;
	c->client.is_tcp = true;
	c->client.connection = (uint32_t)(c - t->connections);
	c->client.connection_serial = c->serial;
	c->in = c->own;
	c->in_size = OWN_LEN;
	c->in_len = c->out_pos = c->out_len = 0;
	c->waiting = WAITING_NONE;
	list_append(bucket_of(t, client), &c->same_bucket);
	ev_io_init(&c->io, on_connection, fd, EV_READ);
	ev_io_start(t->loop, &c->io);
	set_deadline(c);
}

/*
 * Out of descriptors: takes a connection off the backlog by lending the spare one. False when
 * there was none: accept4(2) complains of descriptors before it looks.
 */
static bool shed_one(struct tcp *t, int listener)
{
	int fd;

	close(t->spare_fd);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0) {
		close(fd);
		counter_add(&t->dispatch->stats->tcp_refused, 1);
	}
	t->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return fd >= 0;
}

/* False when there is no more to accept now. */
static bool accept_one(struct listener *l)
{
	struct client client = { .is_tcp = true };
	socklen_t len = sizeof(client.address);
	int fd = accept4(l->io.fd, &client.address.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE))
		return shed_one(l->owner, l->io.fd);
	if (fd < 0)
		return errno != EAGAIN;
	connection_open(l->owner, fd, &client);
	return true;
}

static void on_listener(struct ev_loop *loop, ev_io *io, int revents)
{
	struct listener *l = list_entry(io, struct listener, io);

	(void)loop;
	(void)revents;
	for (unsigned i = 0; i < ACCEPTS_MAX && accept_one(l); i++)
		;
}

int tcp_bind(const struct address *address)
{
	int on = 1, result = 0;
	int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0
	    || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0
	    || (address->storage.ss_family == AF_INET6
		&& setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
	    || bind(fd, (const struct sockaddr *)&address->storage, address->len) < 0
	    || listen(fd, BACKLOG) < 0)
		result = -errno;
	if (result == 0)
		return fd;
	close(fd);
	return result;
}

void tcp_start(struct tcp *t, int fd, const struct address *address)
{
	struct listener *l = t->listeners;

	while (l < t->listeners + LISTENERS_MAX && l->is_open)
		l++;
	assert(l < t->listeners + LISTENERS_MAX);
	l->owner = t;
	l->is_open = true;
	l->address = *address;
	ev_io_init(&l->io, on_listener, fd, EV_READ);
	ev_io_start(t->loop, &l->io);
}

static void listener_close(struct listener *l)
{
	/* Connections that the kernel has accepted already are clients, too. */
	for (unsigned i = 0; i < BACKLOG && accept_one(l); i++)
		;
	ev_io_stop(l->owner->loop, &l->io);
	close(l->io.fd);
	l->is_open = false;
}

void tcp_stop(struct tcp *t, const struct address *address)
{
	for (unsigned i = 0; i < LISTENERS_MAX; i++)
		if (t->listeners[i].is_open && address_is_equal(&t->listeners[i].address, address))
			listener_close(&t->listeners[i]);
}

void tcp_stop_all(struct tcp *t)
{
	for (unsigned i = 0; i < LISTENERS_MAX; i++)
		if (t->listeners[i].is_open)
			listener_close(&t->listeners[i]);
	for (size_t i = 0; i < t->count; i++) {
		struct connection *c = &t->connections[i];
		bool has_more;

		if (!c->is_open)
			continue;
		if (c->is_reading && !read_once(c, &has_more)) {
			connection_close(c);
		} else if (c->is_open) {
			c->is_ending = true;
			settle(c);
		}
	}
	t->flush(t->arg);
}

size_t tcp_busy_count(const struct tcp *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->count; i++)
		n += t->connections[i].is_open && is_busy(&t->connections[i]);
	return n;
}
