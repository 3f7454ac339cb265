/* SPDX-License-Identifier: ISC */
/* health: every transition, and a backend in simulated time, probed as watch.c would. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cache/random.h"
#include "proxy/health.h"

#define MS 1000ull
#define S  (1000 * MS)

static const struct health_rules usual = {
	.interval_us = S, .timeout_us = 500 * MS, .slow_start_us = 10 * S, .rise = 3, .fall = 2,
};

/* ---- A backend in simulated time ---- */

enum backend_mood { WELL, FROZEN, DEAD, REFUSING, TCP_HANGS, TCP_DEAD };
enum { PENDING_MAX = 64, CHANGES_MAX = 512 };

struct pending { bool is_used, is_tcp; uint64_t due_us; enum health_cause why; };

struct sim {
	struct health h;
	struct health_rules rules;
	enum backend_mood mood;
	bool gate_is_open;
	uint64_t now, rtt_us;
	unsigned lost_percent, udp_sent, tcp_sent;
	struct random random;
	struct pending pending[PENDING_MAX];
	struct { uint64_t at_us; struct health_change c; } changes[CHANGES_MAX];
	unsigned change_count;
};

static struct sim sim;

static void setup(void)
{
	memset(&sim, 0, sizeof(sim));
	sim.rules = usual;
	sim.now = 1000 * S;
	sim.rtt_us = MS;
	sim.gate_is_open = true;
	random_init_seeded(&sim.random, 42);
	health_init(&sim.h, sim.now);
}

static void note(struct health_change c)
{
	if (!c.is_change)
		return;
	ck_assert_uint_lt(sim.change_count, CHANGES_MAX);
	sim.changes[sim.change_count].at_us = sim.now;
	sim.changes[sim.change_count++].c = c;
	for (int i = 0; i < PENDING_MAX && c.to != HEALTH_SUSPECT; i++)
		sim.pending[i].is_used = false;	/* as watch does: old probes prove nothing */
}

static enum health_cause fate(bool is_tcp, uint64_t *takes_us)
{
	enum backend_mood mood = sim.mood;

	*takes_us = sim.rtt_us * (is_tcp ? 2 : 1);
	if (mood == TCP_HANGS)
		mood = is_tcp ? FROZEN : WELL;
	else if (mood == TCP_DEAD)
		mood = is_tcp ? DEAD : WELL;
	if (mood == WELL && random_below(&sim.random, 100) < sim.lost_percent)
		mood = FROZEN;
	switch (mood) {
	case WELL:	return CAUSE_NONE;
	case DEAD:	return CAUSE_REFUSED;
	case REFUSING:	return CAUSE_RCODE;
	case FROZEN:
	case TCP_HANGS:
	case TCP_DEAD:	break;
	}
	*takes_us = UINT64_MAX / 2;
	return CAUSE_TIMEOUT;
}

static void send_probe(bool is_tcp)
{
	struct pending *p = sim.pending;
	uint64_t takes, timeout = health_probe_timeout_us(&sim.h, &sim.rules);

	while (p->is_used)
		ck_assert(++p < sim.pending + PENDING_MAX);
	*p = (struct pending){ .is_used = true, .is_tcp = is_tcp };
	p->why = fate(is_tcp, &takes);
	if (takes > timeout)
		p->why = CAUSE_TIMEOUT;
	p->due_us = sim.now + (takes < timeout ? takes : timeout);
	*(is_tcp ? &sim.tcp_sent : &sim.udp_sent) += 1;
	health_on_probe_sent(&sim.h, &sim.rules, is_tcp, sim.now);
}

static bool is_outstanding(bool is_tcp)
{
	for (int i = 0; i < PENDING_MAX; i++)
		if (sim.pending[i].is_used && sim.pending[i].is_tcp == is_tcp)
			return true;
	return false;
}

static void send_due(bool is_tcp, uint64_t due_us)
{
	if (sim.now >= due_us && (health_is_suspect(&sim.h) || !is_outstanding(is_tcp)))
		send_probe(is_tcp);
}

