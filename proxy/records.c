/* SPDX-License-Identifier: ISC */
#include "proxy/records.h"

#include "cache/dns.h"
#include "cache/rdata.h"

bool records_is_comparable(uint16_t type)
{
	if (type >= TYPE_PRIVATE)	/* ALIAS, LUA: a server answers what they mean */
		return false;
	switch (type) {
	case TYPE_SOA:
	case TYPE_RRSIG:
	case TYPE_NSEC:
	case TYPE_NSEC3:
	case TYPE_NSEC3PARAM:
	case TYPE_DNSKEY:
	case TYPE_ZONEMD:
		return false;
	default:
		return true;
	}
}

bool records_begin(const uint8_t *reply, size_t len, struct wire *w)
{
	uint8_t name[NAME_LEN_MAX];
	unsigned flags;

	*w = wire_over(reply, len);
	if (len < DNS_HEADER_LEN || wire_get_u16(reply + 4) != 1)
		return false;
	flags = wire_get_u16(reply + 2);
	if ((flags & DNS_TC) || ((flags & DNS_RCODE) != RCODE_NOERROR &&
				 (flags & DNS_RCODE) != RCODE_NXDOMAIN))
		return false;
	wire_skip(w, DNS_HEADER_LEN);
	name_parse(w, name);
	wire_skip(w, 4);
	return !w->bad;
}

static bool take(struct records *r, struct wire *w, bool (*wants)(uint16_t type))
{
	uint8_t owner[NAME_LEN_MAX];
	size_t owner_len = name_parse(w, owner);
	uint16_t type = wire_u16(w), class = wire_u16(w), rdlength;
	struct record *record = &r->record[r->count];

	wire_skip(w, 4);
	rdlength = wire_u16(w);
	if (w->bad || class != CLASS_IN || (wants && !wants(type))) {
		wire_skip(w, rdlength);
		return !w->bad;
	}
	if (r->count == RECORDS_MAX || r->used > RECORDS_BYTES_MAX)
		return false;
	*record = (struct record){ .owner = (uint32_t)r->used, .type = type,
				   .rdata = (uint32_t)(r->used + owner_len) };
	memcpy(r->bytes + record->owner, owner, owner_len);
	if (!rdata_parse(w, type, rdlength, r->bytes + record->rdata, &record->len))
		return false;
	r->used = record->rdata + (size_t)record->len;
	r->count++;
	return true;
}

bool records_read(struct records *r, struct wire *w, unsigned count, bool (*wants)(uint16_t type))
{
	while (count-- > 0)
		if (!take(r, w, wants))
			return false;
	return true;
}

bool records_have(const struct records *r, const struct records *of, unsigned i)
{
	const struct record *wanted = &of->record[i];

	for (unsigned k = 0; k < r->count; k++)
		if (r->record[k].type == wanted->type &&
		    name_is_equal(records_owner(r, k), records_owner(of, i)) &&
		    rdata_is_equal(wanted->type, records_rdata(r, k), r->record[k].len,
				   records_rdata(of, i), wanted->len))
			return true;
	return false;
}
