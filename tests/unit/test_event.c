/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/event.h"
#include "tests/temporary.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static char dir[256], path[sizeof(dir) + 8], second[sizeof(dir) + 8];
static char heard[EVENT_LINE_MAX + 1];
static size_t heard_count;

static void hear(const char *line, size_t len, void *arg)
{
	ck_assert_uint_le(len, EVENT_LINE_MAX);
	ck_assert_int_eq(line[len - 1], '\n');
	ck_assert_ptr_null(memchr(line, '\n', len - 1));
	memcpy(heard, line, len);
	heard[len - 1] = '\0';
	heard_count += arg == &heard_count;
}

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(temporary_path(dir, sizeof(dir), "test_event")));
	snprintf(path, sizeof(path), "%s/log", dir);
	snprintf(second, sizeof(second), "%s/second", dir);
	ck_assert_int_eq(event_open_log(path, EVENT_LOGFMT, EVENT_INFO), 0);
	event_listen(hear, &heard_count);
}

static void teardown(void)
{
	unlink(path);
	unlink(second);
	rmdir(dir);
}

static size_t read_file(const char *name, char *to, size_t cap)
{
	int fd = open(name, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, to, cap - 1);

	ck_assert_int_ge(n, 0);
	close(fd);
	to[n] = '\0';
	return (size_t)n;
}

/* Cuts " time=2026-01-02T03:04:05.678Z" off what was heard, after a look at it. */
static void check_and_cut_time(void)
{
	char *t = strstr(heard, " time=");
	unsigned part[7];
	int end = 0;

	ck_assert_ptr_nonnull(t);
	ck_assert_int_eq(sscanf(t, " time=%4u-%2u-%2uT%2u:%2u:%2u.%3uZ%n", &part[0], &part[1],
				&part[2], &part[3], &part[4], &part[5], &part[6], &end), 7);
	ck_assert_int_eq(t[end], '\0');
	ck_assert_int_eq(end, 30);
	*t = '\0';
}

START_TEST(line_of_the_contract_is_written_as_it_stands_there)
{
	struct event e;
	char file[EVENT_LINE_MAX], whole[EVENT_LINE_MAX + 2];

	event_begin(&e, EVENT_WARNING, "backend_down");
	event_text(&e, "backend", "ns1");
	event_text(&e, "pool", "main");
	event_text(&e, "address", "192.0.2.53:53");
	event_text(&e, "from", "suspect");
	event_text(&e, "cause", "timeout");
	event_format(&e, "evidence", "%d attempts silent, last reply %d ms ago", 12, 143);
	event_number(&e, "detect_ms", 180);
	event_number(&e, "rescued", 57);
	event_end(&e);
	ck_assert_uint_eq(read_file(path, file, sizeof(file)), strlen(heard) + 1);
	snprintf(whole, sizeof(whole), "%s\n", heard);
	ck_assert_str_eq(file, whole);
	check_and_cut_time();
	ck_assert_str_eq(heard, "event=backend_down backend=ns1 pool=main address=192.0.2.53:53 "
				"from=suspect cause=timeout evidence=\"12 attempts silent, "
				"last reply 143 ms ago\" detect_ms=180 rescued=57");
}
END_TEST

