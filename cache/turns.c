/* SPDX-License-Identifier: ISC */
#include "cache/turns.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/memory.h"

enum { LANES_MAX = 1024 };	/* twice as many as there are backends */

struct queue {
	struct turn *first, *last;
};

/* One primary. */
struct lane {
	struct address primary;
	struct tls_profile *tls;
	struct queue waiting[TURN_KINDS];
	unsigned busy[TURN_KINDS];
	unsigned users;			/* turns that wait or have a place */
	uint64_t mute_until_us;
	char reason[TURNS_REASON_MAX];
	struct lane *next;		/* a ring */
};

struct turns {
	unsigned most[TURN_KINDS], most_each[TURN_KINDS];
	unsigned busy[TURN_KINDS];
	size_t waiting, lanes;
	struct lane *at;		/* whose turn is next; NULL: no lane */
};

struct turns *turns_new(const struct turns_limits *limits)
{
	struct turns *t = memory_zeroed(1, sizeof(*t));

	assert(limits->transfers > 0 && limits->transfers_each > 0);
	t->most[TURN_CHECK] = TURNS_CHECKS;
	t->most_each[TURN_CHECK] = TURNS_CHECKS_EACH;
	t->most[TURN_TRANSFER] = limits->transfers;
	t->most_each[TURN_TRANSFER] = limits->transfers_each;
	return t;
}

/* ---- Lanes ---- */

void turns_free(struct turns *t)
{
	for (; t && t->lanes > 0; t->lanes--) {
		struct lane *l = t->at;

		t->at = l->next;
		tls_profile_free(l->tls);
		free(l);
	}
	free(t);
}

static bool is_lane_of(const struct lane *l, const struct address *primary,
		       const struct tls_profile *tls)
{
	return address_is_equal(&l->primary, primary) && tls_profile_is_equal(l->tls, tls);
}

static struct lane *lane_find(const struct turns *t, const struct address *primary,
			      const struct tls_profile *tls)
{
	struct lane *l = t->at;

	for (size_t i = 0; i < t->lanes; i++, l = l->next)
		if (is_lane_of(l, primary, tls))
			return l;
	return NULL;
}

/* One that nobody uses: after reloads it may be of the past. */
static struct lane *lane_unused(const struct turns *t)
{
	struct lane *l = t->at;

	for (size_t i = 0; i < t->lanes; i++, l = l->next)
		if (l->users == 0)
			return l;
	return NULL;
}

static struct lane *lane_new(struct turns *t)
{
	struct lane *l = memory_zeroed(1, sizeof(*l));

	l->next = t->at ? t->at->next : l;
	if (t->at)
		t->at->next = l;
	else
		t->at = l;
	t->lanes++;
	return l;
}

static struct lane *lane_of(struct turns *t, const struct address *primary,
			    const struct tls_profile *tls)
{
	struct lane *l = lane_find(t, primary, tls);

	if (l)
		return l;
	l = t->lanes < LANES_MAX ? NULL : lane_unused(t);
	if (!l)
		l = lane_new(t);
	tls_profile_free(l->tls);
	l->primary = *primary;
	l->tls = tls_profile_keep((struct tls_profile *)tls);
	l->mute_until_us = 0;
	return l;
}

/* ---- Places ---- */

static bool has_room(const struct turns *t, const struct lane *l, enum turn_kind kind)
{
	return t->busy[kind] < t->most[kind] && l->busy[kind] < t->most_each[kind];
}

static void occupy(struct turns *t, struct turn *turn, int step)
{
	t->busy[turn->kind] += (unsigned)step;
	turn->lane->busy[turn->kind] += (unsigned)step;
}

static void join(struct turn *turn, struct lane *l, enum turn_kind kind)
{
	assert(!turn->lane);
	*turn = (struct turn){ .lane = l, .kind = kind };
	l->users++;
}

bool turns_try(struct turns *t, struct turn *turn, enum turn_kind kind,
	       const struct address *primary, const struct tls_profile *tls)
{
	struct lane *l = lane_of(t, primary, tls);

	if (l->waiting[kind].first || !has_room(t, l, kind))
		return false;
	join(turn, l, kind);
	occupy(t, turn, 1);
	return true;
}

/* Into its lane's queue, behind `prev`; NULL: as the first. */
static void enqueue(struct turns *t, struct turn *turn, struct turn *prev)
{
	struct queue *q = &turn->lane->waiting[turn->kind];

	turn->is_waiting = true;
	turn->prev = prev;
	turn->next = prev ? prev->next : q->first;
	*(prev ? &prev->next : &q->first) = turn;
	*(turn->next ? &turn->next->prev : &q->last) = turn;
	t->waiting++;
}

void turns_wait(struct turns *t, struct turn *turn, enum turn_kind kind,
		const struct address *primary, const struct tls_profile *tls)
{
	struct lane *l = lane_of(t, primary, tls);

	join(turn, l, kind);
	enqueue(t, turn, l->waiting[kind].last);
}

void turns_wait_ahead(struct turns *t, struct turn *turn, enum turn_kind kind,
		      const struct address *primary, const struct tls_profile *tls)
{
	join(turn, lane_of(t, primary, tls), kind);
	enqueue(t, turn, NULL);
}

static void unqueue(struct turns *t, struct turn *turn)
{
	struct queue *q = &turn->lane->waiting[turn->kind];

	*(turn->prev ? &turn->prev->next : &q->first) = turn->next;
	*(turn->next ? &turn->next->prev : &q->last) = turn->prev;
	turn->prev = turn->next = NULL;
	turn->is_waiting = false;
	t->waiting--;
}

void turns_leave(struct turns *t, struct turn *turn)
{
	if (!turn->lane)
		return;
	if (turn->is_waiting)
		unqueue(t, turn);
	else
		occupy(t, turn, -1);
	turn->lane->users--;
	turn->lane = NULL;
}

static struct turn *lane_next(struct turns *t, struct lane *l)
{
	for (enum turn_kind kind = 0; kind < TURN_KINDS; kind++) {
		struct turn *turn = l->waiting[kind].first;

		if (!turn || !has_room(t, l, kind))
			continue;
		unqueue(t, turn);
		occupy(t, turn, 1);
		return turn;
	}
	return NULL;
}

struct turn *turns_next(struct turns *t)
{
	struct lane *from = t->at;
	struct turn *turn = NULL;

	if (t->waiting == 0)
		return NULL;
	do {
		turn = lane_next(t, t->at);
		t->at = t->at->next;	/* the next call begins with the next primary */
	} while (!turn && t->at != from);
	return turn;
}

bool turns_has_waiting(const struct turns *t)
{
	return t->waiting > 0;
}

/* ---- Mute primaries ---- */

void turns_note(struct turn *turn, const char *reason, uint64_t now_us)
{
	struct lane *l = turn->lane;

	l->mute_until_us = reason ? now_us + TURNS_MUTE_US : 0;
	if (reason)
		snprintf(l->reason, sizeof(l->reason), "%s", reason);
}

const char *turns_mute(const struct turn *turn, uint64_t now_us)
{
	return now_us < turn->lane->mute_until_us ? turn->lane->reason : NULL;
}
