/* SPDX-License-Identifier: ISC */
/* guard: names made and read, questions in simulated time, what a worker lets pass. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/guard.h"

#define MS 1000ull
#define S  (1000 * MS)
#define DIGITS "0123456789abcdef002a"

enum { START_US = 5000000, HALF = GUARD_CHANCE / 2 };

static struct guard guard;
static struct guard_memory memory;
static uint64_t now, number;

static void setup(void)
{
	memset(&guard, 0, sizeof(guard));
	memset(&memory, 0, sizeof(memory));
	now = START_US;
	number = 0;
}

/* ---- The name ---- */

static const uint8_t zone[] = "\7example\3com";
static const struct guard_mark mark = { .number = 0x0123456789abcdef, .backend = 42 };

START_TEST(name_is_one_label_below_the_zone)
{
	uint8_t name[NAME_LEN_MAX];
	char text[NAME_TEXT_MAX];

	ck_assert(guard_name(&mark, zone, name));
	name_to_text(name, text);
	ck_assert_str_eq(text, GUARD_PREFIX DIGITS ".example.com.");
	ck_assert(guard_name(&mark, (const uint8_t *)"", name));
	name_to_text(name, text);
	ck_assert_str_eq(text, GUARD_PREFIX DIGITS ".");
}
END_TEST

/* Number and backend of the name, or 0 and 0. */
static struct guard_mark mark_in(const char *text)
{
	uint8_t name[NAME_LEN_MAX] = { 0 };
	struct guard_mark m;

	ck_assert_uint_gt(name_from_text(text, name), 0);
	return guard_read(name, &m) ? m : (struct guard_mark){ 0 };
}

START_TEST(mark_is_read_back_in_any_case)
{
	static const char *const same[] = {
		GUARD_PREFIX DIGITS ".example.com.", GUARD_PREFIX DIGITS ".",
		"UNDERSTUDY-LOOP-0123456789ABCDEF002A.EXAMPLE.COM.",
		"uNderStudy-loOp-0123456789abcDEF002a.a.b.c.",
	};

	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		struct guard_mark m = mark_in(same[i]);

		ck_assert_msg(m.number == mark.number && m.backend == mark.backend, "%s", same[i]);
	}
}
END_TEST