static void run_for(uint64_t us)
{
	for (uint64_t end = sim.now + us; sim.now < end; sim.now += MS) {
		for (int i = 0; i < PENDING_MAX; i++) {
			struct pending *p = &sim.pending[i];

			if (!p->is_used || p->due_us > sim.now)
				continue;
			p->is_used = false;
			if (p->why == CAUSE_NONE && !p->is_tcp)
				health_on_rtt(&sim.h, sim.rtt_us);
			note(health_on_probe(&sim.h, &sim.rules, p->is_tcp, p->why,
					     sim.gate_is_open, sim.now));
		}
		note(health_on_time(&sim.h, &sim.rules, sim.now));
		send_due(false, sim.h.next_udp_us);
		send_due(true, sim.h.next_tcp_us);
	}
}

static bool run_until(enum health_state state, uint64_t at_most_us)
{
	for (uint64_t end = sim.now + at_most_us; sim.now < end && sim.h.state != state; )
		run_for(MS);
	return sim.h.state == state;
}

static void evidence(enum health_cause cause)
{
	note(health_on_evidence(&sim.h, &sim.rules, cause, sim.now));
}

static struct health_change last(void)
{
	ck_assert_uint_gt(sim.change_count, 0);
	return sim.changes[sim.change_count - 1].c;
}

/* ---- Going down ---- */

START_TEST(first_probes_can_be_put_off)
{
	health_put_off(&sim.h, sim.now + 8 * MS);
	ck_assert_uint_eq(health_next_us(&sim.h, &usual), sim.now + 8 * MS);
	ck_assert_int_eq(sim.h.state, HEALTH_UP);
}
END_TEST

START_TEST(new_backend_is_up_and_probed_at_once)
{
	ck_assert_int_eq(sim.h.state, HEALTH_UP);
	ck_assert_uint_eq(health_next_us(&sim.h, &sim.rules), sim.now);
	ck_assert_uint_eq(health_share(&sim.h, &sim.rules, sim.now), HEALTH_SHARE_FULL);
	run_for(60 * S);
	ck_assert_uint_eq(sim.change_count, 0);
	ck_assert_uint_eq(sim.udp_sent, 60);
	ck_assert_uint_eq(sim.tcp_sent, 6);
}
END_TEST

static const struct { enum backend_mood mood; enum health_cause evidence, verdict; } faults[] = {
	{ FROZEN,    CAUSE_SILENT,  CAUSE_TIMEOUT },
	{ DEAD,      CAUSE_REFUSED, CAUSE_REFUSED },
	{ REFUSING,  CAUSE_SILENT,  CAUSE_RCODE },
	{ TCP_HANGS, CAUSE_SILENT,  CAUSE_TCP },
	{ TCP_DEAD,  CAUSE_REFUSED, CAUSE_TCP },
};
enum { FAULTS = sizeof(faults) / sizeof(faults[0]), FALLS = 5 };

START_TEST(verdict_comes_within_300_ms_of_evidence)
{
	run_for(3 * S + 321 * MS);
	sim.rules.fall = 1 + (unsigned)_i % FALLS;
	sim.mood = faults[_i / FALLS].mood;
	uint64_t began = sim.now;

	evidence(faults[_i / FALLS].evidence);
	ck_assert_int_eq(sim.h.state, HEALTH_SUSPECT);
	ck_assert_uint_eq(health_share(&sim.h, &sim.rules, sim.now), HEALTH_SHARE_FULL);
	ck_assert(health_is_suspect(&sim.h));
	ck_assert_msg(run_until(HEALTH_DOWN, 300 * MS), "no verdict with fall %u", sim.rules.fall);
	ck_assert_uint_eq(sim.change_count, 2);
	ck_assert_int_eq(last().from, HEALTH_SUSPECT);
	ck_assert_int_eq(last().cause, faults[_i / FALLS].verdict);
	ck_assert_uint_eq(last().detect_us, sim.changes[1].at_us - began);
	ck_assert_uint_eq(health_share(&sim.h, &sim.rules, sim.now), 0);
}
END_TEST

START_TEST(verdict_holds_the_limit_up_to_fall_40)
{
	run_for(S);
	sim.rules.fall = 40;
	sim.mood = FROZEN;
	evidence(CAUSE_SILENT);
	ck_assert(run_until(HEALTH_DOWN, 300 * MS));
}
END_TEST

