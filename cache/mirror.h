/* SPDX-License-Identifier: ISC */
/*
 * mirror - the thread that keeps our copy of the zones: transfers, Redis, snapshots.
 *
 * Purpose:  brings each configured zone into memory and keeps it fresh; publishes each new
 *           generation to the workers by one pointer; then saves it.
 * Not here: the transfer protocol (transfer.h), Redis keys (store.h), answers (answer.h).
 * Owns:     its thread and loop, every generation, every struct mirror_zone.
 * Threads:  the mirror's own thread does all work. Functions marked [any] may be called from
 *           other threads; the rest from control only.
 * Time:     own clock reads, once for each turn of the loop.
 * Failure:  one event line for each thing that went wrong; the generation at hand goes on
 *           serving.
 * Orders:   the operator's mirror_hold(), mirror_roll_back() and mirror_accept() are this
 *           instance's alone: its snapshot remembers them, Redis never hears of them.
 *
 * Cold start: all sources are asked at the same time (primary, Redis, snapshot); the first to
 * deliver is served, a later one replaces it when its serial is newer.
 */
#ifndef MIRROR_H
#define MIRROR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/address.h"
#include "cache/rcu.h"
#include "cache/review.h"
#include "cache/store.h"
#include "cache/stream.h"
#include "cache/tls_profile.h"
#include "cache/tsig.h"
#include "cache/turns.h"
#include "cache/zone.h"

struct mirror;

enum {
	MIRROR_PRIMARIES_MAX = 8,
	MIRROR_SOURCE_MAX = 160,
	MIRROR_UNSAFE_MAX = 200,
	MIRROR_KEEP_MAX = 16,	/* a large zone that is transferred whole costs all of it each time */
};

struct mirror_primary {
	struct address address;		/* that zones are transferred from */
	struct tls_profile *tls;	/* NULL: in clear text */
	bool has_key;
	struct tsig_key key;
};

/* What is taken of a zone that is a catalog (catalog.h). */
struct mirror_catalog_conf {
	bool is_one;
	size_t max_members;
	unsigned max_removed;		/* percent of the members that one version may remove */
};

/* What the configuration says of one mirrored zone. */
struct mirror_zone_conf {
	const uint8_t *origin;		/* lower case */
	const struct mirror_primary *primaries;
	unsigned primary_count;
	size_t max_records, max_bytes;	/* of a transfer: */
	unsigned max_rrset;
	struct stream_limits stream_limits;
	uint64_t timeout_us;
	struct review_rules review;	/* of each new version */
	struct mirror_catalog_conf catalog;
	/* Unless it is mirrored already: a zone of its name in Redis was removed (RFC 9432 s.5.3),
	 * and is good until the primary's is here, whatever their serials. */
	bool is_newcomer;
	uint64_t grace_us;		/* served so long past its SOA expire; 0: not at all */
	unsigned keep;			/* older generations that stay in memory; to MIRROR_KEEP_MAX */
};

struct mirror_conf {
	char state_dir[256];
	bool has_redis;
	struct store_conf store;
	struct turns_limits turns;
};

/*
 * The slot through which workers see a zone. Stays at its address for as long as any plan
 * that names it is in use: see mirror_configure().
 */
struct mirror_zone {
	struct generation *current;	/* read with rcu_read(); NULL: nothing held */
	_Atomic bool is_servable;	/* held, and not expired or in its grace */
	_Atomic bool is_refused;	/* a newer version was not taken: see the status */
	_Atomic uint64_t expires_us;	/* monotonic; end of SOA expire, unless confirmed again */
	_Atomic uint64_t stale_us;	/* monotonic; from then on a confirmation is overdue; 0: not known */
	_Atomic uint8_t hold;		/* enum zone_hold: the operator's order */
	bool is_catalog;		/* its generations have lists of members */
	struct mirror_work *work;	/* the mirror thread's side; opaque */
};

/* Reads the generation if it may answer now, else NULL. Workers, inside an RCU read. */
static inline const struct generation *mirror_zone_servable(struct mirror_zone *z)
{
	if (!atomic_load_explicit(&z->is_servable, memory_order_acquire))
		return NULL;
	return rcu_read(z->current);
}

static inline enum zone_hold mirror_zone_hold(const struct mirror_zone *z)
{
	return (enum zone_hold)atomic_load_explicit(&z->hold, memory_order_relaxed);
}

struct mirror *mirror_new(const struct mirror_conf *conf);	/* `conf` is copied */

/* Starts the thread. Loading begins; this returns at once. */
void mirror_start(struct mirror *m);

/* Others than the mirror have something to do from now on, and run before it (priority.h). */
void mirror_give_way(struct mirror *m);

/*
 * Ends the thread: snapshots that are behind are written, leases left, sockets closed. The caller's
 * RCU reads end here. mirror_stop_within() returns after that time in any case: then nothing may be
 * asked of it any more, and mirror_stop(), which waits for the rest, must follow.
 */
void mirror_stop_within(struct mirror *m, unsigned patience_ms);
void mirror_stop(struct mirror *m);
void mirror_free(struct mirror *m);	/* after the last reader. NULL is fine */

/*
 * Sets the list of zones. Zones that stay keep their slot, generation and schedule; new ones
 * start loading; the slots of those that left are freed after the plan that used them is gone
 * and mirror_configure() has been called again or readers have passed. Fills `slots[i]` with
 * the slot of `zones[i]`. Control only; does not wait for loading. All of `zones` is copied.
 */
