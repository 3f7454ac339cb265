/* SPDX-License-Identifier: ISC */
/*
 * watch_gate - the shell around gate.h: which backend may answer for which zone.
 *
 * Purpose:  asks what gates want to know, judges the replies beside the mirror, publishes a bit
 *           for each zone and target to the workers (plan.h), tells the operator, and takes
 *           his word, or the policy's, that a primary is right.
 * Not here: the decisions (gate.h), comparing answers (sample.h), servers as a whole
 *           (watch_verdict.h).
 * Owns:     the gates of each backend.
 * Threads:  control, inside an RCU read.
 * Time:     in each tick a bounded number of questions leaves: with a hundred thousand zones it
 *           takes minutes until a primary has all of them back. Which zones are looked at when:
 *           watch_due.h.
 */
#ifndef WATCH_GATE_H
#define WATCH_GATE_H

#include "proxy/sample.h"
#include "proxy/watch_check.h"

/* A zone that is held, or may soon be. */
struct watched_hold {
	uint64_t since_us;	/* 0: not yet */
	bool is_told;
	char *example;		/* of answers that differ; NULL: none */
	struct sample witness;	/* the question of the example */
};

struct watched_gate {
	struct gate gate;
	bool is_loud;		/* held, and not for a short lag: counted in loud_zones */
	uint16_t first;		/* where in a small zone its row of samples begins */
	uint64_t shown_us;	/* since when its SOA has shown gate.serial and nothing else; 0: no */
	struct watched_hold *hold;	/* NULL: nothing to remember */
};

/* Gates for the zones of b->pool; `old` (freed here) are those before a reload. */
void gates_take(struct watched *b, struct watched_gate *old, size_t old_count, uint64_t now);
void gates_free(struct watched_gate *gates, size_t count);

/* The backend went down: nothing that it showed holds any more. */
void gates_forget(struct watched *b, uint64_t now);

/* It was in doubt, and is acquitted: its data is looked at again, now and then. */
void gates_recheck(struct watched *b, uint64_t now);

/* The operator's `up` goes over all that is held; `auto` does not. */
void gates_on_order(struct watched *b, uint64_t now);

/* So many questions may begin in this tick. */
void gates_begin_tick(struct watch *w, uint64_t now);

/* Some of the pool's servers may be asked one more. */
bool gates_may_ask(const struct watched_pool *p);

/*
 * It is down, a probe of it was good, and it may return in a moment: what has changed since the
 * last tick counts before. All its zones are asked for again, however often they were right by now.
 */
void gates_look_all(struct watched *b, uint64_t now);

/* Looks at one zone's gates: what has changed, what is to be told, what to ask. */
void gates_look(struct watched_pool *p, size_t zone, uint64_t now);

/* A reply about a zone has come: SOA or sample. */
void gates_on_check(struct watched *b, const struct check *c, const struct probe_verdict *v,
		    uint64_t now);

/* The gate may have changed: workers, the operator and the pool hear of it, and of the cause. */
void gates_settle(struct watched *b, size_t zone, const char *cause, uint64_t now);

/* It serves, and its gate of this zone is open. */
bool gates_are_open_for(const struct watched *b, size_t zone);

/* Some zone may be served, or there is none. */
bool gates_are_open(const struct watched *b);

/* The same as the pool sees it: a short lag after an update moves it to no other tier. */
bool gates_serve(const struct watched *b);

/* What is known of a zone, as a question to `b` needs it. */
struct gate_facts gates_facts(const struct watched *b, size_t zone);

/* The bit that workers read. */
bool gates_hold(const struct watched *b, size_t zone);

#endif
