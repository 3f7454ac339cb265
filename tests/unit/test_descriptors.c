/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "proxy/descriptors.h"

enum { PLENTY = 1000000 };

static struct conf conf;
static struct conf_pool pool;

static void setup(void)
{
	pool = (struct conf_pool){ .target_count = 3 };
	conf = (struct conf){ .workers = 2, .tcp_connections = 4096, .listen_count = 2, .pools = &pool,
			      .pool_count = 1 };
}

START_TEST(each_worker_may_have_its_clients)
{
	uint64_t wanted = descriptors_wanted(&conf);

	ck_assert_uint_gt(wanted, 2 * 4096);
	conf.tcp_connections++;
	ck_assert_uint_eq(descriptors_wanted(&conf), wanted + 2);
	pool.target_count++;
	ck_assert_uint_gt(descriptors_wanted(&conf), wanted + 2);
}
END_TEST

START_TEST(all_clients_fit_what_is_wanted)
{
	uint64_t wanted = descriptors_wanted(&conf);

	ck_assert_uint_eq(descriptors_clients(&conf, wanted), 4096);
	ck_assert_uint_eq(descriptors_clients(&conf, PLENTY), 4096);
	ck_assert_uint_eq(descriptors_clients(&conf, RLIM_INFINITY), 4096);
}
END_TEST

/* The rest keeps what it may need. */
START_TEST(clients_are_fewer_where_there_are_fewer)
{
	uint64_t wanted = descriptors_wanted(&conf);

	ck_assert_uint_eq(descriptors_clients(&conf, wanted - 2), 4095);
	ck_assert_uint_eq(descriptors_clients(&conf, wanted - 2 * 3000), 4096 - 3000);
}
END_TEST

START_TEST(some_clients_are_taken_however_few_there_are)
{
	ck_assert_uint_eq(descriptors_clients(&conf, 256), 256 / 4 / 2);
	ck_assert_uint_eq(descriptors_clients(&conf, 0), 1);
}
END_TEST

static struct rlimit now(void)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	return limit;
}

START_TEST(soft_limit_is_raised_to_the_hard_one)
{
	struct rlimit limit = { 64, 200 };

	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_uint_eq(descriptors_raise(100), 200);
	ck_assert_uint_eq(now().rlim_cur, 200);
	ck_assert_uint_eq(now().rlim_max, 200);
}
END_TEST

/* Who may raise the hard limit has all that is wanted; whoever may not, all that there is. */
START_TEST(hard_limit_is_raised_or_used_up)
{
	struct rlimit limit = { 64, 200 };
	uint64_t got;

	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	got = descriptors_raise(300);
	ck_assert(got == 300 || got == 200);
	ck_assert_uint_eq(now().rlim_cur, got);
	ck_assert_uint_eq(now().rlim_max, got);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("descriptors");
	TCase *tc = tcase_create("limits");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, each_worker_may_have_its_clients);
	tcase_add_test(tc, all_clients_fit_what_is_wanted);
	tcase_add_test(tc, clients_are_fewer_where_there_are_fewer);
	tcase_add_test(tc, some_clients_are_taken_however_few_there_are);
	tcase_add_test(tc, soft_limit_is_raised_to_the_hard_one);
	tcase_add_test(tc, hard_limit_is_raised_or_used_up);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
