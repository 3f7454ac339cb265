/* SPDX-License-Identifier: ISC */
/*
 * source - a primary that costs next to nothing: one zone, made up while it is sent.
 *
 * Purpose:  what transfers are measured against: example.com has host0000000, host0000001, ... with
 *           one address each, and every version changes ten records. Whole zones and differences
 *           go out as fast as they are taken; names are compressed as servers do. It is also what
 *           proxies are to pass queries on to when nothing behind them shall be the narrow place: by UDP
 *           each name has an address, and batches are taken and answered as by echo.
 * Threads:  one that accepts, one for each connection, one for UDP. The counters are atomic.
 * Failure:  what it cannot answer is REFUSED; without sockets it aborts.
 */
#ifndef TESTS_BENCH_SOURCE_H
#define TESTS_BENCH_SOURCE_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cache/dns.h"
#include "cache/name.h"
#include "cache/wire.h"

enum { SOURCE_CHANGES = 10, SOURCE_MESSAGE = 60000, SOURCE_BATCH = 64, SOURCE_QUESTION = 4096 };

static const uint8_t SOURCE_ORIGIN[] = "\7example\3com";

static struct {
	unsigned records;
	_Atomic uint32_t serial;
	_Atomic uint64_t sent_us;	/* when the last byte of a difference was out */
	_Atomic unsigned differences, zones;
	int tcp, udp;
} source = { .records = 1900000, .serial = 1 };

/* Of the kernel: the product's own clock may be replaced. */
static inline uint64_t source_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* ---- Records; the origin stands in the question of every message ---- */

static void put_origin(struct wire_out *o)
{
	wire_add_u16(o, 0xc000 | DNS_HEADER_LEN);
}

static void put_fixed(struct wire_out *o, uint16_t type, uint16_t rdata_len)
{
	wire_add_u16(o, type);
	wire_add_u16(o, CLASS_IN);
	wire_add_u32(o, 3600);
	wire_add_u16(o, rdata_len);
}

static void put_soa(struct wire_out *o, uint32_t serial)
{
	put_origin(o);
	put_fixed(o, TYPE_SOA, 22);
	wire_add_u16(o, 0);
	wire_add_u32(o, serial);
	for (int i = 0; i < 4; i++)
		wire_add_u32(o, 1 << 20);
}

static void put_host(struct wire_out *o, unsigned i, uint32_t address)
{
	uint8_t name[] = "\13host0000000";

	for (int at = 11; i > 0; i /= 10)
		name[at--] = (uint8_t)('0' + i % 10);
	wire_add_bytes(o, name, 12);
	put_origin(o);
	put_fixed(o, TYPE_A, 4);
	wire_add_u32(o, address);
}

/* Those that change have the serial for an address, the others their number. */
static unsigned changing(unsigned i)
{
	return source.records / SOURCE_CHANGES * i + 7;
}

static void put_changes(struct wire_out *o, uint32_t serial)
{
	for (unsigned i = 0; i < SOURCE_CHANGES / 2; i++)
		put_host(o, changing(i), serial);
}

static void put_any_host(struct wire_out *o, unsigned i, uint32_t serial)
{
	bool changes = false;

	for (unsigned k = 0; k < SOURCE_CHANGES / 2; k++)
		changes |= changing(k) == i;
	put_host(o, i, changes ? serial : 0x0a000000 | i);
}

/* ---- Replies, with room for their length in front ---- */

struct source_reply {
	uint8_t bytes[2 + 65535];
	struct wire_out o;
	unsigned count;
};

static void reply_begin(struct source_reply *r, const uint8_t *question, size_t question_len)
{
	r->o = wire_into(r->bytes, sizeof(r->bytes));
	r->count = 0;
	wire_add_u16(&r->o, 0);
	wire_add_bytes(&r->o, question, 2);
	wire_add_u16(&r->o, DNS_QR | DNS_AA);
	wire_add_u16(&r->o, 1);
	wire_add_u32(&r->o, 0);
	wire_add_u16(&r->o, 0);
	wire_add_bytes(&r->o, question + DNS_HEADER_LEN, question_len);
}

