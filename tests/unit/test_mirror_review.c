/* SPDX-License-Identifier: ISC */
/* Reviews at work in a loop of their own, with real programs: what passes at once, what takes its time. */
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/clock.h"
#include "cache/dns.h"
#include "cache/mirror_review.h"
#include "cache/rcu.h"
#include "cache/wire.h"
#include "tests/temporary.h"
#include "tests/unit/fixture.h"

enum { AT_ONCE_MAX = 12 };

static struct ev_loop *loop;
static struct reviews reviews;
static struct review_rules rules;
static struct review list[AT_ONCE_MAX];
static char folder[256], program[sizeof(folder) + 16];
static unsigned ended, accepted;
static enum review_check last_failed;
static char last_reason[REVIEW_REASON_MAX];

#define SOA_AND_NS \
	"z.test. 60 IN SOA ns.other. h.other. 7 2 3 4 5\nz.test. 60 IN NS ns.other.\n"

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(temporary_path(folder, sizeof(folder), "test_mirror_review")));
	rcu_thread_start();
	loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	reviews_init(&reviews, loop, folder);
	rules = (struct review_rules){ .max_shrink = 50, .zonemd = REVIEW_ZONEMD_IF_PRESENT,
				       .program_us = 60 * US_PER_S };
	memset(list, 0, sizeof(list));
	ended = accepted = 0;
}

static unsigned files(void)
{
	char path[sizeof(folder) + 64];
	struct dirent *e;
	unsigned count = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/verify", folder);
	d = opendir(path);
	if (!d)
		return 0;
	while ((e = readdir(d)))
		count += e->d_name[0] != '.';
	closedir(d);
	return count;
}

static void teardown(void)
{
	char command[sizeof(folder) + 16];

	for (size_t i = 0; i < AT_ONCE_MAX; i++)
		review_cancel(&list[i]);
	ck_assert_uint_eq(files(), 0);
	reviews_fini(&reviews);
	ev_loop_destroy(loop);
	rcu_thread_stop();
	snprintf(command, sizeof(command), "rm -r %s", folder);
	ck_assert_int_eq(system(command), 0);
}

static void given_program(const char *text)
{
	FILE *f;

	snprintf(program, sizeof(program), "%s/program", folder);
	rules.program = program;
	f = fopen(program, "w");
	ck_assert_ptr_nonnull(f);
	fprintf(f, "#!/bin/sh\n%s\n", text);
	fclose(f);
	ck_assert_int_eq(chmod(program, 0700), 0);
}

static void on_end(struct generation *g, enum review_check failed, const char *reason, void *arg)
{
	(void)arg;
	generation_free(g);
	ended++;
	accepted += failed == REVIEW_PASSED;
	last_failed = failed;
	snprintf(last_reason, sizeof(last_reason), "%s", reason);
}

static void begin_with(struct review *r, struct generation *g, const struct generation *held)
{
	struct review_job job = { .rules = &rules, .zone = g, .held = held };

	review_begin(r, &reviews, &job, on_end, NULL);
}

static void begin(struct review *r)
{
	begin_with(r, fixture_zone("z.test.", SOA_AND_NS), NULL);
}

static void run_until_ended(unsigned count)
{
	while (ended < count)
		ev_run(loop, EVRUN_ONCE);
}

START_TEST(small_zone_without_a_program_passes_at_once)
{
	begin(&list[0]);
	ck_assert_uint_eq(ended, 1);
	ck_assert_int_eq(last_failed, REVIEW_PASSED);
}
END_TEST

START_TEST(shrink_comes_first)
{
	struct generation *held = fixture_zone("z.test.", SOA_AND_NS
		"a.z.test. 60 IN A 192.0.2.1\nb.z.test. 60 IN A 192.0.2.1\n"
		"c.z.test. 60 IN A 192.0.2.1\nd.z.test. 60 IN A 192.0.2.1\n");

	given_program("exit 1");
	rules.zonemd = REVIEW_ZONEMD_REQUIRE;
	begin_with(&list[0], fixture_zone("z.test.", SOA_AND_NS), held);
	ck_assert_uint_eq(ended, 1);
	ck_assert_int_eq(last_failed, REVIEW_SHRINK);
	generation_free(held);
}
END_TEST

