/* SPDX-License-Identifier: ISC */
/* test_snapshot - what was written comes back; what was tampered with does not. */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xxhash.h>

#include "cache/dns.h"
#include "cache/snapshot.h"
#include "cache/statefile.h"
#include "cache/wire.h"
#include "tests/temporary.h"

enum { FILE_MAX = 1000000 };

static char dir[128], path[800];
static struct generation *g;
static const struct zone_times times = { .refreshed_at = 1700000000, .expires_at = 1700086400 };
static const char *why;
static uint8_t file[FILE_MAX];
static size_t file_len;

/* ---- The disk ---- */

static unsigned fsyncs, syncfss;
static int fsync_error, syncfs_error;
static void (*on_syncfs)(void);

/* In the place of the C library's. */
int fsync(int fd)
{
	fsyncs++;
	errno = fsync_error;
	return fsync_error ? -1 : (int)syscall(SYS_fsync, fd);
}

int syncfs(int fd)
{
	syncfss++;
	if (on_syncfs)
		on_syncfs();
	errno = syncfs_error;
	return syncfs_error ? -1 : (int)syscall(SYS_syncfs, fd);
}

static const uint8_t *wire(const char *text)
{
	static uint8_t name[NAME_LEN_MAX];

	ck_assert_msg(name_from_text(text, name) > 0, "%s", text);
	return name;
}

static struct generation *given_zone(const char *origin, uint64_t number, unsigned hosts)
{
	static const char soa[] = "\2ns\0\4host\0\0\0\0\5\0\0\2\0\0\0\1\0\0\1\0\0\0\0\0\x1e";
	uint8_t apex[NAME_LEN_MAX], owner[NAME_LEN_MAX + 8];
	size_t apex_len = name_from_text(origin, apex);
	enum zone_error e;

	ck_assert_uint_gt(apex_len, 0);
	struct zone_edit *edit = zone_edit_new(apex, NULL, 0, 0);

	ck_assert(zone_edit_add(edit, apex, TYPE_SOA, 300, (const uint8_t *)soa, 30) == ZONE_OK);
	ck_assert(zone_edit_add(edit, apex, TYPE_NS, 300, (const uint8_t *)"\2ns", 4) == ZONE_OK);
	for (unsigned i = 0; i < hosts && apex_len < 240; i++) {
		snprintf((char *)owner, sizeof(owner), "%ch%05u", 6, i);
		memcpy(owner + 7, apex, apex_len);
		ck_assert(zone_edit_add(edit, owner, TYPE_A, i, apex, 4) == ZONE_OK);
	}
	struct generation *made = zone_edit_finish(edit, number, &e, NULL);

	ck_assert_ptr_nonnull(made);
	return made;
}

static void set_path(const char *origin)
{
	char name[STATEFILE_NAME_MAX];

	snprintf(path, sizeof(path), "%s/zones/%s", dir, statefile_name(wire(origin), name));
}

static void given_file(const uint8_t *bytes, size_t len)
{
	FILE *f = fopen(path, "wb");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(bytes, 1, len, f), len);
	ck_assert_int_eq(fclose(f), 0);
}

static void load_file(void)
{
	FILE *f = fopen(path, "rb");

	ck_assert_ptr_nonnull(f);
	file_len = fread(file, 1, sizeof(file), f);
	fclose(f);
}

static struct generation *read_back(const char *origin, struct zone_times *t)
{
	return snapshot_read(dir, wire(origin), 0, 0, t, &why);
}

static void expect_refused(const char *sentence)
{
	struct zone_times t = { 1, 1, ZONE_FREE };

	ck_assert_ptr_null(read_back("example.com.", &t));
	ck_assert_msg(why && strstr(why, sentence), "%s", why ? why : "no file");
	ck_assert_uint_eq(t.expires_at, 1);
}

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(temporary_path(dir, sizeof(dir), "test_snapshot")));
	g = given_zone("example.com.", 7, 40);
	ck_assert_int_eq(snapshot_write(dir, g, &times), 0);
	set_path("example.com.");
	load_file();
}

static size_t clear_directory(const char *where)
{
	DIR *d = opendir(where);
	char inner[700];
	size_t count = 0;

	for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(inner, sizeof(inner), "%s/%s", where, e->d_name);
		ck_assert_int_eq(unlink(inner), 0);
		count++;
	}
	if (d)
		closedir(d);
	return count;
}

static void teardown(void)
{
	char zones[sizeof(dir) + 16];

	snprintf(zones, sizeof(zones), "%s/zones", dir);
	clear_directory(zones);
	rmdir(zones);
	ck_assert_int_eq(rmdir(dir), 0);
	generation_free(g);
}

