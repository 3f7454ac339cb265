/* SPDX-License-Identifier: ISC */
/*
 * RFC 1034 s.4.3.2 over one generation: one function for each step, in the RFC's order.
 * First the zone is searched and the answer section filled; what came of it, enum
 * outcome, then decides about authority, additional and rcode.
 */
#include "cache/answer.h"

#include <assert.h>

#include "cache/denial.h"
#include "cache/response.h"

enum {
	CHAIN_MAX = 17,		/* aliases met; resolvers give up at about as many */
	ADDRESSES_MAX = 13,	/* optional names looked up for one answer, CVE-2024-11187 */
	MADE_MAX = 2 + NAME_LEN_MAX,
};

/* What the zone says about a name and type. Not an error code. */
enum outcome {
	OUT_DATA,
	OUT_NODATA,
	OUT_NXDOMAIN,
	OUT_REFERRAL,
	OUT_FOLLOW,	/* an alias leads to another name of this zone */
	OUT_YXDOMAIN,	/* a DNAME leads to a name that would be too long */
	OUT_COMPUTED,	/* only the primary can tell: ALIAS, LUA */
	OUT_NO_ROOM,	/* what must be said does not fit */
};

/* A name that was asked for on the way, and what led on from it. */
struct link {
	const struct generation *zone;
	const uint8_t *name;
	const struct node *dname;	/* NULL: a CNAME */
};

struct lookup {
	const struct answer_ask *ask;
	const struct generation *zone;
	uint16_t type;
	bool is_authoritative;		/* false for QCLASS ANY: RFC 1035 s.6.2 */
	const uint8_t *name;		/* SNAME of RFC 1034: moves along aliases */
	const struct name_key *key;	/* of `name` */
	struct tree_match at;		/* where `name` fell in the zone */
	struct denial denial;		/* the proofs that are owed so far */
	const struct node *cut;		/* set with OUT_REFERRAL */
	struct rrset data;		/* set with OUT_DATA; `count` 0: only aliases */
	enum dns_ede failure;		/* why only SERVFAIL can be said; or EDE_NONE */
	unsigned links;			/* aliases met so far */
	struct link chain[CHAIN_MAX];
	struct name_key alias_key;	/* `key` of an alias' target */
	uint8_t made[CHAIN_MAX][MADE_MAX];	/* rdata of CNAMEs that DNAMEs made */
	struct response response;
};

/* An RRset and, for those who asked, its signatures: both or nothing, RFC 4035 s.3.1.1. */
static bool put_rrset(struct lookup *l, enum section section, const struct node *n,
		      const uint8_t *owner, const struct rrset *set)
{
	struct response_mark before = response_mark(&l->response);
	struct rrset signatures;

	if (!response_put(&l->response, section, owner, set))
		return false;
	if (!l->ask->query->edns.dnssec_ok || set->type == TYPE_RRSIG)
		return true;
	if (!node_find_rrsig(n, set->type, &signatures))
		return true;
	if (set->ttl < signatures.ttl)
		signatures.ttl = set->ttl;	/* of a negative answer's SOA: RFC 9077 s.3 */
	if (response_put(&l->response, section, owner, &signatures))
		return true;
	response_undo(&l->response, &before);
	return false;
}

static bool owes_proof(const struct lookup *l)
{
	return l->ask->query->edns.dnssec_ok && l->is_authoritative;
}

static bool is_in_zone(const struct lookup *l, const uint8_t *name)
{
	return name_is_at_or_below(name, l->zone->origin);
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
		return is_in_zone(l, target) ? l->zone : NULL;
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
	l->zone = g;
	l->name = target;
	l->key = &l->alias_key;
	return OUT_FOLLOW;
}

/* The RRset of a type that the node is known to have. */
static struct rrset set_of(const struct node *n, uint16_t type)
{
	struct rrset set = { 0 };
	bool is_found = node_find(n, type, &set);

	assert(is_found);
	(void)is_found;
	return set;
}

/* The name that the first record of an RRset is, or begins with; there is one. */
static const uint8_t *target_of(const struct rrset *set)
{
	return set->rdata + 2;
}

