/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "cache/clock.h"
#include "cache/rcu.h"

enum { READERS = 3, SWAPS = 300, GUARD = 0x600d, FREED = 0xdead };

struct thing {
	unsigned guard;
	unsigned number;
};

static struct thing *shared;
static atomic_bool stop;
static atomic_uint running;

static struct thing *thing_new(unsigned number)
{
	struct thing *t = malloc(sizeof(*t));

	ck_assert_ptr_nonnull(t);
	*t = (struct thing){ GUARD, number };
	return t;
}

static void thing_free(struct thing *t)
{
	t->guard = FREED;
	free(t);
}

/* Reads until told to stop. Counts what was wrong. */
static void *reader(void *arg)
{
	uintptr_t wrong = 0;
	unsigned last = 0;

	(void)arg;
	rcu_thread_start();
	running++;
	while (!stop) {
		for (int i = 0; i < 50; i++) {
			const struct thing *t = rcu_read(shared);

			wrong += t->guard != GUARD || t->number < last;
			last = t->number;
		}
		rcu_sleep();
		rcu_wake();
	}
	rcu_thread_stop();
	return (void *)wrong;
}

START_TEST(nothing_is_freed_under_a_reader)
{
	pthread_t threads[READERS];

	stop = false;
	rcu_publish(shared, thing_new(0));
	for (int i = 0; i < READERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, reader, NULL), 0);
	while (running < READERS)
		poll(NULL, 0, 1);
	rcu_thread_start();
	for (unsigned n = 1; n <= SWAPS; n++) {
		struct thing *old = shared;

		rcu_publish(shared, thing_new(n));
		rcu_wait();
		thing_free(old);
	}
	rcu_thread_stop();
	stop = true;
	for (int i = 0; i < READERS; i++) {
		void *wrong;

		pthread_join(threads[i], &wrong);
		ck_assert_ptr_null(wrong);
	}
	thing_free(shared);
}
END_TEST

START_TEST(wait_returns_without_any_reader)
{
	rcu_wait();		/* a thread that is no reader may wait as well */
	rcu_thread_start();
	rcu_wait();
	rcu_sleep();
	rcu_wait();
	rcu_wake();
	rcu_wait();
	rcu_thread_stop();
	rcu_wait();
}
END_TEST

static void *sleeper(void *arg)
{
	(void)arg;
	rcu_thread_start();
	rcu_sleep();
	running++;
	while (!stop)
		poll(NULL, 0, 1);
	rcu_wake();
	rcu_thread_stop();
	return NULL;
}

START_TEST(wait_does_not_wait_for_sleepers)
{
	pthread_t thread;

	stop = false;
	running = 0;
	ck_assert_int_eq(pthread_create(&thread, NULL, sleeper, NULL), 0);
	while (running == 0)
		poll(NULL, 0, 1);
	rcu_wait();	/* check's time limit is the assertion */
	stop = true;
	pthread_join(thread, NULL);
}
END_TEST

static void *writer(void *arg)
{
	(void)arg;
	rcu_thread_start();
	for (int i = 0; i < 200; i++)
		rcu_wait();
	rcu_thread_stop();
	return NULL;
}

START_TEST(two_readers_that_wait_do_not_wait_for_each_other)
{
	pthread_t a, b;

	ck_assert_int_eq(pthread_create(&a, NULL, writer, NULL), 0);
	ck_assert_int_eq(pthread_create(&b, NULL, writer, NULL), 0);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
}
END_TEST

static atomic_bool has_waited;

static void *waiter(void *arg)
{
	(void)arg;
	rcu_wait();
	has_waited = true;
	return NULL;
}

START_TEST(wait_lasts_until_the_reader_sleeps)
{
	pthread_t thread;

	rcu_thread_start();
	ck_assert_int_eq(pthread_create(&thread, NULL, waiter, NULL), 0);
	poll(NULL, 0, 50);	/* time to be wrong in: nothing to wait for here */
	ck_assert(!has_waited);
	rcu_sleep();
	pthread_join(thread, NULL);
	ck_assert(has_waited);
	rcu_wake();
	rcu_thread_stop();
}
END_TEST

START_TEST(clocks_go_forward_and_agree_with_the_calendar)
{
	uint64_t before = clock_monotonic_us();

	poll(NULL, 0, 2);
	ck_assert_uint_ge(clock_monotonic_us() - before, 2 * US_PER_MS);
	ck_assert_uint_gt(clock_wall_us(), 1700000000ull * US_PER_S);
	ck_assert_uint_lt(clock_wall_us(), 7000000000ull * US_PER_S);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("rcu");
	TCase *tc = tcase_create("readers and writers");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, nothing_is_freed_under_a_reader);
	tcase_add_test(tc, wait_returns_without_any_reader);
	tcase_add_test(tc, wait_does_not_wait_for_sleepers);
	tcase_add_test(tc, two_readers_that_wait_do_not_wait_for_each_other);
	tcase_add_test(tc, wait_lasts_until_the_reader_sleeps);
	tcase_add_test(tc, clocks_go_forward_and_agree_with_the_calendar);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
