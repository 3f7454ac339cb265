/* SPDX-License-Identifier: ISC */
/*
 * Two lists lead into the thread, both under `mutex` and both announced by `wake`: commands
 * from control, in order; and zones that someone wants refreshed, each in it once at most.
 *
 * The thread is an RCU reader that sleeps while libev waits (the loop's release callback),
 * and it waits for other readers in `tidy`, before it sleeps: once for all generations that
 * were replaced in this turn.
 */
#include "cache/mirror.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <ev.h>

#include "cache/clock.h"
#include "cache/event.h"
#include "cache/work.h"

#define SPREAD_EACH_US	(2 * US_PER_MS)	/* first questions of many zones */
#define SPREAD_MAX_US	(5 * US_PER_S)
#define FAREWELL_S	0.1		/* for the commands that leave our leases */

enum command_kind { COMMAND_CONFIGURE, COMMAND_FORGET, COMMAND_STOP };

struct command {
	enum command_kind kind;
	struct command *next;
	size_t count;			/* of what is configured now: */
	struct mirror_work **works;
	struct mirror_zone_conf **confs;	/* NULL where the work is new and has it */
};

struct work_list {
	struct mirror_work **items;
	size_t count;
};

struct mirror {
	struct mirror_conf conf;
	pthread_t thread;
	bool is_running;

	/* the thread's */
	struct workshop shop;
	struct work_list works;		/* configured; by origin */
	struct work_list left;		/* not any more; until mirror_forget_left() */
	size_t restored;		/* works[0 .. restored-1] have read their snapshots */
	ev_async wake;
	ev_prepare tidy;
	ev_idle restore;		/* runs while snapshots are left to read */

	/* control's */
	struct work_list configured;	/* as `works` will be; by origin */

	pthread_mutex_t mutex;		/* guards the rest, and what work.h says */
	pthread_cond_t loaded;		/* uncounted == 0 */
	size_t uncounted;		/* zones that are still being restored */
	struct command *first, **last;
	struct mirror_work *wanted;
	bool is_store_up;
	char store_reason[160];
};

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

/* ---- Lists of zones ---- */

static int compare_origins(const uint8_t *a, const uint8_t *b)
{
	size_t a_len = name_len(a), b_len = name_len(b);

	if (a_len != b_len)
		return a_len < b_len ? -1 : 1;
	return memcmp(a, b, a_len);
}

static int compare_works(const void *a, const void *b)
{
	const struct mirror_work *const *x = a, *const *y = b;

	return compare_origins((*x)->slot->origin, (*y)->slot->origin);
}

static int compare_origin_work(const void *origin, const void *b)
{
	const struct mirror_work *const *work = b;

	return compare_origins(origin, (*work)->slot->origin);
}

static struct mirror_work *list_find(const struct work_list *l, const uint8_t *origin)
{
	struct mirror_work **at =
		l->count == 0 ? NULL : bsearch(origin, l->items, l->count, sizeof(l->items[0]),
					       compare_origin_work);

	return at ? *at : NULL;
}

/* Replaces the list by a sorted copy. */
static void list_set(struct work_list *l, struct mirror_work *const *items, size_t count)
{
	free(l->items);
	l->items = must(calloc(count + 1, sizeof(l->items[0])));
	l->count = count;
	if (count > 0)
		memcpy(l->items, items, count * sizeof(l->items[0]));
	qsort(l->items, count, sizeof(l->items[0]), compare_works);
}

static void list_add(struct work_list *l, struct mirror_work *w)
{
	l->items = must(realloc(l->items, (l->count + 1) * sizeof(l->items[0])));
	l->items[l->count++] = w;
}

static void list_free_all(struct work_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		work_free(l->items[i]);
	free(l->items);
	*l = (struct work_list){ 0 };
}

/* ---- What others see ---- */

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

