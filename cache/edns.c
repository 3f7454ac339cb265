/* SPDX-License-Identifier: ISC */
#include "cache/edns.h"

#include <assert.h>

#include "cache/cookie.h"
#include "cache/name.h"

enum {
	OPTIONS_MAX = 32,	/* no RFC limit; more options than the registry had in 2024 */
	SERVER_COOKIE_MIN = 8,	/* RFC 7873 s.4: the server's part is 8 to 32 bytes */
	OPT_LEN = 11,
	OPTION_HEADER_LEN = 4,
	SUBNET_HEADER_LEN = 4,
	SUBNET_MAX = SUBNET_HEADER_LEN + 16,
	EXPIRE_LEN = 4,
	ZONE_VERSION_LEN = 6,
	KEEPALIVE_LEN = 2,
	EDE_LEN = 2,
};

/* RFC 9660 s.2.1: the one type of version there is. */
enum { ZONE_VERSION_SOA_SERIAL = 0 };

static_assert(EDNS_EDE_LEN == OPTION_HEADER_LEN + EDE_LEN, "RFC 8914 s.2");
static_assert(DNS_HEADER_LEN + NAME_LEN_MAX + 4 + OPT_LEN + 7 * OPTION_HEADER_LEN +
	      COOKIE_FULL_LEN + EDNS_NSID_MAX + EXPIRE_LEN + ZONE_VERSION_LEN + KEEPALIVE_LEN +
	      SUBNET_MAX + EDE_LEN <= DNS_UDP_MAX, "the longest question and OPT fit any client");

/* ---- Parsing ---- */

/* RFC 7873 s.5.2.2: a client cookie alone, or with a server cookie of a lawful length. */
static bool is_cookie(size_t len)
{
	return len == COOKIE_CLIENT_LEN ||
	       (len >= COOKIE_CLIENT_LEN + SERVER_COOKIE_MIN && len <= COOKIE_MAX);
}

static bool take_cookie(struct edns *e, const uint8_t *value, size_t len)
{
	if (e->cookie_len > 0)		/* s.5.2: the first one counts, the others do not */
		return true;
	if (!is_cookie(len))
		return false;
	e->cookie = value;
	e->cookie_len = (uint8_t)len;
	return true;
}

/* RFC 7871 s.6: FAMILY, SOURCE and SCOPE PREFIX-LENGTH, as few bytes of address as it takes. */
static bool is_subnet(const uint8_t *value, size_t len)
{
	static const uint8_t bits_of_family[] = { 0, 32, 128 };

	if (len < SUBNET_HEADER_LEN)
		return false;

	unsigned family = wire_get_u16(value), source = value[2], scope = value[3];
	unsigned bits_in_last = source % 8;

	if (family > 2 || source > bits_of_family[family] || scope != 0)
		return false;
	if (len != SUBNET_HEADER_LEN + (source + 7) / 8)
		return false;
	return bits_in_last == 0 || (value[len - 1] & (0xffu >> bits_in_last)) == 0;
}

static void take_subnet(struct edns *e, const uint8_t *value, size_t len)
{
	if (e->subnet_len > 0 || !is_subnet(value, len))
		return;
	e->subnet = value;
	e->subnet_len = (uint8_t)len;
}

static bool take_option(struct edns *e, unsigned code, const uint8_t *value, size_t len)
{
	switch (code) {
	case EDNS_COOKIE:
		return take_cookie(e, value, len);
	case EDNS_ECS:
		take_subnet(e, value, len);
		break;
	case EDNS_NSID:			/* RFC 5001 s.2.1: whatever is in it */
		e->wants_nsid = true;
		break;
	case EDNS_EXPIRE:
		e->wants_expire |= len == 0;
		break;
	case EDNS_KEEPALIVE:
		e->wants_keepalive |= len == 0;
		break;
	case EDNS_ZONEVERSION:
		e->wants_zone_version |= len == 0;
		break;
	default:			/* RFC 6891 s.6.1.2 */
		break;
	}
	return true;
}

static bool take_options(struct edns *e, struct wire *w)
{
	for (int i = 0; i < OPTIONS_MAX && wire_left(w) > 0; i++) {
		uint16_t code = wire_u16(w), len = wire_u16(w);
		const uint8_t *value = wire_bytes(w, len);

		if (w->bad || !take_option(e, code, value, len))
			return false;
	}
	return true;
}

bool edns_parse(struct edns *e, uint16_t class, uint32_t ttl, const uint8_t *rdata, size_t len)
{
	struct wire w = wire_over(rdata, len);

	e->is_present = true;
	e->size = class < DNS_UDP_MAX ? DNS_UDP_MAX : class;
	e->version = (uint8_t)(ttl >> 16);
	e->dnssec_ok = ttl & EDNS_DO;
	/* What the options of a later version look like is not for us to say. */
	return e->version > 0 || take_options(e, &w);
}

/* ---- Writing ---- */

/* What of a reply's possible options this query gets. */
static struct edns_reply owed(const struct edns *query, const struct edns_reply *reply)
{
	struct edns_reply r = { 0 };

