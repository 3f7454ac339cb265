/* SPDX-License-Identifier: ISC */
#include "proxy/watch_newer.h"

#include <stdlib.h>

#include "cache/memory.h"
#include "cache/serial.h"
#include "proxy/ring.h"
#include "proxy/watch_gate.h"
#include "proxy/watch_verdict.h"
#include "proxy/watched.h"

enum { RING_ENTRIES = 32 };	/* a power of two: zones that change within one look */

struct newer_ring {
	struct ring ring;
	struct newer entries[RING_ENTRIES];
};

struct newers {
	unsigned count;
	struct newer_ring rings[];
};

struct newers *newers_new(unsigned workers)
{
	struct newers *n = memory_zeroed(1, sizeof(*n) + workers * sizeof(n->rings[0]));

	n->count = workers;
	return n;
}

void newers_free(struct newers *n)
{
	free(n);
}

void newers_put(struct newers *n, unsigned worker, const struct newer *one)
{
	struct newer_ring *r = &n->rings[worker];
	unsigned slot;

	if (!ring_claim(&r->ring, RING_ENTRIES, &slot))
		return;
	r->entries[slot] = *one;
	ring_commit(&r->ring);
}

/* As if the SOA had been asked for. Who is not trusted with the zone has to show it to us first. */
static void follow(struct watched *b, size_t zone, uint32_t serial, uint64_t now)
{
	const struct gate_facts facts = gates_facts(b, zone);
	const struct check c = { .b = b, .zone = zone, .facts = facts };
	const struct probe_verdict v = { .cause = CAUSE_NONE, .has_serial = true, .serial = serial };

	if (!gates_are_open_for(b, zone) || !facts.has_newest || !serial_is_newer(serial, facts.newest))
		return;
	gates_on_check(b, &c, &v, now);
	verdict_tell_mirror(b, zone, serial, now);
	gates_look(b->pool, zone, now);
}

/* It may speak of a zone, or a backend, that a reload took away. */
static void take(struct watch *w, const struct newer *one, uint64_t now)
{
	struct watched *b = w->by_index[one->backend];
	const struct plan_zone *z = b ? plan_zone_named(w->plan, one->origin) : NULL;

	if (z && z->pool == b->pool->plan)
		follow(b, z->number, one->serial, now);
}

void newers_look(struct watch *w, uint64_t now)
{
	unsigned slot;

	for (unsigned i = 0; i < w->newers->count; i++) {
		struct newer_ring *r = &w->newers->rings[i];

		for (unsigned n = 0; n < RING_ENTRIES && ring_peek(&r->ring, RING_ENTRIES, &slot); n++) {
			take(w, &r->entries[slot], now);
			ring_release(&r->ring);
		}
	}
}
