/* SPDX-License-Identifier: ISC */
/* A Redis of a few lines lives on the same loop, so that every test is one thread. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "cache/redis.h"
#include "tests/temporary.h"

enum { COMMAND_MS = 150, PATIENT_MS = 60000, QUEUE_MAX = 10000 };

/* The clock on the wall is set; libev hears of it from here. */
static time_t wall_shift;

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
	long error = syscall(SYS_gettimeofday, t, zone);

	t->tv_sec += wall_shift;
	return (int)error;
}

static struct ev_loop *loop;
static char folder[100];		/* with "/s" an address of a socket */
static struct sockaddr_un where;
static struct redis *redis;

/* ---- The other end ---- */

static struct {
	int listener, connection;
	ev_io accepting, reading;
	unsigned accepted;
	char heard[65536];	/* all that was sent on this connection */
	size_t heard_len;
	const char *reply;	/* to each command but PING; NULL: silence */
	unsigned pings_busy;	/* so many PINGs are answered with LOADING */
} server;

static void say(const char *text)
{
	ck_assert_int_eq(write(server.connection, text, strlen(text)), (ssize_t)strlen(text));
}

static void hang_up(void)
{
	if (server.connection < 0)
		return;
	ev_io_stop(loop, &server.reading);
	close(server.connection);
	server.connection = -1;
}

/* A command of ours comes in one piece here; arrays of one: "*1\r\n$4\r\nPING\r\n". */
static void answer_all(const char *at)
{
	while ((at = strchr(at, '*'))) {
		if (strncmp(at, "*1\r\n$4\r\nPING", 12) == 0) {
			say(server.pings_busy > 0 ? "-LOADING data\r\n" : "+PONG\r\n");
			server.pings_busy -= server.pings_busy > 0;
		} else if (server.reply) {
			say(server.reply);
		}
		at++;
	}
}

static void on_server_readable(struct ev_loop *l, ev_io *w, int revents)
{
	char *at = server.heard + server.heard_len;
	ssize_t n = read(w->fd, at, sizeof(server.heard) - server.heard_len - 1);

	(void)l;
	(void)revents;
	if (n <= 0) {
		hang_up();
		return;
	}
	server.heard_len += (size_t)n;
	at[n] = '\0';
	answer_all(at);
}

static void on_server_accept(struct ev_loop *l, ev_io *w, int revents)
{
	(void)revents;
	hang_up();
	server.connection = accept(w->fd, NULL, NULL);
	ck_assert_int_ge(server.connection, 0);
	server.accepted++;
	server.heard_len = 0;
	ev_io_init(&server.reading, on_server_readable, server.connection, EV_READ);
	ev_io_start(l, &server.reading);
}

static void server_start(void)
{
	unlink(where.sun_path);
	server.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(bind(server.listener, (struct sockaddr *)&where, sizeof(where)), 0);
	ck_assert_int_eq(listen(server.listener, 8), 0);
	ev_io_init(&server.accepting, on_server_accept, server.listener, EV_READ);
	ev_io_start(loop, &server.accepting);
}

static void server_stop(void)
{
	hang_up();
	ev_io_stop(loop, &server.accepting);
	close(server.listener);
	unlink(where.sun_path);
}

/* ---- Our end ---- */

static struct {
	unsigned ups, downs, replies, losses;
	bool is_inside;		/* a call of ours is on the stack: no callback may come */
	char reason[200];
	char last[200];		/* the last reply's text */
} seen;

static void on_state(bool up, const char *reason, void *arg)
{
	(void)arg;
	ck_assert(!seen.is_inside);
	ck_assert_int_eq(up, reason == NULL);
	seen.ups += up;
	seen.downs += !up;
	snprintf(seen.reason, sizeof(seen.reason), "%s", reason ? reason : "");
}

