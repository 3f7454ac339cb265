/* SPDX-License-Identifier: ISC */
/* Snapshots of many zones at once: what waits in line, what goes to disk together, what the end waits for. */
#include <check.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cache/clock.h"
#include "cache/dns.h"
#include "cache/mirror_holding.h"
#include "cache/rcu.h"
#include "tests/temporary.h"
#include "tests/unit/fixture.h"

enum {
	ZONES = 600,
	TOGETHER = 8,	/* so many need one call (statefile.c) */
};

struct zone {
	struct mirror_zone slot;
	struct zonelog log;
	struct holding hold;
	uint8_t origin[NAME_LEN_MAX];
};

static struct workshop shop;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char dir[256];
static struct zone zones[ZONES];
static size_t zone_count;

/* ---- The disk, in the place of the C library's ---- */

static _Atomic unsigned syncs;		/* calls that wait for it */
static sem_t turns;			/* each waits for one of these, if */
static _Atomic bool is_slow;

static int reach_disk(long number, int fd)
{
	syncs++;
	if (is_slow)
		sem_wait(&turns);
	return (int)syscall(number, fd);
}

int fsync(int fd)
{
	return reach_disk(SYS_fsync, fd);
}

int syncfs(int fd)
{
	return reach_disk(SYS_syncfs, fd);
}

/* ---- Zones ---- */

static void ignore(struct mirror_work *w, void *arg)
{
	(void)w;
	(void)arg;
}

static void ignore_rearm(struct mirror_work *w)
{
	(void)w;
}

static struct generation *made(const struct zone *z, uint64_t number, unsigned hosts)
{
	static const char soa[] = "\2ns\0\4host\0\0\0\0\5\0\0\2\0\0\0\1\0\0\1\0\0\0\0\0\x1e";
	struct zone_edit *edit = zone_edit_new(z->origin, NULL, 0, 0);
	uint8_t owner[NAME_LEN_MAX];
	enum zone_error e;

	ck_assert(zone_edit_add(edit, z->origin, TYPE_SOA, 300, (const uint8_t *)soa, 30) == ZONE_OK);
	ck_assert(zone_edit_add(edit, z->origin, TYPE_NS, 300, (const uint8_t *)"\2ns", 4) == ZONE_OK);
	for (unsigned i = 0; i < hosts; i++) {
		snprintf((char *)owner, sizeof(owner), "%ch%05u", 6, i);
		memcpy(owner + 7, z->origin, name_len(z->origin));
		ck_assert(zone_edit_add(edit, owner, TYPE_A, 300, owner, 4) == ZONE_OK);
	}
	struct generation *g = zone_edit_finish(edit, number, &e, NULL);

	ck_assert_ptr_nonnull(g);
	return g;
}

static void publish(struct zone *z, uint64_t number, unsigned hosts)
{
	uint64_t now = clock_wall_us() / US_PER_S;
	struct zone_times times = { .refreshed_at = now, .expires_at = now + 86400 };

	holding_publish(&z->hold, made(z, number, hosts), &times, "test");
	holding_save_snapshot(&z->hold);
}

static struct zone *given_zone(unsigned hosts)
{
	struct zone *z = &zones[zone_count++];
	char text[32];

	snprintf(text, sizeof(text), "z%zu.example.", zone_count);
	name_from_text(text, z->origin);
	zonelog_init(&z->log, z->origin);
	holding_init(&z->hold, &shop, &z->slot, &z->log);
	z->hold.is_snapshot_big = true;		/* nor will a first one be written at once */
	publish(z, 1, hosts);
	return z;
}

/* The number of the generation that the file has; 0: there is no file. */
static uint64_t saved(const struct zone *z)
{
	struct zone_times times;
	const char *why;
	struct generation *g = snapshot_read(dir, z->origin, 0, 0, &times, &why);
	uint64_t number = g ? g->number : 0;

	ck_assert_msg(!why, "%s", why);
	if (g)
		generation_free(g);
	return number;
}

