/* SPDX-License-Identifier: ISC */
/* probe: what is believed, and what a reply shows. Sockets are tested in test_watch.c. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cache/dns.h"
#include "cache/wire.h"
#include "proxy/probe.h"

#define ZONE "\7example\3com"

static uint8_t query[PROBE_QUERY_MAX], message[512];
static size_t query_len;
static struct probe_verdict v;
static struct probe_ask ask;

static void setup(void)
{
	query_len = probe_query(0xbeef, (const uint8_t *)ZONE, query);
	ask = (struct probe_ask){ .needs_aa = true };
	memset(&v, 0, sizeof(v));
}

/* Only the header and the question. */
static size_t bare_reply(unsigned flags)
{
	memcpy(message, query, query_len);
	wire_put_u16(message + 2, (uint16_t)(DNS_QR | flags));
	return query_len;
}

static bool judge(size_t len)
{
	return probe_judge(&ask, query, query_len, message, len, &v);
}

/* What a good server says: AA, and the SOA with serial 42. */
static size_t good_reply(void)
{
	struct wire_out o = wire_into(message, sizeof(message));

	wire_add_bytes(&o, query, query_len);
	wire_put_u16(message + 2, DNS_QR | DNS_AA);
	wire_put_u16(message + 6, 1);
	wire_add_bytes(&o, "\xc0\x0c", 2);
	wire_add_u16(&o, TYPE_SOA);
	wire_add_u16(&o, CLASS_IN);
	wire_add_u32(&o, 300);
	wire_add_u16(&o, 2 + 2 + 20);
	wire_add_bytes(&o, "\xc0\x0c\xc0\x0c", 4);
	wire_add_u32(&o, 42);
	for (int i = 0; i < 4; i++)
		wire_add_u32(&o, 60);
	return o.len;
}

START_TEST(query_is_a_plain_soa_question)
{
	ck_assert_uint_eq(query_len, 12 + sizeof(ZONE) + 4);
	ck_assert_uint_eq(wire_get_u16(query), 0xbeef);
	ck_assert_uint_eq(wire_get_u16(query + 2), 0);
	ck_assert_uint_eq(wire_get_u16(query + 4), 1);
	ck_assert_mem_eq(query + 12, ZONE, sizeof(ZONE));
	ck_assert_uint_eq(wire_get_u16(query + query_len - 4), TYPE_SOA);
}
END_TEST

START_TEST(good_reply_tells_the_serial)
{
	ck_assert(judge(good_reply()));
	ck_assert_int_eq(v.cause, CAUSE_NONE);
	ck_assert(v.has_serial);
	ck_assert_uint_eq(v.serial, 42);
}
END_TEST

/* Each changes one byte of a good reply: RFC 5452 s.9.1. */
static const struct { const char *what; size_t at; uint8_t flip; } forged[] = {
	{ "another ID",		0,  0x01 },
	{ "no QR",		2,  0x80 },
	{ "another opcode",	2,  0x10 },
	{ "another name",	14, 0x01 },
	{ "another case",	14, 0x20 },
	{ "another type",	12 + sizeof(ZONE) + 1, 0x01 },
	{ "another class",	12 + sizeof(ZONE) + 3, 0x02 },
	{ "two questions",	5,  0x03 },
};

START_TEST(forged_reply_is_not_an_answer)
{
	size_t len = good_reply();

	message[forged[_i].at] ^= forged[_i].flip;
	ck_assert_msg(!judge(len), "believed %s", forged[_i].what);
}
END_TEST

START_TEST(short_message_is_not_an_answer)
{
	size_t len = good_reply();

	for (size_t i = 0; i < query_len; i++)
		ck_assert(!judge(i));
	ck_assert(judge(len));
}
END_TEST

static const struct { unsigned flags; enum health_cause cause; } replies[] = {
	{ DNS_AA | RCODE_SERVFAIL, CAUSE_RCODE },
	{ RCODE_REFUSED,           CAUSE_RCODE },
	{ DNS_AA | RCODE_NXDOMAIN, CAUSE_RCODE },
	{ 0,                       CAUSE_LAME },
	{ DNS_AA,                  CAUSE_NONE },
	{ DNS_AA | DNS_TC,         CAUSE_NONE },
};

