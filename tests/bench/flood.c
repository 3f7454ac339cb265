/* SPDX-License-Identifier: ISC */
/*
 * flood - asks a server as fast as it answers, or at a steady rate, by UDP from many ports.
 *
 * Purpose:  the client of `make bench`. It keeps a number of queries under way and asks the next
 *           when one is answered; with a rate it asks by the clock, and tells how long answers
 *           took. It looks at ID, QR and rcode alone: what answers say is for the tests.
 * Output:   one line of JSON. With -c, beside the percentiles of all replies ("p99_us"), those of the
 *           ones that came while the machine ran ("ran_p99_us"): left out are those for which one of these CPUs
 *           stood still (ticks.h) for half of the time they took or more. What took longer for any other
 *           reason stays. Beside them how many were left out, for how long CPUs stood still ("still_ms"), and
 *           the share of their time that strangers had: others than us, the server, and what stands around
 *           it, whose process groups -g names. Where the kernel does not let us watch there are no such figures.
 * Time:     microseconds. It spins: give it a CPU of its own. With a rate it sleeps instead, and how
 *           long an answer took ends when the kernel has it (SO_TIMESTAMPNS), not when we look.
 * Failure:  a query without answer after LOST_US is counted, and another takes its place.
 *
 *   flood -s ADDR:PORT -q FILE [-d SECONDS] [-w QUERIES UNDER WAY] [-r RATE [-c CPU,CPU [-g GROUP,GROUP]]]
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
#include "tests/bench/ticks.h"

enum {
	SOCKETS = 32,
	WINDOW_MAX = 128,		/* of one socket */
	BATCH = 32,
	LOST_US = 500000,
	BEHIND_US = 1000,
	SENDING_US = 200,
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
static bool is_timed, is_watched;
static uint64_t sent, answered, lost, rcodes[16];
static struct latencies of_all, of_running;
static uint64_t asked_us[LATENCIES_MAX];	/* of_all, in the order of replies */

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
	unsigned n = 0, last = 0;
	int done;

	memset(m, 0, sizeof(m));
	for (unsigned i = 0; i < window && n < BATCH && n < most; i++) {
		const struct question *q;

		if (p->slots[i].is_busy)
			continue;
		q = next_question();
		p->slots[i].id = (uint16_t)(p->slots[i].id + WINDOW_MAX);
		p->slots[i].sent_us = is_timed ? clock_monotonic_us() : now;
		p->slots[i].sent_wall_us = is_timed ? clock_wall_us() : 0;
		p->slots[i].is_busy = true;
		memcpy(copies[n], q->wire, q->len);
		wire_put_u16(copies[n], (uint16_t)(p->slots[i].id / WINDOW_MAX * WINDOW_MAX + i));
		last = i;
		v[n] = (struct iovec){ copies[n], q->len };
		m[n].msg_hdr.msg_iov = &v[n];
		m[n++].msg_hdr.msg_iovlen = 1;
	}
	if (n == 0)
		return 0;
	done = sendmmsg(p->fd, m, n, 0);	/* what does not leave is lost, in time */
	if (is_timed && clock_monotonic_us() > p->slots[last].sent_us + SENDING_US)
		p->slots[last].sent_wall_us = 0;	/* held up ourselves, we cannot say when it left */
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
	if (!heard_us || !s->sent_wall_us || of_all.count == LATENCIES_MAX)
		return;
	asked_us[of_all.count] = s->sent_us;
	note_latency(&of_all, heard_us > s->sent_wall_us ? heard_us - s->sent_wall_us : 0);
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
static void nap(uint64_t begun, double rate)
{
	int64_t left = (int64_t)(begun + (uint64_t)((double)(sent + 1) * 1e6 / rate)) -
		       (int64_t)clock_monotonic_us();
	struct timespec t = { .tv_nsec = left > 0 ? (left < 10000 ? left : 10000) * 1000 : 0 };

	if (left > 0)
		nanosleep(&t, NULL);
}

/* When the first question would have been due: whoever did not run makes up for nothing in one burst. */
static uint64_t shifted(uint64_t begun, uint64_t now, double rate)
{
	uint64_t next_due = begun + (uint64_t)((double)(sent + 1) * 1e6 / rate);

	return now > next_due + BEHIND_US ? begun + (now - next_due) : begun;
}

static void hear_the_rest(uint64_t until_us)
{
	unsigned missing;

	do {
		missing = 0;
		for (unsigned i = 0; i < SOCKETS; i++) {
			if (ports[i].busy > 0)
				hear(&ports[i]);
			missing += ports[i].busy;
		}
	} while (missing > 0 && clock_monotonic_us() < until_us);
	lost += missing;
}

