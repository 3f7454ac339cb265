/* SPDX-License-Identifier: ISC */
#include "proxy/fitness.h"

#include <assert.h>
#include <stdlib.h>

#include "cache/serial.h"

struct fitness *fitness_new(size_t count)
{
	struct fitness *f = calloc(1, sizeof(*f) + count * sizeof(f->zones[0]));

	if (!f)
		abort();
	f->count = count;
	return f;
}

void fitness_free(struct fitness *f)
{
	free(f);
}

void fitness_forget(struct fitness *f)
{
	for (size_t i = 0; i < f->count; i++)
		f->zones[i].is_seen = f->zones[i].has_serial = false;
}

/* SERVFAIL, REFUSED, no AA: the server lives and speaks of the zone. */
static bool is_of_zone(enum health_cause why)
{
	return why == CAUSE_RCODE || why == CAUSE_LAME;
}

void fitness_note(struct fitness *f, size_t zone, enum health_cause why, const uint32_t *serial)
{
	struct fitness_zone *z = &f->zones[zone];

	assert(zone < f->count);
	if (why != CAUSE_NONE && !is_of_zone(why))
		return;
	if (z->why != CAUSE_NONE)
		f->unfit--;
	if (why != CAUSE_NONE)
		f->unfit++;
	z->why = why;
	z->is_seen = true;
	z->has_serial = serial != NULL;
	z->serial = serial ? *serial : 0;
}

bool fitness_counts(const struct fitness *f, size_t zone, enum health_cause why)
{
	assert(zone < f->count);
	return !is_of_zone(why) || f->zones[zone].why == CAUSE_NONE || f->unfit == f->count;
}

bool fitness_is_behind(const struct fitness *f, size_t zone, uint32_t mirror_serial)
{
	const struct fitness_zone *z = &f->zones[zone];

	return z->has_serial && serial_is_newer(mirror_serial, z->serial);
}

size_t fitness_turn(struct fitness *f)
{
	size_t zone = f->next;

	assert(f->count > 0);
	f->next = (f->next + 1) % f->count;
	return zone;
}
