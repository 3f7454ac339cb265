/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/clock.h"
#include "cache/dns.h"
#include "cache/wire.h"
#include "tests/scenario/sim.h"

#define MINUTES(n)	((n) * 60 * US_PER_S)
#define HOURS(n)	((n) * 3600 * US_PER_S)

enum {
	MEAN_FAULT_H = 2,		/* of each server */
	COMPANY_PERCENT = 8,
	ONCE = 1,			/* an event that does not plan the next of its kind */
	DISASTER_PERCENT = 12,		/* all servers have the same fault at the same time */
	AUTO_BACKEND = 100, AUTO_POOL = 200,	/* EVENT_OPERATOR: what is taken back */
};

static struct {
	uint32_t truth[SIM_ZONES];	/* the highest serials that there ever were */
	uint32_t lives[SIM_SERVERS];	/* EVENT_SERVER and EVENT_TOGGLE of another life are void */
} world;

/* As daemon.c does it: the workers first, then the watch. */
static void use_plan(struct plan *plan)
{
	struct plan *old = sim.plan;

	sim.plan = plan;
	sim.ordered_us = sim.now_us;
	dispatch_set_plan(sim.dispatch, plan);
	for (unsigned i = 0; i < sim.server_count; i++)
		if (old && !(sim.members & 1u << i) && sim.watch->by_index[sim.servers[i].backend->index])
			sim_leave_server(&sim.servers[i]);
	for (unsigned i = 0; i < sim.server_count; i++)
		if (!sim.watch->by_index[sim.servers[i].backend->index])
			sim.servers[i].told = HEALTH_UP;
	watch_set_plan(sim.watch, plan);
	sim.tier = sim.watch->pools[0].tier;
	sim_check_watch();
	plan_free(old);
}

static void reload(void)
{
	unsigned others = random_below(&sim.chance, 1u << (sim.server_count - 1));

	sim.tally.reloads++;
	sim.members = 1 | (sim_percent(50) ? others << 1 : sim.members);
	sim_say("reload: members %x", sim.members);
	use_plan(sim_plan(sim.plan->number + 1));
	sim_stir(2 * US_PER_S);
}

/* ---- What ails a server ---- */

static struct sim_ails some_fault(bool *is_restless)
{
	struct sim_ails a = { 0 };

	switch (random_below(&sim.chance, 29)) {
	case 0: case 1: a.is_killed = true; break;
	case 2: case 3: a.is_frozen = true; break;
	case 4: case 5: a.is_gone = true; break;
	case 6: a.rcode = RCODE_SERVFAIL; break;
	case 7: a.rcode = RCODE_REFUSED; break;
	case 8: a.rcode = RCODE_NOTAUTH; break;
	case 9: a.rcode = sim_percent(50) ? RCODE_REFUSED : RCODE_SERVFAIL; a.only_zone_1 = true; break;
	case 10: a.is_lame = true; break;
	case 11: a.is_lame = a.only_zone_1 = true; break;
	case 12: a.loss_in = sim_percent(50) ? 30 : 70; break;
	case 13: a.loss_out = sim_percent(50) ? 30 : 70; break;
	case 14: a.loss_in = a.loss_out = sim_percent(50) ? 30 : 70; break;
	case 15: a.delay_us = 1000000; break;
	case 16: a.has_creeping_delay = true; break;
	case 17: a.jitter_us = (uint32_t)sim_span(5000, 500000); break;
	case 18: a.is_udp_dead = true; break;
	case 19: a.tcp = (enum sim_tcp)sim_between(TCP_REFUSES, TCP_CLOSES_EACH); break;
	case 20: a.lie = (enum sim_lie)sim_between(LIE_WRONG_ID, LIE_QR_CLEAR); break;
	case 21: a.is_truncating = true; break;
	case 22: a.per_second = (unsigned)sim_span(1, 200); break;
	case 23: a.twice = 50; break;
	case 24: a.twice = 50; a.jitter_us = 100000; break;	/* twice, and in any order */
	case 25: a.denies = (unsigned)sim_between(1, 2); break;
	case 26: a.denies = (unsigned)sim_between(1, 2); a.only_zone_1 = true; break;
	default: a.is_killed = true; a.flap_us = (uint32_t)sim_span(50000, 5000000); break;
	}
	*is_restless = a.loss_in || a.loss_out || a.has_creeping_delay || a.jitter_us || a.per_second
		       || a.flap_us || a.is_lame || a.only_zone_1 || a.denies || a.tcp != TCP_WELL;
	return a;
}

