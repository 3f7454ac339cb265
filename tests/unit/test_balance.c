/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/balance.h"

enum { CHOICES = 4000 };

static struct conf_pool conf;
static struct plan_pool pool;
static struct plan_target targets[8];
static _Atomic int forced;
static struct plan_drill drill;
static struct balance *balance;
static struct random chance;
static struct balance_ask ask;
static unsigned chosen[8];

static void setup(void)
{
	static const char *const names[] = { "a", "b", "c", "d", "e", "f" };

	balance = calloc(1, sizeof(*balance));
	random_init_seeded(&chance, 42);
	memset(&conf, 0, sizeof(conf));
	memset(targets, 0, sizeof(targets));
	for (unsigned i = 0; i < 6; i++) {
		struct address address;

		ck_assert(address_from_text("198.51.100.7", (uint16_t)(1000 + i), &address));
		targets[i].kind = TARGET_BACKEND;
		targets[i].backend = backend_take("p", names[i], &address);
		targets[i].weight = 1;
		targets[i].max_outstanding = 10;
		targets[i].hash = 0x1234567u * (i + 1);
		atomic_store(&targets[i].backend->share, BACKEND_SHARE_FULL);
	}
	forced = POOL_FAILOVER_AUTO;
	pool = (struct plan_pool){ .conf = &conf, .targets = targets, .target_count = 3, .forced = &forced,
				   .drill = &drill };
	atomic_store(&drill.percent, 0);
	ask = (struct balance_ask){ .pool = &pool };
}

static void teardown(void)
{
	for (unsigned i = 0; i < 6; i++)
		if (targets[i].kind == TARGET_BACKEND)
			backend_leave(targets[i].backend);
	free(balance);
}

static void make_mirror(unsigned i)
{
	backend_leave(targets[i].backend);
	targets[i].kind = TARGET_MIRROR;
	targets[i].backend = NULL;
}

static int choose(void)
{
	plan_pool_measure(&pool);

	const struct plan_target *t = balance_choose(balance, &ask, &chance);

	return t ? (int)(t - targets) : -1;
}

static void choose_often(void)
{
	memset(chosen, 0, sizeof(chosen));
	for (unsigned i = 0; i < CHOICES; i++) {
		int c = choose();

		ck_assert_int_ge(c, 0);
		chosen[c]++;
	}
}

static void set_outstanding(unsigned i, uint32_t n)
{
	balance->views[targets[i].backend->index].outstanding = n;
}

/* Between 80 and 120 % of the expected count. */
static void assert_about(unsigned i, unsigned expected)
{
	ck_assert_msg(chosen[i] >= expected * 8 / 10 && chosen[i] <= expected * 12 / 10,
		      "target %u: %u choices, expected about %u", i, chosen[i], expected);
}

START_TEST(lowest_tier_with_an_eligible_target_is_used)
{
	targets[1].tier = 1;
	targets[2].tier = 2;
	ck_assert_int_eq(choose(), 0);
	atomic_store(&targets[0].backend->share, 0);
	ck_assert_int_eq(choose(), 1);
	set_outstanding(1, 10);
	ck_assert_int_eq(choose(), 2);
	ask.tried = (const uint16_t[]){ (uint16_t)targets[2].backend->index };
	ask.tried_count = 1;
	ck_assert_int_eq(choose(), -1);
	ck_assert(!balance_has_target(balance, &ask));
}
END_TEST

START_TEST(mirror_is_a_target_when_it_can_answer)
{
	make_mirror(1);
	targets[1].tier = targets[2].tier = 1;
	atomic_store(&targets[0].backend->share, 0);
	ck_assert_int_eq(choose(), 2);
	ask.mirror_can_answer = true;
	ck_assert_int_eq(choose(), 1);
}
END_TEST

