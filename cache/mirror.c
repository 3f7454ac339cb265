/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cache/clock.h"
#include "cache/memory.h"
#include "cache/mirror_parts.h"
#include "cache/mirror_status.h"
#include "cache/mirror_zoneconf.h"

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

static struct timespec monotonic_after(unsigned ms)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += ms / 1000;
	at.tv_nsec += (long)(ms % 1000) * 1000000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	return at;
}

/* ---- What others see ---- */

static void describe(struct mirror_generation *to, const struct generation *g, uint64_t since,
		     const char *source)
{
	*to = (struct mirror_generation){ .number = g->number, .records = g->records,
					  .serial = g->soa.serial, .since = since };
	snprintf(to->source, sizeof(to->source), "%s", source);
}

unsigned mirror_generations(struct mirror *m, struct mirror_zone *z,
			    struct mirror_generation list[MIRROR_KEEP_MAX + 1])
{
	const struct holding *h = &z->work->hold;
	unsigned count = 0;

	pthread_mutex_lock(&m->mutex);
	if (z->current) {
		describe(&list[count], z->current, h->published_at, holding_source(h));
		list[count++].copy_of = h->copy_of;
	}
	for (unsigned i = 0; i < h->kept.count && count <= MIRROR_KEEP_MAX; i++)
		describe(&list[count++], h->kept.items[i].generation, h->kept.items[i].since,
			 h->kept.items[i].source);
	pthread_mutex_unlock(&m->mutex);
	return count;
}

void mirror_zone_status(struct mirror *m, struct mirror_zone *z, struct mirror_zone_status *status)
{
	uint64_t now_us = clock_monotonic_us(), next_us;

	pthread_mutex_lock(&m->mutex);
	status_unpack(z->work->status, status);
	next_us = z->work->status_next_us;
	pthread_mutex_unlock(&m->mutex);
	status->next_refresh_s = 0;	/* while one is on: now */
	if (next_us != UINT64_MAX && next_us > now_us)
		status->next_refresh_s = (next_us - now_us) / US_PER_S;
}

size_t mirror_take_changed(struct mirror *m, uint8_t (*origins)[NAME_LEN_MAX], size_t max)
{
	size_t count = 0;

	pthread_mutex_lock(&m->mutex);
	while (count < max && !TAILQ_EMPTY(&m->changed)) {
		struct mirror_work *w = TAILQ_FIRST(&m->changed);

		TAILQ_REMOVE(&m->changed, w, changed);
		w->is_changed = false;
		memcpy(origins[count++], w->origin, name_len(w->origin));
	}
	pthread_mutex_unlock(&m->mutex);
	return count;
}

bool mirror_store_status(struct mirror *m, bool *is_up, char reason[160])
{
	pthread_mutex_lock(&m->mutex);
	*is_up = m->is_store_up && !m->is_store_refusing;
	memcpy(reason, m->store_reason, sizeof(m->store_reason));
	pthread_mutex_unlock(&m->mutex);
	return m->conf.has_redis;
}

void mirror_store_unsafe(struct mirror *m, char text[SETTING_COUNT][MIRROR_UNSAFE_MAX])
{
	pthread_mutex_lock(&m->mutex);
	memcpy(text, m->store_unsafe, sizeof(m->store_unsafe));
	pthread_mutex_unlock(&m->mutex);
}

bool mirror_wait_loaded(struct mirror *m, unsigned timeout_ms)
{
	struct timespec until = monotonic_after(timeout_ms);
	bool is_loaded;
	int error = 0;

	rcu_sleep();	/* the mirror may have to wait for us while we wait for it */
	pthread_mutex_lock(&m->mutex);
	while (m->uncounted > 0 && error != ETIMEDOUT)
		error = pthread_cond_timedwait(&m->loaded, &m->mutex, &until);
	is_loaded = m->uncounted == 0;
	pthread_mutex_unlock(&m->mutex);
	rcu_wake();
	return is_loaded;
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
	struct command *c = memory_zeroed(1, sizeof(*c));

	c->kind = kind;
	c->count = count;
	c->works = memory_zeroed(count + 1, sizeof(c->works[0]));
	c->confs = memory_zeroed(count + 1, sizeof(c->confs[0]));
	return c;
}

