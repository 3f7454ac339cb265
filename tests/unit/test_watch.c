/* SPDX-License-Identifier: ISC */
/*
 * watch: real probes, by UDP and TCP, to a server that lives in the same loop and has moods.
 * Workers are played by writing their counters. Time is counted in turns of some milliseconds, so that
 * while we are held up, and the server with us, none of it passes.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cache/clock.h"
#include "cache/dns.h"
#include "cache/event.h"
#include "cache/random.h"
#include "cache/wire.h"
#include "proxy/backend.h"
#include "proxy/guard.h"
#include "proxy/suspicion.h"
#include "proxy/watch.h"
#include "proxy/watch_newer.h"
#include "tests/temporary.h"

enum mood { WELL, SILENT, UDP_SILENT, REFUSING, LAME, GARBAGE, TCP_HANGS };
enum { LINES_MAX = 64, TURN_MS = 10 };

static struct {
	struct ev_loop *loop;
	ev_io udp, tcp, peer[64];
	ev_timer turn;
	unsigned turns_left;
	uint64_t turned_us, held_ms;	/* by so much all turns were late */
	uint16_t port;
	enum mood mood;
	uint32_t serial;
	unsigned asked;
	bool has_other_data, is_empty;
	bool leads_back;		/* to a listener of ours */
	unsigned guards;		/* questions of the guard that came */
} server;

static char lines[LINES_MAX][EVENT_LINE_MAX];
static unsigned line_count;
static struct watch *watch;
static struct plan *plan;
static struct backend *backend;
static struct mirror_zone mirrored;
static const char *regression = "";
static unsigned other_zones, rise = 3;

/* ---- The server ---- */

/* Every name of the zone has one address. */
static size_t write_sample(uint8_t *m, size_t query_len)
{
	struct wire_out o = wire_into(m, 600);

	o.len = query_len;
	wire_put_u16(m + 2, DNS_QR | DNS_AA | (server.is_empty ? RCODE_NXDOMAIN : 0));
	wire_put_u16(m + 6, server.is_empty ? 0 : 1);
	if (!server.is_empty)
		wire_add_bytes(&o, server.has_other_data ? "\xc0\x0c\0\1\0\1\0\0\1\54\0\4\300\0\2\2"
				   : "\xc0\x0c\0\1\0\1\0\0\1\54\0\4\300\0\2\1", 16);
	return o.len;
}

static size_t write_reply(uint8_t *m, size_t query_len)
{
	if (server.mood == WELL && wire_get_u16(m + query_len - 4) == TYPE_A)
		return write_sample(m, query_len);

	struct wire_out o = wire_into(m, 600);
	unsigned flags = DNS_QR | DNS_AA;

	o.len = query_len;
	if (server.mood == REFUSING)
		flags = DNS_QR | RCODE_REFUSED;
	if (server.mood == LAME)
		flags = DNS_QR;
	wire_put_u16(m + 2, (uint16_t)flags);
	wire_put_u16(m + 6, server.mood == REFUSING ? 0 : 1);
	if (server.mood == REFUSING)
		return o.len;
	wire_add_bytes(&o, "\xc0\x0c\0\6\0\1\0\0\1\54\0\30\xc0\x0c\xc0\x0c", 16);
	wire_add_u32(&o, server.serial);
	for (int i = 0; i < 4; i++)
		wire_add_u32(&o, 60);
	if (server.mood == GARBAGE)
		m[0] ^= 0xff;
	return o.len;
}

/* Plays the worker that such a question comes back to. */
static void take_guard(const uint8_t *qname)
{
	struct guard_mark mark;

	if (!guard_read(qname, &mark))
		return;
	server.guards++;
	if (!server.leads_back || atomic_load(&backend_get(mark.backend)->guard_number) != mark.number)
		return;
	atomic_store(&backend_get(mark.backend)->guard_returned, mark.number);
	watch_wake(watch);
}

static void on_udp(struct ev_loop *loop, ev_io *io, int revents)
{
	struct sockaddr_storage from;
	socklen_t from_len = sizeof(from);
	uint8_t m[600];
	ssize_t n = recvfrom(io->fd, m, sizeof(m), 0, (struct sockaddr *)&from, &from_len);

	(void)loop, (void)revents;
	if (n <= 0 || server.mood == SILENT || server.mood == UDP_SILENT)
		return;
	take_guard(m + DNS_HEADER_LEN);
	server.asked++;
	n = (ssize_t)write_reply(m, (size_t)n);
	(void)!sendto(io->fd, m, (size_t)n, 0, (struct sockaddr *)&from, from_len);
}

static void on_peer(struct ev_loop *loop, ev_io *io, int revents)
{
	uint8_t m[602];
	ssize_t n = recv(io->fd, m, sizeof(m), 0);

	(void)revents;
	if (n > 2 && server.mood != SILENT && server.mood != TCP_HANGS) {
		size_t len = write_reply(m + 2, (size_t)n - 2);

		wire_put_u16(m, (uint16_t)len);
		(void)!send(io->fd, m, len + 2, MSG_NOSIGNAL);
	}
	if (n <= 0) {
		ev_io_stop(loop, io);
		close(io->fd);
	}
}

static void on_tcp(struct ev_loop *loop, ev_io *io, int revents)
{
	int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK);

	(void)revents;
	for (int i = 0; fd >= 0 && i < 64; i++) {
		if (ev_is_active(&server.peer[i]))
			continue;
		ev_io_init(&server.peer[i], on_peer, fd, EV_READ);
		ev_io_start(loop, &server.peer[i]);
		return;
	}
	close(fd);
}

/* -1 when somebody has the port. */
static int bound(int type)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(server.port) };
	int fd = socket(AF_INET, type | SOCK_NONBLOCK, 0), one = 1;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && (type != SOCK_STREAM || listen(fd, 16) == 0))
		return fd;
	ck_assert_int_eq(errno, EADDRINUSE);
	close(fd);
	return -1;
}

/* One port for both, from those that no socket gets by itself: somebody's probe might have it. */
static void server_open(void)
{
	int tcp, udp = -1;
	struct random r;

	random_init(&r);
	while (udp < 0) {
		server.port = (uint16_t)(10000 + random_below(&r, 22000));
		if ((tcp = bound(SOCK_STREAM)) >= 0 && (udp = bound(SOCK_DGRAM)) < 0)
			close(tcp);
	}
	ev_io_init(&server.tcp, on_tcp, tcp, EV_READ);
	ev_io_init(&server.udp, on_udp, udp, EV_READ);
	ev_io_start(server.loop, &server.udp);
	ev_io_start(server.loop, &server.tcp);
}

static void server_kill(void)
{
	ev_io_stop(server.loop, &server.udp);
	ev_io_stop(server.loop, &server.tcp);
	close(server.udp.fd);
	close(server.tcp.fd);
}

/* ---- The world ---- */

static void hear(const char *line, size_t len, void *arg)
{
	(void)arg;
	ck_assert_uint_lt(line_count, LINES_MAX);
	memcpy(lines[line_count], line, len);
	lines[line_count++][len] = '\0';
}

