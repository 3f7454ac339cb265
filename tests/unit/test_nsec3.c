/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#include "cache/name.h"
#include "cache/nsec3.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct nsec3_hasher *hasher;

static void setup(void)
{
	hasher = nsec3_hasher_new();
	nsec3_hasher_begin(hasher, 0);
}

static void teardown(void)
{
	nsec3_hasher_free(hasher);
}

static const struct nsec3_params RFC_PARAMS = { 12, 4, (const uint8_t *)"\xaa\xbb\xcc\xdd" };

/* RFC 5155 appendix A. */
static const struct {
	const char *name, *owner;
} hashes[] = {
	{ "example.", "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example." },
	{ "a.example.", "35mthgpgcu1qg68fab165klnsnk3dpvl.example." },
	{ "AI.Example.", "gjeqe526plbf1g8mklp59enfd789njgi.example." },
	{ "*.w.example.", "r53bq7cc2uvmubfu5ocmm6pers9tk9en.example." },
	{ "x.y.w.example.", "2vptu5timamqttgl4luu9kg21e0aor3s.example." },
	{ "xx.example.", "t644ebqk9bibcna874givr6joj62mlhv.example." },
};

START_TEST(names_hash_as_in_the_rfc)
{
	uint8_t name[NAME_LEN_MAX], origin[NAME_LEN_MAX], owner[NAME_LEN_MAX], hash[20], again[20];
	char text[NAME_TEXT_MAX];

	name_from_text("example.", origin);
	name_from_text(hashes[_i].name, name);
	ck_assert(nsec3_hash(hasher, &RFC_PARAMS, name, hash));
	ck_assert(nsec3_owner_of_hash(hash, origin, owner));
	ck_assert_str_eq(name_to_text(owner, text), hashes[_i].owner);
	ck_assert(nsec3_hash_of_owner(owner, again));
	ck_assert_mem_eq(hash, again, sizeof(hash));
}
END_TEST

/* One block, and more: what SHA-1 makes of name and salt as one message. */
START_TEST(salt_of_any_length_is_hashed)
{
	uint8_t salt[255];
	struct nsec3_params p = { .salt_len = (uint8_t)_i, .salt = salt };
	uint8_t message[8 + 255] = "\6sample", want[NSEC3_HASH_LEN], hash[NSEC3_HASH_LEN];

	memset(salt, 0x5a, sizeof(salt));
	memset(message + 8, 0x5a, 255);
	SHA1(message, 8u + (unsigned)_i, want);
	ck_assert(nsec3_hash(hasher, &p, (const uint8_t *)"\6SAMPLE", hash));
	ck_assert_mem_eq(hash, want, sizeof(want));
}
END_TEST

START_TEST(what_is_no_hash_is_no_owner)
{
	static const char *const owners[] = {
		".", "a.", "0p9mhaveqvm6t7vbl5lop2u3t2rp3to.", "0p9mhaveqvm6t7vbl5lop2u3t2rp3tomm.",
		"0p9mhaveqvm6t7vbl5lop2u3t2rp3tow.", "0p9mhaveqvm6t7vbl5lop2u3t2rp3to-.",
	};
	uint8_t owner[NAME_LEN_MAX], hash[NSEC3_HASH_LEN];

	for (size_t i = 0; i < COUNT(owners); i++) {
		name_from_text(owners[i], owner);
		ck_assert(!nsec3_hash_of_owner(owner, hash));
	}
}
END_TEST

START_TEST(hash_that_makes_the_name_too_long_has_no_owner)
{
	uint8_t hash[NSEC3_HASH_LEN] = { 0 }, origin[NAME_LEN_MAX], owner[NAME_LEN_MAX];

	for (size_t len = 220; len <= 224; len++) {	/* 222 and the hash are 255 */
		size_t at = 0;

		memset(origin, 'a', sizeof(origin));
		for (size_t left = len - 1; left > 0; left -= (size_t)origin[at] + 1, at += origin[at] + 1u)
			origin[at] = (uint8_t)(left > 64 ? 60 : left - 1);
		origin[at] = 0;
		ck_assert_uint_eq(name_len(origin), len);
		ck_assert_int_eq(nsec3_owner_of_hash(hash, origin, owner), len <= 222);
	}
}
END_TEST

static const struct {
	const char *why;
	uint8_t rdata[12];
	uint16_t len;
	bool is_good;
} params[] = {
	{ "plain", { 1, 0, 0, 10, 2, 0xab, 0xcd }, 7, true },
	{ "no salt", { 1, 0, 0, 0, 0 }, 5, true },
	{ "opt-out", { 1, 1, 0, 0, 0 }, 5, true },
	{ "another algorithm", { 2, 0, 0, 0, 0 }, 5, false },
	{ "salt longer than the record", { 1, 0, 0, 0, 3, 1, 2 }, 7, false },
	{ "short", { 1, 0, 0, 0 }, 4, false },
	{ "empty", { 0 }, 0, false },
};

