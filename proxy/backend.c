/* SPDX-License-Identifier: ISC */
#include "proxy/backend.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct backend slots[BACKENDS_MAX];	/* the registry; control only */
static unsigned worker_count = WORKERS_MAX;
static unsigned slots_begun; /* slots [0 .. slots_begun) have been taken before */

void backend_set_workers(unsigned count)
{
	assert(count <= WORKERS_MAX);
	worker_count = count;
}

static bool backend_is(const struct backend *b, const char *pool, const char *name,
		       const struct address *address)
{
	return strcmp(b->pool, pool) == 0 && strcmp(b->name, name) == 0 &&
	       address_is_equal(&b->address, address);
}

static bool backend_is_idle(struct backend *b)
{
	struct evidence_sum sum;

	backend_sum(b, &sum);
	return sum.outstanding == 0;
}

/*
 * A slot for a new backend. Untouched slots first: a worker may still have attempts out to a
 * backend that left a moment ago, and their evidence must not fall on another server.
 */
static struct backend *slot_free(void)
{
	if (slots_begun < BACKENDS_MAX)
		return &slots[slots_begun++];
	for (unsigned i = 0; i < BACKENDS_MAX; i++)
		if (!slots[i].is_used && backend_is_idle(&slots[i]))
			return &slots[i];
	abort();	/* conf_check.c allows half of BACKENDS_MAX in one configuration */
}

static void evidence_reset(struct evidence *e)
{
	counter *all[] = { &e->sent, &e->replies, &e->late, &e->refused, &e->failed, &e->rescued,
			   &e->mismatched, &e->rtt_sum_us, &e->spared };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		counter_set(all[i], 0);
	for (unsigned t = 0; t < TRANSPORTS; t++) {
		counter_set(&e->heard[t].silent, 0);
		counter_set(&e->heard[t].in_time, 0);
		counter_set(&e->heard[t].expired, 0);
		counter_set(&e->heard[t].last_reply_us, 0);
		counter_set(&e->heard[t].first_silent_us, 0);
	}
	atomic_store_explicit(&e->srtt_us, 0, memory_order_relaxed);
}

static void backend_init(struct backend *b, const char *pool, const char *name,
			 const struct address *address)
{
	b->index = (unsigned)(b - slots);
	b->life++;
	snprintf(b->pool, sizeof(b->pool), "%s", pool);
	snprintf(b->name, sizeof(b->name), "%s", name);
	b->address = *address;
	atomic_store(&b->share, BACKEND_SHARE_FULL);	/* start-up must not wait for probes */
	atomic_store(&b->is_suspect, false);
	atomic_store(&b->probe_rtt_us, 0);
	atomic_store(&b->probe_least_us, 0);
	atomic_store(&b->is_barred, false);
	atomic_store(&b->is_looping, false);
	atomic_store(&b->guard_number, 0);
	atomic_store(&b->guard_returned, 0);
	atomic_store(&b->guard_hint, 0);
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		evidence_reset(&b->evidence[i]);
}

static void limits_reset(struct backend *b)
{
	limit_reset(&b->limit[TRANSPORT_UDP], &b->limit[TRANSPORT_TCP]);
	limit_reset(&b->limit[TRANSPORT_TCP], &b->limit[TRANSPORT_UDP]);
}

struct backend *backend_take(const char *pool, const char *name, const struct address *address)
{
	struct backend *b = NULL;

	for (unsigned i = 0; i < slots_begun && !b; i++)
		if (backend_is(&slots[i], pool, name, address))
			b = &slots[i];
	if (!b) {
		b = slot_free();
		backend_init(b, pool, name, address);
	}
	if (b->plans == 0)	/* who comes back may be able to take more */
		limits_reset(b);
	b->is_used = true;
	b->plans++;
	return b;
}

void backend_leave(struct backend *b)
{
	assert(b->plans > 0);
	b->plans--;
	b->is_used = b->plans > 0;
}

struct backend *backend_get(unsigned index)
{
	assert(index < BACKENDS_MAX);
	return &slots[index];
}

static void hearing_add(struct hearing_sum *sum, struct hearing *h)
{
	uint64_t last_reply_us = counter_get(&h->last_reply_us);
	uint64_t first_silent_us = counter_get(&h->first_silent_us);

	sum->silent += counter_get(&h->silent);
	sum->in_time += counter_get(&h->in_time);
	sum->expired += counter_get(&h->expired);
	if (last_reply_us > sum->last_reply_us)
		sum->last_reply_us = last_reply_us;
	if (first_silent_us && (!sum->first_silent_us || first_silent_us < sum->first_silent_us))
		sum->first_silent_us = first_silent_us;
}

static void sum_add(struct evidence_sum *sum, struct evidence *e)
{
	sum->sent += counter_get(&e->sent);
	sum->replies += counter_get(&e->replies);
	sum->late += counter_get(&e->late);
	sum->refused += counter_get(&e->refused);
	sum->failed += counter_get(&e->failed);
	sum->rescued += counter_get(&e->rescued);
	sum->mismatched += counter_get(&e->mismatched);
	sum->rtt_sum_us += counter_get(&e->rtt_sum_us);
	sum->spared += counter_get(&e->spared);
	sum->outstanding += atomic_load_explicit(&e->outstanding, memory_order_relaxed);
	for (unsigned t = 0; t < TRANSPORTS; t++)
		hearing_add(&sum->heard[t], &e->heard[t]);
}

static void sum_add_limit(struct evidence_sum *sum, const struct limit *l)
{
	struct limit_said said = limit_said(l);

	sum->limit += said.rate;
	sum->is_limit_found |= said.state == LIMIT_FOUND;
	sum->is_rationed |= said.is_rationed;
}

void backend_sum(struct backend *b, struct evidence_sum *sum)
{
	uint64_t srtt_total_us = 0;
	unsigned srtt_count = 0;

	memset(sum, 0, sizeof(*sum));
	for (unsigned i = 0; i < worker_count; i++) {
		uint32_t srtt_us =
			atomic_load_explicit(&b->evidence[i].srtt_us, memory_order_relaxed);

		sum_add(sum, &b->evidence[i]);
		srtt_total_us += srtt_us;
		srtt_count += srtt_us > 0;
	}
	for (unsigned t = 0; t < TRANSPORTS; t++)
		sum_add_limit(sum, &b->limit[t]);
	if (srtt_count > 0)
		sum->srtt_us = (uint32_t)(srtt_total_us / srtt_count);
}
