/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "cache/aside.h"

enum { JOBS = 5 };

static struct ev_loop *loop;
static struct aside *aside;
static pthread_t here;

struct work {
	struct aside_job job;	/* first */
	unsigned number;
	bool is_run, is_run_here, is_done, is_done_here;
	struct work *then;	/* begun by `done` */
};

static unsigned runs, dones;
static unsigned run_order[JOBS + 1], done_order[JOBS + 1];

static void run(struct aside_job *job)
{
	struct work *w = (struct work *)job;

	w->is_run = true;
	w->is_run_here = pthread_equal(pthread_self(), here);
	run_order[runs++] = w->number;
}

static void done(struct aside_job *job)
{
	struct work *w = (struct work *)job;

	ck_assert(w->is_run);
	w->is_done = true;
	w->is_done_here = pthread_equal(pthread_self(), here);
	done_order[dones++] = w->number;
	if (w->then)
		aside_begin(aside, &w->then->job);
	else if (dones == JOBS)
		ev_break(loop, EVBREAK_ALL);
}

static void setup(void)
{
	loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	aside = aside_new(loop, NULL);
	here = pthread_self();
	runs = dones = 0;
}

static void teardown(void)
{
	aside_free(aside);
	ev_loop_destroy(loop);
}

static void given_jobs(struct work works[JOBS])
{
	for (unsigned i = 0; i < JOBS; i++)
		works[i] = (struct work){ .job = { .run = run, .done = done }, .number = i };
}

static void check_all_done_in_order(const struct work works[JOBS])
{
	ck_assert_uint_eq(dones, JOBS);
	for (unsigned i = 0; i < JOBS; i++) {
		ck_assert(works[i].is_done && works[i].is_done_here && !works[i].is_run_here);
		ck_assert_uint_eq(run_order[i], i);
		ck_assert_uint_eq(done_order[i], i);
	}
}

START_TEST(jobs_run_elsewhere_in_order_and_are_done_by_the_loop)
{
	struct work works[JOBS];

	given_jobs(works);
	for (unsigned i = 0; i < JOBS; i++)
		aside_begin(aside, &works[i].job);
	ck_assert_uint_eq(dones, 0);
	ev_run(loop, 0);
	check_all_done_in_order(works);
}
END_TEST

START_TEST(waiting_waits_for_what_follows_too)
{
	struct work works[JOBS];

	given_jobs(works);
	for (unsigned i = 0; i + 1 < JOBS; i++)
		works[i].then = &works[i + 1];
	aside_begin(aside, &works[0].job);
	aside_wait(aside);
	check_all_done_in_order(works);
}
END_TEST

START_TEST(who_waits_for_one_does_not_wait_for_all)
{
	struct work works[JOBS];

	given_jobs(works);
	for (unsigned i = 0; i < JOBS; i++)
		aside_begin(aside, &works[i].job);
	aside_wait_for(aside, &works[_i].job);
	ck_assert_uint_eq(dones, 1);
	ck_assert_uint_eq(done_order[0], (unsigned)_i);
	aside_wait(aside);
	ck_assert_uint_eq(dones, JOBS);
	for (unsigned i = 0; i < JOBS; i++)
		ck_assert(works[i].is_run && works[i].is_done);
	aside_begin(aside, &works[0].job);	/* its lists are as they should be */
	aside_wait_for(aside, &works[0].job);
	ck_assert_uint_eq(runs, JOBS + 1);
}
END_TEST

START_TEST(the_end_waits_for_all)
{
	struct work works[JOBS];

	given_jobs(works);
	for (unsigned i = 0; i < JOBS; i++)
		aside_begin(aside, &works[i].job);
	aside_free(aside);
	check_all_done_in_order(works);
	aside = aside_new(loop, NULL);
}
END_TEST

START_TEST(without_a_job_nothing_runs)
{
	aside_wait(aside);
	ck_assert_uint_eq(dones, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("aside");
	TCase *tc = tcase_create("aside");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, jobs_run_elsewhere_in_order_and_are_done_by_the_loop);
	tcase_add_test(tc, waiting_waits_for_what_follows_too);
	tcase_add_loop_test(tc, who_waits_for_one_does_not_wait_for_all, 0, JOBS);
	tcase_add_test(tc, the_end_waits_for_all);
	tcase_add_test(tc, without_a_job_nothing_runs);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
