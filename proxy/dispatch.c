/* SPDX-License-Identifier: ISC */
#include "proxy/dispatch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "cache/answer.h"
#include "cache/clock.h"
#include "cache/message.h"
#include "cache/wire.h"
#include "proxy/lame.h"

enum {
	LATE_WELCOME_US = 2000000,	/* how long a reply after the deadline is still looked for */
	ROUND_PAUSE_US = 50000,		/* between rounds when every target refused at once */
	ROUND_BACKOFF_MAX = 4,		/* deadlines double with each round, up to 16 times */
	RTT_SAMPLE_MAX_US = 500000,
	TRICKLE = 16,			/* one query in so many is tried although all is down */
	UDP_ANSWER_MAX = DNS_EDNS_SIZE,	/* what we send by UDP at the most: RFC 9715 */
};

/* Why the previous attempt brought no answer. */
enum failure { FAILURE_NONE, FAILURE_SILENT, FAILURE_REFUSED, FAILURE_REPLY };

/* A question in hand: parsed, routed. On the stack for the length of one call. */
struct asked {
	const uint8_t *packet;
	size_t len;
	const struct client *client;
	struct query *query;			/* NULL before the first attempt */
	const struct plan_zone *zone;		/* NULL: forward-unlisted */
	const struct plan_pool *pool;
	const struct generation *generation;	/* what the mirror would answer from, or NULL */
	enum message_verdict verdict;
	struct message message;
	struct name_key key;
};

struct dispatch *dispatch_new(const struct dispatch_ops *ops, void *shell, unsigned worker,
			      size_t in_flight, const uint8_t cookie_secret[COOKIE_SECRET_LEN],
			      struct stats *stats, uint64_t now_us)
{
	struct dispatch *d = calloc(1, sizeof(*d));

	if (!d)
		abort();
	d->ops = ops;
	d->shell = shell;
	d->worker = worker;
	d->stats = stats;
	d->now_us = now_us;
	d->inflight = inflight_new(in_flight);
	d->cookies = cookie_maker_new(cookie_secret);
	random_init(&d->random);
	wheel_init(&d->wheel, now_us);
	for (unsigned i = 0; i < BACKENDS_MAX; i++)
		list_init(&d->attempts_of[i]);
	return d;
}

void dispatch_free(struct dispatch *d)
{
	if (!d)
		return;
	inflight_free(d->inflight);
	cookie_maker_free(d->cookies);
	free(d);
}

void dispatch_set_plan(struct dispatch *d, const struct plan *plan)
{
	d->plan = plan;
	memset(d->is_primary, 0, sizeof(d->is_primary));
	for (unsigned p = 0; p < plan->pool_count; p++) {
		const struct plan_pool *pool = &plan->pools[p];

		for (unsigned i = 0; i < pool->target_count; i++)
			if (pool->targets[i].kind == TARGET_BACKEND && pool->targets[i].is_primary)
				d->is_primary[pool->targets[i].backend->index] = true;
	}
}

static struct evidence *evidence_of(struct dispatch *d, unsigned backend)
{
	return &backend_get(backend)->evidence[d->worker];
}

static void count_outstanding(struct dispatch *d, unsigned backend, int change)
{
	struct balance_view *view = &d->balance.views[backend];

	view->outstanding += (uint32_t)change;
	atomic_store_explicit(&evidence_of(d, backend)->outstanding, view->outstanding,
			      memory_order_relaxed);
}

/* ---- Replies that we make ourselves ---- */

static const uint8_t *cookie_for(struct dispatch *d, const struct asked *asked,
				 uint8_t cookie[COOKIE_FULL_LEN])
{
	if (asked->message.cookie_len == 0)
		return NULL;
	cookie_make(d->cookies, asked->message.cookie, &asked->client->address.sa, d->wall_s, cookie);
	return cookie;
}