void mirror_zone_status(struct mirror *m, struct mirror_zone *z, struct mirror_zone_status *status)
{
	uint64_t now_us = clock_monotonic_us(), next_us;

	pthread_mutex_lock(&m->mutex);
	*status = z->work->status;
	next_us = z->work->status_next_us;
	pthread_mutex_unlock(&m->mutex);
	status->next_refresh_s = 0;	/* while one is on: now */
	if (next_us != UINT64_MAX && next_us > now_us)
		status->next_refresh_s = (next_us - now_us) / US_PER_S;
}

bool mirror_store_status(struct mirror *m, bool *is_up, char reason[160])
{
	pthread_mutex_lock(&m->mutex);
	*is_up = m->is_store_up;
	memcpy(reason, m->store_reason, sizeof(m->store_reason));
	pthread_mutex_unlock(&m->mutex);
	return m->conf.has_redis;
}

bool mirror_wait_loaded(struct mirror *m, unsigned timeout_ms)
{
	struct timespec until;
	bool is_loaded;
	int error = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	rcu_sleep();	/* the mirror may have to wait for us while we wait for it */
	pthread_mutex_lock(&m->mutex);
	while (m->uncounted > 0 && error != ETIMEDOUT)
		error = pthread_cond_timedwait(&m->loaded, &m->mutex, &until);
	is_loaded = m->uncounted == 0;
	pthread_mutex_unlock(&m->mutex);
	rcu_wake();
	return is_loaded;
}

/* ---- The store ---- */

static void note_store(struct mirror *m, bool is_up, const char *reason)
{
	pthread_mutex_lock(&m->mutex);
	m->is_store_up = is_up;
	snprintf(m->store_reason, sizeof(m->store_reason), "%s", reason);
	pthread_mutex_unlock(&m->mutex);
}

static void log_store(const struct mirror *m, enum event_level level, const char *name, const char *reason)
{
	char address[ADDRESS_TEXT_MAX];
	struct event e;

	event_begin(&e, level, name);
	event_text(&e, "address", address_to_text(&m->conf.store.redis.address, address));
	if (reason)
		event_text(&e, "reason", reason);
	event_end(&e);
}

