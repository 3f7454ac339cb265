/* SPDX-License-Identifier: ISC */
#include "cache/message.h"

#include <assert.h>

enum { SOA_NUMBERS_LEN = 20 };	/* serial, refresh, retry, expire, minimum */

struct record {
	uint16_t type, class;
	uint32_t ttl;
	const uint8_t *rdata;
	size_t rdata_len;
	bool is_at_root;
};

/* How many records a message claims to hold, and where the additional ones begin. */
struct counts {
	unsigned total, before_additional;
};

/*
 * Steps over an owner name without following pointers: what it says matters to whoever
 * serves the record, and a message full of pointers then costs no more than its length.
 */
static void skip_owner(struct wire *w)
{
	size_t start = w->pos;

	for (;;) {
		uint8_t label_len = wire_u8(w);

		if (label_len == 0)	/* also when nothing is left */
			break;
		if (label_len >= 0xc0) {
			wire_skip(w, 1);
			break;
		}
		if (label_len > 63)
			w->bad = true;
		wire_skip(w, label_len);
	}
	if (w->pos - start > NAME_LEN_MAX)
		w->bad = true;
}

static bool record_parse(struct wire *w, struct record *r)
{
	size_t start = w->pos;

	skip_owner(w);
	r->is_at_root = w->pos == start + 1;
	r->type = wire_u16(w);
	r->class = wire_u16(w);
	r->ttl = wire_u32(w);
	r->rdata_len = wire_u16(w);
	r->rdata = wire_bytes(w, r->rdata_len);
	return !w->bad;
}

/* RFC 6891 s.6.1.1: one OPT, owned by the root. */
static bool take_opt(struct message *m, const struct record *r)
{
	if (m->edns.is_present || !r->is_at_root)
		return false;
	return edns_parse(&m->edns, r->class, r->ttl, r->rdata, r->rdata_len);
}

static bool is_sig0(const struct record *r)
{
	return r->type == TYPE_SIG && r->rdata_len >= 2 && wire_get_u16(r->rdata) == 0;
}

/* OPT, TSIG and SIG(0) speak about the message itself and have their places in it. */
static bool take_record(struct message *m, const struct record *r, bool is_additional,
			bool is_last)
{
	if (r->type == TYPE_OPT)
		return is_additional && take_opt(m, r);
	if (r->type == TYPE_TSIG) {
		m->is_signed = true;
		return is_additional && is_last;	/* RFC 8945 s.5.1 */
	}
	if (is_additional && is_sig0(r))	/* RFC 2931 s.3 */
		m->is_signed = true;
	return true;
}

static bool take_records(struct message *m, struct wire *w, struct counts counts)
{
	for (unsigned i = 0; i < counts.total; i++) {
		struct record r;

		if (!record_parse(w, &r))
			return false;
		if (!take_record(m, &r, i >= counts.before_additional, i + 1 == counts.total))
			return false;
	}
	return true;
}

/* Nothing precedes the question that its name could point at: a pointer is malice. */
static bool take_question(struct message *m, struct wire *w)
{
	size_t len = name_parse(w, m->qname);

	if (len == 0 || w->pos != DNS_HEADER_LEN + len)
		return false;
	m->qname_len = (uint8_t)len;
	m->qtype = wire_u16(w);
	m->qclass = wire_u16(w);
	m->question_end = (uint16_t)w->pos;
	return !w->bad;
}

static void clear(struct message *m)
{
	m->qtype = m->qclass = 0;
	m->question_end = m->len = 0;
	m->qname_len = 0;
	m->is_signed = false;
	m->edns = (struct edns){ 0 };
}

/* What we say of an opcode that must have one question, and of others, which need not. */
static enum message_verdict unreadable(const struct message *m)
{
	bool is_known = m->opcode == OPCODE_QUERY || m->opcode == OPCODE_NOTIFY ||
			m->opcode == OPCODE_UPDATE;

	return is_known ? MESSAGE_FORMERR : MESSAGE_NOTIMP;
}

enum message_verdict message_parse(const uint8_t *packet, size_t len, struct message *m)
{
	if (len < DNS_HEADER_LEN || packet[2] & (DNS_QR >> 8))
		return MESSAGE_DROP;
	m->id = wire_get_u16(packet);
	m->flags = wire_get_u16(packet + 2);
	m->opcode = (uint8_t)((m->flags & DNS_OPCODE) >> 11);
	clear(m);
	if (m->opcode == OPCODE_DSO)	/* RFC 8490: of this connection, never passed on */
		return MESSAGE_NOTIMP;
	if (wire_get_u16(packet + 4) != 1)	/* RFC 9619 s.4; UPDATE: RFC 2136 s.2.3 */
		return unreadable(m);

