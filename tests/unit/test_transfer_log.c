/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cache/event.h"
#include "proxy/transfer_log.h"

static struct ev_loop *loop;
static struct transfer_log *transfers;
static unsigned lines, unreported;
static char latest[EVENT_LINE_MAX];

static void hear(const char *line, size_t len, void *arg)
{
	const char *lost = strstr(line, "unreported=");

	(void)arg;
	lines++;
	memcpy(latest, line, len);
	latest[len] = '\0';
	if (lost)
		unreported += (unsigned)strtoul(lost + 11, NULL, 10);
}

static void setup(void)
{
	event_open_log("/dev/null", EVENT_LOGFMT, EVENT_DEBUG);
	event_listen(hear, NULL);
	lines = unreported = 0;
	loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	transfers = transfer_log_new(loop, 2);
}

static void teardown(void)
{
	transfer_log_free(transfers);
	ev_loop_destroy(loop);
	event_listen(NULL, NULL);
}

static struct transfer_entry an_entry(uint32_t serial)
{
	struct transfer_entry e = {
		.serial = serial, .kind = OUTGOING_IXFR, .result = TRANSFER_SLOW, .messages = 3, .records = 40,
		.bytes = 5000, .duration_us = 12000, .is_signed = true,
	};

	address_from_text("192.0.2.7:4711", 0, &e.client);
	name_from_text("example.com.", e.origin);
	name_from_text("key.example.", e.key);
	return e;
}

START_TEST(an_end_is_one_line_with_its_fields)
{
	struct transfer_entry e = an_entry(7);

	transfer_log_put(transfers, 1, &e);
	ev_run(loop, EVRUN_NOWAIT);
	ck_assert_uint_eq(lines, 1);
	ck_assert_ptr_eq(strstr(latest, "event=zone_transfer_out zone=example.com. client=192.0.2.7:4711 kind=ixfr "
				"serial=7 key=key.example. messages=3 records=40 bytes=5000 duration_ms=12 "
				"result=slow "), latest);
}
END_TEST

START_TEST(what_the_ring_does_not_hold_is_counted)
{
	struct transfer_entry e = an_entry(7);

	for (unsigned i = 0; i < 100; i++)
		transfer_log_put(transfers, 0, &e);
	ev_run(loop, EVRUN_NOWAIT);
	ck_assert_uint_eq(lines + unreported, 100);
	ck_assert_uint_eq(lines, 64);
	transfer_log_put(transfers, 0, &e);
	ev_run(loop, EVRUN_NOWAIT);
	ck_assert_uint_eq(lines, 65);
	ck_assert_uint_eq(unreported, 36);
}
END_TEST

START_TEST(the_end_writes_what_is_left)
{
	struct transfer_entry e = an_entry(7);

	transfer_log_put(transfers, 0, &e);
	transfer_log_put(transfers, 1, &e);
	transfer_log_free(transfers);
	transfers = NULL;
	ck_assert_uint_eq(lines, 2);
}
END_TEST

enum { MANY = 20000 };

static _Atomic unsigned finished;

static void *put_many(void *arg)
{
	for (uint32_t i = 0; i < MANY; i++) {
		struct transfer_entry e = an_entry(i);

		transfer_log_put(transfers, *(unsigned *)arg, &e);
	}
	finished++;
	return NULL;
}

START_TEST(two_workers_and_control_at_the_same_time_lose_nothing_uncounted)
{
	unsigned number[2] = { 0, 1 };
	pthread_t workers[2];

	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&workers[i], NULL, put_many, &number[i]), 0);
	while (finished < 2)
		ev_run(loop, EVRUN_NOWAIT);
	for (int i = 0; i < 2; i++)
		pthread_join(workers[i], NULL);
	ev_run(loop, EVRUN_NOWAIT);
	for (unsigned i = 0; i < 2; i++) {	/* the lines that carry the last counts */
		struct transfer_entry e = an_entry(0);

		transfer_log_put(transfers, i, &e);
	}
	ev_run(loop, EVRUN_NOWAIT);
	ck_assert_uint_eq(lines + unreported, 2 * MANY + 2);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("transfer_log");
	TCase *tc = tcase_create("transfer_log");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, an_end_is_one_line_with_its_fields);
	tcase_add_test(tc, what_the_ring_does_not_hold_is_counted);
	tcase_add_test(tc, the_end_writes_what_is_left);
	tcase_add_test(tc, two_workers_and_control_at_the_same_time_lose_nothing_uncounted);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
