/* SPDX-License-Identifier: ISC */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

#include "cache/memory.h"
#include "cache/redis_parts.h"

const char *link_why_ended(const struct link *l)
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
		redis_lose(l->owner, link_why_ended(l));
	redis_tls_free(l->tls);
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
		redis_drop(l->owner, l->guard.refusal);
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

/* hiredis hears of the connection when there is one that it may use. */
static void on_tls(bool is_ready, const char *reason, void *arg)
{
	struct link *l = arg;

	if (is_ready)
		redisAsyncSetConnectCallback(l->ac, on_connect);
	else if (l->owner)
		redis_drop(l->owner, reason);
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
	return l;
}

/* True when the link will come up, or end, by itself. */
static bool link_start(struct link *l, char reason[REDIS_REASON_MAX])
{
	const struct redis *r = l->owner;
	char host[NI_MAXHOST];

	if (!r->conf.tls.is_on) {
		redisAsyncSetConnectCallback(l->ac, on_connect); /* waits for writability */
		return true;
	}
	if (getnameinfo((const struct sockaddr *)&r->address.storage, r->address.len, host,
			sizeof(host), NULL, 0, NI_NUMERICHOST) == 0)
		l->tls = redis_tls_new(l->loop, &r->conf.tls, host, l->ac->c.fd, on_tls, l, reason);
	return l->tls;
}

/* ---- Opening ---- */

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

struct link *link_open(struct redis *r, char reason[REDIS_REASON_MAX])
{
	redisAsyncContext *ac = open_context(&r->address);
	struct link *l = ac && !ac->err ? link_new(r, ac) : NULL;

	if (l && link_start(l, reason))
		return l;
	if (l)
		l->owner = NULL;	/* on_end() frees it, and tells nobody */
	else
		snprintf(reason, REDIS_REASON_MAX, "%s", ac ? ac->errstr : "no socket");
	if (ac)
		redisAsyncFree(ac);
	return NULL;
}
