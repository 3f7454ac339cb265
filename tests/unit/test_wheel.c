/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdlib.h>

#include "cache/random.h"
#include "proxy/wheel.h"

enum { ITEMS = 500, START_US = 123456789 };

static struct wheel wheel;
static struct wheel_item items[ITEMS];

static void setup(void)
{
	wheel_init(&wheel, START_US);
	for (unsigned i = 0; i < ITEMS; i++)
		wheel_item_init(&items[i], i);
}

START_TEST(item_expires_at_its_time_not_before)
{
	wheel_set(&wheel, &items[0], START_US + 5000);
	ck_assert_ptr_null(wheel_expired(&wheel, START_US + 4999));
	ck_assert_ptr_eq(wheel_expired(&wheel, START_US + 5000), &items[0]);
	ck_assert_ptr_null(wheel_expired(&wheel, START_US + 5000));
	ck_assert_uint_eq(items[0].at_us, UINT64_MAX);
}
END_TEST

START_TEST(deadline_in_the_past_expires_at_the_next_look)
{
	ck_assert_ptr_null(wheel_expired(&wheel, START_US + 1000000));
	wheel_set(&wheel, &items[0], START_US);
	ck_assert_ptr_eq(wheel_expired(&wheel, START_US + 1000000), &items[0]);
}
END_TEST

START_TEST(deadline_beyond_one_turn_is_kept_for_the_next)
{
	uint64_t turn = (uint64_t)WHEEL_SLOTS << WHEEL_TICK_SHIFT;

	wheel_set(&wheel, &items[0], START_US + 3 * turn);
	ck_assert_ptr_null(wheel_expired(&wheel, START_US + turn));
	ck_assert_ptr_null(wheel_expired(&wheel, START_US + 2 * turn));
	ck_assert_ptr_eq(wheel_expired(&wheel, START_US + 3 * turn), &items[0]);
}
END_TEST

START_TEST(long_pause_loses_nothing)
{
	for (unsigned i = 0; i < ITEMS; i++)
		wheel_set(&wheel, &items[i], START_US + i * 10007);
	unsigned seen = 0;

	while (wheel_expired(&wheel, START_US + 3600000000ull))
		seen++;
	ck_assert_uint_eq(seen, ITEMS);
	ck_assert_uint_eq(wheel_next_us(&wheel), UINT64_MAX);
}
END_TEST

START_TEST(removed_item_never_expires)
{
	wheel_set(&wheel, &items[0], START_US + 10);
	wheel_del(&wheel, &items[0]);
	wheel_del(&wheel, &items[0]);
	ck_assert_ptr_null(wheel_expired(&wheel, START_US + 100000));
}
END_TEST

/* Queries that are answered in time wake nobody. */
START_TEST(slot_left_empty_is_not_waited_for)
{
	wheel_set(&wheel, &items[0], START_US + 5000);
	wheel_set(&wheel, &items[1], START_US + 5000);
	wheel_set(&wheel, &items[2], START_US + 90000);
	wheel_del(&wheel, &items[0]);
	ck_assert_uint_le(wheel_next_us(&wheel), START_US + 5000 + 1024);
	wheel_del(&wheel, &items[1]);
	ck_assert_uint_ge(wheel_next_us(&wheel), START_US + 90000);
	wheel_set(&wheel, &items[2], START_US + 200000);
	ck_assert_uint_ge(wheel_next_us(&wheel), START_US + 200000);
	wheel_del(&wheel, &items[2]);
	ck_assert_uint_eq(wheel_next_us(&wheel), UINT64_MAX);
}
END_TEST

/* Against the plainest oracle: a list that is searched. */
START_TEST(random_deadlines_agree_with_a_searched_list)
{
	struct random r;
	uint64_t now = START_US;
	unsigned overdue = 0;

	random_init_seeded(&r, (uint64_t)_i + 1);
	for (unsigned step = 0; step < 3000; step++) {
		struct wheel_item *item = &items[random_below(&r, ITEMS)];
		uint64_t earliest = UINT64_MAX;

		if (random_below(&r, 4) == 0)
			wheel_del(&wheel, item);
		else
			wheel_set(&wheel, item, now + random_below(&r, 8000000));
		for (unsigned i = 0; i < ITEMS; i++)
			earliest = items[i].at_us < earliest ? items[i].at_us : earliest;
		/* The loop may sleep until wheel_next_us(): that is never long after the earliest,
		 * unless that lies beyond the present turn. */
		if (earliest != UINT64_MAX)
			ck_assert_uint_le(wheel_next_us(&wheel), earliest + 2048);
		now += random_below(&r, 20000);
		while ((item = wheel_expired(&wheel, now)))
			;
		for (unsigned i = 0; i < ITEMS; i++)
			overdue += items[i].at_us <= now;
		ck_assert_uint_eq(overdue, 0);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("wheel");
	TCase *tc = tcase_create("deadlines");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, item_expires_at_its_time_not_before);
	tcase_add_test(tc, deadline_in_the_past_expires_at_the_next_look);
	tcase_add_test(tc, deadline_beyond_one_turn_is_kept_for_the_next);
	tcase_add_test(tc, long_pause_loses_nothing);
	tcase_add_test(tc, removed_item_never_expires);
	tcase_add_test(tc, slot_left_empty_is_not_waited_for);
	tcase_add_loop_test(tc, random_deadlines_agree_with_a_searched_list, 0, 10);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
