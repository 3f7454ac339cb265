/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/review.h"
#include "tests/unit/fixture.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { TEXT_MAX = 1 << 16 };

/*
 * A zone of so many names below the apex, each with so many addresses; SOA and NS come on top.
 * Signed: the SOA has a signature, and that is what makes a zone signed here.
 */
static struct generation *zone_of(unsigned names, unsigned addresses, bool is_signed)
{
	static char text[TEXT_MAX];
	size_t len = (size_t)snprintf(text, sizeof(text),
		"z.test. 60 IN SOA ns.other. h.other. 1 2 3 4 5\nz.test. 60 IN NS ns.other.\n");

	if (is_signed)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "z.test. 60 IN RRSIG SOA 8 2 60 "
			"20300101000000 20200101000000 1 z.test. AAAA\n");
	for (unsigned i = 0; i < names; i++)
		for (unsigned j = 0; j < addresses; j++)
			len += (size_t)snprintf(text + len, sizeof(text) - len,
						"h%u.z.test. 60 IN A 192.0.2.%u\n", i, j);
	ck_assert_uint_lt(len, sizeof(text));
	return fixture_zone("z.test.", text);
}

static const struct {
	const char *what;
	unsigned percent;
	struct { unsigned names, addresses; bool is_signed; } old, new;
	bool is_fine;
	const char *reason;
} shrinks[] = {
	{ "all but one of thirteen", 50, { 13, 1, false }, { 1, 1, false }, false,
	  "it has lost 12 of 13 names, more than max-shrink = 50 percent" },
	{ "half of forty", 50, { 40, 1, false }, { 20, 1, false }, true, "" },
	{ "more than half of forty", 50, { 40, 1, false }, { 19, 1, false }, false,
	  "it has lost 21 of 40 names, more than max-shrink = 50 percent" },
	{ "seven of eight: too few to matter", 50, { 8, 1, false }, { 1, 1, false }, true, "" },
	{ "eight of nine", 50, { 9, 1, false }, { 1, 1, false }, false, "it has lost 8 of 9 names" },
	{ "all of four", 50, { 4, 1, false }, { 0, 1, false }, false, "it has lost 4 of 4 names" },
	{ "all of three", 50, { 3, 1, false }, { 0, 1, false }, true, "" },
	{ "all of four, and nothing is refused", 100, { 4, 1, false }, { 0, 1, false }, true, "" },
	{ "nearly all, and nothing is refused", 100, { 99, 1, false }, { 1, 1, false }, true, "" },
	{ "one in ten", 10, { 100, 1, false }, { 90, 1, false }, true, "" },
	{ "more than one in ten", 10, { 100, 1, false }, { 89, 1, false }, false, "it has lost 11 of 100" },
	{ "more names than before", 50, { 20, 1, false }, { 90, 1, false }, true, "" },
	{ "the names stay, their records go", 50, { 10, 9, false }, { 10, 3, false }, false,
	  "it has lost 60 of 92 records, more than max-shrink = 50 percent" },
	{ "the same of a signed zone", 50, { 10, 9, true }, { 10, 3, true }, false,
	  "it has lost 60 of 93 records" },
	{ "records of a zone that is signed no more", 50, { 10, 9, true }, { 10, 3, false }, true, "" },
	{ "records of a zone that is signed now", 50, { 10, 9, false }, { 10, 3, true }, true, "" },
	{ "names of a zone that is signed no more", 50, { 30, 1, true }, { 3, 1, false }, false,
	  "it has lost 27 of 30 names" },
};

START_TEST(zone_that_has_lost_too_much_is_refused)
{
	struct review_rules r = { .max_shrink = shrinks[_i].percent };
	struct generation *old = zone_of(shrinks[_i].old.names, shrinks[_i].old.addresses,
					 shrinks[_i].old.is_signed);
	struct generation *new = zone_of(shrinks[_i].new.names, shrinks[_i].new.addresses,
					 shrinks[_i].new.is_signed);
	char reason[REVIEW_REASON_MAX] = "";
	bool is_fine = review_shrink(&r, old, new, reason);

	ck_assert_msg(is_fine == shrinks[_i].is_fine, "%s", shrinks[_i].what);
	ck_assert_msg(strncmp(reason, shrinks[_i].reason, strlen(shrinks[_i].reason)) == 0, "%s: %s",
		      shrinks[_i].what, reason);
	generation_free(old);
	generation_free(new);
}
END_TEST

