/* SPDX-License-Identifier: ISC */
/* control: each verb of the table, the text that people see, and the socket's manners. */
#include <check.h>
#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cache/clock.h"
#include "cache/dns.h"
#include "cache/dump.h"
#include "cache/event.h"
#include "cache/wire.h"
#include "proxy/daemon.h"
#include "proxy/ctl_render.h"
#include "proxy/verbs.h"
#include "proxy/control_words.h"
#include "tests/temporary.h"

static struct daemon d;
static char dir[96], file[104], path[104];
static char heard[1 << 20];

static void write_config(const char *extra)
{
	FILE *f = fopen(file, "w");

	fprintf(f,
		"listen = { \"127.0.0.1:1\" }\n"
		"pool \"main\" { backend \"ns1\" { address = \"127.0.0.1:2\" tier = 0 primary = "
		"true }\n"
		"  mirror { tier = 1 } }\n"
		"pool \"plain\" { backend \"ns3\" { address = \"127.0.0.1:3\" } }\n"
		"zone \"example.com\" { pool = \"main\" }\n"
		"zone \"example.net\" { pool = \"plain\" }\n%s",
		extra);
	fclose(f);
}

static void setup(void)
{
	struct mirror_conf conf = { .state_dir = "/nonexistent", .turns = { 4, 4 } };

	ck_assert_ptr_nonnull(mkdtemp(temporary_path(dir, sizeof(dir), "test_control")));
	snprintf(file, sizeof(file), "%s/conf", dir);
	snprintf(path, sizeof(path), "%s/sock", dir);
	write_config("");
	rcu_thread_start();
	event_open_log("/dev/null", EVENT_LOGFMT, EVENT_INFO);
	memset(&d, 0, sizeof(d));
	d.loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	d.conf_file = file;
	d.mirror = mirror_new(&conf);
	d.plan = plan_new(conf_read(file, stderr), d.mirror, 1);
	d.watch = watch_new(d.loop, d.mirror, 0);
	d.notifier = notifier_new(d.loop, 0);
	notifier_set_plan(d.notifier, d.plan);
	d.started_us = clock_monotonic_us();
	watch_set_plan(d.watch, d.plan);
	d.control = control_new(&d, path);
	ck_assert_ptr_nonnull(d.control);
}

static void teardown(void)
{
	control_free(d.control);
	ck_assert_int_ne(access(path, F_OK), 0);
	watch_free(d.watch);
	notifier_free(d.notifier);
	plan_free(d.plan);
	mirror_free(d.mirror);
	ev_loop_destroy(d.loop);
	rcu_thread_stop();
	unlink(file);
	rmdir(dir);
}

/* ---- Verbs ---- */

static json_t *run(const char *text)
{
	char line[WORDS_LINE_MAX + 1];
	struct verb_answer a;
	struct words w;

	snprintf(line, sizeof(line), "%s", text);
	ck_assert_ptr_null(words_split(line, strlen(line), &w));
	verbs_run(&d, &w, &a);
	ck_assert_ptr_nonnull(a.json);
	if (a.dump)
		dump_free(a.dump);
	return a.json;
}

static const char *text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "";
}

/* Good lines, and a piece of what is shown for each. */
static const struct { const char *line, *shown; } good[] = {
	{ "status", "DEGRADED" },
	{ "backends", "ns3      plain  127.0.0.1:3  0     up" },
	{ "zones", "example.com.  empty" },
	{ "zones", "example.net.  forwarded" },
	{ "zone EXAMPLE.com.", "pool              main" },
	{ "health", "POOL" },
	{ "health -f", "POOL" },
	{ "explain www.example.com AAAA",
	 "www.example.com. AAAA: zone example.com., pool main, answered by ns1" },
	{ "explain www.example.org A", "REFUSED: no configured zone" },
	{ "explain example.com AXFR", "REFUSED: transfers go to those" },
	{ "backend ns1 drain", "" },
	{ "backend ns1 up", "" },
	{ "failover main on", "" },
	{ "failover main off", "" },
	{ "failover plain off", "" },
	{ "drill main off", "pool main: no drill" },
	{ "stats", "queries_udp                     0" },
	{ "stats", "divergence                      0" },
	{ "reload", "configuration 2 is in use" },
};

START_TEST(good_line_is_done_and_shown)
{
	json_t *answer = run(good[_i].line);
	struct words w;
	char line[256], shown[65536] = "";
	FILE *out = fmemopen(shown, sizeof(shown), "w");

	snprintf(line, sizeof(line), "%s", good[_i].line);
	words_split(line, strlen(line), &w);
	ck_assert_msg(json_is_true(json_object_get(answer, "ok")), "%s: %s", line,
		      text_of(answer, "error"));
	render_answer(w.word[0], answer, out);
	fclose(out);
	ck_assert_msg(strstr(shown, good[_i].shown), "%s shows\n%s", good[_i].line, shown);
	json_decref(answer);
}
END_TEST

