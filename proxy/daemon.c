/* SPDX-License-Identifier: ISC */
#include "proxy/daemon.h"

#include <ctype.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/clock.h"
#include "cache/random.h"
#include "cache/rcu.h"
#include "proxy/descriptors.h"

enum {
	/* Sockets are bound by then, so that queries wait in the kernel while zones are read. */
	LOAD_WAIT_MS = 1000,
	LEASE_S = 6,		/* how long a zone waits for another transferrer after a crash */
	HOST_MAX = 32,		/* bytes of our host's name in leases */
	SAVE_MS = 30000,	/* the disk and Redis may have, while workers answer on */
};

/* ---- Start ---- */

static bool open_log(const struct conf *conf, FILE *errors)
{
	int result = event_open_log(conf->log, conf->log_style, conf->log_level);

	if (result < 0)
		fprintf(errors, "cannot write the log %s: %s\n", conf->log, strerror(-result));
	return result == 0;
}

/* Connections cost descriptors. Returns how many TCP clients each worker can have. */
static unsigned take_descriptors(const struct conf *conf)
{
	uint64_t wanted = descriptors_wanted(conf), limit = descriptors_raise(wanted);
	unsigned clients = descriptors_clients(conf, limit);

	if (clients < conf->tcp_connections)
		event_note(EVENT_WARNING, "open files are limited to %llu, %llu are wanted: each worker "
			   "takes %u TCP clients instead of tcp-connections = %u (LimitNOFILE= of "
			   "systemd, or ulimit -Hn, gives more)", (unsigned long long)limit,
			   (unsigned long long)wanted, clients, conf->tcp_connections);
	return clients;
}

/* Who we are in leases: for operators the host and the process; random, as both come again. */
static void name_instance(char *text, size_t size)
{
	char host[HOST_MAX] = "";
	struct random random;

	random_init(&random);
	gethostname(host, sizeof(host) - 1);
	for (char *c = host; *c; c++)
		if (!isalnum((unsigned char)*c) && *c != '.' && *c != '-')
			*c = '_';
	snprintf(text, size, "%s/%d/%08x", host, (int)getpid(), random_u32(&random));
}

static struct mirror *make_mirror(const struct conf *conf)
{
	struct mirror_conf m = { .has_redis = conf->has_redis, .turns = conf->transfers };

	snprintf(m.state_dir, sizeof(m.state_dir), "%s", conf->state_dir);
	if (conf->has_redis) {
		m.store.redis = conf->redis;
		snprintf(m.store.prefix, sizeof(m.store.prefix), "%s", conf->redis_prefix);
		name_instance(m.store.instance, sizeof(m.store.instance));
		m.store.lease_s = LEASE_S;
	}
	return mirror_new(&m);
}

static bool make_workers(struct daemon *d, FILE *errors)
{
	struct worker_conf conf = { .watch = d->watch, .mirror = d->mirror,
				    .transfers = d->transfers, .notifier = d->notifier,
				    .cookie_secret = d->cookie_secret,
				    .tcp_connections = take_descriptors(d->plan->conf) };

	for (unsigned i = 0; i < d->plan->conf->workers; i++) {
		conf.index = i;
		d->workers[i] = worker_new(&conf, d->plan, errors);
		if (!d->workers[i])
			return false;
		d->stats[i] = worker_stats(d->workers[i]);
		d->worker_count = i + 1;
	}
	return true;
}

static void on_control_sleep(struct ev_loop *loop)
{
	(void)loop;
	rcu_sleep();
}

static void on_control_wake(struct ev_loop *loop)
{
	(void)loop;
	rcu_wake();
}

static bool make_parts(struct daemon *d, struct conf *conf, FILE *errors)
{
	d->mirror = make_mirror(conf);
	backend_set_workers(conf->workers);
	d->watch = watch_new(d->loop, d->mirror, conf->workers);
	d->transfers = transfer_log_new(d->loop, conf->workers);
	d->notifier = notifier_new(d->loop, conf->workers);
	d->plan = plan_new(conf, d->mirror, 1);
	notifier_set_plan(d->notifier, d->plan);
	if (!make_workers(d, errors))
		return false;
	d->catalogs = catalogs_new(d);
	d->control = control_new(d, conf->control);
	if (!d->control)
		fprintf(errors, "cannot open the control socket %s: %s\n", conf->control,
			errno == EADDRINUSE ? "another Understudy answers there" : strerror(errno));
	return d->control != NULL;
}

