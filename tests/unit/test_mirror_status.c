/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/mirror_status.h"

static struct mirror_zone_status given, got;

static void setup(void)
{
	memset(&given, 0, sizeof(given));
	memset(&got, 0xa5, sizeof(got));
}

static void there_and_back(void)
{
	struct status_packed *p = status_pack(&given);

	status_unpack(p, &got);
	free(p);
}

START_TEST(all_of_it_comes_back)
{
	given.is_servable = true;
	given.serial = 7;
	given.generation = 1ull << 40;
	given.end_us = UINT64_MAX;
	given.refused_serial = 8;
	given.catalog_held.is_held = true;
	snprintf(given.lease_holder, sizeof(given.lease_holder), "host/1/2");
	snprintf(given.source, sizeof(given.source), "192.0.2.53:53");
	snprintf(given.last_error, sizeof(given.last_error), "refused");
	there_and_back();
	ck_assert_mem_eq(&got, &given, sizeof(got));
}
END_TEST

START_TEST(nothing_known_is_all_zeroes)
{
	status_unpack(NULL, &got);
	ck_assert_mem_eq(&got, &given, sizeof(got));
	there_and_back();
	ck_assert_mem_eq(&got, &given, sizeof(got));
}
END_TEST

static void fill(char *text, size_t size)
{
	memset(text, 'x', size - 1);
}

START_TEST(longest_texts_fit)
{
	fill(given.lease_holder, sizeof(given.lease_holder));
	fill(given.refused_reason, sizeof(given.refused_reason));
	fill(given.source, sizeof(given.source));
	fill(given.unfaithful, sizeof(given.unfaithful));
	fill(given.last_error, sizeof(given.last_error));
	there_and_back();
	ck_assert_mem_eq(&got, &given, sizeof(got));
}
END_TEST

/* Behind the end of a text may be what an earlier one left there. */
START_TEST(what_is_behind_a_text_stays_behind)
{
	fill(given.source, sizeof(given.source));
	given.source[4] = '\0';
	there_and_back();
	ck_assert_str_eq(got.source, "xxxx");
	ck_assert_int_eq(got.source[5], '\0');
}
END_TEST

START_TEST(usual_one_takes_a_fraction)
{
	struct status_packed *p;

	snprintf(given.source, sizeof(given.source), "192.0.2.53:53");
	p = status_pack(&given);
	ck_assert_uint_lt(malloc_usable_size(p), sizeof(given) / 3);
	free(p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mirror_status");
	TCase *tc = tcase_create("packing");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, all_of_it_comes_back);
	tcase_add_test(tc, nothing_known_is_all_zeroes);
	tcase_add_test(tc, longest_texts_fit);
	tcase_add_test(tc, what_is_behind_a_text_stays_behind);
	tcase_add_test(tc, usual_one_takes_a_fraction);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
