/* SPDX-License-Identifier: ISC */
#include "cache/draft.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "cache/dns.h"
#include "cache/random.h"
#include "cache/rdata.h"
#include "cache/wire.h"

enum {
	SETS_MAX = 2 * ZONE_NODE_TYPES_MAX,	/* types, and the signatures of each */
	RDATA_SUM_MAX = 65535,			/* more fits into no message */
	INDEX_FROM = 32,			/* records: below, looking at all is quicker */
	INDEX_SLOTS = 2 * ZONE_RRSET_RECORDS_MAX,
	HASHED_MAX = 512,			/* bytes of a record */
};

struct draft_set {
	struct rrset view;	/* as node_new() wants it: view.rdata is `bytes` */
	uint8_t *bytes;
	size_t room;
	uint32_t *index;	/* INDEX_SLOTS places of records + 1 by hash; 0: free */
	bool is_indexed;	/* `index` knows every record */
	uint64_t seed;		/* of its hashes; drawn when it is made */
	size_t gone;		/* where the record was that went last; at most view.rdata_len */
};

static void *grown(void *p, size_t bytes)
{
	p = realloc(p, bytes);
	if (!p)
		abort();
	return p;
}

void draft_init(struct draft *d)
{
	*d = (struct draft){ .max_set = ZONE_RRSET_RECORDS_MAX };
}

void draft_fini(struct draft *d)
{
	for (size_t i = 0; i < d->set_room; i++) {
		free(d->sets[i].bytes);
		free(d->sets[i].index);
	}
	free(d->sets);
	*d = (struct draft){ .set_count = 0 };
}

void draft_start(struct draft *d, const uint8_t *owner)
{
	memcpy(d->owner, owner, name_len(owner));
	d->set_count = 0;
	d->is_changed = false;
}

/* ---- Sets ---- */

/* What tells sets apart, as one number that orders them. */
static uint32_t set_key(uint16_t type, uint16_t covered)
{
	return (uint32_t)type << 16 | covered;
}

static uint32_t set_key_of(const struct draft_record *r)
{
	bool is_signature = r->type == TYPE_RRSIG && r->rdata_len >= 2;

	return set_key(r->type, is_signature ? wire_get_u16(r->rdata) : 0);
}

/* Where the set of `key` is, or belongs. Records come set by set: the last one is likely. */
static size_t set_place(const struct draft *d, uint32_t key)
{
	size_t i = d->set_count;

	while (i > 0 && set_key(d->sets[i - 1].view.type, d->sets[i - 1].view.covered) >= key)
		i--;
	return i;
}

static struct draft_set *set_find(struct draft *d, uint32_t key)
{
	size_t i = set_place(d, key);

	if (i == d->set_count || set_key(d->sets[i].view.type, d->sets[i].view.covered) != key)
		return NULL;
	return &d->sets[i];
}

/* A new set of `key` in its place, made from a spare one and its buffers. */
static struct draft_set *set_new(struct draft *d, uint32_t key, uint32_t ttl)
{
	size_t i = set_place(d, key);

	if (d->set_count == d->set_room) {
		d->sets = grown(d->sets, (d->set_room + 4) * sizeof(*d->sets));
		memset(d->sets + d->set_room, 0, 4 * sizeof(*d->sets));
		d->set_room += 4;
	}
	struct draft_set spare = d->sets[d->set_count];

	memmove(&d->sets[i + 1], &d->sets[i], (d->set_count - i) * sizeof(*d->sets));
	spare.is_indexed = false;
	spare.gone = 0;
	spare.view = (struct rrset){
		.type = (uint16_t)(key >> 16), .covered = (uint16_t)key, .ttl = ttl, .rdata = spare.bytes,
	};
	d->sets[i] = spare;
	d->set_count++;
	return &d->sets[i];
}

