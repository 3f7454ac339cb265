/* SPDX-License-Identifier: ISC */
/*
 * twig - how the entries of a tree lie in memory: for tree.c and tree_order.c alone.
 *
 * Purpose:  one-line accessors, so that no shift or mask stands anywhere else, and the descent
 *           that both files begin with.
 * Not here: counting and changing (tree.c), order and differences (tree_order.c).
 * Threads:  reads only.
 * Memory:   none.
 */
#ifndef TWIG_H
#define TWIG_H

#include <assert.h>

#include "cache/tree.h"

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
	uint32_t room;		/* for how many entries: as many as there are, but while names come in order */
	struct twig at[];
};

enum { NO_MISMATCH = NAME_KEY_MAX };

static inline bool twig_is_branch(const struct twig *t)
{
	return t->word & TAG_BRANCH;
}

static inline bool twig_is_nothing(const struct twig *t)
{
	return t->ptr == NULL;
}

/* Where a branch tests; a leaf tests nothing any more. */
static inline unsigned twig_offset(const struct twig *t)
{
	return twig_is_branch(t) ? (unsigned)(t->word >> OFFSET_SHIFT) : NO_MISMATCH;
}

static inline struct twigs *twig_entries(const struct twig *branch)
{
	return branch->ptr;
}

static inline uint64_t twig_bit(unsigned step)
{
	return 1ull << (MAP_SHIFT + step);
}

static inline unsigned twig_count(uint64_t word)
{
	const uint64_t each = 0x0101010101010101u;

	/* Bits of pairs, fours, eights; their sum. The builtin is a call where all CPUs are meant. */
	word &= MAP_MASK;
	word -= word >> 1 & 0x55 * each;
	word = (word & 0x33 * each) + (word >> 2 & 0x33 * each);
	word = (word + (word >> 4)) & 0x0f * each;
	return (unsigned)(word * each >> 56);
}

/* Entries before that of `step`: its own index, if it occurs. */
static inline unsigned twig_index(uint64_t word, unsigned step)
{
	return twig_count(word & (twig_bit(step) - 1));
}

static inline struct twig branch_twig(unsigned offset, uint64_t map, struct twigs *twigs)
{
	return (struct twig){ (uint64_t)offset << OFFSET_SHIFT | map | TAG_BRANCH, twigs };
}

static inline struct twig leaf_twig(void *leaf)
{
	return (struct twig){ 0, leaf };
}

static inline const struct twig *twig_first(const struct twig *t)
{
	while (twig_is_branch(t))
		t = &twig_entries(t)->at[0];
	return t;
}

static inline const struct twig *twig_last(const struct twig *t)
{
	while (twig_is_branch(t))
		t = &twig_entries(t)->at[twig_count(t->word) - 1];
	return t;
}

/*
 * A leaf that shares with `key` as long a beginning as any does. Where the trie lacks the
 * key's step, all that is below shares the same beginning, so the first will do.
 */
static inline const struct twig *twig_nearest(const struct twig *t, const struct name_key *key)
{
	while (twig_is_branch(t)) {
		unsigned step = name_key_step(key, twig_offset(t));

		if (!(t->word & twig_bit(step)))
			return twig_first(t);
		t = &twig_entries(t)->at[twig_index(t->word, step)];
	}
	return t;
}

/* Where the name of a leaf departs from `key`; NO_MISMATCH when it is the key's. */
static inline struct name_departure twig_compare(const struct tree *t, const struct twig *leaf,
						 const struct name_key *key)
{
	return name_key_compare(key, t->ops->name(leaf->ptr));
}

#endif
