/* SPDX-License-Identifier: ISC */
#include "cache/notify.h"

#include <assert.h>

#include "cache/dns.h"
#include "cache/wire.h"

size_t notify_put(const uint8_t *origin, uint16_t id, struct tsig_stream *tsig, uint64_t now_s,
		  uint8_t *out, size_t cap)
{
	struct wire_out o = wire_into(out, cap);

	assert(cap >= NOTIFY_MAX);
	wire_add_u16(&o, id);
	wire_add_u16(&o, OPCODE_NOTIFY << 11 | DNS_AA);
	wire_add_u16(&o, 1);
	wire_add_u16(&o, 0);		/* no SOA: they ask for it anyway */
	wire_add_u32(&o, 0);
	wire_add_bytes(&o, origin, name_len(origin));
	wire_add_u16(&o, TYPE_SOA);
	wire_add_u16(&o, CLASS_IN);
	return tsig ? tsig_stream_sign(tsig, out, o.len, cap, now_s) : o.len;
}

/* Some servers send the header alone back. */
static bool is_about(const uint8_t *origin, const uint8_t *reply, size_t len)
{
	struct wire w = wire_over(reply, len);
	uint8_t name[NAME_LEN_MAX];
	uint16_t type, class;

	if (wire_get_u16(reply + 4) == 0)
		return true;
	w.pos = DNS_HEADER_LEN;
	name_parse(&w, name);
	type = wire_u16(&w);
	class = wire_u16(&w);
	return !w.bad && name_is_equal(name, origin) && type == TYPE_SOA && class == CLASS_IN;
}

enum notify_reply notify_judge(const uint8_t *origin, uint16_t id, struct tsig_stream *tsig,
			       uint64_t now_s, const uint8_t *reply, size_t len, unsigned *rcode)
{
	size_t body_len;
	bool has_tsig;
	uint16_t flags;

	if (len < DNS_HEADER_LEN || wire_get_u16(reply) != id)
		return NOTIFY_IGNORE;
	flags = wire_get_u16(reply + 2);
	if (!(flags & DNS_QR) || (flags & DNS_OPCODE) != OPCODE_NOTIFY << 11 ||
	    !is_about(origin, reply, len))
		return NOTIFY_IGNORE;
	*rcode = flags & DNS_RCODE;
	if (*rcode != RCODE_NOERROR)	/* these are often unsigned, and cost us a message only */
		return NOTIFY_REFUSED;
	if (tsig && tsig_stream_verify(tsig, reply, len, now_s, &body_len, &has_tsig) != TSIG_OK)
		return NOTIFY_FORGED;
	return NOTIFY_ACKNOWLEDGED;
}
