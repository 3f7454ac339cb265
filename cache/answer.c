/* SPDX-License-Identifier: ISC */
/*
 * RFC 1034 s.4.3.2 over one generation: one function for each step, in the RFC's order.
 * The zone is searched and the answer section filled; what came of it, enum outcome, then
 * decides about the rest (answer_sections.c).
 */
#include <assert.h>

#include "cache/answer_parts.h"

/* Goes on in this zone. From one that is past its expire on, nothing shall be kept for long. */
static void enter_zone(struct lookup *l, const struct generation *zone)
{
	l->zone = zone;
	if (!atomic_load_explicit(&zone->is_stale, memory_order_relaxed))
		return;
	l->response.ttl_max = STALE_TTL_MAX;
	response_set_ede(&l->response, EDE_STALE_ANSWER);
}

static bool was_met(const struct lookup *l, const uint8_t *name)
{
	for (unsigned i = 0; i < l->links; i++)
		if (name_is_equal(l->chain[i].name, name))
			return true;
	return false;
}

/* The zone that an alias' target is in; each has one generation throughout. */
static const struct generation *zone_of_target(const struct lookup *l, const uint8_t *target,
					       const struct name_key *key)
{
	const struct answer_zones *zones = l->ask->zones;
	const struct generation *g = zones ? zones->find(zones->arg, target, key, l->type) : NULL;

	if (!g)
		return answer_is_in_zone(l, target) ? l->zone : NULL;
	for (unsigned i = 0; i < l->links; i++)
		if (name_is_equal(g->origin, l->chain[i].zone->origin))
			return l->chain[i].zone;
	return g;
}

/* Goes on at an alias' target, unless it lies elsewhere or we have been there. */
static enum outcome follow(struct lookup *l, const struct node *dname, const uint8_t *target)
{
	const struct generation *g;

	l->chain[l->links++] = (struct link){ l->zone, l->name, dname };
	if (l->links == CHAIN_MAX || was_met(l, target))
		return OUT_DATA;
	name_to_key(target, &l->alias_key);
	g = zone_of_target(l, target, &l->alias_key);
	if (!g)
		return OUT_DATA;
	enter_zone(l, g);
	l->name = target;
	l->key = &l->alias_key;
	l->at = NULL;
	return OUT_FOLLOW;
}

/* The name that the first record of an RRset is, or begins with; there is one. */
static const uint8_t *target_of(const struct rrset *set)
{
	return set->rdata + 2;
}

static enum outcome put_cname(struct lookup *l, const struct node *n, const struct rrset *cname)
{
	if (!answer_put_rrset(l, SECTION_ANSWER, n, l->name, cname))
		l->response.flags |= DNS_TC;	/* RFC 2181 s.9; the rcode is still the chain's */
	return follow(l, NULL, target_of(cname));
}

static bool has_put_dname(const struct lookup *l, const struct node *n)
{
	for (unsigned i = 0; i < l->links; i++)
		if (l->chain[i].dname == n)
			return true;
	return false;
}

/*
 * RFC 6672 s.2.2: the labels of SNAME before the DNAME's owner, then its target. Makes
 * the CNAME that says so; false when the new name would be too long.
 */
static bool make_cname(struct lookup *l, const struct node *n, const struct rrset *dname,
		       struct rrset *cname)
{
	uint8_t *made = l->made[l->links];
	const uint8_t *target = target_of(dname);
	size_t head = name_len(l->name) - name_len(node_name(n)), tail = name_len(target);

	if (head + tail > NAME_LEN_MAX)
		return false;
	wire_put_u16(made, (uint16_t)(head + tail));
	memcpy(made + 2, l->name, head);
	memcpy(made + 2 + head, target, tail);
	*cname = (struct rrset){ .type = TYPE_CNAME, .count = 1, .ttl = dname->ttl,
				 .rdata_len = (uint32_t)(2 + head + tail), .rdata = made };
	return true;
}

/*
 * RFC 6672 s.3.2 step 3c: an alias for everything below its owner. Who asks for the
 * alias itself goes no further.
 */
