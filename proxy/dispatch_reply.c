/* SPDX-License-Identifier: ISC */
#include <assert.h>

#include "cache/serial.h"
#include "cache/wire.h"
#include "proxy/denied.h"
#include "proxy/dispatch_parts.h"
#include "proxy/lame.h"

enum {
	LATE_WELCOME_US = 2000000,	/* how long a reply after the deadline is still looked for */
	RTT_SAMPLE_MAX_US = 500000,
};

/* ---- A backend replies ---- */

/* A server whose data hangs may still say no to what it has not to look up: that proves little. */
static bool is_of_use(const uint8_t *reply)
{
	unsigned rcode = wire_get_u16(reply + 2) & DNS_RCODE;

	return rcode == RCODE_NOERROR || rcode == RCODE_NXDOMAIN;
}

static void note_reply(struct dispatch *d, const struct attempt *a, const uint8_t *reply)
{
	struct evidence *e = evidence_of(d, a->backend);
	struct balance_view *view = &d->balance.views[a->backend];
	struct rtt *mean = a->is_tcp ? &view->tcp : &view->udp;
	uint64_t rtt = d->now_us - a->sent_us;

	/* A server that was frozen and woke up is not a slow one. */
	rtt = rtt < RTT_SAMPLE_MAX_US ? rtt : RTT_SAMPLE_MAX_US;
	rtt_add(mean, rtt);
	rtt_note_least(mean, rtt, d->now_us);
	counter_add(&e->replies, 1);
	counter_add(&e->rtt_sum_us, rtt);
	counter_set(&hearing_of(d, a)->last_reply_us, d->now_us);
	counter_set(&hearing_of(d, a)->first_silent_us, 0);
	atomic_store_explicit(&e->srtt_us, view->udp.srtt_us, memory_order_relaxed);
	if (a->state == ATTEMPT_LATE)
		counter_add(&e->late, 1);
	else if (is_of_use(reply))
		counter_add(&hearing_of(d, a)->in_time, 1);
}

static void limit_heard(struct dispatch *d, const struct attempt *a, const uint8_t *reply)
{
	bool is_truncated = (wire_get_u16(reply + 2) & DNS_TC) && wire_get_u16(reply + 6) == 0;
	struct limit_count *own = limit_count_of(d, a->backend, a->is_tcp);

	if (a->state == ATTEMPT_LATE)
		limit_on_late(own);
	else
		limit_on_answer(limit_of(a->backend, a->is_tcp), own, is_truncated, d->now_us);
}

static void end_attempt(struct dispatch *d, struct attempt *a)
{
	if (a->state == ATTEMPT_WAITING)
		count_outstanding(d, a->backend, -1);
	wheel_del(&d->wheel, &a->timer);
	inflight_end_attempt(d->inflight, a);
}

static unsigned target_of(const struct plan_pool *pool, unsigned backend)
{
	unsigned i = 0;

	while (i < pool->target_count && (pool->targets[i].kind != TARGET_BACKEND
					  || pool->targets[i].backend->index != backend))
		i++;
	return i;
}

/* The mirror has it, and nothing says that the server is ahead. Control hears of it. */
static bool is_denied(const struct asked *asked, unsigned backend, const uint8_t *reply,
		      size_t len)
{
	unsigned target;

	if (!asked->generation || asked->message.qclass != CLASS_IN || asked->message.is_signed
	    || !denied_is_reply(asked->generation, &asked->message, &asked->key, reply, len))
		return false;
	target = target_of(asked->pool, backend);
	if (target == asked->pool->target_count || plan_has_target(&asked->zone->others, target))
		return false;
	if (!plan_has_target(&asked->zone->heard->denied, target))	/* other workers read this line */
		plan_set_target(&asked->zone->heard->denied, target, true);
	return true;
}

/* Within a mirrored zone these replies say nothing of the zone. FAILURE_NONE: it is an answer. */
static enum failure failure_of_reply(const struct asked *asked, unsigned backend,
				     const uint8_t *reply, size_t len)
{
	unsigned retry_on = asked->pool->conf->retry_on;

	if (!asked->zone || !asked->zone->mirror || !rcu_read(asked->zone->mirror->current)
	    || !dispatch_is_for_zones(&asked->message))
		return FAILURE_NONE;
	switch (wire_get_u16(reply + 2) & DNS_RCODE) {
	case RCODE_SERVFAIL:
		return retry_on & RETRY_SERVFAIL ? FAILURE_SERVFAIL : FAILURE_NONE;
	case RCODE_REFUSED:
		return retry_on & RETRY_REFUSED ? FAILURE_REFUSED : FAILURE_NONE;
	case RCODE_NOTAUTH:	/* to a signed query it speaks of the key: RFC 8945 s.5.2.1 */
		return (retry_on & RETRY_NOTAUTH) && !asked->message.is_signed ? FAILURE_NOTAUTH
									       : FAILURE_NONE;
	case RCODE_NOERROR:
	case RCODE_NXDOMAIN:
		if ((retry_on & RETRY_LAME)
		    && lame_is_reply(reply, len, asked->zone->origin))
			return FAILURE_LAME;
		return (retry_on & RETRY_DENIED) && is_denied(asked, backend, reply, len)
		       ? FAILURE_DENIED : FAILURE_NONE;
	default:
		return FAILURE_NONE;
	}
}

