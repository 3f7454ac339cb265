/* SPDX-License-Identifier: ISC */
/* test_schedule - when a zone is asked about, and when it expires. */
#include <check.h>
#include <stdlib.h>

#include "cache/clock.h"
#include "cache/schedule.h"

#define NOW	(1000 * US_PER_S)
#define WALL	1700000000ull

static struct schedule s;
static struct random rnd;
static const struct soa ordinary = { .refresh = 3600, .retry = 600, .expire = 86400 };

static void setup(void)
{
	s = (struct schedule){ 0 };
	random_init_seeded(&rnd, 5);
}

static void check_between(uint64_t us, uint64_t least_s, uint64_t most_s)
{
	ck_assert_uint_ge(us, least_s * US_PER_S);
	ck_assert_uint_le(us, most_s * US_PER_S);
}

START_TEST(start_asks_at_once_or_within_the_spread)
{
	schedule_start(&s, NOW, 0, &rnd);
	ck_assert(schedule_is_due(&s, NOW));
	bool differ = false;
	uint64_t first = 0;

	for (int i = 0; i < 50; i++) {
		schedule_start(&s, NOW, 5 * US_PER_S, &rnd);
		check_between(s.next_us - NOW, 0, 5);
		first = i ? first : s.next_us;
		differ |= s.next_us != first;
	}
	ck_assert(differ);
	schedule_start(&s, NOW, UINT64_MAX, &rnd);
	ck_assert_uint_ge(s.next_us, NOW);
}
END_TEST

START_TEST(start_keeps_what_is_known_of_the_age)
{
	s.refreshed_at = WALL;
	s.expires_at = WALL + 5;
	s.failures = 3;
	schedule_start(&s, NOW, 0, &rnd);
	ck_assert_uint_eq(s.expires_at, WALL + 5);
	ck_assert_uint_eq(s.refreshed_at, WALL);
	ck_assert_uint_eq(s.failures, 0);
}
END_TEST

/* RFC 7314: a refresh of 3600, so the next question comes after 3240 s at least. */
static const struct {
	const char *what;
	uint32_t left_s;
	uint64_t known_s;		/* from now */
	uint64_t expire_s, next_least_s, next_most_s;
} limits[] = {
	{ "not said", UINT32_MAX, 0, 86400, 3240, 3600 },
	{ "more than the SOA's", 100000, 0, 86400, 3240, 3600 },
	{ "less", 80000, 0, 80000, 3240, 3600 },
	{ "less, but known for longer", 80000, 80001, 80001, 3240, 3600 },
	{ "known for less", 80000, 79999, 80000, 3240, 3600 },
	{ "before the next question", 100, 0, 100, 50, 50 },
	{ "one second", 1, 0, 1, 0, 1 },
	{ "the largest that can be said", UINT32_MAX - 1, 0, 86400, 3240, 3600 },
};

START_TEST(expiry_is_no_later_than_the_primarys)
{
	schedule_success(&s, &ordinary, NOW, WALL, &rnd);
	schedule_limit(&s, limits[_i].left_s, WALL + limits[_i].known_s, NOW, WALL);
	ck_assert_msg(s.expires_at == WALL + limits[_i].expire_s, "%s: %llu", limits[_i].what,
		      (unsigned long long)(s.expires_at - WALL));
	check_between(s.next_us - NOW, limits[_i].next_least_s, limits[_i].next_most_s);
}
END_TEST

START_TEST(success_waits_for_refresh_less_a_little)
{
	schedule_failure(&s, &ordinary, NOW, &rnd);
	schedule_success(&s, &ordinary, NOW, WALL, &rnd);
	check_between(s.next_us - NOW, 3240, 3600);
	ck_assert_uint_eq(s.refreshed_at, WALL);
	ck_assert_uint_eq(s.expires_at, WALL + 86400);
	ck_assert_uint_eq(s.failures, 0);
	ck_assert(!schedule_is_due(&s, s.next_us - 1));
	ck_assert(schedule_is_due(&s, s.next_us));
}
END_TEST

