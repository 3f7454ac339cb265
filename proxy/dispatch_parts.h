/* SPDX-License-Identifier: ISC */
/*
 * dispatch_parts - what the files of dispatch share. Private to dispatch*.c.
 *
 *      dispatch.c          a client asks: what may pass, what is refused
 *      dispatch_target.c   the route of a question, and its next target
 *      dispatch_reply.c    replies, failures and deadlines: what they mean for their query
 *      dispatch_answer.c   the end of a query: from a backend, from the mirror, by ourselves
 *      dispatch_shadow.c   which answers of backends are compared with the mirror's
 *      dispatch_signed.c   TSIG of what we answer ourselves
 *      dispatch_guard.c    questions that show whether queries go in a circle
 *      dispatch_notify.c   NOTIFY: whom we believe that a zone has changed
 *      dispatch_transfer.c AXFR and IXFR: who may, and what else they get
 */
#ifndef DISPATCH_PARTS_H
#define DISPATCH_PARTS_H

#include "cache/message.h"
#include "cache/tsig_server.h"
#include "proxy/dispatch.h"

/* A question in hand: parsed, routed. On the stack for the length of one call. */
struct asked {
	const uint8_t *packet;
	size_t len;
	const struct client *client;
	struct query *query;			/* NULL before the first attempt */
	const struct plan_zone *zone;		/* NULL: forward-unlisted */
	const struct plan_pool *pool;		/* NULL: no zone of ours */
	const struct generation *generation;	/* what the mirror would answer from, or NULL */
	enum message_verdict verdict;
	bool is_found;				/* `found` is where the name fell in `generation` */
	bool is_guard;				/* another's guard asks, and no server has been yet */
	bool is_shadowed;			/* goes to a backend, to be compared with the mirror */
	bool has_session;			/* signed with a key of ours: replies are, too */
	struct tsig_session session;
	struct message message;
	struct name_key key;
	struct tree_match found;
};

static inline struct evidence *evidence_of(struct dispatch *d, unsigned backend)
{
	return &backend_get(backend)->evidence[d->worker];
}

static inline struct hearing *hearing_of(struct dispatch *d, const struct attempt *a)
{
	return &evidence_of(d, a->backend)->heard[a->is_tcp ? TRANSPORT_TCP : TRANSPORT_UDP];
}

static inline struct limit *limit_of(unsigned backend, bool is_tcp)
{
	return &backend_get(backend)->limit[is_tcp ? TRANSPORT_TCP : TRANSPORT_UDP];
}

static inline struct limit_count *limit_count_of(struct dispatch *d, unsigned backend, bool is_tcp)
{
	return &d->balance.views[backend].limit_count[is_tcp ? TRANSPORT_TCP : TRANSPORT_UDP];
}

/* The first failure is the reason of a rescue; those after it are the rescue's own troubles. */
static inline void dispatch_note_failure(struct query *q, enum failure why)
{
	if (q && q->failure == FAILURE_NONE)
		q->failure = (uint8_t)why;
}

/* An attempt began or has its verdict: both sides of the number change together. */
static inline void count_outstanding(struct dispatch *d, unsigned backend, int change)
{
	struct balance_view *view = &d->balance.views[backend];

	view->outstanding += (uint32_t)change;
	atomic_store_explicit(&evidence_of(d, backend)->outstanding, view->outstanding,
			      memory_order_relaxed);
}

/* ---- dispatch_target.c ---- */

/* An ordinary question, which zone data answers; all else is for servers to judge. */
bool dispatch_is_for_zones(const struct message *m);

/* Finds zone, pool and generation for asked->message. */
void dispatch_route(struct dispatch *d, struct asked *asked);

/* Reads a waiting query again: no pointer into a plan outlives a turn of the loop. */
void dispatch_recall(struct dispatch *d, struct query *q, struct asked *asked);

/* True when some target that was not tried in this round could be asked. */
bool dispatch_has_target(struct dispatch *d, const struct asked *asked);

