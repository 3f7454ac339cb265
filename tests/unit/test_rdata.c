/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cache/dns.h"
#include "cache/name.h"
#include "cache/rdata.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define BYTES(s) (const uint8_t *)(s), sizeof(s) - 1

static uint8_t stored[65535];
static uint16_t stored_len;

/* Parses `bytes` behind a message of `before`; both in memory of their own size. */
static bool parse_behind(const uint8_t *before, size_t before_len, uint16_t type,
			 const uint8_t *bytes, size_t len)
{
	uint8_t *copy = malloc(before_len + len + 1);

	memcpy(copy, before, before_len);
	memcpy(copy + before_len, bytes, len);
	struct wire w = wire_over(copy, before_len + len);

	w.pos = before_len;
	bool is_good = rdata_parse(&w, type, (uint16_t)len, stored, &stored_len);

	ck_assert(is_good == !w.bad);
	ck_assert(!is_good || w.pos == w.len);
	free(copy);
	return is_good;
}

static bool parse(uint16_t type, const uint8_t *bytes, size_t len)
{
	return parse_behind(BYTES(""), type, bytes, len);
}

#define NAME "\3www\7example\3com\0"

struct row { const char *what; uint16_t type; const uint8_t *bytes; size_t len; };

static const struct row good[] = {
	{ "A", TYPE_A, BYTES("\300\0\2\1") },
	{ "AAAA", TYPE_AAAA, BYTES("0123456789abcdef") },
	{ "NS", TYPE_NS, BYTES(NAME) },
	{ "NS of the root", TYPE_NS, BYTES("\0") },
	{ "SOA", TYPE_SOA, BYTES(NAME "\1h\0" "1234abcd5678ABCDefgh") },
	{ "MX", TYPE_MX, BYTES("\0\12" NAME) },
	{ "TXT of one empty string", TYPE_TXT, BYTES("\0") },
	{ "TXT of three", TYPE_TXT, BYTES("\1a\0\2bc") },
	{ "HINFO", TYPE_HINFO, BYTES("\1a\1b") },
	{ "NULL, empty", TYPE_NULL, BYTES("") },
	{ "WKS without ports", TYPE_WKS, BYTES("\300\0\2\1\6") },
	{ "SRV", TYPE_SRV, BYTES("\0\0\0\0\0\65" NAME) },
	{ "NAPTR", TYPE_NAPTR, BYTES("\0\1\0\1\1u\0\1x" NAME) },
	{ "APL, empty", TYPE_APL, BYTES("") },
	{ "APL", TYPE_APL, BYTES("\0\1\30\3\300\0\2" "\0\2\40\204\40\1\15\270") },
	{ "APL of an unknown family", TYPE_APL, BYTES("\0\3\377\2ab") },
	{ "LOC", TYPE_LOC, BYTES("0123456789abcdef") },
	{ "DS", TYPE_DS, BYTES("\1\1\15\2x") },
	{ "IPSECKEY without gateway", TYPE_IPSECKEY, BYTES("\12\0\2key") },
	{ "IPSECKEY with an address", TYPE_IPSECKEY, BYTES("\12\1\2\300\0\2\1key") },
	{ "IPSECKEY with a name", TYPE_IPSECKEY, BYTES("\12\3\2" NAME "key") },
	{ "RRSIG", TYPE_RRSIG, BYTES("\0\1\15\2ttttEEEEIIIIkk" NAME "sig") },
	{ "NSEC", TYPE_NSEC, BYTES(NAME "\0\1\100\1\1\1") },
	{ "NSEC3 without salt and types", TYPE_NSEC3, BYTES("\1\0\0\12\0\4hash") },
	{ "NSEC3 with both", TYPE_NSEC3, BYTES("\1\0\0\12\2sa\4hash\0\1\100") },
	{ "NSEC3PARAM", TYPE_NSEC3PARAM, BYTES("\1\0\0\0\0") },
	{ "HIP", TYPE_HIP, BYTES("\2\1\0\3hhkkk" NAME NAME) },
	{ "SVCB, no parameters", TYPE_SVCB, BYTES("\0\0" NAME) },
	{ "SVCB", TYPE_SVCB, BYTES("\0\1\0" "\0\1\0\3\2h2" "\0\3\0\2\0\65") },
	{ "CAA, empty value", TYPE_CAA, BYTES("\0\5issue") },
	{ "EUI48", TYPE_EUI48, BYTES("123456") },
	{ "AMTRELAY, discovery bit", 260, BYTES("\12\201\300\0\2\1") },
	{ "a type of nobody's", 65280, BYTES("\300\0anything") },
	{ "a type of nobody's, empty", 1234, BYTES("") },
};

