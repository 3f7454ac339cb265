/* SPDX-License-Identifier: ISC */
#include <assert.h>

#include "cache/answer.h"
#include "cache/chaos.h"
#include "cache/clock.h"
#include "cache/wire.h"
#include "proxy/dispatch_parts.h"

enum {
	UDP_ANSWER_MAX = DNS_EDNS_SIZE,	/* what we send by UDP at the most: RFC 9715 */
	KEEPALIVE_UNIT_US = 100000,	/* RFC 7828 s.3.1 */
	CHAOS_ROOM = 1024,		/* enough for the text and every option */
};

/* What we tell in OPT, and where the cookie among it stands. */
struct telling {
	struct edns_reply edns;
	uint8_t cookie[COOKIE_FULL_LEN];
};

static void tell_cookie(struct dispatch *d, const struct asked *asked, struct telling *t)
{
	const struct edns *edns = &asked->message.edns;
	bool is_good;

	if (edns->cookie_len == 0)
		return;
	is_good = cookie_renew(d->cookies, edns->cookie, edns->cookie_len, &asked->client->address.sa,
			       d->wall_s, t->cookie);
	if (edns->cookie_len > COOKIE_CLIENT_LEN)
		counter_add(is_good ? &d->stats->cookies_good : &d->stats->cookies_bad, 1);
	t->edns.cookie = t->cookie;
}

/* RFC 7828 s.3.3.2: on TCP only. */
static uint16_t keepalive_of(const struct conf *conf)
{
	uint64_t units = conf->tcp_idle_us / KEEPALIVE_UNIT_US;

	return (uint16_t)(units < UINT16_MAX ? units : UINT16_MAX);
}

/* What every answer of ours can tell. */
static const struct edns_reply *tell(struct dispatch *d, const struct asked *asked,
				     struct telling *t)
{
	const struct conf *conf = d->plan->conf;

	t->edns = (struct edns_reply){ .nsid = conf->nsid.bytes, .nsid_len = conf->nsid.len };
	if (asked->client->is_tcp)
		t->edns.keepalive = keepalive_of(conf);
	tell_cookie(d, asked, t);
	return &t->edns;
}

/* RFC 7314 s.3, RFC 9660 s.3.2: and what only the zone's answer can. */
static void tell_zone(struct dispatch *d, const struct asked *asked, struct telling *t)
{
	const struct edns *edns = &asked->message.edns;
	uint64_t expires_us;

	if (!edns->wants_expire && !edns->wants_zone_version)
		return;
	expires_us = atomic_load_explicit(&asked->zone->mirror->expires_us, memory_order_relaxed);
	t->edns.has_zone = true;
	t->edns.zone_labels = asked->generation->origin_labels;
	t->edns.zone_serial = asked->generation->soa.serial;
	if (expires_us > d->now_us)
		t->edns.zone_expire_s = (uint32_t)((expires_us - d->now_us) / US_PER_S);
}

void dispatch_answer_short(struct dispatch *d, const struct asked *asked, enum dns_rcode rcode)
{
	uint8_t *out = d->ops->room(d->shell, asked->client, DNS_HEADER_LEN);
	size_t len = message_reply_short(&asked->message, rcode, out);

	d->ops->answer(d->shell, asked->client, out, len);
}

void dispatch_answer_error(struct dispatch *d, struct asked *asked, enum dns_rcode rcode,
			   enum dns_ede ede)
{
	uint8_t *out = d->ops->room(d->shell, asked->client, 2 * DNS_UDP_MAX);
	struct telling t;
	size_t len;

	if (asked->verdict == MESSAGE_BADVERS) {
		rcode = RCODE_BADVERS;
		ede = EDE_NONE;
	}
	len = message_reply_error(&asked->message, asked->packet, rcode, ede, tell(d, asked, &t), out,
				  DNS_UDP_MAX);
	dispatch_send(d, asked, out, len, 2 * DNS_UDP_MAX);
}

void dispatch_refuse(struct dispatch *d, struct asked *asked, enum dns_ede ede)
{
	counter_add(&d->stats->answers_refused, 1);
	dispatch_answer_error(d, asked, RCODE_REFUSED, ede);
}

/* ---- The end of a query: each has exactly one ---- */

/* One for the sum and one for the reason. */
static void count_rescue(struct stats *s, enum failure why)
{
	counter *const reasons[] = {
		[FAILURE_SILENT] = &s->rescued_silent, [FAILURE_UNREACHABLE] = &s->rescued_unreachable,
		[FAILURE_SERVFAIL] = &s->rescued_servfail, [FAILURE_REFUSED] = &s->rescued_refused,
		[FAILURE_NOTAUTH] = &s->rescued_notauth, [FAILURE_LAME] = &s->rescued_lame,
		[FAILURE_DENIED] = &s->rescued_denied,
	};

	if (why == FAILURE_NONE)
		return;
	assert(why < FAILURE_BUSY);	/* who found no slot has no query */
	counter_add(&s->rescued, 1);
	counter_add(reasons[why], 1);
}

void dispatch_end_query(struct dispatch *d, struct query *q)
{
	wheel_del(&d->wheel, &q->give_up);
	count_rescue(d->stats, (enum failure)q->failure);
	inflight_end_query(d->inflight, q);
}

size_t dispatch_answer_limit(const struct asked *asked)
{
	size_t limit;

	if (asked->client->is_tcp)
		return DNS_MESSAGE_MAX;
	limit = message_udp_limit(&asked->message);
	return limit < UDP_ANSWER_MAX ? limit : UDP_ANSWER_MAX;
}