START_TEST(reply_shows_what_is_wrong)
{
	size_t len = good_reply();

	wire_put_u16(message + 2, (uint16_t)(DNS_QR | replies[_i].flags));
	ck_assert(judge(len));
	ck_assert_int_eq(v.cause, replies[_i].cause);
}
END_TEST

START_TEST(authority_without_soa_is_lame)
{
	ck_assert(judge(bare_reply(DNS_AA)));
	ck_assert_int_eq(v.cause, CAUSE_LAME);
	ck_assert(!v.has_serial);
}
END_TEST

START_TEST(truncated_reply_is_good_without_serial)
{
	ck_assert(judge(bare_reply(DNS_AA | DNS_TC)));
	ck_assert_int_eq(v.cause, CAUSE_NONE);
	ck_assert(!v.has_serial);
}
END_TEST

START_TEST(cut_record_is_malformed)
{
	size_t len = good_reply();

	for (size_t i = query_len; i < len; i++) {
		memset(&v, 0, sizeof(v));
		ck_assert(judge(i));
		ck_assert_int_eq(v.cause, CAUSE_MALFORMED);
		ck_assert(!v.has_serial);
	}
}
END_TEST

START_TEST(reply_without_the_records_that_it_promises_is_malformed)
{
	size_t len = good_reply();

	wire_put_u16(message + 8, 1);		/* an authority section, which was lost on the way */
	ck_assert(judge(len));
	ck_assert_int_eq(v.cause, CAUSE_MALFORMED);
	ck_assert(!v.has_serial);
}
END_TEST

START_TEST(record_with_a_wrong_length_is_malformed)
{
	size_t len = good_reply();

	message[len - 24 - 1]++;	/* RDLENGTH */
	ck_assert(judge(len));
	ck_assert_int_eq(v.cause, CAUSE_MALFORMED);
}
END_TEST

START_TEST(bare_header_with_rcode_is_an_answer)
{
	good_reply();
	wire_put_u16(message + 2, DNS_QR | RCODE_FORMERR);
	wire_put_u16(message + 4, 0);
	ck_assert(judge(DNS_HEADER_LEN));
	ck_assert_int_eq(v.cause, CAUSE_RCODE);
	ck_assert_int_eq(v.rcode, RCODE_FORMERR);
	wire_put_u16(message + 2, DNS_QR);
	ck_assert(!judge(DNS_HEADER_LEN));
}
END_TEST

START_TEST(any_reply_is_good_where_no_zone_is_known)
{
	size_t len = good_reply();

	ask.any_reply = true;
	wire_put_u16(message + 2, DNS_QR | RCODE_REFUSED);
	ck_assert(judge(len));
	ck_assert_int_eq(v.cause, CAUSE_NONE);
}
END_TEST

START_TEST(authority_bit_matters_only_where_asked)
{
	size_t len = good_reply();

	ask.needs_aa = false;
	wire_put_u16(message + 2, DNS_QR);
	ck_assert(judge(len));
	ck_assert_int_eq(v.cause, CAUSE_NONE);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("probe");
	TCase *tc = tcase_create("judge");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, query_is_a_plain_soa_question);
	tcase_add_test(tc, good_reply_tells_the_serial);
	tcase_add_loop_test(tc, forged_reply_is_not_an_answer, 0,
			    sizeof(forged) / sizeof(forged[0]));
	tcase_add_test(tc, short_message_is_not_an_answer);
	tcase_add_loop_test(tc, reply_shows_what_is_wrong, 0, sizeof(replies) / sizeof(replies[0]));
	tcase_add_test(tc, authority_without_soa_is_lame);
	tcase_add_test(tc, truncated_reply_is_good_without_serial);
	tcase_add_test(tc, cut_record_is_malformed);
	tcase_add_test(tc, reply_without_the_records_that_it_promises_is_malformed);
	tcase_add_test(tc, record_with_a_wrong_length_is_malformed);
	tcase_add_test(tc, bare_header_with_rcode_is_an_answer);
	tcase_add_test(tc, any_reply_is_good_where_no_zone_is_known);
	tcase_add_test(tc, authority_bit_matters_only_where_asked);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
