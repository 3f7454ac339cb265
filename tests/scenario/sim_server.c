/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "cache/clock.h"
#include "cache/dns.h"
#include "cache/wire.h"
#include "tests/scenario/sim.h"

enum { BACKLOG_MAX = 200 };

/* ---- How it is ---- */

/* Whether it answers by this transport as if nothing were amiss. */
static bool is_well_by(const struct sim_ails *a, bool is_tcp)
{
	struct sim_ails same = *a;

	same.twice = 0;			/* that harms nobody */
	if (is_tcp)
		same.is_udp_dead = same.is_truncating = false;
	else
		same.tcp = TCP_WELL;
	return memcmp(&same, &(struct sim_ails){ 0 }, sizeof(same)) == 0;
}

static bool is_dead(const struct sim_ails *a)
{
	return a->flap_us == 0 && (a->is_killed || a->is_frozen || a->is_gone || a->is_udp_dead
				   || (a->rcode && !a->only_zone_1));
}

bool sim_server_is_well(const struct sim_server *s)
{
	return s->well_us[0] != UINT64_MAX && s->well_us[1] != UINT64_MAX;
}

static void since(uint64_t *at, bool holds)
{
	if (!holds)
		*at = UINT64_MAX;
	else if (*at == UINT64_MAX)
		*at = sim.now_us;
}

static void thaw(struct sim_server *s)
{
	while (s->backlog != SIM_NOBODY) {
		uint32_t index = s->backlog;

		s->backlog = sim_message(index)->next;
		s->backlog_len--;
		sim_at_server(index);
	}
}

void sim_server_set(struct sim_server *s, const struct sim_ails *ails)
{
	bool dies = ails->is_killed && !s->ails.is_killed;

	s->ails = *ails;
	s->changed_us = sim.now_us;
	since(&s->well_us[0], is_well_by(ails, false));
	since(&s->well_us[1], is_well_by(ails, true));
	since(&s->dead_us, is_dead(ails));
	if (dies) {
		while (s->backlog != SIM_NOBODY) {
			uint32_t index = s->backlog;

			s->backlog = sim_message(index)->next;
			sim_message_free(index);
		}
		s->backlog_len = 0;
		sim_server_died(s);
	}
	if (!ails->is_frozen)
		thaw(s);
}

void sim_server_set_serial(struct sim_server *s, unsigned zone, uint32_t serial)
{
	s->serials_before[zone] = s->serials[zone];
	s->serial_before_us = s->serial_us;
	s->serials[zone] = serial;
	s->serial_us = sim.now_us;
	sim_say("%s has zone %u serial %u", s->name, zone, serial);
}

/* ---- What it says ---- */

void sim_question_name(enum sim_question question, unsigned zone, uint8_t name[NAME_LEN_MAX])
{
	static const char *const names[][SIM_ZONES] = {
		[ASK_A] = { "\3www\7example\3com", "\3www\3sub\7example\3net" },
		[ASK_SOA] = { "\7example\3com", "\3sub\7example\3net" },
		[ASK_NONE] = { "\4nope\7example\3com", "\4nope\3sub\7example\3net" },
		[ASK_UNLISTED] = { "\3www\7example\3org", "\7example\3net" },
	};
	const char *from = names[question <= ASK_UNLISTED ? question : ASK_A][zone];

	memcpy(name, from, strlen(from) + 1);
}

static bool find_question(const uint8_t *name, enum sim_question *question, unsigned *zone)
{
	uint8_t known[NAME_LEN_MAX];

	for (*zone = 0; *zone < SIM_ZONES; ++*zone)
		for (int q = ASK_A; q <= ASK_NONE; q++) {
			*question = (enum sim_question)q;
			sim_question_name(*question, *zone, known);
			if (name_is_equal(known, name))
				return true;
		}
	return false;
}

static void put_soa(struct wire_out *o, const uint8_t *origin, uint32_t serial)
{
	wire_add_bytes(o, origin, name_len(origin));
	wire_add_u16(o, TYPE_SOA);
	wire_add_u16(o, CLASS_IN);
	wire_add_u32(o, 300);
	wire_add_u16(o, 22);
	wire_add_u16(o, 0);
	wire_add_u32(o, serial);
	wire_add_bytes(o, "\0\0\16\20\0\0\2\130\0\11\72\200\0\0\0\74", 16);
}

static void put_a(struct wire_out *o, uint32_t serial)
{
	wire_add_bytes(o, "\300\14\0\1\0\1\0\0\1\54\0\4\12", 13);
	wire_add_u8(o, (uint8_t)(serial >> 16));
	wire_add_u16(o, (uint16_t)serial);
}

static bool speaks_of(const struct sim_server *s, unsigned zone)
{
	return !s->ails.only_zone_1 || zone == 1;
}

/* RA marks what a server said, and AD who is no primary: dispatch passes both on. */
static unsigned mark_of(const struct sim_server *s)
{
	return DNS_QR | DNS_RA | (s->index == 0 ? 0 : DNS_AD);
}

static unsigned put_denial(struct sim_server *s, struct wire_out *o, unsigned zone, unsigned flags)
{
	s->denied_us = sim.now_us;
	if (s->ails.denies != 1)
		return flags;
	put_soa(o, sim.zones[zone].origin, s->serials[zone]);
	wire_put_u16(o->base + 8, 1);
	return flags | RCODE_NXDOMAIN;
}

