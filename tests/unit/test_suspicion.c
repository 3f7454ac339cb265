/* SPDX-License-Identifier: ISC */
/* suspicion: the rings between workers and control. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>

#include "proxy/suspicion.h"

START_TEST(what_is_put_is_taken_in_order)
{
	struct suspicions *s = suspicions_new(2);
	struct suspicion one = { .backend = 0 };

	ck_assert(!suspicions_take(s, &one));
	for (unsigned i = 1; i <= 3; i++) {
		one.backend = i;
		suspicions_put(s, 1, &one);
	}
	for (unsigned i = 1; i <= 3; i++) {
		ck_assert(suspicions_take(s, &one));
		ck_assert_uint_eq(one.backend, i);
	}
	ck_assert(!suspicions_take(s, &one));
	suspicions_free(s);
}
END_TEST

START_TEST(full_ring_drops_and_goes_on)
{
	struct suspicions *s = suspicions_new(1);
	struct suspicion one = { .backend = 0 };
	unsigned taken = 0;

	for (unsigned i = 0; i < 1000; i++) {
		one.backend = i;
		suspicions_put(s, 0, &one);
	}
	while (suspicions_take(s, &one))
		ck_assert_uint_eq(one.backend, taken++);
	ck_assert_uint_gt(taken, 3);
	ck_assert_uint_lt(taken, 1000);
	one.backend = 1001;
	suspicions_put(s, 0, &one);
	ck_assert(suspicions_take(s, &one));
	ck_assert_uint_eq(one.backend, 1001);
	suspicions_free(s);
}
END_TEST

enum { ROUNDS = 200000 };

static void *put_all(void *suspicions)
{
	struct suspicion one = { .backend = 0 };

	for (unsigned i = 1; i <= ROUNDS; i++) {
		one.backend = i;
		one.serial = i;
		one.name[0] = (uint8_t)i;
		suspicions_put(suspicions, 0, &one);
	}
	return NULL;
}

START_TEST(two_threads_see_whole_entries)
{
	struct suspicions *s = suspicions_new(1);
	struct suspicion one = { .backend = 0 };
	unsigned last = 0;
	pthread_t worker;

	pthread_create(&worker, NULL, put_all, s);
	for (unsigned i = 0; i < ROUNDS; i++) {
		if (!suspicions_take(s, &one))
			continue;
		ck_assert_uint_gt(one.backend, last);
		ck_assert(one.serial == one.backend && one.name[0] == (uint8_t)one.backend);
		last = one.backend;
	}
	pthread_join(worker, NULL);
	suspicions_free(s);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("suspicion");
	TCase *tc = tcase_create("rings");

	tcase_add_test(tc, what_is_put_is_taken_in_order);
	tcase_add_test(tc, full_ring_drops_and_goes_on);
	tcase_add_test(tc, two_threads_see_whole_entries);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
