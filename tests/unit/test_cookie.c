/* SPDX-License-Identifier: ISC */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "cache/cookie.h"
#include "cache/edns.h"
#include "tests/temporary.h"

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

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

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
	struct cookie_secrets secrets = { .count = 1 };

	from_hex(secret, secrets.secrets[0]);
	return cookie_maker_new(&secrets);
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

enum { NOW = 1559731985 };

/* A cookie of `maker` for 192.0.2.1, made so many seconds ago. */
static void cookie_of(struct cookie_maker *maker, int32_t age, uint8_t cookie[COOKIE_FULL_LEN])
{
	struct sockaddr_storage client = client_of("192.0.2.1");

	cookie_make(maker, (const uint8_t *)"12345678", (struct sockaddr *)&client,
		    NOW - (uint32_t)age, cookie);
}

static bool renew(struct cookie_maker *c, const uint8_t *cookie, size_t len, const char *from,
		  uint8_t out[COOKIE_FULL_LEN])
{
	struct sockaddr_storage client = client_of(from);

	return cookie_renew(c, cookie, len, (struct sockaddr *)&client, NOW, out);
}

/* RFC 9018 s.4.3: good for an hour, the same again for half of it, five minutes for clocks. */
static const struct { int32_t age; bool is_good, is_same; } ages[] = {
	{ 0, true, true }, { 1799, true, true }, { 1800, true, false }, { 3600, true, false },
	{ 3601, false, false }, { -300, true, true }, { -301, false, false },
	{ INT32_MAX, false, false }, { INT32_MIN, false, false },
};

START_TEST(cookie_is_good_for_an_hour)
{
	struct cookie_maker *c = maker(vectors[0].secret);
	uint8_t cookie[COOKIE_FULL_LEN], fresh[COOKIE_FULL_LEN], out[COOKIE_FULL_LEN];

	cookie_of(c, ages[_i].age, cookie);
	cookie_of(c, 0, fresh);
	ck_assert_int_eq(renew(c, cookie, sizeof(cookie), "192.0.2.1", out), ages[_i].is_good);
	ck_assert_mem_eq(out, ages[_i].is_same ? cookie : fresh, COOKIE_FULL_LEN);
	cookie_maker_free(c);
}
END_TEST

