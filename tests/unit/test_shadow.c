/* SPDX-License-Identifier: ISC */
/* shadow: what another server says, beside what the mirror would. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cache/answer.h"
#include "cache/wire.h"
#include "proxy/probe.h"
#include "proxy/shadow.h"
#include "tests/unit/fixture.h"

#define SOA(serial) "example.com. 60 IN SOA ns.example.com. h.example.com. " serial " 60 60 600 60\n"
#define NS  "example.com. 60 IN NS ns.example.com.\n"
#define CUT "sub.example.com. 60 IN NS ns.sub.example.com.\nns.sub.example.com. 60 IN A 192.0.2.9\n"
#define ALIASES \
	"in.example.com. 60 IN CNAME w.example.com.\nout.example.com. 60 IN CNAME w.example.net.\n" \
	"down.example.com. 60 IN CNAME w.sub.example.com.\nbad.example.com. 60 IN CNAME no.example.com.\n"
#define REST NS CUT ALIASES \
	"m.example.com. 60 IN MX 1 Mail.example.com.\nt.example.com. 60 IN TXT \"one\"\n" \
	"*.any.example.com. 60 IN A 192.0.2.7\nsub.example.com. 60 IN DS 1 8 1 " \
	"0102030405060708090a0b0c0d0e0f1011121314\n"
#define HOST "w.example.com. 60 IN A 192.0.2.1\nw.example.com. 60 IN A 192.0.2.2\n"
#define OURS SOA("1") HOST REST
#define CHILD "sub.example.com. 60 IN SOA ns.sub.example.com. h.example.com. 7 60 60 600 60\n" \
	"sub.example.com. 60 IN NS ns.sub.example.com.\nns.sub.example.com. 60 IN A 192.0.2.9\n" \
	"w.sub.example.com. 60 IN A 192.0.2.8\n"

static struct generation *ours, *theirs, *child;
static struct shadow *shadow;
static struct shadow_side they_say, we_say;

static uint8_t query[PROBE_QUERY_MAX], reply[4096];
static size_t query_len, reply_len;
static struct message message;
static struct name_key key;

static void setup(void)
{
	shadow = shadow_new();
	ours = theirs = child = NULL;
}

static void teardown(void)
{
	shadow_free(shadow);
	generation_free(ours);
	generation_free(theirs);
	generation_free(child);
}

static const struct generation *find(void *arg, const uint8_t *name, const struct name_key *k,
				     uint16_t type)
{
	uint8_t origin[NAME_LEN_MAX];

	(void)arg, (void)k, (void)type;
	name_from_text("sub.example.com", origin);
	if (child && name_is_at_or_below(name, origin))
		return child;
	name_from_text("example.com", origin);
	return name_is_at_or_below(name, origin) ? theirs : NULL;
}

/* What a server that holds `theirs`, and `child` if there is one, would say. */
static void given_question(const char *name, uint16_t type)
{
	struct answer_zones zones = { find, NULL };
	struct answer_ask ask = {
		.query = &message, .packet = query, .key = &key, .limit = sizeof(reply),
		.is_tcp = true, .zones = &zones,
	};
	uint8_t wire[NAME_LEN_MAX];

	ck_assert_uint_gt(name_from_text(name, wire), 0);
	query_len = probe_question(9, wire, type, query);
	ck_assert_int_eq(message_parse(query, query_len, &message), MESSAGE_OK);
	name_to_key(wire, &key);
	ask.zone = find(NULL, wire, &key, type);
	reply_len = answer_write(&ask, reply);
}

static enum shadow_verdict compared(void)
{
	struct shadow_ask ask = {
		.zone = ours, .query = &message, .packet = query, .key = &key, .reply = reply,
		.len = reply_len,
	};

	return shadow_compare(shadow, &ask, &they_say, &we_say);
}

/* ---- Pairs of zones ---- */

