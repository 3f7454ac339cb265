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
#include "cache/memory.h"
#include "cache/mirror_fleet.h"
#include "cache/mirror_order.h"
#include "cache/mirror_parts.h"
#include "cache/mirror_status.h"
#include "cache/mirror_turn.h"
#include "cache/priority.h"

#define SPREAD_EACH_US	100		/* first questions of many zones: the turns do the rest */
#define SPREAD_MAX_US	(5 * US_PER_S)
#define RESTORE_TURN_US	US_PER_MS
#define FAREWELL_S	1.		/* at most, for the commands that leave our leases */
#define ROUND_S		1.
#define ROUND_ZONES	500		/* of a hundred thousand each has its turn in minutes */

/* Something of `w` has changed: the copy that others read follows. */
static void on_report(struct mirror_work *w, void *arg)
{
	struct mirror *m = arg;
	struct mirror_zone_status status = { .next_refresh_s = 0 };
	struct status_packed *old = w->status, *new;	/* this thread alone writes it */

	work_describe(w, &status);
	new = status_pack(&status);
	pthread_mutex_lock(&m->mutex);
	w->status = new;
	w->status_next_us = w->schedule.next_us;
	if (!w->is_changed && !w->is_left) {
		w->is_changed = true;
		TAILQ_INSERT_TAIL(&m->changed, w, changed);
	}
	if (!w->is_counted && w->is_snapshot_seen && w->is_store_seen) {
		w->is_counted = true;
		if (--m->uncounted == 0)
			pthread_cond_broadcast(&m->loaded);
	}
	pthread_mutex_unlock(&m->mutex);
	free(old);
}

/* ---- Commands, in the thread ---- */

static bool list_has(const struct work_list *l, const struct mirror_work *w)
{
	return work_list_find(l, w->origin) == w;
}

/* By how many are new: one more among many is wanted at once. */
static uint64_t spread_us(const struct command *c)
{
	uint64_t us = 0;

	for (size_t i = 0; i < c->count && us < SPREAD_MAX_US; i++)
		us += c->confs[i] ? 0 : SPREAD_EACH_US;
	return us;
}

static void do_configure(struct mirror *m, struct command *c)
{
	struct work_list before = m->works;
	uint64_t spread = spread_us(c);

	m->works = (struct work_list){ c->sorted, c->count };
	c->sorted = NULL;
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
			work_start(c->works[i], &m->shop, spread);
	}
	ev_idle_start(m->shop.loop, &m->restore);
}

/* Control shall not hear of what is freed. */
static void forget_changed(struct mirror *m)
{
	pthread_mutex_lock(&m->mutex);
	for (size_t i = 0; i < m->left.count; i++)
		if (m->left.items[i]->is_changed)
			TAILQ_REMOVE(&m->changed, m->left.items[i], changed);
	pthread_mutex_unlock(&m->mutex);
}