START_TEST(good_rdata_is_stored_as_it_came_and_found_valid)
{
	ck_assert_msg(parse(good[_i].type, good[_i].bytes, good[_i].len), "%s", good[_i].what);
	ck_assert_mem_eq(stored, good[_i].bytes, good[_i].len);
	ck_assert_uint_eq(stored_len, good[_i].len);
	ck_assert(rdata_is_valid(good[_i].type, stored, stored_len));
}
END_TEST

START_TEST(rdata_cut_short_anywhere_is_never_read_past_its_end)
{
	for (size_t len = 0; len < good[_i].len; len++)
		if (parse(good[_i].type, good[_i].bytes, len))
			ck_assert(rdata_is_valid(good[_i].type, stored, stored_len));
}
END_TEST

#define LABEL63 "\77" "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"

static const struct row bad[] = {
	{ "A of 3 bytes", TYPE_A, BYTES("\300\0\2") },
	{ "A of 5 bytes", TYPE_A, BYTES("\300\0\2\1\1") },
	{ "A, empty", TYPE_A, BYTES("") },
	{ "name that runs past RDLENGTH", TYPE_MX, BYTES("\0\12\3") },
	{ "MX without a name", TYPE_MX, BYTES("\0\12") },
	{ "bytes behind the name", TYPE_NS, BYTES(NAME "x") },
	{ "label of 64", TYPE_NS, BYTES("\100abc\0") },
	{ "name over 255", TYPE_NS, BYTES(LABEL63 LABEL63 LABEL63 LABEL63 "\0") },
	{ "pointer to itself", TYPE_NS, BYTES("\300\0") },
	{ "forward pointer", TYPE_NS, BYTES("\300\2\0") },
	{ "SOA without timers", TYPE_SOA, BYTES(NAME NAME "1234") },
	{ "TXT of no string", TYPE_TXT, BYTES("") },
	{ "string that runs out", TYPE_TXT, BYTES("\1a\5bc") },
	{ "HINFO of one string", TYPE_HINFO, BYTES("\1a") },
	{ "HINFO of three", TYPE_HINFO, BYTES("\1a\1b\1c") },
	{ "NSEC window without bytes", TYPE_NSEC, BYTES("\0" "\0\0") },
	{ "NSEC window of 33", TYPE_NSEC, BYTES("\0" "\0\41" "012345678901234567890123456789012") },
	{ "NSEC window that runs out", TYPE_NSEC, BYTES("\0" "\0\4abc") },
	{ "NSEC windows falling", TYPE_NSEC, BYTES("\0" "\1\1a\0\1a") },
	{ "NSEC window twice", TYPE_NSEC, BYTES("\0" "\1\1a\1\1a") },
	{ "NXT without bitmap", TYPE_NXT, BYTES("\0") },
	{ "NSEC3 hash of 0", TYPE_NSEC3, BYTES("\1\0\0\0\0\0\0\1\100") },
	{ "NSEC3 hash of 255", TYPE_NSEC3, BYTES("\1\0\0\0\0\377hash") },
	{ "NSEC3 salt that runs out", TYPE_NSEC3PARAM, BYTES("\1\0\0\0\10abc") },
	{ "SVCB parameter of 65535", TYPE_SVCB, BYTES("\0\1\0" "\0\1\377\377abc") },
	{ "SVCB half a parameter", TYPE_SVCB, BYTES("\0\1\0" "\0\1\0") },
	{ "SVCB keys falling", TYPE_SVCB, BYTES("\0\1\0" "\0\3\0\0\0\1\0\0") },
	{ "SVCB key twice", TYPE_HTTPS, BYTES("\0\1\0" "\0\1\0\0\0\1\0\0") },
	{ "APL address of 127", TYPE_APL, BYTES("\0\1\30\177\300\0\2") },
	{ "APL address of 5 for IPv4", TYPE_APL, BYTES("\0\1\30\005abcde") },
	{ "APL prefix of 33 for IPv4", TYPE_APL, BYTES("\0\1\41\1a") },
	{ "APL address of 17 for IPv6", TYPE_APL, BYTES("\0\2\30\021" "0123456789abcdef0") },
	{ "HIP whose lengths lie", TYPE_HIP, BYTES("\377\1\377\377hhkkk") },
	{ "HIP without HIT", TYPE_HIP, BYTES("\0\1\0\3kkk") },
	{ "HIP, half a server", TYPE_HIP, BYTES("\2\1\0\3hhkkk\3ab") },
	{ "IPSECKEY gateway of kind 4", TYPE_IPSECKEY, BYTES("\12\4\2abcd") },
	{ "IPSECKEY half an address", TYPE_IPSECKEY, BYTES("\12\2\2abcd") },
	{ "LOC of 15", TYPE_LOC, BYTES("0123456789abcde") },
	{ "RRSIG without signature", TYPE_RRSIG, BYTES("\0\1\15\2ttttEEEEIIIIkk" NAME) },
	{ "CAA without tag", TYPE_CAA, BYTES("\0\0value") },
	{ "DS without digest", TYPE_DS, BYTES("\1\1\15\2") },
};

