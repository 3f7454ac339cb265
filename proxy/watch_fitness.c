/* SPDX-License-Identifier: ISC */
#include "proxy/watch_fitness.h"

#include <assert.h>
#include <stdlib.h>

#include "cache/memory.h"

enum { SKIPS_MAX = 64 };	/* unfit zones passed over in one go */

struct fitness *fitness_new(size_t count)
{
	struct fitness *f = memory_zeroed(1, sizeof(*f) + count * sizeof(f->zones[0]));

	f->count = count;
	return f;
}

void fitness_free(struct fitness *f)
{
	free(f);
}

void fitness_forget(struct fitness *f)
{
	f->fit = 0;
	for (size_t i = 0; i < f->count; i++)
		f->zones[i].is_seen = false;
}

static bool is_fit(const struct fitness_zone *z)
{
	return z->is_seen && z->why == CAUSE_NONE;
}

void fitness_carry(struct fitness *f, size_t zone, const struct fitness *old, size_t from)
{
	assert(zone < f->count && from < old->count);
	f->zones[zone] = old->zones[from];
	f->fit += is_fit(&f->zones[zone]);
}

void fitness_go_on(struct fitness *f, const struct fitness *old)
{
	if (f->count == 0)
		return;
	f->next_udp = old->next_udp % f->count;
	f->next_tcp = old->next_tcp % f->count;
}

/* SERVFAIL, REFUSED, no AA: the server lives and speaks of the zone. */
static bool is_of_zone(enum health_cause why)
{
	return why == CAUSE_RCODE || why == CAUSE_LAME;
}

void fitness_note(struct fitness *f, size_t zone, enum health_cause why)
{
	struct fitness_zone *z = &f->zones[zone];

	assert(zone < f->count);
	if (why != CAUSE_NONE && !is_of_zone(why))
		return;
	f->fit -= is_fit(z);
	z->why = why;
	z->is_seen = true;
	f->fit += is_fit(z);
}

bool fitness_counts(const struct fitness *f, size_t zone, enum health_cause why)
{
	const struct fitness_zone *z = &f->zones[zone];

	assert(zone < f->count);
	return !is_of_zone(why) || is_fit(z) || f->fit == 0;
}

size_t fitness_turn(struct fitness *f, bool is_tcp)
{
	size_t *next = is_tcp ? &f->next_tcp : &f->next_udp;
	size_t zone = *next;

	assert(f->count > 0);
	for (unsigned i = 0; is_tcp && i < SKIPS_MAX && f->zones[zone].why != CAUSE_NONE; i++)
		zone = (zone + 1) % f->count;
	*next = (zone + 1) % f->count;
	return zone;
}
