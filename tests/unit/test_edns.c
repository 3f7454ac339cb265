/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cache/cookie.h"
#include "cache/edns.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define BYTES(s) (const uint8_t *)(s), sizeof(s) - 1

#define COOKIE8		"\0\12\0\10" "abcdefgh"
#define NSID		"\0\3\0\0"
#define EXPIRE		"\0\11\0\0"
#define KEEPALIVE	"\0\13\0\0"
#define ZONEVERSION	"\0\23\0\0"
#define SUBNET		"\0\10\0\7" "\0\1\30\0\300\0\2"		/* 192.0.2.0/24 */

/* In memory of its own size, so that a sanitizer sees any overrun. The caller frees it. */
static uint8_t *copy_of(const uint8_t *bytes, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	memcpy(copy, bytes, len);
	return copy;
}

static bool parse(const uint8_t *options, size_t len, struct edns *e)
{
	uint8_t *copy = copy_of(options, len);
	bool is_good;

	*e = (struct edns){ 0 };
	is_good = edns_parse(e, 1232, 0, copy, len);
	free(copy);
	return is_good;
}

/* ---- Parsing ---- */

/* What a query asks for, as letters: Nsid Expire Keepalive Zoneversion Cookie Subnet. */
static const char *wishes_of(const struct edns *e)
{
	static char text[8];
	char *t = text;

	if (e->wants_nsid)
		*t++ = 'N';
	if (e->wants_expire)
		*t++ = 'E';
	if (e->wants_keepalive)
		*t++ = 'K';
	if (e->wants_zone_version)
		*t++ = 'Z';
	if (e->cookie_len > 0)
		*t++ = 'C';
	if (e->subnet_len > 0)
		*t++ = 'S';
	*t = '\0';
	return text;
}

