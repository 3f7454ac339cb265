/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cache/name.h"
#include "cache/random.h"
#include "cache/wire.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define BYTES(s) (const uint8_t *)(s), sizeof(s) - 1

static const uint8_t *given_name(const char *text, uint8_t name[NAME_LEN_MAX])
{
	ck_assert_msg(name_from_text(text, name) > 0, "%s is not a name", text);
	return name;
}

static int sign(int v)
{
	return (v > 0) - (v < 0);
}

static int key_compare(const struct name_key *a, const struct name_key *b)
{
	size_t len = a->len > b->len ? a->len : b->len;

	for (size_t i = 0; i < len; i++)
		if (name_key_step(a, i) != name_key_step(b, i))
			return (int)name_key_step(a, i) - (int)name_key_step(b, i);
	return 0;
}

/* Reading */

START_TEST(plain_name_is_read_with_its_case)
{
	static const uint8_t packet[] = "....\3wWw\7Example\3com\0rest";
	struct wire w = wire_over(packet, sizeof(packet) - 1);
	uint8_t name[NAME_LEN_MAX];

	w.pos = 4;
	ck_assert_uint_eq(name_parse(&w, name), 17);
	ck_assert_mem_eq(name, "\3wWw\7Example\3com", 17);
	ck_assert_uint_eq(w.pos, 21);
	ck_assert(!w.bad);
}
END_TEST

START_TEST(pointers_are_followed_and_the_cursor_stays_behind_the_first)
{
	/* com at 0, example -> com at 5, www -> example at 15, then a byte */
	static const uint8_t packet[] = "\3com\0\7example\xc0\0\3www\xc0\5!";
	struct wire w = wire_over(packet, sizeof(packet) - 1);
	uint8_t name[NAME_LEN_MAX];

	w.pos = 15;
	ck_assert_uint_eq(name_parse(&w, name), 17);
	ck_assert_mem_eq(name, "\3www\7example\3com", 17);
	ck_assert_uint_eq(w.base[w.pos], '!');
}
END_TEST

static const struct { const char *what; const uint8_t *packet; size_t len, at; } bad_wire[] = {
	{ "nothing",                    BYTES(""), 0 },
	{ "no root label",              BYTES("\3www"), 0 },
	{ "label past the end",         BYTES("\7www"), 0 },
	{ "label type 01",              BYTES("\x40" "aaaa\0"), 0 },
	{ "label type 10",              BYTES("\x80" "aaaa\0"), 0 },
	{ "type 01 after a label",      BYTES("\1a\x41" "aaaa\0"), 0 },
	{ "type 01 that could point",   BYTES("\1a\0\x40\0"), 3 },
	{ "type 10 that could point",   BYTES("\1a\0\x80\0"), 3 },
	{ "pointer to itself",          BYTES("\xc0\0"), 0 },
	{ "pointer into its own piece", BYTES("\1a\1b\xc0\2"), 0 },
	{ "pointer forward",            BYTES("\xc0\2\1a\0"), 0 },
	{ "pointer past the end",       BYTES("\1a\0\xff\xff"), 3 },
	{ "half a pointer",             BYTES("\1a\0\xc0"), 3 },
	{ "pointers in a circle",       BYTES("\1a\xc0\4\1b\xc0\0"), 4 },
	{ "pointer to a bad label",     BYTES("\x40\0\xc0\0"), 2 },
};

START_TEST(bad_name_on_the_wire_is_refused)
{
	/* In memory of its own size, so that a sanitizer sees any overrun. */
	size_t len = bad_wire[_i].len;
	uint8_t *packet = malloc(len ? len : 1), name[NAME_LEN_MAX];

	memcpy(packet, bad_wire[_i].packet, len);
	struct wire w = wire_over(packet, len);

	w.pos = bad_wire[_i].at;
	ck_assert_msg(name_parse(&w, name) == 0, "took %s", bad_wire[_i].what);
	ck_assert_msg(w.bad, "no error for %s", bad_wire[_i].what);
	ck_assert_uint_eq(name_parse(&w, name), 0);
	free(packet);
}
END_TEST

/* `len` bytes of a wire name: labels of 63 and a last one that fits. */
static size_t long_name(uint8_t *to, size_t len)
{
	size_t left = len - 1, at = 0;

	while (left > 0) {
		size_t label = left - 1 > 63 ? 63 : left - 1;

		to[at] = (uint8_t)label;
		memset(to + at + 1, 'x', label);
		at += 1 + label;
		left -= 1 + label;
	}
	to[at] = 0;
	return len;
}

