/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "proxy/tcp_parts.h"

enum { UNSENT_MAX = 65536 };	/* that the kernel keeps for a slow reader: more only fills memory */

static struct transfer *take_slot(struct tcp *t)
{
	for (unsigned i = 0; i < TCP_TRANSFERS_MAX; i++)
		if (!t->transfers[i].is_used)
			return &t->transfers[i];
	return NULL;
}

bool tcp_transfer(struct tcp *t, const struct client *to, const struct outgoing_ask *ask)
{
	struct connection *c = &t->connections[to->connection];
	struct transfer *transfer = take_slot(t);
	int unsent = UNSENT_MAX;

	assert(c->is_open && c->serial == to->connection_serial && !c->transfer);
	if (!transfer)
		return false;
	setsockopt(c->io.fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
	transfer->is_used = true;
	transfer->result = TRANSFER_CLOSED;	/* unless we learn of a better end, or a worse */
	transfer->started_us = t->dispatch->now_us;
	outgoing_begin(&transfer->outgoing, ask);
	c->transfer = transfer;
	return true;
}

size_t transfer_next(struct connection *c, uint8_t *out)
{
	struct dispatch *d = c->owner->dispatch;
	struct transfer *transfer = c->transfer;
	size_t len = outgoing_next(&transfer->outgoing, d->tsig, d->wall_s, out, DNS_MESSAGE_MAX);

	if (len == 0)
		transfer->result = TRANSFER_TOO_BIG;
	return len;
}

static void report(const struct connection *c)
{
	const struct transfer *transfer = c->transfer;
	const struct outgoing *o = &transfer->outgoing;
	struct dispatch *d = c->owner->dispatch;
	struct transfer_entry entry = {
		.client = { .len = sizeof(c->client.address) }, .is_signed = o->is_signed,
		.serial = o->zone->soa.serial, .kind = o->kind, .result = transfer->result,
		.messages = o->messages, .records = o->records, .bytes = o->bytes,
		.duration_us = d->now_us - transfer->started_us,
	};

	memcpy(&entry.client.storage, &c->client.address, sizeof(c->client.address));
	memcpy(entry.origin, o->zone->origin, name_len(o->zone->origin));
	if (o->is_signed)
		memcpy(entry.key, o->key.name, sizeof(entry.key));
	transfer_log_put(c->owner->log, d->worker, &entry);
}

void transfer_end(struct connection *c)
{
	report(c);
	outgoing_end(&c->transfer->outgoing);
	c->transfer->is_used = false;
	c->transfer = NULL;
}
