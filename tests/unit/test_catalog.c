/* SPDX-License-Identifier: ISC */
/* test_catalog - what is a member of a catalog, and what breaks it. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/catalog.h"
#include "tests/unit/fixture.h"

#define HEAD	"@ 60 IN SOA invalid. h 1 2 3 4 5\n@ 60 IN NS invalid.\n"
#define VERSION	"version 0 IN TXT \"2\"\n"

static struct generation *zone;
static struct catalog *list;
static enum catalog_fault fault;
static const uint8_t *where;

static void teardown(void)
{
	catalog_free(list);
	generation_free(zone);
	list = NULL;
	zone = NULL;
}

static void given(const char *text)
{
	char *all;

	teardown();
	ck_assert_int_gt(asprintf(&all, HEAD "%s", text), 0);
	zone = fixture_zone("catz.example.", all);
	free(all);
	list = catalog_read(zone, 100, &fault, &where);
}

static const struct catalog_member *member(const char *text)
{
	uint8_t name[NAME_LEN_MAX];

	ck_assert(name_from_text(text, name));
	return catalog_find(list, name);
}

START_TEST(members_are_found_whatever_else_is_there)
{
	given(VERSION
	      "a.zones 0 IN PTR One.Test.\n"
	      "b.zones 0 IN PTR two.test.\n"
	      "b.zones 0 IN TXT \"not for us\"\n"
	      "c.ZONES 0 IN PTR .\n"
	      "www 0 IN PTR no.test.\n"
	      "d.zone 0 IN PTR no.test.\n"
	      "zones 0 IN PTR no.test.\n"
	      "x.y.zones 0 IN PTR no.test.\n"
	      "e.zones 0 IN A 192.0.2.1\n"
	      "group.e.zones 0 IN TXT \"g\"\n"
	      "coo.e.zones 0 IN PTR no.test.\n"
	      "color.a.zones 0 IN TXT \"red\"\n"
	      "group.a.zones 0 IN PTR no.test.\n"
	      "coo.a.zones 0 IN TXT \"no.test.\"\n"
	      "vendor.ext 0 IN TXT \"3\"\n"
	      "coo.vendor.ext.a.zones 0 IN PTR no.test.\n"
	      "version.a.zones 0 IN TXT \"1\"\n");
	ck_assert_int_eq(fault, CATALOG_OK);
	ck_assert_uint_eq(list->count, 3);
	ck_assert_ptr_nonnull(member("one.test"));
	ck_assert_ptr_nonnull(member("two.test"));
	ck_assert_ptr_nonnull(member("."));
	ck_assert_ptr_null(member("no.test"));
	ck_assert_ptr_null(member("one.test")->coo);
	ck_assert_uint_eq(member("one.test")->group_count, 0);
	ck_assert_mem_eq(member("one.test")->label, "\1a", 2);
}
END_TEST

START_TEST(properties_belong_to_their_member)
{
	given(VERSION
	      "a.zones 0 IN PTR one.test.\n"
	      "coo.a.zones 0 IN PTR other.example.\n"
	      "group.a.zones 0 IN TXT \"edge\"\n"
	      "group.a.zones 0 IN TXT \"in \" \"two parts\"\n"
	      "b.zones 0 IN PTR two.test.\n");
	const struct catalog_member *a = member("one.test"), *b = member("two.test");

	ck_assert(name_is_equal(a->coo, (const uint8_t *)"\5other\7example"));
	ck_assert_ptr_null(b->coo);
	ck_assert(catalog_is_in_group(list, a, "edge"));
	ck_assert(catalog_is_in_group(list, a, "in two parts"));
	ck_assert(!catalog_is_in_group(list, a, "in two"));
	ck_assert(!catalog_is_in_group(list, a, "in two parts more"));
	ck_assert(!catalog_is_in_group(list, a, "Edge"));
	ck_assert(!catalog_is_in_group(list, b, "edge"));
}
END_TEST

static const struct { const char *what, *text; enum catalog_fault fault; const char *where; } broken[] = {
	{ "no version", "a.zones 0 IN PTR one.test.\n", CATALOG_NO_VERSION, "catz.example." },
	{ "version of another type", "version 0 IN A 1.2.3.4\n", CATALOG_NO_VERSION, "catz.example." },
	{ "version 1", "version 0 IN TXT \"1\"\n", CATALOG_BAD_VERSION, "version.catz.example." },
	{ "version 22", "version 0 IN TXT \"22\"\n", CATALOG_BAD_VERSION, "version.catz.example." },
	{ "version in two strings", "version 0 IN TXT \"2\" \"\"\n", CATALOG_BAD_VERSION,
	  "version.catz.example." },
	{ "two versions", VERSION "version 0 IN TXT \"1\"\n", CATALOG_BAD_VERSION, "version.catz.example." },
	{ "two PTR", VERSION "a.zones 0 IN PTR one.test.\na.zones 0 IN PTR two.test.\n", CATALOG_PTR_TWICE,
	  "a.zones.catz.example." },
	{ "two coo", VERSION "a.zones 0 IN PTR one.test.\ncoo.a.zones 0 IN PTR b.\n"
	  "coo.a.zones 0 IN PTR c.\n", CATALOG_COO_TWICE, "coo.a.zones.catz.example." },
	{ "a zone twice", VERSION "a.zones 0 IN PTR one.test.\nb.zones 0 IN PTR ONE.test.\n",
	  CATALOG_ZONE_TWICE, NULL },
};

START_TEST(a_broken_catalog_has_no_list)
{
	char text[NAME_TEXT_MAX];

	given(broken[_i].text);
	ck_assert_ptr_null(list);
	ck_assert_int_eq(fault, broken[_i].fault);
	if (broken[_i].where)
		ck_assert_str_eq(name_to_text(where, text), broken[_i].where);
	ck_assert_ptr_nonnull(catalog_fault_text(fault));
}
END_TEST

/* `count` members m0.test ..., without the first `from`; those below `coo` are to move. */
static void given_members(unsigned from, unsigned count, unsigned coo)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(f);
	fputs(VERSION, f);
	for (unsigned i = from; i < count; i++) {
		fprintf(f, "l%u.zones 0 IN PTR m%u.test.\n", i, i);
		if (i < coo)
			fprintf(f, "coo.l%u.zones 0 IN PTR other.\n", i);
	}
	fclose(f);
	given(text);
	free(text);
}