/* Appends the answer to the question in `o`; returns the flags. */
static unsigned put_answer(struct sim_server *s, struct wire_out *o, bool is_tcp)
{
	enum sim_question question;
	unsigned zone, flags = mark_of(s) | DNS_AA;
	uint8_t *head = o->base;
	uint16_t type = wire_get_u16(head + o->len - 4);
	bool is_found;

	if (!find_question(head + DNS_HEADER_LEN, &question, &zone)
	    || wire_get_u16(head + o->len - 2) != CLASS_IN)
		return mark_of(s) | RCODE_REFUSED;
	if (s->ails.rcode && speaks_of(s, zone))
		return mark_of(s) | s->ails.rcode;
	if (s->ails.is_lame && speaks_of(s, zone))
		flags &= ~(unsigned)DNS_AA;
	if (s->ails.is_truncating && !is_tcp)
		return flags | DNS_TC;
	if (s->ails.denies && question == ASK_A && speaks_of(s, zone))
		return put_denial(s, o, zone, flags);
	is_found = (question == ASK_A && type == TYPE_A)
		   || (question == ASK_SOA && (type == TYPE_SOA || type == TYPE_NS));
	if (is_found && type == TYPE_A)
		put_a(o, s->serials[zone]);
	else if (is_found && type == TYPE_NS)
		wire_add_bytes(o, "\300\14\0\2\0\1\0\0\1\54\0\4\2ns", 16);
	else
		put_soa(o, sim.zones[zone].origin, s->serials[zone]);
	wire_put_u16(head + (is_found ? 6 : 8), 1);
	return flags | (question == ASK_NONE ? RCODE_NXDOMAIN : 0);
}

static void lie(const struct sim_server *s, struct sim_message *m)
{
	switch (s->ails.lie) {
	case LIE_NONE:		break;
	case LIE_WRONG_ID:	m->bytes[1] ^= (uint8_t)sim_between(1, 255); break;
	case LIE_WRONG_QUESTION: m->bytes[14] ^= 1; break;
	case LIE_CASE:		m->bytes[14] ^= 0x20; break;
	case LIE_CUT:		m->len = (uint16_t)(m->len - 3); break;
	case LIE_QR_CLEAR:	m->bytes[2] &= 0x7f; break;
	case LIE_GARBAGE:
		for (unsigned i = 2; i < m->len; i++)
			m->bytes[i] = (uint8_t)random_below(&sim.chance, 256);
		break;
	}
}

/* The question ends behind the first name: that is all that our queries have beside OPT. */
static void write_reply(struct sim_server *s, struct sim_message *m)
{
	struct wire_out o = wire_into(m->bytes, sizeof(m->bytes));
	size_t end = DNS_HEADER_LEN + name_len(m->bytes + DNS_HEADER_LEN) + 4;

	o.len = end;
	wire_put_u16(m->bytes + 8, 0);
	wire_put_u16(m->bytes + 10, 0);
	wire_put_u16(m->bytes + 2, (uint16_t)put_answer(s, &o, m->is_tcp));
	m->len = (uint16_t)o.len;
	lie(s, m);
}

/* ---- A query arrives ---- */

static bool is_overloaded(struct sim_server *s)
{
	if (s->ails.per_second == 0)
		return false;
	if (s->second != sim.now_us / US_PER_S) {
		s->second = sim.now_us / US_PER_S;
		s->answered = 0;
	}
	return s->answered++ >= s->ails.per_second;
}

static void reply(struct sim_server *s, uint32_t index)
{
	struct sim_message *m = sim_message(index);
	uint32_t socket = m->socket;
	bool is_tcp = m->is_tcp, is_probe = m->is_probe;

	write_reply(s, m);
	if (!is_tcp && s->ails.twice && sim_percent(s->ails.twice)) {
		uint32_t again = sim_message_new();

		*sim_message(again) = *m;
		sim_to_us(again, sim_between(0, 300000));
	}
	sim_to_us(index, 50);
	if (is_tcp && !is_probe && s->ails.tcp == TCP_CLOSES_EACH)
		sim_at(sim.now_us + 2 * s->way_us + 1000, EVENT_CLOSED, s->index, socket);
}

/* True when TCP itself fails. */
static bool breaks_tcp(struct sim_server *s, uint32_t index)
{
	struct sim_message *m = sim_message(index);

	switch (s->ails.tcp) {
	case TCP_WELL:
	case TCP_CLOSES_EACH:
		return false;
	case TCP_REFUSES:
	case TCP_RESETS:
		if (m->is_probe) {
			sim_at(sim.now_us + s->way_us, EVENT_ICMP, index, 0);
			return true;
		}
		sim_at(sim.now_us + s->way_us, EVENT_CLOSED, s->index, m->socket);
		break;
	case TCP_HANGS:
		break;
	}
	sim_message_free(index);
	return true;
}

static void at_killed(struct sim_server *s, uint32_t index)
{
	struct sim_message *m = sim_message(index);

	if (m->is_tcp && !m->is_probe) {	/* its connection has been reset */
		sim_at(sim.now_us + s->way_us, EVENT_CLOSED, s->index, m->socket);
		sim_message_free(index);
		return;
	}
	sim_at(sim.now_us + s->way_us, EVENT_ICMP, index, 0);
}

void sim_at_server(uint32_t index)
{
	struct sim_message *m = sim_message(index);
	struct sim_server *s = &sim.servers[m->server];

	if (s->ails.is_killed) {
		at_killed(s, index);
	} else if (s->ails.is_gone || (s->ails.is_udp_dead && !m->is_tcp) || is_overloaded(s)) {
		sim_message_free(index);
	} else if (m->is_tcp && breaks_tcp(s, index)) {
		return;
	} else if (s->ails.is_frozen && s->backlog_len < BACKLOG_MAX) {
		m->next = s->backlog;
		s->backlog = index;
		s->backlog_len++;
	} else if (s->ails.is_frozen) {
		sim_message_free(index);
	} else {
		reply(s, index);
	}
}