static const struct {
	const char *what;
	struct soa soa;
	uint64_t refresh_s, retry_s, expire_s;
} odd[] = {
	{ "all zero", { .refresh = 0 }, 1, 1, 2 },
	{ "2^31", { .refresh = 1u << 31, .retry = 1u << 31, .expire = 1u << 31 },
	  SCHEDULE_REFRESH_MAX, SCHEDULE_RETRY_MAX, 1u << 31 },
	{ "2^32-1", { .refresh = UINT32_MAX, .retry = UINT32_MAX, .expire = UINT32_MAX },
	  SCHEDULE_REFRESH_MAX, SCHEDULE_RETRY_MAX, UINT32_MAX },
	{ "expire below two retries", { .refresh = 10, .retry = 600, .expire = 60 }, 10, 600, 1200 },
	{ "ordinary", { .refresh = 3600, .retry = 600, .expire = 86400 }, 3600, 600, 86400 },
};

START_TEST(odd_timers_are_clamped)
{
	schedule_success(&s, &odd[_i].soa, NOW, WALL, &rnd);
	ck_assert_msg(s.next_us - NOW <= odd[_i].refresh_s * US_PER_S, "%s", odd[_i].what);
	ck_assert_msg(s.next_us - NOW >= odd[_i].refresh_s * US_PER_S / 10 * 9, "%s", odd[_i].what);
	ck_assert_msg(s.expires_at == WALL + odd[_i].expire_s, "%s", odd[_i].what);
	schedule_failure(&s, &odd[_i].soa, NOW, &rnd);
	ck_assert_msg(s.next_us - NOW <= odd[_i].retry_s * US_PER_S, "%s", odd[_i].what);
	ck_assert_msg(s.next_us - NOW >= odd[_i].retry_s * US_PER_S / 10 * 9, "%s", odd[_i].what);
}
END_TEST

/* RFC 1912 s.2.2 wants expire above refresh; not every zone has it so. */
START_TEST(what_expires_before_its_refresh_is_asked_about_in_time)
{
	static const struct soa hasty = { .refresh = 86400, .retry = 600, .expire = 3600 };

	schedule_success(&s, &hasty, NOW, WALL, &rnd);
	ck_assert_uint_eq(s.expires_at, WALL + 3600);
	check_between(s.next_us - NOW, 1620, 1800);
	uint64_t asked_us = s.next_us;

	schedule_failure(&s, &hasty, asked_us, &rnd);
	ck_assert_uint_lt(s.next_us - NOW, 3600 * US_PER_S);
}
END_TEST

START_TEST(failure_changes_nothing_of_the_age)
{
	schedule_success(&s, &ordinary, NOW, WALL, &rnd);
	schedule_failure(&s, &ordinary, NOW, &rnd);
	check_between(s.next_us - NOW, 540, 600);
	ck_assert_uint_eq(s.expires_at, WALL + 86400);
	ck_assert_uint_eq(s.failures, 1);
}
END_TEST

START_TEST(with_nothing_held_retries_come_soon_and_thin_out)
{
	static const uint64_t most_s[] = { 1, 2, 4, 8, 16, 32, 60, 60 };

	for (size_t i = 0; i < sizeof(most_s) / sizeof(most_s[0]); i++) {
		schedule_failure(&s, NULL, NOW, &rnd);
		ck_assert_uint_le(s.next_us - NOW, most_s[i] * US_PER_S);
		ck_assert_uint_ge(s.next_us - NOW, most_s[i] * US_PER_S / 10 * 9);
	}
	s.failures = 100000;
	schedule_failure(&s, NULL, NOW, &rnd);
	check_between(s.next_us - NOW, 54, 60);
}
END_TEST

/* How long it has to wait from now on, after another question in vain that has just ended. */
static uint64_t wait_after_one_in_vain(uint64_t now_us)
{
	schedule_success(&s, &ordinary, now_us, WALL, &rnd);
	schedule_hurry(&s, now_us);
	return s.next_us - now_us;
}

/* A probe may have asked just before: who then says that there is news is not put off for long. */
START_TEST(hurry_after_one_question_in_vain_is_soon)
{
	ck_assert_uint_eq(wait_after_one_in_vain(NOW), 10 * US_PER_MS);
	schedule_hurry(&s, NOW + 5 * US_PER_MS);
	ck_assert_uint_eq(s.next_us, NOW + 10 * US_PER_MS);
	schedule_success(&s, &ordinary, NOW, WALL, &rnd);
	schedule_hurry(&s, NOW + 5 * US_PER_S);
	ck_assert_uint_eq(s.next_us, NOW + 5 * US_PER_S);
}
END_TEST

START_TEST(hurry_after_a_failure_waits_a_second)
{
	schedule_failure(&s, &ordinary, NOW, &rnd);
	schedule_hurry(&s, NOW + 5 * US_PER_MS);
	ck_assert_uint_eq(s.next_us, NOW + US_PER_S);
}
END_TEST