static bool reply_send(int fd, struct source_reply *r)
{
	wire_put_u16(r->bytes, (uint16_t)(r->o.len - 2));
	wire_put_u16(r->bytes + 2 + 6, (uint16_t)r->count);
	for (size_t at = 0; at < r->o.len;) {
		ssize_t n = send(fd, r->bytes + at, r->o.len - at, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

static bool send_zone(int fd, struct source_reply *r, const uint8_t *question, size_t question_len)
{
	uint32_t now = source.serial;

	source.zones++;
	reply_begin(r, question, question_len);
	put_soa(&r->o, now);
	put_origin(&r->o);
	put_fixed(&r->o, TYPE_NS, 1);
	wire_add_u8(&r->o, 0);
	r->count = 2;
	for (unsigned i = 0; i < source.records; i++) {
		put_any_host(&r->o, i, now);
		r->count++;
		if (r->o.len < SOURCE_MESSAGE)
			continue;
		if (!reply_send(fd, r))
			return false;
		reply_begin(r, question, question_len);
	}
	put_soa(&r->o, now);
	r->count++;
	return reply_send(fd, r);
}

static bool send_difference(int fd, struct source_reply *r, const uint8_t *question, size_t question_len,
			    uint32_t from)
{
	uint32_t now = source.serial;
	bool ok;

	reply_begin(r, question, question_len);
	put_soa(&r->o, now);
	for (; from != now; from++) {
		put_soa(&r->o, from);
		put_changes(&r->o, from);
		put_soa(&r->o, from + 1);
		put_changes(&r->o, from + 1);
		r->count += 2 + SOURCE_CHANGES;
	}
	put_soa(&r->o, now);
	r->count += 2;
	ok = reply_send(fd, r);
	source.sent_us = source_now_us();
	source.differences++;
	return ok;
}

/* ---- Questions ---- */

/* Behind the name at `at`; a pointer ends it. */
static size_t behind_name(const uint8_t *message, size_t at)
{
	while (message[at] != 0 && message[at] < 0xc0)
		at += 1u + message[at];
	return at + (message[at] == 0 ? 1 : 2);
}

/* What the client has: in the SOA of its IXFR. */
static uint32_t serial_of(const uint8_t *message, size_t at)
{
	at = behind_name(message, at) + 10;
	return wire_get_u32(message + behind_name(message, behind_name(message, at)));
}

static void put_address(struct wire_out *o)
{
	put_origin(o);
	put_fixed(o, TYPE_A, 4);
	wire_add_u32(o, 0x0a000001);
}

/* One record: the SOA for its own type and for those that say it by nothing else, an address for A. */
static void put_answer(struct source_reply *r, const uint8_t *message, size_t question_len, uint16_t type)
{
	reply_begin(r, message, question_len);
	r->count = 1;
	switch (type) {
	case TYPE_SOA:
	case TYPE_IXFR:
		put_soa(&r->o, source.serial);
		break;
	case TYPE_A:
		put_address(&r->o);
		break;
	default:
		r->count = 0;
		wire_put_u16(r->bytes + 2 + 2, DNS_QR | RCODE_REFUSED);
	}
}

static bool source_answer(int fd, struct source_reply *r, const uint8_t *message)
{
	size_t end = behind_name(message, DNS_HEADER_LEN) + 4, question_len = end - DNS_HEADER_LEN;
	uint16_t type = wire_get_u16(message + end - 4);

	if (type == TYPE_AXFR)
		return send_zone(fd, r, message, question_len);
	if (type == TYPE_IXFR)
		return send_difference(fd, r, message, question_len, serial_of(message, end));
	put_answer(r, message, question_len, type);
	return reply_send(fd, r);
}

/* ---- Sockets ---- */

static bool read_all(int fd, uint8_t *bytes, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = recv(fd, bytes + at, len - at, 0);

		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

static void *serve_connection(void *arg)
{
	struct { struct source_reply reply; uint8_t message[65536 + 512]; } *own = calloc(1, sizeof(*own));
	int fd = (int)(intptr_t)arg, one = 1;
	uint8_t length[2];

	if (!own)
		abort();
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	while (read_all(fd, length, 2) && read_all(fd, own->message, wire_get_u16(length)) &&
	       source_answer(fd, &own->reply, own->message))
		;
	close(fd);
	free(own);
	return NULL;
}

static void start_thread(void *(*run)(void *), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, arg) != 0)
		abort();
	pthread_detach(thread);
}

static void *serve_tcp(void *arg)
{
	(void)arg;
	for (;;) {
		int fd = accept(source.tcp, NULL, NULL);

		if (fd < 0)
			return NULL;
		start_thread(serve_connection, (void *)(intptr_t)fd);
	}
}

/* What was received of a batch, and what goes back. */
static struct {
	struct mmsghdr asked[SOURCE_BATCH], answered[SOURCE_BATCH];
	struct iovec asked_part[SOURCE_BATCH], answered_part[SOURCE_BATCH];
	struct sockaddr_storage from[SOURCE_BATCH];
	uint8_t message[SOURCE_BATCH][SOURCE_QUESTION + 512];
	struct source_reply reply[SOURCE_BATCH];
} batch;

static void begin_batch(void)
{
	for (int i = 0; i < SOURCE_BATCH; i++) {
		batch.asked_part[i] = (struct iovec){ batch.message[i], SOURCE_QUESTION };
		batch.asked[i].msg_hdr = (struct msghdr){
			.msg_iov = &batch.asked_part[i], .msg_iovlen = 1,
			.msg_name = &batch.from[i], .msg_namelen = sizeof(batch.from[i]),
		};
	}
}

/* To the `i`th; false when that asks nothing. An IXFR gets the SOA alone, which says: by TCP (RFC 1995 s.2). */
static bool answer_of_batch(int i, struct mmsghdr *answered)
{
	struct source_reply *r = &batch.reply[i];
	const uint8_t *message = batch.message[i];
	size_t end;

	if (batch.asked[i].msg_len < DNS_HEADER_LEN + 5)
		return false;
	end = behind_name(message, DNS_HEADER_LEN) + 4;
	put_answer(r, message, end - DNS_HEADER_LEN, wire_get_u16(message + end - 4));
	wire_put_u16(r->bytes + 2 + 6, (uint16_t)r->count);
	batch.answered_part[i] = (struct iovec){ r->bytes + 2, r->o.len - 2 };
	answered->msg_hdr = (struct msghdr){
		.msg_iov = &batch.answered_part[i], .msg_iovlen = 1,
		.msg_name = &batch.from[i], .msg_namelen = batch.asked[i].msg_hdr.msg_namelen,
	};
	return true;
}

static void *serve_udp(void *arg)
{
	(void)arg;
	for (;;) {
		unsigned count = 0;
		int n;

		begin_batch();
		n = recvmmsg(source.udp, batch.asked, SOURCE_BATCH, MSG_WAITFORONE, NULL);
		if (n < 0 && errno != EINTR)
			return NULL;
		for (int i = 0; i < n; i++)
			count += answer_of_batch(i, &batch.answered[count]);
		for (unsigned done = 0; done < count;) {
			int sent = sendmmsg(source.udp, batch.answered + done, count - done, 0);

			done += sent > 0 ? (unsigned)sent : 1;
		}
	}
}

/* On 127.0.0.1; port 0: any. Returns the port. */
static uint16_t source_start(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				 .sin_port = htons(port) };
	socklen_t len = sizeof(a);
	int one = 1, size = 4 << 20;

	source.tcp = socket(AF_INET, SOCK_STREAM, 0);
	source.udp = socket(AF_INET, SOCK_DGRAM, 0);
	setsockopt(source.udp, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(source.tcp, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(source.tcp, (struct sockaddr *)&a, len) < 0 || listen(source.tcp, 64) < 0 ||
	    getsockname(source.tcp, (struct sockaddr *)&a, &len) < 0 ||
	    bind(source.udp, (struct sockaddr *)&a, len) < 0)
		abort();
	start_thread(serve_tcp, NULL);
	start_thread(serve_udp, NULL);
	return ntohs(a.sin_port);
}

#endif