static enum outcome put_cname(struct lookup *l, const struct node *n, const struct rrset *cname)
{
	if (!put_rrset(l, SECTION_ANSWER, n, l->name, cname))
		return OUT_NO_ROOM;
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
	struct rrset dname = set_of(n, TYPE_DNAME), cname;

	if (!has_put_dname(l, n) && !put_rrset(l, SECTION_ANSWER, n, node_name(n), &dname))
		return OUT_NO_ROOM;
	if (!make_cname(l, n, &dname, &cname))
		return OUT_YXDOMAIN;
	if (!response_put(&l->response, SECTION_ANSWER, l->name, &cname))
		return OUT_NO_ROOM;
	if (l->type == TYPE_CNAME)
		return OUT_DATA;
	return follow(l, n, target_of(&cname));
}

/* Every RRset that a question of several (ANY, RRSIG) means. */
static enum outcome put_several(struct lookup *l, const struct node *n)
{
	bool is_any = l->type == TYPE_ANY, is_signing = l->ask->query->edns.dnssec_ok;
	enum outcome out = OUT_NODATA;
	struct rrset set;

	for (bool ok = node_first(n, &set); ok; ok = node_next(n, &set)) {
		if (!is_any && set.type != l->type)
			continue;
		if (is_any && is_signing && set.type == TYPE_RRSIG)
			continue;	/* each comes with the set that it covers */
		if (!put_rrset(l, SECTION_ANSWER, n, l->name, &set))
			return OUT_NO_ROOM;
		out = OUT_DATA;
		if (is_any && !l->ask->is_tcp)
			break;	/* RFC 8482 s.4.1: a forged address would get the rest */
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
	return put_rrset(l, SECTION_ANSWER, n, l->name, &set) ? OUT_DATA : OUT_NO_ROOM;
}

/* The proof comes first: an alias moves on. */
static enum outcome wildcard_answers(struct lookup *l, const struct node *wildcard)
{
	const struct node *encloser = l->at.chain[l->at.depth - 1];
	enum outcome out;

	if (owes_proof(l))
		denial_of_exact_name(&l->denial, l->zone, l->name, l->key, encloser);
	out = name_exists(l, wildcard);
	if (out == OUT_NODATA && owes_proof(l))
		denial_of_wildcard_type(&l->denial, l->zone, encloser, wildcard);
	return out;
}

/* Step 3c: a label is missing. Only "*" directly below the closest encloser may answer,
 * RFC 4592 s.3.3.1. */
static enum outcome name_missing(struct lookup *l)
{
	const struct node *encloser = l->at.chain[l->at.depth - 1];
	size_t len = name_len(node_name(encloser));
	uint8_t name[NAME_LEN_MAX] = "\1*";
	struct name_key key;

	assert(len + 2 <= NAME_LEN_MAX);	/* SNAME is below the encloser */
	memcpy(name + 2, node_name(encloser), len);
	name_to_key(name, &key);

	const struct node *wildcard = tree_get(&l->zone->tree, &key);

	if (wildcard)
		return wildcard_answers(l, wildcard);
	if (owes_proof(l))
		denial_of_name(&l->denial, l->zone, l->name, l->key, encloser);
	return OUT_NXDOMAIN;
}

static enum outcome name_found(struct lookup *l, const struct node *n)
{
	enum outcome out = name_exists(l, n);

	if (out == OUT_NODATA && owes_proof(l))
		denial_of_type(&l->denial, l->zone, n);
	return out;
}

/*
 * Steps 2 and 3, downward from the apex. Step 3b: a cut ends our authority, and hides
 * what stands below it; but DS at the cut is the parent's, RFC 4035 s.3.1.4.1.
 */
static enum outcome find_answer(struct lookup *l)
{
	tree_find(&l->zone->tree, l->key, &l->at);
	assert(l->at.depth > 0);

