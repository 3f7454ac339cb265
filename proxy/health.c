/* SPDX-License-Identifier: ISC */
#include "proxy/health.h"

#include <assert.h>

enum {
	MS = 1000,
	BURST_SPAN_US = 150 * MS,	/* `fall` probes of a burst leave within this */
	BURST_GAP_MAX_US = 50 * MS,
	BURST_GAP_MIN_US = 5 * MS,	/* or fall = 100 would be a flood */
	BURST_TIMEOUT_US = 100 * MS,	/* span + timeout + a few turns of the loop < 300 ms */
	BURST_RTTS = 3,			/* TCP needs two, and one may be slow */
	QUIET_US = 1000 * MS,		/* after an acquittal: clients can fake slow names */
	TCP_EVERY = 10,			/* UDP intervals */
	RELAPSES_MAX = 5,		/* rise doubles 5 times: 32 fold */
	ACQUIT_MIN = 2,			/* one good probe proves little about lost packets */
	ACQUIT_MAX = 3,
};

#define RETURN_MAX_US	(300ull * 1000 * MS)	/* a wait of so long is not doubled */
#define CALM_US	(600ull * 1000 * MS)	/* so long UP, and relapses are forgotten */

const char *health_state_text(enum health_state s)
{
	switch (s) {
	case HEALTH_UP:		return "up";
	case HEALTH_SUSPECT:	return "suspect";
	case HEALTH_DOWN:	return "down";
	case HEALTH_PROBATION:	return "probation";
	}
	return "?";
}

const char *health_cause_text(enum health_cause c)
{
	switch (c) {
	case CAUSE_NONE:		return "none";
	case CAUSE_TIMEOUT:		return "timeout";
	case CAUSE_REFUSED:		return "refused";
	case CAUSE_SILENT:		return "silent";
	case CAUSE_RCODE:		return "rcode";
	case CAUSE_LAME:		return "lame";
	case CAUSE_MALFORMED:		return "malformed";
	case CAUSE_TCP:			return "tcp";
	case CAUSE_PROBES_GOOD:		return "probes_good";
	case CAUSE_SLOW_START_OVER:	return "slow_start_over";
	case CAUSE_OPERATOR:		return "operator";
	case CAUSE_LOOP:		return "loop";
	}
	return "?";
}

