/* SPDX-License-Identifier: ISC */
#include "cache/response.h"

#include <assert.h>

#include "cache/name.h"
#include "cache/rdata.h"

enum {
	POINTER = 0xc000,
	POINTER_MAX = 0x3fff,	/* RFC 1035 s.4.1.4: fourteen bits of offset */
	PROBES = 8,		/* places where a name may stand in the table */
};

/* Folds more than ASCII letters: names are compared afterwards. */
static inline uint64_t mix(uint64_t hash, uint64_t bytes)
{
	hash = (hash ^ (bytes | 0x2020202020202020u)) * 0x9e3779b97f4a7c15u;
	return hash ^ hash >> 32;
}

/* What is left of a label after its eights: 0 to 7 bytes, read twice where they overlap. */
static inline uint64_t rest_of(const uint8_t *label, unsigned left)
{
	uint32_t first, last;

	if (left < sizeof(first))
		return left ? (uint64_t)label[0] << 16 | (uint64_t)label[left / 2] << 8 | label[left - 1] : 0;
	memcpy(&first, label, sizeof(first));
	memcpy(&last, label + left - sizeof(last), sizeof(last));
	return (uint64_t)first << 32 | last;
}

static inline uint64_t hash_label(uint64_t hash, const uint8_t *label)
{
	unsigned left = *label++;
	uint64_t bytes;

	hash ^= (uint64_t)left << 56;
	for (; left >= sizeof(bytes); left -= (unsigned)sizeof(bytes), label += sizeof(bytes)) {
		memcpy(&bytes, label, sizeof(bytes));
		hash = mix(hash, bytes);
	}
	return mix(hash, rest_of(label, left));
}

static void find_labels(const uint8_t *name, struct response_labels *l)
{
	unsigned at = 0;

	l->count = 0;
	for (; name[at] != 0; at += name[at] + 1u)
		l->start[l->count++] = (uint8_t)at;
	l->start[l->count] = (uint8_t)at;
}

/* How many labels at the end of the name are those at the end of the question's. */
static unsigned count_shared(const struct response *r, const uint8_t *name,
			     const struct response_labels *l)
{
	const struct response_labels *q = &r->question;
	unsigned shared = 0;

	while (shared < l->count && shared < q->count &&
	       name_label_is_equal(name + l->start[l->count - shared - 1],
				   r->query->qname + q->start[q->count - shared - 1]))
		shared++;
	return shared;
}

/* Of the name from each of its first `own` labels on: what follows them is told by its length. */
static void hash_suffixes(const uint8_t *name, const struct response_labels *l, unsigned own,
			  uint32_t hashes[NAME_LABELS_MAX])
{
	uint64_t hash = l->count - own;

	for (unsigned i = own; i-- > 0;) {
		hash = hash_label(hash, name + l->start[i]);
		hashes[i] = (uint32_t)(hash >> 16);
	}
}

/* In steps of the hash's own: a name with many labels crowds none out. */
static unsigned slot_of(uint32_t hash, unsigned probe)
{
	return ((hash >> 16 ^ hash) + probe * (hash >> 8 | 1)) % RESPONSE_NAMES;
}

/* Where the name stands already, or 0. */
static uint16_t find_name(const struct response *r, const uint8_t *name, uint32_t hash)
{
	for (unsigned probe = 0; probe < PROBES; probe++) {
		unsigned i = slot_of(hash, probe);

		if (r->at[i] == 0)
			return 0;
		if (r->tags[i] == (uint16_t)hash &&
		    (r->names[i] == name || name_is_equal(r->names[i], name)))
			return r->at[i];
	}
	return 0;
}

/* In the first place that is free, if one is. */
static void keep_name(struct response *r, const uint8_t *name, uint32_t hash, size_t at)
{
	unsigned i = slot_of(hash, 0);

	if (at > POINTER_MAX)
		return;
	for (unsigned probe = 1; probe < PROBES && r->at[i] != 0; probe++)
		i = slot_of(hash, probe);
	if (r->at[i] != 0)
		return;
	r->at[i] = (uint16_t)at;
	r->tags[i] = (uint16_t)hash;
	r->names[i] = name;
}

static void start_names(struct response *r)
{
	memset(r->at, 0, sizeof(r->at));
	r->has_names = true;
	find_labels(r->query->qname, &r->question);
}

/*
 * Writes a name, as much of its end as stands in the response already by a pointer.
 * Returns an offset to point at for the same name again, or 0 when there is none.
 */
static uint16_t put_name(struct response *r, const uint8_t *name)
{
	size_t start = r->out.len;
	struct response_labels l;
	uint32_t hashes[NAME_LABELS_MAX];
	unsigned own, i;
	uint16_t at = 0, found = 0;

	if (name == r->query->qname && name[0] != 0) {
		wire_add_u16(&r->out, POINTER | DNS_HEADER_LEN);
		return DNS_HEADER_LEN;
	}
	if (!r->has_names)
		start_names(r);
	find_labels(name, &l);
	own = l.count - count_shared(r, name, &l);
	if (own < l.count)
		at = (uint16_t)(DNS_HEADER_LEN + r->question.start[r->question.count - (l.count - own)]);
	hash_suffixes(name, &l, own, hashes);
	for (i = 0; i < own && (found = find_name(r, name + l.start[i], hashes[i])) == 0; i++)
		keep_name(r, name + l.start[i], hashes[i], start + l.start[i]);
	if (found != 0)
		at = found;
	wire_add_few(&r->out, name, l.start[i] + (at == 0 ? 1u : 0u));
	if (at != 0)
		wire_add_u16(&r->out, (uint16_t)(POINTER | at));
	if (i == 0)
		return at;
	return start <= POINTER_MAX ? (uint16_t)start : 0;
}

