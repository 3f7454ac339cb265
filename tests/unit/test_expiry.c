/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdlib.h>

#include "cache/clock.h"
#include "cache/expiry.h"

#define S(n)	((n) * US_PER_S)
#define WALL	1800000000u
#define NOW	S(5000)

static struct expiry expiry;
static struct expiry_word word;

/* Confirmed now, with so many seconds of SOA expire. */
static void given(uint64_t expire_s, uint64_t grace_s)
{
	struct zone_times times = { .refreshed_at = WALL, .expires_at = WALL + expire_s };

	expiry = (struct expiry){ .phase = EXPIRY_GOOD };
	expiry_set_grace(&expiry, S(grace_s), NOW);
	expiry_set(&expiry, &times, WALL, NOW);
}

static void expect(uint64_t after_s, enum expiry_news news, enum expiry_phase phase)
{
	ck_assert_int_eq(expiry_look(&expiry, NOW + S(after_s), &word), news);
	ck_assert_int_eq(expiry.phase, phase);
}

START_TEST(strict_zone_warns_and_ends_at_its_expire)
{
	given(100, 0);
	expect(49, EXPIRY_NO_NEWS, EXPIRY_GOOD);
	expect(50, EXPIRY_WARNS, EXPIRY_GOOD);
	ck_assert_uint_eq(word.percent_left, 50);
	ck_assert_uint_eq(word.left_us, S(50));
	expect(51, EXPIRY_NO_NEWS, EXPIRY_GOOD);
	expect(95, EXPIRY_WARNS, EXPIRY_GOOD);		/* 25 percent was passed over */
	ck_assert_uint_eq(word.percent_left, 10);
	expect(99, EXPIRY_NO_NEWS, EXPIRY_GOOD);
	expect(100, EXPIRY_CHANGED, EXPIRY_OVER);
	expect(1000, EXPIRY_NO_NEWS, EXPIRY_OVER);
}
END_TEST

/* Whoever looks at these times alone, hears all there is to hear. */
START_TEST(next_time_is_that_of_the_next_word)
{
	static const unsigned seconds[] = { 50, 75, 90, 100, 120, 130, 136, 140 };

	given(100, 40);
	for (unsigned i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
		uint64_t next_us = expiry_next_us(&expiry);

		ck_assert_uint_eq(next_us, NOW + S(seconds[i]));
		ck_assert_int_eq(expiry_look(&expiry, next_us - 1, &word), EXPIRY_NO_NEWS);
		ck_assert_int_ne(expiry_look(&expiry, next_us, &word), EXPIRY_NO_NEWS);
	}
	ck_assert_int_eq(expiry.phase, EXPIRY_OVER);
	ck_assert_uint_eq(expiry_next_us(&expiry), UINT64_MAX);
}
END_TEST

START_TEST(grace_begins_at_the_expire_warns_and_ends)
{
	given(100, 40);
	expect(100, EXPIRY_CHANGED, EXPIRY_GRACE);
	ck_assert_uint_eq(word.left_us, S(40));
	ck_assert_str_eq(expiry_limit(&expiry), "grace");
	expect(119, EXPIRY_NO_NEWS, EXPIRY_GRACE);
	expect(120, EXPIRY_WARNS, EXPIRY_GRACE);
	ck_assert_uint_eq(word.percent_left, 50);
	expect(139, EXPIRY_WARNS, EXPIRY_GRACE);
	ck_assert_uint_eq(word.percent_left, 10);
	expect(140, EXPIRY_CHANGED, EXPIRY_OVER);
}
END_TEST

START_TEST(grace_that_was_slept_through_is_over)
{
	given(100, 40);
	expect(1000, EXPIRY_CHANGED, EXPIRY_OVER);
}
END_TEST

/* In seconds after the confirmation: when signatures end, and when service does. */
static const struct { uint64_t signed_s, end_s; const char *limit; } horizons[] = {
	{ 0, 140, "grace" }, { 500, 140, "grace" }, { 140, 140, "grace" },
	{ 120, 120, "signatures" }, { 100, 100, "signatures" },
	{ 30, 100, "signatures" },	/* the primary would say the same: expire counts */
};

