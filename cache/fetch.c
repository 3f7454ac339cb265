/* SPDX-License-Identifier: ISC */
/* `total` runs once, from fetch_new(); all other deadlines are the stream's. */
#include "cache/fetch.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/clock.h"
#include "cache/memory.h"
#include "cache/stream.h"

#define LONE_US		(2 * US_PER_S)	/* whether anything follows a single SOA */

static_assert((int)STREAM_REQUEST_MAX >= (int)TRANSFER_ASK_MAX, "a request fits the stream");

enum asking { ASKING_SOA, ASKING_IXFR, ASKING_AXFR };

struct fetch {
	struct ev_loop *loop;
	ev_timer total;
	double timeout_s;
	struct stream *stream;
	enum fetch_want want;
	enum asking asking;
	bool is_second_use;	/* asked on a connection that has served another request */
	bool was_answered;
	struct generation *const *held;
	struct random *random;
	struct transfer *transfer;
	fetch_end_fn on_end;
	void *arg;
	uint64_t started_us;
};

/* The only end. Nothing of `f` may be touched after it. */
static void end(struct fetch *f, enum fetch_outcome outcome)
{
	stream_close(f->stream);
	ev_timer_stop(f->loop, &f->total);
	f->on_end(f, outcome, f->arg);
}

static void end_failed(struct fetch *f, const char *reason)
{
	transfer_close(f->transfer, reason);
	end(f, FETCH_FAILED);
}

/* ---- Asking ---- */

static size_t write_question(struct fetch *f, uint8_t *at)
{
	uint16_t id = random_u16(f->random);
	uint64_t now_s = clock_wall_us() / US_PER_S;

	switch (f->asking) {
	case ASKING_SOA:
		return transfer_ask_soa(f->transfer, id, now_s, at, TRANSFER_ASK_MAX);
	case ASKING_IXFR:
		return transfer_ask_ixfr(f->transfer, *f->held, id, now_s, at, TRANSFER_ASK_MAX);
	case ASKING_AXFR:
		return transfer_ask_axfr(f->transfer, id, now_s, at, TRANSFER_ASK_MAX);
	}
	abort();
}

static void ask(struct fetch *f)
{
	uint8_t request[TRANSFER_ASK_MAX];
	size_t len = write_question(f, request);

	assert(len > 0);
	stream_send(f->stream, request, len);
}

/* ---- What the stream says ---- */

static void on_ready(void *arg)
{
	ask(arg);
}

/*
 * RFC 7766 s.6.2.4 wants us ready for a server that closes early: when it had answered the
 * SOA and nothing of what came next, that is worth one more connection.
 */
static void on_stream_end(enum stream_end how, const char *reason, void *arg)
{
	struct fetch *f = arg;

	if (how == STREAM_CLOSED && f->is_second_use && !stream_has_heard(f->stream)) {
		f->is_second_use = false;
		stream_connect(f->stream);
	} else {
		end_failed(f, reason);
	}
}

/* Another request on the same connection. */
static void ask_next(struct fetch *f)
{
	f->is_second_use = true;
	ask(f);
}

static enum asking what_is_next(const struct fetch *f)
{
	return f->want == FETCH_DIFFERENCE && *f->held ? ASKING_IXFR : ASKING_AXFR;
}

/* True when reading goes on; false when `f` may be gone. */
static bool on_message(const uint8_t *message, size_t len, void *arg)
{
	struct fetch *f = arg;
	uint64_t now_s = clock_wall_us() / US_PER_S;

	f->was_answered = true;
	switch (transfer_take_message(f->transfer, *f->held, message, len, now_s)) {
	case TRANSFER_MORE:
		stream_set_patience(f->stream, transfer_is_lone(f->transfer) ? LONE_US : 0);
		return true;
	case TRANSFER_ASK_AGAIN:
		ask_next(f);
		return true;
	case TRANSFER_NEWER:
		if (f->want == FETCH_SOA_ONLY) {
			end(f, FETCH_NEWER);
			return false;
		}
		f->asking = what_is_next(f);
		ask_next(f);
		return true;
	case TRANSFER_DONE:
		end(f, FETCH_ZONE);
		return false;
	case TRANSFER_UP_TO_DATE:
		end(f, FETCH_UP_TO_DATE);
		return false;
	case TRANSFER_FAILED:
		end(f, FETCH_FAILED);
		return false;
	}
	abort();
}

static void on_total(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct fetch *f = w->data;
	char reason[100];

	(void)loop;
	(void)revents;
	snprintf(reason, sizeof(reason),
		 "transfer takes longer than %g s: raise transfer-timeout if it needs longer",
		 f->timeout_s);
	end_failed(f, reason);
}

/* ---- */

struct fetch *fetch_new(struct ev_loop *loop, const struct fetch_job *job, struct random *random,
			fetch_end_fn on_end, void *arg)
{
	struct fetch *f = memory_zeroed(1, sizeof(*f));
	const struct stream_owner owner = { on_ready, on_message, on_stream_end, f };

	f->loop = loop;
	f->want = job->want;
	f->asking = job->want == FETCH_ANYWAY ? ASKING_AXFR : ASKING_SOA;
	f->held = job->held;
	f->random = random;
	f->transfer = transfer_new(job->origin, job->key, &job->limits);
	f->on_end = on_end;
	f->arg = arg;
	f->started_us = clock_monotonic_us();
	f->timeout_s = (double)job->timeout_us / (double)US_PER_S;
	ev_timer_init(&f->total, on_total, f->timeout_s, 0.);
	f->total.data = f;
	ev_timer_start(loop, &f->total);
	f->stream = stream_new(loop, &job->peer, &job->stream_limits, &owner);
	stream_connect(f->stream);
	return f;
}

void fetch_free(struct fetch *f)
{
	if (!f)
		return;
	stream_free(f->stream);
	ev_timer_stop(f->loop, &f->total);
	transfer_free(f->transfer);
	free(f);
}

struct transfer *fetch_transfer(struct fetch *f)
{
	return f->transfer;
}

bool fetch_is_zone_coming(const struct fetch *f)
{
	return f->asking != ASKING_SOA;
}

bool fetch_is_ixfr(const struct fetch *f)
{
	return f->asking == ASKING_IXFR;
}

bool fetch_was_answered(const struct fetch *f)
{
	return f->was_answered;
}

uint64_t fetch_duration_us(const struct fetch *f)
{
	return clock_monotonic_us() - f->started_us;
}
