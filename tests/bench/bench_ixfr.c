/* SPDX-License-Identifier: ISC */
/*
 * bench_ixfr - what a small change of a big zone costs the mirror.
 *
 * Purpose:  a primary in a thread of this program has host0000000.example.com ... (1.9 million,
 *           unless an argument says otherwise) and changes ten records in each version. The
 *           real mirror, snapshots and all, follows it by IXFR: first at its own pace, one a
 *           second (ROUNDS), then as fast as a clock that runs FAST times lets it (MANY more).
 * Prints:   from the last byte sent to the first reader who sees the version; heap and RSS.
 * Usage:    bench_ixfr [RECORDS [MANY [REDIS]]], Redis as unix:PATH: then the store follows, too;
 *           by the fast clock it is called late soon: store_down in that phase means nothing
 * Threads:  main reads the zone as a worker does, the primary serves, the mirror is itself.
 * Time:     clock_monotonic_us() of the product is replaced by one that can run faster.
 */
#include <arpa/inet.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cache/clock.h"
#include "cache/dns.h"
#include "cache/event.h"
#include "cache/mirror.h"
#include "cache/rcu.h"
#include "cache/wire.h"

enum { ROUNDS = 30, FAST = 50, CHANGES = 10, MESSAGE = 60000 };

static const uint8_t ORIGIN[] = "\7example\3com";
static unsigned records = 1900000, many = 1000;
static _Atomic uint32_t serial = 1;
static _Atomic uint64_t sent_us;	/* when the last byte of a difference was out */
static _Atomic unsigned differences, zones;
static _Atomic uint64_t speed = 1;
static int listener;

/* ---- Clocks: ours, and the product's ---- */

static uint64_t true_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * US_PER_S + (uint64_t)t.tv_nsec / 1000;
}

/* From the moment `speed` is set on it runs so many times as fast. */
static _Atomic uint64_t turned_us;

uint64_t clock_monotonic_us(void)
{
	uint64_t now = true_us(), turned = turned_us;

	return turned == 0 ? now : turned + (now - turned) * speed;
}

uint64_t clock_wall_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * US_PER_S + (uint64_t)t.tv_nsec / 1000;
}

/* ---- The primary ---- */

static void put_head(struct wire_out *o, const uint8_t *owner, uint16_t type, uint16_t rdata_len)
{
	wire_add_bytes(o, owner, name_len(owner));
	wire_add_u16(o, type);
	wire_add_u16(o, CLASS_IN);
	wire_add_u32(o, 3600);
	wire_add_u16(o, rdata_len);
}

static void put_soa(struct wire_out *o, uint32_t number)
{
	put_head(o, ORIGIN, TYPE_SOA, 22);
	wire_add_u16(o, 0);
	wire_add_u32(o, number);
	for (int i = 0; i < 4; i++)
		wire_add_u32(o, 1 << 20);
}

static void put_host(struct wire_out *o, unsigned i, uint32_t address)
{
	uint8_t name[NAME_LEN_MAX] = "\13host0000000";

	memcpy(name + 12, ORIGIN, sizeof(ORIGIN));
	for (int at = 11; i > 0; i /= 10)
		name[at--] = (uint8_t)('0' + i % 10);
	put_head(o, name, TYPE_A, 4);
	wire_add_u32(o, address);
}

static void put_changes(struct wire_out *o, uint32_t number)
{
	for (unsigned i = 0; i < CHANGES / 2; i++)
		put_host(o, records / CHANGES * i + 7, number);
}

struct reply {
	uint8_t bytes[2 + 65535];
	struct wire_out o;
	unsigned count;
};

static void reply_begin(struct reply *r, const uint8_t *question, size_t question_len)
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

static bool reply_send(int fd, struct reply *r)
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