static void put_names_and_rest(struct response *r, const struct rdata_names *names,
			       const uint8_t *rdata, uint16_t len)
{
	size_t done = names->before;

	wire_add_few(&r->out, rdata, done);
	for (unsigned i = 0; i < names->count; i++) {
		put_name(r, rdata + done);
		done += name_len(rdata + done);
	}
	wire_add_few(&r->out, rdata + done, len - done);
}

/* Behind its owner. */
static void put_record(struct response *r, const struct rrset *set, const struct rdata_names *names,
		       const uint8_t *rdata, uint16_t len)
{
	uint8_t *fixed = wire_room(&r->out, 10);
	size_t start = r->out.len;

	if (!fixed)
		return;
	wire_put_u16(fixed, set->type);
	wire_put_u16(fixed + 2, r->class);
	wire_put_u32(fixed + 4, set->ttl < r->ttl_max ? set->ttl : r->ttl_max);
	if (names->count > 0)
		put_names_and_rest(r, names, rdata, len);
	else
		wire_add_bytes(&r->out, rdata, len);
	wire_put_u16(fixed + 8, (uint16_t)(r->out.len - start));
}

/* Where in the set to begin: a position for rrset_next(). */
static size_t first_record(const struct response *r, enum section section,
			   const struct rrset *set)
{
	const uint8_t *rdata;
	size_t pos = 0;
	uint16_t len;

	if (section != SECTION_ANSWER || set->count < 2 || set->type == TYPE_RRSIG)
		return 0;
	for (unsigned skip = r->rotation % set->count; skip > 0; skip--)
		rrset_next(set, &pos, &rdata, &len);
	return pos;
}

bool response_put(struct response *r, enum section section, const uint8_t *owner,
		  const struct rrset *set)
{
	struct response_mark before = response_mark(r);
	struct rdata_names names = rdata_compressible(set->type);
	size_t pos = first_record(r, section, set);
	uint16_t len, owner_at = owner == r->owner ? r->owner_at : 0;
	const uint8_t *rdata;

	for (unsigned i = 0; !r->out.full && i < set->count; i++) {
		if (!rrset_next(set, &pos, &rdata, &len)) {
			pos = 0;	/* around: there is a first one */
			rrset_next(set, &pos, &rdata, &len);
		}
		if (owner_at != 0)
			wire_add_u16(&r->out, (uint16_t)(POINTER | owner_at));
		else
			owner_at = put_name(r, owner);
		put_record(r, set, &names, rdata, len);
		r->counts[section]++;
	}
	r->owner = owner;
	r->owner_at = owner_at;
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
	if (r->owner_at >= to->len)
		r->owner = NULL;
	for (unsigned i = 0; r->has_names && i < RESPONSE_NAMES; i++)
		if (r->at[i] >= to->len)
			r->at[i] = 0;
}

void response_begin(struct response *r, const struct message *query, const uint8_t *packet,
		    const struct edns_reply *edns, uint8_t *out, size_t limit)
{
	assert(limit >= DNS_UDP_MAX);
	r->query = query;
	r->edns = edns;
	r->opt_len = edns_len(&query->edns, edns);
	r->ede = EDE_NONE;
	r->class = CLASS_IN;
	r->ttl_max = UINT32_MAX;
	r->rotation = 0;
	r->out = wire_into(out, (limit < DNS_MESSAGE_MAX ? limit : DNS_MESSAGE_MAX) - r->opt_len);
	r->flags = (uint16_t)(DNS_QR | (query->flags & (DNS_OPCODE | DNS_RD | DNS_CD)));
	memset(r->counts, 0, sizeof(r->counts));
	r->has_names = false;
	r->owner = NULL;

	wire_room(&r->out, DNS_HEADER_LEN);
	wire_add_few(&r->out, packet + DNS_HEADER_LEN,
		       (size_t)query->question_end - DNS_HEADER_LEN);
	r->counts[0] = 1;
}

void response_set_ede(struct response *r, enum dns_ede ede)
{
	r->ede = ede;
}

/* RFC 8914 s.3: what must go without its reason says so by TC, if asking again can help. */
static void put_opt(struct response *r, enum dns_rcode rcode)
{
	size_t left;

	r->out.cap += r->opt_len;
	left = r->out.cap - r->out.len - r->opt_len;
	if (r->ede != EDE_NONE && left < EDNS_EDE_LEN && r->out.cap < DNS_MESSAGE_MAX)
		r->flags |= DNS_TC;
	edns_write(&r->out, &r->query->edns, r->edns, rcode, r->ede);
	r->counts[SECTION_ADDITIONAL]++;
}

size_t response_end(struct response *r, enum dns_rcode rcode)
{
	assert((unsigned)rcode <= DNS_RCODE || r->opt_len > 0);
	if (r->opt_len > 0)
		put_opt(r, rcode);
	assert(!r->out.full);

	wire_put_u16(r->out.base, r->query->id);
	wire_put_u16(r->out.base + 2, (uint16_t)(r->flags | ((unsigned)rcode & DNS_RCODE)));
	for (unsigned i = 0; i < 4; i++)
		wire_put_u16(r->out.base + 4 + 2 * i, r->counts[i]);
	return r->out.len;
}