START_TEST(flood_of_hurry_gets_a_question_a_second)
{
	static const unsigned waits_ms[] = { 10, 40, 160, 640, 1000, 1000, 1000 };
	uint64_t now_us = NOW;
	unsigned asked = 0;

	for (size_t i = 0; i < sizeof(waits_ms) / sizeof(*waits_ms); i++) {
		ck_assert_uint_eq(wait_after_one_in_vain(now_us), waits_ms[i] * US_PER_MS);
		now_us = s.next_us;
	}
	for (uint64_t end_us = now_us + 60 * US_PER_S; now_us < end_us; now_us += US_PER_MS) {
		schedule_hurry(&s, now_us);
		if (!schedule_is_due(&s, now_us))
			continue;
		schedule_success(&s, &ordinary, now_us, WALL, &rnd);
		asked++;
	}
	ck_assert_uint_le(asked, 60);
	now_us += 2 * US_PER_S;
	ck_assert_uint_eq(wait_after_one_in_vain(now_us), 10 * US_PER_MS);	/* after a pause */
}
END_TEST

START_TEST(hurry_after_news_asks_at_once_and_then_soon)
{
	for (int i = 0; i < 5; i++)
		wait_after_one_in_vain(5 * US_PER_S);
	schedule_success(&s, &ordinary, 5 * US_PER_S, WALL, &rnd);
	schedule_news(&s);
	schedule_hurry(&s, 5 * US_PER_S + 1);
	ck_assert_uint_eq(s.next_us, 5 * US_PER_S + 1);
	ck_assert_uint_eq(wait_after_one_in_vain(5 * US_PER_S + 2), 10 * US_PER_MS);
}
END_TEST

START_TEST(hurry_never_delays)
{
	schedule_start(&s, NOW, 0, &rnd);
	schedule_hurry(&s, NOW + US_PER_S);
	ck_assert_uint_eq(s.next_us, NOW);
}
END_TEST

START_TEST(zone_expires_at_its_second_and_not_before)
{
	ck_assert(!schedule_is_expired(&s, WALL));	/* nothing to expire */
	schedule_success(&s, &ordinary, NOW, WALL, &rnd);
	ck_assert(!schedule_is_expired(&s, WALL + 86399));
	ck_assert(schedule_is_expired(&s, WALL + 86400));
	ck_assert(!schedule_is_expired(&s, WALL - 1000));	/* the clock was set back */
}
END_TEST

START_TEST(zone_is_stale_when_its_refresh_and_one_retry_brought_nothing)
{
	struct soa soa = { .refresh = 3600, .retry = 600, .expire = 86400 };
	struct soa mad = { .refresh = 0, .retry = UINT32_MAX };

	ck_assert_uint_eq(schedule_stale_at(&soa, 1000), 1000 + 3600 + 600);
	ck_assert_uint_eq(schedule_stale_at(&mad, 1000), 1000 + SCHEDULE_REFRESH_MIN + SCHEDULE_RETRY_MAX);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("schedule");
	TCase *tc = tcase_create("schedule");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, start_asks_at_once_or_within_the_spread);
	tcase_add_test(tc, start_keeps_what_is_known_of_the_age);
	tcase_add_loop_test(tc, expiry_is_no_later_than_the_primarys, 0,
			    sizeof(limits) / sizeof(limits[0]));
	tcase_add_test(tc, success_waits_for_refresh_less_a_little);
	tcase_add_loop_test(tc, odd_timers_are_clamped, 0, sizeof(odd) / sizeof(odd[0]));
	tcase_add_test(tc, what_expires_before_its_refresh_is_asked_about_in_time);
	tcase_add_test(tc, failure_changes_nothing_of_the_age);
	tcase_add_test(tc, with_nothing_held_retries_come_soon_and_thin_out);
	tcase_add_test(tc, hurry_after_one_question_in_vain_is_soon);
	tcase_add_test(tc, hurry_after_a_failure_waits_a_second);
	tcase_add_test(tc, flood_of_hurry_gets_a_question_a_second);
	tcase_add_test(tc, hurry_after_news_asks_at_once_and_then_soon);
	tcase_add_test(tc, hurry_never_delays);
	tcase_add_test(tc, zone_expires_at_its_second_and_not_before);
	tcase_add_test(tc, zone_is_stale_when_its_refresh_and_one_retry_brought_nothing);
	suite_add_tcase(suite, tc);
	SRunner *r = srunner_create(suite);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
