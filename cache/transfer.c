/* SPDX-License-Identifier: ISC */
#include "cache/transfer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/dns.h"
#include "cache/memory.h"
#include "cache/rdata.h"
#include "cache/serial.h"
#include "cache/wire.h"

enum {
	SOA_RDATA_MAX = 2 * NAME_LEN_MAX + 20,
	BYTES_SLACK = 1 << 20,		/* so that a small limit still takes a small zone */
	REASON_NAME_MAX = 200,		/* characters of an owner in a sentence */
};

enum state {
	STATE_IDLE,	/* nothing asked yet, or the SOA reply was NEWER */
	STATE_SOA,	/* SOA asked */
	STATE_AXFR,	/* AXFR asked, nothing of it seen */
	STATE_BODY,	/* past the first SOA, whose rdata is kept; `edit` is set */
	STATE_DONE,	/* the last SOA has come */
	STATE_FAILED,	/* `reason` is set */
};

struct transfer {
	const struct tsig_key *key;
	struct tsig_stream *tsig;	/* NULL without a key */
	struct zone_edit *edit;
	struct transfer_limits limits;
	enum state state;		/* STATE_FAILED is set by fail() only */
	uint16_t id, qtype;
	bool is_first_taken;		/* of the replies to the present request */
	unsigned empty;
	uint32_t serial;
	size_t records, bytes;
	enum zone_error zone_error;
	uint8_t owner[NAME_LEN_MAX];	/* of the record at hand */
	uint16_t soa_len;
	uint8_t soa[SOA_RDATA_MAX];
	uint8_t origin[NAME_LEN_MAX];
	char reason[TRANSFER_REASON_MAX];
	uint8_t rdata[UINT16_MAX];
};

/* One record of a message. Its owner and rdata are in struct transfer. */
struct record {
	uint16_t type, class, rdata_len;
	uint32_t ttl;
};

struct transfer *transfer_new(const uint8_t *origin, const struct tsig_key *key,
			      const struct transfer_limits *limits)
{
	struct transfer *t = memory_zeroed(1, sizeof(*t));

	t->key = key;
	t->limits = *limits;
	memcpy(t->origin, origin, name_len(origin));
	return t;
}

void transfer_free(struct transfer *t)
{
	if (!t)
		return;
	tsig_stream_free(t->tsig);
	zone_edit_free(t->edit);
	free(t);
}

static bool __attribute__((format(printf, 2, 3)))
fail(struct transfer *t, const char *format, ...)
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

/* The same, about the record at hand: "www.example.com. TXT: does not parse". */
static bool fail_record(struct transfer *t, uint16_t type, const char *what)
{
	char owner[NAME_TEXT_MAX], type_text[16];

	return fail(t, "%.*s %s: %s", REASON_NAME_MAX, name_to_text(t->owner, owner),
		    rdata_type_text(type, type_text), what);
}

/* ---- Asking ---- */

static size_t ask(struct transfer *t, uint16_t qtype, uint16_t id, uint64_t now_s, uint8_t *out,
		  size_t cap)
{
	struct wire_out o = wire_into(out, cap);

	t->id = id;
	t->qtype = qtype;
	t->is_first_taken = false;
	wire_add_u16(&o, id);
	wire_add_u16(&o, 0);		/* a query, without RD */
	wire_add_u16(&o, 1);
	wire_add_u16(&o, 0);
	wire_add_u32(&o, 0);
	wire_add_bytes(&o, t->origin, name_len(t->origin));
	wire_add_u16(&o, qtype);
	wire_add_u16(&o, CLASS_IN);
	assert(!o.full);
	if (!t->key)
		return o.len;
	tsig_stream_free(t->tsig);	/* each request is a stream of its own */
	t->tsig = tsig_stream_new(t->key);
	return tsig_stream_sign(t->tsig, out, o.len, cap, now_s);
}

size_t transfer_ask_soa(struct transfer *t, uint16_t id, uint64_t now_s, uint8_t *out, size_t cap)
{
	assert(t->state == STATE_IDLE && cap >= TRANSFER_ASK_MAX);
	t->state = STATE_SOA;
	return ask(t, TYPE_SOA, id, now_s, out, cap);
}

size_t transfer_ask_axfr(struct transfer *t, uint16_t id, uint64_t now_s, uint8_t *out, size_t cap)
{
	assert(t->state == STATE_IDLE || (t->state == STATE_AXFR && !t->is_first_taken));
	assert(cap >= TRANSFER_ASK_MAX);
	t->state = STATE_AXFR;
	return ask(t, TYPE_AXFR, id, now_s, out, cap);
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
		return fail(t, "message of %zu bytes", len);
	flags = wire_get_u16(message + 2);
	if (wire_get_u16(message) != t->id)
		return fail(t, "message ID is not that of the request");
	if (!(flags & DNS_QR))
		return fail(t, "message is not a reply (QR is clear)");
	if ((flags & DNS_OPCODE) != OPCODE_QUERY << 11)
		return fail(t, "opcode is not QUERY");
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
		return fail(t, "primary answers %s, TSIG error %s", rcode_text(rcode),
			    tsig_stream_peer_error(t->tsig));
	return fail(t, "primary answers %s", rcode_text(rcode));
}

