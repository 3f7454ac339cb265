/* SPDX-License-Identifier: ISC */
#include "cache/tree.h"

#include <stdlib.h>
#include <string.h>

#include "cache/memory.h"
#include "cache/twig.h"

enum { LINE_LEN = 64 };		/* what memory brings at a time */

/* ---- Counting ---- */

static struct twigs *twigs_resize(struct twigs *twigs, unsigned room)
{
	twigs = memory_bulk_resize(twigs, sizeof(*twigs) + room * sizeof(twigs->at[0]));
	twigs->room = room;
	return twigs;
}

static struct twigs *twigs_new(unsigned count)
{
	struct twigs *twigs = twigs_resize(NULL, count);

	twigs->refs = 1;
	return twigs;
}

static void twig_hold(const struct tree_ops *ops, const struct twig *t)
{
	if (twig_is_branch(t))
		twig_entries(t)->refs++;
	else if (!twig_is_nothing(t))
		ops->hold(t->ptr);
}

/* Recursion is bounded: offsets grow on the way down and end below NAME_KEY_MAX. */
static void twig_drop(const struct tree_ops *ops, const struct twig *t)
{
	if (twig_is_nothing(t))
		return;
	if (!twig_is_branch(t)) {
		ops->drop(t->ptr);
		return;
	}
	struct twigs *twigs = twig_entries(t);
	unsigned n = twig_count(t->word);

	if (--twigs->refs > 0)
		return;
	for (unsigned i = 0; i < n; i++)	/* the counts of all come from memory at a time */
		__builtin_prefetch(twigs->at[i].ptr, 1);
	for (unsigned i = 0; i < n; i++)
		twig_drop(ops, &twigs->at[i]);
	free(twigs);
}

