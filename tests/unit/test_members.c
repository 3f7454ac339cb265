/* SPDX-License-Identifier: ISC */
/* test_members - whose a member is, and what changes from one version of the catalogs to the next. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/members.h"
#include "tests/temporary.h"
#include "tests/unit/fixture.h"

#define CATALOGS_MAX 3

static struct conf *conf;
static struct generation *zones[16];
static unsigned zone_count;
static const struct generation *lists[CATALOGS_MAX];
static struct members *before, *now;
static char told[2000];

static void setup(void)
{
	memset(lists, 0, sizeof(lists));
	told[0] = '\0';
}

static void teardown(void)
{
	members_free(before);
	members_free(now);
	before = now = NULL;
	while (zone_count > 0)
		generation_free(zones[--zone_count]);
	conf_free(conf);
	conf = NULL;
}

static void given_conf(const char *rest)
{
	char path[256];
	FILE *f = fdopen(mkstemp(temporary_path(path, sizeof(path), "test_members")), "w");

	ck_assert_ptr_nonnull(f);
	fprintf(f, "listen = 127.0.0.1:5300\n"
		"pool main { backend b { address = 192.0.2.1 primary = yes } mirror { } }\n"
		"pool edge { backend b { address = 192.0.2.2 } }\n%s", rest);
	fclose(f);
	conf_free(conf);
	conf = conf_read(path, stderr);
	unlink(path);
	ck_assert_ptr_nonnull(conf);
}

/* A new version of a catalog: "label zone coo group", each a word, "-" for none; lines end in ";". */
static void given_list(unsigned index, const char *text)
{
	static const char *const origins[] = { "a.catz.", "b.catz.", "c.catz." };
	char label[64], zone[256], coo[64], group[64], *all;
	size_t len;
	FILE *f = open_memstream(&all, &len);
	enum catalog_fault fault;
	const uint8_t *owner;

	ck_assert_ptr_nonnull(f);
	fputs("@ 60 IN SOA invalid. h 1 2 3 4 5\n@ 60 IN NS invalid.\nversion 0 IN TXT \"2\"\n", f);
	for (; sscanf(text, " %63s %255s %63s %63[^; ]", label, zone, coo, group) == 4;
	     text = strchr(text, ';') + 1) {
		fprintf(f, "%s.zones 0 IN PTR %s\n", label, zone);
		if (*coo != '-')
			fprintf(f, "coo.%s.zones 0 IN PTR %s\n", label, coo);
		if (*group != '-')
			fprintf(f, "group.%s.zones 0 IN TXT \"%s\"\n", label, group);
	}
	fclose(f);
	struct generation *g = zones[zone_count++] = fixture_zone(origins[index], all);

	free(all);
	g->catalog = catalog_read(g, 1000, &fault, &owner);
	ck_assert_ptr_nonnull(g->catalog);
	lists[index] = g;
}

static void say(const char *sign, const uint8_t *zone, const char *rest)
{
	size_t len = strlen(told);
	char text[NAME_TEXT_MAX];

	snprintf(told + len, sizeof(told) - len, "%s%s%s%s", len > 0 ? " " : "", sign,
		 name_to_text(zone, text), rest);
}

static void on_change(const struct member *old, const struct member *new, void *arg)
{
	(void)arg;
	if (!old)	/* +: in the first list that there is of its catalog */
		say(new->is_new ? "*" : "+", new->entry->zone, "");
	else if (!new)
		say("-", old->entry->zone, "");
	else
		say(member_is_reset(before, old, now, new) ? "!" : "~", new->entry->zone, "");
}

static void on_refused(const struct member_refused *r, void *arg)
{
	char text[32];

	(void)arg;
	ck_assert_ptr_nonnull(member_refusal_text(r->why));
	snprintf(text, sizeof(text), "%u", (unsigned)r->why);
	say("x", r->entry->zone, text);
}

/* The next look at all catalogs; `told` has what it brought. */
static void look(void)
{
	const struct members_visitor v = { on_change, on_refused, NULL };

	members_free(before);
	before = now;
	now = members_new(conf, lists, before);
	told[0] = '\0';
	members_compare(before, now, &v);
}

/* "m.test.@a.catz./main" of each. */
static const char *all(void)
{
	static char text[4000];
	char zone[NAME_TEXT_MAX];
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < now->count; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s@%s/%s", i > 0 ? " " : "",
					name_to_text(now->items[i].entry->zone, zone),
					member_catalog(now, &now->items[i])->zone.text,
					now->items[i].pool->name);
	return text;
}

