/* SPDX-License-Identifier: ISC */
/* limit: servers of several kinds, asked a thousand times a second in simulated time, by workers that share a limit. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cache/random.h"
#include "proxy/limit.h"

enum { MS = 1000, S = 1000 * MS, ASKS = 8192, RTT = 300, DEADLINE = 10 * MS, WORKERS_MOST = 8 };

/* What a server does with a query. */
enum kind {
	WELL,
	BUCKET,		/* answers so many a second, evenly, and drops the rest */
	QUEUE,		/* lets up to 200 wait, so that answers come late */
	LOSSY,		/* loses so many percent, however little it is asked */
	DEAD,
	JITTERY,	/* answers all, so many percent of it after the deadline */
	WORDY,		/* truncates so many percent of its answers, since they are too long */
	RATIONING,	/* as BUCKET, but truncates every other one of the rest: RRL, slip 2 */
};

static struct server { enum kind kind; unsigned number; double tokens; uint64_t free_us; } server;
static struct limit l;
static struct limit_count counts[WORKERS_MOST];
static unsigned workers;
static struct random chance;
static uint64_t now;

enum what { ANSWER, TRUNCATED, LOSS, LATE };
struct verdict { uint64_t at_us; enum what what; unsigned worker; };
static struct verdict coming[2 * ASKS];
static unsigned coming_count, asking;	/* the worker that asks */
static struct { unsigned sent, answered, lost, spared; } sum;

static void setup(void)
{
	limit_reset(&l, NULL);
	memset(counts, 0, sizeof(counts));
	workers = 1;
	asking = 0;
	random_init_seeded(&chance, 5);
	now = 100 * S;
	coming_count = 0;
	server = (struct server){ .kind = WELL };
}

static void will(uint64_t at_us, enum what what)
{
	if (coming_count == 2 * ASKS)	/* ck_assert() would be slow, so many times */
		ck_abort_msg("too many on their way");
	coming[coming_count++] = (struct verdict){ at_us, what, asking };
}

static bool takes_token(void)
{
	if (server.tokens < 1)
		return false;
	server.tokens -= 1;
	return true;
}

static void answer_after(uint64_t us, enum what what)
{
	if (us <= DEADLINE) {
		will(now + us, what);
		return;
	}
	will(now + DEADLINE, LOSS);
	will(now + us, LATE);
}

static void serve(void)
{
	uint64_t each = server.number ? (uint64_t)S / server.number : 0;
	bool is_unlucky = random_below(&chance, 100) < server.number;

	switch (server.kind) {
	case WELL:	answer_after(RTT, ANSWER); break;
	case BUCKET:	answer_after(takes_token() ? RTT : S, ANSWER); break;
	case DEAD:	will(now + DEADLINE, LOSS); break;
	case JITTERY:	answer_after(is_unlucky ? 2 * DEADLINE : RTT, ANSWER); break;
	case WORDY:	answer_after(RTT, is_unlucky ? TRUNCATED : ANSWER); break;
	case LOSSY:
		if (is_unlucky)
			will(now + DEADLINE, LOSS);
		else
			answer_after(RTT, ANSWER);
		break;
	case QUEUE:
		server.free_us = (server.free_us > now ? server.free_us : now) + each;
		if (server.free_us > now + 200 * each) {
			server.free_us -= each;
			will(now + DEADLINE, LOSS);
		} else {
			answer_after(server.free_us - now, ANSWER);
		}
		break;
	case RATIONING:
		if (takes_token())
			answer_after(RTT, ANSWER);
		else if (random_below(&chance, 2))
			answer_after(RTT, TRUNCATED);
		else
			will(now + DEADLINE, LOSS);
		break;
	}
	if (server.kind == BUCKET && coming[coming_count - 1].what == LATE)
		coming_count--;		/* it never comes */
}

static void deliver(void)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < coming_count; i++) {
		struct verdict v = coming[i];

		if (v.at_us > now) {
			coming[kept++] = v;
			continue;
		}
		sum.answered += v.what == ANSWER;
		sum.lost += v.what == LOSS;
		if (v.what == LOSS)
			limit_on_loss(&l, &counts[v.worker], now);
		else if (v.what == LATE)
			limit_on_late(&counts[v.worker]);
		else
			limit_on_answer(&l, &counts[v.worker], v.what == TRUNCATED, now);
	}
	coming_count = kept;
}