START_TEST(name_of_255_bytes_is_read_and_one_of_256_is_not)
{
	uint8_t packet[300], name[NAME_LEN_MAX];

	for (size_t len = 254; len <= 257; len++) {
		struct wire w = wire_over(packet, long_name(packet, len));
		size_t got = name_parse(&w, name);

		ck_assert_uint_eq(got, len <= 255 ? len : 0);
		ck_assert_int_eq(w.bad, len > 255);
	}
}
END_TEST

START_TEST(compressed_name_over_255_bytes_is_refused)
{
	uint8_t packet[400], name[NAME_LEN_MAX];
	size_t tail = long_name(packet, 250);

	for (uint8_t label = 1; label < 10; label++) {
		packet[tail] = label;
		memset(packet + tail + 1, 'y', label);
		memcpy(packet + tail + 1 + label, "\xc0\0", 2);
		struct wire w = wire_over(packet, tail + 3 + label);

		w.pos = tail;
		size_t want = 250u + 1 + label;

		ck_assert_uint_eq(name_parse(&w, name), want <= 255 ? want : 0);
	}
}
END_TEST

START_TEST(chain_of_pointers_has_an_end)
{
	uint8_t packet[1 + 2 * 200] = { 0 }, name[NAME_LEN_MAX];

	for (size_t i = 0; i < 200; i++)	/* each to the one before, the first to "." */
		wire_put_u16(packet + 1 + 2 * i, (uint16_t)(0xc000 | (i ? 1 + 2 * (i - 1) : 0)));
	for (size_t i = 0; i < 200; i++) {
		struct wire w = wire_over(packet, sizeof(packet));

		w.pos = 1 + 2 * i;
		ck_assert_uint_eq(name_parse(&w, name), i < 127 ? 1 : 0);
	}
}
END_TEST

/* Parts */

START_TEST(labels_are_counted_and_skipped)
{
	uint8_t name[NAME_LEN_MAX], parent[NAME_LEN_MAX];

	given_name("a.b.example.com", name);
	ck_assert_uint_eq(name_label_count(name), 4);
	ck_assert_uint_eq(name_len(name), 17);
	ck_assert(name_is_equal(name_skip(name, 2), given_name("example.com", parent)));
	ck_assert_uint_eq(*name_skip(name, 4), 0);
	ck_assert_uint_eq(name_label_count(given_name(".", name)), 0);
	ck_assert_uint_eq(name_len(name), 1);
}
END_TEST

static const struct { const char *name, *parent; bool is_below, is_equal; } pairs[] = {
	{ "example.com",     "example.com",  true,  true },
	{ "EXAMPLE.com",     "example.COM",  true,  true },
	{ "www.example.com", "example.com",  true,  false },
	{ "www.example.com", "Com",          true,  false },
	{ "www.example.com", ".",            true,  false },
	{ ".",               ".",            true,  true },
	{ "com",             "example.com",  false, false },
	{ "badexample.com",  "example.com",  false, false },
	{ "example.com",     "example.org",  false, false },
	{ "example\\.com",   "com",          false, false },
	{ "a[.b",            "a{.b",         false, false },
	{ "a\\195.b",        "a\\227.b",     false, false },	/* only ASCII has case */
};

START_TEST(relations_follow_rfc_4343)
{
	uint8_t a[NAME_LEN_MAX], b[NAME_LEN_MAX];

	given_name(pairs[_i].name, a);
	given_name(pairs[_i].parent, b);
	ck_assert_msg(name_is_at_or_below(a, b) == pairs[_i].is_below, "%s below %s",
		      pairs[_i].name, pairs[_i].parent);
	ck_assert_msg(name_is_equal(a, b) == pairs[_i].is_equal, "%s = %s", pairs[_i].name,
		      pairs[_i].parent);
}
END_TEST

START_TEST(lower_folds_ascii_letters_only)
{
	uint8_t name[] = "\6A@Z[az\3\300\341Q";

	name_lower(name);
	ck_assert_mem_eq(name, "\6a@z[az\3\300\341q", sizeof(name));
}
END_TEST

/* Eight bytes at once, and what is left: each byte at each place. */
START_TEST(lower_folds_alike_at_every_place)
{
	for (unsigned byte = 0; byte < 256; byte++) {
		uint8_t name[1 + 21 + 1] = { 21 };
		uint8_t want = (uint8_t)(byte >= 'A' && byte <= 'Z' ? byte + 32 : byte);

		memset(name + 1, (int)byte, 21);
		name_lower(name);
		for (unsigned i = 1; i <= 21; i++)
			ck_assert_uint_eq(name[i], want);
	}
}
END_TEST

