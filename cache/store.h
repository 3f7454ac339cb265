/* SPDX-License-Identifier: ISC */
/*
 * store - the mirror's replica in Redis: the layout of keys, commits, leases, loading.
 *
 * Purpose:  writes generations to Redis after they are served, reads them back when there is
 *           no primary, and says who transfers a zone when several of us share one Redis.
 * Not here: the connection (redis.h), the packing (chunk.h), when to transfer (mirror.c).
 *
 *      PREFIX:zones                        set     origins
 *      PREFIX:zone:{ORIGIN}                hash    generation serial base chunks records digest
 *                                                  refreshed_at expires_at source schema
 *      PREFIX:base:{ORIGIN}:GENERATION     hash    0 .. chunks-1 -> chunk
 *      PREFIX:changes:{ORIGIN}             stream  generation from serial removed added ...
 *      PREFIX:lease:{ORIGIN}               string  instance, with expiry
 *      PREFIX:events                       stream  origin generation serial
 *
 * A commit is one MULTI under WATCH of the zone's hash: it is dropped when a later generation
 * is already there. Staging keys carry a TTL until the commit makes them persistent.
 *
 * Owns:     its redis connection.
 * Threads:  the mirror's.
 * Memory:   one generation is pinned while it is written; chunks are made one at a time, and
 *           no more than a few are outstanding.
 * Failure:  a store that is down loses nothing: what must still be written is remembered for
 *           each zone (the newest only) and written when it comes back.
 */
#ifndef STORE_H
#define STORE_H

#include <stdbool.h>
#include <stdint.h>

#include <ev.h>

#include "cache/redis.h"
#include "cache/snapshot.h"
#include "cache/zone.h"

struct store;

struct store_conf {
	struct redis_conf redis;
	char prefix[64];
	char instance[64];	/* who we are in leases: random for each process */
	unsigned lease_s;
	size_t max_records, max_bytes;	/* of a zone that is loaded */
};

/* What the mirror learns. All are called from the loop, never from inside a store_ call. */
struct store_listener {
	void (*on_up)(void *arg);
	void (*on_down)(const char *reason, void *arg);
	/* a load has ended: `g` (owned by the callee) or NULL with a reason, or NULL and NULL
	 * when the store has no such zone */
	void (*on_loaded)(const uint8_t *origin, struct generation *g, const struct zone_times *times,
			  const char *reason, void *arg);
	/* a commit has ended: reason NULL when it stands. Fenced: "a later generation is there". */
	void (*on_saved)(const uint8_t *origin, uint64_t generation, const char *reason, void *arg);
	void (*on_lease)(const uint8_t *origin, bool is_ours, void *arg);
	/* another Understudy committed a later generation than `seen` */
	void (*on_newer)(const uint8_t *origin, uint64_t generation, void *arg);
};

struct store *store_new(struct ev_loop *loop, const struct store_conf *conf,
			const struct store_listener *listener, void *arg);
void store_free(struct store *s);
void store_start(struct store *s);
bool store_is_up(const struct store *s);

/* Nothing is on its way: before store_free(), to see leases left. */
bool store_is_idle(const struct store *s);

/*
 * Writes `g` after `old` (NULL: none, or its difference is not wanted): as an entry of the
 * change stream when `old` is what the store holds and the difference is small, else as a
 * new base. Holds both generations (generation_hold) until on_saved.
 */
void store_save(struct store *s, const struct generation *g, const struct generation *old,
		const struct zone_times *times, const char *source);

/* Notes a refresh without a new generation: refreshed_at, expires_at. */
void store_touch(struct store *s, const uint8_t *origin, uint64_t generation, const struct zone_times *times);

/* Reads the zone's newest generation: base, then changes. Ends in on_loaded. */
void store_load(struct store *s, const uint8_t *origin);

/* Takes, renews or asks for the lease of a zone. Ends in on_lease. */
void store_take_lease(struct store *s, const uint8_t *origin);
void store_leave_lease(struct store *s, const uint8_t *origin);

/* Looks whether the store holds a later generation than `seen`; if so, on_newer. */
void store_poll(struct store *s, const uint8_t *origin, uint64_t seen);

#endif
