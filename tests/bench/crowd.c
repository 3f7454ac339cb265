/* SPDX-License-Identifier: ISC */
/*
 * crowd - very many clients by TCP, of which some ask without waiting for answers.
 *
 * Purpose:  the other client of `make bench`. It opens all connections, each from its first answer on
 *           held; says so and waits for a line on stdin, while somebody looks at the server's memory.
 *           Then the busy ones keep PIPELINE queries under way each, all together no more than RATE a
 *           second. At the end each idle one asks again: is it still there?
 * Output:   two lines of JSON.
 * Time:     CLOCK_MONOTONIC, microseconds. It spins while it asks: give it a CPU of its own.
 * Failure:  a connection that fails or is closed is counted, and opened no more; a query without an
 *           answer at the end is lost.
 *
 *   crowd -s ADDR:PORT -q FILE [-i IDLE] [-b BUSY] [-p PIPELINE] [-r RATE] [-d SECONDS]
 */
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cache/address.h"
#include "cache/clock.h"
#include "tests/bench/asking.h"

enum {
	PIPELINE_MAX = 128,
	WAVE = 256,			/* connections that are being opened */
	EVENTS = 256,
	REPLIES_MAX = 4096,
	SOURCES = 200,			/* 127.0.0.2 and so on: each has its ports */
	PATIENCE_US = 10000000,
};

enum client_state { CLIENT_NONE, CLIENT_CONNECTING, CLIENT_OPEN, CLIENT_GONE };

struct client {
	int fd;
	enum client_state state;
	unsigned waiting;		/* for so many answers */
	size_t have;
	uint64_t *sent_us;		/* of each query under way, by ID; 0: none. NULL: one at most, not timed */
	uint8_t bytes[REPLIES_MAX];
};

static struct client *clients;
static unsigned idle_count = 1000, busy_count = 10, pipeline = 16;
static unsigned opened, gone, answered_once;
static uint64_t sent, answered;
static struct latencies latencies;
static struct address server;
static int loop;
static bool is_timed;

/* ---- One client ---- */

static void client_gone(struct client *c)
{
	if (c->state == CLIENT_OPEN)
		answered_once -= c->waiting == 0;
	close(c->fd);
	c->state = CLIENT_GONE;
	gone++;
}

/* All of it, though the socket does not block: the server reads in the end. */
static void client_send(struct client *c, const uint8_t *bytes, size_t len)
{
	for (size_t at = 0; at < len && c->state == CLIENT_OPEN;) {
		ssize_t n = send(c->fd, bytes + at, len - at, MSG_NOSIGNAL);
		struct pollfd writable = { c->fd, POLLOUT, 0 };

		if (n > 0)
			at += (size_t)n;
		else if (errno != EAGAIN || poll(&writable, 1, 1000) <= 0)
			client_gone(c);
	}
}

static size_t put_query(struct client *c, uint8_t *at, unsigned id, uint64_t now)
{
	const struct question *q = next_question();

	wire_put_u16(at, q->len);
	memcpy(at + 2, q->wire, q->len);
	wire_put_u16(at + 2, (uint16_t)id);
	if (c->sent_us)
		c->sent_us[id] = now;
	c->waiting++;
	sent++;
	return 2u + q->len;
}

/* Up to `most` queries in one write. Returns how many. */
static unsigned client_ask(struct client *c, unsigned most, uint64_t now)
{
	static uint8_t bytes[PIPELINE_MAX * (QUERY_MAX + 2)];
	unsigned count = 0;
	size_t len = 0;

	for (unsigned id = 0; id < pipeline && count < most; id++) {
		if (c->sent_us && c->sent_us[id] != 0)
			continue;
		len += put_query(c, bytes + len, id, now);
		count++;
	}
	client_send(c, bytes, len);
	return count;
}

static void take_reply(struct client *c, const uint8_t *reply, uint64_t now)
{
	unsigned id = wire_get_u16(reply);

	if (id >= pipeline || c->waiting == 0 || (c->sent_us && c->sent_us[id] == 0))
		return;
	if (c->sent_us && is_timed)
		note_latency(&latencies, now - c->sent_us[id]);
	if (c->sent_us)
		c->sent_us[id] = 0;
	answered++;
	if (--c->waiting == 0 && !is_timed)
		answered_once++;
}

static void client_read(struct client *c, uint64_t now)
{
	ssize_t n = recv(c->fd, c->bytes + c->have, sizeof(c->bytes) - c->have, 0);
	size_t at = 0;

	if (n <= 0) {
		if (n == 0 || errno != EAGAIN)
			client_gone(c);
		return;
	}
	c->have += (size_t)n;
	while (c->have - at >= 2 + DNS_HEADER_LEN && c->have - at >= 2u + wire_get_u16(c->bytes + at)) {
		take_reply(c, c->bytes + at + 2, now);
		at += 2u + wire_get_u16(c->bytes + at);
	}
	memmove(c->bytes, c->bytes + at, c->have - at);
	c->have -= at;
}

/* ---- Opening ---- */

static void client_connect(struct client *c, unsigned number)
{
	struct sockaddr_in from = { .sin_family = AF_INET };
	struct epoll_event want = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c };
	int one = 1;

	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + number % SOURCES);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		die("socket: %s", strerror(errno));
	setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	c->state = CLIENT_CONNECTING;
	opened++;
	if (bind(c->fd, (struct sockaddr *)&from, sizeof(from)) < 0 ||
	    (connect(c->fd, (struct sockaddr *)&server.storage, server.len) < 0 && errno != EINPROGRESS) ||
	    epoll_ctl(loop, EPOLL_CTL_ADD, c->fd, &want) < 0)
		client_gone(c);
}

