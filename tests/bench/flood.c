/* SPDX-License-Identifier: ISC */
/*
 * flood - asks a server as fast as it answers, or at a steady rate, by UDP from many ports.
 *
 * Purpose:  the client of `make bench`. It keeps a number of queries under way and asks the next
 *           when one is answered; with a rate it asks by the clock, and tells how long answers
 *           took. It looks at ID, QR and rcode alone: what answers say is for the tests.
 * Output:   one line of JSON.
 * Time:     microseconds. It spins: give it a CPU of its own. With a rate it sleeps instead, and how
 *           long an answer took ends when the kernel has it (SO_TIMESTAMPNS), not when we look.
 * Failure:  a query without answer after LOST_US is counted, and another takes its place.
 *
 *   flood -s ADDR:PORT -q FILE [-d SECONDS] [-w QUERIES UNDER WAY] [-r RATE]
 *
 * FILE has lines of NAME TYPE-NUMBER, or NAME TYPE-NUMBER do.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cache/address.h"
#include "cache/clock.h"
#include "cache/dns.h"
#include "cache/wire.h"
#include "tests/bench/asking.h"

enum {
	SOCKETS = 32,
	WINDOW_MAX = 128,		/* of one socket */
	BATCH = 32,
	LOST_US = 500000,
};

/* One query under way; its ID is its place, with a generation above. */
struct slot { uint64_t sent_us, sent_wall_us; uint16_t id; bool is_busy; };

struct port {
	int fd;
	unsigned busy;
	struct slot slots[WINDOW_MAX];
};

static struct port ports[SOCKETS];
static unsigned window = 16;		/* of each socket */
static bool is_timed;
static uint64_t sent, answered, lost, rcodes[16];

/* ---- Asking ---- */