START_TEST(bad_rdata_is_refused_and_never_valid)
{
	ck_assert_msg(!parse(bad[_i].type, bad[_i].bytes, bad[_i].len), "parsed %s", bad[_i].what);
	ck_assert_msg(!rdata_is_valid(bad[_i].type, bad[_i].bytes, (uint16_t)bad[_i].len),
		      "believed %s", bad[_i].what);
}
END_TEST

START_TEST(rdata_longer_than_the_message_is_refused)
{
	struct wire w = wire_over((const uint8_t *)"\300\0\2\1", 4);

	ck_assert(!rdata_parse(&w, 65280, 5, stored, &stored_len));
	ck_assert(w.bad);
}
END_TEST

/* What follows belongs to the next record, however well it would fit. */
START_TEST(rdata_ends_at_rdlength_although_the_message_goes_on)
{
	struct wire w = wire_over(BYTES("\0\12\3www\0\0\1"));

	ck_assert(!rdata_parse(&w, TYPE_MX, 3, stored, &stored_len));
	w = wire_over(BYTES("\3www\0"));
	ck_assert(!rdata_parse(&w, TYPE_TXT, 3, stored, &stored_len));
	w = wire_over(BYTES("\3www\0\1\2"));
	ck_assert(rdata_parse(&w, TYPE_TXT, 4, stored, &stored_len));
	ck_assert_uint_eq(w.pos, 4);
}
END_TEST

/* RFC 3597 s.4, and those later types that some servers compressed all the same. */
static const struct {
	uint16_t type;
	size_t fixed;
	const char *tail;
	size_t tail_len;
} compressed[] = {
	{ TYPE_NS, 0, "", 0 }, { TYPE_CNAME, 0, "", 0 }, { TYPE_PTR, 0, "", 0 },
	{ TYPE_MB, 0, "", 0 }, { TYPE_MX, 2, "", 0 }, { TYPE_AFSDB, 2, "", 0 },
	{ TYPE_RT, 2, "", 0 }, { TYPE_KX, 2, "", 0 }, { TYPE_SRV, 6, "", 0 },
	{ TYPE_DNAME, 0, "", 0 }, { TYPE_RRSIG, 18, "sig", 3 }, { TYPE_SIG, 18, "sig", 3 },
	{ TYPE_NSEC, 0, "\0\1\100", 3 }, { TYPE_NXT, 0, "\100", 1 },
};

START_TEST(compressed_names_are_stored_in_full)
{
	uint8_t bytes[64] = { 0 };
	size_t fixed = compressed[_i].fixed, tail_len = compressed[_i].tail_len;

	memcpy(bytes + fixed, "\1x\300\0", 4);
	memcpy(bytes + fixed + 4, compressed[_i].tail, tail_len);
	ck_assert(parse_behind(BYTES(NAME), compressed[_i].type, bytes, fixed + 4 + tail_len));
	ck_assert_uint_eq(stored_len, fixed + 2 + sizeof(NAME) - 1 + tail_len);
	ck_assert_mem_eq(stored + fixed, "\1x" NAME, sizeof("\1x" NAME) - 1);
	ck_assert_mem_eq(stored + stored_len - tail_len, compressed[_i].tail, tail_len);
}
END_TEST

