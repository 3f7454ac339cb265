/* SPDX-License-Identifier: ISC */
/*
 * watched - one backend, and one pool, as the watch sees them: the structs behind watch.h.
 *
 * Purpose:  shared by the files that make up the watch.
 * Threads:  control.
 *
 *      watch.c             time, plans, orders
 *      watch_check.c       probes under way
 *      watch_verdict.c     what follows from them
 *      watch_fitness.c     which zones it serves at all, and whose turn it is
 *      watch_due.c         which zones are looked at in a tick
 *      watch_gate.c        which zones are held
 *      watch_accept.c      what is taken all the same
 *      watch_newer.c       a newer serial that a client has seen
 *      watch_limit.c       how much a server can take
 *      watch_guard.c       does it lead back to us
 *      watch_shadow.c      its answers beside the mirror's
 *      watch_takeover.c    which tier of a pool serves
 *      watch_drill.c       drills
 *      watch_json.c        all of it as operators see it
 *      watched.c           the sentences of its event lines
 */
#ifndef WATCHED_H
#define WATCHED_H

#include <stddef.h>

#include "cache/random.h"
#include "proxy/agenda.h"
#include "proxy/guard.h"
#include "proxy/plan.h"
#include "proxy/probe.h"
#include "proxy/rtt.h"
#include "proxy/watch.h"
#include "proxy/watch_fitness.h"

enum { WATCHED_TEXT_MAX = 256, WATCHED_NAMES_MAX = 1024 };

struct watched_zone {
	struct plan_zone *plan;
	uint32_t asked_serial;		/* the mirror was asked to fetch this one */
	uint8_t asked_times;		/* in a row */
	uint64_t asked_us;		/* the last time; 0: never */
	bool is_accepted;		/* a primary's data under this serial: */
	uint32_t accepted;
	uint64_t accepted_over;		/* the mirror's generation then */
	uint64_t accepted_us;		/* the mirror was asked to take it */
	struct divergence *divergence;	/* NULL: its servers said what the mirror would */
	size_t before;			/* its number before the reload; SIZE_MAX: it is new */
};

/* The operator's `drill`: it ends by itself. */
struct watched_drill {
	unsigned percent;		/* 0: there is none */
	uint64_t until_us;
	uint64_t served_before;		/* queries in earlier ones */
};

struct watched_pool {
	char name[CONF_NAME_MAX];
	const struct plan_pool *plan;
	struct watched_zone *zones;
	size_t zone_count;
	struct watched *members[CONF_TARGETS_MAX];	/* by target; NULL: the mirror */
	struct watched *primaries[MIRROR_PRIMARIES_MAX];
	unsigned primary_count;
	bool takes_unlisted;		/* names of no zone go there, too */
	bool has_mirror;
	unsigned mirror_target;
	struct agenda agenda;		/* of zones: watch_due.c */
	size_t cursor;			/* the zone that is put there next, whatever it is */
	unsigned tier;			/* that serves now, or TAKEOVER_NONE */
	uint64_t since_us;		/* of `tier` */
	uint64_t left_us;		/* when the first tier stopped serving; 0: it serves */
	struct watched_drill drill;
};

/* A limit that the operator was told of. */
struct watched_limit {
	uint64_t since_us;		/* 0: none */
	uint64_t seen_us;		/* workers had one then */
	uint64_t spared;		/* queries spared it before */
	bool is_rationed;		/* it is said to be RRL */
};

struct watched_gate;	/* watch_gate.h */
struct divergence;	/* watch_shadow.h */
struct shadows;		/* there, too */
struct newers;		/* watch_newer.h */
struct suspicion;
struct event;
struct check;		/* a probe on its way: watch_check.h */

struct watched {
	struct watch *watch;
	struct watched_pool *pool;
	const struct plan_target *target;
	struct backend *slot;
	struct health health;
	struct health_rules rules;
	struct rtt probed;		/* by UDP; its least alone */
	struct fitness *fitness;
	struct check *checks;		/* list */
	unsigned udp_out, tcp_out;	/* checks under way, sweeps not counted */
	unsigned sweeps_out, guards_out;

	struct guard guard;

	struct watched_gate *gates;	/* one for each zone of the pool: watch_gate.c */
	size_t held_zones;		/* whose bit is set */
	size_t loud_zones;		/* of these, not for a short lag */
	unsigned asks_left;		/* questions that may begin in this tick */
	bool is_rechecked;
	uint64_t rechecked_us;
	uint64_t told_us;		/* failback_held, divergence: how many lines since then */
	unsigned told, untold;

	struct watched_limit limit;
	uint64_t blind_us;		/* the last time that we could not ask it, for a lack of ours */
	struct evidence_sum seen;	/* at the last look */
	uint64_t silent_us[TRANSPORTS];	/* silence was noticed then; 0: none, or it was broken */
	struct evidence_sum calm;	/* at the last look without trouble */
	struct evidence_sum before;	/* before the present trouble, or the last */

	/* What the last bad probe showed, and how many there were in a row. */
	struct probe_verdict bad;
	char bad_zone[NAME_TEXT_MAX];
	unsigned bad_run, good_run;
};

struct watch {
	struct ev_loop *loop;
	struct mirror *mirror;		/* NULL in tests */
	ev_timer timer;
	ev_async wake;
	struct random random;
	struct watched_pool *pools;	/* parallel to plan->pools */
	unsigned pool_count;
	const struct plan *plan;	/* what they were made from */
	struct shadows *shadows;
	struct newers *newers;
	size_t heard;			/* plan->heard: where to look next */
	uint64_t checks;		/* questions asked so far */
	struct watched *by_index[BACKENDS_MAX];	/* slots of the registry; NULL: not watched */
	struct watched *all[BACKENDS_MAX];	/* the same in that order, without gaps */
	unsigned count;
};

/* Sets the timer to what is due next. */
void watch_arm(struct watch *w, uint64_t now);

/* The serial that the mirror holds of this zone. False: none. Inside an RCU read. */
bool watched_mirror_serial(const struct plan_zone *z, uint32_t *serial);

static inline unsigned watched_target(const struct watched *b)
{
	return (unsigned)(b->target - b->pool->plan->targets);
}

/* "up"; in capitals when the operator ordered it. */
const char *watched_state_text(const struct watched *b);

/* The evidence of a change as a sentence for operators. */
const char *watched_evidence(const struct watched *b, const struct health_change *c, uint64_t now,
			     char text[WATCHED_TEXT_MAX]);

/* Which backend an event line is about. */
void watched_identify(struct event *e, const struct watched *b);

/* event=backend_down and its like. */
void watched_tell(const struct watched *b, const struct health_change *c, uint64_t now);

/* event=failback_held. False when too many were told of late: it is to be tried again. */
bool watched_tell_held(struct watched *b, size_t zone, uint64_t now);

/* event=divergence. False when too many lines about this backend were told of late. */
bool watched_tell_divergence(struct watched *b, const struct suspicion *s,
			     const struct divergence *v, uint64_t now);

void watched_tell_released(const struct watched *b, size_t zone, const char *cause, uint64_t now);

#endif
