/* SPDX-License-Identifier: ISC */
/*
 * mirror_work - the mirror's work on one zone: when to ask, whom, and what to do with the answer.
 *
 * Purpose:  rounds. A round begins when the schedule says so; with a store it first asks for
 *           the zone's lease; then it asks the primaries in turn until one delivers; it ends
 *           with a new generation, a confirmation or a failure, and the schedule's next time.
 *
 *      ROUND_NONE --due--> ROUND_LEASE --answer--> ROUND_TURN <--> ROUND_PRIMARY --> ROUND_NONE
 *                 \---- no store, down, or the lease is ours ----^ ^       |
 *                           refused, others are left: ROUND_REVIEW <--a version
 *
 *           Without the lease only the SOA is asked, and a newer zone is taken from the store,
 *           where the holder of the lease puts it when we have told it of the serial; should it
 *           not appear, we fetch it ourselves. What the store has is in mirror_fleet.c.
 * Not here: the thread and its commands (mirror.c), what is held (mirror_holding.h), orders of
 *           the operator (mirror_order.h).
 * Owns:     its holding, its fetch, its configuration.
 * Threads:  the mirror's, but for work_new(), and work_status() as mirror.h says.
 * Failure:  one event line for each attempt that failed; the next primary is asked at once.
 */
#ifndef MIRROR_WORK_H
#define MIRROR_WORK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <ev.h>

#include "cache/fetch.h"
#include "cache/ixfr_trust.h"
#include "cache/mirror_holding.h"
#include "cache/mirror.h"
#include "cache/schedule.h"
#include "cache/mirror_zonelog.h"

enum round {
	ROUND_NONE,	/* the schedule says when */
	ROUND_LEASE,	/* waits for work_on_lease(), LEASE_PATIENCE_US at most */
	ROUND_TURN,	/* waits for `turn` at primaries[primary] */
	ROUND_PRIMARY,	/* `fetch` runs, asking primaries[primary] */
	ROUND_REVIEW,	/* it has brought a version, and `review` looks at that */
};

enum { WANT_REFRESH = 1, WANT_RETRANSFER = 2, WANT_ACCEPT = 4, WANT_REFUSED = 8 };

struct mirror_work {
	struct workshop *shop;
	struct mirror_zone *slot;		/* ours to free with work_free() */
	const struct mirror_zone_conf *conf;	/* a copy that other zones have, too */
	struct schedule schedule;
	struct zonelog log;
	struct holding hold;
	ev_timer tick;

	enum round round;
	bool is_forced;			/* fetch whatever the serial: the operator asked, or holds_removed */
	bool is_waived;			/* no review: the operator wants what was refused */
	bool is_waiting;		/* due, but no round may begin yet */
	bool is_hurried;		/* asked for during a round: another one after it */
	bool is_accepted;		/* forced, though it loses what catalog_held says */
	bool is_holding_back;		/* some primary of this round has a version that is held */
	bool is_confirmed;		/* some primary of this round has what we hold */
	uint32_t confirmed_s;		/* for so long, the best of them says; UINT32_MAX: no limit */
	bool is_blemished;		/* some primary of this round failed */
	bool is_newer_there;		/* as a check at primaries[primary] has shown */
	unsigned primary;
	unsigned asked;			/* bits of primaries: in this round */
	unsigned shy;			/* likewise: failed when they were asked last */
	bool is_delivered;		/* by one of this round; the rest may have a newer one */
	struct turn turn;		/* our place there, or in its queue */
	uint64_t asked_with;		/* number of the generation held then; 0: none */
	unsigned behind;		/* rounds in a row that saw newer and left it to others */
	bool is_whole;			/* this primary's IXFR has failed: now its AXFR is asked for */
	struct ixfr_trust *ixfr;	/* of each primary; NULL: none has disappointed */
	struct fetch *fetch;
	struct review review;

	struct review_refusal refusal;	/* of the version that was refused last */
	uint64_t refused_until_us;	/* until then it is not fetched again */

	bool has_lease;
	bool is_loading;		/* from the store, or following it */
	uint64_t lease_asked_us;	/* last taken or renewed */
	uint64_t poll_at_us;		/* when to look for what others wrote */
	char *holder;			/* who else had the lease when we last heard; NULL: nobody */
	uint64_t heard;			/* the latest generation that is said to be in the store ... */
	uint64_t heard_then;		/* the same when the follow began */
	uint64_t complained;		/* the generation that we said is spoilt */
	uint64_t heard_us;		/* ... and since when we lack it; 0: we do not */

