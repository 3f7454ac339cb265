/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cache/faithful.h"
#include "cache/name.h"
#include "tests/unit/fixture.h"

/* No test looks into a signature; what counts is which records there are. */
#define NOW	1800000000	/* 2027-01-15 08:00:00 */
#define SIG(type)	"RRSIG " type " 13 1 300 20270201000000 20270101000000 1 z. AAAA\n"

#define PLAIN	"z. 300 SOA ns.z. h.z. 1 2 3 4 5\nz. NS ns.z.\n"
#define SIGNED	PLAIN "z. DNSKEY 257 3 13 AAAA\nz. " SIG("SOA") "z. " SIG("DNSKEY")
#define PARAM	"z. NSEC3PARAM 1 0 0 -\n"

/* Hashed owners need not be hashes of names here. */
#define H(digit)	digit "0000000000000000000000000000000"
#define NSEC3(from, to)	H(from) ".z. NSEC3 1 0 0 - " H(to) " A\n"
#define OPTOUT(from, to)	H(from) ".z. NSEC3 1 1 0 - " H(to) " A\n"

static struct faithful checked(const char *text, char owner[NAME_TEXT_MAX])
{
	struct generation *g = fixture_zone("z.", text);
	struct faithful f = faithful_check(g, NOW);

	owner[0] = '\0';
	if (f.owner)
		name_to_text(f.owner, owner);
	generation_free(g);
	return f;
}

static const struct {
	const char *what;
	enum faithful_fault fault;
	const char *owner, *text;
} zones[] = {
	{ "an unsigned zone", FAITHFUL, "", PLAIN "a.z. A 192.0.2.1\n" },
	{ "ALIAS at the apex", FAITHFUL_COMPUTED, "z.", PLAIN "z. TYPE65401 \\# 3 016100\n" },
	{ "LUA at a name", FAITHFUL_COMPUTED, "a.z.", PLAIN "a.z. TYPE65402 \\# 4 00010161\n" },
	{ "ALIAS of another server", FAITHFUL_COMPUTED, "a.z.", PLAIN "a.z. TYPE65357 \\# 3 016100\n" },
	{ "another private type", FAITHFUL, "", PLAIN "a.z. TYPE65280 \\# 3 016100\n" },
	{ "ALIAS below a cut", FAITHFUL, "", PLAIN "b.z. NS a.b.z.\na.b.z. TYPE65401 \\# 3 016100\n" },

	{ "signed without a chain", FAITHFUL_NO_CHAIN, "z.", SIGNED "a.z. A 192.0.2.1\n" },
	{ "keys without signatures", FAITHFUL, "", PLAIN "z. DNSKEY 257 3 13 AAAA\n" },
	{ "signatures without keys", FAITHFUL, "", PLAIN "z. " SIG("SOA") },
	{ "NSEC3PARAM without NSEC3", FAITHFUL_NO_CHAIN, "z.", SIGNED PARAM },
	{ "NSEC3 of an unknown hash", FAITHFUL_NO_CHAIN, "z.",
	  SIGNED "z. NSEC3PARAM 2 0 0 -\n" H("0") ".z. NSEC3 2 0 0 - " H("0") " A\n" },

	{ "an NSEC chain of one", FAITHFUL, "", SIGNED "z. NSEC z. SOA\n" },
	{ "an NSEC chain", FAITHFUL, "",
	  SIGNED "z. NSEC A.z. SOA\na.z. A 192.0.2.1\na.z. NSEC x.e.z. A\n"
	  "x.e.z. A 192.0.2.1\nx.e.z. NSEC Z. A\n" },
	{ "glue and what DNAME hides need no NSEC", FAITHFUL, "",
	  SIGNED "z. NSEC b.z. SOA\nb.z. NS a.b.z.\nb.z. NSEC d.z. NS\na.b.z. A 192.0.2.1\n"
	  "d.z. DNAME z.\nd.z. NSEC z. DNAME\nx.d.z. A 192.0.2.1\n" },
	{ "a name without NSEC", FAITHFUL_NSEC_GAP, "a.z.", SIGNED "z. NSEC z. SOA\na.z. A 192.0.2.1\n" },
	{ "a chain that skips a name", FAITHFUL_NSEC_GAP, "a.z.",
	  SIGNED "z. NSEC b.z. SOA\na.z. A 192.0.2.1\na.z. NSEC b.z. A\nb.z. A 192.0.2.1\nb.z. NSEC z. A\n" },
	{ "a chain that does not close", FAITHFUL_NSEC_GAP, "z.",
	  SIGNED "z. NSEC a.z. SOA\na.z. A 192.0.2.1\na.z. NSEC b.z. A\n" },
	{ "compact denial, an NSEC for each name", FAITHFUL_NSEC_GAP, "a.z.",
	  SIGNED "z. NSEC \\000.z. SOA\na.z. A 192.0.2.1\na.z. NSEC \\000.a.z. A\n" },

	{ "an NSEC3 chain of one", FAITHFUL, "", SIGNED PARAM NSEC3("0", "0") },
	{ "an NSEC3 chain with an empty non-terminal", FAITHFUL, "",
	  SIGNED PARAM "a.e.z. A 192.0.2.1\n" NSEC3("0", "1") NSEC3("1", "2") NSEC3("2", "0") },
	{ "the same without the empty non-terminal", FAITHFUL_NSEC3_GAP, "z.",
	  SIGNED PARAM "a.e.z. A 192.0.2.1\n" NSEC3("0", "1") NSEC3("1", "0") },
	{ "an NSEC3 record missing", FAITHFUL_NSEC3_GAP, H("2") ".z.",
	  SIGNED PARAM "a.e.z. A 192.0.2.1\n" NSEC3("0", "1") NSEC3("2", "0") },
	{ "an NSEC3 chain that does not close", FAITHFUL_NSEC3_GAP, "z.",
	  SIGNED PARAM "a.z. A 192.0.2.1\n" NSEC3("0", "1") NSEC3("1", "2") },
	{ "an NSEC3 record of no name", FAITHFUL_NSEC3_GAP, "z.",
	  SIGNED PARAM NSEC3("0", "1") NSEC3("1", "0") },
	{ "NSEC3 of another chain beside the one in use", FAITHFUL, "",
	  SIGNED PARAM NSEC3("0", "0") H("1") ".z. NSEC3 1 0 5 aa " H("7") " A\n" },
	{ "an insecure delegation without NSEC3", FAITHFUL_NSEC3_GAP, "z.",
	  SIGNED PARAM "x.e.z. NS z.\n" NSEC3("0", "0") },
	{ "the same with opt-out", FAITHFUL, "", SIGNED PARAM "x.e.z. NS z.\n" OPTOUT("0", "0") },
	{ "opt-out that leaves it in", FAITHFUL, "",
	  SIGNED PARAM "x.e.z. NS z.\n" OPTOUT("0", "1") OPTOUT("1", "2") OPTOUT("2", "0") },
	{ "opt-out without a secure delegation", FAITHFUL_NSEC3_GAP, "z.",
	  SIGNED PARAM "x.z. NS z.\nx.z. DS 1 13 2 00\n" OPTOUT("0", "0") },
	{ "as many iterations as we compute", FAITHFUL, "",
	  SIGNED "z. NSEC3PARAM 1 0 500 -\n" H("0") ".z. NSEC3 1 0 500 - " H("0") " A\n" },
	{ "too many iterations", FAITHFUL_NSEC3_COST, "z.",
	  SIGNED "z. NSEC3PARAM 1 0 2500 -\n" H("0") ".z. NSEC3 1 0 2500 - " H("0") " A\n" },
	{ "of two faults the first kind", FAITHFUL_COMPUTED, "b.z.",
	  SIGNED "z. NSEC z. SOA\na.z. A 192.0.2.1\nb.z. TYPE65401 \\# 3 016100\n" },
};

