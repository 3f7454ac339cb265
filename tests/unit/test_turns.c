/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/turns.h"

enum { EACH = 2, ALL = 5, MANY = 400 };

static struct turns *turns;
static struct turn turn[MANY];
static struct address a, b, c, d;

static void setup(void)
{
	const struct turns_limits limits = { .transfers = ALL, .transfers_each = EACH };

	turns = turns_new(&limits);
	for (size_t i = 0; i < MANY; i++)
		turn[i] = (struct turn){ 0 };
	address_from_text("192.0.2.1", 53, &a);
	address_from_text("192.0.2.2", 53, &b);
	address_from_text("192.0.2.3", 53, &c);
	address_from_text("192.0.2.1", 54, &d);		/* another port is another server */
}

static void teardown(void)
{
	for (size_t i = 0; i < MANY; i++)
		turns_leave(turns, &turn[i]);
	ck_assert(!turns_has_waiting(turns));
	turns_free(turns);
}

static bool try(size_t i, enum turn_kind kind, const struct address *primary)
{
	return turns_try(turns, &turn[i], kind, primary, NULL);
}

static void queue(size_t i, enum turn_kind kind, const struct address *primary)
{
	turns_wait(turns, &turn[i], kind, primary, NULL);
}

static void expect(size_t i)
{
	ck_assert_ptr_eq(turns_next(turns), &turn[i]);
}

static void expect_none(void)
{
	ck_assert_ptr_null(turns_next(turns));
}

START_TEST(transfers_from_one_primary_are_bounded)
{
	ck_assert(try(0, TURN_TRANSFER, &a));
	ck_assert(try(1, TURN_TRANSFER, &a));
	ck_assert(!try(2, TURN_TRANSFER, &a));
	ck_assert(try(2, TURN_TRANSFER, &d));
	ck_assert(try(3, TURN_TRANSFER, &b));
	turns_leave(turns, &turn[0]);
	ck_assert(try(0, TURN_TRANSFER, &a));
}
END_TEST

START_TEST(transfers_are_bounded_in_all)
{
	ck_assert(try(0, TURN_TRANSFER, &a) && try(1, TURN_TRANSFER, &a));
	ck_assert(try(2, TURN_TRANSFER, &b) && try(3, TURN_TRANSFER, &b));
	ck_assert(try(4, TURN_TRANSFER, &c));
	ck_assert(!try(5, TURN_TRANSFER, &c));
	queue(5, TURN_TRANSFER, &c);
	expect_none();
	turns_leave(turns, &turn[0]);
	expect(5);
}
END_TEST

START_TEST(who_waits_ahead_is_next)
{
	ck_assert(try(0, TURN_TRANSFER, &a) && try(1, TURN_TRANSFER, &a));
	queue(2, TURN_TRANSFER, &a);
	queue(3, TURN_TRANSFER, &a);
	turns_wait_ahead(turns, &turn[4], TURN_TRANSFER, &a, NULL);
	turns_wait_ahead(turns, &turn[5], TURN_TRANSFER, &b, NULL);
	expect(5);
	expect_none();
	turns_leave(turns, &turn[0]);
	expect(4);
	turns_wait_ahead(turns, &turn[6], TURN_TRANSFER, &a, NULL);
	turns_leave(turns, &turn[6]);
	queue(7, TURN_TRANSFER, &a);
	turns_leave(turns, &turn[1]);
	expect(2);
	turns_leave(turns, &turn[4]);
	expect(3);
	turns_leave(turns, &turn[2]);
	expect(7);
}
END_TEST

START_TEST(checks_do_not_wait_for_transfers)
{
	ck_assert(try(0, TURN_TRANSFER, &a) && try(1, TURN_TRANSFER, &a));
	queue(2, TURN_TRANSFER, &a);
	queue(3, TURN_CHECK, &a);
	expect(3);
	expect_none();
	for (size_t i = 10; i < 10 + TURNS_CHECKS_EACH - 1; i++)
		ck_assert(try(i, TURN_CHECK, &a));
	ck_assert(!try(9, TURN_CHECK, &a));
	ck_assert(try(9, TURN_CHECK, &b));
}
END_TEST