static bool fail_on_record(const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
			   uint16_t len, void *arg)
{
	(void)owner, (void)type, (void)ttl, (void)rdata, (void)len, (void)arg;
	return false;
}

START_TEST(zone_comes_back_whole)
{
	struct zone_times t;
	struct generation *h = read_back("example.com.", &t);

	ck_assert_ptr_nonnull(h);
	ck_assert_uint_eq(h->number, 7);
	ck_assert_uint_eq(h->records, 42);
	ck_assert_uint_eq(h->soa.serial, 5);
	ck_assert_uint_eq(t.refreshed_at, times.refreshed_at);
	ck_assert_uint_eq(t.expires_at, times.expires_at);
	ck_assert(generation_diff(g, h, fail_on_record, fail_on_record, NULL));
	generation_free(h);
	h = read_back("EXAMPLE.com.", &t);
	ck_assert_ptr_nonnull(h);
	generation_free(h);
}
END_TEST

START_TEST(zone_of_several_chunks_comes_back)
{
	struct zone_times t;
	struct generation *big = given_zone("big.example.", 8, 20000), *h;

	ck_assert_int_eq(snapshot_write(dir, big, &times), 0);
	h = read_back("big.example.", &t);
	ck_assert_msg(h != NULL, "%s", why);
	ck_assert(generation_diff(big, h, fail_on_record, fail_on_record, NULL));
	/* two chunks that change places are found out */
	set_path("big.example.");
	load_file();
	ck_assert_uint_gt(file_len, 65500 * 2);
	size_t first = file_len;

	for (size_t at = 0; at + 8 < file_len; at++)
		if (memcmp(file + at + 4, "UZC1", 4) == 0) {
			first = at;
			break;
		}
	size_t one = 4 + wire_get_u32(file + first), two = 4 + wire_get_u32(file + first + one);
	uint8_t *swapped = malloc(file_len);

	ck_assert_ptr_nonnull(swapped);
	memcpy(swapped, file, file_len);
	memcpy(swapped + first, file + first + one, two);
	memcpy(swapped + first + two, file + first, one);
	given_file(swapped, file_len);
	free(swapped);
	generation_free(h);
	h = read_back("big.example.", &t);
	ck_assert_ptr_null(h);
	ck_assert_str_eq(why, "snapshot digest does not match");
	generation_free(big);
}
END_TEST

START_TEST(missing_snapshot_is_no_error)
{
	struct zone_times t;

	ck_assert_ptr_null(read_back("other.example.", &t));
	ck_assert_ptr_null(why);
	ck_assert_ptr_null(snapshot_read("/nonexistent", wire("example.com."), 0, 0, &t, &why));
	ck_assert_ptr_null(why);
}
END_TEST

START_TEST(touch_changes_the_times_and_the_order_and_nothing_else)
{
	struct zone_times later = { 1700000500, 1700086900, ZONE_ROLLED_BACK }, t;
	struct generation *h;

	ck_assert_int_eq(snapshot_touch(dir, g, &later), 0);
	h = read_back("example.com.", &t);
	ck_assert_ptr_nonnull(h);
	ck_assert_uint_eq(t.refreshed_at, later.refreshed_at);
	ck_assert_uint_eq(t.expires_at, later.expires_at);
	ck_assert_int_eq(t.hold, ZONE_ROLLED_BACK);
	ck_assert_uint_eq(h->records, g->records);
	generation_free(h);
}
END_TEST

START_TEST(touch_leaves_files_of_other_generations_alone)
{
	struct generation *h = given_zone("example.com.", 8, 40), *none = given_zone("n.example.", 1, 1);
	struct zone_times later = { 5, 6, ZONE_FREE }, t;

	ck_assert_int_eq(snapshot_touch(dir, h, &later), -ESTALE);
	ck_assert_int_eq(snapshot_touch(dir, none, &later), -ENOENT);
	generation_free(h);
	generation_free(none);
	h = read_back("example.com.", &t);
	ck_assert_uint_eq(t.refreshed_at, times.refreshed_at);
	generation_free(h);
	given_file(file, 20);
	ck_assert_int_eq(snapshot_touch(dir, g, &later), -ESTALE);
}
END_TEST

START_TEST(flipped_bit_anywhere_is_found)
{
	for (size_t at = 0; at < file_len; at++) {
		file[at] ^= (uint8_t)(1 << at % 8);
		given_file(file, file_len);
		expect_refused("");
		file[at] ^= (uint8_t)(1 << at % 8);
	}
}
END_TEST