/* Of other zones the mirror has nothing. */
static void write_zones(FILE *f)
{
	fprintf(f, "zone \"example.com\" { pool = \"main\" }\n");
	for (unsigned i = 0; i < other_zones; i++)
		fprintf(f, "zone \"z%u.example.net\" { pool = \"main\" }\n", i);
}

static struct plan *given_plan(const char *health, unsigned number)
{
	char path[256];
	FILE *f = fdopen(mkstemp(temporary_path(path, sizeof(path), "test_watch")), "w");
	struct conf *conf;

	fprintf(f,
		"listen = { \"127.0.0.1:1\" }\npool \"main\" {\n"
		"backend \"ns1\" { address = \"127.0.0.1:%u\" tier = 0 primary = true }\n"
		"mirror { tier = 1 }\nhealth { interval = \"100ms\" timeout = \"100ms\" rise = %u "
		"%s }\n%s\n}\n",
		server.port, rise, health, regression);
	write_zones(f);
	fclose(f);
	conf = conf_read(path, stderr);
	unlink(path);
	ck_assert_ptr_nonnull(conf);
	return plan_new(conf, NULL, number);
}

static void hold_mirror(uint32_t serial)
{
	static const uint8_t origin[] = "\7example\3com";
	uint8_t soa[] = "\2ns\0\2ns\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
	struct zone_edit *e = zone_edit_new(origin, NULL, 0, 0);
	enum zone_error why;
	char where[NAME_TEXT_MAX];

	wire_put_u32(soa + 8, serial);
	ck_assert_int_eq(zone_edit_add(e, origin, TYPE_SOA, 60, soa, 28), ZONE_OK);
	ck_assert_int_eq(zone_edit_add(e, origin, TYPE_NS, 60, (const uint8_t *)"\2ns", 4),
			 ZONE_OK);
	for (char host[] = "\1a\7example\3com"; host[1] <= 'j'; host[1]++)
		ck_assert_int_eq(zone_edit_add(e, (uint8_t *)host, TYPE_A, 60,
					       (const uint8_t *)"\300\0\2\1", 4), ZONE_OK);
	mirrored.current = zone_edit_finish(e, serial, &why, where);
	ck_assert_ptr_nonnull(mirrored.current);
	atomic_store(&mirrored.is_servable, true);
}

static void setup_with(const char *health)
{
	memset(&server, 0, sizeof(server));
	line_count = 0;
	server.loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	server.serial = 42;
	server_open();
	event_open_log("/dev/null", EVENT_LOGFMT, EVENT_INFO);
	event_listen(hear, NULL);
	hold_mirror(42);
	plan = given_plan(health, 1);
	for (size_t i = 0; i < plan->zone_count; i++)
		if (strncmp(plan->zones[i].conf->text, "example.com", 11) == 0)
			plan->zones[i].mirror = &mirrored;
	backend = plan->pools[0].targets[0].backend;
	watch = watch_new(server.loop, NULL, 1);
	watch_set_plan(watch, plan);
}

static void setup(void) { setup_with("fall = 2 slow-start = \"200ms\""); }

/* So many that the regular probes come round too late. */
static void setup_many_zones(void)
{
	other_zones = 12;
	rise = 5;
	setup();
}

static void teardown(void)
{
	watch_free(watch);
	plan_free(plan);
	event_listen(NULL, NULL);
	generation_free(mirrored.current);
	ev_loop_destroy(server.loop);
	other_zones = 0;
	rise = 3;
}

static void on_turn(struct ev_loop *loop, ev_timer *t, int revents)
{
	uint64_t now = clock_monotonic_us(), took_ms = (now - server.turned_us) / 1000;

	(void)revents;
	server.turned_us = now;
	if (took_ms > TURN_MS)
		server.held_ms += took_ms - TURN_MS;
	if (--server.turns_left == 0)
		ev_timer_stop(loop, t);
}

static void begin_turns(unsigned ms)
{
	ev_now_update(server.loop);
	server.turned_us = clock_monotonic_us();
	server.turns_left = (ms + TURN_MS - 1) / TURN_MS;
	ev_timer_init(&server.turn, on_turn, TURN_MS / 1000., TURN_MS / 1000.);
	ev_timer_start(server.loop, &server.turn);
}

/* The index of the next line from `from` on with this in it; runs the loop for it. */
static unsigned wait_line(const char *text, unsigned from, unsigned at_most_ms)
{
	begin_turns(at_most_ms);
	for (;;) {
		for (unsigned i = from; i < line_count; i++)
			if (strstr(lines[i], text)) {
				ev_timer_stop(server.loop, &server.turn);
				return i;
			}
		if (server.turns_left == 0)
			break;
		ev_run(server.loop, EVRUN_ONCE);
	}
	for (unsigned i = 0; i < line_count; i++)
		fprintf(stderr, "%s", lines[i]);
	ck_abort_msg("no line with '%s'", text);
	return 0;
}

static void run_ms(unsigned ms)
{
	begin_turns(ms);
	while (server.turns_left > 0)
		ev_run(server.loop, EVRUN_ONCE);
}

static void given_silent_attempts(unsigned n)
{
	struct evidence *e = &backend->evidence[0];

	counter_set(&e->heard[TRANSPORT_UDP].last_reply_us, clock_monotonic_us() - 5000);
	counter_set(&e->heard[TRANSPORT_UDP].first_silent_us, clock_monotonic_us() - 1000);
	counter_add(&e->heard[TRANSPORT_UDP].silent, n);
	counter_add(&e->rescued, n);
	watch_wake(watch);
}

static void given_down(void)
{
	run_ms(50);
	server.mood = SILENT;
	given_silent_attempts(12);
	wait_line("event=backend_down", 0, 2000);
	counter_set(&backend->evidence[0].heard[TRANSPORT_UDP].first_silent_us, 0);
}

/* For each millisecond clients get so many replies, and wait in vain for so many. */
static struct { unsigned answered, lost; enum transport transport; uint64_t since_us; } clients;

static void on_clients(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct evidence *e = &backend->evidence[0];
	uint64_t ms = (clock_monotonic_us() - clients.since_us) / 1000;

	(void)loop, (void)t, (void)revents;
	clients.since_us += 1000 * ms;
	counter_add(&e->heard[clients.transport].in_time, ms * clients.answered);
	counter_add(&e->heard[clients.transport].expired, ms * clients.lost);
	if (clients.answered > 0)
		counter_set(&e->heard[clients.transport].last_reply_us, clock_monotonic_us());
}

static void given_clients(ev_timer *t, unsigned answered, unsigned lost)
{
	clients.answered = answered;
	clients.lost = lost;
	clients.since_us = clock_monotonic_us();
	ev_timer_init(t, on_clients, 0.001, 0.001);
	ev_timer_start(server.loop, t);
}

/* The number after `key` in a line. */
static long number_in(const char *line, const char *key)
{
	const char *at = strstr(line, key);

	ck_assert_ptr_nonnull(at);
	return strtol(at + strlen(key), NULL, 10);
}

/* ---- Tests ---- */