static void on_reply(const redisReply *reply, void *arg)
{
	unsigned *count = arg;

	ck_assert(!seen.is_inside);
	if (count)
		++*count;
	seen.replies += reply != NULL;
	seen.losses += reply == NULL;
	if (reply)
		snprintf(seen.last, sizeof(seen.last), "%s", reply->str ? reply->str : "");
}

static void send_to(const char *word, const char *argument, redis_reply_fn done, void *arg)
{
	const char *argv[] = { word, argument };
	size_t len[] = { strlen(word), strlen(argument) };

	seen.is_inside = true;
	redis_command(redis, 2, argv, len, done, arg);
	seen.is_inside = false;
}

#define TURN_S	0.005
#define LONG_S	2.

/* Of some milliseconds each; while we are held up there is none. */
static unsigned turns;

static void on_turn(struct ev_loop *l, ev_timer *w, int revents)
{
	(void)l;
	(void)w;
	(void)revents;
	turns++;
}

/* Turns the loop until `*value` has come to `least`, or so much time has gone. */
static bool run_until_or(const unsigned *value, unsigned least, double seconds)
{
	ev_timer turn;

	turns = 0;
	ev_timer_init(&turn, on_turn, TURN_S, TURN_S);
	ev_now_update(loop);
	ev_timer_start(loop, &turn);
	while (*value < least && turns * TURN_S < seconds)
		ev_run(loop, EVRUN_ONCE);
	ev_timer_stop(loop, &turn);
	return *value >= least;
}

static bool run_until(const unsigned *value, unsigned least)
{
	return run_until_or(value, least, LONG_S);
}

static void run_for(double seconds)
{
	static const unsigned nothing;

	run_until_or(&nothing, 1, seconds);
}

static struct redis_conf conf(void)
{
	struct redis_conf c = { .connect_ms = 300, .command_ms = COMMAND_MS, .queue_max = QUEUE_MAX };

	memcpy(&c.address.storage, &where, sizeof(where));
	c.address.len = sizeof(where);
	return c;
}

static void given_redis(const struct redis_conf *c)
{
	redis = redis_new(loop, c, on_state, NULL);
	seen.is_inside = true;
	redis_start(redis);
	seen.is_inside = false;
}

static void given_up_within(unsigned command_ms)
{
	struct redis_conf c = conf();

	c.command_ms = command_ms;
	given_redis(&c);
	ck_assert(run_until(&seen.ups, 1));
	ck_assert(redis_is_up(redis));
}

static void given_up(void)
{
	given_up_within(COMMAND_MS);
}

/* For what is lost, but not because it took too long: turns do on a busy machine. */
static void given_up_and_patient(void)
{
	given_up_within(PATIENT_MS);
}

static void setup(void)
{
	signal(SIGPIPE, SIG_IGN);
	memset(&seen, 0, sizeof(seen));
	memset(&server, 0, sizeof(server));
	wall_shift = 0;
	server.connection = -1;
	server.reply = "+OK\r\n";
	loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	ck_assert_ptr_nonnull(mkdtemp(temporary_path(folder, sizeof(folder), "test_redis")));
	where.sun_family = AF_UNIX;
	snprintf(where.sun_path, sizeof(where.sun_path), "%s/s", folder);
	server_start();
}

static void teardown(void)
{
	redis_free(redis);
	redis = NULL;
	server_stop();
	rmdir(folder);
	ev_loop_destroy(loop);
}

START_TEST(command_gets_its_reply)
{
	unsigned count = 0;

	given_up();
	send_to("GET", "x", on_reply, &count);
	ck_assert_uint_gt(redis_queued(redis), 0);
	ck_assert(run_until(&count, 1));
	ck_assert_str_eq(seen.last, "OK");
	ck_assert_uint_eq(redis_queued(redis), 0);
}
END_TEST

START_TEST(greeting_is_auth_select_ping)
{
	struct redis_conf c = conf();

	snprintf(c.username, sizeof(c.username), "me");
	snprintf(c.password, sizeof(c.password), "pw");
	c.database = 3;
	given_redis(&c);
	ck_assert(run_until(&seen.ups, 1));
	ck_assert_str_eq(server.heard, "*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$2\r\npw\r\n"
				       "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n*1\r\n$4\r\nPING\r\n");
}
END_TEST

