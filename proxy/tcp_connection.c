/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "cache/wire.h"
#include "proxy/tcp_parts.h"

enum { READS_MAX = 8 };		/* for each wake-up: then the others run */

static void on_connection(struct ev_loop *loop, ev_io *io, int revents);

/* ---- Large buffers ---- */

static uint8_t *borrow_large(struct tcp *t)
{
	struct large *l = t->free_large;

	if (l)
		t->free_large = l->next;
	else if (t->larges_used < TCP_LARGE_COUNT)
		l = &t->larges[t->larges_used++];
	return l ? l->bytes : NULL;
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
	c->in_size = CONNECTION_OWN_LEN;
}

static bool grow_input(struct connection *c)
{
	uint8_t *bytes = borrow_large(c->owner);

	if (!bytes)
		return false;
	memcpy(bytes, c->in, c->in_len);
	c->in = bytes;
	c->in_size = TCP_LARGE_LEN;
	return true;
}

/* ---- Its life ---- */

bool connection_is_busy(const struct connection *c)
{
	return c->in_flight > 0 || c->out;
}

void connection_close(struct connection *c)
{
	struct tcp *t = c->owner;

	ev_io_stop(t->loop, &c->io);
	close(c->io.fd);
	wheel_del(&t->dispatch->wheel, &c->timer);
	shrink_input(c);
	if (c->out)
		return_large(t, c->out);
	c->out = NULL;
	if (c->transfer)
		transfer_end(c);
	c->is_open = false;
	c->serial++;
	list_remove(&c->same_bucket);
	list_remove(&c->link);
	list_append(&t->free, &c->link);
}

/* Whatever it waits for from now on has its whole time. */
static void forget_deadline(struct connection *c)
{
	wheel_del(&c->owner->dispatch->wheel, &c->timer);
	c->waiting = WAITING_NONE;
}

static enum waiting waiting_of(const struct connection *c)
{
	if (c->out || c->transfer)
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
	if (c->transfer)
		c->transfer->result = TRANSFER_SLOW;
	connection_close(c);
}

void connection_begin(struct connection *c, int fd, const struct client *client)
{
	struct tcp *t = c->owner;
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->is_open = c->is_reading = true;
	c->is_ending = false;
	c->in_flight = 0;
	c->client = *client;
	c->client.is_tcp = true;
	c->client.connection = (uint32_t)(c - t->connections);
	c->client.connection_serial = c->serial;
	c->in = c->own;
	c->in_size = CONNECTION_OWN_LEN;
	c->in_len = c->out_pos = c->out_len = 0;
	c->waiting = WAITING_NONE;
	ev_io_init(&c->io, on_connection, fd, EV_READ);
	ev_io_start(t->loop, &c->io);
	set_deadline(c);
}

/* ---- Answers ---- */

static void want(struct connection *c)
{
	int events = (c->is_reading ? EV_READ : 0) | (c->out || c->transfer ? EV_WRITE : 0);

	if (ev_is_active(&c->io) && (c->io.events & (EV_READ | EV_WRITE)) == events)
		return;
	ev_io_stop(c->owner->loop, &c->io);
	ev_io_modify(&c->io, events);
	if (events)
		ev_io_start(c->owner->loop, &c->io);
}

/* Keeps what the kernel did not take. False: the client does not read, and enough waits. */
static bool keep_rest(struct connection *c, const uint8_t length[TCP_LENGTH_LEN],
		      const uint8_t *bytes, size_t len, size_t skip)
{
	size_t total = TCP_LENGTH_LEN + len;

	if (!c->out) {
		c->out = borrow_large(c->owner);
		c->out_pos = c->out_len = 0;
	}
	if (!c->out || TCP_LARGE_LEN - c->out_len < total - skip)
		return false;
	for (size_t i = skip; i < TCP_LENGTH_LEN; i++)
		c->out[c->out_len++] = length[i];
	skip = skip < TCP_LENGTH_LEN ? 0 : skip - TCP_LENGTH_LEN;
	memcpy(c->out + c->out_len, bytes + skip, len - skip);
	c->out_len += len - skip;
	return true;
}

static bool send_answer(struct connection *c, const uint8_t *bytes, size_t len)
{
	uint8_t length[TCP_LENGTH_LEN];
	struct iovec parts[2] = { { length, TCP_LENGTH_LEN }, { (void *)(uintptr_t)bytes, len } };
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = 2 };
	ssize_t n = 0;

	wire_put_u16(length, (uint16_t)len);
	if (!c->out) {
		n = sendmsg(c->io.fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		n = n < 0 ? 0 : n;
	}
	return (size_t)n == TCP_LENGTH_LEN + len || keep_rest(c, length, bytes, len, (size_t)n);
}

static bool has_whole_message(const struct connection *c)
{
	return c->in_len >= TCP_LENGTH_LEN && c->in_len - TCP_LENGTH_LEN >= wire_get_u16(c->in);
}

/* As long as it does, its buffer holds less than one message: there is room to read. */
static bool takes_queries(const struct connection *c)
{
	return c->in_flight < c->owner->pipeline && !c->out && !c->transfer;
}

/* After anything has happened: closes it, or says what it waits for. */
static void settle(struct connection *c)
{
	if (c->is_ending && !connection_is_busy(c) && !has_whole_message(c)) {
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

	while (c->in_len - pos >= TCP_LENGTH_LEN && takes_queries(c)) {
		size_t len = wire_get_u16(c->in + pos);
		unsigned before = ++c->in_flight;

		if (c->in_len - pos - TCP_LENGTH_LEN < len) {
			c->in_flight--;
			break;
		}
		if (len < DNS_HEADER_LEN)
			return false;
		dispatch_query(t->dispatch, c->in + pos + TCP_LENGTH_LEN, len, &c->client);
		if (!c->is_open || c->serial != serial)
			return true;	/* closed while answering */
		if (c->in_flight == before
		    && (wire_get_u16(c->in + pos + TCP_LENGTH_LEN + 2) & DNS_QR))
			c->in_flight--;	/* a reply: dropped in silence, nothing is owed */
		pos += TCP_LENGTH_LEN + len;
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

/* The client has taken all so far: the next message of its transfer, or the end of it. */
static bool go_on_with_transfer(struct connection *c)
{
	uint8_t *out = c->owner->room;
	size_t len;

	if (outgoing_is_done(&c->transfer->outgoing)) {
		c->transfer->result = TRANSFER_OK;
		transfer_end(c);
		c->in_flight--;
		return take_messages(c);
	}
	len = transfer_next(c, out);
	forget_deadline(c);	/* each message has its whole time */
	return len > 0 && send_answer(c, out, len);
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
	if (is_well && (revents & EV_WRITE) && c->serial == serial && c->transfer && !c->out)
		is_well = go_on_with_transfer(c);
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

void connection_stop(struct connection *c)
{
	bool has_more;

	if (c->is_reading && !read_once(c, &has_more)) {
		connection_close(c);
	} else if (c->is_open) {
		c->is_ending = true;
		settle(c);
	}
}
