/* SPDX-License-Identifier: ISC */
#include "proxy/gate.h"

#include "cache/serial.h"

enum {
	SAID_MIN = 4,		/* samples that must tell something before a zone has shrunk */
	GONE_PARTS = 4,		/* shrunk: of so many samples all but one are gone. Samples are
				 * drawn at random: the mirror, which counts, is stricter. */
	SLOWLY = 5,		/* what takes samples is asked again so much more rarely */
	DENIAL_AGAIN_MS = 10000,	/* one odd name must not cost samples all the time */
};

const char *gate_reason_text(enum gate_reason r)
{
	switch (r) {
	case GATE_OPEN:		return "";
	case GATE_UNPROVEN:	return "unproven";
	case GATE_MISSING:	return "missing";
	case GATE_BEHIND:	return "behind";
	case GATE_OLDER:	return "older";
	case GATE_DIFFERS:	return "differs";
	case GATE_SHRUNK:	return "shrunk";
	}
	return "?";
}

static void want_samples(struct gate *g, uint8_t samples)
{
	g->samples_left = samples;
	g->said = g->lost = 0;
	g->is_sampling = g->is_doubted = false;
}

void gate_init(struct gate *g, uint8_t samples)
{
	*g = (struct gate){ .is_due = true, .is_calm = true };
	want_samples(g, samples);
}

void gate_forget(struct gate *g, uint8_t samples)
{
	g->reason = GATE_UNPROVEN;
	g->bad = 0;
	g->is_due = true;
	g->is_out = g->has_regressed = g->is_calm = false;
	want_samples(g, samples);
}

void gate_recheck(struct gate *g, uint8_t samples)
{
	g->is_due = true;
	g->is_calm = false;
	want_samples(g, samples);
}

void gate_on_denial(struct gate *g, uint8_t samples, uint32_t now_ms)
{
	if (g->reason != GATE_OPEN || (g->samples_left > 0 && !g->is_calm))
		return;		/* it is being looked at */
	if (g->was_denied && now_ms - g->denied_ms < DENIAL_AGAIN_MS)
		return;
	g->was_denied = true;
	g->denied_ms = now_ms;
	gate_recheck(g, samples);
}

static void open(struct gate *g)
{
	g->reason = GATE_OPEN;
	g->has_regressed = g->is_calm = false;
	want_samples(g, 0);
}

/* Until it is right, and has been sampled then. */
static void hold(struct gate *g, enum gate_reason reason, uint8_t samples)
{
	g->reason = (uint8_t)reason;
	g->is_calm = false;
	want_samples(g, samples);
}

bool gate_look(struct gate *g, const struct gate_facts *f)
{
	uint8_t before = g->reason;

	if (!f->has_newest) {
		if (g->reason != GATE_OPEN && !f->is_away)
			open(g);
		g->was_compared = false;
	} else if (!g->was_compared || g->compared != f->newest) {
		if (f->is_away && g->reason == GATE_OPEN)
			gate_forget(g, f->samples);	/* what let it off is of the past */
		g->is_due = true;	/* what it showed is older news than ours */
		if (g->reason == GATE_OPEN && g->samples_left == 0) {
			g->is_calm = true;
			want_samples(g, f->samples);
		}
	}
	return g->reason != before;
}

bool gate_is_quiet(const struct gate *g)
{
	return g->reason == GATE_OPEN && !g->is_due && !g->is_out && !g->is_sampling &&
	       !g->is_doubted;
}

void gate_want_soa(struct gate *g)
{
	g->is_due = true;
}

enum gate_ask gate_next(const struct gate *g, uint32_t now_ms, uint32_t again_ms)
{
	bool is_slow = g->reason == GATE_DIFFERS || g->reason == GATE_SHRUNK;
	bool is_early = now_ms - g->asked_ms < again_ms;

	if (g->is_out || (g->is_mute && is_early))
		return GATE_ASK_NOTHING;
	if (g->is_due)
		return GATE_ASK_SOA;
	if (g->is_sampling)
		return GATE_ASK_SAMPLE;
	if (g->reason != GATE_OPEN && now_ms - g->asked_ms >= again_ms * (is_slow ? SLOWLY : 1))
		return GATE_ASK_SOA;
	return GATE_ASK_NOTHING;
}

void gate_on_asked(struct gate *g, uint32_t now_ms)
{
	g->asked_ms = now_ms;
	g->is_out = true;
}

void gate_on_lost(struct gate *g)
{
	g->is_out = false;
}

/* ---- What the SOA says ---- */