START_TEST(short_file_is_refused)
{
	for (size_t len = 0; len < file_len; len += 7) {
		given_file(file, len);
		expect_refused("cut short");
	}
	given_file(file, file_len - 1);
	expect_refused("cut short");
}
END_TEST

START_TEST(longer_file_is_refused)
{
	given_file(file, file_len + 1);
	expect_refused("left over");
}
END_TEST

START_TEST(file_of_another_zone_is_refused)
{
	struct generation *other = given_zone("example.org.", 1, 1);
	char from[700];

	ck_assert_int_eq(snapshot_write(dir, other, &times), 0);
	generation_free(other);
	snprintf(from, sizeof(from), "%s/zones/example.org.", dir);
	ck_assert_int_eq(rename(from, path), 0);
	expect_refused("another zone");
}
END_TEST

/* The header's digest, for changes that an enemy makes. */
static void resign(void)
{
	size_t header_len = 6 + 2 + 4 + 4 + 40 + 256;

	wire_put_u64(file + header_len, XXH3_64bits(file, header_len));
	given_file(file, file_len);
}

START_TEST(other_schema_is_refused)
{
	file[7]++;
	resign();
	expect_refused("another version");
}
END_TEST

static const struct { const char *what; size_t at; const char *says; } forged[] = {
	{ "serial", 11, "differ in serial" },	{ "more chunks", 15, "cut short" },
	{ "records", 47, "digest" },		{ "digest", 55, "digest" },
	{ "origin", 58, "another zone" },
};

START_TEST(forged_header_is_refused)
{
	file[forged[_i].at]++;
	resign();
	expect_refused(forged[_i].says);
}
END_TEST

START_TEST(zone_over_the_limits_is_refused)
{
	struct zone_times t;

	ck_assert_ptr_null(snapshot_read(dir, wire("example.com."), 41, 0, &t, &why));
	ck_assert_str_eq(why, zone_error_text(ZONE_TOO_BIG));
	ck_assert_ptr_null(snapshot_read(dir, wire("example.com."), 0, 500, &t, &why));
	ck_assert_str_eq(why, zone_error_text(ZONE_TOO_BIG));
}
END_TEST

static const char *const strange[] = {
	".", "\\.\\.\\047\\.\\.\\047etc.", "a\\/b.example.", "\\.\\..example.",
	"\\000.example.", "\\\\.x.", "a\\010b.", "*.example.", "$(reboot).x.",
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.",
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab.",
	"\\001\\001\\001\\001\\001\\001\\001\\001\\001\\001\\001\\001\\001\\001\\001"
	"\\001\\001\\001\\001\\001\\001\\001\\001\\001\\001\\001\\001\\001\\001\\001"
	"\\001\\001\\001\\001\\001\\001\\001\\001\\001\\001\\001\\001\\001\\001\\001"
	"\\001\\001\\001\\001\\001\\001\\001\\001\\001\\001\\001\\001\\001\\001\\001.",
};
enum { STRANGE = sizeof(strange) / sizeof(strange[0]) };

START_TEST(strange_zone_names_are_safe_file_names_and_all_differ)
{
	char zones[sizeof(dir) + 16], name[STATEFILE_NAME_MAX];
	struct zone_times t;

	for (unsigned i = 0; i < STRANGE; i++) {
		struct generation *h = given_zone(strange[i], i + 1, 1);

		statefile_name(wire(strange[i]), name);
		ck_assert_msg(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.\\~") == strlen(name),
			      "%s", name);
		ck_assert(name[0] != '.' && strlen(name) < 220);
		ck_assert_int_eq(snapshot_write(dir, h, &times), 0);
		generation_free(h);
	}
	for (unsigned i = 0; i < STRANGE; i++) {
		struct generation *h = read_back(strange[i], &t);

		ck_assert_msg(h != NULL, "%s: %s", strange[i], why);
		ck_assert_uint_eq(h->number, i + 1);
		generation_free(h);
	}
	snprintf(zones, sizeof(zones), "%s/zones", dir);
	ck_assert_uint_eq(clear_directory(zones), STRANGE + 1);
}
END_TEST

static void expect_old_file_untouched(void)
{
	char zones[sizeof(dir) + 16];
	struct zone_times t;
	struct generation *h = read_back("example.com.", &t);

	ck_assert_msg(h != NULL, "%s", why);
	ck_assert_uint_eq(h->number, 7);
	generation_free(h);
	snprintf(zones, sizeof(zones), "%s/zones", dir);
	ck_assert_uint_eq(clear_directory(zones), 1);	/* nothing half-written beside it */
}

/* ---- Several at a time ---- */

enum { SEVERAL = 20 };