START_TEST(refused_login_is_not_up)
{
	struct redis_conf c = conf();

	snprintf(c.password, sizeof(c.password), "pw");
	server.reply = "-WRONGPASS invalid\r\n";
	given_redis(&c);
	ck_assert(run_until(&server.accepted, 3));
	ck_assert_uint_eq(seen.ups, 0);
	ck_assert_uint_eq(seen.downs, 1);	/* the same reason is said once */
	ck_assert_str_eq(seen.reason, "WRONGPASS invalid");
}
END_TEST

/* As Redis says it where AUTH was renamed; the long form is of others. */
static const char *const telling[] = {
	"-ERR unknown command 'AUTH', with args beginning with: 'open sesa\r\n",
	"-WRONG me open sesame\r\n",
};

START_TEST(password_that_comes_back_is_not_told)
{
	struct redis_conf c = conf();

	snprintf(c.username, sizeof(c.username), "me");
	snprintf(c.password, sizeof(c.password), "open sesame");
	server.reply = telling[_i];
	given_redis(&c);
	ck_assert(run_until(&seen.downs, 1));
	ck_assert_ptr_null(strstr(seen.reason, "sesa"));
	ck_assert_str_eq(seen.reason, "Redis does not take our AUTH");
}
END_TEST

START_TEST(loading_is_not_up_yet)
{
	struct redis_conf c = conf();

	server.pings_busy = 2;
	given_redis(&c);
	ck_assert(run_until(&seen.downs, 1));
	ck_assert_str_eq(seen.reason, "LOADING data");
	ck_assert(run_until(&seen.ups, 1));
	ck_assert_uint_eq(server.accepted, 1);
}
END_TEST

START_TEST(command_without_a_connection_is_called_back_from_the_loop)
{
	struct redis_conf c = conf();
	unsigned count = 0;

	redis = redis_new(loop, &c, on_state, NULL);
	send_to("GET", "x", on_reply, &count);
	ck_assert_uint_eq(count, 0);
	ck_assert(run_until(&count, 1));
	ck_assert_uint_eq(seen.losses, 1);
}
END_TEST

START_TEST(full_queue_refuses_and_the_rest_goes_on)
{
	static char large[QUEUE_MAX];
	unsigned small = 0, refused = 0;

	memset(large, 'x', sizeof(large) - 1);
	given_up();
	send_to("SET", "x", on_reply, &small);
	send_to("SET", large, on_reply, &refused);
	ck_assert(run_until(&refused, 1));
	ck_assert_uint_eq(seen.losses, 1);
	ck_assert(run_until(&small, 1));
	ck_assert_uint_eq(seen.replies, 1);
	ck_assert_uint_eq(seen.downs, 0);
}
END_TEST

/* What lies between MULTI and EXEC is of no use in part. */
static void send_transaction(const char *value)
{
	send_to("MULTI", "", on_reply, NULL);
	send_to("SET", value, on_reply, NULL);
	send_to("HSET", "x", on_reply, NULL);
	send_to("EXEC", "", on_reply, NULL);
}

START_TEST(transaction_goes_as_a_whole_or_not_at_all)
{
	char big[QUEUE_MAX + 1];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	given_up_and_patient();
	server.reply = NULL;
	send_transaction(big);		/* more than the queue may hold, and the queue was empty */
	send_transaction("later");	/* the queue is full */
	send_to("GET", "x", on_reply, NULL);
	run_for(0.05);
	ck_assert_uint_eq(seen.losses, 5);
	ck_assert_ptr_nonnull(strstr(server.heard, "\r\nxxx"));
	ck_assert_ptr_nonnull(strstr(server.heard, "\r\nEXEC\r\n"));
	ck_assert_ptr_null(strstr(server.heard, "later"));
	ck_assert_ptr_null(strstr(strstr(server.heard, "\r\nEXEC\r\n") + 1, "HSET"));
}
END_TEST