	/* the start: mirror_wait_loaded() waits for both */
	bool is_snapshot_seen, is_store_seen, is_counted;
	bool is_store_read;		/* the store has said what it has, once */
	/* what the store has may be another zone, which was removed; until it was read while no order
	 * holds ours */
	bool is_newcomer;
	bool holds_removed;		/* that is what is held: a primary's replaces it, whatever its serial */
	uint64_t added_at;		/* wall seconds: when we were told of the zone */
	bool is_left;			/* no longer configured: serves old plans only */

	/* set by any thread; whoever sets the first puts the zone into the mirror's list */
	_Atomic unsigned wants;
	struct mirror_work *wanted_next;	/* good until `wants` is cleared */

	struct mirror_catalog_held catalog_held;	/* mirror_catalog.h */
	char *last_error;		/* of the last transfer; NULL: none */
	/* guarded by the mirror's mutex */
	struct status_packed *status;	/* NULL: nothing is known yet */
	uint64_t status_next_us;
	bool is_changed;		/* and in the mirror's list of such zones: */
	TAILQ_ENTRY(mirror_work) changed;

	uint8_t origin[];		/* lower case */
};

/* The store is there, and this zone takes part in it. */
static inline bool work_is_shared(const struct mirror_work *w)
{
	return w->shop->store && store_is_up(w->shop->store) && !holding_is_frozen(&w->hold);
}

/* A slot and its work; nothing runs yet. Takes `conf`, a copy. [any] */
struct mirror_work *work_new(const uint8_t *origin, const struct mirror_zone_conf *conf);
void work_free(struct mirror_work *w);		/* after work_stop(); the slot too */

/* Begins: the first round is due within `spread_us`. */
void work_start(struct mirror_work *w, struct workshop *shop, uint64_t spread_us);

/* Ends what runs; the generation stays published. Twice is fine. */
void work_stop(struct mirror_work *w);

/* Brings the timer forward to what is due next, by what is known now. */
void work_rearm(struct mirror_work *w);

/* Does what is due. The timer calls it, and so does the round of all zones. */
void work_look(struct mirror_work *w);

/* Takes a new configuration of the same zone; asks anew when it differs. */
void work_configure(struct mirror_work *w, const struct mirror_zone_conf *conf);

/* What a store knew of the zone's age is the schedule's too. */
void work_take_times(struct mirror_work *w);

/* Reads the snapshot: blocks for as long as that takes. */
void work_read_snapshot(struct mirror_work *w);

void work_refresh(struct mirror_work *w);
void work_retransfer(struct mirror_work *w);
void work_accept(struct mirror_work *w);
void work_take_refused(struct mirror_work *w);

/* `g`, from `source`, is not taken: remembers that, and tells of it unless it was told. */
void work_refuse(struct mirror_work *w, const struct generation *g, enum review_check failed,
		 const char *reason, const char *source);

/* False when `g`, which a store offers, has shrunk too much; that is told. */
bool work_may_restore(struct mirror_work *w, struct generation *g, const char *source);

/* That version needs no other fetch for now. */
bool work_has_refused(const struct mirror_work *w);
void work_forget_refusal(struct mirror_work *w);

/* What the store says. */
void work_on_store_up(struct mirror_work *w);
void work_on_store_down(struct mirror_work *w);
void work_on_loaded(struct mirror_work *w, struct generation *g, const struct zone_times *times,
		    const char *reason);
void work_on_saved(struct mirror_work *w, uint64_t generation, const char *reason);
void work_on_lease(struct mirror_work *w, bool is_ours, const char *holder);
void work_on_holder(struct mirror_work *w, const char *holder);
void work_on_newer(struct mirror_work *w, uint64_t generation);
void work_on_followed(struct mirror_work *w, struct generation *g, const struct zone_times *times,
		      const char *reason);
void work_on_spoilt(struct mirror_work *w, uint64_t generation);
void work_on_wanted(struct mirror_work *w, uint32_t serial);
void work_on_older(struct mirror_work *w, uint64_t generation);

/* What operators see of the last transfer: why it failed, or nothing. */
void work_note_error(struct mirror_work *w, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void work_forget_error(struct mirror_work *w);

/* Fills in the status; next_refresh_s is left to the reader. */
void work_describe(const struct mirror_work *w, struct mirror_zone_status *status);

#endif