/* Off the fast path: a reply that may be no answer. True when the query went elsewhere. */
static bool turned_away(struct dispatch *d, struct query *q, unsigned backend, uint8_t *reply,
			size_t len)
{
	struct asked asked;
	enum failure why;
	bool has_target;

	dispatch_recall(d, q, &asked);
	why = asked.pool ? failure_of_reply(&asked, backend, reply, len) : FAILURE_NONE;
	if (why == FAILURE_NONE)
		return false;
	counter_add(&d->stats->attempts_failed, 1);
	counter_add(&evidence_of(d, backend)->failed, 1);
	if (why == FAILURE_DENIED && q->is_shadowed)
		dispatch_shadow(d, q, backend, reply, len);
	if (q->waiting > 0)
		return true;		/* another attempt is on its way already */
	has_target = dispatch_has_target(d, &asked);
	if (!has_target && !asked.generation && !q->has_silent)
		return false;		/* it is the best answer that there is */
	counter_add(&evidence_of(d, backend)->rescued, 1);
	if (has_target || !asked.generation) {	/* without a target: another round */
		dispatch_proceed(d, &asked, why);
	} else {			/* the mirror was ordered out, and is still there */
		dispatch_note_failure(q, why);
		dispatch_answer_mirror(d, &asked);
	}
	return true;
}

/* A reply may be a header alone, or lame: neither shows a serial. */
static bool is_soa_answer(const struct query *q, const uint8_t *reply, size_t len)
{
	unsigned flags = wire_get_u16(reply + 2);

	return (flags & (DNS_AA | DNS_TC | DNS_RCODE)) == DNS_AA && wire_get_u16(reply + 6) > 0
	       && q->question_end > DNS_HEADER_LEN && len >= q->question_end
	       && wire_get_u16(reply + q->question_end - 4) == TYPE_SOA;
}

/*
 * The client sees a newer serial than the mirror's: what others have is old from now on. Control
 * hears of each serial once; one that comes back after it went back is left to probes.
 */
static void note_serial(struct dispatch *d, struct query *q, unsigned backend, const uint8_t *reply,
			size_t len)
{
	struct wire w = wire_over(reply, len);
	_Atomic uint64_t *heard;
	struct newer newer = { .backend = backend };
	struct asked asked;
	uint64_t before;

	dispatch_recall(d, q, &asked);
	wire_skip(&w, q->question_end);
	if (!asked.zone || !asked.generation
	    || !message_find_serial(&w, wire_get_u16(reply + 6), asked.generation->origin, &newer.serial)
	    || !serial_is_newer(newer.serial, asked.generation->soa.serial))
		return;
	heard = &asked.zone->heard->newer;
	before = atomic_load_explicit(heard, memory_order_relaxed);
	if (before && !serial_is_newer(newer.serial, (uint32_t)before))
		return;
	atomic_store_explicit(heard, PLAN_HEARD | newer.serial, memory_order_relaxed);
	memcpy(newer.origin, asked.zone->origin, name_len(asked.zone->origin));
	d->ops->newer(d->shell, &newer);
}

bool dispatch_reply(struct dispatch *d, uint32_t socket, unsigned backend, uint8_t *packet,
		    size_t len)
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
	note_reply(d, a, packet);
	limit_heard(d, a, packet);
	q = inflight_query_of(a);
	end_attempt(d, a);
	if (!q) {
		counter_add(&d->stats->replies_late, 1);
		return true;
	}
	flags = wire_get_u16(packet + 2);
	if ((!(flags & DNS_AA) || (flags & DNS_RCODE) > RCODE_NOERROR || denied_is_denial(packet))
	    && turned_away(d, q, backend, packet, len))
		return true;
	if (is_soa_answer(q, packet, len))
		note_serial(d, q, backend, packet, len);
	dispatch_deliver(d, q, backend, packet, len);
	return true;
}

