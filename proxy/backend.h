/* SPDX-License-Identifier: ISC */
/*
 * backend - one server that queries can be forwarded to, as all threads see it.
 *
 * Purpose:  the meeting point of workers and control: control writes how much of its traffic
 *           a backend gets; workers write what they saw of it, and find out together how much it
 *           can take. Nothing else is shared.
 * Not here: deciding states (health.h), sockets (upstream.h), choosing (balance.h).
 * Owns:     a registry of slots, so that a backend keeps its index and evidence over reloads.
 * Threads:  registry calls: control only. Fields: the writer named at each.
 * Memory:   a slot is never freed while we run; a backend that left the configuration is
 *           marked unused and its slot is taken again after the next reload.
 */
#ifndef BACKEND_H
#define BACKEND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/address.h"
#include "cache/counter.h"
#include "proxy/limit.h"

enum {
	BACKENDS_MAX = 1024,
	WORKERS_MAX = 64,
	BACKEND_SHARE_FULL = 65536,
};

enum transport { TRANSPORT_UDP, TRANSPORT_TCP, TRANSPORTS };

/* Of each transport by itself: a server may answer by the one and be deaf by the other. */
struct hearing {
	counter silent;		/* deadlines passed with no reply by it since the attempt was sent */
	counter in_time;	/* replies before their deadline, errors not counted */
	counter expired;	/* attempts whose deadline passed */
	counter last_reply_us;	/* monotonic */
	counter first_silent_us;	/* monotonic: sending time of the first attempt of the
					 * present silence; 0 after any reply */
};

/* What one worker saw of one backend. Written by that worker only, never reset. */
struct evidence {
	counter sent;		/* attempts */
	counter replies;	/* believed replies, late ones too */
	counter late;		/* of these, after the deadline */
	counter refused;	/* ICMP errors, connections refused or reset */
	counter failed;		/* replies that count as failures: retry-on */
	counter rescued;	/* queries answered by another target after an attempt here failed */
	counter mismatched;	/* packets that were no answer to anything we asked */
	counter rtt_sum_us;	/* of replies */
	counter spared;		/* queries that went elsewhere, since it had as many as it can take */
	struct hearing heard[TRANSPORTS];
	_Atomic uint32_t outstanding;	/* attempts without a verdict */
	_Atomic uint32_t srtt_us;	/* 0: not known yet */
} __attribute__((aligned(64)));

struct backend {
	unsigned index;			/* in the registry */
	bool is_used;			/* control only: some plan names it */
	unsigned plans;			/* control only: how many do */
	unsigned life;			/* servers that had the slot so far; as long as a plan names it
					 * it stays */
	char name[64], pool[64];
	struct address address;

	/* Control writes, workers read: 0 not eligible .. BACKEND_SHARE_FULL. In slow start the
	 * share of the choices that fall on it which it really gets. */
	_Atomic uint32_t share;
	/* The operator's `down` or `drain`: not asked even as the last resort. Control writes. */
	_Atomic bool is_barred;
	/* SUSPECT: workers rescue its queries at the shortest deadline. */
	_Atomic bool is_suspect;
	/* What we send there comes back to us (guard.h): nothing goes there but guards' questions of
	 * others. Control writes. */
	_Atomic bool is_looping;
	/* The number in our question that is on its way there; 0: none is. Control writes. */
	_Atomic uint64_t guard_number;
	/* The latest such number that arrived at a listener of ours. Any worker writes. */
	_Atomic uint64_t guard_returned;
	/* A guard's question of others went there: zone->number + 1, or UINT32_MAX for a name of no
	 * zone. Any worker writes, control sets it to 0. */
	_Atomic uint32_t guard_hint;
	/* Round trip of probes by UDP; 0: not known. Of those who were never asked anything else it
	 * is all that we know. Control writes. */
	_Atomic uint32_t probe_rtt_us;
	/* The least of these in the last one to two minutes. Likewise. */
	_Atomic uint32_t probe_least_us;

	struct limit limit[TRANSPORTS] __attribute__((aligned(64)));
	struct evidence evidence[WORKERS_MAX];
};

/*
 * The slot of this pool's backend: the old one if name and address are as before, else one
 * with full share and empty evidence. Each plan that names a backend takes it once and leaves
 * it once, so during a reload a backend may be taken twice.
 */
struct backend *backend_take(const char *pool, const char *name, const struct address *address);
void backend_leave(struct backend *b);

/* [control, before the first of them] So many workers have evidence; until then WORKERS_MAX. */
void backend_set_workers(unsigned count);

/* Slots are numbered 0 .. BACKENDS_MAX - 1 and exist for ever. */
struct backend *backend_get(unsigned index);

struct hearing_sum { uint64_t silent, in_time, expired, last_reply_us, first_silent_us; };

/* Sums over all workers: the latest reply, the oldest silence, the mean of the known srtt. */
struct evidence_sum {
	uint64_t sent, replies, late, refused, failed, rescued, mismatched, rtt_sum_us;
	struct hearing_sum heard[TRANSPORTS];
	uint32_t outstanding, srtt_us;
	uint64_t spared;
	uint32_t limit;			/* queries a second, by UDP and TCP; 0: there is none */
	bool is_limit_found;		/* of one of them; it answers all that it is asked */
	bool is_rationed;		/* it truncates what it does not drop: RRL */
};
void backend_sum(struct backend *b, struct evidence_sum *sum);

#endif