static bool send_zone(int fd, const uint8_t *question, size_t question_len)
{
	static struct reply r;
	uint32_t now = serial;

	zones++;
	reply_begin(&r, question, question_len);
	put_soa(&r.o, now);
	put_head(&r.o, ORIGIN, TYPE_NS, 1);
	wire_add_u8(&r.o, 0);
	r.count = 2;
	for (unsigned i = 0; i < records; i++, r.count++) {
		put_host(&r.o, i, now);		/* the changing ones have the serial as their address */
		if (r.o.len < MESSAGE)
			continue;
		r.count++;
		if (!reply_send(fd, &r))
			return false;
		reply_begin(&r, question, question_len);
		r.count = UINT32_MAX;		/* the loop makes it 0 */
	}
	put_soa(&r.o, now);
	r.count++;
	return reply_send(fd, &r);
}

static bool send_difference(int fd, const uint8_t *question, size_t question_len, uint32_t from)
{
	static struct reply r;
	uint32_t now = serial;
	bool ok;

	reply_begin(&r, question, question_len);
	put_soa(&r.o, now);
	for (; from != now; from++) {
		put_soa(&r.o, from);
		put_changes(&r.o, from);
		put_soa(&r.o, from + 1);
		put_changes(&r.o, from + 1);
		r.count += 2 + CHANGES;
	}
	put_soa(&r.o, now);
	r.count += 2;
	ok = reply_send(fd, &r);
	sent_us = true_us();
	differences++;
	return ok;
}

static bool answer(int fd, const uint8_t *message, size_t len)
{
	static struct reply r;
	size_t question_len = sizeof(ORIGIN) + 4;
	uint16_t type = wire_get_u16(message + DNS_HEADER_LEN + sizeof(ORIGIN));

	(void)len;
	if (type == TYPE_AXFR)
		return send_zone(fd, message, question_len);
	if (type == TYPE_IXFR)	/* owner 2, fixed 10, MNAME, RNAME, serial */
		return send_difference(fd, message, question_len,
				       wire_get_u32(message + DNS_HEADER_LEN + question_len + 14));
	reply_begin(&r, message, question_len);
	put_soa(&r.o, serial);
	r.count = 1;
	return reply_send(fd, &r);
}

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

static void *serve(void *arg)
{
	static uint8_t message[65535];
	int one = 1;

	(void)arg;
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		uint8_t length[2];

		if (fd < 0)
			return NULL;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		while (read_all(fd, length, 2) && read_all(fd, message, wire_get_u16(length)) &&
		       answer(fd, message, wire_get_u16(length)))
			;
		close(fd);
	}
}

static uint16_t listen_somewhere(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	pthread_t thread;

	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&a, len) < 0 || listen(listener, 8) < 0 ||
	    getsockname(listener, (struct sockaddr *)&a, &len) < 0 ||
	    pthread_create(&thread, NULL, serve, NULL) != 0)
		abort();
	pthread_detach(thread);
	return ntohs(a.sin_port);
}

/* ---- What it costs ---- */

/* Of all threads: the mirror's, that aside, the primary's and the reader's. */
static uint64_t cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * US_PER_S + (uint64_t)t.tv_nsec / 1000;
}

static size_t resident_kb(void)
{
	unsigned long total, resident;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%lu %lu", &total, &resident) != 2)
		abort();
	fclose(f);
	return resident * 4;
}

static size_t heap_bytes(void)
{
	return mallinfo2().uordblks + mallinfo2().hblkhd;
}

