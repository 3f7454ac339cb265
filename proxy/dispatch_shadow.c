/* SPDX-License-Identifier: ISC */
/* dispatch_shadow - which answers of backends are compared with the mirror's, and what then. */
#include "proxy/dispatch_parts.h"

bool dispatch_wants_shadow(struct dispatch *d, const struct asked *asked)
{
	unsigned percent = asked->pool->conf->shadow_check;

	return percent > 0 && asked->generation && asked->verdict == MESSAGE_OK &&
	       shadow_is_comparable(&asked->message) && random_below(&d->chance, 100) < percent;
}

static void suspect(struct dispatch *d, const struct asked *asked, unsigned backend,
		    struct suspicion *s)
{
	s->backend = backend;
	s->type = asked->message.qtype;
	s->generation = asked->generation->number;
	s->serial = asked->generation->soa.serial;
	s->received_us = asked->query->received_us;
	memcpy(s->origin, asked->zone->origin, name_len(asked->zone->origin));
	memcpy(s->name, asked->message.qname, asked->message.qname_len);
	d->ops->suspect(d->shell, s);
}

void dispatch_shadow(struct dispatch *d, struct query *q, unsigned backend, const uint8_t *reply,
		     size_t len)
{
	struct suspicion s;
	struct asked asked;
	struct shadow_ask ask;
	enum shadow_verdict verdict;

	dispatch_recall(d, q, &asked);
	if (!asked.zone || !asked.generation)	/* a reload, or it expired in the meantime */
		return;
	ask = (struct shadow_ask){
		.zone = asked.generation, .query = &asked.message, .packet = asked.packet,
		.key = &asked.key, .reply = reply, .len = len,
	};
	verdict = shadow_compare(d->shadow, &ask, &s.theirs, &s.ours);
	if (verdict == SHADOW_NOTHING)
		return;
	counter_add(&d->stats->shadow_compared, 1);
	if (verdict == SHADOW_SAME)
		return;
	counter_add(&d->stats->shadow_differed, 1);
	suspect(d, &asked, backend, &s);
}