static const struct {
	const char *what, *theirs, *name;
	uint16_t type;
	enum shadow_verdict verdict;
	const char *they_say, *we_say;
} pairs[] = {
	{ "the same", OURS, "w.example.com", TYPE_A, SHADOW_SAME, "", "" },
	{ "order and TTL", SOA("1") REST "w.example.com. 9 IN A 192.0.2.2\n"
	  "w.example.com. 9 IN A 192.0.2.1\n", "w.example.com", TYPE_A, SHADOW_SAME, "", "" },
	{ "case of a name in data", SOA("1") REST "m2.example.com. 60 IN MX 1 mail.example.com.\n",
	  "m.example.com", TYPE_MX, SHADOW_SAME, "", "" },
	{ "an alias in the zone", OURS, "in.example.com", TYPE_A, SHADOW_SAME, "", "" },
	{ "an alias to nothing", OURS, "bad.example.com", TYPE_A, SHADOW_SAME, "", "" },
	{ "a wildcard", OURS, "x.any.example.com", TYPE_A, SHADOW_SAME, "", "" },
	{ "no such name", OURS, "nope.example.com", TYPE_A, SHADOW_SAME, "", "" },
	{ "no such type", OURS, "w.example.com", TYPE_AAAA, SHADOW_SAME, "", "" },
	{ "a referral", OURS, "x.sub.example.com", TYPE_A, SHADOW_SAME, "", "" },
	{ "DS at the cut", OURS, "sub.example.com", TYPE_DS, SHADOW_SAME, "", "" },
	{ "the SOA", OURS, "example.com", TYPE_SOA, SHADOW_SAME, "", "" },

	{ "other data", SOA("1") REST "w.example.com. 60 IN A 192.0.2.1\n"
	  "w.example.com. 60 IN A 192.0.2.3\n", "w.example.com", TYPE_A, SHADOW_DIFFERS,
	  "2 records, A 192.0.2.3", "2 records, A 192.0.2.2" },
	{ "a record less", SOA("1") REST "w.example.com. 60 IN A 192.0.2.1\n", "w.example.com",
	  TYPE_A, SHADOW_DIFFERS, "1 record", "2 records, A 192.0.2.2" },
	{ "a record more", OURS "w.example.com. 60 IN A 192.0.2.3\n", "w.example.com", TYPE_A,
	  SHADOW_DIFFERS, "3 records, A 192.0.2.3", "2 records" },
	{ "no name", SOA("1") REST, "w.example.com", TYPE_A, SHADOW_DIFFERS, "NXDOMAIN",
	  "2 records, A 192.0.2.1" },
	{ "no data", SOA("1") REST "w.example.com. 60 IN AAAA 2001:db8::1\n", "w.example.com",
	  TYPE_A, SHADOW_DIFFERS, "no records", "2 records, A 192.0.2.1" },
	{ "a name that should not be", OURS "nope.example.com. 60 IN AAAA 2001:db8::1\n",
	  "nope.example.com", TYPE_AAAA, SHADOW_DIFFERS, "1 record, AAAA 2001:db8::1", "NXDOMAIN" },
	{ "NODATA for NXDOMAIN", OURS "nope.example.com. 60 IN A 192.0.2.1\n", "nope.example.com",
	  TYPE_AAAA, SHADOW_DIFFERS, "no records", "NXDOMAIN" },
	{ "a referral elsewhere", SOA("1") HOST NS "sub.example.com. 60 IN NS ns.example.org.\n",
	  "x.sub.example.com", TYPE_A, SHADOW_DIFFERS, "referral, 1 record, NS ns.example.org.",
	  "referral, 1 record, NS ns.sub.example.com." },
	{ "no referral", SOA("1") HOST NS, "x.sub.example.com", TYPE_A, SHADOW_DIFFERS, "NXDOMAIN",
	  "referral, 1 record, NS ns.sub.example.com." },
	{ "another alias", SOA("1") HOST NS "in.example.com. 60 IN CNAME y.example.com.\n",
	  "in.example.com", TYPE_A, SHADOW_DIFFERS, "NXDOMAIN, 1 record, CNAME y.example.com.",
	  "3 records, CNAME w.example.com." },
	{ "other text", SOA("1") HOST NS "t.example.com. 60 IN TXT \"two \\\"2\\\"\"\n",
	  "t.example.com", TYPE_TXT, SHADOW_DIFFERS, "1 record, TXT two ?2?", "1 record, TXT one" },
	{ "another exchanger", SOA("1") HOST NS "m.example.com. 60 IN MX 1 other.example.com.\n",
	  "m.example.com", TYPE_MX, SHADOW_DIFFERS, "1 record, MX 1 other.example.com.",
	  "1 record, MX 1 Mail.example.com." },
	{ "another DS", SOA("1") HOST NS CUT "sub.example.com. 60 IN DS 1 8 1 "
	  "ff02030405060708090a0b0c0d0e0f1011121314\n", "sub.example.com", TYPE_DS, SHADOW_DIFFERS,
	  "1 record, DS of 24 bytes", "1 record, DS of 24 bytes" },

	/* Another version of the zone says so. */
	{ "NXDOMAIN of another version", SOA("2") REST, "w.example.com", TYPE_A, SHADOW_NOTHING, "", "" },
	{ "NODATA of another version", SOA("2") REST "w.example.com. 60 IN AAAA 2001:db8::1\n",
	  "w.example.com", TYPE_A, SHADOW_NOTHING, "", "" },
	{ "the SOA of another version", SOA("2") REST, "example.com", TYPE_SOA, SHADOW_NOTHING, "", "" },
};