START_TEST(first_version_cannot_have_shrunk)
{
	struct review_rules r = { .max_shrink = 1 };
	struct generation *new = zone_of(0, 0, false);
	char reason[REVIEW_REASON_MAX];

	ck_assert(review_shrink(&r, NULL, new, reason));
	generation_free(new);
}
END_TEST

/* In the order of enum zonemd_outcome. */
static const struct { enum review_zonemd policy; const char *fine; } digests[] = {
	{ REVIEW_ZONEMD_OFF, "yyyyyyy" },
	{ REVIEW_ZONEMD_IF_PRESENT, "yynnnny" },
	{ REVIEW_ZONEMD_REQUIRE, "nnnnnny" },
};

START_TEST(digest_counts_as_the_option_says)
{
	struct review_rules r = { .zonemd = digests[_i].policy };
	char reason[REVIEW_REASON_MAX];

	ck_assert_int_eq(review_wants_digest(&r), r.zonemd != REVIEW_ZONEMD_OFF);
	for (int o = ZONEMD_ABSENT; o <= ZONEMD_GOOD; o++) {
		bool is_fine = review_digest(&r, (enum zonemd_outcome)o, reason);

		ck_assert_msg(is_fine == (digests[_i].fine[o] == 'y'), "outcome %d", o);
		ck_assert_str_eq(reason, zonemd_text((enum zonemd_outcome)o));
	}
}
END_TEST

START_TEST(operator_hears_of_a_version_and_a_check_once)
{
	struct review_refusal last = { .check = REVIEW_PASSED };
	struct review_refusal now = { .check = REVIEW_PROGRAM, .serial = 7, .reason = "12:00 no" };

	ck_assert(review_is_news(&last, &now));
	last = now;
	now.reason = "12:01 no";
	ck_assert(!review_is_news(&last, &now));
	now.serial = 8;
	ck_assert(review_is_news(&last, &now));
	now.serial = 7;
	now.check = REVIEW_ZONEMD;
	ck_assert(review_is_news(&last, &now));
}
END_TEST

START_TEST(rules_differ_by_each_of_their_parts)
{
	struct review_rules a = { 50, REVIEW_ZONEMD_OFF, "/bin/a", 1 }, b = a;

	ck_assert(review_rules_are_equal(&a, &b));
	b.max_shrink = 51;
	ck_assert(!review_rules_are_equal(&a, &b));
	b = a;
	b.zonemd = REVIEW_ZONEMD_REQUIRE;
	ck_assert(!review_rules_are_equal(&a, &b));
	b = a;
	b.program = "/bin/b";
	ck_assert(!review_rules_are_equal(&a, &b));
	b.program = NULL;
	ck_assert(!review_rules_are_equal(&a, &b));
	ck_assert(review_rules_are_equal(&b, &b));
	b = a;
	b.program_us = 2;
	ck_assert(!review_rules_are_equal(&a, &b));
}
END_TEST

START_TEST(each_check_is_called_as_its_option)
{
	ck_assert_str_eq(review_check_text(REVIEW_PASSED), "");
	ck_assert_str_eq(review_check_text(REVIEW_SHRINK), "max-shrink");
	ck_assert_str_eq(review_check_text(REVIEW_ZONEMD), "zonemd");
	ck_assert_str_eq(review_check_text(REVIEW_PROGRAM), "verify");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("review");
	TCase *tc = tcase_create("review");
	SRunner *runner = srunner_create(s);

	tcase_add_loop_test(tc, zone_that_has_lost_too_much_is_refused, 0, COUNT(shrinks));
	tcase_add_test(tc, first_version_cannot_have_shrunk);
	tcase_add_loop_test(tc, digest_counts_as_the_option_says, 0, COUNT(digests));
	tcase_add_test(tc, operator_hears_of_a_version_and_a_check_once);
	tcase_add_test(tc, rules_differ_by_each_of_their_parts);
	tcase_add_test(tc, each_check_is_called_as_its_option);
	suite_add_tcase(s, tc);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);

	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
