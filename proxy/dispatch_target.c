/* SPDX-License-Identifier: ISC */
#include <assert.h>

#include <xxhash.h>

#include "proxy/dispatch_parts.h"

enum {
	ROUND_PAUSE_US = 50000,		/* between rounds when every target refused at once */
	ROUND_BACKOFF_MAX = 4,		/* deadlines double with each round, up to 16 times */
	ROUNDS_LEAST = 5,		/* that a silent query has before it is given up */
	TRICKLE = 16,			/* one query in so many is tried although all is down */
	PROMPT_US = 280000,		/* who can be answered from the mirror is, within this */
	SOON_US = 45000,		/* and within this once so many were silent: of a hundred */
	TRIES_SOON = 2,			/* servers on one LAN all may be, and one is always next */
	ALIVE_US = 1000000,		/* who replied within this is no corpse, whatever its probes say */
};

bool dispatch_is_for_zones(const struct message *m)
{
	return m->opcode == OPCODE_QUERY && (m->qclass == CLASS_IN || m->qclass == CLASS_ANY);
}

void dispatch_route(struct dispatch *d, struct asked *asked)
{
	const struct message *m = &asked->message;

	name_to_key(m->qname, &asked->key);
	asked->zone = plan_find_for(d->plan, m->qname, &asked->key, m->qtype);
	asked->pool = asked->zone ? asked->zone->pool : d->plan->unlisted;
	asked->generation = NULL;
	if (asked->zone && asked->zone->mirror && dispatch_is_for_zones(m))
		asked->generation = mirror_zone_servable(asked->zone->mirror);
}

void dispatch_recall(struct dispatch *d, struct query *q, struct asked *asked)
{
	asked->packet = q->bytes;
	asked->len = q->len;
	asked->client = &q->client;
	asked->query = q;
	asked->is_shadowed = q->is_shadowed;
	asked->has_session = false;
	asked->is_guard = false;
	asked->is_found = false;
	asked->verdict = message_parse(q->bytes, q->len, &asked->message);
	assert(asked->verdict == MESSAGE_OK || asked->verdict == MESSAGE_BADVERS);
	dispatch_route(d, asked);
}

static struct balance_ask ask_of(const struct asked *asked, uint64_t now_us)
{
	struct balance_ask ask = { .pool = asked->pool, .zone = asked->zone,
				   .transport = asked->client->is_tcp ? TRANSPORT_TCP : TRANSPORT_UDP,
				   .now_us = now_us,
				   .is_shadowed = asked->is_shadowed,
				   .mirror_can_answer = asked->generation != NULL,
				   .through_loops = asked->is_guard };

	if (asked->query) {
		ask.tried = asked->query->tried;
		ask.tried_count = asked->query->tried_count;
	}
	if (asked->pool->conf->policy == POLICY_CONSISTENT_HASH)
		ask.hash = (uint32_t)XXH3_64bits(asked->key.step, asked->key.len);
	return ask;
}

/* What it takes by UDP: to answer this worker, or else to answer probes. 0: not known. */
static uint32_t known_udp_us(const struct balance_view *view, const struct backend *b)
{
	return view->udp.srtt_us ? view->udp.srtt_us
	     : atomic_load_explicit(&b->probe_rtt_us, memory_order_relaxed);
}

/* At its best, likewise: whoever is first asked when it is slow already is not far for that. */
static uint32_t known_least_us(const struct balance_view *view, const struct backend *b)
{
	uint32_t probed = atomic_load_explicit(&b->probe_least_us, memory_order_relaxed);
	uint32_t own = rtt_least_us(&view->udp);

	return own == 0 || (probed != 0 && probed < own) ? probed : own;
}

struct rtt dispatch_rtt(struct dispatch *d, const struct backend *b, bool is_tcp)
{
	const struct balance_view *view = &d->balance.views[b->index];
	struct rtt rtt = is_tcp ? view->tcp : view->udp;
	unsigned handshake = is_tcp ? 2 : 1;	/* a round trip for it, too */
	uint64_t guess_us = rtt.srtt_us == 0 ? known_udp_us(view, b) : 0;
	uint32_t least_us = known_least_us(view, b) * handshake;

	if (guess_us != 0) {
		guess_us *= handshake;
		rtt_add(&rtt, guess_us);
		rtt_note_least(&rtt, guess_us, d->now_us);
	}
	if (least_us != 0 && (rtt.least_us[0] == 0 || least_us < rtt.least_us[0]))
		rtt.least_us[0] = least_us;
	return rtt;
}

/*
 * A second try has at least as much time as the first had, so that a far server is not cut short;
 * but not all of it when the first was slow by its own measure, for the second may be, too.
 */