bool dispatch_answer_chaos(struct dispatch *d, struct asked *asked)
{
	const struct conf *conf = d->plan->conf;
	enum chaos_name what = chaos_asked(&asked->message);
	const char *text = what == CHAOS_IDENTITY ? conf->identity : conf->version;
	size_t limit = dispatch_answer_limit(asked);
	struct telling t;

	if (what == CHAOS_NONE || !*text)
		return false;
	counter_add(&d->stats->answers_error, 1);
	if (asked->verdict == MESSAGE_BADVERS) {
		dispatch_answer_error(d, asked, RCODE_BADVERS, EDE_NONE);
		return true;
	}
	limit = limit < CHAOS_ROOM ? limit : CHAOS_ROOM;

	uint8_t *out = d->ops->room(d->shell, asked->client, limit);

	d->ops->answer(d->shell, asked->client, out,
		       chaos_write(&asked->message, asked->packet, text, tell(d, asked, &t), out, limit));
	return true;
}

/* An alias leads to another zone: its mirror answers, whoever else is up. */
static const struct generation *find_generation(void *dispatch, const uint8_t *name,
						const struct name_key *key, uint16_t type)
{
	struct dispatch *d = dispatch;
	const struct plan_zone *zone = plan_find_for(d->plan, name, key, type);

	return zone && zone->mirror && !zone->catalog ? mirror_zone_servable(zone->mirror) : NULL;
}

static void answer_zone(struct dispatch *d, struct asked *asked)
{
	size_t cap = dispatch_answer_limit(asked);
	struct answer_zones zones = { find_generation, d };
	struct telling t;
	struct answer_ask ask = {
		.zone = asked->generation, .query = &asked->message, .packet = asked->packet,
		.key = &asked->key, .found = asked->is_found ? &asked->found : NULL,
		.edns = tell(d, asked, &t),
		.limit = dispatch_unsigned_limit(asked, cap), .is_tcp = asked->client->is_tcp,
		.zones = &zones, .hasher = d->hasher,
		.is_rotating = d->plan->conf->rrset_order == RRSET_ROTATE,
	};
	uint8_t *out = d->ops->room(d->shell, asked->client, cap);

	tell_zone(d, asked, &t);
	nsec3_hasher_begin(d->hasher, d->now_us);
	dispatch_send(d, asked, out, answer_write(&ask, out), cap);
}

static bool is_stale(const struct dispatch *d, const struct asked *asked)
{
	uint64_t stale_us = atomic_load_explicit(&asked->zone->mirror->stale_us, memory_order_relaxed);

	return (stale_us != 0 && d->now_us >= stale_us) ||
	       atomic_load_explicit(&asked->generation->is_stale, memory_order_relaxed);
}

void dispatch_answer_mirror(struct dispatch *d, struct asked *asked)
{
	d->mirror_answers = true;
	if (dispatch_verify(d, asked)) {
		counter_add(&d->stats->answers_mirror, 1);
		if (is_stale(d, asked))
			counter_add(&d->stats->answers_stale, 1);
		if (asked->verdict == MESSAGE_BADVERS)
			dispatch_answer_error(d, asked, RCODE_BADVERS, EDE_NONE);
		else
			answer_zone(d, asked);
	}
	if (asked->query)
		dispatch_end_query(d, asked->query);
}

enum dns_ede dispatch_ede_of(const struct plan_zone *zone, enum failure why)
{
	if (zone && zone->mirror && !rcu_read(zone->mirror->current))
		return EDE_NOT_READY;		/* never transferred, nothing restored */
	if (zone && zone->mirror && !mirror_zone_servable(zone->mirror))
		return EDE_INVALID_DATA;	/* expired */
	if (why == FAILURE_BUSY)
		return EDE_OTHER;		/* it is us: in-flight is too small */
	return why == FAILURE_UNREACHABLE ? EDE_NETWORK_ERROR : EDE_NO_REACHABLE_AUTHORITY;
}

static void end_unrescued(struct dispatch *d, struct asked *asked)
{
	if (!asked->query)
		return;
	asked->query->failure = FAILURE_NONE;
	dispatch_end_query(d, asked->query);
}

/* The mirror holds zones of class IN; of others it knows that it has none. */
static bool is_of_another_class(const struct asked *asked)
{
	return asked->message.opcode == OPCODE_QUERY && asked->zone &&
	       asked->zone->mirror && !dispatch_is_for_zones(&asked->message);
}

void dispatch_give_up(struct dispatch *d, struct asked *asked, enum failure why)
{
	if (is_of_another_class(asked)) {
		dispatch_refuse(d, asked, EDE_NOT_AUTHORITATIVE);
		end_unrescued(d, asked);
		return;
	}
	counter_add(&d->stats->answers_servfail, 1);
	if (asked->message.opcode == OPCODE_QUERY)
		dispatch_answer_error(d, asked, RCODE_SERVFAIL, dispatch_ede_of(asked->zone, why));
	else if (asked->message.edns.is_present)	/* nobody is there who knows this opcode, but */
		dispatch_answer_error(d, asked, RCODE_NOTIMP, EDE_NONE);	/* OPT is owed: RFC 6891 s.6.1.1 */
	else
		dispatch_answer_short(d, asked, RCODE_NOTIMP);
	end_unrescued(d, asked);
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
	if (q->is_shadowed)
		dispatch_shadow(d, q, backend, reply, len);
	dispatch_end_query(d, q);
}