static void say_ails(const struct sim_server *s, const struct sim_ails *a, const char *why)
{
	const struct { const char *name; unsigned value; } all[] = {
		{ "killed", a->is_killed }, { "frozen", a->is_frozen }, { "gone", a->is_gone },
		{ "udp-dead", a->is_udp_dead }, { "truncating", a->is_truncating },
		{ "creeping", a->has_creeping_delay }, { "tcp", a->tcp }, { "lie", a->lie },
		{ "rcode", a->rcode }, { "lame", a->is_lame }, { "denies", a->denies }, { "zone-1", a->only_zone_1 },
		{ "loss-in", a->loss_in }, { "loss-out", a->loss_out }, { "delay", a->delay_us },
		{ "jitter", a->jitter_us }, { "overload", a->per_second }, { "twice", a->twice },
		{ "flapping", a->flap_us },
	};
	char text[256] = "";
	size_t len = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i].value && len < sizeof(text))
			len += (size_t)snprintf(text + len, sizeof(text) - len, " %s %u", all[i].name, all[i].value);
	sim_say("%s %s:%s", s->name, why, text);
}

static void set_ails(struct sim_server *s, const struct sim_ails *ails, const char *why)
{
	if (sim.is_loud)
		say_ails(s, ails, why);
	sim_server_set(s, ails);
}

/* Troubles seldom come alone: within a second of the fault, before, in or after the failover. */
static void add_trouble(void)
{
	static const enum sim_event_kind kinds[] = { EVENT_OPERATOR, EVENT_RELOAD, EVENT_HOLD,
		EVENT_DESCRIPTORS, EVENT_EDIT, EVENT_CLOCK };

	if (sim_percent(COMPANY_PERCENT))
		sim_at(sim.now_us + sim_between(0, US_PER_S), kinds[random_below(&sim.chance, 6)], 0, ONCE);
	if (sim.has_mirror && sim_percent(COMPANY_PERCENT / 2))
		sim_at(sim.now_us + sim_between(0, US_PER_S), EVENT_MIRROR, random_below(&sim.chance, SIM_ZONES),
		       ONCE);
}

static void fall_ill(struct sim_server *s, const struct sim_ails *ails, bool is_restless)
{
	uint64_t lasts = is_restless ? sim_span(100000, MINUTES(1))
				     : sim_percent(90) ? sim_span(20000, MINUTES(2)) : HOURS(1);

	world.lives[s->index]++;
	sim.tally.faults++;
	add_trouble();
	sim.busy_rate = (unsigned)sim_span(3, 50);
	s->flaps = *ails;
	set_ails(s, ails, "falls ill");
	sim_at(sim.now_us + lasts, EVENT_SERVER, s->index, world.lives[s->index]);
	if (ails->flap_us)
		sim_at(sim.now_us + ails->flap_us, EVENT_TOGGLE, s->index, world.lives[s->index]);
	sim_stir(lasts < 4 * US_PER_S ? lasts + US_PER_S : sim_between(US_PER_S, 5 * US_PER_S));
}

/* It comes back with what its disk had. */
static void regress(struct sim_server *s)
{
	unsigned zone = random_below(&sim.chance, SIM_ZONES);

	s->is_regressed = true;
	sim_server_set_serial(s, zone, s->serials[zone] - (uint32_t)sim_between(1, 5));
	sim_at(sim.now_us + sim_span(US_PER_S, MINUTES(20)), EVENT_FOLLOW, s->index, 0);
}

