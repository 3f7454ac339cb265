/* SPDX-License-Identifier: ISC */
#include "cache/schedule.h"

#include "cache/clock.h"

static uint64_t clamp(uint64_t value, uint64_t least, uint64_t most)
{
	return value < least ? least : value > most ? most : value;
}

static uint64_t retry_s(const struct soa *soa)
{
	return clamp(soa->retry, SCHEDULE_RETRY_MIN, SCHEDULE_RETRY_MAX);
}

static uint64_t expire_s(const struct soa *soa)
{
	uint64_t least = 2 * retry_s(soa);

	return soa->expire < least ? least : soa->expire;
}

/* At half its life at the latest: with that there is time for one more question, too. */
static uint64_t refresh_s(const struct soa *soa)
{
	uint64_t most = expire_s(soa) / 2;

	if (most > SCHEDULE_REFRESH_MAX)
		most = SCHEDULE_REFRESH_MAX;
	return clamp(soa->refresh, SCHEDULE_REFRESH_MIN, most);
}

/* Seconds as microseconds, a little fewer. */
static uint64_t jittered_us(uint64_t seconds, struct random *r)
{
	uint64_t us = seconds * US_PER_S;

	return us - us / 1000 * random_below(r, SCHEDULE_JITTER_PERCENT * 10 + 1);
}

void schedule_start(struct schedule *s, uint64_t now_us, uint64_t spread_us, struct random *r)
{
	uint32_t spread_ms = (uint32_t)clamp(spread_us / US_PER_MS, 0, UINT32_MAX - 1);

	s->next_us = now_us + random_below(r, spread_ms + 1) * US_PER_MS;
	s->failures = 0;
}

enum { HURRY_FIRST_MS = 10, HURRY_GROWTH = 4, HURRY_MOST = 5, HURRY_PAUSE_S = 2 };

static void note_asked(struct schedule *s, uint64_t now_us)
{
	bool is_late = now_us - s->asked_us >= HURRY_PAUSE_S * US_PER_S;

	s->in_vain = s->asked_us == 0 || is_late ? 1 : s->in_vain + 1;
	s->asked_us = now_us;
}

void schedule_success(struct schedule *s, const struct soa *soa, uint64_t now_us, uint64_t wall_s,
		      struct random *r)
{
	note_asked(s, now_us);
	s->next_us = now_us + jittered_us(refresh_s(soa), r);
	s->refreshed_at = wall_s;
	s->expires_at = wall_s + expire_s(soa);
	s->failures = 0;
}

void schedule_limit(struct schedule *s, uint32_t left_s, uint64_t known_until, uint64_t now_us,
		    uint64_t wall_s)
{
	uint64_t until = wall_s + left_s, halfway_us;

	if (left_s == UINT32_MAX)
		return;
	if (until < known_until)
		until = known_until;
	if (until < s->expires_at)
		s->expires_at = until;
	halfway_us = now_us + (s->expires_at - wall_s) * US_PER_S / 2;
	if (halfway_us < s->next_us)
		s->next_us = halfway_us;
}

/* 1, 2, 4, ... seconds: a zone that we do not hold at all is wanted soon. */
static uint64_t first_retry_s(unsigned failures)
{
	uint64_t doubled = failures < 16 ? 1ull << failures : SCHEDULE_FIRST_RETRY_MAX;

	return clamp(doubled, 1, SCHEDULE_FIRST_RETRY_MAX);
}

void schedule_failure(struct schedule *s, const struct soa *held, uint64_t now_us, struct random *r)
{
	s->in_vain = HURRY_MOST;	/* nor has it recovered in a few milliseconds */
	s->asked_us = now_us;
	s->next_us = now_us + jittered_us(held ? retry_s(held) : first_retry_s(s->failures), r);
	s->failures++;
}

void schedule_news(struct schedule *s)
{
	s->asked_us = 0;
}

static uint64_t patience_us(unsigned in_vain)
{
	uint64_t us = HURRY_FIRST_MS * US_PER_MS;

	if (in_vain >= HURRY_MOST)
		return US_PER_S;
	for (; in_vain > 1; in_vain--)
		us *= HURRY_GROWTH;
	return us;
}

void schedule_hurry(struct schedule *s, uint64_t now_us)
{
	uint64_t soonest = s->asked_us ? s->asked_us + patience_us(s->in_vain) : 0;
	uint64_t at = now_us < soonest ? soonest : now_us;

	if (at < s->next_us)
		s->next_us = at;
}

/* The next question at its time, and one more try after it. */
uint64_t schedule_stale_at(const struct soa *soa, uint64_t refreshed_at)
{
	return refreshed_at + refresh_s(soa) + retry_s(soa);
}

bool schedule_is_due(const struct schedule *s, uint64_t now_us)
{
	return now_us >= s->next_us;
}

bool schedule_is_expired(const struct schedule *s, uint64_t wall_s)
{
	return s->expires_at != 0 && wall_s >= s->expires_at;
}