/* Names of `_i` bytes in a label that differ at one place, or there by case alone. */
START_TEST(one_byte_makes_a_name_another)
{
	uint8_t a[65] = { (uint8_t)_i }, b[65];

	memset(a + 1, 'x', (size_t)_i);
	for (int at = 1; at <= _i; at++) {
		memcpy(b, a, sizeof(b));
		ck_assert(name_is_equal(a, b) && name_label_is_equal(a, b));
		b[at] = 'X';
		ck_assert(name_is_equal(a, b) && name_label_is_equal(a, b));
		b[at] = 'y';
		ck_assert(!name_is_equal(a, b) && !name_label_is_equal(a, b));
	}
	memcpy(b, a, sizeof(b));
	b[0]--;
	ck_assert(!name_label_is_equal(a, b));
}
END_TEST

/* Text */

static const struct { const char *text, *shown; } texts[] = {
	{ ".",                    "." },
	{ "example.com",          "example.com." },
	{ "example.com.",         "example.com." },
	{ "WWW.Example.Com",      "WWW.Example.Com." },
	{ "*.example",            "*.example." },
	{ "_dmarc.a-b",           "_dmarc.a-b." },
	{ "a\\.b.c",              "a\\.b.c." },
	{ "a\\046b.c",            "a\\.b.c." },
	{ "\\\\.x",               "\\\\.x." },
	{ "a\\032b",              "a\\032b." },
	{ "a\\ b",                "a\\032b." },
	{ "a\\\"b\\;c\\(d\\)",    "a\\\"b\\;c\\(d\\)." },
	{ "$x.@y",                "\\$x.\\@y." },
	{ "\\000\\255.n",         "\\000\\255.n." },
	{ "a\\010b",              "a\\010b." },
	{ "\303\251.fr",          "\\195\\169.fr." },
	{ "0/25.2.0.192.in-addr.arpa.", "0/25.2.0.192.in-addr.arpa." },
};

START_TEST(text_is_read_and_shown_safely)
{
	uint8_t name[NAME_LEN_MAX], again[NAME_LEN_MAX];
	char shown[NAME_TEXT_MAX];
	size_t len = name_from_text(texts[_i].text, name);

	ck_assert_uint_gt(len, 0);
	ck_assert_uint_eq(len, name_len(name));
	ck_assert_str_eq(name_to_text(name, shown), texts[_i].shown);
	ck_assert_uint_eq(name_from_text(shown, again), len);
	ck_assert_mem_eq(name, again, len);
}
END_TEST

static const char *const bad_texts[] = {
	"", "..", ".a", "a..b", "a.b..", "a b", "a\tb", "a\n", " a", "a\x7f", "a\\", "a\\1",
	"a\\12x", "a\\256", "a\\999",
	"x123456789x123456789x123456789x123456789x123456789x123456789abcd",	/* 64 bytes */
};

START_TEST(text_that_is_no_name_is_refused)
{
	uint8_t name[NAME_LEN_MAX];

	ck_assert_msg(name_from_text(bad_texts[_i], name) == 0, "took \"%s\"", bad_texts[_i]);
}
END_TEST

START_TEST(longest_text_fits_and_comes_back)
{
	uint8_t name[NAME_LEN_MAX], again[NAME_LEN_MAX];
	char text[NAME_TEXT_MAX];

	long_name(name, NAME_LEN_MAX);
	for (size_t i = 0; i < sizeof(name); i++)
		if (name[i] == 'x')
			name[i] = 0xff;
	ck_assert_uint_lt(strlen(name_to_text(name, text)), NAME_TEXT_MAX);
	ck_assert_uint_eq(name_from_text(text, again), NAME_LEN_MAX);
	ck_assert_mem_eq(name, again, NAME_LEN_MAX);
	ck_assert_uint_eq(name_from_text("", again), 0);

	char over[2 * 130 + 1] = "";

	for (int i = 0; i < 128; i++)	/* 128 labels of one byte: 257 bytes of wire */
		memcpy(over + 2 * i, "a.", 3);
	ck_assert_uint_eq(name_from_text(over, again), 0);
	over[2 * 127] = '\0';
	ck_assert_uint_eq(name_from_text(over, again), NAME_LEN_MAX);
	ck_assert_uint_eq(name_label_count(again), NAME_LABELS_MAX);
}
END_TEST

/* Order and keys */

/* The example of RFC 4034 s.6.1. */
static const char *const canonical[] = {
	"example.", "a.example.", "yljkjljk.a.example.", "Z.a.example.", "zABC.a.EXAMPLE.",
	"z.example.", "\\001.z.example.", "*.z.example.", "\\200.z.example.",
};

