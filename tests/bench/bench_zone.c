/* SPDX-License-Identifier: ISC */
/*
 * bench_zone - what a zone costs: memory for each record, time to build, lookups, updates.
 *
 * Purpose:  builds host0000000.example.com ... with one A record each (1.9 million unless an
 *           argument says otherwise) and prints what such a zone costs. It is run by the row `zone`
 *           of bench.py.
 * Output:   one line of JSON. The snapshot is written to a folder of its own in TMPDIR.
 */
#include <assert.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/clock.h"
#include "cache/memory.h"
#include "cache/dns.h"
#include "cache/dump.h"
#include "cache/snapshot.h"
#include "cache/wire.h"
#include "cache/zone.h"
#include "cache/zonemd.h"
#include "tests/temporary.h"

static const uint8_t ORIGIN[] = "\7example\3com";
static const uint8_t SOA[] = "\2ns\0\4host\0\0\0\0\1\0\0\1\0\0\0\1\0\0\1\0\0\0\0\1\0";
static const uint8_t NS[] = "\2ns\7example\3com";

static size_t resident_bytes(void)
{
	unsigned long total, resident;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%lu %lu", &total, &resident) != 2)
		abort();
	fclose(f);
	return resident * 4096;
}

static double seconds_since(uint64_t start_us)
{
	return (double)(clock_monotonic_us() - start_us) / 1e6;
}

static void host_name(unsigned i, uint8_t name[NAME_LEN_MAX])
{
	memcpy(name, "\13host0000000", 12);
	memcpy(name + 12, ORIGIN, sizeof(ORIGIN));
	for (int at = 11; i > 0; i /= 10)
		name[at--] = (uint8_t)('0' + i % 10);
}

static void add(struct zone_edit *e, const uint8_t *owner, uint16_t type, const void *rdata,
		size_t len)
{
	enum zone_error why = zone_edit_add(e, owner, type, 3600, rdata, (uint16_t)len);

	if (why != ZONE_OK) {
		fprintf(stderr, "%s\n", zone_error_text(why));
		exit(1);
	}
}

static struct generation *finish(struct zone_edit *e, uint64_t number)
{
	enum zone_error why;
	struct generation *g = zone_edit_finish(e, number, &why, NULL);

	if (!g) {
		fprintf(stderr, "%s\n", zone_error_text(why));
		exit(1);
	}
	return g;
}

static struct generation *build(unsigned count)
{
	struct zone_edit *e = zone_edit_new(ORIGIN, NULL, 0, 0);
	uint8_t name[NAME_LEN_MAX], a[4];

	add(e, ORIGIN, TYPE_SOA, SOA, sizeof(SOA) - 1);
	add(e, ORIGIN, TYPE_NS, NS, sizeof(NS));
	for (unsigned i = 0; i < count; i++) {
		host_name(i, name);
		wire_put_u32(a, i);
		add(e, name, TYPE_A, a, sizeof(a));
	}
	return finish(e, 1);
}

static struct generation *change_ten(const struct generation *old, unsigned count)
{
	struct zone_edit *e = zone_edit_new(ORIGIN, old, 0, 0);
	uint8_t name[NAME_LEN_MAX], a[4] = { 192, 0, 2, 1 };

	for (unsigned i = 0; i < 10; i++) {
		host_name(count / 10 * i + 7, name);
		add(e, name, TYPE_A, a, sizeof(a));
	}
	return finish(e, old->number + 1);
}

static void bench_lookups(const struct generation *g, unsigned count, bool is_there)
{
	unsigned lookups = count / 2;
	struct tree_match match;
	struct name_key key;
	uint8_t name[NAME_LEN_MAX];
	uint32_t at = 1;
	size_t found = 0;
	uint64_t start = clock_monotonic_us();

	for (unsigned i = 0; i < lookups; i++) {
		at = at * 1664525u + 1013904223u;	/* names in no order that a cache knows */
		host_name((uint32_t)((uint64_t)at * count >> 32), name);
		if (!is_there)
			name[4] = 'x';
		name_to_key(name, &key);
		tree_find(&g->tree, &key, &match);
		found += match.exact != NULL;
	}
	double s = seconds_since(start);

	assert(found == (is_there ? lookups : 0));
	printf(", \"%s_ns\": %.1f", is_there ? "found" : "missing", s / lookups * 1e9);
}