START_TEST(any_change_makes_a_cookie_bad)
{
	struct cookie_maker *c = maker(vectors[0].secret), *other = maker(vectors[3].secret);
	uint8_t cookie[COOKIE_FULL_LEN], out[COOKIE_FULL_LEN];

	cookie_of(c, 0, cookie);
	for (size_t bit = 0; bit < 8 * sizeof(cookie); bit++) {
		cookie[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert(!renew(c, cookie, sizeof(cookie), "192.0.2.1", out));
		ck_assert_mem_eq(out, cookie, COOKIE_CLIENT_LEN);	/* a new one, for this client */
		cookie[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	ck_assert(!renew(c, cookie, sizeof(cookie), "192.0.2.2", out));
	ck_assert(!renew(other, cookie, sizeof(cookie), "192.0.2.1", out));
	for (size_t len = COOKIE_CLIENT_LEN; len < sizeof(cookie); len++)
		ck_assert(!renew(c, cookie, len, "192.0.2.1", out));
	ck_assert(renew(c, cookie, sizeof(cookie), "192.0.2.1", out));
	cookie_maker_free(other);
	cookie_maker_free(c);
}
END_TEST

START_TEST(rollover_accepts_the_other_secret_and_gives_the_first)
{
	struct cookie_secrets both = { .count = 2 };
	struct cookie_maker *old = maker(vectors[0].secret), *new = maker(vectors[3].secret), *c;
	uint8_t cookie[COOKIE_FULL_LEN], fresh[COOKIE_FULL_LEN], out[COOKIE_FULL_LEN];

	from_hex(vectors[3].secret, both.secrets[0]);
	from_hex(vectors[0].secret, both.secrets[1]);
	c = cookie_maker_new(&both);
	cookie_of(old, 10, cookie);
	cookie_of(new, 0, fresh);
	ck_assert(renew(c, cookie, sizeof(cookie), "192.0.2.1", out));
	ck_assert_mem_eq(out, fresh, COOKIE_FULL_LEN);
	cookie_maker_free(c);
	cookie_maker_free(new);
	cookie_maker_free(old);
}
END_TEST

/* ---- The file ---- */

#define SECRET_A "e5e973e5a6b2a43f48e7dc849e37bfcf"
#define SECRET_B "DD3BDF9344B678B185A6F5CB60FCA715"

static const struct { const char *text; unsigned count; const char *problem; } files[] = {
	{ SECRET_A "\n", 1, NULL },
	{ SECRET_A, 1, NULL },
	{ SECRET_A "\r\n\n" SECRET_B " \n", 2, NULL },
	{ SECRET_A "\n" SECRET_B "\n" SECRET_A "\n" SECRET_B "\n", 4, NULL },
	{ SECRET_A "\n" SECRET_B "\n" SECRET_A "\n" SECRET_B "\n" SECRET_A "\n", 0, ":5: there are more" },
	{ "", 0, " has no secret: " },
	{ "\n\n", 0, " has no secret: " },
	{ SECRET_A "\n" SECRET_A "0\n", 0, ":2: this is no secret: " },
	{ "e5e973e5a6b2a43f48e7dc849e37bfc\n", 0, ":1: this is no secret: " },
	{ "e5e973e5a6b2a43f48e7dc849e37bfcg\n", 0, ":1: this is no secret: " },
	{ "e5e973e5a6b2a43f48e7dc849e37bfgc\n", 0, ":1: this is no secret: " },
	{ "# a comment of the right length!\n", 0, ":1: this is no secret: " },
};

START_TEST(file_of_secrets_is_read_or_its_line_named)
{
	char path[256], problem[256 + 256] = "";
	int fd = mkstemp(temporary_path(path, sizeof(path), "test_cookie"));
	struct cookie_secrets s;
	uint8_t first[COOKIE_SECRET_LEN];
	bool is_read;

	ck_assert_int_eq(write(fd, files[_i].text, strlen(files[_i].text)),
			 (ssize_t)strlen(files[_i].text));
	close(fd);
	is_read = cookie_secrets_read(&s, path, problem, sizeof(problem));
	unlink(path);
	ck_assert_msg(is_read == !files[_i].problem, "%s", problem);
	ck_assert_uint_eq(s.count, files[_i].count);
	if (!is_read) {
		ck_assert_msg(strstr(problem, files[_i].problem) && strstr(problem, path), "%s", problem);
		ck_assert_ptr_null(strstr(problem, "e5e9"));
		return;
	}
	from_hex(SECRET_A, first);
	ck_assert_mem_eq(s.secrets[0], first, COOKIE_SECRET_LEN);
}
END_TEST

START_TEST(file_that_cannot_be_read_is_named)
{
	struct cookie_secrets s;
	char problem[256];

	ck_assert(!cookie_secrets_read(&s, "/nowhere/secret", problem, sizeof(problem)));
	ck_assert_str_eq(problem, "/nowhere/secret cannot be read: No such file or directory");
	ck_assert(!cookie_secrets_read(&s, "/", problem, sizeof(problem)));
	ck_assert_str_eq(problem, "/ cannot be read: Is a directory");
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
	for (uint32_t i = 0; i < 1000; i++)
		cookie_renew(c, made, sizeof(made), (struct sockaddr *)&client, i, made);
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
	tcase_add_loop_test(tc, cookie_is_that_of_rfc9018, 0, COUNT(vectors));
	tcase_add_test(tc, a_client_is_the_same_through_a_mapped_address);
	tcase_add_loop_test(tc, cookie_is_good_for_an_hour, 0, COUNT(ages));
	tcase_add_test(tc, any_change_makes_a_cookie_bad);
	tcase_add_test(tc, rollover_accepts_the_other_secret_and_gives_the_first);
	tcase_add_loop_test(tc, file_of_secrets_is_read_or_its_line_named, 0, COUNT(files));
	tcase_add_test(tc, file_that_cannot_be_read_is_named);
	tcase_add_test(tc, making_a_cookie_takes_no_memory);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