static bool check_envelope(struct transfer *t, const uint8_t *message, size_t *len, uint64_t now_s,
			   bool *has_tsig)
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
		return fail(t, "%s", tsig_error_text(signature));
	if (wire_get_u16(message + 2) & DNS_TC)
		return fail(t, "message is truncated (TC is set)");
	return true;
}

/*
 * RFC 5936 s.2.2.1: the question in the first message, and none or the same in later ones.
 */
static bool take_question(struct transfer *t, struct wire *w)
{
	unsigned count = wire_get_u16(w->base + 4);
	uint8_t name[NAME_LEN_MAX];
	uint16_t type, class;

	if (count == 0 && t->is_first_taken)
		return true;
	if (count != 1)
		return fail(t, "message with %u questions", count);
	name_parse(w, name);
	type = wire_u16(w);
	class = wire_u16(w);
	if (w->bad)
		return fail(t, "question does not parse");
	if (!name_is_equal(name, t->origin) || type != t->qtype || class != CLASS_IN)
		return fail(t, "question is not the one asked");
	return true;
}

/* ---- Records ---- */

/* Reads all of a record but its rdata. */
static bool take_head(struct transfer *t, struct wire *w, struct record *r)
{
	name_parse(w, t->owner);
	r->type = wire_u16(w);
	r->class = wire_u16(w);
	r->ttl = wire_u32(w);
	r->rdata_len = wire_u16(w);
	if (w->bad || wire_left(w) < r->rdata_len)
		return fail(t, "message ends inside a record");
	if (r->ttl > INT32_MAX)		/* RFC 2181 s.8 */
		r->ttl = 0;
	return true;
}

/* An answer record of this zone, rdata and all. Types that no zone can hold are refused. */
static bool take_record(struct transfer *t, struct wire *w, struct record *r)
{
	if (!take_head(t, w, r))
		return false;
	if (r->class != CLASS_IN)
		return fail_record(t, r->type, "class is not IN");
	if (r->type == 0 || r->type == TYPE_OPT || (r->type >= 128 && r->type <= TYPE_ANY))
		return fail_record(t, r->type, "not a type that a zone can hold");
	if (!name_is_at_or_below(t->owner, t->origin))
		return fail_record(t, r->type, "owner is outside the zone");
	if (!rdata_parse(w, r->type, r->rdata_len, t->rdata, &r->rdata_len))
		return fail_record(t, r->type, "rdata does not parse");
	return true;
}

/* The sections behind the answer say nothing to us; that they parse, they must. */
static bool skip_rest(struct transfer *t, struct wire *w, bool has_tsig)
{
	size_t count = (size_t)wire_get_u16(w->base + 8) + wire_get_u16(w->base + 10) - has_tsig;
	struct record r;

	for (; count > 0; count--) {
		if (!take_head(t, w, &r))
			return false;
		wire_skip(w, r.rdata_len);
	}
	if (w->pos != w->len)
		return fail(t, "bytes behind the last record of a message");
	return true;
}

static bool is_apex_soa(const struct transfer *t, const struct record *r)
{
	return r->type == TYPE_SOA && name_is_equal(t->owner, t->origin);
}

/* The serial is the first of the five numbers that end an SOA, RFC 1035 s.3.3.13. */
static uint32_t soa_serial(const struct transfer *t, const struct record *r)
{
	return wire_get_u32(t->rdata + r->rdata_len - 20);
}

/* ---- The reply to SOA ---- */

static bool take_soa_reply(struct transfer *t, struct wire *w, bool has_tsig)
{
	unsigned count = wire_get_u16(w->base + 6);
	bool is_found = false;
	struct record r;

	/* A server that has it from elsewhere may well have it from us. */
	if (!(wire_get_u16(w->base + 2) & DNS_AA))
		return fail(t, "primary is not authoritative for the zone (AA is clear)");
	for (; count > 0; count--) {
		if (!take_record(t, w, &r))
			return false;
		if (is_apex_soa(t, &r) && !is_found) {
			is_found = true;
			t->serial = soa_serial(t, &r);
		}
	}
	if (!skip_rest(t, w, has_tsig))
		return false;
	return is_found || fail(t, "no SOA in the reply to SOA");
}

static enum transfer_status judge_soa(struct transfer *t, const struct generation *have)
{
	if (have && !serial_is_newer(t->serial, have->soa.serial))
		return TRANSFER_UP_TO_DATE;
	return TRANSFER_NEWER;
}

/* ---- The reply to AXFR ---- */

