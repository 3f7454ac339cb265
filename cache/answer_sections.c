/* SPDX-License-Identifier: ISC */
#include <assert.h>

#include "cache/answer_parts.h"

enum { ADDRESSES_MAX = 13 };	/* optional names looked up for one answer, CVE-2024-11187 */

bool answer_put_rrset(struct lookup *l, enum section section, const struct node *n,
		      const uint8_t *owner, const struct rrset *set)
{
	struct response_mark before = response_mark(&l->response);
	struct rrset signatures;

	if (l->response.flags & DNS_TC)
		return true;	/* cut short: nothing but the rcode is still looked for */
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

bool answer_owes_proof(const struct lookup *l)
{
	return l->ask->query->edns.dnssec_ok && l->is_authoritative;
}

bool answer_is_in_zone(const struct lookup *l, const uint8_t *name)
{
	return name_is_at_or_below(name, l->zone->origin);
}

struct rrset answer_set_of(const struct node *n, uint16_t type)
{
	struct rrset set = { 0 };
	bool is_found = node_find(n, type, &set);

	assert(is_found);
	(void)is_found;
	return set;
}

/* Behind whatever else the authority section holds; all of it, or the answer is cut short. */
static enum outcome put_proofs(struct lookup *l, enum outcome why)
{
	struct rrset set;

	for (unsigned i = 0; i < l->denial.count && why != OUT_NO_ROOM; i++) {
		const struct node *n = l->denial.nodes[i];

		if ((node_find(n, TYPE_NSEC3, &set) || node_find(n, TYPE_NSEC, &set)) &&
		    !answer_put_rrset(l, SECTION_AUTHORITY, n, node_name(n), &set))
			why = OUT_NO_ROOM;
	}
	return why;
}

/* RFC 2308 s.3: for as long as the SOA's MINIMUM says, and no longer than the SOA. */
static enum outcome put_soa(struct lookup *l, enum outcome why)
{
	const struct node *apex = l->zone->apex;
	struct rrset soa = answer_set_of(apex, TYPE_SOA);

	if (!l->is_authoritative)
		return why;
	if (soa.ttl > l->zone->soa.minimum)
		soa.ttl = l->zone->soa.minimum;
	return answer_put_rrset(l, SECTION_AUTHORITY, apex, node_name(apex), &soa) ? why : OUT_NO_ROOM;
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
				      : !answer_put_rrset(l, SECTION_ADDITIONAL, at.exact, owner, &set))
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
		if (!answer_is_in_zone(l, server) || name_is_at_or_below(server, node_name(l->cut)))
			continue;
		put_addresses(l, server, true);
		count++;
	}
}

/* RFC 4035 s.3.1.4 is about signed zones: one that is not vouches for nobody. */
static bool is_signed(const struct generation *g)
{
	struct rrset signatures;

	return g->denial != ZONE_DENIAL_NONE || node_find_rrsig(g->apex, TYPE_SOA, &signatures);
}

static enum outcome put_referral(struct lookup *l)
{
	const struct node *cut = l->cut;
	struct rrset ns = answer_set_of(cut, TYPE_NS), ds;

	if (!answer_put_rrset(l, SECTION_AUTHORITY, cut, node_name(cut), &ns))
		return OUT_NO_ROOM;
	if (l->ask->query->edns.dnssec_ok && is_signed(l->zone) && node_find(cut, TYPE_DS, &ds)) {
		if (!answer_put_rrset(l, SECTION_AUTHORITY, cut, node_name(cut), &ds))
			return OUT_NO_ROOM;
	} else if (answer_owes_proof(l)) {
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
		if (i < count || !answer_is_in_zone(l, host))
			continue;
		met[count++] = host;
		put_addresses(l, host, l->data.type == TYPE_NS);
	}
}

/* Of the last name of a chain: RFC 6604 s.2.1. */
static enum dns_rcode rcode_of(enum outcome out)
{
	if (out == OUT_NXDOMAIN)
		return RCODE_NXDOMAIN;
	return out == OUT_YXDOMAIN ? RCODE_YXDOMAIN : RCODE_NOERROR;
}

enum dns_rcode answer_put_outcome(struct lookup *l, enum outcome out)
{
	enum dns_rcode rcode = rcode_of(out);

	if ((l->response.flags & DNS_TC) && out != OUT_COMPUTED)
		return rcode;
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
	case OUT_NXDOMAIN:
		out = put_proofs(l, put_soa(l, out));
		break;
	case OUT_YXDOMAIN:
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