START_TEST(signatures_that_end_sooner_end_the_grace)
{
	given(100, 40);
	expiry.signed_us = horizons[_i].signed_s ? NOW + S(horizons[_i].signed_s) : 0;
	ck_assert_uint_eq(expiry_end_us(&expiry), NOW + S(horizons[_i].end_s));
	ck_assert_str_eq(expiry_limit(&expiry), horizons[_i].limit);
	expect(horizons[_i].end_s - 1, horizons[_i].end_s > 101 ? EXPIRY_CHANGED : EXPIRY_WARNS,
	       horizons[_i].end_s > 101 ? EXPIRY_GRACE : EXPIRY_GOOD);
	expect(horizons[_i].end_s, EXPIRY_CHANGED, EXPIRY_OVER);
}
END_TEST

START_TEST(confirmation_ends_a_grace_and_begins_anew)
{
	struct zone_times times = { .refreshed_at = WALL + 110, .expires_at = WALL + 210 };

	given(100, 40);
	expect(110, EXPIRY_CHANGED, EXPIRY_GRACE);
	ck_assert(expiry_set(&expiry, &times, WALL + 110, NOW + S(110)));
	ck_assert_int_eq(expiry.phase, EXPIRY_GOOD);
	expect(160, EXPIRY_WARNS, EXPIRY_GOOD);
	expect(210, EXPIRY_CHANGED, EXPIRY_GRACE);
	ck_assert(!expiry_set(&(struct expiry){ .phase = EXPIRY_OVER }, &times, WALL + 110, NOW));
}
END_TEST

START_TEST(zone_that_was_loaded_late_has_the_rest_of_its_grace)
{
	struct zone_times times = { .refreshed_at = WALL - 130, .expires_at = WALL - 30 };

	expiry = (struct expiry){ .phase = EXPIRY_GOOD };
	expiry_set_grace(&expiry, S(40), NOW);
	ck_assert(!expiry_set(&expiry, &times, WALL, NOW));
	expect(0, EXPIRY_CHANGED, EXPIRY_GRACE);
	ck_assert_uint_eq(word.left_us, S(10));
	expect(10, EXPIRY_CHANGED, EXPIRY_OVER);
	times.expires_at = WALL - 41;
	expiry_set(&expiry, &times, WALL, NOW);
	expect(0, EXPIRY_CHANGED, EXPIRY_OVER);
}
END_TEST

/* The same records under another number, an older version: they are as late as they were. */
START_TEST(other_generation_as_late_stays_in_grace)
{
	struct zone_times times = { .refreshed_at = WALL, .expires_at = WALL + 100 };

	given(100, 40);
	expect(110, EXPIRY_CHANGED, EXPIRY_GRACE);
	ck_assert(!expiry_set(&expiry, &times, WALL + 115, NOW + S(115)));
	ck_assert_int_eq(expiry.phase, EXPIRY_GRACE);
	ck_assert_uint_eq(expiry_end_us(&expiry), NOW + S(140));
}
END_TEST

START_TEST(grace_may_change_while_it_runs)
{
	given(100, 40);
	expect(110, EXPIRY_CHANGED, EXPIRY_GRACE);
	expiry_set_grace(&expiry, S(5), NOW + S(111));
	expect(111, EXPIRY_CHANGED, EXPIRY_OVER);
	expiry_set_grace(&expiry, S(8), NOW + S(112));
	expect(112, EXPIRY_NO_NEWS, EXPIRY_OVER);
	expiry_set_grace(&expiry, S(50), NOW + S(113));
	expect(113, EXPIRY_CHANGED, EXPIRY_GRACE);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("expiry");
	TCase *tc = tcase_create("expiry");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(tc, strict_zone_warns_and_ends_at_its_expire);
	tcase_add_test(tc, next_time_is_that_of_the_next_word);
	tcase_add_test(tc, grace_begins_at_the_expire_warns_and_ends);
	tcase_add_test(tc, grace_that_was_slept_through_is_over);
	tcase_add_loop_test(tc, signatures_that_end_sooner_end_the_grace, 0,
			    sizeof(horizons) / sizeof(horizons[0]));
	tcase_add_test(tc, confirmation_ends_a_grace_and_begins_anew);
	tcase_add_test(tc, zone_that_was_loaded_late_has_the_rest_of_its_grace);
	tcase_add_test(tc, other_generation_as_late_stays_in_grace);
	tcase_add_test(tc, grace_may_change_while_it_runs);
	suite_add_tcase(s, tc);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
