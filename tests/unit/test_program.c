/* SPDX-License-Identifier: ISC */
/* Real programs, small shell scripts, in a loop of their own. */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/clock.h"
#include "cache/program.h"
#include "tests/temporary.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define LONG_US	(60 * US_PER_S)
#define WORD_US	(1 * US_PER_S)		/* time enough for a word on a busy machine */

static struct ev_loop *loop;
static struct programs programs;
static char folder[128], script[sizeof(folder) + 8], input[sizeof(folder) + 8];
static unsigned freed, ends;
static struct program_end last;
static char last_line[PROGRAM_LINE_MAX];

static void on_freed(void *arg)
{
	(void)arg;
	freed++;
	ev_break(loop, EVBREAK_ALL);
}

static void on_end(const struct program_end *end, void *arg)
{
	(void)arg;
	last = *end;
	snprintf(last_line, sizeof(last_line), "%s", end->line);
	ends++;
}

static void write_file(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
	ck_assert_int_eq(chmod(path, mode), 0);
}

static void given_script(const char *text)
{
	char whole[1000];

	snprintf(whole, sizeof(whole), "#!/bin/sh\n%s\n", text);
	write_file(script, whole, 0700);
}

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(temporary_path(folder, sizeof(folder), "test_program")));
	snprintf(script, sizeof(script), "%s/script", folder);
	snprintf(input, sizeof(input), "%s/input", folder);
	write_file(input, "what it reads\n", 0600);
	loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	programs_init(&programs, loop, on_freed, NULL);
	freed = ends = 0;
	memset(&last, 0xff, sizeof(last));
}

static void teardown(void)
{
	char command[sizeof(folder) + 8];

	programs_fini(&programs);
	ev_loop_destroy(loop);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	ck_assert_int_eq(system(command), 0);
}

static int start(uint64_t limit_us, struct program **p)
{
	static char variable[] = "WORD=of ours";
	char *environment[] = { variable, NULL };
	struct program_job job = {
		.path = script, .argument = input, .input = input, .environment = environment,
		.limit_us = limit_us,
	};

	return program_start(&programs, &job, on_end, NULL, p);
}

static void run(const char *text, uint64_t limit_us)
{
	struct program *p;

	given_script(text);
	ck_assert_int_eq(start(limit_us, &p), 0);
	ck_assert_uint_eq(programs.count, 1);
	ev_run(loop, 0);
	ck_assert_uint_eq(ends, 1);
	ck_assert_uint_eq(freed, 1);
	ck_assert_uint_eq(programs.count, 0);
}

static const struct {
	const char *what, *text;
	uint64_t limit_us;
	enum program_outcome outcome;
	int code;
	const char *line;
} endings[] = {
	{ "accepts", "exit 0", LONG_US, PROGRAM_EXITED, 0, "" },
	{ "refuses, and says why", "echo not this one >&2; echo more >&2; exit 3", LONG_US, PROGRAM_EXITED, 3,
	  "not this one" },
	{ "crashes", "kill -SEGV $$", LONG_US, PROGRAM_SIGNALLED, SIGSEGV, "" },
	{ "crashes after a word", "echo oh >&2; kill -9 $$", LONG_US, PROGRAM_SIGNALLED, SIGKILL, "oh" },
	{ "hangs", "echo thinking >&2; exec sleep 60", WORD_US, PROGRAM_LATE, SIGKILL, "thinking" },
	{ "hangs and wants to live", "trap '' TERM INT HUP; sleep 60; sleep 60", 200 * US_PER_MS,
	  PROGRAM_LATE, SIGKILL, "" },
	{ "floods its standard error", "echo first >&2; yes >&2", WORD_US, PROGRAM_LATE, SIGKILL,
	  "first" },
	{ "floods its standard output", "head -c 3000000 /dev/zero; exit 5", LONG_US, PROGRAM_EXITED, 5, "" },
	{ "writes what a terminal would obey", "printf '\\n\\r\\n\\033[2Jred\\tand \\377\\001 \\n' >&2; exit 1",
	  LONG_US, PROGRAM_EXITED, 1, "?[2Jred and ?? " },
	{ "ends without an end of line", "printf half >&2; exit 1", LONG_US, PROGRAM_EXITED, 1, "half" },
	{ "closes its standard error", "exec 2>&-; sleep 0.1; exit 4", LONG_US, PROGRAM_EXITED, 4, "" },
	{ "reads the file", "read x; test \"$x\" = 'what it reads'; exit $?", LONG_US, PROGRAM_EXITED, 0, "" },
	{ "gets it as an argument, and no other", "test $# = 1 && grep -q reads \"$1\"", LONG_US,
	  PROGRAM_EXITED, 0, "" },
	{ "sees our words, and no others", "test \"$WORD\" = 'of ours' && test -z \"$HOME$USER$CK_FORK\"",
	  LONG_US, PROGRAM_EXITED, 0, "" },
	{ "has no descriptor of ours", "ls /proc/self/fd | tr '\\n' ' ' >&2; exit 1", LONG_US, PROGRAM_EXITED, 1,
	  "0 1 2 3 " },		/* 3 is that of ls itself */
	{ "may be told to end", "trap 'exit 7' TERM; kill -TERM $$; exit 1", LONG_US, PROGRAM_EXITED, 7, "" },
	{ "leaves a child", "sleep 60 & exit 0", LONG_US, PROGRAM_EXITED, 0, "" },
};