START_TEST(well_backend_makes_no_noise)
{
	run_ms(500);
	ck_assert_uint_eq(line_count, 0);
	ck_assert_uint_ge(server.asked, 3);
	ck_assert(!watch_is_degraded(watch));
}
END_TEST

START_TEST(lost_probes_prove_nothing_while_clients_are_answered)
{
	ev_timer t;

	run_ms(50);
	given_clients(&t, 4, 1);
	server.mood = UDP_SILENT;
	run_ms(1000);
	ck_assert_uint_eq(line_count, 0);
	clients.answered = 0;
	wait_line("event=backend_down", 0, 2000);
	ev_timer_stop(server.loop, &t);
}
END_TEST

START_TEST(lost_probes_count_while_clients_wait_in_vain_for_half)
{
	ev_timer t;

	run_ms(50);
	given_clients(&t, 1, 1);
	server.mood = SILENT;
	wait_line("event=backend_down", 0, 2000);
	ev_timer_stop(server.loop, &t);
}
END_TEST

static void limit_is(struct limit *l, uint32_t rate, enum limit_state state)
{
	atomic_store(&l->said_rate, rate);
	atomic_store(&l->said_state, state);
}

START_TEST(clients_answered_by_one_transport_do_not_vouch_for_the_other)
{
	ev_timer t;

	run_ms(50);
	given_clients(&t, 4, 0);
	clients.transport = TRANSPORT_TCP;
	limit_is(&backend->limit[TRANSPORT_TCP], 120, LIMIT_SEEKING);
	server.mood = SILENT;
	wait_line("event=backend_down", 0, 2000);
	ev_timer_stop(server.loop, &t);
	clients.transport = TRANSPORT_UDP;
}
END_TEST

START_TEST(limited_backend_is_told_of_and_not_declared_dead_for_lost_probes)
{
	ev_timer t;
	unsigned at;

	run_ms(50);
	given_clients(&t, 1, 1);
	limit_is(&backend->limit[TRANSPORT_UDP], 120, LIMIT_FOUND);
	server.mood = UDP_SILENT;
	at = wait_line("event=backend_limited backend=ns1 pool=main", 0, 1000);
	ck_assert_int_eq(number_in(lines[at], "per_s="), 120);
	run_ms(500);
	ck_assert_uint_eq(line_count, 1);
	atomic_store(&backend->limit[TRANSPORT_UDP].said_rationed, true);
	wait_line("event=suspected_rrl backend=ns1 pool=main", at, 1000);
	clients.answered = 0;			/* and now it is dead */
	wait_line("event=backend_down", at, 2000);
	ev_timer_stop(server.loop, &t);
}
END_TEST

/* By TCP it is asked nothing just now; what goes there by UDP is more than it can take. */
START_TEST(probes_that_our_own_trial_drowned_do_not_take_it_down)
{
	struct limit *l = &backend->limit[TRANSPORT_UDP];
	unsigned at;

	run_ms(50);
	limit_is(l, 120, LIMIT_FOUND);
	atomic_store(&l->tried_us, clock_monotonic_us() + 600 * US_PER_MS);
	server.mood = SILENT;
	at = wait_line("event=backend_limited backend=ns1 pool=main", 0, 1000);
	run_ms(500);
	ck_assert_uint_eq(line_count, 1);
	wait_line("event=backend_down", at, 2000);
}
END_TEST

/* Ten queries a second: there are 100 ms between two answers, and more where one is lost. */
START_TEST(server_that_is_asked_seldom_is_not_dead_between_two_answers)
{
	run_ms(50);
	limit_is(&backend->limit[TRANSPORT_UDP], 10, LIMIT_FOUND);
	counter_set(&backend->evidence[0].heard[TRANSPORT_UDP].last_reply_us, clock_monotonic_us());
	server.mood = SILENT;
	wait_line("event=backend_limited backend=ns1 pool=main", 0, 1000);
	run_ms(250);
	ck_assert_uint_eq(line_count, 1);
	wait_line("event=backend_down", 0, 2000);
}
END_TEST

/* What it answered before, in the same window, makes it look overloaded. */
START_TEST(server_that_dies_and_is_asked_seldom_is_not_spared_for_a_limit_that_is_sought)
{
	run_ms(50);
	limit_is(&backend->limit[TRANSPORT_UDP], 2, LIMIT_SEEKING);
	counter_set(&backend->evidence[0].heard[TRANSPORT_UDP].last_reply_us, clock_monotonic_us());
	server.mood = SILENT;
	wait_line("event=backend_down", 0, 1000);
}
END_TEST

START_TEST(silence_ends_in_a_verdict_and_failover)
{
	unsigned at;

	run_ms(50);
	server.mood = SILENT;
	given_silent_attempts(12);
	at = wait_line("event=backend_suspect backend=ns1 pool=main address=127.0.0.1:", 0, 1000);
	ck_assert_ptr_nonnull(
		strstr(lines[at], " from=up cause=silent evidence=\"12 attempts silent"));
	ck_assert(atomic_load(&backend->is_suspect));
	ck_assert_uint_eq(atomic_load(&backend->share), BACKEND_SHARE_FULL);
	at = wait_line("event=backend_down backend=ns1 pool=main address=127.0.0.1:", at, 1000);
	ck_assert_ptr_nonnull(strstr(lines[at], " from=suspect cause=timeout "
				     "evidence=\"12 attempts silent, last reply "));
	ck_assert_int_lt(number_in(lines[at], "detect_ms="), 300 + (int)server.held_ms);
	ck_assert_int_eq(number_in(lines[at], "rescued="), 12);
	ck_assert_uint_eq(atomic_load(&backend->share), 0);
	ck_assert_ptr_nonnull(strstr(lines[at + 1],
		"event=failover pool=main from=ns1 to=mirror cause=backend_down"));
	ck_assert(watch_is_degraded(watch));
}
END_TEST

START_TEST(silence_over_tcp_is_told_as_such_while_udp_answers)
{
	struct hearing *heard = backend->evidence[0].heard;
	unsigned at;

	run_ms(50);
	counter_set(&heard[TRANSPORT_TCP].first_silent_us, clock_monotonic_us() - 30000);
	counter_set(&heard[TRANSPORT_TCP].last_reply_us, clock_monotonic_us() - 40000);
	counter_add(&heard[TRANSPORT_TCP].silent, 3);
	counter_set(&heard[TRANSPORT_UDP].last_reply_us, clock_monotonic_us());
	watch_wake(watch);
	at = wait_line("event=backend_suspect backend=ns1", 0, 1000);
	ck_assert_ptr_nonnull(strstr(lines[at], "evidence=\"3 attempts silent over TCP, last reply "));
}
END_TEST

START_TEST(broken_silence_is_no_evidence)
{
	run_ms(50);
	given_silent_attempts(1);
	for (int turns = 0; turns < 3; turns++)		/* time enough to notice it, and no more */
		ev_run(server.loop, EVRUN_NOWAIT);
	counter_set(&backend->evidence[0].heard[TRANSPORT_UDP].first_silent_us, 0);	/* it was only late */
	run_ms(300);
	ck_assert_uint_eq(line_count, 0);
}
END_TEST