static bool is_written(const struct zone *z)
{
	return z->hold.in_snapshot == holding_current(&z->hold)->number;
}

static void run_until_written(const struct zone *z)
{
	while (!is_written(z))
		ev_run(shop.loop, EVRUN_ONCE);
}

static void setup(void)
{
	rcu_thread_start();
	sem_init(&turns, 0, 0);
	ck_assert_ptr_nonnull(mkdtemp(temporary_path(dir, sizeof(dir), "test_mirror_aside")));
	shop.loop = ev_loop_new(0);
	shop.state_dir = dir;
	shop.mutex = &mutex;
	shop.report = ignore;
	shop.rearm = ignore_rearm;
	shop.snapshot_at_us = UINT64_MAX;	/* the loop has no time for any */
	shop.aside = aside_new(shop.loop, NULL);
	retired_init(&shop.retired);
	holding_line_init(&shop);
}

static void give_turns(unsigned count)
{
	while (count-- > 0)
		sem_post(&turns);
}

static void teardown(void)
{
	char command[sizeof(dir) + 16];

	is_slow = false;
	give_turns(ZONES);
	for (size_t i = 0; i < zone_count; i++)
		holding_fini(&zones[i].hold);
	aside_free(shop.aside);
	retired_fini(&shop.retired);
	ev_loop_destroy(shop.loop);
	snprintf(command, sizeof(command), "rm -r '%s'", dir);
	ck_assert_int_eq(system(command), 0);
	sem_destroy(&turns);
	rcu_thread_stop();
}

/* ---- Tests ---- */

START_TEST(first_load_of_many_does_not_wait_for_the_disk_once_for_each)
{
	is_slow = true;
	for (unsigned i = 0; i < ZONES; i++)
		given_zone(3);
	is_slow = false;
	give_turns(1);
	for (size_t i = 0; i < ZONES; i++)
		run_until_written(&zones[i]);
	ck_assert_uint_le(syncs, 4);	/* the first alone, then 256 at most */
	for (size_t i = 0; i < ZONES; i += 7)
		ck_assert_uint_eq(saved(&zones[i]), 1);
}
END_TEST

START_TEST(end_writes_what_is_due_without_its_pauses)
{
	is_slow = true;
	for (unsigned i = 0; i < ZONES; i++)
		given_zone(3);
	publish(&zones[0], 2, 3);	/* under way as it was */
	zones[0].hold.write_at_us = UINT64_MAX;
	is_slow = false;
	give_turns(1);
	shop.is_ending = true;
	for (size_t i = 0; i < ZONES; i++)
		holding_tend_snapshot(&zones[i].hold);
	holding_line_flush(&shop);
	ck_assert(TAILQ_EMPTY(&shop.line));
	for (size_t i = 0; i < ZONES; i++)
		ck_assert(is_written(&zones[i]));
	ck_assert_uint_eq(saved(&zones[0]), 2);
	ck_assert_uint_eq(saved(&zones[ZONES - 1]), 1);
}
END_TEST

START_TEST(end_does_not_wait_for_a_pause)
{
	ev_timer_set(&shop.pause, 1000., 0.);
	ev_timer_start(shop.loop, &shop.pause);
	struct zone *z = given_zone(3);

	ck_assert(!is_written(z));
	shop.is_ending = true;
	holding_tend_snapshot(&z->hold);
	holding_line_flush(&shop);
	ck_assert(is_written(z));
}
END_TEST

START_TEST(newest_in_line_is_what_is_written)
{
	is_slow = true;
	given_zone(3);
	struct zone *z = given_zone(3);

	publish(z, 2, 3);
	publish(z, 3, 3);
	is_slow = false;
	give_turns(1);
	run_until_written(z);
	ck_assert_uint_eq(saved(z), 3);
	ck_assert_uint_eq(syncs, 2);
}
END_TEST

