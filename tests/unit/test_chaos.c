/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cache/chaos.h"
#include "cache/wire.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static uint8_t query[512];
static struct message message;

static void given_query(const char *name, uint16_t type, uint16_t class, unsigned flags, bool has_opt)
{
	struct wire_out o = wire_into(query, sizeof(query));
	uint8_t qname[NAME_LEN_MAX];
	size_t len = name_from_text(name, qname);

	wire_add_u16(&o, 4711);
	wire_add_u16(&o, (uint16_t)flags);
	wire_add_bytes(&o, "\0\1\0\0\0\0\0", 7);
	wire_add_u8(&o, has_opt);
	wire_add_bytes(&o, qname, len);
	wire_add_u16(&o, type);
	wire_add_u16(&o, class);
	if (has_opt)
		wire_add_bytes(&o, "\0\0\51\4\320\0\0\0\0\0\4\0\3\0\0", 15);	/* NSID */
	ck_assert_int_eq(message_parse(query, o.len, &message), MESSAGE_OK);
}

static const struct {
	const char *name;
	uint16_t type, class;
	unsigned flags;
	enum chaos_name asks;
} questions[] = {
	{ "id.server.", TYPE_TXT, CLASS_CH, 0, CHAOS_IDENTITY },
	{ "hostname.bind.", TYPE_TXT, CLASS_CH, DNS_RD, CHAOS_IDENTITY },
	{ "VERSION.bind.", TYPE_TXT, CLASS_CH, 0, CHAOS_VERSION },
	{ "version.Server.", TYPE_ANY, CLASS_CH, 0, CHAOS_VERSION },
	{ "version.bind.", TYPE_A, CLASS_CH, 0, CHAOS_NONE },
	{ "version.bind.", TYPE_TXT, CLASS_IN, 0, CHAOS_NONE },
	{ "version.bind.", TYPE_TXT, CLASS_ANY, 0, CHAOS_NONE },
	{ "authors.bind.", TYPE_TXT, CLASS_CH, 0, CHAOS_NONE },
	{ "x.version.bind.", TYPE_TXT, CLASS_CH, 0, CHAOS_NONE },
	{ "bind.", TYPE_TXT, CLASS_CH, 0, CHAOS_NONE },
	{ ".", TYPE_TXT, CLASS_CH, 0, CHAOS_NONE },
	{ "version.bind.", TYPE_TXT, CLASS_CH, OPCODE_NOTIFY << 11, CHAOS_NONE },
};

START_TEST(four_names_of_class_chaos_are_known)
{
	given_query(questions[_i].name, questions[_i].type, questions[_i].class, questions[_i].flags, false);
	ck_assert_int_eq(chaos_asked(&message), questions[_i].asks);
}
END_TEST

START_TEST(answer_is_one_txt_of_class_chaos)
{
	uint8_t out[512];
	size_t len;

	given_query("Id.Server.", TYPE_TXT, CLASS_CH, DNS_RD, false);
	len = chaos_write(&message, query, "ns1", NULL, out, sizeof(out));
	ck_assert_uint_eq(len, 27 + 16);
	ck_assert_mem_eq(out, "\22\147\201\0\0\1\0\1\0\0\0\0" "\2Id\6Server\0\0\20\0\3"
			      "\300\14\0\20\0\3\0\0\0\0\0\4\3ns1", len);
}
END_TEST

START_TEST(opt_is_as_in_every_answer)
{
	static const struct edns_reply edns = { .nsid = (const uint8_t *)"x", .nsid_len = 1 };
	uint8_t out[512];
	size_t len;

	given_query("version.bind.", TYPE_TXT, CLASS_CH, 0, true);
	len = chaos_write(&message, query, "", &edns, out, sizeof(out));
	ck_assert_uint_eq(wire_get_u16(out + 10), 1);
	ck_assert_mem_eq(out + len - 16, "\0\0\51\4\320\0\0\0\0\0\5\0\3\0\1x", 16);
}
END_TEST

START_TEST(longest_text_fits_512_bytes)
{
	static const uint8_t nsid[EDNS_NSID_MAX];
	static const struct edns_reply edns = { .nsid = nsid, .nsid_len = sizeof(nsid) };
	char text[CHAOS_TEXT_MAX + 1];
	uint8_t out[512];
	size_t len;

	memset(text, 'x', CHAOS_TEXT_MAX);
	text[CHAOS_TEXT_MAX] = '\0';
	given_query("version.server.", TYPE_TXT, CLASS_CH, 0, true);
	len = chaos_write(&message, query, text, &edns, out, sizeof(out));
	ck_assert_uint_le(len, sizeof(out));
	ck_assert_uint_eq(wire_get_u16(out + 2), DNS_QR);
	ck_assert_uint_eq(wire_get_u16(out + 6), 1);
}
END_TEST

/* No name of ours is so long, but the writer need not know. */
START_TEST(text_that_does_not_fit_says_tc)
{
	char name[300] = "", text[CHAOS_TEXT_MAX + 1];
	uint8_t out[512];

	for (int i = 0; i < 3; i++)
		strcat(name, "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk.");
	strcat(name, "abcdefghijklmnopqrstuvwxyz.");
	memset(text, 'x', CHAOS_TEXT_MAX);
	text[CHAOS_TEXT_MAX] = '\0';
	given_query(name, TYPE_TXT, CLASS_CH, 0, true);
	chaos_write(&message, query, text, NULL, out, sizeof(out));
	ck_assert_uint_eq(wire_get_u16(out + 2), DNS_QR | DNS_TC);
	ck_assert_uint_eq(wire_get_u16(out + 6), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("chaos");
	TCase *tc = tcase_create("chaos");

	tcase_add_loop_test(tc, four_names_of_class_chaos_are_known, 0, COUNT(questions));
	tcase_add_test(tc, answer_is_one_txt_of_class_chaos);
	tcase_add_test(tc, opt_is_as_in_every_answer);
	tcase_add_test(tc, longest_text_fits_512_bytes);
	tcase_add_test(tc, text_that_does_not_fit_says_tc);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
