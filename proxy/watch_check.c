/* SPDX-License-Identifier: ISC */
#include "proxy/watch_check.h"

#include <stdlib.h>

#include "cache/clock.h"
#include "cache/memory.h"
#include "proxy/watch_gate.h"
#include "proxy/watch_guard.h"
#include "proxy/watch_limit.h"
#include "proxy/watch_verdict.h"

enum {
	CHECKS_MAX = 64,	/* of one kind under way to one backend, in a burst */
};

static unsigned *out_count(struct check *c)
{
	if (c->is_guard)
		return &c->b->guards_out;
	if (c->is_sweep)
		return &c->b->sweeps_out;
	return c->is_tcp ? &c->b->tcp_out : &c->b->udp_out;
}

static struct check *check_new(const struct check *like)
{
	struct check *c = memory_new(sizeof(*c)), **list = &like->b->checks;

	*c = *like;
	c->number = ++like->b->watch->checks;
	c->next = *list;
	if (c->next)
		c->next->prev = c;
	*list = c;
	++*out_count(c);
	return c;
}

static void check_free(struct check *c)
{
	--*out_count(c);
	if (c->is_sweep)
		gate_on_lost(&c->b->gates[c->zone].gate);
	*(c->prev ? &c->prev->next : &c->b->checks) = c->next;
	if (c->next)
		c->next->prev = c->prev;
	free(c);
}

void check_cancel_all(struct watched *b)
{
	while (b->checks) {
		if (b->checks->is_guard)
			guards_on_lost(b);
		probe_cancel(b->checks->probe);
		check_free(b->checks);
	}
}

static void on_verdict(struct probe *p, const struct probe_verdict *v, void *arg)
{
	struct check own = *(struct check *)arg;
	uint64_t now = clock_monotonic_us();

	(void)p;
	check_free(arg);
	verdict_on_check(own.b, &own, v, now);
	check_send_due(own.b, now);
	watch_arm(own.b->watch, now);
}

static void start(struct check *c, const uint8_t *name)
{
	struct watched *b = c->b;
	struct probe_ask ask = {
		.address = &b->slot->address,
		.zone = name,
		.sample_type = c->sample.type,
		.is_tcp = c->is_tcp,
		.any_reply = c->is_guard || b->pool->zone_count == 0,
		.needs_aa = b->pool->plan->conf->retry_on & RETRY_LAME,
		.timeout_us = c->is_guard ? b->rules.timeout_us
					  : health_probe_timeout_us(&b->health, &b->rules),
	};

	limits_note(c);
	c->probe = probe_start(b->watch->loop, &b->watch->random, &ask, on_verdict, c);
}

static void send_check(struct watched *b, bool is_tcp)
{
	static const uint8_t root[] = { 0 };
	bool has_zone = b->pool->zone_count > 0;
	struct check *c = check_new(&(struct check){
		.b = b, .is_tcp = is_tcp, .zone = has_zone ? fitness_turn(b->fitness, is_tcp) : 0,
	});

	if (has_zone)
		c->facts = gates_facts(b, c->zone);
	start(c, has_zone ? b->pool->zones[c->zone].plan->origin : root);
}

void check_ask(struct watched *b, size_t zone, const struct sample *sample,
	       const struct gate_facts *facts)
{
	struct check *c = check_new(&(struct check){
		.b = b, .is_sweep = true, .zone = zone, .is_tcp = !sample && b->gates[zone].gate.is_cut,
	});

	c->facts = *facts;
	if (sample)
		c->sample = *sample;
	start(c, sample ? sample->name : b->pool->zones[zone].plan->origin);
}

void check_ask_guard(struct watched *b, const uint8_t *name)
{
	start(check_new(&(struct check){ .b = b, .is_guard = true }), name);
}

static void send_one(struct watched *b, bool is_tcp, uint64_t now)
{
	unsigned most = health_is_suspect(&b->health) ? CHECKS_MAX : 1;

	if (now < (is_tcp ? b->health.next_tcp_us : b->health.next_udp_us))
		return;
	if ((is_tcp ? b->tcp_out : b->udp_out) < most)
		send_check(b, is_tcp);
	health_on_probe_sent(&b->health, &b->rules, is_tcp, now);
}

void check_send_due(struct watched *b, uint64_t now)
{
	send_one(b, false, now);
	send_one(b, true, now);
}