static void recover(struct sim_server *s)
{
	bool was_killed = s->flaps.is_killed && !s->flaps.flap_us;
	struct sim_ails well = { 0 };

	world.lives[s->index]++;
	if (was_killed && sim_percent(15))
		regress(s);
	else
		sim_at(sim.now_us + sim_span(100000, MINUTES(1)), EVENT_FOLLOW, s->index, 0);
	if (was_killed && sim_percent(40)) {	/* it loads its zones first */
		struct sim_ails loading = { .rcode = sim_percent(50) ? RCODE_REFUSED : RCODE_SERVFAIL };

		s->flaps = loading;
		set_ails(s, &loading, "loads");
		sim_at(sim.now_us + sim_span(50000, 20 * US_PER_S), EVENT_SERVER, s->index,
		       world.lives[s->index]);
	} else {
		s->flaps = well;
		set_ails(s, &well, "is well");
		sim_at(sim.now_us + sim_about(HOURS(MEAN_FAULT_H)), EVENT_SERVER, s->index,
		       world.lives[s->index]);
	}
	sim_stir(sim_between(500000, 3 * US_PER_S));
}

static bool is_ill(const struct sim_server *s)
{
	return memcmp(&s->flaps, &(struct sim_ails){ 0 }, sizeof(s->flaps)) != 0;
}

static void change_server(struct sim_server *s)
{
	bool is_restless;
	struct sim_ails ails;

	if (is_ill(s)) {
		recover(s);
		return;
	}
	ails = some_fault(&is_restless);
	if (!sim_percent(DISASTER_PERCENT)) {
		fall_ill(s, &ails, is_restless);
		return;
	}
	for (unsigned i = 0; i < sim.server_count; i++)
		if (!is_ill(&sim.servers[i]))
			fall_ill(&sim.servers[i], &ails, is_restless);
}

static void toggle(struct sim_server *s)
{
	struct sim_ails well = { .flap_us = s->flaps.flap_us };

	sim_server_set(s, s->ails.is_killed ? &well : &s->flaps);
	sim_at(sim.now_us + s->flaps.flap_us, EVENT_TOGGLE, s->index, world.lives[s->index]);
}

/* ---- What happens to the data ---- */

static void edit(void)
{
	struct sim_server *primary = &sim.servers[0];
	unsigned zone = random_below(&sim.chance, SIM_ZONES);

	if (!primary->ails.is_killed && !primary->ails.is_gone) {
		sim_server_set_serial(primary, zone, ++world.truth[zone]);
		if (sim_percent(70))
			sim_at(sim.now_us + sim_between(1000, 50000), EVENT_NOTIFY, zone, 0);
		for (unsigned i = 1; i < sim.server_count; i++)
			sim_at(sim.now_us + sim_span(50000, MINUTES(1)), EVENT_FOLLOW, i, 0);
		sim_stir(500000);
	}
}

/* A secondary transfers; a primary's operator loads what was lost. */
static void follow(struct sim_server *s)
{
	const struct sim_server *primary = &sim.servers[0];

	if (s->ails.is_killed || s->ails.is_gone)
		return;
	for (unsigned z = 0; z < SIM_ZONES; z++) {
		uint32_t serial = s == primary ? world.truth[z] : primary->serials[z];

		if (serial > s->serials[z])
			sim_server_set_serial(s, z, serial);
	}
	s->is_regressed = false;
	sim.changed_us = sim.now_us;
}

static void change_mirror(unsigned zone)
{
	struct sim_zone *z = &sim.zones[zone];

	z->is_expired = !z->is_expired;
	sim_say("mirror: zone %u is %s", zone, z->is_expired ? "expired" : "good");
	sim_zone_changed(zone);
	if (z->is_expired)
		sim_at(sim.now_us + sim_span(US_PER_S, MINUTES(30)), EVENT_MIRROR, zone, ONCE);
	sim_stir(US_PER_S);
}

/* ---- Operators, and our own troubles ---- */