START_TEST(silence_ends_in_a_loss_and_a_new_connection)
{
	unsigned counts[3] = { 0 };

	given_up();
	server.reply = NULL;
	for (int i = 0; i < 3; i++)
		send_to("GET", "x", on_reply, &counts[i]);
	ck_assert(run_until(&seen.downs, 1));
	ck_assert_str_eq(seen.reason, "Redis did not reply in time");
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(counts[i], 1);
	ck_assert(run_until(&seen.ups, 2));
	ck_assert_uint_eq(server.accepted, 2);
	run_for(0.05);
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(counts[i], 1);
}
END_TEST

START_TEST(clock_that_is_set_back_puts_off_no_deadline)
{
	unsigned count = 0;

	given_up_within(1200);		/* libev looks each half second */
	server.reply = NULL;
	send_to("GET", "x", on_reply, &count);
	run_for(0.02);
	wall_shift = -3600;
	for (int i = 0; i < 10 && seen.downs == 0; i++)
		run_until(&seen.downs, 1);
	ck_assert_str_eq(seen.reason, "Redis did not reply in time");
	ck_assert_uint_eq(count, 1);
}
END_TEST

START_TEST(deadline_is_that_of_the_oldest)
{
	unsigned first = 0, second = 0;
	double begin;

	given_up();
	server.reply = NULL;
	ev_now_update(loop);
	begin = ev_time();
	send_to("GET", "x", on_reply, &first);
	run_for(COMMAND_MS / 2e3);
	send_to("GET", "y", on_reply, &second);
	ck_assert(run_until(&first, 1));
	ck_assert_double_ge(ev_time() - begin, COMMAND_MS / 1e3 * 0.9);
	if (ev_time() - begin > COMMAND_MS / 2e3 + turns * TURN_S + 0.02)
		return;		/* held up: then Redis is given some time more */
	ck_assert_double_le(turns * TURN_S, COMMAND_MS / 2e3 + 0.05);
}
END_TEST

START_TEST(deadline_of_an_answered_command_is_not_held_against_the_next)
{
	unsigned first = 0, second = 0;
	double sent;

	given_up();
	send_to("GET", "x", on_reply, &first);
	ck_assert(run_until(&first, 1));
	run_for(COMMAND_MS / 1.5e3);
	server.reply = NULL;
	sent = ev_time();
	send_to("GET", "y", on_reply, &second);
	run_for(COMMAND_MS / 1.5e3);
	ck_assert(second == 0 || ev_time() - sent > COMMAND_MS / 1e3);
	ck_assert(run_until(&second, 1));
	ck_assert_uint_eq(seen.losses, 1);
}
END_TEST

/* The loop itself was held up for longer than the deadline: Redis is not to blame. */
START_TEST(stall_of_the_loop_is_not_held_against_redis)
{
	struct timespec long_time = { .tv_nsec = 400 * 1000 * 1000 };
	unsigned count = 0;

	given_up();
	send_to("GET", "x", on_reply, &count);
	nanosleep(&long_time, NULL);
	ck_assert(run_until(&count, 1));
	ck_assert_uint_eq(seen.replies, 1);
	ck_assert_uint_eq(seen.downs, 0);
}
END_TEST

START_TEST(lost_connection_calls_back_once_and_comes_again)
{
	unsigned count = 0;

	given_up_and_patient();
	server.reply = NULL;
	send_to("GET", "x", on_reply, &count);
	run_for(0.03);
	hang_up();
	ck_assert(run_until(&count, 1));
	ck_assert_uint_eq(seen.losses, 1);
	ck_assert_uint_eq(seen.downs, 1);
	ck_assert(run_until(&seen.ups, 2));
	ck_assert_uint_eq(count, 1);
}
END_TEST

static unsigned again;