START_TEST(killed_backend_is_down_at_once)
{
	unsigned at;

	run_ms(50);
	server_kill();
	counter_add(&backend->evidence[0].refused, 1);
	watch_wake(watch);
	at = wait_line("event=backend_suspect", 0, 1000);
	ck_assert_ptr_nonnull(strstr(lines[at], "cause=refused evidence=\"connection refused\""));
	at = wait_line("event=backend_down", at, 1000);
	ck_assert_ptr_nonnull(
		strstr(lines[at], "from=suspect cause=refused evidence=\"connection refused\""));
	ck_assert_int_lt(number_in(lines[at], "detect_ms="), 150 + (int)server.held_ms);
}
END_TEST

static const struct { enum mood mood; const char *cause; } faults[] = {
	{ SILENT,    "cause=timeout evidence=\"2 probes timed out\"" },
	{ REFUSING,  "cause=rcode evidence=\"REFUSED to SOA of example.com.\"" },
	{ LAME,      "cause=lame evidence=\"no authority for example.com.\"" },
	{ GARBAGE,   "cause=malformed evidence=\"2 probes with malformed replies\"" },
	{ TCP_HANGS, "cause=tcp evidence=\"2 probes over TCP failed, UDP answers\"" },
};

START_TEST(probes_alone_find_every_fault)
{
	run_ms(50);
	server.mood = faults[_i].mood;
	ck_assert_ptr_nonnull(
		strstr(lines[wait_line("event=backend_down", 0, 3000)], faults[_i].cause));
}
END_TEST

START_TEST(well_backend_is_acquitted)
{
	unsigned at;

	run_ms(50);
	counter_add(&backend->evidence[0].refused, 1);
	watch_wake(watch);
	at = wait_line("event=backend_up", 0, 1000);
	ck_assert_ptr_nonnull(strstr(lines[at], "from=suspect cause=probes_good"));
	ck_assert(!atomic_load(&backend->is_suspect));
	ck_assert_uint_eq(line_count, 2);
}
END_TEST

START_TEST(return_goes_through_probation)
{
	unsigned at;

	given_down();
	server.mood = WELL;
	at = wait_line("event=backend_probation", 0, 3000);
	ck_assert_ptr_nonnull(
		strstr(lines[at], "from=down cause=probes_good evidence=\"3 probes good"));
	ck_assert_uint_lt(atomic_load(&backend->share), BACKEND_SHARE_FULL / 2);
	ck_assert_ptr_nonnull(strstr(lines[at + 1],
		"event=failback pool=main from=mirror to=ns1 cause=backend_probation held_ms="));
	wait_line("event=backend_up", at, 1000);
	ck_assert_uint_eq(atomic_load(&backend->share), BACKEND_SHARE_FULL);
	ck_assert(!watch_is_degraded(watch));
}
END_TEST

/* How a primary may come back, and what is said of it. */
static const struct {
	uint32_t serial;
	bool is_other, is_empty;
	const char *said;
} regressions[] = {
	{ 41, false, false, "zone=example.com. serial=41 mirror_serial=42 reason=older" },
	{ 42, true,  false, "zone=example.com. serial=42 mirror_serial=42 reason=differs example=\"" },
	{ 42, false, true,  "zone=example.com. serial=42 mirror_serial=42 reason=differs example=\"" },
	{ 43, false, true,  "zone=example.com. serial=43 mirror_serial=42 reason=shrunk example=\"" },
};
enum { REGRESSIONS = sizeof(regressions) / sizeof(regressions[0]) };

static unsigned given_regression(unsigned i)
{
	given_down();
	server.serial = regressions[i].serial;
	server.has_other_data = regressions[i].is_other;
	server.is_empty = regressions[i].is_empty;
	server.mood = WELL;
	return wait_line("event=failback_held backend=ns1", 0, 3000);
}

START_TEST(regression_is_held_and_told_once_and_ends)
{
	unsigned at = given_regression((unsigned)_i);

	ck_assert_msg(strstr(lines[at], regressions[_i].said), "%s", lines[at]);
	run_ms(700);
	ck_assert_uint_eq(line_count, at + 1);
	ck_assert(plan_zone_holds(&plan->zones[0], 0));
	server.serial = 42;
	run_ms(700);		/* first the serial: samples under the old one would be right, too */
	server.has_other_data = server.is_empty = false;
	at = wait_line("event=failback_released backend=ns1", at, 3000);
	ck_assert_ptr_nonnull(strstr(lines[at], "zone=example.com. serial=42 cause=caught_up held_ms="));
	wait_line("event=backend_probation", at, 2000);
	ck_assert(!plan_zone_holds(&plan->zones[0], 0));
}
END_TEST

static void run_until_asked(unsigned times)
{
	while (server.asked < times)
		ev_run(server.loop, EVRUN_ONCE);
}

/* All its zones were right with the first good probe; nobody but the next ones can see the rest. */
START_TEST(server_started_anew_with_an_old_version_while_it_is_down_is_held)
{
	unsigned held, asked;

	given_down();
	asked = server.asked;
	server.mood = WELL;
	run_until_asked(asked + 1 + other_zones);
	run_ms(20);
	server.serial = 41;
	held = wait_line("event=failback_held backend=ns1", 0, 3000);
	ck_assert_msg(strstr(lines[held], "zone=example.com. serial=41"), "%s", lines[held]);
	for (unsigned i = 0; i < held; i++)
		ck_assert_msg(!strstr(lines[i], "event=backend_probation"), "%s", lines[i]);
}
END_TEST

START_TEST(accepted_regression_ends_at_once)
{
	unsigned at = given_regression((unsigned)_i);
	const char *why = NULL;
	uint32_t serial = 0;

	ck_assert(watch_accept(watch, &plan->zones[0], &serial, &why));
	ck_assert_uint_eq(serial, regressions[_i].serial);
	at = wait_line("event=failback_released", at, 10);
	ck_assert_ptr_nonnull(strstr(lines[at], "cause=operator"));
	at = wait_line("event=backend_up", at, 3000);
	run_ms(500);					/* and it stays so */
	ck_assert_uint_eq(line_count, at + 1);
	ck_assert(!watch_accept(watch, &plan->zones[0], &serial, &why));
	ck_assert_str_eq(why, "nothing of it is held");
}
END_TEST

static const char *const policies[] = {
	"on-regression = accept", "on-regression = \"accept-after 1s\"",
};

START_TEST(policy_accepts)
{
	unsigned at;

	teardown();
	regression = policies[_i];
	setup();
	at = given_regression(0);
	at = wait_line("event=failback_released", at, 2000);
	ck_assert_ptr_nonnull(strstr(lines[at], "cause=policy"));
	ck_assert_int_eq(number_in(lines[at], "held_ms=") >= 1000, _i == 1);
	wait_line("event=backend_probation", at, 2000);
}
END_TEST