/* `json` is the value between the quotes. */
static const struct { const char *value, *logfmt, *json; } values[] = {
	{ "ns1",                "ns1",                      "ns1" },
	{ "example.com.",       "example.com.",             "example.com." },
	{ "[2001:db8::1]:53",   "[2001:db8::1]:53",         "[2001:db8::1]:53" },
	{ "",                   "\"\"",                     "" },
	{ "a b",                "\"a b\"",                  "a b" },
	{ "a=b",                "\"a=b\"",                  "a=b" },
	{ "say \"no\"",         "\"say \\\"no\\\"\"",       "say \\\"no\\\"" },
	{ "a\\.b",              "a\\.b",                    "a\\\\.b" },
	{ "a\\ b",              "\"a\\\\ b\"",              "a\\\\ b" },
	{ "a\nevent=faked",     "\"a\\nevent=faked\"",      "a\\nevent=faked" },
	{ "\r\t",               "\"\\r\\t\"",               "\\r\\t" },
	{ "\033[31m",           "\"\\u001b[31m\"",          "\\u001b[31m" },
	{ "\x7f",               "\"\\u007f\"",              "\\u007f" },
	{ "M\303\274nchen",     "M\303\274nchen",           "M\303\274nchen" },
	{ "\342\202\254",       "\342\202\254",             "\342\202\254" },
	{ "\360\237\230\200",   "\360\237\230\200",         "\360\237\230\200" },
	{ "\377",               "\"\\u00ff\"",              "\\u00ff" },
	{ "\303",               "\"\\u00c3\"",              "\\u00c3" },
	{ "\303x",              "\"\\u00c3x\"",             "\\u00c3x" },
	{ "\342\202",           "\"\\u00e2\\u0082\"",       "\\u00e2\\u0082" },
	{ "\300\257",           "\"\\u00c0\\u00af\"",       "\\u00c0\\u00af" },	/* overlong */
	{ "\340\200\257",       "\"\\u00e0\\u0080\\u00af\"", "\\u00e0\\u0080\\u00af" },
	{ "\340\202\257",       "\"\\u00e0\\u0082\\u00af\"", "\\u00e0\\u0082\\u00af" },
	{ "\360\200\200\257",   "\"\\u00f0\\u0080\\u0080\\u00af\"",
	  "\\u00f0\\u0080\\u0080\\u00af" },
	{ "\355\240\200",       "\"\\u00ed\\u00a0\\u0080\"", "\\u00ed\\u00a0\\u0080" },	/* D800 */
	{ "\364\220\200\200",   "\"\\u00f4\\u0090\\u0080\\u0080\"",
	  "\\u00f4\\u0090\\u0080\\u0080" },	/* 110000 */
	{ "\302\233" "31m",     "\"\\u00c2\\u009b31m\"",    "\\u00c2\\u009b31m" },	/* C1 CSI */
};

START_TEST(value_is_quoted_only_when_needed)
{
	char want[128];
	struct event e;

	event_begin(&e, EVENT_INFO, "x");
	event_text(&e, "k", values[_i].value);
	event_end(&e);
	check_and_cut_time();
	snprintf(want, sizeof(want), "event=x k=%s", values[_i].logfmt);
	ck_assert_str_eq(heard, want);
}
END_TEST

START_TEST(value_is_escaped_in_json)
{
	char want[128];
	struct event e;

	ck_assert_int_eq(event_open_log(path, EVENT_JSON, EVENT_INFO), 0);
	event_begin(&e, EVENT_INFO, "x");
	event_text(&e, "k", values[_i].value);
	event_number(&e, "n", UINT64_MAX);
	event_end(&e);
	snprintf(want, sizeof(want), "{\"event\":\"x\",\"k\":\"%s\","
		 "\"n\":18446744073709551615,\"time\":\"", values[_i].json);
	ck_assert_int_eq(strncmp(heard, want, strlen(want)), 0);
	ck_assert_uint_eq(strlen(heard), strlen(want) + 26);
	ck_assert_str_eq(heard + strlen(heard) - 3, "Z\"}");
}
END_TEST

START_TEST(dns_name_is_shown_escaped)
{
	struct event e;

	event_begin(&e, EVENT_INFO, "x");
	event_name(&e, "zone", (const uint8_t *)"\5a\".\n=\3com");
	event_end(&e);
	check_and_cut_time();
	ck_assert_str_eq(heard, "event=x zone=\"a\\\\\\\"\\\\.\\\\010=.com.\"");
}
END_TEST

/* Fields of every length around the end of the buffer, in both styles and of all kinds. */
START_TEST(line_that_is_too_long_is_cut_and_stays_well_formed)
{
	static const char *const fill[] = { "x", "\"", "\377", "\342\202\254", " " };
	char value[EVENT_LINE_MAX + 100];
	struct event e;

	for (int style = EVENT_LOGFMT; style <= EVENT_JSON; style++) {
		event_open_log("/dev/null", (enum event_style)style, EVENT_INFO);
		for (size_t count = EVENT_LINE_MAX / 6 - 60; count < EVENT_LINE_MAX + 20; count++) {
			size_t unit = strlen(fill[_i]), len = 0;

			for (; len < count * unit && len + unit < sizeof(value); len += unit)
				memcpy(value + len, fill[_i], unit);
			value[len] = '\0';
			event_begin(&e, EVENT_INFO, "x");
			event_text(&e, "k", value);
			event_number(&e, "n", INT64_MAX);	/* jansson reads no more */
			event_number(&e, "m", INT64_MAX);
			event_text(&e, "l", "last");
			event_end(&e);
			if (style == EVENT_LOGFMT) {
				check_and_cut_time();
				continue;
			}
			json_t *line = json_loads(heard, 0, NULL);

			ck_assert_msg(line, "%s", heard);
			json_decref(line);
		}
	}
}
END_TEST

