/* SPDX-License-Identifier: ISC */
/*
 * test_tree - the tree against sorted arrays that hold the same names.
 *
 * Several trees live at a time, copied from each other, changed and cleared in random order;
 * beside each a plain array (the oracle) takes the same changes. Under ASan this also shows
 * that shared parts are freed once and not before.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cache/random.h"
#include "cache/tree.h"

enum { TREES = 6, LEAVES_MAX = 600 };

struct leaf {
	unsigned refs;
	uint8_t name[NAME_LEN_MAX];
};

struct oracle {
	size_t count;
	struct leaf *leaf[LEAVES_MAX];	/* in canonical order; borrowed from the tree */
};

static size_t live_leaves;
static struct random rnd;

static const uint8_t *leaf_name(const void *leaf)
{
	return ((const struct leaf *)leaf)->name;
}

static void leaf_hold(void *leaf)
{
	struct leaf *l = leaf;

	ck_assert_uint_gt(l->refs, 0);
	l->refs++;
}

static void leaf_drop(void *leaf)
{
	struct leaf *l = leaf;

	ck_assert_uint_gt(l->refs, 0);
	if (--l->refs == 0) {
		live_leaves--;
		free(l);
	}
}

static const struct tree_ops ops = { leaf_name, leaf_hold, leaf_drop };

static struct leaf *given_leaf(const uint8_t *name)
{
	struct leaf *l = calloc(1, sizeof(*l));

	ck_assert_ptr_nonnull(l);
	l->refs = 1;
	memcpy(l->name, name, name_len(name));
	live_leaves++;
	return l;
}

static struct leaf *given_text(const char *text)
{
	uint8_t name[NAME_LEN_MAX];

	ck_assert_uint_gt(name_from_text(text, name), 0);
	return given_leaf(name);
}

static struct name_key key_of(const char *text)
{
	uint8_t name[NAME_LEN_MAX];
	struct name_key key;

	ck_assert_uint_gt(name_from_text(text, name), 0);
	name_to_key(name, &key);
	return key;
}

/* ---- The oracle ---- */

static size_t oracle_place(const struct oracle *o, const uint8_t *name)
{
	size_t i = 0;

	while (i < o->count && name_compare(o->leaf[i]->name, name) < 0)
		i++;
	return i;
}

static struct leaf *oracle_get(const struct oracle *o, const uint8_t *name)
{
	size_t i = oracle_place(o, name);

	return i < o->count && name_is_equal(o->leaf[i]->name, name) ? o->leaf[i] : NULL;
}

static void oracle_put(struct oracle *o, struct leaf *l)
{
	size_t i = oracle_place(o, l->name);

	if (i == o->count || !name_is_equal(o->leaf[i]->name, l->name)) {
		ck_assert_uint_lt(o->count, LEAVES_MAX);
		memmove(&o->leaf[i + 1], &o->leaf[i], (o->count - i) * sizeof(l));
		o->count++;
	}
	o->leaf[i] = l;
}

static void oracle_del(struct oracle *o, const uint8_t *name)
{
	size_t i = oracle_place(o, name);

	memmove(&o->leaf[i], &o->leaf[i + 1], (o->count - i - 1) * sizeof(o->leaf[0]));
	o->count--;
}

/* ---- Random names: few labels, many of them prefixes of others or odd bytes ---- */