const char *health_order_text(enum health_order o)
{
	switch (o) {
	case ORDER_AUTO:	return "auto";
	case ORDER_UP:		return "up";
	case ORDER_DOWN:	return "down";
	case ORDER_DRAIN:	return "drain";
	}
	return "?";
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void health_init(struct health *h, uint64_t now)
{
	*h = (struct health){
		.state = HEALTH_UP, .since_us = now, .next_udp_us = now, .next_tcp_us = now,
	};
}

void health_put_off(struct health *h, uint64_t until)
{
	h->next_udp_us = h->next_tcp_us = until;
}

bool health_is_suspect(const struct health *h)
{
	return h->evidence_us != 0;
}

/* From here on probes are counted anew and come in a burst. */
static void begin_burst(struct health *h, uint64_t now)
{
	h->evidence_us = now;
	h->udp = h->tcp = (struct health_run){ 0 };
	h->next_udp_us = h->next_tcp_us = now;
}

static void enter_suspect(struct health *h, uint64_t now)
{
	if (!h->evidence_us)		/* else a burst is under way */
		begin_burst(h, now);
}

static uint64_t burst_gap(const struct health_rules *r)
{
	uint64_t gap = BURST_SPAN_US / (r->fall ? r->fall : 1);

	if (gap > BURST_GAP_MAX_US)
		gap = BURST_GAP_MAX_US;
	if (gap < BURST_GAP_MIN_US)
		gap = BURST_GAP_MIN_US;
	return earlier(gap, r->interval_us);
}

static void enter_up(struct health *h, const struct health_rules *r, uint64_t now)
{
	if (h->evidence_us)
		h->quiet_until_us = now + QUIET_US;
	h->evidence_us = 0;
	h->next_udp_us = now + r->interval_us;
	h->next_tcp_us = now + TCP_EVERY * r->interval_us;
}

/* TCP is probed again when UDP answers: a frozen server's backlog is not to be filled. */
static void enter_down(struct health *h, const struct health_rules *r, uint64_t now)
{
	h->downs++;
	h->evidence_us = 0;
	h->udp = h->tcp = (struct health_run){ 0 };
	h->next_udp_us = now + r->interval_us;
	h->next_tcp_us = now + TCP_EVERY * r->interval_us;
}

static void enter_probation(struct health *h, const struct health_rules *r, uint64_t now)
{
	h->evidence_us = 0;
	h->next_udp_us = now + r->interval_us;
	h->next_tcp_us = now + TCP_EVERY * r->interval_us;
}

/* When that began which led to the change. */
static uint64_t first_sign(const struct health *h, enum health_state to, enum health_cause cause)
{
	if (to == HEALTH_DOWN || to == HEALTH_SUSPECT)
		return h->evidence_us;
	return cause == CAUSE_PROBES_GOOD ? h->good_since_us : 0;
}

/* The only writer of h->state. */
static struct health_change set_state(struct health *h, const struct health_rules *r,
				      enum health_state to, enum health_cause cause, uint64_t now)
{
	uint64_t first = first_sign(h, to, cause);
	struct health_change change = {
		.is_change = true, .from = h->state, .to = to, .cause = cause,
		.detect_us = first ? now - first : 0,
	};

	assert(to != h->state);
	h->state = to;
	h->cause = cause;
	h->since_us = now;
	h->is_held = false;
	switch (to) {
	case HEALTH_UP:		enter_up(h, r, now); break;
	case HEALTH_SUSPECT:	enter_suspect(h, now); break;
	case HEALTH_DOWN:	enter_down(h, r, now); break;
	case HEALTH_PROBATION:	enter_probation(h, r, now); break;
	}
	return change;
}

static const struct health_change no_change;

struct health_change health_on_evidence(struct health *h, const struct health_rules *r,
					enum health_cause cause, uint64_t now)
{
	bool is_news = cause == CAUSE_REFUSED || now >= h->quiet_until_us;

	assert(cause == CAUSE_REFUSED || cause == CAUSE_SILENT);
	if (h->state == HEALTH_UP && is_news)
		return set_state(h, r, HEALTH_SUSPECT, cause, now);
	/* Just acquitted: looked into without a word. PROBATION: one bad probe is enough. */
	if ((h->state == HEALTH_UP || h->state == HEALTH_PROBATION) && !h->evidence_us)
		begin_burst(h, now);
	return no_change;
}

void health_on_probe_sent(struct health *h, const struct health_rules *r, bool is_tcp, uint64_t now)
{
	uint64_t gap = r->interval_us;

	if (health_is_suspect(h) && !(is_tcp && h->tcp.good > 0))
		gap = burst_gap(r);
	else if (is_tcp && !(h->state == HEALTH_DOWN && h->udp.good > 0 && h->tcp.good == 0))
		gap *= TCP_EVERY;
	*(is_tcp ? &h->next_tcp_us : &h->next_udp_us) = now + gap;
}

void health_on_rtt(struct health *h, uint64_t rtt_us)
{
	h->rtt_us = h->rtt_us ? (7 * h->rtt_us + rtt_us) / 8 : rtt_us;
}

static void count(struct health_run *run, enum health_cause why)
{
	if (why == CAUSE_NONE) {
		run->good++;
		run->bad = 0;
	} else {
		run->bad++;
		run->good = 0;
		run->why = why;
	}
}

/* What `fall` bad probes in a row of either kind prove, or CAUSE_NONE. */
static enum health_cause guilty_of(const struct health *h, const struct health_rules *r)
{
	if (h->udp.bad >= r->fall)
		return h->udp.why;
	/* UDP is heard before TCP alone decides, or a dead server would count as one
	 * without TCP. */
	if (h->tcp.bad >= r->fall && h->udp.good > 0)
		return CAUSE_TCP;
	return CAUSE_NONE;
}

/* Enough good probes in a burst, by UDP and by TCP. */
static bool is_acquitted(const struct health *h, const struct health_rules *r)
{
	unsigned enough = r->fall;

	if (enough < ACQUIT_MIN)
		enough = ACQUIT_MIN;
	if (enough > ACQUIT_MAX)
		enough = ACQUIT_MAX;
	return h->udp.good >= enough && h->tcp.good > 0;
}

static struct health_change on_probe_up(struct health *h, const struct health_rules *r, bool is_tcp,
					enum health_cause why, uint64_t now)
{
	enum health_cause guilt = guilty_of(h, r);
	bool was_burst = h->evidence_us != 0;
	struct health_change change;

	if (why == CAUSE_NONE) {
		if (was_burst && is_acquitted(h, r))
			enter_up(h, r, now);	/* it never left, and nobody was told */
		return no_change;
	}
	if (guilt != CAUSE_NONE)	/* fall = 1 */
		return set_state(h, r, HEALTH_DOWN, guilt, now);
	change = set_state(h, r, HEALTH_SUSPECT, why, now);
	if (!was_burst)			/* the burst that begins counts from this one */
		count(is_tcp ? &h->tcp : &h->udp, why);
	return change;
}

static struct health_change on_probe_suspect(struct health *h, const struct health_rules *r,
					     uint64_t now)
{
	enum health_cause guilt = guilty_of(h, r);

	if (guilt != CAUSE_NONE)
		return set_state(h, r, HEALTH_DOWN, guilt, now);
	if (is_acquitted(h, r))
		return set_state(h, r, HEALTH_UP, CAUSE_PROBES_GOOD, now);
	return no_change;
}

static struct health_change on_probe_down(struct health *h, const struct health_rules *r,
					  bool gate_is_open, uint64_t now)
{
	if (h->udp.bad > 0)		/* what TCP showed before is of another life */
		h->tcp = (struct health_run){ 0 };
	else if (h->tcp.good == 0)	/* at once, and then with each probe by UDP */
		h->next_tcp_us = earlier(h->next_tcp_us, now + (h->tcp.bad ? r->interval_us : 0));
	h->is_held = false;
	if (h->is_looping || h->udp.good < health_rise(h, r) || h->tcp.good == 0)
		return no_change;
	if (!gate_is_open) {
		h->is_held = true;
		return no_change;
	}
	return set_state(h, r, r->slow_start_us ? HEALTH_PROBATION : HEALTH_UP, CAUSE_PROBES_GOOD,
			 now);
}

static struct health_change on_probe_probation(struct health *h, const struct health_rules *r,
					       enum health_cause why, uint64_t now)
{
	if (why != CAUSE_NONE)
		return set_state(h, r, HEALTH_DOWN, why, now);
	if (h->evidence_us && h->udp.good > 0 && h->tcp.good > 0) {
		h->evidence_us = 0;
		h->quiet_until_us = now + QUIET_US;
	}
	return no_change;
}

struct health_change health_on_probe(struct health *h, const struct health_rules *r, bool is_tcp,
				     enum health_cause why, bool gate_is_open, uint64_t now)
{
	struct health_run *run = is_tcp ? &h->tcp : &h->udp;

	if (why == CAUSE_NONE && run->good == 0 && !is_tcp)
		h->good_since_us = now;
	count(run, why);
	/* A good one before it had ended the burst of its kind. */
	if (why != CAUSE_NONE && is_tcp && health_is_suspect(h))
		h->next_tcp_us = earlier(h->next_tcp_us, now + burst_gap(r));
	switch (h->state) {
	case HEALTH_UP:		return on_probe_up(h, r, is_tcp, why, now);
	case HEALTH_SUSPECT:	return on_probe_suspect(h, r, now);
	case HEALTH_DOWN:	return on_probe_down(h, r, gate_is_open, now);
	case HEALTH_PROBATION:	return on_probe_probation(h, r, why, now);
	}
	return no_change;
}

struct health_change health_on_loop(struct health *h, const struct health_rules *r,
				    uint64_t asked_us, uint64_t now)
{
	if (h->is_looping)
		return no_change;
	h->is_looping = true;
	if (h->state != HEALTH_DOWN) {
		h->evidence_us = asked_us;
		return set_state(h, r, HEALTH_DOWN, CAUSE_LOOP, now);
	}
	h->cause = CAUSE_LOOP;
	return (struct health_change){
		.is_change = true, .from = HEALTH_DOWN, .to = HEALTH_DOWN, .cause = CAUSE_LOOP,
		.detect_us = now - asked_us,
	};
}

void health_on_loop_over(struct health *h)
{
	h->is_looping = false;
	h->udp = h->tcp = (struct health_run){ 0 };
}

struct health_change health_on_time(struct health *h, const struct health_rules *r, uint64_t now)
{
	if (h->state == HEALTH_UP && now - h->since_us >= CALM_US)
		h->downs = 0;
	if (h->state == HEALTH_PROBATION && !h->evidence_us &&
	    now - h->since_us >= r->slow_start_us)
		return set_state(h, r, HEALTH_UP, CAUSE_SLOW_START_OVER, now);
	return no_change;
}

/* What the backend passes for, orders included. */
static enum health_state effective(const struct health *h)
{
	switch (h->order) {
	case ORDER_UP:		return HEALTH_UP;
	case ORDER_DOWN:
	case ORDER_DRAIN:	return HEALTH_DOWN;
	case ORDER_AUTO:	break;
	}
	return h->state;
}

struct health_change health_on_order(struct health *h, enum health_order order, uint64_t now)
{
	enum health_state from = effective(h);

	(void)now;
	h->order = order;
	if (effective(h) == from)
		return no_change;
	return (struct health_change){
		.is_change = true, .from = from, .to = effective(h), .cause = CAUSE_OPERATOR,
	};
}

uint64_t health_next_us(const struct health *h, const struct health_rules *r)
{
	uint64_t next = earlier(h->next_udp_us, h->next_tcp_us);

	if (h->state == HEALTH_PROBATION && !h->evidence_us)
		next = earlier(next, h->since_us + r->slow_start_us);
	if (h->state == HEALTH_UP && h->downs > 0)
		next = earlier(next, h->since_us + CALM_US);
	return next;
}

uint64_t health_probe_timeout_us(const struct health *h, const struct health_rules *r)
{
	uint64_t timeout = BURST_TIMEOUT_US;

	if (!health_is_suspect(h))
		return r->timeout_us;
	if (timeout < BURST_RTTS * h->rtt_us)
		timeout = BURST_RTTS * h->rtt_us;
	return earlier(timeout, r->timeout_us);
}

unsigned health_rise(const struct health *h, const struct health_rules *r)
{
	unsigned relapses = health_relapses(h), doublings = 0;

	while (doublings < relapses && doublings < RELAPSES_MAX &&
	       (r->rise << doublings) * r->interval_us < RETURN_MAX_US)
		doublings++;
	return r->rise << doublings;
}

unsigned health_relapses(const struct health *h)
{
	return h->downs > 1 ? h->downs - 1 : 0;
}

uint64_t health_return_us(const struct health *h, const struct health_rules *r, uint64_t now)
{
	unsigned rise = health_rise(h, r);
	unsigned left = h->udp.good < rise ? rise - h->udp.good : 0;
	uint64_t next = h->next_udp_us > now ? h->next_udp_us - now : 0;

	return left == 0 ? 0 : next + (left - 1) * r->interval_us;
}

/* Slow start: from a tenth to all of its share, in a straight line. */
static uint32_t slow_start_share(const struct health *h, const struct health_rules *r, uint64_t now)
{
	const uint64_t tenth = HEALTH_SHARE_FULL / 10;
	uint64_t age = now - h->since_us;

	if (age >= r->slow_start_us)
		return HEALTH_SHARE_FULL;
	return (uint32_t)(tenth + (HEALTH_SHARE_FULL - tenth) * age / r->slow_start_us);
}

uint32_t health_share(const struct health *h, const struct health_rules *r, uint64_t now)
{
	switch (h->order) {
	case ORDER_UP:		return HEALTH_SHARE_FULL;
	case ORDER_DOWN:
	case ORDER_DRAIN:	return 0;
	case ORDER_AUTO:	break;
	}
	switch (h->state) {
	case HEALTH_UP:
	case HEALTH_SUSPECT:	return HEALTH_SHARE_FULL;
	case HEALTH_DOWN:	return 0;
	case HEALTH_PROBATION:	return slow_start_share(h, r, now);
	}
	return 0;
}