START_TEST(digest_comes_before_the_program)
{
	given_program("exit 1");
	rules.zonemd = REVIEW_ZONEMD_REQUIRE;
	begin(&list[0]);
	ck_assert_uint_eq(ended, 1);
	ck_assert_int_eq(last_failed, REVIEW_ZONEMD);
	ck_assert_str_eq(last_reason, "it has no ZONEMD");
}
END_TEST

START_TEST(program_accepts_or_refuses)
{
	given_program("exit 0");
	begin(&list[0]);
	ck_assert_uint_eq(ended, 0);
	run_until_ended(1);
	ck_assert_int_eq(last_failed, REVIEW_PASSED);
	given_program("grep -c IN >&2; exit 1");
	begin(&list[0]);
	run_until_ended(2);
	ck_assert_int_eq(last_failed, REVIEW_PROGRAM);
	ck_assert_str_eq(last_reason, "2");
}
END_TEST

START_TEST(program_that_vanished_refuses)
{
	snprintf(program, sizeof(program), "%s/nothing", folder);
	rules.program = program;
	begin(&list[0]);
	run_until_ended(1);
	ck_assert_int_eq(last_failed, REVIEW_PROGRAM);
	ck_assert_ptr_nonnull(strstr(last_reason, "cannot be run: No such file"));
}
END_TEST

START_TEST(zone_that_cannot_be_written_is_refused)
{
	char path[sizeof(folder) + 64];
	FILE *f;

	snprintf(path, sizeof(path), "%s/verify", folder);
	f = fopen(path, "w");	/* a file where the folder should be */
	ck_assert_ptr_nonnull(f);
	fclose(f);
	given_program("exit 0");
	begin(&list[0]);
	run_until_ended(1);
	ck_assert_int_eq(last_failed, REVIEW_PROGRAM);
	ck_assert_ptr_nonnull(strstr(last_reason, "cannot be written: Not a directory"));
}
END_TEST

START_TEST(few_programs_run_at_the_same_time)
{
	char path[sizeof(folder) + 8], text[sizeof(path) + 64];

	snprintf(path, sizeof(path), "%s/go", folder);
	snprintf(text, sizeof(text), "until test -e %s; do sleep 0.01; done", path);
	given_program(text);
	for (size_t i = 0; i < AT_ONCE_MAX; i++)
		begin(&list[i]);
	ck_assert_uint_eq(reviews.verifiers.waiting, AT_ONCE_MAX - VERIFIERS_MAX);
	while (reviews.verifiers.programs.count < VERIFIERS_MAX)
		ev_run(loop, EVRUN_ONCE);
	ck_assert_uint_eq(ended, 0);
	fclose(fopen(path, "w"));
	while (ended < AT_ONCE_MAX) {
		ev_run(loop, EVRUN_ONCE);
		ck_assert_uint_le(reviews.verifiers.programs.count, VERIFIERS_MAX);
		ck_assert_uint_le(files(), VERIFIERS_MAX);
	}
	ck_assert_uint_eq(accepted, AT_ONCE_MAX);
}
END_TEST

/* One that runs, one that is being written, one that waits. */
START_TEST(cancelled_review_leaves_nothing)
{
	given_program("exec sleep 60");
	for (size_t i = 0; i < VERIFIERS_MAX + 2; i++)
		begin(&list[i]);
	while (reviews.verifiers.programs.count == 0)
		ev_run(loop, EVRUN_ONCE);
	for (size_t i = 0; i < VERIFIERS_MAX + 2; i++)
		review_cancel(&list[i]);
	ck_assert_uint_eq(files(), 0);
	while (reviews.verifiers.programs.count > 0)
		ev_run(loop, EVRUN_ONCE);
	ck_assert_uint_eq(ended, 0);
	given_program("exit 0");	/* the places are free again */
	begin(&list[0]);
	run_until_ended(1);
	ck_assert_uint_eq(accepted, 1);
}
END_TEST

