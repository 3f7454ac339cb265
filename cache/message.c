/* SPDX-License-Identifier: ISC */
#include "cache/message.h"

#include <assert.h>

#include "cache/cookie.h"
#include "cache/wire.h"

enum {
	OPTIONS_MAX = 32,	/* no RFC limit; more options than the registry had in 2024 */
	SERVER_COOKIE_MIN = 8,	/* RFC 7873 s.4: the server's part is 8 to 32 bytes */
};

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

/* RFC 7873 s.5.2.2: a client cookie alone, or with a server cookie of a lawful length. */
static bool take_cookie(struct message *m, const uint8_t *value, uint16_t len)
{
	if (len != COOKIE_CLIENT_LEN &&
	    (len < COOKIE_CLIENT_LEN + SERVER_COOKIE_MIN || len > COOKIE_MAX))
		return false;
	if (m->cookie_len == 0) {	/* s.5.2: the first one counts */
		m->cookie = value;
		m->cookie_len = (uint8_t)len;
	}
	return true;
}

static bool take_options(struct message *m, const struct record *r)
{
	struct wire w = wire_over(r->rdata, r->rdata_len);

	for (int i = 0; i < OPTIONS_MAX && wire_left(&w) > 0; i++) {
		uint16_t code = wire_u16(&w), len = wire_u16(&w);
		const uint8_t *value = wire_bytes(&w, len);

		if (w.bad)
			return false;
		if (code == EDNS_COOKIE && !take_cookie(m, value, len))
			return false;
		if (code == EDNS_NSID)
			m->wants_nsid = true;
	}
	return true;
}

/* RFC 6891 s.6.1.1: one OPT, owned by the root. */
static bool take_opt(struct message *m, const struct record *r)
{
	if (m->has_edns || !r->is_at_root)
		return false;
	m->has_edns = true;
	m->edns_size = r->class < DNS_UDP_MAX ? DNS_UDP_MAX : r->class;
	m->edns_version = (uint8_t)(r->ttl >> 16);
	m->dnssec_ok = r->ttl & EDNS_DO;
	/* What the options of a later version look like is not for us to say. */
	return m->edns_version > 0 || take_options(m, r);
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
	m->has_edns = m->dnssec_ok = m->is_signed = m->wants_nsid = false;
	m->edns_version = 0;
	m->cookie_len = 0;
	m->edns_size = 0;
	m->cookie = NULL;
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
	return m->edns_version > 0 ? MESSAGE_BADVERS : MESSAGE_OK;
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

size_t message_udp_limit(const struct message *m)
{
	return m->has_edns ? m->edns_size : DNS_UDP_MAX;
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

/* Length of the option that is added by add_ede() and add_cookie(), 0 for none. */
static size_t ede_len(enum dns_ede ede)
{
	return ede == EDE_NONE ? 0 : 6;
}

static void add_ede(struct wire_out *o, enum dns_ede ede)
{
	if (ede == EDE_NONE)
		return;
	wire_add_u16(o, EDNS_EDE);
	wire_add_u16(o, 2);
	wire_add_u16(o, (uint16_t)ede);
}

static void add_cookie(struct wire_out *o, const uint8_t *cookie)
{
	if (!cookie)
		return;
	wire_add_u16(o, EDNS_COOKIE);
	wire_add_u16(o, COOKIE_FULL_LEN);
	wire_add_bytes(o, cookie, COOKIE_FULL_LEN);
}

/* OPT with those options that there is room for; the cookie is owed first. */
static void add_opt(struct wire_out *o, const struct message *m, enum dns_rcode rcode,
		    enum dns_ede ede, const uint8_t *cookie)
{
	enum { OPT_LEN = 11, COOKIE_OPTION_LEN = 4 + COOKIE_FULL_LEN };
	size_t room = o->cap - o->len;

	if (o->full || room < OPT_LEN)
		return;
	room -= OPT_LEN;
	if (m->cookie_len == 0 || room < COOKIE_OPTION_LEN)
		cookie = NULL;
	size_t cookie_len = cookie ? COOKIE_OPTION_LEN : 0;

	if (room - cookie_len < ede_len(ede))
		ede = EDE_NONE;

	wire_add_u8(o, 0);
	wire_add_u16(o, TYPE_OPT);
	wire_add_u16(o, DNS_EDNS_SIZE);
	wire_add_u32(o, (uint32_t)rcode >> 4 << 24 | (m->dnssec_ok ? EDNS_DO : 0));
	wire_add_u16(o, (uint16_t)(cookie_len + ede_len(ede)));
	add_cookie(o, cookie);
	add_ede(o, ede);
	wire_put_u16(o->base + 10, 1);	/* ARCOUNT */
}

size_t message_reply_error(const struct message *m, const uint8_t *packet,
			   enum dns_rcode rcode, enum dns_ede ede, const uint8_t *cookie,
			   uint8_t *out, size_t cap)
{
	struct wire_out o = wire_into(out, cap);

	assert(m->question_end > DNS_HEADER_LEN);	/* else: message_reply_short() */
	assert(m->has_edns || rcode < RCODE_BADVERS);	/* upper bits travel in OPT */

	add_header(&o, m->id, reply_flags(m, DNS_RD | DNS_CD, rcode));
	if (o.full)
		return 0;
	wire_add_bytes(&o, packet + DNS_HEADER_LEN, m->question_end - DNS_HEADER_LEN);
	if (o.full)
		return o.len;
	wire_put_u16(out + 4, 1);	/* QDCOUNT */
	if (m->has_edns)
		add_opt(&o, m, rcode, ede, cookie);
	return o.len;
}