static void count_new(struct mirror *m)
{
	pthread_mutex_lock(&m->mutex);
	m->uncounted++;
	pthread_mutex_unlock(&m->mutex);
}

/* A zone that becomes a catalog, or is one no longer, is another zone. */
static struct mirror_work *find_configured(const struct mirror *m, const struct mirror_zone_conf *z)
{
	struct mirror_work *w = work_list_find(&m->configured, z->origin);

	return w && w->slot->is_catalog == z->catalog.is_one ? w : NULL;
}

void mirror_configure(struct mirror *m, const struct mirror_zone_conf *zones, size_t count,
		      struct mirror_zone **slots)
{
	struct command *c = command_new(COMMAND_CONFIGURE, count);
	const struct mirror_zone_conf *made = NULL;	/* of the zone before */

	for (size_t i = 0; i < count; i++) {
		const struct mirror_zone_conf *conf =
			zoneconf_copy(&zones[i], made ? &zones[i - 1] : NULL, made);

		made = conf;
		c->works[i] = find_configured(m, &zones[i]);
		if (c->works[i]) {
			c->confs[i] = conf;
		} else {
			c->works[i] = work_new(zones[i].origin, conf);
			count_new(m);
		}
		slots[i] = c->works[i]->slot;
	}
	work_list_set(&m->configured, c->works, count);
	c->sorted = memory_zeroed(count + 1, sizeof(c->sorted[0]));
	memcpy(c->sorted, m->configured.items, count * sizeof(c->sorted[0]));
	send_command(m, c);
}

void mirror_forget_left(struct mirror *m)
{
	send_command(m, command_new(COMMAND_FORGET, 0));
}

void mirror_give_way(struct mirror *m)
{
	send_command(m, command_new(COMMAND_GIVE_WAY, 0));
}

/* No lock: workers come here, and anyone can forge the NOTIFY that sends them. */
static void want(struct mirror *m, struct mirror_work *w, unsigned what)
{
	if (atomic_fetch_or(&w->wants, what) != 0)
		return;		/* it is in the list, and the thread is awake */
	w->wanted_next = atomic_load(&m->wanted);
	while (!atomic_compare_exchange_weak(&m->wanted, &w->wanted_next, w))
		;
	ev_async_send(m->shop.loop, &m->wake);
}

void mirror_refresh(struct mirror *m, struct mirror_zone *z)
{
	want(m, z->work, WANT_REFRESH);
}

void mirror_retransfer(struct mirror *m, struct mirror_zone *z)
{
	want(m, z->work, WANT_RETRANSFER);
}

void mirror_accept_catalog(struct mirror *m, struct mirror_zone *z)
{
	want(m, z->work, WANT_ACCEPT);
}

void mirror_take_refused(struct mirror *m, struct mirror_zone *z)
{
	want(m, z->work, WANT_REFUSED);
}

/* ---- Orders, from control ---- */

/* Long enough for a mirror that has nothing else to do; control has probes to send. */
enum { ORDER_PATIENCE_MS = 100 };

static enum mirror_done wait_obeyed(struct mirror *m, uint64_t number)
{
	struct timespec until = monotonic_after(ORDER_PATIENCE_MS);
	enum mirror_done done = MIRROR_LATER;
	int error = 0;

	rcu_sleep();	/* the mirror may have to wait for us while we wait for it */
	pthread_mutex_lock(&m->mutex);
	while (m->obeyed_number < number && error != ETIMEDOUT)
		error = pthread_cond_timedwait(&m->obeyed, &m->mutex, &until);
	if (m->obeyed_number >= number)
		done = m->obeyed_done;
	pthread_mutex_unlock(&m->mutex);
	rcu_wake();
	return done;
}

static enum mirror_done order(struct mirror *m, enum command_kind kind, struct mirror_zone *z,
			      const struct mirror_which *which)
{
	struct command *c = command_new(kind, 1);
	uint64_t number = c->number = ++m->ordered;

	c->works[0] = z->work;
	if (which)
		c->which = *which;
	send_command(m, c);
	return wait_obeyed(m, number);
}