static struct snapshot_file several[SEVERAL];

/* The first is example.com., which has a file already. */
static void given_several(size_t count)
{
	char origin[32] = "example.com.";

	for (size_t i = 0; i < count; i++) {
		several[i] = (struct snapshot_file){ .g = given_zone(origin, 8, 3), .times = times, .error = 1 };
		snprintf(origin, sizeof(origin), "z%zu.example.", i + 1);
	}
	fsyncs = syncfss = 0;
}

static void free_several(size_t count)
{
	for (size_t i = 0; i < count; i++)
		generation_free((struct generation *)several[i].g);
}

static void expect_written(const struct snapshot_file *one)
{
	char origin[NAME_TEXT_MAX];
	struct zone_times t;
	struct generation *h = read_back(name_to_text(one->g->origin, origin), &t);

	ck_assert_int_eq(one->error, 0);
	ck_assert_msg(h != NULL, "%s: %s", origin, why ? why : "no file");
	ck_assert_uint_eq(h->number, 8);
	generation_free(h);
}

START_TEST(many_go_to_disk_together_and_few_each)
{
	static const struct { size_t count; unsigned fsyncs, syncfss; } cases[] = { { 3, 3, 0 }, { SEVERAL, 0, 1 } };

	given_several(cases[_i].count);
	snapshot_write_all(dir, several, cases[_i].count);
	ck_assert_uint_eq(fsyncs, cases[_i].fsyncs);
	ck_assert_uint_eq(syncfss, cases[_i].syncfss);
	for (size_t i = 0; i < cases[_i].count; i++)
		expect_written(&several[i]);
	free_several(cases[_i].count);
}
END_TEST

static void expect_still_old(void)
{
	struct zone_times t;
	struct generation *h = read_back("example.com.", &t);

	ck_assert_msg(h != NULL, "%s", why);
	ck_assert_uint_eq(h->number, 7);
	generation_free(h);
}

START_TEST(none_takes_its_place_before_all_are_on_disk)
{
	given_several(SEVERAL);
	on_syncfs = expect_still_old;
	snapshot_write_all(dir, several, SEVERAL);
	on_syncfs = NULL;
	ck_assert_uint_eq(syncfss, 1);
	expect_written(&several[0]);
	free_several(SEVERAL);
}
END_TEST

START_TEST(disk_that_fails_leaves_all_old_files)
{
	given_several(SEVERAL);
	syncfs_error = fsync_error = EIO;
	snapshot_write_all(dir, several, SEVERAL);
	syncfs_error = fsync_error = 0;
	for (size_t i = 0; i < SEVERAL; i++)
		ck_assert_int_eq(several[i].error, -EIO);
	free_several(SEVERAL);
	expect_old_file_untouched();
}
END_TEST

/* syncfs() tells of any file that could not be written there. */
START_TEST(fault_of_somebody_elses_file_is_not_ours)
{
	given_several(SEVERAL);
	syncfs_error = EIO;
	snapshot_write_all(dir, several, SEVERAL);
	syncfs_error = 0;
	ck_assert_uint_eq(fsyncs, SEVERAL);
	for (size_t i = 0; i < SEVERAL; i++)
		expect_written(&several[i]);
	free_several(SEVERAL);
}
END_TEST

START_TEST(one_that_fails_is_the_only_one)
{
	struct generation *big = given_zone("example.com.", 8, 20000);
	struct rlimit old, limit;

	given_several(SEVERAL);
	generation_free((struct generation *)several[0].g);
	several[0].g = big;
	getrlimit(RLIMIT_FSIZE, &old);
	limit = (struct rlimit){ 100000, old.rlim_max };
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
	snapshot_write_all(dir, several, SEVERAL);
	setrlimit(RLIMIT_FSIZE, &old);
	ck_assert_int_eq(several[0].error, -EFBIG);
	for (size_t i = 1; i < SEVERAL; i++)
		expect_written(&several[i]);
	free_several(SEVERAL);
	expect_still_old();
}
END_TEST

/* ---- What goes wrong ---- */

/* A limit on the size of files stands in for a full disk: write() fails half way. */
START_TEST(full_disk_leaves_the_old_file)
{
	struct generation *big = given_zone("example.com.", 8, 20000);
	struct rlimit old, limit;

	getrlimit(RLIMIT_FSIZE, &old);
	limit = (struct rlimit){ 100000, old.rlim_max };
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
	int error = snapshot_write(dir, big, &times);

	setrlimit(RLIMIT_FSIZE, &old);
	ck_assert_int_eq(error, -EFBIG);
	generation_free(big);
	expect_old_file_untouched();
}
END_TEST