/* Reads as a worker does, until the version is there. Microseconds after its last byte. */
static uint64_t wait_served(struct mirror_zone *z, uint32_t version, uint64_t patience_us)
{
	uint64_t end = true_us() + patience_us;

	for (;;) {
		const struct generation *g = mirror_zone_servable(z);
		uint32_t seen = g ? g->soa.serial : 0;

		rcu_sleep();
		if (seen == version)
			break;
		if (true_us() > end) {
			fprintf(stderr, "serial %u is not served\n", version);
			exit(1);
		}
		usleep(200);
		rcu_wake();
	}
	rcu_wake();
	return true_us() - sent_us;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void print_times(const char *what, uint64_t *us, unsigned count)
{
	qsort(us, count, sizeof(us[0]), compare);
	printf("%s: %u IXFRs of %d changes served after the last byte: median %.1f ms, p99 %.1f ms, "
	       "most %.1f ms\n", what, count, CHANGES, (double)us[count / 2] / 1e3,
	       (double)us[count * 99 / 100] / 1e3, (double)us[count - 1] / 1e3);
}

static void follow(struct mirror *m, struct mirror_zone *z, const char *what, unsigned count)
{
	uint64_t *us = calloc(count, sizeof(*us)), started = true_us();
	size_t heap = heap_bytes(), rss = resident_kb();
	uint64_t cpu = cpu_us();

	if (!us)
		abort();
	for (unsigned i = 0; i < count; i++) {
		uint32_t next = ++serial;

		usleep(US_PER_S / FAST + 2000);		/* a second of the fast clock */
		mirror_refresh(m, z);
		us[i] = wait_served(z, next, 60 * US_PER_S);
		if (count >= 10 && (i + 1) % (count / 10) == 0)
			printf("  %6u: RSS %zu MB, heap %+.1f kB\n", i + 1, resident_kb() / 1024,
			       ((double)heap_bytes() - (double)heap) / 1024);
		fflush(stdout);
	}
	print_times(what, us, count);
	printf("%s: heap %+.2f kB for each, RSS %+.1f MB in all, %.0f s, of that %.1f s of CPU\n", what,
	       ((double)heap_bytes() - (double)heap) / 1024 / count,
	       ((double)resident_kb() - (double)rss) / 1024, (double)(true_us() - started) / 1e6,
	       (double)(cpu_us() - cpu) / 1e6);
	free(us);
}

static void use_redis(struct mirror_conf *conf, const char *where)
{
	struct redis_conf *r = &conf->store.redis;

	if (!address_unix_from_text(where, &r->address))
		abort();
	r->connect_ms = 1000;
	r->command_ms = 2000;
	r->queue_max = 64 << 20;
	conf->store.lease_s = 10;
	snprintf(conf->store.prefix, sizeof(conf->store.prefix), "bench");
	snprintf(conf->store.instance, sizeof(conf->store.instance), "bench-%d", (int)getpid());
	conf->has_redis = true;
}

static struct mirror *begin(const char *redis, struct mirror_zone **zone)
{
	static struct mirror_primary primary;
	struct mirror_zone_conf z = { .primaries = &primary, .primary_count = 1 };
	struct mirror_conf conf = { .turns = { .transfers = 4, .transfers_each = 4 } };
	struct mirror *m;
	char address[32];

	snprintf(address, sizeof(address), "127.0.0.1:%u", listen_somewhere());
	memcpy(z.origin, ORIGIN, sizeof(ORIGIN));
	if (!address_from_text(address, 53, &primary.address))
		abort();
	snprintf(conf.state_dir, sizeof(conf.state_dir), "/tmp/bench_ixfr.%d", (int)getpid());
	if (redis)
		use_redis(&conf, redis);
	m = mirror_new(&conf);
	mirror_configure(m, &z, 1, zone);
	mirror_start(m);
	return m;
}

int main(int argc, char **argv)
{
	struct mirror_zone *zone;
	uint64_t started = true_us();
	struct mirror *m;
	char command[64];

	records = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : records;
	many = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : many;
	event_open_log("stderr", EVENT_LOGFMT, EVENT_WARNING);
	rcu_thread_start();
	m = begin(argc > 3 ? argv[3] : NULL, &zone);
	wait_served(zone, 1, 120 * US_PER_S);
	printf("%zu records, %zu bytes on the wire: AXFR served after %.1f s; RSS %zu MB\n",
	       zone->current->records, zone->current->bytes, (double)(true_us() - started) / 1e6,
	       resident_kb() / 1024);
	follow(m, zone, "one a second", ROUNDS);
	turned_us = true_us();
	speed = FAST;
	follow(m, zone, "all the time", many);
	printf("%u differences and %u whole zones came\n", (unsigned)differences, (unsigned)zones);
	started = true_us();
	mirror_stop(m);
	mirror_free(m);
	printf("ended in %.1f s\n", (double)(true_us() - started) / 1e6);
	snprintf(command, sizeof(command), "rm -rf /tmp/bench_ixfr.%d", (int)getpid());
	return system(command) == 0 && zones == 1 ? EXIT_SUCCESS : EXIT_FAILURE;
}