static uint64_t soon_us(const struct query *q, unsigned tries, uint64_t now)
{
	uint64_t age = now - q->received_us;

	if (tries == 0 || (tries < TRIES_SOON && age < RTT_GUARD_US))
		return UINT64_MAX;
	return tries < TRIES_SOON && 2 * age > SOON_US ? 2 * age : SOON_US;
}

/*
 * When the mirror answers, whoever has not been asked yet; UINT64_MAX: it cannot. `tries`: that
 * were made, and have failed.
 */
static uint64_t prompt_end(struct dispatch *d, const struct asked *asked, unsigned tries)
{
	uint64_t most = asked->pool->conf->attempt_max_us;	/* a longer one is the operator's wish */
	struct balance_ask ask;
	uint64_t soon;

	if (!asked->query || !asked->generation)
		return UINT64_MAX;
	most = most > PROMPT_US ? most : PROMPT_US;
	soon = soon_us(asked->query, tries, d->now_us);
	if (soon < most) {
		ask = ask_of(asked, d->now_us);
		most = balance_mirror_may_serve(&ask) ? soon : most;
	}
	return asked->query->received_us + most;
}

static uint64_t attempt_deadline(struct dispatch *d, const struct asked *asked,
				 const struct backend *b)
{
	struct rtt rtt = dispatch_rtt(d, b, asked->client->is_tcp);
	unsigned round = asked->query->round;
	bool is_suspect = atomic_load_explicit(&b->is_suspect, memory_order_relaxed);
	uint64_t wait = rtt_deadline_us(&rtt, asked->pool->conf->attempt_max_us, is_suspect);
	uint64_t end = prompt_end(d, asked, asked->query->try_count - 1u);

	/* Nobody else is left: what matters now is the server's own pace, with back-off; but one that
	 * was slow a moment ago must not use up the whole time of a packet that was lost. */
	if (round > 0) {
		uint64_t most = asked->pool->conf->give_up_us / ROUNDS_LEAST;

		wait = rtt_patience_us(&rtt) << (round < ROUND_BACKOFF_MAX ? round : ROUND_BACKOFF_MAX);
		wait = wait < most ? wait : most;
	} else if (wait > rtt_slow_us(&rtt) && dispatch_has_target(d, asked)) {
		/* A server that grows slow takes its clients along, unless somebody else is there. */
		wait = rtt_slow_us(&rtt);
	}
	return d->now_us + wait < end ? d->now_us + wait : end;
}

static bool take_slot(struct dispatch *d, struct asked *asked, enum failure *why)
{
	struct query *q = inflight_add_query(d->inflight, asked->packet, asked->len,
					     asked->message.question_end, d->now_us);

	if (!q) {
		counter_add(&d->stats->in_flight_full, 1);
		*why = FAILURE_BUSY;
		return false;
	}
	q->client = *asked->client;
	q->is_shadowed = asked->is_shadowed;
	q->give_up.kind = TIMER_QUERY;
	wheel_set(&d->wheel, &q->give_up, d->now_us + asked->pool->conf->give_up_us);
	asked->query = q;
	return true;
}

/* Sends the query to one backend. False: it did not leave; the backend counts as tried. */
static bool start_attempt(struct dispatch *d, struct asked *asked, struct backend *b)
{
	struct query *q = asked->query;
	struct attempt *a;

	d->mirror_answers = false;
	q->tried[q->tried_count++] = (uint16_t)b->index;
	q->try_count++;
	a = inflight_add_attempt(d->inflight, q, (uint16_t)b->index, d->now_us);
	if (!a)
		return false;
	a->timer.kind = TIMER_ATTEMPT;
	if (!d->ops->send(d->shell, a, q)) {
		inflight_end_attempt(d->inflight, a);
		return false;
	}
	list_append(&d->attempts_of[b->index], &a->of_backend);
	wheel_set(&d->wheel, &a->timer, attempt_deadline(d, asked, b));
	count_outstanding(d, b->index, +1);
	counter_add(&d->stats->attempts, 1);
	counter_add(&evidence_of(d, b->index)->sent, 1);
	limit_on_sent(limit_of(b->index, a->is_tcp), d->now_us);
	if (asked->is_guard)
		dispatch_guard_passed(d, asked, b);
	return true;
}

static uint64_t last_heard_us(struct dispatch *d, const struct backend *b)
{
	struct hearing *h = evidence_of(d, b->index)->heard;
	uint64_t udp_us = counter_get(&h[TRANSPORT_UDP].last_reply_us);
	uint64_t tcp_us = counter_get(&h[TRANSPORT_TCP].last_reply_us);

	return udp_us > tcp_us ? udp_us : tcp_us;
}