START_TEST(first_come_is_first_served)
{
	ck_assert(try(0, TURN_TRANSFER, &a) && try(1, TURN_TRANSFER, &a));
	for (size_t i = 2; i < 6; i++)
		queue(i, TURN_TRANSFER, &a);
	turns_leave(turns, &turn[3]);		/* it has gone away */
	turns_leave(turns, &turn[0]);
	ck_assert(!try(0, TURN_TRANSFER, &a));	/* others were here before */
	expect(2);
	expect_none();
	turns_leave(turns, &turn[1]);
	turns_leave(turns, &turn[2]);
	expect(4);
	expect(5);
	expect_none();
}
END_TEST

START_TEST(primaries_take_turns)
{
	unsigned of_a = 0, of_b = 0;

	for (size_t i = 0; i < 100; i++)
		queue(i, TURN_TRANSFER, &a);	/* all of them before the first of b */
	for (size_t i = 100; i < 110; i++)
		queue(i, TURN_TRANSFER, &b);
	for (int i = 0; i < 20; i++) {
		struct turn *t = turns_next(turns);

		ck_assert_ptr_nonnull(t);
		*(t < &turn[100] ? &of_a : &of_b) += 1;
		turns_leave(turns, t);
	}
	ck_assert_uint_eq(of_a, 10);
	ck_assert_uint_eq(of_b, 10);
}
END_TEST

START_TEST(stuck_primary_holds_up_its_own_alone)
{
	for (size_t i = 0; i < 100; i++)
		queue(i, TURN_TRANSFER, &a);
	while (turns_next(turns))
		;				/* two, which never end */
	for (size_t i = 100; i < 200; i++) {
		ck_assert(try(i, TURN_TRANSFER, &b));
		turns_leave(turns, &turn[i]);
	}
}
END_TEST

START_TEST(mute_primary_is_remembered_for_a_moment)
{
	ck_assert(try(0, TURN_CHECK, &a) && try(1, TURN_CHECK, &a) && try(2, TURN_CHECK, &b));
	ck_assert_ptr_null(turns_mute(&turn[0], 1000));
	turns_note(&turn[0], "cannot connect", 1000);
	turns_leave(turns, &turn[0]);
	ck_assert_str_eq(turns_mute(&turn[1], 1000 + TURNS_MUTE_US - 1), "cannot connect");
	ck_assert_ptr_null(turns_mute(&turn[1], 1000 + TURNS_MUTE_US));
	ck_assert_ptr_null(turns_mute(&turn[2], 1001));
	turns_note(&turn[1], NULL, 0);		/* it has answered somebody */
	ck_assert_ptr_null(turns_mute(&turn[1], 1001));
}
END_TEST

START_TEST(lanes_of_the_past_are_used_again)
{
	char text[32];
	struct address p;

	for (unsigned i = 0; i < 10000; i++) {
		snprintf(text, sizeof(text), "10.0.%u.%u", i / 256, i % 256);
		address_from_text(text, 53, &p);
		ck_assert(try(0, TURN_CHECK, &p));
		turns_note(&turn[0], "mute", 1);
		turns_leave(turns, &turn[0]);
	}
	ck_assert(try(0, TURN_CHECK, &a));
	ck_assert_ptr_null(turns_mute(&turn[0], 2));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("turns");
	TCase *tc = tcase_create("turns");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, transfers_from_one_primary_are_bounded);
	tcase_add_test(tc, transfers_are_bounded_in_all);
	tcase_add_test(tc, who_waits_ahead_is_next);
	tcase_add_test(tc, checks_do_not_wait_for_transfers);
	tcase_add_test(tc, first_come_is_first_served);
	tcase_add_test(tc, primaries_take_turns);
	tcase_add_test(tc, stuck_primary_holds_up_its_own_alone);
	tcase_add_test(tc, mute_primary_is_remembered_for_a_moment);
	tcase_add_test(tc, lanes_of_the_past_are_used_again);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);

	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);

	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
