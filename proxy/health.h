/* SPDX-License-Identifier: ISC */
/*
 * health - is this backend fit to serve? A state machine over probes, evidence and `now`.
 *
 *               evidence                    fall bad probes
 *        UP  ------------>  SUSPECT  ---------------------->  DOWN
 *         ^                    |                                | rise good probes
 *         |   good probes      |                                v and the gate
 *         +--------------------+            any failure     PROBATION
 *         |                                DOWN <-----------    |
 *         +-----------------------------------------------------+ slow start over
 *
 * Purpose:  decides states and when to probe next. Only probes take a backend DOWN; passive
 *           evidence (ICMP, silence) makes it SUSPECT at once, and a burst of probes decides.
 * Not here: sending probes (watch_check.c), event lines (watched.c).
 * Threads:  control; pure.
 * Time:     monotonic microseconds, given by the caller.
 * Memory:   none.
 * Failure:  none; each call returns what changed.
 *
 * After an acquittal silence is looked into without leaving UP for a while: clients can fake slow
 * names, and the log is not theirs to fill. A bad probe then makes it SUSPECT as ever.
 *
 * A loop is no illness that probes could show: what we send there comes back to us. The guard finds
 * it and says when it is over (guard.h); until then good probes count for nothing.
 *
 * From first evidence to the verdict: under 300 ms for `fall` up to 40, as long as the
 * backend's round trip is below 33 ms (a probe must be given time to come back).
 */
#ifndef HEALTH_H
#define HEALTH_H

#include <stdbool.h>
#include <stdint.h>

enum health_state { HEALTH_UP, HEALTH_SUSPECT, HEALTH_DOWN, HEALTH_PROBATION };

enum health_cause {
	CAUSE_NONE,
	CAUSE_TIMEOUT,		/* no reply to probes */
	CAUSE_REFUSED,		/* ICMP or connection refused */
	CAUSE_SILENT,		/* client queries without reply */
	CAUSE_RCODE,		/* the probe's reply was SERVFAIL, REFUSED, ... */
	CAUSE_LAME,		/* AA clear */
	CAUSE_MALFORMED,
	CAUSE_TCP,		/* UDP answers, TCP does not */
	CAUSE_PROBES_GOOD,
	CAUSE_SLOW_START_OVER,
	CAUSE_OPERATOR,
	CAUSE_LOOP,		/* what it is sent comes back to us */
};

/* What the operator ordered: sticky until `auto`. */
enum health_order { ORDER_AUTO, ORDER_UP, ORDER_DOWN, ORDER_DRAIN };

enum { HEALTH_SHARE_FULL = 65536 };

const char *health_state_text(enum health_state s);	/* "up", "suspect", ... */
const char *health_cause_text(enum health_cause c);	/* "timeout", "refused", ... */
const char *health_order_text(enum health_order o);	/* "auto", "up", "down", "drain" */

struct health_rules {
	uint64_t interval_us, timeout_us, slow_start_us;
	unsigned rise, fall;
};

/* Probes in a row: one of the two is always 0. */
struct health_run {
	unsigned good, bad;
	enum health_cause why;		/* of the last bad one */
};

struct health {
	enum health_state state;
	enum health_order order;
	enum health_cause cause;	/* of the last change */
	struct health_run udp, tcp;	/* counted from the last change of state */
	unsigned downs;			/* of late: each after the first doubles `rise`; forgotten
					 * after calm */
	bool is_looping;		/* DOWN, and stays so, however good its probes */
	bool is_held;			/* DOWN, fit again, but every zone is held */
	uint64_t since_us;		/* of the present state */
	uint64_t evidence_us;		/* first evidence of what a burst looks into; 0: none */
	uint64_t good_since_us;		/* first good probe of the present run */
	uint64_t next_udp_us, next_tcp_us;	/* when the next probe is due */
	uint64_t quiet_until_us;	/* just acquitted: before this silence is no news */
	uint64_t rtt_us;		/* of good UDP probes, smoothed; 0: not known */
};

struct health_change {
	bool is_change;			/* the other fields are set */
	enum health_state from, to;
	enum health_cause cause;
	uint64_t detect_us;		/* from first evidence (of the good, going up) to now */
};

/* A new backend is UP and probed at once: start-up must not wait for probes. */
void health_init(struct health *h, uint64_t now);

/* Its first probes are due then only. */
void health_put_off(struct health *h, uint64_t until);

/* Passive evidence from the workers: CAUSE_REFUSED or CAUSE_SILENT. */
struct health_change health_on_evidence(struct health *h, const struct health_rules *r,
					enum health_cause cause, uint64_t now);

/* A probe was sent: sets when the next of its kind is due. */
void health_on_probe_sent(struct health *h, const struct health_rules *r, bool is_tcp,
			  uint64_t now);

/* How long a good UDP probe took. */
void health_on_rtt(struct health *h, uint64_t rtt_us);

/*
 * A probe ended: CAUSE_NONE when good. `gate_is_open`: there is a zone that it may serve
 * (gate.h); asked in DOWN only.
 */
struct health_change health_on_probe(struct health *h, const struct health_rules *r, bool is_tcp,
				     enum health_cause why, bool gate_is_open, uint64_t now);

/*
 * The guard's question, sent at `asked_us`, came back to us (guard.h): DOWN at once. A change from
 * DOWN to DOWN when it was so already for another cause.
 */
struct health_change health_on_loop(struct health *h, const struct health_rules *r,
				    uint64_t asked_us, uint64_t now);

/* The guard's questions do not come back any more: from here on good probes count. */
void health_on_loop_over(struct health *h);

/* Time passes: slow start ends, calm is rewarded. */
struct health_change health_on_time(struct health *h, const struct health_rules *r, uint64_t now);

/* The operator's word. A change, when what the backend passes for is another state now. */
struct health_change health_on_order(struct health *h, enum health_order order, uint64_t now);

/* When health_on_time() or a probe is due next. */
uint64_t health_next_us(const struct health *h, const struct health_rules *r);

/* How long a probe sent now may take: shorter in a burst. */
uint64_t health_probe_timeout_us(const struct health *h, const struct health_rules *r);

/* How often it went down again since it was last calm. */
unsigned health_relapses(const struct health *h);

/* From now until it is back at the earliest, if all probes are good: DOWN only. */
uint64_t health_return_us(const struct health *h, const struct health_rules *r, uint64_t now);

/* Good probes in a row that a backend which is DOWN has to show: more after each relapse. */
unsigned health_rise(const struct health *h, const struct health_rules *r);

/* Trouble is being looked into: queries should be rescued at the shortest deadline. */
bool health_is_suspect(const struct health *h);

/* 0 .. HEALTH_SHARE_FULL: what part of its traffic the backend gets now. */
uint32_t health_share(const struct health *h, const struct health_rules *r, uint64_t now);

#endif