static void on_connected(struct client *c, uint64_t now)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error != 0) {
		client_gone(c);
		return;
	}
	c->state = CLIENT_OPEN;
	client_ask(c, 1, now);
}

static void turn(int wait_ms)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(loop, events, EVENTS, wait_ms);
	uint64_t now = clock_monotonic_us();

	for (int i = 0; i < n; i++) {
		struct client *c = events[i].data.ptr;

		if (c->state == CLIENT_CONNECTING && (events[i].events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
			on_connected(c, now);
		if (c->state == CLIENT_OPEN && (events[i].events & (EPOLLIN | EPOLLHUP)))
			client_read(c, now);
	}
}

static void open_all(unsigned count)
{
	uint64_t end = clock_monotonic_us() + PATIENCE_US;
	unsigned before = 0;

	while (answered_once + gone < count && clock_monotonic_us() < end) {
		while (opened < count && opened - answered_once - gone < WAVE)
			client_connect(&clients[opened], opened);
		turn(10);
		if (answered_once + gone > before)
			end = clock_monotonic_us() + PATIENCE_US;
		before = answered_once + gone;
	}
}

/* ---- Asking ---- */

/* Edge-triggered events are too few for a reader that stops early: the busy ones are read anyway. */
static void run(double seconds, double rate)
{
	uint64_t start = clock_monotonic_us(), now = start, end = start + (uint64_t)(seconds * 1e6);

	sent = answered = 0;
	is_timed = true;
	for (unsigned i = 0; now < end; i = (i + 1) % busy_count) {
		struct client *c = &clients[i];

		if (c->state == CLIENT_OPEN && c->waiting > 0)
			client_read(c, now);
		if (c->state == CLIENT_OPEN && (rate <= 0 || (double)sent < (double)(now - start) * rate / 1e6))
			client_ask(c, pipeline, now);
		now = clock_monotonic_us();
	}
	for (uint64_t wait = now + PATIENCE_US / 5; answered < sent && clock_monotonic_us() < wait;)
		for (unsigned i = 0; i < busy_count; i++)
			if (clients[i].state == CLIENT_OPEN && clients[i].waiting > 0)
				client_read(&clients[i], clock_monotonic_us());
	is_timed = false;
}

/* How many of those who were silent are answered now. */
static unsigned ask_idle(void)
{
	uint64_t end = clock_monotonic_us() + PATIENCE_US;
	unsigned asked = 0, gone_before = gone;

	answered_once = 0;
	for (unsigned i = busy_count; i < busy_count + idle_count; i++) {
		if (clients[i].state != CLIENT_OPEN)
			continue;
		clients[i].waiting = 0;
		client_ask(&clients[i], 1, clock_monotonic_us());
		if (++asked % WAVE == 0)
			turn(0);
	}
	while (answered_once + gone - gone_before < asked && clock_monotonic_us() < end)
		turn(10);
	return answered_once;
}

static void raise_limit(unsigned count)
{
	struct rlimit files = { count + 64, count + 64 }, now;

	getrlimit(RLIMIT_NOFILE, &now);
	if (now.rlim_cur >= files.rlim_cur)
		return;
	files.rlim_max = files.rlim_cur > now.rlim_max ? files.rlim_cur : now.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		die("no %u open files: %s", count + 64, strerror(errno));
}

static void play(double seconds, double rate)
{
	unsigned count = idle_count + busy_count;
	char line[16];

	raise_limit(count);
	clients = calloc(count, sizeof(*clients));
	loop = epoll_create1(0);
	if (!clients || loop < 0)
		die("no room for %u clients", count);
	for (unsigned i = 0; i < busy_count; i++)
		clients[i].sent_us = calloc(pipeline, sizeof(uint64_t));
	open_all(count);
	printf("{\"connected\": %u, \"gone\": %u}\n", answered_once, gone);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		die("nobody is there any more");
	run(seconds, rate);
	sort_latencies(&latencies);
	printf("{\"seconds\": %.3f, \"sent\": %lu, \"answered\": %lu, ", seconds, sent, answered);
	print_percentiles(&latencies, "");
	printf(", \"held\": %u}\n", ask_idle());
}

int main(int argc, char **argv)
{
	const char *where = NULL, *file = NULL;
	double seconds = 2, rate = 0;
	int c;

	while ((c = getopt(argc, argv, "s:q:i:b:p:r:d:")) != -1) {
		switch (c) {
		case 's': where = optarg; break;
		case 'q': file = optarg; break;
		case 'i': idle_count = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'b': busy_count = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'p': pipeline = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'r': rate = strtod(optarg, NULL); break;
		case 'd': seconds = strtod(optarg, NULL); break;
		default: return 2;
		}
	}
	if (!where || !file || busy_count == 0 || pipeline == 0 || pipeline > PIPELINE_MAX ||
	    !address_from_text(where, 53, &server))
		die("usage: crowd -s ADDR:PORT -q FILE [-i IDLE] [-b BUSY] [-p PIPELINE] [-r RATE] [-d SECONDS]");
	read_questions(file);
	play(seconds, rate);
	return 0;
}