static void run(unsigned per_second, uint64_t for_us)
{
	uint64_t step = (uint64_t)S / per_second;

	sum.sent = sum.answered = sum.lost = sum.spared = 0;
	for (uint64_t end = now + for_us; now < end; now += step) {
		server.tokens += (double)server.number * (double)step / S;
		if (server.tokens > server.number / 20.)
			server.tokens = server.number / 20.;
		deliver();
		asking = random_below(&chance, workers);
		if (!limit_allows(&l, now)) {
			limit_on_spared(&l, &counts[asking], now);
			sum.spared++;
			continue;
		}
		limit_on_sent(&l, now);
		sum.sent++;
		serve();
	}
}

START_TEST(server_that_answers_all_has_no_limit)
{
	run(1000, 10 * S);
	ck_assert_int_eq(l.state, LIMIT_OFF);
	ck_assert_uint_eq(sum.spared, 0);
}
END_TEST

static const enum kind overloaded[] = { BUCKET, QUEUE };

START_TEST(overload_is_met_within_200_ms_and_most_of_what_it_can_is_used)
{
	run(1000, S);
	server = (struct server){ .kind = overloaded[_i], .number = 300 };
	run(1000, 200 * MS);
	ck_assert_int_ne(l.state, LIMIT_OFF);
	run(1000, 4 * S);
	ck_assert_int_eq(l.state, LIMIT_FOUND);
	run(1000, 20 * S);
	ck_assert_msg(sum.answered > 20 * 300 * 6 / 10, "%u answered", sum.answered);
	ck_assert_msg(sum.lost * 10 < sum.sent, "%u of %u lost", sum.lost, sum.sent);
}
END_TEST

/* Each of them used to have a limit of its own: one tried more, and the others lost it. */
START_TEST(workers_that_share_an_overloaded_server_do_not_take_it_from_each_other)
{
	unsigned off = 0;

	workers = 1u << _i % 4;
	server = (struct server){ .kind = overloaded[_i / 4], .number = 300 };
	run(1000, 4 * S);
	for (unsigned i = 0; i < 600; i++) {
		run(1000, 500 * MS);
		off += l.state == LIMIT_OFF;
	}
	ck_assert_msg(off < 600 / 20, "no limit in %u of 600 looks", off);
}
END_TEST

/* All verdicts of a burst have one time: what the one puts to the rest must not make the other's void. */
START_TEST(workers_that_are_asked_in_bursts_are_all_heard)
{
	unsigned heard = 0;

	for (unsigned burst = 0; burst < 200; burst++, now += 50 * MS) {
		unsigned before = l.window.answered + l.long_answered;

		for (unsigned i = 0; i < 20; i++)
			limit_on_answer(&l, &counts[burst % 2], false, now);
		heard += l.window.answered + l.long_answered != before;
	}
	ck_assert_uint_ge(heard, 190);
}
END_TEST

/* Of each 200 that come at once its buffer takes 90. That was a minute ago when it is judged. */
START_TEST(bursts_far_between_do_not_make_a_limit_for_ever)
{
	unsigned spared = 0;

	for (unsigned burst = 0; burst < 10; burst++, now += 60ull * S) {
		for (unsigned i = 0; i < 200; i++, now += 10) {
			deliver();
			if (!limit_allows(&l, now)) {
				limit_on_spared(&l, &counts[0], now);
				spared++;
			} else {
				limit_on_sent(&l, now);
				answer_after(i < 90 ? RTT : S, ANSWER);
			}
		}
		now += DEADLINE;
		deliver();
	}
	ck_assert_msg(spared < 200, "%u spared", spared);
}
END_TEST

START_TEST(server_that_is_well_again_has_all_within_ten_seconds_and_no_limit_after_twenty)
{
	server = (struct server){ .kind = BUCKET, .number = 300 };
	run(1000, 3 * S);
	ck_assert_int_ne(l.state, LIMIT_OFF);
	server.kind = WELL;
	run(1000, 9 * S);
	run(1000, 1 * S);
	ck_assert_uint_eq(sum.spared, 0);
	run(1000, 11 * S);
	ck_assert_int_eq(l.state, LIMIT_OFF);
}
END_TEST

static const struct { enum kind kind; unsigned number; const char *what; } troubles[] = {
	{ LOSSY, 51, "half of the packets are lost" }, { LOSSY, 91, "nine in ten are" },
	{ JITTERY, 40, "four in ten answers are late" },
};