START_TEST(many_that_wait_are_too_many)
{
	struct review *many = calloc(REVIEWS_WAITING_MAX + VERIFIERS_MAX, sizeof(*many));

	given_program("exec sleep 60");
	for (size_t i = 0; i < REVIEWS_WAITING_MAX + VERIFIERS_MAX; i++) {
		ck_assert(!reviews_are_full(&reviews));
		begin(&many[i]);
	}
	ck_assert(reviews_are_full(&reviews));
	for (size_t i = 0; i < REVIEWS_WAITING_MAX + VERIFIERS_MAX; i++)
		review_cancel(&many[i]);
	ck_assert(!reviews_are_full(&reviews));
	free(many);
}
END_TEST

/* With a digest of zeros, whose computation takes more than one slice. */
static struct generation *big_zone(void)
{
	static const uint8_t origin[] = "\1z\4test", ns[] = "\2ns\5other";
	static const uint8_t soa[] = "\2ns\0\1h\0\0\0\0\7\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1";
	uint8_t zonemd[6 + 64] = { 0, 0, 0, 7, 1, 2 }, owner[32], a[4] = { 192, 0, 2, 1 };
	struct zone_edit *e = zone_edit_new(origin, NULL, 0, 0);
	enum zone_error why;

	zone_edit_add(e, origin, TYPE_SOA, 60, soa, sizeof(soa) - 1);
	zone_edit_add(e, origin, TYPE_NS, 60, ns, sizeof(ns));
	zone_edit_add(e, origin, TYPE_ZONEMD, 60, zonemd, sizeof(zonemd));
	for (unsigned i = 0; i < 100000; i++) {
		owner[0] = (uint8_t)snprintf((char *)owner + 1, sizeof(owner) - 1, "h%u", i);
		memcpy(owner + 1 + owner[0], origin, sizeof(origin));
		zone_edit_add(e, owner, TYPE_A, 60, a, sizeof(a));
	}
	struct generation *g = zone_edit_finish(e, 1, &why, NULL);

	ck_assert_ptr_nonnull(g);
	return g;
}

START_TEST(big_zone_is_digested_in_slices)
{
	unsigned turns = 0;

	begin_with(&list[0], big_zone(), NULL);
	ck_assert_uint_eq(ended, 0);
	for (; ended == 0; turns++)
		ev_run(loop, EVRUN_ONCE);
	ck_assert_uint_gt(turns, 2);
	ck_assert_int_eq(last_failed, REVIEW_ZONEMD);
	ck_assert_str_eq(last_reason, "its ZONEMD is not the digest of its records");

	begin_with(&list[0], big_zone(), NULL);
	ev_run(loop, EVRUN_ONCE);
	review_cancel(&list[0]);
	ev_run(loop, 0);	/* nothing is left to do */
	ck_assert_uint_eq(ended, 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mirror_review");
	TCase *tc = tcase_create("mirror_review");
	SRunner *runner = srunner_create(s);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, small_zone_without_a_program_passes_at_once);
	tcase_add_test(tc, shrink_comes_first);
	tcase_add_test(tc, digest_comes_before_the_program);
	tcase_add_test(tc, program_accepts_or_refuses);
	tcase_add_test(tc, program_that_vanished_refuses);
	tcase_add_test(tc, zone_that_cannot_be_written_is_refused);
	tcase_add_test(tc, few_programs_run_at_the_same_time);
	tcase_add_test(tc, cancelled_review_leaves_nothing);
	tcase_add_test(tc, many_that_wait_are_too_many);
	tcase_add_test(tc, big_zone_is_digested_in_slices);
	suite_add_tcase(s, tc);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);

	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
