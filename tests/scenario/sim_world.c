/* SPDX-License-Identifier: ISC */
#include "tests/scenario/sim.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/clock.h"
#include "cache/event.h"

enum {
	START_US = 1000000,
	LEAD_US = 700000,	/* after a leap: so long before the world's next event */
	LEAP_MIN_US = 1500000,
	CLOSE_US = 10000000,	/* more than any query, late reply or connection lasts */
};

struct sim sim;

/* ---- Chance ---- */

bool sim_percent(unsigned percent)
{
	return random_below(&sim.chance, 100) < percent;
}

uint64_t sim_between(uint64_t least, uint64_t most)
{
	return least + random_u64(&sim.chance) % (most - least + 1);
}

uint64_t sim_about(uint64_t mean)
{
	double u = ((double)random_below(&sim.chance, 1 << 24) + 0.5) / (1 << 24);

	return (uint64_t)(-log(u) * (double)mean) + 1;
}

uint64_t sim_span(uint64_t least, uint64_t most)
{
	double u = (double)random_below(&sim.chance, 1 << 24) / (1 << 24);

	return (uint64_t)((double)least * pow((double)most / (double)least, u));
}

/* ---- What is said ---- */

static void put_time(FILE *out)
{
	fprintf(out, "%12.6f  ", (double)sim.now_us / 1e6);
}

void sim_say(const char *format, ...)
{
	va_list list;

	if (!sim.is_loud)
		return;
	put_time(stdout);
	va_start(list, format);
	vfprintf(stdout, format, list);
	va_end(list);
	fputc('\n', stdout);
}

void sim_fail(const char *format, ...)
{
	char text[400];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	if (!sim.has_failed)
		snprintf(sim.why, sizeof(sim.why), "seed %llu, second %.6f: %s",
			 (unsigned long long)sim.seed, (double)sim.now_us / 1e6, text);
	sim_say("BROKEN: %s", text);
	sim.has_failed = true;
}

/* ---- The calendar: a heap ---- */

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
	return a->at_us < b->at_us || (a->at_us == b->at_us && a->order < b->order);
}

static bool is_on_the_way(const struct sim_event *e)
{
	return e->kind < EVENT_OF_WORLD && e->kind != EVENT_PROBE_OVER;	/* the watch counts its probes */
}

void sim_at(uint64_t at_us, enum sim_event_kind kind, uint32_t what, uint32_t serial)
{
	struct sim_event e = { at_us, sim.order++, kind, what, serial };
	size_t i = sim.event_count++;

	if (sim.event_count > sim.event_room) {
		sim.event_room = sim.event_room ? sim.event_room * 2 : 1024;
		sim.events = realloc(sim.events, sim.event_room * sizeof(e));
		if (!sim.events)
			abort();
	}
	for (; i > 0 && is_before(&e, &sim.events[(i - 1) / 2]); i = (i - 1) / 2)
		sim.events[i] = sim.events[(i - 1) / 2];
	sim.events[i] = e;
	sim.on_the_way += is_on_the_way(&e);
}

static struct sim_event take_first(void)
{
	struct sim_event first = sim.events[0], last = sim.events[--sim.event_count];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < sim.event_count) {
		if (child + 1 < sim.event_count && is_before(&sim.events[child + 1], &sim.events[child]))
			child++;
		if (!is_before(&sim.events[child], &last))
			break;
		sim.events[i] = sim.events[child];
		i = child;
	}
	sim.events[i] = last;
	sim.on_the_way -= is_on_the_way(&first);
	return first;
}

/* ---- Time passes ---- */

void sim_stir(uint64_t for_us)
{
	if (sim.busy_until_us < sim.now_us + for_us)
		sim.busy_until_us = sim.now_us + for_us;
	sim.changed_us = sim.now_us;
	if (!sim.asks_busily)		/* the next question of calm hours would come too late */
		sim_at(sim.now_us + sim_between(0, 100000), EVENT_ASK, ++sim.ask_serial, 0);
	sim.asks_busily = true;
}

/* What happens in our own process, and waits while that is held up. */
static bool is_ours(enum sim_event_kind kind)
{
	switch ((int)kind) {
	case EVENT_AT_US: case EVENT_ICMP: case EVENT_CONNECTED: case EVENT_CONNECT_FAILED:
	case EVENT_CLOSED: case EVENT_PROBE_OVER: case EVENT_WAKE: case EVENT_SWEEP: case EVENT_ASK:
	case EVENT_NOTIFY: case EVENT_OPERATOR: case EVENT_RELOAD:
		return true;
	default:
		return false;
	}
}

static void happen(const struct sim_event *e)
{
	if (is_ours(e->kind) && sim.now_us < sim.held_until_us) {
		sim_at(sim.held_until_us, e->kind, e->what, e->serial);
		return;
	}
	switch ((int)e->kind) {
	case EVENT_AT_SERVER:		sim_at_server(e->what); break;
	case EVENT_AT_US:		sim_at_us(e->what); break;
	case EVENT_ICMP:		sim_icmp(e->what); break;
	case EVENT_CONNECTED:		sim_connected(e->what, e->serial); break;
	case EVENT_CONNECT_FAILED:	sim_connect_failed(e->what, e->serial); break;
	case EVENT_CLOSED:		sim_closed(e->what, e->serial); break;
	case EVENT_PROBE_OVER:		sim_probe_over(e->what, e->serial); break;
	case EVENT_WAKE:		sim_watch_woken(); break;
	case EVENT_SWEEP:		sim_sweep(); break;
	case EVENT_TRANSFERRED:		sim_transferred(e->what); break;
	case EVENT_HELD_BACK:		sim_held_back(e->what, e->serial); break;
	default:			sim_chance(e); break;
	}
}