static void reply_short(struct dispatch *d, const struct asked *asked, enum dns_rcode rcode)
{
	uint8_t *out = d->ops->room(d->shell, asked->client, DNS_HEADER_LEN);
	size_t len = message_reply_short(&asked->message, rcode, out);

	d->ops->answer(d->shell, asked->client, out, len);
}

static void reply_error(struct dispatch *d, const struct asked *asked, enum dns_rcode rcode,
			enum dns_ede ede)
{
	uint8_t cookie[COOKIE_FULL_LEN];
	uint8_t *out = d->ops->room(d->shell, asked->client, DNS_UDP_MAX);
	size_t len = message_reply_error(&asked->message, asked->packet, rcode, ede,
					 cookie_for(d, asked, cookie), out, DNS_UDP_MAX);

	d->ops->answer(d->shell, asked->client, out, len);
}

static void refuse(struct dispatch *d, const struct asked *asked, enum dns_ede ede)
{
	counter_add(&d->stats->answers_refused, 1);
	reply_error(d, asked, RCODE_REFUSED, ede);
}

/* ---- The end of a query: each has exactly one ---- */

/* The slot is gone after this; asked->client must not point into it any more. */
static void end_query(struct dispatch *d, struct query *q)
{
	wheel_del(&d->wheel, &q->give_up);
	if (q->was_rescued)
		counter_add(&d->stats->rescued, 1);
	inflight_end_query(d->inflight, q);
}

static size_t answer_limit(const struct asked *asked)
{
	size_t limit;

	if (asked->client->is_tcp)
		return DNS_MESSAGE_MAX;
	limit = message_udp_limit(&asked->message);
	return limit < UDP_ANSWER_MAX ? limit : UDP_ANSWER_MAX;
}

static void answer_from_mirror(struct dispatch *d, const struct asked *asked)
{
	uint8_t cookie[COOKIE_FULL_LEN];
	struct answer_ask ask = {
		.zone = asked->generation, .query = &asked->message, .packet = asked->packet,
		.key = &asked->key, .cookie = cookie_for(d, asked, cookie),
		.limit = answer_limit(asked), .is_tcp = asked->client->is_tcp,
	};

	counter_add(&d->stats->answers_mirror, 1);
	if (asked->verdict == MESSAGE_BADVERS) {
		reply_error(d, asked, RCODE_BADVERS, EDE_NONE);
	} else {
		uint8_t *out = d->ops->room(d->shell, asked->client, ask.limit);
		size_t len = answer_write(&ask, out);

		d->ops->answer(d->shell, asked->client, out, len);
	}
	if (asked->query)
		end_query(d, asked->query);
}

/* What RFC 8914 s.4 calls the reason why nobody answers. */
static enum dns_ede ede_of(const struct plan_zone *zone, enum failure why)
{
	if (zone && zone->mirror && !rcu_read(zone->mirror->current))
		return EDE_NOT_READY;		/* never transferred, nothing restored */
	if (zone && zone->mirror && !mirror_zone_servable(zone->mirror))
		return EDE_INVALID_DATA;	/* expired */
	return why == FAILURE_REFUSED ? EDE_NETWORK_ERROR : EDE_NO_REACHABLE_AUTHORITY;
}

static void give_up(struct dispatch *d, const struct asked *asked, enum failure why)
{
	counter_add(&d->stats->answers_servfail, 1);
	if (asked->message.opcode == OPCODE_QUERY)
		reply_error(d, asked, RCODE_SERVFAIL, ede_of(asked->zone, why));
	else
		reply_short(d, asked, RCODE_NOTIMP);	/* nobody is there who knows this opcode */
	if (asked->query) {
		asked->query->was_rescued = false;
		end_query(d, asked->query);
	}
}

static void count_answer(struct dispatch *d, unsigned backend)
{
	counter_add(d->is_primary[backend] ? &d->stats->answers_primary
					   : &d->stats->answers_backend, 1);
}