/* A line for each of a hundred backends, and a column as wide as all their names. */
START_TEST(status_of_a_hundred_backends_fits_a_screen)
{
	char names[1024] = "", shown[65536] = "";
	json_t *reasons = json_array(), *answer;
	FILE *out = fmemopen(shown, sizeof(shown), "w");

	for (unsigned i = 1; i <= 100; i++) {
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%sns%u", i > 1 ? "," : "", i);
		json_array_append_new(reasons, json_sprintf("backend ns%u is down", i));
	}
	answer = json_pack("{sb so s[{ss}]}", "degraded", 1, "reasons", reasons, "pools", "serving", names);
	render_answer("status", answer, out);
	fclose(out);
	ck_assert_ptr_nonnull(strstr(shown, "backend ns11 is down\n               89 more\n"));
	ck_assert_ptr_null(strstr(shown, "ns12 is down"));
	ck_assert_ptr_nonnull(strstr(shown, "ns1,ns2,ns3,ns4,ns5 and 95 more"));
	json_decref(answer);
}
END_TEST

/* "ns1,ns2" is as wide as what would stand for it. */
START_TEST(few_names_are_all_shown)
{
	static const char *const few[] = { "ns1", "ns1,ns2", "a,b,c,d,e", "a,b,c,d,e,f" };
	char shown[4096] = "";
	json_t *answer = json_pack("{s[{ss}]}", "pools", "serving", few[_i]);
	FILE *out = fmemopen(shown, sizeof(shown), "w");

	render_answer("status", answer, out);
	fclose(out);
	ck_assert_msg(strstr(shown, few[_i]) && !strstr(shown, "more"), "%s: %s", few[_i], shown);
	json_decref(answer);
}
END_TEST

static const struct { const char *line, *kind, *error; } bad[] = {
	{ "accept example.com", "refused", "zone example.com.: nothing of it is held" },
	{ "accept example.net", "refused", "is not mirrored" },
	{ "undo x", "usage", "unknown verb 'undo'" },
	{ "zone", "usage", "usage: zone ZONE" },
	{ "status now", "usage", "usage: status" },
	{ "zone a..b", "usage", "'a..b' is not a domain name" },
	{ "zone example.org", "refused", "no zone example.org is configured" },
	{ "refresh example.net", "refused",
	 "zone example.net. is not mirrored: its pool plain has no mirror" },
	{ "retransfer example.net", "refused", "is not mirrored" },
	{ "dump example.com", "refused", "nothing is held of zone example.com. yet" },
	{ "health -x", "usage", "'-x' is none of -f" },
	{ "explain a TYPE99999", "usage", "'TYPE99999' is not a record type" },
	{ "backend ns9 up", "refused", "no backend 'ns9'" },
	{ "backend ns1 sideways", "usage", "'sideways' is none of up, down, auto, drain" },
	{ "failover nil on", "refused", "no pool 'nil'" },
	{ "failover main maybe", "usage", "'maybe' is none of on, off, auto" },
	{ "drill main", "usage", "usage: drill POOL off|PERCENT DURATION" },
	{ "drill main 10", "usage", "usage: drill POOL PERCENT DURATION, or drill POOL off" },
	{ "drill main 0 10m", "usage", "'0' is no share: write a whole number from 1 to 100" },
	{ "drill main 101 10m", "usage", "'101' is no share" },
	{ "drill main 4294967297 10m", "usage", "'4294967297' is no share" },
	{ "drill main abc 10m", "usage", "'abc' is no share" },
	{ "drill main 10% 10m", "usage", "'10%' is no share" },
	{ "drill main 10 0s", "usage", "'0s' is no duration from 1s to 24h" },
	{ "drill main 10 10", "usage", "'10' is no duration" },
	{ "drill main 10 365000d", "usage", "'365000d' is no duration from 1s to 24h" },
	{ "drill main 10 99999999999999999999h", "usage", "is no duration from 1s to 24h" },
	{ "drill main 10 1000 years", "usage", "usage: drill POOL" },
	{ "drill nil 10 10m", "refused", "no pool 'nil'" },
	{ "drill plain 10 10m", "refused", "pool plain: it has no mirror" },
	{ "drill main 10 10m", "refused", "pool main: its mirror can serve none of its zones" },
	{ "failover plain on", "refused", "pool plain has one tier: nobody could take over" },
};