/*
 * What a server takes to answer us; before its first reply by TCP what it takes by UDP, before
 * any reply what it takes to answer probes.
 */
struct rtt dispatch_rtt(struct dispatch *d, const struct backend *b, bool is_tcp);

/* The heart: brings the query to its next target, or to its end. */
void dispatch_proceed(struct dispatch *d, struct asked *asked, enum failure why);

/* ---- dispatch_answer.c: each of these answers; those with a query end it, too ---- */

void dispatch_answer_short(struct dispatch *d, const struct asked *asked, enum dns_rcode rcode);
void dispatch_answer_error(struct dispatch *d, struct asked *asked, enum dns_rcode rcode,
			   enum dns_ede ede);	/* counts nothing */
void dispatch_refuse(struct dispatch *d, struct asked *asked, enum dns_ede ede);

/* id.server and the like, if the configuration has a text for them. False: not answered. */
bool dispatch_answer_chaos(struct dispatch *d, struct asked *asked);

void dispatch_answer_mirror(struct dispatch *d, struct asked *asked);
void dispatch_give_up(struct dispatch *d, struct asked *asked, enum failure why);
void dispatch_deliver(struct dispatch *d, struct query *q, unsigned backend, uint8_t *reply,
		      size_t len);

/* The most bytes that this client takes from us. */
size_t dispatch_answer_limit(const struct asked *asked);

/* What RFC 8914 s.4 calls the reason why nobody answers. */
enum dns_ede dispatch_ede_of(const struct plan_zone *zone, enum failure why);

/* The slot is gone after this; asked->client must not point into it any more. */
void dispatch_end_query(struct dispatch *d, struct query *q);

/* ---- dispatch_shadow.c ---- */

/* By chance, as often as `shadow-check` says. */
bool dispatch_wants_shadow(struct dispatch *d, const struct asked *asked);

/* The query has been answered with this reply, or it denies what the mirror has. */
void dispatch_shadow(struct dispatch *d, struct query *q, unsigned backend, const uint8_t *reply,
		     size_t len);

/* ---- dispatch_signed.c ---- */

/* Signed, and rightly so, with a key of ours: sets has_session. */
bool dispatch_is_by_key_of_ours(struct dispatch *d, struct asked *asked);

/* Verifies a TSIG, if there is one: sets has_session. False: wrong, and the client was told so. */
bool dispatch_verify(struct dispatch *d, struct asked *asked);

/* What is left of `limit` when a signature is to follow; DNS_UDP_MAX at least. */
size_t dispatch_unsigned_limit(const struct asked *asked, size_t limit);

/* Sends a reply of ours, signed if need be: `cap` bytes at `out` may be used. */
void dispatch_send(struct dispatch *d, struct asked *asked, uint8_t *out, size_t len, size_t cap);

/* ---- dispatch_guard.c ---- */

/* A name of guards (guard.h), ours or others'. True: it was answered; else it goes on its way. */
bool dispatch_guard(struct dispatch *d, struct asked *asked);

/* It goes to this backend: if it went in a circle, others of our queries would, too. */
void dispatch_guard_passed(struct dispatch *d, const struct asked *asked, struct backend *b);

/* ---- dispatch_notify.c ---- */

/* A well-formed NOTIFY, whoever sent it: answers it. RFC 1996 s.3.11: only primaries are heard. */
void dispatch_notify(struct dispatch *d, struct asked *asked);

/* ---- dispatch_transfer.c ---- */

/*
 * A secondary that may transfer the zone asks for its SOA, signed: it shall see the serial that it
 * would get from us, and the primary need not know its key. For a catalog it need not be signed.
 */
bool dispatch_is_refresh(struct dispatch *d, struct asked *asked);

/* A well-formed AXFR or IXFR request. Answers it, or has the shell begin the transfer. */
void dispatch_transfer(struct dispatch *d, struct asked *asked);

#endif