/*
 * Nobody is eligible, and SERVFAIL is all that is left: a server that loses packets may be down
 * by its probes and still answer most of what it is asked.
 */
static bool has_signs_of_life(struct dispatch *d, const struct plan_pool *pool)
{
	for (unsigned i = 0; i < pool->target_count; i++) {
		const struct plan_target *t = &pool->targets[i];
		uint64_t heard_us = t->kind == TARGET_BACKEND ? last_heard_us(d, t->backend) : 0;

		if (heard_us != 0 && d->now_us - heard_us < ALIVE_US)
			return true;
	}
	return false;
}

/* True when the query goes on waiting: another round begins now or after a pause. */
static bool begin_round(struct dispatch *d, struct asked *asked, enum failure why)
{
	struct query *q = asked->query;
	uint64_t end = q->received_us + asked->pool->conf->give_up_us;
	struct balance_ask ask = ask_of(asked, d->now_us);

	ask.tried_count = 0;
	ask.is_last_resort = has_signs_of_life(d, asked->pool);
	if (d->now_us >= end || q->try_count >= QUERY_TRIES_ALL || !balance_has_target(&d->balance, &ask))
		return false;
	if (why == FAILURE_UNREACHABLE) {	/* it may be restarting: asking at once would only spin */
		uint64_t next = d->now_us + ROUND_PAUSE_US;

		wheel_set(&d->wheel, &q->give_up, next < end ? next : end);
		return true;
	}
	q->tried_count = 0;
	q->round++;
	return true;
}

static bool is_trickle(struct dispatch *d, const struct asked *asked)
{
	return !asked->query && random_below(&d->chance, TRICKLE) == 0;
}

/* Somebody had as many as it can take, and was passed over. */
static void note_spared(struct dispatch *d, const struct asked *asked)
{
	unsigned backend = d->balance.spared->backend->index;
	struct limit *l = limit_of(backend, asked->client->is_tcp);

	counter_add(&d->stats->spilled, 1);
	counter_add(&evidence_of(d, backend)->spared, 1);
	if (!limit_allows(l, d->now_us))	/* or it has too many that wait: max-outstanding */
		limit_on_spared(l, limit_count_of(d, backend, asked->client->is_tcp), d->now_us);
}

/* A drill decides once, when the query comes; whose key we lack, the mirror would refuse. */
static const struct plan_target *drill(struct dispatch *d, const struct asked *asked,
				       const struct balance_ask *ask)
{
	const struct plan_target *t = NULL;

	if (!asked->query && !asked->message.is_signed)
		t = balance_drill(ask, &d->chance);
	if (t)
		counter_add(&asked->pool->drill->served[d->worker], 1);
	return t;
}

static const struct plan_target *choose(struct dispatch *d, const struct asked *asked)
{
	struct balance_ask ask = ask_of(asked, d->now_us);
	const struct plan_target *t = drill(d, asked, &ask);

	if (t)
		return t;
	t = balance_choose(&d->balance, &ask, &d->chance);
	if (d->balance.spared)
		note_spared(d, asked);
	if (!t && (is_trickle(d, asked) || has_signs_of_life(d, asked->pool))) {
		ask.is_last_resort = true;
		t = balance_choose(&d->balance, &ask, &d->chance);
	}
	return t;
}

static bool may_try_more(const struct query *q)
{
	return q->tried_count < QUERY_TRIES_MAX && q->try_count < QUERY_TRIES_ALL;
}

void dispatch_proceed(struct dispatch *d, struct asked *asked, enum failure why)
{
	dispatch_note_failure(asked->query, why);
	if (asked->query && d->now_us >= prompt_end(d, asked, asked->query->try_count)) {
		dispatch_answer_mirror(d, asked);
		return;
	}
	for (;;) {
		bool may_try = !asked->query || may_try_more(asked->query);
		const struct plan_target *t = may_try ? choose(d, asked) : NULL;

		if (!t && asked->query && begin_round(d, asked, why)) {
			if (why == FAILURE_UNREACHABLE)
				return;
			continue;
		}
		if (t && t->kind == TARGET_BACKEND && (asked->query || take_slot(d, asked, &why))) {
			if (start_attempt(d, asked, t->backend))
				return;
			why = FAILURE_UNREACHABLE;
			dispatch_note_failure(asked->query, why);
			continue;
		}
		/* The mirror's turn; or all are busy, broken or gone, and it is still there. */
		if (asked->generation)
			dispatch_answer_mirror(d, asked);
		else
			dispatch_give_up(d, asked, why);
		return;
	}
}

bool dispatch_has_target(struct dispatch *d, const struct asked *asked)
{
	struct balance_ask ask = ask_of(asked, d->now_us);

	return balance_has_target(&d->balance, &ask);
}
