/* SPDX-License-Identifier: ISC */
#include "proxy/denied.h"

#include "cache/answer.h"
#include "cache/serial.h"

enum { LOOKS_MAX = 32 };	/* the SOA of a denial stands among the first */

/* Servers answer these in ways of their own: minimal ANY, proofs made on the fly, ALIAS. */
static bool is_of_ordinary_type(uint16_t type)
{
	switch (type) {
	case TYPE_RRSIG:
	case TYPE_NSEC:
	case TYPE_NSEC3:
	case TYPE_NSEC3PARAM:
	case TYPE_ALIAS_SIMPLE:
	case TYPE_ALIAS:
	case TYPE_LUA:
		return false;
	default:
		return type < TYPE_TKEY || type > TYPE_ANY;
	}
}

/* What a denial rests on. */
enum ground {
	GROUND_NONE,		/* no SOA: RFC 2308 s.3 has one in each */
	GROUND_NEWER,		/* the zone's SOA, under a serial that we have not seen */
	GROUND_NO_NEWER,
	GROUND_OTHER,		/* another zone's SOA: that above ours, when ours is lost */
	GROUND_BELOW,		/* that of a zone below ours: it knows better what it has */
	GROUND_REFERRAL,	/* it is no denial */
};

static enum ground ground_of_soa(const uint8_t *owner, const uint8_t *origin, const uint8_t *qname)
{
	bool is_below = name_is_at_or_below(owner, origin) && name_is_at_or_below(qname, owner);

	return is_below ? GROUND_BELOW : GROUND_OTHER;
}

static enum ground ground_of(const struct generation *g, const uint8_t *qname, struct wire w,
			     unsigned count)
{
	uint8_t owner[NAME_LEN_MAX];
	struct wire again = w;
	uint32_t serial;

	count = count < LOOKS_MAX ? count : LOOKS_MAX;
	if (message_find_serial(&again, count, g->origin, &serial))
		return serial_is_newer(serial, g->soa.serial) ? GROUND_NEWER : GROUND_NO_NEWER;
	for (; count > 0 && name_parse(&w, owner); count--) {
		uint16_t type = wire_u16(&w);

		if (w.bad)
			break;
		if (type == TYPE_NS)
			return GROUND_REFERRAL;
		if (type == TYPE_SOA)
			return ground_of_soa(owner, g->origin, qname);
		wire_skip(&w, 6);
		wire_skip(&w, wire_u16(&w));
	}
	return GROUND_NONE;
}

bool denied_is_reply(const struct generation *g, const struct message *m,
		     const struct name_key *key, const uint8_t *reply, size_t len)
{
	struct wire w = wire_over(reply, len);

	if (!denied_is_denial(reply) || !is_of_ordinary_type(m->qtype))
		return false;
	wire_skip(&w, m->question_end);
	switch (ground_of(g, m->qname, w, wire_get_u16(reply + 8))) {
	case GROUND_NONE:
		return true;
	case GROUND_NEWER:
	case GROUND_BELOW:
	case GROUND_REFERRAL:
		return false;
	case GROUND_NO_NEWER:
	case GROUND_OTHER:
		break;
	}
	return answer_has_data(g, key, m->qtype);
}
