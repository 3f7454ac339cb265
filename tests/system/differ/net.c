/* SPDX-License-Identifier: ISC */
#include "tests/system/differ/net.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TRIES = 9, WAIT_MS = 250 };

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void server_init(struct server *s, const char *text)
{
	char host[64];
	unsigned port;
	int size = 8 << 20;

	memset(s, 0, sizeof(*s));
	if (sscanf(text, "%15[^=]=%63[^@]@%u", s->name, host, &port) != 3 || port > 65535)
		errx(2, "%s: no NAME=ADDRESS@PORT", text);
	s->address.sin_family = AF_INET;
	s->address.sin_port = htons((uint16_t)port);
	if (inet_pton(AF_INET, host, &s->address.sin_addr) != 1)
		errx(2, "%s: no IPv4 address", host);
	s->tcp = -1;
	s->udp = socket(AF_INET, SOCK_DGRAM, 0);
	setsockopt(s->udp, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (s->udp < 0 || connect(s->udp, (struct sockaddr *)&s->address, sizeof(s->address)) != 0)
		err(2, "%s: UDP", text);
}

int server_connect(const struct server *s)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd >= 0 && connect(fd, (const struct sockaddr *)&s->address, sizeof(s->address)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* The ID of a batch's first query: a late reply to an earlier batch is none to this one. */
static uint16_t first_id;

static bool keep_reply(struct server *s, unsigned count, const uint8_t *bytes, size_t len)
{
	uint16_t at = len >= 2 ? (uint16_t)(read_u16(bytes) - first_id) : UINT16_MAX;

	if (at >= count || s->replies[at].len > 0)
		return false;
	struct reply *r = &s->replies[at];

	if (r->room < len) {
		r->room = len;
		free(r->bytes);
		r->bytes = malloc(len);
		if (!r->bytes)
			err(2, "malloc");
	}
	memcpy(r->bytes, bytes, len);
	r->len = len;
	s->missing--;
	return true;
}

static bool is_asked(const struct query *q, unsigned index)
{
	return (q->servers >> index & 1) != 0;
}

static void send_missing_udp(struct server *s, unsigned index, const struct query *queries,
			     unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (is_asked(&queries[i], index) && s->replies[i].len == 0)
			if (send(s->udp, queries[i].bytes, queries[i].len, 0) < 0)
				continue;	/* an ICMP error of the last one: asked again */
}

static void receive_udp(struct server *s, unsigned count)
{
	static uint8_t bytes[MESSAGE_MAX];
	ssize_t n;

	while ((n = recv(s->udp, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
		keep_reply(s, count, bytes, (size_t)n);
}

/* All in one write, as far as they are owed; queries are small beside a socket's buffer. */
static void send_missing_tcp(struct server *s, unsigned index, const struct query *queries,
			     unsigned count)
{
	static uint8_t bytes[BATCH_MAX * (2 + QUERY_MAX)];
	size_t len = 0;

	if (s->tcp >= 0)
		close(s->tcp);
	s->begun_len = 0;
	s->tcp = server_connect(s);
	if (s->tcp < 0)
		return;
	for (unsigned i = 0; i < count; i++) {
		const struct query *q = &queries[i];

		if (!is_asked(q, index) || s->replies[i].len > 0)
			continue;
		bytes[len++] = (uint8_t)(q->len >> 8);
		bytes[len++] = (uint8_t)q->len;
		memcpy(bytes + len, q->bytes, q->len);
		len += q->len;
	}
	for (size_t sent = 0; sent < len;) {
		ssize_t n = send(s->tcp, bytes + sent, len - sent, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		sent += (size_t)n;
	}
}

/* False when the connection is over. */
static bool receive_tcp(struct server *s, unsigned count)
{
	ssize_t n = recv(s->tcp, s->begun + s->begun_len, sizeof(s->begun) - s->begun_len,
			 MSG_DONTWAIT);

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	s->begun_len += (size_t)n;
	size_t at = 0;

	while (s->begun_len - at >= 2) {
		size_t len = read_u16(s->begun + at);

		if (s->begun_len - at - 2 < len)
			break;
		keep_reply(s, count, s->begun + at + 2, len);
		at += 2 + len;
	}
	memmove(s->begun, s->begun + at, s->begun_len - at);
	s->begun_len -= at;
	return true;
}

/* One try: what is missing is asked, and waited for. */
static void try_once(struct server *servers, unsigned server_count, const struct query *queries,
		     unsigned count, bool is_tcp, int wait_ms)
{
	struct pollfd fds[SERVERS_MAX];
	int64_t end = now_ms() + wait_ms;

	for (unsigned i = 0; i < server_count; i++) {
		struct server *s = &servers[i];

		fds[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
		if (s->missing == 0)
			continue;
		(is_tcp ? send_missing_tcp : send_missing_udp)(s, i, queries, count);
		fds[i].fd = is_tcp ? s->tcp : s->udp;
	}
	for (;;) {
		unsigned waiting = 0;
		int64_t left = end - now_ms();

		for (unsigned i = 0; i < server_count; i++) {
			if (servers[i].missing == 0)
				fds[i].fd = -1;
			waiting += fds[i].fd >= 0;
		}
		if (waiting == 0 || left <= 0)
			return;
		if (poll(fds, server_count, (int)left) < 0 && errno != EINTR)
			err(2, "poll");
		for (unsigned i = 0; i < server_count; i++) {
			if (fds[i].fd < 0 || !fds[i].revents)
				continue;
			if (!is_tcp)
				receive_udp(&servers[i], count);
			else if (!receive_tcp(&servers[i], count))
				fds[i].fd = -1;
		}
	}
}

void net_ask(struct server *servers, unsigned count, struct query *queries, unsigned query_count,
	     bool is_tcp)
{
	unsigned missing = 0;

	first_id = (uint16_t)(first_id + BATCH_MAX);
	for (unsigned i = 0; i < query_count; i++) {
		queries[i].bytes[0] = (uint8_t)((first_id + i) >> 8);
		queries[i].bytes[1] = (uint8_t)(first_id + i);
	}
	for (unsigned i = 0; i < count; i++) {
		servers[i].missing = 0;
		for (unsigned j = 0; j < query_count; j++) {
			servers[i].replies[j].len = 0;
			servers[i].missing += is_asked(&queries[j], i);
		}
		missing += servers[i].missing;
	}
	for (unsigned tries = 1; missing > 0 && tries <= TRIES; tries++) {
		try_once(servers, count, queries, query_count, is_tcp, WAIT_MS * (int)tries);
		missing = 0;
		for (unsigned i = 0; i < count; i++)
			missing += servers[i].missing;
	}
}
