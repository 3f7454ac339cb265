/* SPDX-License-Identifier: ISC */
/*
 * NSEC3 records have a tree of their own, but the digest knows one canonical order: two walks
 * go side by side, and where both are at one name their sets are merged by type.
 */
#include "cache/zonemd.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "cache/dns.h"
#include "cache/memory.h"
#include "cache/rdata.h"
#include "cache/wire.h"

enum {
	SCHEME_SIMPLE = 1,		/* RFC 8976 s.5.2 */
	HASHES = 2,			/* SHA-384 is 1, SHA-512 is 2: s.5.3 */
	DIGEST_MAX = 64,
	HEAD_LEN = 4 + 1 + 1,		/* serial, scheme, hash */
	ROOM = 64 * 1024,		/* of what is digested in one call of OpenSSL */
};

static const size_t digest_lens[HASHES] = { 48, 64 };

/* What the zone says of one hash, and our own. */
struct claim {
	unsigned count;			/* records of it */
	const uint8_t *digest;		/* in the generation; NULL: nothing to compare */
	EVP_MD_CTX *ours;		/* NULL: likewise */
};

struct item {
	const uint8_t *rdata;
	uint16_t len;
};

struct zonemd {
	const struct generation *zone;
	struct claim claims[HASHES];
	enum zonemd_outcome worst;	/* of the records that cannot fit */
	bool is_ended;
	const struct node *name, *hashed;	/* next in either tree; NULL: at its end */
	uint8_t owner[NAME_LEN_MAX];	/* lower case */
	size_t owner_len;
	uint8_t *folded;		/* room for the canonical rdata of one set */
	size_t folded_room;
	struct item *items;		/* ZONE_RRSET_RECORDS_MAX; NULL while there is nothing to do */
	uint8_t *bytes;			/* ROOM of them; likewise */
	size_t len;			/* of what waits in `bytes` */
};

const char *zonemd_text(enum zonemd_outcome o)
{
	switch (o) {
	case ZONEMD_ABSENT:		return "it has no ZONEMD";
	case ZONEMD_UNSUPPORTED:	return "its ZONEMD is of a scheme or hash that we do not compute";
	case ZONEMD_MALFORMED:		return "its ZONEMD is too short or too long for its hash";
	case ZONEMD_TWICE:		return "it has two ZONEMD of one scheme and hash";
	case ZONEMD_OTHER_SERIAL:	return "its ZONEMD is of another serial than its SOA";
	case ZONEMD_DIFFERS:		return "its ZONEMD is not the digest of its records";
	case ZONEMD_GOOD:		return "its ZONEMD is the digest of its records";
	}
	abort();
}

static void note(struct zonemd *z, enum zonemd_outcome o)
{
	if (o > z->worst)
		z->worst = o;
}

/* ---- What the zone says ---- */

static void read_record(struct zonemd *z, const uint8_t *rdata, uint16_t len)
{
	struct wire w = wire_over(rdata, len);
	uint32_t serial = wire_u32(&w);
	uint8_t scheme = wire_u8(&w), hash = wire_u8(&w);
	struct claim *c;

	if (w.bad || scheme != SCHEME_SIMPLE || hash < 1 || hash > HASHES) {
		note(z, w.bad ? ZONEMD_MALFORMED : ZONEMD_UNSUPPORTED);
		return;
	}
	c = &z->claims[hash - 1];
	c->count++;
	if (wire_left(&w) != digest_lens[hash - 1])
		note(z, ZONEMD_MALFORMED);
	else if (serial != z->zone->soa.serial)
		note(z, ZONEMD_OTHER_SERIAL);
	else
		c->digest = rdata + HEAD_LEN;
}

static void read_claims(struct zonemd *z)
{
	const uint8_t *rdata;
	struct rrset set;
	uint16_t len;

	if (!node_find(z->zone->apex, TYPE_ZONEMD, &set))
		return;
	for (size_t pos = 0; rrset_next(&set, &pos, &rdata, &len);)
		read_record(z, rdata, len);
	for (size_t i = 0; i < HASHES; i++)
		if (z->claims[i].count > 1) {		/* RFC 8976 s.2: at most one of each */
			note(z, ZONEMD_TWICE);
			z->claims[i].digest = NULL;
		}
}

static void begin_digests(struct zonemd *z)
{
	const EVP_MD *hashes[HASHES] = { EVP_sha384(), EVP_sha512() };

	z->is_ended = true;
	for (size_t i = 0; i < HASHES; i++) {
		struct claim *c = &z->claims[i];

		if (!c->digest)
			continue;
		c->ours = EVP_MD_CTX_new();
		if (!c->ours || EVP_DigestInit_ex(c->ours, hashes[i], NULL) != 1)
			abort();
		z->is_ended = false;
	}
	if (z->is_ended)
		return;		/* most zones have no ZONEMD, and come by here */
	z->items = memory_new(ZONE_RRSET_RECORDS_MAX * sizeof(z->items[0]));
	z->bytes = memory_new(ROOM);
}

struct zonemd *zonemd_new(const struct generation *g)
{
	struct zonemd *z = memory_zeroed(1, sizeof(*z));

	z->zone = g;
	z->name = tree_first(&g->tree);
	z->hashed = tree_first(&g->nsec3);
	read_claims(z);
	begin_digests(z);
	return z;
}

void zonemd_free(struct zonemd *z)
{
	if (!z)
		return;
	for (size_t i = 0; i < HASHES; i++)
		EVP_MD_CTX_free(z->claims[i].ours);
	free(z->folded);
	free(z->items);
	free(z->bytes);
	free(z);
}

/* ---- Bytes ---- */

