/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cache/dns.h"
#include "cache/wire.h"
#include "proxy/inflight.h"

enum { CAPACITY = 4, SOCKET = 9, BACKEND = 3 };

/* www.example.com A IN, opcode 0 */
static const uint8_t QUERY[] = "\0\1\1\0\0\1\0\0\0\0\0\0\3www\7example\3com\0\0\1\0\1";
#define QUERY_LEN (sizeof(QUERY) - 1)

static struct inflight *table;

static void setup(void)
{
	table = inflight_new(CAPACITY);
}

static void teardown(void)
{
	inflight_free(table);
}

static struct query *given_query(void)
{
	struct query *q = inflight_add_query(table, QUERY, QUERY_LEN, QUERY_LEN, 1000);

	ck_assert_ptr_nonnull(q);
	memset(&q->client, 0, sizeof(q->client));
	return q;
}

static struct attempt *given_attempt(struct query *q, uint16_t id)
{
	struct attempt *a = inflight_add_attempt(table, q, BACKEND, 1000);

	ck_assert_ptr_nonnull(a);
	inflight_sent(table, a, SOCKET, id);
	return a;
}

static struct attempt *match(uint32_t socket, const uint8_t *reply, size_t len)
{
	return inflight_match(table, socket, reply, len);
}

static size_t put_reply(uint8_t *reply, uint16_t id)
{
	memcpy(reply, QUERY, QUERY_LEN);
	wire_put_u16(reply, id);
	reply[2] |= 0x80;
	return QUERY_LEN;
}

START_TEST(reply_with_same_id_socket_and_question_matches)
{
	struct attempt *a = given_attempt(given_query(), 777);
	uint8_t reply[512];
	size_t len = put_reply(reply, 777);

	ck_assert_ptr_eq(match(SOCKET, reply, len), a);
}
END_TEST

/* Each row differs from the true reply in one thing: RFC 5452 s.9.1. */
static const struct { const char *what; unsigned at, value; uint32_t socket; size_t len; } forged[] = {
	{ "another ID", 1, 0x0a, SOCKET, QUERY_LEN },
	{ "another socket", 0, 0x03, SOCKET + 2, QUERY_LEN },
	{ "QR clear", 2, 0x01, SOCKET, QUERY_LEN },
	{ "another opcode", 2, 0xa1, SOCKET, QUERY_LEN },
	{ "no question", 5, 0, SOCKET, QUERY_LEN },
	{ "two questions", 5, 2, SOCKET, QUERY_LEN },
	{ "another name", 13, 'x', SOCKET, QUERY_LEN },
	{ "another case", 13, 'W', SOCKET, QUERY_LEN },
	{ "another type", QUERY_LEN - 3, 28, SOCKET, QUERY_LEN },
	{ "another class", QUERY_LEN - 1, 3, SOCKET, QUERY_LEN },
	{ "a cut question", 0, 0x03, SOCKET, QUERY_LEN - 1 },
	{ "a cut header", 0, 0x03, SOCKET, 11 },
	{ "nothing", 0, 0x03, SOCKET, 0 },
};

START_TEST(forged_reply_is_refused)
{
	uint8_t reply[512];

	given_attempt(given_query(), 0x0309);
	put_reply(reply, 0x0309);
	reply[forged[_i].at] = (uint8_t)forged[_i].value;
	ck_assert_msg(!match(forged[_i].socket, reply, forged[_i].len), "believed a reply with %s",
		      forged[_i].what);
}
END_TEST

START_TEST(short_formerr_without_question_is_believed)
{
	uint8_t reply[12] = { 0x03, 0x09, 0x81, RCODE_FORMERR };

	given_attempt(given_query(), 0x0309);
	ck_assert_ptr_nonnull(match(SOCKET, reply, 12));
	reply[3] = RCODE_NOERROR;
	ck_assert_ptr_null(match(SOCKET, reply, 12));
}
END_TEST

START_TEST(attempt_outlives_its_query_and_still_knows_its_question)
{
	struct query *q = given_query();
	struct attempt *a = given_attempt(q, 5);
	uint8_t reply[512];
	size_t len = put_reply(reply, 5);

	inflight_end_query(table, q);
	ck_assert_ptr_null(inflight_query_of(a));
	ck_assert_ptr_eq(match(SOCKET, reply, len), a);
	reply[14] ^= 1;
	ck_assert_ptr_null(match(SOCKET, reply, len));
}
END_TEST

