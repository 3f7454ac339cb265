/* SPDX-License-Identifier: ISC */
/*
 * mirror_holding - what the mirror holds of one zone: the published generation and its life after.
 *
 * Purpose:  publishes a generation to the workers, keeps or retires the one before, saves it
 *           (snapshot, then store), and keeps track of until when it may answer. What goes through
 *           the whole of a big zone is done aside, and not for each of its generations: an update
 *           of ten records costs what ten cost (mirror_aside.c).
 * Not here: getting generations (mirror_work.c), freeing old ones (mirror_retired.h), what the
 *           operator orders (mirror_order.h).
 * Owns:     slot->current, slot->is_servable, slot->expires_us and slot->hold: it is their only
 *           writer; the generations that are kept.
 * Threads:  the mirror's.
 * Time:     wall seconds for what the stores keep; but a zone expires by the monotonic clock,
 *           so that a wall clock that is set (a board without a battery) expires nothing.
 * Failure:  what cannot be saved is one event, and is served all the same.
 * Spec:     RFC 1035 s.3.3.13 (expire), RFC 1982.
 */
#ifndef MIRROR_HOLDING_H
#define MIRROR_HOLDING_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <ev.h>

#include "cache/aside.h"
#include "cache/expiry.h"
#include "cache/faithful.h"
#include "cache/mirror.h"
#include "cache/random.h"
#include "cache/mirror_kept.h"
#include "cache/mirror_retired.h"
#include "cache/mirror_review.h"
#include "cache/snapshot.h"
#include "cache/turns.h"
#include "cache/mirror_zonelog.h"

TAILQ_HEAD(holding_line, holding);

/* What all zones of a mirror share. The mirror's; borrowed by each holding and work. */
struct workshop {
	struct ev_loop *loop;
	struct store *store;		/* NULL: none configured */
	bool is_store_known;		/* it has said up or down since the start */
	unsigned lease_s;
	const char *instance;		/* who we are in leases */
	const char *state_dir;
	struct aside *aside;
	uint64_t snapshot_at_us;	/* until then they are written aside: the loop has done its part */
	struct holding_line line;	/* whose snapshots wait to be written aside */
	struct bundle *bundle;		/* those under way aside, or NULL */
	ev_timer pause;			/* after them */
	bool is_ending;			/* what is due is written without waiting for its time */
	struct random random;
	struct retired retired;
	struct reviews reviews;
	unsigned waiting;		/* zones that are due, but may not begin yet */
	size_t zones;			/* configured */
	struct turns *turns;		/* places at the primaries */
	ev_timer pump;			/* gives those that become free to who waits */
	uint64_t started_us;		/* monotonic */
	pthread_mutex_t *mutex;		/* guards what others read; not held by whoever calls here */
	void (*report)(struct mirror_work *w, void *arg);	/* something of it changed */
	void *report_arg;
	void (*rearm)(struct mirror_work *w);	/* something of it may be due sooner */
	const struct work_list *works;	/* all that are configured */
};

struct holding {
	struct workshop *shop;
	struct mirror_zone *slot;
	struct zonelog *log;
	struct zone_times times;
	unsigned keep;			/* older generations that stay, at most */
	struct kept kept;		/* those; changed under the mutex, as are the next three */
	uint64_t published_at;		/* wall seconds */
	uint64_t copy_of;		/* what is held was rolled back: its number before; 0: no */
	char *source;			/* holding_source() */
	uint64_t hold_since;		/* wall seconds; with times.hold */
	bool has_newer;			/* held, and the primary has a newer serial: */
	uint32_t newer_serial;
	struct expiry expiry;		/* by `times`, as they were seen when they were set */
	uint64_t seen;			/* highest number that some generation has */
	uint64_t given;			/* that we may have given before a crash */
	uint64_t stored;		/* number of the one that the store has; 0: none */
	uint64_t touched_at;		/* refreshed_at as the stores have it */
	struct faithful faithful;	/* of the generation `checked`; points into it */
	uint64_t checked;		/* its number; 0: none */
	uint64_t check_at_us;		/* monotonic: not before, as checks cost time */
	enum faithful_fault said;	/* the fault that was told last */
	bool is_end_said;		/* that its signatures will end was told */
	bool is_fresh;			/* came from a primary, not from a store */
	struct check_job *checking;	/* under way aside, or NULL */

	/* the snapshot */
	struct bundle *bundle;		/* in which it is under way aside, or NULL */
	TAILQ_ENTRY(holding) in_line;	/* for the next one, if: */
	bool is_in_line;
	uint64_t in_snapshot;		/* number of the generation that the file has; 0: none */
	uint64_t write_at_us;		/* monotonic: not before, as that costs time, too */
	bool is_snapshot_due;		/* the file is to get what is held */
	bool is_order_due;		/* and what the operator ordered */
	bool is_snapshot_big;		/* it has a big zone, and may lag */
	bool is_ordered;		/* it is wanted, though its serial is older than: */
	uint32_t sent_away;
	bool is_snapshot_broken;	/* the last write failed */
};