static void flush(struct zonemd *z)
{
	for (size_t i = 0; i < HASHES; i++)
		if (z->claims[i].ours && EVP_DigestUpdate(z->claims[i].ours, z->bytes, z->len) != 1)
			abort();
	z->len = 0;
}

static void put(struct zonemd *z, const void *bytes, size_t len)
{
	if (len == 0)
		return;		/* RDLENGTH 0 is lawful, and may come without a pointer */
	if (len > ROOM - z->len)
		flush(z);
	assert(len <= ROOM);
	memcpy(z->bytes + z->len, bytes, len);
	z->len += len;
}

static void put_record(struct zonemd *z, const struct rrset *set, const uint8_t *rdata,
		       uint16_t len)
{
	uint8_t head[10];

	wire_put_u16(head, set->type);
	wire_put_u16(head + 2, CLASS_IN);
	wire_put_u32(head + 4, set->ttl);
	wire_put_u16(head + 8, len);
	put(z, z->owner, z->owner_len);
	put(z, head, sizeof(head));
	put(z, rdata, len);
}

/* ---- Sets ---- */

/* RFC 4034 s.6.3: as octets from the left; of two that begin alike the shorter is first. */
static int item_order(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	size_t least = x->len < y->len ? x->len : y->len;
	int order = least > 0 ? memcmp(x->rdata, y->rdata, least) : 0;

	return order ? order : (x->len > y->len) - (x->len < y->len);
}

/* The records of the set in canonical form; returns how many. */
static size_t fold_set(struct zonemd *z, const struct rrset *set)
{
	const uint8_t *rdata;
	uint8_t *at;
	size_t count = 0;
	uint16_t len;

	if (z->folded_room < set->rdata_len) {
		free(z->folded);
		z->folded = memory_new(set->rdata_len);
		z->folded_room = set->rdata_len;
	}
	at = z->folded;
	for (size_t pos = 0; rrset_next(set, &pos, &rdata, &len); count++) {
		assert(count < ZONE_RRSET_RECORDS_MAX);
		rdata_to_canonical(set->type, rdata, len, at);
		z->items[count] = (struct item){ at, len };
		at += len;
	}
	return count;
}

static void put_set(struct zonemd *z, const struct rrset *set)
{
	size_t count = fold_set(z, set);

	if (count > 1)
		qsort(z->items, count, sizeof(z->items[0]), item_order);
	for (size_t i = 0; i < count; i++)
		put_record(z, set, z->items[i].rdata, z->items[i].len);
}

/* RFC 8976 s.3.3.1: the ZONEMD of the apex and its signatures are no part of the digest. */
static bool is_left_out(const struct zonemd *z, const struct node *n, const struct rrset *set)
{
	return n == z->zone->apex && (set->type == TYPE_ZONEMD || set->covered == TYPE_ZONEMD);
}

static size_t put_set_of(struct zonemd *z, const struct node *n, const struct rrset *set)
{
	if (!is_left_out(z, n, set))
		put_set(z, set);
	return set->count;
}

/* Signatures are sets by what they cover, which their rdata begins with: so this is their order. */
static bool is_before(const struct rrset *a, const struct rrset *b)
{
	return a->type != b->type ? a->type < b->type : a->covered < b->covered;
}

/* Either may be NULL. Returns how many records they have. */
static size_t put_nodes(struct zonemd *z, const struct node *a, const struct node *b)
{
	struct rrset x, y;
	bool has_x = a && node_first(a, &x), has_y = b && node_first(b, &y);
	size_t count = 1;	/* the step itself, where a name is empty */

	while (has_x || has_y) {
		if (has_x && (!has_y || is_before(&x, &y))) {
			count += put_set_of(z, a, &x);
			has_x = node_next(a, &x);
		} else {
			count += put_set_of(z, b, &y);
			has_y = node_next(b, &y);
		}
	}
	return count;
}

/* ---- Names ---- */

static const struct node *after(const struct tree *t, const struct node *n)
{
	struct name_key key;

	name_to_key(node_name(n), &key);
	return tree_after(t, &key);
}

/* The next name of both trees. Returns how many records it has. */
static size_t put_name(struct zonemd *z)
{
	const struct node *a = z->name, *b = z->hashed;
	int order = !a ? 1 : !b ? -1 : name_compare(node_name(a), node_name(b));
	const uint8_t *name = node_name(order <= 0 ? a : b);

	z->owner_len = name_len(name);
	memcpy(z->owner, name, z->owner_len);
	name_lower(z->owner);
	if (order <= 0)
		z->name = after(&z->zone->tree, a);
	if (order >= 0)
		z->hashed = after(&z->zone->nsec3, b);
	return put_nodes(z, order <= 0 ? a : NULL, order >= 0 ? b : NULL);
}

/* ---- The end ---- */

static void compare(struct zonemd *z)
{
	uint8_t digest[DIGEST_MAX];
	unsigned len;

	for (size_t i = 0; i < HASHES; i++) {
		struct claim *c = &z->claims[i];

		if (!c->ours)
			continue;
		if (EVP_DigestFinal_ex(c->ours, digest, &len) != 1)
			abort();
		note(z, memcmp(digest, c->digest, digest_lens[i]) == 0 ? ZONEMD_GOOD : ZONEMD_DIFFERS);
	}
}

bool zonemd_step(struct zonemd *z, size_t records)
{
	size_t done = 0;

	while (!z->is_ended && done < records) {
		if (z->name || z->hashed) {
			done += put_name(z);
			continue;
		}
		flush(z);
		compare(z);
		z->is_ended = true;
	}
	return !z->is_ended;
}

enum zonemd_outcome zonemd_outcome(const struct zonemd *z)
{
	assert(z->is_ended);
	return z->worst;
}