/* Targets a, b in tier 0 and c, or the mirror, in tier 1: who is asked for the zone. */
static const struct {
	const char *held, *gone;	/* of a b c, by name */
	bool is_mirror;			/* c is */
	enum plan_failover forced;
	int choice;
} holds[] = {
	{ "",    "",   false, POOL_FAILOVER_AUTO, 0 },
	{ "a",   "",   false, POOL_FAILOVER_AUTO, 1 },
	{ "ab",  "",   false, POOL_FAILOVER_AUTO, 2 },
	{ "ab",  "",   true,  POOL_FAILOVER_AUTO, 2 },
	{ "abc", "",   true,  POOL_FAILOVER_AUTO, 2 },	/* it lags, but it may serve */
	{ "abc", "",   false, POOL_FAILOVER_AUTO, 0 },	/* old data is better than none */
	{ "b",   "ac", false, POOL_FAILOVER_AUTO, 1 },
	{ "a",   "",   false, POOL_FAILOVER_OFF,  0 },	/* the operator's word */
	{ "c",   "",   false, POOL_FAILOVER_ON,   2 },
};

static bool names(const char *list, unsigned i)
{
	return strchr(list, 'a' + (int)i) != NULL;
}

START_TEST(held_zone_is_served_by_others)
{
	struct plan_zone zone = { .pool = &pool }, other = { .pool = &pool };

	targets[2].tier = 1;
	forced = holds[_i].forced;
	for (unsigned i = 0; i < 3; i++) {
		plan_zone_hold(&zone, i, names(holds[_i].held, i));
		if (names(holds[_i].gone, i))
			atomic_store(&targets[i].backend->share, 0);
	}
	if (holds[_i].is_mirror)
		make_mirror(2);
	ask.mirror_can_answer = true;
	ask.zone = &zone;
	ck_assert_int_eq(choose(), holds[_i].choice);
	ck_assert(balance_has_target(balance, &ask));
	ask.zone = &other;			/* another zone of the same backends */
	if (holds[_i].forced == POOL_FAILOVER_AUTO && !*holds[_i].gone)
		ck_assert_int_eq(choose(), 0);
}
END_TEST

/* Active-active: clients must not see the serial go back and forth. */
START_TEST(mirror_that_lags_serves_alone_or_not_at_all)
{
	struct plan_zone zone = { .pool = &pool };

	conf.policy = POLICY_ROUND_ROBIN;
	make_mirror(1);
	ask.mirror_can_answer = true;
	ask.zone = &zone;
	choose_often();
	ck_assert_uint_gt(chosen[1], 0);
	plan_zone_hold(&zone, 1, true);
	choose_often();
	ck_assert_uint_eq(chosen[1], 0);
	atomic_store(&targets[0].backend->share, 0);
	atomic_store(&targets[2].backend->share, 0);
	choose_often();
	ck_assert_uint_eq(chosen[1], CHOICES);
}
END_TEST

START_TEST(each_target_has_its_bit)
{
	struct plan_zone zone = { .pool = &pool };

	for (unsigned i = 0; i < CONF_TARGETS_MAX; i++) {
		plan_zone_hold(&zone, i, true);
		for (unsigned k = 0; k < CONF_TARGETS_MAX; k++)
			ck_assert_int_eq(plan_zone_holds(&zone, k), k == i);
		plan_zone_hold(&zone, i, false);
	}
}
END_TEST

START_TEST(ordered_takes_the_first)
{
	choose_often();
	ck_assert_uint_eq(chosen[0], CHOICES);
}
END_TEST

START_TEST(round_robin_takes_turns_by_weight)
{
	conf.policy = POLICY_ROUND_ROBIN;
	targets[2].weight = 2;
	choose_often();
	ck_assert_uint_eq(chosen[0], CHOICES / 4);
	ck_assert_uint_eq(chosen[1], CHOICES / 4);
	ck_assert_uint_eq(chosen[2], CHOICES / 2);
}
END_TEST

START_TEST(weighted_random_follows_the_weights)
{
	conf.policy = POLICY_WEIGHTED_RANDOM;
	targets[0].weight = 3;
	choose_often();
	assert_about(0, CHOICES * 3 / 5);
	assert_about(1, CHOICES / 5);
	assert_about(2, CHOICES / 5);
}
END_TEST

START_TEST(least_outstanding_takes_the_least_by_weight)
{
	conf.policy = POLICY_LEAST_OUTSTANDING;
	set_outstanding(0, 3);
	set_outstanding(1, 2);
	set_outstanding(2, 5);
	ck_assert_int_eq(choose(), 1);
	targets[2].weight = 4;
	ck_assert_int_eq(choose(), 2);
}
END_TEST

