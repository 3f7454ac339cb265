/* SPDX-License-Identifier: ISC */
/*
 * faithful - can the mirror say what the primary would: what a transfer does not bring along.
 *
 * Purpose:  tells of a generation why answers made from it would not be those of its primary,
 *           whatever we do: a primary that signs while it answers, and transfers no chain to
 *           prove denials with; records that mean "compute it" (ALIAS, LUA), which clients of
 *           the primary never see; NSEC3 with too many iterations; expired signatures.
 * Not here: whether a zone is well-formed (zone.h), proofs (denial.h), the event that tells of
 *           it (mirror_zonelog.h), what is answered all the same (answer.c), what follows from
 *           signatures that end (expiry.h).
 * Threads:  any; pure.
 * Time:     wall seconds, from the caller. A check walks the zone once, some 0.1 us a name: it
 *           is for the mirror's thread, not for a worker.
 * Memory:   none.
 * Failure:  none; of several faults the first in enum faithful_fault is told.
 * Spec:     RFC 4034 s.4.1.1 and RFC 4035 s.2.3 (the NSEC chain), RFC 5155 s.7.1 (the NSEC3
 *           chain), RFC 4034 s.3.1.5 (times are serial numbers), RFC 9824 (denial without a
 *           chain).
 *
 * That each name's hash is in the NSEC3 chain is not tried, for two million hashes take
 * seconds; but the chain is closed, and has as many records as there are names for it.
 */
#ifndef FAITHFUL_H
#define FAITHFUL_H

#include <stdint.h>

#include "cache/zone.h"

enum faithful_fault {
	FAITHFUL,
	FAITHFUL_COMPUTED,	/* has records that its primary computes answers from */
	FAITHFUL_NO_CHAIN,	/* signed, but nothing to prove denials with */
	FAITHFUL_NSEC_GAP,	/* a name without its NSEC, or one that the chain skips */
	FAITHFUL_NSEC3_GAP,	/* the chain skips a record, or has another number than of names */
	FAITHFUL_NSEC3_COST,	/* hashing the names of one answer is over our budget */
	FAITHFUL_EXPIRED,	/* the signatures of SOA or DNSKEY are past their time */
};

/* A clause for each but the first: "its signatures have expired". */
const char *faithful_text(enum faithful_fault fault);

struct faithful {
	enum faithful_fault fault;	/* never FAITHFUL_EXPIRED: see faithful_at() */
	const uint8_t *owner;		/* where the fault lies, or begins; in the generation */
	uint64_t signed_until;		/* wall seconds; 0: the zone is not signed */
	/* Of the set in the zone whose signatures end first, among those that have not ended. */
	uint64_t first_end;		/* wall seconds; 0: none */
	uint32_t first_life_s;		/* how long they are good in all */
	const uint8_t *first_owner;	/* in the generation */
};

/* `wall_s` tells in which 136 years the signatures' times lie. */
struct faithful faithful_check(const struct generation *g, uint64_t wall_s);

/* What is wrong at `wall_s`: the fault that was found, else whether signatures have expired. */
enum faithful_fault faithful_at(const struct faithful *f, uint64_t wall_s);

#endif