static void bench_snapshot(const struct generation *g)
{
	struct zone_times times = { 1, 2, ZONE_FREE };
	const char *why = "";
	char dir[PATH_MAX], path[PATH_MAX + 32];
	struct stat st = { 0 };

	if (!mkdtemp(temporary_path(dir, sizeof(dir), "bench_zone")))
		abort();
	snprintf(path, sizeof(path), "%s/zones/example.com.", dir);
	uint64_t start = clock_monotonic_us();
	int error = snapshot_write(dir, g, &times);
	double wrote = seconds_since(start);

	if (error == 0 && stat(path, &st) == 0)
		printf(", \"snapshot_bytes_per_record\": %.1f, \"snapshot_write_s\": %.3f",
		       (double)st.st_size / (double)g->records, wrote);
	start = clock_monotonic_us();
	struct generation *back = snapshot_read(dir, ORIGIN, 0, 0, &times, &why);

	if (!back) {
		fprintf(stderr, "snapshot: %s\n", why);
		exit(1);
	}
	printf(", \"snapshot_read_s\": %.3f", seconds_since(start));
	generation_free(back);
	snapshot_remove(dir, ORIGIN);
	snprintf(path, sizeof(path), "%s/zones", dir);
	rmdir(path);
	rmdir(dir);
}

static struct generation *with_digest(const struct generation *old)
{
	struct zone_edit *e = zone_edit_new(ORIGIN, old, 0, 0);
	uint8_t zonemd[6 + 48] = { 0, 0, 0, 1, 1, 1 };

	wire_put_u32(zonemd, old->soa.serial);
	add(e, ORIGIN, TYPE_ZONEMD, zonemd, sizeof(zonemd));
	return finish(e, old->number + 1);
}

/* The digest is wrong, which takes as long. */
static void bench_zonemd(const struct generation *zone)
{
	enum { AT_ONCE = 1024 };
	struct generation *g = with_digest(zone);
	struct zonemd *z = zonemd_new(g);
	uint64_t start = clock_monotonic_us(), at = start, longest = 0, now;
	bool is_left;

	do {
		is_left = zonemd_step(z, AT_ONCE);
		now = clock_monotonic_us();
		longest = now - at > longest ? now - at : longest;
		at = now;
	} while (is_left);
	printf(", \"zonemd_s\": %.3f, \"zonemd_step_records\": %d, \"zonemd_step_ms\": %.2f", seconds_since(start),
	       AT_ONCE, (double)longest / 1e3);
	zonemd_free(z);
	generation_free(g);
}

static void bench_dump(const struct generation *g)
{
	struct dump *d = dump_new(g);
	uint64_t start = clock_monotonic_us();
	size_t len, total = 0;

	while (dump_next(d, 64 * 1024, &len))
		total += len;
	printf(", \"dump_bytes_per_record\": %.1f, \"dump_s\": %.3f", (double)total / (double)g->records,
	       seconds_since(start));
	dump_free(d);
}

int main(int argc, char **argv)
{
	unsigned count = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1900000;
	size_t before = resident_bytes();
	uint64_t start = clock_monotonic_us();
	struct generation *g;

	memory_expect_bulk();		/* as the mirror's thread does */
	g = build(count);

	printf("{\"records\": %zu, \"build_s\": %.3f", g->records, seconds_since(start));
	printf(", \"bytes_per_record\": %.1f",
	       (double)(resident_bytes() - before) / (double)g->records);
	bench_lookups(g, count, true);
	bench_lookups(g, count, false);

	size_t heap = mallinfo2().uordblks;

	start = clock_monotonic_us();
	struct generation *next = change_ten(g, count);
	double took = seconds_since(start);

	printf(", \"ten_changes_us\": %.0f, \"ten_changes_bytes\": %zu", took * 1e6,
	       mallinfo2().uordblks - heap);
	start = clock_monotonic_us();
	generation_free(g);
	printf(", \"free_old_us\": %.0f", seconds_since(start) * 1e6);
	bench_snapshot(next);
	bench_zonemd(next);
	bench_dump(next);
	start = clock_monotonic_us();
	generation_free(next);
	printf(", \"free_s\": %.3f}\n", seconds_since(start));
	return EXIT_SUCCESS;
}
