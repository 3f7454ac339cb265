/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/response.h"

/* www.example.com. A, and OPT with NSID wanted behind it. */
static const uint8_t QUERY[] = "\22\147\1\0\0\1\0\0\0\0\0\1" "\3www\7example\3com\0\0\1\0\1"
			       "\0\0\51\4\320\0\0\200\0\0\4\0\3\0\0";
enum { QUESTION_END = 12 + 17 + 4, QUERY_LEN = sizeof(QUERY) - 1 };

static const uint8_t NSID[] = "0123456789";
static const struct edns_reply EDNS = { .nsid = NSID, .nsid_len = 10 };
enum { OPT_LEN = 11 + 4 + 10 };

static const uint8_t THREE[] = "\0\4\300\0\2\0" "\0\4\300\0\2\1" "\0\4\300\0\2\2";
static const struct rrset ADDRESSES = { .type = TYPE_A, .count = 3, .ttl = 300, .rdata_len = 18,
					.rdata = THREE };

static struct message query;
static struct response response;
static uint8_t out[DNS_MESSAGE_MAX];

static void begin(bool has_opt, size_t limit)
{
	static uint8_t packet[QUERY_LEN];

	memcpy(packet, QUERY, QUERY_LEN);
	packet[11] = has_opt;
	ck_assert_int_eq(message_parse(packet, QUERY_LEN, &query), MESSAGE_OK);
	response_begin(&response, &query, packet, &EDNS, out, limit);
}

static uint8_t last_byte_of(unsigned record)
{
	return out[QUESTION_END + 16 * (record + 1) - 1];
}

START_TEST(rotation_begins_with_another_record_and_keeps_them_all)
{
	begin(false, 512);
	response.rotation = (uint16_t)_i;
	ck_assert(response_put(&response, SECTION_ANSWER, query.qname, &ADDRESSES));
	ck_assert_uint_eq(response_end(&response, RCODE_NOERROR), QUESTION_END + 3 * 16);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(last_byte_of(i), ((unsigned)_i + i) % 3);
}
END_TEST

START_TEST(signatures_and_other_sections_do_not_rotate)
{
	struct rrset signatures = ADDRESSES;

	signatures.type = TYPE_RRSIG;
	begin(false, 512);
	response.rotation = 1;
	ck_assert(response_put(&response, SECTION_ANSWER, query.qname, &signatures));
	ck_assert(response_put(&response, SECTION_AUTHORITY, query.qname, &ADDRESSES));
	ck_assert(response_put(&response, SECTION_ADDITIONAL, query.qname, &ADDRESSES));
	response_end(&response, RCODE_NOERROR);
	for (unsigned i = 0; i < 9; i++)
		ck_assert_uint_eq(last_byte_of(i), i % 3);
}
END_TEST

START_TEST(opt_has_its_room_whatever_the_answer_is)
{
	begin(true, 512);
	while (response_put(&response, SECTION_ANSWER, query.qname, &ADDRESSES))
		;
	size_t len = response_end(&response, RCODE_NOERROR);

	ck_assert_uint_gt(len, 512 - 48);
	ck_assert_uint_le(len, 512);
	ck_assert_mem_eq(out + len - OPT_LEN, "\0\0\51\4\320\0\0\200\0\0\16\0\3\0\12" "0123456789", OPT_LEN);
	ck_assert_uint_eq(wire_get_u16(out + 10), 1);
}
END_TEST

START_TEST(extended_error_stands_in_opt)
{
	begin(true, 512);
	response_set_ede(&response, EDE_OTHER);
	response_set_ede(&response, EDE_STALE_ANSWER);
	size_t len = response_end(&response, RCODE_NOERROR);

	ck_assert_uint_eq(len, QUESTION_END + OPT_LEN + EDNS_EDE_LEN);
	ck_assert_mem_eq(out + len - EDNS_EDE_LEN, "\0\17\0\2\0\3", EDNS_EDE_LEN);
	ck_assert_uint_eq(wire_get_u16(out + 2) & DNS_TC, 0);

	begin(false, 512);
	response_set_ede(&response, EDE_STALE_ANSWER);
	ck_assert_uint_eq(response_end(&response, RCODE_NOERROR), QUESTION_END);
}
END_TEST

/* RFC 8914 s.3: it goes before any data does, and TC says so where another way has more room. */
START_TEST(extended_error_pushes_no_record_out)
{
	const size_t whole = QUESTION_END + 48 + OPT_LEN;

	for (size_t spare = 0; spare <= EDNS_EDE_LEN; spare++) {
		bool is_told = spare == EDNS_EDE_LEN;
		struct rrset filler = { .type = TYPE_TXT, .count = 1 };
		static uint8_t text[600];
		size_t len = 512 - whole - 12 - spare;

		wire_put_u16(text, (uint16_t)len);
		filler.rdata = text;
		filler.rdata_len = (uint32_t)(2 + len);
		begin(true, 512);
		response_set_ede(&response, EDE_STALE_ANSWER);
		ck_assert(response_put(&response, SECTION_ANSWER, query.qname, &ADDRESSES));
		ck_assert(response_put(&response, SECTION_ANSWER, query.qname, &filler));
		ck_assert_uint_eq(response_end(&response, RCODE_NOERROR),
				  512 - spare + (is_told ? EDNS_EDE_LEN : 0));
		ck_assert_uint_eq(wire_get_u16(out + 6), 4);
		ck_assert_int_eq((wire_get_u16(out + 2) & DNS_TC) != 0, !is_told);
	}
}
END_TEST

