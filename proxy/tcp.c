/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#include <xxhash.h>

#include "cache/memory.h"
#include "proxy/tcp_parts.h"

enum {
	ACCEPTS_MAX = 32,		/* for each wake-up: then the others run */
	BACKLOG = 4096,
};

void tcp_set_conf(struct tcp *t, const struct conf *conf)
{
	t->per_client = conf->tcp_per_client;
	t->pipeline = conf->tcp_pipeline;
	t->idle_us = conf->tcp_idle_us;
	t->message_us = conf->tcp_message_us;
}

/* One that nobody has had: until then the kernel need not give its memory. NULL: there is none. */
static struct connection *make_connection(struct tcp *t)
{
	struct connection *c;

	if (t->used == t->count)
		return NULL;
	c = &t->connections[t->used++];
	c->owner = t;
	wheel_item_init(&c->timer, TIMER_SHELL);
	list_init(&c->same_bucket);
	list_init(&c->link);
	return c;
}

static void init_tables(struct tcp *t)
{
	for (uint32_t i = 0; i <= t->bucket_mask; i++)
		list_init(&t->buckets[i]);
}

struct tcp *tcp_new(struct ev_loop *loop, struct dispatch *dispatch, unsigned connections,
		    struct transfer_log *log, void (*flush)(void *arg), void *arg)
{
	struct tcp *t = memory_zeroed(1, sizeof(*t));

	t->loop = loop;
	t->dispatch = dispatch;
	t->log = log;
	t->flush = flush;
	t->arg = arg;
	list_init(&t->free);
	list_init(&t->idle);
	t->count = connections;
	t->connections = memory_table(t->count, sizeof(*t->connections));
	t->bucket_mask = 4095;
	t->buckets = memory_zeroed(t->bucket_mask + 1, sizeof(*t->buckets));
	t->larges = memory_table(TCP_LARGE_COUNT, sizeof(*t->larges));
	t->transfers = memory_zeroed(TCP_TRANSFERS_MAX, sizeof(*t->transfers));
	t->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	init_tables(t);
	return t;
}

void tcp_free(struct tcp *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->used; i++) {
		struct connection *c = &t->connections[i];

		if (c->transfer)
			c->transfer->result = TRANSFER_STOPPED;
		if (c->is_open)
			connection_close(c);
	}
	for (unsigned i = 0; i < TCP_LISTENERS_MAX; i++)
		if (t->listeners[i].is_open)
			close(t->listeners[i].io.fd);
	close(t->spare_fd);
	free(t->connections);
	free(t->buckets);
	free(t->larges);
	free(t->transfers);
	free(t);
}

uint8_t *tcp_room(struct tcp *t, size_t want_len)
{
	assert(want_len <= sizeof(t->room));
	return t->room;
}

/* ---- Accepting ---- */

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

static struct connection *take_free(struct tcp *t)
{
	struct link *l = list_first(&t->free);
	struct connection *fresh = l ? NULL : make_connection(t);

	if (fresh)
		return fresh;
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

static void take_connection(struct tcp *t, int fd, const struct client *client)
{
	struct connection *c = connections_from(t, client) < t->per_client ? take_free(t) : NULL;

	if (!c) {
		counter_add(&t->dispatch->stats->tcp_refused, 1);
		close(fd);
		return;
	}
	counter_add(&t->dispatch->stats->tcp_accepted, 1);
	list_append(bucket_of(t, client), &c->same_bucket);
	connection_begin(c, fd, client);
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
static bool accept_one(struct tcp_listener *l)
{
	struct client client = { .is_tcp = true };
	socklen_t len = sizeof(client.address);
	int fd = accept4(l->io.fd, &client.address.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE))
		return shed_one(l->owner, l->io.fd);
	if (fd < 0)
		return errno != EAGAIN;
	take_connection(l->owner, fd, &client);
	return true;
}

static void on_listener(struct ev_loop *loop, ev_io *io, int revents)
{
	struct tcp_listener *l = list_entry(io, struct tcp_listener, io);

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
	struct tcp_listener *l = t->listeners;

	while (l < t->listeners + TCP_LISTENERS_MAX && l->is_open)
		l++;
	assert(l < t->listeners + TCP_LISTENERS_MAX);
	l->owner = t;
	l->is_open = true;
	l->address = *address;
	ev_io_init(&l->io, on_listener, fd, EV_READ);
	ev_io_start(t->loop, &l->io);
}

static void listener_close(struct tcp_listener *l)
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
	for (unsigned i = 0; i < TCP_LISTENERS_MAX; i++)
		if (t->listeners[i].is_open && address_is_equal(&t->listeners[i].address, address))
			listener_close(&t->listeners[i]);
}

void tcp_stop_all(struct tcp *t)
{
	for (unsigned i = 0; i < TCP_LISTENERS_MAX; i++)
		if (t->listeners[i].is_open)
			listener_close(&t->listeners[i]);
	for (size_t i = 0; i < t->used; i++) {
		struct connection *c = &t->connections[i];

		if (c->is_open)
			connection_stop(c);
	}
	t->flush(t->arg);
}

size_t tcp_busy_count(const struct tcp *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->used; i++)
		n += t->connections[i].is_open && connection_is_busy(&t->connections[i]);
	return n;
}