	for (unsigned i = 0; i < l->at.depth; i++) {
		const struct node *n = l->at.chain[i];

		if (node_is_cut(n) && !(n == l->at.exact && l->type == TYPE_DS)) {
			l->cut = n;
			return OUT_REFERRAL;
		}
		if (node_has_dname(n) && n != l->at.exact)
			return put_dname(l, n);
	}
	return l->at.exact ? name_found(l, l->at.exact) : name_missing(l);
}

/* Behind whatever else the authority section holds; all of it, or the answer is cut short. */
static enum outcome put_proofs(struct lookup *l, enum outcome why)
{
	struct rrset set;

	for (unsigned i = 0; i < l->denial.count && why != OUT_NO_ROOM; i++) {
		const struct node *n = l->denial.nodes[i];

		if ((node_find(n, TYPE_NSEC3, &set) || node_find(n, TYPE_NSEC, &set)) &&
		    !put_rrset(l, SECTION_AUTHORITY, n, node_name(n), &set))
			why = OUT_NO_ROOM;
	}
	return why;
}

/* RFC 2308 s.3: for as long as the SOA's MINIMUM says, and no longer than the SOA. */
static enum outcome put_soa(struct lookup *l, enum outcome why)
{
	const struct node *apex = l->zone->apex;
	struct rrset soa = set_of(apex, TYPE_SOA);

	if (!l->is_authoritative)
		return why;
	if (soa.ttl > l->zone->soa.minimum)
		soa.ttl = l->zone->soa.minimum;
	return put_rrset(l, SECTION_AUTHORITY, apex, node_name(apex), &soa) ? why : OUT_NO_ROOM;
}

/* True when `name` is at or below a cut: what is there is glue at best. */
static bool is_below_cut(const struct tree_match *at)
{
	for (unsigned i = 0; i < at->depth; i++)
		if (node_is_cut(at->chain[i]))
			return true;
	return false;
}

/*
 * The addresses of a name, as far as the zone has them; glue without signatures, which are not
 * ours to give. False when they do not fit.
 */
static bool put_addresses(struct lookup *l, const uint8_t *name, bool is_glue_fine)
{
	static const uint16_t types[] = { TYPE_A, TYPE_AAAA };
	struct tree_match at;
	struct name_key key;
	struct rrset set;

	name_to_key(name, &key);
	tree_find(&l->zone->tree, &key, &at);
	if (!at.exact || (!is_glue_fine && is_below_cut(&at)))
		return true;
	for (unsigned i = 0; i < 2; i++) {
		const uint8_t *owner = node_name(at.exact);

		if (!node_find(at.exact, types[i], &set))
			continue;
		if (is_below_cut(&at) ? !response_put(&l->response, SECTION_ADDITIONAL, owner, &set)
				      : !put_rrset(l, SECTION_ADDITIONAL, at.exact, owner, &set))
			return false;
	}
	return true;
}

/* Glue of servers inside the delegated zone: without it nobody gets there. */
static enum outcome put_required_glue(struct lookup *l, const struct rrset *ns)
{
	const uint8_t *server;
	uint16_t len;

	for (size_t pos = 0; rrset_next(ns, &pos, &server, &len);)
		if (name_is_at_or_below(server, node_name(l->cut)) &&
		    !put_addresses(l, server, true))
			return OUT_NO_ROOM;	/* RFC 9471 s.3.1: all of it, or TC */
	return OUT_REFERRAL;
}

/* Glue of servers elsewhere in our zone: welcome, not required, RFC 9471 s.3.2. */
static void put_sibling_glue(struct lookup *l, const struct rrset *ns)
{
	unsigned count = 0;
	const uint8_t *server;
	uint16_t len;

	for (size_t pos = 0; rrset_next(ns, &pos, &server, &len) && count < ADDRESSES_MAX;) {
		if (!is_in_zone(l, server) || name_is_at_or_below(server, node_name(l->cut)))
			continue;
		put_addresses(l, server, true);
		count++;
	}
}

static enum outcome put_referral(struct lookup *l)
{
	const struct node *cut = l->cut;
	struct rrset ns = set_of(cut, TYPE_NS), ds;

