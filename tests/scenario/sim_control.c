/* SPDX-License-Identifier: ISC */
/*
 * What lies under the product: these functions take the place of cache/clock.c, proxy/probe.c,
 * cache/mirror.c and of libev's timer when the simulator is linked.
 */
#include "tests/scenario/sim.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cache/clock.h"
#include "cache/dns.h"
#include "cache/event.h"
#include "cache/serial.h"
#include "cache/wire.h"
#include "proxy/watch_check.h"

enum {
	PROBES_MAX = 2048,
	CROSS_US = 200,			/* a wake-up crosses to the other thread in so long */
	REST_US = 20000000,		/* unchanged for so long: it will not change by itself */
	WALL_START_S = 1700000000,
};

/* ---- Clocks ---- */

uint64_t clock_monotonic_us(void)
{
	return sim.now_us;
}

uint64_t clock_wall_us(void)
{
	return (uint64_t)((int64_t)(WALL_START_S * US_PER_S + sim.now_us) + sim.wall_us);
}

/* ---- libev, as far as the watch asks for it ---- */

static char the_loop;

void ev_now_update(struct ev_loop *loop)
{
	(void)loop;
}

void ev_timer_start(struct ev_loop *loop, ev_timer *t)
{
	(void)loop;
	sim.watch_us = sim.now_us + (uint64_t)llround(t->at * 1e6);
}

void ev_timer_stop(struct ev_loop *loop, ev_timer *t)
{
	(void)loop, (void)t;
	sim.watch_us = UINT64_MAX;
}

void ev_async_start(struct ev_loop *loop, ev_async *a)
{
	(void)loop, (void)a;
}

void ev_async_stop(struct ev_loop *loop, ev_async *a)
{
	(void)loop, (void)a;
}

void ev_async_send(struct ev_loop *loop, ev_async *a)
{
	(void)loop, (void)a;
	if (!sim.is_woken)
		sim_at(sim.now_us + CROSS_US, EVENT_WAKE, 0, 0);
	sim.is_woken = true;
}

void sim_watch_timer(void)
{
	sim.watch_us = UINT64_MAX;
	sim.watch->timer.cb((struct ev_loop *)(void *)&the_loop, &sim.watch->timer, EV_TIMER);
	sim_check_watch();
}

void sim_watch_woken(void)
{
	sim.is_woken = false;
	sim.watch->wake.cb((struct ev_loop *)(void *)&the_loop, &sim.watch->wake, EV_ASYNC);
	sim_check_watch();
}

/* ---- Probes ---- */

struct probe {
	uint32_t serial;		/* its life: odd while it is under way */
	unsigned server;
	struct probe_ask ask;
	uint8_t zone[NAME_LEN_MAX];
	uint64_t sent_us;
	size_t query_len;
	uint8_t query[PROBE_QUERY_MAX];
	bool has_mismatch;
	int error;			/* of ours, told at once */
	probe_done_fn done;
	void *arg;
};

static struct probe probes[PROBES_MAX];
static uint32_t free_probes[PROBES_MAX], free_count;

static void probes_start(void)
{
	free_count = 0;
	for (uint32_t i = PROBES_MAX; i-- > 0;) {
		probes[i].serial = 0;
		free_probes[free_count++] = i;
	}
}

static void probe_send(struct probe *p)
{
	uint32_t index = sim_message_new();
	struct sim_message *m = sim_message(index);

	m->server = (uint8_t)p->server;
	m->is_tcp = p->ask.is_tcp;
	m->is_probe = true;
	m->socket = (uint32_t)(p - probes);
	m->serial = p->serial;
	m->len = (uint16_t)p->query_len;
	memcpy(m->bytes, p->query, p->query_len);
	sim_to_server(index);
}

struct probe *probe_start(struct ev_loop *loop, struct random *random, const struct probe_ask *ask,
			  probe_done_fn done, void *arg)
{
	struct probe *p;
	const struct check *c = arg;

	(void)loop;
	if (free_count == 0)
		abort();
	p = &probes[free_probes[--free_count]];
	p->serial++;
	p->server = c->b->slot->index;
	p->ask = *ask;
	p->has_mismatch = false;
	p->error = sim.lacks_descriptors ? EMFILE : 0;
	p->sent_us = sim.now_us;
	p->done = done;
	p->arg = arg;
	p->query_len = probe_question(random_u16(random), ask->zone,
				      ask->sample_type ? ask->sample_type : TYPE_SOA, p->query);
	sim.tally.probes++;
	if (!p->error)
		probe_send(p);
	sim_at(sim.now_us + (p->error ? 0 : ask->timeout_us), EVENT_PROBE_OVER,
	       (uint32_t)(p - probes), p->serial);
	return p;
}

static void probe_end(struct probe *p)
{
	p->serial++;
	free_probes[free_count++] = (uint32_t)(p - probes);
}

