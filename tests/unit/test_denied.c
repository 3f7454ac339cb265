/* SPDX-License-Identifier: ISC */
/* denied: what a server says does not exist, beside what the mirror has. */
#include <check.h>
#include <stdlib.h>

#include "cache/answer.h"
#include "proxy/denied.h"
#include "proxy/probe_judge.h"
#include "tests/unit/fixture.h"

static struct generation *held, *theirs;

static const char held_text[] =
	"@ 60 SOA ns h 7 60 60 600 60\n@ 60 NS ns\nns 60 A 192.0.2.1\n"
	"www 60 A 192.0.2.2\nal 60 CNAME www\n*.w 60 TXT \"x\"\na.ent 60 A 192.0.2.3\n"
	"sub 60 NS ns.sub\nsub 60 DS 1 13 2 00\nns.sub 60 A 192.0.2.4\ndn 60 DNAME w\n"
	"www 60 RRSIG A 13 3 60 20370101000000 20260101000000 1 example.com. AAAA\n"
	"own 60 TYPE65402 \\# 1 00\n";

static void setup(void)
{
	held = fixture_zone("example.com.", held_text);
	theirs = NULL;
}

static void teardown(void)
{
	generation_free(held);
	generation_free(theirs);
}

/* What a server says that holds this serial of an empty zone. */
static void given_empty(const char *serial)
{
	char text[128];

	snprintf(text, sizeof(text), "@ 60 SOA ns h %s 60 60 600 60\n@ 60 NS ns\nns 60 A 192.0.2.1\n", serial);
	theirs = fixture_zone("example.com.", text);
}

/* What they say to it, with these flags set besides, and perhaps without its authority section. */
static bool is_denied(const char *name, uint16_t type, unsigned flags, bool has_authority)
{
	uint8_t owner[NAME_LEN_MAX], query[PROBE_QUERY_MAX], reply[DNS_UDP_MAX];
	struct message m;
	struct name_key key;
	struct answer_ask ask = { .zone = theirs, .query = &m, .packet = query, .key = &key, .limit = sizeof(reply) };
	size_t len;

	ck_assert_uint_gt(name_from_text(name, owner), 0);
	len = probe_question(9, owner, type, query);
	ck_assert_int_eq(message_parse(query, len, &m), MESSAGE_OK);
	name_to_key(owner, &key);
	len = answer_write(&ask, reply);
	if (flags & DNS_RCODE)
		reply[3] &= (uint8_t)~DNS_RCODE;
	wire_put_u16(reply + 2, (uint16_t)(wire_get_u16(reply + 2) | flags));
	if (!has_authority) {
		wire_put_u16(reply + 8, 0);
		len = m.question_end;
	}
	return denied_is_reply(held, &m, &key, reply, len);
}

static const struct { const char *name; uint16_t type; bool is_denied; const char *what; } names[] = {
	{ "www.example.com", TYPE_A, true, "a name that is there" },
	{ "WWW.example.COM", TYPE_A, true, "in whatever case" },
	{ "www.example.com", TYPE_AAAA, false, "a type that is not" },
	{ "no.example.com", TYPE_A, false, "a name that is not" },
	{ "al.example.com", TYPE_A, true, "an alias" },
	{ "x.w.example.com", TYPE_TXT, true, "a wildcard's" },
	{ "x.w.example.com", TYPE_A, false, "a wildcard's, of another type" },
	{ "ent.example.com", TYPE_A, false, "an empty non-terminal: old servers deny it" },
	{ "x.sub.example.com", TYPE_A, false, "what lies below a cut" },
	{ "ns.sub.example.com", TYPE_A, false, "glue" },
	{ "sub.example.com", TYPE_DS, true, "DS at the cut" },
	{ "sub.example.com", TYPE_A, false, "the cut itself" },
	{ "x.dn.example.com", TYPE_TXT, false, "what lies below a DNAME" },
	{ "dn.example.com", TYPE_DNAME, true, "the DNAME" },
	{ "www.example.com", TYPE_RRSIG, false, "signatures alone" },
	{ "www.example.com", TYPE_ANY, false, "ANY: servers may make little of it" },
	{ "own.example.com", 65402, false, "what the primary computes" },
};

