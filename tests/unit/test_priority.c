/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cache/clock.h"
#include "cache/priority.h"

enum { ITEMS = 1024, TRANSFERS_NICE = 10, ASIDES_NICE = 15, NICE_MAX = 19 };

static int first_nice;

static int as_nice_as(int by)
{
	return first_nice + by < NICE_MAX ? first_nice + by : NICE_MAX;
}

static int own_nice(void)
{
	return getpriority(PRIO_PROCESS, 0);	/* of this thread, on Linux */
}

static void work(void)
{
	for (unsigned i = 0; i < ITEMS; i++)
		priority_give_way();
}

static void *answer_queries(void *arg)
{
	(void)arg;
	priority_of_queries();
	work();
	ck_assert_int_eq(own_nice(), first_nice);
	ck_assert_uint_eq(priority.next_us, 0);		/* nothing was given away */
	return NULL;
}

static void *transfer(void *arg)
{
	(void)arg;
	for (unsigned twice = 0; twice < 2; twice++) {
		priority_of_transfers();
		ck_assert_int_eq(own_nice(), as_nice_as(TRANSFERS_NICE));
	}
	return NULL;
}

static void *work_aside(void *arg)
{
	uint64_t begun_us = clock_monotonic_us();

	(void)arg;
	priority_of_asides();
	ck_assert_int_eq(own_nice(), as_nice_as(ASIDES_NICE));
	work();
	ck_assert_uint_gt(priority.next_us, begun_us);
	priority.next_us = UINT64_MAX;		/* kept waiting for very long */
	work();
	ck_assert_uint_eq(priority.next_us, UINT64_MAX);
	priority.next_us = 0;
	work();
	ck_assert_uint_gt(priority.next_us, begun_us);
	return NULL;
}

static void in_thread(void *(*run)(void *))
{
	pthread_t thread;

	first_nice = getpriority(PRIO_PROCESS, (id_t)getpid());
	ck_assert_int_eq(pthread_create(&thread, NULL, run, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

START_TEST(who_answers_queries_gives_nothing_away) { in_thread(answer_queries); }
END_TEST

START_TEST(transfers_step_back_once) { in_thread(transfer); }
END_TEST

START_TEST(aside_gives_way_but_not_after_a_long_wait) { in_thread(work_aside); }
END_TEST

int main(void)
{
	Suite *s = suite_create("priority");
	TCase *tc = tcase_create("priority");

	tcase_add_test(tc, who_answers_queries_gives_nothing_away);
	tcase_add_test(tc, transfers_step_back_once);
	tcase_add_test(tc, aside_gives_way_but_not_after_a_long_wait);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
