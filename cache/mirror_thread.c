/* SPDX-License-Identifier: ISC */
/*
 * The thread is an RCU reader that sleeps while libev waits (the loop's release callback),
 * and it waits for other readers in `tidy`, before it sleeps: once for all generations that
 * were replaced in this turn.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/clock.h"
#include "cache/event.h"
#include "cache/mirror_fleet.h"
#include "cache/mirror_order.h"
#include "cache/mirror_parts.h"
#include "cache/mirror_turn.h"
#include "cache/redis_error.h"

#define SPREAD_EACH_US	(2 * US_PER_MS)	/* first questions of many zones */
#define SPREAD_MAX_US	(5 * US_PER_S)
#define OLDER_EVERY_US	(60 * US_PER_S)	/* on one connection: all zones tell it at once */
#define FAREWELL_S	0.1		/* for the commands that leave our leases */

/* Something of `w` has changed: the copy that others read follows. */
static void on_report(struct mirror_work *w, void *arg)
{
	struct mirror *m = arg;

	pthread_mutex_lock(&m->mutex);
	work_describe(w, &w->status);
	w->status_next_us = w->schedule.next_us;
	if (!w->is_counted && w->is_snapshot_seen && w->is_store_seen) {
		w->is_counted = true;
		if (--m->uncounted == 0)
			pthread_cond_broadcast(&m->loaded);
	}
	pthread_mutex_unlock(&m->mutex);
}

/* ---- The store ---- */

static void note_store(struct mirror *m, bool is_up, const char *reason)
{
	pthread_mutex_lock(&m->mutex);
	m->is_store_up = is_up;
	m->is_store_refusing = false;
	snprintf(m->store_reason, sizeof(m->store_reason), "%s", reason);
	pthread_mutex_unlock(&m->mutex);
}

static void log_store(const struct mirror *m, enum event_level level, const char *name,
		      const char *reason)
{
	char address[ADDRESS_TEXT_MAX];
	struct event e;

	event_begin(&e, level, name);
	event_text(&e, "address", address_to_text(store_address(m->shop.store), address));
	if (reason)
		event_text(&e, "reason", reason);
	if (reason && redis_error_mend(reason))
		event_text(&e, "mend", redis_error_mend(reason));
	event_end(&e);
}

static void on_store_up(void *arg)
{
	struct mirror *m = arg;

	m->shop.is_store_known = true;
	m->older_said_us = 0;
	note_store(m, true, "");
	log_store(m, EVENT_NOTICE, "store_up", NULL);
	for (size_t i = 0; i < m->works.count; i++)
		work_on_store_up(m->works.items[i]);
}

/* Said again while it stays down, with another reason perhaps: one line is enough. */
static void on_store_down(const char *reason, void *arg)
{
	struct mirror *m = arg;
	bool is_news = m->is_store_up || !m->shop.is_store_known;

	m->shop.is_store_known = true;
	note_store(m, false, reason);
	if (!is_news)
		return;
	log_store(m, EVENT_WARNING, "store_down", reason);
	for (size_t i = 0; i < m->works.count; i++)
		work_on_store_down(m->works.items[i]);
}

static void on_store_loaded(const uint8_t *origin, struct generation *g,
			    const struct zone_times *times, const char *reason, void *arg)
{
	struct mirror *m = arg;
	struct mirror_work *w = work_list_find(&m->works, origin);

	if (w)
		work_on_loaded(w, g, times, reason);
	else
		generation_free(g);	/* it left the configuration meanwhile */
}

static void on_store_saved(const uint8_t *origin, uint64_t generation, const char *reason,
			   void *arg)
{
	struct mirror *m = arg;
	struct mirror_work *w = work_list_find(&m->works, origin);

	if (w)
		work_on_saved(w, generation, reason);
}

static void on_store_lease(const uint8_t *origin, bool is_ours, const char *holder, void *arg)
{
	struct mirror *m = arg;
	struct mirror_work *w = work_list_find(&m->works, origin);

	if (w)
		work_on_lease(w, is_ours, holder);
}

static void on_store_holder(const uint8_t *origin, const char *holder, void *arg)
{
	struct mirror *m = arg;
	struct mirror_work *w = work_list_find(&m->works, origin);

	if (w)
		work_on_holder(w, holder);
}