static void order_backend(unsigned server, enum health_order order)
{
	sim_say("order: %s %s", sim.servers[server].name, health_order_text(order));
	watch_order_backend(sim.watch, sim.servers[server].name, order);
}

static void order_pool(enum plan_failover order)
{
	sim_say("order: failover %d", (int)order);
	watch_order_failover(sim.watch, "p", order);
}

/* It may end before its time by what happens to the mirror. */
static void order_drill(void)
{
	unsigned percent = sim_percent(30) ? 100 : (unsigned)sim_between(0, 100);
	uint64_t lasts = sim_span(US_PER_S, MINUTES(20));
	const char *why = "";
	bool is_on = watch_order_drill(sim.watch, &sim.plan->pools[0], percent, lasts, &why);

	sim_say("order: drill of %u%% for %.3f s: %s", percent, (double)lasts / 1e6, is_on ? "done" : why);
	sim.drill_until_us = is_on && percent ? sim.now_us + lasts : 0;
}

static void order(uint32_t what)
{
	uint64_t until = sim.now_us + sim_span(US_PER_S, MINUTES(20));
	unsigned server = random_below(&sim.chance, sim.server_count);

	sim.ordered_us = sim.now_us;
	if (what >= AUTO_POOL) {
		order_pool(POOL_FAILOVER_AUTO);
	} else if (what >= AUTO_BACKEND) {
		order_backend(what - AUTO_BACKEND, ORDER_AUTO);
	} else {
		if (sim_percent(30)) {
			order_drill();
		} else if (sim_percent(40)) {
			order_pool(sim_percent(50) ? POOL_FAILOVER_ON : POOL_FAILOVER_OFF);
			sim_at(until, EVENT_OPERATOR, AUTO_POOL, ONCE);
		} else {
			order_backend(server, (enum health_order)sim_between(ORDER_UP, ORDER_DRAIN));
			sim_at(until, EVENT_OPERATOR, AUTO_BACKEND + server, ONCE);
		}
	}
	sim_check_watch();
	sim_stir(US_PER_S);
}

/* Somebody else has the processor. */
static void hold(void)
{
	uint64_t lasts = sim_span(10000, 2 * US_PER_S);

	sim_say("we are held up for %.3f s", (double)lasts / 1e6);
	sim.held_until_us = sim.now_us + lasts;
	sim.held_us += lasts;
	sim_stir(lasts + US_PER_S);
}

static void change_descriptors(void)
{
	sim.lacks_descriptors = !sim.lacks_descriptors;
	sim.blind_us = sim.now_us;
	sim.ordered_us = sim.now_us;
	sim_say("descriptors: %s", sim.lacks_descriptors ? "none" : "enough");
	if (sim.lacks_descriptors)
		sim_at(sim.now_us + sim_span(100000, 20 * US_PER_S), EVENT_DESCRIPTORS, 0, ONCE);
	sim_stir(US_PER_S);
}

static void set_clock(void)
{
	sim.wall_us = (int64_t)sim_between(0, HOURS(20000)) - (int64_t)HOURS(10000);
	sim_stir(US_PER_S);
}

/* How often it happens by itself; 0: it follows from something else. */
static uint64_t mean_us(enum sim_event_kind kind)
{
	switch ((int)kind) {
	case EVENT_EDIT:	return HOURS(2);
	case EVENT_OPERATOR:
	case EVENT_RELOAD:
	case EVENT_HOLD:	return HOURS(8);
	case EVENT_MIRROR:
	case EVENT_CLOCK:	return HOURS(12);
	case EVENT_DESCRIPTORS:	return HOURS(16);
	default:		return 0;
	}
}

static void plan_next(enum sim_event_kind kind, uint32_t what)
{
	if (mean_us(kind) > 0)
		sim_at(sim.now_us + sim_about(mean_us(kind)), kind, what, 0);
}