START_TEST(zone_is_faithful_or_says_why_not)
{
	char owner[NAME_TEXT_MAX];
	struct faithful f = checked(zones[_i].text, owner);

	ck_assert_msg(f.fault == zones[_i].fault, "%s: %s", zones[_i].what, faithful_text(f.fault));
	ck_assert_msg(strcmp(owner, zones[_i].owner) == 0, "%s: at %s", zones[_i].what, owner);
}
END_TEST

START_TEST(signatures_expire_at_their_end_not_before)
{
	char owner[NAME_TEXT_MAX];
	struct faithful f = checked(SIGNED "z. NSEC z. SOA\n", owner);

	ck_assert_uint_eq(f.signed_until, 1801440000);	/* 2027-02-01 00:00:00 */
	ck_assert_int_eq(faithful_at(&f, 1801439999), FAITHFUL);
	ck_assert_int_eq(faithful_at(&f, 1801440000), FAITHFUL_EXPIRED);
}
END_TEST

START_TEST(earlier_end_of_soa_and_keys_counts_and_later_of_two_signatures)
{
	char owner[NAME_TEXT_MAX];
	struct faithful f = checked(
		PLAIN "z. DNSKEY 257 3 13 AAAA\nz. NSEC z. SOA\nz. " SIG("SOA")
		"z. RRSIG DNSKEY 13 1 300 20270101000000 20260101000000 1 z. AAAA\n"
		"z. RRSIG DNSKEY 13 1 300 20270120000000 20260101000000 2 z. AAAA\n", owner);

	ck_assert_uint_eq(f.signed_until, 1800403200);	/* 2027-01-20 00:00:00 */
}
END_TEST

