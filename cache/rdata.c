/* SPDX-License-Identifier: ISC */
#include "cache/rdata.h"

#include <assert.h>
#include <stdio.h>
#include <strings.h>

#include "cache/dns.h"
#include "cache/name.h"

enum { RDATA_MAX = 65535, FIELDS_MAX = 6 };

/*
 * A layout is a row of fields and ends with 0. A value below FIELD_KINDS is that many
 * bytes of any content.
 */
enum {
	FIELD_KINDS = 64,
	NAME_OLD,	/* RFC 1035's own: may be compressed, both ways */
	NAME_LATER,	/* RFC 3597 s.4: pointers taken from others, never written */
	NAME_BARE,	/* never compressed: a pointer is an error */
	STRING,		/* a length byte and that many bytes, RFC 1035 s.3.3 */
	TAG,		/* likewise, but not empty */
	STRINGS,	/* one or more, to the end */
	REST,		/* any bytes to the end, or none */
	SOME,		/* any bytes to the end, at least one */
	BITMAP,		/* windows of types, RFC 4034 s.4.1.2 */
	PARAMS,		/* RFC 9460 s.2.2 */
	PREFIXES,	/* RFC 3123 s.4 */
	HOST,		/* RFC 8005 s.5: all of a HIP record */
	GATEWAY,	/* RFC 4025 s.2.1: all of an IPSECKEY record but the key */
	RELAY,		/* RFC 8777 s.4.2: all of an AMTRELAY record */
};

struct layout {
	const char *name;	/* NULL: a type that we do not know */
	uint8_t fields[FIELDS_MAX];
};