START_TEST(far_backend_gets_time_to_answer_in_a_burst)
{
	sim.rtt_us = 120 * MS;
	run_for(5 * S);
	evidence(CAUSE_SILENT);
	ck_assert_uint_eq(health_probe_timeout_us(&sim.h, &sim.rules), 360 * MS);
	ck_assert(run_until(HEALTH_UP, S));
	ck_assert_uint_eq(sim.change_count, 2);
}
END_TEST

START_TEST(frozen_backend_without_traffic_is_found_by_regular_probes)
{
	run_for(3 * S + 10 * MS);
	sim.mood = FROZEN;
	ck_assert(run_until(HEALTH_DOWN, S + 500 * MS + 200 * MS));
	ck_assert_int_eq(sim.changes[0].c.to, HEALTH_SUSPECT);
	ck_assert_int_eq(last().from, HEALTH_SUSPECT);
	ck_assert_uint_lt(last().detect_us, 120 * MS);	/* the regular probe counted */
}
END_TEST

START_TEST(one_bad_probe_is_enough_when_fall_is_one)
{
	run_for(S);
	sim.rules.fall = 1;
	sim.mood = DEAD;
	ck_assert(run_until(HEALTH_DOWN, 2 * S));
	ck_assert_int_eq(last().cause, CAUSE_REFUSED);
}
END_TEST

START_TEST(dead_tcp_alone_is_found_by_regular_probes)
{
	run_for(S);
	sim.mood = TCP_HANGS;
	ck_assert(run_until(HEALTH_DOWN, 12 * S));
	ck_assert_int_eq(last().cause, CAUSE_TCP);
}
END_TEST

/* ---- Acquittal ---- */

START_TEST(well_backend_is_acquitted_quickly)
{
	run_for(S);
	sim.rules.fall = 1 + (unsigned)_i;
	evidence(CAUSE_SILENT);
	ck_assert(run_until(HEALTH_UP, 200 * MS));
	ck_assert_int_eq(last().cause, CAUSE_PROBES_GOOD);
	ck_assert_uint_eq(sim.h.downs, 0);
}
END_TEST

/* A connection that came up had put the next one ten intervals away; one sent before it then failed. */
START_TEST(suspect_whose_slow_connection_fails_after_a_good_one_is_asked_by_tcp_at_once)
{
	evidence(CAUSE_REFUSED);
	health_on_probe_sent(&sim.h, &sim.rules, true, sim.now);
	sim.now += 50 * MS;
	health_on_probe_sent(&sim.h, &sim.rules, true, sim.now);
	note(health_on_probe(&sim.h, &sim.rules, true, CAUSE_NONE, true, sim.now));
	health_on_probe_sent(&sim.h, &sim.rules, true, sim.now);
	sim.now += 50 * MS;
	note(health_on_probe(&sim.h, &sim.rules, true, CAUSE_TIMEOUT, true, sim.now));
	ck_assert_uint_eq(sim.h.state, HEALTH_SUSPECT);
	ck_assert(run_until(HEALTH_UP, 300 * MS));
}
END_TEST

START_TEST(silence_is_no_news_for_a_second_after_acquittal)
{
	run_for(S);
	evidence(CAUSE_SILENT);
	ck_assert(run_until(HEALTH_UP, 200 * MS));
	ck_assert_uint_eq(sim.change_count, 2);
	run_for(700 * MS);
	for (int i = 0; i < 50; i++) {		/* each acquittal begins another second */
		evidence(CAUSE_SILENT);
		ck_assert(health_is_suspect(&sim.h));
		run_for(200 * MS);
		ck_assert(!health_is_suspect(&sim.h));
	}
	ck_assert_uint_eq(sim.change_count, 2);
	run_for(S);
	evidence(CAUSE_SILENT);
	ck_assert_int_eq(sim.h.state, HEALTH_SUSPECT);
}
END_TEST

