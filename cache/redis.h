/* SPDX-License-Identifier: ISC */
/*
 * redis - one connection to Redis that may be slow, dead or hostile, and never blocks us.
 *
 * Purpose:  hiredis' async client on a libev loop, with what it lacks: deadlines for
 *           connecting and for each command, back-off with jitter, a new context for every
 *           connection, and sentinels, who say which of several servers is the master.
 * Not here: which keys there are (store.c), what a reply may hold (redis_reply.h).
 * Owns:     the context of the moment; callers never see it.
 * Threads:  the thread of the loop. The process ignores SIGPIPE: hiredis uses write(2).
 * Time:     libev's timers.
 * Memory:   queued bytes are bounded; replies over a limit end the connection.
 * Failure:  every command's callback is called exactly once, from the loop and never from
 *           inside redis_command(): with a reply, or with NULL when the connection ended,
 *           the deadline passed, the queue was full or there is no connection.
 */
#ifndef REDIS_H
#define REDIS_H

#include <stdbool.h>
#include <stddef.h>

#include <ev.h>
#include <hiredis/hiredis.h>

#include "cache/address.h"
#include "cache/redis_tls.h"

struct redis;

enum { REDIS_SENTINELS_MAX = 16 };

struct redis_sentinel_conf {
	struct address addresses[REDIS_SENTINELS_MAX];
	unsigned count;			/* 0: Redis is where `address` says */
	char master[128];		/* its name among the sentinels */
	char username[128], password[512];
};

struct redis_conf {
	struct address address;		/* IP or UNIX path; not used with sentinels */
	struct redis_sentinel_conf sentinel;
	struct redis_tls_conf tls;	/* to Redis, and to the sentinels */
	char username[128], password[512];	/* empty: no AUTH */
	unsigned database;
	unsigned connect_ms, command_ms;	/* deadlines */
	size_t queue_max;		/* bytes sent and not yet answered for */
};

/*
 * `up`: connected, authenticated and past LOADING. Reason is a sentence, or NULL when up.
 * Called for each change, and again when it is still down for another reason.
 */
typedef void (*redis_state_fn)(bool up, const char *reason, void *arg);

struct redis *redis_new(struct ev_loop *loop, const struct redis_conf *conf,
			redis_state_fn on_state, void *arg);

/* Calls what is outstanding back with NULL. Not from inside a callback. NULL is fine. */
void redis_free(struct redis *r);

void redis_start(struct redis *r);	/* connects, and goes on reconnecting */
bool redis_is_up(const struct redis *r);

/* Of Redis; with sentinels, of the master that they named last, or of the first sentinel. */
const struct address *redis_address(const struct redis *r);

typedef void (*redis_reply_fn)(const redisReply *reply, void *arg);

/*
 * Sends one command of `argc` arguments. `done` may be NULL. From MULTI to EXEC all are sent or
 * none, however full the queue; the caller sends them without going back to the loop.
 */
void redis_command(struct redis *r, int argc, const char **argv, const size_t *argv_len,
		   redis_reply_fn done, void *arg);

/* Bytes that wait for their reply: a writer of chunks pauses above its own mark. */
size_t redis_queued(const struct redis *r);

#endif
