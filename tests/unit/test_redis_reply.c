/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cache/redis_reply.h"

static redisAsyncContext context;
static struct reply_guard guard;
static redisCallback asked;

/* A context without a connection: only its reader and its list of commands are used. */
static void setup(void)
{
	memset(&context, 0, sizeof(context));
	context.c.reader = redisReaderCreate();
	context.replies.head = &asked;
	reply_guard_attach(&guard, &context);
}

static void teardown(void)
{
	redisReaderFree(context.c.reader);
}

static redisReply *read_reply(const char *bytes, size_t len, int expected)
{
	void *reply = NULL;

	ck_assert_int_eq(redisReaderFeed(context.c.reader, bytes, len), REDIS_OK);
	ck_assert_int_eq(redisReaderGetReply(context.c.reader, &reply), expected);
	return reply;
}

static redisReply *read_text(const char *text)
{
	redisReply *r = read_reply(text, strlen(text), REDIS_OK);

	ck_assert_ptr_nonnull(r);
	return r;
}

START_TEST(honest_replies_pass)
{
	redisReply *r = read_text("*4\r\n$5\r\nhello\r\n:12\r\n$-1\r\n+OK\r\n");

	ck_assert(reply_is_array(r, 4) && !reply_is_array(r, 3) && !reply_is_error(r));
	ck_assert(reply_is_string(r->element[0], "hello") && !reply_is_string(r->element[0], "hell"));
	ck_assert(reply_is_status(r->element[3], "OK") && !reply_is_string(r->element[3], "OK"));
	ck_assert_ptr_null(guard.refusal);
	freeReplyObject(r);
}
END_TEST

START_TEST(errors_keep_their_words)
{
	redisReply *r = read_text("-OOM command not allowed\r\n");

	ck_assert(reply_is_error(r) && reply_is_error(NULL));
	ck_assert_str_eq(reply_text(r), "OOM command not allowed");
	ck_assert_str_eq(reply_text(NULL), "the connection to Redis was lost");
	freeReplyObject(r);
}
END_TEST

static const char *refused[] = {
	"*100000000\r\n",
	"*2147483647\r\n",
	"*4097\r\n",
	"*3000\r\n*3000\r\n",
	"*2\r\n*4000\r\n",		/* 4002 pass ... */
};

START_TEST(arrays_are_refused_before_memory_is_taken)
{
	bool is_small = _i == 4;

	read_reply(refused[_i], strlen(refused[_i]), is_small ? REDIS_OK : REDIS_ERR);
	if (is_small)	/* ... and 4002 + 95 do not */
		read_reply("*95\r\n", 5, REDIS_ERR);
	ck_assert_str_eq(guard.refusal, "Redis sent a reply of too many elements");
}
END_TEST

START_TEST(bytes_of_all_strings_are_counted)
{
	size_t len = REPLY_BYTES_MAX / 2 + 1;
	char head[32], *body = calloc(1, len);

	read_reply("*2\r\n", 4, REDIS_OK);
	for (int i = 0; i < 2; i++) {
		snprintf(head, sizeof(head), "$%zu\r\n", len);
		read_reply(head, strlen(head), REDIS_OK);
		read_reply(body, len, REDIS_OK);
		read_reply("\r\n", 2, i == 0 ? REDIS_OK : REDIS_ERR);
	}
	ck_assert_str_eq(guard.refusal, "Redis sent a reply over the size limit");
	free(body);
}
END_TEST

START_TEST(counts_begin_anew_with_each_reply)
{
	for (int i = 0; i < 3; i++) {
		read_reply("*4000\r\n", 7, REDIS_OK);
		for (int j = 0; j < 3999; j++)
			read_reply(":1\r\n", 4, REDIS_OK);
		freeReplyObject(read_text(":1\r\n"));
	}
	ck_assert_ptr_null(guard.refusal);
}
END_TEST

START_TEST(string_without_an_end_fills_the_buffer_to_a_bound)
{
	static const char block[65536];

	read_reply("$500000000\r\n", 12, REDIS_OK);
	for (size_t fed = 0; fed < REPLY_BYTES_MAX; fed += sizeof(block)) {
		ck_assert(reply_guard_has_room(&guard));
		read_reply(block, sizeof(block), REDIS_OK);
	}
	ck_assert(!reply_guard_has_room(&guard));
}
END_TEST

static const char *unasked[] = {
	"+OK\r\n", ":1\r\n", "$-1\r\n", "$1\r\na\r\n", "*0\r\n", "*1\r\n:1\r\n",
};

START_TEST(reply_that_nobody_asked_for_is_refused)
{
	context.replies.head = NULL;
	read_reply(unasked[_i], strlen(unasked[_i]), REDIS_ERR);
	ck_assert_str_eq(guard.refusal, "Redis sent a reply that nobody asked for");
}
END_TEST

START_TEST(error_may_come_unasked)
{
	context.replies.head = NULL;
	freeReplyObject(read_text("-ERR max number of clients reached\r\n"));
	ck_assert_ptr_null(guard.refusal);
}
END_TEST

static const struct { const char *text; bool is_number; uint64_t value; } numbers[] = {
	{ "0", true, 0 },
	{ "00012", true, 12 },
	{ "18446744073709551615", true, UINT64_MAX },
	{ "18446744073709551616", false, 0 },
	{ "99999999999999999999", false, 0 },
	{ "", false, 0 },
	{ "-1", false, 0 },
	{ "+1", false, 0 },
	{ " 1", false, 0 },
	{ "1 ", false, 0 },
	{ "0x1", false, 0 },
	{ "1e3", false, 0 },
};

START_TEST(numbers_are_digits_and_nothing_else)
{
	uint64_t v = 0;
	bool is_number = reply_parse_number(numbers[_i].text, strlen(numbers[_i].text), &v);

	ck_assert_msg(is_number == numbers[_i].is_number, "'%s'", numbers[_i].text);
	ck_assert_uint_eq(v, numbers[_i].value);
}
END_TEST

START_TEST(number_may_be_an_integer_or_a_string)
{
	static const struct { const char *bytes; bool is_number; } rows[] = {
		{ ":12\r\n", true }, { "$2\r\n12\r\n", true }, { ":-12\r\n", false }, { "+12\r\n", false },
		{ "$-1\r\n", false }, { "*0\r\n", false }, { "-12\r\n", false }, { "$3\r\n1\0002\r\n", false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len = i == 7 ? 9 : strlen(rows[i].bytes);
		redisReply *r = read_reply(rows[i].bytes, len, REDIS_OK);
		uint64_t v = 0;

		ck_assert_msg(reply_number(r, &v) == rows[i].is_number, "row %zu", i);
		ck_assert_uint_eq(v, rows[i].is_number ? 12 : 0);
		freeReplyObject(r);
	}
	uint64_t none;

	ck_assert(!reply_number(NULL, &none));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("reply");
	TCase *tc = tcase_create("guard");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, honest_replies_pass);
	tcase_add_test(tc, errors_keep_their_words);
	tcase_add_loop_test(tc, arrays_are_refused_before_memory_is_taken, 0, 5);
	tcase_add_test(tc, bytes_of_all_strings_are_counted);
	tcase_add_test(tc, counts_begin_anew_with_each_reply);
	tcase_add_test(tc, string_without_an_end_fills_the_buffer_to_a_bound);
	tcase_add_loop_test(tc, reply_that_nobody_asked_for_is_refused, 0, 6);
	tcase_add_test(tc, error_may_come_unasked);
	tcase_add_loop_test(tc, numbers_are_digits_and_nothing_else, 0, 12);
	tcase_add_test(tc, number_may_be_an_integer_or_a_string);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