/* The set becomes a spare one behind the others. */
static void set_del(struct draft *d, struct draft_set *set)
{
	struct draft_set spare = *set;
	size_t behind = (size_t)(d->sets + d->set_count - set) - 1;

	memmove(set, set + 1, behind * sizeof(*set));
	d->sets[--d->set_count] = spare;
}

static size_t rdata_sum(const struct rrset *set)
{
	return set->rdata_len - 2u * set->count;
}

static bool has_room_for_type(const struct draft *d, bool is_signature)
{
	size_t count = 0;

	for (size_t i = 0; i < d->set_count; i++)
		count += (d->sets[i].view.type == TYPE_RRSIG) == is_signature;
	return count < ZONE_NODE_TYPES_MAX;
}

/* ---- Records ---- */

/*
 * Letters are folded, so that what rdata_is_equal() takes for equal has one hash, whatever the
 * type. The seed is nobody's to know, or a primary could send records that all have one place;
 * of those that are alike for HASHED_MAX bytes an RRset holds few.
 */
static uint32_t rdata_hash(const struct draft_set *set, const uint8_t *rdata, size_t len)
{
	uint8_t folded[HASHED_MAX];

	if (len > HASHED_MAX)
		len = HASHED_MAX;
	for (size_t i = 0; i < len; i++)
		folded[i] = (uint8_t)(rdata[i] >= 'A' && rdata[i] <= 'Z' ? rdata[i] + 32 : rdata[i]);
	return (uint32_t)XXH3_64bits_withSeed(folded, len, set->seed);
}

static bool is_record_at(const struct draft_set *set, size_t pos, const struct draft_record *r)
{
	return rdata_is_equal(r->type, set->bytes + pos + 2, wire_get_u16(set->bytes + pos), r->rdata,
			      r->rdata_len);
}

static uint32_t *index_slot(struct draft_set *set, const struct draft_record *r)
{
	uint32_t i = rdata_hash(set, r->rdata, r->rdata_len);

	for (;; i++) {
		uint32_t *slot = &set->index[i % INDEX_SLOTS];

		if (*slot == 0 || is_record_at(set, *slot - 1, r))
			return slot;
	}
}

static void index_build(struct draft_set *set)
{
	struct draft_record r = { .type = set->view.type };
	struct random random;

	random_init(&random);
	set->seed = random_u64(&random);
	if (!set->index)
		set->index = grown(NULL, INDEX_SLOTS * sizeof(*set->index));
	memset(set->index, 0, INDEX_SLOTS * sizeof(*set->index));
	for (size_t pos = 0, at = 0; rrset_next(&set->view, &pos, &r.rdata, &r.rdata_len); at = pos)
		*index_slot(set, &r) = (uint32_t)at + 1;
	set->is_indexed = true;
}

/* Where the record is from `pos` on and before `end`, or SIZE_MAX. */
static size_t record_look(const struct draft_set *set, const struct draft_record *r, size_t pos,
			  size_t end)
{
	for (; pos < end; pos += 2u + wire_get_u16(set->bytes + pos))
		if (is_record_at(set, pos, r))
			return pos;
	return SIZE_MAX;
}

/* Where the record is, or SIZE_MAX. */
static size_t record_find(struct draft_set *set, const struct draft_record *r)
{
	if (set->view.count < INDEX_FROM)
		return record_look(set, r, 0, set->view.rdata_len);
	if (!set->is_indexed)
		index_build(set);
	return (size_t)*index_slot(set, r) - 1;
}

/*
 * The same for one that is to go. An index would have to be built anew for each: those of a
 * set go one after the other, mostly in its order.
 */
static size_t record_find_gone(struct draft_set *set, const struct draft_record *r)
{
	size_t at;

	if (set->is_indexed)
		return record_find(set, r);
	at = record_look(set, r, set->gone, set->view.rdata_len);
	return at != SIZE_MAX ? at : record_look(set, r, 0, set->gone);
}