/* It never went down: a restore from backup may take no time at all. */
START_TEST(primary_that_goes_back_while_it_serves_is_held)
{
	unsigned at;

	run_ms(500);
	ck_assert_uint_eq(line_count, 0);
	server.serial = 41;
	at = wait_line("event=failback_held backend=ns1", 0, 1000);
	ck_assert_ptr_nonnull(strstr(lines[at], "serial=41 mirror_serial=42 reason=older"));
	wait_line("event=failover pool=main from=ns1 to=mirror cause=zones_held", at, 100);
	server.serial = 42;
	at = wait_line("event=failback_released", at, 1000);
	wait_line("event=failback pool=main from=mirror to=ns1 cause=zones_released", at, 100);
}
END_TEST

/* The failover was told before its backend_down, and with another cause. */
START_TEST(reply_that_takes_a_server_down_holds_no_zone)
{
	unsigned at;

	teardown();
	setup_with("fall = 1 slow-start = \"200ms\"");
	run_ms(50);
	server.mood = REFUSING;
	at = wait_line("event=backend_down backend=ns1", 0, 1000);
	ck_assert_uint_eq(at, 0);
	at = wait_line("event=failover pool=main from=ns1 to=mirror", at, 100);
	ck_assert_ptr_nonnull(strstr(lines[at], "cause=backend_down"));
}
END_TEST

/* The mirror may have been told first, by NOTIFY. */
START_TEST(newer_mirror_asks_before_it_judges)
{
	struct generation *old = mirrored.current;

	run_ms(500);
	server.serial = 43;
	hold_mirror(43);
	run_ms(500);
	ck_assert_uint_eq(line_count, 0);
	generation_free(old);
}
END_TEST

START_TEST(short_lag_is_no_news)
{
	struct generation *old = mirrored.current;
	const struct plan_zone *z = &plan->zones[0];

	run_ms(500);
	hold_mirror(43);
	for (unsigned i = 0; i < 10 && !plan_zone_holds(z, 0); i++)
		run_ms(100);
	ck_assert(plan_zone_holds(z, 0));	/* out at once, and without a word of it */
	server.serial = 43;
	run_ms(500);
	ck_assert(!plan_zone_holds(z, 0));
	ck_assert_uint_eq(line_count, 0);
	generation_free(old);
}
END_TEST

START_TEST(mirror_behind_a_primary_is_marked)
{
	const struct plan_zone *z = &plan->zones[0];

	run_ms(300);
	ck_assert(!plan_zone_holds(z, 1));
	server.serial = 43;
	run_ms(500);
	ck_assert(plan_zone_holds(z, 1));
	ck_assert(!plan_zone_holds(z, 0));
	server.serial = 42;
	run_ms(500);
	ck_assert(!plan_zone_holds(z, 1));
}
END_TEST

static void given_answer(uint32_t serial)
{
	struct newer n = { .backend = backend->index, .serial = serial, .origin = "\7example\3com" };

	watch_newer(watch, 0, &n);
	ev_run(server.loop, EVRUN_ONCE);
}

/* A client saw the new serial, and the next one was given the old by the mirror. */
START_TEST(mirror_behind_what_a_client_was_told_is_marked_at_once)
{
	const struct plan_zone *z = &plan->zones[0];

	run_ms(300);
	given_answer(42);
	given_answer(41);
	ck_assert(!plan_zone_holds(z, 1));
	server.serial = 43;
	given_answer(43);
	ck_assert(plan_zone_holds(z, 1));
	ck_assert(!plan_zone_holds(z, 0));
	run_ms(500);
	ck_assert(plan_zone_holds(z, 1));
	ck_assert_uint_eq(line_count, 0);
}
END_TEST

START_TEST(server_that_is_held_marks_nobody)
{
	const struct plan_zone *z = &plan->zones[0];

	given_regression(0);
	given_answer(43);
	ck_assert(!plan_zone_holds(z, 1));
	ck_assert(plan_zone_holds(z, 0));
}
END_TEST

/* By country, by turns, out of another view: it was so before, too. */
START_TEST(server_that_always_answers_otherwise_is_not_held_for_it)
{
	char text[WATCH_HELD_MAX];

	ck_assert(!watch_zone_others(watch, &plan->zones[0], text));
	server.has_other_data = true;
	run_ms(500);
	ck_assert_uint_eq(line_count, 0);
	ck_assert(watch_zone_others(watch, &plan->zones[0], text));
	ck_assert_str_eq(text, "ns1");
	given_down();
	server.mood = WELL;
	wait_line("event=backend_up", 0, 3000);
	for (unsigned i = 0; i < line_count; i++)
		ck_assert_ptr_null(strstr(lines[i], "failback_held"));
	server.has_other_data = false;
}
END_TEST

START_TEST(ordered_up_is_up_for_every_zone)
{
	given_regression(0);
	ck_assert(watch_order_backend(watch, "ns1", ORDER_UP));
	ck_assert(!plan_zone_holds(&plan->zones[0], 0));
	run_ms(300);
	ck_assert(!plan_zone_holds(&plan->zones[0], 0));
	ck_assert(watch_order_backend(watch, "ns1", ORDER_AUTO));
	ck_assert(plan_zone_holds(&plan->zones[0], 0));
}
END_TEST

START_TEST(reload_keeps_what_is_held)
{
	unsigned at = given_regression(1);
	struct plan *next = given_plan("fall = 2", 2);

	next->zones[0].mirror = &mirrored;
	watch_set_plan(watch, next);
	ck_assert(plan_zone_holds(&next->zones[0], 0));
	plan_free(plan);
	plan = next;
	run_ms(700);
	ck_assert_uint_eq(line_count, at + 1);
}
END_TEST

/* ---- Answers beside the mirror's ---- */

/* A worker saw another address than the mirror's, `later_us` after now. */
static void given_suspicion(char host, uint64_t later_us)
{
	struct suspicion s = {
		.backend = backend->index, .type = TYPE_A, .generation = mirrored.current->number,
		.serial = mirrored.current->soa.serial, .received_us = clock_monotonic_us() + later_us,
		.theirs = { .is_authoritative = true, .count = 1, .has_extra = true, .type = TYPE_A,
			    .len = 4, .rdata = { 192, 0, 2, 9 } },
		.ours = { .rcode = RCODE_NXDOMAIN, .is_authoritative = true },
	};

	memcpy(s.origin, "\7example\3com", 13);
	memcpy(s.name, "\1a\7example\3com", 15);
	s.name[1] = (uint8_t)host;
	watch_suspect(watch, 0, &s);
}

START_TEST(confirmed_suspicion_is_told_with_its_example)
{
	json_t *examples;
	const char *line;

	run_ms(150);
	given_suspicion('a', 2000000);
	line = lines[wait_line("event=divergence", 0, 3000)];
	ck_assert_ptr_nonnull(strstr(line, "zone=example.com. backend=ns1 pool=main address=127.0.0.1:"));
	ck_assert_ptr_nonnull(strstr(line, "name=a.example.com. type=A serial=42 backend_says=\"1 record, "
					   "A 192.0.2.9\" mirror_says=NXDOMAIN count=1"));
	ck_assert_uint_eq(watch_divergences(watch, &plan->zones[0]), 1);
	ck_assert_uint_eq(watch_diverged_zones(watch), 1);
	examples = watch_examples_json(watch, &plan->zones[0]);
	ck_assert_uint_eq(json_array_size(examples), 1);
	json_decref(examples);
	ck_assert(!watch_is_degraded(watch));
	ck_assert(!plan_zone_holds(&plan->zones[0], 0));
}
END_TEST

