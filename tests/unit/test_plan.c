/* SPDX-License-Identifier: ISC */
/* The mirror is a fake here: what it is handed is what counts. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/dns.h"
#include "proxy/plan.h"
#include "tests/temporary.h"

static struct mirror_zone_conf handed[8];
static struct mirror_primary handed_primaries[8][MIRROR_PRIMARIES_MAX];
static size_t handed_count;
static struct mirror_zone handed_slots[8];

void mirror_configure(struct mirror *m, const struct mirror_zone_conf *zones, size_t count,
		      struct mirror_zone **slots)
{
	ck_assert_ptr_nonnull(m);
	ck_assert_uint_le(count, 8);
	handed_count = count;
	for (size_t i = 0; i < count; i++) {
		handed[i] = zones[i];
		memcpy(handed_primaries[i], zones[i].primaries,
		       zones[i].primary_count * sizeof(zones[i].primaries[0]));
		handed[i].primaries = handed_primaries[i];
		slots[i] = &handed_slots[i];
	}
}

static struct conf *conf_from(const char *text)
{
	char path[256];
	FILE *f = fdopen(mkstemp(temporary_path(path, sizeof(path), "test_plan")), "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
	struct conf *c = conf_read(path, stderr);

	unlink(path);
	ck_assert_ptr_nonnull(c);
	return c;
}

static const char two_pools[] =
	"listen = 127.0.0.1:5300\nkey k { secret = c2VjcmV0 }\n"
	"pool main {\n"
	" backend b2 { address = 192.0.2.2 tier = 2 primary = yes }\n"
	" backend b0 { address = 192.0.2.3 tier = 0 primary = yes key = k }\n"
	" mirror { tier = 1 }\n"
	" backend b1 { address = 192.0.2.4 tier = 0 weight = 3 max-outstanding = 9 }\n"
	"}\n"
	"pool plain { backend b0 { address = 192.0.2.5 } }\n"
	"zone example.com { pool = main max-records = 77 }\n"
	"zone sub.example.com { pool = plain }\n"
	"zone example.org { pool = plain }\n"
	"forward-unlisted = plain\n";

static struct plan *plan;

static void setup(void)
{
	plan = plan_new(conf_from(two_pools), NULL, 1);
}

static void teardown(void)
{
	plan_free(plan);
}

static const struct plan_zone *find(const char *text)
{
	uint8_t name[NAME_LEN_MAX];
	struct name_key key;

	ck_assert(name_from_text(text, name));
	name_to_key(name, &key);
	return plan_find(plan, &key);
}

static const struct { unsigned end, weight_end; bool is_even; } tiers[] = {
	{ 2, 1, false }, { 2, 4, false }, { 3, 1, true }, { 4, 1, true },
};

START_TEST(targets_stand_by_tier_and_then_as_in_the_file)
{
	const struct plan_pool *p = plan_pool_named(plan, "main");

	ck_assert_uint_eq(p->target_count, 4);
	ck_assert_str_eq(p->targets[0].backend->name, "b0");
	ck_assert_str_eq(p->targets[1].backend->name, "b1");
	ck_assert_int_eq(p->targets[2].kind, TARGET_MIRROR);
	ck_assert_ptr_null(p->targets[2].backend);
	ck_assert_str_eq(p->targets[3].backend->name, "b2");
	ck_assert_uint_eq(p->targets[1].weight, 3);
	ck_assert_uint_eq(p->targets[1].max_outstanding, 9);
	ck_assert_uint_ne(p->targets[0].hash, p->targets[1].hash);
	ck_assert_str_eq(p->targets[0].backend->pool, "main");
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_uint_eq(p->targets[i].tier_end, tiers[i].end);
		ck_assert_uint_eq(p->targets[i].weight_end, tiers[i].weight_end);
		ck_assert_int_eq(p->targets[i].is_tier_even, tiers[i].is_even);
	}
}
END_TEST

static const struct { const char *name, *zone; } finds[] = {
	{ "example.com",           "example.com." },
	{ "www.EXAMPLE.com",       "example.com." },
	{ "sub.example.com",       "sub.example.com." },
	{ "a.b.sub.example.com",   "sub.example.com." },
	{ "xsub.example.com",      "example.com." },
	{ "example.net",           NULL },
	{ "com",                   NULL },
	{ ".",                     NULL },
};

START_TEST(the_longest_zone_above_a_name_is_found)
{
	const struct plan_zone *z = find(finds[_i].name);

	if (finds[_i].zone)
		ck_assert_str_eq(z->conf->text, finds[_i].zone);
	else
		ck_assert_ptr_null(z);
}
END_TEST

static const struct {
	const char *name;
	uint16_t type;
	const char *zone;
} questions[] = {
	{ "sub.example.com", TYPE_A, "sub.example.com." },
	{ "SUB.example.com", TYPE_DS, "example.com." },
	{ "www.sub.example.com", TYPE_DS, "sub.example.com." },
	{ "example.org", TYPE_DS, "example.org." },	/* its parent is not ours */
	{ "example.net", TYPE_DS, NULL },
	{ ".", TYPE_DS, NULL },
};

