/* SPDX-License-Identifier: ISC */
/*
 * tree - an ordered, persistent map from domain names to leaves.
 *
 * Purpose:  one descent finds the leaf of a name and all of its ancestors that exist;
 *           walks go in canonical order (RFC 4034 s.6.1); a changed tree shares with its
 *           predecessor every part off the changed path.
 * Not here: what a leaf holds (node.h: records; plan.c: zones and their pools).
 *
 * The tree is a popcount-compressed radix trie over the lookup form (name.h). A branch
 * tests one step of the key and keeps a bitmap of the steps that occur and one packed
 * array ("twigs") with an entry for each:
 *
 *                  [step 4: c o m . e | n o ...]          branch: bitmap {e, o}
 *                     /                \
 *          [step 11: . | w w w ...]    leaf org.          bit 0 is "the name ends here":
 *             /           \                               its leaf is an ancestor of all
 *      leaf example.com.  leaf www.example.com.           other entries of that branch
 *
 * Twigs are counted references: a copy of a tree costs one count, and a change copies the
 * twigs on its path only (those shared with another tree). Two million names take about
 * 22 bytes each here, leaves apart.
 *
 * Owns:     the twigs, and through ops->hold/drop its references to leaves.
 * Threads:  changes, tree_copy() and tree_clear() in one thread only; a published tree
 *           is immutable and may be read by all until the owner has waited (rcu.h).
 * Memory:   changes allocate; failure to allocate aborts. Lookups allocate nothing.
 * Failure:  NULL is "no such name".
 */
#ifndef TREE_H
#define TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/name.h"

struct random;

struct tree_ops {
	const uint8_t *(*name)(const void *leaf);	/* the leaf's name, wire form */
	void (*hold)(void *leaf);	/* one more tree refers to the leaf */
	void (*drop)(void *leaf);	/* one fewer; frees it at none */
};

/* One entry: a branch (low bit of `word` set) or a leaf. Only twig.h looks inside. */
struct twig {
	uint64_t word;
	void *ptr;
};

struct tree {
	const struct tree_ops *ops;
	struct twig root;	/* all zero: empty */
	size_t count;		/* leaves */
};

/* Where a name fell. Valid as long as the tree. */
struct tree_match {
	void *exact;		/* NULL when the name is not there */
	unsigned depth;		/* entries in `chain` */
	void *chain[NAME_LABELS_MAX + 1];
	/* the leaves at or above the name that exist, the topmost first; the last is
	 * the closest encloser, or `exact` itself. Only [0 .. depth-1] is written. */
};

void tree_init(struct tree *t, const struct tree_ops *ops);

/* `to` becomes a second tree with the same leaves, in O(1). */
void tree_copy(struct tree *to, const struct tree *from);

/* Drops every reference; the tree is empty afterwards. */
void tree_clear(struct tree *t);

void tree_find(const struct tree *t, const struct name_key *key, struct tree_match *match);

/* The same, cheaper when something stands there: `name` is what `key` was made of. */
void tree_find_name(const struct tree *t, const uint8_t *name, const struct name_key *key,
		    struct tree_match *match);

/*
 * One of several searches that go down side by side: what one reads next is on its way from memory
 * while the others take their step. The caller sets the first five; what they point to outlives it.
 */
struct tree_search {
	const struct tree *tree;
	const struct name_key *key;
	const uint8_t *name;		/* as for tree_find_name() */
	size_t name_len;
	struct tree_match *match;	/* the result */
	const struct twig *at;
	uint16_t ends[NAME_LABELS_MAX + 1];	/* of each in match->chain: where it ends in the key */
};

/* More than memory brings at a time are of no use, and they shall all stay near. */
enum { TREE_SIDE_BY_SIDE = 16 };

/* As tree_find_name() for each; `count` is at most TREE_SIDE_BY_SIDE. */
void tree_find_each(struct tree_search *searches, unsigned count);

/* Only the leaf of exactly this name; cheaper than tree_find(). NULL if none. */
void *tree_get(const struct tree *t, const struct name_key *key);

/* Puts `leaf` at its name; takes one reference that the caller held; drops the old one. */
void tree_put(struct tree *t, void *leaf);

/*
 * The way to the last leaf of all, for who puts names in order into a tree that shares nothing:
 * neither does a put go down there again, nor need he ask for what cannot be there. All zero: not
 * known. tree_put_next() keeps it; after any other change it has to be zeroed.
 */
struct tree_path {
	unsigned depth;		/* 0: not known */
	struct twig *at[NAME_KEY_MAX + 1];	/* from the root to the leaf */
	struct name_key key;	/* the leaf's */
};

/* As tree_put(), and cheaper for a name that comes behind all others. `key` is that of the leaf's name. */
void tree_put_next(struct tree *t, struct tree_path *path, void *leaf, const struct name_key *key);

/*
 * True when `key` is known to come behind all names of the tree; *labels is then how many of its
 * labels, from the root, the last name has, too: there its closest encloser is, when all
 * ancestors of a name are in the tree with it.
 */
bool tree_path_ends_before(const struct tree_path *path, const struct name_key *key,
			   unsigned *labels);

/* Removes the leaf of this name. False when there was none. */
bool tree_del(struct tree *t, const struct name_key *key);

/*
 * Neighbours in canonical order. `after` and `before` are strict and need not be names
 * of the tree; NULL at the ends. tree_first() of an empty tree is NULL.
 */
void *tree_first(const struct tree *t);
void *tree_last(const struct tree *t);
void *tree_after(const struct tree *t, const struct name_key *key);
void *tree_before(const struct tree *t, const struct name_key *key);

/*
 * Some leaf, by a random way down: each entry of a branch has the same chance, so that leaves
 * deep in a crowd have less than those that stand alone. NULL when the tree is empty.
 */
void *tree_choose(const struct tree *t, struct random *random);

/* Calls `visit` for every leaf in order until it returns false. False if stopped. */
bool tree_walk(const struct tree *t, bool (*visit)(void *leaf, void *arg), void *arg);

/*
 * Calls `visit` for each name at which two trees differ: old or new leaf NULL when the
 * name is in one only, both when the leaves are different objects. Parts that both
 * trees share are skipped whole, so the cost is that of the changes. In canonical
 * order. False when `visit` stopped it.
 */
bool tree_diff(const struct tree *old, const struct tree *new,
	       bool (*visit)(void *old_leaf, void *new_leaf, void *arg), void *arg);

#endif
