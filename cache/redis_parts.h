/* SPDX-License-Identifier: ISC */
/*
 * redis_parts - what the files of the connection share, and nobody else includes.
 *
 * redis.c        the object: its state, its timers, commands and their deadlines
 * redis_link.c   one context of hiredis on the loop, from its socket to its end
 * redis_greet.c  what is said before a connection counts as up
 *
 * A connection is a struct link: made for one hiredis context and freed with it, by the one
 * hook (on_end) that hiredis calls for every context, however it ended. After redis_lose() the
 * link belongs to nobody, and what still arrives for it changes nothing.
 */
#ifndef REDIS_PARTS_H
#define REDIS_PARTS_H

#include <hiredis/async.h>

#include "cache/random.h"
#include "cache/redis.h"
#include "cache/redis_reply.h"
#include "cache/redis_sentinel.h"

enum { REDIS_REASON_MAX = 160 };

enum link_state {
	LINK_NONE,		/* `retry` runs, or redis_start() was not called */
	LINK_SEEKING,		/* `sentinel` is asking */
	LINK_CONNECTING,	/* `deadline` stands for the connect */
	LINK_GREETING,		/* AUTH, SELECT, PING, ROLE; `retry` runs while Redis is loading */
	LINK_UP,
};

struct link {
	struct redis *owner;	/* NULL once lost */
	redisAsyncContext *ac;
	struct ev_loop *loop;
	ev_io readable, writable;
	struct reply_guard guard;
	struct redis_tls *tls;		/* NULL: in the clear */
};

struct call {
	struct call *next;
	struct redis *owner;
	redis_reply_fn done;
	void *arg;
	size_t size;
	uint64_t deadline_us;	/* monotonic; ev_now() is the clock on the wall */
};

struct call_list {
	struct call *head, **tail;
};

/* What is between MULTI and EXEC is sent as a whole, or not at all. */
enum transaction { TRANSACTION_NONE, TRANSACTION_SENT, TRANSACTION_REFUSED };

struct redis {
	struct ev_loop *loop;
	struct redis_conf conf;
	redis_state_fn on_state;
	void *arg;
	struct address address;		/* of whom we connect to; family 0: not known yet */
	struct sentinel *sentinel;	/* NULL: there are none */
	struct link *link;		/* NULL in LINK_NONE and LINK_SEEKING */
	enum link_state state;
	ev_timer retry, deadline, idle, refuse;
	struct call_list sent;		/* oldest first */
	struct call_list refused;	/* to be called back with NULL by `refuse` */
	size_t queued;
	enum transaction transaction;	/* the one that is being sent */
	ev_tstamp backoff;
	uint64_t up_since_us;		/* monotonic */
	bool is_late;			/* the oldest command was given a second chance */
	bool is_reported;		/* on_state has been called */
	bool is_reported_up;
	unsigned depth;			/* callbacks on the stack */
	char reason[REDIS_REASON_MAX];	/* as last reported */
	struct random random;
};

/* ---- redis.c ---- */

/* Tells on_state, unless it knows. */
void redis_report(struct redis *r, bool up, const char *reason);

/* `retry` comes after so many seconds. */
void redis_retry(struct redis *r, ev_tstamp after);

/*
 * The connection is over: the one way into LINK_NONE. Does not touch the context, which
 * hiredis is ending already or redis_drop() will end.
 */
void redis_lose(struct redis *r, const char *reason);

/* We end it. Inside a callback of hiredis the context goes when that callback returns. */
void redis_drop(struct redis *r, const char *reason);

/* Sends words whatever the state, for the greeting. */
void redis_send_words(struct redis *r, int argc, const char **argv, redis_reply_fn done);

/* ---- redis_link.c ---- */

/*
 * Begins to connect. NULL when that cannot even begin, with a reason. When it stands, greet();
 * when it ends, redis_lose().
 */
struct link *link_open(struct redis *r, char reason[REDIS_REASON_MAX]);
const char *link_why_ended(const struct link *l);

/* ---- redis_greet.c ---- */

void greet(struct redis *r);

#endif
