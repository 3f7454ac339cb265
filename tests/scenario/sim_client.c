/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "cache/clock.h"
#include "cache/dns.h"
#include "cache/wire.h"
#include "tests/scenario/sim.h"

enum {
	CALM_ASK_US = 900000000,	/* between two queries when nothing happens */
	BURST_MAX = 40, BURST_PERCENT = 2,
	CLIENT_NET = 0x0a000000,
};

/* ---- Asking ---- */

static enum sim_question choose_question(void)
{
	static const struct { enum sim_question question; unsigned parts; } parts[] = {
		{ ASK_A, 62 }, { ASK_NONE, 14 }, { ASK_SOA, 10 }, { ASK_UNLISTED, 4 }, { ASK_AXFR, 3 },
		{ ASK_REPLY, 3 }, { ASK_CHAOS, 4 },
	};
	unsigned point = random_below(&sim.chance, 100), i = 0;

	while (point >= parts[i].parts)
		point -= parts[i++].parts;
	return parts[i].question;
}

static uint16_t type_of(enum sim_question question)
{
	return question == ASK_SOA || question == ASK_NOTIFY ? TYPE_SOA
	       : question == ASK_AXFR ? TYPE_AXFR : TYPE_A;
}

static void put_name(struct wire_out *o, const struct sim_query *q)
{
	uint8_t name[NAME_LEN_MAX];
	uint32_t cases = random_u32(&sim.chance);

	sim_question_name(q->question == ASK_NOTIFY ? ASK_SOA : q->question, q->zone, name);
	for (unsigned i = 0, at = 0; name[at]; at += name[at] + 1u)
		for (unsigned k = 1; k <= name[at]; k++, i++)
			if (cases & 1u << i % 32)
				name[at + k] ^= 0x20;
	wire_add_bytes(o, name, name_len(name));
}

static void write_query(struct sim_query *q)
{
	struct wire_out o = wire_into(q->bytes, sizeof(q->bytes));
	bool has_edns = sim_percent(60);
	unsigned flags = q->question == ASK_REPLY ? DNS_QR : sim_percent(10) ? DNS_RD : 0;

	if (q->question == ASK_NOTIFY)
		flags = OPCODE_NOTIFY << 11 | DNS_AA;
	wire_add_u16(&o, random_u16(&sim.chance));
	wire_add_u16(&o, (uint16_t)flags);
	wire_add_u16(&o, 1);
	wire_add_u32(&o, 0);
	wire_add_u16(&o, has_edns);
	put_name(&o, q);
	wire_add_u16(&o, type_of(q->question));
	wire_add_u16(&o, q->question == ASK_CHAOS ? CLASS_CH : CLASS_IN);
	q->question_end = (uint16_t)o.len;
	if (has_edns)
		wire_add_bytes(&o, "\0\0\51\4\320\0\0\0\0\0\0", 11);
	q->len = (uint16_t)o.len;
}

static struct sim_query *open_query(void)
{
	struct sim_query *q = &sim.queries[sim.next_query++ % SIM_OPEN_MAX];

	if (q->is_open)
		return NULL;
	*q = (struct sim_query){
		.is_open = true, .serial = ++sim.last_query, .zone = random_below(&sim.chance, SIM_ZONES),
		.is_tcp = sim_percent(15), .asked_us = sim.now_us, .held_us = sim.held_us,
		.plan = sim.plan->number,
	};
	sim.open_count++;
	return q;
}

/* As if nobody were marked as behind. */
static void ask_whoever_is_behind(const uint8_t *bytes, size_t len, const struct client *client)
{
	struct plan_targets held[SIM_ZONES];

	for (size_t i = 0; i < sim.plan->zone_count; i++) {
		held[i] = sim.plan->zones[i].held;
		for (unsigned t = 0; t < sim.plan->zones[i].pool->target_count; t++)
			plan_zone_hold(&sim.plan->zones[i], t, false);
	}
	dispatch_query(sim.dispatch, bytes, len, client);
	for (size_t i = 0; i < sim.plan->zone_count; i++)
		sim.plan->zones[i].held = held[i];
}

static void hand_over(struct sim_query *q, uint32_t from)
{
	struct client client = { .connection = (uint32_t)(q - sim.queries), .connection_serial = q->serial,
				 .is_tcp = q->is_tcp };
	uint64_t before = sim.allocations;
	bool is_silent = q->question == ASK_REPLY;

	client.address.v4.sin_family = AF_INET;
	client.address.v4.sin_port = htons((uint16_t)(1024 + client.connection));
	client.address.v4.sin_addr.s_addr = htonl(from);
	sim.asked[q->is_tcp]++;
	sim.tally.queries++;
	sim.dispatch->wall_s = (uint32_t)(clock_wall_us() / US_PER_S);
	if (sim.breach == BREACH_SERIAL_BACK)
		ask_whoever_is_behind(q->bytes, q->len, &client);
	else
		dispatch_query(sim.dispatch, q->bytes, q->len, &client);
	if (sim.allocations != before)
		sim_fail("memory was allocated for a query");
	if (is_silent && q->is_open) {		/* as it should be */
		q->is_open = false;
		sim.open_count--;
		sim.asked[2]++;
	}
}

static void ask_one(void)
{
	struct sim_query *q = open_query();

	if (!q)
		return;
	q->question = choose_question();
	write_query(q);
	hand_over(q, CLIENT_NET + 1);
}

