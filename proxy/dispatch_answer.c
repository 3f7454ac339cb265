/* SPDX-License-Identifier: ISC */
#include "cache/answer.h"
#include "cache/wire.h"
#include "proxy/dispatch_parts.h"

enum { UDP_ANSWER_MAX = DNS_EDNS_SIZE };	/* what we send by UDP at the most: RFC 9715 */

/* What we tell in OPT, and where the cookie among it stands. */
struct telling {
	struct edns_reply edns;
	uint8_t cookie[COOKIE_FULL_LEN];
};

static const struct edns_reply *tell(struct dispatch *d, const struct asked *asked,
				     struct telling *t)
{
	t->edns = (struct edns_reply){ 0 };
	if (asked->message.edns.cookie_len > 0) {
		cookie_make(d->cookies, asked->message.edns.cookie, &asked->client->address.sa, d->wall_s,
			    t->cookie);
		t->edns.cookie = t->cookie;
	}
	return &t->edns;
}

void dispatch_answer_short(struct dispatch *d, const struct asked *asked, enum dns_rcode rcode)
{
	uint8_t *out = d->ops->room(d->shell, asked->client, DNS_HEADER_LEN);
	size_t len = message_reply_short(&asked->message, rcode, out);

	d->ops->answer(d->shell, asked->client, out, len);
}

static void answer_error(struct dispatch *d, const struct asked *asked, enum dns_rcode rcode,
			enum dns_ede ede)
{
	struct telling t;
	uint8_t *out = d->ops->room(d->shell, asked->client, DNS_UDP_MAX);
	size_t len = message_reply_error(&asked->message, asked->packet, rcode, ede,
					 tell(d, asked, &t), out, DNS_UDP_MAX);

	d->ops->answer(d->shell, asked->client, out, len);
}

void dispatch_refuse(struct dispatch *d, const struct asked *asked, enum dns_ede ede)
{
	counter_add(&d->stats->answers_refused, 1);
	answer_error(d, asked, RCODE_REFUSED, ede);
}

/* ---- The end of a query: each has exactly one ---- */

void dispatch_end_query(struct dispatch *d, struct query *q)
{
	wheel_del(&d->wheel, &q->give_up);
	if (q->was_rescued)
		counter_add(&d->stats->rescued, 1);
	inflight_end_query(d->inflight, q);
}

static size_t answer_limit(const struct asked *asked)
{
	size_t limit;

	if (asked->client->is_tcp)
		return DNS_MESSAGE_MAX;
	limit = message_udp_limit(&asked->message);
	return limit < UDP_ANSWER_MAX ? limit : UDP_ANSWER_MAX;
}

/* An alias leads to another zone: its mirror answers, whoever else is up. */
static const struct generation *find_generation(void *dispatch, const uint8_t *name,
						const struct name_key *key, uint16_t type)
{
	struct dispatch *d = dispatch;
	const struct plan_zone *zone = plan_find_for(d->plan, name, key, type);

	return zone && zone->mirror ? mirror_zone_servable(zone->mirror) : NULL;
}

void dispatch_answer_mirror(struct dispatch *d, const struct asked *asked)
{
	struct telling t;
	struct answer_zones zones = { find_generation, d };
	struct answer_ask ask = {
		.zone = asked->generation, .query = &asked->message, .packet = asked->packet,
		.key = &asked->key, .edns = tell(d, asked, &t),
		.limit = answer_limit(asked), .is_tcp = asked->client->is_tcp,
		.zones = &zones, .hasher = d->hasher,
	};

	counter_add(&d->stats->answers_mirror, 1);
	if (asked->verdict == MESSAGE_BADVERS) {
		answer_error(d, asked, RCODE_BADVERS, EDE_NONE);
	} else {
		uint8_t *out = d->ops->room(d->shell, asked->client, ask.limit);
		size_t len;

		nsec3_hasher_begin(d->hasher, d->now_us);
		len = answer_write(&ask, out);

		d->ops->answer(d->shell, asked->client, out, len);
	}
	if (asked->query)
		dispatch_end_query(d, asked->query);
}

/* What RFC 8914 s.4 calls the reason why nobody answers. */
static enum dns_ede ede_of(const struct plan_zone *zone, enum failure why)
{
	if (zone && zone->mirror && !rcu_read(zone->mirror->current))
		return EDE_NOT_READY;		/* never transferred, nothing restored */
	if (zone && zone->mirror && !mirror_zone_servable(zone->mirror))
		return EDE_INVALID_DATA;	/* expired */
	if (why == FAILURE_BUSY)
		return EDE_OTHER;		/* it is us: in-flight is too small */
	return why == FAILURE_REFUSED ? EDE_NETWORK_ERROR : EDE_NO_REACHABLE_AUTHORITY;
}

void dispatch_give_up(struct dispatch *d, const struct asked *asked, enum failure why)
{
	counter_add(&d->stats->answers_servfail, 1);
	if (asked->message.opcode == OPCODE_QUERY)
		answer_error(d, asked, RCODE_SERVFAIL, ede_of(asked->zone, why));
	else
		dispatch_answer_short(d, asked, RCODE_NOTIMP);	/* nobody is there who knows this opcode */
	if (asked->query) {
		asked->query->was_rescued = false;
		dispatch_end_query(d, asked->query);
	}
}

/* A server sent more than this client takes (RFC 6891 s.6.2.3). What is signed is not touched. */
static bool is_too_long(const struct query *q, size_t len)
{
	struct message m;

	message_parse(q->bytes, q->len, &m);
	return len > message_udp_limit(&m) && !m.is_signed;
}

static void deliver_truncated(struct dispatch *d, struct query *q, unsigned flags)
{
	enum dns_rcode rcode = flags & DNS_RCODE;
	uint8_t *out = d->ops->room(d->shell, &q->client, DNS_UDP_MAX);
	struct message m;
	size_t len;

	message_parse(q->bytes, q->len, &m);
	len = message_reply_error(&m, q->bytes, rcode, EDE_NONE, NULL, out, DNS_UDP_MAX);
	wire_put_u16(out + 2, (uint16_t)(wire_get_u16(out + 2) | DNS_TC | (flags & DNS_AA)));
	d->ops->answer(d->shell, &q->client, out, len);
}

void dispatch_deliver(struct dispatch *d, struct query *q, unsigned backend, uint8_t *reply,
		      size_t len)
{
	counter_add(d->is_primary[backend] ? &d->stats->answers_primary
					   : &d->stats->answers_backend, 1);
	if (!q->client.is_tcp && len > DNS_UDP_MAX && is_too_long(q, len)) {
		deliver_truncated(d, q, wire_get_u16(reply + 2));
	} else {
		reply[0] = q->bytes[0];
		reply[1] = q->bytes[1];
		d->ops->answer(d->shell, &q->client, reply, len);
	}
	dispatch_end_query(d, q);
}
