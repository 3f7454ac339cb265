/* SPDX-License-Identifier: ISC */
#include "cache/node.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cache/dns.h"
#include "cache/memory.h"
#include "cache/priority.h"
#include "cache/wire.h"

/* How a set begins inside a node; copied in and out, since it lies at any address. */
struct packed_set {
	uint16_t type, covered, count;
	uint8_t ttl[4], rdata_len[4];	/* as bytes: no padding */
};

static_assert(sizeof(struct packed_set) == 14, "packed");

/* ---- Reading ---- */

const uint8_t *node_name(const struct node *n)
{
	return n->bytes;
}

bool node_is_empty(const struct node *n)
{
	return n->sets_len == 0;
}

bool node_is_cut(const struct node *n)
{
	return n->flags & NODE_CUT;
}

bool node_has_dname(const struct node *n)
{
	return n->flags & NODE_DNAME;
}

/* The set at `at`, which may be the end. */
static bool set_at(const struct node *n, const uint8_t *at, struct rrset *set)
{
	struct packed_set packed;

	if (at == n->bytes + n->name_len + n->sets_len)
		return false;
	memcpy(&packed, at, sizeof(packed));
	set->type = packed.type;
	set->covered = packed.covered;
	set->count = packed.count;
	set->ttl = wire_get_u32(packed.ttl);
	set->rdata_len = wire_get_u32(packed.rdata_len);
	set->rdata = at + sizeof(packed);
	return true;
}

bool node_first(const struct node *n, struct rrset *set)
{
	return set_at(n, n->bytes + n->name_len, set);
}

bool node_next(const struct node *n, struct rrset *set)
{
	return set_at(n, set->rdata + set->rdata_len, set);
}

bool node_find(const struct node *n, uint16_t type, struct rrset *set)
{
	for (bool ok = node_first(n, set); ok && set->type <= type; ok = node_next(n, set))
		if (set->type == type)
			return true;
	return false;
}

bool node_find_rrsig(const struct node *n, uint16_t covered, struct rrset *set)
{
	for (bool ok = node_find(n, TYPE_RRSIG, set); ok && set->type == TYPE_RRSIG;
	     ok = node_next(n, set))
		if (set->covered == covered)
			return true;
	return false;
}

bool rrset_next(const struct rrset *set, size_t *pos, const uint8_t **rdata, uint16_t *len)
{
	if (*pos >= set->rdata_len)
		return false;
	*len = wire_get_u16(set->rdata + *pos);
	*rdata = set->rdata + *pos + 2;
	*pos += 2u + *len;
	return true;
}

bool node_is_computed(const struct node *n, uint16_t type)
{
	const uint8_t *rdata;
	struct rrset set;
	uint16_t len;

	if (!(n->flags & NODE_COMPUTED))
		return false;
	if ((type == TYPE_A || type == TYPE_AAAA) &&
	    (node_find(n, TYPE_ALIAS, &set) || node_find(n, TYPE_ALIAS_SIMPLE, &set)))
		return true;
	if (!node_find(n, TYPE_LUA, &set))
		return false;
	for (size_t pos = 0; rrset_next(&set, &pos, &rdata, &len);)
		if (len < 2 || wire_get_u16(rdata) == type || wire_get_u16(rdata) == TYPE_CNAME)
			return true;	/* it begins with the type that it makes */
	return false;
}

size_t node_record_count(const struct node *n)
{
	struct rrset set;
	size_t count = 0;

	for (bool ok = node_first(n, &set); ok; ok = node_next(n, &set))
		count += set.count;
	return count;
}

size_t node_wire_len(const struct node *n)
{
	struct rrset set;
	size_t len = 0;

	/* A stored length takes 2 of the 10 bytes that stand beside owner and rdata. */
	for (bool ok = node_first(n, &set); ok; ok = node_next(n, &set))
		len += set.rdata_len + set.count * (n->name_len + 8u);
	return len;
}

/* ---- Building ---- */

/* What may stand beside a CNAME: RFC 2181 s.10.1, RFC 4034 s.3 and 4, RFC 2535 s.2.3.5. */
static bool goes_with_cname(uint16_t type)
{
	return type == TYPE_RRSIG || type == TYPE_NSEC || type == TYPE_NSEC3 || type == TYPE_KEY ||
	       type == TYPE_SIG || type == TYPE_NXT;
}

/* What clients of the primary never see; they get what it makes of it. */
static bool is_recipe(uint16_t type)
{
	return type == TYPE_ALIAS || type == TYPE_LUA || type == TYPE_ALIAS_SIMPLE;
}

static uint8_t flags_of(bool is_apex, const struct rrset *sets, size_t count)
{
	bool has_cname = false, has_other = false, has_ns = false, has_dname = false;
	bool is_hashed = count > 0, is_computed = false;

	for (size_t i = 0; i < count; i++) {
		uint16_t type = sets[i].type;

		has_ns |= type == TYPE_NS;
		is_computed |= is_recipe(type);
		has_dname |= type == TYPE_DNAME;
		has_cname |= type == TYPE_CNAME;
		has_other |= type == TYPE_CNAME ? sets[i].count > 1 : !goes_with_cname(type);
		is_hashed &= type == TYPE_NSEC3 || sets[i].covered == TYPE_NSEC3;
	}
	return (uint8_t)((has_ns && !is_apex ? NODE_CUT : 0) | (has_dname ? NODE_DNAME : 0) |
			 (has_cname && has_other ? NODE_CLASH : 0) | (is_hashed ? NODE_NSEC3 : 0) |
			 (is_computed ? NODE_COMPUTED : 0));
}

static uint8_t *put_set(uint8_t *at, const struct rrset *set)
{
	struct packed_set packed = { .type = set->type, .covered = set->covered, .count = set->count };

	wire_put_u32(packed.ttl, set->ttl);
	wire_put_u32(packed.rdata_len, set->rdata_len);
	memcpy(at, &packed, sizeof(packed));
	memcpy(at + sizeof(packed), set->rdata, set->rdata_len);
	return at + sizeof(packed) + set->rdata_len;
}

struct node *node_new(const uint8_t *owner, bool is_apex, const struct rrset *sets, size_t count)
{
	size_t name_bytes = name_len(owner), sets_bytes = 0;

	for (size_t i = 0; i < count; i++)
		sets_bytes += sizeof(struct packed_set) + sets[i].rdata_len;
	assert(sets_bytes <= UINT32_MAX);
	struct node *n = memory_bulk(offsetof(struct node, bytes) + name_bytes + sets_bytes);

	n->refs = 1;
	n->sets_len = (uint32_t)sets_bytes;
	n->flags = flags_of(is_apex, sets, count);
	n->name_len = (uint8_t)name_bytes;
	memcpy(n->bytes, owner, name_bytes);
	uint8_t *at = n->bytes + name_bytes;

	for (size_t i = 0; i < count; i++)
		at = put_set(at, &sets[i]);
	return n;
}

/* ---- In a tree ---- */

static const uint8_t *leaf_name(const void *leaf)
{
	return node_name(leaf);
}

static void leaf_hold(void *leaf)
{
	struct node *n = leaf;

	n->refs++;
}

static void leaf_drop(void *leaf)
{
	struct node *n = leaf;

	priority_give_way();
	if (--n->refs == 0)
		free(n);
}

const struct tree_ops node_tree_ops = { leaf_name, leaf_hold, leaf_drop };