	if (!reply)
		return r;
	r = *reply;
	assert(r.nsid_len <= EDNS_NSID_MAX);
	if (query->cookie_len == 0)
		r.cookie = NULL;
	if (!query->wants_nsid)
		r.nsid_len = 0;
	if (!query->wants_keepalive)
		r.keepalive = 0;
	return r;
}

static size_t option_len(bool is_there, size_t len)
{
	return is_there ? OPTION_HEADER_LEN + len : 0;
}

/* Most queries: a reply's OPT tells nothing but sizes then. */
static bool has_no_options(const struct edns *query)
{
	return query->cookie_len == 0 && query->subnet_len == 0 && !query->wants_nsid &&
	       !query->wants_keepalive && !query->wants_expire && !query->wants_zone_version;
}

size_t edns_len(const struct edns *query, const struct edns_reply *reply)
{
	struct edns_reply r;

	if (!query->is_present)
		return 0;
	if (has_no_options(query))
		return OPT_LEN;
	r = owed(query, reply);
	return OPT_LEN + option_len(r.cookie != NULL, COOKIE_FULL_LEN) +
	       option_len(r.nsid_len > 0, r.nsid_len) +
	       option_len(r.has_zone && query->wants_expire, EXPIRE_LEN) +
	       option_len(r.has_zone && query->wants_zone_version, ZONE_VERSION_LEN) +
	       option_len(r.keepalive > 0, KEEPALIVE_LEN) +
	       option_len(query->subnet_len > 0, query->subnet_len);
}

/* Room for the value of an option, its header written; NULL when it does not fit whole. */
static uint8_t *put_option(struct wire_out *o, enum edns_option code, size_t len)
{
	if (o->cap - o->len < OPTION_HEADER_LEN + len)
		return NULL;
	wire_add_u16(o, (uint16_t)code);
	wire_add_u16(o, (uint16_t)len);
	return wire_room(o, len);
}

static void put_bytes(struct wire_out *o, enum edns_option code, const uint8_t *bytes, size_t len)
{
	uint8_t *value = put_option(o, code, len);

	if (value)
		wire_copy(value, bytes, len);
}

static void put_expire(struct wire_out *o, const struct edns_reply *r)
{
	uint8_t *value = put_option(o, EDNS_EXPIRE, EXPIRE_LEN);

	if (value)
		wire_put_u32(value, r->zone_expire_s);
}

static void put_zone_version(struct wire_out *o, const struct edns_reply *r)
{
	uint8_t *value = put_option(o, EDNS_ZONEVERSION, ZONE_VERSION_LEN);

	if (!value)
		return;
	value[0] = r->zone_labels;
	value[1] = ZONE_VERSION_SOA_SERIAL;
	wire_put_u32(value + 2, r->zone_serial);
}

static void put_u16(struct wire_out *o, enum edns_option code, uint16_t n)
{
	uint8_t *value = put_option(o, code, 2);

	if (value)
		wire_put_u16(value, n);
}

/*
 * The cookie comes first: a resolver that misses it asks again by TCP. The client's network
 * goes back as it came (RFC 7871 s.7.2.1): the answer is the same for all networks, which
 * scope 0 says, and 0 is what stands there in a query.
 */
static void put_options(struct wire_out *o, const struct edns *query, const struct edns_reply *r)
{
	if (r->cookie)
		put_bytes(o, EDNS_COOKIE, r->cookie, COOKIE_FULL_LEN);
	if (r->nsid_len > 0)
		put_bytes(o, EDNS_NSID, r->nsid, r->nsid_len);
	if (r->has_zone && query->wants_expire)
		put_expire(o, r);
	if (r->has_zone && query->wants_zone_version)
		put_zone_version(o, r);
	if (r->keepalive > 0)
		put_u16(o, EDNS_KEEPALIVE, r->keepalive);
	if (query->subnet_len > 0)
		put_bytes(o, EDNS_ECS, query->subnet, query->subnet_len);
}

bool edns_write(struct wire_out *o, const struct edns *query, const struct edns_reply *reply,
		enum dns_rcode rcode, enum dns_ede ede)
{
	uint8_t *opt;

	if (!query->is_present || o->full || o->cap - o->len < OPT_LEN)
		return false;
	opt = wire_room(o, OPT_LEN);
	opt[0] = 0;
	wire_put_u16(opt + 1, TYPE_OPT);
	wire_put_u16(opt + 3, DNS_EDNS_SIZE);
	wire_put_u32(opt + 5, (uint32_t)rcode >> 4 << 24 | (query->dnssec_ok ? EDNS_DO : 0));
	if (!has_no_options(query)) {
		struct edns_reply r = owed(query, reply);

		put_options(o, query, &r);
	}
	if (ede != EDE_NONE)
		put_u16(o, EDNS_EDE, (uint16_t)ede);
	wire_put_u16(opt + 9, (uint16_t)(o->base + o->len - opt - OPT_LEN));
	return true;
}
