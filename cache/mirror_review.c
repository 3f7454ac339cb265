/* SPDX-License-Identifier: ISC */
#include "cache/mirror_review.h"

#include <assert.h>

#include "cache/clock.h"

enum { DIGESTED_AT_ONCE = 1024 };	/* records: half a millisecond */

#define SLICE_US	(2 * US_PER_MS)

void reviews_init(struct reviews *all, struct ev_loop *loop, const char *state_dir)
{
	slices_init(&all->slices, loop);
	verifiers_init(&all->verifiers, loop, &all->slices, state_dir);
}

void reviews_fini(struct reviews *all)
{
	verifiers_fini(&all->verifiers);
}

bool reviews_are_full(const struct reviews *all)
{
	return all->verifiers.waiting >= REVIEWS_WAITING_MAX;
}

/* ---- The end ---- */

static void drop_tools(struct review *r)
{
	slice_stop(&r->all->slices, &r->slice);
	zonemd_free(r->digest);
	verifier_free(r->verifier);
	r->digest = NULL;
	r->verifier = NULL;
}

static void end(struct review *r, enum review_check failed, const char *reason)
{
	struct generation *g = r->zone;

	drop_tools(r);
	r->zone = NULL;
	r->end(g, failed, reason, r->arg);
}

void review_cancel(struct review *r)
{
	struct generation *g = r->zone;

	if (!g)
		return;
	drop_tools(r);
	r->zone = NULL;
	generation_free(g);
}

/* ---- The program ---- */

/* The reason lies in the verifier, which end() would free first. */
static void on_verified(const char *reason, void *arg)
{
	struct review *r = arg;
	struct verifier *v = r->verifier;

	r->verifier = NULL;
	end(r, reason ? REVIEW_PROGRAM : REVIEW_PASSED, reason ? reason : "");
	verifier_free(v);
}

static void begin_program(struct review *r)
{
	struct verifier_job job = {
		.rules = r->rules, .zone = r->zone,
		.has_held = r->has_held, .held_serial = r->held_serial,
	};

	if (r->rules->program)
		r->verifier = verifier_new(&r->all->verifiers, &job, on_verified, r);
	else
		end(r, REVIEW_PASSED, "");
}

/* ---- The digest ---- */

/* True when it is done. */
static bool digest_some(struct review *r)
{
	uint64_t begun_us = clock_monotonic_us();

	while (zonemd_step(r->digest, DIGESTED_AT_ONCE))
		if (clock_monotonic_us() - begun_us >= SLICE_US)
			return false;
	return true;
}

static void digest_done(struct review *r)
{
	char reason[REVIEW_REASON_MAX];
	bool is_fine = review_digest(r->rules, zonemd_outcome(r->digest), reason);

	drop_tools(r);
	if (is_fine)
		begin_program(r);
	else
		end(r, REVIEW_ZONEMD, reason);
}

static void on_slice(void *arg)
{
	struct review *r = arg;

	if (digest_some(r))
		digest_done(r);
}

static void begin_digest(struct review *r)
{
	if (!review_wants_digest(r->rules)) {
		begin_program(r);
		return;
	}
	r->digest = zonemd_new(r->zone);
	if (digest_some(r))
		digest_done(r);
	else
		slice_start(&r->all->slices, &r->slice, on_slice, r);
}

/* ---- The beginning ---- */

void review_begin(struct review *r, struct reviews *all, const struct review_job *job,
		  review_end_fn end_fn, void *arg)
{
	char reason[REVIEW_REASON_MAX];

	assert(!r->zone && job->zone);
	*r = (struct review){
		.all = all, .rules = job->rules, .zone = job->zone, .end = end_fn, .arg = arg,
		.has_held = job->held != NULL,
		.held_serial = job->held ? job->held->soa.serial : 0,
	};
	if (!job->may_shrink && !review_shrink(r->rules, job->held, r->zone, reason))
		end(r, REVIEW_SHRINK, reason);
	else
		begin_digest(r);
}
