/* SPDX-License-Identifier: ISC */
/* test_chunk - what is packed comes back, and nothing else is believed. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "cache/chunk.h"
#include "cache/dns.h"
#include "cache/random.h"
#include "cache/wire.h"

enum { SEEN_MAX = 8 };

struct seen {
	size_t count;
	struct {
		uint8_t owner[NAME_LEN_MAX], first;
		uint16_t type, len;
		uint32_t ttl;
	} at[SEEN_MAX];
};

static struct chunk_writer *w;
static struct seen seen;

static bool see(const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
		uint16_t len, void *arg)
{
	struct seen *s = arg;

	if (s->count < SEEN_MAX) {
		memcpy(s->at[s->count].owner, owner, name_len(owner));
		s->at[s->count].type = type;
		s->at[s->count].ttl = ttl;
		s->at[s->count].len = len;
		s->at[s->count].first = len > 0 ? rdata[0] : 0;
	}
	s->count++;
	return true;
}

static bool add(const char *owner, uint16_t type, uint32_t ttl, const void *rdata, size_t len)
{
	uint8_t name[NAME_LEN_MAX];

	ck_assert_uint_gt(name_from_text(owner, name), 0);
	return chunk_add(w, name, type, ttl, rdata, (uint16_t)len);
}

static const char *read_back(void)
{
	/* a block of exactly its size, so that ASan sees a step past the end */
	uint8_t *bytes = malloc(w->len);
	const char *wrong;

	ck_assert_ptr_nonnull(bytes);
	memcpy(bytes, w->bytes, w->len);
	seen = (struct seen){ 0 };
	wrong = chunk_read(bytes, w->len, see, &seen);
	free(bytes);
	return wrong;
}

static void check_seen(size_t i, const char *owner, uint16_t type, uint32_t ttl, uint16_t len)
{
	char text[NAME_TEXT_MAX];

	ck_assert_str_eq(name_to_text(seen.at[i].owner, text), owner);
	ck_assert_uint_eq(seen.at[i].type, type);
	ck_assert_uint_eq(seen.at[i].ttl, ttl);
	ck_assert_uint_eq(seen.at[i].len, len);
}

static void setup(void)
{
	w = malloc(sizeof(*w));
	ck_assert_ptr_nonnull(w);
	chunk_start(w);
}

static void teardown(void)
{
	free(w);
}

/* Makes the digest right again after a change by hand: what an enemy would do. */
static void resign(uint32_t records)
{
	size_t len = w->len - CHUNK_HEADER_LEN;

	wire_put_u32(w->bytes + 4, records);
	wire_put_u32(w->bytes + 8, (uint32_t)len);
	wire_put_u64(w->bytes + 12, XXH3_64bits_withSeed(w->bytes + CHUNK_HEADER_LEN, len, records));
}

START_TEST(records_come_back_as_they_went_in)
{
	ck_assert(add("example.com.", TYPE_NS, 300, "\1a", 3));
	ck_assert(add("WWW.example.com.", TYPE_A, 0, "\xc0\0\2\1", 4));
	ck_assert(add("WWW.example.com.", TYPE_A, 0xffffffff, "\xc0\0\2\2", 4));
	ck_assert(add("www.example.com.", 65280, 1, "", 0));
	ck_assert(add("org.", TYPE_TXT, 1, "\1a", 2));
	ck_assert(add(".", TYPE_TXT, 1, "\1a", 2));
	chunk_finish(w);
	ck_assert_ptr_null(read_back());
	ck_assert_uint_eq(seen.count, 6);
	check_seen(0, "example.com.", TYPE_NS, 300, 3);
	check_seen(1, "WWW.example.com.", TYPE_A, 0, 4);
	check_seen(2, "WWW.example.com.", TYPE_A, 0xffffffff, 4);
	check_seen(3, "www.example.com.", 65280, 1, 0);
	check_seen(4, "org.", TYPE_TXT, 1, 2);
	check_seen(5, ".", TYPE_TXT, 1, 2);
	ck_assert_uint_eq(seen.at[1].first, 0xc0);
}
END_TEST