void sim_ask(void)
{
	unsigned count = sim_percent(BURST_PERCENT) ? (unsigned)sim_between(2, BURST_MAX) : 1;
	bool is_busy = sim.now_us < sim.busy_until_us;

	for (unsigned i = 0; i < count && !sim.has_failed; i++)
		ask_one();
	sim.asks_busily = is_busy;
	sim_at(sim.now_us + sim_about(is_busy ? US_PER_S / sim.busy_rate : CALM_ASK_US), EVENT_ASK,
	       ++sim.ask_serial, 0);
}

void sim_notify(unsigned zone)
{
	struct sim_query *q = open_query();

	if (!q)
		return;
	q->question = ASK_NOTIFY;
	q->zone = zone;
	q->is_tcp = false;
	write_query(q);
	hand_over(q, ntohl(((const struct sockaddr_in *)(const void *)
			    &sim.servers[0].backend->address.storage)->sin_addr.s_addr));
}

/* ---- Hearing ---- */

uint8_t *sim_room(void *shell, const struct client *to, size_t want)
{
	(void)shell, (void)to, (void)want;
	if (sim.breach == BREACH_ALLOCATION) {
		void *volatile taken = malloc(16);

		free(taken);
	}
	return sim.room;
}

static struct sim_query *query_of(const struct client *to)
{
	return &sim.queries[to->connection % SIM_OPEN_MAX];
}

static void accept_answer(uint32_t slot, uint32_t serial, const uint8_t *bytes, size_t len)
{
	struct sim_query *q = &sim.queries[slot];

	if (!q->is_open || q->serial != serial) {
		sim_fail("a second answer to query %u", serial);
		return;
	}
	sim_check_answer(q, bytes, len);
	q->is_open = false;
	sim.open_count--;
}

static bool can_mirror(const struct sim_query *q)
{
	return sim.zones[q->zone].servable_us <= q->asked_us && q->question <= ASK_NONE;
}

static void change_counts(int mirror, int primary)
{
	counter_add(&sim.stats.answers_mirror, (uint64_t)mirror);
	counter_add(&sim.stats.answers_primary, (uint64_t)primary);
}

static void leak_slot(const struct sim_query *q)
{
	inflight_add_query(sim.dispatch->inflight, q->bytes, q->len, q->question_end, sim.now_us);
}

static void hold_back(const struct client *to, const uint8_t *bytes, size_t len)
{
	uint32_t index = sim_message_new();
	struct sim_message *m = sim_message(index);

	m->socket = to->connection;
	m->len = (uint16_t)len;
	memcpy(m->bytes, bytes, len);
	sim_at(sim.now_us + US_PER_S, EVENT_HELD_BACK, index, to->connection_serial);
}

void sim_held_back(uint32_t index, uint32_t serial)
{
	struct sim_message *m = sim_message(index);

	accept_answer(m->socket, serial, m->bytes, m->len);
	sim_message_free(index);
}

/* One answer in a hundred suffers what `sim.breach` says. True: it is dealt with. */
static bool breach_answer(const struct client *to, uint8_t *bytes, size_t len)
{
	const struct sim_query *q = query_of(to);
	bool is_ours = !(wire_get_u16(bytes + 2) & (DNS_RA | DNS_RCODE));

	if (sim.breach == BREACH_NONE || !sim_percent(1))
		return false;
	switch ((int)sim.breach) {
	case BREACH_ANSWER_LOST:
		return sim.now_us > q->asked_us;
	case BREACH_ANSWER_TWICE:
		accept_answer(to->connection, to->connection_serial, bytes, len);
		break;
	case BREACH_NOT_COUNTED:
		change_counts(is_ours ? -1 : 0, is_ours ? 0 : -1);
		break;
	case BREACH_WRONG_SOURCE:
		if (is_ours)
			change_counts(-1, 1);
		break;
	case BREACH_SERVFAIL:
		if (can_mirror(q))
			bytes[3] = (uint8_t)((bytes[3] & 0xf0) | RCODE_SERVFAIL);
		break;
	case BREACH_SLOW:
		if (len <= SIM_MESSAGE_MAX)
			hold_back(to, bytes, len);
		return len <= SIM_MESSAGE_MAX;
	case BREACH_SLOT_LEAK:
		leak_slot(q);
		break;
	case BREACH_WRONG_ANSWER:
		bytes[len > 13 ? 13 : 1] ^= 1;
		break;
	default:
		break;
	}
	return false;
}

void sim_answer(void *shell, const struct client *to, const uint8_t *bytes, size_t len)
{
	static uint8_t copy[DNS_MESSAGE_MAX];

	(void)shell;
	memcpy(copy, bytes, len);
	if (!breach_answer(to, copy, len))
		accept_answer(to->connection, to->connection_serial, copy, len);
}

/* BREACH_LATE_REPLY: a reply that nobody waits for goes out to whoever asked last. */
void sim_answer_again(const uint8_t *bytes, size_t len)
{
	(void)bytes, (void)len;
	for (unsigned i = 0; i < SIM_OPEN_MAX; i++) {
		const struct sim_query *q = &sim.queries[(sim.next_query - 1 - i) % SIM_OPEN_MAX];

		if (q->serial && !q->is_open) {
			accept_answer((uint32_t)(q - sim.queries), q->serial, bytes, len);
			return;
		}
	}
}
