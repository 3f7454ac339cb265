/* SPDX-License-Identifier: ISC */
/* Lame or not: replies whose AA is clear, byte by byte. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cache/dns.h"
#include "cache/name.h"
#include "cache/wire.h"
#include "proxy/lame.h"

#define QUESTION "\1x\3sub\7example\3com\0\0\1\0\1"	/* sub is at 14, example.com at 18 */
#define NS_TAIL "\0\2\0\1\0\0\0\0\0\2\300\14"

struct reply { uint8_t bytes[256]; size_t len; };

static struct reply reply_with(unsigned flags, unsigned answers, unsigned authorities,
			       const char *rest, size_t rest_len)
{
	struct reply r = { .len = 0 };
	struct wire_out o = wire_into(r.bytes, sizeof(r.bytes));

	wire_add_u16(&o, 1);
	wire_add_u16(&o, (uint16_t)(DNS_QR | flags));
	wire_add_u16(&o, 1);
	wire_add_u16(&o, (uint16_t)answers);
	wire_add_u16(&o, (uint16_t)authorities);
	wire_add_u16(&o, 0);
	wire_add_bytes(&o, QUESTION, sizeof(QUESTION) - 1);
	wire_add_bytes(&o, rest, rest_len);
	r.len = o.len;
	return r;
}

static bool is_lame(struct reply r)
{
	uint8_t origin[NAME_LEN_MAX];

	name_from_text("example.com.", origin);
	return lame_is_reply(r.bytes, r.len, origin);
}

#define LAME(flags, answers, authorities, rest) \
	is_lame(reply_with(flags, answers, authorities, rest, sizeof(rest) - 1))

START_TEST(authoritative_reply_is_not_lame)
{
	ck_assert(!LAME(DNS_AA, 0, 0, ""));
	ck_assert(!LAME(DNS_AA | RCODE_NXDOMAIN, 0, 0, ""));
}
END_TEST

START_TEST(truncated_reply_says_nothing_yet)
{
	ck_assert(!LAME(DNS_TC, 0, 0, ""));
}
END_TEST

START_TEST(empty_reply_without_authority_is_lame)
{
	ck_assert(LAME(0, 0, 0, ""));
	ck_assert(LAME(RCODE_NXDOMAIN, 0, 0, ""));
}
END_TEST

START_TEST(referral_below_the_zone_is_honest)
{
	ck_assert(!LAME(0, 0, 1, "\300\16" NS_TAIL));
}
END_TEST

START_TEST(referral_to_the_zone_itself_or_above_it_is_lame)
{
	ck_assert(LAME(0, 0, 1, "\300\22" NS_TAIL));	/* example.com */
	ck_assert(LAME(0, 0, 1, "\300\32" NS_TAIL));	/* com */
	ck_assert(LAME(0, 0, 1, "\0" NS_TAIL));		/* the root: what old servers send */
}
END_TEST

START_TEST(answer_from_a_cache_is_lame)
{
	ck_assert(LAME(0, 1, 0, "\300\14\0\1\0\1\0\0\0\0\0\4\300\0\2\1"));
	ck_assert(LAME(0, 1, 1, "\300\16" NS_TAIL "\300\16" NS_TAIL));
}
END_TEST

START_TEST(other_record_where_the_referral_should_be_is_lame)
{
	ck_assert(LAME(0, 0, 1, "\300\16\0\6\0\1\0\0\0\0\0\2\300\14"));
}
END_TEST

START_TEST(negative_reply_with_a_referral_is_lame)
{
	ck_assert(LAME(RCODE_NXDOMAIN, 0, 1, "\300\16" NS_TAIL));
}
END_TEST

/* Under a sanitizer this also shows that nothing past the end is read. */
START_TEST(cut_referral_is_lame_wherever_it_ends)
{
	struct reply whole = reply_with(0, 0, 1, "\300\16\0\2", 4);

	ck_assert(!is_lame(whole));
	for (size_t len = DNS_HEADER_LEN; len < whole.len; len++) {
		uint8_t *copy = malloc(len), origin[NAME_LEN_MAX];

		memcpy(copy, whole.bytes, len);
		name_from_text("example.com.", origin);
		ck_assert(lame_is_reply(copy, len, origin));
		free(copy);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lame");
	TCase *tc = tcase_create("replies");

	tcase_add_test(tc, authoritative_reply_is_not_lame);
	tcase_add_test(tc, truncated_reply_says_nothing_yet);
	tcase_add_test(tc, empty_reply_without_authority_is_lame);
	tcase_add_test(tc, referral_below_the_zone_is_honest);
	tcase_add_test(tc, referral_to_the_zone_itself_or_above_it_is_lame);
	tcase_add_test(tc, answer_from_a_cache_is_lame);
	tcase_add_test(tc, other_record_where_the_referral_should_be_is_lame);
	tcase_add_test(tc, negative_reply_with_a_referral_is_lame);
	tcase_add_test(tc, cut_referral_is_lame_wherever_it_ends);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