static void random_name(uint8_t name[NAME_LEN_MAX])
{
	static const char *const labels[] = {
		"\1a", "\1b", "\2ab", "\3abc", "\1A", "\3aBd", "\1*", "\1_", "\1-", "\2a-",
		"\1\x01", "\1\xff", "\2\xff\xfe", "\2a\x7f", "\1.", "\4host", "\5host1", "\6host10",
		"\77aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	};
	size_t len = 0;

	for (uint32_t n = random_below(&rnd, 5); n > 0 && len < NAME_LEN_MAX - 65; n--) {
		const char *label = labels[random_below(&rnd, sizeof(labels) / sizeof(labels[0]))];
		size_t label_len = 1u + (uint8_t)label[0];

		memcpy(name + len, label, label_len);
		if (random_below(&rnd, 40) == 0)
			name[len + 1] = 0;	/* a label that begins with the lowest byte */
		len += label_len;
	}
	name[len] = 0;
}

/* ---- Comparing ---- */

/* With the name at hand it finds the same. */
static void compare_ways(const struct tree *t, const uint8_t *name, const struct name_key *key,
			 const struct tree_match *match)
{
	struct tree_match other;

	tree_find_name(t, name, key, &other);
	ck_assert_ptr_eq(other.exact, match->exact);
	ck_assert_uint_eq(other.depth, match->depth);
	for (unsigned i = 0; i < match->depth; i++)
		ck_assert_ptr_eq(other.chain[i], match->chain[i]);
}

static void compare_match(const struct oracle *o, const uint8_t *name, const struct tree_match *match)
{
	unsigned depth = 0, labels = name_label_count(name);

	ck_assert_ptr_eq(match->exact, oracle_get(o, name));
	for (unsigned up = labels + 1; up-- > 0;) {
		struct leaf *l = oracle_get(o, name_skip(name, up));

		if (!l)
			continue;
		ck_assert_uint_lt(depth, match->depth);
		ck_assert_ptr_eq(match->chain[depth], l);
		depth++;
	}
	ck_assert_uint_eq(depth, match->depth);
}

static void compare_find(const struct tree *t, const struct oracle *o, const uint8_t *name)
{
	struct tree_match match;
	struct name_key key;

	name_to_key(name, &key);
	tree_find(t, &key, &match);
	ck_assert_ptr_eq(tree_get(t, &key), match.exact);
	compare_match(o, name, &match);
	compare_ways(t, name, &key, &match);
}

static void compare_neighbours(const struct tree *t, const struct oracle *o, const uint8_t *name)
{
	struct name_key key;
	size_t i = oracle_place(o, name);
	size_t after = i + (oracle_get(o, name) != NULL);

	name_to_key(name, &key);
	ck_assert_ptr_eq(tree_before(t, &key), i > 0 ? o->leaf[i - 1] : NULL);
	ck_assert_ptr_eq(tree_after(t, &key), after < o->count ? o->leaf[after] : NULL);
}

struct walk { const struct oracle *o; size_t at; };

static bool expect_next(void *leaf, void *arg)
{
	struct walk *w = arg;

	ck_assert_uint_lt(w->at, w->o->count);
	ck_assert_ptr_eq(leaf, w->o->leaf[w->at++]);
	return true;
}

static void compare_order(const struct tree *t, const struct oracle *o)
{
	struct walk w = { o, 0 };

	ck_assert(tree_walk(t, expect_next, &w));
	ck_assert_uint_eq(w.at, o->count);
	ck_assert_uint_eq(t->count, o->count);
	ck_assert_ptr_eq(tree_first(t), o->count ? o->leaf[0] : NULL);
	ck_assert_ptr_eq(tree_last(t), o->count ? o->leaf[o->count - 1] : NULL);
}

struct diff_walk { const struct oracle *old, *new; size_t i, j; };

/* Moves both oracles to the next name at which they differ. */
static bool next_difference(struct diff_walk *d, struct leaf **old, struct leaf **new)
{
	while (d->i < d->old->count || d->j < d->new->count) {
		struct leaf *a = d->i < d->old->count ? d->old->leaf[d->i] : NULL;
		struct leaf *b = d->j < d->new->count ? d->new->leaf[d->j] : NULL;
		int order = !a ? 1 : !b ? -1 : name_compare(a->name, b->name);

		d->i += order <= 0;
		d->j += order >= 0;
		*old = order <= 0 ? a : NULL;
		*new = order >= 0 ? b : NULL;
		if (*old != *new)
			return true;
	}
	return false;
}

static bool expect_difference(void *old_leaf, void *new_leaf, void *arg)
{
	struct leaf *old, *new;

	ck_assert(next_difference(arg, &old, &new));
	ck_assert_ptr_eq(old_leaf, old);
	ck_assert_ptr_eq(new_leaf, new);
	return true;
}

static void compare_diff(const struct tree *a, const struct oracle *oa, const struct tree *b,
			 const struct oracle *ob)
{
	struct diff_walk d = { oa, ob, 0, 0 };
	struct leaf *old, *new;

	ck_assert(tree_diff(a, b, expect_difference, &d));
	ck_assert(!next_difference(&d, &old, &new));
}

/* ---- Random trees ---- */

static struct tree trees[TREES];
static struct oracle oracles[TREES];

static void change_randomly(struct tree *t, struct oracle *o)
{
	uint8_t name[NAME_LEN_MAX];
	struct name_key key;

	random_name(name);
	name_to_key(name, &key);
	if (random_below(&rnd, 3) > 0 && o->count < LEAVES_MAX - 1) {
		struct leaf *l = given_leaf(name);

		oracle_put(o, l);	/* first: the tree may free the old leaf */
		tree_put(t, l);
		return;
	}
	bool was_there = oracle_get(o, name) != NULL;

	if (was_there)
		oracle_del(o, name);
	ck_assert(tree_del(t, &key) == was_there);
}

static void copy_randomly(void)
{
	uint32_t from = random_below(&rnd, TREES), to = random_below(&rnd, TREES);

	if (from == to)
		return;
	tree_clear(&trees[to]);
	tree_copy(&trees[to], &trees[from]);
	oracles[to] = oracles[from];
}

/* Names of several trees together. */
static void compare_side_by_side(void)
{
	static uint8_t names[TREE_SIDE_BY_SIDE][NAME_LEN_MAX];
	static struct name_key keys[TREE_SIDE_BY_SIDE];
	static struct tree_match found[TREE_SIDE_BY_SIDE];
	struct tree_search searches[TREE_SIDE_BY_SIDE];
	uint32_t of[TREE_SIDE_BY_SIDE], count = random_below(&rnd, TREE_SIDE_BY_SIDE + 1);

	for (unsigned i = 0; i < count; i++) {
		of[i] = random_below(&rnd, TREES);
		random_name(names[i]);
		name_to_key(names[i], &keys[i]);
		searches[i].tree = &trees[of[i]];
		searches[i].key = &keys[i];
		searches[i].name = names[i];
		searches[i].name_len = name_len(names[i]);
		searches[i].match = &found[i];
	}
	tree_find_each(searches, count);
	for (unsigned i = 0; i < count; i++)
		compare_match(&oracles[of[i]], names[i], &found[i]);
}

static void compare_randomly(void)
{
	uint32_t i = random_below(&rnd, TREES), other = random_below(&rnd, TREES);
	uint8_t name[NAME_LEN_MAX];

	for (int n = 0; n < 30; n++) {
		random_name(name);
		compare_find(&trees[i], &oracles[i], name);
		compare_neighbours(&trees[i], &oracles[i], name);
	}
	compare_side_by_side();
	compare_order(&trees[i], &oracles[i]);
	compare_diff(&trees[i], &oracles[i], &trees[other], &oracles[other]);
}

START_TEST(trees_and_their_copies_agree_with_arrays)
{
	random_init_seeded(&rnd, 20240601u + (unsigned)_i);
	for (int i = 0; i < TREES; i++)
		tree_init(&trees[i], &ops);
	for (int turn = 0; turn < 5000; turn++) {
		uint32_t i = random_below(&rnd, TREES);

		change_randomly(&trees[i], &oracles[i]);
		if (turn % 60 == 0)
			copy_randomly();
		if (turn % 700 == 0) {
			tree_clear(&trees[i]);
			oracles[i].count = 0;
		}
		if (turn % 20 == 0)
			compare_randomly();
	}
	for (uint32_t left = TREES, at = random_below(&rnd, TREES); left > 0; left--)
		tree_clear(&trees[at++ % TREES]);
	ck_assert_uint_eq(live_leaves, 0);
}
END_TEST

/* ---- In order, more or less ---- */

static unsigned labels_shared(const uint8_t *a, const uint8_t *b)
{
	unsigned i = name_label_count(a), j = name_label_count(b), n = 0;

	while (n < i && n < j && name_label_is_equal(name_skip(a, i - n - 1), name_skip(b, j - n - 1)))
		n++;
	return n;
}

/* What is known of a name before it is put; returns whether anything is. */
static bool compare_path(const struct tree_path *path, const struct oracle *o, const uint8_t *name,
			 bool is_last_known)
{
	bool is_behind = o->count > 0 && oracle_place(o, name) == o->count;
	struct name_key key;
	unsigned labels;

	name_to_key(name, &key);
	ck_assert_int_eq(tree_path_ends_before(path, &key, &labels), is_behind && is_last_known);
	if (!is_behind || !is_last_known)
		return false;
	ck_assert_uint_eq(labels, labels_shared(name, o->leaf[o->count - 1]->name));
	return true;
}

/* `disorder` in a hundred come out of order, or once more. */
static void put_in_order(uint32_t disorder)
{
	static struct oracle sorted, held;
	static struct tree_path path;
	bool is_last_known = false;
	unsigned known = 0;
	struct name_key key;
	struct tree t;

	tree_init(&t, &ops);
	memset(&path, 0, sizeof(path));
	sorted.count = held.count = 0;
	while (sorted.count < LEAVES_MAX / 2) {
		uint8_t name[NAME_LEN_MAX];

		random_name(name);
		if (!oracle_get(&sorted, name))
			oracle_put(&sorted, given_leaf(name));
	}
	for (size_t i = 0; i < sorted.count; i++) {
		size_t from = random_below(&rnd, 100) < disorder ? random_below(&rnd, (uint32_t)sorted.count) : i;
		struct leaf *l = given_leaf(sorted.leaf[from]->name);

		known += compare_path(&path, &held, l->name, is_last_known);
		oracle_put(&held, l);
		name_to_key(l->name, &key);
		tree_put_next(&t, &path, l, &key);	/* frees the one that it takes the place of */
		is_last_known = held.leaf[held.count - 1] == l;
	}
	ck_assert_uint_ge(known, disorder == 0 ? sorted.count - 1 : 1);
	compare_order(&t, &held);
	for (size_t i = 0; i < sorted.count; i++) {
		compare_find(&t, &held, sorted.leaf[i]->name);
		leaf_drop(sorted.leaf[i]);
	}
	tree_clear(&t);
	ck_assert_uint_eq(live_leaves, 0);
}

START_TEST(names_put_in_order_make_the_same_tree)
{
	random_init_seeded(&rnd, 20261127u + (unsigned)_i);
	put_in_order(0);
	put_in_order(1);
	put_in_order(30);
}
END_TEST

/* ---- By hand ---- */

static struct tree tree;

static void setup(void)
{
	tree_init(&tree, &ops);
}

static void teardown(void)
{
	tree_clear(&tree);
	ck_assert_uint_eq(live_leaves, 0);
}

START_TEST(empty_tree_has_nothing)
{
	struct name_key key = key_of("example.com.");
	struct tree_match match;

	tree_find(&tree, &key, &match);
	ck_assert_ptr_null(match.exact);
	ck_assert_uint_eq(match.depth, 0);
	ck_assert_ptr_null(tree_get(&tree, &key));
	ck_assert_ptr_null(tree_first(&tree));
	ck_assert_ptr_null(tree_last(&tree));
	ck_assert_ptr_null(tree_after(&tree, &key));
	ck_assert_ptr_null(tree_before(&tree, &key));
	ck_assert(!tree_del(&tree, &key));
}
END_TEST

START_TEST(root_name_is_an_ancestor_of_all)
{
	struct tree_match match;
	struct name_key key = key_of("a.b.c.");

	tree_put(&tree, given_text("."));
	tree_find(&tree, &key, &match);
	ck_assert_uint_eq(match.depth, 1);
	tree_put(&tree, given_text("c."));
	tree_put(&tree, given_text("d."));
	tree_find(&tree, &key, &match);
	ck_assert_ptr_null(match.exact);
	ck_assert_uint_eq(match.depth, 2);
	ck_assert_uint_eq(*leaf_name(match.chain[0]), 0);
	key = key_of(".");
	tree_find(&tree, &key, &match);
	ck_assert_uint_eq(match.depth, 1);
	ck_assert_ptr_eq(match.exact, match.chain[0]);
}
END_TEST

/* "ex" is a beginning of "example" as text, and no ancestor. */
START_TEST(label_that_begins_another_is_no_ancestor)
{
	struct name_key key = key_of("www.example.com.");
	struct tree_match match;

	tree_put(&tree, given_text("ex.com."));
	tree_put(&tree, given_text("www.ex.com."));
	tree_put(&tree, given_text("com."));
	tree_find(&tree, &key, &match);
	ck_assert_uint_eq(match.depth, 1);
	ck_assert_uint_eq(*leaf_name(match.chain[0]), 3);
}
END_TEST

START_TEST(longest_chain_fits)
{
	uint8_t name[NAME_LEN_MAX];
	struct name_key key;
	struct tree_match match;

	for (unsigned i = 0; i < NAME_LABELS_MAX; i++)
		memcpy(name + 2 * i, "\1a", 2);
	name[2 * NAME_LABELS_MAX] = 0;
	for (unsigned up = 0; up <= NAME_LABELS_MAX; up++)
		tree_put(&tree, given_leaf(name_skip(name, up)));
	name_to_key(name, &key);
	tree_find(&tree, &key, &match);
	ck_assert_uint_eq(match.depth, NAME_LABELS_MAX + 1);
	ck_assert_ptr_eq(match.exact, match.chain[NAME_LABELS_MAX]);
}
END_TEST

START_TEST(names_differ_by_case_only_are_one)
{
	struct name_key key = key_of("WWW.example.COM.");
	struct leaf *l = given_text("www.EXAMPLE.com.");

	tree_put(&tree, given_text("www.example.com."));
	tree_put(&tree, l);
	ck_assert_uint_eq(tree.count, 1);
	ck_assert_ptr_eq(tree_get(&tree, &key), l);
}
END_TEST

START_TEST(copy_does_not_see_later_changes)
{
	struct name_key key = key_of("b.");
	struct tree copy;

	tree_put(&tree, given_text("a."));
	tree_put(&tree, given_text("b."));
	tree_copy(&copy, &tree);
	ck_assert(tree_del(&copy, &key));
	tree_put(&copy, given_text("c."));
	ck_assert_ptr_nonnull(tree_get(&tree, &key));
	ck_assert_uint_eq(tree.count, 2);
	ck_assert_uint_eq(copy.count, 2);
	tree_clear(&copy);
}
END_TEST

static bool stop_at_once(void *leaf, void *arg)
{
	(void)leaf;
	++*(int *)arg;
	return false;
}

START_TEST(walk_stops_when_told)
{
	int calls = 0;

	tree_put(&tree, given_text("a."));
	tree_put(&tree, given_text("b."));
	ck_assert(!tree_walk(&tree, stop_at_once, &calls));
	ck_assert_int_eq(calls, 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tree");
	TCase *hand = tcase_create("by hand"), *random = tcase_create("random");

	tcase_add_checked_fixture(hand, setup, teardown);
	tcase_add_test(hand, empty_tree_has_nothing);
	tcase_add_test(hand, root_name_is_an_ancestor_of_all);
	tcase_add_test(hand, label_that_begins_another_is_no_ancestor);
	tcase_add_test(hand, longest_chain_fits);
	tcase_add_test(hand, names_differ_by_case_only_are_one);
	tcase_add_test(hand, copy_does_not_see_later_changes);
	tcase_add_test(hand, walk_stops_when_told);
	suite_add_tcase(s, hand);
	tcase_set_timeout(random, 120);
	tcase_add_loop_test(random, trees_and_their_copies_agree_with_arrays, 0, 6);
	tcase_add_loop_test(random, names_put_in_order_make_the_same_tree, 0, 20);
	suite_add_tcase(s, random);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
