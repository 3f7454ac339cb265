/* SPDX-License-Identifier: ISC */
/* test_zone - building, checking, changing and comparing generations. */
#include <check.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/clock.h"
#include "cache/dns.h"
#include "cache/node.h"
#include "cache/random.h"
#include "cache/wire.h"
#include "cache/zone.h"

#define ORIGIN	"example.com."
#define SOA_1	"\2ns\0\4host\0\0\0\0\1\0\0\2\0\0\0\1\0\0\1\0\0\0\0\0\x1e"
#define NS_1	"\2ns\7example\3com\0"
#define RDATA(s) (s), sizeof(s) - 1

static struct zone_edit *edit;
static enum zone_error why;
static char where[NAME_TEXT_MAX];

static const uint8_t *wire(const char *text)
{
	static uint8_t names[4][NAME_LEN_MAX];
	static unsigned turn;
	uint8_t *name = names[turn++ % 4];

	ck_assert_msg(name_from_text(text, name) > 0, "%s", text);
	return name;
}

static struct name_key key_of(const char *text)
{
	struct name_key key;

	name_to_key(wire(text), &key);
	return key;
}

static enum zone_error add_ttl(const char *owner, uint16_t type, uint32_t ttl, const void *rdata,
			       size_t len)
{
	return zone_edit_add(edit, wire(owner), type, ttl, rdata, (uint16_t)len);
}

static enum zone_error add(const char *owner, uint16_t type, const void *rdata, size_t len)
{
	return add_ttl(owner, type, 300, rdata, len);
}

static enum zone_error del(const char *owner, uint16_t type, const void *rdata, size_t len)
{
	return zone_edit_del(edit, wire(owner), type, rdata, (uint16_t)len);
}

static void given(enum zone_error e)
{
	ck_assert_str_eq(zone_error_text(e), zone_error_text(ZONE_OK));
}

static void given_limits(size_t max_records, size_t max_bytes)
{
	edit = zone_edit_new(wire("Example.COM."), NULL, max_records, max_bytes);
	given(add(ORIGIN, TYPE_SOA, RDATA(SOA_1)));
	given(add(ORIGIN, TYPE_NS, RDATA(NS_1)));
}

static struct generation *finished(void)
{
	struct generation *g = zone_edit_finish(edit, 7, &why, where);

	edit = NULL;
	return g;
}

static struct generation *given_finished(void)
{
	struct generation *g = finished();

	ck_assert_msg(g != NULL, "%s at %s", zone_error_text(why), where);
	return g;
}

static const struct node *node_of(const struct generation *g, const char *name)
{
	struct name_key key = key_of(name);

	return tree_get(&g->tree, &key);
}

static void setup(void)
{
	given_limits(0, 0);
}

static void teardown(void)
{
	zone_edit_free(edit);
	edit = NULL;
}

/* ---- What a generation says ---- */

START_TEST(generation_knows_its_soa_and_counts)
{
	given(add("a." ORIGIN, TYPE_A, RDATA("\xc0\0\2\1")));
	struct generation *g = given_finished();

	ck_assert_uint_eq(g->number, 7);
	ck_assert_uint_eq(g->records, 3);
	ck_assert_uint_eq(g->bytes, (13 + 10 + sizeof(SOA_1) - 1) + (13 + 10 + sizeof(NS_1) - 1) +
				    (15 + 10 + 4));
	ck_assert_uint_eq(g->soa.serial, 1);
	ck_assert_uint_eq(g->soa.refresh, 512);
	ck_assert_uint_eq(g->soa.retry, 256);
	ck_assert_uint_eq(g->soa.expire, 65536);
	ck_assert_uint_eq(g->soa.minimum, 30);
	ck_assert_uint_eq(g->soa.ttl, 300);
	ck_assert(memcmp(g->origin, "\7example\3com", 13) == 0);
	ck_assert_uint_eq(g->origin_labels, 2);
	ck_assert_ptr_eq(g->apex, node_of(g, ORIGIN));
	generation_free(g);
}
END_TEST