static bool is_accepted(const struct gate *g, const struct gate_facts *f)
{
	return f->is_accepted && f->is_primary && f->accepted == g->serial;
}

static void on_no_zone(struct gate *g, const struct gate_facts *f, unsigned fall)
{
	if (!f->has_newest)
		return;
	if (g->bad < UINT8_MAX)
		g->bad++;
	if (g->reason != GATE_OPEN || g->bad >= fall)
		hold(g, GATE_MISSING, f->samples);
	else
		g->is_due = true;	/* asked again at once */
}

/* A server that lags opens when it has caught up; one that went back must show its data, too. */
static void on_older(struct gate *g, const struct gate_facts *f)
{
	bool was_calm = g->is_calm;

	if (f->is_primary || g->has_regressed) {
		hold(g, f->is_primary ? GATE_OLDER : GATE_BEHIND, f->samples);
		return;
	}
	hold(g, GATE_BEHIND, g->samples_left);
	g->is_calm = was_calm;
}

/* The SOA, asked again, is still ours. */
static void on_doubt_confirmed(struct gate *g, const struct gate_facts *f)
{
	if (g->is_calm)
		g->is_other = true;
	if (g->is_other)
		open(g);
	else
		hold(g, GATE_DIFFERS, f->samples);
}

static void on_right_serial(struct gate *g, const struct gate_facts *f)
{
	bool is_same = f->has_mirror && g->serial == f->mirror_serial;

	if (g->is_doubted && is_same && g->doubted == f->generation) {
		on_doubt_confirmed(g, f);
		return;
	}
	if (g->is_doubted)
		want_samples(g, f->samples);
	if (g->is_calm)
		g->reason = GATE_OPEN;	/* it has caught up */
	if (!f->has_mirror || g->samples_left == 0)
		open(g);
	else
		g->is_sampling = true;
}

void gate_on_soa(struct gate *g, enum health_cause why, const uint32_t *serial,
		 const struct gate_facts *f, unsigned fall)
{
	if (why == CAUSE_RCODE || why == CAUSE_LAME) {
		g->is_due = false;
		on_no_zone(g, f, fall);
		return;
	}
	if (why != CAUSE_NONE || !serial) {	/* it says nothing of the zone */
		g->is_mute = why != CAUSE_NONE || g->is_cut;
		g->is_cut = why == CAUSE_NONE;
		return;
	}
	g->is_mute = false;
	g->is_due = false;
	g->bad = 0;
	g->was_compared = f->has_newest;
	g->compared = f->newest;
	if (g->has_serial && g->serial != *serial) {
		if (serial_is_newer(g->serial, *serial))
			g->has_regressed = true;
		if (g->samples_left > 0)
			want_samples(g, f->samples);
	}
	g->has_serial = true;
	g->serial = *serial;
	if (!f->has_newest || is_accepted(g, f))
		open(g);
	else if (serial_is_newer(f->newest, *serial))
		on_older(g, f);
	else
		on_right_serial(g, f);
}

/* ---- What samples say ---- */

/* What was held so is not let off by a lucky draw: all has to be there again. */
static bool is_shrunk(const struct gate *g)
{
	if (g->reason == GATE_SHRUNK)
		return g->said < SAID_MIN || g->lost > 0;
	return g->said >= SAID_MIN && g->lost * GONE_PARTS >= g->said * (GONE_PARTS - 1);
}

static void finish(struct gate *g, const struct gate_facts *f)
{
	bool is_newer = serial_is_newer(g->serial, f->mirror_serial);

	if (is_newer && is_shrunk(g)) {
		hold(g, GATE_SHRUNK, f->samples);
		return;
	}
	if (!is_newer && g->said > 0)
		g->is_other = false;
	open(g);
}

void gate_on_sample(struct gate *g, enum gate_sample said, const struct gate_facts *f)
{
	g->is_out = false;
	if (!g->is_sampling)
		return;
	if (g->serial == f->mirror_serial && (said == SAMPLE_DIFFERS || said == SAMPLE_VANISHED)) {
		g->is_doubted = g->is_due = true;
		g->is_sampling = false;
		g->doubted = f->generation;
		return;
	}
	if (said != SAMPLE_NOTHING)
		g->said++;
	if (said == SAMPLE_VANISHED)
		g->lost++;
	if (--g->samples_left == 0)
		finish(g, f);
}

void gate_accept(struct gate *g)
{
	open(g);
}

bool gate_is_acceptable(const struct gate *g)
{
	return g->reason == GATE_OLDER || g->reason == GATE_DIFFERS || g->reason == GATE_SHRUNK;
}