static const struct {
	const char *what;
	const uint8_t *options;
	size_t len;
	const char *wishes;	/* NULL: FORMERR */
} inputs[] = {
	{ "no option", BYTES(""), "" },
	{ "all of them", BYTES(NSID EXPIRE KEEPALIVE ZONEVERSION COOKIE8 SUBNET), "NEKZCS" },
	{ "all of them twice",
	  BYTES(NSID EXPIRE KEEPALIVE ZONEVERSION COOKIE8 SUBNET
		NSID EXPIRE KEEPALIVE ZONEVERSION COOKIE8 SUBNET), "NEKZCS" },
	{ "unknown options", BYTES("\xff\xfe\0\3abc" "\0\0\0\0" NSID), "N" },
	{ "padding, EDE, DAU", BYTES("\0\14\0\4\0\0\0\0" "\0\17\0\2\0\0" "\0\5\0\1\10"), "" },

	{ "half a code", BYTES("\0"), NULL },
	{ "half a length", BYTES(NSID "\0\3\0"), NULL },
	{ "longer than the record", BYTES("\xff\xfe\0\4abc"), NULL },
	{ "length 65535", BYTES("\0\3\xff\xff"), NULL },

	{ "COOKIE, empty", BYTES("\0\12\0\0"), NULL },
	{ "COOKIE of 7", BYTES("\0\12\0\7abcdefg"), NULL },
	{ "COOKIE of 9", BYTES("\0\12\0\11abcdefghi"), NULL },
	{ "COOKIE of 15", BYTES("\0\12\0\17abcdefghijklmno"), NULL },
	{ "COOKIE of 16", BYTES("\0\12\0\20abcdefghijklmnop"), "C" },
	{ "COOKIE of 40", BYTES("\0\12\0\50abcdefghijklmnopqrstuvwxyzabcdefghijklmn"), "C" },
	{ "COOKIE of 41", BYTES("\0\12\0\51abcdefghijklmnopqrstuvwxyzabcdefghijklmno"), NULL },
	{ "a second COOKIE of 7 does not count", BYTES(COOKIE8 "\0\12\0\7abcdefg"), "C" },

	/* RFC 5001 s.2.1 */
	{ "NSID with something in it", BYTES("\0\3\0\4" "ns1x"), "N" },
	/* No server of ours minds, so nor do we: they ask for nothing. */
	{ "EXPIRE with a time", BYTES("\0\11\0\4\0\0\0\1"), "" },
	{ "EXPIRE of 3", BYTES("\0\11\0\3\0\0\0"), "" },
	{ "tcp-keepalive with a time", BYTES("\0\13\0\2\0\1"), "" },
	{ "ZONEVERSION with a version", BYTES("\0\23\0\6\2\0\0\0\0\1"), "" },
	{ "a good one beside a bad one", BYTES("\0\11\0\3\0\0\0" EXPIRE), "E" },

	{ "ECS 0.0.0.0/0", BYTES("\0\10\0\4" "\0\1\0\0"), "S" },
	{ "ECS of no family", BYTES("\0\10\0\4" "\0\0\0\0"), "S" },
	{ "ECS of no family with bits", BYTES("\0\10\0\5" "\0\0\1\0\200"), "" },
	{ "ECS 128.0.0.0/1", BYTES("\0\10\0\5" "\0\1\1\0\200"), "S" },
	{ "ECS /1 with two bits", BYTES("\0\10\0\5" "\0\1\1\0\300"), "" },
	{ "ECS /32", BYTES("\0\10\0\10" "\0\1\40\0\300\0\2\1"), "S" },
	{ "ECS /33", BYTES("\0\10\0\11" "\0\1\41\0\300\0\2\1\0"), "" },
	{ "ECS /24 in 4 bytes", BYTES("\0\10\0\10" "\0\1\30\0\300\0\2\0"), "" },
	{ "ECS /24 in 2 bytes", BYTES("\0\10\0\6" "\0\1\30\0\300\0"), "" },
	{ "ECS with a scope", BYTES("\0\10\0\7" "\0\1\30\30\300\0\2"), "" },
	{ "ECS 2001:db8::/32", BYTES("\0\10\0\10" "\0\2\40\0\40\1\15\270"), "S" },
	{ "ECS /128", BYTES("\0\10\0\24" "\0\2\200\0" "0123456789abcdef"), "S" },
	{ "ECS /129", BYTES("\0\10\0\25" "\0\2\201\0" "0123456789abcdef\200"), "" },
	{ "ECS of family 3", BYTES("\0\10\0\4" "\0\3\0\0"), "" },
	{ "ECS of 3", BYTES("\0\10\0\3" "\0\1\0"), "" },
	{ "ECS, empty", BYTES("\0\10\0\0"), "" },
	{ "the first good ECS", BYTES("\0\10\0\0" SUBNET), "S" },
};

START_TEST(options_are_read_as_their_rfcs_have_them)
{
	struct edns e;
	bool is_good = parse(inputs[_i].options, inputs[_i].len, &e);

	ck_assert_msg(is_good == (inputs[_i].wishes != NULL), "%s: %s", inputs[_i].what,
		      is_good ? "accepted" : "FORMERR");
	if (is_good)
		ck_assert_msg(strcmp(wishes_of(&e), inputs[_i].wishes) == 0, "%s: wants %s",
			      inputs[_i].what, wishes_of(&e));

	/* Cut anywhere, nothing reads past the cut. */
	for (size_t len = 0; len < inputs[_i].len; len++)
		parse(inputs[_i].options, len, &e);
}
END_TEST

START_TEST(fields_of_opt_are_read)
{
	struct edns e = { 0 };

	ck_assert(edns_parse(&e, 4096, 0x00008000, BYTES(COOKIE8 SUBNET)));
	ck_assert(e.is_present && e.dnssec_ok);
	ck_assert_uint_eq(e.size, 4096);
	ck_assert_uint_eq(e.version, 0);
	ck_assert_uint_eq(e.cookie_len, 8);
	ck_assert_mem_eq(e.cookie, "abcdefgh", 8);
	ck_assert_uint_eq(e.subnet_len, 7);
	ck_assert_mem_eq(e.subnet, "\0\1\30\0\300\0\2", 7);

	e = (struct edns){ 0 };
	ck_assert(edns_parse(&e, 511, 0xff007fff, BYTES("")));	/* every flag but DO */
	ck_assert(e.is_present && !e.dnssec_ok);
	ck_assert_uint_eq(e.size, 512);
	ck_assert_uint_eq(e.version, 0);
}
END_TEST

