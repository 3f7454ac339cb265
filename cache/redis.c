/* SPDX-License-Identifier: ISC */
/*
 * A connection is a struct link: made for one hiredis context and freed with it, by the one
 * hook (on_end) that hiredis calls for every context, however it ended. After lose() the
 * link belongs to nobody, and what still arrives for it changes nothing.
 *
 * Timers: `retry` brings the next connection, or the next PING while Redis is loading;
 * `deadline` stands for the connect, later for the oldest command; `idle` sends a PING now
 * and then, so that a frozen Redis is noticed when nothing is asked; `refuse` calls back
 * what could not be sent. `deadline` has the lowest priority: after a stall of the loop,
 * replies that wait in the socket are read first.
 */
#include "cache/redis.h"

#include <assert.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include <hiredis/async.h>

#include "cache/memory.h"
#include "cache/random.h"
#include "cache/redis_reply.h"

#define BACKOFF_MIN_S	0.05
#define BACKOFF_MAX_S	5.0
#define LOADING_S	0.25	/* between two PINGs while Redis loads */
#define IDLE_S		5.0
#define LATE_S		0.1	/* a timer this late means that the loop was held up */

enum { CALL_OVERHEAD = 64, REASON_MAX = 160 };

enum link_state {
	LINK_NONE,		/* `retry` runs, or redis_start() was not called */
	LINK_CONNECTING,	/* `deadline` stands for the connect */
	LINK_GREETING,		/* AUTH, SELECT, PING; `retry` runs while Redis is loading */
	LINK_UP,
};

struct link {
	struct redis *owner;	/* NULL once lost */
	redisAsyncContext *ac;
	struct ev_loop *loop;
	ev_io readable, writable;
	struct reply_guard guard;
};

struct call {
	struct call *next;
	struct redis *owner;
	redis_reply_fn done;
	void *arg;
	size_t size;
	ev_tstamp deadline;
};

struct call_list {
	struct call *head, **tail;
};

struct redis {
	struct ev_loop *loop;
	struct redis_conf conf;
	redis_state_fn on_state;
	void *arg;
	struct link *link;		/* NULL in LINK_NONE */
	enum link_state state;
	ev_timer retry, deadline, idle, refuse;
	struct call_list sent;		/* oldest first */
	struct call_list refused;	/* to be called back with NULL by `refuse` */
	size_t queued;
	ev_tstamp backoff, up_since;
	bool is_late;			/* the oldest command was given a second chance */
	bool is_reported;		/* on_state has been called */
	bool is_reported_up;
	unsigned depth;			/* callbacks on the stack */
	char reason[REASON_MAX];	/* as last reported */
	struct random random;
};

static void connect_now(struct redis *r);
static void greet(struct redis *r);

/* ---- Calls ---- */

static void call_list_init(struct call_list *l)
{
	l->head = NULL;
	l->tail = &l->head;
}

static void call_append(struct call_list *l, struct call *c)
{
	c->next = NULL;
	*l->tail = c;
	l->tail = &c->next;
}

static struct call *call_take(struct call_list *l)
{
	struct call *c = l->head;

	if (c && !(l->head = c->next))
		l->tail = &l->head;
	return c;
}

static void call_end(struct call *c, const redisReply *reply)
{
	struct redis *r = c->owner;

	r->depth++;
	if (c->done)
		c->done(reply, c->arg);
	r->depth--;
	free(c);
}

static void refuse_call(struct redis *r, struct call *c)
{
	call_append(&r->refused, c);
	if (!ev_is_active(&r->refuse)) {
		ev_timer_set(&r->refuse, 0., 0.);
		ev_timer_start(r->loop, &r->refuse);
	}
}

/* Calls back those that were there when it began: a callback may send, and be refused. */
static void on_refuse(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct redis *r = w->data;
	struct call_list list = r->refused;
	struct call *c;

	(void)loop;
	(void)revents;
	if (!list.head)
		return;
	call_list_init(&r->refused);
	while ((c = call_take(&list)))
		call_end(c, NULL);
}

/* ---- The state, and whom it is told ---- */

static void report(struct redis *r, bool up, const char *reason)
{
	bool is_news = !r->is_reported || up != r->is_reported_up;

	if (!is_news && (up || strcmp(reason, r->reason) == 0))
		return;
	snprintf(r->reason, sizeof(r->reason), "%s", up ? "" : reason);
	r->is_reported = true;
	r->is_reported_up = up;
	r->depth++;
	r->on_state(up, up ? NULL : r->reason, r->arg);
	r->depth--;
}