static void on_store_newer(const uint8_t *origin, uint64_t generation, void *arg)
{
	struct mirror *m = arg;
	struct mirror_work *w = work_list_find(&m->works, origin);

	if (w)
		work_on_newer(w, generation);
}

static void on_store_followed(const uint8_t *origin, struct generation *g,
			      const struct zone_times *times, const char *reason, void *arg)
{
	struct mirror *m = arg;
	struct mirror_work *w = work_list_find(&m->works, origin);

	if (w)
		work_on_followed(w, g, times, reason);
	else
		generation_free(g);
}

static void on_store_wanted(const uint8_t *origin, uint32_t serial, void *arg)
{
	struct mirror *m = arg;
	struct mirror_work *w = work_list_find(&m->works, origin);

	if (w)
		work_on_wanted(w, serial);
}

static void on_store_spoilt(const uint8_t *origin, uint64_t generation, void *arg)
{
	struct mirror *m = arg;
	struct mirror_work *w = work_list_find(&m->works, origin);

	if (w)
		work_on_spoilt(w, generation);
}

static void on_store_deaf(const char *reason, void *arg)
{
	log_store(arg, EVENT_WARNING, "store_news_failed", reason);
}

static void log_older(struct mirror *m, const uint8_t *origin, uint64_t generation, uint64_t before)
{
	uint64_t now_us = clock_monotonic_us();
	struct event e;

	if (m->older_said_us > 0 && now_us - m->older_said_us < OLDER_EVERY_US) {
		m->older_suppressed++;
		return;
	}
	event_begin(&e, EVENT_WARNING, "store_older");
	event_name(&e, "zone", origin);
	event_number(&e, "generation", generation);
	event_number(&e, "seen", before);
	event_text(&e, "reason", generation == 0 ? "Redis has lost the zone"
						 : "Redis went back to an earlier generation");
	event_text(&e, "mend", "what we hold is written again; see why Redis lost data: "
			       "persistence, eviction, a failover, a backup");
	if (m->older_suppressed > 0)
		event_number(&e, "suppressed", m->older_suppressed);
	event_end(&e);
	m->older_said_us = now_us;
	m->older_suppressed = 0;
}

static void on_store_older(const uint8_t *origin, uint64_t generation, uint64_t before, void *arg)
{
	struct mirror *m = arg;
	struct mirror_work *w = work_list_find(&m->works, origin);

	if (!w)
		return;
	log_older(m, origin, generation, before);
	work_on_older(w, generation);
}

/* NULL: writes are taken again. The connection stands either way. */
static void on_store_refusing(const char *reason, void *arg)
{
	struct mirror *m = arg;

	pthread_mutex_lock(&m->mutex);
	m->is_store_refusing = reason != NULL;
	snprintf(m->store_reason, sizeof(m->store_reason), "%s", reason ? reason : "");
	pthread_mutex_unlock(&m->mutex);
	if (!reason)
		log_store(m, EVENT_NOTICE, "store_up", NULL);
	else if (redis_error_of(reason) == REDIS_ERROR_REFUSES)
		log_store(m, EVENT_WARNING, "store_down", reason);
}

static void on_store_denied(const char *command, const char *reason, void *arg)
{
	struct mirror *m = arg;
	char address[ADDRESS_TEXT_MAX];
	struct event e;

	event_begin(&e, EVENT_WARNING, "store_denied");
	event_text(&e, "address", address_to_text(store_address(m->shop.store), address));
	event_text(&e, "command", command);
	event_text(&e, "reason", reason);
	event_text(&e, "mend", redis_error_mend(reason));
	event_end(&e);
}

static void on_store_setting(const struct store_finding *f, bool is_bad, void *arg)
{
	struct mirror *m = arg;
	char address[ADDRESS_TEXT_MAX], text[MIRROR_UNSAFE_MAX] = "";
	struct event e;

	if (is_bad)
		snprintf(text, sizeof(text), "%s is %s: %s", f->name, f->value, f->reason);
	pthread_mutex_lock(&m->mutex);
	memcpy(m->store_unsafe[f->setting], text, sizeof(text));
	pthread_mutex_unlock(&m->mutex);
	event_begin(&e, is_bad ? EVENT_WARNING : EVENT_NOTICE, is_bad ? "store_unsafe" : "store_safe");
	event_text(&e, "address", address_to_text(store_address(m->shop.store), address));
	event_text(&e, "setting", f->name);
	event_text(&e, "value", f->value);
	if (is_bad) {
		event_text(&e, "reason", f->reason);
		event_text(&e, "mend", f->mend);
	}
	event_end(&e);
}

