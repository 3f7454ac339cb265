/* SPDX-License-Identifier: ISC */
/*
 * redis_sentinel - asks Redis' sentinels where the master is.
 *
 * Purpose:  asks one sentinel after the other until one names the master by IP address.
 * Not here: whether it is one (redis_greet.c asks for its ROLE), when to ask (redis.c).
 * Owns:     the connection to the sentinel that is being asked: a struct redis of its own.
 * Threads:  the thread of the loop.
 * Failure:  ends in `found` with NULL and a reason that names the sentinel asked last.
 */
#ifndef REDIS_SENTINEL_H
#define REDIS_SENTINEL_H

#include "cache/redis.h"

struct sentinel;

/* `reason` when `master` is NULL. From the loop, never from inside sentinel_ask(). */
typedef void (*sentinel_found_fn)(const struct address *master, const char *reason, void *arg);

struct sentinel *sentinel_new(struct ev_loop *loop, const struct redis_conf *conf,
			      sentinel_found_fn found, void *arg);
void sentinel_free(struct sentinel *s);		/* nobody hears of it. NULL is fine */

/* Nothing when it is asking already. */
void sentinel_ask(struct sentinel *s);

/* What the one who answered last said was of no use: the next question goes to another. */
void sentinel_distrust(struct sentinel *s);

#endif
