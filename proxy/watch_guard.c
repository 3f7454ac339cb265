/* SPDX-License-Identifier: ISC */
#include "proxy/watch_guard.h"

#include "cache/dns.h"
#include "proxy/watch_check.h"
#include "proxy/watch_verdict.h"

/* So many attempts without a verdict: much to do, or queries that go round. */
enum { BUSY = 32 };

static const uint8_t root[] = { 0 };

/* The zones of the pool; where it takes names of no zone, the root stands for these. */
static size_t names_of(const struct watched *b)
{
	return b->pool->zone_count + (b->pool->takes_unlisted || b->pool->zone_count == 0);
}

static const uint8_t *name_of(const struct watched *b)
{
	size_t zone = b->guard.zone;

	return zone < b->pool->zone_count ? b->pool->zones[zone].plan->origin : root;
}

const char *guards_zone_text(const struct watched *b, char text[NAME_TEXT_MAX])
{
	name_to_text(name_of(b), text);
	return text;
}

/* ---- What follows ---- */

static void follow(struct watched *b, enum guard_news news, uint64_t now)
{
	switch (news) {
	case GUARD_NOTHING:
		return;
	case GUARD_FOUND:
		verdict_follow(b, health_on_loop(&b->health, &b->rules, b->guard.asked_us, now), now);
		break;
	case GUARD_MENDED:
		health_on_loop_over(&b->health);
		break;
	}
	verdict_publish(b, now);
}

static void hear_return(struct watched *b, uint64_t now)
{
	uint64_t number = atomic_load_explicit(&b->slot->guard_returned, memory_order_acquire);

	follow(b, guard_on_return(&b->guard, number), now);
}

/* From here on the number means nothing. */
static enum guard_news end(struct watched *b, bool proves)
{
	atomic_store_explicit(&b->slot->guard_number, 0, memory_order_relaxed);
	return guard_on_end(&b->guard, names_of(b), proves);
}

void guards_on_check(struct watched *b, const struct probe_verdict *v, uint64_t now)
{
	bool proves = !v->is_ours && v->cause == CAUSE_NONE && v->rcode != RCODE_SERVFAIL;

	hear_return(b, now);
	follow(b, end(b, proves), now);
}

void guards_on_lost(struct watched *b)
{
	end(b, false);
}

/* ---- Asking ---- */

static void ask(struct watched *b, uint64_t now)
{
	struct guard_mark mark = { .backend = (uint16_t)b->slot->index };
	uint32_t chance = random_below(&b->watch->random, GUARD_CHANCE);
	uint8_t name[NAME_LEN_MAX];

	while (mark.number == 0)
		mark.number = random_u64(&b->watch->random);
	guard_on_asked(&b->guard, mark.number, chance, now);
	if (!guard_name(&mark, name_of(b), name)) {	/* this zone cannot be guarded */
		end(b, false);
		return;
	}
	atomic_store_explicit(&b->slot->guard_number, mark.number, memory_order_release);
	check_ask_guard(b, name);
}

/* Another's question went the same way: where it came from may be where it leads. */
static void hear_hint(struct watched *b, uint64_t now)
{
	uint32_t hint = atomic_load_explicit(&b->slot->guard_hint, memory_order_relaxed);
	size_t zone = hint - 1 < b->pool->zone_count ? hint - 1 : names_of(b) - 1;

	if (hint == 0 || b->guard.number != 0)
		return;
	atomic_store_explicit(&b->slot->guard_hint, 0, memory_order_relaxed);
	guard_on_hint(&b->guard, zone, now);
}

/* About to return, in doubt, or busy: it may be for a loop. */
static bool is_strange(const struct watched *b)
{
	bool is_returning = b->health.state == HEALTH_DOWN && b->health.udp.good > 0
			    && !b->health.is_held;

	return is_returning || health_is_suspect(&b->health) || b->seen.outstanding >= BUSY;
}

void guards_look(struct watched *b, uint64_t now)
{
	hear_return(b, now);
	hear_hint(b, now);
	if (!b->health.is_looping && is_strange(b))
		guard_alarm(&b->guard, now);
	if (guard_is_due(&b->guard, now))
		ask(b, now);
}

/* ---- Lives ---- */

void guards_hurry(struct watched *b, uint64_t now)
{
	guard_hurry(&b->guard, names_of(b), now);
}

/* The zone that goes in a circle may have another number now. */
static void carry_zone(struct watched *b, size_t old_count)
{
	const struct watched_pool *p = b->pool;
	size_t old = b->guard.zone;

	b->guard.zone = old < old_count ? 0 : names_of(b) - 1;
	for (size_t i = 0; i < p->zone_count && old < old_count; i++)
		if (p->zones[i].before == old)
			b->guard.zone = i;
}

void guards_take(struct watched *b, size_t old_count, uint64_t now)
{
	if (b->guard.is_looping)
		carry_zone(b, old_count);
	guards_hurry(b, now);
}