START_TEST(a_catalog_has_as_many_members_as_it_may)
{
	given_members(0, 100, 0);
	ck_assert_uint_eq(list->count, 100);
	given_members(0, 101, 0);
	ck_assert_ptr_null(list);
	ck_assert_int_eq(fault, CATALOG_TOO_MANY);
}
END_TEST

static const struct {
	unsigned before, removed, coo, arrived, percent;
	size_t lost;
	bool is_too_many;
} losses[] = {
	{ 10, 0, 0, 10, 0, 0, false },
	{ 10, 3, 0, 10, 0, 3, false },	/* three may always go */
	{ 10, 4, 0, 10, 0, 4, true },
	{ 10, 4, 0, 10, 40, 4, false },
	{ 10, 4, 0, 10, 39, 4, true },
	{ 10, 10, 0, 10, 99, 10, true },
	{ 10, 10, 0, 10, 100, 10, false },
	{ 1, 1, 0, 10, 0, 1, false },	/* the only one */
	{ 2, 2, 0, 10, 20, 2, true },	/* but not all of several */
	{ 3, 2, 0, 10, 20, 2, false },
	{ 10, 10, 10, 10, 0, 0, false },	/* they had been handed on */
	{ 10, 10, 8, 10, 20, 2, false },
	{ 10, 10, 6, 10, 20, 4, true },
	{ 10, 10, 10, 0, 20, 10, true },	/* ... to nobody */
	{ 10, 10, 10, 6, 20, 4, true },
	{ 0, 0, 0, 0, 0, 0, false },
};

/* The first `arg` of those that were handed on have arrived. */
static bool has_arrived(const struct catalog_member *gone, void *arg)
{
	return (unsigned)(gone->zone[2] - '0') < *(const unsigned *)arg;
}

START_TEST(too_many_losses_are_noticed)
{
	given_members(0, losses[_i].before, losses[_i].coo);
	struct generation *old_zone = zone;
	struct catalog *old = list;

	zone = NULL;
	list = NULL;
	given_members(losses[_i].removed, losses[_i].before, 0);
	unsigned arrived = losses[_i].arrived;
	size_t lost = catalog_lost(old, list, has_arrived, &arrived);

	ck_assert_uint_eq(lost, losses[_i].lost);
	ck_assert_uint_eq(catalog_lost(list, old, has_arrived, &arrived), 0);
	ck_assert_int_eq(catalog_loses_too_many(old, list, lost, losses[_i].percent), losses[_i].is_too_many);
	catalog_free(old);
	generation_free(old_zone);
}
END_TEST

START_TEST(labels_are_compared_without_case)
{
	given(VERSION "a.zones 0 IN PTR one.test.\nA2.zones 0 IN PTR two.test.\na2b.zones 0 IN PTR three.test.\n");
	const struct catalog_member other = { .label = (const uint8_t *)"\2a2" };

	ck_assert(catalog_is_same_label(member("two.test"), &other));
	ck_assert(!catalog_is_same_label(member("one.test"), &other));
	ck_assert(!catalog_is_same_label(member("three.test"), &other));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("catalog");
	TCase *tc = tcase_create("catalog");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, members_are_found_whatever_else_is_there);
	tcase_add_test(tc, properties_belong_to_their_member);
	tcase_add_loop_test(tc, a_broken_catalog_has_no_list, 0, sizeof(broken) / sizeof(broken[0]));
	tcase_add_test(tc, a_catalog_has_as_many_members_as_it_may);
	tcase_add_loop_test(tc, too_many_losses_are_noticed, 0, sizeof(losses) / sizeof(losses[0]));
	tcase_add_test(tc, labels_are_compared_without_case);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