void mirror_configure(struct mirror *m, const struct mirror_zone_conf *zones, size_t count,
		      struct mirror_zone **slots);

/* After the plan that named the left zones is out of use: frees their slots. */
void mirror_forget_left(struct mirror *m);

/*
 * Waits until every zone's snapshot has been looked at and the store has delivered or is
 * down, or `timeout_ms`: then false. At start. The caller's RCU reads end here.
 */
bool mirror_wait_loaded(struct mirror *m, unsigned timeout_ms);

/* [any] Asks the primary now (at most once a second): a probe saw a newer serial, or NOTIFY. */
void mirror_refresh(struct mirror *m, struct mirror_zone *z);

/*
 * [any] Transfers the whole zone again, whatever the serial, and however it has shrunk. A zone that
 * is held stays as it is.
 */
void mirror_retransfer(struct mirror *m, struct mirror_zone *z);

/* [any] Transfers a catalog whose new version is held; takes that, or what removes no more. */
void mirror_accept_catalog(struct mirror *m, struct mirror_zone *z);

/* A version of a catalog that removes too many members. */
struct mirror_catalog_held {
	bool is_held;
	uint32_t serial;
	size_t members, removed;	/* in it; of those that we have */
};

/* [any] The same, and nothing is reviewed: the operator wants what was refused. */
void mirror_take_refused(struct mirror *m, struct mirror_zone *z);
enum mirror_done {
	MIRROR_DONE,
	MIRROR_LATER,		/* ordered, but the mirror is busy: it says so in the log when it is */
	MIRROR_EMPTY,		/* nothing is held of the zone */
	MIRROR_NONE_OLDER,	/* no older generation is kept */
	MIRROR_NOT_KEPT,	/* none of that number or serial is */
	MIRROR_AMBIGUOUS,	/* it is the number of one and the serial of another */
};

/* Which generation is meant. 0, or neither: the one before. */
struct mirror_which {
	uint64_t number;
	bool may_be_generation, may_be_serial;
};

/*
 * Freezes the zone: no new generation is taken, from nobody, until mirror_accept(). Its primary
 * is asked for the serial as before, so that it does not expire while that one lives. These three
 * wait for the mirror for a moment; the caller's RCU reads end here.
 */
enum mirror_done mirror_hold(struct mirror *m, struct mirror_zone *z);

/* An older generation, under a new number, serves again; the zone is held with it. */
enum mirror_done mirror_roll_back(struct mirror *m, struct mirror_zone *z,
				  const struct mirror_which *which);

/* Ends either, and takes the primary's zone, whatever its serial and however it looks. */
enum mirror_done mirror_accept(struct mirror *m, struct mirror_zone *z);

/* What operators see of a zone; a copy taken under a mutex. */
struct mirror_zone_status {
	bool is_held, is_servable, is_transferring, has_lease;
	uint32_t serial;
	uint64_t generation, records, bytes;
	uint64_t refreshed_at, expires_at;	/* wall seconds; 0: never */
	uint64_t next_refresh_s;		/* from now; 0: now */
	uint64_t saved_generation;		/* in Redis; 0: none */
	uint64_t lacks_since_us;		/* monotonic: Redis has a later one; 0: it has none */
	enum zone_hold hold;			/* the operator's order */
	uint64_t hold_since;			/* wall seconds */
	uint64_t end_us;			/* monotonic: when it stops answering, its grace included */
	bool has_newer;				/* the primary has one that is not taken: */
	uint32_t newer_serial;
	bool is_reviewed;			/* a new version is being looked at */
	enum review_check refused_by;		/* the last version, until another one is taken: */
	uint32_t refused_serial;
	struct mirror_catalog_held catalog_held;

	/* texts, all of them: mirror_status.h */
	char lease_holder[STORE_HOLDER_MAX];	/* who transfers it for all of us; empty: not known */
	char refused_reason[REVIEW_REASON_MAX];
	char source[MIRROR_SOURCE_MAX];		/* "192.0.2.53:53", "redis", "snapshot" */
	char unfaithful[100];			/* why answers would differ; empty: none known */
	char last_error[256];			/* of the last transfer; empty: none */
};

/* [any] */
void mirror_zone_status(struct mirror *m, struct mirror_zone *z, struct mirror_zone_status *status);

/* A generation in memory. */
struct mirror_generation {
	uint64_t number, records;
	uint32_t serial;
	uint64_t since;				/* wall seconds: when it was published */
	uint64_t copy_of;			/* rolled back: the number it had before; 0: no */
	char source[MIRROR_SOURCE_MAX];
};

/* [any] Those of a zone: the one that serves, then the older ones that are kept. How many. */
unsigned mirror_generations(struct mirror *m, struct mirror_zone *z,
			    struct mirror_generation list[MIRROR_KEEP_MAX + 1]);

/*
 * Origins of zones of which something has changed since the last call, each once: what is held,
 * whether it may answer, an order. The oldest first, `max` at the most. How many.
 */
size_t mirror_take_changed(struct mirror *m, uint8_t (*origins)[NAME_LEN_MAX], size_t max);

/* [any] The store: false when none is configured. */
bool mirror_store_status(struct mirror *m, bool *is_up, char reason[160]);

/* [any] Settings of the store that endanger zones, in words; those that are safe are empty. */
void mirror_store_unsafe(struct mirror *m, char text[SETTING_COUNT][MIRROR_UNSAFE_MAX]);

#endif