START_TEST(verdict_after_an_acquittal_comes_as_soon)
{
	run_for(S);
	sim.rules.fall = 1 + (unsigned)_i;
	evidence(CAUSE_SILENT);
	ck_assert(run_until(HEALTH_UP, 200 * MS));
	run_for(100 * MS);
	sim.mood = FROZEN;
	evidence(CAUSE_SILENT);
	ck_assert_int_eq(sim.h.state, HEALTH_UP);
	ck_assert(run_until(HEALTH_DOWN, 300 * MS));
	ck_assert_uint_lt(last().detect_us, 300 * MS);
}
END_TEST

START_TEST(icmp_is_evidence_right_after_acquittal)
{
	run_for(S);
	evidence(CAUSE_SILENT);
	ck_assert(run_until(HEALTH_UP, 200 * MS));
	evidence(CAUSE_REFUSED);
	ck_assert_int_eq(sim.h.state, HEALTH_SUSPECT);
}
END_TEST

START_TEST(silent_clients_alone_never_take_a_well_backend_down)
{
	for (int i = 0; i < 600; i++) {
		run_for(100 * MS);
		evidence(CAUSE_SILENT);
		ck_assert_int_ne(sim.h.state, HEALTH_DOWN);
	}
}
END_TEST

/* ---- Coming back ---- */

static void given_down(void)
{
	run_for(S);
	sim.mood = FROZEN;
	evidence(CAUSE_SILENT);
	ck_assert(run_until(HEALTH_DOWN, 300 * MS));
	run_for(5 * S);
	ck_assert_int_eq(sim.h.state, HEALTH_DOWN);
}

START_TEST(down_is_probed_for_ever)
{
	given_down();
	unsigned before = sim.udp_sent;

	run_for(600 * S);
	ck_assert_uint_ge(sim.udp_sent - before, 590);
	sim.mood = WELL;
	ck_assert(run_until(HEALTH_PROBATION, 5 * S));
}
END_TEST

START_TEST(rise_good_probes_bring_probation_then_slow_start_brings_up)
{
	given_down();
	sim.mood = WELL;
	uint64_t began = sim.now;

	ck_assert(run_until(HEALTH_PROBATION, 5 * S));
	ck_assert_uint_ge(sim.now - began, 2 * S);	/* three probes, a second apart */
	ck_assert_int_eq(last().cause, CAUSE_PROBES_GOOD);
	uint32_t share = health_share(&sim.h, &sim.rules, sim.h.since_us);

	ck_assert_uint_eq(share, HEALTH_SHARE_FULL / 10);
	for (int i = 0; i < 90; i++) {
		run_for(100 * MS);
		ck_assert_uint_ge(health_share(&sim.h, &sim.rules, sim.now), share);
		share = health_share(&sim.h, &sim.rules, sim.now);
	}
	ck_assert_uint_gt(share, HEALTH_SHARE_FULL * 9 / 10);
	ck_assert_uint_lt(share, HEALTH_SHARE_FULL);
	ck_assert(run_until(HEALTH_UP, 1100 * MS));
	ck_assert_int_eq(last().cause, CAUSE_SLOW_START_OVER);
	ck_assert_uint_eq(health_share(&sim.h, &sim.rules, sim.now), HEALTH_SHARE_FULL);
}
END_TEST

START_TEST(without_slow_start_it_is_up_straight_away)
{
	sim.rules.slow_start_us = 0;
	given_down();
	sim.mood = WELL;
	ck_assert(run_until(HEALTH_UP, 5 * S));
	ck_assert_int_eq(last().from, HEALTH_DOWN);
}
END_TEST

START_TEST(any_failure_in_probation_takes_it_down)
{
	given_down();
	sim.mood = WELL;
	ck_assert(run_until(HEALTH_PROBATION, 5 * S));
	sim.mood = REFUSING;
	ck_assert(run_until(HEALTH_DOWN, 1100 * MS));
	ck_assert_int_eq(last().from, HEALTH_PROBATION);
	ck_assert_int_eq(last().cause, CAUSE_RCODE);
}
END_TEST

