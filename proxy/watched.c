/* SPDX-License-Identifier: ISC */
#include "proxy/watched.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cache/clock.h"
#include "cache/dns.h"
#include "cache/event.h"
#include "cache/rdata.h"
#include "proxy/watch_gate.h"
#include "proxy/watch_guard.h"
#include "proxy/watch_shadow.h"

enum { TOLD_MAX = 50 };		/* failback_held and divergence of one backend, each minute */
#define TOLD_US	(60 * US_PER_S)

bool watched_mirror_serial(const struct plan_zone *z, uint32_t *serial)
{
	const struct generation *g = z->mirror ? rcu_read(z->mirror->current) : NULL;

	if (g)
		*serial = g->soa.serial;
	return g != NULL;
}

const char *watched_state_text(const struct watched *b)
{
	switch (b->health.order) {
	case ORDER_UP:		return "UP";
	case ORDER_DOWN:	return "DOWN";
	case ORDER_DRAIN:	return "DRAIN";
	case ORDER_AUTO:	break;
	}
	return health_state_text(b->health.state);
}

/* ---- Sentences ---- */

static const char *rcode_text(int rcode, char text[16])
{
	switch (rcode) {
	case RCODE_FORMERR:	return "FORMERR";
	case RCODE_SERVFAIL:	return "SERVFAIL";
	case RCODE_NXDOMAIN:	return "NXDOMAIN";
	case RCODE_NOTIMP:	return "NOTIMP";
	case RCODE_REFUSED:	return "REFUSED";
	case RCODE_NOTAUTH:	return "NOTAUTH";
	default:
		snprintf(text, 16, "rcode %d", rcode);
		return text;
	}
}

