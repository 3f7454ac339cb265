/* SPDX-License-Identifier: ISC */
#include "cache/tree.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/*
 * The word of a branch, from the low bit: the tag, one bit for each step that occurs, and
 * in the rest the position of the step that it tests. A leaf's word is 0, so is that of
 * the empty tree, whose ptr is NULL too.
 */
enum { TAG_BITS = 1, MAP_SHIFT = TAG_BITS, OFFSET_SHIFT = MAP_SHIFT + NAME_STEPS };

#define TAG_BRANCH	1ull
#define MAP_MASK	(((1ull << NAME_STEPS) - 1) << MAP_SHIFT)

static_assert(NAME_KEY_MAX <= 1 << (64 - OFFSET_SHIFT), "an offset fits beside the bitmap");
static_assert(sizeof(struct twig) == 16, "two words");

/*
 * The entries of one branch, in order of their steps. `refs` counts the twigs that point
 * here, in whatever trees. With a count of 1 and a parent that is ours alone, so is it:
 * that is when a change may be made in place.
 */
struct twigs {
	uint32_t refs;
	uint32_t spare;		/* keeps entries on 8 bytes without a hole */
	struct twig at[];
};

enum { NO_MISMATCH = NAME_KEY_MAX };

static inline bool is_branch(const struct twig *t)
{
	return t->word & TAG_BRANCH;
}

static inline bool is_nothing(const struct twig *t)
{
	return t->ptr == NULL;
}

/* Where a branch tests; a leaf tests nothing any more. */
static inline unsigned offset_of(const struct twig *t)
{
	return is_branch(t) ? (unsigned)(t->word >> OFFSET_SHIFT) : NO_MISMATCH;
}

static inline struct twigs *twigs_of(const struct twig *branch)
{
	return branch->ptr;
}

static inline uint64_t step_bit(unsigned step)
{
	return 1ull << (MAP_SHIFT + step);
}

static inline unsigned twig_count(uint64_t word)
{
	return (unsigned)__builtin_popcountll(word & MAP_MASK);
}

/* Entries before that of `step`: its own index, if it occurs. */
static inline unsigned twig_index(uint64_t word, unsigned step)
{
	return twig_count(word & (step_bit(step) - 1));
}

static inline struct twig branch_twig(unsigned offset, uint64_t map, struct twigs *twigs)
{
	return (struct twig){ (uint64_t)offset << OFFSET_SHIFT | map | TAG_BRANCH, twigs };
}

static inline struct twig leaf_twig(void *leaf)
{
	return (struct twig){ 0, leaf };
}

/* ---- Counting ---- */

static struct twigs *twigs_resize(struct twigs *twigs, unsigned count)
{
	twigs = realloc(twigs, sizeof(*twigs) + count * sizeof(twigs->at[0]));
	if (!twigs)
		abort();
	return twigs;
}

static struct twigs *twigs_new(unsigned count)
{
	struct twigs *twigs = twigs_resize(NULL, count);

	twigs->refs = 1;
	twigs->spare = 0;
	return twigs;
}

static void twig_hold(const struct tree_ops *ops, const struct twig *t)
{
	if (is_branch(t))
		twigs_of(t)->refs++;
	else if (!is_nothing(t))
		ops->hold(t->ptr);
}

/* Recursion is bounded: offsets grow on the way down and end below NAME_KEY_MAX. */
static void twig_drop(const struct tree_ops *ops, const struct twig *t)
{
	if (is_nothing(t))
		return;
	if (!is_branch(t)) {
		ops->drop(t->ptr);
		return;
	}
	struct twigs *twigs = twigs_of(t);

	if (--twigs->refs > 0)
		return;
	for (unsigned i = 0, n = twig_count(t->word); i < n; i++)
		twig_drop(ops, &twigs->at[i]);
	free(twigs);
}

/* Makes the entries of `branch` ours alone. `branch` itself is already. */
static void twig_unshare(const struct tree_ops *ops, struct twig *branch)
{
	struct twigs *shared = twigs_of(branch);

	if (shared->refs == 1)
		return;
	unsigned n = twig_count(branch->word);
	struct twigs *own = twigs_new(n);

	for (unsigned i = 0; i < n; i++) {
		own->at[i] = shared->at[i];
		twig_hold(ops, &own->at[i]);
	}
	shared->refs--;
	branch->ptr = own;
}

void tree_init(struct tree *t, const struct tree_ops *ops)
{
	*t = (struct tree){ .ops = ops };
}

void tree_copy(struct tree *to, const struct tree *from)
{
	*to = *from;
	twig_hold(to->ops, &to->root);
}

