/* SPDX-License-Identifier: ISC */
#include "proxy/watch_verdict.h"

#include "cache/serial.h"
#include "proxy/watch_due.h"
#include "proxy/watch_gate.h"
#include "proxy/watch_guard.h"
#include "proxy/watch_limit.h"
#include "proxy/watch_takeover.h"

enum {
	PATIENCE_US = 20 * 1000,
	PATIENCE_QUIET_US = 50 * 1000, /* with fall = 2: 10 + 50 + 150 ms from silence to verdict */
	/* The mirror did not fetch a serial: it is told again, more and more rarely. */
	REASK_FIRST_US = 1000 * 1000,
	REASK_US = 30 * 1000 * 1000,
};

_Static_assert((int)HEALTH_SHARE_FULL == (int)BACKEND_SHARE_FULL, "one scale of shares");

/* ---- What follows from a change ---- */

void verdict_publish(struct watched *b, uint64_t now)
{
	uint32_t share = health_share(&b->health, &b->rules, now);
	bool is_barred = b->health.order == ORDER_DOWN || b->health.order == ORDER_DRAIN;
	/* Asked although it is DOWN (an order, the trickle): do not wait long for it. */
	bool is_suspect = health_is_suspect(&b->health) || b->health.state == HEALTH_DOWN;

	atomic_store_explicit(&b->slot->probe_rtt_us, (uint32_t)b->health.rtt_us, memory_order_relaxed);
	atomic_store_explicit(&b->slot->probe_least_us, rtt_least_us(&b->probed), memory_order_relaxed);
	atomic_store_explicit(&b->slot->share, share, memory_order_relaxed);
	atomic_store_explicit(&b->slot->is_suspect, is_suspect, memory_order_relaxed);
	atomic_store_explicit(&b->slot->is_barred, is_barred, memory_order_relaxed);
	atomic_store_explicit(&b->slot->is_looping, b->health.is_looping && b->health.order != ORDER_UP,
			      memory_order_relaxed);
}

/* It is back: whatever changed at the primary meanwhile, the mirror should see now. */
static void refresh_zones(struct watched *b)
{
	if (!b->target->is_primary || !b->watch->mirror)
		return;
	for (size_t i = 0; i < b->pool->zone_count; i++)
		if (b->pool->zones[i].plan->mirror)
			mirror_refresh(b->watch->mirror, b->pool->zones[i].plan->mirror);
}

static const char *takeover_cause(const struct health_change *c)
{
	if (c->cause == CAUSE_OPERATOR)
		return "operator";
	switch (c->to) {
	case HEALTH_DOWN:	return "backend_down";
	case HEALTH_PROBATION:	return "backend_probation";
	case HEALTH_UP:
	case HEALTH_SUSPECT:	break;
	}
	return "backend_up";
}

static bool is_trouble(const struct health_change *c)
{
	return c->to == HEALTH_SUSPECT || (c->to == HEALTH_DOWN && c->from != HEALTH_SUSPECT);
}

/* Every change goes through here. */
void verdict_follow(struct watched *b, struct health_change c, uint64_t now)
{
	if (!c.is_change)
		return;
	if (is_trouble(&c))
		b->before = b->calm;
	backend_sum(b->slot, &b->seen);
	verdict_publish(b, now);
	watched_tell(b, &c, now);
	takeover_look(b->pool, takeover_cause(&c), now);
	due_pool(b->pool);
	if (c.cause == CAUSE_OPERATOR)
		return;
	/* What was sent before the change proves nothing after it; but a suspect's burst goes on. */
	if (c.to != HEALTH_SUSPECT)
		check_cancel_all(b);
	if (c.to == HEALTH_DOWN) {
		fitness_forget(b->fitness);
		gates_forget(b, now);
	} else if (c.from == HEALTH_DOWN) {
		refresh_zones(b);
		guards_hurry(b, now);
	} else if (c.from == HEALTH_SUSPECT) {
		gates_recheck(b, now);	/* it may have been restarted, with other data */
	}
}

/* ---- Verdicts ---- */

/* How long the mirror is given for a serial that it was told once, and `more` times. */
static uint64_t patience_us(unsigned more)
{
	uint64_t us = (uint64_t)REASK_FIRST_US << (more < 16 ? more : 16);

	return us < REASK_US ? us : REASK_US;
}

/*
 * It should fetch, but not over and over if it cannot. A primary of several processes may tell us
 * of a serial by one of them, and the mirror of the one before by another.
 */
void verdict_tell_mirror(struct watched *b, size_t zone, uint32_t serial, uint64_t now)
{
	struct watched_zone *z = &b->pool->zones[zone];
	uint32_t held;

	if (!b->watch->mirror || !watched_mirror_serial(z->plan, &held) ||
	    !serial_is_newer(serial, held))
		return;
	if (!z->asked_us || z->asked_serial != serial)
		z->asked_times = 0;
	else if (now - z->asked_us < patience_us(z->asked_times - 1u))
		return;
	if (z->asked_times < UINT8_MAX)
		z->asked_times++;
	z->asked_serial = serial;
	z->asked_us = now;
	mirror_refresh(b->watch->mirror, z->plan->mirror);
}

static void remember_bad(struct watched *b, const struct check *c, const struct probe_verdict *v)
{
	const struct health_run *run = c->is_tcp ? &b->health.tcp : &b->health.udp;

	b->bad = *v;
	b->bad_run = run->bad + 1;
	b->bad_zone[0] = '\0';
	if (b->pool->zone_count > 0)
		name_to_text(b->pool->zones[c->zone].plan->origin, b->bad_zone);
}

