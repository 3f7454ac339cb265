/* SPDX-License-Identifier: ISC */
/* sample: questions out of a zone, and other servers' answers beside ours. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cache/answer.h"
#include "cache/dns.h"
#include "cache/wire.h"
#include "tests/unit/fixture.h"
#include "proxy/probe.h"
#include "proxy/sample.h"

#define SOA "example.com. 60 IN SOA ns.example.com. h.example.com. 1 60 60 600 60\n"
#define NS  "example.com. 60 IN NS ns.example.com.\n"

static struct random randomness;
static struct generation *held, *theirs;
static char text[SAMPLE_TEXT_MAX];

static void setup(void)
{
	random_init_seeded(&randomness, 7);
	held = theirs = NULL;
}

static void teardown(void)
{
	generation_free(held);
	generation_free(theirs);
}

/* What a server that holds `g` would say. */
static size_t reply_from(const struct generation *g, const struct sample *s, uint8_t reply[512])
{
	uint8_t query[PROBE_QUERY_MAX];
	struct message m;
	struct name_key key;
	struct answer_ask ask = {
		.zone = g, .query = &m, .packet = query, .key = &key, .limit = 512,
	};
	size_t len = probe_question(9, s->name, s->type, query);

	ck_assert_int_eq(message_parse(query, len, &m), MESSAGE_OK);
	name_to_key(s->name, &key);
	return answer_write(&ask, reply);
}

static struct sample sample_of(const char *name, uint16_t type)
{
	struct sample s = { .type = type };

	ck_assert_uint_gt(name_from_text(name, s.name), 0);
	return s;
}

static enum gate_sample compared(const char *name, uint16_t type)
{
	struct sample s = sample_of(name, type);
	uint8_t reply[512];

	return sample_compare(held, &s, reply, reply_from(theirs, &s, reply), text);
}

/* ---- Comparing ---- */

#define OURS SOA NS \
	"w.example.com. 60 IN A 192.0.2.1\nw.example.com. 60 IN A 192.0.2.2\n" \
	"m.example.com. 60 IN MX 1 Mail.example.com.\nal.example.com. 60 IN CNAME w.example.com.\n"

static const struct {
	const char *theirs, *name;
	uint16_t type;
	enum gate_sample said;
	const char *text;
} rows[] = {
	{ OURS, "w.example.com", TYPE_A, SAMPLE_SAME, "" },
	{ SOA NS "w.example.com. 9 IN A 192.0.2.2\nw.example.com. 9 IN A 192.0.2.1\n",
	  "w.example.com", TYPE_A, SAMPLE_SAME, "" },	/* order and TTL do not matter */
	{ SOA NS "m.example.com. 60 IN MX 1 mail.EXAMPLE.com.\n", "m.example.com", TYPE_MX,
	  SAMPLE_SAME, "" },
	{ SOA NS "al.example.com. 60 IN CNAME w.example.com.\n", "al.example.com", TYPE_CNAME,
	  SAMPLE_SAME, "" },
	{ SOA NS "w.example.com. 60 IN A 192.0.2.1\nw.example.com. 60 IN A 192.0.2.3\n",
	  "w.example.com", TYPE_A, SAMPLE_DIFFERS,
	  "w.example.com. A: other data, the mirror has 2 records" },
	{ SOA NS "w.example.com. 60 IN A 192.0.2.1\n", "w.example.com", TYPE_A, SAMPLE_DIFFERS,
	  "w.example.com. A: 1 record, the mirror has 2 records" },
	{ SOA NS "w.example.com. 60 IN CNAME al.example.com.\n", "w.example.com", TYPE_A,
	  SAMPLE_DIFFERS, "w.example.com. A: no such record, the mirror has 2 records" },
	{ SOA NS, "w.example.com", TYPE_A, SAMPLE_VANISHED,
	  "w.example.com. A: NXDOMAIN, the mirror has 2 records" },
	{ SOA NS "w.example.com. 60 IN AAAA 2001:db8::1\n", "w.example.com", TYPE_A,
	  SAMPLE_VANISHED, "w.example.com. A: no such record, the mirror has 2 records" },
};

START_TEST(answers_are_compared)
{
	held = fixture_zone("example.com", OURS);
	theirs = fixture_zone("example.com", rows[_i].theirs);
	text[0] = '\0';
	ck_assert_int_eq(compared(rows[_i].name, rows[_i].type), rows[_i].said);
	ck_assert_str_eq(text, rows[_i].text);
}
END_TEST

/* Each spoils a good reply that differs, so that it tells nothing. */
static const struct { const char *what; size_t at; uint8_t set, cut; } spoils[] = {
	{ "no AA", 2, 0x80, 0 }, { "truncated", 2, 0x86, 0 }, { "SERVFAIL", 3, 2, 0 },
	{ "REFUSED", 3, 5, 0 }, { "cut short", 2, 0x84, 1 }, { "two questions", 5, 2, 0 },
	{ "a count that lies", 7, 9, 0 },
};