START_TEST(bad_line_is_refused_with_a_reason)
{
	json_t *answer = run(bad[_i].line);

	ck_assert(json_is_false(json_object_get(answer, "ok")));
	ck_assert_str_eq(text_of(answer, "kind"), bad[_i].kind);
	ck_assert_msg(strstr(text_of(answer, "error"), bad[_i].error), "%s",
		      text_of(answer, "error"));
	json_decref(answer);
}
END_TEST

START_TEST(failed_reload_tells_every_reason)
{
	json_t *answer;

	write_config("nonsense = 1\n");
	answer = run("reload");
	ck_assert_str_eq(text_of(answer, "kind"), "refused");
	ck_assert_ptr_nonnull(strstr(text_of(answer, "error"), "nonsense"));
	ck_assert_uint_eq(d.plan->number, 1);
	json_decref(answer);
}
END_TEST

START_TEST(orders_show_in_capitals)
{
	json_t *answer;

	json_decref(run("backend ns1 drain"));
	answer = run("explain example.com SOA");
	ck_assert_str_eq(text_of(json_array_get(json_object_get(answer, "targets"), 0), "state"),
			 "DRAIN");
	ck_assert_ptr_nonnull(strstr(text_of(answer, "why"), "no target may be asked"));
	json_decref(answer);
}
END_TEST

/* ---- The socket ---- */

static int dial(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	memcpy(a.sun_path, path, strlen(path));
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void pump(void)
{
	for (int i = 0; i < 20; i++)
		ev_run(d.loop, EVRUN_NOWAIT);
}

/* What the server has said so far; *is_over when it closed. */
static const char *listen_to(int fd, bool *is_over)
{
	size_t len = strlen(heard);
	ssize_t n;

	*is_over = false;
	do {
		pump();
		n = recv(fd, heard + len, sizeof(heard) - 1 - len, 0);
		if (n > 0)
			len += (size_t)n;
	} while (n > 0 && len < sizeof(heard) - 1);
	*is_over = n == 0 || (n < 0 && errno != EAGAIN);
	heard[len] = '\0';
	return heard;
}

static const char *ask(const void *line, size_t len, bool shut)
{
	int fd = dial();
	bool is_over;

	heard[0] = '\0';
	ck_assert_int_eq(send(fd, line, len, 0), (ssize_t)len);
	if (shut)
		shutdown(fd, SHUT_WR);
	listen_to(fd, &is_over);
	ck_assert(is_over);
	close(fd);
	return heard;
}

START_TEST(line_gets_one_line_of_json)
{
	const char *text = ask("status\n", 7, false);
	json_t *o = json_loads(text, 0, NULL);

	ck_assert_ptr_nonnull(o);
	ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1);
	ck_assert(json_is_true(json_object_get(o, "ok")));
	json_decref(o);
}
END_TEST

START_TEST(end_of_file_ends_the_line)
{
	ck_assert_ptr_nonnull(strstr(ask("stats", 5, true), "\"ok\":true"));
}
END_TEST

START_TEST(odd_lines_get_an_error)
{
	char line[5000];

	memset(line, 'a', sizeof(line));
	ck_assert_ptr_nonnull(strstr(ask(line, sizeof(line), false), "the line is too long"));
	ck_assert_ptr_nonnull(strstr(ask("\n", 1, false), "an empty line"));
	ck_assert_ptr_nonnull(strstr(ask("zone \0x\n", 8, false), "not printable"));
}
END_TEST

START_TEST(socket_is_for_owner_and_group)
{
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0660);
}
END_TEST

START_TEST(second_server_is_told_apart_from_a_leftover)
{
	struct control *other = control_new(&d, path);
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	ck_assert_ptr_null(other);
	ck_assert_int_eq(errno, EADDRINUSE);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/left", dir);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	close(fd);
	other = control_new(&d, a.sun_path);
	ck_assert_ptr_nonnull(other);
	control_free(other);
	ck_assert_int_ne(access(a.sun_path, F_OK), 0);
	ck_assert_ptr_null(control_new(&d, file));	/* no socket: not ours to remove */
	ck_assert_int_eq(access(file, F_OK), 0);
}
END_TEST

START_TEST(follower_gets_event_lines)
{
	int fd = dial();
	bool is_over;
	struct event e;

	heard[0] = '\0';
	ck_assert_int_eq(send(fd, "health -f\n", 10, 0), 10);
	listen_to(fd, &is_over);
	ck_assert(!is_over && strchr(heard, '\n'));
	event_begin(&e, EVENT_NOTICE, "backend_down");
	event_text(&e, "backend", "ns1");
	event_end(&e);
	listen_to(fd, &is_over);
	ck_assert_ptr_nonnull(strstr(heard, "\nevent=backend_down backend=ns1 "));
	close(fd);
	pump();
	ck_assert_ptr_nonnull(strstr(ask("health\n", 7, false), "event=backend_down"));
}
END_TEST