START_TEST(what_the_operator_ordered_is_first_in_line)
{
	is_slow = true;
	for (unsigned i = 0; i < ZONES; i++)
		given_zone(3);
	struct zone *z = &zones[ZONES - 1], *other = &zones[ZONES - 2];

	z->hold.times.hold = ZONE_HELD;
	holding_save_order(&z->hold);
	is_slow = false;
	give_turns(1);
	run_until_written(z);
	ck_assert(!is_written(other));
}
END_TEST

START_TEST(order_that_comes_while_it_is_written_is_first_in_line)
{
	is_slow = true;
	for (unsigned i = 0; i < ZONES; i++)
		given_zone(3);
	struct zone *z = &zones[0], *other = &zones[ZONES - 1];

	publish(z, 2, 3);
	z->hold.times.hold = ZONE_HELD;
	holding_save_order(&z->hold);
	is_slow = false;
	give_turns(1);
	run_until_written(z);
	ck_assert_uint_eq(saved(z), 2);
	ck_assert(!is_written(other));
}
END_TEST

START_TEST(zone_that_lags_far_behind_is_first_in_line)
{
	struct zone *z = given_zone(3);

	run_until_written(z);
	is_slow = true;
	for (unsigned i = 1; i < ZONES; i++)
		given_zone(3);
	publish(z, 2, 3);
	z->hold.write_at_us = UINT64_MAX;
	publish(z, 2 + HOLDING_LAG_MAX / 2, 3);
	is_slow = false;
	give_turns(1);
	run_until_written(z);
	ck_assert(!is_written(&zones[ZONES - 1]));
}
END_TEST

START_TEST(zone_that_leaves_the_line_is_not_written)
{
	is_slow = true;
	given_zone(3);
	struct zone *z = given_zone(3), *other = given_zone(3);

	holding_leave_aside(&z->hold);	/* waits for no disk: it is not under way */
	is_slow = false;
	give_turns(1);
	run_until_written(other);
	ck_assert_uint_eq(saved(z), 0);
	ck_assert_uint_eq(saved(other), 1);
}
END_TEST

START_TEST(zone_that_leaves_while_it_is_written_waits_for_that)
{
	struct zone *z = given_zone(3);

	holding_leave_aside(&z->hold);
	ck_assert_uint_eq(saved(z), 1);
	ck_assert_ptr_null(z->hold.bundle);
}
END_TEST

/* Small zones do not wait until it is written. */
START_TEST(big_zone_is_alone_with_the_disk)
{
	is_slow = true;
	for (unsigned i = 0; i < 1 + TOGETHER; i++)
		given_zone(3);
	given_zone(60000);
	for (unsigned i = 0; i < TOGETHER; i++)
		given_zone(3);
	is_slow = false;
	give_turns(1);
	for (size_t i = 0; i < zone_count; i++)
		run_until_written(&zones[i]);
	ck_assert_uint_eq(syncs, 4);	/* of the first, eight, the big one, eight */
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("mirror_aside");
	TCase *tc = tcase_create("snapshots");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, first_load_of_many_does_not_wait_for_the_disk_once_for_each);
	tcase_add_test(tc, end_writes_what_is_due_without_its_pauses);
	tcase_add_test(tc, end_does_not_wait_for_a_pause);
	tcase_add_test(tc, newest_in_line_is_what_is_written);
	tcase_add_test(tc, what_the_operator_ordered_is_first_in_line);
	tcase_add_test(tc, order_that_comes_while_it_is_written_is_first_in_line);
	tcase_add_test(tc, zone_that_lags_far_behind_is_first_in_line);
	tcase_add_test(tc, zone_that_leaves_the_line_is_not_written);
	tcase_add_test(tc, zone_that_leaves_while_it_is_written_waits_for_that);
	tcase_add_test(tc, big_zone_is_alone_with_the_disk);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