void tree_clear(struct tree *t)
{
	twig_drop(t->ops, &t->root);
	tree_init(t, t->ops);
}

/* ---- Finding ---- */

/* The first step at which two keys differ; NO_MISMATCH when they are equal. */
static unsigned key_mismatch(const struct name_key *a, const struct name_key *b)
{
	unsigned len = a->len < b->len ? a->len : b->len, i = 0;

	for (uint64_t x, y; i + sizeof(x) <= len; i += sizeof(x)) {
		memcpy(&x, a->step + i, sizeof(x));
		memcpy(&y, b->step + i, sizeof(y));
		if (x != y)
			break;
	}
	while (i < len && a->step[i] == b->step[i])
		i++;
	/* Past its end a key reads as 0, and no label is empty: a longer one differs. */
	return i == a->len && i == b->len ? NO_MISMATCH : i;
}

static const struct twig *first_below(const struct twig *t)
{
	while (is_branch(t))
		t = &twigs_of(t)->at[0];
	return t;
}

static const struct twig *last_below(const struct twig *t)
{
	while (is_branch(t))
		t = &twigs_of(t)->at[twig_count(t->word) - 1];
	return t;
}

/*
 * A leaf that shares with `key` as long a beginning as any does. Where the trie lacks the
 * key's step, all that is below shares the same beginning, so the first will do.
 */
static const struct twig *nearest(const struct twig *t, const struct name_key *key)
{
	while (is_branch(t)) {
		unsigned step = name_key_step(key, offset_of(t));
		const struct twigs *twigs = twigs_of(t);

		__builtin_prefetch(twigs);
		if (!(t->word & step_bit(step)))
			return first_below(t);
		t = &twigs->at[twig_index(t->word, step)];
	}
	return t;
}

/* Where `key` departs from the name of a leaf, whose key goes into `leaf_key`. */
static unsigned leaf_mismatch(const struct tree *t, const struct twig *leaf,
			      const struct name_key *key, struct name_key *leaf_key)
{
	name_to_key(t->ops->name(leaf->ptr), leaf_key);
	return key_mismatch(key, leaf_key);
}

void *tree_get(const struct tree *t, const struct name_key *key)
{
	const struct twig *leaf = nearest(&t->root, key);
	struct name_key leaf_key;

	if (is_nothing(leaf) || leaf_mismatch(t, leaf, key, &leaf_key) != NO_MISMATCH)
		return NULL;
	return leaf->ptr;
}

/*
 * The descent of nearest(), noting on the way each leaf that may be an ancestor: one whose
 * name ends (step 0) where a label of the key has ended too. Whether the key really begins
 * like that leaf shows at the end only; `at[i]` is how much of it must.
 */
static const struct twig *descend(const struct twig *t, const struct name_key *key,
				  struct tree_match *match, uint16_t at[NAME_LABELS_MAX + 1])
{
	while (is_branch(t)) {
		unsigned offset = offset_of(t), step = name_key_step(key, offset);
		const struct twigs *twigs = twigs_of(t);

		__builtin_prefetch(twigs);
		if ((t->word & step_bit(0)) && offset <= key->len &&
		    (offset == 0 || key->step[offset - 1] == 0) && !is_branch(&twigs->at[0])) {
			at[match->depth] = (uint16_t)offset;
			match->chain[match->depth++] = twigs->at[0].ptr;
		}
		if (!(t->word & step_bit(step)))
			return first_below(t);
		t = &twigs->at[twig_index(t->word, step)];
	}
	return t;
}

void tree_find(const struct tree *t, const struct name_key *key, struct tree_match *match)
{
	uint16_t at[NAME_LABELS_MAX + 1];
	struct name_key leaf_key;

	match->exact = NULL;
	match->depth = 0;
	const struct twig *leaf = descend(&t->root, key, match, at);

	if (is_nothing(leaf))
		return;
	unsigned mismatch = leaf_mismatch(t, leaf, key, &leaf_key);

	if (mismatch == NO_MISMATCH)
		match->exact = leaf->ptr;
	while (match->depth > 0 && at[match->depth - 1] > mismatch)
		match->depth--;
	/* The leaf itself is an ancestor, or exact, when nothing of its key is left over. */
	if (mismatch >= leaf_key.len &&
	    (match->depth == 0 || match->chain[match->depth - 1] != leaf->ptr))
		match->chain[match->depth++] = leaf->ptr;
}

/* ---- Changing ---- */

/*
 * Goes down to where a change at `mismatch` belongs: the first twig that tests there or
 * further on. All branches above it become ours alone.
 */