static const struct { const char *what, *name; } misses[] = {
	{ "the root", "." },
	{ "a usual name", "www.example.com." },
	{ "a label of the same length", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example.com." },
	{ "a digit less", "understudy-loop-0123456789abcdef002.example.com." },
	{ "a digit more", "understudy-loop-0123456789abcdef002a0.example.com." },
	{ "another prefix", "understudy-soap-" DIGITS ".example.com." },
	{ "no digit in the number", "understudy-loop-0123456789abcdeg002a.example.com." },
	{ "no digit in the backend", "understudy-loop-0123456789abcdef00-a.example.com." },
	{ "a sign", "understudy-loop-+123456789abcdef002a.example.com." },
	{ "below digit 0", "understudy-loop-0123456789abcdef002/.example.com." },
	{ "a control character that folds to a digit",
	  "understudy-loop-0123456789abcdef002\\016.example.com." },
	{ "number 0", "understudy-loop-0000000000000000002a.example.com." },
	{ "the second label", "www." GUARD_PREFIX DIGITS ".example.com." },
};
enum { MISSES = sizeof(misses) / sizeof(misses[0]) };

START_TEST(near_miss_is_no_mark)
{
	ck_assert_msg(mark_in(misses[_i].name).number == 0, "took %s for a mark", misses[_i].what);
}
END_TEST

START_TEST(zone_whose_name_leaves_no_room_cannot_be_guarded)
{
	uint8_t name[NAME_LEN_MAX], full[NAME_LEN_MAX];
	size_t room = NAME_LEN_MAX - GUARD_LABEL_LEN - 1, len = 0;

	while (len + 2 < room) {	/* labels of one byte, and at the end one that fits */
		full[len] = 1;
		full[len + 1] = 'a';
		len += 2;
	}
	full[len] = 0;
	ck_assert(guard_name(&mark, full, name));
	ck_assert_uint_le(name_len(name), NAME_LEN_MAX);
	memcpy(full + len, "\2bc", 4);
	ck_assert(!guard_name(&mark, full, name));
}
END_TEST

/* ---- When to ask ---- */

/* Time passes until a question leaves; then it is on its way. */
static uint64_t ask(void)
{
	uint64_t began = now;

	while (!guard_is_due(&guard, now))
		now += MS;
	guard_on_asked(&guard, ++number, HALF, now);
	return now - began;
}

static enum guard_news round_of(size_t zones, bool returns, bool proves)
{
	enum guard_news news;

	ask();
	now += MS;
	news = returns ? guard_on_return(&guard, number) : GUARD_NOTHING;
	return news == GUARD_NOTHING ? guard_on_end(&guard, zones, proves)
				     : (guard_on_end(&guard, zones, proves), news);
}

START_TEST(new_backend_is_asked_at_once_for_each_zone_then_every_ten_seconds)
{
	unsigned seen = 0;

	guard_hurry(&guard, 5, now);
	ck_assert_uint_eq(ask(), 0);
	for (unsigned i = 0; i < 5; i++) {
		seen |= 1u << guard.zone;
		guard_on_end(&guard, 5, true);
		ck_assert_uint_le(ask(), i < 4 ? 100 * MS : 10 * S);
	}
	ck_assert_uint_eq(seen, 0x1f);
	guard_on_end(&guard, 5, true);
	ck_assert_uint_eq(ask(), 10 * S);
}
END_TEST

START_TEST(one_question_at_a_time)
{
	guard_hurry(&guard, 1, now);
	ask();
	ck_assert(!guard_is_due(&guard, now + 60 * S));
	guard_on_end(&guard, 1, false);
	ck_assert(guard_is_due(&guard, now + 60 * S));
}
END_TEST

START_TEST(thousand_zones_are_not_asked_for_at_once)
{
	unsigned soon = 0;

	guard_hurry(&guard, 1000, now);
	for (uint64_t end = now + 60 * S; now < end; soon++) {
		ask();
		guard_on_end(&guard, 1000, true);
	}
	ck_assert_uint_le(soon, 16 + 7);
	ck_assert_uint_ge(soon, 16 + 4);
}
END_TEST

START_TEST(alarm_hurries_but_not_more_often_than_four_times_a_second)
{
	unsigned asked = 0;

	guard_hurry(&guard, 1, now);
	while (guard.hurry > 0)
		round_of(1, false, true);
	for (uint64_t end = now + 10 * S; now < end; now += MS) {
		guard_alarm(&guard, now);
		if (!guard_is_due(&guard, now))
			continue;
		guard_on_asked(&guard, ++number, 0, now);
		guard_on_end(&guard, 1, true);
		asked++;
	}
	ck_assert_uint_ge(asked, 39);
	ck_assert_uint_le(asked, 40);
}
END_TEST

START_TEST(hint_says_which_zone)
{
	guard_hurry(&guard, 100, now);
	guard_on_hint(&guard, 70, now);
	ck_assert_uint_eq(guard.zone, 70);
	round_of(100, true, true);
	guard_on_hint(&guard, 3, now);
	ck_assert_uint_eq(guard.zone, 70);	/* that which is known to go in a circle */
}
END_TEST

START_TEST(hints_for_one_zone_take_no_other_its_turn)
{
	bool was_asked[8] = { false };

	guard_hurry(&guard, 8, now);
	for (unsigned i = 0; i < 16; i++) {
		guard_on_hint(&guard, 2, now);	/* a stranger's, without end */
		was_asked[guard.zone] = true;
		round_of(8, false, true);
	}
	for (unsigned i = 0; i < 8; i++)
		ck_assert_msg(was_asked[i], "zone %u", i);
}
END_TEST

/* ---- What follows ---- */

START_TEST(return_of_the_number_is_a_loop_once)
{
	guard_hurry(&guard, 1, now);
	ask();
	ck_assert_int_eq(guard_on_return(&guard, number), GUARD_FOUND);
	ck_assert(guard.is_looping);
	ck_assert_int_eq(guard_on_return(&guard, number), GUARD_NOTHING);
}
END_TEST

START_TEST(other_numbers_are_no_loop)
{
	ck_assert_int_eq(guard_on_return(&guard, 0), GUARD_NOTHING);	/* nothing is on its way */
	guard_hurry(&guard, 1, now);
	ask();
	ck_assert_int_eq(guard_on_return(&guard, 0), GUARD_NOTHING);
	ck_assert_int_eq(guard_on_return(&guard, number + 1), GUARD_NOTHING);
	guard_on_end(&guard, 1, true);
	ck_assert_int_eq(guard_on_return(&guard, number), GUARD_NOTHING);	/* too late */
	ask();
	ck_assert_int_eq(guard_on_return(&guard, number - 1), GUARD_NOTHING);
	ck_assert(!guard.is_looping);
}
END_TEST

START_TEST(loop_is_over_after_three_rounds_without_a_return)
{
	guard_hurry(&guard, 1, now);
	ck_assert_int_eq(round_of(1, true, true), GUARD_FOUND);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(round_of(1, false, true), GUARD_NOTHING);
	ck_assert_int_eq(round_of(1, true, true), GUARD_FOUND);	/* it is counted anew */
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(round_of(1, false, true), GUARD_NOTHING);
	ck_assert(guard.is_looping);
	ck_assert_int_eq(round_of(1, false, true), GUARD_MENDED);
	ck_assert(!guard.is_looping);
}
END_TEST

START_TEST(silence_does_not_end_a_loop)
{
	guard_hurry(&guard, 1, now);
	round_of(1, true, true);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(round_of(1, false, false), GUARD_NOTHING);
	ck_assert(guard.is_looping);
}
END_TEST

START_TEST(while_there_is_a_loop_its_zone_is_asked_each_second)
{
	guard_hurry(&guard, 7, now);
	round_of(7, false, true);
	round_of(7, true, true);
	ck_assert_uint_eq(guard.zone, 1);
	for (int i = 0; i < 5; i++) {
		ck_assert_uint_le(ask(), S);
		guard_on_end(&guard, 7, false);
		ck_assert_uint_eq(guard.zone, 1);
	}
}
END_TEST

/* ---- What passes ---- */

START_TEST(number_passes_once)
{
	ck_assert_int_eq(guard_pass(&memory, 7, now), GUARD_PASS);
	ck_assert_int_eq(guard_pass(&memory, 7, now), GUARD_SEEN);
	ck_assert_int_eq(guard_pass(&memory, 8, now), GUARD_PASS);
	guard_remember(&memory, 9);
	ck_assert_int_eq(guard_pass(&memory, 9, now), GUARD_SEEN);
}
END_TEST

/* Else one that goes round slowly enough would find itself forgotten each time. */
START_TEST(flood_of_numbers_does_not_wash_one_out_for_a_second)
{
	uint64_t first_us = now;
	unsigned passed = 0;

	ck_assert_int_eq(guard_pass(&memory, 1, now), GUARD_PASS);
	for (uint64_t n = 2; now < first_us + S; n++, now += 100)
		passed += guard_pass(&memory, n, now) == GUARD_PASS;
	ck_assert_int_eq(guard_pass(&memory, 1, now), GUARD_SEEN);
	ck_assert_uint_gt(passed, 10);
	ck_assert_uint_lt(passed, GUARD_MEMORY);
	ck_assert_int_eq(guard_pass(&memory, UINT64_MAX, now), GUARD_PASS);	/* a new second */
}
END_TEST

static void add_case(Suite *s, TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, NULL);
	suite_add_tcase(s, tc);
}