START_TEST(evidence_in_probation_is_looked_into_at_once)
{
	given_down();
	sim.mood = WELL;
	ck_assert(run_until(HEALTH_PROBATION, 5 * S));
	run_for(300 * MS);
	evidence(CAUSE_SILENT);
	ck_assert(health_is_suspect(&sim.h));
	run_for(100 * MS);
	ck_assert_int_eq(sim.h.state, HEALTH_PROBATION);
	ck_assert(!health_is_suspect(&sim.h));

	sim.mood = FROZEN;
	evidence(CAUSE_REFUSED);
	ck_assert(run_until(HEALTH_DOWN, 300 * MS));
	ck_assert_uint_lt(last().detect_us, 300 * MS);
}
END_TEST

START_TEST(closed_gate_holds_it_until_it_opens)
{
	given_down();
	sim.mood = WELL;
	sim.gate_is_open = false;
	run_for(60 * S);
	ck_assert_int_eq(sim.h.state, HEALTH_DOWN);
	ck_assert(sim.h.is_held);
	sim.gate_is_open = true;
	ck_assert(run_until(HEALTH_PROBATION, 2 * S));
	ck_assert(!sim.h.is_held);
}
END_TEST

START_TEST(return_waits_for_tcp)
{
	run_for(S);
	sim.mood = TCP_HANGS;
	evidence(CAUSE_SILENT);
	ck_assert(run_until(HEALTH_DOWN, 300 * MS));
	run_for(30 * S);
	ck_assert_int_eq(sim.h.state, HEALTH_DOWN);
	sim.mood = WELL;
	ck_assert(run_until(HEALTH_PROBATION, 3 * S));
}
END_TEST

/* A connection was tried when nothing had come by UDP yet, and the interval was long. */
START_TEST(return_does_not_wait_for_tcp_as_before_a_reload)
{
	sim.rules.interval_us = 20 * S;
	sim.mood = FROZEN;
	evidence(CAUSE_SILENT);
	ck_assert(run_until(HEALTH_DOWN, 300 * MS));
	sim.mood = TCP_HANGS;
	run_for(21 * S);
	sim.h.tcp = (struct health_run){ .bad = 1, .why = CAUSE_TIMEOUT };
	sim.h.next_tcp_us = sim.now + 200 * S;
	sim.rules.interval_us = 200 * MS;
	sim.h.next_udp_us = sim.now;
	sim.mood = WELL;
	ck_assert(run_until(HEALTH_PROBATION, 2 * S));
}
END_TEST

START_TEST(frozen_server_is_not_filled_with_tcp_connections)
{
	given_down();
	unsigned before = sim.tcp_sent;

	run_for(100 * S);
	ck_assert_uint_le(sim.tcp_sent - before, 10);
}
END_TEST

START_TEST(good_probes_must_come_in_a_row)
{
	given_down();
	sim.rules.rise = 5;
	for (int i = 0; i < 20; i++) {
		sim.mood = WELL;
		run_for(3 * S);
		sim.mood = DEAD;
		run_for(2 * S);
		ck_assert_int_eq(sim.h.state, HEALTH_DOWN);
	}
}
END_TEST

/* ---- Flapping ---- */

static void fall_and_return(void)
{
	sim.mood = DEAD;
	evidence(CAUSE_REFUSED);
	ck_assert(run_until(HEALTH_DOWN, 300 * MS));
	sim.mood = WELL;
	ck_assert(run_until(HEALTH_UP, 200 * S));
}

START_TEST(each_relapse_doubles_the_good_probes_to_32_fold)
{
	static const unsigned want[] = { 3, 6, 12, 24, 48, 96, 96, 96 };

	sim.rules.slow_start_us = S;
	run_for(S);
	for (unsigned i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		fall_and_return();
		ck_assert_uint_eq(health_rise(&sim.h, &sim.rules), want[i]);
	}
}
END_TEST

/* The wait is doubled, but not for ever. */
START_TEST(wait_is_not_doubled_past_five_minutes)
{
	sim.rules.interval_us = 60 * S;
	sim.h.downs = 3;
	ck_assert_uint_eq(health_rise(&sim.h, &sim.rules), 6);	/* 3, then 6 minutes */
	sim.rules.rise = 100;
	ck_assert_uint_eq(health_rise(&sim.h, &sim.rules), 100);
}
END_TEST

