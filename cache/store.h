/* SPDX-License-Identifier: ISC */
/*
 * store - the mirror's replica in Redis: the layout of keys, commits, leases, loading.
 *
 * Purpose:  writes generations to Redis after they are served, reads them back when there is
 *           no primary, and says who transfers a zone when several of us share one Redis.
 * Not here: the connection (redis.h), the packing (chunk.h, change.h), when to transfer
 *           (mirror.c).
 *
 *      PREFIX:zones                        set     origins
 *      PREFIX:zone:{ORIGIN}                hash    generation serial base chunks records digest
 *                                                  refreshed_at expires_at source schema
 *      PREFIX:base:{ORIGIN}:GENERATION     hash    0 .. chunks-1 -> chunk
 *      PREFIX:changes:{ORIGIN}             stream  generation from_serial serial and more, then
 *                                                  `removed` and `added`, each as often as there
 *                                                  are chunks of such records (store_step.h)
 *      PREFIX:lease:{ORIGIN}               string  instance, with expiry
 *      PREFIX:events                       stream  origin generation serial
 *
 * ORIGIN is in presentation form, lower case, with its last dot; the braces are literal.
 * `generation`, `serial`, `records` speak of the newest generation; `base`, `chunks` and
 * `digest` of the base that it is made from. `digest` is 16 hex digits: XXH3 (64 bits) of
 * each chunk's header in order, seeded with the outcome of the one before, the first with 0.
 * Times are wall seconds. `schema` is 1.
 *
 * A commit is one MULTI under WATCH of the zone's hash: it is dropped when a later generation
 * is already there. A base is staged at PREFIX:base:{ORIGIN}:GENERATION:INSTANCE with a TTL
 * and renamed in the commit, which also drops the base before it and the whole stream. A
 * stream is kept until it has 100 entries or as many bytes as the zone (1 MB at least).
 *
 * Redis needs: ~PREFIX:* +hset +hget +hmget +hgetall +hlen +xadd +xlen +xrange +sadd +scard
 * +set +get +del +pexpire +expire +persist +rename +unlink +watch +unwatch +multi +exec
 * +ping +auth +select.
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
};

/* What the mirror learns. All are called from the loop, never from inside a store_ call. */
struct store_listener {
	void (*on_up)(void *arg);
	/* also when it stays down, for another reason than before */
	void (*on_down)(const char *reason, void *arg);
	/* a load has ended: `g` (owned by the callee) or NULL with a reason, or NULL and NULL
	 * when the store has no such zone */
	void (*on_loaded)(const uint8_t *origin, struct generation *g,
			  const struct zone_times *times, const char *reason, void *arg);
	/* a commit has ended: reason NULL when it stands. A fence is final; after any other
	 * reason it is tried again, and heard of when it stands. Of what was replaced by a
	 * later store_save() before it began nothing is heard. */
	void (*on_saved)(const uint8_t *origin, uint64_t generation, const char *reason, void *arg);
	/* ours too when the store cannot say: Redis is no gate, so each transfers for itself */
	void (*on_lease)(const uint8_t *origin, bool is_ours, void *arg);
	/* another Understudy committed a later generation than `seen` */
	void (*on_newer)(const uint8_t *origin, uint64_t generation, void *arg);
};

struct store *store_new(struct ev_loop *loop, const struct store_conf *conf,
			const struct store_listener *listener, void *arg);

/* Drops what is under way, and tells nobody. Not from inside a listener. NULL is fine. */
void store_free(struct store *s);
void store_start(struct store *s);
bool store_is_up(const struct store *s);

/* Nothing is on its way: before store_free(), to see leases left. */
bool store_is_idle(const struct store *s);

/*
 * Writes `g` after `old` (NULL: none, or its difference is not wanted): as an entry of the
 * change stream when `old` is what the store holds and the difference is small, else as a
 * new base. Holds both generations (generation_hold) for as long as it needs them.
 */
void store_save(struct store *s, const struct generation *g, const struct generation *old,
		const struct zone_times *times, const char *source);

/* True for the reason of on_saved when a later generation is there already. */
bool store_is_fence(const char *reason);

/* Notes a refresh without a new generation: refreshed_at, expires_at. */
void store_touch(struct store *s, const uint8_t *origin, uint64_t generation,
		 const struct zone_times *times);

/*
 * Reads the zone's newest generation: base, then changes, bounded as in zone_edit_new(). Ends in
 * on_loaded.
 */
void store_load(struct store *s, const uint8_t *origin, size_t max_records, size_t max_bytes);

/*
 * The number of the latest generation that the store was seen to hold, readable or not; 0:
 * none. Whoever writes after it counts on from there, or is fenced.
 */
uint64_t store_generation(struct store *s, const uint8_t *origin);

/* Takes, renews or asks for the lease of a zone. Ends in on_lease. */
void store_take_lease(struct store *s, const uint8_t *origin);
void store_leave_lease(struct store *s, const uint8_t *origin);

/* Looks whether the store holds a later generation than `seen`; if so, on_newer. */
void store_poll(struct store *s, const uint8_t *origin, uint64_t seen);

#endif
