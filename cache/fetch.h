/* SPDX-License-Identifier: ISC */
/*
 * fetch - one zone asked of one primary over one connection (or two).
 *
 * Purpose:  the order of the requests of a transfer: ask for the SOA, and for the zone (or for
 *           differences) on the same connection when that is newer; a deadline for all of it.
 *           A primary that closes after the SOA reply is connected to once more.
 * Not here: the connection (stream.h), what messages say (transfer.h), whom to ask and when
 *           (mirror_work.h).
 * Owns:     the stream and the transfer.
 * Threads:  the thread of the loop.
 * Time:     libev's timers; wall seconds are read for TSIG.
 * Memory:   that of the stream and of the transfer.
 * Failure:  ends in one call of `on_end`, never from inside fetch_new(); the callee may
 *           fetch_free() there.
 * Spec:     RFC 7766 (closing), RFC 5936 s.4.1 (AXFR over TCP), RFC 1995 s.2.
 */
#ifndef FETCH_H
#define FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include <ev.h>

#include "cache/random.h"
#include "cache/stream.h"
#include "cache/transfer.h"

struct fetch;

enum fetch_outcome {
	FETCH_ZONE,		/* complete: transfer_take_edit(fetch_transfer(f)) */
	FETCH_UP_TO_DATE,	/* the primary has nothing newer */
	FETCH_NEWER,		/* it has, and the zone was not wanted (FETCH_SOA_ONLY) */
	FETCH_FAILED,		/* transfer_reason() says why */
};

enum fetch_want {
	FETCH_IF_NEWER,		/* SOA, then the zone */
	FETCH_DIFFERENCE,	/* SOA, then by IXFR what has changed, if anything is held */
	FETCH_SOA_ONLY,
	FETCH_ANYWAY,		/* the zone at once */
};

typedef void (*fetch_end_fn)(struct fetch *f, enum fetch_outcome outcome, void *arg);

struct fetch_job {
	const uint8_t *origin;			/* lower case; copied */
	struct stream_peer peer;
	const struct tsig_key *key;		/* or NULL; outlives the fetch */
	struct generation *const *held;		/* what we hold when the SOA comes; outlives it */
	struct transfer_limits limits;
	struct stream_limits stream_limits;
	uint64_t timeout_us;			/* for all of it */
	enum fetch_want want;
};

/* Starts at once. `random` is used during this call and from the loop's thread later. */
struct fetch *fetch_new(struct ev_loop *loop, const struct fetch_job *job, struct random *random,
			fetch_end_fn on_end, void *arg);
void fetch_free(struct fetch *f);	/* at any time, without on_end; NULL is fine */

struct transfer *fetch_transfer(struct fetch *f);

/* True once the zone has been asked for, by AXFR or IXFR; true once it was by IXFR. */
bool fetch_is_zone_coming(const struct fetch *f);
bool fetch_is_ixfr(const struct fetch *f);

/* Some message came, be it a bad one. */
bool fetch_was_answered(const struct fetch *f);

uint64_t fetch_duration_us(const struct fetch *f);	/* since fetch_new() */

#endif
