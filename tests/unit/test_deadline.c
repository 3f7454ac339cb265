/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "cache/clock.h"
#include "proxy/deadline.h"

enum { SOON_US = 3000, LATER_US = 60000000 };

static struct ev_loop *loop;
static struct deadline deadline;
static unsigned rings;
static bool stays;		/* who is called does not stop it */
static bool is_read, was_read_before;	/* a socket; before the ring */

static void on_ring(struct ev_loop *l, ev_timer *ring, int revents)
{
	(void)ring;
	(void)revents;
	was_read_before = is_read;
	rings++;
	if (!stays)
		deadline_stop(&deadline);
	ev_break(l, EVBREAK_ONE);
}

static void setup(void)
{
	loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	deadline_init(&deadline, loop, loop, on_ring);
	rings = 0;
	stays = false;
	is_read = was_read_before = false;
}

static void teardown(void)
{
	deadline_fini(&deadline);
	ev_loop_destroy(loop);
}

START_TEST(rings_at_its_time_and_once)
{
	uint64_t at = clock_monotonic_us() + SOON_US;

	deadline_set(&deadline, at);
	ev_run(loop, 0);
	ck_assert_uint_ge(clock_monotonic_us(), at);
	ev_run(loop, EVRUN_NOWAIT);
	ck_assert_uint_eq(rings, 1);
	ck_assert_uint_eq(deadline.at_us, UINT64_MAX);
}
END_TEST

/* What is due already must ring, too: at 0 the kernel would take it for none. */
START_TEST(time_that_has_passed_rings_now)
{
	deadline_set(&deadline, 1);
	ev_run(loop, 0);
	ck_assert_uint_eq(rings, 1);
}
END_TEST

START_TEST(earlier_one_counts)
{
	uint64_t at = clock_monotonic_us() + SOON_US;

	deadline_set(&deadline, at + LATER_US);
	deadline_set(&deadline, at);
	ck_assert_uint_eq(deadline.at_us, at);
	ev_run(loop, 0);
	ck_assert_uint_lt(clock_monotonic_us(), at + LATER_US);
}
END_TEST

/* This is what a query costs that is answered in time: nothing. */
START_TEST(later_one_leaves_it_alone)
{
	uint64_t at = clock_monotonic_us() + SOON_US;

	deadline_set(&deadline, at);
	deadline_set(&deadline, at + LATER_US);
	deadline_set(&deadline, UINT64_MAX);
	ck_assert_uint_eq(deadline.at_us, at);
	ev_run(loop, 0);
	ck_assert_uint_eq(rings, 1);
}
END_TEST

START_TEST(rings_on_until_it_is_stopped)
{
	stays = true;
	deadline_set(&deadline, 1);
	ev_run(loop, 0);
	ev_run(loop, 0);
	ck_assert_uint_eq(rings, 2);
	stays = false;
	ev_run(loop, 0);
	ev_run(loop, EVRUN_NOWAIT);
	ck_assert_uint_eq(rings, 3);
}
END_TEST

static void on_readable(struct ev_loop *l, ev_io *io, int revents)
{
	(void)revents;
	is_read = true;
	ev_io_stop(l, io);
}

/* Whichever is ready first. */
START_TEST(sockets_of_its_turn_come_first)
{
	struct pollfd due = { .fd = deadline.io.fd, .events = POLLIN };
	ev_io io;
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	ev_io_init(&io, on_readable, ends[0], EV_READ);
	ev_io_start(loop, &io);
	ev_run(loop, EVRUN_NOWAIT);
	ck_assert_int_eq(write(ends[1], "", 1), 1);
	deadline_set(&deadline, 1);
	ck_assert_int_eq(poll(&due, 1, -1), 1);
	ev_run(loop, 0);
	ck_assert_uint_eq(rings, 1);
	ck_assert(was_read_before);
	close(ends[0]);
	close(ends[1]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("deadline");
	TCase *tc = tcase_create("timer");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, rings_at_its_time_and_once);
	tcase_add_test(tc, time_that_has_passed_rings_now);
	tcase_add_test(tc, earlier_one_counts);
	tcase_add_test(tc, later_one_leaves_it_alone);
	tcase_add_test(tc, rings_on_until_it_is_stopped);
	tcase_add_test(tc, sockets_of_its_turn_come_first);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
