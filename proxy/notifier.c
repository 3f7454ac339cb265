/* SPDX-License-Identifier: ISC */
#include "proxy/notifier_parts.h"

#include <stdlib.h>
#include <string.h>

#include "cache/clock.h"
#include "cache/event.h"
#include "cache/memory.h"
#include "proxy/ring.h"

enum {
	RING_ENTRIES = 1024,	/* a power of two */
	NOTES_AT_ONCE = 64,	/* then probes have their turn: NOTIFY can be forged, and flood us */
};

#define QUIET_US	(60 * US_PER_S)

struct note_ring {
	struct ring ring;
	struct notify_note notes[RING_ENTRIES];
};

struct notifier {
	struct peers shared;
	ev_async news;
	const struct plan *plan;
	unsigned worker_count;
	struct note_ring *rings;
	struct peer **peers;		/* of pools with notify = "repeat" */
	size_t peer_count;
	uint64_t refused_us;		/* a refusal was told of; 0: never */
	unsigned refused_untold;
};

/* ---- What workers say ---- */

static void tell_refused(struct notifier *n, const struct notify_note *note)
{
	uint64_t now_us = clock_monotonic_us();
	char from[ADDRESS_TEXT_MAX];
	struct event e;

	if (n->refused_us && now_us - n->refused_us < QUIET_US) {
		n->refused_untold++;
		return;
	}
	n->refused_us = now_us;
	event_begin(&e, EVENT_WARNING, "notify_refused");
	event_name(&e, "zone", note->origin);
	event_text(&e, "source", address_to_text(&note->from, from));
	event_text(&e, "reason", "it is not signed with the primary's key: have the primary sign "
				 "NOTIFY, too");
	if (n->refused_untold > 0)
		event_number(&e, "suppressed", n->refused_untold);
	event_end(&e);
	n->refused_untold = 0;
}

static struct peer *find_peer(struct peer *const *peers, size_t count, const struct plan_pool *pool,
			      const struct plan_target *target)
{
	for (size_t i = 0; i < count; i++)
		if (peers[i] && peer_is_for(peers[i], pool, target))
			return peers[i];
	return NULL;
}

static bool is_to_be_told(const struct plan_pool *pool, const struct plan_target *t)
{
	return pool->conf->notify == NOTIFY_REPEAT && t->kind == TARGET_BACKEND && !t->is_primary;
}

static void send_on(struct notifier *n, const uint8_t *origin)
{
	const struct plan_zone *z = plan_zone_named(n->plan, origin);

	for (unsigned i = 0; z && i < z->pool->target_count; i++) {
		const struct plan_target *t = &z->pool->targets[i];

		if (is_to_be_told(z->pool, t))
			peer_tell(find_peer(n->peers, n->peer_count, z->pool, t), origin);
	}
}

/* False when there may be more. */
static bool drain(struct notifier *n, struct note_ring *r)
{
	unsigned slot;

	n->shared.counts.dropped += ring_take_lost(&r->ring);
	for (unsigned i = 0; i < NOTES_AT_ONCE; i++) {
		if (!ring_peek(&r->ring, RING_ENTRIES, &slot))
			return true;
		if (r->notes[slot].is_refused)
			tell_refused(n, &r->notes[slot]);
		else
			send_on(n, r->notes[slot].origin);
		ring_release(&r->ring);
	}
	return false;
}

static void on_news(struct ev_loop *loop, ev_async *news, int revents)
{
	struct notifier *n = news->data;
	bool is_empty = true;

	(void)revents;
	for (unsigned i = 0; i < n->worker_count; i++)
		is_empty &= drain(n, &n->rings[i]);
	if (!is_empty)
		ev_async_send(loop, news);	/* in the next turn */
}

void notifier_put(struct notifier *n, unsigned worker, const struct notify_note *note)
{
	struct note_ring *r = &n->rings[worker];
	unsigned slot;

	if (!ring_claim(&r->ring, RING_ENTRIES, &slot))
		return;
	r->notes[slot] = *note;
	ring_commit(&r->ring);
	ev_async_send(n->shared.loop, &n->news);
}

/* ---- Plans ---- */

static size_t count_to_be_told(const struct plan *plan)
{
	size_t count = 0;

	for (unsigned p = 0; p < plan->pool_count; p++)
		for (unsigned i = 0; i < plan->pools[p].target_count; i++)
			count += is_to_be_told(&plan->pools[p], &plan->pools[p].targets[i]);
	return count;
}

/* The peer of before, taken out of the old list, or a new one. */
static struct peer *take_peer(struct notifier *n, const struct plan_pool *pool,
			      const struct plan_target *target)
{
	struct peer *p = find_peer(n->peers, n->peer_count, pool, target);

	if (!p)
		return peer_new(&n->shared, pool, target);
	for (size_t i = 0; i < n->peer_count; i++)
		if (n->peers[i] == p)
			n->peers[i] = NULL;
	return p;
}

static void free_peers(struct notifier *n)
{
	for (size_t i = 0; i < n->peer_count; i++)
		peer_free(n->peers[i]);
	free(n->peers);
}

void notifier_set_plan(struct notifier *n, const struct plan *plan)
{
	struct peer **peers = memory_zeroed(count_to_be_told(plan), sizeof(struct peer *));
	size_t count = 0;

	for (unsigned p = 0; p < plan->pool_count; p++) {
		const struct plan_pool *pool = &plan->pools[p];

		for (unsigned i = 0; i < pool->target_count; i++)
			if (is_to_be_told(pool, &pool->targets[i]))
				peers[count++] = take_peer(n, pool, &pool->targets[i]);
	}
	free_peers(n);
	n->peers = peers;
	n->peer_count = count;
	n->plan = plan;
}

/* ---- Life ---- */

struct notifier *notifier_new(struct ev_loop *loop, unsigned workers)
{
	struct notifier *n = memory_zeroed(1, sizeof(*n));

	n->shared.loop = loop;
	random_init(&n->shared.random);
	n->worker_count = workers;
	n->rings = memory_zeroed(workers, sizeof(*n->rings));
	ev_async_init(&n->news, on_news);
	n->news.data = n;
	ev_async_start(loop, &n->news);
	return n;
}

void notifier_free(struct notifier *n)
{
	if (!n)
		return;
	ev_async_stop(n->shared.loop, &n->news);
	free_peers(n);
	free(n->rings);
	free(n);
}

struct notifier_counts notifier_counts(const struct notifier *n)
{
	return n->shared.counts;
}
