/* SPDX-License-Identifier: ISC */
#include "proxy/worker.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <ev.h>

#include "cache/clock.h"
#include "cache/memory.h"
#include "cache/priority.h"
#include "cache/rcu.h"
#include "proxy/busy.h"
#include "proxy/crowd.h"
#include "proxy/deadline.h"
#include "proxy/dispatch.h"
#include "proxy/tcp.h"
#include "proxy/udp.h"
#include "proxy/upstream.h"
#include "proxy/watch.h"
#include "proxy/xdp.h"

/*
 * The turn of the loop: on_wake() reads the clock, callbacks do their work and flush what they
 * queued, on_before_sleep() sees to it that the one timer rings for the next deadline, on_sleep()
 * tells RCU that nothing read in this turn is still in use. Deadlines come after sockets: when we
 * were late ourselves, the replies that arrived meanwhile are read before anybody is called silent.
 */

enum {
	STOP_US = 2000000,	/* answers still owed at the end are waited for this long */
};

struct bound { int udp, tcp; struct address address; };

struct worker {
	unsigned index;
	pthread_t thread;
	struct ev_loop *loop;
	struct crowd crowd;		/* in it: TCP, and most sockets to backends */
	ev_io command;			/* an eventfd: a new plan, or the end */
	ev_prepare before_sleep;
	struct deadline deadline;	/* the wheel's next, or before */
	struct busy busy;
	ev_timer sweep;			/* each second */
	struct dispatch *dispatch;
	struct upstreams *upstreams;
	struct udp *udp;
	struct xdp *xdp;		/* NULL: no queue of an interface was given to us */
	struct tcp *tcp;
	struct watch *watch;
	struct mirror *mirror;
	struct notifier *notifier;
	uint64_t stop_us;		/* 0: not stopping */
	bool is_started;		/* control's */
	struct stats stats;

	/* Written by control before it rings `command`, read by the thread behind it. */
	const struct plan *plan;
	_Atomic(const struct plan *) next_plan;
	struct bound fresh[CONF_LISTEN_MAX];	/* listeners that `next_plan` adds */
	unsigned fresh_count;
	_Atomic bool must_stop;
	sem_t done;			/* posted when the new plan is in use */
};

/* ---- What dispatch asks of us ---- */

static uint8_t *shell_room(void *shell, const struct client *to, size_t want)
{
	struct worker *w = shell;
	uint8_t *room = NULL;

	if (to->is_tcp)
		return tcp_room(w->tcp, want);
	if (to->frame != 0)
		room = xdp_room(w->xdp, to, want);
	return room ? room : udp_room(w->udp, want);
}

static void shell_answer(void *shell, const struct client *to, const uint8_t *bytes, size_t len)
{
	struct worker *w = shell;

	if (to->is_tcp)
		tcp_answer(w->tcp, to, bytes, len);
	else if (to->frame == 0 || !xdp_answer(w->xdp, to, bytes, len))
		udp_answer(w->udp, to, bytes, len);
}

static bool shell_send(void *shell, struct attempt *a, const struct query *q)
{
	return upstreams_send(((struct worker *)shell)->upstreams, a, q);
}

static void shell_alarm(void *shell)
{
	watch_wake(((struct worker *)shell)->watch);
}

static void shell_refresh(void *shell, struct mirror_zone *zone)
{
	mirror_refresh(((struct worker *)shell)->mirror, zone);
}

static void shell_note(void *shell, const struct notify_note *note)
{
	struct worker *w = shell;

	notifier_put(w->notifier, w->index, note);
}

static bool shell_transfer(void *shell, const struct client *to, const struct outgoing_ask *ask)
{
	return tcp_transfer(((struct worker *)shell)->tcp, to, ask);
}

static void shell_suspect(void *shell, const struct suspicion *s)
{
	struct worker *w = shell;

	watch_suspect(w->watch, w->index, s);
}

static void shell_newer(void *shell, const struct newer *n)
{
	struct worker *w = shell;

	watch_newer(w->watch, w->index, n);
}

static const struct dispatch_ops shell_ops = {
	.room = shell_room, .answer = shell_answer, .send = shell_send, .alarm = shell_alarm,
	.refresh = shell_refresh, .note = shell_note, .transfer = shell_transfer,
	.suspect = shell_suspect, .newer = shell_newer,
};

/* Ends a batch: sends what it queued. Failures to send may answer, hence the order. */
static void flush(void *arg)
{
	struct worker *w = arg;

	upstreams_flush(w->upstreams);
	udp_flush(w->udp);
	if (w->xdp)
		xdp_flush(w->xdp);
	busy_mark(&w->busy, w->loop, w->dispatch->now_us);
}

/* ---- The loop ---- */

static struct worker *worker_of(struct ev_loop *loop)
{
	return ev_userdata(loop);
}

static void on_sleep(struct ev_loop *loop)
{
	(void)loop;
	rcu_sleep();
}

