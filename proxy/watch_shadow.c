/* SPDX-License-Identifier: ISC */
#include "proxy/watch_shadow.h"

#include <stdlib.h>
#include <string.h>

#include "cache/clock.h"
#include "cache/memory.h"
#include "proxy/watch_drill.h"
#include "proxy/watch_due.h"
#include "proxy/watch_gate.h"

enum {
	DOUBTS_MAX = 64,
	DOUBTS_OF_ZONE = 4,	/* as many as are kept as examples */
	TAKEN_MAX = 256,	/* in one tick */
};

/*
 * A server of several processes goes over to a new version one by one: for this long the SOA may be
 * that of the one version, and answers of the other. Seen with NSD.
 */
#define SETTLED_US	(1 * US_PER_S)
#define TOLD_US		(60 * US_PER_S)

/* So long after we could not ask it, it may have been away and back without our knowing. */
#define BLIND_US	(10 * US_PER_S)

struct doubt {
	struct watched *b;
	size_t zone;
	uint64_t ripe_us;	/* from then on an SOA that is asked for tells what it was */
	bool is_ripe;
	uint64_t checks;	/* w->checks when it was: only later ones tell */
	struct suspicion suspicion;
};

struct shadows {
	struct suspicions *suspicions;
	unsigned count;
	struct doubt doubts[DOUBTS_MAX];
};

struct shadows *shadows_new(unsigned workers)
{
	struct shadows *s = memory_zeroed(1, sizeof(*s));

	s->suspicions = suspicions_new(workers);
	return s;
}

void shadows_free(struct shadows *s)
{
	suspicions_free(s->suspicions);
	free(s);
}

void shadows_put(struct shadows *s, unsigned worker, const struct suspicion *one)
{
	suspicions_put(s->suspicions, worker, one);
}

/* ---- Suspicions come in ---- */

static bool has_room(const struct shadows *s, const struct watched *b, size_t zone)
{
	unsigned same = 0;

	for (unsigned i = 0; i < s->count; i++)
		same += s->doubts[i].b->pool == b->pool && s->doubts[i].zone == zone;
	return s->count < DOUBTS_MAX && same < DOUBTS_OF_ZONE;
}

/* It may speak of a zone, or a backend, that a reload took away. */
static void doubt(struct watch *w, const struct suspicion *one, uint64_t now)
{
	struct watched *b = w->by_index[one->backend];
	const struct plan_zone *z = b ? plan_zone_named(w->plan, one->origin) : NULL;
	struct shadows *s = w->shadows;

	if (!z || z->pool != b->pool->plan || !has_room(s, b, z->number))
		return;
	s->doubts[s->count++] = (struct doubt){
		.b = b, .zone = z->number, .ripe_us = now + SETTLED_US, .suspicion = *one,
	};
}

static void ripen(struct watch *w, struct doubt *d)
{
	d->is_ripe = true;
	d->checks = w->checks;
	gate_want_soa(&d->b->gates[d->zone].gate);
	due_zone(d->b->pool, d->zone);
}

void shadows_tick(struct watch *w, uint64_t now)
{
	struct shadows *s = w->shadows;
	struct suspicion one;

	for (unsigned i = 0; i < s->count; i++)
		if (!s->doubts[i].is_ripe && now >= s->doubts[i].ripe_us)
			ripen(w, &s->doubts[i]);
	for (unsigned i = 0; i < TAKEN_MAX && suspicions_take(s->suspicions, &one); i++)
		doubt(w, &one, now);
}

void shadows_forget(struct watch *w, const struct watched *b)
{
	struct shadows *s = w->shadows;
	struct suspicion one;
	unsigned kept = 0;

	for (unsigned i = 0; b && i < s->count; i++)
		if (s->doubts[i].b != b)
			s->doubts[kept++] = s->doubts[i];
	s->count = kept;
	while (!b && suspicions_take(s->suspicions, &one))
		;
}

/* ---- Divergences ---- */

static bool is_confirmed(const struct doubt *d)
{
	const struct plan_zone *z = d->b->pool->zones[d->zone].plan;
	const struct generation *g = plan_zone_servable(z);
	uint64_t shown_us = d->b->gates[d->zone].shown_us, blind_us = d->b->blind_us;

	if (blind_us != 0 && d->suspicion.received_us < blind_us + BLIND_US)
		return false;
	return g && g->number == d->suspicion.generation && shown_us != 0 &&
	       shown_us + SETTLED_US <= d->suspicion.received_us;
}

static bool is_same_question(const struct suspicion *a, const struct suspicion *b)
{
	return a->backend == b->backend && a->type == b->type && name_is_equal(a->name, b->name);
}

/* The newest goes first; of one question the newest alone stays. */
static void keep_example(struct divergence *v, const struct doubt *d, uint64_t now)
{
	unsigned at = 0;

	while (at < v->example_count &&
	       !is_same_question(&v->examples[at].suspicion, &d->suspicion))
		at++;
	if (at == v->example_count && at < DIVERGENCE_EXAMPLES)
		v->example_count++;
	else if (at == DIVERGENCE_EXAMPLES)
		at--;
	memmove(&v->examples[1], &v->examples[0], at * sizeof(v->examples[0]));
	v->examples[0].at_us = now;
	v->examples[0].suspicion = d->suspicion;
	memcpy(v->examples[0].backend, d->b->slot->name, sizeof(v->examples[0].backend));
}

static void diverge(const struct doubt *d, uint64_t now)
{
	struct watched_zone *z = &d->b->pool->zones[d->zone];
	struct divergence *v = z->divergence;

	if (!v)
		v = z->divergence = memory_zeroed(1, sizeof(*v));
	v->count++;
	keep_example(v, d, now);
	if ((v->told_us == 0 || now - v->told_us >= TOLD_US) &&
	    watched_tell_divergence(d->b, &d->suspicion, v, now)) {
		v->told_us = now;
		v->untold = 0;
	} else {
		v->untold++;
	}
	drill_end(d->b->pool, "divergence");
}

void shadows_on_soa(struct watched *b, const struct check *c, const struct probe_verdict *v,
		    uint64_t now)
{
	struct shadows *s = b->watch->shadows;
	unsigned kept = 0;

	if (v->cause != CAUSE_NONE || !v->has_serial)
		return;
	for (unsigned i = 0; i < s->count; i++) {
		const struct doubt *d = &s->doubts[i];

		if (d->b != b || d->zone != c->zone)
			s->doubts[kept++] = *d;
		else if (v->serial != d->suspicion.serial)
			continue;	/* another version, as it seems */
		else if (!d->is_ripe || c->number <= d->checks)
			s->doubts[kept++] = *d;
		else if (is_confirmed(d))
			diverge(d, now);
	}
	s->count = kept;
}
