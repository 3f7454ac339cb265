/* SPDX-License-Identifier: ISC */
#include "cache/response.h"

#include <assert.h>

#include "cache/cookie.h"
#include "cache/name.h"
#include "cache/rdata.h"

enum {
	POINTER = 0xc000,
	POINTER_MAX = 0x3fff,	/* RFC 1035 s.4.1.4: fourteen bits of offset */
	OPT_LEN = 11,
	OPTION_HEADER_LEN = 4,
};

/* The labels of a name from the left, and a hash of the name from each of them on. */
struct suffixes {
	unsigned count;
	uint8_t start[NAME_LABELS_MAX];
	uint32_t hash[NAME_LABELS_MAX];
};

/* FNV-1a, folding more than ASCII letters: names are compared afterwards. */
static uint32_t hash_label(uint32_t hash, const uint8_t *label)
{
	for (unsigned i = 1; i <= label[0]; i++)
		hash = (hash ^ (label[i] | 0x20u)) * 16777619u;
	return (hash ^ label[0]) * 16777619u;
}

static void find_suffixes(const uint8_t *name, struct suffixes *s)
{
	uint32_t hash = 2166136261u;

	s->count = 0;
	for (size_t at = 0; name[at] != 0; at += name[at] + 1u)
		s->start[s->count++] = (uint8_t)at;
	for (unsigned i = s->count; i-- > 0;)
		s->hash[i] = hash = hash_label(hash, name + s->start[i]);
}

static unsigned slot_of(uint32_t hash)
{
	return (hash >> 16 ^ hash) % RESPONSE_NAMES;
}

/* Where the name stands already, or 0. */
static uint16_t find_name(const struct response *r, const uint8_t *name, uint32_t hash)
{
	unsigned i = slot_of(hash);

	if (r->at[i] == 0)
		return 0;
	return r->names[i] == name || name_is_equal(r->names[i], name) ? r->at[i] : 0;
}

static void keep_name(struct response *r, const uint8_t *name, uint32_t hash, size_t at)
{
	unsigned i = slot_of(hash);

	if (at > POINTER_MAX)
		return;
	r->at[i] = (uint16_t)at;
	r->names[i] = name;
}

/*
 * Writes a name, as much of its end as stands in the response already by a pointer.
 * Returns an offset to point at for the same name again, or 0 when there is none.
 */
static uint16_t put_name(struct response *r, const uint8_t *name)
{
	size_t start = r->out.len;
	struct suffixes s;
	uint16_t at = 0;
	unsigned i;

	find_suffixes(name, &s);
	for (i = 0; i < s.count; i++) {
		const uint8_t *suffix = name + s.start[i];

		if ((at = find_name(r, suffix, s.hash[i])) != 0)
			break;
		keep_name(r, suffix, s.hash[i], start + s.start[i]);
	}
	if (at == 0) {
		wire_add_bytes(&r->out, name, name_len(name));
		return s.count > 0 && start <= POINTER_MAX ? (uint16_t)start : 0;
	}
	wire_add_bytes(&r->out, name, s.start[i]);
	wire_add_u16(&r->out, (uint16_t)(POINTER | at));
	if (i == 0)
		return at;
	return start <= POINTER_MAX ? (uint16_t)start : 0;
}

static void put_rdata(struct response *r, uint16_t type, const uint8_t *rdata, uint16_t len)
{
	uint8_t *length = wire_room(&r->out, 2);
	size_t start = r->out.len, done = 0, at;

	while ((at = rdata_compressible(type, rdata, len, done)) != SIZE_MAX) {
		wire_add_bytes(&r->out, rdata + done, at - done);
		put_name(r, rdata + at);
		done = at + name_len(rdata + at);
	}
	wire_add_bytes(&r->out, rdata + done, len - done);
	if (length && !r->out.full)
		wire_put_u16(length, (uint16_t)(r->out.len - start));
}