START_TEST(options_of_another_version_are_not_looked_at)
{
	struct edns e = { 0 };

	ck_assert(edns_parse(&e, 1232, 0x00010000, BYTES("!")));
	ck_assert_uint_eq(e.version, 1);
	ck_assert_str_eq(wishes_of(&e), "");
}
END_TEST

START_TEST(options_behind_the_32nd_are_not_looked_at)
{
	uint8_t options[4 * 33] = { 0 };	/* empty options 0, then NSID */
	struct edns e;

	options[4 * 32 + 1] = EDNS_NSID;
	ck_assert(parse(options, sizeof(options), &e));
	ck_assert_str_eq(wishes_of(&e), "");
	ck_assert(parse(options + 4, sizeof(options) - 4, &e));
	ck_assert_str_eq(wishes_of(&e), "N");
}
END_TEST

/* ---- Writing ---- */

static const uint8_t COOKIE[COOKIE_FULL_LEN + 1] = "abcdefghSERVERCOOKIE1234";
static const struct edns_reply ALL = {
	.cookie = COOKIE, .nsid = (const uint8_t *)"ns1", .nsid_len = 3, .has_zone = true,
	.zone_labels = 2, .zone_serial = 0x01020304, .zone_expire_s = 3600, .keepalive = 100,
};
static const struct edns_reply NO_ZONE = {
	.cookie = COOKIE, .nsid = (const uint8_t *)"ns1", .nsid_len = 3, .keepalive = 100,
};
static const struct edns_reply NOTHING = { 0 };

#define OPT(rcode, do, rdlen)	"\0\0\51\4\320" rcode "\0" do "\0\0" rdlen
#define THE_COOKIE	"\0\12\0\30" "abcdefghSERVERCOOKIE1234"
#define THE_NSID	"\0\3\0\3ns1"
#define THE_EXPIRE	"\0\11\0\4\0\0\16\20"
#define THE_VERSION	"\0\23\0\6\2\0\1\2\3\4"
#define THE_KEEPALIVE	"\0\13\0\2\0\144"
#define THE_EDE		"\0\17\0\2\0\26"

static const struct {
	const char *what;
	const uint8_t *options;
	size_t options_len;
	bool dnssec_ok;
	const struct edns_reply *reply;
	enum dns_rcode rcode;
	enum dns_ede ede;
	const uint8_t *opt;
	size_t opt_len;
} replies[] = {
	{ "what is not asked is not told", BYTES(""), false, &ALL, RCODE_NOERROR, EDE_NONE,
	  BYTES(OPT("\0", "\0", "\0")) },
	{ "what is asked is told",
	  BYTES(NSID EXPIRE KEEPALIVE ZONEVERSION COOKIE8 SUBNET), true, &ALL, RCODE_NOERROR, EDE_NONE,
	  BYTES(OPT("\0", "\200", "\106") THE_COOKIE THE_NSID THE_EXPIRE THE_VERSION THE_KEEPALIVE SUBNET) },
	{ "of no zone there is no time and no version",
	  BYTES(NSID EXPIRE KEEPALIVE ZONEVERSION COOKIE8), false, &NO_ZONE, RCODE_NOERROR, EDE_NONE,
	  BYTES(OPT("\0", "\0", "\51") THE_COOKIE THE_NSID THE_KEEPALIVE) },
	{ "nothing to tell",
	  BYTES(NSID EXPIRE KEEPALIVE ZONEVERSION COOKIE8), false, &NOTHING, RCODE_NOERROR, EDE_NONE,
	  BYTES(OPT("\0", "\0", "\0")) },
	{ "nothing at all", BYTES(NSID SUBNET), false, NULL, RCODE_NOERROR, EDE_NONE,
	  BYTES(OPT("\0", "\0", "\13") SUBNET) },
	{ "BADVERS has its upper bits here", BYTES(""), true, &ALL, RCODE_BADVERS, EDE_NONE,
	  BYTES(OPT("\1", "\200", "\0")) },
	{ "an extended error is last", BYTES(NSID), false, &ALL, RCODE_SERVFAIL,
	  EDE_NO_REACHABLE_AUTHORITY, BYTES(OPT("\0", "\0", "\15") THE_NSID THE_EDE) },
	{ "unknown options are not echoed", BYTES("\xff\xfe\0\3abc"), false, &ALL, RCODE_NOERROR, EDE_NONE,
	  BYTES(OPT("\0", "\0", "\0")) },
};