START_TEST(follower_that_stalls_is_dropped)
{
	int fd = dial();
	bool is_over;

	ck_assert_int_eq(send(fd, "health -f\n", 10, 0), 10);
	pump();
	for (int i = 0; i < 20000; i++) {
		event_note(EVENT_NOTICE, "%0200d", i);
		if (i % 100 == 0)
			ev_run(d.loop, EVRUN_NOWAIT);
	}
	do {
		heard[0] = '\0';	/* what had been sent already is still read */
		listen_to(fd, &is_over);
	} while (heard[0] && !is_over);
	ck_assert(is_over);
	close(fd);
}
END_TEST

START_TEST(sixty_fifth_client_is_turned_away)
{
	int fds[65];
	bool is_over;

	for (int i = 0; i < 65; i++) {
		fds[i] = dial();
		pump();
	}
	heard[0] = '\0';
	ck_assert_ptr_nonnull(strstr(listen_to(fds[64], &is_over), "too many control connections"));
	ck_assert(is_over);
	close(fds[0]);
	pump();
	ck_assert_ptr_nonnull(strstr(ask("stats\n", 6, false), "\"ok\":true"));
	for (int i = 1; i < 65; i++)
		close(fds[i]);
}
END_TEST

/* A zone of 3000 names, dumped to a reader that takes it bit by bit. */
static struct generation *given_zone(void)
{
	static const uint8_t origin[] = "\7example\3com";
	uint8_t soa[28] = "\2ns\0\2ns", owner[NAME_LEN_MAX];
	struct zone_edit *e = zone_edit_new(origin, NULL, 0, 0);
	enum zone_error why;
	char text[NAME_TEXT_MAX];

	soa[3] = 0;
	zone_edit_add(e, origin, TYPE_SOA, 60, soa, 28);
	zone_edit_add(e, origin, TYPE_NS, 60, (const uint8_t *)"\2ns", 4);
	for (int i = 0; i < 3000; i++) {
		snprintf(text, sizeof(text), "name-%d.example.com", i);
		ck_assert_uint_gt(name_from_text(text, owner), 0);
		zone_edit_add(e, owner, TYPE_A, 60, (const uint8_t *)"\1\2\3\4", 4);
	}
	return zone_edit_finish(e, 1, &why, text);
}

START_TEST(dump_ends_with_its_mark)
{
	struct mirror_zone *z = d.plan->zones[0].mirror;
	const char *text;

	z->current = given_zone();
	ck_assert_ptr_nonnull(z->current);
	text = ask("dump example.com\n", 17, false);
	ck_assert_int_eq(strncmp(text, "{\"", 2), 0);
	ck_assert_ptr_nonnull(strstr(text, "name-2999.example.com."));
	ck_assert_str_eq(text + strlen(text) - strlen(VERBS_DUMP_END), VERBS_DUMP_END);
	ck_assert(!generation_is_held(z->current));
	generation_free(z->current);
	z->current = NULL;
}
END_TEST

int main(void)
{
	Suite *s = suite_create("control");
	TCase *verbs = tcase_create("verbs"), *socket_case = tcase_create("socket");

	tcase_add_checked_fixture(verbs, setup, teardown);
	tcase_add_loop_test(verbs, good_line_is_done_and_shown, 0, sizeof(good) / sizeof(good[0]));
	tcase_add_test(verbs, status_of_a_hundred_backends_fits_a_screen);
	tcase_add_loop_test(verbs, few_names_are_all_shown, 0, 4);
	tcase_add_loop_test(verbs, bad_line_is_refused_with_a_reason, 0,
			    sizeof(bad) / sizeof(bad[0]));
	tcase_add_test(verbs, failed_reload_tells_every_reason);
	tcase_add_test(verbs, orders_show_in_capitals);
	suite_add_tcase(s, verbs);
	tcase_add_checked_fixture(socket_case, setup, teardown);
	tcase_set_timeout(socket_case, 20);
	tcase_add_test(socket_case, line_gets_one_line_of_json);
	tcase_add_test(socket_case, end_of_file_ends_the_line);
	tcase_add_test(socket_case, odd_lines_get_an_error);
	tcase_add_test(socket_case, socket_is_for_owner_and_group);
	tcase_add_test(socket_case, second_server_is_told_apart_from_a_leftover);
	tcase_add_test(socket_case, follower_gets_event_lines);
	tcase_add_test(socket_case, follower_that_stalls_is_dropped);
	tcase_add_test(socket_case, sixty_fifth_client_is_turned_away);
	tcase_add_test(socket_case, dump_ends_with_its_mark);
	suite_add_tcase(s, socket_case);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
