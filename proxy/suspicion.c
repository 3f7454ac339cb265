/* SPDX-License-Identifier: ISC */
#include "proxy/suspicion.h"

#include <stdlib.h>

#include "cache/memory.h"
#include "proxy/ring.h"

enum { RING_ENTRIES = 8 };	/* a power of two: between two ticks of control */

struct suspicion_ring {
	struct ring ring;
	struct suspicion entries[RING_ENTRIES];
};

struct suspicions {
	unsigned count;
	struct suspicion_ring rings[];
};

struct suspicions *suspicions_new(unsigned workers)
{
	struct suspicions *s = memory_zeroed(1, sizeof(*s) + workers * sizeof(s->rings[0]));

	s->count = workers;
	return s;
}

void suspicions_free(struct suspicions *s)
{
	free(s);
}

void suspicions_put(struct suspicions *s, unsigned worker, const struct suspicion *one)
{
	struct suspicion_ring *r = &s->rings[worker];
	unsigned slot;

	if (!ring_claim(&r->ring, RING_ENTRIES, &slot))
		return;
	r->entries[slot] = *one;
	ring_commit(&r->ring);
}

bool suspicions_take(struct suspicions *s, struct suspicion *one)
{
	unsigned slot;

	for (unsigned i = 0; i < s->count; i++) {
		struct suspicion_ring *r = &s->rings[i];

		if (!ring_peek(&r->ring, RING_ENTRIES, &slot))
			continue;
		*one = r->entries[slot];
		ring_release(&r->ring);
		return true;
	}
	return false;
}