START_TEST(empty_chunk_has_no_records)
{
	chunk_finish(w);
	ck_assert_uint_eq(w->len, CHUNK_HEADER_LEN);
	ck_assert_ptr_null(read_back());
	ck_assert_uint_eq(seen.count, 0);
}
END_TEST

START_TEST(names_that_end_alike_are_stored_once)
{
	ck_assert(add("a.very.long.name.indeed.example.com.", 65280, 1, "", 0));
	size_t first = w->len;

	ck_assert(add("b.very.long.name.indeed.example.com.", 65280, 1, "", 0));
	ck_assert_uint_eq(w->len - first, 10 + 2);
}
END_TEST

START_TEST(full_chunk_refuses_and_stays_whole)
{
	uint8_t rdata[1000] = { 0 };
	uint32_t count = 0;

	while (add("example.com.", 65280, 1, rdata, sizeof(rdata)))
		count++;
	ck_assert_uint_le(w->len, CHUNK_MAX);
	ck_assert_uint_gt(w->len, CHUNK_MAX - 1100);
	chunk_finish(w);
	ck_assert_ptr_null(read_back());
	ck_assert_uint_eq(seen.count, count);
}
END_TEST

START_TEST(longest_record_fits_alone)
{
	static uint8_t rdata[65535];
	char owner[300] = "";

	for (int i = 0; i < 127; i++)
		strncat(owner, "a.", 3);
	ck_assert(add(owner, 65280, 1, rdata, sizeof(rdata)));
	ck_assert(!add(owner, 65280, 1, "", 0));
	chunk_finish(w);
	ck_assert_uint_le(w->len, CHUNK_ALONE_MAX);
	ck_assert_ptr_null(read_back());
	ck_assert_uint_eq(seen.at[0].len, 65535);
}
END_TEST

static bool stop_at_once(const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
			 uint16_t len, void *arg)
{
	see(owner, type, ttl, rdata, len, arg);
	return false;
}

START_TEST(visitor_may_stop)
{
	ck_assert(add("a.", TYPE_A, 1, "1234", 4));
	ck_assert(add("b.", TYPE_A, 1, "1234", 4));
	chunk_finish(w);
	seen = (struct seen){ 0 };
	ck_assert_ptr_null(chunk_read(w->bytes, w->len, stop_at_once, &seen));
	ck_assert_uint_eq(seen.count, 1);
}
END_TEST

