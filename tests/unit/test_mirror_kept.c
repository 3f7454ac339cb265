/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdlib.h>

#include "cache/mirror_kept.h"
#include "cache/rcu.h"
#include "tests/unit/fixture.h"

static struct kept kept;
static struct retired retired;

/* Serials are the numbers' tens. */
static struct generation *given_generation(uint64_t number)
{
	char text[100];
	struct generation *g;

	snprintf(text, sizeof(text), "z. SOA ns.z. h.z. %u 2 3 4 5\nz. NS ns.z.\n",
		 (unsigned)number * 10);
	g = fixture_zone("z.", text);
	g->number = number;
	return g;
}

static void given_kept(uint64_t number, unsigned most)
{
	kept_add(&kept, given_generation(number), 1000 + number, "192.0.2.1:53", most, &retired);
}

static void expect_numbers(const char *numbers)
{
	char text[100] = "";

	for (unsigned i = 0; i < kept.count; i++)
		snprintf(text + 2 * i, sizeof(text) - 2 * i, "%u ",
			 (unsigned)kept.items[i].generation->number);
	ck_assert_str_eq(text, numbers);
}

static void setup(void)
{
	rcu_thread_start();
	kept = (struct kept){ 0 };
	retired_init(&retired);
}

static void teardown(void)
{
	kept_trim(&kept, 0, &retired);
	ck_assert_ptr_null(kept.items);
	retired_fini(&retired);
	rcu_thread_stop();
}

START_TEST(the_latest_stay_and_the_oldest_are_retired)
{
	for (uint64_t n = 1; n <= 5; n++)
		given_kept(n, 3);
	expect_numbers("5 4 3 ");
	ck_assert_uint_eq(retired.count, 2);
	ck_assert_uint_eq(kept.items[0].since, 1005);
	ck_assert_str_eq(kept.items[2].source, "192.0.2.1:53");
}
END_TEST

START_TEST(none_stays_when_none_is_wanted)
{
	given_kept(1, 0);
	ck_assert_uint_eq(kept.count, 0);
	ck_assert_uint_eq(retired.count, 1);
}
END_TEST

START_TEST(fewer_wanted_retire_the_oldest)
{
	for (uint64_t n = 1; n <= 4; n++)
		given_kept(n, 4);
	kept_trim(&kept, 1, &retired);
	expect_numbers("4 ");
	ck_assert_uint_eq(retired.count, 3);
}
END_TEST

START_TEST(order_is_that_of_the_numbers)
{
	given_kept(7, 4);
	given_kept(3, 4);
	given_kept(9, 4);
	expect_numbers("9 7 3 ");
}
END_TEST

START_TEST(one_is_found_by_number_by_serial_and_as_the_one_before)
{
	given_kept(3, 4);
	given_kept(7, 4);
	ck_assert_uint_eq(kept_before(&kept, 8)->generation->number, 7);
	ck_assert_uint_eq(kept_before(&kept, 7)->generation->number, 3);
	ck_assert_ptr_null(kept_before(&kept, 3));
	ck_assert_uint_eq(kept_find_number(&kept, 3)->generation->number, 3);
	ck_assert_ptr_null(kept_find_number(&kept, 4));
	ck_assert_uint_eq(kept_find_serial(&kept, 70)->generation->number, 7);
	ck_assert_ptr_null(kept_find_serial(&kept, 71));
}
END_TEST

START_TEST(of_one_serial_the_latest_is_found)
{
	struct generation *again = given_generation(3);

	given_kept(3, 4);
	again->number = 8;
	kept_add(&kept, again, 1, "rollback", 4, &retired);
	ck_assert_uint_eq(kept_find_serial(&kept, 30)->generation->number, 8);
}
END_TEST

START_TEST(what_is_dropped_is_retired)
{
	given_kept(3, 4);
	given_kept(7, 4);
	kept_drop(&kept, kept_find_number(&kept, 3), &retired);
	expect_numbers("7 ");
	ck_assert_uint_eq(retired.list[0]->number, 3);
	kept_drop(&kept, kept_find_number(&kept, 7), &retired);
	ck_assert_ptr_null(kept.items);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mirror_kept");
	TCase *tc = tcase_create("mirror_kept");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_latest_stay_and_the_oldest_are_retired);
	tcase_add_test(tc, none_stays_when_none_is_wanted);
	tcase_add_test(tc, fewer_wanted_retire_the_oldest);
	tcase_add_test(tc, order_is_that_of_the_numbers);
	tcase_add_test(tc, one_is_found_by_number_by_serial_and_as_the_one_before);
	tcase_add_test(tc, of_one_serial_the_latest_is_found);
	tcase_add_test(tc, what_is_dropped_is_retired);
	suite_add_tcase(s, tc);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