START_TEST(next_return_is_foretold)
{
	given_down();
	ck_assert_uint_gt(health_return_us(&sim.h, &sim.rules, sim.now), 2 * S);
	ck_assert_uint_le(health_return_us(&sim.h, &sim.rules, sim.now), 3 * S);
	sim.h.downs = 2;
	sim.mood = WELL;
	run_for(1500 * MS);
	uint64_t left = health_return_us(&sim.h, &sim.rules, sim.now);

	ck_assert(!run_until(HEALTH_PROBATION, left - 2 * MS));
	ck_assert(run_until(HEALTH_PROBATION, 10 * MS));
	ck_assert_uint_eq(health_relapses(&sim.h), 1);
}
END_TEST

START_TEST(calm_forgets_relapses)
{
	sim.rules.slow_start_us = S;
	run_for(S);
	for (int i = 0; i < 4; i++)
		fall_and_return();
	run_for(599 * S);
	ck_assert_uint_eq(health_rise(&sim.h, &sim.rules), 24);
	run_for(2 * S);
	fall_and_return();
	ck_assert_uint_eq(health_rise(&sim.h, &sim.rules), 3);
}
END_TEST

START_TEST(flapping_backend_changes_state_ever_more_rarely)
{
	sim.rules.slow_start_us = S;
	run_for(S);
	for (int i = 0; i < 200; i++) {		/* 5 s well, 1 s dead, with traffic */
		sim.mood = i % 6 == 5 ? DEAD : WELL;
		if (sim.mood == DEAD && health_share(&sim.h, &sim.rules, sim.now) > 0)
			evidence(CAUSE_REFUSED);
		run_for(S);
	}
	ck_assert_int_eq(sim.h.state, HEALTH_DOWN);
	ck_assert_uint_lt(sim.change_count, 20);
}
END_TEST

/* ---- Orders ---- */

static const struct {
	enum health_order order;
	uint32_t share;
	bool is_change;
	enum health_state to;
} orders[] = {
	{ ORDER_AUTO,  HEALTH_SHARE_FULL, false, HEALTH_UP },
	{ ORDER_UP,    HEALTH_SHARE_FULL, false, HEALTH_UP },
	{ ORDER_DOWN,  0,                 true,  HEALTH_DOWN },
	{ ORDER_DRAIN, 0,                 true,  HEALTH_DOWN },
};

START_TEST(orders_rule_the_share)
{
	struct health_change c = health_on_order(&sim.h, orders[_i].order, sim.now);

	ck_assert_uint_eq(health_share(&sim.h, &sim.rules, sim.now), orders[_i].share);
	ck_assert_int_eq(c.is_change, orders[_i].is_change);
	if (c.is_change) {
		ck_assert_int_eq(c.to, orders[_i].to);
		ck_assert_int_eq(c.cause, CAUSE_OPERATOR);
	}
	run_for(10 * S);
	ck_assert_uint_eq(health_share(&sim.h, &sim.rules, sim.now), orders[_i].share);
	c = health_on_order(&sim.h, ORDER_AUTO, sim.now);
	ck_assert_int_eq(c.is_change, orders[_i].is_change);
	ck_assert_uint_eq(health_share(&sim.h, &sim.rules, sim.now), HEALTH_SHARE_FULL);
}
END_TEST

START_TEST(orders_do_not_confuse_the_checks)
{
	health_on_order(&sim.h, ORDER_UP, sim.now);
	given_down();
	ck_assert_uint_eq(health_share(&sim.h, &sim.rules, sim.now), HEALTH_SHARE_FULL);
	struct health_change c = health_on_order(&sim.h, ORDER_AUTO, sim.now);

	ck_assert(c.is_change);
	ck_assert_int_eq(c.from, HEALTH_UP);
	ck_assert_int_eq(c.to, HEALTH_DOWN);
	ck_assert_uint_eq(health_share(&sim.h, &sim.rules, sim.now), 0);
}
END_TEST

/* ---- Loops ---- */

static void loop_found(void)
{
	note(health_on_loop(&sim.h, &sim.rules, sim.now - 2 * MS, sim.now));
}

