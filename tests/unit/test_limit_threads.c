/* SPDX-License-Identifier: ISC */
/* limit: many threads at one limit. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>

#include "proxy/limit.h"

enum { S = 1000 * 1000, THREADS = 4, ROUNDS = 200 * 1000 };

static struct limit l;
static struct limit_count counts[THREADS];

/* A query each 100 us of its own time, of which one in two is lost. */
static void *work(void *own)
{
	for (uint64_t i = 0, at = 100 * S; i < ROUNDS; i++, at += 100) {
		if (!limit_allows(&l, at)) {
			limit_on_spared(&l, own, at);
			continue;
		}
		limit_on_sent(&l, at);
		if (i % 2)
			limit_on_loss(&l, own, at);
		else
			limit_on_answer(&l, own, false, at);
	}
	return NULL;
}

START_TEST(threads_that_count_at_once_are_all_heard_and_nobody_waits)
{
	pthread_t threads[THREADS];

	for (unsigned i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, work, &counts[i]), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert(!atomic_load(&l.is_taken));
	ck_assert_uint_ge(l.latest_us, 100 * S + 100ull * ROUNDS - 2 * S);
	ck_assert_int_eq(limit_said(&l).state, l.state);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("limit threads");
	TCase *tc = tcase_create("threads");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, threads_that_count_at_once_are_all_heard_and_nobody_waits);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
