/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/change.h"
#include "cache/history.h"
#include "cache/rcu.h"
#include "cache/store_step.h"
#include "tests/unit/fixture.h"

#define ZONE(serial, more) "@ 3600 SOA ns h " serial " 3600 600 1209600 300\n" \
			   "@ 3600 NS ns\nns 3600 A 192.0.2.1\n" more

enum { NUMBERS = 6, FIELDS_MAX = 32 };

static struct generation *old, *new, *made;
static struct change *change;
static redisReply values[FIELDS_MAX], *elements[FIELDS_MAX], fields;
static char texts[FIELDS_MAX][32];

static void setup(void)
{
	rcu_thread_start();
	old = fixture_zone("example.com.", ZONE("1", "a 3600 A 192.0.2.2\n"));
	new = fixture_zone("example.com.", ZONE("2", "b 3600 A 192.0.2.3\n"));
	old->number = 7;
	change = change_new(old, new, 1 << 20);
	made = NULL;
}

static void teardown(void)
{
	change_free(change);
	generation_free(old);
	generation_free(new);
	generation_free(made);
	rcu_thread_stop();
}

static void put(size_t at, const void *bytes, size_t len)
{
	values[at] = (redisReply){ .type = REDIS_REPLY_STRING, .str = (char *)bytes, .len = len };
	elements[at] = &values[at];
}

static void put_text(size_t at, const char *text)
{
	snprintf(texts[at], sizeof(texts[at]), "%s", text);
	put(at, texts[at], strlen(texts[at]));
}

static void put_number(size_t index, const char *name, unsigned long long v)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", v);
	put_text(2 * index, name);
	put_text(2 * index + 1, text);
}

/* The entry that leads from `old` to `new`, as store_save.c would write it. */
static void given_entry(void)
{
	size_t at = 2 * NUMBERS + 2;
	char digest[STEP_DIGEST_LEN + 1];

	put_number(0, "generation", 8);
	put_number(1, "from_serial", 1);
	put_number(2, "serial", 2);
	put_number(3, "from_generation", 7);
	put_number(4, "records", new->records);
	put_number(5, "bytes", new->bytes);
	step_digest_text(step_digest(change), digest);
	put_text(at - 2, "digest");
	put_text(at - 1, digest);
	for (size_t i = 0; i < change->count; i++) {
		put_text(at++, change->parts[i].is_added ? "added" : "removed");
		put(at++, change->parts[i].bytes, change->parts[i].len);
	}
	fields = (redisReply){ .type = REDIS_REPLY_ARRAY, .elements = at, .element = elements };
}

static const char *take(void)
{
	return step_take(old, &fields, 0, 0, &made);
}

static bool differs(const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
		    uint16_t rdata_len, void *arg)
{
	(void)owner, (void)type, (void)ttl, (void)rdata, (void)rdata_len, (void)arg;
	return false;
}

START_TEST(entry_makes_the_next_generation_with_a_history)
{
	size_t index;

	given_entry();
	ck_assert_ptr_null(take());
	ck_assert(generation_diff(new, made, differs, differs, NULL));
	ck_assert_uint_eq(made->number, 8);
	ck_assert(history_find(made->history, 1, &index));
	ck_assert_uint_eq(step_generation(&fields), 8);
}
END_TEST

START_TEST(entry_must_follow_what_is_held)
{
	static const struct { size_t index; const char *name; unsigned long long v; } WRONG[] = {
		{ 0, "generation", 7 }, { 0, "generation", 6 }, { 1, "from_serial", 2 },
		{ 3, "from_generation", 6 }, { 3, "from_generation", 8 },
	};

	given_entry();
	put_number(WRONG[_i].index, WRONG[_i].name, WRONG[_i].v);
	ck_assert_str_eq(take(), "does not follow the one before");
	ck_assert_ptr_null(made);
}
END_TEST

