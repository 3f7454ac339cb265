/* SPDX-License-Identifier: ISC */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "cache/cookie.h"

/* RFC 9018 appendix A: client, its cookie, the secret, the time, and our cookie for it. */
static const struct {
	const char *client, *client_cookie, *secret;
	uint32_t wall_s;
	const char *server_cookie;
} vectors[] = {
	{ "198.51.100.100", "2464c4abcf10c957", "e5e973e5a6b2a43f48e7dc849e37bfcf", 1559731985,
	  "010000005cf79f111f8130c3eee29480" },
	{ "198.51.100.100", "2464c4abcf10c957", "e5e973e5a6b2a43f48e7dc849e37bfcf", 1559734385,
	  "010000005cf7a871d4a564a1442aca77" },
	{ "203.0.113.203", "fc93fc62807ddb86", "e5e973e5a6b2a43f48e7dc849e37bfcf", 1559734700,
	  "010000005cf7a9acf73a7810aca2381e" },
	{ "2001:db8:220:1:59de:d0f4:8769:82b8", "22681ab97d52c298",
	  "dd3bdf9344b678b185a6f5cb60fca715", 1559741817,
	  "010000005cf7c57926556bd0934c72f8" },
	{ "2001:db8:220:1:59de:d0f4:8769:82b8", "22681ab97d52c298",
	  "445536bcd2513298075a5d379663c962", 1559741961,
	  "010000005cf7c609a6bb79d16625507a" },
};

enum { VECTORS = sizeof(vectors) / sizeof(vectors[0]) };

static void from_hex(const char *hex, uint8_t *bytes)
{
	for (; *hex; hex += 2)
		*bytes++ = (uint8_t)strtoul((char[]){ hex[0], hex[1], '\0' }, NULL, 16);
}

static struct sockaddr_storage client_of(const char *text)
{
	struct sockaddr_storage s = { .ss_family = AF_INET };

	if (inet_pton(AF_INET, text, &((struct sockaddr_in *)&s)->sin_addr) == 1)
		return s;
	s.ss_family = AF_INET6;
	ck_assert_int_eq(inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&s)->sin6_addr), 1);
	return s;
}

static struct cookie_maker *maker(const char *secret)
{
	uint8_t bytes[COOKIE_SECRET_LEN];

	from_hex(secret, bytes);
	return cookie_maker_new(bytes);
}

START_TEST(cookie_is_that_of_rfc9018)
{
	struct cookie_maker *c = maker(vectors[_i].secret);
	struct sockaddr_storage client = client_of(vectors[_i].client);
	uint8_t client_cookie[8], expected[COOKIE_FULL_LEN], made[COOKIE_FULL_LEN];

	from_hex(vectors[_i].client_cookie, client_cookie);
	memcpy(expected, client_cookie, 8);
	from_hex(vectors[_i].server_cookie, expected + 8);
	for (int again = 0; again < 2; again++) {
		cookie_make(c, client_cookie, (struct sockaddr *)&client, vectors[_i].wall_s, made);
		ck_assert_mem_eq(made, expected, COOKIE_FULL_LEN);
	}
	cookie_maker_free(c);
}
END_TEST

START_TEST(a_client_is_the_same_through_a_mapped_address)
{
	struct cookie_maker *c = maker(vectors[0].secret);
	struct sockaddr_storage v4 = client_of("198.51.100.100");
	struct sockaddr_storage mapped = client_of("::ffff:198.51.100.100");
	uint8_t a[COOKIE_FULL_LEN], b[COOKIE_FULL_LEN];

	cookie_make(c, (const uint8_t *)"12345678", (struct sockaddr *)&v4, 1, a);
	cookie_make(c, (const uint8_t *)"12345678", (struct sockaddr *)&mapped, 1, b);
	ck_assert_mem_eq(a, b, COOKIE_FULL_LEN);
	((struct sockaddr_in *)&v4)->sin_port = htons(53);
	cookie_make(c, (const uint8_t *)"12345678", (struct sockaddr *)&v4, 1, b);
	ck_assert_mem_eq(a, b, COOKIE_FULL_LEN);
	cookie_maker_free(c);
}
END_TEST

static unsigned allocations;

static void *count_malloc(size_t size, const char *file, int line)
{
	(void)file, (void)line;
	allocations++;
	return malloc(size);
}

static void *count_realloc(void *p, size_t size, const char *file, int line)
{
	(void)file, (void)line;
	allocations++;
	return realloc(p, size);
}

static void plain_free(void *p, const char *file, int line)
{
	(void)file, (void)line;
	free(p);
}

START_TEST(making_a_cookie_takes_no_memory)
{
	struct cookie_maker *c = maker(vectors[0].secret);
	struct sockaddr_storage client = client_of("192.0.2.1");
	uint8_t made[COOKIE_FULL_LEN];

	ck_assert_uint_gt(allocations, 0);	/* we do see OpenSSL's */
	unsigned before = allocations;

	for (uint32_t i = 0; i < 1000; i++)
		cookie_make(c, (const uint8_t *)"12345678", (struct sockaddr *)&client, i, made);
	ck_assert_uint_eq(allocations, before);
	cookie_maker_free(c);
	cookie_maker_free(NULL);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cookie");
	TCase *tc = tcase_create("cookie");

	/* Before OpenSSL does anything. */
	if (!CRYPTO_set_mem_functions(count_malloc, count_realloc, plain_free))
		return EXIT_FAILURE;
	tcase_add_loop_test(tc, cookie_is_that_of_rfc9018, 0, VECTORS);
	tcase_add_test(tc, a_client_is_the_same_through_a_mapped_address);
	tcase_add_test(tc, making_a_cookie_takes_no_memory);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
