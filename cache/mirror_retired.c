/* SPDX-License-Identifier: ISC */
#include "cache/mirror_retired.h"

#include <stdlib.h>

#include "cache/rcu.h"

void retired_init(struct retired *r)
{
	*r = (struct retired){ 0 };
}

void retired_fini(struct retired *r)
{
	for (size_t i = 0; i < r->count; i++)
		generation_free(r->list[i]);
	free(r->list);
	*r = (struct retired){ 0 };
}

void retired_add(struct retired *r, struct generation *g)
{
	if (!g)
		return;
	if (r->count == r->room) {
		r->room = r->room ? 2 * r->room : 16;
		r->list = realloc(r->list, r->room * sizeof(r->list[0]));
		if (!r->list)
			abort();
	}
	r->list[r->count++] = g;
}

bool retired_is_fresh(const struct retired *r)
{
	return r->passed < r->count;
}

void retired_pass(struct retired *r)
{
	size_t kept = 0;

	if (retired_is_fresh(r))
		rcu_wait();	/* for all of them at once; from here on no new hold is possible */
	for (size_t i = 0; i < r->count; i++) {
		if (generation_is_held(r->list[i]))
			r->list[kept++] = r->list[i];
		else
			generation_free(r->list[i]);
	}
	r->count = r->passed = kept;
}