static uint64_t silent_of_late(const struct watched *b, unsigned transport)
{
	return b->seen.heard[transport].silent - b->before.heard[transport].silent;
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Names the transport when the other one was heard in the meantime. */
static void put_silence(const struct watched *b, uint64_t now, char text[WATCHED_TEXT_MAX])
{
	const struct hearing_sum *udp = &b->seen.heard[TRANSPORT_UDP];
	const struct hearing_sum *tcp = &b->seen.heard[TRANSPORT_TCP];
	uint64_t by_udp = silent_of_late(b, TRANSPORT_UDP), by_tcp = silent_of_late(b, TRANSPORT_TCP);
	bool is_tcp_alone = by_udp == 0 && udp->last_reply_us > tcp->first_silent_us;
	bool is_udp_alone = by_tcp == 0 && tcp->last_reply_us > udp->first_silent_us;
	uint64_t last_us = is_tcp_alone ? tcp->last_reply_us : is_udp_alone ? udp->last_reply_us
			   : later(udp->last_reply_us, tcp->last_reply_us);
	const char *where = is_tcp_alone ? " over TCP" : is_udp_alone ? " over UDP" : "";
	unsigned long long silent = by_udp + by_tcp;
	const char *s = silent == 1 ? "" : "s";

	if (last_us == 0 || last_us > now)
		snprintf(text, WATCHED_TEXT_MAX, "%llu attempt%s silent%s, no reply yet", silent, s,
			 where);
	else
		snprintf(text, WATCHED_TEXT_MAX, "%llu attempt%s silent%s, last reply %llu ms ago",
			 silent, s, where, (unsigned long long)(now - last_us) / US_PER_MS);
}

static void put_refusal(const struct watched *b, char text[WATCHED_TEXT_MAX])
{
	int error = b->bad.cause == CAUSE_REFUSED ? b->bad.error : ECONNREFUSED;

	snprintf(text, WATCHED_TEXT_MAX, "%s", error ? strerror(error) : "connection closed");
	text[0] = (char)tolower((unsigned char)text[0]);
}

static void put_probes(const struct watched *b, const char *what, char text[WATCHED_TEXT_MAX])
{
	snprintf(text, WATCHED_TEXT_MAX, "%u probe%s %s", b->bad_run, b->bad_run == 1 ? "" : "s",
		 what);
}

const char *watched_evidence(const struct watched *b, const struct health_change *c, uint64_t now,
			     char text[WATCHED_TEXT_MAX])
{
	char rcode[16], zone[NAME_TEXT_MAX];

	text[0] = '\0';
	switch (c->cause) {
	case CAUSE_SILENT:
		put_silence(b, now, text);
		break;
	case CAUSE_TIMEOUT:
		if (silent_of_late(b, TRANSPORT_UDP) + silent_of_late(b, TRANSPORT_TCP) > 0)
			put_silence(b, now, text);
		else
			put_probes(b, "timed out", text);
		break;
	case CAUSE_REFUSED:
		put_refusal(b, text);
		break;
	case CAUSE_RCODE:
		snprintf(text, WATCHED_TEXT_MAX, "%s to SOA of %.200s",
			 rcode_text(b->bad.rcode, rcode), b->bad_zone);
		break;
	case CAUSE_LAME:
		snprintf(text, WATCHED_TEXT_MAX, "no authority for %.200s", b->bad_zone);
		break;
	case CAUSE_MALFORMED:
		put_probes(b, "with malformed replies", text);
		break;
	case CAUSE_TCP:
		put_probes(b, "over TCP failed, UDP answers", text);
		break;
	case CAUSE_PROBES_GOOD:
		snprintf(text, WATCHED_TEXT_MAX, "%u probe%s good in a row", b->good_run,
			 b->good_run == 1 ? "" : "s");
		break;
	case CAUSE_SLOW_START_OVER:
		snprintf(text, WATCHED_TEXT_MAX, "no failure in %llu ms of slow start",
			 (unsigned long long)b->rules.slow_start_us / US_PER_MS);
		break;
	case CAUSE_OPERATOR:
		snprintf(text, WATCHED_TEXT_MAX, "ordered: %s", health_order_text(b->health.order));
		break;
	case CAUSE_LOOP:
		snprintf(text, WATCHED_TEXT_MAX, "our own question came back to us, for a name in %.180s",
			 guards_zone_text(b, zone));
		break;
	case CAUSE_NONE:
		break;
	}
	return text;
}

/* ---- Event lines ---- */

static const char *change_event(enum health_state to)
{
	switch (to) {
	case HEALTH_UP:		return "backend_up";
	case HEALTH_SUSPECT:	return "backend_suspect";
	case HEALTH_DOWN:	return "backend_down";
	case HEALTH_PROBATION:	return "backend_probation";
	}
	return "backend_up";
}

void watched_identify(struct event *e, const struct watched *b)
{
	char address[ADDRESS_TEXT_MAX];

	event_text(e, "backend", b->slot->name);
	event_text(e, "pool", b->slot->pool);
	event_text(e, "address", address_to_text(&b->slot->address, address));
}

void watched_tell(const struct watched *b, const struct health_change *c, uint64_t now)
{
	struct event e;
	char text[WATCHED_TEXT_MAX];

	event_begin(&e, c->to == HEALTH_DOWN ? EVENT_WARNING : EVENT_NOTICE, change_event(c->to));
	watched_identify(&e, b);
	event_text(&e, "from", health_state_text(c->from));
	event_text(&e, "cause", health_cause_text(c->cause));
	event_text(&e, "evidence", watched_evidence(b, c, now, text));
	event_number(&e, "detect_ms", c->detect_us / US_PER_MS);
	event_number(&e, "rescued", b->seen.rescued - b->before.rescued);
	if (c->to != HEALTH_SUSPECT)
		event_number(&e, "relapses", health_relapses(&b->health));
	event_end(&e);
}

/* Some dozens a minute: a primary that lost its disk has as many reasons as zones. */
static bool may_tell(struct watched *b, uint64_t now)
{
	if (b->told_us == 0 || now - b->told_us >= TOLD_US) {
		b->told_us = now;
		b->told = 0;
	}
	return b->told < TOLD_MAX && ++b->told;
}

bool watched_tell_held(struct watched *b, size_t zone, uint64_t now)
{
	const struct watched_gate *g = &b->gates[zone];
	uint32_t mirror_serial;
	struct event e;

	if (!may_tell(b, now)) {
		b->untold++;
		return false;
	}
	event_begin(&e, EVENT_WARNING, "failback_held");
	watched_identify(&e, b);
	event_name(&e, "zone", b->pool->zones[zone].plan->origin);
	if (g->gate.has_serial)
		event_number(&e, "serial", g->gate.serial);
	if (watched_mirror_serial(b->pool->zones[zone].plan, &mirror_serial))
		event_number(&e, "mirror_serial", mirror_serial);
	event_text(&e, "reason", gate_reason_text(g->gate.reason));
	if (g->hold->example && (g->gate.reason == GATE_DIFFERS || g->gate.reason == GATE_SHRUNK))
		event_text(&e, "example", g->hold->example);
	if (b->untold > 0)
		event_number(&e, "suppressed", b->untold);
	b->untold = 0;
	event_end(&e);
	return true;
}

bool watched_tell_divergence(struct watched *b, const struct suspicion *s,
			     const struct divergence *v, uint64_t now)
{
	char type[16], text[SHADOW_TEXT_MAX];
	struct event e;

	if (!may_tell(b, now))
		return false;
	event_begin(&e, EVENT_WARNING, "divergence");
	event_name(&e, "zone", s->origin);
	watched_identify(&e, b);
	event_name(&e, "name", s->name);
	event_text(&e, "type", rdata_type_text(s->type, type));
	event_number(&e, "serial", s->serial);
	event_text(&e, "backend_says", shadow_text(&s->theirs, text));
	event_text(&e, "mirror_says", shadow_text(&s->ours, text));
	event_number(&e, "count", v->count);
	if (v->untold > 0)
		event_number(&e, "suppressed", v->untold);
	event_end(&e);
	return true;
}

void watched_tell_released(const struct watched *b, size_t zone, const char *cause, uint64_t now)
{
	const struct watched_gate *g = &b->gates[zone];
	struct event e;

	event_begin(&e, EVENT_NOTICE, "failback_released");
	watched_identify(&e, b);
	event_name(&e, "zone", b->pool->zones[zone].plan->origin);
	event_number(&e, "serial", g->gate.serial);
	event_text(&e, "cause", cause);
	event_number(&e, "held_ms", (now - g->hold->since_us) / US_PER_MS);
	event_end(&e);
}
