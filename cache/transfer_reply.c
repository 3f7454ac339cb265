/* SPDX-License-Identifier: ISC */
#include "cache/transfer_parts.h"

#include <stdarg.h>
#include <stdio.h>

#include "cache/dns.h"
#include "cache/rdata.h"

enum {
	REASON_NAME_MAX = 200,		/* characters of an owner in a sentence */
	OPTION_EXPIRE = 9, OPTION_EXPIRE_LEN = 4,	/* RFC 7314 s.3 */
};

bool transfer_fail(struct transfer *t, const char *format, ...)
{
	va_list args;

	if (t->state == STATE_FAILED)
		return false;
	va_start(args, format);
	vsnprintf(t->reason, sizeof(t->reason), format, args);
	va_end(args);
	t->state = STATE_FAILED;
	return false;
}

bool transfer_fail_record(struct transfer *t, uint16_t type, const char *what)
{
	char owner[NAME_TEXT_MAX], type_text[16];

	return transfer_fail(t, "%.*s %s: %s", REASON_NAME_MAX, name_to_text(t->owner, owner),
			     rdata_type_text(type, type_text), what);
}

/* ---- The envelope of a reply ---- */

static const char *rcode_text(unsigned rcode)
{
	static const char *const TEXT[] = {
		"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
		"YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE",
	};

	return rcode < sizeof(TEXT) / sizeof(TEXT[0]) ? TEXT[rcode] : "an unknown rcode";
}

/* RFC 5936 s.2.2.1, but for what TSIG and the rcode say. */
static bool check_header(struct transfer *t, const uint8_t *message, size_t len)
{
	uint16_t flags;

	if (len < DNS_HEADER_LEN)
		return transfer_fail(t, "message of %zu bytes", len);
	flags = wire_get_u16(message + 2);
	if (wire_get_u16(message) != t->id)
		return transfer_fail(t, "message ID is not that of the request");
	if (!(flags & DNS_QR))
		return transfer_fail(t, "message is not a reply (QR is clear)");
	if ((flags & DNS_OPCODE) != OPCODE_QUERY << 11)
		return transfer_fail(t, "opcode is not QUERY");
	return true;
}

/*
 * An error reply is often unsigned, and the rcode tells the operator more than that: so it
 * is told even when nobody signed it. Nothing is believed but that there is no zone.
 */
static bool check_rcode(struct transfer *t, const uint8_t *message, enum tsig_error signature)
{
	unsigned rcode = wire_get_u16(message + 2) & DNS_RCODE;

	if (rcode == RCODE_NOERROR)
		return true;
	if (signature == TSIG_REFUSED)
		return transfer_fail(t, "primary answers %s, TSIG error %s", rcode_text(rcode),
				     tsig_stream_peer_error(t->tsig));
	return transfer_fail(t, "primary answers %s", rcode_text(rcode));
}

bool transfer_check_envelope(struct transfer *t, const uint8_t *message, size_t *len,
			     uint64_t now_s, bool *has_tsig)
{
	enum tsig_error signature = TSIG_OK;

	*has_tsig = false;
	if (!check_header(t, message, *len))
		return false;
	if (t->tsig)
		signature = tsig_stream_verify(t->tsig, message, *len, now_s, len, has_tsig);
	if (!check_rcode(t, message, signature))
		return false;
	if (signature != TSIG_OK)
		return transfer_fail(t, "%s", tsig_error_text(signature));
	if (wire_get_u16(message + 2) & DNS_TC)
		return transfer_fail(t, "message is truncated (TC is set)");
	return true;
}

bool transfer_is_edns_refused(const struct transfer *t, const uint8_t *message, size_t len)
{
	uint16_t flags = len < DNS_HEADER_LEN ? 0 : wire_get_u16(message + 2);

	return !t->is_plain && !t->is_first_taken && (flags & DNS_QR) &&
	       wire_get_u16(message) == t->id && (flags & DNS_RCODE) == RCODE_FORMERR;
}

/*
 * RFC 5936 s.2.2.1: the question in the first message, and none or the same in later ones.
 */