START_TEST(loop_takes_it_down_at_once_from_any_state)
{
	run_for(S);
	if (_i == 1)
		evidence(CAUSE_SILENT);
	if (_i == 2) {
		sim.mood = DEAD;
		ck_assert(run_until(HEALTH_DOWN, 10 * S));
		sim.mood = WELL;
		ck_assert(run_until(HEALTH_PROBATION, 10 * S));
	}
	loop_found();
	ck_assert_int_eq(sim.h.state, HEALTH_DOWN);
	ck_assert_int_eq(last().cause, CAUSE_LOOP);
	ck_assert_int_eq(last().to, HEALTH_DOWN);
	ck_assert_uint_eq(last().detect_us, 2 * MS);
	ck_assert_uint_eq(health_share(&sim.h, &sim.rules, sim.now), 0);
}
END_TEST

START_TEST(loop_of_a_backend_that_is_down_is_named_too)
{
	unsigned relapses;

	sim.mood = FROZEN;
	ck_assert(run_until(HEALTH_DOWN, 10 * S));
	relapses = health_relapses(&sim.h);
	loop_found();
	ck_assert_int_eq(last().from, HEALTH_DOWN);
	ck_assert_int_eq(last().to, HEALTH_DOWN);
	ck_assert_int_eq(last().cause, CAUSE_LOOP);
	ck_assert_uint_eq(health_relapses(&sim.h), relapses);
}
END_TEST

START_TEST(loop_is_told_once)
{
	run_for(S);
	loop_found();
	loop_found();
	ck_assert_uint_eq(sim.change_count, 1);
}
END_TEST

/* Its probes are good: we answer them ourselves. */
START_TEST(good_probes_do_not_bring_a_loop_back_before_it_is_over)
{
	run_for(S);
	loop_found();
	run_for(300 * S);
	ck_assert_int_eq(sim.h.state, HEALTH_DOWN);
	health_on_loop_over(&sim.h);
	ck_assert(!run_until(HEALTH_PROBATION, 2 * S));		/* rise = 3, counted from here */
	ck_assert(run_until(HEALTH_PROBATION, 3 * S));
	ck_assert_int_eq(last().cause, CAUSE_PROBES_GOOD);
}
END_TEST

/* ---- Anything, for an hour ---- */

static bool is_edge(enum health_state from, enum health_state to)
{
	static const bool edge[4][4] = {
		[HEALTH_UP] = { [HEALTH_SUSPECT] = true },
		[HEALTH_SUSPECT] = { [HEALTH_UP] = true, [HEALTH_DOWN] = true },
		[HEALTH_DOWN] = { [HEALTH_PROBATION] = true },
		[HEALTH_PROBATION] = { [HEALTH_UP] = true, [HEALTH_DOWN] = true },
	};

	return edge[from][to];
}

START_TEST(random_life_keeps_to_the_picture)
{
	random_init_seeded(&sim.random, 1 + (uint64_t)_i);
	for (int i = 0; i < 400 && sim.change_count < CHANGES_MAX - 20; i++) {
		sim.mood = (enum backend_mood)random_below(&sim.random, 6);
		sim.lost_percent = random_below(&sim.random, 3) * 30;
		if (random_below(&sim.random, 2))
			evidence(random_below(&sim.random, 2) ? CAUSE_SILENT : CAUSE_REFUSED);
		run_for(random_below(&sim.random, 4000) * MS);
		ck_assert_uint_le(health_next_us(&sim.h, &sim.rules), sim.now + S);
		ck_assert_uint_le(health_share(&sim.h, &sim.rules, sim.now), HEALTH_SHARE_FULL);
		ck_assert(sim.h.udp.good == 0 || sim.h.udp.bad == 0);
	}
	for (unsigned i = 0; i < sim.change_count; i++) {
		struct health_change *c = &sim.changes[i].c;

		ck_assert_msg(is_edge(c->from, c->to), "%s -> %s",
			      health_state_text(c->from), health_state_text(c->to));
		if (c->to == HEALTH_DOWN)
			ck_assert(c->cause != CAUSE_SILENT && c->cause != CAUSE_NONE);
	}
	sim.mood = WELL;
	sim.lost_percent = 0;
	ck_assert(run_until(HEALTH_UP, 200 * S));
}
END_TEST