static void deliver(struct dispatch *d, struct query *q, unsigned backend, uint8_t *reply, size_t len)
{
	reply[0] = q->bytes[0];
	reply[1] = q->bytes[1];
	count_answer(d, backend);
	d->ops->answer(d->shell, &q->client, reply, len);
	end_query(d, q);
}

/* ---- Choosing the next target ---- */

/* Ordinary questions, which zone data answers; all else is for servers to judge. */
static bool is_for_zones(const struct message *m)
{
	return m->opcode == OPCODE_QUERY && (m->qclass == CLASS_IN || m->qclass == CLASS_ANY);
}

static void set_route(struct dispatch *d, struct asked *asked)
{
	name_to_key(asked->message.qname, &asked->key);
	asked->zone = plan_find(d->plan, &asked->key);
	asked->pool = asked->zone ? asked->zone->pool : d->plan->unlisted;
	asked->generation = NULL;
	if (asked->zone && asked->zone->mirror && is_for_zones(&asked->message))
		asked->generation = mirror_zone_servable(asked->zone->mirror);
}

/* Reads a waiting query again: no pointer into a plan outlives a turn of the loop. */
static void recall(struct dispatch *d, struct query *q, struct asked *asked)
{
	asked->packet = q->bytes;
	asked->len = q->len;
	asked->client = &q->client;
	asked->query = q;
	asked->verdict = message_parse(q->bytes, q->len, &asked->message);
	assert(asked->verdict == MESSAGE_OK || asked->verdict == MESSAGE_BADVERS);
	set_route(d, asked);
}

static struct balance_ask ask_of(const struct asked *asked)
{
	struct balance_ask ask = { .pool = asked->pool,
				   .mirror_can_answer = asked->generation != NULL };

	if (asked->query) {
		ask.tried = asked->query->tried;
		ask.tried_count = asked->query->tried_count;
	}
	if (asked->pool->conf->policy == POLICY_CONSISTENT_HASH)
		ask.hash = (uint32_t)XXH3_64bits(asked->key.step, asked->key.len);
	return ask;
}

static uint64_t attempt_deadline(struct dispatch *d, const struct asked *asked,
				 const struct backend *b)
{
	const struct balance_view *view = &d->balance.views[b->index];
	const struct rtt *rtt = asked->client->is_tcp ? &view->tcp : &view->udp;
	unsigned round = asked->query->round;
	bool is_suspect = atomic_load_explicit(&b->is_suspect, memory_order_relaxed);
	uint64_t wait = rtt_deadline_us(rtt, asked->pool->conf->attempt_max_us, is_suspect);

	/* Nobody else is left: what matters now is the server's own pace, with back-off. */
	if (round > 0)
		wait = rtt_patience_us(rtt) << (round < ROUND_BACKOFF_MAX ? round : ROUND_BACKOFF_MAX);
	return d->now_us + wait;
}

static bool take_slot(struct dispatch *d, struct asked *asked)
{
	struct query *q = inflight_add_query(d->inflight, asked->packet, asked->len,
					     asked->message.question_end, d->now_us);

	if (!q) {
		counter_add(&d->stats->in_flight_full, 1);
		return false;
	}
	q->client = *asked->client;
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
	return true;
}