/* Notes what the reply says of its zone. False when it says nothing about the server. */
static bool note_zone(struct watched *b, const struct check *c, const struct probe_verdict *v,
		      uint64_t now)
{
	bool counts;

	if (b->pool->zone_count == 0)
		return true;
	counts = fitness_counts(b->fitness, c->zone, v->cause);
	fitness_note(b->fitness, c->zone, v->cause);
	if (v->has_serial && v->cause == CAUSE_NONE)
		verdict_tell_mirror(b, c->zone, v->serial, now);
	return counts;
}

/* What the reply means for the server as a whole. True when it is DOWN by this. */
static bool judge_server(struct watched *b, const struct check *c, const struct probe_verdict *v,
			 uint64_t now)
{
	struct health_change change;

	if (v->cause != CAUSE_NONE) {
		remember_bad(b, c, v);
	} else if (!c->is_tcp) {
		health_on_rtt(&b->health, v->rtt_us);
		rtt_note_least(&b->probed, v->rtt_us, now);
	}
	if (v->cause == CAUSE_NONE && b->health.state == HEALTH_DOWN)
		gates_look_all(b, now);
	b->good_run = b->health.udp.good + (v->cause == CAUSE_NONE && !c->is_tcp);
	change = health_on_probe(&b->health, &b->rules, c->is_tcp, v->cause, gates_are_open(b), now);
	verdict_follow(b, change, now);
	verdict_publish(b, now);	/* suspicion in PROBATION ends without a change */
	return change.is_change && change.to == HEALTH_DOWN;
}

/*
 * A good reply opens the gate of its zone before the server is judged, since it may be what its
 * return waits for. A bad one takes the server down first: then no zone is held for what they all
 * have in common, and the failover has its true cause.
 */
void verdict_on_check(struct watched *b, const struct check *c, const struct probe_verdict *v,
		      uint64_t now)
{
	bool counts, is_of_server, is_bad = v->cause != CAUSE_NONE;

	if (c->is_guard) {
		guards_on_check(b, v, now);
		return;
	}
	if (v->is_ours)
		b->blind_us = now;
	counts = c->sample.type || v->is_ours || note_zone(b, c, v, now);
	is_of_server = counts && !v->is_ours && !c->is_sweep
		       && !(v->cause == CAUSE_TIMEOUT && limits_excuse(b, c, now));
	if (is_of_server && is_bad && judge_server(b, c, v, now))
		return;
	if (b->pool->zone_count > 0)
		gates_on_check(b, c, v, now);
	if (is_of_server && !is_bad)
		judge_server(b, c, v, now);
}

/* ---- Evidence ---- */

/* From when on a silence that was noticed counts: a reply may only be late. After an acquittal it
 * has to last longer. */
static uint64_t silence_counts_at(const struct watched *b, unsigned transport, uint64_t now)
{
	return b->silent_us[transport]
	       + (now < b->health.quiet_until_us ? PATIENCE_QUIET_US : PATIENCE_US);
}

uint64_t verdict_next_us(const struct watched *b, uint64_t now)
{
	uint64_t next = health_next_us(&b->health, &b->rules);

	for (unsigned t = 0; t < TRANSPORTS; t++)
		if (b->silent_us[t] && silence_counts_at(b, t, now) < next)
			next = silence_counts_at(b, t, now);
	return next;
}

/* A silence by one transport, whatever the other says, that has lasted. */
static bool has_fallen_silent(struct watched *b, const struct evidence_sum *sum, unsigned transport,
			      uint64_t now)
{
	const struct hearing_sum *new = &sum->heard[transport];
	uint64_t *silent_us = &b->silent_us[transport];

	if (new->first_silent_us == 0 || new->last_reply_us > *silent_us)
		*silent_us = 0;
	if (*silent_us == 0 && new->first_silent_us != 0
	    && new->silent > b->seen.heard[transport].silent)
		*silent_us = now;
	if (*silent_us == 0 || now < silence_counts_at(b, transport, now))
		return false;
	*silent_us = 0;
	return true;
}

/* Compares what workers saw with the last look. */
static enum health_cause find_evidence(struct watched *b, const struct evidence_sum *new,
				       uint64_t now)
{
	bool is_silent = false;

	if (new->refused > b->seen.refused)
		return CAUSE_REFUSED;
	for (unsigned t = 0; t < TRANSPORTS; t++)
		is_silent |= has_fallen_silent(b, new, t, now);
	return is_silent ? CAUSE_SILENT : CAUSE_NONE;
}

static bool is_calm(const struct watched *b)
{
	return (b->health.state == HEALTH_UP || b->health.state == HEALTH_PROBATION) &&
	       b->health.evidence_us == 0 && b->silent_us[TRANSPORT_UDP] == 0 &&
	       b->silent_us[TRANSPORT_TCP] == 0;
}

void verdict_look(struct watched *b, uint64_t now)
{
	struct evidence_sum sum;
	enum health_cause cause;

	backend_sum(b->slot, &sum);
	cause = find_evidence(b, &sum, now);
	b->seen = sum;
	limits_look(b, &sum, now);
	if (cause != CAUSE_NONE) {
		if (is_calm(b))
			b->bad = (struct probe_verdict){ .cause = CAUSE_NONE };
		verdict_follow(b, health_on_evidence(&b->health, &b->rules, cause, now), now);
	}
	if (is_calm(b))
		b->calm = sum;
	verdict_follow(b, health_on_time(&b->health, &b->rules, now), now);
	verdict_publish(b, now);
}