START_TEST(divergences_are_told_once_a_minute_and_four_are_kept)
{
	json_t *examples;

	run_ms(150);
	for (char host = 'a'; host <= 'd'; host++)
		given_suspicion(host, 2000000);
	run_ms(1400);
	for (char host = 'e'; host <= 'f'; host++)
		given_suspicion(host, 2000000);
	given_suspicion('f', 2000000);
	run_ms(1400);
	ck_assert_uint_eq(line_count, 1);
	ck_assert_uint_eq(watch_divergences(watch, NULL), 7);
	examples = watch_examples_json(watch, &plan->zones[0]);
	ck_assert_uint_eq(json_array_size(examples), 4);
	for (unsigned i = 0; i < 4; i++) {	/* the newest first, and each question once */
		const char *name = json_string_value(json_object_get(json_array_get(examples, i), "name"));

		ck_assert_int_eq(name[0], (char)('f' - i));
	}
	json_decref(examples);
}
END_TEST

/* What may be another version of the zone is no divergence. */
static const struct {
	const char *what;
	uint64_t later_us;	/* the question came so long after the serial was shown */
	bool goes_on, is_lost;
} doubtful[] = {
	{ "the serial was shown only after the question", 0, false, false },
	{ "the server goes on to the next version", 2000000, true, false },
	{ "and some of its processes lag", 2000000, true, false },
	{ "the mirror has another generation now", 2000000, false, true },
};

START_TEST(difference_of_versions_is_no_divergence)
{
	run_ms(150);
	given_suspicion('a', doubtful[_i].later_us);
	if (_i == 2)
		run_ms(600);	/* the SOA is the old one's for a while */
	server.serial += doubtful[_i].goes_on;
	if (doubtful[_i].is_lost)
		mirrored.current->number++;
	run_ms(1500);
	if (server.held_ms > 300)	/* it has shown the old one for a second by now */
		return;
	ck_assert_msg(watch_divergences(watch, NULL) == 0, "%s", doubtful[_i].what);
	ck_assert_uint_eq(line_count, 0);
}
END_TEST

START_TEST(server_that_was_away_has_to_show_its_serial_anew)
{
	run_ms(150);
	given_down();
	server.mood = WELL;
	given_suspicion('a', 0);
	wait_line("event=backend_up", 0, 3000);
	run_ms(1400);
	ck_assert_uint_eq(watch_divergences(watch, NULL), 0);
}
END_TEST

/* It may have been killed, and back with an older version and with the newer again, unseen. */
START_TEST(what_was_said_while_we_had_no_descriptors_is_no_divergence)
{
	struct rlimit all, none;

	run_ms(1200);
	getrlimit(RLIMIT_NOFILE, &all);
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = all.rlim_max };
	setrlimit(RLIMIT_NOFILE, &none);
	run_ms(300);
	setrlimit(RLIMIT_NOFILE, &all);
	given_suspicion('a', 0);
	run_ms(1600);
	ck_assert_uint_eq(watch_divergences(watch, NULL), 0);
}
END_TEST

START_TEST(suspicion_of_what_a_reload_took_away_is_dropped)
{
	struct plan *next = given_plan("fall = 2", 2);
	struct suspicion stray = { .backend = BACKENDS_MAX - 1, .type = TYPE_A };

	run_ms(150);
	given_suspicion('a', 2000000);
	wait_line("event=divergence", 0, 3000);
	given_suspicion('b', 2000000);
	next->zones[0].mirror = &mirrored;
	watch_set_plan(watch, next);
	plan_free(plan);
	plan = next;
	watch_suspect(watch, 0, &stray);
	memcpy(stray.origin, "\7example\3org", 13);
	stray.backend = backend->index;
	watch_suspect(watch, 0, &stray);
	run_ms(1400);
	ck_assert_uint_eq(watch_divergences(watch, &plan->zones[0]), 1);	/* and is remembered */
}
END_TEST

/* ---- Drills ---- */

static void given_drill(unsigned percent, uint64_t duration_us)
{
	const char *why = "";

	ck_assert_msg(watch_order_drill(watch, &plan->pools[0], percent, duration_us, &why), "%s", why);
}

static uint32_t drill_percent(void)
{
	return atomic_load(&plan->pools[0].drill->percent);
}

START_TEST(drill_begins_and_ends_by_itself)
{
	given_drill(30, 300000);
	ck_assert_uint_eq(drill_percent(), 30);
	ck_assert_ptr_nonnull(strstr(lines[0], "event=drill_begin pool=main percent=30 duration_ms=300"));
	counter_add(&plan->pools[0].drill->served[0], 17);
	run_ms(150);
	ck_assert(line_count == 1 || server.held_ms > 100);
	wait_line("event=drill_end pool=main cause=over served=17", 1, 500);
	ck_assert_uint_eq(drill_percent(), 0);
	given_drill(100, 60000000);		/* the next one counts from nought */
	given_drill(0, 0);
	ck_assert_ptr_nonnull(strstr(lines[3], "cause=operator served=0"));
	given_drill(0, 0);
	ck_assert_uint_eq(line_count, 4);
	ck_assert(!watch_is_degraded(watch));
}
END_TEST

START_TEST(another_drill_takes_the_place_of_the_first)
{
	given_drill(30, 60000000);
	given_drill(40, 60000000);
	ck_assert_ptr_nonnull(strstr(lines[1], "event=drill_end pool=main cause=operator"));
	ck_assert_ptr_nonnull(strstr(lines[2], "event=drill_begin pool=main percent=40"));
	ck_assert_uint_eq(drill_percent(), 40);
}
END_TEST

START_TEST(divergence_ends_the_drill)
{
	run_ms(150);
	given_drill(100, 60000000);
	given_suspicion('a', 2000000);
	wait_line("event=divergence", 0, 3000);
	wait_line("event=drill_end pool=main cause=divergence", 0, 100);
	ck_assert_uint_eq(drill_percent(), 0);
}
END_TEST

START_TEST(mirror_that_expires_ends_the_drill)
{
	const char *why = "";

	given_drill(100, 60000000);
	atomic_store(&mirrored.is_servable, false);
	wait_line("event=drill_end pool=main cause=mirror_not_servable", 0, 1000);
	ck_assert(!watch_order_drill(watch, &plan->pools[0], 10, 60000000, &why));
	ck_assert_str_eq(why, "its mirror can serve none of its zones");
}
END_TEST

START_TEST(pool_that_never_leaves_its_first_tier_has_no_drill)
{
	const char *why = "";

	given_drill(100, 60000000);
	watch_order_failover(watch, "main", POOL_FAILOVER_OFF);
	ck_assert_uint_eq(drill_percent(), 0);
	ck_assert_ptr_nonnull(strstr(lines[1], "event=drill_end pool=main cause=operator"));
	ck_assert(!watch_order_drill(watch, &plan->pools[0], 10, 60000000, &why));
	ck_assert_str_eq(why, "failover is off: its first tier is not left");
}
END_TEST

