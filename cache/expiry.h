/* SPDX-License-Identifier: ISC */
/*
 * expiry - until when a zone that nobody confirms may answer.
 *
 * Purpose:  SOA expire, and the grace after it, as a policy over `now`: what is due to be said, and
 *           when it is over.
 *
 *      GOOD --SOA expire--> GRACE --its end, or that of the signatures--> OVER
 *        '----------------------- without grace -----------------------^
 *         a confirmation leads back to GOOD from anywhere
 *
 * Not here: when to ask (schedule.h), what follows for clients (mirror_holding.h, answer.h).
 * Threads:  the mirror's; pure.
 * Time:     monotonic microseconds. Wall seconds come in with expiry_set() alone: a clock that is
 *           set later changes nothing.
 * Memory:   none.
 * Failure:  none.
 * Spec:     RFC 1035 s.3.3.13 (expire), RFC 8767 (data past its time).
 *
 * A zone whose signatures have ended is worse than none: whoever validates calls it forged. So
 * they end the grace; SOA expire they do not, since the primary would say the same.
 */
#ifndef EXPIRY_H
#define EXPIRY_H

#include <stdint.h>

#include "cache/snapshot.h"

enum expiry_phase { EXPIRY_GOOD, EXPIRY_GRACE, EXPIRY_OVER };

struct expiry {
	enum expiry_phase phase;
	uint64_t expires_us;	/* when SOA expire ends */
	uint64_t life_us;	/* how long it was, from the confirmation on */
	uint64_t grace_us;	/* served so much longer; 0: not at all */
	uint64_t late_us;	/* it was past its expire by so much when expires_us was set */
	uint64_t signed_us;	/* when the first of its signatures ends; 0: none does */
	unsigned warned;	/* warnings given in this phase */
};

/* All zero is a zone of which nothing is known; its grace comes first. */
void expiry_set_grace(struct expiry *e, uint64_t grace_us, uint64_t now_us);

/*
 * A zone was loaded or confirmed: these are its times. True when that ends a grace. One that was
 * in its grace and is past its expire by the new times, too, stays there.
 */
bool expiry_set(struct expiry *e, const struct zone_times *times, uint64_t wall_s, uint64_t now_us);

/* When it stops answering. */
uint64_t expiry_end_us(const struct expiry *e);

/* When expiry_look() has news next, a warning or another phase; UINT64_MAX: it never has. */
uint64_t expiry_next_us(const struct expiry *e);

/* What ends its grace: "grace" or "signatures". */
const char *expiry_limit(const struct expiry *e);

enum expiry_news {
	EXPIRY_NO_NEWS,
	EXPIRY_WARNS,		/* of this phase `percent_left` is left */
	EXPIRY_CHANGED,		/* the phase has */
};

struct expiry_word {
	unsigned percent_left;
	uint64_t left_us;	/* of the phase */
};

/* Time passes. */
enum expiry_news expiry_look(struct expiry *e, uint64_t now_us, struct expiry_word *word);

#endif