static const struct store_listener LISTENER = {
	.on_up = on_store_up, .on_down = on_store_down, .on_loaded = on_store_loaded,
	.on_saved = on_store_saved, .on_lease = on_store_lease, .on_holder = on_store_holder,
	.on_newer = on_store_newer, .on_followed = on_store_followed,
	.on_wanted = on_store_wanted, .on_spoilt = on_store_spoilt,
	.on_deaf = on_store_deaf,
	.on_older = on_store_older, .on_refusing = on_store_refusing, .on_denied = on_store_denied,
	.on_setting = on_store_setting,
};

/* ---- Commands, in the thread ---- */

static bool list_has(const struct work_list *l, const struct mirror_work *w)
{
	return work_list_find(l, w->slot->origin) == w;
}

static void do_configure(struct mirror *m, struct command *c)
{
	struct work_list before = m->works;
	uint64_t spread_us = c->count * SPREAD_EACH_US;

	if (spread_us > SPREAD_MAX_US)
		spread_us = SPREAD_MAX_US;
	m->works = (struct work_list){ 0 };
	work_list_set(&m->works, c->works, c->count);
	m->restored = 0;
	m->shop.zones = c->count;
	m->shop.lease_s = fleet_lease_s(m->conf.store.lease_s, c->count);
	if (m->shop.store)
		store_set_lease_s(m->shop.store, m->shop.lease_s);
	for (size_t i = 0; i < before.count; i++) {
		if (list_has(&m->works, before.items[i]))
			continue;
		work_stop(before.items[i]);
		work_list_add(&m->left, before.items[i]);
	}
	free(before.items);
	for (size_t i = 0; i < c->count; i++) {
		if (c->confs[i])
			work_configure(c->works[i], c->confs[i]);
		else
			work_start(c->works[i], &m->shop, spread_us);
	}
	ev_idle_start(m->shop.loop, &m->restore);
}

static void do_forget(struct mirror *m)
{
	for (size_t i = 0; i < m->left.count; i++) {
		const uint8_t *origin = m->left.items[i]->slot->origin;

		if (!work_list_find(&m->works, origin))	/* it may be back, with a new slot */
			snapshot_remove(m->conf.state_dir, origin);
	}
	work_list_free_all(&m->left);
}

static void do_order(struct mirror *m, const struct command *c)
{
	struct mirror_work *w = c->works[0];
	enum mirror_done done = MIRROR_EMPTY;

	if (!w->shop || w->is_left)
		;	/* it left the configuration meanwhile */
	else if (c->kind == COMMAND_HOLD)
		done = order_hold(w);
	else if (c->kind == COMMAND_ROLL_BACK)
		done = order_roll_back(w, &c->which);
	else
		done = order_accept(w);
	pthread_mutex_lock(&m->mutex);
	m->obeyed_number = c->number;
	m->obeyed_done = done;
	pthread_cond_broadcast(&m->obeyed);
	pthread_mutex_unlock(&m->mutex);
	if (done == MIRROR_DONE)
		order_save(w);
}

static void do_command(struct mirror *m, struct command *c)
{
	switch (c->kind) {
	case COMMAND_CONFIGURE:	do_configure(m, c); break;
	case COMMAND_FORGET:	do_forget(m); break;
	case COMMAND_STOP:	ev_break(m->shop.loop, EVBREAK_ALL); break;
	case COMMAND_HOLD:
	case COMMAND_ROLL_BACK:
	case COMMAND_ACCEPT:	do_order(m, c); break;
	}
	mirror_command_free(c);
}

static void do_want(struct mirror_work *w, unsigned wants)
{
	if (wants & WANT_ACCEPT)
		work_accept(w);
	else if (wants & WANT_RETRANSFER)
		work_retransfer(w);
	if (wants & WANT_REFUSED)	/* beside force, where both are wanted */
		work_take_refused(w);
	if (wants == WANT_REFRESH)
		work_refresh(w);
}