START_TEST(example_of_rfc_4034_is_in_order_in_both_forms)
{
	uint8_t a[NAME_LEN_MAX], b[NAME_LEN_MAX];
	struct name_key a_key, b_key;

	for (int j = 0; j < (int)COUNT(canonical); j++) {
		name_to_key(given_name(canonical[_i], a), &a_key);
		name_to_key(given_name(canonical[j], b), &b_key);
		ck_assert_int_eq(sign(name_compare(a, b)), sign(_i - j));
		ck_assert_int_eq(sign(key_compare(&a_key, &b_key)), sign(_i - j));
	}
}
END_TEST

START_TEST(bytes_of_a_label_keep_their_order_in_the_key)
{
	for (int i = 0; i < 256; i++) {
		for (int j = 0; j < 256; j++) {
			uint8_t a[] = { 2, (uint8_t)i, 'm', 0 }, b[] = { 2, (uint8_t)j, 'm', 0 };
			struct name_key a_key, b_key;

			name_to_key(a, &a_key);
			name_to_key(b, &b_key);
			ck_assert_int_eq(sign(key_compare(&a_key, &b_key)),
					 sign(name_compare(a, b)));
		}
	}
}
END_TEST

START_TEST(key_has_one_step_for_each_byte_of_a_host_name)
{
	uint8_t name[NAME_LEN_MAX];
	struct name_key key;

	name_to_key(given_name("_az-09AZ.example.com", name), &key);
	ck_assert_uint_eq(key.len, 21);
	ck_assert_uint_eq(key.label_count, 3);
	ck_assert_uint_eq(name_key_step(&key, 3), 0);	/* after "com" */
	ck_assert_uint_eq(name_key_step(&key, 20), 0);
	ck_assert_uint_eq(name_key_step(&key, 21), 0);	/* and past the end */

	name_to_key(given_name(".", name), &key);
	ck_assert_uint_eq(key.len, 0);
	ck_assert_uint_eq(key.label_count, 0);
}
END_TEST

START_TEST(longest_key_fits)
{
	uint8_t name[NAME_LEN_MAX];
	struct name_key key;

	long_name(name, NAME_LEN_MAX);
	for (size_t i = 0; i < sizeof(name); i++)
		if (name[i] == 'x')
			name[i] = 0xff;
	name_to_key(name, &key);
	ck_assert_uint_eq(key.len, 2 * 250 + 4);
}
END_TEST

/* Short labels over few bytes, so that equal and nested names are common. */
static void random_name(struct random *r, uint8_t name[NAME_LEN_MAX])
{
	static const uint8_t letters[] = {
		'a', 'B', 'b', 'z', '-', '*', '_', '.', 0, 1, '@', '[', '`', '{', 0x7f, 0x80,
		0xa9, 0xaa, 0xd8, 0xd9, 0xff,
	};
	uint8_t *p = name;

	for (uint32_t labels = random_below(r, 9); labels > 0; labels--) {
		*p = (uint8_t)(1 + random_below(r, 3));
		for (uint8_t i = 1; i <= *p; i++)
			p[i] = letters[random_below(r, sizeof(letters))];
		p += 1 + *p;
	}
	*p = 0;
}

/* What two whole keys show. */
static void assert_departs(const struct name_key *key, const uint8_t *name, const struct name_key *of_name)
{
	struct name_departure off = name_key_compare(key, name);
	unsigned at = 0;

	while (at < NAME_KEY_MAX && name_key_step(key, at) == name_key_step(of_name, at))
		at++;
	ck_assert_uint_eq(off.at, at);
	ck_assert_uint_eq(off.step, at < NAME_KEY_MAX ? name_key_step(of_name, at) : 0);
	ck_assert_int_eq(off.is_over, at >= of_name->len);
}

/* `to` is `from` with letters of the other case here and there, and half the time one other byte. */
static void other_case(struct random *r, const uint8_t *from, uint8_t to[NAME_LEN_MAX])
{
	size_t len = name_len(from);

	memcpy(to, from, len);
	for (uint8_t *label = to; *label; label += 1 + *label)
		for (uint8_t *at = label + 1; at <= label + *label; at++)
			if (isalpha(*at) && random_below(r, 2))
				*at ^= 0x20;
	if (*to && random_below(r, 2))
		to[1 + random_below(r, *to)] = 'q';
}