static void on_store_up(void *arg)
{
	struct mirror *m = arg;

	m->shop.is_store_known = true;
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

static void on_store_loaded(const uint8_t *origin, struct generation *g, const struct zone_times *times,
			    const char *reason, void *arg)
{
	struct mirror *m = arg;
	struct mirror_work *w = list_find(&m->works, origin);

	if (w)
		work_on_loaded(w, g, times, reason);
	else
		generation_free(g);	/* it left the configuration meanwhile */
}

static void on_store_saved(const uint8_t *origin, uint64_t generation, const char *reason, void *arg)
{
	struct mirror *m = arg;
	struct mirror_work *w = list_find(&m->works, origin);

	if (w)
		work_on_saved(w, generation, reason);
}

static void on_store_lease(const uint8_t *origin, bool is_ours, void *arg)
{
	struct mirror *m = arg;
	struct mirror_work *w = list_find(&m->works, origin);

	if (w)
		work_on_lease(w, is_ours);
}

static void on_store_newer(const uint8_t *origin, uint64_t generation, void *arg)
{
	struct mirror *m = arg;
	struct mirror_work *w = list_find(&m->works, origin);

	if (w)
		work_on_newer(w, generation);
}

static const struct store_listener LISTENER = {
	on_store_up, on_store_down, on_store_loaded, on_store_saved, on_store_lease, on_store_newer,
};

/* ---- Commands, in the thread ---- */

static bool list_has(const struct work_list *l, const struct mirror_work *w)
{
	return list_find(l, w->slot->origin) == w;
}

static void do_configure(struct mirror *m, struct command *c)
{
	struct work_list before = m->works;
	uint64_t spread_us = c->count * SPREAD_EACH_US;

	if (spread_us > SPREAD_MAX_US)
		spread_us = SPREAD_MAX_US;
	m->works = (struct work_list){ 0 };
	list_set(&m->works, c->works, c->count);
	m->restored = 0;
	for (size_t i = 0; i < before.count; i++) {
		if (list_has(&m->works, before.items[i]))
			continue;
		work_stop(before.items[i]);
		list_add(&m->left, before.items[i]);
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

		if (!list_find(&m->works, origin))	/* it may be back, with a new slot */
			snapshot_remove(m->conf.state_dir, origin);
	}
	list_free_all(&m->left);
}

static void command_free(struct command *c)
{
	free(c->works);
	free(c->confs);
	free(c);
}

static void do_command(struct mirror *m, struct command *c)
{
	switch (c->kind) {
	case COMMAND_CONFIGURE:	do_configure(m, c); break;
	case COMMAND_FORGET:	do_forget(m); break;
	case COMMAND_STOP:	ev_break(m->shop.loop, EVBREAK_ALL); break;
	}
	command_free(c);
}

/* Zones that someone wants asked about, before commands that may end them. */
static void do_wanted(struct mirror *m, struct mirror_work *w)
{
	while (w) {
		bool is_forced, is_hurried;
		struct mirror_work *next;

		pthread_mutex_lock(&m->mutex);
		next = w->wanted_next;
		is_forced = w->wants_retransfer;
		is_hurried = w->wants_refresh;
		w->wants_retransfer = w->wants_refresh = w->is_wanted = false;
		pthread_mutex_unlock(&m->mutex);
		if (w->shop && !w->is_left && is_forced)
			work_retransfer(w);
		else if (w->shop && !w->is_left && is_hurried)
			work_refresh(w);
		w = next;
	}
}

static void on_wake(struct ev_loop *loop, ev_async *a, int revents)
{
	struct mirror *m = a->data;
	struct mirror_work *wanted;
	struct command *c;

	(void)loop;
	(void)revents;
	pthread_mutex_lock(&m->mutex);
	wanted = m->wanted;
	m->wanted = NULL;
	c = m->first;
	m->first = NULL;
	m->last = &m->first;
	pthread_mutex_unlock(&m->mutex);
	do_wanted(m, wanted);
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
		has_leases = has_leases || m->works.items[i]->has_lease;
		work_stop(m->works.items[i]);
	}
	if (has_leases) {
		ev_timer_init(&farewell, on_farewell, FAREWELL_S, 0.);
		ev_timer_start(m->shop.loop, &farewell);
		ev_run(m->shop.loop, 0);
	}
	store_free(m->shop.store);
	m->shop.store = NULL;
}

static void *run(void *arg)
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

/* ---- Commands, from control ---- */

static void send_command(struct mirror *m, struct command *c)
{
	pthread_mutex_lock(&m->mutex);
	*m->last = c;
	m->last = &c->next;
	pthread_mutex_unlock(&m->mutex);
	ev_async_send(m->shop.loop, &m->wake);
}

static struct command *command_new(enum command_kind kind, size_t count)
{
	struct command *c = must(calloc(1, sizeof(*c)));

	c->kind = kind;
	c->count = count;
	c->works = must(calloc(count + 1, sizeof(c->works[0])));
	c->confs = must(calloc(count + 1, sizeof(c->confs[0])));
	return c;
}

static void count_new(struct mirror *m)
{
	pthread_mutex_lock(&m->mutex);
	m->uncounted++;
	pthread_mutex_unlock(&m->mutex);
}

void mirror_configure(struct mirror *m, const struct mirror_zone_conf *zones, size_t count,
		      struct mirror_zone **slots)
{
	struct command *c = command_new(COMMAND_CONFIGURE, count);

	for (size_t i = 0; i < count; i++) {
		struct mirror_zone_conf *conf = must(malloc(sizeof(*conf)));

		*conf = zones[i];
		c->works[i] = list_find(&m->configured, zones[i].origin);
		if (c->works[i]) {
			c->confs[i] = conf;
		} else {
			c->works[i] = work_new(conf);
			count_new(m);
		}
		slots[i] = c->works[i]->slot;
	}
	list_set(&m->configured, c->works, count);
	send_command(m, c);
}