void probe_cancel(struct probe *p)
{
	if (p)
		probe_end(p);
}

static struct watched *watched_of(unsigned server)
{
	return sim.watch->by_index[sim.servers[server].backend->index];
}

/* The rules that a probe's end breaks on purpose. */
static void breach_verdict(const struct probe *p, struct probe_verdict *v)
{
	const struct watched *b = watched_of(p->server);
	const struct plan_zone *zone = b->pool->zones[((const struct check *)p->arg)->zone].plan;
	bool is_hasty = sim.breach == BREACH_HASTY && b->health.state == HEALTH_UP;

	if (sim.breach == BREACH_STAYS_DOWN && b->health.state == HEALTH_DOWN)
		v->cause = CAUSE_TIMEOUT;
	if (sim.breach == BREACH_STAYS_UP)
		v->cause = CAUSE_NONE;
	if ((sim.breach == BREACH_GATE_OPEN || is_hasty) && v->has_serial && zone->mirror &&
	    zone->mirror->current)
		v->serial = zone->mirror->current->soa.serial;
	if (sim.breach == BREACH_GATE_OPEN && p->ask.sample_type)
		v->reply = NULL;
}

static void probe_tell(struct probe *p, struct probe_verdict *v)
{
	breach_verdict(p, v);
	p->done(p, v, p->arg);
	probe_end(p);
	sim_check_watch();
}

static struct probe *probe_of(const struct sim_message *m)
{
	struct probe *p = &probes[m->socket];

	return p->serial == m->serial && m->serial % 2 ? p : NULL;
}

void sim_probe_reply(const struct sim_message *m)
{
	struct probe *p = probe_of(m);
	struct probe_verdict v = { .cause = CAUSE_NONE };

	if (!p)
		return;
	if (!probe_judge(&p->ask, p->query, p->query_len, m->bytes, m->len, &v)) {
		p->has_mismatch = true;
		if (!p->ask.is_tcp)
			return;
		v.cause = CAUSE_MALFORMED;
	}
	v.rtt_us = sim.now_us - p->sent_us;
	if (p->ask.sample_type) {
		v.reply = m->bytes;
		v.reply_len = m->len;
	}
	probe_tell(p, &v);
}

void sim_probe_refused(const struct sim_message *m, int error)
{
	struct probe *p = probe_of(m);
	struct probe_verdict v = { .cause = CAUSE_REFUSED, .error = error };

	if (p)
		probe_tell(p, &v);
}

void sim_probe_over(uint32_t index, uint32_t serial)
{
	struct probe *p = &probes[index];
	struct probe_verdict v = { .cause = p->has_mismatch ? CAUSE_MALFORMED : CAUSE_TIMEOUT };

	if (p->serial != serial)
		return;
	if (p->error)
		v = (struct probe_verdict){ .cause = CAUSE_REFUSED, .error = p->error, .is_ours = true };
	probe_tell(p, &v);
}

bool sim_probe_is_over(uint32_t index, uint32_t serial)
{
	return probes[index].serial != serial;
}

/* ---- Rest ---- */

static bool is_unchanged(const struct watched *b)
{
	uint64_t since = b->health.since_us > sim.changed_us ? b->health.since_us : sim.changed_us;

	return sim.now_us - since > REST_US;
}

static bool backend_is_at_rest(const struct watched *b)
{
	const struct sim_server *s = &sim.servers[b->slot->index];

	if (b->udp_out + b->tcp_out + b->sweeps_out + b->guards_out > 0 || b->health.evidence_us
	    || b->silent_us[0] || b->silent_us[1])
		return false;
	switch (b->health.state) {
	case HEALTH_UP:
		return sim_server_is_well(s) || is_unchanged(b);
	case HEALTH_DOWN:
		return s->dead_us != UINT64_MAX || (b->health.is_held && sim_server_is_behind(s))
		       || (!sim_server_is_well(s) && is_unchanged(b));
	case HEALTH_SUSPECT:
	case HEALTH_PROBATION:
		break;
	}
	return false;
}

bool sim_watch_is_at_rest(void)
{
	for (unsigned i = 0; i < sim.server_count; i++) {
		const struct watched *b = watched_of(i);

		if (b && !backend_is_at_rest(b))
			return false;
	}
	return true;
}

/* ---- The mirror ---- */

static void add(struct zone_edit *e, const uint8_t *owner, uint16_t type, const uint8_t *rdata,
		uint16_t len)
{
	if (zone_edit_add(e, owner, type, 300, rdata, len) != ZONE_OK)
		abort();
}