	struct wire w = wire_over(packet, len < DNS_MESSAGE_MAX ? len : DNS_MESSAGE_MAX);
	struct counts counts = { .before_additional = wire_get_u16(packet + 6) };

	counts.before_additional += wire_get_u16(packet + 8);
	counts.total = counts.before_additional + wire_get_u16(packet + 10);
	wire_skip(&w, DNS_HEADER_LEN);
	if (!take_question(m, &w) || !take_records(m, &w, counts))
		return unreadable(m);
	m->len = (uint16_t)w.pos;
	return m->edns.version > 0 ? MESSAGE_BADVERS : MESSAGE_OK;
}

bool message_reply_is_whole(const uint8_t *packet, size_t len)
{
	struct wire w = wire_over(packet, len);
	unsigned records = wire_get_u16(packet + 6);
	struct record r;

	records += wire_get_u16(packet + 8);
	records += wire_get_u16(packet + 10);

	if (wire_get_u16(packet + 2) & DNS_TC)
		return true;
	wire_skip(&w, DNS_HEADER_LEN);
	for (unsigned i = wire_get_u16(packet + 4); i > 0 && !w.bad; i--) {
		skip_owner(&w);
		wire_skip(&w, 4);
	}
	while (records-- > 0 && record_parse(&w, &r))
		;
	return !w.bad;
}

bool message_find_serial(struct wire *w, unsigned count, const uint8_t *zone, uint32_t *serial)
{
	uint8_t owner[NAME_LEN_MAX], name[NAME_LEN_MAX];

	for (; count > 0 && !w->bad; count--) {
		if (!name_parse(w, owner))
			return false;
		uint16_t type = wire_u16(w), class = wire_u16(w);

		wire_skip(w, 4);
		size_t rdlength = wire_u16(w), end = w->pos + rdlength;

		if (type != TYPE_SOA || class != CLASS_IN || !name_is_equal(owner, zone)) {
			wire_skip(w, rdlength);
			continue;
		}
		if (!name_parse(w, name) || !name_parse(w, name))
			return false;
		*serial = wire_u32(w);
		wire_skip(w, SOA_NUMBERS_LEN - 4);
		w->bad |= w->pos != end;
		return !w->bad;
	}
	return false;
}

size_t message_udp_limit(const struct message *m)
{
	return m->edns.is_present ? m->edns.size : DNS_UDP_MAX;
}

/* What any reply of ours takes over from the query's flags: RFC 1035 s.4.1.1. */
static uint16_t reply_flags(const struct message *m, uint16_t copied, enum dns_rcode rcode)
{
	unsigned kept = m->flags & (DNS_OPCODE | copied);

	return (uint16_t)(DNS_QR | kept | ((unsigned)rcode & DNS_RCODE));
}

static void add_header(struct wire_out *o, uint16_t id, uint16_t flags)
{
	wire_add_u16(o, id);
	wire_add_u16(o, flags);
	wire_add_u64(o, 0);	/* the four counts */
}

size_t message_reply_short(const struct message *m, enum dns_rcode rcode,
			   uint8_t out[DNS_HEADER_LEN])
{
	struct wire_out o = wire_into(out, DNS_HEADER_LEN);

	add_header(&o, m->id, reply_flags(m, DNS_RD, rcode));
	return o.len;
}

size_t message_reply_error(const struct message *m, const uint8_t *packet,
			   enum dns_rcode rcode, enum dns_ede ede, const struct edns_reply *edns,
			   uint8_t *out, size_t cap)
{
	struct wire_out o = wire_into(out, cap);

	assert(m->question_end > DNS_HEADER_LEN);	/* else: message_reply_short() */
	assert(m->edns.is_present || rcode < RCODE_BADVERS);	/* upper bits travel in OPT */

	add_header(&o, m->id, reply_flags(m, DNS_RD | DNS_CD, rcode));
	if (o.full)
		return 0;
	wire_add_bytes(&o, packet + DNS_HEADER_LEN, m->question_end - DNS_HEADER_LEN);
	if (o.full)
		return o.len;
	wire_put_u16(out + 4, 1);	/* QDCOUNT */
	if (edns_write(&o, &m->edns, edns, rcode, ede))
		wire_put_u16(out + 10, 1);	/* ARCOUNT */
	return o.len;
}
