/* SPDX-License-Identifier: ISC */
/*
 * gate - may this backend answer for this zone? What it shows of the zone against what we know.
 *
 * Purpose:  one small state machine for each backend and zone: asks for the zone's SOA and for
 *           sample answers, and holds the zone while what comes is older, other, or next to
 *           nothing.
 *
 *      a server returns --> UNPROVEN --SOA not older--> samples --all the same--> OPEN
 *                                |                         |
 *                                |-- older: BEHIND, OLDER  |-- another answer, and the SOA
 *                                '-- no zone: MISSING      |   still says our serial: DIFFERS
 *                                                          '-- names vanished: SHRUNK
 *
 *           A server that was never away is OPEN until it shows something else. What is held
 *           is asked again and again, and opens by itself when it is right.
 *           While all is well samples are asked, too, after each change of the mirror: a server
 *           that answers otherwise then (by country, by turns, out of another view) does so by
 *           design, and is not held for it later.
 * Not here: sending, comparing answers (sample.h), publishing (watch_gate.h), whole servers
 *           (health.h).
 * Threads:  control; pure.
 * Memory:   a few bytes for each backend and zone: there may be a hundred thousand zones.
 * Time:     milliseconds of a monotonic clock, which may wrap.
 * Spec:     RFC 1982 (serials).
 */
#ifndef GATE_H
#define GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/health.h"

enum gate_reason {
	GATE_OPEN,
	GATE_UNPROVEN,		/* it was away, and has not shown the zone yet */
	GATE_MISSING,		/* it does not serve the zone */
	GATE_BEHIND,		/* an older serial; of a server that transfers it, too */
	GATE_OLDER,		/* an older serial at a primary: it went back */
	GATE_DIFFERS,		/* our serial, other data */
	GATE_SHRUNK,		/* a newer serial, and next to nothing left of the zone */
};

const char *gate_reason_text(enum gate_reason r);	/* "older"; "" when open */

/* What is known of the zone when a question is asked; answers are judged by it. */
struct gate_facts {
	bool has_newest;	/* else there is nobody to compare with */
	uint32_t newest;	/* serial: of the mirror and of all other primaries that are fit */
	bool has_mirror;	/* the mirror may answer: samples can be judged */
	uint32_t mirror_serial;
	uint32_t generation;	/* the mirror's, its low bits */
	bool is_primary;	/* the backend is one */
	bool is_away;		/* it is down: not the time to let it off */
	bool is_accepted;	/* the operator, or the policy, accepted this serial: */
	uint32_t accepted;
	uint8_t samples;	/* how many a zone of this pool is worth */
};

struct gate {
	uint32_t serial;	/* last shown */
	uint32_t compared;	/* facts.newest when it was last asked */
	uint32_t doubted;	/* the mirror's generation that a sample differed from */
	uint32_t asked_ms;
	uint32_t denied_ms;	/* it denied what the mirror has: looked into then */
	uint8_t reason;		/* enum gate_reason */
	uint8_t samples_left;	/* to be asked before it opens, or is trusted again */
	uint8_t said, lost;	/* samples that told something; that told of a name gone */
	uint8_t bad;		/* replies in a row that say: no such zone here */
	bool has_serial : 1;
	bool was_compared : 1;
	bool is_due : 1;	/* its SOA is to be asked */
	bool is_out : 1;	/* a question is on its way */
	bool is_sampling : 1;	/* its serial is right: samples are to be asked */
	bool is_doubted : 1;	/* a sample differed: the SOA decides */
	bool has_regressed : 1;	/* it went back behind what it had shown itself */
	bool is_calm : 1;	/* these samples are to learn how it answers when all is well */
	bool is_other : 1;	/* it answers otherwise by design */
	bool was_denied : 1;	/* denied_ms is set */
	bool is_cut : 1;	/* its SOA does not fit UDP: it is asked by TCP */
	bool is_mute : 1;	/* the last time its SOA was asked nothing came of it */
};

enum gate_ask { GATE_ASK_NOTHING, GATE_ASK_SOA, GATE_ASK_SAMPLE };

enum gate_sample {
	SAMPLE_SAME,
	SAMPLE_DIFFERS,
	SAMPLE_VANISHED,	/* nothing where the mirror has records */
	SAMPLE_NOTHING,		/* cut short, an error, no reply: tells nothing */
};

/* A server of which nothing is known: open, and to be looked at. */
void gate_init(struct gate *g, uint8_t samples);

/* The server was away: unproven. What it showed before is remembered. */
void gate_forget(struct gate *g, uint8_t samples);

/* It was in doubt and is well: its answers are looked at again while it serves. */
void gate_recheck(struct gate *g, uint8_t samples);

/*
 * It told a client that something does not exist which the mirror has under the same serial. Its
 * answers are looked at, now and then; it serves meanwhile.
 */
void gate_on_denial(struct gate *g, uint8_t samples, uint32_t now_ms);

/* Time passes, and the facts change. True when `reason` did. */
bool gate_look(struct gate *g, const struct gate_facts *f);

/*
 * Nothing is to be asked of it, and nothing is held: as long as the facts stay, gate_look() changes
 * nothing and time brings nothing.
 */
bool gate_is_quiet(const struct gate *g);

/* Somebody wants to know which serial it has now: its SOA is asked soon. */
void gate_want_soa(struct gate *g);

/* What to ask now. A question that is asked: gate_on_asked(); each has one end. */
enum gate_ask gate_next(const struct gate *g, uint32_t now_ms, uint32_t again_ms);
void gate_on_asked(struct gate *g, uint32_t now_ms);
void gate_on_lost(struct gate *g);	/* it never left, or was cancelled */

/*
 * A reply to an SOA question, a regular probe's too. `f`: as they were when it was asked. `serial`
 * NULL: it told none. `fall`: bad ones in a row that count.
 */
void gate_on_soa(struct gate *g, enum health_cause why, const uint32_t *serial,
		 const struct gate_facts *f, unsigned fall);

void gate_on_sample(struct gate *g, enum gate_sample said, const struct gate_facts *f);

/* The operator, or the policy, accepted what it shows: open. */
void gate_accept(struct gate *g);

/* Accepting the primary's data would end this. */
bool gate_is_acceptable(const struct gate *g);

#endif