START_TEST(denial_of_what_the_mirror_has_under_its_serial)
{
	given_empty("7");
	ck_assert_msg(is_denied(names[_i].name, names[_i].type, 0, true) == names[_i].is_denied, "%s",
		      names[_i].what);
}
END_TEST

static const struct { const char *serial; unsigned flags; bool has_authority, is_denied; const char *what; } words[] = {
	{ "7", 0, true, true, "our serial" },
	{ "6", 0, true, true, "an older one" },
	{ "8", 0, true, false, "a newer one: it was removed" },
	{ "2147483656", 0, true, true, "2^31 + 1 ahead is behind, RFC 1982" },
	{ "8", 0, false, true, "none" },
	{ "8", RCODE_NXDOMAIN, false, true, "none, by NXDOMAIN" },
	{ "7", DNS_TC, true, false, "truncated: not all is said" },
	{ "7", RCODE_SERVFAIL, true, false, "an error is no denial" },
};

START_TEST(serial_beside_it_decides)
{
	given_empty(words[_i].serial);
	ck_assert_msg(is_denied("www.example.com", TYPE_A, words[_i].flags, words[_i].has_authority)
		      == words[_i].is_denied, "%s", words[_i].what);
}
END_TEST

START_TEST(answer_is_no_denial)
{
	given_empty("7");
	ck_assert(!is_denied("ns.example.com", TYPE_A, 0, true));
}
END_TEST

/* Theirs has a cut where ours has a host, and the other way round. */
START_TEST(referral_is_no_denial)
{
	theirs = fixture_zone("example.com.", "@ 60 SOA ns h 7 60 60 600 60\n@ 60 NS ns\nns 60 A 192.0.2.1\n"
					     "www 60 NS ns\nsub 60 NS ns\n");
	ck_assert(!is_denied("www.example.com", TYPE_A, 0, true));
	ck_assert(!is_denied("sub.example.com", TYPE_A, 0, true));
	ck_assert(is_denied("sub.example.com", TYPE_A, 0, false));
}
END_TEST

START_TEST(name_that_nobody_has_is_denied_with_an_soa_or_not_at_all)
{
	given_empty("7");
	ck_assert(!is_denied("no.example.com", TYPE_A, 0, true));
	ck_assert(is_denied("no.example.com", TYPE_A, 0, false));
}
END_TEST

/* A zone below ours on the same server, which ours has no cut for: our wildcard is not its. */
START_TEST(zone_below_without_a_cut_denies_what_is_its_own)
{
	theirs = fixture_zone("sub2.w.example.com.", "@ 60 SOA ns h 1 60 60 600 60\n@ 60 NS ns\nns 60 A 192.0.2.1\n");
	ck_assert(!is_denied("no.sub2.w.example.com", TYPE_TXT, 0, true));
	ck_assert(!is_denied("sub2.w.example.com", TYPE_TXT, 0, true));
	generation_free(theirs);
	theirs = fixture_zone("com.", "@ 60 SOA ns h 1 60 60 600 60\n@ 60 NS ns\nns 60 A 192.0.2.1\n");
	ck_assert_msg(is_denied("www.example.com", TYPE_A, 0, true), "the zone above, after a loss of ours");
	ck_assert(is_denied("sub.example.com", TYPE_DS, 0, true));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("denied");
	TCase *tc = tcase_create("denials");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, denial_of_what_the_mirror_has_under_its_serial, 0, sizeof(names) / sizeof(names[0]));
	tcase_add_loop_test(tc, serial_beside_it_decides, 0, sizeof(words) / sizeof(words[0]));
	tcase_add_test(tc, answer_is_no_denial);
	tcase_add_test(tc, referral_is_no_denial);
	tcase_add_test(tc, name_that_nobody_has_is_denied_with_an_soa_or_not_at_all);
	tcase_add_test(tc, zone_below_without_a_cut_denies_what_is_its_own);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