START_TEST(lines_below_the_level_are_not_written)
{
	heard_count = 0;
	event_note(EVENT_DEBUG, "quiet");
	ck_assert_uint_eq(heard_count, 0);
	event_note(EVENT_INFO, "loud %d", 1);
	ck_assert_uint_eq(heard_count, 1);
	check_and_cut_time();
	ck_assert_str_eq(heard, "event=note text=\"loud 1\"");
	event_open_log(path, EVENT_LOGFMT, EVENT_ERROR);
	event_note(EVENT_WARNING, "quiet");
	ck_assert_uint_eq(heard_count, 1);
	event_listen(NULL, NULL);
	event_note(EVENT_ERROR, "loud");
	ck_assert_uint_eq(heard_count, 1);
}
END_TEST

START_TEST(held_lines_are_written_when_they_are_released)
{
	char file[EVENT_LINE_MAX];

	event_hold();
	event_note(EVENT_INFO, "one");
	event_note(EVENT_INFO, "two");
	ck_assert_uint_eq(read_file(path, file, sizeof(file)), 0);
	ck_assert_uint_eq(heard_count, 2);
	event_release();
	read_file(path, file, sizeof(file));
	ck_assert(strstr(file, "text=one") && strstr(strstr(file, "text=one"), "text=two"));
	event_note(EVENT_INFO, "three");
	read_file(path, file, sizeof(file));
	ck_assert(strstr(file, "text=three"));
}
END_TEST

/* More than fits one write, a line that fills one alone among them. */
START_TEST(held_lines_are_whole_and_in_order_however_many)
{
	static char file[65536], big[EVENT_LINE_MAX];
	const char *at = file;
	char want[32];

	memset(big, 'x', sizeof(big) - 1);
	event_hold();
	for (int i = 0; i < 300; i++)
		event_note(EVENT_INFO, "%d.%s", i, i == 150 ? big : "");
	event_release();
	read_file(path, file, sizeof(file));
	for (int i = 0; i < 300; i++) {
		snprintf(want, sizeof(want), "event=note text=%s%d.", i == 150 ? "\"" : "", i);
		ck_assert_msg(strncmp(at, want, strlen(want)) == 0, "line %d", i);
		at = strchr(at, '\n') + 1;
	}
	ck_assert_str_eq(at, "");
}
END_TEST

START_TEST(held_lines_that_are_lost_are_counted)
{
	ck_assert_int_eq(event_open_log("/dev/full", EVENT_LOGFMT, EVENT_INFO), 0);
	uint64_t before = event_lost_count();

	event_hold();
	for (int i = 0; i < 300; i++)
		event_note(EVENT_INFO, "lost");
	event_release();
	ck_assert_uint_eq(event_lost_count(), before + 300);
}
END_TEST

START_TEST(log_that_cannot_be_opened_leaves_the_old_one)
{
	char file[EVENT_LINE_MAX];

	ck_assert_int_eq(event_open_log("/nonexistent/log", EVENT_JSON, EVENT_ERROR), -ENOENT);
	event_note(EVENT_INFO, "still here");
	ck_assert_uint_gt(read_file(path, file, sizeof(file)), 0);
	ck_assert_ptr_nonnull(strstr(file, "event=note text=\"still here\""));
}
END_TEST

START_TEST(reopening_follows_a_rotated_file)
{
	char file[EVENT_LINE_MAX];

	event_note(EVENT_INFO, "one");
	ck_assert_int_eq(rename(path, second), 0);
	event_note(EVENT_INFO, "two");
	ck_assert_int_eq(event_open_log(path, EVENT_LOGFMT, EVENT_INFO), 0);
	event_note(EVENT_INFO, "three");
	read_file(second, file, sizeof(file));
	ck_assert(strstr(file, "text=one") && strstr(file, "text=two"));
	read_file(path, file, sizeof(file));
	ck_assert(strstr(file, "text=three") && !strstr(file, "text=two"));
}
END_TEST

START_TEST(full_disk_is_counted_and_survived)
{
	ck_assert_int_eq(event_open_log("/dev/full", EVENT_LOGFMT, EVENT_INFO), 0);
	uint64_t before = event_lost_count();

	event_note(EVENT_INFO, "lost");
	event_note(EVENT_INFO, "lost");
	ck_assert_uint_eq(event_lost_count(), before + 2);
	ck_assert_int_eq(event_open_log(path, EVENT_LOGFMT, EVENT_INFO), 0);
	event_note(EVENT_INFO, "kept");
	ck_assert_uint_eq(event_lost_count(), before + 2);
}
END_TEST