START_TEST(answers_of_two_zones_are_compared)
{
	char text[SHADOW_TEXT_MAX];

	ours = fixture_zone("example.com", OURS "m2.example.com. 60 IN MX 1 mail.example.com.\n");
	if (strcmp(pairs[_i].theirs, OURS) == 0)
		theirs = fixture_zone("example.com", OURS "m2.example.com. 60 IN MX 1 Mail.example.com.\n");
	else
		theirs = fixture_zone("example.com", pairs[_i].theirs);
	given_question(pairs[_i].name, pairs[_i].type);
	ck_assert_msg(compared() == pairs[_i].verdict, "%s", pairs[_i].what);
	if (pairs[_i].verdict != SHADOW_DIFFERS)
		return;
	ck_assert_str_eq(shadow_text(&they_say, text), pairs[_i].they_say);
	ck_assert_str_eq(shadow_text(&we_say, text), pairs[_i].we_say);
}
END_TEST

/* ---- Where other zones begin ---- */

START_TEST(alias_into_another_zone_is_compared_up_to_there)
{
	ours = fixture_zone("example.com", OURS);
	theirs = fixture_zone("example.com", OURS);
	child = fixture_zone("sub.example.com", CHILD);
	given_question("down.example.com", TYPE_A);
	ck_assert_uint_eq(wire_get_u16(reply + 6), 2);	/* the alias, and what it leads to */
	ck_assert_int_eq(compared(), SHADOW_SAME);
	given_question("out.example.com", TYPE_A);
	wire_put_u16(reply + 2, wire_get_u16(reply + 2) | RCODE_NXDOMAIN);	/* there, not here */
	ck_assert_int_eq(compared(), SHADOW_SAME);
}
END_TEST

START_TEST(server_that_has_the_delegated_zone_itself_is_told_of)
{
	char text[SHADOW_TEXT_MAX];

	ours = fixture_zone("example.com", OURS);
	theirs = fixture_zone("example.com", OURS);
	child = fixture_zone("sub.example.com", CHILD);
	given_question("w.sub.example.com", TYPE_A);
	ck_assert_int_eq(compared(), SHADOW_DIFFERS);
	ck_assert_str_eq(shadow_text(&they_say, text), "1 record, A 192.0.2.8");
	given_question("x.sub.example.com", TYPE_A);
	ck_assert_int_eq(compared(), SHADOW_DIFFERS);
	ck_assert_str_eq(shadow_text(&they_say, text), "NXDOMAIN");
}
END_TEST

/* ---- Replies that were tampered with ---- */

static const struct {
	const char *what;
	size_t at;
	uint8_t set;
	size_t cut;
	enum shadow_verdict verdict;
} spoils[] = {
	{ "truncated", 2, 0x86, 0, SHADOW_NOTHING }, { "SERVFAIL", 3, 2, 0, SHADOW_NOTHING },
	{ "REFUSED", 3, 5, 0, SHADOW_NOTHING }, { "cut short", 2, 0x84, 3, SHADOW_NOTHING },
	{ "two questions", 5, 2, 0, SHADOW_NOTHING }, { "a count that lies", 7, 9, 0, SHADOW_NOTHING },
	{ "no header", 2, 0x84, SIZE_MAX, SHADOW_NOTHING },
	{ "no AA", 2, 0x80, 0, SHADOW_DIFFERS }, { "NXDOMAIN with data", 3, 3, 0, SHADOW_DIFFERS },
};