START_TEST(loss_that_cutting_does_not_cure_is_no_overload)
{
	server = (struct server){ .kind = troubles[_i].kind, .number = troubles[_i].number };
	run(1000, 4 * S);
	ck_assert_msg(l.state == LIMIT_OFF, "%s: state %d at %u", troubles[_i].what, l.state, l.rate);
	run(1000, 3 * S);
	ck_assert_msg(sum.spared == 0, "%s: tried again too soon", troubles[_i].what);
}
END_TEST

START_TEST(few_losses_are_no_overload)
{
	server = (struct server){ .kind = LOSSY, .number = 15 };
	run(1000, 60 * S);
	ck_assert_msg(sum.spared * 20 < sum.sent, "%u of %u spared", sum.spared, sum.sent);
}
END_TEST

START_TEST(silence_is_not_overload)
{
	run(1000, S);
	server.kind = DEAD;
	run(1000, 2 * S);
	ck_assert_int_eq(l.state, LIMIT_OFF);
}
END_TEST

START_TEST(server_that_dies_while_it_is_limited_is_limited_no_more)
{
	server = (struct server){ .kind = BUCKET, .number = 300 };
	run(1000, 3 * S);
	server.kind = DEAD;
	run(1000, 300 * MS);
	ck_assert_int_eq(l.state, LIMIT_OFF);
}
END_TEST

START_TEST(rate_limiting_is_told_from_overload)
{
	server = (struct server){ .kind = RATIONING, .number = 200 };
	run(1000, 2 * S);
	ck_assert_int_eq(l.state, LIMIT_FOUND);
	ck_assert(l.is_rationed);
	setup();
	server = (struct server){ .kind = BUCKET, .number = 200 };
	run(1000, 2 * S);
	ck_assert(!l.is_rationed);
}
END_TEST

/* As above, but its classes are limited each by itself, so that a quarter at most goes wrong. */
START_TEST(rate_limiting_that_hits_few_is_found_too)
{
	run(1000, S);
	server = (struct server){ .kind = RATIONING, .number = 750 };
	run(1000, 3 * S);
	ck_assert_int_eq(l.state, LIMIT_FOUND);
	ck_assert(l.is_rationed);
}
END_TEST

START_TEST(long_answers_are_no_rate_limiting)
{
	server = (struct server){ .kind = WORDY, .number = 30 };
	run(1000, 5 * S);
	ck_assert_int_eq(l.state, LIMIT_OFF);
	ck_assert(!l.is_rationed);
}
END_TEST

START_TEST(limit_that_few_queries_come_to_ends_all_the_same)
{
	server = (struct server){ .kind = BUCKET, .number = 300 };
	run(1000, 3 * S);
	ck_assert_int_ne(l.state, LIMIT_OFF);
	run(2, 30 * S);
	ck_assert_int_eq(l.state, LIMIT_OFF);
}
END_TEST

/* Its verdicts are of a server that the other has more for than it can take. */
START_TEST(nothing_is_counted_while_the_other_transport_has_a_trial)
{
	struct limit other = { .tried_us = now + 300 * MS };

	limit_reset(&l, &other);
	server.kind = LOSSY;
	server.number = 70;
	run(1000, 290 * MS);
	ck_assert_int_eq(l.state, LIMIT_OFF);
	ck_assert_uint_eq(l.window.lost, 0);
	run(1000, 300 * MS);
	ck_assert_int_ne(l.state, LIMIT_OFF);
}
END_TEST

START_TEST(limit_never_stops_it_altogether)
{
	server = (struct server){ .kind = BUCKET, .number = 2 };
	run(1000, 30 * S);
	ck_assert_uint_ge(sum.sent, 30);
}
END_TEST

/* A stranger asks for names that the server answers never, late, or five times a second each (RRL). */
enum junk { UNANSWERED, SLOW, REPEATED };
static const struct { enum junk junk; unsigned per_second, burst_ms, every_ms; } strangers[] = {
	{ UNANSWERED, 1000, 1, 1 }, { UNANSWERED, 3000, 1, 1 }, { UNANSWERED, 3000, 60, 500 },
	{ UNANSWERED, 3000, 60, 1000 }, { UNANSWERED, 3000, 60, 3000 }, { UNANSWERED, 1000, 100, 300 },
	{ SLOW, 1000, 1, 1 }, { SLOW, 3000, 1, 1 }, { SLOW, 3000, 60, 500 },
	{ SLOW, 3000, 60, 1000 }, { SLOW, 1000, 100, 300 },
	{ REPEATED, 1000, 1, 1 }, { REPEATED, 3000, 1, 1 }, { REPEATED, 3000, 60, 500 },
};