static struct twig *descend_own(struct tree *t, const struct name_key *key, unsigned mismatch)
{
	struct twig *at = &t->root;

	while (offset_of(at) < mismatch) {
		unsigned step = name_key_step(key, offset_of(at));

		twig_unshare(t->ops, at);
		at = &twigs_of(at)->at[twig_index(at->word, step)];
	}
	return at;
}

/* Puts one more entry into a branch that lacks it. */
static void branch_add(const struct tree_ops *ops, struct twig *branch, unsigned step,
		       struct twig new)
{
	unsigned n = twig_count(branch->word), i = twig_index(branch->word, step);

	twig_unshare(ops, branch);
	struct twigs *twigs = twigs_resize(twigs_of(branch), n + 1);

	memmove(&twigs->at[i + 1], &twigs->at[i], (n - i) * sizeof(twigs->at[0]));
	twigs->at[i] = new;
	branch->word |= step_bit(step);
	branch->ptr = twigs;
}

/* Puts a new branch above `at`, which lives on as one of its two entries. */
static void branch_split(struct twig *at, unsigned offset, unsigned old_step, unsigned new_step,
			 struct twig new)
{
	struct twigs *twigs = twigs_new(2);

	twigs->at[old_step > new_step] = *at;
	twigs->at[old_step < new_step] = new;
	*at = branch_twig(offset, step_bit(old_step) | step_bit(new_step), twigs);
}

void tree_put(struct tree *t, void *leaf)
{
	struct name_key key, near_key;

	name_to_key(t->ops->name(leaf), &key);
	const struct twig *near = nearest(&t->root, &key);

	if (is_nothing(near)) {
		t->root = leaf_twig(leaf);
		t->count = 1;
		return;
	}
	unsigned mismatch = leaf_mismatch(t, near, &key, &near_key);
	struct twig *at = descend_own(t, &key, mismatch);

	if (mismatch == NO_MISMATCH) {
		void *old = at->ptr;

		at->ptr = leaf;
		t->ops->drop(old);
		return;
	}
	unsigned step = name_key_step(&key, mismatch);

	if (offset_of(at) == mismatch)
		branch_add(t->ops, at, step, leaf_twig(leaf));
	else
		branch_split(at, mismatch, name_key_step(&near_key, mismatch), step, leaf_twig(leaf));
	t->count++;
}

/* Takes the entry of `step` out; of two entries the other one takes the branch's place. */
static void branch_del(struct twig *branch, unsigned step)
{
	unsigned n = twig_count(branch->word), i = twig_index(branch->word, step);
	struct twigs *twigs = twigs_of(branch);

	if (n == 2) {
		*branch = twigs->at[1 - i];
		free(twigs);
		return;
	}
	memmove(&twigs->at[i], &twigs->at[i + 1], (n - i - 1) * sizeof(twigs->at[0]));
	branch->word &= ~step_bit(step);
	branch->ptr = twigs_resize(twigs, n - 1);
}

bool tree_del(struct tree *t, const struct name_key *key)
{
	struct twig *at = &t->root, *parent = NULL;
	unsigned step = 0;

	if (!tree_get(t, key))
		return false;
	while (is_branch(at)) {
		twig_unshare(t->ops, at);
		step = name_key_step(key, offset_of(at));
		parent = at;
		at = &twigs_of(at)->at[twig_index(at->word, step)];
	}
	void *leaf = at->ptr;

	if (parent)
		branch_del(parent, step);
	else
		t->root = leaf_twig(NULL);
	t->count--;
	t->ops->drop(leaf);
	return true;
}

/* ---- Order ---- */

void *tree_first(const struct tree *t)
{
	return first_below(&t->root)->ptr;
}

void *tree_last(const struct tree *t)
{
	return last_below(&t->root)->ptr;
}

/*
 * Goes down beside `key`. `*before` and `*after` become the subtrees next to its place on
 * either side (NULL at an end): what lies off the path, nearest last.
 */
static void find_beside(const struct tree *t, const struct name_key *key,
			const struct twig **before, const struct twig **after)
{
	const struct twig *at = &t->root, *near = nearest(at, key);
	struct name_key near_key;

	*before = *after = NULL;
	if (is_nothing(near))
		return;
	unsigned mismatch = leaf_mismatch(t, near, key, &near_key);

	while (is_branch(at) && offset_of(at) <= mismatch) {
		unsigned step = name_key_step(key, offset_of(at));
		unsigned i = twig_index(at->word, step), n = twig_count(at->word);
		bool has_step = at->word & step_bit(step);
		const struct twig *entries = twigs_of(at)->at;

		if (i > 0)
			*before = &entries[i - 1];
		if (i + has_step < n)
			*after = &entries[i + has_step];
		if (!has_step)
			return;
		at = &entries[i];
	}
	/* All below here departs from the key at one step, to one side. */
	if (mismatch != NO_MISMATCH)
		*(name_key_step(&near_key, mismatch) > name_key_step(key, mismatch) ? after : before) = at;
}