START_TEST(flipped_bit_anywhere_is_seen_before_a_record_is)
{
	ck_assert(add("example.com.", TYPE_A, 300, "1234", 4));
	ck_assert(add("www.example.com.", TYPE_A, 300, "1234", 4));
	chunk_finish(w);
	for (size_t bit = 0; bit < w->len * 8; bit++) {
		w->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert_msg(read_back() != NULL, "bit %zu", bit);
		ck_assert_uint_eq(seen.count, 0);
		w->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}
END_TEST

START_TEST(cut_or_longer_chunk_is_refused)
{
	ck_assert(add("example.com.", TYPE_A, 300, "1234", 4));
	chunk_finish(w);
	for (size_t len = 0; len < w->len; len++)
		ck_assert_ptr_nonnull(chunk_read(w->bytes, len, see, &seen));
	ck_assert_ptr_nonnull(chunk_read(w->bytes, w->len + 1, see, &seen));
}
END_TEST

/* Bodies whose digest is right: one record each, wrong in one thing. */
static const struct {
	const char *what, *body;
	size_t len;
	uint32_t records;
	const char *says;
} forged[] = {
#define BODY(b, n) b, sizeof(b) - 1, n
	{ "shares with nothing", BODY("\1\2\1a\0\1\0\0\0\1\0\4" "1234", 1), "owner name" },
	{ "no root label", BODY("\0\2\1a\0\1\0\0\0\1\0\4" "1234", 1), "owner name" },
	{ "no owner at all", BODY("\0\0\0\1\0\0\0\1\0\4" "1234", 1), "owner name" },
	{ "a pointer", BODY("\0\4\1a\xc0\0\0\1\0\0\0\1\0\4" "1234", 1), "owner name" },
	{ "a label of 64", BODY("\0\2\x40\0\0\1\0\0\0\1\0\4" "1234", 1), "owner name" },
	{ "a label of 64, all of it there", BODY("\0\x42\x40"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"\0\0\1\0\0\0\1\0\4" "1234", 1), "owner name" },
	{ "bytes behind the root", BODY("\0\3\0\1\0\0\1\0\0\0\1\0\4" "1234", 1), "owner name" },
	{ "rdata too short", BODY("\0\1\0\0\1\0\0\0\1\0\3" "123", 1), "record data" },
	{ "rdata past the end", BODY("\0\1\0\0\1\0\0\0\1\0\5" "1234", 1), "ends inside" },
	{ "owner past the end", BODY("\0\5\1a\0", 1), "ends inside" },
	{ "fewer records than said", BODY("\0\1\0\0\1\0\0\0\1\0\4" "1234", 2), "ends inside" },
	{ "more bytes than records", BODY("\0\1\0\0\1\0\0\0\1\0\4" "1234x", 1), "left over" },
	{ "records, but none said", BODY("\0\1\0\0\1\0\0\0\1\0\4" "1234", 0), "left over" },
	{ "all bytes of a record, none there", BODY("", 0xffffffff), "ends inside" },
#undef BODY
};

START_TEST(forged_body_is_refused)
{
	chunk_finish(w);
	memcpy(w->bytes + CHUNK_HEADER_LEN, forged[_i].body, forged[_i].len);
	w->len = CHUNK_HEADER_LEN + forged[_i].len;
	resign(forged[_i].records);
	const char *wrong = read_back();

	ck_assert_msg(wrong && strstr(wrong, forged[_i].says), "%s: %s", forged[_i].what,
		      wrong ? wrong : "believed");
}
END_TEST

START_TEST(name_grown_over_255_bytes_by_sharing_is_refused)
{
	char owner[300] = "";

	for (int i = 0; i < 127; i++)
		strncat(owner, "a.", 3);
	ck_assert(add(owner, 65280, 1, "", 0));
	size_t second = w->len;
	uint8_t *own;

	ck_assert(add(owner, 65280, 1, "", 0));
	own = w->bytes + second + 2;
	memmove(own + 200, own, w->len - second - 2);
	for (int i = 0; i < 100; i++)
		memcpy(own + 2 * i, "\1a", 2);
	w->bytes[second] = 255;
	w->bytes[second + 1] = 200;
	w->len += 200;
	chunk_finish(w);
	ck_assert_str_eq(read_back(), "owner name in chunk is malformed");
	ck_assert_uint_eq(seen.count, 1);
}
END_TEST

START_TEST(random_records_come_back)
{
	struct random r;
	uint8_t rdata[40];
	char owner[64];
	uint32_t count = 0;

	random_init_seeded(&r, 7);
	for (;;) {
		snprintf(owner, sizeof(owner), "%c%c.%c.example.com.", 'a' + (int)random_below(&r, 9),
			 'A' + (int)random_below(&r, 9), 'a' + (int)random_below(&r, 9));
		size_t len = random_below(&r, sizeof(rdata));

		memset(rdata, (int)count, sizeof(rdata));
		if (!add(owner, 65280, count, rdata, len))
			break;
		count++;
	}
	chunk_finish(w);
	ck_assert_ptr_null(read_back());
	ck_assert_uint_eq(seen.count, count);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("chunk");
	TCase *tc = tcase_create("chunk");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, records_come_back_as_they_went_in);
	tcase_add_test(tc, empty_chunk_has_no_records);
	tcase_add_test(tc, names_that_end_alike_are_stored_once);
	tcase_add_test(tc, full_chunk_refuses_and_stays_whole);
	tcase_add_test(tc, longest_record_fits_alone);
	tcase_add_test(tc, visitor_may_stop);
	tcase_add_test(tc, flipped_bit_anywhere_is_seen_before_a_record_is);
	tcase_add_test(tc, cut_or_longer_chunk_is_refused);
	tcase_add_loop_test(tc, forged_body_is_refused, 0, sizeof(forged) / sizeof(forged[0]));
	tcase_add_test(tc, name_grown_over_255_bytes_by_sharing_is_refused);
	tcase_add_test(tc, random_records_come_back);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