/* Types that are dense enough to be found by their number. */
static const struct layout low[] = {
	[TYPE_A] = { "A", { 4 } },
	[TYPE_NS] = { "NS", { NAME_OLD } },
	[TYPE_MD] = { "MD", { NAME_OLD } },
	[TYPE_MF] = { "MF", { NAME_OLD } },
	[TYPE_CNAME] = { "CNAME", { NAME_OLD } },
	[TYPE_SOA] = { "SOA", { NAME_OLD, NAME_OLD, 20 } },
	[TYPE_MB] = { "MB", { NAME_OLD } },
	[TYPE_MG] = { "MG", { NAME_OLD } },
	[TYPE_MR] = { "MR", { NAME_OLD } },
	[TYPE_NULL] = { "NULL", { REST } },
	[TYPE_WKS] = { "WKS", { 5, REST } },
	[TYPE_PTR] = { "PTR", { NAME_OLD } },
	[TYPE_HINFO] = { "HINFO", { STRING, STRING } },
	[TYPE_MINFO] = { "MINFO", { NAME_OLD, NAME_OLD } },
	[TYPE_MX] = { "MX", { 2, NAME_OLD } },
	[TYPE_TXT] = { "TXT", { STRINGS } },
	[TYPE_RP] = { "RP", { NAME_LATER, NAME_LATER } },
	[TYPE_AFSDB] = { "AFSDB", { 2, NAME_LATER } },
	[19] = { "X25", { STRING } },
	[20] = { "ISDN", { STRINGS } },
	[TYPE_RT] = { "RT", { 2, NAME_LATER } },
	[22] = { "NSAP", { SOME } },
	[23] = { "NSAP-PTR", { NAME_BARE } },
	[TYPE_SIG] = { "SIG", { 18, NAME_LATER, SOME } },
	[TYPE_KEY] = { "KEY", { 4, REST } },
	[TYPE_PX] = { "PX", { 2, NAME_LATER, NAME_LATER } },
	[27] = { "GPOS", { STRING, STRING, STRING } },
	[TYPE_AAAA] = { "AAAA", { 16 } },
	[TYPE_LOC] = { "LOC", { 16 } },
	[TYPE_NXT] = { "NXT", { NAME_LATER, SOME } },
	[31] = { "EID", { SOME } },
	[32] = { "NIMLOC", { SOME } },
	[TYPE_SRV] = { "SRV", { 6, NAME_LATER } },
	[34] = { "ATMA", { SOME } },
	[TYPE_NAPTR] = { "NAPTR", { 4, STRING, STRING, STRING, NAME_LATER } },
	[TYPE_KX] = { "KX", { 2, NAME_LATER } },
	[TYPE_CERT] = { "CERT", { 5, SOME } },
	[38] = { "A6", { SOME } },
	[TYPE_DNAME] = { "DNAME", { NAME_LATER } },
	[40] = { "SINK", { SOME } },
	[TYPE_OPT] = { "OPT", { REST } },
	[TYPE_APL] = { "APL", { PREFIXES } },
	[TYPE_DS] = { "DS", { 4, SOME } },
	[TYPE_SSHFP] = { "SSHFP", { 2, SOME } },
	[TYPE_IPSECKEY] = { "IPSECKEY", { GATEWAY, REST } },
	[TYPE_RRSIG] = { "RRSIG", { 18, NAME_LATER, SOME } },
	[TYPE_NSEC] = { "NSEC", { NAME_LATER, BITMAP } },
	[TYPE_DNSKEY] = { "DNSKEY", { 4, REST } },
	[TYPE_DHCID] = { "DHCID", { SOME } },
	[TYPE_NSEC3] = { "NSEC3", { 4, STRING, TAG, BITMAP } },
	[TYPE_NSEC3PARAM] = { "NSEC3PARAM", { 4, STRING } },
	[TYPE_TLSA] = { "TLSA", { 3, SOME } },
	[TYPE_SMIMEA] = { "SMIMEA", { 3, SOME } },
	[TYPE_HIP] = { "HIP", { HOST } },
	[56] = { "NINFO", { STRINGS } },
	[57] = { "RKEY", { 4, REST } },
	[58] = { "TALINK", { NAME_BARE, NAME_BARE } },
	[TYPE_CDS] = { "CDS", { 4, SOME } },
	[TYPE_CDNSKEY] = { "CDNSKEY", { 4, REST } },
	[TYPE_OPENPGPKEY] = { "OPENPGPKEY", { SOME } },
	[TYPE_CSYNC] = { "CSYNC", { 6, BITMAP } },
	[TYPE_ZONEMD] = { "ZONEMD", { 6, SOME } },
	[TYPE_SVCB] = { "SVCB", { 2, NAME_BARE, PARAMS } },
	[TYPE_HTTPS] = { "HTTPS", { 2, NAME_BARE, PARAMS } },
	[TYPE_SPF] = { "SPF", { STRINGS } },
	[104] = { "NID", { 10 } },
	[105] = { "L32", { 6 } },
	[106] = { "L64", { 10 } },
	[107] = { "LP", { 2, NAME_BARE } },
	[TYPE_EUI48] = { "EUI48", { 6 } },
	[TYPE_EUI64] = { "EUI64", { 8 } },
};

static const struct { uint16_t type; struct layout layout; } high[] = {
	{ TYPE_TKEY, { "TKEY", { REST } } },
	{ TYPE_TSIG, { "TSIG", { REST } } },
	{ TYPE_IXFR, { "IXFR", { REST } } },
	{ TYPE_AXFR, { "AXFR", { REST } } },
	{ TYPE_MAILB, { "MAILB", { REST } } },
	{ TYPE_MAILA, { "MAILA", { REST } } },
	{ TYPE_ANY, { "ANY", { REST } } },
	{ TYPE_URI, { "URI", { 4, SOME } } },
	{ TYPE_CAA, { "CAA", { 1, TAG, REST } } },
	{ 258, { "AVC", { STRINGS } } },
	{ 260, { "AMTRELAY", { RELAY } } },
	{ 261, { "RESINFO", { STRINGS } } },
	{ 32768, { "TA", { 4, SOME } } },
	{ 32769, { "DLV", { 4, SOME } } },
};

enum { LOW_COUNT = sizeof(low) / sizeof(low[0]), HIGH_COUNT = sizeof(high) / sizeof(high[0]) };

static const struct layout opaque = { NULL, { REST } };

static const struct layout *layout_of(uint16_t type)
{
	if (type < LOW_COUNT)
		return low[type].name ? &low[type] : &opaque;
	for (size_t i = 0; i < HIGH_COUNT; i++)
		if (high[i].type == type)
			return &high[i].layout;
	return &opaque;
}