static enum outcome put_dname(struct lookup *l, const struct node *n)
{
	struct rrset dname = answer_set_of(n, TYPE_DNAME), cname;

	if (!has_put_dname(l, n) && !answer_put_rrset(l, SECTION_ANSWER, n, node_name(n), &dname))
		l->response.flags |= DNS_TC;	/* as in put_cname() */
	if (!make_cname(l, n, &dname, &cname))
		return OUT_YXDOMAIN;
	if (!(l->response.flags & DNS_TC) &&
	    !response_put(&l->response, SECTION_ANSWER, l->name, &cname))
		l->response.flags |= DNS_TC;
	if (l->type == TYPE_CNAME)
		return OUT_DATA;
	return follow(l, n, target_of(&cname));
}

/* What stands at the name; but a DNAME that led here is in the answer already. */
static bool put_found(struct lookup *l, const struct node *n, const struct rrset *set)
{
	if (set->type == TYPE_DNAME && has_put_dname(l, n) && name_is_equal(l->name, node_name(n)))
		return true;
	return answer_put_rrset(l, SECTION_ANSWER, n, l->name, set);
}

/*
 * Every RRset that a question of several (ANY, RRSIG) means; of ANY by UDP the first that fits,
 * for a forged address would get the rest: RFC 8482 s.4.1.
 */
static enum outcome put_several(struct lookup *l, const struct node *n)
{
	bool is_any = l->type == TYPE_ANY, is_signing = l->ask->query->edns.dnssec_ok;
	bool is_one_enough = is_any && !l->ask->is_tcp;
	enum outcome out = OUT_NODATA;
	struct rrset set;

	for (bool ok = node_first(n, &set); ok; ok = node_next(n, &set)) {
		if (!is_any && set.type != l->type)
			continue;
		if (is_any && is_signing && set.type == TYPE_RRSIG)
			continue;	/* each comes with the set that it covers */
		out = put_found(l, n, &set) ? OUT_DATA : OUT_NO_ROOM;
		if (out == (is_one_enough ? OUT_DATA : OUT_NO_ROOM))
			break;
	}
	return out;
}

/* Step 3a: all of SNAME is matched; or step 3c, by a wildcard that stands for it. */
static enum outcome name_exists(struct lookup *l, const struct node *n)
{
	struct rrset set;

	if (l->type == TYPE_ANY)
		return put_several(l, n);
	if (!node_find(n, l->type, &set)) {
		if (node_is_computed(n, l->type))
			return OUT_COMPUTED;
		return node_find(n, TYPE_CNAME, &set) ? put_cname(l, n, &set) : OUT_NODATA;
	}
	if (l->type == TYPE_RRSIG)
		return put_several(l, n);
	l->data = set;
	return put_found(l, n, &set) ? OUT_DATA : OUT_NO_ROOM;
}

/* The proof comes first: an alias moves on. */
static enum outcome wildcard_answers(struct lookup *l, const struct node *wildcard)
{
	const struct node *encloser = l->at->chain[l->at->depth - 1];
	enum outcome out;

	if (answer_owes_proof(l))
		denial_of_exact_name(&l->denial, l->zone, l->name, l->key, encloser);
	out = name_exists(l, wildcard);
	if (out == OUT_NODATA && answer_owes_proof(l))
		denial_of_wildcard_type(&l->denial, l->zone, encloser, wildcard);
	return out;
}

/* "*" directly below the closest encloser of a name that is missing; NULL: there is none. */
static const struct node *find_wildcard(const struct generation *zone, const struct node *encloser)
{
	size_t len = name_len(node_name(encloser));
	uint8_t name[NAME_LEN_MAX] = "\1*";
	struct name_key key;

	assert(len + 2 <= NAME_LEN_MAX);	/* the name is below the encloser */
	memcpy(name + 2, node_name(encloser), len);
	name_to_key(name, &key);
	return tree_get(&zone->tree, &key);
}