/* What is made faster where something is known already is the same. */
static void assert_short_cuts(const uint8_t *name, const struct name_key *key, const struct name_key *other)
{
	unsigned labels = name_label_count(name), at = 0;
	struct name_key parent, below;

	for (unsigned up = 0; up <= labels; up++) {
		const uint8_t *above = name_skip(name, up);

		name_to_key(above, &parent);
		name_to_key_below(name, (size_t)(above - name), &parent, &below);
		ck_assert_uint_eq(below.label_count, key->label_count);
		ck_assert_uint_eq(below.len, key->len);
		ck_assert_mem_eq(below.step, key->step, key->len);
		ck_assert_uint_eq(name_key_labels(key, parent.len), labels - up);
		if (parent.len > 0)
			ck_assert_uint_eq(name_key_labels(key, parent.len - 1u), labels - up - 1);
	}
	while (at < key->len && at < other->len && key->step[at] == other->step[at])
		at++;
	ck_assert_uint_eq(name_key_departure(key, other), at);
}

START_TEST(keys_of_random_names_agree_with_the_names)
{
	struct random r;
	uint8_t a[NAME_LEN_MAX], b[NAME_LEN_MAX];
	struct name_key a_key, b_key;

	random_init_seeded(&r, (uint64_t)_i + 1);
	for (int round = 0; round < 20000; round++) {
		random_name(&r, a);
		random_name(&r, b);
		if (round % 3 == 0) {	/* b becomes an ancestor of a, or a itself */
			const uint8_t *up = name_skip(a, random_below(&r, name_label_count(a) + 1));

			memcpy(b, up, name_len(up));
		} else if (round % 3 == 1) {
			other_case(&r, a, b);
		}
		name_to_key(a, &a_key);
		name_to_key(b, &b_key);
		assert_departs(&a_key, b, &b_key);
		assert_departs(&a_key, a, &a_key);
		assert_short_cuts(a, &a_key, &b_key);

		int order = name_compare(a, b);
		bool is_prefix = b_key.len <= a_key.len &&
				 memcmp(a_key.step, b_key.step, b_key.len) == 0;

		ck_assert_int_eq(sign(order), sign(key_compare(&a_key, &b_key)));
		ck_assert_int_eq(sign(order), -sign(name_compare(b, a)));
		ck_assert_int_eq(order == 0, name_is_equal(a, b));
		ck_assert_int_eq(is_prefix, name_is_at_or_below(a, b));
	}
}
END_TEST

static TCase *wire_case(void)
{
	TCase *tc = tcase_create("wire");

	tcase_add_test(tc, plain_name_is_read_with_its_case);
	tcase_add_test(tc, pointers_are_followed_and_the_cursor_stays_behind_the_first);
	tcase_add_loop_test(tc, bad_name_on_the_wire_is_refused, 0, COUNT(bad_wire));
	tcase_add_test(tc, name_of_255_bytes_is_read_and_one_of_256_is_not);
	tcase_add_test(tc, compressed_name_over_255_bytes_is_refused);
	tcase_add_test(tc, chain_of_pointers_has_an_end);
	tcase_add_test(tc, labels_are_counted_and_skipped);
	tcase_add_loop_test(tc, relations_follow_rfc_4343, 0, COUNT(pairs));
	tcase_add_test(tc, lower_folds_ascii_letters_only);
	tcase_add_test(tc, lower_folds_alike_at_every_place);
	tcase_add_loop_test(tc, one_byte_makes_a_name_another, 1, 64);
	return tc;
}

static TCase *text_case(void)
{
	TCase *tc = tcase_create("text");

	tcase_add_loop_test(tc, text_is_read_and_shown_safely, 0, COUNT(texts));
	tcase_add_loop_test(tc, text_that_is_no_name_is_refused, 0, COUNT(bad_texts));
	tcase_add_test(tc, longest_text_fits_and_comes_back);
	return tc;
}

static TCase *order_case(void)
{
	TCase *tc = tcase_create("order");

	tcase_add_loop_test(tc, example_of_rfc_4034_is_in_order_in_both_forms, 0, COUNT(canonical));
	tcase_add_test(tc, bytes_of_a_label_keep_their_order_in_the_key);
	tcase_add_test(tc, key_has_one_step_for_each_byte_of_a_host_name);
	tcase_add_test(tc, longest_key_fits);
	tcase_add_loop_test(tc, keys_of_random_names_agree_with_the_names, 0, 4);
	return tc;
}

int main(void)
{
	Suite *s = suite_create("name");

	suite_add_tcase(s, wire_case());
	suite_add_tcase(s, text_case());
	suite_add_tcase(s, order_case());
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