START_TEST(slot_that_changed_hands_is_not_taken_for_the_old_query)
{
	struct query *q = given_query();
	struct attempt *a = given_attempt(q, 5);

	inflight_end_query(table, q);
	ck_assert_ptr_eq(given_query(), q);
	ck_assert_ptr_null(inflight_query_of(a));
}
END_TEST

START_TEST(same_id_on_two_sockets_is_two_attempts)
{
	struct attempt *a = given_attempt(given_query(), 5);
	struct attempt *b = inflight_add_attempt(table, given_query(), BACKEND, 1000);
	uint8_t reply[512];
	size_t len = put_reply(reply, 5);

	inflight_sent(table, b, SOCKET + 2, 5);
	ck_assert_ptr_eq(match(SOCKET, reply, len), a);
	ck_assert_ptr_eq(match(SOCKET + 2, reply, len), b);
	inflight_end_attempt(table, a);
	ck_assert(inflight_is_id_free(table, SOCKET, 5));
	ck_assert(!inflight_is_id_free(table, SOCKET + 2, 5));
}
END_TEST

START_TEST(full_table_refuses_and_recovers)
{
	struct query *q = NULL;

	for (unsigned i = 0; i < CAPACITY; i++)
		q = given_query();
	ck_assert_ptr_null(inflight_add_query(table, QUERY, QUERY_LEN, QUERY_LEN, 1));
	inflight_end_query(table, q);
	ck_assert_ptr_nonnull(inflight_add_query(table, QUERY, QUERY_LEN, QUERY_LEN, 1));
	ck_assert_uint_eq(inflight_query_count(table), CAPACITY);
}
END_TEST

START_TEST(attempts_run_out_and_come_back)
{
	struct query *q = given_query();
	struct attempt *a = NULL;

	for (unsigned i = 0; i < 4 * CAPACITY; i++)
		a = given_attempt(q, (uint16_t)i);
	ck_assert_ptr_null(inflight_add_attempt(table, q, BACKEND, 1));
	inflight_end_attempt(table, a);
	ck_assert_ptr_nonnull(inflight_add_attempt(table, q, BACKEND, 1));
}
END_TEST

START_TEST(large_query_borrows_a_buffer_and_gives_it_back)
{
	static uint8_t large[60000];
	struct query *q;

	memcpy(large, QUERY, QUERY_LEN);
	for (unsigned i = 0; i < 3 * QUERY_LARGE_COUNT; i++) {
		q = inflight_add_query(table, large, sizeof(large), QUERY_LEN, 1);
		ck_assert_ptr_nonnull(q);
		ck_assert(q->bytes != q->own);
		ck_assert_int_eq(memcmp(q->bytes, large, sizeof(large)), 0);
		inflight_end_query(table, q);
	}
}
END_TEST

/* Slots are taken out of a table one by one, as they are needed. */
START_TEST(refused_large_query_costs_no_slot)
{
	static uint8_t large[60000];
	struct inflight *t = inflight_new(QUERY_LARGE_COUNT + 2);
	unsigned more = 0;

	memcpy(large, QUERY, QUERY_LEN);
	for (unsigned i = 0; i < QUERY_LARGE_COUNT; i++)
		ck_assert_ptr_nonnull(inflight_add_query(t, large, sizeof(large), QUERY_LEN, 1));
	for (unsigned i = 0; i < 4; i++)
		ck_assert_ptr_null(inflight_add_query(t, large, sizeof(large), QUERY_LEN, 1));
	while (inflight_add_query(t, QUERY, QUERY_LEN, QUERY_LEN, 1))
		more++;
	ck_assert_uint_eq(more, 2);
	inflight_free(t);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("inflight");
	TCase *tc = tcase_create("table");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, reply_with_same_id_socket_and_question_matches);
	tcase_add_loop_test(tc, forged_reply_is_refused, 0, sizeof(forged) / sizeof(forged[0]));
	tcase_add_test(tc, short_formerr_without_question_is_believed);
	tcase_add_test(tc, attempt_outlives_its_query_and_still_knows_its_question);
	tcase_add_test(tc, slot_that_changed_hands_is_not_taken_for_the_old_query);
	tcase_add_test(tc, same_id_on_two_sockets_is_two_attempts);
	tcase_add_test(tc, full_table_refuses_and_recovers);
	tcase_add_test(tc, attempts_run_out_and_come_back);
	tcase_add_test(tc, large_query_borrows_a_buffer_and_gives_it_back);
	tcase_add_test(tc, refused_large_query_costs_no_slot);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