START_TEST(least_outstanding_shares_evenly_among_equals)
{
	conf.policy = POLICY_LEAST_OUTSTANDING;
	choose_often();
	for (unsigned i = 0; i < 3; i++)
		assert_about(i, CHOICES / 3);
}
END_TEST

/* Servers that answer at once are never busy: the heaviest had all the queries. */
static const enum conf_policy weighing[] = { POLICY_LEAST_OUTSTANDING, POLICY_P2C_LATENCY };

START_TEST(idle_servers_share_by_weight)
{
	conf.policy = weighing[_i];
	pool.target_count = 2;
	targets[1].weight = 3;
	choose_often();
	assert_about(0, CHOICES / 4);
	assert_about(1, CHOICES * 3 / 4);
}
END_TEST

START_TEST(busy_server_leaves_its_share_to_idle_ones)
{
	conf.policy = weighing[_i];
	pool.target_count = 2;
	targets[1].weight = 3;
	set_outstanding(0, 1);		/* a third of it would be 1 for the other */
	choose_often();
	ck_assert_uint_lt(chosen[0], CHOICES / 50);
	set_outstanding(0, 0);
	set_outstanding(1, 1);		/* with one more the lighter would be busier than that */
	choose_often();
	assert_about(0, CHOICES / 4);
	set_outstanding(1, 9);
	choose_often();
	ck_assert_uint_lt(chosen[1], CHOICES / 50);
}
END_TEST

START_TEST(p2c_prefers_the_faster_of_two)
{
	conf.policy = POLICY_P2C_LATENCY;
	for (unsigned i = 0; i < 3; i++)
		balance->views[targets[i].backend->index].udp.srtt_us = 1000 * (i + 1);
	choose_often();
	assert_about(0, CHOICES * 2 / 3);
	assert_about(1, CHOICES / 3);
	ck_assert_uint_lt(chosen[2], CHOICES / 50);
}
END_TEST

START_TEST(p2c_measures_the_slowest_again_now_and_then)
{
	conf.policy = POLICY_P2C_LATENCY;
	balance->views[targets[2].backend->index].udp.srtt_us = 900000;
	choose_often();
	ck_assert_uint_gt(chosen[2], 0);
}
END_TEST

/* Three servers on one LAN: the one that was slower by 20 us got nothing. */
START_TEST(p2c_takes_latencies_below_a_millisecond_for_equal)
{
	conf.policy = POLICY_P2C_LATENCY;
	for (unsigned i = 0; i < 3; i++)
		balance->views[targets[i].backend->index].udp.srtt_us = 100 + 20 * i;
	choose_often();
	for (unsigned i = 0; i < 3; i++)
		assert_about(i, CHOICES / 3);
}
END_TEST

START_TEST(consistent_hash_follows_the_weights)
{
	conf.policy = POLICY_CONSISTENT_HASH;
	targets[1].weight = 2;
	memset(chosen, 0, sizeof(chosen));
	for (unsigned i = 0; i < CHOICES; i++) {
		ask.hash = i * 2654435761u;
		chosen[choose()]++;
	}
	assert_about(0, CHOICES / 4);
	assert_about(1, CHOICES / 2);
	assert_about(2, CHOICES / 4);
}
END_TEST

START_TEST(consistent_hash_moves_only_the_questions_of_the_target_that_left)
{
	int before[512];

	conf.policy = POLICY_CONSISTENT_HASH;
	pool.target_count = 6;
	memset(chosen, 0, sizeof(chosen));
	for (unsigned i = 0; i < 512; i++) {
		ask.hash = i * 2654435761u;
		before[i] = choose();
		chosen[before[i]]++;
		ck_assert_int_eq(choose(), before[i]);
	}
	for (unsigned i = 0; i < 6; i++)
		ck_assert_uint_gt(chosen[i], 40);
	atomic_store(&targets[3].backend->share, 0);
	for (unsigned i = 0; i < 512; i++) {
		ask.hash = i * 2654435761u;
		ck_assert_int_ne(choose(), 3);
		if (before[i] != 3)
			ck_assert_int_eq(choose(), before[i]);
	}
}
END_TEST

