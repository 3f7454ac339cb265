/* SPDX-License-Identifier: ISC */
#include "cache/wire.h"
#include "proxy/dispatch_parts.h"

enum sender {
	SENDER_STRANGER,
	SENDER_UNPROVEN,	/* a primary's address; but that primary has a key, and this is not by it */
	SENDER_PRIMARY,
};

static bool is_from(const struct asked *asked, const struct plan_target *t)
{
	struct address from = { .len = sizeof(asked->client->address) };

	memcpy(&from.storage, &asked->client->address, sizeof(asked->client->address));
	return address_is_same_host(&t->backend->address, &from);
}

/* Addresses can be forged, and servers may speak from others than theirs: a key says who it is. */
static enum sender sender_of(const struct asked *asked)
{
	const struct plan_pool *pool = asked->pool;
	enum sender sender = SENDER_STRANGER;

	for (unsigned i = 0; i < pool->target_count; i++) {
		const struct plan_target *t = &pool->targets[i];

		if (!t->is_primary)
			continue;
		if (t->key ? asked->has_session && asked->session.key == t->key : is_from(asked, t))
			return SENDER_PRIMARY;
		if (is_from(asked, t))
			sender = SENDER_UNPROVEN;
	}
	return sender;
}

static bool is_zone_of_ours(const struct asked *asked)
{
	return asked->zone && asked->zone->mirror && asked->message.qclass == CLASS_IN &&
	       name_is_equal(asked->zone->origin, asked->message.qname);
}

static void tell(struct dispatch *d, const struct asked *asked, bool is_refused)
{
	struct notify_note note = { .is_refused = is_refused };

	memcpy(note.origin, asked->zone->origin, name_len(asked->zone->origin));
	memcpy(&note.from.storage, &asked->client->address, sizeof(asked->client->address));
	note.from.len = sizeof(asked->client->address);
	d->ops->note(d->shell, &note);
}

static void acknowledge(struct dispatch *d, struct asked *asked)
{
	uint8_t *out = d->ops->room(d->shell, asked->client, 2 * DNS_UDP_MAX);
	size_t len = message_reply_error(&asked->message, asked->packet, RCODE_NOERROR, EDE_NONE,
					 NULL, out, DNS_UDP_MAX);

	wire_put_u16(out + 2, wire_get_u16(out + 2) | DNS_AA);
	dispatch_send(d, asked, out, len, 2 * DNS_UDP_MAX);
}

/* Whatever SOA it brings along: that is for the primary to say when it is asked. */
static void heed(struct dispatch *d, struct asked *asked)
{
	counter_add(&d->stats->answers_error, 1);
	counter_add(&d->stats->notify_heard, 1);
	d->ops->refresh(d->shell, asked->zone->mirror);
	if (asked->pool->conf->notify == NOTIFY_REPEAT)
		tell(d, asked, false);
	acknowledge(d, asked);
}

void dispatch_notify(struct dispatch *d, struct asked *asked)
{
	enum sender sender;

	if (!dispatch_verify(d, asked))
		return;
	sender = is_zone_of_ours(asked) ? sender_of(asked) : SENDER_STRANGER;
	if (sender == SENDER_UNPROVEN)
		tell(d, asked, true);
	if (sender != SENDER_PRIMARY || asked->verdict == MESSAGE_BADVERS) {
		dispatch_refuse(d, asked, EDE_PROHIBITED);
	} else if (asked->message.qtype != TYPE_SOA) {	/* no other is defined */
		counter_add(&d->stats->answers_error, 1);
		dispatch_answer_error(d, asked, RCODE_FORMERR, EDE_NONE);
	} else {
		heed(d, asked);
	}
}