START_TEST(times_are_serial_numbers_so_that_2106_is_no_end)
{
	struct generation *g = fixture_zone("z.",
		PLAIN "z. DNSKEY 257 3 13 AAAA\nz. NSEC z. SOA\n"
		"z. RRSIG SOA 13 1 300 100 4294967000 1 z. AAAA\n"
		"z. RRSIG DNSKEY 13 1 300 100 4294967000 1 z. AAAA\n");
	struct faithful f = faithful_check(g, UINT32_MAX);

	ck_assert_uint_eq(f.signed_until, (1ull << 32) + 100);
	generation_free(g);
}
END_TEST

START_TEST(unsigned_zone_does_not_expire)
{
	char owner[NAME_TEXT_MAX];
	struct faithful f = checked(PLAIN, owner);

	ck_assert_int_eq(faithful_at(&f, UINT64_MAX), FAITHFUL);
}
END_TEST

START_TEST(fault_of_the_records_is_told_before_expiry)
{
	char owner[NAME_TEXT_MAX];
	struct faithful f = checked(SIGNED, owner);

	ck_assert_int_eq(faithful_at(&f, 1900000000), FAITHFUL_NO_CHAIN);
}
END_TEST

/* The set whose last signature ends first; what has ended before is no news. */
static const struct {
	const char *what, *owner, *text;
	uint64_t end;
	uint32_t life_s;
} ends[] = {
	{ "an unsigned zone", "", PLAIN "a.z. " SIG("A"), 0, 0 },
	{ "all the same", "z.", SIGNED "z. NSEC z. SOA\n", 1801440000, 31 * 86400 },
	{ "an earlier one below", "a.z.",
	  SIGNED "a.z. A 192.0.2.1\na.z. RRSIG A 13 2 300 20270116000000 20270106000000 1 z. AAAA\n",
	  1800057600, 10 * 86400 },
	{ "the later of two", "z.",
	  SIGNED "a.z. RRSIG A 13 2 300 20270116000000 20270106000000 1 z. AAAA\n"
	  "a.z. RRSIG A 13 2 300 20280101000000 20270101000000 2 z. AAAA\n", 1801440000, 31 * 86400 },
	{ "one that has ended", "z.",
	  SIGNED "a.z. RRSIG A 13 2 300 20270114000000 20270101000000 1 z. AAAA\n", 1801440000, 31 * 86400 },
	{ "one of an NSEC3", H("0") ".z.",
	  SIGNED PARAM NSEC3("0", "0") H("0") ".z. RRSIG NSEC3 13 2 300 20270116000000 20270106000000 1 z. AAAA\n",
	  1800057600, 10 * 86400 },
	{ "below a cut nothing is signed", "z.",
	  SIGNED "b.z. NS a.b.z.\na.b.z. RRSIG A 13 2 300 20270116000000 20270106000000 1 z. AAAA\n",
	  1801440000, 31 * 86400 },
};

START_TEST(end_of_the_first_signatures_is_found)
{
	struct generation *g = fixture_zone("z.", ends[_i].text);
	struct faithful f = faithful_check(g, NOW);
	char owner[NAME_TEXT_MAX] = "";

	if (f.first_owner)
		name_to_text(f.first_owner, owner);
	ck_assert_msg(f.first_end == ends[_i].end, "%s: %lu", ends[_i].what, (unsigned long)f.first_end);
	ck_assert_uint_eq(f.first_life_s, ends[_i].life_s);
	ck_assert_str_eq(owner, ends[_i].owner);
	generation_free(g);
}
END_TEST

START_TEST(every_fault_has_a_text)
{
	for (int fault = FAITHFUL_COMPUTED; fault <= FAITHFUL_EXPIRED; fault++)
		ck_assert_uint_gt(strlen(faithful_text((enum faithful_fault)fault)), 10);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("faithful");
	TCase *tc = tcase_create("check");

	tcase_add_loop_test(tc, zone_is_faithful_or_says_why_not, 0, sizeof(zones) / sizeof(zones[0]));
	tcase_add_loop_test(tc, end_of_the_first_signatures_is_found, 0, sizeof(ends) / sizeof(ends[0]));
	tcase_add_test(tc, signatures_expire_at_their_end_not_before);
	tcase_add_test(tc, earlier_end_of_soa_and_keys_counts_and_later_of_two_signatures);
	tcase_add_test(tc, times_are_serial_numbers_so_that_2106_is_no_end);
	tcase_add_test(tc, unsigned_zone_does_not_expire);
	tcase_add_test(tc, fault_of_the_records_is_told_before_expiry);
	tcase_add_test(tc, every_fault_has_a_text);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