static void on_wake(struct ev_loop *loop)
{
	rcu_wake();
	worker_of(loop)->dispatch->now_us = clock_monotonic_us();
}

static void on_shell_timer(void *shell, struct wheel_item *item)
{
	tcp_on_timer(((struct worker *)shell)->tcp, item);
}

static void on_deadline(struct ev_loop *loop, ev_timer *ring, int revents)
{
	struct worker *w = worker_of(loop);
	uint64_t now_us = w->dispatch->now_us;

	(void)ring;
	(void)revents;
	dispatch_expire(w->dispatch, deadline_read_until(&w->deadline, now_us), on_shell_timer);
	if (wheel_next_us(&w->dispatch->wheel) > now_us)
		deadline_stop(&w->deadline);
	flush(w);
}

/* Runs before each sleep, last of all. */
static void on_before_sleep(struct ev_loop *loop, ev_prepare *prepare, int revents)
{
	struct worker *w = worker_of(loop);

	(void)prepare;
	(void)revents;
	deadline_set(&w->deadline, wheel_next_us(&w->dispatch->wheel));
	busy_look(&w->busy, w->loop, w->dispatch->now_us);
}

static void on_sweep(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct worker *w = worker_of(loop);

	(void)timer;
	(void)revents;
	w->dispatch->wall_s = (uint32_t)(clock_wall_us() / US_PER_S);
	upstreams_sweep(w->upstreams);
	udp_sweep(w->udp);
	flush(w);
}

/* ---- Plans ---- */

static bool listens_to(const struct plan *plan, const struct address *a)
{
	for (size_t i = 0; plan && i < plan->conf->listen_count; i++)
		if (address_is_equal(&plan->conf->listen[i], a))
			return true;
	return false;
}

static void start_fresh_listeners(struct worker *w)
{
	for (unsigned i = 0; i < w->fresh_count; i++) {
		udp_start(w->udp, w->fresh[i].udp, &w->fresh[i].address);
		tcp_start(w->tcp, w->fresh[i].tcp, &w->fresh[i].address);
	}
	w->fresh_count = 0;
}

static void use_next_plan(struct worker *w)
{
	const struct plan *old = w->plan;

	w->plan = atomic_exchange(&w->next_plan, NULL);
	dispatch_set_plan(w->dispatch, w->plan);
	upstreams_set_plan(w->upstreams, w->plan);
	tcp_set_conf(w->tcp, w->plan->conf);
	w->busy.for_us = w->plan->conf->busy_poll_us;
	start_fresh_listeners(w);
	for (size_t i = 0; old && i < old->conf->listen_count; i++) {
		if (listens_to(w->plan, &old->conf->listen[i]))
			continue;
		udp_stop(w->udp, &old->conf->listen[i]);
		tcp_stop(w->tcp, &old->conf->listen[i]);
	}
	flush(w);
	sem_post(&w->done);
}

static bool is_idle(const struct worker *w)
{
	return inflight_query_count(w->dispatch->inflight) == 0 && tcp_busy_count(w->tcp) == 0;
}

/* While stopping: ends the loop when nobody is owed an answer, or when time is up. */
static void on_stop_check(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct worker *w = worker_of(loop);

	(void)timer;
	(void)revents;
	if (is_idle(w) || w->dispatch->now_us >= w->stop_us)
		ev_break(loop, EVBREAK_ALL);
}

static void begin_stop(struct worker *w)
{
	w->stop_us = w->dispatch->now_us + STOP_US;
	if (w->xdp)
		xdp_stop(w->xdp);	/* the last queries of its interfaces */
	udp_stop_all(w->udp);
	tcp_stop_all(w->tcp);
	flush(w);
	ev_timer_stop(w->loop, &w->sweep);
	ev_timer_init(&w->sweep, on_stop_check, 0., 0.005);
	ev_timer_start(w->loop, &w->sweep);
}

static void on_command(struct ev_loop *crowd, ev_io *io, int revents)
{
	struct worker *w = worker_of(crowd);
	eventfd_t times;

	(void)revents;
	eventfd_read(io->fd, &times);
	if (atomic_load(&w->next_plan))
		use_next_plan(w);
	if (atomic_load(&w->must_stop) && w->stop_us == 0)
		begin_stop(w);
}

static void *run(void *arg)
{
	struct worker *w = arg;

	rcu_thread_start();
	priority_of_queries();
	ev_run(w->loop, 0);
	rcu_thread_stop();
	return NULL;
}

/* ---- Control's side ---- */

static void close_fresh(struct worker *w)
{
	for (unsigned i = 0; i < w->fresh_count; i++) {
		close(w->fresh[i].udp);
		close(w->fresh[i].tcp);
	}
	w->fresh_count = 0;
}

