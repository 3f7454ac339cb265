/* SPDX-License-Identifier: ISC */
#include "cache/outgoing.h"
#include "cache/wire.h"
#include "proxy/dispatch_parts.h"

static bool is_allowed(const struct asked *asked)
{
	return asked->zone
	       && conf_allows(asked->zone->conf->allow_transfer, &asked->client->address.sa,
			      asked->has_session ? asked->session.key : NULL);
}

static bool is_zone_of_ours(const struct asked *asked)
{
	return asked->zone->mirror && asked->message.qclass == CLASS_IN
	       && name_is_equal(asked->zone->origin, asked->message.qname);
}

/* Of a catalog, which no client asks for, an unsigned one is a secondary's too. */
bool dispatch_is_refresh(struct dispatch *d, struct asked *asked)
{
	if (asked->message.qtype != TYPE_SOA || !asked->generation || !is_zone_of_ours(asked))
		return false;
	if (asked->message.is_signed ? !dispatch_is_by_key_of_ours(d, asked) : !asked->zone->catalog)
		return false;
	return is_allowed(asked);
}

static void answer_error(struct dispatch *d, struct asked *asked, enum dns_rcode rcode,
			 enum dns_ede ede)
{
	counter_add(rcode == RCODE_SERVFAIL ? &d->stats->answers_servfail
					    : &d->stats->answers_error, 1);
	dispatch_answer_error(d, asked, rcode, ede);
}

/* The reply as one message. 0: it is longer than this. */
static size_t put_whole(struct dispatch *d, const struct outgoing_ask *ask, uint8_t *out,
			size_t limit)
{
	struct outgoing o;
	size_t len;

	outgoing_begin(&o, ask);
	len = outgoing_next(&o, d->tsig, d->wall_s, out, limit);
	if (!outgoing_is_done(&o))
		len = 0;
	outgoing_end(&o);
	return len;
}

/* RFC 1995 s.2: over UDP all of it, or else the current SOA, which brings the client to TCP. */
static void answer_at_once(struct dispatch *d, struct asked *asked, struct outgoing_ask *ask)
{
	size_t limit = dispatch_answer_limit(asked);
	uint8_t *out = d->ops->room(d->shell, asked->client, limit);
	size_t len = put_whole(d, ask, out, limit);

	if (len == 0) {
		ask->serial = ask->zone->soa.serial;
		len = put_whole(d, ask, out, limit);
	}
	if (len == 0) {
		answer_error(d, asked, RCODE_SERVFAIL, EDE_OTHER);
		return;
	}
	counter_add(&d->stats->answers_mirror, 1);
	d->ops->answer(d->shell, asked->client, out, len);
}

static void begin(struct dispatch *d, struct asked *asked, struct outgoing_ask *ask)
{
	if (!asked->client->is_tcp || outgoing_kind_of(ask) == OUTGOING_SOA) {
		answer_at_once(d, asked, ask);
	} else if (d->ops->transfer(d->shell, asked->client, ask)) {
		counter_add(&d->stats->answers_mirror, 1);
		counter_add(&d->stats->transfers_out, 1);
	} else {
		answer_error(d, asked, RCODE_SERVFAIL, EDE_OTHER);	/* too many: it tries again */
	}
}

void dispatch_transfer(struct dispatch *d, struct asked *asked)
{
	struct outgoing_ask ask = {
		.zone = asked->generation, .packet = asked->packet, .len = asked->message.len,
		.is_ixfr = asked->message.qtype == TYPE_IXFR,
	};

	if (!dispatch_verify(d, asked))
		return;
	if (!is_allowed(asked)) {	/* strangers learn nothing more */
		dispatch_refuse(d, asked, EDE_PROHIBITED);
		return;
	}
	ask.session = asked->has_session ? &asked->session : NULL;
	if (asked->verdict == MESSAGE_BADVERS)
		answer_error(d, asked, RCODE_BADVERS, EDE_NONE);
	else if (!is_zone_of_ours(asked))
		answer_error(d, asked, RCODE_NOTAUTH, EDE_NOT_AUTHORITATIVE);
	else if (ask.len > OUTGOING_REQUEST_MAX || (!ask.is_ixfr && !asked->client->is_tcp)
		 || (ask.is_ixfr && !outgoing_request_serial(asked->packet, ask.len, &asked->message,
							     &ask.serial)))
		answer_error(d, asked, RCODE_FORMERR, EDE_NONE);	/* RFC 5936 s.4.2, RFC 1995 s.3 */
	else if (!ask.zone)
		answer_error(d, asked, RCODE_SERVFAIL, dispatch_ede_of(asked->zone, FAILURE_NONE));
	else
		begin(d, asked, &ask);
}