void *tree_after(const struct tree *t, const struct name_key *key)
{
	const struct twig *before, *after;

	find_beside(t, key, &before, &after);
	return after ? first_below(after)->ptr : NULL;
}

void *tree_before(const struct tree *t, const struct name_key *key)
{
	const struct twig *before, *after;

	find_beside(t, key, &before, &after);
	return before ? last_below(before)->ptr : NULL;
}

static bool walk(const struct twig *t, bool (*visit)(void *leaf, void *arg), void *arg)
{
	if (!is_branch(t))
		return is_nothing(t) || visit(t->ptr, arg);
	for (unsigned i = 0, n = twig_count(t->word); i < n; i++)
		if (!walk(&twigs_of(t)->at[i], visit, arg))
			return false;
	return true;
}

bool tree_walk(const struct tree *t, bool (*visit)(void *leaf, void *arg), void *arg)
{
	return walk(&t->root, visit, arg);
}

/* ---- Differences ---- */

struct diff {
	const struct tree_ops *ops;
	bool (*visit)(void *old_leaf, void *new_leaf, void *arg);
	void *arg;
};

static bool visit_removed(void *leaf, void *arg)
{
	const struct diff *d = arg;

	return d->visit(leaf, NULL, d->arg);
}

static bool visit_added(void *leaf, void *arg)
{
	const struct diff *d = arg;

	return d->visit(NULL, leaf, d->arg);
}

/*
 * The step at which both subtrees are to be split: where either branches first, or where
 * their names depart before that. Also the step that each side's first leaf has there.
 * Not inlined: its keys would weigh on each level of the recursion.
 */
struct split { unsigned offset, old_step, new_step; };

static __attribute__((noinline)) struct split find_split(const struct diff *d,
							 const struct twig *old,
							 const struct twig *new)
{
	struct name_key old_key, new_key;
	struct split s;

	name_to_key(d->ops->name(first_below(old)->ptr), &old_key);
	name_to_key(d->ops->name(first_below(new)->ptr), &new_key);
	s.offset = key_mismatch(&old_key, &new_key);
	if (offset_of(old) < s.offset)
		s.offset = offset_of(old);
	if (offset_of(new) < s.offset)
		s.offset = offset_of(new);
	s.old_step = name_key_step(&old_key, s.offset);
	s.new_step = name_key_step(&new_key, s.offset);
	return s;
}

/* The part of `t` that has `step` at `offset`: an entry, or `t` as a whole, or NULL. */
static const struct twig *part(const struct twig *t, unsigned offset, unsigned own_step,
			       unsigned step)
{
	if (offset_of(t) != offset)
		return step == own_step ? t : NULL;
	if (!(t->word & step_bit(step)))
		return NULL;
	return &twigs_of(t)->at[twig_index(t->word, step)];
}

static bool diff_twigs(struct diff *d, const struct twig *old, const struct twig *new)
{
	if (old->ptr == new->ptr)	/* the same leaf, or entries that are shared */
		return true;
	struct split s = find_split(d, old, new);

	if (s.offset == NO_MISMATCH)	/* two leaves of one name */
		return d->visit(old->ptr, new->ptr, d->arg);
	for (unsigned step = 0; step < NAME_STEPS; step++) {
		const struct twig *was = part(old, s.offset, s.old_step, step);
		const struct twig *is = part(new, s.offset, s.new_step, step);

		if (was && is && !diff_twigs(d, was, is))
			return false;
		if (was && !is && !walk(was, visit_removed, d))
			return false;
		if (!was && is && !walk(is, visit_added, d))
			return false;
	}
	return true;
}

bool tree_diff(const struct tree *old, const struct tree *new,
	       bool (*visit)(void *old_leaf, void *new_leaf, void *arg), void *arg)
{
	struct diff d = { new->ops, visit, arg };

	if (is_nothing(&old->root))
		return walk(&new->root, visit_added, &d);
	if (is_nothing(&new->root))
		return walk(&old->root, visit_removed, &d);
	return diff_twigs(&d, &old->root, &new->root);
}
