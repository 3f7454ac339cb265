/* SPDX-License-Identifier: ISC */
#include "proxy/lame.h"

#include "cache/dns.h"
#include "cache/name.h"
#include "cache/wire.h"

/* The first record of the authority section is an NS below the origin. */
static bool is_referral(const uint8_t *reply, size_t len, const uint8_t *origin)
{
	struct wire w = wire_over(reply, len);
	uint8_t name[NAME_LEN_MAX];

	if (wire_get_u16(reply + 4) != 1 || wire_get_u16(reply + 6) != 0 || wire_get_u16(reply + 8) == 0)
		return false;
	w.pos = DNS_HEADER_LEN;
	name_parse(&w, name);
	wire_skip(&w, 4);
	name_parse(&w, name);
	return wire_u16(&w) == TYPE_NS && !w.bad && name_is_at_or_below(name, origin)
	       && !name_is_equal(name, origin);
}

bool lame_is_reply(const uint8_t *reply, size_t len, const uint8_t *origin)
{
	unsigned flags = wire_get_u16(reply + 2);

	/* A truncated reply says nothing yet: the client comes back by TCP. */
	if (flags & (DNS_AA | DNS_TC))
		return false;
	return (flags & DNS_RCODE) != RCODE_NOERROR || !is_referral(reply, len, origin);
}
