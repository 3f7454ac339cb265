/* SPDX-License-Identifier: ISC */
/*
 * Times in the store are wall seconds of Redis' own clock, which all that share it can ask:
 * members whose clocks differ would else expire each other's zones. Each knows by how much its
 * clock is off, and looks again now and then, since clocks are set.
 */
#include "cache/store_parts.h"

#include <string.h>

#include "cache/clock.h"

enum { SKEW_LEAST_S = 3 };	/* less may be rounding, and the way there and back */

#define LATE_US		US_PER_S	/* a reply that is read so late tells of another time */

static uint64_t moved(uint64_t at, int64_t by)
{
	if (by < 0)
		return at > (uint64_t)-by ? at - (uint64_t)-by : 0;
	return at + (uint64_t)by;
}

void store_times_to(const struct store *s, struct zone_times *times)
{
	times->refreshed_at = moved(times->refreshed_at, s->skew_s);
	times->expires_at = moved(times->expires_at, s->skew_s);
}

void store_times_from(const struct store *s, struct zone_times *times)
{
	times->refreshed_at = moved(times->refreshed_at, -s->skew_s);
	times->expires_at = moved(times->expires_at, -s->skew_s);
}

/* Whoever may not ask goes by its own clock, as all did before. Who was stopped meanwhile asks again. */
static void got_time(const redisReply *reply, void *arg)
{
	struct store *s = arg;
	int64_t here_s = (int64_t)(clock_wall_us() / US_PER_S), skew_s;
	uint64_t there_s;

	if (reply && reply->type == REDIS_REPLY_ERROR)
		refusal_note_denied(s, "TIME", reply->str);
	if (!reply_is_array(reply, 2) || !reply_number(reply->element[0], &there_s) ||
	    there_s > INT64_MAX / 4)
		return;
	if (clock_monotonic_us() - s->time_asked_us > LATE_US) {
		store_ask_time(s);
		return;
	}
	skew_s = (int64_t)there_s - here_s;
	s->skew_s = skew_s >= SKEW_LEAST_S || skew_s <= -SKEW_LEAST_S ? skew_s : 0;
}

void store_ask_time(struct store *s)
{
	const char *words[] = { "TIME" };
	const size_t len[] = { strlen(words[0]) };

	s->time_asked_us = clock_monotonic_us();
	redis_command(s->redis, 1, words, len, got_time, s);
}