/* Makes the entries of `branch` ours alone. `branch` itself is already. */
static void twig_unshare(const struct tree_ops *ops, struct twig *branch)
{
	struct twigs *shared = twig_entries(branch);

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

void *tree_get(const struct tree *t, const struct name_key *key)
{
	const struct twig *leaf = twig_nearest(&t->root, key);

	if (twig_is_nothing(leaf) || twig_compare(t, leaf, key).at != NO_MISMATCH)
		return NULL;
	return leaf->ptr;
}

/*
 * One step towards a leaf that shares with the key as long a beginning as any does. Each leaf on the
 * way that may be an ancestor is noted: one whose name ends (step 0) where a label of the key has ended
 * too; and of it where its entry lies, for that may not have come from memory yet. What is noted after
 * a step that the trie lacks ends behind the departure: settle_by_key() drops it. False: at a leaf, or
 * in an empty tree.
 */
static bool step_down(struct tree_search *s)
{
	const struct twig *t = s->at, *first;
	const struct name_key *key = s->key;
	unsigned offset, step;

	if (!twig_is_branch(t))
		return false;
	first = twig_entries(t)->at;
	offset = twig_offset(t);
	step = name_key_step(key, offset);
	if ((t->word & twig_bit(0)) && offset <= key->len &&
	    (offset == 0 || key->step[offset - 1] == 0)) {
		__builtin_prefetch(first);
		s->ends[s->match->depth] = (uint16_t)offset;
		s->match->chain[s->match->depth++] = (void *)(uintptr_t)first;
	}
	s->at = t->word & twig_bit(step) ? &first[twig_index(t->word, step)] : first;
	return true;
}

/* The entries that were noted become their leaves; one that is a branch ends no name. */
static void resolve_chain(struct tree_search *s)
{
	struct tree_match *match = s->match;
	unsigned depth = 0;

	for (unsigned i = 0; i < match->depth; i++) {
		const struct twig *entry = match->chain[i];

		if (twig_is_branch(entry))
			continue;
		s->ends[depth] = s->ends[i];
		match->chain[depth++] = entry->ptr;
	}
	match->depth = depth;
}

static void end_at_leaf(struct tree_match *match, void *leaf)
{
	if (match->depth == 0 || match->chain[match->depth - 1] != leaf)
		match->chain[match->depth++] = leaf;
}

/* What was noted beyond the place where the key departs from the leaf is no ancestor. */
static void settle_by_key(struct tree_search *s)
{
	struct tree_match *match = s->match;
	struct name_departure off = twig_compare(s->tree, s->at, s->key);

	if (off.at == NO_MISMATCH)
		match->exact = s->at->ptr;
	while (match->depth > 0 && s->ends[match->depth - 1] > off.at)
		match->depth--;
	if (off.is_over)
		end_at_leaf(match, s->at->ptr);
}

/* Whether the key really begins like what was noted on the way shows at the leaf only. */
static void settle(struct tree_search *s)
{
	const uint8_t *leaf_name;
	size_t leaf_len;

	if (twig_is_nothing(s->at))
		return;
	resolve_chain(s);
	leaf_name = s->tree->ops->name(s->at->ptr);
	leaf_len = name_len(leaf_name);
	if (!s->name || !name_ends_with(s->name, s->name_len, leaf_name, leaf_len)) {
		settle_by_key(s);
		return;
	}
	/* Whatever was noted on the way to an ancestor, or to the name itself, lies above it. */
	if (s->name_len == leaf_len)
		s->match->exact = s->at->ptr;
	end_at_leaf(s->match, s->at->ptr);
}

static void begin_search(struct tree_search *s)
{
	s->match->exact = NULL;
	s->match->depth = 0;
	s->at = &s->tree->root;
}

void tree_find(const struct tree *t, const struct name_key *key, struct tree_match *match)
{
	tree_find_name(t, NULL, key, match);
}

void tree_find_name(const struct tree *t, const uint8_t *name, const struct name_key *key,
		    struct tree_match *match)
{
	struct tree_search s;

	s.tree = t;
	s.key = key;
	s.name = name;
	s.name_len = name ? name_len(name) : 0;
	s.match = match;
	begin_search(&s);
	while (step_down(&s))
		;
	settle(&s);
}

/* What settle() reads. */
static void foresee_leaf(const struct twig *leaf)
{
	if (twig_is_nothing(leaf))
		return;
	__builtin_prefetch(leaf->ptr);
	__builtin_prefetch((const char *)leaf->ptr + LINE_LEN);
}

void tree_find_each(struct tree_search *searches, unsigned count)
{
	struct tree_search *under_way[TREE_SIDE_BY_SIDE];
	unsigned left = count;

	assert(count <= TREE_SIDE_BY_SIDE);
	for (unsigned i = 0; i < count; i++) {
		begin_search(&searches[i]);
		under_way[i] = &searches[i];
	}
	while (left > 0) {
		unsigned n = left;

		left = 0;
		for (unsigned i = 0; i < n; i++) {
			struct tree_search *s = under_way[i];

			if (step_down(s)) {
				__builtin_prefetch(s->at);
				under_way[left++] = s;
			} else {
				foresee_leaf(s->at);
			}
		}
	}
	for (unsigned i = 0; i < count; i++)
		settle(&searches[i]);
}

/* ---- Changing ---- */

/*
 * Goes down to where a change at `mismatch` belongs: the first twig that tests there or
 * further on. All branches above it become ours alone.
 */
static struct twig *descend_own(struct tree *t, const struct name_key *key, unsigned mismatch)
{
	struct twig *at = &t->root;

	while (twig_offset(at) < mismatch) {
		unsigned step = name_key_step(key, twig_offset(at));

		twig_unshare(t->ops, at);
		at = &twig_entries(at)->at[twig_index(at->word, step)];
	}
	return at;
}

/* Puts one more entry into a branch that lacks it. */
static void branch_add(const struct tree_ops *ops, struct twig *branch, unsigned step,
		       struct twig new)
{
	unsigned n = twig_count(branch->word), i = twig_index(branch->word, step);

	twig_unshare(ops, branch);
	struct twigs *twigs = twigs_resize(twig_entries(branch), n + 1);

	memmove(&twigs->at[i + 1], &twigs->at[i], (n - i) * sizeof(twigs->at[0]));
	twigs->at[i] = new;
	branch->word |= twig_bit(step);
	branch->ptr = twigs;
}

/* Puts a new branch above `at`, which lives on as one of its two entries. */
static void branch_split(struct twig *at, unsigned offset, unsigned old_step, unsigned new_step,
			 struct twig new)
{
	struct twigs *twigs = twigs_new(2);

	twigs->at[old_step > new_step] = *at;
	twigs->at[old_step < new_step] = new;
	*at = branch_twig(offset, twig_bit(old_step) | twig_bit(new_step), twigs);
}

static void put_at(struct tree *t, void *leaf, const struct name_key *key)
{
	const struct twig *near = twig_nearest(&t->root, key);

	if (twig_is_nothing(near)) {
		t->root = leaf_twig(leaf);
		t->count = 1;
		return;
	}
	struct name_departure off = twig_compare(t, near, key);
	struct twig *at = descend_own(t, key, off.at);

	if (off.at == NO_MISMATCH) {
		void *old = at->ptr;

		at->ptr = leaf;
		t->ops->drop(old);
		return;
	}
	/* It goes where a leaf of the tree departs from it: into the branch there, or a new one. */
	if (twig_offset(at) == off.at)
		branch_add(t->ops, at, name_key_step(key, off.at), leaf_twig(leaf));
	else
		branch_split(at, off.at, off.step, name_key_step(key, off.at), leaf_twig(leaf));
	t->count++;
}

void tree_put(struct tree *t, void *leaf)
{
	struct name_key key;

	name_to_key(t->ops->name(leaf), &key);
	put_at(t, leaf, &key);
}

/* ---- Putting in order ---- */

static bool is_behind(const struct tree_path *path, const struct name_key *key, unsigned at)
{
	return path->depth > 0 && name_key_step(key, at) > name_key_step(&path->key, at);
}

bool tree_path_ends_before(const struct tree_path *path, const struct name_key *key,
			   unsigned *labels)
{
	unsigned at = name_key_departure(&path->key, key);

	if (!is_behind(path, key, at))
		return false;
	*labels = name_key_labels(key, at);
	return true;
}

static void path_end(struct tree_path *path, unsigned depth, struct twig *leaf,
		     const struct name_key *key)
{
	path->at[depth] = leaf;
	path->depth = depth + 1;
	path->key.len = key->len;
	path->key.label_count = key->label_count;
	memcpy(path->key.step, key->step, key->len);
}

/* Not known when another leaf is the last one. */
static void path_find(struct tree *t, struct tree_path *path, const void *leaf,
		      const struct name_key *key)
{
	struct twig *at = &t->root;
	unsigned depth = 0;

	for (; twig_is_branch(at); at = &twig_entries(at)->at[twig_count(at->word) - 1])
		path->at[depth++] = at;
	path->depth = 0;
	if (at->ptr == leaf)
		path_end(path, depth, at, key);
}

/* One more entry behind all others. A branch on the path has room for as many as will come, mostly. */
static void branch_append(struct twig *branch, unsigned step, struct twig new)
{
	unsigned n = twig_count(branch->word);
	struct twigs *twigs = twig_entries(branch);

	if (n == twigs->room)
		twigs = twigs_resize(twigs, 2 * n);
	twigs->at[n] = new;
	branch->word |= twig_bit(step);
	branch->ptr = twigs;
}

/* Nothing more comes to the branches of the path that test behind `offset`. */
static void path_fit(struct tree_path *path, unsigned offset)
{
	for (unsigned i = path->depth; i-- > 0 && twig_offset(path->at[i]) > offset;) {
		struct twig *branch = path->at[i];

		if (twig_is_branch(branch) && twig_entries(branch)->room > twig_count(branch->word))
			branch->ptr = twigs_resize(twig_entries(branch), twig_count(branch->word));
	}
}

void tree_put_next(struct tree *t, struct tree_path *path, void *leaf, const struct name_key *key)
{
	unsigned depth = path->depth, offset = name_key_departure(&path->key, key);

	if (!is_behind(path, key, offset)) {
		path_fit(path, 0);
		put_at(t, leaf, key);
		path_find(t, path, leaf, key);
		return;
	}
	/* No leaf shares more with it than the last one does. */
	while (depth > 1 && twig_offset(path->at[depth - 2]) >= offset)
		depth--;
	struct twig *at = path->at[depth - 1];

	path_fit(path, offset);
	if (twig_offset(at) == offset)
		branch_append(at, name_key_step(key, offset), leaf_twig(leaf));
	else
		branch_split(at, offset, name_key_step(&path->key, offset), name_key_step(key, offset), leaf_twig(leaf));
	t->count++;
	path_end(path, depth, &twig_entries(at)->at[twig_count(at->word) - 1], key);
}

/* ---- Removing ---- */

/* Takes the entry of `step` out; of two entries the other one takes the branch's place. */
static void branch_del(struct twig *branch, unsigned step)
{
	unsigned n = twig_count(branch->word), i = twig_index(branch->word, step);
	struct twigs *twigs = twig_entries(branch);

	if (n == 2) {
		*branch = twigs->at[1 - i];
		free(twigs);
		return;
	}
	memmove(&twigs->at[i], &twigs->at[i + 1], (n - i - 1) * sizeof(twigs->at[0]));
	branch->word &= ~twig_bit(step);
	branch->ptr = twigs_resize(twigs, n - 1);
}

bool tree_del(struct tree *t, const struct name_key *key)
{
	struct twig *at = &t->root, *parent = NULL;
	unsigned step = 0;

	if (!tree_get(t, key))
		return false;
	while (twig_is_branch(at)) {
		twig_unshare(t->ops, at);
		step = name_key_step(key, twig_offset(at));
		parent = at;
		at = &twig_entries(at)->at[twig_index(at->word, step)];
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
