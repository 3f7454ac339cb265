/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/dns.h"
#include "cache/dump.h"
#include "tests/unit/fixture.h"

static const char zone_text[] =
	"@ 3600 SOA ns1 host 7 7200 3600 1209600 300\n"
	"@ 60 A 192.0.2.80\n@ 3600 NS ns1\n"
	"ns1 60 A 192.0.2.1\nns1 60 A 192.0.2.2\n"
	"a.b.ent 60 TXT \"a \\\"quoted\\\" one\" \"\"\n"
	"odd\\.na\\009me 60 CNAME ns1\n"
	"svc 60 HTTPS 1 . alpn=h2\n"
	"new 60 TYPE65280 \\# 3 010203\n";

static struct generation *zone;

static void setup(void)
{
	zone = fixture_zone("example.com.", zone_text);
}

static void teardown(void)
{
	generation_free(zone);
}

/* The whole dump, in slices of about `want`. */
static char *text_of(const struct generation *g, size_t want)
{
	struct dump *d = dump_new(g);
	char *text;
	const char *part;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	while ((part = dump_next(d, want, &len)) != NULL) {
		ck_assert_uint_gt(len, 0);
		ck_assert_int_eq(part[len - 1], '\n');	/* whole records */
		fwrite(part, 1, len, f);
	}
	ck_assert_ptr_null(dump_next(d, want, &len));
	dump_free(d);
	fclose(f);
	return text;
}

static bool note_record(const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
			uint16_t rdata_len, void *arg)
{
	FILE *f = arg;

	fwrite(owner, 1, name_len(owner), f);
	fprintf(f, "|%u|%u|", (unsigned)type, (unsigned)ttl);
	fwrite(rdata, 1, rdata_len, f);
	return true;
}

/* All records of a zone as bytes. */
static char *content_of(const struct generation *g, size_t *len)
{
	char *bytes;
	FILE *f = open_memstream(&bytes, len);

	generation_walk(g, note_record, f);
	fclose(f);
	return bytes;
}

static void check_reads_back(const struct generation *g, const char *text)
{
	struct generation *again = fixture_zone("example.com.", text);
	size_t len, again_len;
	char *bytes = content_of(g, &len), *again_bytes = content_of(again, &again_len);

	ck_assert_uint_eq(len, again_len);
	ck_assert_mem_eq(bytes, again_bytes, len);
	free(bytes);
	free(again_bytes);
	generation_free(again);
}

START_TEST(a_dump_reads_back_as_the_same_zone)
{
	char *text = text_of(zone, 4096);

	check_reads_back(zone, text);
	ck_assert_ptr_nonnull(strstr(text, "ns1.example.com.\t60\tIN\tA\t192.0.2.2\n"));
	free(text);
}
END_TEST

START_TEST(the_soa_comes_first_and_once)
{
	char *text = text_of(zone, 4096);

	ck_assert(strncmp(text, "example.com.\t3600\tIN\tSOA\t", 25) == 0);
	ck_assert_ptr_null(strstr(text + 25, "\tSOA\t"));
	free(text);
}
END_TEST

START_TEST(slices_of_any_size_make_the_same_text)
{
	char *whole = text_of(zone, 1 << 20);

	for (size_t want = 1; want < 200; want += 13) {
		char *text = text_of(zone, want);

		ck_assert_str_eq(text, whole);
		free(text);
	}
	free(whole);
}
END_TEST

START_TEST(a_slice_is_about_as_long_as_wanted)
{
	struct dump *d = dump_new(zone);
	size_t len;

	ck_assert_ptr_nonnull(dump_next(d, 1, &len));
	ck_assert_uint_lt(len, 120);
	ck_assert_ptr_nonnull(dump_next(d, 100, &len));
	ck_assert_uint_ge(len, 100);
	ck_assert_uint_lt(len, 300);
	dump_free(d);
}
END_TEST

START_TEST(a_dump_holds_its_generation)
{
	struct dump *d = dump_new(zone);

	ck_assert(generation_is_held(zone));
	dump_free(d);
	ck_assert(!generation_is_held(zone));
	dump_free(NULL);
}
END_TEST

/* 60,000 empty strings: ldns would take gigabytes for them. */
START_TEST(a_record_that_ldns_cannot_bear_is_written_as_bytes)
{
	static const uint8_t empty_strings[60000];
	enum zone_error error;
	struct zone_edit *e = zone_edit_new(zone->origin, zone, 0, 0);

	error = zone_edit_add(e, zone->origin, TYPE_TXT, 60, empty_strings, sizeof(empty_strings));
	ck_assert_int_eq(error, ZONE_OK);
	struct generation *g = zone_edit_finish(e, 2, &error, NULL);
	char *text = text_of(g, 4096);

	ck_assert_ptr_nonnull(strstr(text, "example.com.\t60\tIN\tTYPE16\t\\# 60000 0000000000"));
	free(text);
	generation_free(g);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("dump");
	TCase *tc = tcase_create("dump");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_dump_reads_back_as_the_same_zone);
	tcase_add_test(tc, the_soa_comes_first_and_once);
	tcase_add_test(tc, slices_of_any_size_make_the_same_text);
	tcase_add_test(tc, a_slice_is_about_as_long_as_wanted);
	tcase_add_test(tc, a_dump_holds_its_generation);
	tcase_add_test(tc, a_record_that_ldns_cannot_bear_is_written_as_bytes);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
