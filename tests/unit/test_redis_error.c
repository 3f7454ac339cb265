/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cache/redis_error.h"

static const struct {
	const char *text;
	enum redis_error is;
	bool has_mend;
} cases[] = {
	{ "OOM command not allowed when used memory > 'maxmemory'.", REDIS_ERROR_REFUSES, true },
	{ "MISCONF Redis is configured to save RDB snapshots", REDIS_ERROR_REFUSES, true },
	{ "READONLY You can't write against a read only replica.", REDIS_ERROR_REFUSES, true },
	{ "EXECABORT Transaction discarded because of: OOM x", REDIS_ERROR_REFUSES, true },
	{ "EXECABORT Transaction discarded because of: NOPERM x", REDIS_ERROR_DENIES, true },
	{ "EXECABORT Transaction discarded because of previous errors.", REDIS_ERROR_OTHER, false },
	{ "NOPERM this user has no permissions", REDIS_ERROR_DENIES, true },
	{ "NOAUTH Authentication required.", REDIS_ERROR_DENIES, true },
	{ "WRONGTYPE Operation against a key", REDIS_ERROR_OTHER, false },
	{ "MOVED 866 192.0.2.1:6379", REDIS_ERROR_REFUSES, true },
	{ "MOVEDON", REDIS_ERROR_OTHER, false },
	{ "OOM", REDIS_ERROR_OTHER, false },
	{ "", REDIS_ERROR_OTHER, false },
	{ "Connection refused", REDIS_ERROR_OTHER, true },
	{ "Redis does not take our AUTH", REDIS_ERROR_OTHER, true },
	{ "Redis did not reply in time", REDIS_ERROR_OTHER, true },
};

START_TEST(errors_are_told_apart)
{
	ck_assert_msg(redis_error_of(cases[_i].text) == cases[_i].is, "%s", cases[_i].text);
	ck_assert_msg((redis_error_mend(cases[_i].text) != NULL) == cases[_i].has_mend, "%s",
		      cases[_i].text);
}
END_TEST

START_TEST(only_a_replica_says_that_it_is_one)
{
	ck_assert(redis_error_is_demotion("READONLY You can't write"));
	ck_assert(redis_error_is_demotion("MASTERDOWN Link with MASTER is down"));
	ck_assert(redis_error_is_demotion("EXECABORT Transaction discarded because of: READONLY You"));
	ck_assert(!redis_error_is_demotion("MISCONF no"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("redis error");
	TCase *tc = tcase_create("errors");

	tcase_add_loop_test(tc, errors_are_told_apart, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(tc, only_a_replica_says_that_it_is_one);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
