/* SPDX-License-Identifier: ISC */
#include "proxy/watch_limit.h"

#include "cache/clock.h"
#include "cache/event.h"

enum {
	REPLIES_MIN = 8,	/* while a probe is under way; fewer may be chance */
	MOST = 2,		/* so many in time for one that was not */
	ALIVE_QUERIES = 4,	/* so long it may be silent at its rate, where that is longer */
};

#define ALIVE_US	(150 * US_PER_MS)	/* since its last answer to anybody, at the least */
#define OVER_US		(5 * US_PER_S)		/* without a limit: then it is over */

bool limits_are_on(const struct watched *b, const struct evidence_sum *sum)
{
	return sum->limit > 0 && b->pool->plan->conf->has_adaptive_limit
	       && b->health.state != HEALTH_DOWN;
}

static enum transport transport_of(const struct check *c)
{
	return c->is_tcp ? TRANSPORT_TCP : TRANSPORT_UDP;
}

void limits_note(struct check *c)
{
	struct evidence_sum sum;

	backend_sum(c->b->slot, &sum);
	c->in_time = sum.heard[transport_of(c)].in_time;
	c->expired = sum.heard[transport_of(c)].expired;
}

/*
 * It has answered somebody by this transport; perhaps it is not asked often, since it has been found
 * how little it can take. A limit that is still sought may be a server that has just died.
 */
static bool is_alive(const struct watched *b, const struct evidence_sum *sum, enum transport t,
		     uint64_t now)
{
	struct limit_said said = limit_said(&b->slot->limit[t]);
	uint64_t patience_us = 0;

	if (said.state == LIMIT_FOUND && said.rate > 0)
		patience_us = ALIVE_QUERIES * US_PER_S / said.rate;
	if (patience_us < ALIVE_US)
		patience_us = ALIVE_US;
	return sum->heard[t].last_reply_us != 0 && now - sum->heard[t].last_reply_us < patience_us;
}

/* By either transport more went there than it can take, to see whether it still is as much. */
static bool was_tried(const struct watched *b, uint64_t now)
{
	for (unsigned t = 0; t < TRANSPORTS; t++)
		if (now < limit_said(&b->slot->limit[t]).tried_us + ALIVE_US)
			return true;
	return false;
}

bool limits_excuse(const struct watched *b, const struct check *c, uint64_t now)
{
	enum transport t = transport_of(c);
	const struct hearing_sum *heard;
	struct evidence_sum sum;
	uint64_t in_time, expired;

	backend_sum(b->slot, &sum);
	heard = &sum.heard[t];
	in_time = heard->in_time - c->in_time;
	expired = heard->expired - c->expired;
	if (in_time >= REPLIES_MIN && in_time >= MOST * expired)
		return true;
	return limits_are_on(b, &sum) && (is_alive(b, &sum, t, now) || was_tried(b, now));
}

static void tell_limited(const struct watched *b, const struct evidence_sum *sum)
{
	struct event e;

	event_begin(&e, EVENT_WARNING, b->limit.is_rationed ? "suspected_rrl" : "backend_limited");
	watched_identify(&e, b);
	if (sum->limit > 0)
		event_number(&e, "per_s", sum->limit);
	event_end(&e);
}

static void tell_over(const struct watched *b, const struct evidence_sum *sum, uint64_t now)
{
	struct event e;

	event_begin(&e, EVENT_NOTICE, "backend_unlimited");
	watched_identify(&e, b);
	event_number(&e, "held_ms", (now - b->limit.since_us) / US_PER_MS);
	event_number(&e, "spared", sum->spared - b->limit.spared);
	event_end(&e);
}

void limits_look(struct watched *b, const struct evidence_sum *sum, uint64_t now)
{
	bool is_on = limits_are_on(b, sum), is_found = is_on && sum->is_limit_found;
	bool is_rationed = sum->is_rationed;

	if (is_on || is_rationed)
		b->limit.seen_us = now;
	if ((is_found && b->limit.since_us == 0) || (is_rationed && !b->limit.is_rationed)) {
		if (b->limit.since_us == 0)
			b->limit.spared = sum->spared;
		b->limit.since_us = b->limit.since_us ? b->limit.since_us : now;
		b->limit.is_rationed = is_rationed;
		tell_limited(b, sum);
	}
	if (b->limit.since_us != 0 && now - b->limit.seen_us >= OVER_US) {
		tell_over(b, sum, now);
		b->limit = (struct watched_limit){ .since_us = 0 };
	}
}