START_TEST(slow_start_gets_its_share_of_what_would_fall_on_it)
{
	targets[1].tier = targets[2].tier = 1;
	atomic_store(&targets[0].backend->share, BACKEND_SHARE_FULL / 4);
	choose_often();
	assert_about(0, CHOICES / 4);
	assert_about(1, CHOICES * 3 / 4);
}
END_TEST

static const enum conf_policy drawing[] = {
	POLICY_ROUND_ROBIN, POLICY_WEIGHTED_RANDOM, POLICY_LEAST_OUTSTANDING, POLICY_P2C_LATENCY,
};

START_TEST(slow_start_gets_its_share_among_many)
{
	conf.policy = drawing[_i];
	pool.target_count = 4;
	atomic_store(&targets[1].backend->share, BACKEND_SHARE_FULL / 2);
	choose_often();
	assert_about(1, CHOICES / 8);
	assert_about(0, CHOICES * 7 / 24);
	assert_about(3, CHOICES * 7 / 24);
}
END_TEST

/* It was over its share, or not, twice for the same query: a quarter came out as a sixteenth. */
START_TEST(share_is_drawn_once_for_a_busy_server)
{
	conf.policy = weighing[_i];
	targets[1].tier = targets[2].tier = 1;
	atomic_store(&targets[0].backend->share, BACKEND_SHARE_FULL / 4);
	set_outstanding(0, 1);
	choose_often();
	assert_about(0, CHOICES / 4);
}
END_TEST

/* Turns that fell on the two which are gone would all have fallen on the same other one. */
START_TEST(those_who_are_left_share_evenly)
{
	conf.policy = drawing[_i];
	pool.target_count = 4;
	atomic_store(&targets[0].backend->share, 0);
	atomic_store(&targets[2].backend->share, 0);
	choose_often();
	assert_about(1, CHOICES / 2);
	assert_about(3, CHOICES / 2);
}
END_TEST

START_TEST(operators_order_moves_the_pool_and_back)
{
	targets[1].tier = targets[2].tier = 1;
	forced = POOL_FAILOVER_ON;
	ck_assert_int_eq(choose(), 1);
	forced = POOL_FAILOVER_OFF;
	atomic_store(&targets[0].backend->share, 0);
	ck_assert_int_eq(choose(), 0);
	forced = POOL_FAILOVER_AUTO;
	ck_assert_int_eq(choose(), 1);
}
END_TEST

START_TEST(last_resort_asks_whoever_is_there)
{
	for (unsigned i = 0; i < 3; i++)
		atomic_store(&targets[i].backend->share, 0);
	ck_assert_int_eq(choose(), -1);
	ask.is_last_resort = true;
	ck_assert_int_eq(choose(), 0);
}
END_TEST

/* A lonely server went on being asked after `backend NAME down`, since it went on replying. */
START_TEST(last_resort_does_not_overrule_the_operator)
{
	for (unsigned i = 0; i < 3; i++)
		atomic_store(&targets[i].backend->share, 0);
	atomic_store(&targets[0].backend->is_barred, true);
	ask.is_last_resort = true;
	ck_assert_int_eq(choose(), 1);
	pool.target_count = 1;
	ck_assert_int_eq(choose(), -1);
	ck_assert(!balance_has_target(balance, &ask));
	atomic_store(&targets[0].backend->is_barred, false);
}
END_TEST

START_TEST(who_leads_back_to_us_is_asked_by_guards_alone)
{
	atomic_store(&targets[0].backend->is_looping, true);
	atomic_store(&targets[0].backend->share, 0);
	ck_assert_int_eq(choose(), 1);
	pool.target_count = 1;
	ask.is_last_resort = true;
	ck_assert_int_eq(choose(), -1);
	forced = POOL_FAILOVER_OFF;
	ck_assert_int_eq(choose(), -1);
	ck_assert(!balance_has_target(balance, &ask));
	ask.is_last_resort = false;
	ask.through_loops = true;
	ck_assert_int_eq(choose(), 0);
	atomic_store(&targets[0].backend->is_looping, false);
}
END_TEST

/* ---- Drills ---- */