/* Zones that someone wants asked about, before commands that may end them. */
static void do_wanted(struct mirror_work *w)
{
	while (w) {
		struct mirror_work *next = w->wanted_next;	/* `w` may be in the list again soon */
		unsigned wants = atomic_exchange(&w->wants, 0);

		if (w->shop && !w->is_left)
			do_want(w, wants);
		w = next;
	}
}

static void on_wake(struct ev_loop *loop, ev_async *a, int revents)
{
	struct mirror *m = a->data;
	struct command *c;

	(void)loop;
	(void)revents;
	pthread_mutex_lock(&m->mutex);
	c = m->first;
	m->first = NULL;
	m->last = &m->first;
	pthread_mutex_unlock(&m->mutex);
	do_wanted(atomic_exchange(&m->wanted, NULL));
	while (c) {
		struct command *next = c->next;

		do_command(m, c);
		c = next;
	}
}

/* ---- The thread ---- */

/* One snapshot for each turn of the loop: replies of primaries go on coming in. */
static void on_restore(struct ev_loop *loop, ev_idle *i, int revents)
{
	struct mirror *m = i->data;

	(void)revents;
	while (m->restored < m->works.count) {
		struct mirror_work *w = m->works.items[m->restored++];

		if (w->is_snapshot_seen)
			continue;
		work_read_snapshot(w);
		return;
	}
	ev_idle_stop(loop, i);
}

static void on_tidy(struct ev_loop *loop, ev_prepare *p, int revents)
{
	struct mirror *m = p->data;

	(void)loop;
	(void)revents;
	retired_pass(&m->shop.retired);
}

static void on_sleep(struct ev_loop *loop) EV_NOEXCEPT
{
	(void)loop;
	rcu_sleep();
}

static void on_woken(struct ev_loop *loop) EV_NOEXCEPT
{
	(void)loop;
	rcu_wake();
}

static void on_farewell(struct ev_loop *loop, ev_timer *t, int revents)
{
	(void)t;
	(void)revents;
	ev_break(loop, EVBREAK_ALL);
}

/* Stops all work; leases that we have are given to whoever wants them next. */
static void shut_down(struct mirror *m)
{
	bool has_leases = false;
	ev_timer farewell;

	for (size_t i = 0; i < m->works.count; i++) {
		holding_flush_snapshot(&m->works.items[i]->hold);
		has_leases = has_leases || m->works.items[i]->has_lease;
		work_stop(m->works.items[i]);
	}
	if (has_leases) {
		ev_timer_init(&farewell, on_farewell, FAREWELL_S, 0.);
		ev_timer_start(m->shop.loop, &farewell);
		ev_run(m->shop.loop, 0);
	}
	reviews_fini(&m->shop.reviews);
	store_free(m->shop.store);
	m->shop.store = NULL;
}

void *mirror_thread_run(void *arg)
{
	struct mirror *m = arg;

	rcu_thread_start();
	m->shop.started_us = clock_monotonic_us();
	if (m->shop.store)
		store_start(m->shop.store);
	ev_run(m->shop.loop, 0);
	shut_down(m);
	rcu_thread_stop();
	return NULL;
}

void mirror_thread_init(struct mirror *m)
{
	turn_init(&m->shop);
	m->shop.report = on_report;
	m->shop.report_arg = m;
	m->shop.aside = aside_new(m->shop.loop);
	if (m->conf.has_redis)
		m->shop.store = store_new(m->shop.loop, &m->conf.store, &LISTENER, m);
	reviews_init(&m->shop.reviews, m->shop.loop, m->shop.state_dir);
	ev_async_init(&m->wake, on_wake);
	ev_prepare_init(&m->tidy, on_tidy);
	ev_idle_init(&m->restore, on_restore);
	ev_set_priority(&m->restore, EV_MAXPRI);	/* or a busy loop would never restore */
	m->wake.data = m->tidy.data = m->restore.data = m;
	ev_async_start(m->shop.loop, &m->wake);
	ev_prepare_start(m->shop.loop, &m->tidy);
	ev_set_loop_release_cb(m->shop.loop, on_sleep, on_woken);
}
