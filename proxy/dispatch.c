/* SPDX-License-Identifier: ISC */
#include "proxy/dispatch_parts.h"

#include <stdlib.h>
#include <string.h>

#include "cache/memory.h"

struct dispatch *dispatch_new(const struct dispatch_ops *ops, void *shell, unsigned worker,
			      size_t in_flight, const uint8_t cookie_secret[COOKIE_SECRET_LEN],
			      struct stats *stats, uint64_t now_us)
{
	struct dispatch *d = memory_zeroed(1, sizeof(*d));

	d->ops = ops;
	d->shell = shell;
	d->worker = worker;
	d->stats = stats;
	d->now_us = now_us;
	d->inflight = inflight_new(in_flight);
	d->own_secret.count = 1;
	memcpy(d->own_secret.secrets[0], cookie_secret, COOKIE_SECRET_LEN);
	d->secrets = d->own_secret;
	d->cookies = cookie_maker_new(&d->secrets);
	d->hasher = nsec3_hasher_new();
	d->tsig = tsig_server_new();
	d->shadow = shadow_new();
	random_init(&d->random);
	random_init_seeded(&d->chance, random_u64(&d->random) | 1);
	wheel_init(&d->wheel, now_us);
	for (unsigned i = 0; i < BACKENDS_MAX; i++)
		list_init(&d->attempts_of[i]);
	return d;
}

void dispatch_free(struct dispatch *d)
{
	if (!d)
		return;
	inflight_free(d->inflight);
	cookie_maker_free(d->cookies);
	nsec3_hasher_free(d->hasher);
	tsig_server_free(d->tsig);
	shadow_free(d->shadow);
	explicit_bzero(d, sizeof(*d));	/* it held secrets */
	free(d);
}

static void use_secrets(struct dispatch *d, const struct conf *conf)
{
	const struct cookie_secrets *wanted =
		conf->cookie_secrets.count > 0 ? &conf->cookie_secrets : &d->own_secret;

	if (memcmp(wanted, &d->secrets, sizeof(d->secrets)) == 0)
		return;
	cookie_maker_free(d->cookies);
	d->secrets = *wanted;
	d->cookies = cookie_maker_new(&d->secrets);
}

/* A slot may have been another server's. */
static void meet(struct dispatch *d, const struct backend *b)
{
	struct balance_view *view = &d->balance.views[b->index];

	if (view->life != b->life)
		*view = (struct balance_view){ .outstanding = view->outstanding, .life = b->life };
}

static void use_pool(struct dispatch *d, const struct plan_pool *pool)
{
	for (unsigned i = 0; i < pool->target_count; i++) {
		const struct plan_target *t = &pool->targets[i];

		if (t->kind != TARGET_BACKEND)
			continue;
		meet(d, t->backend);
		d->is_primary[t->backend->index] |= t->is_primary;
	}
}

void dispatch_set_plan(struct dispatch *d, const struct plan *plan)
{
	d->plan = plan;
	use_secrets(d, plan->conf);
	memset(d->is_primary, 0, sizeof(d->is_primary));
	for (unsigned p = 0; p < plan->pool_count; p++)
		use_pool(d, &plan->pools[p]);
}

/* ---- A client asks ---- */

/* What would reach the primary with our address on it, and must not. */
static bool is_forbidden(const struct message *m)
{
	return m->opcode == OPCODE_UPDATE;
}

/* Nor these; but we have the zone ourselves. */
static bool is_transfer(const struct message *m)
{
	return m->opcode == OPCODE_QUERY && (m->qtype == TYPE_AXFR || m->qtype == TYPE_IXFR);
}

