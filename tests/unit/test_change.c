/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/change.h"
#include "cache/chunk.h"
#include "cache/rcu.h"
#include "tests/unit/fixture.h"

#define HEAD(serial) "@ 3600 SOA ns h " serial " 3600 600 1209600 300\n" \
		     "@ 3600 NS ns\nns 3600 A 192.0.2.1\n"
#define ROOM (1u << 20)

static struct generation *old, *new, *again;
static struct change *change;

static void setup(void)
{
	rcu_thread_start();
}

static void teardown(void)
{
	change_free(change);
	generation_free(old);
	generation_free(new);
	generation_free(again);
	change = NULL;
	old = new = again = NULL;
	rcu_thread_stop();
}

static void given_change(const char *before, const char *after, size_t limit)
{
	old = fixture_zone("example.com.", before);
	new = fixture_zone("example.com.", after);
	change = change_new(old, new, limit);
}

static const char *play(uint32_t *serial)
{
	struct zone_edit *e = zone_edit_new(old->origin, old, 0, 0);
	enum zone_error why;
	const char *wrong = NULL;

	for (size_t i = 0; i < change->count && !wrong; i++)
		wrong = change_part_apply(e, change->parts[i].is_added, change->parts[i].bytes,
					  change->parts[i].len, serial);
	if (wrong)
		zone_edit_free(e);
	else
		again = zone_edit_finish(e, 2, &why, NULL);
	return wrong;
}

static bool differs(const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
		    uint16_t rdata_len, void *arg)
{
	(void)owner;
	(void)type;
	(void)ttl;
	(void)rdata;
	(void)rdata_len;
	(void)arg;
	return false;
}

static const struct { const char *what, *before, *after; } pairs[] = {
	{ "serial alone", HEAD("1"), HEAD("2") },
	{ "a name more", HEAD("1"), HEAD("2") "www 60 A 192.0.2.2\n" },
	{ "a name less", HEAD("1") "www 60 A 192.0.2.2\n", HEAD("2") },
	{ "a TTL higher", HEAD("1") "www 60 A 192.0.2.2\nwww 60 A 192.0.2.3\n",
	  HEAD("2") "www 90 A 192.0.2.2\nwww 90 A 192.0.2.3\n" },
	{ "a TTL lower", HEAD("1") "www 90 A 192.0.2.2\nwww 90 A 192.0.2.3\n",
	  HEAD("2") "www 60 A 192.0.2.2\nwww 60 A 192.0.2.3\n" },
	{ "a TTL and a record", HEAD("1") "www 90 A 192.0.2.2\nwww 90 A 192.0.2.3\n",
	  HEAD("2") "www 60 A 192.0.2.2\nwww 60 A 192.0.2.4\n" },
	{ "data to an alias", HEAD("1") "www 60 A 192.0.2.2\n", HEAD("2") "www 60 CNAME ns\n" },
	{ "an alias to data", HEAD("1") "www 60 CNAME ns\n", HEAD("2") "www 60 A 192.0.2.2\n" },
	{ "case of the owner", HEAD("1") "www 60 A 192.0.2.2\n", HEAD("2") "WWW 60 A 192.0.2.2\n" },
	{ "serial across zero", HEAD("4294967295"), HEAD("0") },
};

START_TEST(change_played_back_gives_the_new_generation)
{
	uint32_t serial = 0;

	given_change(pairs[_i].before, pairs[_i].after, ROOM);
	ck_assert_msg(change, "%s: no change", pairs[_i].what);
	ck_assert_msg(!play(&serial), "%s: cannot be played", pairs[_i].what);
	ck_assert_ptr_nonnull(again);
	ck_assert_uint_eq(serial, new->soa.serial);
	ck_assert_uint_eq(again->records, new->records);
	ck_assert_msg(generation_diff(again, new, differs, differs, NULL), "%s", pairs[_i].what);
}
END_TEST

START_TEST(removed_parts_come_before_added_ones)
{
	given_change(HEAD("1") "a 60 A 192.0.2.2\n", HEAD("2") "b 60 A 192.0.2.2\n", ROOM);
	ck_assert_uint_eq(change->count, 2);
	ck_assert(!change->parts[0].is_added && change->parts[1].is_added);
	ck_assert_uint_eq(change->bytes, change->parts[0].len + change->parts[1].len);
}
END_TEST

static char *many(const char *head, unsigned count)
{
	size_t size = strlen(head) + count * 32 + 1, len;
	char *text = malloc(size);

	len = (size_t)snprintf(text, size, "%s", head);
	for (unsigned i = 0; i < count; i++)
		len += (size_t)snprintf(text + len, size - len, "h%u 60 A 10.%u.%u.%u\n", i, i >> 16,
					i >> 8 & 255, i & 255);
	return text;
}

START_TEST(large_change_has_several_parts_of_a_chunk_each)
{
	char *after = many(HEAD("2"), 8000);
	uint32_t serial = 0;

	given_change(HEAD("1"), after, ROOM);
	ck_assert_ptr_nonnull(change);
	ck_assert_uint_gt(change->count, 3);
	for (size_t i = 0; i < change->count; i++)
		ck_assert_uint_le(change->parts[i].len, CHUNK_MAX);
	ck_assert_ptr_null(play(&serial));
	ck_assert(generation_diff(again, new, differs, differs, NULL));
	free(after);
}
END_TEST

START_TEST(change_over_the_limit_is_none)
{
	char *after = many(HEAD("2"), 8000);

	given_change(HEAD("1"), after, 60000);
	ck_assert_ptr_null(change);
	free(after);
}
END_TEST

START_TEST(two_large_zones_that_share_nothing_are_not_compared)
{
	char *before = many(HEAD("1"), CHANGE_NAMES_MAX), *after = many(HEAD("2"), CHANGE_NAMES_MAX);

	given_change(before, after, ROOM);
	ck_assert_ptr_null(change);
	free(before);
	free(after);
}
END_TEST

START_TEST(removal_of_what_is_not_there_is_an_error)
{
	uint32_t serial = 0;

	given_change(HEAD("1") "a 60 A 192.0.2.2\n", HEAD("2"), ROOM);
	generation_free(old);
	old = fixture_zone("example.com.", HEAD("1"));
	ck_assert_str_eq(play(&serial), zone_error_text(ZONE_NO_RECORD));
}
END_TEST

START_TEST(part_with_a_flipped_bit_is_an_error)
{
	uint32_t serial = 0;

	given_change(HEAD("1"), HEAD("2"), ROOM);
	change->parts[1].bytes[change->parts[1].len - 1] ^= 1;
	ck_assert_ptr_nonnull(play(&serial));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("change");
	TCase *tc = tcase_create("change");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, change_played_back_gives_the_new_generation, 0, 10);
	tcase_add_test(tc, removed_parts_come_before_added_ones);
	tcase_add_test(tc, large_change_has_several_parts_of_a_chunk_each);
	tcase_add_test(tc, change_over_the_limit_is_none);
	tcase_add_test(tc, two_large_zones_that_share_nothing_are_not_compared);
	tcase_add_test(tc, removal_of_what_is_not_there_is_an_error);
	tcase_add_test(tc, part_with_a_flipped_bit_is_an_error);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
