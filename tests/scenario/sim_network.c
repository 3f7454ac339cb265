/* SPDX-License-Identifier: ISC */
/*
 * Stands where upstream_udp.c and upstream_tcp.c stand: the same sockets' lives, the same
 * connections, the same words to dispatch when they fail; and the wire behind them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/clock.h"
#include "cache/wire.h"
#include "tests/scenario/sim.h"

enum {
	MESSAGES_MAX = 8192,
	SOCKET_LIFE_US = 1000000, SOCKET_LINGER_US = 2500000,	/* as in upstream_udp.c */
	PIPELINE_GOAL = 16, IDLE_US = 3000000, CONNECT_US = 2000000, MUTE_US = 2000000,
	RESEND_US = 200000,		/* TCP: a lost segment comes so much later */
	SWEEP_US = 1000000,
};

/* ---- Messages ---- */

static struct sim_message messages[MESSAGES_MAX];
static uint32_t first_free;

void sim_network_start(void)
{
	for (uint32_t i = 0; i < MESSAGES_MAX; i++)
		messages[i].next = i + 1 < MESSAGES_MAX ? i + 1 : SIM_NOBODY;
	first_free = 0;
	for (unsigned s = 0; s < SIM_SERVERS; s++) {
		sim.servers[s].backlog = SIM_NOBODY;
		for (unsigned i = 0; i < SIM_CONNECTIONS; i++)
			sim.servers[s].connections[i].waiting = SIM_NOBODY;
	}
	sim.last_udp = 1;
}

uint32_t sim_message_new(void)
{
	uint32_t index = first_free;

	if (index == SIM_NOBODY)
		abort();
	first_free = messages[index].next;
	messages[index].next = SIM_NOBODY;
	messages[index].is_probe = false;
	return index;
}

struct sim_message *sim_message(uint32_t index)
{
	return &messages[index];
}

void sim_message_free(uint32_t index)
{
	messages[index].next = first_free;
	first_free = index;
}

/* ---- The wire ---- */

static uint64_t way_us(const struct sim_server *s)
{
	uint64_t way = s->way_us + s->ails.delay_us / 2;

	if (s->ails.has_creeping_delay)
		way += (sim.now_us - s->changed_us) / 200;
	if (s->ails.jitter_us)
		way += sim_between(0, s->ails.jitter_us);
	return way + sim_between(0, s->way_us / 8 + 20);
}

/* UDP loses what is lost; TCP sends it again. */
static bool is_lost(unsigned percent, bool is_tcp, uint64_t *way)
{
	for (; percent && sim_percent(percent); *way += RESEND_US)
		if (!is_tcp || *way > 8 * RESEND_US)
			return true;
	return false;
}

void sim_to_server(uint32_t index)
{
	struct sim_message *m = sim_message(index);
	const struct sim_server *s = &sim.servers[m->server];
	uint64_t way = way_us(s);

	if (s->ails.is_gone || is_lost(s->ails.loss_in, m->is_tcp, &way)) {
		sim_message_free(index);
		return;
	}
	if (m->is_tcp && m->is_probe)
		way += 2 * way_us(s);		/* the handshake */
	sim_at(sim.now_us + way, EVENT_AT_SERVER, index, 0);
}

void sim_to_us(uint32_t index, uint64_t delay_us)
{
	struct sim_message *m = sim_message(index);
	const struct sim_server *s = &sim.servers[m->server];
	uint64_t way = way_us(s) + delay_us;

	if (s->ails.is_gone || is_lost(s->ails.loss_out, m->is_tcp, &way)) {
		sim_message_free(index);
		return;
	}
	sim_at(sim.now_us + way, EVENT_AT_US, index, 0);
}

/* ---- UDP sockets ---- */

static uint32_t udp_socket(struct sim_server *s)
{
	struct sim_socket *now = &s->sockets[0];

	if (now->serial && sim.now_us - now->born_us <= SOCKET_LIFE_US)
		return now->serial;
	if (sim.lacks_descriptors)
		return now->serial;
	memmove(&s->sockets[1], &s->sockets[0], sizeof(s->sockets[0]) * (SIM_SOCKETS - 1));
	s->sockets[1].close_us = sim.now_us + SOCKET_LINGER_US;
	sim.last_udp += 2;
	*now = (struct sim_socket){ sim.last_udp, sim.now_us, UINT64_MAX };
	return now->serial;
}

static bool is_udp_open(const struct sim_server *s, uint32_t serial)
{
	for (unsigned i = 0; i < SIM_SOCKETS; i++)
		if (s->sockets[i].serial == serial)
			return sim.now_us <= s->sockets[i].close_us;
	return false;
}

/* ---- TCP connections ---- */