/* ---- Attempts fail ---- */

static void rescue(struct dispatch *d, struct query *q, unsigned backend, enum failure why)
{
	struct asked asked;

	if (!q || q->waiting > 0)
		return;
	dispatch_recall(d, q, &asked);
	if (!asked.pool) {		/* a reload took its zone away */
		dispatch_refuse(d, &asked, EDE_NOT_AUTHORITATIVE);
		dispatch_end_query(d, q);
		return;
	}
	counter_add(&evidence_of(d, backend)->rescued, 1);
	dispatch_proceed(d, &asked, why);
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
		rescue(d, q, backend, FAILURE_UNREACHABLE);
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

void dispatch_connection_mute(struct dispatch *d, unsigned backend)
{
	struct hearing *h = &evidence_of(d, backend)->heard[TRANSPORT_TCP];

	if (counter_get(&h->first_silent_us) == 0)
		counter_set(&h->first_silent_us, d->now_us);
	counter_add(&h->silent, 1);
	d->ops->alarm(d->shell);
}

void dispatch_connection_closed(struct dispatch *d, unsigned backend, uint32_t socket,
				uint64_t opened_us)
{
	end_attempts(d, backend, (struct ending){ .only_socket = socket }, opened_us);
}

/* ---- Time passes ---- */

static void note_silence(struct dispatch *d, const struct attempt *a)
{
	struct hearing *h = hearing_of(d, a);

	if (counter_get(&h->last_reply_us) >= a->sent_us)
		return;		/* whoever answered anything since is not silent */
	if (counter_get(&h->first_silent_us) == 0)
		counter_set(&h->first_silent_us, a->sent_us);
	counter_add(&h->silent, 1);
	d->ops->alarm(d->shell);
}

/* Its query may have gone elsewhere before; a slow or far server has more time than that. */
static void judge_silence(struct dispatch *d, struct attempt *a)
{
	struct rtt rtt = dispatch_rtt(d, backend_get(a->backend), a->is_tcp);
	uint64_t patience_us = rtt_patience_us(&rtt);

	a->is_judged = d->now_us - a->sent_us >= patience_us || patience_us >= LATE_WELCOME_US;
	if (a->is_judged)
		note_silence(d, a);
	wheel_set(&d->wheel, &a->timer, a->sent_us + (a->is_judged ? LATE_WELCOME_US : patience_us));
}

static void note_silent(struct query *q)
{
	if (q)
		q->has_silent = true;
}

static void on_attempt_timer(struct dispatch *d, struct attempt *a)
{
	if (a->state == ATTEMPT_LATE && a->is_judged) {
		end_attempt(d, a);
		return;
	}
	if (a->state == ATTEMPT_LATE) {
		judge_silence(d, a);
		return;
	}
	counter_add(&d->stats->attempts_expired, 1);
	counter_add(&hearing_of(d, a)->expired, 1);
	count_outstanding(d, a->backend, -1);
	limit_on_loss(limit_of(a->backend, a->is_tcp), limit_count_of(d, a->backend, a->is_tcp), d->now_us);
	inflight_set_late(a);
	judge_silence(d, a);
	note_silent(inflight_query_of(a));
	rescue(d, inflight_query_of(a), a->backend, FAILURE_SILENT);
}

/* Its time is up, or the pause between two rounds is over. */
static void on_query_timer(struct dispatch *d, struct query *q)
{
	struct asked asked;

	dispatch_recall(d, q, &asked);
	if (!asked.pool) {
		dispatch_refuse(d, &asked, EDE_NOT_AUTHORITATIVE);
		dispatch_end_query(d, q);
	} else if (d->now_us < q->received_us + asked.pool->conf->give_up_us) {
		wheel_set(&d->wheel, &q->give_up, q->received_us + asked.pool->conf->give_up_us);
		q->tried_count = 0;
		q->round++;
		dispatch_proceed(d, &asked, FAILURE_SILENT);
	} else if (asked.generation) {
		dispatch_answer_mirror(d, &asked);
	} else {
		dispatch_give_up(d, &asked, FAILURE_SILENT);
	}
}

void dispatch_expire(struct dispatch *d, uint64_t until_us,
		     void (*on_shell)(void *shell, struct wheel_item *item))
{
	struct wheel_item *item;

	while ((item = wheel_expired(&d->wheel, until_us))) {
		if (item->kind == TIMER_ATTEMPT)
			on_attempt_timer(d, list_entry(item, struct attempt, timer));
		else if (item->kind == TIMER_QUERY)
			on_query_timer(d, list_entry(item, struct query, give_up));
		else
			on_shell(d->shell, item);
	}
}