static const char two[] = "catalog a.catz { pool = main group e1 { pool = edge } group e2 { pool = main } }\n"
			  "catalog b.catz { pool = main }\n";

START_TEST(members_come_go_and_change)
{
	given_conf(two);
	look();
	ck_assert_str_eq(all(), "");
	given_list(0, "x m1.test. - -; y m2.test. - -;");
	look();
	ck_assert_str_eq(told, "+m1.test. +m2.test.");
	ck_assert_str_eq(all(), "m1.test.@a.catz./main m2.test.@a.catz./main");
	look();
	ck_assert_str_eq(told, "");
	given_list(0, "y m2.test. - e1; z m3.test. - e1;");
	look();
	ck_assert_str_eq(told, "-m1.test. ~m2.test. *m3.test.");
	ck_assert_str_eq(all(), "m2.test.@a.catz./edge m3.test.@a.catz./edge");
	given_list(0, "other m2.test. - e2; z m3.test. - unknown;");
	look();
	ck_assert_str_eq(told, "!m2.test. ~m3.test.");
	ck_assert_str_eq(all(), "m2.test.@a.catz./main m3.test.@a.catz./main");
}
END_TEST

START_TEST(the_first_group_of_the_configuration_counts)
{
	given_conf("catalog a.catz { pool = main group e2 { pool = main } group e1 { pool = edge } }\n");
	given_list(0, "x m1.test. - e1;");
	look();
	ck_assert_str_eq(all(), "m1.test.@a.catz./edge");
	ck_assert_str_eq(now->items[0].group->name, "e1");
}
END_TEST

static const struct { const char *what, *options, *zone; int why; } refusals[] = {
	{ "a zone of the configuration", "", "own.test.", MEMBER_IS_ZONE },
	{ "a zone below that", "", "below.own.test.", -1 },
	{ "the catalog itself", "", "a.catz.", MEMBER_IS_CATALOG },
	{ "another catalog", "", "b.catz.", MEMBER_IS_CATALOG },
	{ "a name in a catalog", "", "x.zones.b.catz.", MEMBER_IS_CATALOG },
	{ "the parent of catalogs", "member-suffixes = { catz }", "catz.", -1 },
	{ "the root", "", ".", MEMBER_TOO_HIGH },
	{ "the root, though all below it", "member-suffixes = { test, net }", ".", MEMBER_TOO_HIGH },
	{ "the root, named", "member-suffixes = { \".\" }", ".", -1 },
	{ "a top level domain", "", "com.", MEMBER_TOO_HIGH },
	{ "a top level domain below the root", "member-suffixes = { \".\" }", "com.", MEMBER_TOO_HIGH },
	{ "a top level domain, named", "member-suffixes = { net, COM }", "com.", -1 },
	{ "below a suffix", "member-suffixes = { net, Test }", "m.TEST.", -1 },
	{ "a suffix itself", "member-suffixes = { m.test }", "m.test.", -1 },
	{ "below none", "member-suffixes = { net, x.test }", "m.test.", MEMBER_NOT_ALLOWED },
	{ "a name that ends alike", "member-suffixes = { ample.test }", "example.test.", MEMBER_NOT_ALLOWED },
};

START_TEST(what_may_be_no_member_is_refused_once)
{
	char text[200], want[300];

	snprintf(text, sizeof(text), "zone own.test { pool = edge }\ncatalog a.catz { pool = main %s }\n"
		 "catalog b.catz { pool = main }\n", refusals[_i].options);
	given_conf(text);
	snprintf(text, sizeof(text), "x %s - -;", refusals[_i].zone);
	given_list(0, text);
	look();
	if (refusals[_i].why < 0) {
		ck_assert_uint_eq(now->count, 1);
		ck_assert_uint_eq(now->refused_count, 0);
		return;
	}
	snprintf(want, sizeof(want), "x%s%d", refusals[_i].zone, refusals[_i].why);
	ck_assert_str_eq(told, want);
	ck_assert_uint_eq(now->count, 0);
	look();
	ck_assert_str_eq(told, "");
	ck_assert_uint_eq(now->refused_count, 1);
}
END_TEST

START_TEST(who_had_a_zone_first_keeps_it)
{
	given_conf(two);
	given_list(1, "x m1.test. - -;");
	look();
	given_list(0, "x m1.test. - -;");
	look();
	ck_assert_str_eq(told, "xm1.test.4");
	ck_assert_str_eq(all(), "m1.test.@b.catz./main");
	given_list(1, "");
	look();
	ck_assert_str_eq(told, "!m1.test.");	/* gone from there, new here: RFC 9432 s.5.3 */
	ck_assert_str_eq(all(), "m1.test.@a.catz./main");
}
END_TEST