START_TEST(spoilt_reply_is_not_taken_for_the_same)
{
	ours = fixture_zone("example.com", OURS);
	theirs = fixture_zone("example.com", OURS);
	given_question("w.example.com", TYPE_A);
	ck_assert_int_eq(compared(), SHADOW_SAME);
	reply[spoils[_i].at] = spoils[_i].set;
	reply_len = spoils[_i].cut == SIZE_MAX ? 11 : reply_len - spoils[_i].cut;
	ck_assert_msg(compared() == spoils[_i].verdict, "%s", spoils[_i].what);
}
END_TEST

static void add_record(const char *tail, size_t len, size_t count_at)
{
	memcpy(reply + reply_len, tail, len);
	reply_len += len;
	wire_put_u16(reply + count_at, (uint16_t)(wire_get_u16(reply + count_at) + 1));
}

START_TEST(signatures_and_other_classes_do_not_matter)
{
	ours = fixture_zone("example.com", OURS);
	theirs = fixture_zone("example.com", SOA("1") REST HOST);
	given_question("nope.example.com", TYPE_A);
	add_record("\300\14\0\56\0\1\0\0\0\0\0\1x", 13, 8);	/* RRSIG, in authority */
	ck_assert_int_eq(compared(), SHADOW_SAME);
	given_question("w.sub.example.com", TYPE_A);
	ck_assert_int_eq(compared(), SHADOW_SAME);
}
END_TEST

START_TEST(more_records_than_are_compared_tell_nothing)
{
	static char zone[8192];
	size_t len = (size_t)snprintf(zone, sizeof(zone), SOA("1") NS);

	for (unsigned i = 0; i < 65; i++)
		len += (size_t)snprintf(zone + len, sizeof(zone) - len,
					"w.example.com. 60 IN A 192.0.2.%u\n", i);
	ours = fixture_zone("example.com", zone);
	theirs = fixture_zone("example.com", OURS);
	given_question("w.example.com", TYPE_A);
	ck_assert_int_eq(compared(), SHADOW_NOTHING);
}
END_TEST

/* ---- Questions ---- */

static const struct { uint16_t type; bool is_comparable; } types[] = {
	{ TYPE_A, true }, { TYPE_SOA, true }, { TYPE_DS, true }, { TYPE_HTTPS, true }, { TYPE_CAA, true },
	{ 0, false }, { TYPE_OPT, false }, { TYPE_ANY, false }, { TYPE_AXFR, false },
	{ TYPE_TSIG, false }, { TYPE_RRSIG, false }, { TYPE_NSEC, false }, { TYPE_DNSKEY, false },
	{ TYPE_NSEC3PARAM, false }, { TYPE_ZONEMD, false }, { TYPE_ALIAS, false }, { TYPE_LUA, false },
};

START_TEST(questions_whose_answers_depend_on_the_server_are_left_out)
{
	struct message m = { .qtype = types[_i].type, .qclass = CLASS_IN };

	ck_assert_msg(shadow_is_comparable(&m) == types[_i].is_comparable, "type %u", m.qtype);
	m.is_signed = true;
	ck_assert(!shadow_is_comparable(&m));
	m.is_signed = false;
	m.qclass = CLASS_CH;
	ck_assert(!shadow_is_comparable(&m));
	m.qclass = CLASS_IN;
	m.opcode = OPCODE_NOTIFY;
	ck_assert(!shadow_is_comparable(&m));
}
END_TEST

#define ROWS(table) (int)(sizeof(table) / sizeof(table[0]))

int main(void)
{
	Suite *s = suite_create("shadow");
	TCase *tc = tcase_create("answers");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, answers_of_two_zones_are_compared, 0, ROWS(pairs));
	tcase_add_test(tc, alias_into_another_zone_is_compared_up_to_there);
	tcase_add_test(tc, server_that_has_the_delegated_zone_itself_is_told_of);
	tcase_add_loop_test(tc, spoilt_reply_is_not_taken_for_the_same, 0, ROWS(spoils));
	tcase_add_test(tc, signatures_and_other_classes_do_not_matter);
	tcase_add_test(tc, more_records_than_are_compared_tell_nothing);
	tcase_add_loop_test(tc, questions_whose_answers_depend_on_the_server_are_left_out, 0,
			    ROWS(types));
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
