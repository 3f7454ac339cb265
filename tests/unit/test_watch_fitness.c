/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdlib.h>

#include "proxy/watch_fitness.h"

static struct fitness *f;

static void setup(void)    { f = fitness_new(3); }
static void teardown(void) { fitness_free(f); }

static void serve_all(void)
{
	for (size_t i = 0; i < 3; i++)
		fitness_note(f, i, CAUSE_NONE);
}

START_TEST(one_lame_zone_counts_once)
{
	serve_all();
	ck_assert(fitness_counts(f, 1, CAUSE_RCODE));
	fitness_note(f, 1, CAUSE_RCODE);
	ck_assert(!fitness_counts(f, 1, CAUSE_RCODE));
	ck_assert(!fitness_counts(f, 1, CAUSE_LAME));
	ck_assert(fitness_counts(f, 0, CAUSE_RCODE));
	ck_assert(fitness_counts(f, 1, CAUSE_NONE));
}
END_TEST

START_TEST(server_without_any_fit_zone_is_counted_again)
{
	for (size_t i = 0; i < 3; i++)
		fitness_note(f, i, CAUSE_RCODE);
	for (size_t i = 0; i < 3; i++)
		ck_assert(fitness_counts(f, i, CAUSE_RCODE));
	fitness_note(f, 2, CAUSE_NONE);
	ck_assert(!fitness_counts(f, 0, CAUSE_RCODE));
}
END_TEST

START_TEST(silence_and_garbage_always_count)
{
	serve_all();
	fitness_note(f, 1, CAUSE_LAME);
	ck_assert(fitness_counts(f, 1, CAUSE_TIMEOUT));
	ck_assert(fitness_counts(f, 1, CAUSE_REFUSED));
	ck_assert(fitness_counts(f, 1, CAUSE_MALFORMED));
	fitness_note(f, 1, CAUSE_TIMEOUT);	/* says nothing of the zone */
	ck_assert(!fitness_counts(f, 1, CAUSE_LAME));
}
END_TEST

START_TEST(zones_take_turns_and_each_transport_has_its_own)
{
	for (size_t i = 0; i < 9; i++) {
		ck_assert_uint_eq(fitness_turn(f, false), i % 3);
		ck_assert_uint_eq(fitness_turn(f, true), i % 3);
	}
}
END_TEST

/* A server was never acquitted while TCP probes met only the zone that it refused. */
START_TEST(tcp_passes_over_a_zone_that_is_not_served)
{
	serve_all();
	fitness_note(f, 1, CAUSE_RCODE);
	for (size_t i = 0; i < 9; i++)
		ck_assert_uint_ne(fitness_turn(f, true), 1);
	for (size_t i = 0; i < 3; i++)
		fitness_note(f, i, CAUSE_RCODE);
	ck_assert_uint_lt(fitness_turn(f, true), 3);
}
END_TEST

/* A reload that added zones which the primary did not have yet took it down. */
START_TEST(zone_that_was_never_served_says_nothing_of_a_server_that_serves_others)
{
	ck_assert(fitness_counts(f, 1, CAUSE_RCODE));	/* nothing is known yet */
	fitness_note(f, 0, CAUSE_NONE);
	ck_assert(!fitness_counts(f, 1, CAUSE_RCODE));
	fitness_note(f, 1, CAUSE_RCODE);
	ck_assert(fitness_counts(f, 0, CAUSE_RCODE));
}
END_TEST

/* Each update of a catalog made a server that lacked one zone suspect. */
START_TEST(what_is_known_of_zones_goes_on_under_their_new_numbers)
{
	struct fitness *new = fitness_new(2);

	fitness_note(f, 0, CAUSE_RCODE);
	fitness_note(f, 2, CAUSE_NONE);
	fitness_turn(f, false);
	fitness_carry(new, 1, f, 2);
	fitness_go_on(new, f);
	ck_assert(!fitness_counts(new, 0, CAUSE_RCODE));	/* new, and another one is served */
	ck_assert(fitness_counts(new, 1, CAUSE_RCODE));
	ck_assert_uint_eq(fitness_turn(new, false), 1);
	fitness_free(new);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("fitness");
	TCase *tc = tcase_create("zones");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, one_lame_zone_counts_once);
	tcase_add_test(tc, server_without_any_fit_zone_is_counted_again);
	tcase_add_test(tc, silence_and_garbage_always_count);
	tcase_add_test(tc, zones_take_turns_and_each_transport_has_its_own);
	tcase_add_test(tc, tcp_passes_over_a_zone_that_is_not_served);
	tcase_add_test(tc, zone_that_was_never_served_says_nothing_of_a_server_that_serves_others);
	tcase_add_test(tc, what_is_known_of_zones_goes_on_under_their_new_numbers);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