static void on_loss_send_again(const redisReply *reply, void *arg)
{
	const char *argv[] = { "GET", "y" };
	size_t len[] = { 3, 1 };

	(void)arg;
	ck_assert_ptr_null(reply);
	ck_assert(!redis_is_up(redis));
	redis_command(redis, 2, argv, len, on_reply, &again);
	ck_assert_uint_eq(again, 0);
}

START_TEST(callback_of_a_loss_may_send)
{
	given_up_and_patient();
	server.reply = NULL;
	again = 0;
	send_to("GET", "x", on_loss_send_again, NULL);
	run_for(0.03);
	hang_up();
	ck_assert(run_until(&again, 1));
	ck_assert_uint_eq(seen.losses, 1);
}
END_TEST

START_TEST(free_calls_back_what_is_outstanding)
{
	unsigned sent = 0, refused = 0;
	static char large[QUEUE_MAX];

	given_up();
	server.reply = NULL;
	memset(large, 'x', sizeof(large) - 1);
	send_to("GET", "x", on_reply, &sent);
	send_to("GET", large, on_reply, &refused);
	redis_free(redis);
	redis = NULL;
	ck_assert_uint_eq(sent, 1);
	ck_assert_uint_eq(refused, 1);
	ck_assert_uint_eq(seen.losses, 2);
	ck_assert_uint_eq(seen.downs, 0);	/* whoever frees it knows */
}
END_TEST

START_TEST(free_while_connecting_is_fine)
{
	struct redis_conf c = conf();

	given_redis(&c);
	ev_run(loop, EVRUN_NOWAIT);
}
END_TEST

START_TEST(absent_server_is_told_once_and_tried_on)
{
	struct redis_conf c = conf();

	server_stop();
	given_redis(&c);
	ck_assert(run_until(&seen.downs, 1));
	run_for(0.3);
	ck_assert_uint_eq(seen.downs, 1);
	server_start();
	ck_assert(run_until(&seen.ups, 1));
}
END_TEST

START_TEST(server_that_accepts_and_hangs_up_is_not_stormed)
{
	struct redis_conf c = conf();

	double begin = ev_time();

	given_redis(&c);
	for (unsigned i = 0; i < 200; i++, hang_up())
		run_for(TURN_S);
	ck_assert_uint_ge(server.accepted, 3);
	ck_assert_double_le(server.accepted, 7 + (ev_time() - begin));	/* 50, 100, 200, 400 ms, and jitter */
}
END_TEST

int main(void)
{
	Suite *s = suite_create("redis");
	TCase *tc = tcase_create("connection");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, command_gets_its_reply);
	tcase_add_test(tc, greeting_is_auth_select_ping);
	tcase_add_test(tc, refused_login_is_not_up);
	tcase_add_loop_test(tc, password_that_comes_back_is_not_told, 0, 2);
	tcase_add_test(tc, loading_is_not_up_yet);
	tcase_add_test(tc, command_without_a_connection_is_called_back_from_the_loop);
	tcase_add_test(tc, full_queue_refuses_and_the_rest_goes_on);
	tcase_add_test(tc, transaction_goes_as_a_whole_or_not_at_all);
	tcase_add_test(tc, silence_ends_in_a_loss_and_a_new_connection);
	tcase_add_test(tc, clock_that_is_set_back_puts_off_no_deadline);
	tcase_add_test(tc, deadline_is_that_of_the_oldest);
	tcase_add_test(tc, deadline_of_an_answered_command_is_not_held_against_the_next);
	tcase_add_test(tc, stall_of_the_loop_is_not_held_against_redis);
	tcase_add_test(tc, lost_connection_calls_back_once_and_comes_again);
	tcase_add_test(tc, callback_of_a_loss_may_send);
	tcase_add_test(tc, free_calls_back_what_is_outstanding);
	tcase_add_test(tc, free_while_connecting_is_fine);
	tcase_add_test(tc, absent_server_is_told_once_and_tried_on);
	tcase_add_test(tc, server_that_accepts_and_hangs_up_is_not_stormed);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