bool transfer_take_question(struct transfer *t, struct wire *w)
{
	unsigned count = wire_get_u16(w->base + 4);
	uint8_t name[NAME_LEN_MAX];
	uint16_t type, class;

	if (count == 0 && t->is_first_taken)
		return true;
	if (count != 1)
		return transfer_fail(t, "message with %u questions", count);
	name_parse(w, name);
	type = wire_u16(w);
	class = wire_u16(w);
	if (w->bad)
		return transfer_fail(t, "question does not parse");
	if (!name_is_equal(name, t->origin) || type != t->qtype || class != CLASS_IN)
		return transfer_fail(t, "question is not the one asked");
	return true;
}

/* ---- Records ---- */

/* Reads all of a record but its rdata. */
static bool take_head(struct transfer *t, struct wire *w, struct transfer_record *r)
{
	name_parse(w, t->owner);
	r->type = wire_u16(w);
	r->class = wire_u16(w);
	r->ttl = wire_u32(w);
	r->rdata_len = wire_u16(w);
	if (w->bad || wire_left(w) < r->rdata_len)
		return transfer_fail(t, "message ends inside a record");
	if (r->ttl > INT32_MAX)		/* RFC 2181 s.8 */
		r->ttl = 0;
	return true;
}

bool transfer_take_record(struct transfer *t, struct wire *w, struct transfer_record *r)
{
	if (!take_head(t, w, r))
		return false;
	if (r->class != CLASS_IN)
		return transfer_fail_record(t, r->type, "class is not IN");
	if (r->type == 0 || r->type == TYPE_OPT || (r->type >= 128 && r->type <= TYPE_ANY))
		return transfer_fail_record(t, r->type, "not a type that a zone can hold");
	if (!name_is_at_or_below(t->owner, t->origin))
		return transfer_fail_record(t, r->type, "owner is outside the zone");
	if (!rdata_parse(w, r->type, r->rdata_len, t->rdata, &r->rdata_len))
		return transfer_fail_record(t, r->type, "rdata does not parse");
	return true;
}

/* RFC 7314 s.3: until its copy expires. An expired one would not be given: 0 says nothing. */
static void take_options(struct transfer *t, struct wire w)
{
	while (wire_left(&w) > 0 && !w.bad) {
		uint16_t code = wire_u16(&w), len = wire_u16(&w);
		const uint8_t *value = wire_bytes(&w, len);

		if (!w.bad && code == OPTION_EXPIRE && len == OPTION_EXPIRE_LEN &&
		    wire_get_u32(value) > 0)
			t->expire_s = wire_get_u32(value);
	}
}

bool transfer_take_rest(struct transfer *t, struct wire *w, bool has_tsig)
{
	size_t count = (size_t)wire_get_u16(w->base + 8) + wire_get_u16(w->base + 10) - has_tsig;
	struct transfer_record r;

	for (; count > 0; count--) {
		if (!take_head(t, w, &r))
			return false;
		if (r.type == TYPE_OPT)
			take_options(t, wire_over(w->base + w->pos, r.rdata_len));
		wire_skip(w, r.rdata_len);
	}
	if (w->pos != w->len)
		return transfer_fail(t, "bytes behind the last record of a message");
	return true;
}

bool transfer_is_apex_soa(const struct transfer *t, const struct transfer_record *r)
{
	return r->type == TYPE_SOA && name_is_equal(t->owner, t->origin);
}

/* The serial is the first of the five numbers that end an SOA, RFC 1035 s.3.3.13. */
uint32_t transfer_soa_serial(const struct transfer *t, const struct transfer_record *r)
{
	return wire_get_u32(t->rdata + r->rdata_len - 20);
}

/* ---- The reply to SOA ---- */

bool transfer_take_soa_reply(struct transfer *t, struct wire *w, bool has_tsig)
{
	unsigned count = wire_get_u16(w->base + 6);
	bool is_found = false;
	struct transfer_record r;

	/* A server that has it from elsewhere may well have it from us. */
	if (!(wire_get_u16(w->base + 2) & DNS_AA))
		return transfer_fail(t, "primary is not authoritative for the zone (AA is clear)");
	for (; count > 0; count--) {
		if (!transfer_take_record(t, w, &r))
			return false;
		if (transfer_is_apex_soa(t, &r) && !is_found) {
			is_found = true;
			t->serial = transfer_soa_serial(t, &r);
		}
	}
	if (!transfer_take_rest(t, w, has_tsig))
		return false;
	return is_found || transfer_fail(t, "no SOA in the reply to SOA");
}

