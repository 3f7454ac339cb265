/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cache/random.h"

START_TEST(same_seed_gives_the_same_stream)
{
	struct random a, b, c;
	int differences = 0;

	random_init_seeded(&a, 7);
	random_init_seeded(&b, 7);
	random_init_seeded(&c, 8);
	for (int i = 0; i < 1000; i++) {
		uint64_t v = random_u64(&a);

		ck_assert_uint_eq(v, random_u64(&b));
		differences += v != random_u64(&c);
	}
	ck_assert_int_gt(differences, 990);
}
END_TEST

START_TEST(seed_that_wraps_to_zero_stays_reproducible)
{
	struct random a, b;
	uint64_t seed = 0u - 64 * 0x9e3779b97f4a7c15u;	/* 0 when the pool is full */

	random_init_seeded(&a, seed);
	random_init_seeded(&b, seed);
	for (int i = 0; i < 200; i++)
		ck_assert_uint_eq(random_u64(&a), random_u64(&b));
}
END_TEST

START_TEST(two_kernel_streams_differ)
{
	struct random a, b;
	int differences = 0;

	random_init(&a);
	random_init(&b);
	for (int i = 0; i < 100; i++)
		differences += random_u64(&a) != random_u64(&b);
	ck_assert_int_eq(differences, 100);
}
END_TEST

START_TEST(consumed_bytes_are_wiped)
{
	static const uint8_t zero[sizeof(((struct random *)0)->pool)];
	struct random r;

	random_init(&r);
	for (int i = 0; i < 500; i++) {
		random_u16(&r);
		random_u32(&r);
		ck_assert_mem_eq(r.pool, zero, sizeof(r.pool) - r.left);
	}
}
END_TEST

/* Mixed sizes leave odd rests in the pool; no value may come twice out of it. */
START_TEST(refills_repeat_nothing)
{
	struct random r;
	uint64_t last = 0;

	random_init_seeded(&r, 3);
	for (int i = 0; i < 5000; i++) {
		random_u16(&r);
		uint64_t v = random_u64(&r);

		ck_assert_uint_ne(v, last);
		ck_assert_uint_ne(v >> 32, 0);		/* wiped bytes are not given out */
		ck_assert_uint_ne((uint32_t)v, 0);
		last = v;
	}
}
END_TEST

START_TEST(below_is_uniform_and_below)
{
	enum { N = 7, DRAWS = 70000 };
	struct random r;
	unsigned seen[N] = { 0 };

	random_init_seeded(&r, 5);
	for (int i = 0; i < DRAWS; i++) {
		uint32_t v = random_below(&r, N);

		ck_assert_uint_lt(v, N);
		seen[v]++;
	}
	for (int i = 0; i < N; i++) {	/* 5 standard deviations of 93 */
		ck_assert_uint_gt(seen[i], DRAWS / N - 465);
		ck_assert_uint_lt(seen[i], DRAWS / N + 465);
	}
	for (int i = 0; i < 100; i++)
		ck_assert_uint_eq(random_below(&r, 1), 0);
}
END_TEST

START_TEST(below_is_fair_where_a_remainder_would_not_be)
{
	const uint32_t n = 0xc0000000u;	/* 4 draws to 3 results: one comes twice */
	struct random r;
	int thirds = 0;

	random_init_seeded(&r, 6);
	for (int i = 0; i < 30000; i++) {
		uint32_t v = random_below(&r, n);

		ck_assert_uint_lt(v, n);
		thirds += v % 3 == 0;
	}
	ck_assert_int_gt(thirds, 9600);
	ck_assert_int_lt(thirds, 10400);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("random");
	TCase *tc = tcase_create("streams");

	tcase_add_test(tc, same_seed_gives_the_same_stream);
	tcase_add_test(tc, seed_that_wraps_to_zero_stays_reproducible);
	tcase_add_test(tc, two_kernel_streams_differ);
	tcase_add_test(tc, consumed_bytes_are_wiped);
	tcase_add_test(tc, refills_repeat_nothing);
	tcase_add_test(tc, below_is_uniform_and_below);
	tcase_add_test(tc, below_is_fair_where_a_remainder_would_not_be);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