void sim_chance(const struct sim_event *e)
{
	struct sim_server *s = &sim.servers[e->what % SIM_SERVERS];

	if (e->serial != ONCE)
		plan_next(e->kind, e->what);
	switch ((int)e->kind) {
	case EVENT_ASK:		if (e->what == sim.ask_serial) sim_ask(); break;
	case EVENT_SERVER:	if (e->serial == world.lives[e->what]) change_server(s); break;
	case EVENT_TOGGLE:	if (e->serial == world.lives[e->what]) toggle(s); break;
	case EVENT_EDIT:	edit(); break;
	case EVENT_FOLLOW:	follow(s); break;
	case EVENT_NOTIFY:	sim_notify(e->what); break;
	case EVENT_MIRROR:	change_mirror(e->what); break;
	case EVENT_OPERATOR:	order(e->what); break;
	case EVENT_RELOAD:	reload(); break;
	case EVENT_HOLD:	hold(); break;
	case EVENT_CLOCK:	set_clock(); break;
	case EVENT_DESCRIPTORS:	change_descriptors(); break;
	default:		break;
	}
}

/* ---- The beginning ---- */

/*
 * Slots are found again by name, whatever world had them before: all are taken once, so that a
 * world is the same alone and after others.
 */
static struct backend *slot_of(unsigned server)
{
	static struct backend *slots[SIM_SERVERS];
	struct backend *b;

	for (unsigned i = 0; i < SIM_SERVERS && !slots[i]; i++) {
		struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(53) };
		struct address a = { .len = sizeof(in) };
		char name[16];

		in.sin_addr.s_addr = htonl(0xc6336401 + i);
		memcpy(&a.storage, &in, sizeof(in));
		snprintf(name, sizeof(name), "ns%u", i + 1);
		slots[i] = backend_take("p", name, &a);
	}
	b = slots[server];
	memset(b->evidence, 0, sizeof(b->evidence));
	atomic_store(&b->share, BACKEND_SHARE_FULL);
	atomic_store(&b->is_suspect, false);
	atomic_store(&b->is_barred, false);
	return b;
}

static void server_start(struct sim_server *s, unsigned index)
{
	s->index = index;
	snprintf(s->name, sizeof(s->name), "ns%u", index + 1);
	s->backend = slot_of(index);
	s->way_us = (uint32_t)sim_span(50, 12000);
	s->well_us[0] = s->well_us[1] = 0;
	s->dead_us = UINT64_MAX;
	for (unsigned z = 0; z < SIM_ZONES; z++)
		s->serials[z] = world.truth[z];
	sim_at(sim.now_us + sim_about(HOURS(MEAN_FAULT_H)), EVENT_SERVER, index, 0);
}

static void zones_start(void)
{
	for (unsigned z = 0; z < SIM_ZONES; z++) {
		sim_question_name(ASK_SOA, z, sim.zones[z].origin);
		sim.zones[z].servable_us = UINT64_MAX;
		world.truth[z] = 1000 + random_below(&sim.chance, 1000000);
		if (!sim.has_mirror)
			continue;
		if (sim_percent(80))
			sim_hold_zone(z, world.truth[z]);
		else
			mirror_refresh(NULL, &sim.zones[z].slot);
		plan_next(EVENT_MIRROR, z);
	}
}

void sim_chance_start(void)
{
	memset(&world, 0, sizeof(world));
	sim.mode = (enum sim_mode)random_below(&sim.chance, MODES);
	sim.has_mirror = sim.mode != MODE_NO_MIRROR;
	sim.has_grace = sim.seed & 1;
	sim.server_count = (unsigned)sim_between(1, SIM_SERVERS);
	sim.busy_rate = 10;
	sim.members = (1u << sim.server_count) - 1;
	zones_start();
	for (unsigned i = 0; i < sim.server_count; i++)
		server_start(&sim.servers[i], i);
	sim_say("mode %d, %u servers", (int)sim.mode, sim.server_count);
	use_plan(sim_plan(1));
	sim_stir(2 * US_PER_S);
	for (int kind = EVENT_OF_WORLD; kind <= EVENT_DESCRIPTORS; kind++)
		if (kind != EVENT_MIRROR)
			plan_next((enum sim_event_kind)kind, 0);
}
