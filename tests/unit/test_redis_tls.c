/* SPDX-License-Identifier: ISC */
/*
 * A server of OpenSSL's own in the place of Redis, at the other end of a pair of sockets. What
 * happens between two system calls of redis_tls happens in the write(2) of this program.
 */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>

#include "cache/redis_tls.h"
#include "tests/temporary.h"
#include "tests/unit/certificate.h"

#define NAME "redis.example.com"

static char path[128];
static SSL_CTX *context;
static SSL *server;
static int fds[2];		/* of hiredis; of the server */
static struct ev_loop *loop;
static ev_io readable;
static char why[REDIS_TLS_REASON_MAX];
static void (*before_write)(void);

/* OpenSSL's as well: it calls the program's own where there is one. */
ssize_t write(int fd, const void *bytes, size_t len)
{
	void (*call)(void) = before_write;

	before_write = NULL;
	if (call)
		call();
	return syscall(SYS_write, fd, bytes, len);
}

static void on_readable(struct ev_loop *l, ev_io *w, int revents)
{
	(void)l;
	(void)w;
	(void)revents;
	SSL_do_handshake(server);
}

static void setup(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = certificate_new(key, NAME);

	signal(SIGPIPE, SIG_IGN);	/* as the program does */
	close(mkstemp(temporary_path(path, sizeof(path), "test_redis_tls")));
	certificate_write(cert, path);
	context = SSL_CTX_new(TLS_server_method());
	SSL_CTX_use_certificate(context, cert);
	SSL_CTX_use_PrivateKey(context, key);
	X509_free(cert);
	EVP_PKEY_free(key);
	server = SSL_new(context);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	SSL_set_fd(server, fds[1]);
	SSL_set_accept_state(server);
	loop = ev_loop_new(EVFLAG_AUTO);
	ev_io_init(&readable, on_readable, fds[1], EV_READ);
	ev_io_start(loop, &readable);
}

static void teardown(void)
{
	SSL_free(server);
	SSL_CTX_free(context);
	close(fds[0]);
	if (fds[1] >= 0)
		close(fds[1]);
	ev_loop_destroy(loop);
	unlink(path);
}

/* ---- What it says before it leaves ---- */

static void refuse(void)
{
	ck_assert_int_ne(SSL_do_handshake(server), 1);
	ERR_clear_error();	/* both ends have one list of errors, that of the thread */
	close(fds[1]);
	fds[1] = -1;
}

static void on_change(bool is_ready, const char *reason, void *arg)
{
	(void)arg;
	if (is_ready) {
		ev_io_stop(loop, &readable);	/* it sees our certificate, or none, when we write */
		ck_assert_int_eq(send(fds[0], "PING\r\n", 6, 0), 6);
		before_write = refuse;
	} else {
		snprintf(why, sizeof(why), "%s", reason);
		ev_break(loop, EVBREAK_ALL);
	}
}

START_TEST(alert_of_redis_that_is_gone_is_heard_when_a_write_fails)
{
	struct redis_tls_conf conf = { .is_on = true, .name = NAME };

	snprintf(conf.ca, sizeof(conf.ca), "%s", path);
	SSL_set_verify(server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	struct redis_tls *t = redis_tls_new(loop, &conf, "127.0.0.1", fds[0], on_change, NULL, why);

	ck_assert_msg(t, "%s", why);
	ev_run(loop, 0);
	redis_tls_free(t);
	ck_assert_msg(strstr(why, "certificate required"), "%s", why);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("redis_tls");
	TCase *tc = tcase_create("redis_tls");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, alert_of_redis_that_is_gone_is_heard_when_a_write_fails);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);

	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);

	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