START_TEST(spoilt_reply_tells_nothing)
{
	struct sample s = sample_of("w.example.com", TYPE_A);
	uint8_t reply[512];
	size_t len;

	held = fixture_zone("example.com", OURS);
	theirs = fixture_zone("example.com", SOA NS "w.example.com. 60 IN A 192.0.2.3\n");
	len = reply_from(theirs, &s, reply);
	ck_assert_int_eq(sample_compare(held, &s, reply, len, text), SAMPLE_DIFFERS);
	reply[spoils[_i].at] = spoils[_i].set;
	len -= spoils[_i].cut ? len - 40 : 0;
	ck_assert_msg(sample_compare(held, &s, reply, len, text) == SAMPLE_NOTHING, "%s",
		      spoils[_i].what);
}
END_TEST

/* ---- Choosing ---- */

START_TEST(every_name_of_a_small_zone_is_chosen_and_nothing_else)
{
	bool has_a = false, has_mx = false, has_alias = false;
	struct sample s;

	held = fixture_zone("example.com", OURS
		"sub.example.com. 60 IN NS ns.sub.example.com.\n"
		"ns.sub.example.com. 60 IN A 192.0.2.9\n");
	for (unsigned i = 0; i < 200; i++) {
		ck_assert(sample_choose(held, &randomness, i, &s));
		has_a |= s.type == TYPE_A;
		has_mx |= s.type == TYPE_MX;
		has_alias |= s.type == TYPE_CNAME;
		ck_assert(s.type == TYPE_A || s.type == TYPE_MX || s.type == TYPE_CNAME);
		ck_assert(!name_is_at_or_below(s.name, sample_of("sub.example.com", 1).name));
		ck_assert(!name_is_equal(s.name, held->origin));
	}
	ck_assert(has_a && has_mx && has_alias);
}
END_TEST

/* From wherever it begins: a draw with repeats found a zone that had lost twelve of thirteen names whole
 * once in 250 times. */
START_TEST(row_of_samples_asks_for_all_of_thirteen_names)
{
	char zone[2000];
	size_t len = (size_t)snprintf(zone, sizeof(zone), SOA NS);

	for (unsigned i = 0; i < 13; i++)
		len += (size_t)snprintf(zone + len, sizeof(zone) - len,
					"%c.example.com. 60 IN A 192.0.2.1\n", 'a' + i);
	held = fixture_zone("example.com", zone);
	for (unsigned first = 0; first < 30; first++) {
		bool seen[13] = { false };
		unsigned count = 0;
		struct sample s;

		for (unsigned turn = 0; turn < 16; turn++) {
			ck_assert(sample_choose(held, &randomness, first + turn, &s));
			count += !seen[s.name[1] - 'a'];
			seen[s.name[1] - 'a'] = true;
		}
		ck_assert_uint_eq(count, 13);
	}
}
END_TEST

START_TEST(names_of_a_big_zone_are_spread)
{
	static char zone[200000];
	bool seen[2000] = { false };
	size_t len = (size_t)snprintf(zone, sizeof(zone), SOA NS);
	unsigned count = 0;
	struct sample s;

	for (unsigned i = 0; i < 2000; i++)
		len += (size_t)snprintf(zone + len, sizeof(zone) - len,
					"h%u.example.com. 60 IN A 192.0.2.1\n", i);
	held = fixture_zone("example.com", zone);
	for (unsigned i = 0; i < 1000; i++) {
		ck_assert(sample_choose(held, &randomness, i, &s));
		ck_assert_int_eq(s.type, TYPE_A);
		unsigned n = (unsigned)strtoul((const char *)s.name + 2, NULL, 10);

		count += !seen[n];
		seen[n] = true;
	}
	ck_assert_uint_gt(count, 50);
}
END_TEST

START_TEST(empty_zone_is_known_by_its_apex)
{
	struct sample s;

	held = fixture_zone("example.com", SOA NS);
	ck_assert(sample_choose(held, &randomness, 0, &s));
	ck_assert_int_eq(s.type, TYPE_NS);
	ck_assert(name_is_equal(s.name, held->origin));
}
END_TEST

#define ROWS(table) (int)(sizeof(table) / sizeof(table[0]))

int main(void)
{
	Suite *s = suite_create("sample");
	TCase *tc = tcase_create("answers");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, answers_are_compared, 0, ROWS(rows));
	tcase_add_loop_test(tc, spoilt_reply_tells_nothing, 0, ROWS(spoils));
	tcase_add_test(tc, every_name_of_a_small_zone_is_chosen_and_nothing_else);
	tcase_add_test(tc, row_of_samples_asks_for_all_of_thirteen_names);
	tcase_add_test(tc, names_of_a_big_zone_are_spread);
	tcase_add_test(tc, empty_zone_is_known_by_its_apex);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