static bool is_over_bytes(const struct transfer *t)
{
	return t->limits.max_bytes != 0 && t->bytes > BYTES_SLACK &&
	       (t->bytes - BYTES_SLACK) / 2 > t->limits.max_bytes;
}

static bool store_record(struct transfer *t, const struct record *r)
{
	enum zone_error e;

	if (t->limits.max_records != 0 && t->records >= t->limits.max_records)
		return fail(t, "over the limit of %zu records", t->limits.max_records);
	e = zone_edit_add(t->edit, t->owner, r->type, r->ttl, t->rdata, r->rdata_len);
	if (e == ZONE_TOO_BIG)		/* a limit of ours, no fault of the zone's */
		return fail(t, "%s", zone_error_text(e));
	if (e != ZONE_OK) {
		t->zone_error = e;
		return fail_record(t, r->type, zone_error_text(e));
	}
	t->records++;
	return true;
}

/* RFC 5936 s.2.2: the first record is the SOA, and so is the last. */
static bool take_first_soa(struct transfer *t, const struct record *r)
{
	if (!is_apex_soa(t, r))
		return fail_record(t, r->type, "first record is not the zone's SOA");
	memcpy(t->soa, t->rdata, r->rdata_len);
	t->soa_len = r->rdata_len;
	t->serial = soa_serial(t, r);
	t->edit = zone_edit_new(t->origin, NULL, t->limits.max_records, t->limits.max_bytes);
	t->state = STATE_BODY;
	return store_record(t, r);
}

static bool take_last_soa(struct transfer *t, const struct record *r)
{
	if (!rdata_is_equal(TYPE_SOA, t->soa, t->soa_len, t->rdata, r->rdata_len))
		return fail(t, "last SOA (serial %u) differs from the first (serial %u)",
			    soa_serial(t, r), t->serial);
	t->state = STATE_DONE;
	return true;
}

static bool take_zone_record(struct transfer *t, struct wire *w)
{
	struct record r;

	if (t->state == STATE_DONE)
		return fail(t, "records after the last SOA");
	if (!take_record(t, w, &r))
		return false;
	if (t->state == STATE_AXFR)
		return take_first_soa(t, &r);
	if (is_apex_soa(t, &r))
		return take_last_soa(t, &r);
	return store_record(t, &r);
}

static bool take_axfr_reply(struct transfer *t, struct wire *w, bool has_tsig)
{
	unsigned count = wire_get_u16(w->base + 6);

	t->bytes += w->len;
	if (is_over_bytes(t))
		return fail(t, "over %zu bytes of messages", t->bytes);
	if (count == 0 && ++t->empty > t->limits.max_empty)
		return fail(t, "over %u messages without a record", t->limits.max_empty);
	for (; count > 0; count--)
		if (!take_zone_record(t, w))
			return false;
	if (!skip_rest(t, w, has_tsig))
		return false;
	if (t->state == STATE_DONE && t->tsig && tsig_stream_end(t->tsig) != TSIG_OK)
		return fail(t, "last message is not signed");
	return true;
}

/* ---- */

static bool take(struct transfer *t, const uint8_t *message, size_t len, uint64_t now_s)
{
	struct wire w;
	bool has_tsig, ok;

	if (!check_envelope(t, message, &len, now_s, &has_tsig))
		return false;
	w = wire_over(message, len);
	w.pos = DNS_HEADER_LEN;
	if (!take_question(t, &w))
		return false;
	ok = t->qtype == TYPE_SOA ? take_soa_reply(t, &w, has_tsig)
				  : take_axfr_reply(t, &w, has_tsig);
	t->is_first_taken = true;
	return ok;
}

enum transfer_status transfer_take_message(struct transfer *t, const struct generation *have,
					   const uint8_t *message, size_t len, uint64_t now_s)
{
	assert(t->state != STATE_IDLE && t->state != STATE_DONE);
	if (t->state == STATE_FAILED || !take(t, message, len, now_s))
		return TRANSFER_FAILED;
	if (t->state == STATE_DONE)
		return TRANSFER_DONE;
	if (t->state != STATE_SOA)
		return TRANSFER_MORE;
	t->state = STATE_IDLE;
	return judge_soa(t, have);
}

void transfer_close(struct transfer *t, const char *reason)
{
	if (t->state != STATE_DONE)
		fail(t, "%s", reason);
}

const char *transfer_reason(const struct transfer *t)
{
	return t->reason;
}

enum zone_error transfer_zone_error(const struct transfer *t, const uint8_t **owner)
{
	*owner = t->owner;
	return t->zone_error;
}

uint32_t transfer_serial(const struct transfer *t)
{
	return t->serial;
}

size_t transfer_records(const struct transfer *t)
{
	return t->records;
}

size_t transfer_bytes(const struct transfer *t)
{
	return t->bytes;
}

struct zone_edit *transfer_take_edit(struct transfer *t)
{
	struct zone_edit *edit = t->edit;

	assert(t->state == STATE_DONE && edit);
	t->edit = NULL;
	return edit;
}
