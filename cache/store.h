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
 *      PREFIX:wanted                       stream  origin serial: seen at a primary by somebody
 *                                                  who has no lease; or origin generation: is
 *                                                  there, and spoilt; gone after a minute
 *
 * ORIGIN is in presentation form, lower case, with its last dot; the braces are literal.
 * `generation`, `serial`, `records` speak of the newest generation; `base`, `chunks` and
 * `digest` of the base that it is made from. `digest` is 16 hex digits: XXH3 (64 bits) of
 * each chunk's header in order, seeded with the outcome of the one before, the first with 0.
 * Times are wall seconds of Redis' own clock. `schema` is 1.
 *
 * A commit is one MULTI under WATCH of the zone's hash: it is dropped when a later generation or
 * a newer serial is already there. A base is staged at PREFIX:base:{ORIGIN}:GENERATION:INSTANCE
 * with a TTL and renamed in the commit, which also drops the base before it and the whole stream.
 * A stream has at most 100 entries, and as many bytes as the zone (1 MB at least); from 64, or
 * half of them, on a new base is written beside it and what lies before that is cut off.
 *
 * The rights that all this needs are in contrib/understudy.conf.5, ACCESS TO REDIS; a test
 * compares them with the commands in store*.c and redis*.c.
 *
 * Owns:     its two connections to Redis: one waits for the news of others.
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
#include "cache/store_settings.h"
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
	/* ours too when the store cannot say: Redis is no gate, so each transfers for itself.
	 * `holder` is whose it is else. */
	void (*on_lease)(const uint8_t *origin, bool is_ours, const char *holder, void *arg);
	/* whose it is, heard of at each poll; empty: nobody's */
	void (*on_holder)(const uint8_t *origin, const char *holder, void *arg);
	/* another Understudy is said to have committed this one */
	void (*on_newer)(const uint8_t *origin, uint64_t generation, void *arg);
	/* a follow has ended: with `g` (owned by the callee); or NULL and NULL: nothing is
	 * newer, and `times`, if not NULL, are those of what is held; or a reason why it
	 * cannot be had by changes */
	void (*on_followed)(const uint8_t *origin, struct generation *g,
			    const struct zone_times *times, const char *reason, void *arg);
	/* another one has seen this serial at a primary, and not the lease */
	void (*on_wanted)(const uint8_t *origin, uint32_t serial, void *arg);
	/* another one cannot read this generation out of the store */
	void (*on_spoilt)(const uint8_t *origin, uint64_t generation, void *arg);
	/* the news of others cannot be read: polls alone will find them. Once until they can */
	void (*on_deaf)(const char *reason, void *arg);
	/* the store holds an earlier generation than it was seen to hold, or none (0): it was
	 * emptied, restored, or failed over to a replica that had not got everything */
	void (*on_older)(const uint8_t *origin, uint64_t generation, uint64_t before, void *arg);
	/* no write is taken, whatever the zone: full, a replica ... NULL: they are again */
	void (*on_refusing)(const char *reason, void *arg);
	/* our user may not do this; once for each command and connection */
	void (*on_denied)(const char *command, const char *reason, void *arg);
	/* a setting of Redis was found to be dangerous, or is not any more */
	void (*on_setting)(const struct store_finding *f, bool is_bad, void *arg);
};

enum { STORE_HOLDER_MAX = 64 };

struct store *store_new(struct ev_loop *loop, const struct store_conf *conf,
			const struct store_listener *listener, void *arg);

/* Drops what is under way, and tells nobody. Not from inside a listener. NULL is fine. */
void store_free(struct store *s);
void store_start(struct store *s);
bool store_is_up(const struct store *s);
const struct address *store_address(const struct store *s);	/* see redis_address() */

/* Nothing is on its way: before store_free(), to see leases left. */
bool store_is_idle(const struct store *s);

/*
 * Writes `g` after `old` (NULL: none, or its difference is not wanted): as an entry of the
 * change stream when `old` is what the store holds and the difference is small, else as a
 * new base. Holds both generations (generation_hold) for as long as it needs them. A later
 * generation or a newer serial there is a fence: of several who write, each may count on its own.
 */
void store_save(struct store *s, const struct generation *g, const struct generation *old,
		const struct zone_times *times, const char *source);

/* The next store_save() of this zone goes over a newer serial, too: the operator wants it. */
void store_order(struct store *s, const uint8_t *origin);

/* True for a reason that on_refusing or on_denied has told, for every zone. */
bool store_is_refusal(const char *reason);

/* True for the reason of on_loaded when the connection ended: on_down tells why. */
bool store_is_lost(const char *reason);

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
 * From `held`, which is pinned meanwhile, to the newest by changes: costs what those cost.
 * Ends in on_followed; does nothing while one is going on for this zone.
 */
void store_follow(struct store *s, const struct generation *held, size_t max_records,
		  size_t max_bytes);

/* Tells the others of a serial that a primary has: the holder of the lease will look. */
void store_want(struct store *s, const uint8_t *origin, uint32_t serial);

/* The newest generation cannot be read: whoever has it may write it again. */
void store_complain(struct store *s, const uint8_t *origin, uint64_t generation);

/* The next store_save() of the newest generation writes a base, though that is there already. */
void store_doubt(struct store *s, const uint8_t *origin, uint64_t generation);

/* The serial of the latest generation that the store was seen to hold; false: not known. */
bool store_serial(struct store *s, const uint8_t *origin, uint32_t *serial);

/*
 * The number of the latest generation that the store was seen to hold, readable or not; 0:
 * none. Whoever writes after it counts on from there, or is fenced.
 */
uint64_t store_generation(struct store *s, const uint8_t *origin);

/*
 * The zone has left: what is still to be written of it is not, and what is known of it goes, when
 * nothing of it is going on any more. Redis keeps what it has: others may have the zone.
 */
void store_forget(struct store *s, const uint8_t *origin);

/* How long leases are taken for from now on; conf.lease_s at first. */
void store_set_lease_s(struct store *s, unsigned lease_s);

/* Takes, renews or asks for the lease of a zone. Ends in on_lease. */
void store_take_lease(struct store *s, const uint8_t *origin);
void store_leave_lease(struct store *s, const uint8_t *origin);

/* Looks who has the lease: on_holder; and for a later generation than `seen`: on_newer. */
void store_poll(struct store *s, const uint8_t *origin, uint64_t seen);

#endif