static void record_append(struct draft_set *set, const struct draft_record *r)
{
	size_t pos = set->view.rdata_len, end = pos + 2 + r->rdata_len;

	if (end > set->room) {
		set->room = end < 64 ? 64 : end * 2;
		set->bytes = grown(set->bytes, set->room);
		set->view.rdata = set->bytes;
	}
	if (set->is_indexed)
		*index_slot(set, r) = (uint32_t)pos + 1;
	wire_put_u16(set->bytes + pos, r->rdata_len);
	if (r->rdata_len > 0)
		memcpy(set->bytes + pos + 2, r->rdata, r->rdata_len);
	set->view.rdata_len = (uint32_t)end;
	set->view.count++;
}

static enum zone_error may_add(const struct draft *d, const struct draft_set *set,
			       const struct draft_record *r)
{
	if (!set)
		return has_room_for_type(d, r->type == TYPE_RRSIG) ? ZONE_OK : ZONE_TYPES_TOO_MANY;
	if (set->view.type == TYPE_SOA)	/* RFC 2181 s.6.1: a zone has one */
		return ZONE_SOA_ELSEWHERE;
	if (set->view.count >= d->max_set && d->max_set < ZONE_RRSET_RECORDS_MAX)
		return ZONE_RRSET_OVER;
	if (set->view.count == ZONE_RRSET_RECORDS_MAX ||
	    rdata_sum(&set->view) + r->rdata_len > RDATA_SUM_MAX)
		return ZONE_RRSET_TOO_BIG;
	return ZONE_OK;
}

enum zone_error draft_add(struct draft *d, const struct draft_record *r, bool *is_new)
{
	uint32_t key = set_key_of(r);
	struct draft_set *set = set_find(d, key);

	*is_new = !set || record_find(set, r) == SIZE_MAX;
	enum zone_error why = *is_new ? may_add(d, set, r) : ZONE_OK;

	if (why != ZONE_OK)
		return why;
	if (!set)
		set = set_new(d, key, r->ttl);
	if (*is_new)
		record_append(set, r);
	d->is_changed |= *is_new || r->ttl < set->view.ttl;
	if (r->ttl < set->view.ttl)	/* RFC 2181 s.5.2 */
		set->view.ttl = r->ttl;
	return ZONE_OK;
}

bool draft_del(struct draft *d, const struct draft_record *r)
{
	struct draft_set *set = set_find(d, set_key_of(r));
	size_t pos = set ? record_find_gone(set, r) : SIZE_MAX;

	if (pos == SIZE_MAX)
		return false;
	size_t len = 2u + wire_get_u16(set->bytes + pos);

	memmove(set->bytes + pos, set->bytes + pos + len, set->view.rdata_len - pos - len);
	set->view.rdata_len -= (uint32_t)len;
	set->view.count--;
	set->is_indexed = false;	/* places behind it have moved */
	set->gone = pos;
	if (set->view.count == 0)
		set_del(d, set);
	d->is_changed = true;
	return true;
}

/* ---- From and to nodes ---- */

void draft_load(struct draft *d, const struct node *n)
{
	struct rrset from;

	draft_start(d, node_name(n));
	for (bool ok = node_first(n, &from); ok; ok = node_next(n, &from)) {
		struct draft_set *set = set_new(d, set_key(from.type, from.covered), from.ttl);

		if (from.rdata_len > set->room) {
			set->bytes = grown(set->bytes, from.rdata_len);
			set->room = from.rdata_len;
		}
		memcpy(set->bytes, from.rdata, from.rdata_len);
		set->view.rdata = set->bytes;
		set->view.rdata_len = from.rdata_len;
		set->view.count = from.count;
	}
}

struct node *draft_pack(const struct draft *d, bool is_apex)
{
	struct rrset sets[SETS_MAX];

	assert(d->set_count <= SETS_MAX);
	for (size_t i = 0; i < d->set_count; i++)
		sets[i] = d->sets[i].view;
	return node_new(d->owner, is_apex, sets, d->set_count);
}