void mirror_forget_left(struct mirror *m)
{
	send_command(m, command_new(COMMAND_FORGET, 0));
}

static void want(struct mirror *m, struct mirror_work *w, bool is_forced)
{
	bool is_first;

	pthread_mutex_lock(&m->mutex);
	is_first = !w->is_wanted;
	if (is_first) {
		w->is_wanted = true;
		w->wanted_next = m->wanted;
		m->wanted = w;
	}
	w->wants_refresh = true;
	w->wants_retransfer = w->wants_retransfer || is_forced;
	pthread_mutex_unlock(&m->mutex);
	if (is_first)
		ev_async_send(m->shop.loop, &m->wake);
}

void mirror_refresh(struct mirror *m, struct mirror_zone *z)
{
	want(m, z->work, false);
}

void mirror_retransfer(struct mirror *m, struct mirror_zone *z)
{
	want(m, z->work, true);
}

/* ---- Life ---- */

static void init_lock(struct mirror *m)
{
	pthread_condattr_t monotonic;

	pthread_mutex_init(&m->mutex, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&m->loaded, &monotonic);
	pthread_condattr_destroy(&monotonic);
	m->last = &m->first;
}

static void init_watchers(struct mirror *m)
{
	ev_async_init(&m->wake, on_wake);
	ev_prepare_init(&m->tidy, on_tidy);
	ev_idle_init(&m->restore, on_restore);
	ev_set_priority(&m->restore, EV_MAXPRI);	/* or a busy loop would never restore */
	m->wake.data = m->tidy.data = m->restore.data = m;
	ev_async_start(m->shop.loop, &m->wake);
	ev_prepare_start(m->shop.loop, &m->tidy);
	ev_set_loop_release_cb(m->shop.loop, on_sleep, on_woken);
}

struct mirror *mirror_new(const struct mirror_conf *conf)
{
	struct mirror *m = must(calloc(1, sizeof(*m)));

	m->conf = *conf;
	init_lock(m);
	m->shop.loop = must(ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV));
	m->shop.lease_s = conf->store.lease_s;
	m->shop.state_dir = m->conf.state_dir;
	m->shop.report = on_report;
	m->shop.report_arg = m;
	random_init(&m->shop.random);
	retired_init(&m->shop.retired);
	if (conf->has_redis)
		m->shop.store = store_new(m->shop.loop, &m->conf.store, &LISTENER, m);
	init_watchers(m);
	return m;
}

/* Signals are control's: the thread inherits a mask that blocks them all. */
void mirror_start(struct mirror *m)
{
	sigset_t all, before;

	assert(!m->is_running);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&m->thread, NULL, run, m) != 0)
		abort();
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	m->is_running = true;
}

void mirror_stop(struct mirror *m)
{
	if (!m->is_running)
		return;
	send_command(m, command_new(COMMAND_STOP, 0));
	rcu_sleep();	/* the mirror may be waiting for us */
	pthread_join(m->thread, NULL);
	rcu_wake();
	m->is_running = false;
}

/* Commands that the thread did not come to: only new zones are theirs to free. */
static void drop_commands(struct mirror *m)
{
	while (m->first) {
		struct command *c = m->first;

		m->first = c->next;
		for (size_t i = 0; i < c->count; i++) {
			if (!c->confs[i])
				work_free(c->works[i]);
			free(c->confs[i]);
		}
		command_free(c);
	}
}

void mirror_free(struct mirror *m)
{
	if (!m)
		return;
	assert(!m->is_running);
	drop_commands(m);
	list_free_all(&m->works);
	list_free_all(&m->left);
	free(m->configured.items);
	store_free(m->shop.store);
	retired_fini(&m->shop.retired);
	ev_loop_destroy(m->shop.loop);
	pthread_cond_destroy(&m->loaded);
	pthread_mutex_destroy(&m->mutex);
	free(m);
}
