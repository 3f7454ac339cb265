/* SPDX-License-Identifier: ISC */
/*
 * Worlds of chance, each promise checked at each step; and that the checks notice when a rule is
 * broken. SIM_HOURS: how long in all; SIM_FIRST: the seed of the first world.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/scenario/sim_run.h"

enum {
	PARTS = 10,
	HOURS_USUAL = 1000,
	BREACH_WORLDS = 80,	/* in which a broken rule has to be noticed */
};

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

START_TEST(every_promise_is_kept)
{
	uint64_t hours = from_environment("SIM_HOURS", HOURS_USUAL) / PARTS;
	uint64_t first = from_environment("SIM_FIRST", 1) + (uint64_t)_i * hours;
	struct sim_tally sum = { 0 };
	bool is_good = sim_run_hours(hours, first, &sum);

	sim_run_print(&sum);
	ck_assert_msg(is_good, "%s\nagain, step by step: build/tests/scenario/sim %llu", sim.why,
		      (unsigned long long)sim.seed);
}
END_TEST

START_TEST(same_seed_is_the_same_world)
{
	struct sim_tally first = { 0 }, other = { 0 }, again = { 0 };

	sim_play(7, SIM_WORLD_S, BREACH_NONE, false, &first);
	sim_play(8, SIM_WORLD_S, BREACH_NONE, false, &other);
	sim_play(7, SIM_WORLD_S, BREACH_NONE, false, &again);
	ck_assert_mem_eq(&first, &again, sizeof(first));
	ck_assert_mem_ne(&first, &other, sizeof(first));
}
END_TEST

/* What the simulator has to say when a rule is broken on purpose. */
static const struct { enum sim_breach breach; const char *what, *noticed; } breaches[] = {
	{ BREACH_ANSWER_LOST, "an answer is lost", "should be" },
	{ BREACH_ANSWER_TWICE, "an answer is sent twice", "a second answer" },
	{ BREACH_LATE_REPLY, "a late reply is let through", "a second answer" },
	{ BREACH_NOT_COUNTED, "an answer is not counted", "should be" },
	{ BREACH_WRONG_SOURCE, "an answer counts as someone else's", "should be" },
	{ BREACH_STAYS_DOWN, "a server never leaves DOWN", "and still down" },
	{ BREACH_STAYS_UP, "a dead server never leaves UP", "and still up" },
	{ BREACH_SILENT_CHANGE, "a change of state has no line", "and the log says" },
	{ BREACH_GATE_OPEN, "the failback gate lets old data through", "the mirror has" },
	{ BREACH_SERIAL_BACK, "a server that is behind is asked", "and the mirror has" },
	{ BREACH_MIRROR_BACK, "the mirror goes back", "the mirror went from serial" },
	{ BREACH_SERVFAIL, "an error although the mirror is there", "could have answered" },
	{ BREACH_SLOW, "an answer is held back", "should be" },
	{ BREACH_SLOT_LEAK, "a slot is not given back", "queries in the table" },
	{ BREACH_DENIAL_BELIEVED, "a denial of what the mirror has is believed", "although the mirror could" },
	{ BREACH_WRONG_ANSWER, "an answer to another question", "is no answer to it" },
	{ BREACH_HASTY, "a difference is believed whatever the serial", "a false alarm" },
	{ BREACH_STALE_LASTS, "what is stale looks fresh", "from a zone that is expired" },
	{ BREACH_ALLOCATION, "memory is taken for a query", "memory was allocated" },
};

START_TEST(broken_rule_is_noticed)
{
	bool is_noticed = false;

#ifdef SIM_COUNTS_NO_ALLOCATIONS
	if (breaches[_i].breach == BREACH_ALLOCATION)
		return;
#endif
	for (uint64_t seed = 1; seed <= BREACH_WORLDS && !is_noticed; seed++) {
		struct sim_tally sum = { 0 };

		is_noticed = !sim_play(seed, SIM_WORLD_S, breaches[_i].breach, false, &sum);
	}
	ck_assert_msg(is_noticed, "%s, and the simulator did not notice", breaches[_i].what);
	ck_assert_msg(strstr(sim.why, breaches[_i].noticed) != NULL, "%s: %s", breaches[_i].what, sim.why);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sim");
	TCase *tc = tcase_create("worlds");

	sim_run_prepare();
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, same_seed_is_the_same_world);
	tcase_add_loop_test(tc, broken_rule_is_noticed, 0, sizeof(breaches) / sizeof(breaches[0]));
	tcase_add_loop_test(tc, every_promise_is_kept, 0, PARTS);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
