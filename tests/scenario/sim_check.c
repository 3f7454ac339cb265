/* SPDX-License-Identifier: ISC */
/*
 * The promises. What a client may be told is judged by the world's own truth, which the product
 * never sees: who was well, since when, and what the mirror held.
 */
#include <stdlib.h>
#include <string.h>

#include "cache/clock.h"
#include "cache/dns.h"
#include "cache/wire.h"
#include "proxy/watch_gate.h"
#include "tests/scenario/sim.h"

enum {
	GRAIN_US = 4000,		/* ticks of the wheel, and turns */
	TCP_GRACE_US = 3300000,		/* a connection that died unheard is noticed after this */
	NEWS_US = 300000,		/* a probe may be on its way while a server's data change */
	MOMENT_US = 300000,
	DETECT_MS = 300,
	STALE_S = 30,			/* records of these worlds live longer */
	NEAR_US = 33000,		/* whose round trip is shorter is judged within that */
};

/* ---- What an answer says ---- */

struct heard {
	unsigned flags, rcode;
	bool is_server, is_primary;	/* whose words they are */
	unsigned count;			/* records of the answer */
	bool has_serial;
	uint32_t serial, ttl;
};

static void read_serial(struct heard *h, const struct sim_query *q, const uint8_t *bytes,
			size_t len)
{
	struct wire w = wire_over(bytes, len);
	uint8_t name[NAME_LEN_MAX];
	const uint8_t *rdata;
	uint16_t type, rdlength;

	w.pos = q->question_end;
	name_parse(&w, name);
	type = wire_u16(&w);
	wire_skip(&w, 2);
	h->ttl = wire_u32(&w);
	rdlength = wire_u16(&w);
	rdata = wire_bytes(&w, rdlength);
	if (!rdata)
		return;
	h->has_serial = (type == TYPE_A && rdlength == 4) || (type == TYPE_SOA && rdlength == 22);
	if (h->has_serial)
		h->serial = type == TYPE_A ? wire_get_u32(rdata) & 0xffffff : wire_get_u32(rdata + 2);
}

static bool hear_answer(struct heard *h, const struct sim_query *q, const uint8_t *bytes,
			size_t len)
{
	*h = (struct heard){ 0 };
	if (len < q->question_end || memcmp(bytes, q->bytes, 2) != 0
	    || memcmp(bytes + DNS_HEADER_LEN, q->bytes + DNS_HEADER_LEN,
		      q->question_end - DNS_HEADER_LEN) != 0)
		return false;
	h->flags = wire_get_u16(bytes + 2);
	h->rcode = h->flags & DNS_RCODE;
	h->is_server = h->flags & DNS_RA;
	h->is_primary = h->is_server && !(h->flags & DNS_AD);
	h->count = wire_get_u16(bytes + 6);
	if (h->count + wire_get_u16(bytes + 8) > 0)
		read_serial(h, q, bytes, len);
	return h->flags & DNS_QR;
}

/* ---- Who could have answered ---- */

static bool is_for_zones(const struct sim_query *q)
{
	return q->question <= ASK_NONE;
}

static bool mirror_could(const struct sim_query *q)
{
	return is_for_zones(q) && sim.zones[q->zone].servable_us <= q->asked_us;
}

static const struct plan_target *target_of(const struct sim_server *s)
{
	const struct watched *b = sim.watch->by_index[s->backend->index];

	return b ? b->target : NULL;
}

static bool server_could(const struct sim_server *s, const struct sim_query *q)
{
	const struct plan_target *t = target_of(s);
	const struct plan_pool *pool = &sim.plan->pools[0];
	uint64_t grace = q->is_tcp ? TCP_GRACE_US : 0;

	if (!t || atomic_load(&s->backend->is_barred) || s->fit_us == UINT64_MAX)
		return false;
	if (atomic_load(pool->forced) == POOL_FAILOVER_ON && t->tier == pool->targets[0].tier)
		return false;
	return s->well_us[q->is_tcp] != UINT64_MAX && s->well_us[q->is_tcp] + grace <= q->asked_us
	       && s->fit_us <= q->asked_us;
}

