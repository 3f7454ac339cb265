/* SPDX-License-Identifier: ISC */
/*
 * dispatch - what happens to a query: every decision, apart from sockets.
 *
 * Purpose:  takes queries, replies, failures and deadlines; chooses targets, answers from the
 *           mirror, rescues, gives up. Every query that may be answered gets exactly one answer.
 * Not here: sockets and libev: the shell (worker.c, or a test) gives a table of operations.
 * Owns:     the worker's in-flight table, deadlines and random numbers.
 * Threads:  one per worker. Reads the plan and what control and mirror publish.
 * Time:     `now_us`, set by the shell once for each turn of its loop; never a clock.
 * Memory:   everything in dispatch_new(); nothing is allocated per query.
 * Failure:  none comes out: what cannot be answered well is answered SERVFAIL, and counted.
 * Spec:     RFC 5452 (matching), RFC 8914 (EDE), RFC 1996 (NOTIFY ends here), RFC 6891 s.6.1.3
 *           (whatever we say ourselves to an unknown version is BADVERS).
 */
#ifndef DISPATCH_H
#define DISPATCH_H

#include "cache/cookie.h"
#include "cache/outgoing.h"
#include "proxy/balance.h"
#include "proxy/guard.h"
#include "proxy/inflight.h"
#include "proxy/notifier.h"
#include "proxy/plan.h"
#include "proxy/stats.h"
#include "proxy/suspicion.h"
#include "proxy/watch_newer.h"
#include "proxy/wheel.h"

struct dispatch_ops {
	/* Room for a reply of `want` bytes (at most 65,535) to this client, until answer(). */
	uint8_t *(*room)(void *shell, const struct client *to, size_t want);

	/* Sends the reply, or queues it: `bytes` may be reused after the shell's flush. */
	void (*answer)(void *shell, const struct client *to, const uint8_t *bytes, size_t len);

	/*
	 * Queues the query on a socket to the attempt's backend, with a random ID that is
	 * free there, and calls inflight_sent(). False: no socket can be had.
	 */
	bool (*send)(void *shell, struct attempt *a, const struct query *q);

	/* Evidence of trouble was written down: control should look at once. */
	void (*alarm)(void *shell);

	/* A primary says that this zone has changed. */
	void (*refresh)(void *shell, struct mirror_zone *zone);

	/* What control should know of a NOTIFY; no word of it waits for the other. */
	void (*note)(void *shell, const struct notify_note *note);

	/*
	 * Begins a zone transfer on the client's TCP connection; that is the answer. The request is
	 * borrowed for the call. False: no more at a time.
	 */
	bool (*transfer)(void *shell, const struct client *to, const struct outgoing_ask *ask);

	/* A backend's answer was not the mirror's: control may find out why. */
	void (*suspect)(void *shell, const struct suspicion *s);

	/* A backend's answer has a newer serial than the mirror: control should look at once. */
	void (*newer)(void *shell, const struct newer *n);
};

/* Kinds of wheel items; the shell adds its own behind TIMER_SHELL. */
enum { TIMER_QUERY = 1, TIMER_ATTEMPT, TIMER_SHELL };

struct dispatch {
	const struct dispatch_ops *ops;
	void *shell;
	const struct plan *plan;
	struct stats *stats;
	unsigned worker;		/* which row of evidence is ours */
	uint64_t now_us;		/* monotonic; set by the shell each turn */
	uint32_t wall_s;		/* for cookies and TSIG; set by the shell about once a second */
	struct inflight *inflight;
	struct cookie_secrets secrets;	/* those of `cookies` */
	struct cookie_secrets own_secret;	/* random; in use while the configuration has none */
	struct cookie_maker *cookies;
	struct nsec3_hasher *hasher;
	struct tsig_server *tsig;
	struct shadow *shadow;
	struct random random;		/* what nobody may guess */
	struct random chance;		/* whom to ask, what to compare: guessing it gains nothing */
	bool mirror_answers;		/* the last query; so it will, most likely, the next */
	struct wheel wheel;
	struct balance balance;
	struct guard_memory guard;
	struct link attempts_of[BACKENDS_MAX];	/* by backend index */
	bool is_primary[BACKENDS_MAX];
};

struct dispatch *dispatch_new(const struct dispatch_ops *ops, void *shell, unsigned worker,
			      size_t in_flight, const uint8_t cookie_secret[COOKIE_SECRET_LEN],
			      struct stats *stats, uint64_t now_us);
void dispatch_free(struct dispatch *d);		/* NULL is fine */

/* The plan from now on; the shell calls this between turns only. May allocate. */
void dispatch_set_plan(struct dispatch *d, const struct plan *plan);

/* A query as it came. */
struct arrival {
	const uint8_t *packet;
	size_t len;
	struct client client;
};

/* Clients ask. The bytes are borrowed for the call. Many at once cost less for each. */
void dispatch_query(struct dispatch *d, const uint8_t *packet, size_t len,
		    const struct client *client);
void dispatch_queries(struct dispatch *d, const struct arrival *arrivals, unsigned count);

/*
 * Something arrived on `socket` (its serial) from backend `backend`. The ID in `packet` is
 * overwritten when it is passed on. True when it was believed.
 */
bool dispatch_reply(struct dispatch *d, uint32_t socket, unsigned backend, uint8_t *packet,
		    size_t len);

/* ICMP: all attempts at this backend end now. */
void dispatch_backend_refused(struct dispatch *d, unsigned backend);

/* A TCP connection could not be made: attempts by TCP end now. UDP may well be served. */
void dispatch_connection_refused(struct dispatch *d, unsigned backend);

/* A TCP connection was taken and closed again without a word of answer: TCP counts as silent. */
void dispatch_connection_mute(struct dispatch *d, unsigned backend);

/*
 * A TCP connection to a backend closed: attempts that went out on it end now. Those sent on a
 * connection that had been open before are tried at the same backend once more, since it may
 * merely have closed for idleness (RFC 7766 s.6.2.4). `opened_us`: when it was connected; 0 never.
 */
void dispatch_connection_closed(struct dispatch *d, unsigned backend, uint32_t socket,
				uint64_t opened_us);

/*
 * Handles what has expired by `until_us`, which is not later than now_us: all that came up to then has been
 * given to dispatch. Hands items of the shell's kinds to it.
 */
void dispatch_expire(struct dispatch *d, uint64_t until_us,
		     void (*on_shell)(void *shell, struct wheel_item *item));

#endif