static void start_retry(struct redis *r, ev_tstamp after)
{
	ev_timer_stop(r->loop, &r->retry);
	ev_timer_set(&r->retry, after, 0.);
	ev_timer_start(r->loop, &r->retry);
}

static void start_deadline(struct redis *r, ev_tstamp after)
{
	ev_timer_stop(r->loop, &r->deadline);
	ev_timer_set(&r->deadline, after > 0. ? after : 0., 0.);
	ev_timer_start(r->loop, &r->deadline);
}

/* Full jitter on the upper half, so that a fleet does not come back in step. */
static ev_tstamp next_backoff(struct redis *r)
{
	ev_tstamp wait = r->backoff * (0.5 + random_below(&r->random, 501) / 1000.);

	r->backoff = r->backoff * 2. < BACKOFF_MAX_S ? r->backoff * 2. : BACKOFF_MAX_S;
	return wait;
}

/*
 * The connection is over: the one way into LINK_NONE. Does not touch the context, which
 * hiredis is ending already or drop() will end.
 */
static void lose(struct redis *r, const char *reason)
{
	/* Only a connection that held proves that Redis is well: else we would come back
	 * every 50 ms to one that accepts and hangs up. */
	if (r->state == LINK_UP && ev_now(r->loop) - r->up_since > BACKOFF_MAX_S)
		r->backoff = BACKOFF_MIN_S;
	if (r->link)
		r->link->owner = NULL;
	r->link = NULL;
	r->state = LINK_NONE;
	r->is_late = false;
	ev_timer_stop(r->loop, &r->deadline);
	ev_timer_stop(r->loop, &r->idle);
	start_retry(r, next_backoff(r));
	report(r, false, reason);
}

/* We end it. Inside a callback of hiredis the context goes when that callback returns. */
static void drop(struct redis *r, const char *reason)
{
	redisAsyncContext *ac = r->link->ac;
	char copy[REASON_MAX];

	snprintf(copy, sizeof(copy), "%s", reason);	/* may lie in a reply that goes too */
	lose(r, copy);
	redisAsyncFree(ac);
}

static const char *why_ended(const struct link *l)
{
	if (l->guard.refusal)
		return l->guard.refusal;
	return l->ac->c.err && l->ac->c.errstr[0] ? l->ac->c.errstr : "the connection ended";
}

/* ---- The hooks that hiredis asks of an event loop ---- */

static void hook_add_read(void *arg)
{
	struct link *l = arg;

	ev_io_start(l->loop, &l->readable);
}

static void hook_del_read(void *arg)
{
	struct link *l = arg;

	ev_io_stop(l->loop, &l->readable);
}

static void hook_add_write(void *arg)
{
	struct link *l = arg;

	ev_io_start(l->loop, &l->writable);
}

static void hook_del_write(void *arg)
{
	struct link *l = arg;

	ev_io_stop(l->loop, &l->writable);
}

/* hiredis frees the context next, and has called every command of it back. */
static void on_end(void *arg)
{
	struct link *l = arg;

	hook_del_read(l);
	hook_del_write(l);
	if (l->owner)
		lose(l->owner, why_ended(l));
	l->ac->data = NULL;
	free(l);
}

static void on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct link *l = w->data;

	(void)loop;
	(void)revents;
	/* One call reads 16 kB at most, so the bound holds within that. */
	if (reply_guard_has_room(&l->guard))
		redisAsyncHandleRead(l->ac);
	else
		drop(l->owner, l->guard.refusal);
}

static void on_writable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct link *l = w->data;

	(void)loop;
	(void)revents;
	redisAsyncHandleWrite(l->ac);
}

/* A failed connect needs nothing here: on_end() follows. */
static void on_connect(const redisAsyncContext *ac, int status)
{
	struct link *l = ac->data;

	if (status != REDIS_OK || !l || !l->owner)
		return;
	l->owner->state = LINK_GREETING;
	ev_timer_stop(l->loop, &l->owner->deadline);
	greet(l->owner);
}

static struct link *link_new(struct redis *r, redisAsyncContext *ac)
{
	struct link *l = memory_zeroed(1, sizeof(*l));