static unsigned drilled(void)
{
	unsigned count = 0;

	for (unsigned i = 0; i < CHOICES; i++) {
		const struct plan_target *t = balance_drill(&ask, &chance);

		ck_assert(!t || t->kind == TARGET_MIRROR);
		count += t != NULL;
	}
	return count;
}

START_TEST(drill_takes_its_share_whatever_the_tier)
{
	static const unsigned shares[] = { 0, 1, 25, 50, 99, 100 };
	unsigned expected = CHOICES * shares[_i] / 100;

	make_mirror(2);
	targets[2].tier = 1;
	ask.mirror_can_answer = true;
	atomic_store(&drill.percent, shares[_i]);
	memset(chosen, 0, sizeof(chosen));
	chosen[2] = drilled();
	if (shares[_i] == 1)
		ck_assert(chosen[2] > 10 && chosen[2] < 90);
	else if (shares[_i] % 100 == 0)
		ck_assert_uint_eq(chosen[2], expected);
	else
		assert_about(2, expected);
	ck_assert_int_ne(choose(), 2);		/* the usual choice is as ever */
}
END_TEST

START_TEST(drill_never_takes_what_the_mirror_cannot_do_better)
{
	struct plan_zone zone = { .pool = &pool };

	make_mirror(2);
	atomic_store(&drill.percent, 100);
	ask.zone = &zone;
	ck_assert_uint_eq(drilled(), 0);	/* it has nothing to answer from */
	ask.mirror_can_answer = true;
	ck_assert_uint_eq(drilled(), CHOICES);
	plan_zone_hold(&zone, 2, true);		/* it lags */
	ck_assert_uint_eq(drilled(), 0);
	plan_zone_hold(&zone, 2, false);
	ask.is_shadowed = true;			/* somebody has to be able to object */
	ck_assert_uint_eq(drilled(), 0);
	ask.is_shadowed = false;
	pool.target_count = 2;			/* no mirror */
	ck_assert_uint_eq(drilled(), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("balance");
	TCase *tc = tcase_create("choices");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, lowest_tier_with_an_eligible_target_is_used);
	tcase_add_test(tc, mirror_is_a_target_when_it_can_answer);
	tcase_add_loop_test(tc, held_zone_is_served_by_others, 0,
			    sizeof(holds) / sizeof(holds[0]));
	tcase_add_test(tc, mirror_that_lags_serves_alone_or_not_at_all);
	tcase_add_test(tc, each_target_has_its_bit);
	tcase_add_test(tc, ordered_takes_the_first);
	tcase_add_test(tc, round_robin_takes_turns_by_weight);
	tcase_add_test(tc, weighted_random_follows_the_weights);
	tcase_add_test(tc, least_outstanding_takes_the_least_by_weight);
	tcase_add_test(tc, least_outstanding_shares_evenly_among_equals);
	tcase_add_loop_test(tc, idle_servers_share_by_weight, 0, 2);
	tcase_add_loop_test(tc, busy_server_leaves_its_share_to_idle_ones, 0, 2);
	tcase_add_test(tc, p2c_prefers_the_faster_of_two);
	tcase_add_test(tc, p2c_measures_the_slowest_again_now_and_then);
	tcase_add_test(tc, p2c_takes_latencies_below_a_millisecond_for_equal);
	tcase_add_test(tc, consistent_hash_follows_the_weights);
	tcase_add_test(tc, consistent_hash_moves_only_the_questions_of_the_target_that_left);
	tcase_add_test(tc, slow_start_gets_its_share_of_what_would_fall_on_it);
	tcase_add_loop_test(tc, slow_start_gets_its_share_among_many, 0, 4);
	tcase_add_loop_test(tc, share_is_drawn_once_for_a_busy_server, 0, 2);
	tcase_add_loop_test(tc, those_who_are_left_share_evenly, 0, 4);
	tcase_add_test(tc, operators_order_moves_the_pool_and_back);
	tcase_add_test(tc, last_resort_asks_whoever_is_there);
	tcase_add_test(tc, last_resort_does_not_overrule_the_operator);
	tcase_add_test(tc, who_leads_back_to_us_is_asked_by_guards_alone);
	tcase_add_loop_test(tc, drill_takes_its_share_whatever_the_tier, 0, 6);
	tcase_add_test(tc, drill_never_takes_what_the_mirror_cannot_do_better);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
