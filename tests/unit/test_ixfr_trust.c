/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdlib.h>

#include "cache/clock.h"
#include "cache/ixfr_trust.h"

#define S US_PER_S
#define HOUR (3600 * S)

START_TEST(one_failure_may_be_chance)
{
	struct ixfr_trust t = { 0 };

	ck_assert(ixfr_is_trusted(&t, 5 * S));
	ixfr_failed(&t, 5 * S);
	ck_assert(ixfr_is_trusted(&t, 5 * S));
}
END_TEST

START_TEST(failures_in_a_row_wait_longer_each_time)
{
	static const uint64_t expect_s[] = { 0, 60, 120, 240 };
	struct ixfr_trust t = { 0 };
	uint64_t now = 1000 * S;

	for (int i = 0; i < 4; i++) {
		ixfr_failed(&t, now);
		now += expect_s[i] * S;
		ck_assert(ixfr_is_trusted(&t, now));
		ck_assert(expect_s[i] == 0 || !ixfr_is_trusted(&t, now - 1));
	}
	for (int i = 0; i < 100; i++) {
		ixfr_failed(&t, now);
		ck_assert_uint_le(t.until_us, now + IXFR_WAIT_MAX_S * S);
		now = t.until_us;
	}
	ck_assert_uint_eq(ixfr_is_trusted(&t, now - 1), false);
}
END_TEST

START_TEST(success_and_calm_forget)
{
	struct ixfr_trust t = { 0 };

	ixfr_failed(&t, S);
	ixfr_failed(&t, S);
	ixfr_worked(&t);
	ixfr_failed(&t, 2 * S);
	ck_assert(ixfr_is_trusted(&t, 2 * S));
	ixfr_failed(&t, 2 * S);
	ck_assert(!ixfr_is_trusted(&t, 3 * S));
	ixfr_failed(&t, 2 * HOUR);	/* long after the wait: a new story */
	ck_assert(ixfr_is_trusted(&t, 2 * HOUR));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ixfr_trust");
	TCase *tc = tcase_create("trust");
	SRunner *r;
	int failed;

	tcase_add_test(tc, one_failure_may_be_chance);
	tcase_add_test(tc, failures_in_a_row_wait_longer_each_time);
	tcase_add_test(tc, success_and_calm_forget);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