	l->owner = r;
	l->ac = ac;
	l->loop = r->loop;
	ev_io_init(&l->readable, on_readable, ac->c.fd, EV_READ);
	ev_io_init(&l->writable, on_writable, ac->c.fd, EV_WRITE);
	l->readable.data = l->writable.data = l;
	reply_guard_attach(&l->guard, ac);
	ac->data = l;
	ac->ev.data = l;
	ac->ev.addRead = hook_add_read;
	ac->ev.delRead = hook_del_read;
	ac->ev.addWrite = hook_add_write;
	ac->ev.delWrite = hook_del_write;
	ac->ev.cleanup = on_end;
	redisAsyncSetConnectCallback(ac, on_connect);	/* starts to wait for writability */
	return l;
}

/* ---- Connecting ---- */

/*
 * Neither form blocks: the text of an address needs no resolver, and a UNIX socket whose
 * backlog is full gives EAGAIN, which hiredis reports at once.
 */
static redisAsyncContext *open_context(const struct address *a)
{
	char host[NI_MAXHOST], port[NI_MAXSERV];

	if (a->storage.ss_family == AF_UNIX)
		return redisAsyncConnectUnix(((const struct sockaddr_un *)&a->storage)->sun_path);
	if (getnameinfo((const struct sockaddr *)&a->storage, a->len, host, sizeof(host), port,
			sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return NULL;
	return redisAsyncConnect(host, address_port(a));
}

static void connect_now(struct redis *r)
{
	redisAsyncContext *ac = open_context(&r->conf.address);

	if (!ac || ac->err) {
		lose(r, ac ? ac->errstr : "no socket");
		if (ac)
			redisAsyncFree(ac);
		return;
	}
	r->link = link_new(r, ac);
	r->state = LINK_CONNECTING;
	ev_now_update(r->loop);
	start_deadline(r, r->conf.connect_ms / 1e3);
}

static void on_retry(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct redis *r = w->data;

	(void)loop;
	(void)revents;
	if (r->state == LINK_NONE)
		connect_now(r);
	else if (r->state == LINK_GREETING)
		greet(r);
}

/*
 * The oldest command is late. When this timer itself is late, the loop was held up and
 * Redis may be blameless: it gets as long again, once.
 */
static void on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct redis *r = w->data;
	const struct call *oldest = r->sent.head;

	(void)revents;
	if (r->state == LINK_CONNECTING) {
		drop(r, "connecting to Redis took too long");
	} else if (oldest && ev_now(loop) < oldest->deadline) {
		start_deadline(r, oldest->deadline - ev_now(loop));
	} else if (oldest && !r->is_late && ev_now(loop) > oldest->deadline + LATE_S) {
		r->is_late = true;
		start_deadline(r, r->conf.command_ms / 1e3);
	} else if (oldest) {
		drop(r, "Redis did not reply in time");
	}
}

/* ---- Sending ---- */

static void on_reply(redisAsyncContext *ac, void *reply, void *arg)
{
	struct call *c = arg;
	struct redis *r = c->owner;
	struct link *l = ac->data;

	assert(c == r->sent.head);	/* replies come in the order of the commands */
	call_take(&r->sent);
	r->queued -= c->size;
	r->is_late = false;
	if (!reply && l->owner)
		lose(r, why_ended(l));
	call_end(c, reply);
}

static void send_call(struct redis *r, int argc, const char **argv, const size_t *argv_len,
		      struct call *c)
{
	c->deadline = ev_now(r->loop) + r->conf.command_ms / 1e3;
	if (redisAsyncCommandArgv(r->link->ac, on_reply, c, argc, argv, argv_len) != REDIS_OK) {
		refuse_call(r, c);
		return;
	}
	call_append(&r->sent, c);
	r->queued += c->size;
	if (!ev_is_active(&r->deadline))
		start_deadline(r, r->conf.command_ms / 1e3);
}

static struct call *call_new(struct redis *r, int argc, const size_t *argv_len,
			     redis_reply_fn done, void *arg)
{
	struct call *c = memory_zeroed(1, sizeof(*c));

	c->owner = r;
	c->done = done;
	c->arg = arg;
	c->size = CALL_OVERHEAD;
	for (int i = 0; i < argc; i++)
		c->size += argv_len[i];
	return c;
}

void redis_command(struct redis *r, int argc, const char **argv, const size_t *argv_len,
		   redis_reply_fn done, void *arg)
{
	struct call *c = call_new(r, argc, argv_len, done, arg);

	assert(argc > 0);
	if (r->state == LINK_UP && r->queued + c->size <= r->conf.queue_max)
		send_call(r, argc, argv, argv_len, c);
	else
		refuse_call(r, c);
}

/* ---- Greeting: AUTH, SELECT, and PING until Redis has loaded its data ---- */

static void send_words(struct redis *r, int argc, const char **argv, redis_reply_fn done)
{
	size_t len[4];

	assert(argc <= 4 && r->link);
	for (int i = 0; i < argc; i++)
		len[i] = strlen(argv[i]);
	send_call(r, argc, argv, len, call_new(r, argc, len, done, r));
}

/* NULL: the connection is lost, and lose() has seen to it. */
static void on_greeted(const redisReply *reply, void *arg)
{
	struct redis *r = arg;

	if (reply && reply_is_error(reply) && r->link)
		drop(r, reply->str);
}

/* Past these errors Redis will serve; no other goes away by itself. */
static bool is_busy(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_ERROR &&
	       (strncmp(reply->str, "LOADING", 7) == 0 || strncmp(reply->str, "BUSY", 4) == 0 ||
		strncmp(reply->str, "MASTERDOWN", 10) == 0);
}

static void on_pong(const redisReply *reply, void *arg)
{
	struct redis *r = arg;

	if (!reply || !r->link || r->state != LINK_GREETING)
		return;
	if (is_busy(reply)) {
		start_retry(r, LOADING_S);
		report(r, false, reply->str);
	} else if (!reply_is_status(reply, "PONG")) {
		drop(r, reply_is_error(reply) ? reply->str : "what answers is not Redis");
	} else {
		r->state = LINK_UP;
		r->up_since = ev_now(r->loop);
		ev_timer_again(r->loop, &r->idle);
		report(r, true, NULL);
	}
}

/* All at once: replies come in order, and the first error drops the connection. */
static void greet(struct redis *r)
{
	const struct redis_conf *c = &r->conf;
	char database[12];

	if (c->password[0] && c->username[0])
		send_words(r, 3, (const char *[]){ "AUTH", c->username, c->password }, on_greeted);
	else if (c->password[0])
		send_words(r, 2, (const char *[]){ "AUTH", c->password }, on_greeted);
	if (c->database > 0) {
		snprintf(database, sizeof(database), "%u", c->database);
		send_words(r, 2, (const char *[]){ "SELECT", database }, on_greeted);
	}
	send_words(r, 1, (const char *[]){ "PING" }, on_pong);
}

static void on_idle(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct redis *r = w->data;

	(void)loop;
	(void)revents;
	if (r->state == LINK_UP && !r->sent.head)
		send_words(r, 1, (const char *[]){ "PING" }, NULL);
}

/* ---- The object ---- */

static void timer_init(struct redis *r, ev_timer *w,
		       void (*fire)(struct ev_loop *, ev_timer *, int))
{
	ev_timer_init(w, fire, 0., 0.);
	w->data = r;
}

struct redis *redis_new(struct ev_loop *loop, const struct redis_conf *conf,
			redis_state_fn on_state, void *arg)
{
	struct redis *r = memory_zeroed(1, sizeof(*r));

	assert(conf->connect_ms > 0 && conf->command_ms > 0 && conf->queue_max > 0);
	r->loop = loop;
	r->conf = *conf;
	r->on_state = on_state;
	r->arg = arg;
	r->backoff = BACKOFF_MIN_S;
	call_list_init(&r->sent);
	call_list_init(&r->refused);
	timer_init(r, &r->retry, on_retry);
	timer_init(r, &r->deadline, on_deadline);
	timer_init(r, &r->idle, on_idle);
	timer_init(r, &r->refuse, on_refuse);
	ev_set_priority(&r->deadline, EV_MINPRI);
	r->idle.repeat = IDLE_S;
	random_init(&r->random);
	return r;
}

void redis_free(struct redis *r)
{
	struct link *l;

	if (!r)
		return;
	assert(r->depth == 0);
	l = r->link;
	r->link = NULL;
	r->state = LINK_NONE;
	if (l) {
		l->owner = NULL;
		redisAsyncFree(l->ac);
	}
	while (r->refused.head)
		on_refuse(r->loop, &r->refuse, 0);
	ev_timer_stop(r->loop, &r->retry);
	ev_timer_stop(r->loop, &r->deadline);
	ev_timer_stop(r->loop, &r->idle);
	ev_timer_stop(r->loop, &r->refuse);
	free(r);
}

void redis_start(struct redis *r)
{
	assert(r->state == LINK_NONE);
	start_retry(r, 0.);	/* from the loop, so that on_state never comes from in here */
}

bool redis_is_up(const struct redis *r)
{
	return r->state == LINK_UP;
}

size_t redis_queued(const struct redis *r)
{
	return r->queued;
}