bool response_put(struct response *r, enum section section, const uint8_t *owner,
		  const struct rrset *set)
{
	struct response_mark before = response_mark(r);
	const uint8_t *rdata;
	uint16_t len, owner_at = 0;

	for (size_t pos = 0; !r->out.full && rrset_next(set, &pos, &rdata, &len);) {
		if (owner_at != 0)
			wire_add_u16(&r->out, (uint16_t)(POINTER | owner_at));
		else
			owner_at = put_name(r, owner);
		wire_add_u16(&r->out, set->type);
		wire_add_u16(&r->out, CLASS_IN);
		wire_add_u32(&r->out, set->ttl);
		put_rdata(r, set->type, rdata, len);
		r->counts[section]++;
	}
	if (!r->out.full)
		return true;
	response_undo(r, &before);
	return false;
}

struct response_mark response_mark(const struct response *r)
{
	struct response_mark m = { .len = r->out.len };

	memcpy(m.counts, r->counts, sizeof(m.counts));
	return m;
}

void response_undo(struct response *r, const struct response_mark *to)
{
	r->out.len = to->len;
	r->out.full = false;
	memcpy(r->counts, to->counts, sizeof(r->counts));
	for (unsigned i = 0; i < RESPONSE_NAMES; i++)
		if (r->at[i] >= to->len)
			r->at[i] = 0;
}

static size_t opt_len(const struct message *query, const uint8_t *cookie)
{
	if (!query->has_edns)
		return 0;
	return OPT_LEN + (cookie ? OPTION_HEADER_LEN + COOKIE_FULL_LEN : 0);
}

static void keep_question(struct response *r)
{
	const uint8_t *name = r->query->qname;
	struct suffixes s;

	find_suffixes(name, &s);
	for (unsigned i = 0; i < s.count; i++)
		keep_name(r, name + s.start[i], s.hash[i], DNS_HEADER_LEN + (size_t)s.start[i]);
}

void response_begin(struct response *r, const struct message *query, const uint8_t *packet,
		    const uint8_t *cookie, uint8_t *out, size_t limit)
{
	assert(limit >= DNS_UDP_MAX);
	r->query = query;
	r->cookie = query->cookie_len > 0 ? cookie : NULL;
	r->opt_len = opt_len(query, r->cookie);
	r->out = wire_into(out, (limit < DNS_MESSAGE_MAX ? limit : DNS_MESSAGE_MAX) - r->opt_len);
	r->flags = (uint16_t)(DNS_QR | (query->flags & (DNS_OPCODE | DNS_RD | DNS_CD)));
	memset(r->counts, 0, sizeof(r->counts));
	memset(r->at, 0, sizeof(r->at));

	wire_room(&r->out, DNS_HEADER_LEN);
	wire_add_bytes(&r->out, packet + DNS_HEADER_LEN,
		       (size_t)query->question_end - DNS_HEADER_LEN);
	r->counts[0] = 1;
	keep_question(r);
}

/* RFC 6891 s.6.1.2. The upper bits of the rcode are 0: we give no extended one. */
static void put_opt(struct response *r)
{
	r->out.cap += r->opt_len;
	wire_add_u8(&r->out, 0);
	wire_add_u16(&r->out, TYPE_OPT);
	wire_add_u16(&r->out, DNS_EDNS_SIZE);
	wire_add_u32(&r->out, r->query->dnssec_ok ? EDNS_DO : 0);
	wire_add_u16(&r->out, (uint16_t)(r->opt_len - OPT_LEN));
	if (r->cookie) {
		wire_add_u16(&r->out, EDNS_COOKIE);
		wire_add_u16(&r->out, COOKIE_FULL_LEN);
		wire_add_bytes(&r->out, r->cookie, COOKIE_FULL_LEN);
	}
	r->counts[SECTION_ADDITIONAL]++;
}

size_t response_end(struct response *r, enum dns_rcode rcode)
{
	assert((unsigned)rcode <= DNS_RCODE);
	if (r->opt_len > 0)
		put_opt(r);
	assert(!r->out.full);

	wire_put_u16(r->out.base, r->query->id);
	wire_put_u16(r->out.base + 2, (uint16_t)(r->flags | (unsigned)rcode));
	for (unsigned i = 0; i < 4; i++)
		wire_put_u16(r->out.base + 4 + 2 * i, r->counts[i]);
	return r->out.len;
}