/* Windows rise strictly and hold 1 to 32 bytes: RFC 4034 s.4.1.2. */
static void skip_bitmap(struct wire *w)
{
	int last = -1;

	while (wire_left(w) > 0) {
		uint8_t window = wire_u8(w), len = wire_u8(w);

		if (window <= last || len < 1 || len > 32)
			w->bad = true;
		wire_skip(w, len);
		last = window;
	}
}

/* Keys rise strictly, RFC 9460 s.2.2; what a value says is the client's matter. */
static void skip_params(struct wire *w)
{
	int last = -1;

	while (wire_left(w) > 0) {
		uint16_t key = wire_u16(w);

		if (key <= last)
			w->bad = true;
		wire_skip(w, wire_u16(w));
		last = key;
	}
}

/* Family, prefix, negation bit and length, then at most an address: RFC 3123 s.4. */
static void skip_prefixes(struct wire *w)
{
	while (wire_left(w) > 0) {
		uint16_t family = wire_u16(w);
		uint8_t prefix = wire_u8(w), len = wire_u8(w) & 0x7f;

		if (family == 1 && (prefix > 32 || len > 4))
			w->bad = true;
		if (family == 2 && (prefix > 128 || len > 16))
			w->bad = true;
		wire_skip(w, len);
	}
}

/* A name that must stand there in full. */
static void skip_bare_name(struct wire *w)
{
	uint8_t name[NAME_LEN_MAX];
	size_t start = w->pos;

	if (name_parse(w, name) != w->pos - start)
		w->bad = true;
}

/* HIT length, algorithm, key length, HIT, key, then rendezvous servers. */
static void skip_host(struct wire *w)
{
	uint8_t hit_len = wire_u8(w);

	wire_skip(w, 1);
	uint16_t key_len = wire_u16(w);

	if (hit_len == 0 || key_len == 0)
		w->bad = true;
	wire_skip(w, hit_len);
	wire_skip(w, key_len);
	while (wire_left(w) > 0)
		skip_bare_name(w);
}

/* What gateways (RFC 4025 s.2.3) and relays (RFC 8777 s.4.2.3) have in common. */
static void skip_host_of_kind(struct wire *w, unsigned kind)
{
	switch (kind) {
	case 0:		return;
	case 1:		wire_skip(w, 4); return;
	case 2:		wire_skip(w, 16); return;
	case 3:		skip_bare_name(w); return;
	default:	w->bad = true; return;
	}
}

static void skip_gateway(struct wire *w)
{
	wire_skip(w, 1);
	uint8_t kind = wire_u8(w);

	wire_skip(w, 1);
	skip_host_of_kind(w, kind);
}

static void skip_relay(struct wire *w)
{
	wire_skip(w, 1);
	skip_host_of_kind(w, wire_u8(w) & 0x7f);
}

static void skip_string(struct wire *w, uint8_t least)
{
	uint8_t len = wire_u8(w);

	if (len < least)
		w->bad = true;
	wire_skip(w, len);
}

/* Passes over one field that is stored as it came; `w` ends where the rdata does. */
static void skip_field(struct wire *w, uint8_t field)
{
	switch (field) {
	case NAME_BARE:		skip_bare_name(w); break;
	case STRING:		skip_string(w, 0); break;
	case TAG:		skip_string(w, 1); break;
	case STRINGS:
		do
			skip_string(w, 0);
		while (wire_left(w) > 0);
		break;
	case SOME:
		wire_need(w, 1);
		wire_skip(w, wire_left(w));
		break;
	case REST:		wire_skip(w, wire_left(w)); break;
	case BITMAP:		skip_bitmap(w); break;
	case PARAMS:		skip_params(w); break;
	case PREFIXES:		skip_prefixes(w); break;
	case HOST:		skip_host(w); break;
	case GATEWAY:		skip_gateway(w); break;
	case RELAY:		skip_relay(w); break;
	default:
		assert(field < FIELD_KINDS);
		wire_skip(w, field);
	}
}

static bool is_foldable(uint8_t field)
{
	return field == NAME_OLD || field == NAME_LATER;
}

