/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/mirror_zoneconf.h"

static struct mirror_primary some[2], others[2];
static struct mirror_zone_conf conf;
static char program[] = "/bin/true";

static void setup(void)
{
	memset(some, 0, sizeof(some));
	address_from_text("192.0.2.1", 53, &some[0].address);
	address_from_text("192.0.2.2", 53, &some[1].address);
	some[1].has_key = true;
	name_from_text("key.", some[1].key.name);
	snprintf(some[1].key.algorithm, sizeof(some[1].key.algorithm), "hmac-sha256");
	memcpy(some[1].key.secret, "secret", 6);
	some[1].key.secret_len = 6;
	memcpy(others, some, sizeof(others));
	conf = (struct mirror_zone_conf){ .primaries = some, .primary_count = 2, .max_records = 7,
					.origin = (const uint8_t *)"\3com",
					.review.program = program };
}

START_TEST(zones_that_differ_by_origin_have_one_copy)
{
	struct mirror_zone_conf other = conf;

	other.origin = (const uint8_t *)"\3org";
	const struct mirror_zone_conf *a = zoneconf_copy(&conf, NULL, NULL);
	const struct mirror_zone_conf *b = zoneconf_copy(&other, &conf, a);

	ck_assert_ptr_eq(a, b);
	ck_assert_ptr_null(a->origin);
	ck_assert_ptr_ne(a->primaries, some);
	zoneconf_free(a);
	ck_assert_mem_eq(b->primaries, some, sizeof(some));	/* until the last of them is gone */
	ck_assert_str_eq(b->review.program, "/bin/true");
	zoneconf_free(b);
	zoneconf_free(NULL);
}
END_TEST

static void other_primaries(struct mirror_zone_conf *c) { c->primaries = others; }
static void fewer_primaries(struct mirror_zone_conf *c) { c->primary_count = 1; }
static void other_limit(struct mirror_zone_conf *c) { c->max_rrset = 9; }
static void other_rule(struct mirror_zone_conf *c) { c->review.max_shrink = 9; }
static void other_grace(struct mirror_zone_conf *c) { c->grace_us = 9; }
static void other_keep(struct mirror_zone_conf *c) { c->keep = 9; }
static void a_catalog(struct mirror_zone_conf *c) { c->catalog.is_one = true; }
static void a_newcomer(struct mirror_zone_conf *c) { c->is_newcomer = true; }
static const struct { void (*change)(struct mirror_zone_conf *c); bool is_same; } differences[] = {
	{ other_primaries, true }, { fewer_primaries, false }, { other_limit, false },
	{ other_rule, false }, { other_grace, true }, { other_keep, true },
	{ a_catalog, true }, { a_newcomer, true },
};

START_TEST(others_have_a_copy_of_their_own)
{
	struct mirror_zone_conf other = conf;

	differences[_i].change(&other);
	const struct mirror_zone_conf *a = zoneconf_copy(&conf, NULL, NULL);
	const struct mirror_zone_conf *b = zoneconf_copy(&other, &conf, a);

	ck_assert_ptr_ne(a, b);
	ck_assert_int_eq(zoneconf_is_same(a, b), differences[_i].is_same);
	zoneconf_free(a);
	ck_assert_mem_eq(b->primaries, some, b->primary_count * sizeof(some[0]));
	zoneconf_free(b);
}
END_TEST

static void no_change(void) { }
static void address_changes(void) { address_from_text("192.0.2.9", 53, &others[0].address); }
static void port_changes(void) { address_from_text("192.0.2.1", 54, &others[0].address); }
static void key_comes(void) { others[0] = others[1]; }
static void key_goes(void) { others[1].has_key = false; }
static void secret_changes(void) { others[1].key.secret[5] ^= 1; }
static void algorithm_changes(void) { memcpy(others[1].key.algorithm, "hmac-sha512", 12); }
static void name_changes(void) { name_from_text("yek.", others[1].key.name); }
static const struct { void (*change)(void); bool is_same; } changes[] = {
	{ no_change, true }, { address_changes, false }, { port_changes, false },
	{ key_comes, false }, { key_goes, false }, { secret_changes, false },
	{ algorithm_changes, false }, { name_changes, false },
};

START_TEST(each_change_is_noticed)
{
	struct mirror_zone_conf other = conf;

	changes[_i].change();
	other.primaries = others;
	ck_assert_int_eq(zoneconf_is_same(&conf, &other), changes[_i].is_same);
	other.primaries = some;
	other.max_records++;
	ck_assert(!zoneconf_is_same(&conf, &other));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mirror_zoneconf");
	TCase *tc = tcase_create("copies");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, zones_that_differ_by_origin_have_one_copy);
	tcase_add_loop_test(tc, others_have_a_copy_of_their_own, 0,
			    sizeof(differences) / sizeof(differences[0]));
	tcase_add_loop_test(tc, each_change_is_noticed, 0, sizeof(changes) / sizeof(changes[0]));
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
