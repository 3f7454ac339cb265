/* SPDX-License-Identifier: ISC */
#include "proxy/probe_judge.h"

#include <assert.h>
#include <string.h>

#include "cache/dns.h"
#include "cache/message.h"
#include "cache/wire.h"

size_t probe_question(uint16_t id, const uint8_t *name, uint16_t type,
		      uint8_t query[PROBE_QUERY_MAX])
{
	struct wire_out o = wire_into(query, PROBE_QUERY_MAX);

	wire_add_u16(&o, id);
	wire_add_u16(&o, 0);		/* a plain query; RD clear: we ask an authority */
	wire_add_u16(&o, 1);
	wire_add_u16(&o, 0);
	wire_add_u16(&o, 0);
	wire_add_u16(&o, 0);
	wire_add_bytes(&o, name, name_len(name));
	wire_add_u16(&o, type);
	wire_add_u16(&o, CLASS_IN);
	assert(!o.full);
	return o.len;
}

size_t probe_query(uint16_t id, const uint8_t *zone, uint8_t query[PROBE_QUERY_MAX])
{
	return probe_question(id, zone, TYPE_SOA, query);
}

/* Whether `message` answers `query` at all, RFC 5452 s.9.1: ID, QR, opcode and the question. */
static bool is_reply_to(const uint8_t *query, size_t query_len, const uint8_t *message, size_t len)
{
	unsigned flags;

	if (len < DNS_HEADER_LEN || memcmp(message, query, 2) != 0)
		return false;
	flags = wire_get_u16(message + 2);
	if (!(flags & DNS_QR) || (flags & DNS_OPCODE) != 0)
		return false;
	/* A server that cannot read the question may leave it out: then the rcode speaks. */
	if (wire_get_u16(message + 4) == 0)
		return len == DNS_HEADER_LEN && (flags & DNS_RCODE) != RCODE_NOERROR;
	return wire_get_u16(message + 4) == 1 && len >= query_len &&
	       memcmp(message + DNS_HEADER_LEN, query + DNS_HEADER_LEN,
		      query_len - DNS_HEADER_LEN) == 0;
}

bool probe_judge(const struct probe_ask *ask, const uint8_t *query, size_t query_len,
		 const uint8_t *message, size_t len, struct probe_verdict *v)
{
	if (!is_reply_to(query, query_len, message, len))
		return false;

	unsigned flags = wire_get_u16(message + 2);
	struct wire w = wire_over(message, len);
	bool has_soa;

	v->cause = CAUSE_NONE;
	v->rcode = flags & DNS_RCODE;
	if (ask->any_reply)
		return true;
	if (ask->sample_type) {
		v->reply = message;
		v->reply_len = len;
		return true;
	}
	wire_skip(&w, query_len);
	if (v->rcode != RCODE_NOERROR) {
		v->cause = CAUSE_RCODE;
		return true;
	}
	if (!message_reply_is_whole(message, len)) {	/* clients' replies are held to this, too */
		v->cause = CAUSE_MALFORMED;
		return true;
	}
	has_soa = message_find_serial(&w, wire_get_u16(message + 6), query + DNS_HEADER_LEN, &v->serial);
	v->has_serial = has_soa;
	if (w.bad && !(flags & DNS_TC))
		v->cause = CAUSE_MALFORMED;
	else if (ask->needs_aa && !(flags & DNS_AA))
		v->cause = CAUSE_LAME;
	else if (!has_soa && !(flags & DNS_TC))
		v->cause = CAUSE_LAME;		/* AA without SOA: it does not know the zone */
	return true;
}
