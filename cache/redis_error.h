/* SPDX-License-Identifier: ISC */
/*
 * redis_error - what an error of Redis means for us, and what an operator does about it.
 *
 * Purpose:  tells errors that concern one key from those that concern every write (a full
 *           disk, a replica) or our rights; and has a mend for each that is known.
 * Not here: the connection (redis.h), who is told and how often (store_refusal.c).
 * Threads:  any; nothing is kept.
 * Spec:     the prefixes are those of Redis 7 (src/server.c, createSharedObjects()).
 */
#ifndef REDIS_ERROR_H
#define REDIS_ERROR_H

#include <stdbool.h>

enum redis_error {
	REDIS_ERROR_OTHER,	/* of this command and this key alone, or of the connection */
	REDIS_ERROR_REFUSES,	/* any write would get the same */
	REDIS_ERROR_DENIES,	/* our user may not do this */
};

/* `text` is an error reply: "MISCONF Redis is configured to save ...". */
enum redis_error redis_error_of(const char *text);

/* A demotion or failover: whoever is the master now, it is not this one. */
bool redis_error_is_demotion(const char *text);

/* What to do about an error or about why a connection ended; NULL when nobody knows. */
const char *redis_error_mend(const char *text);

#endif
