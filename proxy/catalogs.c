/* SPDX-License-Identifier: ISC */
#include "proxy/catalogs.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>

#include "cache/aside.h"
#include "cache/clock.h"
#include "cache/memory.h"
#include "proxy/daemon.h"

#define TICK_S		0.2
#define APART_US	(2 * US_PER_S)

enum {
	COST_PART = 20,		/* plans take at most this part of control's time */
	LINES_MAX = 20,		/* of one kind of event for one update: the summary has all */
};

/* A plan in the making. */
struct renewal {
	struct aside_job job;		/* first */
	struct catalogs *catalogs;
	struct conf *conf;		/* held */
	const struct generation *lists[CONF_CATALOGS_MAX];	/* pinned */
	const struct members *before;	/* of the plan in use, which stays until this is done */
	struct plan *draft;
};

struct catalogs {
	struct daemon *daemon;
	ev_timer tick;
	uint64_t not_before_us;		/* the next plan */
	struct aside *aside;
	bool is_under_way, is_over;
};

/* ---- What the mirror holds ---- */

/* The latest good version, or the one that `p` has. NULL: there was none so far. */
static const struct generation *list_of(const struct plan *p, size_t catalog)
{
	struct mirror_zone *slot = p->catalogs[catalog].mirror;
	const struct generation *g = slot ? rcu_read(slot->current) : NULL;

	return g && g->catalog ? g : p->members->lists[catalog];
}

static bool has_news(const struct plan *p)
{
	for (size_t i = 0; i < p->conf->catalog_count; i++)
		if (list_of(p, i) != p->members->lists[i])
			return true;
	return false;
}

static void find_lists(const struct plan *plan, const struct conf *conf,
		       const struct generation *lists[CONF_CATALOGS_MAX])
{
	for (size_t i = 0; i < conf->catalog_count; i++) {
		const struct plan_zone *z = plan_zone_named(plan, conf->catalogs[i].zone.origin);

		if (z && z->catalog)
			lists[i] = list_of(plan, (size_t)(z - plan->catalogs));
	}
}

struct members *catalogs_gather(const struct plan *plan, const struct conf *conf)
{
	const struct generation *lists[CONF_CATALOGS_MAX] = { NULL };

	find_lists(plan, conf, lists);
	return members_new(conf, lists, plan->members);
}

/* ---- Plans ---- */

/* In the thread beside the loop. */
static void run_renewal(struct aside_job *job)
{
	struct renewal *r = (struct renewal *)job;

	r->draft = plan_draft(r->conf, members_new(r->conf, r->lists, r->before));
}

static void use_draft(struct catalogs *c, struct plan *draft)
{
	uint64_t begun_us = clock_monotonic_us(), end_us, apart_us;

	plan_complete(draft, c->daemon->plan->number + 1);
	daemon_use_plan(c->daemon, draft);
	end_us = clock_monotonic_us();
	apart_us = (end_us - begun_us) * COST_PART;
	c->not_before_us = end_us + (apart_us > APART_US ? apart_us : APART_US);
}

static void on_renewal_done(struct aside_job *job)
{
	struct renewal *r = (struct renewal *)job;
	struct catalogs *c = r->catalogs;

	c->is_under_way = false;
	for (size_t i = 0; i < CONF_CATALOGS_MAX; i++)
		if (r->lists[i])
			generation_drop(r->lists[i]);
	if (c->is_over)
		plan_free(r->draft);
	else
		use_draft(c, r->draft);
	free(r);
}

/* Signals are control's: the thread, which the first job begins, inherits a mask against all. */
static void begin_aside(struct catalogs *c, struct aside_job *job)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	aside_begin(c->aside, job);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void begin_renewal(struct catalogs *c)
{
	struct renewal *r = memory_zeroed(1, sizeof(*r));
	const struct plan *plan = c->daemon->plan;

	r->job = (struct aside_job){ .run = run_renewal, .done = on_renewal_done };
	r->catalogs = c;
	r->conf = plan->conf;
	r->before = plan->members;
	conf_hold(r->conf);
	find_lists(plan, r->conf, r->lists);
	for (size_t i = 0; i < CONF_CATALOGS_MAX; i++)
		if (r->lists[i])
			generation_hold(r->lists[i]);
	c->is_under_way = true;
	begin_aside(c, &r->job);
}

void catalogs_settle(struct catalogs *c)
{
	if (c)
		aside_wait(c->aside);
}

bool catalogs_take(struct catalogs *c)
{
	if (!has_news(c->daemon->plan))
		return false;
	begin_renewal(c);
	catalogs_settle(c);
	return true;
}

static void on_tick(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct catalogs *c = t->data;

	(void)loop;
	(void)revents;
	if (!c->is_under_way && clock_monotonic_us() >= c->not_before_us && has_news(c->daemon->plan))
		begin_renewal(c);
}

struct catalogs *catalogs_new(struct daemon *d)
{
	struct catalogs *c = memory_zeroed(1, sizeof(*c));