START_TEST(ds_at_an_apex_is_the_parents_to_answer)
{
	uint8_t name[NAME_LEN_MAX];
	const struct plan_zone *z;
	struct name_key key;

	ck_assert(name_from_text(questions[_i].name, name));
	name_to_key(name, &key);
	z = plan_find_for(plan, name, &key, questions[_i].type);
	if (questions[_i].zone)
		ck_assert_str_eq(z->conf->text, questions[_i].zone);
	else
		ck_assert_ptr_null(z);
}
END_TEST

START_TEST(a_zone_is_found_by_its_very_origin_only)
{
	uint8_t name[NAME_LEN_MAX];

	ck_assert(name_from_text("example.org", name));
	ck_assert_ptr_eq(plan_zone_named(plan, name)->pool, plan_pool_named(plan, "plain"));
	ck_assert(name_from_text("www.example.org", name));
	ck_assert_ptr_null(plan_zone_named(plan, name));
	ck_assert_ptr_null(plan_pool_named(plan, "nix"));
	ck_assert_ptr_eq(plan->unlisted, plan_pool_named(plan, "plain"));
}
END_TEST

START_TEST(the_mirror_gets_zones_with_primaries_by_tier_and_their_keys)
{
	struct mirror *fake = (struct mirror *)&handed_count;

	plan_set_mirror(plan, fake);
	ck_assert_uint_eq(handed_count, 1);
	ck_assert(name_is_equal(handed[0].origin, plan->zones[0].origin));
	ck_assert_uint_eq(handed[0].max_records, 77);
	ck_assert_uint_eq(handed[0].primary_count, 2);
	ck_assert(address_is_equal(&handed[0].primaries[0].address,
				   &plan->pools[0].targets[0].backend->address));
	ck_assert(handed[0].primaries[0].has_key);
	ck_assert_mem_eq(handed[0].primaries[0].key.secret, "secret", 6);
	ck_assert(!handed[0].primaries[1].has_key);
	ck_assert_ptr_eq(plan->zones[0].mirror, &handed_slots[0]);
	ck_assert_ptr_null(plan->zones[1].mirror);
}
END_TEST

START_TEST(backends_and_orders_survive_a_reload)
{
	const struct plan_pool *before = plan_pool_named(plan, "main");
	struct backend *b = before->targets[0].backend;

	atomic_store(before->forced, 1);
	struct plan *next = plan_new(conf_from("listen = 127.0.0.1:5300 pool other { backend b { address = 192.0.2.9 } }\n"
		"pool main { backend b0 { address = 192.0.2.3 } }\n"), NULL, 2);

	plan_free(plan);
	plan = next;
	const struct plan_pool *after = plan_pool_named(plan, "main");

	ck_assert_ptr_eq(after->targets[0].backend, b);
	ck_assert(b->is_used);
	ck_assert_int_eq(atomic_load(after->forced), 1);
	ck_assert_int_eq(atomic_load(plan_pool_named(plan, "other")->forced), 0);
}
END_TEST

START_TEST(backends_that_left_are_marked_unused)
{
	struct backend *b = plan_pool_named(plan, "plain")->targets[0].backend;

	plan_free(plan);
	plan = NULL;
	ck_assert(!b->is_used);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("plan");
	TCase *tc = tcase_create("plan");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, targets_stand_by_tier_and_then_as_in_the_file);
	tcase_add_loop_test(tc, the_longest_zone_above_a_name_is_found, 0, 8);
	tcase_add_loop_test(tc, ds_at_an_apex_is_the_parents_to_answer, 0,
			    sizeof(questions) / sizeof(questions[0]));
	tcase_add_test(tc, a_zone_is_found_by_its_very_origin_only);
	tcase_add_test(tc, the_mirror_gets_zones_with_primaries_by_tier_and_their_keys);
	tcase_add_test(tc, backends_and_orders_survive_a_reload);
	tcase_add_test(tc, backends_that_left_are_marked_unused);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
