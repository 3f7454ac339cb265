/* SPDX-License-Identifier: ISC */
/*
 * store_save - one save, as store_save.c (what to write) and store_commit.c (writing it as one)
 * share it; nobody else includes this.
 */
#ifndef STORE_SAVE_H
#define STORE_SAVE_H

#include "cache/change.h"
#include "cache/store_parts.h"

enum save_kind { SAVE_BASE, SAVE_CHANGE };

struct store_save {
	struct store_task task;		/* first: a task is cast back to its save */
	struct section section;
	struct store_wish wish;		/* ours while it goes on; holds the generations */
	enum save_kind kind;
	unsigned attempts;
	struct store_head seen, head;	/* as decided upon, and as last looked */
	struct change *change;
	struct store_base base;
	uint64_t staged;		/* chunks that are there, says HLEN */
};

static inline struct store_save *save_of(struct store_task *t)
{
	return (struct store_save *)t;
}

static inline struct store *store_of(const struct store_save *v)
{
	return v->task.zone->store;
}

/* ---- store_save.c ---- */

/* Asks what the store says of the zone; the replies fill `head`. */
void save_look(struct store_save *v);

/* EXEC has been answered. */
void save_committed(struct store_task *t);

/* Nothing was written: something failed, or is not as it was decided upon. */
void save_abandoned(struct store_task *t);

/* ---- store_commit.c ---- */

/* The section of a save: looks again under WATCH, then MULTI ... EXEC, or UNWATCH. */
void commit_enter(struct section *x);

#endif