START_TEST(parameters_are_read_or_refused)
{
	struct nsec3_params p;
	uint8_t flags;

	ck_assert_msg(nsec3_params_parse(params[_i].rdata, params[_i].len, &p, &flags) == params[_i].is_good,
		      "%s", params[_i].why);
	if (!params[_i].is_good)
		return;
	ck_assert_uint_eq(p.iterations, params[_i].rdata[3]);
	ck_assert_uint_eq(p.salt_len, params[_i].rdata[4]);
	ck_assert_uint_eq(flags, params[_i].rdata[1]);
	ck_assert(nsec3_params_are_equal(&p, &p));
	ck_assert(!nsec3_params_are_equal(&p, &RFC_PARAMS));
}
END_TEST

START_TEST(parameters_differ_by_each_of_their_parts)
{
	struct nsec3_params p = RFC_PARAMS;

	ck_assert(nsec3_params_are_equal(&p, &RFC_PARAMS));
	p.salt = (const uint8_t *)"\xaa\xbb\xcc\xdc";
	ck_assert(!nsec3_params_are_equal(&p, &RFC_PARAMS));
	p.salt_len = 3;
	ck_assert(!nsec3_params_are_equal(&p, &RFC_PARAMS));
	p = RFC_PARAMS;
	p.iterations++;
	ck_assert(!nsec3_params_are_equal(&p, &RFC_PARAMS));
	nsec3_hasher_free(NULL);
}
END_TEST

START_TEST(next_hash_of_another_length_is_none)
{
	uint8_t rdata[64] = { 1, 0, 0, 0, 1, 0xaa, NSEC3_HASH_LEN };

	ck_assert_ptr_eq(nsec3_next_hash(rdata, 7 + NSEC3_HASH_LEN), rdata + 7);
	ck_assert_ptr_null(nsec3_next_hash(rdata, 6 + NSEC3_HASH_LEN));
	rdata[6] = 19;
	ck_assert_ptr_null(nsec3_next_hash(rdata, 7 + NSEC3_HASH_LEN));
}
END_TEST

START_TEST(long_salt_costs_more)
{
	struct nsec3_params p = { .iterations = 9 };

	ck_assert_uint_eq(nsec3_cost(&p), 10);
	p.salt_len = 35;
	ck_assert_uint_eq(nsec3_cost(&p), 10);
	p.salt_len = 36;
	ck_assert_uint_eq(nsec3_cost(&p), 20);
	p.salt_len = 255;
	ck_assert_uint_eq(nsec3_cost(&p), 50);
}
END_TEST

/* CVE-2023-50868. */
START_TEST(one_query_has_a_budget_of_hashing)
{
	struct nsec3_params p = { .iterations = 999, .salt = (const uint8_t *)"" };
	uint8_t hash[NSEC3_HASH_LEN];

	ck_assert(nsec3_hash(hasher, &p, (const uint8_t *)"", hash));
	ck_assert(nsec3_hash(hasher, &p, (const uint8_t *)"", hash));
	ck_assert(!nsec3_hash(hasher, &p, (const uint8_t *)"", hash));
	nsec3_hasher_begin(hasher, 0);
	ck_assert(nsec3_hash(hasher, &p, (const uint8_t *)"", hash));
	p.iterations = NSEC3_QUERY_MAX;
	nsec3_hasher_begin(hasher, 0);
	ck_assert(!nsec3_hash(hasher, &p, (const uint8_t *)"", hash));
}
END_TEST

START_TEST(many_queries_have_a_budget_of_each_second)
{
	struct nsec3_params p = { .iterations = 2000, .salt = (const uint8_t *)"" };
	uint8_t hash[NSEC3_HASH_LEN];
	unsigned done = 0;

	for (nsec3_hasher_begin(hasher, 1); nsec3_hash(hasher, &p, (const uint8_t *)"", hash); done++)
		nsec3_hasher_begin(hasher, 1);
	ck_assert_uint_eq(done, NSEC3_SECOND_MAX / 2001);
	p.iterations = 0;	/* as RFC 9276 wants it: never short of hashes */
	nsec3_hasher_begin(hasher, 2);
	ck_assert(nsec3_hash(hasher, &p, (const uint8_t *)"", hash));
	p.iterations = 2000;
	nsec3_hasher_begin(hasher, 1000002);
	ck_assert(nsec3_hash(hasher, &p, (const uint8_t *)"", hash));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("nsec3");
	TCase *tc = tcase_create("nsec3");
	SRunner *runner = srunner_create(s);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, names_hash_as_in_the_rfc, 0, COUNT(hashes));
	tcase_add_loop_test(tc, salt_of_any_length_is_hashed, 0, 256);
	tcase_add_test(tc, what_is_no_hash_is_no_owner);
	tcase_add_test(tc, hash_that_makes_the_name_too_long_has_no_owner);
	tcase_add_loop_test(tc, parameters_are_read_or_refused, 0, COUNT(params));
	tcase_add_test(tc, parameters_differ_by_each_of_their_parts);
	tcase_add_test(tc, next_hash_of_another_length_is_none);
	tcase_add_test(tc, long_salt_costs_more);
	tcase_add_test(tc, one_query_has_a_budget_of_hashing);
	tcase_add_test(tc, many_queries_have_a_budget_of_each_second);
	suite_add_tcase(s, tc);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);

	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
