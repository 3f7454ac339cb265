/* SPDX-License-Identifier: ISC */
#include "cache/transfer_parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cache/dns.h"
#include "cache/memory.h"
#include "cache/serial.h"

enum {
	OPT_SIZE = 1232,	/* which TCP ignores, RFC 6891 s.6.2.3 */
	OPTION_EXPIRE = 9,
	TO_QUESTION = 0xc000 | DNS_HEADER_LEN,	/* compressed: the question's name */
};

struct transfer *transfer_new(const uint8_t *origin, const struct tsig_key *key,
			      const struct transfer_limits *limits)
{
	struct transfer *t = memory_zeroed(1, sizeof(*t));

	t->key = key;
	t->limits = *limits;
	t->expire_s = UINT32_MAX;
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

/* ---- Asking ---- */

/* Of the SOA only the serial counts: RFC 1995 s.3. */
static void put_held_soa(struct wire_out *o, uint32_t serial)
{
	wire_add_u16(o, TO_QUESTION);
	wire_add_u16(o, TYPE_SOA);
	wire_add_u16(o, CLASS_IN);
	wire_add_u32(o, 0);
	wire_add_u16(o, 2 + 5 * 4);
	wire_add_u16(o, 0);		/* MNAME and RNAME: the root */
	wire_add_u32(o, serial);
	for (int i = 0; i < 4; i++)
		wire_add_u32(o, 0);
}

/* RFC 7314 s.3: an EXPIRE without a value asks for one. */
static void put_opt(struct wire_out *o)
{
	wire_add_u8(o, 0);
	wire_add_u16(o, TYPE_OPT);
	wire_add_u16(o, OPT_SIZE);
	wire_add_u32(o, 0);
	wire_add_u16(o, 4);
	wire_add_u16(o, OPTION_EXPIRE);
	wire_add_u16(o, 0);
}

static size_t ask(struct transfer *t, uint16_t qtype, uint16_t id, uint64_t now_s, uint8_t *out,
		  size_t cap)
{
	struct wire_out o = wire_into(out, cap);

	assert(cap >= TRANSFER_ASK_MAX);
	t->id = id;
	t->qtype = qtype;
	t->is_first_taken = false;
	wire_add_u16(&o, id);
	wire_add_u16(&o, 0);		/* a query, without RD */
	wire_add_u16(&o, 1);
	wire_add_u16(&o, 0);
	wire_add_u16(&o, qtype == TYPE_IXFR);
	wire_add_u16(&o, !t->is_plain);
	wire_add_bytes(&o, t->origin, name_len(t->origin));
	wire_add_u16(&o, qtype);
	wire_add_u16(&o, CLASS_IN);
	if (qtype == TYPE_IXFR)
		put_held_soa(&o, t->base);
	if (!t->is_plain)
		put_opt(&o);
	assert(!o.full);
	if (!t->key)
		return o.len;
	tsig_stream_free(t->tsig);	/* each request is a stream of its own */
	t->tsig = tsig_stream_new(t->key);
	return tsig_stream_sign(t->tsig, out, o.len, cap, now_s);
}

static bool may_ask(const struct transfer *t, enum transfer_state again)
{
	return t->state == STATE_IDLE || (t->state == again && !t->is_first_taken);
}

size_t transfer_ask_soa(struct transfer *t, uint16_t id, uint64_t now_s, uint8_t *out, size_t cap)
{
	assert(may_ask(t, STATE_SOA));
	t->state = STATE_SOA;
	return ask(t, TYPE_SOA, id, now_s, out, cap);
}

size_t transfer_ask_axfr(struct transfer *t, uint16_t id, uint64_t now_s, uint8_t *out, size_t cap)
{
	assert(may_ask(t, STATE_AXFR));
	t->state = STATE_AXFR;
	return ask(t, TYPE_AXFR, id, now_s, out, cap);
}

/* The edit has all that we hold from now on, whatever is published while the reply comes. */
size_t transfer_ask_ixfr(struct transfer *t, const struct generation *have, uint16_t id,
			 uint64_t now_s, uint8_t *out, size_t cap)
{
	assert(may_ask(t, STATE_IXFR));
	zone_edit_free(t->edit);
	t->edit = zone_edit_new(t->origin, have, t->limits.max_records, t->limits.max_bytes);
	zone_edit_limit_rrset(t->edit, t->limits.max_rrset);
	t->base = have->soa.serial;
	t->base_bytes = have->bytes;
	t->state = STATE_IXFR;
	return ask(t, TYPE_IXFR, id, now_s, out, cap);
}

/* ---- Replies ---- */

static bool take(struct transfer *t, const uint8_t *message, size_t len, uint64_t now_s)
{
	struct wire w;
	bool has_tsig, ok;

	if (!transfer_check_envelope(t, message, &len, now_s, &has_tsig))
		return false;
	w = wire_over(message, len);
	w.pos = DNS_HEADER_LEN;
	if (!transfer_take_question(t, &w))
		return false;
	ok = t->qtype == TYPE_SOA ? transfer_take_soa_reply(t, &w, has_tsig)
				  : transfer_take_stream(t, &w, has_tsig);
	t->is_first_taken = true;
	return ok;
}

static enum transfer_status judge_soa(struct transfer *t, const struct generation *have)
{
	t->state = STATE_IDLE;
	if (have && !serial_is_newer(t->serial, have->soa.serial))
		return TRANSFER_UP_TO_DATE;
	return TRANSFER_NEWER;
}

enum transfer_status transfer_take_message(struct transfer *t, const struct generation *have,
					   const uint8_t *message, size_t len, uint64_t now_s)
{
	assert(t->state != STATE_IDLE && t->state != STATE_DONE && t->state != STATE_CURRENT);
	if (t->state != STATE_FAILED && transfer_is_edns_refused(t, message, len)) {
		t->is_plain = true;
		return TRANSFER_ASK_AGAIN;
	}
	if (t->state == STATE_FAILED || !take(t, message, len, now_s))
		return TRANSFER_FAILED;
	if (t->state == STATE_DONE)
		return TRANSFER_DONE;
	if (t->state == STATE_CURRENT)
		return TRANSFER_UP_TO_DATE;
	return t->state == STATE_SOA ? judge_soa(t, have) : TRANSFER_MORE;
}

bool transfer_is_lone(const struct transfer *t)
{
	return t->state == STATE_LONE;
}

void transfer_close(struct transfer *t, const char *reason)
{
	if (t->state == STATE_LONE)
		transfer_fail(t, "primary has no difference from serial %u: one SOA is all", t->base);
	else if (t->state != STATE_DONE)
		transfer_fail(t, "%s", reason);
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

bool transfer_is_difference(const struct transfer *t)
{
	return t->is_difference;
}

uint32_t transfer_expire_s(const struct transfer *t)
{
	return t->expire_s;
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