static bool bind_one(struct worker *w, const struct address *a, FILE *errors)
{
	char text[ADDRESS_TEXT_MAX];
	int udp = udp_bind(a);
	int tcp = udp < 0 ? udp : tcp_bind(a);

	if (tcp < 0) {
		fprintf(errors, "cannot listen on %s (%s): %s\n", address_to_text(a, text),
			udp < 0 ? "UDP" : "TCP", strerror(-tcp));
		if (udp >= 0)
			close(udp);
		return false;
	}
	w->fresh[w->fresh_count++] = (struct bound){ udp, tcp, *a };
	return true;
}

bool worker_prepare_plan(struct worker *w, const struct plan *plan, FILE *errors)
{
	for (size_t i = 0; i < plan->conf->listen_count; i++) {
		const struct address *a = &plan->conf->listen[i];

		if (!listens_to(w->plan, a) && !bind_one(w, a, errors)) {
			close_fresh(w);
			return false;
		}
	}
	return true;
}

void worker_cancel_plan(struct worker *w)
{
	close_fresh(w);
}

void worker_use_plan(struct worker *w, const struct plan *plan)
{
	atomic_store(&w->next_plan, plan);
	if (w->is_started)
		eventfd_write(w->command.fd, 1);
	else
		use_next_plan(w);	/* the thread does not run yet: we are it */
	while (sem_wait(&w->done) < 0 && errno == EINTR)
		;
}

/* In the crowd, so that poll need not look at it each time. libev's ev_async would not wake it there. */
static void init_command(struct worker *w)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	if (fd < 0)
		abort();
	ev_io_init(&w->command, on_command, fd, EV_READ);
	ev_io_start(w->crowd.loop, &w->command);
}

static void init_loop(struct worker *w)
{
	w->loop = ev_loop_new(EVBACKEND_POLL | EVFLAG_NOENV | EVFLAG_NOSIGMASK);
	if (!w->loop)
		abort();
	ev_set_userdata(w->loop, w);
	ev_set_loop_release_cb(w->loop, on_sleep, on_wake);
	ev_prepare_init(&w->before_sleep, on_before_sleep);
	ev_set_priority(&w->before_sleep, EV_MINPRI);
	ev_prepare_start(w->loop, &w->before_sleep);
	crowd_init(&w->crowd, w->loop);		/* behind it: crowd.h */
	init_command(w);
	busy_init(&w->busy);
	deadline_init(&w->deadline, w->loop, w->crowd.loop, on_deadline);
	ev_timer_init(&w->sweep, on_sweep, 0., 1.);
	ev_timer_start(w->loop, &w->sweep);
}

static void init_parts(struct worker *w, const struct plan *plan, const struct worker_conf *conf)
{
	struct upstream_shell shell = { .loop = w->crowd.loop, .polled = w->loop, .flush = flush,
					.arg = w };

	w->dispatch = dispatch_new(&shell_ops, w, w->index, plan->conf->in_flight, conf->cookie_secret,
				   &w->stats, clock_monotonic_us());
	w->dispatch->wall_s = (uint32_t)(clock_wall_us() / US_PER_S);
	shell.dispatch = w->dispatch;
	w->upstreams = upstreams_new(&shell);
	w->udp = udp_new(w->loop, w->dispatch, flush, w);
	w->tcp = tcp_new(w->crowd.loop, w->dispatch, conf->tcp_connections, conf->transfers, flush, w);
}

struct worker *worker_new(const struct worker_conf *conf, const struct plan *plan, FILE *errors)
{
	struct worker *w = memory_zeroed(1, sizeof(*w));

	w->index = conf->index;
	w->watch = conf->watch;
	w->mirror = conf->mirror;
	w->notifier = conf->notifier;
	sem_init(&w->done, 0, 0);
	init_loop(w);
	init_parts(w, plan, conf);
	if (!worker_prepare_plan(w, plan, errors)) {
		worker_free(w);
		return NULL;
	}
	worker_use_plan(w, plan);
	return w;
}

bool worker_take_queue(struct worker *w, struct xdp_queue *q)
{
	if (!w->xdp)
		w->xdp = xdp_new(w->loop, w->dispatch, w->udp, flush, w);
	return xdp_take(w->xdp, q);
}

void worker_start(struct worker *w)
{
	char name[16];

	if (pthread_create(&w->thread, NULL, run, w) != 0)
		abort();
	w->is_started = true;
	snprintf(name, sizeof(name), "worker-%u", w->index);
	pthread_setname_np(w->thread, name);
}

void worker_stop(struct worker *w)
{
	atomic_store(&w->must_stop, true);
	eventfd_write(w->command.fd, 1);
}

void worker_join(struct worker *w)
{
	pthread_join(w->thread, NULL);
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	close_fresh(w);
	tcp_free(w->tcp);
	xdp_free(w->xdp);
	udp_free(w->udp);
	upstreams_free(w->upstreams);
	dispatch_free(w->dispatch);
	deadline_fini(&w->deadline);
	ev_loop_destroy(w->loop);
	crowd_fini(&w->crowd);
	close(w->command.fd);
	sem_destroy(&w->done);
	free(w);
}

struct stats *worker_stats(struct worker *w)
{
	return &w->stats;
}