static const char *who_could(const struct sim_query *q)
{
	if (mirror_could(q))
		return "the mirror";
	/* Nor when its time ran out while we were held up. */
	if (!is_for_zones(q) || sim.ordered_us >= q->asked_us || sim.lacks_descriptors
	    || sim.held_us - q->held_us > MOMENT_US || counter_get(&sim.stats.in_flight_full) > 0)
		return NULL;
	for (unsigned i = 0; i < sim.server_count; i++)
		if (server_could(&sim.servers[i], q))
			return sim.servers[i].name;
	return NULL;
}

/* ---- An answer is judged ---- */

static uint64_t bound_us(const struct sim_query *q)
{
	uint64_t held = sim.held_us - q->held_us, give_up = sim.plan->pools[0].conf->give_up_us;

	if (mirror_could(q) && give_up > SIM_PROMPT_US)
		give_up = SIM_PROMPT_US;
	if (sim.plan->number != q->plan)	/* it may have been longer when it was asked */
		give_up = 5 * US_PER_S;
	return give_up + held + GRAIN_US;
}

static void check_time(const struct sim_query *q)
{
	uint64_t took = sim.now_us - q->asked_us;

	if (took > bound_us(q))
		sim_fail("query %u was answered after %llu us", q->serial, (unsigned long long)took);
	if (took > sim.tally.slowest_us && sim.held_us == q->held_us)
		sim.tally.slowest_us = took;
}

static unsigned expected_rcode(const struct sim_query *q)
{
	switch ((int)q->question) {
	case ASK_NONE:		return RCODE_NXDOMAIN;
	case ASK_UNLISTED:
	case ASK_AXFR:		return RCODE_REFUSED;
	default:		return RCODE_NOERROR;
	}
}

static void check_error(const struct sim_query *q, const struct heard *h)
{
	const char *who = who_could(q);
	bool is_passed_on = h->is_server && (!sim.has_mirror || !sim.zones[q->zone].slot.current);

	sim.tally.errors++;
	if (mirror_could(q) || (who && !is_passed_on))
		sim_fail("query %u of zone %u by %s, asked at %.6f, got rcode %u although %s could have answered",
			 q->serial, q->zone, q->is_tcp ? "TCP" : "UDP", (double)q->asked_us / 1e6,
			 h->rcode, who ? who : "the mirror");
}

/*
 * A server may deny what exists while nobody knows better: under a newer serial, too. And when it has
 * always done so: then it does it by design.
 */
static bool may_deny(const struct sim_query *q, const struct heard *h)
{
	const struct plan_zone *zone = plan_zone_named(sim.plan, sim.zones[q->zone].origin);
	bool is_denial = h->rcode == RCODE_NXDOMAIN || (h->rcode == RCODE_NOERROR && h->count == 0);

	if (q->question != ASK_A || !is_denial || !h->is_server)
		return false;
	for (unsigned i = 0; i < zone->pool->target_count; i++)
		if (plan_has_target(&zone->others, i))
			return true;
	return !mirror_could(q) || (h->has_serial && h->serial > sim.zones[q->zone].serial);
}

/* `failover on` leaves the first tier out: that of a mirror that goes before its primary, too. */
static bool is_mirror_ordered_out(const struct plan_pool *p)
{
	for (unsigned i = 0; i < p->target_count; i++)
		if (p->targets[i].kind == TARGET_MIRROR && p->targets[i].tier == p->targets[0].tier)
			return atomic_load(p->forced) == POOL_FAILOVER_ON;
	return false;
}

