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
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cache/clock.h"
#include "cache/dns.h"
#include "cache/event.h"
#include "cache/mirror.h"
#include "cache/rcu.h"
#include "cache/wire.h"
#include "tests/bench/source.h"
#include "tests/temporary.h"

enum { ROUNDS = 30, FAST = 50 };

static unsigned many = 1000;
static char folder[200];
static _Atomic uint64_t speed = 1;

/* ---- Clocks: ours, and the product's ---- */

/* From the moment `speed` is set on it runs so many times as fast. */
static _Atomic uint64_t turned_us;

uint64_t clock_monotonic_us(void)
{
	uint64_t now = source_now_us(), turned = turned_us;

	return turned == 0 ? now : turned + (now - turned) * speed;
}

uint64_t clock_wall_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * US_PER_S + (uint64_t)t.tv_nsec / 1000;
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
	uint64_t end = source_now_us() + patience_us;

	for (;;) {
		const struct generation *g = mirror_zone_servable(z);
		uint32_t seen = g ? g->soa.serial : 0;

		rcu_sleep();
		if (seen == version)
			break;
		if (source_now_us() > end) {
			fprintf(stderr, "serial %u is not served\n", version);
			exit(1);
		}
		usleep(200);
		rcu_wake();
	}
	rcu_wake();
	return source_now_us() - source.sent_us;
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
	       "most %.1f ms\n", what, count, SOURCE_CHANGES, (double)us[count / 2] / 1e3,
	       (double)us[count * 99 / 100] / 1e3, (double)us[count - 1] / 1e3);
}

static void follow(struct mirror *m, struct mirror_zone *z, const char *what, unsigned count)
{
	uint64_t *us = calloc(count, sizeof(*us)), started = source_now_us();
	size_t heap = heap_bytes(), rss = resident_kb();
	uint64_t cpu = cpu_us();

	if (!us)
		abort();
	for (unsigned i = 0; i < count; i++) {
		uint32_t next = ++source.serial;

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
	       ((double)resident_kb() - (double)rss) / 1024, (double)(source_now_us() - started) / 1e6,
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

/* Of its own, in TMPDIR. */
static const char *make_folder(void)
{
	if (!mkdtemp(temporary_path(folder, sizeof(folder), "bench_ixfr")))
		abort();
	return folder;
}

static struct mirror *begin(const char *redis, struct mirror_zone **zone)
{
	static struct mirror_primary primary;
	struct mirror_zone_conf z = {
		.primaries = &primary, .primary_count = 1, .timeout_us = 120 * US_PER_S,
		.stream_limits = { .idle_us = 20 * US_PER_S },
	};
	struct mirror_conf conf = { .turns = { .transfers = 4, .transfers_each = 4 } };
	struct mirror *m;
	char address[32];

	snprintf(address, sizeof(address), "127.0.0.1:%u", source_start(0));
	z.origin = SOURCE_ORIGIN;
	if (!address_from_text(address, 53, &primary.address))
		abort();
	snprintf(conf.state_dir, sizeof(conf.state_dir), "%s", make_folder());
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
	uint64_t started = source_now_us();
	struct mirror *m;
	char command[sizeof(folder) + 16];

	source.records = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : source.records;
	many = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : many;
	event_open_log("stderr", EVENT_LOGFMT, EVENT_WARNING);
	rcu_thread_start();
	m = begin(argc > 3 ? argv[3] : NULL, &zone);
	wait_served(zone, 1, 120 * US_PER_S);
	printf("%zu records, %zu bytes on the wire: AXFR served after %.1f s; RSS %zu MB\n",
	       zone->current->records, zone->current->bytes, (double)(source_now_us() - started) / 1e6,
	       resident_kb() / 1024);
	follow(m, zone, "one a second", ROUNDS);
	turned_us = source_now_us();
	speed = FAST;
	follow(m, zone, "all the time", many);
	printf("%u differences and %u whole zones came\n", (unsigned)source.differences, (unsigned)source.zones);
	started = source_now_us();
	mirror_stop(m);
	mirror_free(m);
	printf("ended in %.1f s\n", (double)(source_now_us() - started) / 1e6);
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command) == 0 && source.zones == 1 ? EXIT_SUCCESS : EXIT_FAILURE;
}