static void free_parts(struct daemon *d)
{
	control_free(d->control);
	catalogs_free(d->catalogs);
	for (unsigned i = 0; i < d->worker_count; i++)
		worker_free(d->workers[i]);
	transfer_log_free(d->transfers);
	notifier_free(d->notifier);
	watch_free(d->watch);
	plan_free(d->plan);
	mirror_free(d->mirror);
	ev_loop_destroy(d->loop);
}

/*
 * Signals are the control thread's: every other one is born with all of them blocked. They wait
 * until somebody listens: daemon_run().
 */
static void start_threads(struct daemon *d)
{
	sigset_t all;
	bool has_members;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &d->signals);
	mirror_start(d->mirror);
	mirror_wait_loaded(d->mirror, LOAD_WAIT_MS);
	has_members = catalogs_take(d->catalogs);	/* before somebody is told that they are not ours */
	if (has_members)
		mirror_wait_loaded(d->mirror, LOAD_WAIT_MS);
	mirror_give_way(d->mirror);	/* until here all wait for it */
	d->xdp = xdp_interfaces_open(d->loop, d->plan->conf, d->workers, d->worker_count);
	for (unsigned i = 0; i < d->worker_count; i++)
		worker_start(d->workers[i]);
	if (!has_members)
		watch_set_plan(d->watch, d->plan);
}

bool daemon_start(struct daemon *d, const char *conf_file, struct conf *conf, FILE *errors)
{
	struct random random;

	memset(d, 0, sizeof(*d));
	if (!open_log(conf, errors)) {
		conf_free(conf);
		return false;
	}
	signal(SIGPIPE, SIG_IGN);
	random_init(&random);
	for (size_t i = 0; i < COOKIE_SECRET_LEN; i++)
		d->cookie_secret[i] = (uint8_t)random_u16(&random);
	d->conf_file = conf_file;
	d->started_us = clock_monotonic_us();
	d->loop = ev_default_loop(EVBACKEND_EPOLL | EVFLAG_NOENV);
	signal(SIGCHLD, SIG_DFL);	/* libev would take the ends of programs from the mirror */
	rcu_thread_start();
	ev_set_loop_release_cb(d->loop, on_control_sleep, on_control_wake);
	if (!make_parts(d, conf, errors)) {
		free_parts(d);
		rcu_thread_stop();
		return false;
	}
	malloc_trim(0);		/* a configuration takes more while it is read */
	start_threads(d);
	return true;
}

/* ---- Reload ---- */

static void report_reload(const struct daemon *d, const char *reasons)
{
	struct event e;

	event_begin(&e, reasons ? EVENT_ERROR : EVENT_NOTICE, "config_reloaded");
	event_text(&e, "file", d->conf_file);
	event_text(&e, "result", reasons ? "failed" : "ok");
	event_number(&e, "number", d->plan->number);
	if (reasons) {
		event_text(&e, "reason", reasons);
	} else {
		event_number(&e, "zones", d->plan->zone_count);
		event_number(&e, "pools", d->plan->pool_count);
	}
	event_end(&e);
}

/* Everything that may fail, in an order in which each step can be undone. */
static struct plan *prepare_plan(struct daemon *d, FILE *errors)
{
	struct conf *conf;
	struct plan *plan;
	unsigned ready = 0;