int main(void)
{
	Suite *s = suite_create("guard");
	TCase *name = tcase_create("name"), *when = tcase_create("when");
	TCase *what = tcase_create("what"), *pass = tcase_create("pass");

	add_case(s, name);
	tcase_add_test(name, name_is_one_label_below_the_zone);
	tcase_add_test(name, mark_is_read_back_in_any_case);
	tcase_add_loop_test(name, near_miss_is_no_mark, 0, MISSES);
	tcase_add_test(name, zone_whose_name_leaves_no_room_cannot_be_guarded);
	add_case(s, when);
	tcase_add_test(when, new_backend_is_asked_at_once_for_each_zone_then_every_ten_seconds);
	tcase_add_test(when, one_question_at_a_time);
	tcase_add_test(when, thousand_zones_are_not_asked_for_at_once);
	tcase_add_test(when, alarm_hurries_but_not_more_often_than_four_times_a_second);
	tcase_add_test(when, hint_says_which_zone);
	tcase_add_test(when, hints_for_one_zone_take_no_other_its_turn);
	add_case(s, what);
	tcase_add_test(what, return_of_the_number_is_a_loop_once);
	tcase_add_test(what, other_numbers_are_no_loop);
	tcase_add_test(what, loop_is_over_after_three_rounds_without_a_return);
	tcase_add_test(what, silence_does_not_end_a_loop);
	tcase_add_test(what, while_there_is_a_loop_its_zone_is_asked_each_second);
	add_case(s, pass);
	tcase_add_test(pass, number_passes_once);
	tcase_add_test(pass, flood_of_numbers_does_not_wash_one_out_for_a_second);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