static void do_forget(struct mirror *m)
{
	forget_changed(m);
	for (size_t i = 0; i < m->left.count; i++) {
		const uint8_t *origin = m->left.items[i]->origin;

		if (work_list_find(&m->works, origin))
			continue;	/* it is back, with a new slot */
		snapshot_remove(m->conf.state_dir, origin);
		if (m->shop.store)
			store_forget(m->shop.store, origin);
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
	case COMMAND_GIVE_WAY:	priority_of_transfers(); break;
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

/* One snapshot or a few in each turn of the loop: replies of primaries go on coming in. */
static void on_restore(struct ev_loop *loop, ev_idle *i, int revents)
{
	struct mirror *m = i->data;
	uint64_t end_us = clock_monotonic_us() + RESTORE_TURN_US;

	(void)revents;
	event_hold();
	while (m->restored < m->works.count && clock_monotonic_us() < end_us) {
		struct mirror_work *w = m->works.items[m->restored++];

		if (!w->is_snapshot_seen)
			work_read_snapshot(w);
	}
	event_release();
	if (m->restored == m->works.count)
		ev_idle_stop(loop, i);
}

/*
 * Timers are for what is due at a known time. What hangs on the clock on the wall, the ends of
 * signatures above all, is seen here, and so is what some timer might have missed.
 */
static void on_round(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct mirror *m = t->data;

	(void)loop;
	(void)revents;
	for (size_t n = 0; n < m->works.count && n < ROUND_ZONES; n++) {
		m->rounded = (m->rounded + 1) % m->works.count;
		work_look(m->works.items[m->rounded]);
	}
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
	bool *is_over = t->data;

	(void)loop;
	(void)revents;
	*is_over = true;
}

/* Until the store has said that our leases are nobody's; a busy Redis may take its time for it. */
static void see_leases_left(struct mirror *m)
{
	bool is_over = false;
	ev_timer farewell;

	ev_now_update(m->shop.loop);	/* the last snapshots may have taken long */
	ev_timer_init(&farewell, on_farewell, FAREWELL_S, 0.);
	farewell.data = &is_over;
	ev_timer_start(m->shop.loop, &farewell);
	while (!is_over && !store_is_idle(m->shop.store))
		ev_run(m->shop.loop, EVRUN_ONCE);
	ev_timer_stop(m->shop.loop, &farewell);
}

/* Those that are behind are written now. */
static void write_all_snapshots(struct mirror *m)
{
	m->shop.is_ending = true;
	for (size_t i = 0; i < m->works.count; i++)
		holding_tend_snapshot(&m->works.items[i]->hold);
	holding_line_flush(&m->shop);
}

/* Stops all work; leases that we have are given to whoever wants them next. */
static void shut_down(struct mirror *m)
{
	bool has_leases = false;

	ev_timer_stop(m->shop.loop, &m->round);
	write_all_snapshots(m);
	for (size_t i = 0; i < m->works.count; i++) {
		has_leases = has_leases || m->works.items[i]->has_lease;
		work_stop(m->works.items[i]);
	}
	if (has_leases)
		see_leases_left(m);
	reviews_fini(&m->shop.reviews);
	store_free(m->shop.store);
	m->shop.store = NULL;
}

void *mirror_thread_run(void *arg)
{
	struct mirror *m = arg;

	rcu_thread_start();
	memory_expect_bulk();
	m->shop.started_us = clock_monotonic_us();
	if (m->shop.store)
		store_start(m->shop.store);
	ev_run(m->shop.loop, 0);
	shut_down(m);
	rcu_thread_stop();
	pthread_mutex_lock(&m->mutex);
	m->has_ended = true;
	pthread_cond_broadcast(&m->ended);
	pthread_mutex_unlock(&m->mutex);
	return NULL;
}

void mirror_thread_init(struct mirror *m)
{
	turn_init(&m->shop);
	m->shop.report = on_report;
	m->shop.report_arg = m;
	m->shop.rearm = work_rearm;
	holding_line_init(&m->shop);
	m->shop.aside = aside_new(m->shop.loop, priority_of_asides);
	if (m->conf.has_redis)
		m->shop.store = store_new(m->shop.loop, &m->conf.store, &mirror_store_listener, m);
	reviews_init(&m->shop.reviews, m->shop.loop, m->shop.state_dir);
	ev_async_init(&m->wake, on_wake);
	ev_prepare_init(&m->tidy, on_tidy);
	ev_idle_init(&m->restore, on_restore);
	ev_set_priority(&m->restore, EV_MAXPRI);	/* or a busy loop would never restore */
	ev_timer_init(&m->round, on_round, ROUND_S, ROUND_S);
	m->wake.data = m->tidy.data = m->restore.data = m->round.data = m;
	ev_async_start(m->shop.loop, &m->wake);
	ev_prepare_start(m->shop.loop, &m->tidy);
	ev_timer_start(m->shop.loop, &m->round);
	ev_set_loop_release_cb(m->shop.loop, on_sleep, on_woken);
}