START_TEST(program_ends)
{
	run(endings[_i].text, endings[_i].limit_us);
	ck_assert_msg(last.outcome == endings[_i].outcome, "%s: outcome %d, %s", endings[_i].what,
		      (int)last.outcome, last_line);
	ck_assert_msg(last.code == endings[_i].code, "%s: code %d", endings[_i].what, last.code);
	ck_assert_msg(strcmp(last_line, endings[_i].line) == 0, "%s: '%s'", endings[_i].what, last_line);
}
END_TEST

START_TEST(long_line_is_cut)
{
	run("head -c 5000 /dev/zero | tr '\\0' x >&2; exit 1", LONG_US);
	ck_assert_uint_eq(strlen(last_line), PROGRAM_LINE_MAX - 1);
	ck_assert_uint_eq(strspn(last_line, "x"), PROGRAM_LINE_MAX - 1);
}
END_TEST

static bool is_alive(const char *pid_file)
{
	FILE *f = fopen(pid_file, "r");
	int pid = 0;

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%d", &pid), 1);
	fclose(f);
	return kill(pid, 0) == 0;
}

/* Whose parent is gone is reaped by init, which may take a moment; or has no init, and is a zombie. */
static bool is_running(const char *pid_file)
{
	char command[200];

	snprintf(command, sizeof(command), "! grep -q '^State:.Z' /proc/$(cat %s)/status 2>/dev/null",
		 pid_file);
	for (int i = 0; i < 500 && is_alive(pid_file) && system(command) == 0; i++)
		usleep(10000);
	return is_alive(pid_file) && system(command) == 0;
}

START_TEST(what_a_program_leaves_behind_is_killed)
{
	char pid_file[sizeof(folder) + 8], text[sizeof(pid_file) + 64];

	snprintf(pid_file, sizeof(pid_file), "%s/pid", folder);
	snprintf(text, sizeof(text), "sleep 60 & echo $! > %s; exit 0", pid_file);
	run(text, LONG_US);
	ck_assert(!is_running(pid_file));
}
END_TEST

START_TEST(abandoned_program_is_killed_and_says_nothing)
{
	struct program *p;

	given_script("exec sleep 60");
	ck_assert_int_eq(start(LONG_US, &p), 0);
	program_abandon(p);
	program_abandon(NULL);
	ck_assert_uint_eq(programs.count, 1);
	ev_run(loop, 0);
	ck_assert_uint_eq(ends, 0);
	ck_assert_uint_eq(freed, 1);
	ck_assert_uint_eq(programs.count, 0);
}
END_TEST

START_TEST(those_that_run_at_the_end_are_killed)
{
	struct program *p;

	given_script("exec sleep 60");
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(start(LONG_US, &p), 0);
	programs_fini(&programs);
	ck_assert_uint_eq(programs.count, 0);
	ck_assert_uint_eq(ends, 0);
}
END_TEST

START_TEST(what_cannot_be_run_says_so)
{
	struct program *p;

	ck_assert_int_eq(start(LONG_US, &p), -ENOENT);
	write_file(script, "no program\n", 0700);
	ck_assert_int_eq(start(LONG_US, &p), -ENOEXEC);
	given_script("exit 0");
	unlink(input);
	ck_assert_int_eq(start(LONG_US, &p), -ENOENT);
	ck_assert_uint_eq(programs.count, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("program");
	TCase *tc = tcase_create("program");
	SRunner *runner = srunner_create(s);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, program_ends, 0, COUNT(endings));
	tcase_add_test(tc, long_line_is_cut);
	tcase_add_test(tc, what_a_program_leaves_behind_is_killed);
	tcase_add_test(tc, abandoned_program_is_killed_and_says_nothing);
	tcase_add_test(tc, those_that_run_at_the_end_are_killed);
	tcase_add_test(tc, what_cannot_be_run_says_so);
	suite_add_tcase(s, tc);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);

	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
