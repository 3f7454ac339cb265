/* SPDX-License-Identifier: ISC */
/*
 * watch_shadow - do backends say what the mirror would: suspicions become divergences, or nothing.
 *
 * Purpose:  a backend that answered otherwise than the mirror may have a newer version of the
 *           zone. It is believed to have had the mirror's when it had shown that serial a while
 *           before the question, and shows it to a question for the SOA a while afterwards.
 *           Then it is a divergence: counted for the zone, kept as an example, told.
 * Not here: comparing (shadow.h), asking for the SOA (watch_gate.h, whose gates are made due),
 *           what follows for the zone: nothing does, but that a drill ends (watch_drill.h).
 * Owns:     doubts: suspicions that wait for an SOA; of each zone that diverged its examples.
 * Threads:  control, inside an RCU read.
 * Memory:   a bounded number of doubts; a zone costs nothing until it diverges.
 * Failure:  doubts that find no room are dropped: there will be others.
 */
#ifndef WATCH_SHADOW_H
#define WATCH_SHADOW_H

#include "proxy/suspicion.h"
#include "proxy/watch_check.h"

enum { DIVERGENCE_EXAMPLES = 4 };

struct divergence_example {
	uint64_t at_us;
	char backend[CONF_NAME_MAX];
	struct suspicion suspicion;
};

/* What is known of a zone that diverged; kept over reloads. */
struct divergence {
	uint64_t count;			/* since the start */
	uint64_t told_us, untold;	/* the last line, and how many came since */
	unsigned example_count;
	struct divergence_example examples[DIVERGENCE_EXAMPLES];	/* newest first */
};

struct shadows;

struct shadows *shadows_new(unsigned workers);
void shadows_free(struct shadows *s);

/* [worker] */
void shadows_put(struct shadows *s, unsigned worker, const struct suspicion *one);

/* Takes what workers suspect, and makes the gates ask. */
void shadows_tick(struct watch *w, uint64_t now);

/* A reply to an SOA question has come, and the gate knows of it. */
void shadows_on_soa(struct watched *b, const struct check *c, const struct probe_verdict *v,
		    uint64_t now);

/* Suspicions of this backend, NULL: of all, are of the past. */
void shadows_forget(struct watch *w, const struct watched *b);

#endif