START_TEST(read_only_directory_leaves_the_old_file)
{
	char zones[sizeof(dir) + 16];
	struct generation *h = given_zone("example.com.", 8, 3);
	bool is_root = geteuid() == 0;

	snprintf(zones, sizeof(zones), "%s/zones", dir);
	ck_assert_int_eq(chmod(dir, 0755) | chmod(zones, 0555), 0);
	if (is_root)	/* root may write anywhere */
		ck_assert_int_eq(seteuid(65534), 0);
	int error = snapshot_write(dir, h, &times);

	if (is_root)
		ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_eq(error, -EACCES);
	ck_assert_int_eq(chmod(zones, 0755), 0);
	generation_free(h);
	expect_old_file_untouched();
}
END_TEST

START_TEST(directory_that_is_a_file_is_an_error)
{
	struct zone_times t;

	ck_assert_int_eq(snapshot_write("/dev/null", g, &times), -ENOTDIR);
	ck_assert_ptr_null(snapshot_read("/dev/null", wire("example.com."), 0, 0, &t, &why));
	ck_assert_str_eq(why, "snapshot cannot be opened");
}
END_TEST

START_TEST(left_over_new_file_is_no_obstacle)
{
	struct zone_times t;

	strncat(path, ".new", 5);
	given_file((const uint8_t *)"half", 4);
	struct generation *h = given_zone("example.com.", 8, 3);

	ck_assert_int_eq(snapshot_write(dir, h, &times), 0);
	generation_free(h);
	h = read_back("example.com.", &t);
	ck_assert_uint_eq(h->number, 8);
	generation_free(h);
	ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(fifo_or_link_is_no_snapshot)
{
	unlink(path);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	expect_refused("cannot be opened");
	unlink(path);
	ck_assert_int_eq(symlink("elsewhere", path), 0);
	set_path("elsewhere.");
	path[strlen(path) - 1] = '\0';
	given_file(file, file_len);
	expect_refused("cannot be opened");
}
END_TEST

START_TEST(removal_removes_and_may_be_repeated)
{
	struct zone_times t;
	char zones[sizeof(dir) + 16];

	strcat(path, ".new");		/* by a crash */
	given_file(file, 10);
	ck_assert_int_eq(snapshot_remove(dir, wire("Example.COM.")), 0);
	ck_assert_int_eq(snapshot_remove(dir, wire("example.com.")), 0);
	ck_assert_int_eq(snapshot_remove("/nonexistent", wire("example.com.")), 0);
	ck_assert_ptr_null(read_back("example.com.", &t));
	ck_assert_ptr_null(why);
	snprintf(zones, sizeof(zones), "%s/zones", dir);
	ck_assert_uint_eq(clear_directory(zones), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("snapshot");
	TCase *tc = tcase_create("snapshot");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, zone_comes_back_whole);
	tcase_add_test(tc, zone_of_several_chunks_comes_back);
	tcase_add_test(tc, missing_snapshot_is_no_error);
	tcase_add_test(tc, touch_changes_the_times_and_the_order_and_nothing_else);
	tcase_add_test(tc, touch_leaves_files_of_other_generations_alone);
	tcase_add_test(tc, flipped_bit_anywhere_is_found);
	tcase_add_test(tc, short_file_is_refused);
	tcase_add_test(tc, longer_file_is_refused);
	tcase_add_test(tc, file_of_another_zone_is_refused);
	tcase_add_test(tc, other_schema_is_refused);
	tcase_add_loop_test(tc, forged_header_is_refused, 0, sizeof(forged) / sizeof(forged[0]));
	tcase_add_test(tc, zone_over_the_limits_is_refused);
	tcase_add_test(tc, strange_zone_names_are_safe_file_names_and_all_differ);
	tcase_add_loop_test(tc, many_go_to_disk_together_and_few_each, 0, 2);
	tcase_add_test(tc, none_takes_its_place_before_all_are_on_disk);
	tcase_add_test(tc, disk_that_fails_leaves_all_old_files);
	tcase_add_test(tc, fault_of_somebody_elses_file_is_not_ours);
	tcase_add_test(tc, one_that_fails_is_the_only_one);
	tcase_add_test(tc, full_disk_leaves_the_old_file);
	tcase_add_test(tc, read_only_directory_leaves_the_old_file);
	tcase_add_test(tc, directory_that_is_a_file_is_an_error);
	tcase_add_test(tc, left_over_new_file_is_no_obstacle);
	tcase_add_test(tc, fifo_or_link_is_no_snapshot);
	tcase_add_test(tc, removal_removes_and_may_be_repeated);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
