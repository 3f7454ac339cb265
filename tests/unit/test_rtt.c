/* SPDX-License-Identifier: ISC */
/* Round trip times: what is learnt from replies, and how long a server may take. */
#include <check.h>
#include <stdlib.h>

#include "proxy/rtt.h"

static struct rtt after(unsigned samples, uint64_t sample_us)
{
	struct rtt r = { .srtt_us = 0 };

	while (samples-- > 0)
		rtt_add(&r, sample_us);
	return r;
}

START_TEST(unknown_server_gets_the_first_patience)
{
	struct rtt r = { .srtt_us = 0 };

	ck_assert_uint_eq(rtt_patience_us(&r), RTT_FIRST_US);
	ck_assert_uint_eq(rtt_deadline_us(&r, 150000, 0), RTT_FIRST_US);
	ck_assert_uint_eq(rtt_deadline_us(&r, 20000, 0), 20000);
	ck_assert_uint_eq(rtt_deadline_us(&r, 150000, 1), RTT_GUARD_US);
}
END_TEST

START_TEST(first_sample_is_taken_whole)
{
	struct rtt r = after(1, 8000);

	ck_assert_uint_eq(r.srtt_us, 8000);
	ck_assert_uint_eq(r.var_us, 4000);
	ck_assert_uint_eq(rtt_patience_us(&r), 8000 + 4 * 4000);
}
END_TEST

START_TEST(steady_server_is_given_its_time_and_the_guard)
{
	struct rtt r = after(200, 30000);

	ck_assert_uint_eq(r.srtt_us, 30000);
	ck_assert_uint_lt(r.var_us, 100);
	ck_assert_uint_eq(rtt_patience_us(&r), 30000 + RTT_GUARD_US);
}
END_TEST

START_TEST(jitter_buys_patience_but_not_for_a_suspect)
{
	struct rtt r = { .srtt_us = 0 };

	for (int i = 0; i < 200; i++)
		rtt_add(&r, i % 2 ? 10000 : 50000);
	ck_assert_uint_gt(rtt_patience_us(&r), 80000);
	ck_assert_uint_lt(rtt_deadline_us(&r, 150000, 1), 50000);
	ck_assert_uint_eq(rtt_deadline_us(&r, 60000, 0), 60000);
}
END_TEST

START_TEST(estimate_follows_a_server_that_moves)
{
	struct rtt r = after(100, 1000);

	for (int i = 0; i < 100; i++)
		rtt_add(&r, 40000);
	ck_assert_uint_ge(r.srtt_us, 39000);
	for (int i = 0; i < 100; i++)
		rtt_add(&r, 1000);
	ck_assert_uint_le(r.srtt_us, 1100);
}
END_TEST

START_TEST(no_sample_makes_it_unknown_again_or_overflows)
{
	struct rtt r = after(1000, 0);

	ck_assert_uint_gt(r.srtt_us, 0);
	r = after(1000, UINT64_MAX);
	ck_assert_uint_le(r.srtt_us, 10000000);
	ck_assert_uint_ge(r.srtt_us, 9999000);
	for (int i = 0; i < 1000; i++)
		rtt_add(&r, 0);
	ck_assert_uint_gt(r.srtt_us, 0);
	ck_assert_uint_lt(r.srtt_us, 1000);
	ck_assert_uint_lt(r.var_us, 1000000);
}
END_TEST

START_TEST(server_that_grows_slow_is_measured_by_its_best)
{
	struct rtt r = { .srtt_us = 0 };

	ck_assert_uint_eq(rtt_slow_us(&r), UINT64_MAX);
	rtt_note_least(&r, 900, 1000);
	for (uint64_t i = 1; i < 100; i++)
		rtt_note_least(&r, 1000 * i, 1000 + 10000 * i);
	ck_assert_uint_eq(rtt_slow_us(&r), 900 + RTT_SLOW_US);
}
END_TEST

START_TEST(server_that_stays_slow_is_taken_for_far)
{
	struct rtt r = { .srtt_us = 0 };

	rtt_note_least(&r, 1000, 1);
	rtt_note_least(&r, 100000, RTT_WINDOW_US + 1ull);
	ck_assert_uint_eq(rtt_slow_us(&r), 1000 + RTT_SLOW_US);
	rtt_note_least(&r, 100000, 2ull * RTT_WINDOW_US + 2);
	ck_assert_uint_eq(rtt_slow_us(&r), 100000 + RTT_SLOW_US);
}
END_TEST

START_TEST(best_of_before_a_long_pause_is_forgotten)
{
	struct rtt r = { .srtt_us = 0 };

	rtt_note_least(&r, 1000, 1);
	rtt_note_least(&r, 80000, 10ull * RTT_WINDOW_US);
	ck_assert_uint_eq(rtt_slow_us(&r), 80000 + RTT_SLOW_US);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("rtt");
	TCase *tc = tcase_create("estimator");

	tcase_add_test(tc, unknown_server_gets_the_first_patience);
	tcase_add_test(tc, first_sample_is_taken_whole);
	tcase_add_test(tc, steady_server_is_given_its_time_and_the_guard);
	tcase_add_test(tc, jitter_buys_patience_but_not_for_a_suspect);
	tcase_add_test(tc, estimate_follows_a_server_that_moves);
	tcase_add_test(tc, no_sample_makes_it_unknown_again_or_overflows);
	tcase_add_test(tc, server_that_grows_slow_is_measured_by_its_best);
	tcase_add_test(tc, server_that_stays_slow_is_taken_for_far);
	tcase_add_test(tc, best_of_before_a_long_pause_is_forgotten);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
