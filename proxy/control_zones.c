/* SPDX-License-Identifier: ISC */
#include "proxy/control_zones.h"

#include <stdio.h>
#include <stdlib.h>

#include "proxy/control_view.h"

enum {
	AT_ONCE_MAX = 500,	/* zones that fit into one answer */
	PART = 50,		/* zones of a part: under a millisecond */
};

bool zone_listing_is_wanted(const struct daemon *d)
{
	return d->plan->zone_count > AT_ONCE_MAX;
}

void zone_listing_begin(struct zone_listing *l, const struct daemon *d)
{
	*l = (struct zone_listing){ .is_on = true, .plan = d->plan->number };
}

static void put_zone(FILE *out, struct daemon *d, const struct plan_zone *z)
{
	json_t *o = view_zone(d, z);

	if (json_dumpf(o, out, JSON_COMPACT | JSON_ENSURE_ASCII) < 0)
		abort();
	json_decref(o);
}

char *zone_listing_next(struct zone_listing *l, struct daemon *d)
{
	const struct plan *plan = d->plan;
	char *text = NULL;
	size_t len = 0;
	FILE *out;

	if (plan->number != l->plan)
		return NULL;
	out = open_memstream(&text, &len);
	if (!out)
		abort();
	if (l->next == 0)
		fputs("{\"ok\":true,\"zones\":[", out);
	for (size_t n = 0; n < PART && l->next < plan_zone_count(plan); n++) {
		if (l->next > 0)
			putc(',', out);
		put_zone(out, d, plan_zone_at(plan, l->next++));
	}
	l->is_on = l->next < plan_zone_count(plan);
	if (!l->is_on)
		fputs("]}\n", out);
	fclose(out);
	return text;
}
