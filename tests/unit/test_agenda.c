/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdlib.h>

#include "proxy/agenda.h"

static struct agenda agenda;

static void given(size_t count)
{
	agenda_fini(&agenda);
	agenda_init(&agenda, count);
}

static void teardown(void)
{
	agenda_fini(&agenda);
}

/* A whole round. */
static void expect(const size_t *items, size_t count)
{
	size_t left = agenda.count;

	for (size_t i = 0; i < count; i++)
		ck_assert_uint_eq(agenda_next(&agenda, &left), items[i]);
	ck_assert_uint_eq(agenda_next(&agenda, &left), SIZE_MAX);
	ck_assert_uint_eq(left, 0);
}

START_TEST(what_is_put_there_twice_is_taken_once)
{
	given(1000);
	agenda_add(&agenda, 999);
	agenda_add(&agenda, 63);
	agenda_add(&agenda, 64);
	agenda_add(&agenda, 63);
	agenda_add(&agenda, 0);
	expect((size_t[]){ 0, 63, 64, 999 }, 4);
	expect(NULL, 0);
}
END_TEST

START_TEST(hand_goes_on_where_it_was)
{
	size_t left = 100;

	given(200);
	agenda_add(&agenda, 50);
	agenda_add(&agenda, 100);
	ck_assert_uint_eq(agenda_next(&agenda, &left), 50);
	ck_assert_uint_eq(agenda_next(&agenda, &left), SIZE_MAX);	/* 100 is behind the part */
	ck_assert_uint_eq(left, 0);
	agenda_add(&agenda, 50);
	expect((size_t[]){ 100, 50 }, 2);
}
END_TEST

START_TEST(what_is_put_back_waits_for_the_next_round)
{
	size_t left, seen = 0;

	given(130);
	agenda_add_all(&agenda);
	left = agenda.count;
	for (size_t item; (item = agenda_next(&agenda, &left)) != SIZE_MAX; seen++)
		agenda_add(&agenda, item);
	ck_assert_uint_eq(seen, 130);
}
END_TEST

static const size_t counts[] = { 1, 63, 64, 65, 127, 128, 129, 100000 };

START_TEST(all_are_taken_in_order_whatever_their_number)
{
	size_t left;

	given(counts[_i]);
	agenda_add_all(&agenda);
	left = agenda.count;
	for (size_t i = 0; i < counts[_i]; i++)
		ck_assert_uint_eq(agenda_next(&agenda, &left), i);
	expect(NULL, 0);
}
END_TEST

START_TEST(agenda_of_nothing_has_nothing)
{
	given(0);
	agenda_add_all(&agenda);
	expect(NULL, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("agenda");
	TCase *tc = tcase_create("agenda");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, what_is_put_there_twice_is_taken_once);
	tcase_add_test(tc, hand_goes_on_where_it_was);
	tcase_add_test(tc, what_is_put_back_waits_for_the_next_round);
	tcase_add_loop_test(tc, all_are_taken_in_order_whatever_their_number, 0,
			    sizeof(counts) / sizeof(counts[0]));
	tcase_add_test(tc, agenda_of_nothing_has_nothing);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