static struct sim_connection *connection_of(struct sim_server *s, uint32_t serial)
{
	for (unsigned i = 0; serial && i < SIM_CONNECTIONS; i++)
		if (s->connections[i].serial == serial)
			return &s->connections[i];
	return NULL;
}

/* The server's answer to our SYN. */
static void handshake(const struct sim_server *s, uint32_t serial)
{
	uint64_t way = 2 * way_us(s);

	if (s->ails.is_gone || is_lost((s->ails.loss_in + s->ails.loss_out) / 2, true, &way))
		return;
	if (s->ails.is_killed || s->ails.tcp == TCP_REFUSES)
		sim_at(sim.now_us + way, EVENT_CONNECT_FAILED, s->index, serial);
	else	/* a frozen server's kernel still accepts */
		sim_at(sim.now_us + way, EVENT_CONNECTED, s->index, serial);
}

static struct sim_connection *connection_open(struct sim_server *s, struct sim_connection *c)
{
	sim.last_tcp += 2;
	*c = (struct sim_connection){
		.serial = sim.last_tcp, .begun_us = sim.now_us, .used_us = sim.now_us, .waiting = SIM_NOBODY,
	};
	handshake(s, c->serial);
	if (!sim.sweeps)
		sim_at(sim.now_us + SWEEP_US, EVENT_SWEEP, 0, 0);
	sim.sweeps = true;
	return c;
}

static struct sim_connection *choose_connection(struct sim_server *s)
{
	struct sim_connection *best = NULL, *vacant = NULL;

	for (unsigned i = 0; i < SIM_CONNECTIONS; i++) {
		struct sim_connection *c = &s->connections[i];

		if (!c->serial)
			vacant = c;
		else if (!best || c->owed < best->owed)
			best = c;
	}
	if (!vacant || sim.lacks_descriptors || (best && best->owed < PIPELINE_GOAL))
		return best;
	return connection_open(s, vacant);
}

static void connection_end(struct sim_connection *c)
{
	while (c->waiting != SIM_NOBODY) {
		uint32_t index = c->waiting;

		c->waiting = sim_message(index)->next;
		sim_message_free(index);
	}
	c->serial = 0;
}

void sim_connected(unsigned server, uint32_t serial)
{
	struct sim_connection *c = connection_of(&sim.servers[server], serial);

	if (!c || c->is_open)
		return;
	c->is_open = true;
	c->opened_us = sim.now_us;
	while (c->waiting != SIM_NOBODY) {
		uint32_t index = c->waiting;

		c->waiting = sim_message(index)->next;
		sim_to_server(index);
	}
}

void sim_connect_failed(unsigned server, uint32_t serial)
{
	struct sim_server *s = &sim.servers[server];
	struct sim_connection *c = connection_of(s, serial);

	if (!c)
		return;
	connection_end(c);
	dispatch_connection_refused(sim.dispatch, s->backend->index);
}

void sim_closed(unsigned server, uint32_t serial)
{
	struct sim_server *s = &sim.servers[server];
	struct sim_connection *c = connection_of(s, serial);
	uint64_t opened_us = c ? c->opened_us : 0;

	if (!c)
		return;
	connection_end(c);
	dispatch_connection_closed(sim.dispatch, s->backend->index, serial, opened_us);
}

static bool has_outlived_itself(const struct sim_connection *c)
{
	if (!c->is_open)
		return sim.now_us - c->begun_us > CONNECT_US;
	if (c->owed > 0 && sim.now_us - c->heard_us > MUTE_US)
		return true;
	return sim.now_us - c->used_us > IDLE_US;
}

void sim_sweep(void)
{
	sim.sweeps = false;
	for (unsigned i = 0; i < sim.server_count; i++)
		for (unsigned k = 0; k < SIM_CONNECTIONS; k++) {
			struct sim_connection *c = &sim.servers[i].connections[k];

			if (c->serial && has_outlived_itself(c))
				sim_closed(i, c->serial);
			sim.sweeps |= sim.servers[i].connections[k].serial != 0;
		}
	if (sim.sweeps)
		sim_at(sim.now_us + SWEEP_US, EVENT_SWEEP, 0, 0);
}

/* Its kernel resets what stood open. */
void sim_server_died(struct sim_server *s)
{
	for (unsigned k = 0; k < SIM_CONNECTIONS; k++)
		if (s->connections[k].serial)
			sim_at(sim.now_us + way_us(s), EVENT_CLOSED, s->index, s->connections[k].serial);
}

