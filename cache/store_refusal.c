/* SPDX-License-Identifier: ISC */
/*
 * Some errors concern no single zone: Redis is full, cannot save, is a replica. Then saves
 * pause as a whole; after a while one of them tries, and when its commit stands all go on.
 * Rights that we lack are told once for each command and connection; a save that lacks one
 * pauses the others likewise. With nothing to save, a word that nobody heeds is written instead.
 */
#include <stdio.h>
#include <string.h>

#include "cache/store_parts.h"

#define TRY_MIN_S	1.
#define TRY_MAX_S	10.

static void end(struct store *s);

static void arm(struct store *s)
{
	struct store_refusal *r = &s->refusal;

	if (ev_is_active(&r->again))
		return;
	ev_timer_set(&r->again, r->backoff, 0.);
	ev_timer_start(s->loop, &r->again);
	r->backoff = r->backoff * 2. < TRY_MAX_S ? r->backoff * 2. : TRY_MAX_S;
}

static void got_try(const redisReply *reply, void *arg)
{
	struct store *s = arg;

	if (!reply_is_error(reply) && s->refusal.is_there && !s->is_closing)
		end(s);
}

/*
 * A save that is tried may end without a commit, since another has written the same by then, and
 * a lease that could not be had is another's: then no write of ours would ever show the end.
 */
static void on_try(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct store *s = w->data;

	(void)loop;
	(void)revents;
	s->refusal.is_trying = true;
	arm(s);
	store_pump(s);
	if (s->saving == 0 && s->refusal.denied_count == 0)
		store_try_write(s, got_try);
}

static void try_later(struct store *s)
{
	s->refusal.is_trying = false;
	arm(s);
}

void refusal_init(struct store *s)
{
	ev_timer_init(&s->refusal.again, on_try, TRY_MIN_S, 0.);
	s->refusal.again.data = s;
	s->refusal.backoff = TRY_MIN_S;
}

void refusal_forget(struct store *s)
{
	ev_timer_stop(s->loop, &s->refusal.again);
	s->refusal = (struct store_refusal){ .backoff = TRY_MIN_S };
	refusal_init(s);
}

bool store_is_refusal(const char *reason)
{
	return redis_error_of(reason) != REDIS_ERROR_OTHER;
}

unsigned refusal_saves_max(const struct store *s)
{
	if (!s->refusal.is_there)
		return STORE_SAVES_MAX;
	return s->refusal.is_trying ? 1 : 0;
}

static bool is_told(struct store_refusal *r, const char *word)
{
	for (unsigned i = 0; i < r->denied_count; i++)
		if (strcmp(r->denied[i], word) == 0)
			return true;
	if (r->denied_count < STORE_DENIED_MAX)
		r->denied[r->denied_count++] = word;
	return false;
}

void refusal_note_denied(struct store *s, const char *word, const char *reason)
{
	if (redis_error_of(reason) == REDIS_ERROR_DENIES && !s->is_closing &&
	    !is_told(&s->refusal, word))
		s->listener->on_denied(word, reason, s->arg);
}

void refusal_note(struct store *s, const struct store_task *t, const char *word, const char *reason)
{
	struct store_refusal *r = &s->refusal;
	enum redis_error is = redis_error_of(reason);

	if (is == REDIS_ERROR_OTHER || s->is_closing || !redis_is_up(s->redis))
		return;
	if (is == REDIS_ERROR_DENIES)
		refusal_note_denied(s, word, reason);
	if (!t->is_save && is == REDIS_ERROR_DENIES)
		return;
	try_later(s);
	if (t->is_save)
		r->word = NULL;		/* part of a save may pass, and prove nothing */
	if (r->is_there)
		return;
	r->is_there = true;
	if (!t->is_save)
		r->word = word;
	s->listener->on_refusing(reason, s->arg);
}

static void end(struct store *s)
{
	refusal_forget(s);
	s->listener->on_refusing(NULL, s->arg);
	store_pump(s);
}

void refusal_note_reply(struct store *s, const char *word)
{
	const struct store_refusal *r = &s->refusal;

	if (r->is_there && r->word && strcmp(r->word, word) == 0)
		end(s);
}

void refusal_note_commit(struct store *s)
{
	if (s->refusal.is_there)
		end(s);
}
