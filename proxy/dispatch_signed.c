/* SPDX-License-Identifier: ISC */
#include "cache/wire.h"
#include "proxy/dispatch_parts.h"

/* NOTAUTH, and TSIG that says why: RFC 8945 s.5.2. */
static void answer_tsig_error(struct dispatch *d, struct asked *asked, enum tsig_error error)
{
	uint8_t *out = d->ops->room(d->shell, asked->client, 2 * DNS_UDP_MAX);
	size_t len = message_reply_error(&asked->message, asked->packet, RCODE_NOTAUTH, EDE_NONE,
					 NULL, out, DNS_UDP_MAX);

	len = tsig_server_put_error(d->tsig, &asked->session, error, out, len, 2 * DNS_UDP_MAX,
				    d->wall_s);
	d->ops->answer(d->shell, asked->client, out, len);
}

static enum tsig_error verify(struct dispatch *d, struct asked *asked)
{
	const struct conf *conf = d->plan->conf;
	enum tsig_error error = TSIG_MISSING;

	if (asked->message.is_signed)
		error = tsig_server_verify(d->tsig, conf->keys, conf->key_count, asked->packet,
					   asked->message.len, d->wall_s, &asked->session);
	asked->has_session = error == TSIG_OK;
	return error;
}

bool dispatch_is_by_key_of_ours(struct dispatch *d, struct asked *asked)
{
	return asked->has_session || verify(d, asked) == TSIG_OK;
}

bool dispatch_verify(struct dispatch *d, struct asked *asked)
{
	enum tsig_error error = asked->has_session ? TSIG_OK : verify(d, asked);

	if (error == TSIG_OK || error == TSIG_MISSING)	/* none; or SIG(0), which we do not speak */
		return true;
	counter_add(&d->stats->answers_error, 1);
	if (error == TSIG_MALFORMED)
		dispatch_answer_error(d, asked, RCODE_FORMERR, EDE_NONE);
	else
		answer_tsig_error(d, asked, error);
	return false;
}

size_t dispatch_unsigned_limit(const struct asked *asked, size_t limit)
{
	size_t tsig = asked->has_session ? tsig_server_room(&asked->session) : 0;

	return limit >= DNS_UDP_MAX + tsig ? limit - tsig : DNS_UDP_MAX;
}

/* RFC 8945 s.5.3: the question, TC and TSIG; the client asks again by TCP. */
static size_t put_truncated(struct dispatch *d, struct asked *asked, uint8_t *out, size_t cap)
{
	size_t len = message_reply_error(&asked->message, asked->packet, RCODE_NOERROR, EDE_NONE, NULL,
					 out, cap - tsig_server_room(&asked->session));

	wire_put_u16(out + 2, wire_get_u16(out + 2) | DNS_TC);
	return tsig_server_sign(d->tsig, &asked->session, out, len, cap, d->wall_s);
}

void dispatch_send(struct dispatch *d, struct asked *asked, uint8_t *out, size_t len, size_t cap)
{
	if (asked->has_session) {
		size_t signed_len = tsig_server_sign(d->tsig, &asked->session, out, len, cap,
						     d->wall_s);

		len = signed_len > 0 ? signed_len : put_truncated(d, asked, out, cap);
	}
	d->ops->answer(d->shell, asked->client, out, len);
}