START_TEST(by_tcp_there_is_no_other_way_to_ask)
{
	struct rrset filler = { .type = TYPE_TXT, .count = 1 };
	static uint8_t text[DNS_MESSAGE_MAX];
	size_t len = DNS_MESSAGE_MAX - QUESTION_END - OPT_LEN - 12;

	wire_put_u16(text, (uint16_t)len);
	filler.rdata = text;
	filler.rdata_len = (uint32_t)(2 + len);
	begin(true, DNS_MESSAGE_MAX);
	response_set_ede(&response, EDE_STALE_ANSWER);
	ck_assert(response_put(&response, SECTION_ANSWER, query.qname, &filler));
	ck_assert_uint_eq(response_end(&response, RCODE_NOERROR), DNS_MESSAGE_MAX);
	ck_assert_uint_eq(wire_get_u16(out + 2) & DNS_TC, 0);
}
END_TEST

START_TEST(upper_bits_of_an_rcode_travel_in_opt)
{
	begin(true, 512);
	size_t len = response_end(&response, RCODE_BADVERS);

	ck_assert_uint_eq(wire_get_u16(out + 2) & DNS_RCODE, 0);
	ck_assert_uint_eq(out[len - OPT_LEN + 5], 1);
}
END_TEST

START_TEST(records_may_be_of_another_class)
{
	begin(false, 512);
	response.class = CLASS_CH;
	ck_assert(response_put(&response, SECTION_ANSWER, query.qname, &ADDRESSES));
	response_end(&response, RCODE_NOERROR);
	ck_assert_uint_eq(wire_get_u16(out + QUESTION_END + 4), CLASS_CH);
}
END_TEST

/* Names of the zone beside 122 of a question: hardly one found no place, now and then one did. */
START_TEST(a_question_of_many_labels_leaves_a_place_for_other_names)
{
	static uint8_t packet[12 + NAME_LEN_MAX + 4] = "\22\147\1\0\0\1\0\0\0\0\0\0";
	size_t len = 12;
	unsigned missed = 0;
	char text[32];

	for (unsigned i = 0; i < 120; i++) {
		packet[len++] = 1;
		packet[len++] = 'x';
	}
	memcpy(packet + len, "\4test\0\0\1\0\1", 10);
	len += 10;
	ck_assert_int_eq(message_parse(packet, len, &query), MESSAGE_OK);
	for (unsigned i = 0; i < 1000; i++) {
		uint8_t owner[NAME_LEN_MAX];
		size_t first;

		snprintf(text, sizeof(text), "host%u.test.", i);
		name_from_text(text, owner);
		response_begin(&response, &query, packet, NULL, out, 1232);
		ck_assert(response_put(&response, SECTION_AUTHORITY, owner, &ADDRESSES));
		first = response.out.len;
		ck_assert(response_put(&response, SECTION_ADDITIONAL, owner, &ADDRESSES));
		missed += response.out.len - first != 3 * 16;
	}
	ck_assert_uint_le(missed, 5);
}
END_TEST

/* What of a name is written: its own labels, then a pointer into the question of www.example.com. */
static const struct { const char *name, *written; unsigned len; } ends[] = {
	{ "www.example.com.", "\300\14", 2 },
	{ "WWW.Example.COM.", "\300\14", 2 },
	{ "example.com.", "\300\20", 2 },
	{ "ns.EXAMPLE.com.", "\2ns\300\20", 5 },
	{ "a.www.example.com.", "\1a\300\14", 4 },
	{ "xxx.example.com.", "\3xxx\300\20", 6 },
	{ "example.com.com.", "\7example\3com\300\30", 14 },
	{ "com.", "\300\30", 2 },
	{ "example.net.", "\7example\3net\0", 13 },
	{ ".", "\0", 1 },
};

START_TEST(end_of_a_name_may_be_that_of_the_question)
{
	uint8_t owner[NAME_LEN_MAX];

	name_from_text(ends[_i].name, owner);
	begin(false, 512);
	ck_assert(response_put(&response, SECTION_ANSWER, owner, &ADDRESSES));
	ck_assert_mem_eq(out + QUESTION_END, ends[_i].written, ends[_i].len);
	ck_assert_uint_eq(wire_get_u16(out + QUESTION_END + ends[_i].len), TYPE_A);
}
END_TEST

START_TEST(nothing_points_at_what_was_undone)
{
	static const uint8_t owner[] = "\2ns\7example\3net";
	struct response_mark before;

	begin(false, 512);
	before = response_mark(&response);
	for (int i = 0; i < 3; i++) {
		ck_assert(response_put(&response, SECTION_ANSWER, owner, &ADDRESSES));
		ck_assert_mem_eq(out + QUESTION_END, owner, sizeof(owner));
		ck_assert_mem_eq(out + QUESTION_END + sizeof(owner) + 14, "\300\41", 2);
		response_undo(&response, &before);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("response");
	TCase *tc = tcase_create("writer");

	tcase_add_loop_test(tc, rotation_begins_with_another_record_and_keeps_them_all, 0, 7);
	tcase_add_test(tc, signatures_and_other_sections_do_not_rotate);
	tcase_add_test(tc, opt_has_its_room_whatever_the_answer_is);
	tcase_add_test(tc, extended_error_stands_in_opt);
	tcase_add_test(tc, extended_error_pushes_no_record_out);
	tcase_add_test(tc, by_tcp_there_is_no_other_way_to_ask);
	tcase_add_test(tc, upper_bits_of_an_rcode_travel_in_opt);
	tcase_add_test(tc, records_may_be_of_another_class);
	tcase_add_test(tc, a_question_of_many_labels_leaves_a_place_for_other_names);
	tcase_add_loop_test(tc, end_of_a_name_may_be_that_of_the_question, 0, sizeof(ends) / sizeof(ends[0]));
	tcase_add_test(tc, nothing_points_at_what_was_undone);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
