/* SPDX-License-Identifier: ISC */
/*
 * limit - how many queries a second this server can take, found out by how it answers.
 *
 * Purpose:  a server that is asked more than it can answer (overload, or rate limiting of its own)
 *           answers some and drops the others, probes among them. Asked less, it answers all. So
 *           when part of its answers stay away, what it gets is cut to what it answered; when that
 *           helps, it grows again, slowly at first; when it does not help, it is loss and no
 *           overload, and the limit goes. Clients can fake that: names which a server never
 *           answers, asked in short bursts. So now and then much more goes there for a moment:
 *           if it answers that, it was no overload, or it is over. What is lost by the other
 *           transport meanwhile tells nothing.
 *
 *             a third is lost                hardly any is lost
 *      OFF ----------------------> SEEKING ---------------------> FOUND
 *       ^                           |  ^                          |  |
 *       |  cut again and again:     |  '--- a quarter is lost ----'  |
 *       |  useless                  |                                |
 *       '---------------------------+--- no answer at all; not ------'
 *                                        needed for a while
 *
 * All workers have one limit: the server has to share itself out among them, and what one of
 * several that each sought its part lost, another had taken. Each counts what becomes of its own
 * queries, and hands that in every few milliseconds; whoever does looks whether a window is
 * over. Nobody waits for anybody: who finds another at it goes on counting.
 *
 * Not here: a server that answers nothing (health.h); how many may wait for it (max-outstanding).
 * Threads:  one struct limit for each backend and transport, for any of them; one struct
 *           limit_count for each worker besides.
 * Time:     monotonic microseconds, given by the caller.
 * Memory:   none.
 * Failure:  none.
 */
#ifndef LIMIT_H
#define LIMIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum limit_state {
	LIMIT_OFF,
	LIMIT_SEEKING,
	LIMIT_FOUND,
};

/* Of one worker: what it has not handed in yet. */
struct limit_count {
	uint32_t answered, truncated, late, lost;	/* answered: in time, those truncated too */
	uint32_t spared;		/* queries that went elsewhere for the limit */
	uint64_t since_us;		/* the first answer or loss of these */
	uint64_t handed_us;		/* the last time */
};

struct limit {
	/* for whoever sends or counts */
	_Atomic uint32_t pace;		/* queries a second; 0: as many as come */
	_Atomic uint64_t next_us;	/* when the next one is due at that pace */
	_Atomic uint64_t window_us;	/* when the present window began, or will: before it nothing is counted */
	/* for whoever asks: limit_said() */
	_Atomic uint32_t said_rate;
	_Atomic uint8_t said_state;
	_Atomic bool said_rationed;
	/* for the one by the other transport, and for whoever asks */
	_Atomic uint64_t tried_us;	/* until then it has more, for a trial, or is at work on that */
	struct limit *other;		/* of the same server; NULL: none */

	_Atomic bool is_taken;		/* somebody is at what follows, all of which limit_reset() zeroes */
	uint32_t rate;			/* queries a second that it can take; 0 while OFF */
	uint8_t state;			/* enum limit_state */
	uint8_t cuts;			/* in a row that did not help */
	uint8_t doubts;			/* OFF: windows in a row that look like overload */
	uint16_t first_loss;		/* of a thousand queries: what the cuts are to cure */
	uint8_t useless;		/* how often cutting did not help, or was not needed, of late */
	uint8_t trials;			/* in a row that showed that the limit is needed */
	bool is_trying;			/* much more goes there, until it is judged */
	uint32_t trial_good, trial_spared;	/* answers in the present trial; what went elsewhere */
	uint16_t usual_loss;		/* of a thousand, under the limit */
	bool is_rationed;		/* it says TC to part of them instead of answers: RRL */
	struct limit_count window;	/* what all workers handed in to the present one; no times */
	/* several windows together, to tell RRL from answers that are truly too long */
	uint32_t long_answered, long_truncated, long_lost;
	uint16_t usual_truncated;	/* of a thousand, while nothing is lost */
	uint32_t base;			/* the rate after the latest cut */
	uint8_t odd;			/* relapses in a row at hardly more */
	uint32_t least;			/* SEEKING: no cut goes below this rate */
	uint64_t latest_us;		/* the latest time that a worker gave */
	uint64_t void_us;		/* what a worker began to count before is dropped: another pace */
	uint64_t begun_us;		/* of SEEKING */
	uint64_t trial_us;		/* of the next trial, or when the present one ends */
	uint64_t lost_us;		/* the last time that anything was lost in a window */
	uint64_t needed_us;		/* the last time that anything was spared */
	uint64_t blind_us;		/* OFF: no limit is tried before */
};

/* Of another server from now on, or of one that comes back. `other`: its limit by the other transport, or NULL. */
void limit_reset(struct limit *l, struct limit *other);

/* Whether one more query may go there now. */
bool limit_allows(const struct limit *l, uint64_t now);

/* One went there; one went elsewhere, since limit_allows() said no. */
void limit_on_sent(struct limit *l, uint64_t now);
void limit_on_spared(struct limit *l, struct limit_count *own, uint64_t now);

/* What became of it. `is_truncated`: TC and no record. */
void limit_on_answer(struct limit *l, struct limit_count *own, bool is_truncated, uint64_t now);
void limit_on_loss(struct limit *l, struct limit_count *own, uint64_t now);	/* its deadline passed */
void limit_on_late(struct limit_count *own);	/* after a loss: it lives, but not at this pace */

/* What was found out last. */
struct limit_said {
	uint32_t rate;			/* queries a second; 0: no limit */
	enum limit_state state;
	bool is_rationed;
	uint64_t tried_us;		/* monotonic: much more goes there until then, or went */
};
struct limit_said limit_said(const struct limit *l);

#endif
