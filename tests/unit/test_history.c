/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/dns.h"
#include "cache/history.h"
#include "cache/rcu.h"
#include "tests/unit/fixture.h"

enum { VERSIONS_MAX = 200 };

static struct generation *versions[VERSIONS_MAX];
static unsigned count;

static void setup(void)
{
	rcu_thread_start();
	count = 0;
}

static void teardown(void)
{
	for (unsigned i = 0; i < count; i++)
		generation_free(versions[i]);
	rcu_thread_stop();
}

/* The next version of the zone: built from nothing, with the history that it has. */
static struct generation *publish(unsigned serial, const char *records)
{
	static char text[400000];

	snprintf(text, sizeof(text), "@ 3600 SOA ns h %u 3600 600 1209600 300\n@ 3600 NS ns\n"
		 "ns 3600 A 192.0.2.1\n%s", serial, records);
	versions[count] = fixture_zone("example.com.", text);
	if (count > 0)
		versions[count]->history = history_new(versions[count - 1], versions[count]);
	return versions[count++];
}

static void assert_record(const struct difference *d, size_t *pos, uint16_t type, const char *owner)
{
	struct zone_record r;
	char text[NAME_TEXT_MAX];

	ck_assert(difference_next(d, pos, &r));
	ck_assert_uint_eq(r.set.type, type);
	ck_assert_str_eq(name_to_text(r.owner, text), owner);
	ck_assert_uint_eq(r.set.count, 1);
}

START_TEST(a_difference_is_old_soa_removed_new_soa_added)
{
	const struct history *h;
	size_t pos = 0, index;

	publish(1, "a 60 A 192.0.2.1\nb 60 A 192.0.2.2\n");
	h = publish(2, "b 60 A 192.0.2.2\nc 60 TXT x\n")->history;
	ck_assert_uint_eq(h->count, 1);
	ck_assert(history_find(h, 1, &index));
	ck_assert_uint_eq(index, 0);
	assert_record(h->items[0], &pos, TYPE_SOA, "example.com.");
	assert_record(h->items[0], &pos, TYPE_A, "a.example.com.");
	assert_record(h->items[0], &pos, TYPE_SOA, "example.com.");
	assert_record(h->items[0], &pos, TYPE_TXT, "c.example.com.");
	ck_assert_uint_eq(pos, h->items[0]->len);
}
END_TEST

START_TEST(a_changed_ttl_is_a_removal_and_an_addition)
{
	const struct history *h;
	struct zone_record r;
	unsigned records = 0;

	publish(1, "a 60 A 192.0.2.1\n");
	h = publish(2, "a 61 A 192.0.2.1\n")->history;
	for (size_t pos = 0; difference_next(h->items[0], &pos, &r);)
		records++;
	ck_assert_uint_eq(records, 4);
}
END_TEST

START_TEST(steps_become_a_chain_that_generations_share)
{
	const struct history *h;
	size_t index;

	for (unsigned serial = 1; serial <= 5; serial++)
		publish(serial, "");
	h = versions[4]->history;
	ck_assert_uint_eq(h->count, 4);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert(history_find(h, i + 1, &index));
		ck_assert_uint_eq(index, i);
		ck_assert_uint_eq(h->items[i]->to, i + 2);
	}
	ck_assert(!history_find(h, 5, &index) && !history_find(h, 0, &index));
	ck_assert_ptr_eq(h->items[0], versions[1]->history->items[0]);
	ck_assert_uint_eq(h->items[0]->references, 4);
}
END_TEST

START_TEST(differences_outlive_the_generations_that_made_them)
{
	publish(1, "");
	publish(2, "a 60 A 192.0.2.1\n");
	publish(3, "");
	for (unsigned i = 0; i < 2; i++)
		generation_free(versions[i]);
	versions[0] = versions[2];
	count = 1;
	ck_assert_uint_eq(versions[0]->history->count, 2);
	ck_assert_uint_eq(versions[0]->history->items[0]->references, 1);
}
END_TEST

START_TEST(the_oldest_go_when_there_are_too_many)
{
	size_t index;

	for (unsigned serial = 1; serial <= HISTORY_MAX + 10; serial++)
		publish(serial, "");
	ck_assert_uint_eq(versions[count - 1]->history->count, HISTORY_MAX);
	ck_assert(!history_find(versions[count - 1]->history, 9, &index));
	ck_assert(history_find(versions[count - 1]->history, 10, &index));
}
END_TEST

