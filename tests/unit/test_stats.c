/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/stats.h"

START_TEST(rows_are_sums_over_all_workers)
{
	static struct stats one, two;
	struct stats *const workers[] = { &one, &two };
	struct stats_row rows[STATS_ROWS];

	counter_add(&one.queries_udp, 3);
	counter_add(&two.queries_udp, 4);
	counter_add(&two.udp_send_errors, 1);
	stats_sum(workers, 2, rows);
	ck_assert_uint_eq(rows[STATS_INDEX_queries_udp].value, 7);
	ck_assert_uint_eq(rows[STATS_INDEX_udp_send_errors].value, 1);
	ck_assert_uint_eq(rows[STATS_INDEX_queries_tcp].value, 0);
}
END_TEST

START_TEST(every_row_has_its_name_and_a_sentence)
{
	struct stats_row rows[STATS_ROWS];

	stats_sum(NULL, 0, rows);
	ck_assert_str_eq(rows[0].name, "queries_udp");
	ck_assert_str_eq(rows[STATS_ROWS - 1].name, "udp_send_errors");
	for (unsigned i = 0; i < STATS_ROWS; i++) {
		ck_assert_uint_gt(strlen(rows[i].text), 10);
		ck_assert_uint_eq(rows[i].value, 0);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("stats");
	TCase *tc = tcase_create("rows");

	tcase_add_test(tc, rows_are_sums_over_all_workers);
	tcase_add_test(tc, every_row_has_its_name_and_a_sentence);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
