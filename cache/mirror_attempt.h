/* SPDX-License-Identifier: ISC */
/*
 * mirror_attempt - how the attempt at one primary ends, and what follows for the zone.
 *
 * Purpose:  each outcome: delivered, confirmed, failed, refused, held back. What it means for the
 *           schedule, the lease and the log; then the next primary is asked, or the round is over.
 *           The zone's lot is settled before the last event is written: who reads that finds the
 *           rest.
 * Not here: asking (mirror_round.h), judging what came (mirror_version.h).
 * Threads:  the mirror's.
 * Memory:   generations are taken; texts may live in the fetch, which ends here.
 */
#ifndef MIRROR_ATTEMPT_H
#define MIRROR_ATTEMPT_H

#include <stdint.h>

#include "cache/mirror_work.h"

/* It delivered `g` (taken), which is served from now on. */
void attempt_delivered(struct mirror_work *w, struct generation *g);

/* It has what we hold: that is confirmed. */
void attempt_same(struct mirror_work *w);

/* It has a newer one, and lives; the operator wants what we hold, which is confirmed. */
void attempt_newer_held(struct mirror_work *w, uint32_t serial);

/* `broken`: what is wrong with its zone, at `owner` (or NULL); ZONE_OK: something else was. */
void attempt_failed(struct mirror_work *w, enum zone_error broken, const char *reason,
		    const char *owner);

/* Its serial is ours again, or older, though something newer was promised. */
void attempt_not_newer(struct mirror_work *w, uint32_t serial);

/* What came is not newer any more: a store delivered it meanwhile, or the primary was wrong. */
void attempt_unwanted(struct mirror_work *w, uint32_t serial);

/* A review refused its version, now or before: that was told. */
void attempt_refused(struct mirror_work *w);

/* A catalog that waits for the operator: that was told. */
void attempt_withheld(struct mirror_work *w, const char *reason);

/* Its difference is no good: RFC 1995 s.4: it is asked for the whole zone. */
void attempt_whole(struct mirror_work *w, const char *reason);

#endif