START_TEST(records_come_in_order_of_arrival_and_sets_by_type)
{
	struct rrset set;
	size_t pos = 0;
	const uint8_t *rdata;
	uint16_t len;

	given(add("m." ORIGIN, TYPE_TXT, RDATA("\1t")));
	given(add("m." ORIGIN, TYPE_A, RDATA("\0\0\0\2")));
	given(add("m." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	given(add("m." ORIGIN, TYPE_AAAA, RDATA("0123456789abcdef")));
	struct generation *g = given_finished();
	const struct node *n = node_of(g, "m." ORIGIN);

	ck_assert(node_first(n, &set));
	ck_assert_uint_eq(set.type, TYPE_A);
	ck_assert_uint_eq(set.count, 2);
	ck_assert(rrset_next(&set, &pos, &rdata, &len));
	ck_assert(len == 4 && rdata[3] == 2);
	ck_assert(rrset_next(&set, &pos, &rdata, &len));
	ck_assert(len == 4 && rdata[3] == 1);
	ck_assert(!rrset_next(&set, &pos, &rdata, &len));
	ck_assert(node_next(n, &set));
	ck_assert_uint_eq(set.type, TYPE_TXT);
	ck_assert(node_next(n, &set));
	ck_assert_uint_eq(set.type, TYPE_AAAA);
	ck_assert(!node_next(n, &set));
	ck_assert(node_find(n, TYPE_TXT, &set));
	ck_assert(!node_find(n, TYPE_MX, &set));
	ck_assert(!node_find(n, TYPE_CAA, &set));
	generation_free(g);
}
END_TEST

START_TEST(duplicates_vanish_and_the_lowest_ttl_counts)
{
	struct rrset set;

	given(add_ttl("m." ORIGIN, TYPE_MX, 600, RDATA("\0\1\1a\0")));
	given(add_ttl("m." ORIGIN, TYPE_MX, 200, RDATA("\0\1\1A\0")));
	given(add_ttl("m." ORIGIN, TYPE_MX, 400, RDATA("\0\2\1a\0")));
	given(add_ttl("x." ORIGIN, TYPE_A, 0x80000000u, RDATA("\1\2\3\4")));
	struct generation *g = given_finished();

	ck_assert(node_find(node_of(g, "m." ORIGIN), TYPE_MX, &set));
	ck_assert_uint_eq(set.count, 2);
	ck_assert_uint_eq(set.ttl, 200);
	ck_assert(node_find(node_of(g, "x." ORIGIN), TYPE_A, &set));
	ck_assert_uint_eq(set.ttl, 0);
	ck_assert_uint_eq(g->records, 5);
	generation_free(g);
}
END_TEST

/* RFC 4034 s.3: a signature's TTL is that of what it covers. */
START_TEST(signatures_are_sets_by_the_type_they_cover)
{
	struct rrset set;
	const struct node *n;

	given(add_ttl("m." ORIGIN, TYPE_RRSIG, 60, RDATA("\0\1aaaaaaaaaaaaaaaaaaaaaaaa")));
	given(add_ttl("m." ORIGIN, TYPE_RRSIG, 900, RDATA("\0\x1c" "aaaaaaaaaaaaaaaaaaaaaaaa")));
	given(add_ttl("m." ORIGIN, TYPE_RRSIG, 60, RDATA("\0\1baaaaaaaaaaaaaaaaaaaaaaa")));
	struct generation *g = given_finished();

	n = node_of(g, "m." ORIGIN);
	ck_assert(node_find_rrsig(n, TYPE_A, &set));
	ck_assert(set.ttl == 60 && set.count == 2 && set.covered == TYPE_A);
	ck_assert(node_find_rrsig(n, TYPE_AAAA, &set));
	ck_assert(set.ttl == 900 && set.count == 1);
	ck_assert(!node_find_rrsig(n, TYPE_MX, &set));
	ck_assert(node_find(n, TYPE_RRSIG, &set));
	ck_assert_uint_eq(set.covered, TYPE_A);
	generation_free(g);
}
END_TEST

START_TEST(cuts_and_dnames_are_flagged_and_the_apex_is_no_cut)
{
	given(add("sub." ORIGIN, TYPE_NS, RDATA(NS_1)));
	given(add("d." ORIGIN, TYPE_DNAME, RDATA(NS_1)));
	struct generation *g = given_finished();

	ck_assert(node_is_cut(node_of(g, "sub." ORIGIN)));
	ck_assert(!node_is_cut(g->apex));
	ck_assert(node_has_dname(node_of(g, "d." ORIGIN)));
	ck_assert(!node_has_dname(node_of(g, "sub." ORIGIN)));
	generation_free(g);
}
END_TEST

START_TEST(owner_keeps_the_case_of_its_first_record)
{
	given(add("WwW." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	given(add("www." ORIGIN, TYPE_A, RDATA("\0\0\0\2")));
	given(add("b.ENT." ORIGIN, TYPE_A, RDATA("\0\0\0\2")));
	given(add("ent." ORIGIN, TYPE_A, RDATA("\0\0\0\2")));
	struct generation *g = given_finished();

	ck_assert(memcmp(node_name(node_of(g, "www." ORIGIN)), "\3WwW", 4) == 0);
	ck_assert(memcmp(node_name(node_of(g, "ent." ORIGIN)), "\3ent", 4) == 0);
	generation_free(g);
}
END_TEST

START_TEST(root_zone_works)
{
	zone_edit_free(edit);
	edit = zone_edit_new(wire("."), NULL, 0, 0);
	given(add(".", TYPE_SOA, RDATA(SOA_1)));
	given(add(".", TYPE_NS, RDATA(NS_1)));
	given(add("a.b.com.", TYPE_A, RDATA("\0\0\0\1")));
	struct generation *g = given_finished();

	ck_assert_uint_eq(g->empties, 2);
	ck_assert_uint_eq(g->origin_labels, 0);
	ck_assert(node_is_empty(node_of(g, "com.")));
	generation_free(g);
}
END_TEST

/* ---- Empty non-terminals ---- */

START_TEST(names_between_owner_and_apex_exist_and_are_empty)
{
	given(add("a.b.c." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	struct generation *g = given_finished();

	ck_assert(node_is_empty(node_of(g, "b.c." ORIGIN)));
	ck_assert(node_is_empty(node_of(g, "c." ORIGIN)));
	ck_assert(!node_is_empty(node_of(g, "a.b.c." ORIGIN)));
	ck_assert_uint_eq(g->empties, 2);
	ck_assert_uint_eq(g->tree.count, 4);
	generation_free(g);
}
END_TEST

START_TEST(deletion_removes_names_without_purpose_only)
{
	given(add("a.b.c." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	given(add("x.c." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	struct generation *g = given_finished();

	edit = zone_edit_new(wire(ORIGIN), g, 0, 0);
	given(del("a.b.c." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	struct generation *h = given_finished();

	ck_assert_ptr_null(node_of(h, "a.b.c." ORIGIN));
	ck_assert_ptr_null(node_of(h, "b.c." ORIGIN));
	ck_assert(node_is_empty(node_of(h, "c." ORIGIN)));
	ck_assert_uint_eq(h->empties, 1);
	edit = zone_edit_new(wire(ORIGIN), h, 0, 0);
	given(del("x.c." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	struct generation *i = given_finished();

	ck_assert_uint_eq(i->tree.count, 1);
	ck_assert_uint_eq(i->empties, 0);
	ck_assert_uint_eq(i->records, 2);
	ck_assert_ptr_nonnull(node_of(g, "a.b.c." ORIGIN));
	generation_free(g);
	generation_free(i);
	generation_free(h);
}
END_TEST

START_TEST(name_with_names_below_becomes_empty_and_full_again)
{
	given(add("c." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	given(add("b.c." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	given(del("c." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	given(add("z." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	given(add("c." ORIGIN, TYPE_TXT, RDATA("\1a")));
	given(del("c." ORIGIN, TYPE_TXT, RDATA("\1a")));
	struct generation *g = given_finished();

	ck_assert(node_is_empty(node_of(g, "c." ORIGIN)));
	ck_assert_uint_eq(g->empties, 1);
	generation_free(g);
}
END_TEST

START_TEST(record_added_and_removed_at_once_leaves_nothing)
{
	given(add("a.b." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	given(del("a.b." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	struct generation *g = given_finished();

	ck_assert_uint_eq(g->tree.count, 1);
	ck_assert_uint_eq(g->empties, 0);
	generation_free(g);
}
END_TEST

/* ---- Errors: every one ---- */

START_TEST(owner_outside_the_zone_is_refused)
{
	ck_assert_int_eq(add("www.example.org.", TYPE_A, RDATA("\0\0\0\1")), ZONE_OUT_OF_ZONE);
	ck_assert_int_eq(add("com.", TYPE_A, RDATA("\0\0\0\1")), ZONE_OUT_OF_ZONE);
	ck_assert_int_eq(add("notexample.com.", TYPE_A, RDATA("\0\0\0\1")), ZONE_OUT_OF_ZONE);
	ck_assert_int_eq(del("com.", TYPE_A, RDATA("\0\0\0\1")), ZONE_OUT_OF_ZONE);
}
END_TEST

START_TEST(zone_without_soa_is_refused)
{
	given(del(ORIGIN, TYPE_SOA, RDATA(SOA_1)));
	ck_assert_ptr_null(finished());
	ck_assert_int_eq(why, ZONE_NO_SOA);
	ck_assert_str_eq(where, ORIGIN);
}
END_TEST

START_TEST(zone_without_any_record_is_refused)
{
	given(del(ORIGIN, TYPE_SOA, RDATA(SOA_1)));
	given(del(ORIGIN, TYPE_NS, RDATA(NS_1)));
	ck_assert_ptr_null(finished());
	ck_assert_int_eq(why, ZONE_NO_SOA);
}
END_TEST

START_TEST(soa_elsewhere_or_twice_is_refused)
{
	static const char other[] = "\2ns\0\4host\0\0\0\0\2\0\0\2\0\0\0\1\0\0\1\0\0\0\0\0\x1e";

	ck_assert_int_eq(add("a." ORIGIN, TYPE_SOA, RDATA(SOA_1)), ZONE_SOA_ELSEWHERE);
	given(add(ORIGIN, TYPE_SOA, RDATA(SOA_1)));
	ck_assert_int_eq(add(ORIGIN, TYPE_SOA, RDATA(other)), ZONE_SOA_ELSEWHERE);
}
END_TEST

START_TEST(zone_without_ns_is_refused)
{
	given(del(ORIGIN, TYPE_NS, RDATA(NS_1)));
	ck_assert_ptr_null(finished());
	ck_assert_int_eq(why, ZONE_NO_NS);
}
END_TEST

START_TEST(soa_that_does_not_parse_is_refused)
{
	static const char cut[] = "\2ns\0\4host\0\0\0\0\1\0\0\2\0";

	given(del(ORIGIN, TYPE_SOA, RDATA(SOA_1)));
	given(add(ORIGIN, TYPE_SOA, RDATA(cut)));
	ck_assert_ptr_null(finished());
	ck_assert_int_eq(why, ZONE_BAD_RDATA);
}
END_TEST

static const uint16_t question_types[] = { 0, TYPE_OPT, TYPE_TKEY, TYPE_TSIG, TYPE_IXFR, TYPE_AXFR,
					   TYPE_ANY };

START_TEST(question_type_is_no_data)
{
	ck_assert_int_eq(add("a." ORIGIN, question_types[_i], RDATA("")), ZONE_BAD_RDATA);
}
END_TEST

static const struct { const char *what; uint16_t type; bool is_clash; } beside_cname[] = {
	{ "A", TYPE_A, true },		{ "another CNAME", TYPE_CNAME, true },
	{ "DNAME", TYPE_DNAME, true },	{ "NS", TYPE_NS, true },
	{ "RRSIG", TYPE_RRSIG, false },	{ "NSEC", TYPE_NSEC, false },
	{ "KEY", TYPE_KEY, false },
};

START_TEST(cname_stands_alone)
{
	given(add("b." ORIGIN, beside_cname[_i].type, RDATA("\2xx\0")));
	given(add("b." ORIGIN, TYPE_CNAME, RDATA("\1a\0")));
	given(add("c." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	struct generation *g = finished();

	ck_assert_msg((g == NULL) == beside_cname[_i].is_clash, "beside %s", beside_cname[_i].what);
	if (!g) {
		ck_assert_int_eq(why, ZONE_CNAME_CLASH);
		ck_assert_str_eq(where, "b." ORIGIN);
	}
	generation_free(g);
}
END_TEST

START_TEST(clash_that_is_mended_before_the_end_is_none)
{
	given(add("b." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	given(add("b." ORIGIN, TYPE_CNAME, RDATA("\1a\0")));
	given(add("c." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	given(del("b." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	generation_free(given_finished());
}
END_TEST

START_TEST(records_of_one_set_are_limited_on_demand)
{
	uint8_t a[4] = { 192, 0, 2, 0 };

	zone_edit_limit_rrset(edit, 3);
	for (; a[3] < 3; a[3]++)
		given(add("set." ORIGIN, TYPE_A, a, 4));
	ck_assert_int_eq(add("set." ORIGIN, TYPE_A, a, 4), ZONE_RRSET_OVER);
	a[3] = 0;	/* it is there already */
	given(add("set." ORIGIN, TYPE_A, a, 4));
	given(add("other." ORIGIN, TYPE_A, a, 4));
}
END_TEST

START_TEST(rrset_holds_4096_records_and_no_more)
{
	uint8_t a[4];
	uint64_t start = clock_monotonic_us();

	for (uint32_t i = 0; i < ZONE_RRSET_RECORDS_MAX; i++) {
		wire_put_u32(a, i);
		given(add("big." ORIGIN, TYPE_A, a, 4));
	}
	given(add("big." ORIGIN, TYPE_A, a, 4));
	wire_put_u32(a, ZONE_RRSET_RECORDS_MAX);
	ck_assert_int_eq(add("big." ORIGIN, TYPE_A, a, 4), ZONE_RRSET_TOO_BIG);
	ck_assert_uint_lt(clock_monotonic_us() - start, 2 * US_PER_S);
	struct generation *g = given_finished();
	struct rrset set;

	ck_assert(node_find(node_of(g, "big." ORIGIN), TYPE_A, &set));
	ck_assert_uint_eq(set.count, ZONE_RRSET_RECORDS_MAX);
	generation_free(g);
}
END_TEST

START_TEST(big_rrset_finds_and_loses_each_record)
{
	uint8_t a[4];

	for (uint32_t i = 0; i < 1000; i++) {
		wire_put_u32(a, i * 7);
		given(add("big." ORIGIN, TYPE_A, a, 4));
	}
	for (uint32_t i = 0; i < 1000; i += 2) {
		wire_put_u32(a, i * 7);
		given(del("big." ORIGIN, TYPE_A, a, 4));
		ck_assert_int_eq(del("big." ORIGIN, TYPE_A, a, 4), ZONE_NO_RECORD);
	}
	for (uint32_t i = 0; i < 1000; i++) {
		wire_put_u32(a, i * 7);
		given(add("big." ORIGIN, TYPE_A, a, 4));
	}
	struct generation *g = given_finished();

	ck_assert_uint_eq(g->records, 1002);
	generation_free(g);
}
END_TEST

static enum zone_error add_new(const char *owner, uint16_t type, const void *rdata, size_t len)
{
	return zone_edit_add_new(edit, wire(owner), type, 300, rdata, (uint16_t)len);
}

START_TEST(what_is_there_cannot_be_added_as_new)
{
	given(add_new("a." ORIGIN, TYPE_A, "\1\2\3\4", 4));
	ck_assert_int_eq(add_new("A." ORIGIN, TYPE_A, "\1\2\3\4", 4), ZONE_DUPLICATE);
	given(del("a." ORIGIN, TYPE_A, "\1\2\3\4", 4));
	given(add_new("a." ORIGIN, TYPE_A, "\1\2\3\4", 4));
	ck_assert_int_eq(add_new("x.example.net.", TYPE_A, "\1\2\3\4", 4), ZONE_OUT_OF_ZONE);
	ck_assert_int_eq(add_new("a." ORIGIN, TYPE_ANY, "", 0), ZONE_BAD_RDATA);
}
END_TEST

/* Against a table of what should be there, with chance as the order. */
START_TEST(records_of_a_big_rrset_come_and_go_in_any_order)
{
	enum { SIZE = 200, STEPS = 20000 };
	bool is_there[SIZE] = { false };
	struct random r;
	size_t count = 0;
	uint8_t a[4];

	random_init_seeded(&r, 11);
	for (int i = 0; i < STEPS; i++) {
		uint32_t which = random_below(&r, SIZE);
		bool goes = random_below(&r, 2);

		wire_put_u32(a, which);
		if (goes)
			ck_assert_int_eq(del("big." ORIGIN, TYPE_A, a, 4),
					 is_there[which] ? ZONE_OK : ZONE_NO_RECORD);
		else
			ck_assert_int_eq(add_new("big." ORIGIN, TYPE_A, a, 4),
					 is_there[which] ? ZONE_DUPLICATE : ZONE_OK);
		count += goes ? (size_t)-is_there[which] : !is_there[which];
		is_there[which] = !goes;
	}
	struct generation *g = given_finished();

	ck_assert_uint_eq(g->records, 2 + count);
	generation_free(g);
}
END_TEST

START_TEST(rrset_over_64k_of_rdata_is_refused)
{
	static uint8_t rdata[40000];

	given(add("big." ORIGIN, 65280, rdata, 40000));
	rdata[0] = 1;
	ck_assert_int_eq(add("big." ORIGIN, 65280, rdata, 40000), ZONE_RRSET_TOO_BIG);
	given(add("big." ORIGIN, 65280, rdata, 25535));
}
END_TEST

START_TEST(name_holds_100_types_beside_their_signatures_and_no_more)
{
	for (uint16_t i = 0; i < ZONE_NODE_TYPES_MAX; i++) {
		uint8_t sig[20] = { 0xf0, (uint8_t)i };

		given(add("many." ORIGIN, (uint16_t)(0xf000 + i), RDATA("x")));
		given(add("many." ORIGIN, TYPE_RRSIG, sig, sizeof(sig)));
	}
	ck_assert_int_eq(add("many." ORIGIN, 0xff00, RDATA("x")), ZONE_TYPES_TOO_MANY);
	ck_assert_int_eq(add("many." ORIGIN, TYPE_RRSIG, RDATA("\xff\xff" "1234567890123456")),
			 ZONE_TYPES_TOO_MANY);
	struct generation *g = given_finished();

	ck_assert_uint_eq(g->records, 2 + 2 * ZONE_NODE_TYPES_MAX);
	generation_free(g);
}
END_TEST

START_TEST(zone_over_its_limit_of_records_is_refused)
{
	zone_edit_free(edit);
	given_limits(3, 0);
	given(add("a." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	given(add("a." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	ck_assert_int_eq(add("a." ORIGIN, TYPE_A, RDATA("\0\0\0\2")), ZONE_TOO_BIG);
}
END_TEST

START_TEST(zone_over_its_limit_of_bytes_is_refused)
{
	zone_edit_free(edit);
	given_limits(0, 149);
	given(add("a." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	ck_assert_int_eq(add("b." ORIGIN, TYPE_A, RDATA("\0\0\0\2")), ZONE_TOO_BIG);
}
END_TEST

START_TEST(names_that_no_record_pays_for_are_limited)
{
	char owner[256];
	enum zone_error e = ZONE_OK;

	zone_edit_free(edit);
	given_limits(20, 0);
	for (int i = 0; i < 10 && e == ZONE_OK; i++) {
		snprintf(owner, sizeof(owner), "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a."
			 "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.%d." ORIGIN, i);
		e = add(owner, TYPE_A, RDATA("\0\0\0\1"));
	}
	ck_assert_int_eq(e, ZONE_TOO_BIG);
}
END_TEST

/* Each time that one's turn comes again, all of its records have to be moved. */
START_TEST(owners_that_come_by_turns_cost_no_more_than_is_sensible)
{
	static uint8_t rdata[65535];
	enum zone_error e = ZONE_OK;
	uint32_t turns = 0;

	for (uint16_t i = 0; i < ZONE_NODE_TYPES_MAX; i++)
		given(add("a." ORIGIN, (uint16_t)(0xf000 + i), rdata, sizeof(rdata)));
	for (; turns < 299 && e == ZONE_OK; turns++) {
		wire_put_u32(rdata, turns);
		e = add("b." ORIGIN, TYPE_A, rdata, 4);
		if (e == ZONE_OK)
			e = add_ttl("a." ORIGIN, 0xf001, 299 - turns % 299, "x", 0);
	}
	ck_assert_int_eq(e, ZONE_SCATTERED);
	ck_assert_uint_lt(turns, 100);
}
END_TEST

START_TEST(deletion_of_what_is_not_there_is_told)
{
	given(add("a." ORIGIN, TYPE_MX, RDATA("\0\1\1a\0")));
	ck_assert_int_eq(del("b." ORIGIN, TYPE_A, RDATA("\0\0\0\1")), ZONE_NO_RECORD);
	ck_assert_int_eq(del("a." ORIGIN, TYPE_A, RDATA("\0\0\0\1")), ZONE_NO_RECORD);
	ck_assert_int_eq(del("a." ORIGIN, TYPE_MX, RDATA("\0\1\1b\0")), ZONE_NO_RECORD);
	given(del("A." ORIGIN, TYPE_MX, RDATA("\0\1\1A\0")));
}
END_TEST

START_TEST(each_error_has_a_sentence)
{
	for (int e = ZONE_OK; e <= ZONE_NO_CATALOG; e++)
		ck_assert_uint_gt(strlen(zone_error_text((enum zone_error)e)), 5);
}
END_TEST

/* ---- Walks and differences ---- */

struct script { size_t len; char text[2000]; };

static bool note(struct script *s, char sign, const uint8_t *owner, uint16_t type, uint32_t ttl,
		 const uint8_t *rdata, uint16_t len)
{
	char name[NAME_TEXT_MAX];

	s->len += (size_t)snprintf(s->text + s->len, sizeof(s->text) - s->len, "%c%s %u %u %u|", sign,
				   name_to_text(owner, name), type, ttl, len ? rdata[len - 1] : 0);
	return true;
}

static bool note_removed(const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
			 uint16_t len, void *arg)
{
	return note(arg, '-', owner, type, ttl, rdata, len);
}

static bool note_added(const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
		       uint16_t len, void *arg)
{
	return note(arg, '+', owner, type, ttl, rdata, len);
}

static bool stop(const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
		 uint16_t len, void *arg)
{
	note(arg, '!', owner, type, ttl, rdata, len);
	return false;
}

START_TEST(walk_gives_the_soa_first_then_canonical_order)
{
	struct script s = { 0 };

	given(add("b." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	given(add("z.a." ORIGIN, TYPE_A, RDATA("\0\0\0\2")));
	given(add(ORIGIN, TYPE_A, RDATA("\0\0\0\3")));
	struct generation *g = given_finished();

	ck_assert(generation_walk(g, note_added, &s));
	ck_assert_str_eq(s.text, "+example.com. 6 300 30|+example.com. 1 300 3|+example.com. 2 300 0|"
				 "+z.a.example.com. 1 300 2|+b.example.com. 1 300 1|");
	s = (struct script){ 0 };
	ck_assert(!generation_walk(g, stop, &s));
	ck_assert_str_eq(s.text, "!example.com. 6 300 30|");
	generation_free(g);
}
END_TEST

START_TEST(difference_is_what_changed_and_nothing_else)
{
	struct script s = { 0 };

	given(add("a." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	given(add("a." ORIGIN, TYPE_A, RDATA("\0\0\0\2")));
	given(add("b." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	given(add("t." ORIGIN, TYPE_A, RDATA("\0\0\0\5")));
	given(add("x.y." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	struct generation *g = given_finished();

	edit = zone_edit_new(wire(ORIGIN), g, 0, 0);
	given(del("a." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	given(add("a." ORIGIN, TYPE_A, RDATA("\0\0\0\3")));
	given(del("b." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	given(add_ttl("t." ORIGIN, TYPE_A, 30, RDATA("\0\0\0\5")));
	given(del("x.y." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	given(add("n.n." ORIGIN, TYPE_TXT, RDATA("\1a")));
	struct generation *h = given_finished();

	ck_assert(generation_diff(g, h, note_removed, note_added, &s));
	ck_assert_str_eq(s.text, "-a.example.com. 1 300 1|+a.example.com. 1 300 3|"
				 "-b.example.com. 1 300 1|+n.n.example.com. 16 300 97|"
				 "-t.example.com. 1 300 5|+t.example.com. 1 30 5|"
				 "-x.y.example.com. 1 300 1|");
	s = (struct script){ 0 };
	ck_assert(!generation_diff(g, h, stop, stop, &s));
	ck_assert_str_eq(s.text, "!a.example.com. 1 300 1|");
	generation_free(h);
	generation_free(g);
}
END_TEST

START_TEST(change_of_case_only_is_a_difference)
{
	struct script s = { 0 };

	given(add("a." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	given(add("m." ORIGIN, TYPE_MX, RDATA("\0\1\1q\0")));
	struct generation *g = given_finished();

	given_limits(0, 0);
	given(add("A." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	given(add("m." ORIGIN, TYPE_MX, RDATA("\0\1\1Q\0")));
	struct generation *h = given_finished();

	ck_assert(generation_diff(g, h, note_removed, note_added, &s));
	ck_assert_str_eq(s.text, "-a.example.com. 1 300 1|+A.example.com. 1 300 1|"
				 "-m.example.com. 15 300 0|+m.example.com. 15 300 0|");
	generation_free(h);
	generation_free(g);
}
END_TEST

static bool apply_removed(const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
			  uint16_t len, void *arg)
{
	(void)ttl, (void)arg;
	given(zone_edit_del(edit, owner, type, rdata, len));
	return true;
}

static bool apply_added(const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
			uint16_t len, void *arg)
{
	(void)arg;
	given(zone_edit_add(edit, owner, type, ttl, rdata, len));
	return true;
}

static void add_randomly(struct random *r, unsigned count)
{
	char owner[64];
	uint8_t a[4] = { 0 };

	for (unsigned i = 0; i < count; i++) {
		snprintf(owner, sizeof(owner), "%c.%c%s." ORIGIN, 'a' + (int)random_below(r, 4),
			 'a' + (int)random_below(r, 6), random_below(r, 2) ? ".ent" : "");
		a[3] = (uint8_t)random_below(r, 6);
		given(add(owner + 2 * random_below(r, 2), (uint16_t)(random_below(r, 2) ? 1 : 65280), a, 4));
	}
}

/* Whatever two zones hold, their difference turns one into the other. */
START_TEST(difference_applied_gives_the_new_zone)
{
	struct random r;
	struct script s = { 0 };

	random_init_seeded(&r, 99u + (unsigned)_i);
	add_randomly(&r, 30);
	struct generation *g = given_finished();

	given_limits(0, 0);
	add_randomly(&r, 30);
	struct generation *h = given_finished();

	edit = zone_edit_new(wire(ORIGIN), g, 0, 0);
	ck_assert(generation_diff(g, h, apply_removed, apply_added, NULL));
	struct generation *i = given_finished();

	ck_assert(generation_diff(h, i, note_removed, note_added, &s));
	ck_assert_str_eq(s.text, "");
	ck_assert_uint_eq(i->records, h->records);
	ck_assert_uint_eq(i->bytes, h->bytes);
	ck_assert_uint_eq(i->empties, h->empties);
	ck_assert_uint_eq(i->tree.count, h->tree.count);
	generation_free(g);
	generation_free(h);
	generation_free(i);
}
END_TEST

/* ---- Life and cost ---- */

START_TEST(generation_is_held_until_each_hold_is_dropped)
{
	struct generation *g = given_finished();

	ck_assert(!generation_is_held(g));
	generation_hold(g);
	generation_hold(g);
	generation_drop(g);
	ck_assert(generation_is_held(g));
	generation_drop(g);
	ck_assert(!generation_is_held(g));
	generation_free(g);
	generation_free(NULL);
}
END_TEST

static struct generation *given_hosts(unsigned count)
{
	char owner[64];
	uint8_t a[4];

	for (unsigned i = 0; i < count; i++) {
		snprintf(owner, sizeof(owner), "host%07u." ORIGIN, i);
		wire_put_u32(a, i);
		given(add(owner, TYPE_A, a, 4));
	}
	return given_finished();
}

/* Adds ten records, each at another end of the zone. */
static struct generation *changed(const struct generation *g, unsigned count, uint8_t salt)
{
	char owner[64];
	uint8_t a[4] = { 1, 2, 3, salt };

	edit = zone_edit_new(wire(ORIGIN), g, 0, 0);
	for (unsigned i = 0; i < 10; i++) {
		snprintf(owner, sizeof(owner), "host%07u." ORIGIN, count / 10 * i + 3);
		given(add(owner, TYPE_A, a, 4));
	}
	return given_finished();
}

START_TEST(ten_changes_in_a_big_zone_cost_what_ten_changes_cost)
{
	enum { COUNT = 100000 };
	struct script s = { 0 };
	struct generation *g = given_hosts(COUNT);
	size_t before = mallinfo2().uordblks;
	struct generation *h = changed(g, COUNT, 0);
	size_t cost = mallinfo2().uordblks - before;

	/* ASan brings its own malloc: then mallinfo2() says nothing and neither does this. */
	ck_assert_uint_lt(cost, 20000);
	ck_assert(generation_diff(g, h, note_removed, note_added, &s));
	ck_assert_uint_eq(h->records, g->records + 10);
	generation_free(g);
	ck_assert_ptr_nonnull(node_of(h, "host0099999." ORIGIN));
	generation_free(h);
}
END_TEST

START_TEST(edit_that_changes_nothing_shares_every_node)
{
	given(add("a." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	struct generation *g = given_finished();

	edit = zone_edit_new(wire(ORIGIN), g, 0, 0);
	given(add("a." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	ck_assert_int_eq(del("a." ORIGIN, TYPE_A, RDATA("\0\0\0\2")), ZONE_NO_RECORD);
	struct generation *h = given_finished();

	ck_assert_ptr_eq(node_of(g, "a." ORIGIN), node_of(h, "a." ORIGIN));
	generation_free(g);
	generation_free(h);
}
END_TEST

START_TEST(memory_is_flat_over_1000_generations)
{
	enum { COUNT = 2000 };
	struct generation *g = given_hosts(COUNT);
	size_t level = 0;

	for (unsigned i = 0; i < 1000; i++) {
		struct generation *h = changed(g, COUNT, (uint8_t)(i % 2));
		struct generation *back;

		edit = zone_edit_new(wire(ORIGIN), h, 0, 0);
		ck_assert(generation_diff(h, g, apply_removed, apply_added, NULL));
		back = given_finished();
		generation_free(i % 2 ? g : h);
		generation_free(i % 2 ? h : g);
		g = back;
		if (i == 10)
			level = mallinfo2().uordblks;
	}
	/* Malloc rounds now so, now so; 16 bytes lost each time would be three times this. */
	ck_assert_uint_lt(mallinfo2().uordblks, level + 5000);
	ck_assert_uint_eq(g->records, COUNT + 2);
	generation_free(g);
}
END_TEST

static struct generation *given_addresses(unsigned count, bool is_reversed)
{
	given_limits(0, 0);
	for (unsigned i = 0; i < count; i++) {
		uint8_t address[4];

		wire_put_u32(address, is_reversed ? count - i : i + 1);
		given(add("big." ORIGIN, TYPE_A, address, sizeof(address)));
	}
	return given_finished();
}

static bool count_one(const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
		      uint16_t len, void *arg)
{
	(void)owner, (void)type, (void)ttl, (void)rdata, (void)len;
	++*(size_t *)arg;
	return true;
}

/* All with all would be 17 million comparisons for each 64 kB that a primary sends. */
START_TEST(large_set_in_another_order_is_not_compared_record_by_record)
{
	static const struct {
		unsigned records, differences;
	} cases[] = { { 256, 0 }, { 257, 2 * 257 }, { 4096, 2 * 4096 } };

	zone_edit_free(edit);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct generation *g = given_addresses(cases[i].records, false);
		struct generation *h = given_addresses(cases[i].records, true);
		size_t differences = 0;

		ck_assert(generation_diff(g, h, count_one, count_one, &differences));
		ck_assert_uint_eq(differences, cases[i].differences);
		differences = 0;
		ck_assert(generation_diff(g, g, count_one, count_one, &differences));
		ck_assert_uint_eq(differences, 0);
		generation_free(g);
		generation_free(h);
	}
}
END_TEST

/* ---- NSEC3 ---- */

#define HASH_1	"0p9mhaveqvm6t7vbl5lop2u3t2rp3tom." ORIGIN
#define HASH_2	"35mthgpgcu1qg68fab165klnsnk3dpvl." ORIGIN
#define NSEC3_1	"\1\0\0\0\0\24" "aaaaaaaaaaaaaaaaaaaa"
#define SIG_OF(type) "\0" type "\15\3\0\0\1\54\177\0\0\0\0\0\0\0\0\1\0sig"

static const struct node *hashed_node_of(const struct generation *g, const char *name)
{
	struct name_key key = key_of(name);

	return tree_get(&g->nsec3, &key);
}

/* As in a transfer: hashed owners stand between the names. */
static struct generation *given_hashed(void)
{
	given(add(HASH_1, TYPE_NSEC3, RDATA(NSEC3_1)));
	given(add("b." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	given(add(HASH_1, TYPE_RRSIG, RDATA(SIG_OF("\62"))));
	given(add(HASH_2, TYPE_NSEC3, RDATA(NSEC3_1)));
	given(add(HASH_2, TYPE_A, RDATA("\0\0\0\2")));
	given(add(HASH_2, TYPE_RRSIG, RDATA(SIG_OF("\1"))));
	return given_finished();
}

START_TEST(hashed_owner_is_no_name_of_the_zone)
{
	struct generation *g = given_hashed();
	struct rrset set;

	ck_assert_uint_eq(g->records, 8);
	ck_assert_uint_eq(g->tree.count, 3);		/* the apex, b, and one that has an address too */
	ck_assert_uint_eq(g->nsec3.count, 2);
	ck_assert_ptr_null(node_of(g, HASH_1));
	ck_assert(node_find_rrsig(hashed_node_of(g, HASH_1), TYPE_NSEC3, &set));
	ck_assert(!node_find(node_of(g, HASH_2), TYPE_NSEC3, &set));
	ck_assert(node_find_rrsig(node_of(g, HASH_2), TYPE_A, &set));
	ck_assert(!node_find(hashed_node_of(g, HASH_2), TYPE_A, &set));
	generation_free(g);
}
END_TEST

static bool count_record(const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
			 uint16_t len, void *arg)
{
	(void)owner;
	(void)type;
	(void)ttl;
	(void)rdata;
	(void)len;
	++*(size_t *)arg;
	return true;
}

START_TEST(walks_come_by_hashed_owners_too)
{
	struct generation *g = given_hashed();
	size_t records = 0, nodes = 0;

	ck_assert(generation_walk(g, count_record, &records));
	ck_assert_uint_eq(records, g->records);
	for (const struct node *n = generation_first(g); n; n = generation_next(g, n))
		nodes++;
	ck_assert_uint_eq(nodes, g->tree.count + g->nsec3.count);
	generation_free(g);
}
END_TEST

START_TEST(hashed_owners_come_and_go_by_edits)
{
	struct generation *g = given_hashed(), *next;
	size_t differences = 0;

	edit = zone_edit_new(g->origin, g, 0, 0);
	given(del(HASH_1, TYPE_NSEC3, RDATA(NSEC3_1)));
	given(del("b." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	given(del(HASH_1, TYPE_RRSIG, RDATA(SIG_OF("\62"))));
	ck_assert_int_eq(del(HASH_1, TYPE_NSEC3, RDATA(NSEC3_1)), ZONE_NO_RECORD);
	zone_edit_free(edit);

	edit = zone_edit_new(g->origin, g, 0, 0);
	given(del(HASH_1, TYPE_NSEC3, RDATA(NSEC3_1)));
	given(del(HASH_1, TYPE_RRSIG, RDATA(SIG_OF("\62"))));
	given(add("c." ORIGIN, TYPE_A, RDATA("\0\0\0\1")));
	next = given_finished();
	ck_assert_ptr_null(hashed_node_of(next, HASH_1));
	ck_assert_ptr_eq(hashed_node_of(next, HASH_2), hashed_node_of(g, HASH_2));
	ck_assert_ptr_nonnull(hashed_node_of(g, HASH_1));
	ck_assert(generation_diff(g, next, count_record, count_record, &differences));
	ck_assert_uint_eq(differences, 3);
	generation_free(g);
	generation_free(next);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("zone");
	TCase *read = tcase_create("reading"), *empty = tcase_create("empty non-terminals");
	TCase *error = tcase_create("errors"), *diff = tcase_create("differences");
	TCase *life = tcase_create("life"), *hashed = tcase_create("NSEC3");

	tcase_add_test(diff, large_set_in_another_order_is_not_compared_record_by_record);
	tcase_add_checked_fixture(hashed, setup, teardown);
	tcase_add_test(hashed, hashed_owner_is_no_name_of_the_zone);
	tcase_add_test(hashed, walks_come_by_hashed_owners_too);
	tcase_add_test(hashed, hashed_owners_come_and_go_by_edits);
	tcase_add_checked_fixture(read, setup, teardown);
	tcase_add_test(read, generation_knows_its_soa_and_counts);
	tcase_add_test(read, records_come_in_order_of_arrival_and_sets_by_type);
	tcase_add_test(read, duplicates_vanish_and_the_lowest_ttl_counts);
	tcase_add_test(read, signatures_are_sets_by_the_type_they_cover);
	tcase_add_test(read, cuts_and_dnames_are_flagged_and_the_apex_is_no_cut);
	tcase_add_test(read, owner_keeps_the_case_of_its_first_record);
	tcase_add_test(read, root_zone_works);
	suite_add_tcase(s, read);

	tcase_add_checked_fixture(empty, setup, teardown);
	tcase_add_test(empty, names_between_owner_and_apex_exist_and_are_empty);
	tcase_add_test(empty, deletion_removes_names_without_purpose_only);
	tcase_add_test(empty, name_with_names_below_becomes_empty_and_full_again);
	tcase_add_test(empty, record_added_and_removed_at_once_leaves_nothing);
	suite_add_tcase(s, empty);

	tcase_add_checked_fixture(error, setup, teardown);
	tcase_add_test(error, owner_outside_the_zone_is_refused);
	tcase_add_test(error, zone_without_soa_is_refused);
	tcase_add_test(error, zone_without_any_record_is_refused);
	tcase_add_test(error, soa_elsewhere_or_twice_is_refused);
	tcase_add_test(error, zone_without_ns_is_refused);
	tcase_add_test(error, soa_that_does_not_parse_is_refused);
	tcase_add_loop_test(error, question_type_is_no_data, 0, 7);
	tcase_add_loop_test(error, cname_stands_alone, 0, 7);
	tcase_add_test(error, clash_that_is_mended_before_the_end_is_none);
	tcase_add_test(error, rrset_holds_4096_records_and_no_more);
	tcase_add_test(error, records_of_one_set_are_limited_on_demand);
	tcase_add_test(error, big_rrset_finds_and_loses_each_record);
	tcase_add_test(error, what_is_there_cannot_be_added_as_new);
	tcase_add_test(error, records_of_a_big_rrset_come_and_go_in_any_order);
	tcase_add_test(error, rrset_over_64k_of_rdata_is_refused);
	tcase_add_test(error, name_holds_100_types_beside_their_signatures_and_no_more);
	tcase_add_test(error, zone_over_its_limit_of_records_is_refused);
	tcase_add_test(error, zone_over_its_limit_of_bytes_is_refused);
	tcase_add_test(error, names_that_no_record_pays_for_are_limited);
	tcase_add_test(error, owners_that_come_by_turns_cost_no_more_than_is_sensible);
	tcase_add_test(error, deletion_of_what_is_not_there_is_told);
	tcase_add_test(error, each_error_has_a_sentence);
	suite_add_tcase(s, error);

	tcase_add_checked_fixture(diff, setup, teardown);
	tcase_add_test(diff, walk_gives_the_soa_first_then_canonical_order);
	tcase_add_test(diff, difference_is_what_changed_and_nothing_else);
	tcase_add_test(diff, change_of_case_only_is_a_difference);
	tcase_add_loop_test(diff, difference_applied_gives_the_new_zone, 0, 50);
	suite_add_tcase(s, diff);

	tcase_add_checked_fixture(life, setup, teardown);
	tcase_set_timeout(life, 120);
	tcase_add_test(life, generation_is_held_until_each_hold_is_dropped);
	tcase_add_test(life, ten_changes_in_a_big_zone_cost_what_ten_changes_cost);
	tcase_add_test(life, edit_that_changes_nothing_shares_every_node);
	tcase_add_test(life, memory_is_flat_over_1000_generations);
	suite_add_tcase(s, life);
	suite_add_tcase(s, hashed);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