/* Step 3c: a label is missing. Only that wildcard may answer, RFC 4592 s.3.3.1. */
static enum outcome name_missing(struct lookup *l)
{
	const struct node *encloser = l->at->chain[l->at->depth - 1];
	const struct node *wildcard = find_wildcard(l->zone, encloser);

	if (wildcard)
		return wildcard_answers(l, wildcard);
	if (answer_owes_proof(l))
		denial_of_name(&l->denial, l->zone, l->name, l->key, encloser);
	return OUT_NXDOMAIN;
}

static enum outcome name_found(struct lookup *l, const struct node *n)
{
	enum outcome out = name_exists(l, n);

	if (out == OUT_NODATA && answer_owes_proof(l))
		denial_of_type(&l->denial, l->zone, n);
	return out;
}

/*
 * Steps 2 and 3, downward from the apex. Step 3b: a cut ends our authority, and hides
 * what stands below it; but DS at the cut is the parent's, RFC 4035 s.3.1.4.1.
 */
static enum outcome find_answer(struct lookup *l)
{
	if (!l->at) {
		tree_find_name(&l->zone->tree, l->name, l->key, &l->own_at);
		l->at = &l->own_at;
	}
	assert(l->at->depth > 0);

	for (unsigned i = 0; i < l->at->depth; i++) {
		const struct node *n = l->at->chain[i];

		if (node_is_cut(n) && !(n == l->at->exact && l->type == TYPE_DS)) {
			l->cut = n;
			return OUT_REFERRAL;
		}
		if (node_has_dname(n) && n != l->at->exact)
			return put_dname(l, n);
	}
	return l->at->exact ? name_found(l, l->at->exact) : name_missing(l);
}

bool answer_has_data(const struct generation *zone, const struct name_key *key, uint16_t type)
{
	struct tree_match at;
	const struct node *n;
	struct rrset set;

	tree_find(&zone->tree, key, &at);
	for (unsigned i = 0; i < at.depth; i++) {
		n = at.chain[i];
		if (node_is_cut(n) && !(n == at.exact && type == TYPE_DS))
			return false;
		if (node_has_dname(n) && n != at.exact)
			return false;
	}
	n = at.exact ? at.exact : find_wildcard(zone, at.chain[at.depth - 1]);
	return n && (node_find(n, type, &set) || node_find(n, TYPE_CNAME, &set));
}

static enum dns_rcode answer_in_class(struct lookup *l)
{
	enum outcome out = find_answer(l);

	if (out != OUT_REFERRAL && l->is_authoritative)
		l->response.flags |= DNS_AA;	/* of the first name: RFC 1035 s.4.1.1 */
	while (out == OUT_FOLLOW)		/* ends: follow() counts the links */
		out = find_answer(l);
	return answer_put_outcome(l, out);
}

size_t answer_write(const struct answer_ask *ask, uint8_t *out)
{
	struct lookup l;
	enum dns_rcode rcode;

	l.ask = ask;
	l.type = ask->query->qtype;
	l.name = ask->query->qname;
	l.key = ask->key;
	l.at = ask->found;
	l.is_authoritative = ask->query->qclass == CLASS_IN;
	l.data.count = 0;
	l.links = 0;
	l.failure = EDE_NONE;
	denial_begin(&l.denial, ask->hasher);
	response_begin(&l.response, ask->query, ask->packet, ask->edns, out, ask->limit);
	l.response.rotation = ask->is_rotating ? ask->query->id : 0;
	enter_zone(&l, ask->zone);

	if (l.is_authoritative || ask->query->qclass == CLASS_ANY)
		rcode = answer_in_class(&l);
	else
		rcode = RCODE_REFUSED;
	if (l.denial.is_over)
		l.failure = EDE_NSEC3_ITERATIONS;
	if (l.failure != EDE_NONE)
		return message_reply_error(ask->query, ask->packet, RCODE_SERVFAIL, l.failure,
					   ask->edns, out, ask->limit);
	return response_end(&l.response, rcode);
}