void holding_init(struct holding *h, struct workshop *shop, struct mirror_zone *slot,
		  struct zonelog *log);
void holding_fini(struct holding *h);	/* unpublishes; the generation goes to retired */

/* For a generation of ours: past all that were ever given. */
uint64_t holding_next_number(const struct holding *h);

/* How many older generations stay, and how long it is served past its expire, from now on. */
void holding_set_policy(struct holding *h, unsigned keep, uint64_t grace_us);

/* What is held, or NULL. */
const struct generation *holding_current(const struct holding *h);

/* Where it came from: a primary, "redis", "snapshot"; "" while nothing is held. */
static inline const char *holding_source(const struct holding *h)
{
	return h->source ? h->source : "";
}

/* The operator's order: nothing newer is to be taken. */
bool holding_is_frozen(const struct holding *h);

/* True when `serial` would bring something newer, or nothing is held. */
bool holding_wants(const struct holding *h, uint32_t serial);

/*
 * A transfer has delivered: publishes `g` (taken), whatever its serial. The one before
 * stays readable until the loop's next retired_pass(), so holding_save() may compare; and
 * longer when it is kept.
 */
void holding_publish(struct holding *h, struct generation *g, const struct zone_times *times,
		     const char *source);

/*
 * `serial` is about to be published, by an order if `is_forced`. Until what is held is newer than
 * that which an order sent away, no store brings that one back, and ours goes over it there.
 */
void holding_note_order(struct holding *h, uint32_t serial, bool is_forced);

/*
 * A store delivered `g` (taken). Publishes it when its serial is newer than what is held, or
 * the same under a later number; when it is just what is held, takes over a later
 * confirmation. True when `g` is now what is held. An older serial is never taken from a
 * store: it may be a replay.
 */
bool holding_restore(struct holding *h, struct generation *g, const struct zone_times *times,
		     const char *source);

/*
 * A snapshot is behind by at most so many generations: whoever reads it after a crash gives
 * none of their numbers again.
 */
enum { HOLDING_LAG_MAX = 1000 };

/* Somebody else confirmed what is held: takes that over when it is later than what we know. */
void holding_take_confirmation(struct holding *h, const struct zone_times *times);

/* Some generation has this number: the next one gets a higher one. */
void holding_saw(struct holding *h, uint64_t number);

/* Frozen, so `g` (taken), which a store delivered, is of no use; but its number is taken. */
void holding_pass_over(struct holding *h, struct generation *g);

/* Writes what is held to the snapshot, then to the store. `old`: the one before, or NULL. */
void holding_save(struct holding *h, const struct generation *old);
void holding_save_snapshot(struct holding *h);	/* at once, or aside when it is big or many are */
void holding_touch_snapshot(struct holding *h);	/* only its times */
void holding_saw_snapshot(struct holding *h, const struct generation *g);	/* it was read */

/* What has become due is written, or joins the line for that. */
void holding_tend_snapshot(struct holding *h);

/*
 * The line of all that are written aside. Flushing waits until it is empty, and the disk has them: at the end,
 * once `is_ending` is set and what is due has joined it.
 */
void holding_line_init(struct workshop *shop);
void holding_line_flush(struct workshop *shop);

/* The zone leaves: nothing more is written. Waits until nothing of it is under way aside. */
void holding_leave_aside(struct holding *h);

void holding_save_store(struct holding *h, const struct generation *old);

/* The operator's order begins, changes or ends; since `since`, wall seconds. */
void holding_freeze(struct holding *h, enum zone_hold hold, uint64_t since);

/* Writes it to the snapshot: it outlives us. */
void holding_save_order(struct holding *h);

/* Publishes the records of a kept generation again, under a new number. */
void holding_roll_back(struct holding *h, const struct kept_item *to);

/* The primary confirmed the serial. Tells the stores when that is worth a write. */
void holding_confirm(struct holding *h, const struct zone_times *times);

/* The same records under a new number, past all seen ones: a store has ours for another's. */
void holding_renumber(struct holding *h);

/* `g` (taken), which a store delivered, is of a zone that is gone: ours goes over it there. */
void holding_supersede(struct holding *h, struct generation *g);

/*
 * Compares what is held with what its primary would answer, if that was not done yet, and tells
 * of a fault once; and once when signatures will end soon that should have been renewed: that has
 * no time of its own in holding_next_us(), so whoever calls looks now and then.
 */
void holding_check_faithful(struct holding *h);

/* NULL when the mirror answers as the primary would, as far as we know. */
const char *holding_unfaithful(const struct holding *h);

/*
 * Looks at the clock: warns, begins the grace of an expired zone, or takes it out of service. Of
 * one in its grace the generation is marked: what is answered from it shall not last.
 */
void holding_check_expiry(struct holding *h);

/* When any of this is due, or a snapshot: monotonic; UINT64_MAX: nothing is. */
uint64_t holding_next_us(const struct holding *h);

#endif