START_TEST(of_two_new_ones_the_first_of_the_configuration_has_it)
{
	given_conf(two);
	given_list(0, "x m1.test. - -;");
	given_list(1, "x m1.test. - -;");
	look();
	ck_assert_str_eq(told, "+m1.test. xm1.test.4");
	ck_assert_str_eq(all(), "m1.test.@a.catz./main");
}
END_TEST

START_TEST(coo_hands_a_zone_on_when_the_other_has_it)
{
	given_conf(two);
	given_list(0, "x m1.test. - -; y m2.test. - -;");
	look();
	given_list(0, "x m1.test. b.catz. -; y m2.test. B.catz. -;");
	look();
	ck_assert_str_eq(told, "");
	given_list(1, "x m1.test. - -; other m2.test. - -;");
	look();
	ck_assert_str_eq(told, "~m1.test. !m2.test.");	/* another label: state is reset, s.4.3.1 */
	ck_assert_str_eq(all(), "m1.test.@b.catz./main m2.test.@b.catz./main");
	given_list(0, "");
	look();
	ck_assert_str_eq(told, "");
	ck_assert_uint_eq(now->refused_count, 0);
}
END_TEST

START_TEST(coo_of_who_does_not_own_it_means_nothing)
{
	given_conf(two);
	given_list(0, "x m1.test. - -;");
	look();
	given_list(1, "x m1.test. a.catz. -;");
	look();
	ck_assert_str_eq(all(), "m1.test.@a.catz./main");
	given_list(1, "x m1.test. b.catz. -;");
	look();
	ck_assert_str_eq(all(), "m1.test.@a.catz./main");
}
END_TEST

START_TEST(coo_in_a_circle_moves_nothing)
{
	given_conf("catalog a.catz { pool = main }\ncatalog b.catz { pool = main }\n"
		   "catalog c.catz { pool = main }\n");
	given_list(0, "x m1.test. - -;");
	look();
	given_list(0, "x m1.test. b.catz. -;");
	given_list(1, "x m1.test. c.catz. -;");
	given_list(2, "x m1.test. b.catz. -;");
	for (int i = 0; i < 3; i++) {
		look();
		ck_assert_str_eq(all(), "m1.test.@a.catz./main");
	}
	given_list(2, "x m1.test. c.catz. -;");
	look();
	ck_assert_str_eq(all(), "m1.test.@c.catz./main");
	look();
	ck_assert_str_eq(told, "");
}
END_TEST

START_TEST(an_owner_that_may_not_have_it_any_more_loses_it)
{
	struct conf *first;

	given_conf(two);
	given_list(0, "x m1.test. - -;");
	given_list(1, "x m1.test. - -;");
	look();
	first = conf;
	conf = NULL;
	given_conf("catalog a.catz { pool = main member-suffixes = { net } }\ncatalog b.catz { pool = main }\n");
	look();
	ck_assert_str_eq(all(), "m1.test.@b.catz./main");
	members_free(before);
	before = NULL;
	conf_free(first);
}
END_TEST

START_TEST(many_members_cost_little_more_than_their_number)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(f);
	for (unsigned i = 0; i < 900; i++)
		fprintf(f, "l%u m%u.test. - -;", i, i * 7919 % 900);
	fclose(f);
	given_conf(two);
	given_list(0, text);
	given_list(1, text);
	free(text);
	look();
	ck_assert_uint_eq(now->count, 900);
	ck_assert_uint_eq(now->refused_count, 900);
	for (size_t i = 1; i < now->count; i++)
		ck_assert_int_lt(catalog_compare(now->items[i - 1].entry->zone,
						 now->items[i].entry->zone), 0);
	look();
	ck_assert_str_eq(told, "");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("members");
	TCase *tc = tcase_create("members");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, members_come_go_and_change);
	tcase_add_test(tc, the_first_group_of_the_configuration_counts);
	tcase_add_loop_test(tc, what_may_be_no_member_is_refused_once, 0,
			    sizeof(refusals) / sizeof(refusals[0]));
	tcase_add_test(tc, who_had_a_zone_first_keeps_it);
	tcase_add_test(tc, of_two_new_ones_the_first_of_the_configuration_has_it);
	tcase_add_test(tc, coo_hands_a_zone_on_when_the_other_has_it);
	tcase_add_test(tc, coo_of_who_does_not_own_it_means_nothing);
	tcase_add_test(tc, coo_in_a_circle_moves_nothing);
	tcase_add_test(tc, an_owner_that_may_not_have_it_any_more_loses_it);
	tcase_add_test(tc, many_members_cost_little_more_than_their_number);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