	rcu_sleep();	/* a long file must not hold up what the mirror frees */
	conf = conf_read(d->conf_file, errors);
	rcu_wake();
	if (!conf)
		return NULL;
	if (!conf_can_replace(d->plan->conf, conf, errors)) {
		conf_free(conf);
		return NULL;
	}
	plan = plan_new_with(conf, catalogs_gather(d->plan, conf), d->plan->number + 1);
	while (ready < d->worker_count && worker_prepare_plan(d->workers[ready], plan, errors))
		ready++;
	if (ready == d->worker_count && open_log(conf, errors))
		return plan;
	while (ready-- > 0)
		worker_cancel_plan(d->workers[ready]);
	plan_free(plan);
	return NULL;
}

void daemon_use_plan(struct daemon *d, struct plan *plan)
{
	struct plan *old = d->plan;

	plan_set_mirror(plan, d->mirror);
	notifier_set_plan(d->notifier, plan);
	watch_set_plan(d->watch, plan);	/* first: workers shall find what is held */
	for (unsigned i = 0; i < d->worker_count; i++)
		worker_use_plan(d->workers[i], plan);
	d->plan = plan;
	xdp_interfaces_listen(d->xdp, plan->conf);
	catalogs_tell(d->mirror, old, plan);
	plan_free(old);
	mirror_forget_left(d->mirror);
	malloc_trim(0);		/* two configurations were in memory */
}

static void copy_reasons(char *reasons, FILE *errors)
{
	if (errors)
		fputs(reasons, errors);
	for (char *p = reasons; *p; p++)	/* one event is one line */
		if (*p == '\n')
			*p = p[1] ? ';' : '\0';
}

bool daemon_reload(struct daemon *d, FILE *errors)
{
	char *reasons = NULL;
	size_t len = 0;
	FILE *capture = open_memstream(&reasons, &len);
	struct plan *plan;

	if (!capture)
		return false;
	catalogs_settle(d->catalogs);
	plan = prepare_plan(d, capture);
	fclose(capture);
	if (plan)
		daemon_use_plan(d, plan);
	else
		copy_reasons(reasons, errors);
	report_reload(d, plan ? NULL : reasons);
	free(reasons);
	return plan != NULL;
}

/* ---- Signals, and the end ---- */

static void on_hangup(struct ev_loop *loop, ev_signal *signal_watcher, int revents)
{
	struct daemon *d = signal_watcher->data;

	(void)loop;
	(void)revents;
	/* logrotate sends this, too: its wish must not hang on the file's being right. */
	event_open_log(d->plan->conf->log, d->plan->conf->log_style, d->plan->conf->log_level);
	daemon_reload(d, NULL);
}

static void on_end(struct ev_loop *loop, ev_signal *signal_watcher, int revents)
{
	(void)signal_watcher;
	(void)revents;
	ev_break(loop, EVBREAK_ALL);
}

static void listen_to(struct daemon *d, ev_signal *watcher, int number,
		      void (*on)(struct ev_loop *, ev_signal *, int))
{
	ev_signal_init(watcher, on, number);
	watcher->data = d;
	ev_signal_start(d->loop, watcher);
}

void daemon_run(struct daemon *d)
{
	listen_to(d, &d->on_term, SIGTERM, on_end);
	listen_to(d, &d->on_int, SIGINT, on_end);
	listen_to(d, &d->on_hup, SIGHUP, on_hangup);
	pthread_sigmask(SIG_SETMASK, &d->signals, NULL);
	event_note(EVENT_NOTICE, "ready: %zu zones, %u workers, file %s", d->plan->zone_count,
		   d->worker_count, d->conf_file);
	ev_run(d->loop, 0);
	event_note(EVENT_NOTICE, "stopping: writes snapshots, leaves leases");
	mirror_stop_within(d->mirror, SAVE_MS);		/* workers answer meanwhile */
	event_note(EVENT_NOTICE, "stopping: answers what is in flight");
	xdp_interfaces_close(d->xdp);
	for (unsigned i = 0; i < d->worker_count; i++)
		worker_stop(d->workers[i]);
	rcu_sleep();	/* the mirror may have to wait for readers while we wait for workers */
	for (unsigned i = 0; i < d->worker_count; i++)
		worker_join(d->workers[i]);
	rcu_wake();
	mirror_stop(d->mirror);
	free_parts(d);
	rcu_thread_stop();
}