enum mirror_done mirror_hold(struct mirror *m, struct mirror_zone *z)
{
	return order(m, COMMAND_HOLD, z, NULL);
}

enum mirror_done mirror_roll_back(struct mirror *m, struct mirror_zone *z,
				  const struct mirror_which *which)
{
	return order(m, COMMAND_ROLL_BACK, z, which);
}

enum mirror_done mirror_accept(struct mirror *m, struct mirror_zone *z)
{
	return order(m, COMMAND_ACCEPT, z, NULL);
}

/* ---- Life ---- */

static void init_lock(struct mirror *m)
{
	pthread_condattr_t monotonic;

	pthread_mutex_init(&m->mutex, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&m->loaded, &monotonic);
	pthread_cond_init(&m->obeyed, &monotonic);
	pthread_cond_init(&m->ended, &monotonic);
	pthread_condattr_destroy(&monotonic);
	m->last = &m->first;
}

struct mirror *mirror_new(const struct mirror_conf *conf)
{
	struct mirror *m = memory_zeroed(1, sizeof(*m));

	m->conf = *conf;
	init_lock(m);
	m->shop.loop = must(ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV));
	m->shop.lease_s = conf->store.lease_s;
	m->shop.instance = m->conf.store.instance;
	m->shop.state_dir = m->conf.state_dir;
	m->shop.mutex = &m->mutex;
	m->shop.works = &m->works;
	TAILQ_INIT(&m->changed);
	random_init(&m->shop.random);
	retired_init(&m->shop.retired);
	m->shop.turns = turns_new(&conf->turns);
	mirror_thread_init(m);
	return m;
}

/* Signals are control's: the thread inherits a mask that blocks them all. */
void mirror_start(struct mirror *m)
{
	sigset_t all, before;

	assert(!m->is_running);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&m->thread, NULL, mirror_thread_run, m) != 0)
		abort();
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_setname_np(m->thread, "mirror");
	m->is_running = true;
}

static void begin_stop(struct mirror *m)
{
	if (!m->is_stopping)
		send_command(m, command_new(COMMAND_STOP, 0));
	m->is_stopping = true;
}

void mirror_stop_within(struct mirror *m, unsigned patience_ms)
{
	struct timespec until = monotonic_after(patience_ms);
	int error = 0;

	if (!m->is_running)
		return;
	begin_stop(m);
	rcu_sleep();	/* the mirror may be waiting for us */
	pthread_mutex_lock(&m->mutex);
	while (!m->has_ended && error != ETIMEDOUT)
		error = pthread_cond_timedwait(&m->ended, &m->mutex, &until);
	pthread_mutex_unlock(&m->mutex);
	rcu_wake();
}

void mirror_stop(struct mirror *m)
{
	if (!m->is_running)
		return;
	begin_stop(m);
	rcu_sleep();	/* the mirror may be waiting for us */
	pthread_join(m->thread, NULL);
	rcu_wake();
	m->is_running = false;
}

void mirror_command_free(struct command *c)
{
	free(c->works);
	free(c->sorted);
	free(c->confs);
	free(c);
}

/* Commands that the thread did not come to: only new zones are theirs to free. */
static void drop_commands(struct mirror *m)
{
	while (m->first) {
		struct command *c = m->first;

		m->first = c->next;
		for (size_t i = 0; c->kind == COMMAND_CONFIGURE && i < c->count; i++) {
			if (!c->confs[i])
				work_free(c->works[i]);
			zoneconf_free(c->confs[i]);
		}
		mirror_command_free(c);
	}
}

void mirror_free(struct mirror *m)
{
	if (!m)
		return;
	assert(!m->is_running);
	drop_commands(m);
	work_list_free_all(&m->works);
	work_list_free_all(&m->left);
	aside_free(m->shop.aside);
	free(m->configured.items);
	store_free(m->shop.store);
	retired_fini(&m->shop.retired);
	turns_free(m->shop.turns);
	ev_loop_destroy(m->shop.loop);
	pthread_cond_destroy(&m->loaded);
	pthread_cond_destroy(&m->obeyed);
	pthread_cond_destroy(&m->ended);
	pthread_mutex_destroy(&m->mutex);
	free(m);
}