static void take_wellformed(struct dispatch *d, struct asked *asked)
{
	if (guard_is_likely(asked->message.qname) && dispatch_guard(d, asked))
		return;
	if (asked->message.qclass == CLASS_CH && dispatch_answer_chaos(d, asked))
		return;
	if (asked->message.opcode == OPCODE_NOTIFY)
		dispatch_notify(d, asked);
	else if (!asked->pool)
		dispatch_refuse(d, asked, EDE_NOT_AUTHORITATIVE);
	else if (is_forbidden(&asked->message))
		dispatch_refuse(d, asked, EDE_PROHIBITED);
	else if (is_transfer(&asked->message))
		dispatch_transfer(d, asked);
	else if (dispatch_is_refresh(d, asked))
		dispatch_answer_mirror(d, asked);
	else if (asked->zone && asked->zone->catalog)	/* nobody is told that it is here */
		dispatch_refuse(d, asked, EDE_NOT_AUTHORITATIVE);
	else {
		asked->is_shadowed = dispatch_wants_shadow(d, asked);
		dispatch_proceed(d, asked, FAILURE_NONE);
	}
}

/* False: it is at its end already. */
static bool begin_query(struct dispatch *d, const uint8_t *packet, size_t len,
			  const struct client *client, struct asked *asked)
{
	counter_add(client->is_tcp ? &d->stats->queries_tcp : &d->stats->queries_udp, 1);
	asked->packet = packet;
	asked->client = client;
	asked->query = NULL;
	asked->is_shadowed = false;
	asked->has_session = false;
	asked->is_guard = false;
	asked->is_found = false;
	asked->verdict = message_parse(packet, len, &asked->message);
	switch (asked->verdict) {
	case MESSAGE_OK:
	case MESSAGE_BADVERS:
		/* Garbage behind a message is not passed on; a signed one keeps every byte. */
		asked->len = asked->message.is_signed ? len : asked->message.len;
		dispatch_route(d, asked);
		return true;
	case MESSAGE_DROP:
		counter_add(&d->stats->dropped_malformed, 1);
		break;
	case MESSAGE_FORMERR:
	case MESSAGE_NOTIMP:
		counter_add(&d->stats->answers_error, 1);
		dispatch_answer_short(d, asked, asked->verdict == MESSAGE_FORMERR ? RCODE_FORMERR
										  : RCODE_NOTIMP);
		break;
	}
	return false;
}

void dispatch_query(struct dispatch *d, const uint8_t *packet, size_t len,
		    const struct client *client)
{
	struct asked asked;

	if (begin_query(d, packet, len, client, &asked))
		take_wellformed(d, &asked);
}

/* Looks up for all of them together what the mirror would look for, if it is the one that is asked. */
static void look_up(struct dispatch *d, struct asked *asked, unsigned count)
{
	struct tree_search searches[TREE_SIDE_BY_SIDE];
	unsigned n = 0;

	if (!d->mirror_answers || count < 2)
		return;
	for (unsigned i = 0; i < count; i++) {
		struct asked *a = &asked[i];
		struct tree_search *s = &searches[n];

		if (!a->generation)
			continue;
		s->tree = &a->generation->tree;
		s->key = &a->key;
		s->name = a->message.qname;
		s->name_len = a->message.qname_len;
		s->match = &a->found;
		a->is_found = true;
		n++;
	}
	tree_find_each(searches, n);
}

static void take_side_by_side(struct dispatch *d, const struct arrival *arrivals, unsigned count)
{
	struct asked asked[TREE_SIDE_BY_SIDE];
	unsigned n = 0;

	for (unsigned i = 0; i < count; i++) {
		const struct arrival *a = &arrivals[i];

		n += begin_query(d, a->packet, a->len, &a->client, &asked[n]);
	}
	look_up(d, asked, n);
	for (unsigned i = 0; i < n; i++)
		take_wellformed(d, &asked[i]);
}

void dispatch_queries(struct dispatch *d, const struct arrival *arrivals, unsigned count)
{
	for (unsigned n; count > 0; arrivals += n, count -= n) {
		n = count < TREE_SIDE_BY_SIDE ? count : TREE_SIDE_BY_SIDE;
		take_side_by_side(d, arrivals, n);
	}
}
