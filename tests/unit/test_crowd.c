/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "cache/clock.h"
#include "proxy/crowd.h"
#include "proxy/deadline.h"

enum { PATIENCE_S = 10 };

static struct ev_loop *outer;
static struct crowd crowd;
static ev_io reader, later;
static ev_timer guard, deadline;
static ev_prepare last_word;
static int ends[2];
static bool has_last_word;
static unsigned step, read_at, fed_at, late_at, said_at;

static void on_guard(struct ev_loop *loop, ev_timer *timer, int revents)
{
	(void)timer;
	(void)revents;
	ev_break(loop, EVBREAK_ALL);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
	char byte;

	ck_assert_ptr_eq(ev_userdata(loop), &crowd);
	if (revents & EV_CUSTOM) {
		fed_at = ++step;
		ev_io_start(crowd.loop, &later);
		return;
	}
	ck_assert_int_eq(read(io->fd, &byte, 1), 1);
	read_at = ++step;
	if (!ev_is_active(&deadline))
		ev_break(outer, EVBREAK_ALL);
}

static void on_last_word(struct ev_loop *loop, ev_prepare *prepare, int revents)
{
	(void)loop;
	(void)prepare;
	(void)revents;
	if (has_last_word)
		said_at = ++step;
}

static void setup(void)
{
	step = read_at = fed_at = late_at = said_at = 0;
	has_last_word = false;
	ck_assert_int_eq(pipe(ends), 0);
	outer = ev_loop_new(EVBACKEND_POLL | EVFLAG_NOENV);
	ev_set_userdata(outer, &crowd);
	ev_prepare_init(&last_word, on_last_word);
	ev_set_priority(&last_word, EV_MINPRI);
	ev_prepare_start(outer, &last_word);
	crowd_init(&crowd, outer);
	ev_io_init(&reader, on_readable, ends[0], EV_READ);
	ev_io_init(&later, on_readable, ends[0], EV_READ);
	ev_timer_init(&guard, on_guard, PATIENCE_S, 0.);
	ev_timer_start(outer, &guard);
	ev_init(&deadline, on_guard);
}

static void teardown(void)
{
	ev_loop_destroy(outer);
	crowd_fini(&crowd);
	close(ends[0]);
	close(ends[1]);
}

START_TEST(what_is_ready_in_the_crowd_wakes_the_loop)
{
	ev_io_start(crowd.loop, &reader);
	ck_assert_int_eq(write(ends[1], "x", 1), 1);
	ev_run(outer, 0);
	ck_assert_uint_eq(read_at, 1);
}
END_TEST

static void on_late(struct ev_loop *loop, ev_timer *timer, int revents)
{
	(void)loop;
	(void)timer;
	(void)revents;
	late_at = ++step;
	ev_break(outer, EVBREAK_ALL);
}

/* When both are due in one turn: else who was answered in time would be called silent. */
START_TEST(sockets_come_before_deadlines)
{
	ev_io_start(crowd.loop, &reader);
	ev_run(outer, EVRUN_NOWAIT);
	ev_timer_init(&deadline, on_late, 0., 0.);
	ev_set_priority(&deadline, EV_MINPRI);
	ev_timer_start(outer, &deadline);
	ck_assert_int_eq(write(ends[1], "x", 1), 1);
	ev_run(outer, 0);
	ck_assert_uint_eq(read_at, 1);
	ck_assert_uint_eq(late_at, 2);
}
END_TEST

static int others[2];
static struct deadline ring;
static uint64_t woken_us;

static void hold_nothing(struct ev_loop *loop)
{
	(void)loop;
}

static void note_time(struct ev_loop *loop)
{
	(void)loop;
	woken_us = clock_monotonic_us();
}

/* The loop has seen what is ready, and no more: then a packet comes, and a deadline passes. */
static void hold_up(struct ev_loop *loop)
{
	static const char byte = 'x';

	if (write(ends[1], &byte, 1) != 1)
		abort();
	while (clock_monotonic_us() <= ring.at_us)
		;
	woken_us = clock_monotonic_us();
	ev_set_loop_release_cb(loop, hold_nothing, note_time);
}

static void on_other(struct ev_loop *loop, ev_io *io, int revents)
{
	(void)revents;
	ev_io_stop(loop, io);
}

static void on_ring(struct ev_loop *loop, ev_timer *timer, int revents)
{
	(void)loop;
	(void)timer;
	(void)revents;
	if (deadline_read_until(&ring, woken_us) < ring.at_us)
		return;
	late_at = ++step;
	ev_break(outer, EVBREAK_ALL);
}

/* The crowd looks after the loop: the timer that it finds must not ring for what the loop has not seen. */
START_TEST(what_came_while_the_loop_was_held_up_is_read_before_the_deadline)
{
	ev_io other;

	ck_assert_int_eq(pipe(others), 0);
	ev_io_init(&other, on_other, others[0], EV_READ);
	ev_io_start(crowd.loop, &other);
	ev_io_start(outer, &reader);
	ev_timer_init(&deadline, on_guard, PATIENCE_S, 0.);
	ev_timer_start(outer, &deadline);	/* the reader does not end it */
	deadline_init(&ring, outer, crowd.loop, on_ring);
	deadline_set(&ring, clock_monotonic_us() + 20000);
	ev_run(outer, EVRUN_NOWAIT);
	ev_set_loop_release_cb(outer, hold_nothing, hold_up);
	ck_assert_int_eq(write(others[1], "x", 1), 1);
	ev_run(outer, 0);
	ck_assert_uint_eq(read_at, 1);
	ck_assert_uint_eq(late_at, 2);
	deadline_fini(&ring);
	close(others[0]);
	close(others[1]);
}
END_TEST

static void feed(struct ev_loop *loop, ev_timer *timer, int revents)
{
	(void)loop;
	(void)timer;
	(void)revents;
	ev_feed_event(crowd.loop, &reader, EV_CUSTOM);
}

/* And a socket that it starts is heard: nothing else would wake the loop here. */
START_TEST(what_is_fed_from_outside_does_not_wait_for_a_packet)
{
	ev_timer_init(&deadline, feed, 0.001, 0.);
	ev_timer_start(outer, &deadline);
	ck_assert_int_eq(write(ends[1], "x", 1), 1);
	ev_run(outer, 0);
	ck_assert_uint_eq(fed_at, 1);
	ck_assert_uint_eq(read_at, 2);
}
END_TEST

/* A query that is taken there has a deadline, and the sleep must end by it. */
START_TEST(what_is_served_before_the_sleep_comes_before_the_last_word)
{
	has_last_word = true;
	ck_assert_int_eq(write(ends[1], "x", 1), 1);
	ev_io_start(crowd.loop, &reader);
	ev_run(outer, EVRUN_NOWAIT);
	ck_assert_uint_eq(read_at, 1);
	ck_assert_uint_eq(said_at, 2);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("crowd");
	TCase *tc = tcase_create("crowd");

	tcase_set_timeout(tc, 2 * PATIENCE_S);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, what_is_ready_in_the_crowd_wakes_the_loop);
	tcase_add_test(tc, sockets_come_before_deadlines);
	tcase_add_test(tc, what_came_while_the_loop_was_held_up_is_read_before_the_deadline);
	tcase_add_test(tc, what_is_fed_from_outside_does_not_wait_for_a_packet);
	tcase_add_test(tc, what_is_served_before_the_sleep_comes_before_the_last_word);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