/* Twenty records of about a kilobyte. */
static const char *twenty_kilobytes(char fill)
{
	static char text[25000];
	char string[201];
	size_t len = 0;

	memset(string, fill, 200);
	string[200] = '\0';
	for (unsigned i = 0; i < 20; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"h%u 60 TXT %s %s %s %s %s\n", i, string, string, string, string,
					string);
	return text;
}

START_TEST(the_oldest_go_when_they_are_too_large)
{
	for (unsigned serial = 1; serial <= 5; serial++) {
		publish(serial, twenty_kilobytes((char)('a' + serial)));
		ck_assert(!versions[count - 1]->history
			  || versions[count - 1]->history->bytes <= HISTORY_BYTES_LEAST);
	}
	ck_assert_uint_eq(versions[4]->history->count, 1);
	ck_assert_uint_eq(versions[4]->history->items[0]->from, 4);
}
END_TEST

START_TEST(one_that_is_too_large_by_itself_ends_the_chain)
{
	static char text[200000];
	size_t len = 0;

	publish(1, "");
	publish(2, "");
	for (unsigned i = 0; i < 6; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s", twenty_kilobytes('x'));
	for (size_t i = 0, block = 0; i < len; i++)	/* other names in each block */
		if (text[i] == 'h' && (i == 0 || text[i - 1] == '\n'))
			text[i] = (char)('h' + block++ / 20);
	publish(3, text);
	ck_assert_ptr_null(versions[2]->history);	/* 120 kB, of which half is allowed */
	ck_assert_uint_eq(publish(4, text)->history->count, 1);
}
END_TEST

START_TEST(a_serial_that_goes_back_has_no_history)
{
	publish(5, "");
	publish(6, "");
	ck_assert_ptr_null(publish(4, "")->history);
	ck_assert_ptr_nonnull(publish(7, "")->history);
	ck_assert_uint_eq(versions[3]->history->count, 1);
}
END_TEST

START_TEST(serials_wrap)
{
	size_t index;

	publish(0xffffffff, "");
	publish(0, "");
	publish(1, "");
	ck_assert(history_find(versions[2]->history, 0xffffffff, &index));
	ck_assert_uint_eq(index, 0);
}
END_TEST

START_TEST(the_same_zone_again_keeps_its_past_and_another_of_its_serial_does_not)
{
	publish(1, "");
	publish(2, "a 60 A 192.0.2.1\n");
	ck_assert_uint_eq(publish(2, "a 60 A 192.0.2.1\n")->history->count, 1);
	ck_assert_ptr_null(publish(2, "a 60 A 192.0.2.2\n")->history);
}
END_TEST

START_TEST(the_cursor_visits_what_a_walk_does)
{
	struct zone_cursor c;
	struct zone_record r;
	unsigned records = 0;

	publish(1, "*.a.b.c 60 A 192.0.2.1\na 60 A 192.0.2.1\na 60 A 192.0.2.2\na 60 TXT x\n"
		"@ 60 NSEC3PARAM 1 0 0 -\n"
		"0p9mhaveqvm6t7vbl5lop2u3t2rp3tom 60 NSEC3 1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr A\n"
		"2t7b4g4vsa5smi47k61mv5bv1a22bojr 60 NSEC3 1 0 0 - 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom A\n");
	ck_assert_uint_eq(versions[0]->nsec3.count, 2);
	zone_cursor_start(&c, versions[0]);
	while (zone_cursor_next(&c, &r)) {
		ck_assert_uint_ne(r.set.type, TYPE_SOA);
		records++;
	}
	ck_assert_uint_eq(records + 1, versions[0]->records);
	ck_assert(!zone_cursor_next(&c, &r));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("history");
	TCase *tc = tcase_create("history");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_difference_is_old_soa_removed_new_soa_added);
	tcase_add_test(tc, a_changed_ttl_is_a_removal_and_an_addition);
	tcase_add_test(tc, steps_become_a_chain_that_generations_share);
	tcase_add_test(tc, differences_outlive_the_generations_that_made_them);
	tcase_add_test(tc, the_oldest_go_when_there_are_too_many);
	tcase_add_test(tc, the_oldest_go_when_they_are_too_large);
	tcase_add_test(tc, one_that_is_too_large_by_itself_ends_the_chain);
	tcase_add_test(tc, a_serial_that_goes_back_has_no_history);
	tcase_add_test(tc, serials_wrap);
	tcase_add_test(tc, the_same_zone_again_keeps_its_past_and_another_of_its_serial_does_not);
	tcase_add_test(tc, the_cursor_visits_what_a_walk_does);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