/* `failover off`, or `up` for a backend: the operator takes whatever it says. */
static bool is_ordered_in(void)
{
	if (atomic_load(sim.plan->pools[0].forced) == POOL_FAILOVER_OFF
	    || is_mirror_ordered_out(&sim.plan->pools[0]))
		return true;
	for (unsigned i = 0; i < sim.server_count; i++) {
		const struct watched *b = sim.watch->by_index[sim.servers[i].backend->index];

		if (b && b->health.order == ORDER_UP)
			return true;
	}
	return false;
}

static uint64_t latest(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Since when a server has had that serial, or had it before the one it has now; 0: it has not. */
static uint64_t had_serial_us(const struct sim_server *s, unsigned zone, uint32_t serial)
{
	if (s->serials[zone] == serial)
		return s->serial_us;
	return s->serials_before[zone] == serial ? s->serial_before_us : 0;
}

/* Who is behind the mirror is found out within two rounds of probes, and passed over from then on. */
static void check_serial(const struct sim_query *q, const struct heard *h)
{
	const struct sim_zone *z = &sim.zones[q->zone];
	uint64_t known_us = latest(latest(z->serial_us, z->servable_us), sim.blind_us);

	for (unsigned i = 0; i < sim.server_count; i++)
		known_us = latest(known_us, had_serial_us(&sim.servers[i], q->zone, h->serial));
	known_us += 2 * sim.plan->pools[0].conf->health.interval_us + US_PER_S;
	if (mirror_could(q) && h->serial < z->serial && q->asked_us > known_us && !is_ordered_in()
	    && !sim.lacks_descriptors && q->asked_us > sim.ordered_us + US_PER_S && q->asked_us > sim.held_until_us + US_PER_S)
		sim_fail("query %u: serial %u of zone %u, and the mirror has %u", q->serial, h->serial, q->zone,
			 z->serial);
}

static void check_content(const struct sim_query *q, const struct heard *h)
{
	struct sim_zone *z = &sim.zones[q->zone];

	if (q->question == ASK_CHAOS || q->question == ASK_NOTIFY || h->flags & DNS_TC)
		return;
	if (may_deny(q, h))
		return;
	if (h->rcode != expected_rcode(q)) {
		if (is_for_zones(q))
			check_error(q, h);
		else
			sim_fail("query %u (%d): rcode %u", q->serial, (int)q->question, h->rcode);
		return;
	}
	if (!is_for_zones(q)) {
		if (h->is_server)
			sim_fail("query %u (%d) reached a server", q->serial, (int)q->question);
		return;
	}
	if (!h->has_serial)
		sim_fail("query %u: an answer without its record%s", q->serial,
			 mirror_could(q) ? " although the mirror could give one" : "");
	if (!(h->flags & DNS_AA) && mirror_could(q))
		sim_fail("query %u: a lame answer although the mirror could give a good one", q->serial);
	sim.tally.went_back += h->has_serial && h->serial < z->seen;
	z->seen = h->serial > z->seen ? h->serial : z->seen;
	if (h->is_server) {
		check_serial(q, h);
		return;
	}
	if (h->serial != z->serial || h->serial < z->served)
		sim_fail("query %u: the mirror went from serial %u to %u", q->serial, z->served, h->serial);
	z->served = h->serial;
	if ((h->ttl <= STALE_S) != z->is_expired)
		sim_fail("query %u: a TTL of %u from a zone that is %s", q->serial, h->ttl,
			 z->is_expired ? "expired" : "good");
}

static void count_source(const struct sim_query *q, const struct heard *h)
{
	if (h->is_primary)
		sim.by_primary++;
	else if (h->is_server)
		sim.by_backend++;
	else if (q->question == ASK_NOTIFY && h->rcode == RCODE_NOERROR)
		sim.acknowledged++;
	else
		sim.by_us[h->rcode]++;
}

void sim_check_answer(struct sim_query *q, const uint8_t *bytes, size_t len)
{
	struct heard h;

	if (q->question == ASK_REPLY)
		sim_fail("a packet with QR set was answered");
	if (!hear_answer(&h, q, bytes, len)) {
		sim_fail("query %u: what came is no answer to it", q->serial);
		return;
	}
	check_time(q);
	check_content(q, &h);
	count_source(q, &h);
}

/* ---- The books ---- */

static void check_one(const char *name, uint64_t counted, uint64_t true_number)
{
	if (counted != true_number)
		sim_fail("%s is %llu and should be %llu", name, (unsigned long long)counted,
			 (unsigned long long)true_number);
}

static uint64_t rescued_by_reasons(struct stats *s)
{
	return counter_get(&s->rescued_silent) + counter_get(&s->rescued_unreachable)
	       + counter_get(&s->rescued_servfail) + counter_get(&s->rescued_refused)
	       + counter_get(&s->rescued_notauth) + counter_get(&s->rescued_lame)
	       + counter_get(&s->rescued_denied);
}

static void check_accounts(void)
{
	struct stats *s = &sim.stats;

	check_one("queries_udp", counter_get(&s->queries_udp), sim.asked[0]);
	check_one("queries_tcp", counter_get(&s->queries_tcp), sim.asked[1]);
	check_one("answers_primary", counter_get(&s->answers_primary), sim.by_primary);
	check_one("answers_backend", counter_get(&s->answers_backend), sim.by_backend);
	check_one("answers_mirror", counter_get(&s->answers_mirror),
		  sim.by_us[RCODE_NOERROR] + sim.by_us[RCODE_NXDOMAIN]);
	check_one("answers_refused", counter_get(&s->answers_refused), sim.by_us[RCODE_REFUSED]);
	check_one("answers_servfail", counter_get(&s->answers_servfail), sim.by_us[RCODE_SERVFAIL]);
	check_one("answers_error", counter_get(&s->answers_error), sim.acknowledged);
	check_one("dropped_malformed", counter_get(&s->dropped_malformed), sim.asked[2]);
	check_one("rescued, by reasons", rescued_by_reasons(s), counter_get(&s->rescued));
	check_one("queries in the table", inflight_query_count(sim.dispatch->inflight), sim.open_count);
}

static void check_silence(void)
{
	while (sim.oldest != sim.next_query && !sim.queries[sim.oldest % SIM_OPEN_MAX].is_open)
		sim.oldest++;
	if (sim.oldest == sim.next_query)
		return;
	const struct sim_query *q = &sim.queries[sim.oldest % SIM_OPEN_MAX];

	if (sim.now_us - q->asked_us > bound_us(q) + GRAIN_US && sim.now_us >= sim.held_until_us)
		sim_fail("query %u, asked at %.6f, has no answer", q->serial, (double)q->asked_us / 1e6);
}

void sim_check_turn(void)
{
	if (sim.has_failed || sim.now_us < sim.held_until_us)
		return;
	check_silence();
	check_accounts();
}

void sim_check_end(void)
{
	check_accounts();
	check_one("open queries", sim.open_count, 0);
	check_one("slots in use", inflight_query_count(sim.dispatch->inflight), 0);
	for (unsigned i = 0; i < sim.server_count; i++) {
		const struct sim_server *s = &sim.servers[i];

		check_one("outstanding", sim.dispatch->balance.views[s->backend->index].outstanding, 0);
		if (!list_is_empty(&sim.dispatch->attempts_of[s->backend->index]))
			sim_fail("an attempt at %s was never ended", s->name);
	}
	if (wheel_next_us(&sim.dispatch->wheel) != UINT64_MAX)
		sim_fail("a deadline is left in the wheel");
}

/* ---- Health ---- */

/*
 * The gate: it comes back with nothing older than what the mirror serves, or not for that zone. An
 * expired mirror serves nothing: then old data is better than none. Nobody sees that it was started
 * anew between two good probes; with the first of them its SOA was right.
 */
static void check_gate(const struct sim_server *s, const struct watched *b)
{
	bool is_news = sim.now_us <= s->serial_us + b->rules.interval_us + NEWS_US;

	for (unsigned z = 0; z < SIM_ZONES && sim.has_mirror && !is_news; z++)
		if (sim.zones[z].servable_us != UINT64_MAX && s->serials[z] < sim.zones[z].serial &&
		    !gates_hold(b, z) && b->health.order != ORDER_UP)
			sim_fail("%s came back with serial %u of zone %u, the mirror has %u", s->name,
				 s->serials[z], z, sim.zones[z].serial);
}

/* The mirror or the primary knows of something newer. */
bool sim_server_is_behind(const struct sim_server *s)
{
	for (unsigned z = 0; z < SIM_ZONES; z++)
		if ((sim.has_mirror && sim.zones[z].slot.current && s->serials[z] < sim.zones[z].serial)
		    || s->serials[z] < sim.servers[0].serials[z])
			return true;
	return false;
}

static uint64_t longest_stay(const struct watched *b)
{
	const struct health_rules *r = &b->rules;

	switch (b->health.state) {
	case HEALTH_DOWN:	return (health_rise(&b->health, r) + 8) * r->interval_us + 3 * US_PER_S;
	case HEALTH_PROBATION:	return r->slow_start_us + 3 * US_PER_S;
	case HEALTH_SUSPECT:	return 2 * r->interval_us + 3 * US_PER_S;
	case HEALTH_UP:		break;
	}
	return UINT64_MAX / 2;
}

/* Nobody in these worlds leads back to us, whatever replies are lost, late or garbage. */
static void check_guard(const struct sim_server *s, const struct watched *b)
{
	if (b->health.is_looping)
		sim_fail("%s was called a loop", s->name);
}

/* Who is well is taken back, and who is dead is taken out, in time. */
static void check_pace(const struct sim_server *s, const struct watched *b)
{
	const struct health_rules *r = &b->rules;
	uint64_t calm = latest(latest(sim.ordered_us, s->serial_us), sim.held_until_us);
	uint64_t dead_bound = 2 * r->interval_us + (r->fall + 2) * r->timeout_us + 2 * US_PER_S;

	for (unsigned z = 0; z < SIM_ZONES; z++)
		calm = latest(calm, sim.zones[z].serial_us);
	if (sim.lacks_descriptors)
		return;
	if (sim_server_is_well(s) && !sim_server_is_behind(s)) {
		uint64_t since = latest(latest(s->well_us[0], s->well_us[1]),
					latest(calm, b->health.since_us));

		if (sim.now_us > since + longest_stay(b))
			sim_fail("%s is well since %.3f and still %s (udp %u/%u tcp %u/%u good/bad, rise %u)", s->name,
				 (double)since / 1e6, health_state_text(b->health.state), b->health.udp.good,
				 b->health.udp.bad, b->health.tcp.good, b->health.tcp.bad, health_rise(&b->health, r));
	}
	if (s->dead_us != UINT64_MAX && b->health.state != HEALTH_DOWN
	    && sim.now_us > latest(s->dead_us, calm) + dead_bound)
		sim_fail("%s is dead since %.3f and still %s", s->name, (double)s->dead_us / 1e6,
			 health_state_text(b->health.state));
}

static void check_backend(struct sim_server *s)
{
	const struct watched *b = sim.watch->by_index[s->backend->index];
	bool is_fit = atomic_load(&s->backend->share) > 0;

	if (!b) {
		s->fit_us = UINT64_MAX;
		s->state = HEALTH_UP;
		return;
	}
	if (!is_fit)
		s->fit_us = UINT64_MAX;
	else if (s->fit_us == UINT64_MAX)
		s->fit_us = sim.now_us;
	if (b->health.order == ORDER_AUTO && s->told != b->health.state)
		sim_fail("%s is %s, and the log says %s", s->name, health_state_text(b->health.state),
			 health_state_text((enum health_state)s->told));
	if (s->state == HEALTH_DOWN && b->health.state != HEALTH_DOWN)
		check_gate(s, b);
	if (s->state != HEALTH_DOWN && b->health.state == HEALTH_DOWN)
		s->down_us = sim.now_us;
	s->state = b->health.state;
	check_pace(s, b);
	check_guard(s, b);
}

/* It ends by itself. */
static void check_drill(void)
{
	const struct watched_pool *p = &sim.watch->pools[0];

	if (p->drill.percent == 0)
		sim.drill_until_us = 0;
	else if (sim.now_us > latest(sim.drill_until_us, sim.held_until_us) + US_PER_S)
		sim_fail("a drill should have ended at %.3f", (double)sim.drill_until_us / 1e6);
	check_one("the drill's share", atomic_load(&sim.plan->pools[0].drill->percent), p->drill.percent);
}

void sim_check_watch(void)
{
	unsigned tier = sim.watch->pools[0].tier;

	for (unsigned i = 0; i < sim.server_count; i++)
		check_backend(&sim.servers[i]);
	if (tier != sim.tier && sim.takeovers == sim.takeovers_seen)
		sim_fail("tier %u serves instead of %u, and no line says so", tier, sim.tier);
	check_drill();
	sim.tier = tier;
	sim.takeovers_seen = sim.takeovers;
}

/* ---- The log ---- */

static const struct { const char *event; enum health_state state; } changes[] = {
	{ "event=backend_up ", HEALTH_UP }, { "event=backend_suspect ", HEALTH_SUSPECT },
	{ "event=backend_down ", HEALTH_DOWN }, { "event=backend_probation ", HEALTH_PROBATION },
};

static void check_detection(const struct sim_server *s, const char *line)
{
	const char *at = strstr(line, "detect_ms=");
	uint64_t ms = at ? strtoull(at + 10, NULL, 10) : 0;
	const struct watched *b = sim.watch->by_index[s->backend->index];

	/* Silence without a doubt since before the first evidence, and nobody held us up. */
	if (s->dead_us != UINT64_MAX && sim.now_us - s->dead_us >= ms * US_PER_MS
	    && b->health.rtt_us < NEAR_US && sim.now_us > sim.held_until_us + US_PER_S
	    && sim.now_us > sim.ordered_us + 5 * US_PER_S && ms > DETECT_MS)
		sim_fail("%s was judged after %llu ms", s->name, (unsigned long long)ms);
}

/* Servers of one serial say the same: but who denies, and where the gate is lied to about serials. */
static void check_divergence(const struct sim_server *s, const char *line, size_t len)
{
	if (sim.now_us > s->denied_us + 60 * US_PER_S && sim.now_us > s->changed_us + 5 * US_PER_S
	    && sim.breach != BREACH_GATE_OPEN)
		sim_fail("a false alarm: %.*s", (int)len - 1, line);
}

void sim_hear(const char *line, size_t len, void *arg)
{
	const char *name = strstr(line, "backend=ns");

	(void)arg;
	sim.tally.lines++;
	if (name && strncmp(line, "event=divergence ", 17) == 0)
		check_divergence(&sim.servers[(name[10] - '1') % SIM_SERVERS], line, len);
	sim_say("%.*s", (int)len - 1, line);
	if (strncmp(line, "event=failover ", 15) == 0 || strncmp(line, "event=failback ", 15) == 0)
		sim.takeovers++;
	for (unsigned i = 0; name && i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct sim_server *s = &sim.servers[(name[10] - '1') % SIM_SERVERS];

		if (strncmp(line, changes[i].event, strlen(changes[i].event)) != 0)
			continue;
		if (sim.breach == BREACH_SILENT_CHANGE && sim_percent(5))
			return;
		s->told = changes[i].state;
		if (changes[i].state == HEALTH_DOWN)
			check_detection(s, line);
	}
}
