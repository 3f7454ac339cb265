/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/dns.h"
#include "cache/notify.h"
#include "cache/tsig_server.h"
#include "cache/wire.h"

enum { ID = 0xbeef, NOW = 1000000 };

static uint8_t origin[NAME_LEN_MAX];
static struct tsig_key key;

static void setup(void)
{
	name_from_text("example.com.", origin);
	key = (struct tsig_key){ .algorithm = "hmac-sha256" };
	name_from_text("key.", key.name);
	tsig_key_set_secret(&key, "c2VjcmV0");
}

START_TEST(a_notify_is_a_soa_question_with_aa)
{
	static const uint8_t want[] = "\xbe\xef\x24\0\0\1\0\0\0\0\0\0\7example\3com\0\0\6\0\1";
	uint8_t out[NOTIFY_MAX];

	ck_assert_uint_eq(notify_put(origin, ID, NULL, NOW, out, sizeof(out)), sizeof(want) - 1);
	ck_assert_mem_eq(out, want, sizeof(want) - 1);
}
END_TEST

START_TEST(the_longest_name_and_key_fit)
{
	char label[64], name[NAME_TEXT_MAX];
	uint8_t longest[NAME_LEN_MAX], out[NOTIFY_MAX];

	memset(label, 'x', 63);
	label[63] = '\0';
	snprintf(name, sizeof(name), "%s.%s.%s.%.61s.", label, label, label, label);
	ck_assert_uint_eq(name_from_text(name, longest), NAME_LEN_MAX);
	memcpy(key.name, longest, NAME_LEN_MAX);
	snprintf(key.algorithm, sizeof(key.algorithm), "hmac-sha512");
	struct tsig_stream *s = tsig_stream_new(&key);

	ck_assert_uint_gt(notify_put(longest, ID, s, NOW, out, sizeof(out)), 2 * NAME_LEN_MAX);
	tsig_stream_free(s);
}
END_TEST

#define QUESTION "\7example\3com\0\0\6\0\1"
#define REPLY(head, rest) (const uint8_t *)head rest, sizeof(head rest) - 1
static const struct {
	const char *what;
	const uint8_t *reply;
	size_t len;
	enum notify_reply means;
	unsigned rcode;
} replies[] = {
	{ "yes", REPLY("\xbe\xef\xa4\0\0\1\0\0\0\0\0\0", QUESTION), NOTIFY_ACKNOWLEDGED, 0 },
	{ "other case", REPLY("\xbe\xef\xa4\0\0\1\0\0\0\0\0\0", "\7EXAMPLE\3com\0\0\6\0\1"),
	  NOTIFY_ACKNOWLEDGED, 0 },
	{ "header alone", REPLY("\xbe\xef\xa4\0\0\0\0\0\0\0\0\0", ""), NOTIFY_ACKNOWLEDGED, 0 },
	{ "REFUSED", REPLY("\xbe\xef\xa0\5\0\1\0\0\0\0\0\0", QUESTION), NOTIFY_REFUSED, 5 },
	{ "NOTAUTH", REPLY("\xbe\xef\xa0\x9\0\0\0\0\0\0\0\0", ""), NOTIFY_REFUSED, 9 },
	{ "another ID", REPLY("\xbe\xee\xa4\0\0\1\0\0\0\0\0\0", QUESTION), NOTIFY_IGNORE, 0 },
	{ "no reply", REPLY("\xbe\xef\x24\0\0\1\0\0\0\0\0\0", QUESTION), NOTIFY_IGNORE, 0 },
	{ "a query's", REPLY("\xbe\xef\x84\0\0\1\0\0\0\0\0\0", QUESTION), NOTIFY_IGNORE, 0 },
	{ "another zone", REPLY("\xbe\xef\xa4\0\0\1\0\0\0\0\0\0", "\7example\3net\0\0\6\0\1"),
	  NOTIFY_IGNORE, 0 },
	{ "another type", REPLY("\xbe\xef\xa4\0\0\1\0\0\0\0\0\0", "\7example\3com\0\0\2\0\1"),
	  NOTIFY_IGNORE, 0 },
	{ "cut short", REPLY("\xbe\xef\xa4\0\0\1\0\0\0\0\0\0", "\7example\3co"), NOTIFY_IGNORE, 0 },
	{ "eleven bytes", REPLY("\xbe\xef\xa4\0\0\0\0\0\0\0\0", ""), NOTIFY_IGNORE, 0 },
};

START_TEST(a_reply_is_believed_when_it_is_to_our_notify)
{
	unsigned rcode = 0;
	enum notify_reply means = notify_judge(origin, ID, NULL, NOW, replies[_i].reply,
					       replies[_i].len, &rcode);

	ck_assert_msg(means == replies[_i].means && rcode == replies[_i].rcode, "%s: %d, rcode %u",
		      replies[_i].what, (int)means, rcode);
}
END_TEST

/* The reply to a signed NOTIFY, signed by whoever has `their` key. */
static enum notify_reply judge_signed(const struct tsig_key *their, int clock_off)
{
	uint8_t message[NOTIFY_MAX];
	struct tsig_stream *s = tsig_stream_new(&key);
	struct tsig_server *server = tsig_server_new();
	struct tsig_session session;
	size_t len = notify_put(origin, ID, s, NOW, message, sizeof(message));
	enum notify_reply means;
	unsigned rcode = 0;

	ck_assert_int_eq(tsig_server_verify(server, &key, 1, message, len, NOW, &session), TSIG_OK);
	memcpy(message, "\xbe\xef\xa4\0\0\1\0\0\0\0\0\0", 12);
	len = 12 + name_len(origin) + 4;
	session.key = their;
	if (their)
		len = tsig_server_sign(server, &session, message, len, sizeof(message),
				       (uint64_t)(NOW + clock_off));
	means = notify_judge(origin, ID, s, NOW, message, len, &rcode);
	tsig_server_free(server);
	tsig_stream_free(s);
	return means;
}

START_TEST(a_signed_notify_wants_a_signed_acknowledgement)
{
	struct tsig_key other = key;

	other.secret[0] ^= 1;
	ck_assert_int_eq(judge_signed(&key, 0), NOTIFY_ACKNOWLEDGED);
	ck_assert_int_eq(judge_signed(&key, 301), NOTIFY_FORGED);
	ck_assert_int_eq(judge_signed(&other, 0), NOTIFY_FORGED);
	ck_assert_int_eq(judge_signed(NULL, 0), NOTIFY_FORGED);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("notify");
	TCase *tc = tcase_create("notify");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, a_notify_is_a_soa_question_with_aa);
	tcase_add_test(tc, the_longest_name_and_key_fit);
	tcase_add_loop_test(tc, a_reply_is_believed_when_it_is_to_our_notify, 0,
			    sizeof(replies) / sizeof(replies[0]));
	tcase_add_test(tc, a_signed_notify_wants_a_signed_acknowledgement);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