	if (!put_rrset(l, SECTION_AUTHORITY, cut, node_name(cut), &ns))
		return OUT_NO_ROOM;
	if (l->ask->query->edns.dnssec_ok && node_find(cut, TYPE_DS, &ds)) {
		if (!put_rrset(l, SECTION_AUTHORITY, cut, node_name(cut), &ds))
			return OUT_NO_ROOM;
	} else if (owes_proof(l)) {
		denial_of_type(&l->denial, l->zone, cut);	/* RFC 4035 s.3.1.4 */
	}
	enum outcome out = put_proofs(l, OUT_REFERRAL);

	if (out == OUT_REFERRAL)
		out = put_required_glue(l, &ns);

	if (out == OUT_REFERRAL)
		put_sibling_glue(l, &ns);
	return out;
}

/* Where a name stands in rdata whose reader will want addresses next; -1: nowhere. */
static int host_offset(uint16_t type)
{
	switch (type) {
	case TYPE_NS:	return 0;
	case TYPE_MX:	return 2;
	case TYPE_SRV:	return 6;
	default:	return -1;
	}
}

/* Step 6, for the answer: what fits is a kindness, so nothing here sets TC. */
static void put_additional(struct lookup *l)
{
	const uint8_t *rdata, *met[ADDRESSES_MAX];
	int offset = l->data.count > 0 ? host_offset(l->data.type) : -1;
	unsigned count = 0;
	uint16_t len;

	for (size_t pos = 0; offset >= 0 && rrset_next(&l->data, &pos, &rdata, &len);) {
		const uint8_t *host = rdata + offset;
		unsigned i = 0;

		while (i < count && !name_is_equal(met[i], host))
			i++;
		if (i == ADDRESSES_MAX)
			return;
		if (i < count || !is_in_zone(l, host))
			continue;
		met[count++] = host;
		put_addresses(l, host, l->data.type == TYPE_NS);
	}
}

/* Writes the sections that follow from the outcome. */
static enum dns_rcode put_outcome(struct lookup *l, enum outcome out)
{
	enum dns_rcode rcode = RCODE_NOERROR;

	switch (out) {
	case OUT_FOLLOW:
	case OUT_DATA:
		out = put_proofs(l, out);
		if (out != OUT_NO_ROOM)
			put_additional(l);
		break;
	case OUT_NODATA:
		out = put_proofs(l, put_soa(l, out));
		break;
	case OUT_NXDOMAIN:	/* of the last name of a chain: RFC 6604 s.2.1 */
		rcode = RCODE_NXDOMAIN;
		out = put_proofs(l, put_soa(l, out));
		break;
	case OUT_YXDOMAIN:
		rcode = RCODE_YXDOMAIN;
		out = put_proofs(l, out);	/* of wildcards on the way */
		break;
	case OUT_REFERRAL:
		out = put_referral(l);
		break;
	case OUT_COMPUTED:	/* a wrong answer is worse than none */
		l->failure = EDE_NO_REACHABLE_AUTHORITY;
		break;
	case OUT_NO_ROOM:
		break;
	}
	if (out == OUT_NO_ROOM)
		l->response.flags |= DNS_TC;	/* RFC 2181 s.9 */
	return rcode;
}

static enum dns_rcode answer_in_class(struct lookup *l)
{
	enum outcome out = find_answer(l);

	if (out != OUT_REFERRAL && l->is_authoritative)
		l->response.flags |= DNS_AA;	/* of the first name: RFC 1035 s.4.1.1 */
	while (out == OUT_FOLLOW)		/* ends: follow() counts the links */
		out = find_answer(l);
	return put_outcome(l, out);
}

size_t answer_write(const struct answer_ask *ask, uint8_t *out)
{
	struct lookup l;
	enum dns_rcode rcode;

	l.ask = ask;
	l.zone = ask->zone;
	l.type = ask->query->qtype;
	l.name = ask->query->qname;
	l.key = ask->key;
	l.is_authoritative = ask->query->qclass == CLASS_IN;
	l.data.count = 0;
	l.links = 0;
	l.failure = EDE_NONE;
	denial_begin(&l.denial, ask->hasher);
	response_begin(&l.response, ask->query, ask->packet, ask->edns, out, ask->limit);
	l.response.rotation = ask->is_rotating ? ask->query->id : 0;

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
