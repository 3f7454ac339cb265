/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cache/address.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct address given_address(const char *text)
{
	struct address a;

	ck_assert_msg(address_from_text(text, 53, &a) || address_unix_from_text(text, &a),
		      "%s is not an address", text);
	return a;
}

static const struct { const char *text, *shown; uint16_t port; } good[] = {
	{ "192.0.2.53:53",          "192.0.2.53:53",           53 },
	{ "192.0.2.53",             "192.0.2.53:53",           53 },
	{ "127.0.0.1:65535",        "127.0.0.1:65535",         65535 },
	{ "0.0.0.0:5300",           "0.0.0.0:5300",            5300 },
	{ "[2001:db8::1]:53",       "[2001:db8::1]:53",        53 },
	{ "[2001:DB8:0::1]:5300",   "[2001:db8::1]:5300",      5300 },
	{ "[2001:db8::1]",          "[2001:db8::1]:53",        53 },
	{ "2001:db8::1",            "[2001:db8::1]:53",        53 },
	{ "::",                     "[::]:53",                 53 },
	{ "[::]:53",                "[::]:53",                 53 },
	{ "::ffff:192.0.2.1",       "[::ffff:192.0.2.1]:53",   53 },
	{ "fe80::1%lo",             "[fe80::1%lo]:53",         53 },
	{ "[fe80::1%1]:54",         "[fe80::1%lo]:54",         54 },
	{ "[fe80::1%2000000000]:1", "[fe80::1%2000000000]:1",  1 },
	{ "unix:/run/redis/r.sock", "unix:/run/redis/r.sock",  0 },
};

START_TEST(address_is_read_and_shown)
{
	char text[ADDRESS_TEXT_MAX];
	struct address a = given_address(good[_i].text), again;

	ck_assert_str_eq(address_to_text(&a, text), good[_i].shown);
	ck_assert_uint_eq(address_port(&a), good[_i].port);
	again = given_address(text);
	ck_assert(address_is_equal(&a, &again));
	ck_assert_uint_eq(a.len, again.len);
}
END_TEST

#define ONES	"11111111111111111111111111111111"

static const char *const bad[] = {
	"", ":", ":53", "localhost", "localhost:53", "ns1.example.com:53", "127.1", "127.0.0.1:",
	"127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:99999999999", "127.0.0.1:-1", "127.0.0.1:+53",
	"127.0.0.1: 53", "127.0.0.1:53 ", " 127.0.0.1", "127.0.0.1:dns", "127.0.0.256",
	"127.0.0.01", "0x7f000001", "1", "[127.0.0.1]:53", "[::1", "::1]", "[::1]53", "[::1]:",
	"[::1]:0", "[]:53", "[", "]", "::1%", "::1%nosuchinterface", "::g", "1:2:3:4:5:6:7:8:9",
	"2001:db8::1:53:",
	"unix:", "unix:/", "unix:relative", "/run/sock", "UNIX:/run/x",
	ONES ONES ONES ONES,
};

START_TEST(text_that_is_no_address_is_refused)
{
	struct address a, before;

	memset(&a, 0x5a, sizeof(a));
	before = a;
	ck_assert_msg(!address_from_text(bad[_i], 53, &a), "took \"%s\"", bad[_i]);
	ck_assert_msg(!address_unix_from_text(bad[_i], &a), "took \"%s\"", bad[_i]);
	ck_assert_mem_eq(&a, &before, sizeof(a));
}
END_TEST

static const struct { const char *a, *b; bool is_equal, is_same_host; } pairs[] = {
	{ "192.0.2.1:53",   "192.0.2.1",      true,  true },
	{ "192.0.2.1:53",   "192.0.2.1:54",   false, true },
	{ "192.0.2.1",      "192.0.2.2",      false, false },
	{ "::1",            "[::1]:53",       true,  true },
	{ "[::1]:54",       "[::1]:53",       false, true },
	{ "::1",            "::2",            false, false },
	{ "0.0.0.0",        "::",             false, false },
	{ "fe80::1%7",      "fe80::1%8",      false, false },
	{ "unix:/a",        "unix:/a",        true,  true },
	{ "unix:/a",        "unix:/b",        false, false },
	{ "unix:/a",        "192.0.2.1",      false, false },
};

START_TEST(addresses_are_compared_by_what_they_mean)
{
	struct address a = given_address(pairs[_i].a), b = given_address(pairs[_i].b);

	/* What the kernel may leave in a socket address without meaning another peer. */
	memset((char *)&b.storage + b.len, 0x77, sizeof(b.storage) - b.len);
	ck_assert_int_eq(address_is_equal(&a, &b), pairs[_i].is_equal);
	ck_assert_int_eq(address_is_equal(&b, &a), pairs[_i].is_equal);
	ck_assert_int_eq(address_is_same_host(&a, &b), pairs[_i].is_same_host);
}
END_TEST

START_TEST(unset_address_equals_only_another)
{
	struct address none = { 0 }, other = { 0 }, set = given_address("192.0.2.1");
	char text[ADDRESS_TEXT_MAX];

	ck_assert(address_is_equal(&none, &other));
	ck_assert(!address_is_equal(&none, &set));
	ck_assert(!address_is_same_host(&none, &other));
	ck_assert(!address_is_any(&none));
	ck_assert_uint_eq(address_port(&none), 0);
	ck_assert_str_eq(address_to_text(&none, text), "none");
}
END_TEST

START_TEST(longest_socket_path_has_107_bytes)
{
	char text[5 + 109] = "unix:/", shown[ADDRESS_TEXT_MAX];
	struct address a;

	memset(text + 6, 'x', 106);
	ck_assert(address_unix_from_text(text, &a));
	ck_assert_str_eq(address_to_text(&a, shown), text);
	text[5 + 107] = 'x';
	ck_assert(!address_unix_from_text(text, &a));
}
END_TEST

START_TEST(wildcards_are_known)
{
	struct address v4 = given_address("0.0.0.0:53"), v6 = given_address("[::]:53");
	struct address one = given_address("127.0.0.1"), un = given_address("unix:/x");

	ck_assert(address_is_any(&v4) && address_is_any(&v6));
	ck_assert(!address_is_any(&one) && !address_is_any(&un));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("address");
	TCase *tc = tcase_create("text and comparison");

	tcase_add_loop_test(tc, address_is_read_and_shown, 0, COUNT(good));
	tcase_add_loop_test(tc, text_that_is_no_address_is_refused, 0, COUNT(bad));
	tcase_add_loop_test(tc, addresses_are_compared_by_what_they_mean, 0, COUNT(pairs));
	tcase_add_test(tc, unset_address_equals_only_another);
	tcase_add_test(tc, longest_socket_path_has_107_bytes);
	tcase_add_test(tc, wildcards_are_known);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