START_TEST(reload_keeps_the_drill)
{
	struct plan *next = given_plan("fall = 2", 2);

	given_drill(20, 300000);
	next->zones[0].mirror = &mirrored;
	watch_set_plan(watch, next);
	plan_free(plan);
	plan = next;
	ck_assert_uint_eq(drill_percent(), 20);
	ck_assert_uint_eq(line_count, 1);
	wait_line("event=drill_end pool=main cause=over", 1, 1000);
	ck_assert_uint_eq(drill_percent(), 0);
}
END_TEST

START_TEST(orders_are_told_and_sticky)
{
	run_ms(50);
	ck_assert(!watch_order_backend(watch, "ns9", ORDER_DOWN));
	ck_assert(watch_order_backend(watch, "ns1", ORDER_DRAIN));
	ck_assert_uint_eq(atomic_load(&backend->share), 0);
	ck_assert_ptr_nonnull(strstr(lines[0], "event=backend_down"));
	ck_assert_ptr_nonnull(strstr(lines[0], "cause=operator evidence=\"ordered: drain\""));
	ck_assert_ptr_nonnull(
		strstr(lines[1], "event=failover pool=main from=ns1 to=mirror cause=operator"));
	run_ms(300);
	ck_assert_uint_eq(line_count, 2);
	ck_assert(watch_order_backend(watch, "ns1", ORDER_AUTO));
	ck_assert_uint_eq(atomic_load(&backend->share), BACKEND_SHARE_FULL);
	ck_assert_uint_eq(line_count, 4);
}
END_TEST

START_TEST(failover_is_ordered_for_a_pool)
{
	ck_assert(!watch_order_failover(watch, "nil", POOL_FAILOVER_ON));
	ck_assert(watch_order_failover(watch, "main", POOL_FAILOVER_ON));
	ck_assert_ptr_nonnull(
		strstr(lines[0], "event=failover pool=main from=ns1 to=mirror cause=operator"));
	ck_assert_uint_eq(atomic_load(&backend->share), BACKEND_SHARE_FULL);
	ck_assert(watch_order_failover(watch, "main", POOL_FAILOVER_OFF));
	given_down();
	for (unsigned i = 2; i < line_count; i++)
		ck_assert_ptr_null(strstr(lines[i], "event=failover"));
	ck_assert(watch_order_failover(watch, "main", POOL_FAILOVER_AUTO));
	wait_line("event=failover", 2, 100);
}
END_TEST

START_TEST(reload_keeps_health)
{
	struct plan *next;

	given_down();
	ck_assert(watch_order_backend(watch, "ns1", ORDER_DRAIN));
	next = given_plan("fall = 3 slow-start = \"0s\"", 2);
	next->zones[0].mirror = &mirrored;
	watch_set_plan(watch, next);
	plan_free(plan);
	plan = next;
	ck_assert_uint_eq(atomic_load(&backend->share), 0);
	server.mood = WELL;
	wait_line("event=backend_up", 0, 2000);		/* no slow start: the new rules hold */
	ck_assert_uint_eq(atomic_load(&backend->share), 0);	/* and so does the order */
}
END_TEST

START_TEST(mirror_alone_can_be_missing)
{
	atomic_store(&mirrored.is_servable, false);
	given_down();
	wait_line("event=failover pool=main from=ns1 to=none cause=backend_down", 0, 100);
	atomic_store(&mirrored.is_servable, true);
	wait_line("event=failback pool=main from=none to=mirror cause=mirror_servable", 0, 1000);
}
END_TEST

/* ---- Loops ---- */

/* What `explain` says of ns1. */
static void assert_target_says(const char *why)
{
	json_t *targets = watch_targets_json(watch, &plan->pools[0], &plan->zones[0]);

	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(targets, 0), "why")), why);
	json_decref(targets);
}

static bool ns1_is_looping(void)
{
	json_t *all = watch_backends_json(watch);
	bool is = json_is_true(json_object_get(json_array_get(all, 0), "looping"));

	json_decref(all);
	return is;
}

START_TEST(backend_that_leads_back_to_us_is_down_and_named)
{
	unsigned at;

	server.leads_back = true;
	at = wait_line("event=backend_down backend=ns1", 0, 1000);
	ck_assert_ptr_nonnull(strstr(lines[at], "from=up cause=loop evidence=\"our own question came back "
						"to us, for a name in example.com.\""));
	ck_assert_ptr_nonnull(strstr(lines[at + 1], "event=failover pool=main from=ns1 to=mirror"));
	ck_assert_uint_eq(atomic_load(&backend->share), 0);
	ck_assert(atomic_load(&backend->is_looping));
	ck_assert(ns1_is_looping());
	assert_target_says("left out: what we send there comes back to us");
	run_ms(1500);
	ck_assert_uint_eq(line_count, at + 2);	/* its probes are good: that means nothing */
	ck_assert_uint_ge(server.guards, 2);
}
END_TEST

START_TEST(backend_returns_when_the_loop_is_over)
{
	unsigned at;

	server.leads_back = true;
	at = wait_line("event=backend_down backend=ns1", 0, 1000);
	run_ms(1100);
	server.leads_back = false;
	at = wait_line("event=backend_probation backend=ns1", at, 6000);
	ck_assert_ptr_nonnull(strstr(lines[at], "from=down cause=probes_good"));
	ck_assert(!atomic_load(&backend->is_looping));
	wait_line("event=backend_up", at, 2000);
	ck_assert(!ns1_is_looping());
	assert_target_says("serves");
}
END_TEST

START_TEST(loop_outlives_a_reload_and_is_asked_for_in_its_zone)
{
	struct plan *old = plan;
	unsigned at;

	server.leads_back = true;
	at = wait_line("event=backend_down backend=ns1", 0, 1000);
	plan = given_plan("fall = 2 slow-start = \"200ms\"", 2);
	plan->zones[0].mirror = &mirrored;
	watch_set_plan(watch, plan);
	plan_free(old);
	run_ms(1500);
	ck_assert_uint_eq(line_count, at + 2);
	ck_assert(atomic_load(&backend->is_looping));
}
END_TEST

/* What the operator orders is done, and he is told what he does. */
START_TEST(loop_is_asked_when_the_operator_says_so)
{
	server.leads_back = true;
	wait_line("event=backend_down backend=ns1", 0, 1000);
	ck_assert(watch_order_backend(watch, "ns1", ORDER_UP));
	ck_assert(!atomic_load(&backend->is_looping));
	ck_assert_uint_eq(atomic_load(&backend->share), BACKEND_SHARE_FULL);
	ck_assert(ns1_is_looping());
	ck_assert(watch_order_backend(watch, "ns1", ORDER_AUTO));
	ck_assert(atomic_load(&backend->is_looping));
}
END_TEST