START_TEST(both_names_of_a_record_may_be_compressed)
{
	ck_assert(parse_behind(BYTES(NAME), TYPE_SOA, BYTES("\300\0\1h\300\4" "12345678901234567890")));
	ck_assert_uint_eq(stored_len, sizeof(NAME) - 1 + 2 + sizeof(NAME) - 5 + 20);
	ck_assert(parse_behind(BYTES(NAME), TYPE_MINFO, BYTES("\300\0\300\0")));
	ck_assert(parse_behind(BYTES(NAME), TYPE_RP, BYTES("\300\0\300\0")));
	ck_assert(parse_behind(BYTES(NAME), TYPE_PX, BYTES("\0\0\300\0\300\0")));
}
END_TEST

START_TEST(a_pointer_where_none_is_allowed_is_refused)
{
	ck_assert(!parse_behind(BYTES(NAME), TYPE_SVCB, BYTES("\0\1\300\0")));
	ck_assert(!parse_behind(BYTES(NAME), TYPE_HTTPS, BYTES("\0\1\1x\300\0")));
	ck_assert(!parse_behind(BYTES(NAME), TYPE_HIP, BYTES("\2\1\0\3hhkkk\300\0")));
	ck_assert(!parse_behind(BYTES(NAME), TYPE_IPSECKEY, BYTES("\12\3\2\300\0")));
	ck_assert(!rdata_is_valid(TYPE_NS, BYTES("\1a\300\0")));
}
END_TEST

START_TEST(an_unknown_type_is_never_decompressed)
{
	ck_assert(parse_behind(BYTES(NAME), 65280, BYTES("\300\0")));
	ck_assert_uint_eq(stored_len, 2);
	ck_assert_mem_eq(stored, "\300\0", 2);
}
END_TEST

/* 18 bytes, a name of 255 that came as a pointer of 2, and a signature. */
static bool parse_signature_of(size_t signature_len)
{
	static uint8_t bytes[65535];
	uint8_t name[256];
	size_t len = 0;

	for (int i = 0; i < 3; i++, len += 64)
		memcpy(name + len, LABEL63, 64);
	memcpy(name + len, "\75" "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghi", 63);
	ck_assert_uint_eq(len + 63, NAME_LEN_MAX);
	bytes[18] = 0xc0;
	return parse_behind(name, len + 63, TYPE_RRSIG, bytes, 18 + 2 + signature_len);
}

START_TEST(names_may_expand_a_record_to_65535_bytes_and_no_further)
{
	ck_assert(parse_signature_of(65535 - 18 - 255));
	ck_assert_uint_eq(stored_len, 65535);
	ck_assert(!parse_signature_of(65535 - 18 - 255 + 1));
}
END_TEST

START_TEST(case_matters_not_in_names_of_old_types)
{
	ck_assert(rdata_is_equal(TYPE_NS, BYTES("\3www\0"), BYTES("\3WWW\0")));
	ck_assert(rdata_is_equal(TYPE_MX, BYTES("\0\1\3www\0"), BYTES("\0\1\3wWw\0")));
	ck_assert(!rdata_is_equal(TYPE_MX, BYTES("\0\1\3www\0"), BYTES("\0\2\3wWw\0")));
	ck_assert(rdata_is_equal(TYPE_SRV, BYTES("aabbcc\1x\0"), BYTES("aabbcc\1X\0")));
	ck_assert(!rdata_is_equal(TYPE_SRV, BYTES("aabbcc\1x\0"), BYTES("aabbcC\1X\0")));
	ck_assert(rdata_is_equal(TYPE_NSEC, BYTES("\1a\0\0\1@"), BYTES("\1A\0\0\1@")));
	ck_assert(!rdata_is_equal(TYPE_NSEC, BYTES("\1a\0\0\1@"), BYTES("\1A\0\0\1A")));
}
END_TEST

