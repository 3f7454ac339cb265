/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/slice.h"

enum { WORKS = 3 };

struct work {
	struct slice slice;
	char name;
	unsigned left;
};

static struct ev_loop *loop;
static struct slices slices;
static struct work works[WORKS];
static char order[64];
static size_t done;

static void setup(void)
{
	loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	slices_init(&slices, loop);
	memset(works, 0, sizeof(works));
	memset(order, 0, sizeof(order));
	done = 0;
}

static void teardown(void)
{
	ev_loop_destroy(loop);
}

static void step(void *arg)
{
	struct work *w = arg;

	ck_assert_uint_lt(done, sizeof(order) - 1);
	order[done++] = w->name;
	if (--w->left == 0)
		slice_stop(&slices, &w->slice);
}

static void given(unsigned i, char name, unsigned pieces)
{
	works[i].name = name;
	works[i].left = pieces;
	slice_start(&slices, &works[i].slice, step, &works[i]);
}

START_TEST(works_take_turns)
{
	given(0, 'a', 3);
	given(1, 'b', 1);
	given(2, 'c', 2);
	ck_assert_str_eq(order, "");
	ev_run(loop, 0);	/* ends when no timer is left */
	ck_assert_str_eq(order, "abcaca");
	ck_assert_ptr_null(slices.first);
}
END_TEST

START_TEST(each_turn_of_the_loop_does_one_piece)
{
	given(0, 'a', 3);
	ev_run(loop, EVRUN_ONCE);
	ck_assert_str_eq(order, "a");
	ev_run(loop, EVRUN_ONCE);
	ck_assert_str_eq(order, "aa");
}
END_TEST

static void stop_others(void *arg)
{
	(void)arg;
	order[done++] = '!';
	for (size_t i = 0; i < WORKS; i++)
		slice_stop(&slices, &works[i].slice);
	given(2, 'n', 1);
}

START_TEST(a_piece_may_end_and_begin_works)
{
	given(0, 'a', 5);
	slice_start(&slices, &works[1].slice, stop_others, &works[1]);
	ev_run(loop, 0);
	ck_assert_str_eq(order, "a!n");
}
END_TEST

START_TEST(what_is_not_at_work_may_be_stopped)
{
	slice_stop(&slices, &works[0].slice);
	given(0, 'a', 1);
	slice_stop(&slices, &works[0].slice);
	slice_stop(&slices, &works[0].slice);
	ev_run(loop, 0);
	ck_assert_str_eq(order, "");
	given(0, 'b', 1);	/* and again */
	ev_run(loop, 0);
	ck_assert_str_eq(order, "b");
}
END_TEST

static void on_readable(struct ev_loop *l, ev_io *w, int revents)
{
	(void)revents;
	order[done++] = '>';
	ev_io_stop(l, w);
}

START_TEST(sockets_are_served_between_two_pieces)
{
	int pipes[2];
	ev_io io;

	ck_assert_int_eq(pipe(pipes), 0);
	ck_assert_int_eq((int)write(pipes[1], "x", 1), 1);
	ev_io_init(&io, on_readable, pipes[0], EV_READ);
	given(0, 'a', 4);
	ev_run(loop, EVRUN_ONCE);
	ev_io_start(loop, &io);
	ev_run(loop, 0);
	ck_assert_ptr_nonnull(strchr(order, '>'));
	ck_assert_ptr_nonnull(strchr(strchr(order, '>'), 'a'));
	close(pipes[0]);
	close(pipes[1]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("slice");
	TCase *tc = tcase_create("slice");
	SRunner *runner = srunner_create(s);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, works_take_turns);
	tcase_add_test(tc, each_turn_of_the_loop_does_one_piece);
	tcase_add_test(tc, a_piece_may_end_and_begin_works);
	tcase_add_test(tc, what_is_not_at_work_may_be_stopped);
	tcase_add_test(tc, sockets_are_served_between_two_pieces);
	suite_add_tcase(s, tc);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);

	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
