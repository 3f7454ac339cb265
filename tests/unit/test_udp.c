/* SPDX-License-Identifier: ISC */
/* udp: whose client a query is that came past the sockets. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>

#include "proxy/udp.h"

enum { INTERFACE = 7 };

static struct ev_loop *loop;
static struct dispatch dispatch;
static struct stats stats;
static struct udp *udp;
static uint16_t port;

static void flush(void *arg)
{
	(void)arg;
}

/* Of the first one the kernel chooses the port; all have the same. */
static struct address start(const char *text)
{
	struct address a;
	int fd;

	ck_assert(address_from_text(text, 1, &a));
	address_set_port(&a, port);
	fd = udp_bind(&a);
	ck_assert_int_ge(fd, 0);
	a.len = sizeof(a.storage);
	getsockname(fd, (struct sockaddr *)&a.storage, &a.len);
	port = address_port(&a);
	udp_start(udp, fd, &a);
	return a;
}

static bool is_adopted(const char *asked, uint16_t at, struct client *c)
{
	struct in6_addr address = { 0 };
	bool is_v6 = strchr(asked, ':') != NULL;

	inet_pton(is_v6 ? AF_INET6 : AF_INET, asked, &address);
	*c = (struct client){ .address.sa.sa_family = is_v6 ? AF_INET6 : AF_INET };
	return udp_adopt(udp, &address, at, INTERFACE, c);
}

static void setup(void)
{
	loop = ev_loop_new(EVFLAG_AUTO);
	dispatch = (struct dispatch){ .stats = &stats, .now_us = 1 };
	udp = udp_new(loop, &dispatch, flush, NULL);
	port = 0;
}

static void teardown(void)
{
	udp_free(udp);
	ev_loop_destroy(loop);
}

START_TEST(client_is_the_nearest_listeners)
{
	struct client all, one;

	start("127.0.0.1");
	start("0.0.0.0");
	ck_assert(is_adopted("127.0.0.1", port, &one));
	ck_assert_uint_eq(one.interface, 0);
	ck_assert(is_adopted("127.0.0.2", port, &all));
	ck_assert_uint_ne(all.listener, one.listener);
	ck_assert_uint_eq(all.interface, INTERFACE);
	ck_assert_int_eq(memcmp(&all.local, "\x7f\0\0\2", 4), 0);
}
END_TEST

START_TEST(nobody_listens_there)
{
	struct client c;

	start("127.0.0.1");
	ck_assert(!is_adopted("127.0.0.2", port, &c));
	ck_assert(!is_adopted("127.0.0.1", port ^ 1, &c));
	ck_assert(!is_adopted("7f00:1::", port, &c));
}
END_TEST

/* Frames were on their way when a reload took the address: they were dropped. */
START_TEST(stopped_listener_has_clients_until_it_is_closed)
{
	struct address old = start("127.0.0.1");
	struct client c, later;

	udp_stop(udp, &old);
	ck_assert(is_adopted("127.0.0.1", port, &c));

	start("0.0.0.0");		/* one that listens is better */
	ck_assert(is_adopted("127.0.0.1", port, &later));
	ck_assert_uint_ne(later.listener, c.listener);

	dispatch.now_us += 10000000;
	udp_sweep(udp);
	ck_assert(is_adopted("127.0.0.1", port, &later));
	ck_assert_uint_ne(later.listener, c.listener);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("udp");
	TCase *tc = tcase_create("adopted");

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, client_is_the_nearest_listeners);
	tcase_add_test(tc, nobody_listens_there);
	tcase_add_test(tc, stopped_listener_has_clients_until_it_is_closed);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