void sim_leave_server(struct sim_server *s)
{
	for (unsigned i = 0; i < SIM_SOCKETS; i++)
		s->sockets[i].serial = 0;
	for (unsigned k = 0; k < SIM_CONNECTIONS; k++)
		if (s->connections[k].serial)
			connection_end(&s->connections[k]);
	dispatch_backend_refused(sim.dispatch, s->backend->index);
}

/* ---- What dispatch asks for ---- */

static struct sim_server *server_of(unsigned backend)
{
	for (unsigned i = 0; i < sim.server_count; i++)
		if (sim.servers[i].backend->index == backend)
			return &sim.servers[i];
	abort();
}

static uint32_t message_of(const struct sim_server *s, const struct attempt *a,
			   const struct query *q)
{
	uint32_t index = sim_message_new();
	struct sim_message *m = sim_message(index);

	m->server = (uint8_t)s->index;
	m->is_tcp = a->is_tcp;
	m->socket = a->socket;
	m->len = q->len;
	memcpy(m->bytes, q->bytes, q->len);
	wire_put_u16(m->bytes, a->id);
	return index;
}

static uint16_t free_id(uint32_t socket)
{
	uint16_t id;

	do
		id = random_u16(&sim.dispatch->random);
	while (!inflight_is_id_free(sim.dispatch->inflight, socket, id));
	return id;
}

static bool send_tcp(struct sim_server *s, struct attempt *a, const struct query *q)
{
	struct sim_connection *c = choose_connection(s);
	uint32_t index;

	if (!c)
		return false;
	inflight_sent(sim.dispatch->inflight, a, c->serial, free_id(c->serial));
	c->used_us = sim.now_us;
	if (c->owed++ == 0)
		c->heard_us = sim.now_us;
	index = message_of(s, a, q);
	if (c->is_open) {
		sim_to_server(index);
	} else {
		sim_message(index)->next = c->waiting;
		c->waiting = index;
	}
	return true;
}

static bool network_send(void *shell, struct attempt *a, const struct query *q)
{
	struct sim_server *s = server_of(a->backend);
	uint32_t socket;

	(void)shell;
	if (a->is_tcp)
		return send_tcp(s, a, q);
	socket = udp_socket(s);
	if (!socket)
		return false;
	inflight_sent(sim.dispatch->inflight, a, socket, free_id(socket));
	sim_to_server(message_of(s, a, q));
	return true;
}

static void network_alarm(void *shell)
{
	(void)shell;
	watch_wake(sim.watch);
}

static void network_refresh(void *shell, struct mirror_zone *zone)
{
	(void)shell;
	mirror_refresh(NULL, zone);
}

static void network_suspect(void *shell, const struct suspicion *s)
{
	(void)shell;
	watch_suspect(sim.watch, 0, s);
}

static void network_newer(void *shell, const struct newer *n)
{
	(void)shell;
	watch_newer(sim.watch, 0, n);
}

static void network_note(void *shell, const struct notify_note *note)
{
	(void)shell;
	(void)note;
}

const struct dispatch_ops sim_ops = {
	.room = sim_room, .answer = sim_answer, .send = network_send, .alarm = network_alarm,
	.refresh = network_refresh, .note = network_note, .suspect = network_suspect,
	.newer = network_newer,
};

/* ---- What comes back ---- */

static void take_reply(struct sim_server *s, struct sim_message *m)
{
	struct sim_connection *c = m->is_tcp ? connection_of(s, m->socket) : NULL;
	uint8_t copy[SIM_MESSAGE_MAX];
	uint64_t late = counter_get(&sim.stats.replies_late);
	bool was_believed;

	if (m->is_tcp ? !c : !is_udp_open(s, m->socket))
		return;
	if (c)
		c->heard_us = sim.now_us;
	memcpy(copy, m->bytes, m->len);
	was_believed = dispatch_reply(sim.dispatch, m->socket, s->backend->index, copy, m->len);
	if (c && was_believed && c->owed > 0)
		c->owed--;
	if (sim.breach == BREACH_LATE_REPLY && counter_get(&sim.stats.replies_late) > late)
		sim_answer_again(m->bytes, m->len);
}

void sim_at_us(uint32_t index)
{
	struct sim_message *m = sim_message(index);

	if (m->is_probe)
		sim_probe_reply(m);
	else
		take_reply(&sim.servers[m->server], m);
	sim_message_free(index);
}

/* Nobody listens there: ICMP, or a reset of the probe's connection. */
void sim_icmp(uint32_t index)
{
	struct sim_message *m = sim_message(index);
	struct sim_server *s = &sim.servers[m->server];

	if (m->is_probe)
		sim_probe_refused(m, ECONNREFUSED);
	else if (is_udp_open(s, m->socket))
		dispatch_backend_refused(sim.dispatch, s->backend->index);
	sim_message_free(index);
}