/* Puts the writing end of a pipe in the place of stderr; returns the reading end. */
static int given_stderr_pipe(int *saved)
{
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	*saved = dup(STDERR_FILENO);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	return ends[0];
}

static void restore_stderr(int saved)
{
	dup2(saved, STDERR_FILENO);
	close(saved);
}

START_TEST(reader_that_stopped_reading_does_not_stop_us)
{
	int saved, end = given_stderr_pipe(&saved);
	char buffer[65536];

	event_open_log("stderr", EVENT_LOGFMT, EVENT_INFO);
	for (int i = 0; i < 5000; i++)	/* some 300 kB into a pipe of 64 kB */
		event_note(EVENT_INFO, "line %d of many", i);
	ck_assert_uint_gt(event_lost_count(), 1000);

	while (read(end, buffer, sizeof(buffer)) > 0)
		;
	uint64_t lost = event_lost_count();

	event_note(EVENT_INFO, "after");
	ck_assert_uint_eq(event_lost_count(), lost);
	close(end);
	event_note(EVENT_INFO, "nobody will ever read this");	/* and no SIGPIPE */
	ck_assert_uint_eq(event_lost_count(), lost + 1);
	restore_stderr(saved);
}
END_TEST

START_TEST(journal_gets_the_severity_and_a_terminal_does_not)
{
	int saved, end = given_stderr_pipe(&saved);
	char stream[64], buffer[256];
	struct stat st;

	ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
	for (int is_ours = 0; is_ours <= 1; is_ours++) {
		snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev,
			 (uintmax_t)st.st_ino + !is_ours);
		setenv("JOURNAL_STREAM", stream, 1);
		event_open_log("stderr", EVENT_LOGFMT, EVENT_INFO);
		event_note(EVENT_WARNING, "hello");
		ssize_t n = read(end, buffer, sizeof(buffer) - 1);

		ck_assert_int_gt(n, 0);
		buffer[n] = '\0';
		ck_assert_int_eq(strncmp(buffer, is_ours ? "<4>event=note" : "event=note", 10), 0);
	}
	unsetenv("JOURNAL_STREAM");
	close(end);
	restore_stderr(saved);
}
END_TEST

static void *many_lines(void *arg)
{
	for (int i = 0; i < 500; i++)
		event_note(EVENT_INFO, "%s", (const char *)arg);
	return NULL;
}

START_TEST(lines_of_two_threads_do_not_mix)
{
	static char file[200000];
	pthread_t a, b;
	size_t lines = 0;

	event_listen(NULL, NULL);
	pthread_create(&a, NULL, many_lines, "aaaaaaaaaaaaaaaa");
	pthread_create(&b, NULL, many_lines, "bbbbbbbbbbbbbbbb");
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	read_file(path, file, sizeof(file));
	for (const char *line = file, *end; *line; line = end + 1, lines++) {
		end = strchrnul(line, '\n');
		ck_assert_int_eq(end - line, sizeof("event=note text=aaaaaaaaaaaaaaaa") - 1 + 30);
	}
	ck_assert_uint_eq(lines, 1000);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("event");
	TCase *tc = tcase_create("lines");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, line_of_the_contract_is_written_as_it_stands_there);
	tcase_add_loop_test(tc, value_is_quoted_only_when_needed, 0, COUNT(values));
	tcase_add_loop_test(tc, value_is_escaped_in_json, 0, COUNT(values));
	tcase_add_test(tc, dns_name_is_shown_escaped);
	tcase_add_loop_test(tc, line_that_is_too_long_is_cut_and_stays_well_formed, 0, 5);
	tcase_add_test(tc, lines_below_the_level_are_not_written);
	tcase_add_test(tc, held_lines_are_written_when_they_are_released);
	tcase_add_test(tc, held_lines_are_whole_and_in_order_however_many);
	tcase_add_test(tc, held_lines_that_are_lost_are_counted);
	tcase_add_test(tc, log_that_cannot_be_opened_leaves_the_old_one);
	tcase_add_test(tc, reopening_follows_a_rotated_file);
	tcase_add_test(tc, full_disk_is_counted_and_survived);
	tcase_add_test(tc, reader_that_stopped_reading_does_not_stop_us);
	tcase_add_test(tc, journal_gets_the_severity_and_a_terminal_does_not);
	tcase_add_test(tc, lines_of_two_threads_do_not_mix);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