START_TEST(all_else_compares_by_the_byte)
{
	ck_assert(rdata_is_equal(TYPE_TXT, BYTES("\3www"), BYTES("\3www")));
	ck_assert(!rdata_is_equal(TYPE_TXT, BYTES("\3www"), BYTES("\3WWW")));
	ck_assert(!rdata_is_equal(TYPE_SVCB, BYTES("\0\1\1x\0"), BYTES("\0\1\1X\0")));
	ck_assert(!rdata_is_equal(65280, BYTES("\3www\0"), BYTES("\3WWW\0")));
	ck_assert(!rdata_is_equal(TYPE_NS, BYTES("\1a\0"), BYTES("\1a\1b\0")));
	ck_assert(!rdata_is_equal(TYPE_MINFO, BYTES("\1a\0\3bcd\0"), BYTES("\3abc\0\1d\0")));
	ck_assert(!rdata_is_equal(TYPE_HINFO, BYTES("\1a\2bc"), BYTES("\2ab\1c")));
	ck_assert(rdata_is_equal(TYPE_NULL, NULL, 0, NULL, 0));
}
END_TEST

static const struct { uint16_t type; uint8_t before, count; } compressible[] = {
	{ TYPE_NS, 0, 1 }, { TYPE_MX, 2, 1 }, { TYPE_SOA, 0, 2 }, { TYPE_MINFO, 0, 2 },
	{ TYPE_PTR, 0, 1 }, { TYPE_CNAME, 0, 1 }, { TYPE_A, 4, 0 }, { TYPE_WKS, 5, 0 },
	{ TYPE_SRV, 6, 0 }, { TYPE_DNAME, 0, 0 }, { TYPE_TXT, 0, 0 }, { TYPE_RRSIG, 18, 0 },
	{ TYPE_CAA, 1, 0 }, { 65280, 0, 0 },
};

START_TEST(names_that_may_be_compressed_are_those_of_rfc1035)
{
	struct rdata_names names = rdata_compressible(compressible[_i].type);

	ck_assert_uint_eq(names.before, compressible[_i].before);
	ck_assert_uint_eq(names.count, compressible[_i].count);
}
END_TEST

START_TEST(every_type_has_a_text_that_leads_back_to_it)
{
	char text[16];

	for (unsigned type = 1; type <= 65535; type++)
		ck_assert_uint_eq(rdata_type_from_text(rdata_type_text((uint16_t)type, text)), type);
	ck_assert_str_eq(rdata_type_text(TYPE_AAAA, text), "AAAA");
	ck_assert_str_eq(rdata_type_text(65280, text), "TYPE65280");
	ck_assert_uint_eq(rdata_type_from_text("TYPE1"), TYPE_A);
	ck_assert_uint_eq(rdata_type_from_text("nsec3param"), TYPE_NSEC3PARAM);
}
END_TEST

START_TEST(what_is_no_type_is_0)
{
	static const char *const texts[] = { "", "TYPE", "TYPE-1", "TYPE+1", "TYPE65537", "TYPE1x",
					     "TYPE 1", "TYPE99999999999999999999", "AA", "X" };

	for (size_t i = 0; i < COUNT(texts); i++)
		ck_assert_msg(rdata_type_from_text(texts[i]) == 0, "took '%s'", texts[i]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("rdata");
	TCase *tc = tcase_create("rdata");

	tcase_add_loop_test(tc, good_rdata_is_stored_as_it_came_and_found_valid, 0, COUNT(good));
	tcase_add_loop_test(tc, rdata_cut_short_anywhere_is_never_read_past_its_end, 0, COUNT(good));
	tcase_add_loop_test(tc, bad_rdata_is_refused_and_never_valid, 0, COUNT(bad));
	tcase_add_test(tc, rdata_longer_than_the_message_is_refused);
	tcase_add_test(tc, rdata_ends_at_rdlength_although_the_message_goes_on);
	tcase_add_loop_test(tc, compressed_names_are_stored_in_full, 0, COUNT(compressed));
	tcase_add_test(tc, both_names_of_a_record_may_be_compressed);
	tcase_add_test(tc, a_pointer_where_none_is_allowed_is_refused);
	tcase_add_test(tc, an_unknown_type_is_never_decompressed);
	tcase_add_test(tc, names_may_expand_a_record_to_65535_bytes_and_no_further);
	tcase_add_test(tc, case_matters_not_in_names_of_old_types);
	tcase_add_test(tc, all_else_compares_by_the_byte);
	tcase_add_loop_test(tc, names_that_may_be_compressed_are_those_of_rfc1035, 0,
			    sizeof(compressible) / sizeof(compressible[0]));
	tcase_add_test(tc, every_type_has_a_text_that_leads_back_to_it);
	tcase_add_test(tc, what_is_no_type_is_0);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