static void open_ports(const char *where)
{
	struct address a;

	if (!address_from_text(where, 53, &a))
		die("no address: %s", where);
	for (unsigned i = 0; i < SOCKETS; i++) {
		int size = 4 << 20, on = 1;

		ports[i].fd = socket(a.storage.ss_family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		setsockopt(ports[i].fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
		if (is_timed)
			setsockopt(ports[i].fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
		if (connect(ports[i].fd, (struct sockaddr *)&a.storage, a.len) < 0)
			die("%s: %s", where, strerror(errno));
	}
}

/* Fills up to `most` free slots of the port and sends them. */
static unsigned ask(struct port *p, unsigned most, uint64_t now)
{
	static uint8_t copies[BATCH][QUERY_MAX];
	struct mmsghdr m[BATCH];
	struct iovec v[BATCH];
	unsigned n = 0;
	int done;

	memset(m, 0, sizeof(m));
	for (unsigned i = 0; i < window && n < BATCH && n < most; i++) {
		const struct question *q;

		if (p->slots[i].is_busy)
			continue;
		q = next_question();
		p->slots[i].id = (uint16_t)(p->slots[i].id + WINDOW_MAX);
		p->slots[i].sent_us = now;
		p->slots[i].sent_wall_us = is_timed ? clock_wall_us() : 0;
		p->slots[i].is_busy = true;
		memcpy(copies[n], q->wire, q->len);
		wire_put_u16(copies[n], (uint16_t)(p->slots[i].id / WINDOW_MAX * WINDOW_MAX + i));
		v[n] = (struct iovec){ copies[n], q->len };
		m[n].msg_hdr.msg_iov = &v[n];
		m[n++].msg_hdr.msg_iovlen = 1;
	}
	if (n == 0)
		return 0;
	done = sendmmsg(p->fd, m, n, 0);	/* what does not leave is lost, in time */
	p->busy += n;
	sent += n;
	return done < 0 ? 0 : n;
}

/* Wall microseconds; 0 when the kernel did not say. */
static uint64_t heard_at(struct msghdr *m)
{
	struct timespec t;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&t, CMSG_DATA(c), sizeof(t));
		return (uint64_t)t.tv_sec * US_PER_S + (uint64_t)t.tv_nsec / 1000;
	}
	return 0;
}

static void take(struct port *p, const uint8_t *reply, size_t len, uint64_t heard_us)
{
	unsigned id = wire_get_u16(reply), i = id % WINDOW_MAX;
	struct slot *s = &p->slots[i];

	if (len < DNS_HEADER_LEN || !(reply[2] & 0x80) || i >= window || !s->is_busy ||
	    id / WINDOW_MAX != s->id / WINDOW_MAX)
		return;
	s->is_busy = false;
	p->busy--;
	answered++;
	rcodes[reply[3] & 15]++;
	if (heard_us)
		note_latency(heard_us > s->sent_wall_us ? heard_us - s->sent_wall_us : 0);
}

static void hear(struct port *p)
{
	static uint8_t replies[BATCH][4096];
	static char notes[BATCH][CMSG_SPACE(sizeof(struct timespec))];
	struct mmsghdr m[BATCH];
	struct iovec v[BATCH];
	int n;

	memset(m, 0, sizeof(m));
	for (unsigned i = 0; i < BATCH; i++) {
		v[i] = (struct iovec){ replies[i], sizeof(replies[i]) };
		m[i].msg_hdr.msg_iov = &v[i];
		m[i].msg_hdr.msg_iovlen = 1;
		if (is_timed) {
			m[i].msg_hdr.msg_control = notes[i];
			m[i].msg_hdr.msg_controllen = sizeof(notes[i]);
		}
	}
	n = recvmmsg(p->fd, m, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++)
		take(p, replies[i], m[i].msg_len, is_timed ? heard_at(&m[i].msg_hdr) : 0);
}

static void give_up(struct port *p, uint64_t now)
{
	for (unsigned i = 0; p->busy > 0 && i < window; i++) {
		if (!p->slots[i].is_busy || now - p->slots[i].sent_us < LOST_US)
			continue;
		p->slots[i].is_busy = false;
		p->busy--;
		lost++;
	}
}

/* Until the next question is due. */
static void nap(uint64_t start, double rate)
{
	int64_t left = (int64_t)(start + (uint64_t)((double)(sent + 1) * 1e6 / rate)) -
		       (int64_t)clock_monotonic_us();
	struct timespec t = { .tv_nsec = left > 0 ? (left < 10000 ? left : 10000) * 1000 : 0 };

	if (left > 0)
		nanosleep(&t, NULL);
}

static void run(double seconds, double rate)
{
	uint64_t start = clock_monotonic_us(), now = start, end = start + (uint64_t)(seconds * 1e6);
	unsigned turn = 0;

	while (now < end) {
		struct port *p = &ports[turn++ % SOCKETS];
		uint64_t due = rate > 0 ? (uint64_t)((double)(now - start) * rate / 1e6) : UINT64_MAX;

		hear(p);
		if (rate <= 0)
			ask(p, BATCH, now);
		else if (sent < due)
			ask(p, 1, now);
		if (rate > 0)
			nap(start, rate);
		if (turn % 1024 < SOCKETS)
			give_up(p, now);
		now = clock_monotonic_us();
	}
	for (uint64_t wait = now + LOST_US; clock_monotonic_us() < wait;)
		for (unsigned i = 0; i < SOCKETS; i++)
			if (ports[i].busy > 0)
				hear(&ports[i]);
	for (unsigned i = 0; i < SOCKETS; i++)
		lost += ports[i].busy;
}

/* ---- The result ---- */

static void print_result(double seconds)
{
	sort_latencies();
	printf("{\"seconds\": %.3f, \"sent\": %lu, \"answered\": %lu, \"lost\": %lu", seconds, sent, answered, lost);
	printf(", \"p50_us\": %u, \"p99_us\": %u, \"p999_us\": %u, \"rcodes\": {", percentile(500), percentile(990),
	       percentile(999));
	for (unsigned i = 0, n = 0; i < 16; i++)
		if (rcodes[i])
			printf("%s\"%u\": %lu", n++ ? ", " : "", i, rcodes[i]);
	printf("}}\n");
}

int main(int argc, char **argv)
{
	const char *server = NULL, *file = NULL;
	double seconds = 2, rate = 0;
	int c;

	while ((c = getopt(argc, argv, "s:q:d:w:r:")) != -1) {
		switch (c) {
		case 's': server = optarg; break;
		case 'q': file = optarg; break;
		case 'd': seconds = strtod(optarg, NULL); break;
		case 'w': window = ((unsigned)strtoul(optarg, NULL, 10) + SOCKETS - 1) / SOCKETS; break;
		case 'r': rate = strtod(optarg, NULL); break;
		default: return 2;
		}
	}
	if (!server || !file || window == 0 || window > WINDOW_MAX)
		die("usage: flood -s ADDR:PORT -q FILE [-d SECONDS] [-w QUERIES] [-r RATE]");
	is_timed = rate > 0;
	prctl(PR_SET_TIMERSLACK, 1UL);
	read_questions(file);
	open_ports(server);
	run(seconds, rate);
	print_result(seconds);
	return 0;
}