START_TEST(outcome_must_be_what_its_writer_had)
{
	given_entry();
	if (_i == 0)
		put_number(2, "serial", 3);
	else if (_i == 1)
		put_number(4, "records", new->records + 1);
	else
		put_number(5, "bytes", new->bytes - 1);
	ck_assert_ptr_nonnull(take());
	ck_assert_ptr_null(made);
}
END_TEST

START_TEST(parts_must_be_all_there_and_in_order)
{
	size_t last;

	given_entry();
	last = fields.elements - 2;
	ck_assert_uint_ge(change->count, 2);
	if (_i == 0) {
		fields.elements = last;		/* the last one gone */
	} else if (_i == 1) {			/* one under the other's name */
		put_text(last, "removed");
	} else {				/* turned round */
		redisReply *a = elements[last - 2], *b = elements[last - 1];

		elements[last - 2] = elements[last];
		elements[last - 1] = elements[last + 1];
		elements[last] = a;
		elements[last + 1] = b;
	}
	ck_assert_ptr_nonnull(take());
	ck_assert_ptr_null(made);
}
END_TEST

START_TEST(what_is_removed_must_have_been_there)
{
	struct generation *other = fixture_zone("example.com.", ZONE("1", "c 3600 A 192.0.2.2\n"));

	other->number = 7;
	given_entry();
	ck_assert_ptr_nonnull(step_take(other, &fields, 0, 0, &made));
	ck_assert_ptr_null(made);
	generation_free(other);
}
END_TEST

START_TEST(every_field_that_is_none_of_ours_is_refused)
{
	given_entry();
	if (_i % 2 == 0)
		put_text((size_t)_i, "x");
	else
		values[_i].type = REDIS_REPLY_NIL;
	ck_assert_ptr_nonnull(take());
	ck_assert_ptr_null(made);
}
END_TEST

START_TEST(entry_that_ends_early_is_refused)
{
	given_entry();
	fields.elements = (size_t)_i;
	ck_assert_ptr_nonnull(take());
	ck_assert_ptr_null(made);
	if (_i < 2 * NUMBERS)
		ck_assert_uint_eq(step_generation(&fields), 0);
}
END_TEST

START_TEST(bounds_hold)
{
	given_entry();
	ck_assert_ptr_nonnull(step_take(old, &fields, 3, 0, &made));
	ck_assert_ptr_nonnull(step_take(old, &fields, 0, 40, &made));
	ck_assert_ptr_null(made);
}
END_TEST

START_TEST(id_of_an_entry_is_bounded)
{
	redisReply id = { .type = REDIS_REPLY_STRING, .str = (char *)"1700000000000-0", .len = 15 };
	redisReply *pair[] = { &id, &fields };
	redisReply entry = { .type = REDIS_REPLY_ARRAY, .elements = 2, .element = pair };
	char copy[STEP_ID_MAX];

	given_entry();
	ck_assert_ptr_eq(step_fields(&entry, copy), &fields);
	ck_assert_str_eq(copy, "1700000000000-0");
	id.len = STEP_ID_MAX;
	ck_assert_ptr_null(step_fields(&entry, copy));
	id.len = 15;
	entry.elements = 1;
	ck_assert_ptr_null(step_fields(&entry, copy));
	entry.elements = 2;
	id.type = REDIS_REPLY_NIL;
	ck_assert_ptr_null(step_fields(&entry, copy));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("store_step");
	TCase *t = tcase_create("store_step");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, entry_makes_the_next_generation_with_a_history);
	tcase_add_loop_test(t, entry_must_follow_what_is_held, 0, 5);
	tcase_add_loop_test(t, outcome_must_be_what_its_writer_had, 0, 3);
	tcase_add_loop_test(t, parts_must_be_all_there_and_in_order, 0, 3);
	tcase_add_test(t, what_is_removed_must_have_been_there);
	tcase_add_loop_test(t, every_field_that_is_none_of_ours_is_refused, 0, 18);
	tcase_add_loop_test(t, entry_that_ends_early_is_refused, 0, 16);
	tcase_add_test(t, bounds_hold);
	tcase_add_test(t, id_of_an_entry_is_bounded);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