static void serve_junk(enum junk junk, double *tokens)
{
	if (junk == SLOW) {
		answer_after(3 * DEADLINE / 2, ANSWER);
	} else if (junk == REPEATED && *tokens >= 1) {
		*tokens -= 1;
		answer_after(RTT, ANSWER);
	} else if (junk == REPEATED && random_below(&chance, 2)) {
		answer_after(RTT, TRUNCATED);
	} else {
		will(now + DEADLINE, LOSS);
	}
}

/* Of a thousand queries of others, a thousand a second, those that went elsewhere. */
static unsigned run_with_stranger(int row, unsigned seconds)
{
	unsigned sent = 0, spared = 0, total, junk = strangers[row].per_second;
	double tokens = 0;

	for (uint64_t end = now + (uint64_t)seconds * S; now < end; now += S / total) {
		bool is_on = now / MS % strangers[row].every_ms < strangers[row].burst_ms;
		bool is_junk;

		total = 1000 + (is_on ? junk : 0);
		is_junk = random_below(&chance, total) < total - 1000;
		tokens = tokens < 5 ? tokens + 5. / total : 5;
		deliver();
		sent += !is_junk;
		if (!limit_allows(&l, now)) {
			limit_on_spared(&l, &counts[asking], now);
			spared += !is_junk;
			continue;
		}
		limit_on_sent(&l, now);
		if (is_junk)
			serve_junk(strangers[row].junk, &tokens);
		else
			serve();
	}
	return (unsigned)(spared * 1000ull / sent);
}

START_TEST(stranger_with_bad_names_takes_no_clients_from_a_healthy_server)
{
	unsigned spared;

	run(1000, S);
	spared = run_with_stranger(_i, 300);
	ck_assert_msg(spared < 80, "%u of 1000 spared", spared);
}
END_TEST

START_TEST(limit_that_was_cut_too_low_is_lifted)
{
	server = (struct server){ .kind = BUCKET, .number = 300 };
	run(1000, 5 * S);
	l.rate = 10;
	run(1000, 10 * S);
	run(1000, 20 * S);
	ck_assert_msg(sum.answered > 20 * 300 * 6 / 10, "%u answered", sum.answered);
}
END_TEST

START_TEST(trial_that_nobody_asked_in_for_a_day_stops_nothing)
{
	server = (struct server){ .kind = BUCKET, .number = 300 };
	run(1000, 2 * S);
	while (!l.is_trying)
		run(1000, 5 * MS);
	now += 24 * 3600ull * S;
	run(1000, 5 * S);
	ck_assert_msg(sum.answered > 5 * 300 * 6 / 10, "%u answered", sum.answered);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("limit");
	TCase *tc = tcase_create("servers");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_set_timeout(tc, 60);		/* five minutes are simulated, under sanitizers, too */
	tcase_add_test(tc, server_that_answers_all_has_no_limit);
	tcase_add_loop_test(tc, overload_is_met_within_200_ms_and_most_of_what_it_can_is_used, 0, 2);
	tcase_add_loop_test(tc, workers_that_share_an_overloaded_server_do_not_take_it_from_each_other, 0, 2 * 4);
	tcase_add_test(tc, workers_that_are_asked_in_bursts_are_all_heard);
	tcase_add_test(tc, bursts_far_between_do_not_make_a_limit_for_ever);
	tcase_add_test(tc, server_that_is_well_again_has_all_within_ten_seconds_and_no_limit_after_twenty);
	tcase_add_loop_test(tc, loss_that_cutting_does_not_cure_is_no_overload, 0, 3);
	tcase_add_test(tc, few_losses_are_no_overload);
	tcase_add_test(tc, silence_is_not_overload);
	tcase_add_test(tc, server_that_dies_while_it_is_limited_is_limited_no_more);
	tcase_add_test(tc, rate_limiting_is_told_from_overload);
	tcase_add_test(tc, rate_limiting_that_hits_few_is_found_too);
	tcase_add_test(tc, long_answers_are_no_rate_limiting);
	tcase_add_test(tc, limit_that_few_queries_come_to_ends_all_the_same);
	tcase_add_test(tc, nothing_is_counted_while_the_other_transport_has_a_trial);
	tcase_add_test(tc, limit_never_stops_it_altogether);
	tcase_add_loop_test(tc, stranger_with_bad_names_takes_no_clients_from_a_healthy_server, 0,
			    sizeof(strangers) / sizeof(strangers[0]));
	tcase_add_test(tc, limit_that_was_cut_too_low_is_lifted);
	tcase_add_test(tc, trial_that_nobody_asked_in_for_a_day_stops_nothing);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
