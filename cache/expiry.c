/* SPDX-License-Identifier: ISC */
#include "cache/expiry.h"

#include "cache/clock.h"

/* Percent of a phase that is left when the operator hears of it. */
static const unsigned WARNINGS[] = { 50, 25, 10 };
enum { WARNINGS_COUNT = sizeof(WARNINGS) / sizeof(WARNINGS[0]) };

static uint64_t grace_end_us(const struct expiry *e)
{
	return e->expires_us + (e->grace_us > e->late_us ? e->grace_us - e->late_us : 0);
}

static bool is_signature_first(const struct expiry *e)
{
	return e->signed_us != 0 && e->signed_us < grace_end_us(e);
}

uint64_t expiry_end_us(const struct expiry *e)
{
	uint64_t end_us = is_signature_first(e) ? e->signed_us : grace_end_us(e);

	return end_us > e->expires_us ? end_us : e->expires_us;
}

/* A phase that lasts `life_us`, up to `end_us`. */
static uint64_t next_word_us(const struct expiry *e, uint64_t end_us, uint64_t life_us)
{
	uint64_t left_us = e->warned < WARNINGS_COUNT ? life_us / 100 * WARNINGS[e->warned] : 0;

	return end_us > left_us ? end_us - left_us : 0;
}

uint64_t expiry_next_us(const struct expiry *e)
{
	uint64_t end_us = expiry_end_us(e);

	switch (e->phase) {
	case EXPIRY_GOOD:	return next_word_us(e, e->expires_us, e->life_us);
	case EXPIRY_GRACE:	return next_word_us(e, end_us, end_us - e->expires_us);
	case EXPIRY_OVER:	break;
	}
	return UINT64_MAX;
}

const char *expiry_limit(const struct expiry *e)
{
	return is_signature_first(e) ? "signatures" : "grace";
}

void expiry_set_grace(struct expiry *e, uint64_t grace_us, uint64_t now_us)
{
	e->grace_us = grace_us;
	if (e->phase == EXPIRY_OVER && now_us < expiry_end_us(e))
		e->phase = EXPIRY_GOOD;		/* to be looked at again */
}

static uint64_t us_between(uint64_t early_s, uint64_t late_s)
{
	return late_s > early_s ? (late_s - early_s) * US_PER_S : 0;
}

bool expiry_set(struct expiry *e, const struct zone_times *times, uint64_t wall_s, uint64_t now_us)
{
	bool was_grace = e->phase == EXPIRY_GRACE, is_good = times->expires_at > wall_s;

	e->expires_us = now_us + us_between(wall_s, times->expires_at);
	e->late_us = us_between(times->expires_at, wall_s);
	e->life_us = us_between(times->refreshed_at, times->expires_at);
	if (was_grace && !is_good)
		return false;
	e->phase = EXPIRY_GOOD;
	e->warned = 0;
	return was_grace;
}

/* The last warning that is due speaks for those before it. */
static enum expiry_news warn(struct expiry *e, uint64_t life_us, struct expiry_word *word)
{
	unsigned due = e->warned;

	while (due < WARNINGS_COUNT && word->left_us <= life_us / 100 * WARNINGS[due])
		due++;
	if (due == e->warned)
		return EXPIRY_NO_NEWS;
	e->warned = due;
	word->percent_left = WARNINGS[due - 1];
	return EXPIRY_WARNS;
}

static enum expiry_news enter(struct expiry *e, enum expiry_phase phase)
{
	e->phase = phase;
	e->warned = 0;
	return EXPIRY_CHANGED;
}

enum expiry_news expiry_look(struct expiry *e, uint64_t now_us, struct expiry_word *word)
{
	uint64_t end_us = expiry_end_us(e);

	if (e->phase == EXPIRY_OVER)
		return EXPIRY_NO_NEWS;
	word->left_us = 0;
	if (now_us >= end_us)
		return enter(e, EXPIRY_OVER);
	if (now_us < e->expires_us) {
		word->left_us = e->expires_us - now_us;
		return warn(e, e->life_us, word);
	}
	word->left_us = end_us - now_us;
	if (e->phase == EXPIRY_GOOD)
		return enter(e, EXPIRY_GRACE);
	return warn(e, end_us - e->expires_us, word);
}
