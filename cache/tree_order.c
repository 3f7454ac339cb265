/* SPDX-License-Identifier: ISC */
/* tree_order - what goes through a tree in canonical order: neighbours, walks, differences. */
#include "cache/tree.h"

#include "cache/priority.h"
#include "cache/random.h"
#include "cache/twig.h"

/* ---- Neighbours and walks ---- */

void *tree_first(const struct tree *t)
{
	return twig_first(&t->root)->ptr;
}

void *tree_last(const struct tree *t)
{
	return twig_last(&t->root)->ptr;
}

/*
 * Goes down beside `key`. `*before` and `*after` become the subtrees next to its place on
 * either side (NULL at an end): what lies off the path, nearest last.
 */
static void find_beside(const struct tree *t, const struct name_key *key,
			const struct twig **before, const struct twig **after)
{
	const struct twig *at = &t->root, *near = twig_nearest(at, key);

	*before = *after = NULL;
	if (twig_is_nothing(near))
		return;
	struct name_departure off = twig_compare(t, near, key);

	while (twig_is_branch(at) && twig_offset(at) <= off.at) {
		unsigned step = name_key_step(key, twig_offset(at));
		unsigned i = twig_index(at->word, step), n = twig_count(at->word);
		bool has_step = at->word & twig_bit(step);
		const struct twig *entries = twig_entries(at)->at;

		if (i > 0)
			*before = &entries[i - 1];
		if (i + has_step < n)
			*after = &entries[i + has_step];
		if (!has_step)
			return;
		at = &entries[i];
	}
	/* All below here departs from the key at one step, to one side. */
	if (off.at != NO_MISMATCH)
		*(off.step > name_key_step(key, off.at) ? after : before) = at;
}

void *tree_after(const struct tree *t, const struct name_key *key)
{
	const struct twig *before, *after;

	find_beside(t, key, &before, &after);
	return after ? twig_first(after)->ptr : NULL;
}

void *tree_before(const struct tree *t, const struct name_key *key)
{
	const struct twig *before, *after;

	find_beside(t, key, &before, &after);
	return before ? twig_last(before)->ptr : NULL;
}

void *tree_choose(const struct tree *t, struct random *random)
{
	const struct twig *at = &t->root;

	while (twig_is_branch(at))
		at = &twig_entries(at)->at[random_below(random, twig_count(at->word))];
	return at->ptr;
}

static bool walk(const struct twig *t, bool (*visit)(void *leaf, void *arg), void *arg)
{
	if (!twig_is_branch(t)) {
		priority_give_way();
		return twig_is_nothing(t) || visit(t->ptr, arg);
	}
	for (unsigned i = 0, n = twig_count(t->word); i < n; i++)
		if (!walk(&twig_entries(t)->at[i], visit, arg))
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
 * Not inlined: its key would weigh on each level of the recursion.
 */
struct split { unsigned offset, old_step, new_step; };

static __attribute__((noinline)) struct split find_split(const struct diff *d,
							 const struct twig *old,
							 const struct twig *new)
{
	struct name_departure off;
	struct name_key old_key;
	struct split s;

	name_to_key(d->ops->name(twig_first(old)->ptr), &old_key);
	off = name_key_compare(&old_key, d->ops->name(twig_first(new)->ptr));
	s.offset = off.at;
	if (twig_offset(old) < s.offset)
		s.offset = twig_offset(old);
	if (twig_offset(new) < s.offset)
		s.offset = twig_offset(new);
	s.old_step = name_key_step(&old_key, s.offset);
	s.new_step = s.offset == off.at ? off.step : s.old_step;
	return s;
}

/* The part of `t` that has `step` at `offset`: an entry, or `t` as a whole, or NULL. */
static const struct twig *part(const struct twig *t, unsigned offset, unsigned own_step,
			       unsigned step)
{
	if (twig_offset(t) != offset)
		return step == own_step ? t : NULL;
	if (!(t->word & twig_bit(step)))
		return NULL;
	return &twig_entries(t)->at[twig_index(t->word, step)];
}

static bool diff_twigs(struct diff *d, const struct twig *old, const struct twig *new)
{
	if (old->ptr == new->ptr)	/* the same leaf, or entries that are shared */
		return true;
	struct split s = find_split(d, old, new);

	priority_give_way();
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

	if (twig_is_nothing(&old->root))
		return walk(&new->root, visit_added, &d);
	if (twig_is_nothing(&new->root))
		return walk(&old->root, visit_removed, &d);
	return diff_twigs(&d, &old->root, &new->root);
}
