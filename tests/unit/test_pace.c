/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdlib.h>

#include "cache/clock.h"
#include "cache/pace.h"

#define S US_PER_S
#define START (1000 * S)

static const struct pace_limit LIMIT = { .min_rate = 1000, .span_us = 10 * S };
static struct pace pace;
static uint64_t rate;

static bool is_slow(uint64_t seconds)
{
	return pace_is_too_slow(&pace, &LIMIT, START + seconds * S, &rate);
}

static void setup(void)
{
	pace_start(&pace, START);
}

START_TEST(nothing_is_said_before_the_span_is_over)
{
	ck_assert(!is_slow(0));
	ck_assert(!pace_is_too_slow(&pace, &LIMIT, START + 10 * S - 1, &rate));
	ck_assert(is_slow(10));
	ck_assert_uint_eq(rate, 0);
}
END_TEST

START_TEST(just_enough_is_enough)
{
	pace_count(&pace, 4000);
	pace_count(&pace, 6000);
	ck_assert(!is_slow(10));
	pace_count(&pace, 9990);
	ck_assert(is_slow(20));
	ck_assert_uint_eq(rate, 999);
}
END_TEST

START_TEST(what_came_early_does_not_count_for_later)
{
	pace_count(&pace, 1000000);
	ck_assert(!is_slow(10));
	ck_assert(!is_slow(19));
	ck_assert(is_slow(20));
}
END_TEST

START_TEST(late_look_judges_all_the_time_that_passed)
{
	pace_count(&pace, 50000);
	ck_assert(!is_slow(50));	/* 1000 a second; not 50000 in the first span */
	pace_count(&pace, 50000);
	ck_assert(is_slow(101));
}
END_TEST

START_TEST(without_a_limit_all_is_well)
{
	const struct pace_limit none = { .min_rate = 0, .span_us = S };

	ck_assert(!pace_is_too_slow(&pace, &none, START + 1000 * S, &rate));
}
END_TEST

START_TEST(numbers_as_large_as_they_come)
{
	const struct pace_limit most = { .min_rate = (uint64_t)1 << 30, .span_us = 3600 * S };

	pace_count(&pace, (uint64_t)1 << 50);
	ck_assert(!pace_is_too_slow(&pace, &most, START + 86400 * S, &rate));
	ck_assert(!pace_is_too_slow(&pace, &LIMIT, START - 1, &rate));	/* a clock that goes back */
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pace");
	TCase *tc = tcase_create("pace");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, nothing_is_said_before_the_span_is_over);
	tcase_add_test(tc, just_enough_is_enough);
	tcase_add_test(tc, what_came_early_does_not_count_for_later);
	tcase_add_test(tc, late_look_judges_all_the_time_that_passed);
	tcase_add_test(tc, without_a_limit_all_is_well);
	tcase_add_test(tc, numbers_as_large_as_they_come);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);

	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);

	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