START_TEST(opt_is_what_the_client_asked_for)
{
	uint8_t out[512], *options = copy_of(replies[_i].options, replies[_i].options_len);
	struct wire_out o = wire_into(out, sizeof(out));
	struct edns e = { 0 };

	ck_assert(edns_parse(&e, 1232, replies[_i].dnssec_ok ? 0x8000 : 0, options,
			     replies[_i].options_len));
	ck_assert(edns_write(&o, &e, replies[_i].reply, replies[_i].rcode, replies[_i].ede));
	ck_assert_msg(o.len == replies[_i].opt_len, "%s: %zu bytes", replies[_i].what, o.len);
	ck_assert_msg(memcmp(out, replies[_i].opt, o.len) == 0, "%s", replies[_i].what);
	ck_assert_uint_eq(edns_len(&e, replies[_i].reply) +
			  (replies[_i].ede == EDE_NONE ? 0 : EDNS_EDE_LEN), o.len);
	free(options);
}
END_TEST

START_TEST(without_opt_there_is_none)
{
	uint8_t out[512];
	struct wire_out o = wire_into(out, sizeof(out));
	struct edns e = { 0 };

	ck_assert_uint_eq(edns_len(&e, &ALL), 0);
	ck_assert(!edns_write(&o, &e, &ALL, RCODE_SERVFAIL, EDE_OTHER));
	ck_assert_uint_eq(o.len, 0);
}
END_TEST

/* Each option whole or not at all, RDLENGTH right, whatever the room. */
START_TEST(what_does_not_fit_is_left_out_whole)
{
	struct edns e = { 0 }, again;
	size_t whole;

	ck_assert(edns_parse(&e, 1232, 0,
			     BYTES(NSID EXPIRE KEEPALIVE ZONEVERSION COOKIE8 SUBNET)));
	whole = edns_len(&e, &ALL) + EDNS_EDE_LEN;
	for (size_t cap = 0; cap <= whole; cap++) {
		uint8_t *out = malloc(cap ? cap : 1);
		struct wire_out o = wire_into(out, cap);
		bool is_written = edns_write(&o, &e, &ALL, RCODE_NOERROR, EDE_OTHER);

		ck_assert_int_eq(is_written, cap >= 11);
		ck_assert(!o.full && o.len <= cap && (cap < whole || o.len == whole));
		if (is_written) {
			ck_assert_uint_eq(wire_get_u16(out + 9), o.len - 11);
			again = (struct edns){ 0 };
			ck_assert(edns_parse(&again, 1232, 0, out + 11, o.len - 11));
			ck_assert_int_eq(again.cookie_len > 0, cap >= 11 + 28);
		}
		free(out);
	}
}
END_TEST

START_TEST(a_full_message_stays_as_it_is)
{
	uint8_t out[64];
	struct wire_out o = wire_into(out, sizeof(out));
	struct edns e = { .is_present = true };

	o.full = true;
	ck_assert(!edns_write(&o, &e, NULL, RCODE_NOERROR, EDE_NONE));
	ck_assert_uint_eq(o.len, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("edns");
	TCase *parsing = tcase_create("parse"), *writing = tcase_create("write");

	tcase_add_loop_test(parsing, options_are_read_as_their_rfcs_have_them, 0, COUNT(inputs));
	tcase_add_test(parsing, fields_of_opt_are_read);
	tcase_add_test(parsing, options_of_another_version_are_not_looked_at);
	tcase_add_test(parsing, options_behind_the_32nd_are_not_looked_at);
	tcase_add_loop_test(writing, opt_is_what_the_client_asked_for, 0, COUNT(replies));
	tcase_add_test(writing, without_opt_there_is_none);
	tcase_add_test(writing, what_does_not_fit_is_left_out_whole);
	tcase_add_test(writing, a_full_message_stays_as_it_is);
	suite_add_tcase(s, parsing);
	suite_add_tcase(s, writing);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