START_TEST(mark_of_others_makes_us_ask_ourselves)
{
	unsigned guards;

	run_ms(1000);			/* the first few are through */
	guards = server.guards;
	run_ms(600);
	ck_assert_uint_eq(server.guards, guards);
	server.leads_back = true;
	atomic_store(&backend->guard_hint, 1);
	watch_wake(watch);
	ck_assert_ptr_nonnull(strstr(lines[wait_line("event=backend_down", 0, 1000)], "cause=loop"));
	ck_assert_uint_eq(atomic_load(&backend->guard_hint), 0);
}
END_TEST

START_TEST(queries_that_pile_up_make_us_ask)
{
	run_ms(1000);
	server.leads_back = true;
	atomic_store(&backend->evidence[0].outstanding, 40);
	ck_assert_ptr_nonnull(strstr(lines[wait_line("event=backend_down", 0, 1000)], "cause=loop"));
	atomic_store(&backend->evidence[0].outstanding, 0);
}
END_TEST

START_TEST(views_are_whole)
{
	json_t *backends = watch_backends_json(watch), *pools = watch_pools_json(watch), *targets;
	const char *why;

	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(backends, 0), "state")),
			 "up");
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(pools, 0), "serving")),
			 "ns1");
	watch_order_backend(watch, "ns1", ORDER_DOWN);
	targets = watch_targets_json(watch, &plan->pools[0], &plan->zones[0]);
	ck_assert_uint_eq(json_array_size(targets), 2);
	why = json_string_value(json_object_get(json_array_get(targets, 0), "why"));
	ck_assert_str_eq(why, "takes no queries in its state");
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(targets, 0), "state")),
			 "DOWN");
	ck_assert(json_is_true(json_object_get(json_array_get(targets, 1), "serves")));
	json_decref(backends);
	json_decref(pools);
	json_decref(targets);
}
END_TEST

static TCase *new_case(const char *name, void (*given)(void))
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, given, teardown);
	tcase_set_timeout(tc, 20);
	return tc;
}

static TCase *probes_case(void)
{
	TCase *tc = new_case("probes", setup);

	tcase_add_test(tc, well_backend_makes_no_noise);
	tcase_add_test(tc, lost_probes_prove_nothing_while_clients_are_answered);
	tcase_add_test(tc, lost_probes_count_while_clients_wait_in_vain_for_half);
	tcase_add_test(tc, clients_answered_by_one_transport_do_not_vouch_for_the_other);
	tcase_add_test(tc, limited_backend_is_told_of_and_not_declared_dead_for_lost_probes);
	tcase_add_test(tc, probes_that_our_own_trial_drowned_do_not_take_it_down);
	tcase_add_test(tc, server_that_is_asked_seldom_is_not_dead_between_two_answers);
	tcase_add_test(tc, server_that_dies_and_is_asked_seldom_is_not_spared_for_a_limit_that_is_sought);
	tcase_add_test(tc, silence_ends_in_a_verdict_and_failover);
	tcase_add_test(tc, broken_silence_is_no_evidence);
	tcase_add_test(tc, silence_over_tcp_is_told_as_such_while_udp_answers);
	tcase_add_test(tc, killed_backend_is_down_at_once);
	tcase_add_loop_test(tc, probes_alone_find_every_fault, 0,
			    sizeof(faults) / sizeof(faults[0]));
	tcase_add_test(tc, well_backend_is_acquitted);
	tcase_add_test(tc, return_goes_through_probation);
	return tc;
}

static TCase *gates_case(void)
{
	TCase *tc = new_case("gates", setup);

	tcase_add_loop_test(tc, regression_is_held_and_told_once_and_ends, 0, REGRESSIONS);
	tcase_add_loop_test(tc, accepted_regression_ends_at_once, 0, REGRESSIONS);
	tcase_add_loop_test(tc, policy_accepts, 0, 2);
	tcase_add_test(tc, primary_that_goes_back_while_it_serves_is_held);
	tcase_add_test(tc, reply_that_takes_a_server_down_holds_no_zone);
	tcase_add_test(tc, newer_mirror_asks_before_it_judges);
	tcase_add_test(tc, short_lag_is_no_news);
	tcase_add_test(tc, mirror_behind_a_primary_is_marked);
	tcase_add_test(tc, mirror_behind_what_a_client_was_told_is_marked_at_once);
	tcase_add_test(tc, server_that_is_held_marks_nobody);
	tcase_add_test(tc, server_that_always_answers_otherwise_is_not_held_for_it);
	tcase_add_test(tc, ordered_up_is_up_for_every_zone);
	tcase_add_test(tc, reload_keeps_what_is_held);
	return tc;
}

static TCase *shadows_case(void)
{
	TCase *tc = new_case("shadows", setup);

	tcase_add_test(tc, confirmed_suspicion_is_told_with_its_example);
	tcase_add_test(tc, divergences_are_told_once_a_minute_and_four_are_kept);
	tcase_add_loop_test(tc, difference_of_versions_is_no_divergence, 0,
			    sizeof(doubtful) / sizeof(doubtful[0]));
	tcase_add_test(tc, server_that_was_away_has_to_show_its_serial_anew);
	tcase_add_test(tc, what_was_said_while_we_had_no_descriptors_is_no_divergence);
	tcase_add_test(tc, suspicion_of_what_a_reload_took_away_is_dropped);
	tcase_add_test(tc, drill_begins_and_ends_by_itself);
	tcase_add_test(tc, another_drill_takes_the_place_of_the_first);
	tcase_add_test(tc, divergence_ends_the_drill);
	tcase_add_test(tc, mirror_that_expires_ends_the_drill);
	tcase_add_test(tc, pool_that_never_leaves_its_first_tier_has_no_drill);
	tcase_add_test(tc, reload_keeps_the_drill);
	return tc;
}

static TCase *orders_case(void)
{
	TCase *tc = new_case("orders", setup);

	tcase_add_test(tc, orders_are_told_and_sticky);
	tcase_add_test(tc, failover_is_ordered_for_a_pool);
	tcase_add_test(tc, reload_keeps_health);
	tcase_add_test(tc, mirror_alone_can_be_missing);
	tcase_add_test(tc, backend_that_leads_back_to_us_is_down_and_named);
	tcase_add_test(tc, backend_returns_when_the_loop_is_over);
	tcase_add_test(tc, loop_outlives_a_reload_and_is_asked_for_in_its_zone);
	tcase_add_test(tc, loop_is_asked_when_the_operator_says_so);
	tcase_add_test(tc, mark_of_others_makes_us_ask_ourselves);
	tcase_add_test(tc, queries_that_pile_up_make_us_ask);
	tcase_add_test(tc, views_are_whole);
	return tc;
}

static TCase *many_zones_case(void)
{
	TCase *tc = new_case("many zones", setup_many_zones);

	tcase_add_test(tc, server_started_anew_with_an_old_version_while_it_is_down_is_held);
	return tc;
}

int main(void)
{
	Suite *s = suite_create("watch");

	suite_add_tcase(s, probes_case());
	suite_add_tcase(s, gates_case());
	suite_add_tcase(s, shadows_case());
	suite_add_tcase(s, orders_case());
	suite_add_tcase(s, many_zones_case());
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