static void no_shell_timer(void *shell, struct wheel_item *item)
{
	(void)shell, (void)item;
	sim_fail("a timer of the shell, and there is no shell");
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* When the next thing is due, whoever's it is. */
static uint64_t next_us(void)
{
	uint64_t deadline = later(wheel_next_us(&sim.dispatch->wheel), sim.held_until_us);
	uint64_t watch = later(sim.watch_us, sim.held_until_us);
	uint64_t next = sim.event_count ? sim.events[0].at_us : UINT64_MAX;

	next = deadline < next ? deadline : next;
	return watch < next ? watch : next;
}

/* Two rounds of probes have seen the world as it is: in a leap there are none. */
static bool is_seen(void)
{
	return sim.now_us > sim.stirred_us + 2 * sim.plan->pools[0].conf->health.interval_us + US_PER_S;
}

/* Nothing is on its way, nobody waits, and health has said its last word on the world as it is. */
static bool is_calm(void)
{
	return is_seen() && sim.on_the_way == 0 && sim.open_count == 0 && sim.now_us >= sim.held_until_us
	       && wheel_next_us(&sim.dispatch->wheel) == UINT64_MAX && sim_watch_is_at_rest();
}

/* Calm hours: what would happen in them is that probes go on as they went. */
static void leap(void)
{
	uint64_t world;

	while (sim.event_count && sim.events[0].kind == EVENT_PROBE_OVER
	       && sim_probe_is_over(sim.events[0].what, sim.events[0].serial))
		take_first();
	world = sim.event_count && sim.events[0].at_us < sim.end_us ? sim.events[0].at_us : sim.end_us;
	if (world > sim.now_us + LEAD_US + LEAP_MIN_US && is_calm()) {
		sim.tally.leapt_us += world - LEAD_US - sim.now_us;
		sim.now_us = world - LEAD_US;
	}
}

/* Sockets come before deadlines, as in the worker's loop; control is a thread of its own. */
static void step(void)
{
	uint64_t next = next_us();

	sim.now_us = later(sim.now_us, next);
	sim.dispatch->now_us = sim.now_us;
	while (sim.event_count && sim.events[0].at_us <= sim.now_us && !sim.has_failed) {
		struct sim_event e = take_first();

		if (e.kind >= EVENT_OF_WORLD)
			sim.stirred_us = sim.now_us;
		happen(&e);
	}
	if (sim.now_us >= sim.held_until_us) {
		dispatch_expire(sim.dispatch, sim.dispatch->now_us, no_shell_timer);
		if (sim.now_us >= sim.watch_us)
			sim_watch_timer();
	}
	sim_check_turn();
}

/* The world stands still; whoever is still owed something gets it, and the books are closed. */
static void finish(void)
{
	struct sim_event *all = sim.events;
	size_t count = sim.event_count;

	sim.events = NULL;
	sim.event_count = sim.event_room = sim.on_the_way = 0;
	for (size_t i = 0; i < count; i++)
		if (is_on_the_way(&all[i]))
			sim_at(all[i].at_us, all[i].kind, all[i].what, all[i].serial);
	free(all);
	sim.end_us += CLOSE_US;
	sim.busy_until_us = 0;
	while (!sim.has_failed && next_us() < sim.end_us)
		step();
	if (!sim.has_failed)
		sim_check_end();
}

static void free_world(void)
{
	dispatch_free(sim.dispatch);
	sim_control_stop();
	free(sim.events);
	free(sim.queries);
}

static void add_up(struct sim_tally *sum)
{
	uint64_t *to = (uint64_t *)sum, *from = (uint64_t *)&sim.tally;
	uint64_t slowest = sum->slowest_us > sim.tally.slowest_us ? sum->slowest_us : sim.tally.slowest_us;

	for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++)
		to[i] += from[i];
	sum->slowest_us = slowest;
}

bool sim_play(uint64_t seed, uint64_t seconds, enum sim_breach breach, bool is_loud,
	      struct sim_tally *sum)
{
	uint8_t secret[COOKIE_SECRET_LEN] = { 1 };

	memset(&sim, 0, sizeof(sim));
	sim.seed = seed;
	sim.breach = breach;
	sim.is_loud = is_loud;
	sim.now_us = START_US;
	sim.end_us = START_US + seconds * US_PER_S;
	sim.watch_us = UINT64_MAX;
	sim.tally = (struct sim_tally){ .worlds = 1, .simulated_s = seconds };
	random_init_seeded(&sim.chance, seed * 2 + 1);
	sim.queries = calloc(SIM_OPEN_MAX, sizeof(sim.queries[0]));
	sim.dispatch = dispatch_new(&sim_ops, &sim, 0, 256, secret, &sim.stats, sim.now_us);
	random_init_seeded(&sim.dispatch->random, seed * 2 + 2);
	random_init_seeded(&sim.dispatch->chance, seed * 2 + 4);
	for (unsigned i = 0; i < 2 * BACKENDS_MAX; i++)	/* slots outlive a world, whose time began anew */
		limit_reset(&backend_get(i / 2)->limit[i % 2], &backend_get(i / 2)->limit[!(i % 2)]);
	sim_control_start();
	sim_chance_start();
	while (!sim.has_failed && sim.now_us < sim.end_us) {
		leap();
		step();
	}
	if (!sim.has_failed)
		finish();
	sim.tally.rescued = counter_get(&sim.stats.rescued);
	free_world();
	add_up(sum);
	return !sim.has_failed;
}
