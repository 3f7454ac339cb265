/* SPDX-License-Identifier: ISC */
/* When a CPU did not run: what the kernel's ticks, and those that are missing, are taken for. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/ticks.h"

enum { AT_FIRST_US = 1000000, TICKS_MOST = 100, HAS_ENDED = INT32_MAX };

/* As the kernel writes it: a page about the ring, then the ring. */
static _Alignas(8) uint8_t ring[TICKS_PAGE + TICKS_MOST * sizeof(struct tick)];
static struct held_time *missing;
static size_t count;

static void setup(void)
{
	memset(ring, 0, sizeof(ring));
	ticks.rings[3] = (struct perf_event_mmap_page *)(void *)ring;
}

static void teardown(void)
{
	free(missing);
	missing = NULL;
}

static void given(uint32_t type, pid_t pid, uint64_t at_us)
{
	struct perf_event_mmap_page *page = ticks.rings[3];
	struct tick t = { .head = { .type = type, .size = sizeof(t) }, .pid = pid, .tid = pid, .at_ns = at_us * 1000 };

	memcpy(ring + TICKS_PAGE + page->data_head, &t, sizeof(t));
	page->data_head += sizeof(t);
}

static void given_tick(uint64_t after_us)
{
	given(PERF_RECORD_SAMPLE, getpid(), AT_FIRST_US + after_us);
}

static void when_read(void)
{
	missing = ticks_missing(&count);
	ck_assert_ptr_nonnull(missing);
}

START_TEST(ticks_in_time_say_that_it_ran)
{
	for (unsigned i = 0; i < 20; i++)
		given_tick(i * TICK_US + i % 2 * (STILL_US - 1));
	when_read();
	ck_assert_uint_eq(count, 0);
	ck_assert_uint_eq(ticks.still_us, 0);
}
END_TEST

START_TEST(it_stood_still_from_when_a_tick_was_due)
{
	given_tick(0);
	given_tick(TICK_US);
	given_tick(2 * TICK_US + 3000);
	given_tick(3 * TICK_US + 3000);
	when_read();
	ck_assert_uint_eq(count, 1);
	ck_assert_uint_eq(missing[0].from_us, AT_FIRST_US + 2 * TICK_US);
	ck_assert_uint_eq(missing[0].to_us, AT_FIRST_US + 2 * TICK_US + 3000);
	ck_assert_uint_eq(ticks.still_us, 3000);
}
END_TEST

START_TEST(what_was_seen_to_happen_there_parts_it)
{
	const uint64_t at[] = { AT_FIRST_US + 100, AT_FIRST_US + TICK_US + 100, AT_FIRST_US + TICK_US + 2000 };

	ticks.seen[3] = (struct ticks_seen){ at, 3, 0 };
	given_tick(0);
	given_tick(TICK_US + 2100);
	when_read();
	ck_assert_uint_eq(count, 1);
	ck_assert_uint_eq(missing[0].from_us, at[1]);
	ck_assert_uint_eq(missing[0].to_us, at[2]);
	ck_assert_uint_eq(ticks.still_us, 1900);
}
END_TEST

START_TEST(an_idle_cpu_may_be_late)
{
	given_tick(0);
	given(PERF_RECORD_SAMPLE, 0, AT_FIRST_US + 5000);
	when_read();
	ck_assert_uint_eq(count, 0);
}
END_TEST

START_TEST(what_is_no_tick_is_passed_over)
{
	given_tick(0);
	given(PERF_RECORD_THROTTLE, 0, AT_FIRST_US + 5000);
	given_tick(TICK_US);
	when_read();
	ck_assert_uint_eq(count, 0);
}
END_TEST

START_TEST(time_without_a_tick_behind_it_is_not_known)
{
	given_tick(0);
	when_read();
	ck_assert_uint_eq(count, 0);
}
END_TEST

START_TEST(strangers_are_told_of_and_excuse_nothing)
{
	ck_assert(ticks_add_group(getpgrp()));
	given(PERF_RECORD_SAMPLE, 0, AT_FIRST_US);
	given(PERF_RECORD_SAMPLE, getpid(), AT_FIRST_US + TICK_US);
	given(PERF_RECORD_SAMPLE, HAS_ENDED, AT_FIRST_US + 2 * TICK_US);
	given(PERF_RECORD_SAMPLE, HAS_ENDED, AT_FIRST_US + 3 * TICK_US);
	when_read();
	ck_assert_uint_eq(ticks.strangers_us, 2 * TICK_US);
	ck_assert_uint_eq(ticks.ran_us, 4 * TICK_US);
	ck_assert_uint_eq(count, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ticks");
	TCase *tc = tcase_create("ticks");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, ticks_in_time_say_that_it_ran);
	tcase_add_test(tc, it_stood_still_from_when_a_tick_was_due);
	tcase_add_test(tc, what_was_seen_to_happen_there_parts_it);
	tcase_add_test(tc, an_idle_cpu_may_be_late);
	tcase_add_test(tc, what_is_no_tick_is_passed_over);
	tcase_add_test(tc, time_without_a_tick_behind_it_is_not_known);
	tcase_add_test(tc, strangers_are_told_of_and_excuse_nothing);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