static void run(double seconds, double rate)
{
	uint64_t begun = clock_monotonic_us(), now = begun, end = begun + (uint64_t)(seconds * 1e6);
	unsigned turn = 0;

	while (now < end) {
		struct port *p = &ports[turn++ % SOCKETS];
		uint64_t due = rate > 0 ? (uint64_t)((double)(now - begun) * rate / 1e6) : UINT64_MAX;

		hear(p);
		if (rate <= 0)
			ask(p, BATCH, now);
		else if (sent < due)
			ask(p, 1, now);
		if (rate > 0)
			nap(begun, rate);
		if (turn % 1024 < SOCKETS)
			give_up(p, clock_monotonic_us());
		now = clock_monotonic_us();
		if (rate > 0)
			begun = shifted(begun, now, rate);
	}
	hear_the_rest(now + LOST_US);
}

/* ---- When the machine stood still ---- */

static bool watch(char *cpus, char *groups)
{
	ticks_add_group(getpgrp());
	for (char *word = strtok(groups, ","); word; word = strtok(NULL, ","))
		if (!ticks_add_group((pid_t)strtol(word, NULL, 10)))
			return false;
	for (char *word = strtok(cpus, ","); word; word = strtok(NULL, ","))
		if (!ticks_watch(strtoul(word, NULL, 10)))
			return false;
	return true;
}

static int compare_times(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* A question that left was sent by our CPU; a reply was put into our socket by the server's. */
static void tell_what_was_seen(void)
{
	static uint64_t left_us[LATENCIES_MAX], came_us[LATENCIES_MAX];
	int ours = sched_getcpu();

	for (size_t i = 0; i < of_all.count; i++) {
		left_us[i] = asked_us[i];
		came_us[i] = asked_us[i] + of_all.us[i];
	}
	qsort(left_us, of_all.count, sizeof(*left_us), compare_times);
	qsort(came_us, of_all.count, sizeof(*came_us), compare_times);
	for (int cpu = 0; cpu < HELD_CPUS_MAX; cpu++)
		ticks.seen[cpu] = (struct ticks_seen){ cpu == ours ? left_us : came_us, of_all.count, 0 };
}

static void choose_running(const struct held_time *held, size_t count)
{
	for (size_t i = 0; i < of_all.count; i++) {
		uint64_t took_us = of_all.us[i];

		if (took_us == 0 || 2 * held_within(held, count, asked_us[i], asked_us[i] + took_us) < took_us)
			note_latency(&of_running, took_us);
	}
}

static void print_running(void)
{
	size_t count;

	tell_what_was_seen();
	struct held_time *held = ticks_missing(&count);

	choose_running(held, count);
	sort_latencies(&of_running);
	printf(", ");
	print_percentiles(&of_running, "ran_");
	printf(", \"left_out\": %zu, \"still_ms\": %.3f, \"strangers_share\": %.3f",
	       of_all.count - of_running.count, (double)ticks.still_us / 1000,
	       (double)ticks.strangers_us / (double)(ticks.ran_us + 1));
	free(held);
}

/* ---- The result ---- */

static void print_result(double seconds)
{
	printf("{\"seconds\": %.3f, \"sent\": %lu, \"answered\": %lu, \"lost\": %lu", seconds, sent, answered, lost);
	if (is_watched)
		print_running();
	sort_latencies(&of_all);
	printf(", ");
	print_percentiles(&of_all, "");
	printf(", \"rcodes\": {");
	for (unsigned i = 0, n = 0; i < 16; i++)
		if (rcodes[i])
			printf("%s\"%u\": %lu", n++ ? ", " : "", i, rcodes[i]);
	printf("}}\n");
}

int main(int argc, char **argv)
{
	const char *server = NULL, *file = NULL;
	char *cpus = NULL, *groups = "";
	double seconds = 2, rate = 0;
	int c;

	while ((c = getopt(argc, argv, "s:q:d:w:r:c:g:")) != -1) {
		switch (c) {
		case 's': server = optarg; break;
		case 'q': file = optarg; break;
		case 'd': seconds = strtod(optarg, NULL); break;
		case 'w': window = ((unsigned)strtoul(optarg, NULL, 10) + SOCKETS - 1) / SOCKETS; break;
		case 'r': rate = strtod(optarg, NULL); break;
		case 'c': cpus = optarg; break;
		case 'g': groups = optarg; break;
		default: return 2;
		}
	}
	if (!server || !file || window == 0 || window > WINDOW_MAX || (cpus && rate <= 0))
		die("usage: flood -s ADDR:PORT -q FILE [-d SECONDS] [-w QUERIES] [-r RATE [-c CPU,CPU [-g GROUP,GROUP]]]");
	is_timed = rate > 0;
	prctl(PR_SET_TIMERSLACK, 1UL);
	read_questions(file);
	open_ports(server);
	if (cpus)
		is_watched = watch(cpus, groups);
	run(seconds, rate);
	print_result(seconds);
	return 0;
}
