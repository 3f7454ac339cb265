/* SPDX-License-Identifier: ISC */
/*
 * inflight - the queries that wait for an answer, and the attempts made for them.
 *
 * Purpose:  a query is what a client asked and is owed one answer for; an attempt is one try
 *           of it at one backend. Finds the attempt that a reply belongs to by (socket, ID) and
 *           says whether the reply may be believed.
 * Not here: sockets, libev, choosing a backend (balance.h), what to do next (dispatch.h).
 * Owns:     every struct query and struct attempt; callers borrow them until the matching
 *           inflight_end_*() call.
 * Threads:  one table per worker; no locks, never shared.
 * Time:     monotonic microseconds given by the caller.
 * Memory:   all of it in inflight_new(). Free lists are last in, first out, and a slot is touched
 *           when none is free that was in use before: a quiet worker has few pages.
 * Failure:  a full table is an outcome (NULL), not an error.
 * Spec:     RFC 5452 s.9.1 (what a reply must match), RFC 1035 s.4.1.1 (ID).
 *
 *      client --> query --+-- attempt (ns1, LATE)     deadline passed: its reply still counts
 *                         +-- attempt (ns2, WAITING)
 *
 * An attempt outlives its query: a reply that comes after the answer is evidence, never sent.
 */
#ifndef INFLIGHT_H
#define INFLIGHT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/list.h"
#include "proxy/wheel.h"

/* Where an answer goes. Filled by the listener that took the query. */
struct client {
	union {
		struct sockaddr sa;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address;
	struct in6_addr local;		/* wildcard listeners: the address that was asked */
	uint32_t interface;		/* and its interface; 0 when not a wildcard */
	uint32_t connection;		/* TCP: which connection */
	uint32_t connection_serial;	/* it, or the listener, may be another one by now */
	uint32_t frame;			/* UDP by AF_XDP: which frame (xdp.h); 0: a socket */
	uint16_t listener;		/* UDP: which socket */
	bool is_tcp;
};

enum {
	QUERY_INLINE_MAX = 1024,	/* longer queries borrow a large buffer */
	QUERY_LARGE_COUNT = 64,
	QUERY_TRIES_MAX = 16,		/* in one round */
	QUERY_TRIES_ALL = 80,		/* in all: five rounds of a pool of a hundred */
};

struct query {
	/* hot: read for every reply */
	uint32_t serial;		/* changes when the slot changes hands */
	uint16_t len;			/* of `bytes` */
	uint16_t question_end;		/* offset just past the question */
	uint8_t *bytes;			/* as the client sent them; own or large buffer */
	uint64_t received_us;
	struct client client;
	/* warm: read when an attempt fails */
	struct wheel_item give_up;
	bool is_open;			/* owed an answer */
	uint8_t failure;		/* enum failure: of the first attempt that failed */
	bool has_silent;		/* a server was asked that may answer yet */
	bool is_shadowed;		/* its answer is to be compared with the mirror's */
	bool was_reconnected;		/* an old TCP connection closed under it: tried anew once */
	uint8_t waiting;		/* attempts in ATTEMPT_WAITING */
	uint8_t round;			/* times that every target, or QUERY_TRIES_MAX, were tried */
	uint8_t try_count;		/* in all rounds */
	uint8_t tried_count;		/* entries in `tried`: this round */
	uint16_t tried[QUERY_TRIES_MAX];	/* backend indexes */
	/* cold */
	struct query *next_free;
	uint8_t own[QUERY_INLINE_MAX];
};

/* Why an attempt brought no answer. */
enum failure {
	FAILURE_NONE,
	FAILURE_SILENT,		/* no reply in time */
	FAILURE_UNREACHABLE,	/* ICMP; a connection refused or closed; no socket for it */
	FAILURE_SERVFAIL,	/* it said so; and so on */
	FAILURE_REFUSED,
	FAILURE_NOTAUTH,
	FAILURE_LAME,
	FAILURE_DENIED,		/* it denied what the mirror has, under no newer serial */
	FAILURE_BUSY,		/* it is us: in-flight is too small */
};

enum attempt_state {
	ATTEMPT_FREE,		/* on the free list */
	ATTEMPT_WAITING,	/* its deadline is ahead; counts as outstanding */
	ATTEMPT_LATE,		/* its deadline has passed; a reply is welcome until `timer` */
};

struct attempt {
	uint32_t socket;		/* serial of the socket that it went out on */
	uint16_t id;			/* the ID that we sent, host order */
	uint16_t backend;		/* index */
	uint8_t id_wire[2];		/* the same as sent: a send queue points here */
	uint8_t state;			/* enum attempt_state */
	bool is_tcp;
	bool is_judged;			/* LATE: its silence has been considered */
	uint32_t next_hash;		/* chain of the bucket; index + 1 */
	struct query *query;
	uint32_t query_serial;
	uint32_t question_hash;
	uint64_t sent_us;
	struct wheel_item timer;	/* the deadline; then the end of its welcome */
	struct link of_backend;		/* list of the backend's attempts */
};

struct inflight;

/* `queries`: how many at once; attempts: four times that. Aborts if memory is short. */
struct inflight *inflight_new(size_t queries);
void inflight_free(struct inflight *t);	/* NULL is fine */

/*
 * Takes a slot and copies the query. NULL when the table is full or a large query finds
 * no large buffer. The caller sets `client`; `give_up` is in no wheel yet.
 */
struct query *inflight_add_query(struct inflight *t, const uint8_t *bytes, size_t len,
				 size_t question_end, uint64_t now);

/* Gives the slot back; attempts that refer to it see another serial from now on. */
void inflight_end_query(struct inflight *t, struct query *q);

/* True when (socket, id) is not in use, so that a new attempt may take it. */
bool inflight_is_id_free(const struct inflight *t, uint32_t socket, uint16_t id);

/* A new attempt for `q`, WAITING. NULL when the table is full. `of_backend` is on no list. */
struct attempt *inflight_add_attempt(struct inflight *t, struct query *q, uint16_t backend,
				     uint64_t now);

/* Sets what it was sent as; only now can a reply find it. */
void inflight_sent(struct inflight *t, struct attempt *a, uint32_t socket, uint16_t id);

/* Its deadline has passed, or its failure is known: it no longer counts as outstanding. */
void inflight_set_late(struct attempt *a);

/* Takes it off every list and gives it back. */
void inflight_end_attempt(struct inflight *t, struct attempt *a);

/* The query of an attempt while it is still owed an answer; else NULL. */
struct query *inflight_query_of(const struct attempt *a);

/* Asks the memory for what inflight_is_id_free() and inflight_sent() will read. */
void inflight_foresee_id(const struct inflight *t, uint32_t socket, uint16_t id);

/*
 * Asks the memory for what inflight_match() will read, which leads from one to the next: of many
 * replies the first step is taken for all, then the second, then the third.
 */
enum inflight_glance { GLANCE_BUCKET, GLANCE_ATTEMPT, GLANCE_QUERY, GLANCES };

void inflight_foresee(const struct inflight *t, uint32_t socket, const uint8_t *reply,
		      enum inflight_glance glance);

/*
 * The attempt that a reply on `socket` answers. NULL unless QR, ID, opcode and the whole
 * question match (RFC 5452 s.9.1), case included. A 12-byte FORMERR or NOTIMP without
 * a question is believed for its ID and socket: NSD answers so.
 */
struct attempt *inflight_match(struct inflight *t, uint32_t socket, const uint8_t *reply,
			       size_t len);

size_t inflight_query_count(const struct inflight *t);

#endif