/* True when the query goes on waiting: another round begins now or after a pause. */
static bool begin_round(struct dispatch *d, struct asked *asked, enum failure why)
{
	struct query *q = asked->query;
	uint64_t end = q->received_us + asked->pool->conf->give_up_us;
	struct balance_ask ask = ask_of(asked);

	ask.tried_count = 0;
	if (d->now_us >= end || q->try_count >= QUERY_TRIES_MAX || !balance_has_target(&d->balance, &ask))
		return false;
	if (why == FAILURE_REFUSED) {	/* it may be restarting: asking at once would only spin */
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
	return !asked->query && random_below(&d->random, TRICKLE) == 0;
}

static const struct plan_target *choose(struct dispatch *d, const struct asked *asked)
{
	struct balance_ask ask = ask_of(asked);
	const struct plan_target *t = balance_choose(&d->balance, &ask, &d->random);

	if (!t && is_trickle(d, asked)) {
		ask.is_last_resort = true;
		t = balance_choose(&d->balance, &ask, &d->random);
	}
	return t;
}

/* The heart: brings the query to its next target, or to its end. */
static void proceed(struct dispatch *d, struct asked *asked, enum failure why)
{
	if (asked->query && why != FAILURE_NONE)
		asked->query->was_rescued = true;
	for (;;) {
		bool may_try = !asked->query || asked->query->try_count < QUERY_TRIES_MAX;
		const struct plan_target *t = may_try ? choose(d, asked) : NULL;

		if (!t && asked->query && begin_round(d, asked, why)) {
			if (why == FAILURE_REFUSED)
				return;
			continue;
		}
		if (t && t->kind == TARGET_BACKEND && (asked->query || take_slot(d, asked))) {
			if (start_attempt(d, asked, t->backend))
				return;
			why = FAILURE_REFUSED;
			continue;
		}
		/* The mirror's turn; or all are busy, broken or gone, and it is still there. */
		if (asked->generation)
			answer_from_mirror(d, asked);
		else
			give_up(d, asked, why);
		return;
	}
}

/* ---- A client asks ---- */

static bool is_from_primary(const struct asked *asked)
{
	const struct plan_pool *pool = asked->pool;
	struct address from = { .len = sizeof(asked->client->address) };

	memcpy(&from.storage, &asked->client->address, sizeof(asked->client->address));
	for (unsigned i = 0; i < pool->target_count; i++)
		if (pool->targets[i].is_primary
		    && address_is_same_host(&pool->targets[i].backend->address, &from))
			return true;
	return false;
}

/* RFC 1996 s.3.11: only masters are heard; and it ends here, whoever is behind us. */
static void take_notify(struct dispatch *d, const struct asked *asked)
{
	bool is_ours = asked->zone && asked->zone->mirror && is_from_primary(asked)
		       && name_is_equal(asked->zone->conf->origin, asked->message.qname);
	uint8_t *out;
	size_t len;

	if (!is_ours) {
		refuse(d, asked, EDE_PROHIBITED);
		return;
	}
	d->ops->refresh(d->shell, asked->zone->mirror);
	counter_add(&d->stats->answers_error, 1);
	out = d->ops->room(d->shell, asked->client, DNS_UDP_MAX);
	len = message_reply_error(&asked->message, asked->packet, RCODE_NOERROR, EDE_NONE, NULL, out,
				  DNS_UDP_MAX);
	wire_put_u16(out + 2, wire_get_u16(out + 2) | DNS_AA);
	d->ops->answer(d->shell, asked->client, out, len);
}

/* What would reach the primary with our address on it, and must not: DESIGN.md section 8. */
static bool is_forbidden(const struct message *m)
{
	return m->opcode == OPCODE_UPDATE
	       || (m->opcode == OPCODE_QUERY && (m->qtype == TYPE_AXFR || m->qtype == TYPE_IXFR));
}

static void take_wellformed(struct dispatch *d, struct asked *asked)
{
	set_route(d, asked);
	if (asked->message.opcode == OPCODE_NOTIFY)
		take_notify(d, asked);
	else if (!asked->pool)
		refuse(d, asked, EDE_NOT_AUTHORITATIVE);
	else if (is_forbidden(&asked->message))
		refuse(d, asked, EDE_PROHIBITED);
	else
		proceed(d, asked, FAILURE_NONE);
}

void dispatch_query(struct dispatch *d, const uint8_t *packet, size_t len, const struct client *client)
{
	struct asked asked;

	counter_add(client->is_tcp ? &d->stats->queries_tcp : &d->stats->queries_udp, 1);
	asked.packet = packet;
	asked.client = client;
	asked.query = NULL;
	asked.verdict = message_parse(packet, len, &asked.message);
	switch (asked.verdict) {
	case MESSAGE_OK:
	case MESSAGE_BADVERS:
		/* Garbage behind a message is not passed on; a signed one keeps every byte. */
		asked.len = asked.message.is_signed ? len : asked.message.len;
		take_wellformed(d, &asked);
		return;
	case MESSAGE_DROP:
		counter_add(&d->stats->dropped_malformed, 1);
		return;
	case MESSAGE_FORMERR:
	case MESSAGE_NOTIMP:
		counter_add(&d->stats->answers_error, 1);
		reply_short(d, &asked, asked.verdict == MESSAGE_FORMERR ? RCODE_FORMERR : RCODE_NOTIMP);
		return;
	}
}

/* ---- A backend replies ---- */

static void note_reply(struct dispatch *d, const struct attempt *a)
{
	struct evidence *e = evidence_of(d, a->backend);
	struct balance_view *view = &d->balance.views[a->backend];
	uint64_t rtt = d->now_us - a->sent_us;

	/* A server that was frozen and woke up is not a slow one. */
	rtt = rtt < RTT_SAMPLE_MAX_US ? rtt : RTT_SAMPLE_MAX_US;
	rtt_add(a->is_tcp ? &view->tcp : &view->udp, rtt);
	counter_add(&e->replies, 1);
	counter_add(&e->rtt_sum_us, rtt);
	counter_set(&e->last_reply_us, d->now_us);
	counter_set(&e->first_silent_us, 0);
	atomic_store_explicit(&e->srtt_us, view->udp.srtt_us, memory_order_relaxed);
	if (a->state == ATTEMPT_LATE)
		counter_add(&e->late, 1);
}

static void end_attempt(struct dispatch *d, struct attempt *a)
{
	if (a->state == ATTEMPT_WAITING)
		count_outstanding(d, a->backend, -1);
	wheel_del(&d->wheel, &a->timer);
	inflight_end_attempt(d->inflight, a);
}

/* DESIGN.md section 3.5: within a mirrored zone these replies say nothing of the zone. */
static bool is_failed_reply(const struct asked *asked, const uint8_t *reply, size_t len)
{
	unsigned retry_on = asked->pool->conf->retry_on;

	if (!asked->zone || !asked->zone->mirror || !rcu_read(asked->zone->mirror->current)
	    || !is_for_zones(&asked->message))
		return false;
	switch (wire_get_u16(reply + 2) & DNS_RCODE) {
	case RCODE_SERVFAIL:	return retry_on & RETRY_SERVFAIL;
	case RCODE_REFUSED:	return retry_on & RETRY_REFUSED;
	/* To a signed query it speaks of the key: RFC 8945 s.5.2.1. */
	case RCODE_NOTAUTH:	return (retry_on & RETRY_NOTAUTH) && !asked->message.is_signed;
	case RCODE_NOERROR:
	case RCODE_NXDOMAIN:	return (retry_on & RETRY_LAME)
				       && lame_is_reply(reply, len, asked->zone->conf->origin);
	default:		return false;
	}
}

static bool has_other_target(struct dispatch *d, const struct asked *asked)
{
	struct balance_ask ask = ask_of(asked);

	return balance_has_target(&d->balance, &ask);
}

/* Off the fast path: a reply that may be no answer. True when the query went elsewhere. */
static bool turned_away(struct dispatch *d, struct query *q, unsigned backend, uint8_t *reply,
			size_t len)
{
	struct asked asked;

	recall(d, q, &asked);
	if (!asked.pool || !is_failed_reply(&asked, reply, len))
		return false;
	counter_add(&d->stats->attempts_failed, 1);
	counter_add(&evidence_of(d, backend)->failed, 1);
	if (q->waiting > 0)
		return true;		/* another attempt is on its way already */
	if (!has_other_target(d, &asked))
		return false;		/* it is the best answer that there is */
	counter_add(&evidence_of(d, backend)->rescued, 1);
	proceed(d, &asked, FAILURE_REPLY);
	return true;
}

/* A server sent more than this client takes (RFC 6891 s.6.2.3). What is signed is not touched. */
static bool is_too_long(const struct query *q, size_t len)
{
	struct message m;

	message_parse(q->bytes, q->len, &m);
	return len > message_udp_limit(&m) && !m.is_signed;
}

static void deliver_truncated(struct dispatch *d, struct query *q, unsigned backend, unsigned flags)
{
	enum dns_rcode rcode = flags & DNS_RCODE;
	uint8_t *out = d->ops->room(d->shell, &q->client, DNS_UDP_MAX);
	struct message m;
	size_t len;

	message_parse(q->bytes, q->len, &m);
	len = message_reply_error(&m, q->bytes, rcode, EDE_NONE, NULL, out, DNS_UDP_MAX);
	wire_put_u16(out + 2, (uint16_t)(wire_get_u16(out + 2) | DNS_TC | (flags & DNS_AA)));
	count_answer(d, backend);
	d->ops->answer(d->shell, &q->client, out, len);
	end_query(d, q);
}

bool dispatch_reply(struct dispatch *d, uint32_t socket, unsigned backend, uint8_t *packet, size_t len)
{
	struct attempt *a = inflight_match(d->inflight, socket, packet, len);
	struct query *q;
	unsigned flags;

	/* What is no answer is ignored, and the attempt waits on for the true one. */
	if (!a || !message_reply_is_whole(packet, len)) {
		counter_add(&d->stats->replies_mismatched, 1);
		counter_add(&evidence_of(d, backend)->mismatched, 1);
		return false;
	}
	assert(a->backend == backend);
	note_reply(d, a);
	q = inflight_query_of(a);
	end_attempt(d, a);
	if (!q) {
		counter_add(&d->stats->replies_late, 1);
		return true;
	}
	flags = wire_get_u16(packet + 2);
	if ((!(flags & DNS_AA) || (flags & DNS_RCODE) > RCODE_NXDOMAIN
	     || (flags & DNS_RCODE) == RCODE_SERVFAIL) && turned_away(d, q, backend, packet, len))
		return true;
	if (!q->client.is_tcp && len > DNS_UDP_MAX && is_too_long(q, len))
		deliver_truncated(d, q, backend, flags);
	else
		deliver(d, q, backend, packet, len);
	return true;
}

/* ---- Attempts fail ---- */

static void rescue(struct dispatch *d, struct query *q, unsigned backend, enum failure why)
{
	struct asked asked;

	if (!q || q->waiting > 0)
		return;
	recall(d, q, &asked);
	if (!asked.pool) {		/* a reload took its zone away */
		refuse(d, &asked, EDE_NOT_AUTHORITATIVE);
		end_query(d, q);
		return;
	}
	counter_add(&evidence_of(d, backend)->rescued, 1);
	proceed(d, &asked, why);
}

/* Ends the attempts on `ended` and brings their queries to other targets. */
static void fail_all(struct dispatch *d, struct link *ended, uint64_t opened_us)
{
	struct link *l;

	while ((l = list_first(ended))) {
		struct attempt *a = list_entry(l, struct attempt, of_backend);
		struct query *q = inflight_query_of(a);
		unsigned backend = a->backend;

		if (q && a->state == ATTEMPT_WAITING && opened_us && a->sent_us > opened_us
		    && !q->was_reconnected) {
			q->was_reconnected = true;
			q->tried_count--;	/* its last try; it may be chosen again */
		}
		counter_add(&d->stats->attempts_refused, 1);
		end_attempt(d, a);
		rescue(d, q, backend, FAILURE_REFUSED);
	}
}

/* Which attempts at a backend end: all, those by TCP, those on one connection. */
struct ending { bool only_tcp; uint32_t only_socket; };

static bool ends(struct ending which, const struct attempt *a)
{
	return (!which.only_tcp || a->is_tcp)
	       && (!which.only_socket || a->socket == which.only_socket);
}

static void end_attempts(struct dispatch *d, unsigned backend, struct ending which,
			 uint64_t opened_us)
{
	struct link *head = &d->attempts_of[backend];
	struct link ended;

	list_init(&ended);
	for (struct link *l = head->next, *next; l != head; l = next) {
		next = l->next;
		if (!ends(which, list_entry(l, struct attempt, of_backend)))
			continue;
		list_remove(l);
		list_append(&ended, l);
	}
	fail_all(d, &ended, opened_us);
}

void dispatch_backend_refused(struct dispatch *d, unsigned backend)
{
	counter_add(&evidence_of(d, backend)->refused, 1);
	d->ops->alarm(d->shell);
	end_attempts(d, backend, (struct ending){ .only_tcp = false }, 0);
}

void dispatch_connection_refused(struct dispatch *d, unsigned backend)
{
	counter_add(&evidence_of(d, backend)->refused, 1);
	d->ops->alarm(d->shell);
	end_attempts(d, backend, (struct ending){ .only_tcp = true }, 0);
}

void dispatch_connection_closed(struct dispatch *d, unsigned backend, uint32_t socket,
				uint64_t opened_us)
{
	end_attempts(d, backend, (struct ending){ .only_socket = socket }, opened_us);
}

/* ---- Time passes ---- */

static void note_silence(struct dispatch *d, const struct attempt *a)
{
	struct evidence *e = evidence_of(d, a->backend);
	const struct balance_view *view = &d->balance.views[a->backend];
	const struct rtt *rtt = a->is_tcp ? &view->tcp : &view->udp;

	/* Whoever answered anything since is not silent; and a far server has more time. */
	if (counter_get(&e->last_reply_us) >= a->sent_us
	    || d->now_us - a->sent_us < rtt_patience_us(rtt))
		return;
	if (counter_get(&e->first_silent_us) == 0)
		counter_set(&e->first_silent_us, a->sent_us);
	counter_add(&e->silent, 1);
	d->ops->alarm(d->shell);
}

static void on_attempt_timer(struct dispatch *d, struct attempt *a)
{
	if (a->state == ATTEMPT_LATE) {
		end_attempt(d, a);
		return;
	}
	counter_add(&d->stats->attempts_expired, 1);
	note_silence(d, a);
	count_outstanding(d, a->backend, -1);
	inflight_set_late(a);
	wheel_set(&d->wheel, &a->timer, a->sent_us + LATE_WELCOME_US);
	rescue(d, inflight_query_of(a), a->backend, FAILURE_SILENT);
}

/* Its time is up, or the pause between two rounds is over. */
static void on_query_timer(struct dispatch *d, struct query *q)
{
	struct asked asked;

	recall(d, q, &asked);
	if (!asked.pool) {
		refuse(d, &asked, EDE_NOT_AUTHORITATIVE);
		end_query(d, q);
	} else if (d->now_us < q->received_us + asked.pool->conf->give_up_us) {
		wheel_set(&d->wheel, &q->give_up, q->received_us + asked.pool->conf->give_up_us);
		q->tried_count = 0;
		q->round++;
		proceed(d, &asked, FAILURE_SILENT);
	} else if (asked.generation) {
		answer_from_mirror(d, &asked);
	} else {
		give_up(d, &asked, FAILURE_SILENT);
	}
}

void dispatch_expire(struct dispatch *d, void (*on_shell)(void *shell, struct wheel_item *item))
{
	struct wheel_item *item;

	while ((item = wheel_expired(&d->wheel, d->now_us))) {
		if (item->kind == TIMER_ATTEMPT)
			on_attempt_timer(d, list_entry(item, struct attempt, timer));
		else if (item->kind == TIMER_QUERY)
			on_query_timer(d, list_entry(item, struct query, give_up));
		else
			on_shell(d->shell, item);
	}
}