static struct generation *generation_of(unsigned zone, uint32_t serial)
{
	uint8_t soa[22] = { 0 }, a[4] = { 10, (uint8_t)(serial >> 16), (uint8_t)(serial >> 8),
					  (uint8_t)serial };
	uint8_t name[NAME_LEN_MAX];
	struct zone_edit *e = zone_edit_new(sim.zones[zone].origin, NULL, 0, 0);
	enum zone_error why;
	struct generation *g;

	wire_put_u32(soa + 2, serial);
	wire_put_u32(soa + 6, 3600);
	wire_put_u32(soa + 10, 600);
	wire_put_u32(soa + 14, 604800);
	wire_put_u32(soa + 18, 60);
	add(e, sim.zones[zone].origin, TYPE_SOA, soa, sizeof(soa));
	add(e, sim.zones[zone].origin, TYPE_NS, (const uint8_t *)"\2ns", 4);
	sim_question_name(ASK_A, zone, name);
	add(e, name, TYPE_A, a, sizeof(a));
	g = zone_edit_finish(e, serial, &why, NULL);
	if (!g)
		abort();
	return g;
}

/* Since when it can answer, for those who judge answers. */
void sim_zone_changed(unsigned zone)
{
	struct sim_zone *z = &sim.zones[zone];
	bool is_servable = z->slot.current && (!z->is_expired || sim.has_grace);
	bool can = sim.has_mirror && is_servable;

	atomic_store(&z->slot.is_servable, is_servable);
	if (z->slot.current)
		atomic_store(&z->slot.current->is_stale,
			     z->is_expired && sim.breach != BREACH_STALE_LASTS);
	if (!can)
		z->servable_us = UINT64_MAX;
	else if (z->servable_us == UINT64_MAX)
		z->servable_us = sim.now_us;
	sim.changed_us = sim.now_us;
	z->is_changed = true;
}

/* No reader is in the middle of a turn, so the old one can go at once. */
void sim_hold_zone(unsigned zone, uint32_t serial)
{
	struct sim_zone *z = &sim.zones[zone];

	if (sim.breach == BREACH_MIRROR_BACK && z->serial > 0)
		serial = z->serial - 1;
	generation_free(z->slot.current);
	z->slot.current = generation_of(zone, serial);
	z->serial = serial;
	z->serial_us = sim.now_us;
	sim_say("mirror holds zone %u serial %u", zone, serial);
	sim_zone_changed(zone);
}

/* Transfers are of another test: here they succeed when the primary is well. */
void sim_transferred(unsigned zone)
{
	const struct sim_server *primary = &sim.servers[0];
	struct sim_zone *z = &sim.zones[zone];

	z->is_asked = false;
	if (!sim.has_mirror || primary->well_us[1] == UINT64_MAX)
		return;
	if (!z->slot.current || serial_is_newer(primary->serials[zone], z->serial))
		sim_hold_zone(zone, primary->serials[zone]);
}

void mirror_refresh(struct mirror *m, struct mirror_zone *slot)
{
	struct sim_zone *z = list_entry(slot, struct sim_zone, slot);

	(void)m;
	if (z->is_asked)
		return;
	z->is_asked = true;
	sim_at(sim.now_us + sim_between(2000, 200000), EVENT_TRANSFERRED, (uint32_t)(z - sim.zones), 0);
}

size_t mirror_take_changed(struct mirror *m, uint8_t (*origins)[NAME_LEN_MAX], size_t max)
{
	size_t count = 0;

	(void)m;
	for (unsigned i = 0; i < SIM_ZONES && count < max; i++) {
		if (!sim.zones[i].is_changed)
			continue;
		sim.zones[i].is_changed = false;
		memcpy(origins[count++], sim.zones[i].origin, name_len(sim.zones[i].origin));
	}
	return count;
}

/* Nobody accepts older data in these worlds. */
void mirror_retransfer(struct mirror *m, struct mirror_zone *slot)
{
	mirror_refresh(m, slot);
}

void mirror_configure(struct mirror *m, const struct mirror_zone_conf *zones, size_t count,
		      struct mirror_zone **slots)
{
	(void)m;
	for (size_t i = 0; i < count; i++)
		for (unsigned z = 0; z < SIM_ZONES; z++)
			if (name_is_equal(zones[i].origin, sim.zones[z].origin))
				slots[i] = &sim.zones[z].slot;
}

/* ---- Start and end ---- */

void sim_control_start(void)
{
	probes_start();
	event_listen(sim_hear, NULL);
	sim.watch = watch_new((struct ev_loop *)(void *)&the_loop, (struct mirror *)(void *)&sim, 1);
	random_init_seeded(&sim.watch->random, sim.seed * 2 + 3);
	sim_network_start();
}

void sim_control_stop(void)
{
	watch_free(sim.watch);
	plan_free(sim.plan);
	event_listen(NULL, NULL);
	for (unsigned z = 0; z < SIM_ZONES; z++)
		generation_free(sim.zones[z].slot.current);
}