bool rdata_parse(struct wire *w, uint16_t type, uint16_t rdlength, uint8_t *out, uint16_t *len)
{
	if (!wire_need(w, rdlength))
		return false;

	/* Ends with the rdata, so that no field runs past it; pointers lead backward. */
	struct wire r = { .base = w->base, .len = w->pos + rdlength, .pos = w->pos };
	struct wire_out o = wire_into(out, RDATA_MAX);

	for (const uint8_t *f = layout_of(type)->fields; *f && !r.bad; f++) {
		uint8_t name[NAME_LEN_MAX];
		size_t start = r.pos;

		if (is_foldable(*f)) {
			wire_add_bytes(&o, name, name_parse(&r, name));
		} else {
			skip_field(&r, *f);
			wire_add_bytes(&o, r.base + start, r.pos - start);
		}
	}
	if (r.bad || r.pos != r.len || o.full) {
		w->bad = true;
		return false;
	}
	w->pos = r.pos;
	*len = (uint16_t)o.len;
	return true;
}

bool rdata_is_valid(uint16_t type, const uint8_t *rdata, uint16_t len)
{
	struct wire w = wire_over(rdata, len);

	for (const uint8_t *f = layout_of(type)->fields; *f && !w.bad; f++)
		skip_field(&w, is_foldable(*f) ? NAME_BARE : *f);
	return !w.bad && w.pos == w.len;
}

bool rdata_is_equal(uint16_t type, const uint8_t *a, uint16_t a_len, const uint8_t *b,
		    uint16_t b_len)
{
	if (a_len != b_len)
		return false;
	if (a_len == 0 || memcmp(a, b, a_len) == 0)
		return true;

	/* Both are well-formed, and names that are equal are of one length. */
	struct wire w = wire_over(a, a_len);

	for (const uint8_t *f = layout_of(type)->fields; *f; f++) {
		size_t start = w.pos;

		if (is_foldable(*f)) {
			wire_skip(&w, name_len(a + start));
			if (!name_is_equal(a + start, b + start))
				return false;
		} else {
			skip_field(&w, *f);
			if (memcmp(a + start, b + start, w.pos - start) != 0)
				return false;
		}
	}
	return true;
}

void rdata_to_canonical(uint16_t type, const uint8_t *rdata, uint16_t len, uint8_t *out)
{
	struct wire w = wire_over(out, len);

	if (len == 0)
		return;
	memcpy(out, rdata, len);
	if (type == TYPE_NSEC)
		return;
	for (const uint8_t *f = layout_of(type)->fields; *f; f++) {
		if (is_foldable(*f)) {
			name_lower(out + w.pos);
			wire_skip(&w, name_len(out + w.pos));
		} else {
			skip_field(&w, *f);
		}
	}
}

struct rdata_names rdata_compressible(uint16_t type)
{
	const uint8_t *f = layout_of(type)->fields;
	struct rdata_names names = { 0 };

	for (; *f > 0 && *f < FIELD_KINDS; f++)
		names.before = (uint8_t)(names.before + *f);
	for (; *f == NAME_OLD; f++)
		names.count++;
	return names;
}

char *rdata_type_text(uint16_t type, char text[16])
{
	const char *name = layout_of(type)->name;

	if (name)
		snprintf(text, 16, "%s", name);
	else
		snprintf(text, 16, "TYPE%u", type);
	return text;
}

/* RFC 3597 s.5: TYPE and a decimal number, nothing else. */
static uint16_t type_from_number(const char *text)
{
	uint32_t n = 0;

	if (strncasecmp(text, "TYPE", 4) != 0)
		return 0;
	for (text += 4; *text; text++) {
		if (*text < '0' || *text > '9')
			return 0;
		n = n * 10 + (uint32_t)(*text - '0');
		if (n > 65535)
			return 0;
	}
	return (uint16_t)n;
}

uint16_t rdata_type_from_text(const char *text)
{
	for (uint16_t type = 0; type < LOW_COUNT; type++)
		if (low[type].name && strcasecmp(low[type].name, text) == 0)
			return type;
	for (size_t i = 0; i < HIGH_COUNT; i++)
		if (strcasecmp(high[i].layout.name, text) == 0)
			return high[i].type;
	return type_from_number(text);
}