	c->daemon = d;
	c->aside = aside_new(d->loop, NULL);
	ev_timer_init(&c->tick, on_tick, TICK_S, TICK_S);
	c->tick.data = c;
	ev_timer_start(d->loop, &c->tick);
	return c;
}

void catalogs_free(struct catalogs *c)
{
	if (!c)
		return;
	c->is_over = true;
	aside_free(c->aside);
	ev_timer_stop(c->daemon->loop, &c->tick);
	free(c);
}

/* ---- Telling ---- */

struct tally {
	size_t added, removed, moved, reset, refused;
};

struct telling {
	struct mirror *mirror;
	const struct plan *old, *new;
	struct tally all, each[CONF_CATALOGS_MAX];	/* by catalog of `new` */
};

static const uint8_t *origin_of(const struct members *m, unsigned catalog)
{
	return m->conf->catalogs[catalog].zone.origin;
}

static void tell_member(const struct members *m, const struct member *one, enum event_level level,
			const char *name)
{
	struct event e;

	event_begin(&e, level, name);
	event_name(&e, "catalog", origin_of(m, one->catalog));
	event_name(&e, "zone", one->entry->zone);
	event_text(&e, "pool", one->pool->name);
	if (one->group)
		event_text(&e, "group", one->group->name);
	event_end(&e);
}

/* The tally of the catalog in `new`; of one that has left the configuration a spare one. */
static struct tally *tally_of(struct telling *t, const struct members *m, unsigned catalog,
			      struct tally *spare)
{
	for (size_t i = 0; i < t->new->conf->catalog_count; i++)
		if (name_is_equal(origin_of(t->new->members, (unsigned)i), origin_of(m, catalog)))
			return &t->each[i];
	return spare;
}

static void start_anew(struct telling *t, const uint8_t *origin)
{
	const struct plan_zone *z = plan_zone_named(t->new, origin);

	if (z && z->mirror)
		mirror_retransfer(t->mirror, z->mirror);
}

static void on_change(const struct member *old, const struct member *new, void *arg)
{
	struct telling *t = arg;
	const struct members *of = new ? t->new->members : t->old->members;
	const struct member *one = new ? new : old;

	assert(one);
	struct tally spare, *tally = tally_of(t, of, one->catalog, &spare);

	if (!old) {
		tally->added++;
		if (t->all.added++ < LINES_MAX)
			tell_member(of, one, EVENT_NOTICE, "catalog_member_added");
	} else if (!new) {
		tally->removed++;
		if (t->all.removed++ < LINES_MAX)
			tell_member(of, one, EVENT_NOTICE, "catalog_member_removed");
	} else if (member_is_reset(t->old->members, old, of, new)) {
		tally->reset++;
		start_anew(t, new->entry->zone);
		if (t->all.reset++ < LINES_MAX)
			tell_member(of, one, EVENT_NOTICE, "catalog_member_reset");
	} else {
		tally->moved++;
		if (t->all.moved++ < LINES_MAX)
			tell_member(of, one, EVENT_NOTICE, "catalog_member_moved");
	}
}

static void on_refused(const struct member_refused *r, void *arg)
{
	struct telling *t = arg;
	struct event e;

	t->each[r->catalog].refused++;
	if (t->all.refused++ >= LINES_MAX)
		return;
	event_begin(&e, EVENT_WARNING, "catalog_member_refused");
	event_name(&e, "catalog", origin_of(t->new->members, r->catalog));
	event_name(&e, "zone", r->entry->zone);
	event_text(&e, "reason", member_refusal_text(r->why));
	event_end(&e);
}

static size_t members_of(const struct members *m, unsigned catalog)
{
	size_t count = 0;

	for (size_t i = 0; i < m->count; i++)
		count += m->items[i].catalog == catalog;
	return count;
}

static void tell_update(const struct members *m, unsigned catalog, const struct tally *t)
{
	struct event e;

	event_begin(&e, EVENT_NOTICE, "catalog_updated");
	event_name(&e, "catalog", origin_of(m, catalog));
	event_number(&e, "serial", m->lists[catalog]->soa.serial);
	event_number(&e, "members", members_of(m, catalog));
	event_number(&e, "added", t->added);
	event_number(&e, "removed", t->removed);
	event_number(&e, "moved", t->moved);
	event_number(&e, "reset", t->reset);
	event_number(&e, "refused", t->refused);
	event_end(&e);
}

void catalogs_tell(struct mirror *mirror, const struct plan *old, const struct plan *new)
{
	struct telling *t = memory_zeroed(1, sizeof(*t));
	const struct members_visitor v = { on_change, on_refused, t };

	*t = (struct telling){ .mirror = mirror, .old = old, .new = new };
	members_compare(old->members, new->members, &v);
	for (unsigned i = 0; i < new->conf->catalog_count; i++) {
		const struct tally *n = &t->each[i];

		if (new->members->lists[i] &&
		    n->added + n->removed + n->moved + n->reset + n->refused > 0)
			tell_update(new->members, i, n);
	}
	free(t);
}