START_TEST(every_word_has_a_text)
{
	for (int i = HEALTH_UP; i <= HEALTH_PROBATION; i++)
		ck_assert_str_ne(health_state_text((enum health_state)i), "?");
	for (int i = CAUSE_NONE; i <= CAUSE_LOOP; i++)
		ck_assert_str_ne(health_cause_text((enum health_cause)i), "?");
	for (int i = ORDER_AUTO; i <= ORDER_DRAIN; i++)
		ck_assert_str_ne(health_order_text((enum health_order)i), "?");
}
END_TEST

static void add_case(Suite *s, TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_set_timeout(tc, 30);
	suite_add_tcase(s, tc);
}

int main(void)
{
	Suite *s = suite_create("health");
	TCase *down = tcase_create("down"), *acquit = tcase_create("acquittal");
	TCase *back = tcase_create("return"), *flap = tcase_create("flapping");
	TCase *order = tcase_create("orders"), *any = tcase_create("anything");
	TCase *loop = tcase_create("loops");

	add_case(s, down);
	tcase_add_test(down, first_probes_can_be_put_off);
	tcase_add_test(down, new_backend_is_up_and_probed_at_once);
	tcase_add_loop_test(down, verdict_comes_within_300_ms_of_evidence, 0, FAULTS * FALLS);
	tcase_add_test(down, verdict_holds_the_limit_up_to_fall_40);
	tcase_add_test(down, far_backend_gets_time_to_answer_in_a_burst);
	tcase_add_test(down, frozen_backend_without_traffic_is_found_by_regular_probes);
	tcase_add_test(down, one_bad_probe_is_enough_when_fall_is_one);
	tcase_add_test(down, dead_tcp_alone_is_found_by_regular_probes);
	add_case(s, acquit);
	tcase_add_loop_test(acquit, well_backend_is_acquitted_quickly, 0, FALLS);
	tcase_add_test(acquit, suspect_whose_slow_connection_fails_after_a_good_one_is_asked_by_tcp_at_once);
	tcase_add_test(acquit, silence_is_no_news_for_a_second_after_acquittal);
	tcase_add_loop_test(acquit, verdict_after_an_acquittal_comes_as_soon, 0, FALLS);
	tcase_add_test(acquit, icmp_is_evidence_right_after_acquittal);
	tcase_add_test(acquit, silent_clients_alone_never_take_a_well_backend_down);
	add_case(s, back);
	tcase_add_test(back, down_is_probed_for_ever);
	tcase_add_test(back, rise_good_probes_bring_probation_then_slow_start_brings_up);
	tcase_add_test(back, without_slow_start_it_is_up_straight_away);
	tcase_add_test(back, any_failure_in_probation_takes_it_down);
	tcase_add_test(back, evidence_in_probation_is_looked_into_at_once);
	tcase_add_test(back, closed_gate_holds_it_until_it_opens);
	tcase_add_test(back, return_waits_for_tcp);
	tcase_add_test(back, return_does_not_wait_for_tcp_as_before_a_reload);
	tcase_add_test(back, frozen_server_is_not_filled_with_tcp_connections);
	tcase_add_test(back, good_probes_must_come_in_a_row);
	add_case(s, flap);
	tcase_add_test(flap, each_relapse_doubles_the_good_probes_to_32_fold);
	tcase_add_test(flap, wait_is_not_doubled_past_five_minutes);
	tcase_add_test(flap, next_return_is_foretold);
	tcase_add_test(flap, calm_forgets_relapses);
	tcase_add_test(flap, flapping_backend_changes_state_ever_more_rarely);
	add_case(s, order);
	tcase_add_loop_test(order, orders_rule_the_share, 0, 4);
	tcase_add_test(order, orders_do_not_confuse_the_checks);
	add_case(s, loop);
	tcase_add_loop_test(loop, loop_takes_it_down_at_once_from_any_state, 0, 3);
	tcase_add_test(loop, loop_of_a_backend_that_is_down_is_named_too);
	tcase_add_test(loop, loop_is_told_once);
	tcase_add_test(loop, good_probes_do_not_bring_a_loop_back_before_it_is_over);
	add_case(s, any);
	tcase_add_loop_test(any, random_life_keeps_to_the_picture, 0, 50);
	tcase_add_test(any, every_word_has_a_text);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
