/* SPDX-License-Identifier: ISC */
/*
 * Where the reference servers differ, and which RFC decides. Each rule is as narrow as it can
 * be: it holds only where nothing else differs.
 */
#include "tests/system/differ/compare.h"

#include <string.h>

#include "tests/system/differ/truth.h"

static bool is_within(const struct packet *a, const struct packet *b, unsigned part)
{
	for (unsigned i = 0; i < a->counts[part]; i++)
		if (!has_record(b, part, &a->parts[part][i]))
			return false;
	return true;
}

/* RFC 8482 s.4.1: one RRset is enough, if it is the zone's. */
static bool errs_any(const struct question *q, const struct packet *replies,
		     unsigned server)
{
	const struct packet *mirror = &replies[MIRROR], *other = &replies[server];

	if (q->type != T_ANY || mirror->rcode != other->rcode || other->fault)
		return false;
	if (((mirror->flags ^ other->flags) & F_AA) || (mirror->flags & F_TC))
		return false;
	for (unsigned i = 0; i < mirror->counts[PART_ANSWER]; i++) {
		const struct record *r = &mirror->parts[PART_ANSWER][i];

		if (r->type != T_CNAME && !truth_has(r, true))	/* a DNAME makes CNAMEs */
			return false;
	}
	return (mirror->counts[PART_ANSWER] > 0) == (other->counts[PART_ANSWER] > 0);
}

/* NSD and BIND leave glue out without a word. */
static bool errs_glue(const struct question *q, const struct packet *replies,
		      unsigned server)
{
	(void)q;
	return lacks_glue(&replies[server]) && !lacks_glue(&replies[MIRROR]) &&
	       replies[MIRROR].rcode == 0;
}

/* Knot answers with authority, NSD with proofs, BIND not at all. */
static bool errs_class_any(const struct question *q, const struct packet *replies,
			   unsigned server)
{
	return q->rdclass == 255 && !(replies[MIRROR].flags & F_AA) &&
	       (server != NSD || replies[server].rcode == replies[MIRROR].rcode);
}

static unsigned count_aliases(const struct packet *p)
{
	unsigned count = 0;

	for (unsigned i = 0; i < p->counts[PART_ANSWER]; i++)
		count += p->parts[PART_ANSWER][i].type == T_CNAME;
	return count;
}

static bool is_answer_within(const struct packet *a, const struct packet *b)
{
	return is_within(a, b, PART_ANSWER);
}

/* How long a chain of aliases a server follows: Knot 5, though that be the same one,
 * BIND 11 or a round of a loop and then SERVFAIL, NSD more. */
static bool errs_chain(const struct question *q, const struct packet *replies,
		       unsigned server)
{
	const struct packet *mirror = &replies[MIRROR], *other = &replies[server];
	unsigned ours = count_aliases(mirror), theirs = count_aliases(other);

	(void)q;
	switch (server) {
	case KNOT:
		return ((theirs == 5 && (ours > 5 || (mirror->flags & F_TC))) || other->has_double) &&
		       is_answer_within(other, mirror);
	case BIND:
		return other->rcode == 2 && (ours >= 11 || (ours > 0 && (other->flags & F_TC)) ||
					     (mirror->flags & other->flags & F_TC) ||
					     (theirs > 0 && is_answer_within(other, mirror)));
	default:
		return ours == 17 && ((other->flags & F_TC) || is_answer_within(mirror, other));
	}
}

/* An alias is followed for every type but its own and, where they stand beside it, its proofs. */
static bool errs_proof_at_alias(const struct question *q, const struct packet *replies,
				unsigned server)
{
	bool is_kept_apart = server == NSD ? q->type == T_NSEC3
					   : q->type == T_RRSIG || q->type == T_NSEC;

	return is_kept_apart &&
	       has_type(&replies[MIRROR], PART_ANSWER, T_CNAME) &&
	       replies[server].rcode == 0 && replies[server].counts[PART_ANSWER] == 0;
}

/* Knot, below a name "*" with a DNAME, gives the DNAME the owner that was asked for,
 * or nothing. */
static bool errs_dname_owner(const struct question *q, const struct packet *replies,
			     unsigned server)
{
	const struct packet *other = &replies[server];

	(void)q;
	for (unsigned i = 0; i < other->counts[PART_ANSWER]; i++) {
		const struct record *r = &other->parts[PART_ANSWER][i];

		if (r->type == T_DNAME && !truth_has(r, false) && truth_has(r, true))
			return true;
	}
	return server == KNOT && !(other->flags & F_AA) && other->counts[PART_ANSWER] == 0 &&
	       has_type(&replies[MIRROR], PART_ANSWER, T_DNAME);
}

/* There is something below a DNAME above this name. */
static bool is_among_hidden(const uint8_t *name, size_t len)
{
	for (size_t at = 0; name[at] != 0;) {
		at += name[at] + 1u;
		if (truth_has_set(name + at, len - at, T_DNAME) &&
		    truth_has_below(name + at, len - at))
			return true;
	}
	return false;
}

/* Knot serves what a DNAME hides; NSD loads no such zone. */
static bool errs_hidden_by_dname(const struct question *q, const struct packet *replies,
				 unsigned server)
{
	const struct packet *mirror = &replies[MIRROR];
	uint8_t name[NAME_MAX_LEN];
	bool is_met;

	question_name(q, name);
	is_met = is_among_hidden(name, q->name_len);
	for (unsigned i = 0; i < mirror->counts[PART_ANSWER]; i++) {
		const struct record *r = &mirror->parts[PART_ANSWER][i];
		size_t head = r->owner_len + 8u;

		if (r->type == T_CNAME)
			is_met |= is_among_hidden(r->bytes + head, r->len - head);
	}
	return server == KNOT && is_met;
}

/* NSD and Knot make glue from a wildcard that the cut hides. */
static bool errs_made_glue(const struct question *q, const struct packet *replies,
			   unsigned server)
{
	const struct packet *other = &replies[server];

	(void)q;
	for (unsigned i = 0; i < other->counts[PART_ADDITIONAL]; i++)
		if (!truth_has(&other->parts[PART_ADDITIONAL][i], false))
			return is_referral(other);
	return false;
}

/* Knot and BIND end a chain of aliases where it leaves the zone, though they have the other. */
static bool errs_other_zone(const struct question *q, const struct packet *replies,
			    unsigned server)
{
	const struct packet *mirror = &replies[MIRROR], *other = &replies[server];
	bool has_left = false;

	(void)q;
	for (unsigned i = 0; i < other->counts[PART_ANSWER]; i++) {
		const struct record *r = &other->parts[PART_ANSWER][i];
		size_t head = r->owner_len + 8u;
		const uint8_t *target = truth_zone_of(r->bytes + head, r->len - head);

		if (r->type == T_CNAME)
			has_left |= target && target != truth_zone_of(r->bytes, r->owner_len);
	}
	return server != NSD && has_left && other->rcode == 0 &&
	       !has_type(other, PART_AUTHORITY, T_SOA) && !is_referral(other) &&
	       ((mirror->flags & F_TC) || is_answer_within(other, mirror));
}

/* BIND stops at the alias that a DNAME makes, whether there is room for it or not. */
static bool errs_any_at_dname(const struct question *q, const struct packet *replies,
			      unsigned server)
{
	const struct packet *mirror = &replies[MIRROR], *other = &replies[server];

	return server == BIND && q->type == T_ANY && other->rcode == 0 &&
	       has_type(other->flags & F_TC && other->counts[PART_ANSWER] == 0 ? mirror : other,
			PART_ANSWER, T_DNAME) &&
	       ((mirror->flags & F_TC) || is_answer_within(other, mirror));
}

/* Knot refers to a wildcard's name servers. */
static bool errs_wildcard_ns(const struct question *q, const struct packet *replies,
			     unsigned server)
{
	const struct packet *other = &replies[server];

	(void)q;
	return server == KNOT && is_referral(other) && other->counts[PART_AUTHORITY] > 0 &&
	       memcmp(other->parts[PART_AUTHORITY][0].bytes, "\1*", 2) == 0;
}

static size_t limit_of(const struct question *q)
{
	return q->size < 512 ? 512 : q->size < 1232 ? q->size : 1232;
}

static bool is_only_short(const struct question *q, const struct packet *whole,
			  const struct packet *shorter)
{
	return !q->is_tcp && (shorter->flags & F_TC) && !(whole->flags & F_TC) &&
	       whole->rcode == shorter->rcode && !((whole->flags ^ shorter->flags) & F_AA);
}

/* What fits for the mirror, by better compression, need not fit for others. */
static bool errs_no_room(const struct question *q, const struct packet *replies, unsigned server)
{
	const struct packet *mirror = &replies[MIRROR], *other = &replies[server];

	return is_only_short(q, mirror, other) && is_within(other, mirror, PART_ANSWER) &&
	       is_within(other, mirror, PART_AUTHORITY);
}

/* NSD has no room for what it need not say; there, another must agree with the mirror. */
static bool errs_no_room_for_more(const struct question *q, const struct packet *replies,
				  unsigned server)
{
	return is_only_short(q, &replies[MIRROR], &replies[server]);
}

/* And the other way round, when it is a near thing. */
static bool errs_room(const struct question *q, const struct packet *replies,
		      unsigned server)
{
	const struct packet *mirror = &replies[MIRROR], *other = &replies[server];

	return is_only_short(q, other, mirror) && other->len > limit_of(q) * 9 / 16;
}

/* Knot gives one signature of several. */
static bool errs_rrsig(const struct question *q, const struct packet *replies,
		       unsigned server)
{
	const struct packet *mirror = &replies[MIRROR], *other = &replies[server];

	return server == KNOT && q->type == T_RRSIG && other->rcode == mirror->rcode &&
	       other->counts[PART_ANSWER] > 0 &&
	       ((mirror->flags & F_TC) || is_answer_within(other, mirror));
}

/* BIND answers for a cut's NSEC. */
static bool errs_nsec_at_cut(const struct question *q, const struct packet *replies,
			     unsigned server)
{
	return server == BIND && q->type == T_NSEC && (replies[server].flags & F_AA) &&
	       (is_referral(&replies[MIRROR]) || (replies[MIRROR].flags & F_TC));
}

/*
 * NSD takes the NSEC of the name before "*", not of the last one below that; Knot those of
 * names beside one that ends with a zero byte, and none behind names that a DNAME hides.
 */
static bool errs_denial(const struct question *q, const struct packet *replies,
		unsigned server)
{
	const struct packet *mirror = &replies[MIRROR], *other = &replies[server];

	if (server == KNOT && q->type == T_NSEC && (mirror->flags & F_TC))
		return !is_denial_whole(q, other);	/* which had room for that */
	if (server == BIND || other->rcode != mirror->rcode || !has_type(mirror, PART_AUTHORITY, T_NSEC))
		return false;
	return is_denial_whole(q, mirror) &&
	       (!is_denial_whole(q, other) || is_within(mirror, other, PART_AUTHORITY));
}

static unsigned count_nsec3(const struct packet *p)
{
	unsigned count = 0;

	for (unsigned i = 0; i < p->counts[PART_AUTHORITY]; i++)
		count += p->parts[PART_AUTHORITY][i].type == T_NSEC3;
	return count;
}

/*
 * NSD leaves out the NSEC3 over the next closer name where a wildcard has not the type, and
 * where the closest encloser has no NSEC3, for opt-out, it takes no other.
 */
static bool errs_nsec3(const struct question *q, const struct packet *replies,
		       unsigned server)
{
	const struct packet *mirror = &replies[MIRROR], *other = &replies[server];

	return server == NSD && mirror->rcode == other->rcode && count_nsec3(other) > 0 &&
	       is_same_part(mirror, other, PART_ANSWER) &&
	       (count_nsec3(other) < count_nsec3(mirror) ||
		(has_encloser(q, mirror) && !has_encloser(q, other)));
}

/* True when all of `a` but its NSEC3 and their signatures is in `b`, and those are the zone's. */
static bool is_within_but_nsec3(const struct packet *a, const struct packet *b)
{
	for (unsigned i = 0; i < a->counts[PART_AUTHORITY]; i++) {
		const struct record *r = &a->parts[PART_AUTHORITY][i];

		if (r->covered == T_NSEC3 ? !truth_has(r, false) : !has_record(b, PART_AUTHORITY, r))
			return false;
	}
	return true;
}

/*
 * Of a zone's chains NSD takes that of the first NSEC3PARAM in its file, BIND that of the least;
 * Knot loads no such zone.
 */
static bool errs_chain_of_nsec3(const struct question *q, const struct packet *replies,
				unsigned server)
{
	const struct packet *mirror = &replies[MIRROR], *other = &replies[server];

	(void)q;
	return mirror->rcode == other->rcode && has_other_chain(mirror, other) &&
	       !has_other_chain(other, other) && is_same_part(mirror, other, PART_ANSWER) &&
	       is_within_but_nsec3(mirror, other) && is_within_but_nsec3(other, mirror);
}

/* NSD proves more than needs be when "*" itself is asked for, Knot less. */
static bool errs_asterisk(const struct question *q, const struct packet *replies,
			  unsigned server)
{
	const struct packet *mirror = &replies[MIRROR], *other = &replies[server];

	bool is_asterisk = memcmp(q->name, "\1*", 2) == 0;

	for (unsigned i = 0; i < mirror->counts[PART_ANSWER]; i++) {
		const struct record *r = &mirror->parts[PART_ANSWER][i];

		is_asterisk |= r->type == T_CNAME && memcmp(r->bytes + r->owner_len + 8, "\1*", 2) == 0;
	}
	if (!is_asterisk || mirror->rcode != other->rcode)
		return false;
	if (server == KNOT)
		return (mirror->flags & F_TC) || is_within(other, mirror, PART_AUTHORITY);
	return server == NSD &&
	       ((other->flags & F_TC) || (is_same_part(mirror, other, PART_ANSWER) &&
					  is_within(mirror, other, PART_AUTHORITY)));
}

/* The rcode of a chain that is cut short depends on how far a server looked. */
static bool errs_short_chain(const struct question *q, const struct packet *replies,
			     unsigned server)
{
	const struct packet *mirror = &replies[MIRROR], *other = &replies[server];

	(void)q;
	return (mirror->flags & other->flags & F_TC) && mirror->rcode != other->rcode &&
	       (has_type(mirror, PART_ANSWER, T_CNAME) || has_type(mirror, PART_ANSWER, T_DNAME) ||
		has_type(other, PART_ANSWER, T_DNAME));
}

/* NSD leaves proofs out that do not fit, without TC; Knot those that it does not find. */
static bool errs_room_for_proof(const struct question *q, const struct packet *replies,
				unsigned server)
{
	const struct packet *mirror = &replies[MIRROR], *other = &replies[server];

	if (server == BIND || (server == KNOT && (has_type(other, PART_AUTHORITY, T_NSEC) ||
						  has_type(other, PART_AUTHORITY, T_NSEC3))))
		return false;
	return q->is_dnssec_ok && (mirror->flags & F_TC) && !(other->flags & F_TC) &&
	       mirror->rcode == other->rcode &&
	       (has_type(other, PART_AUTHORITY, T_SOA) || is_referral(other));
}

/* BIND keeps a DS back that has no signature. */
static bool errs_unsigned_ds(const struct question *q, const struct packet *replies,
			     unsigned server)
{
	const struct packet *mirror = &replies[MIRROR], *other = &replies[server];

	(void)q;
	for (unsigned i = 0; i < mirror->counts[PART_AUTHORITY]; i++)
		if (mirror->parts[PART_AUTHORITY][i].type == T_RRSIG &&
		    mirror->parts[PART_AUTHORITY][i].covered == T_DS)
			return false;
	return server == BIND && is_referral(other) && has_type(mirror, PART_AUTHORITY, T_DS) &&
	       !has_type(other, PART_AUTHORITY, T_DS);
}

/* Knot looks for the name that is too long, as far as it goes. */
static bool errs_yxdomain(const struct question *q, const struct packet *replies,
			  unsigned server)
{
	const struct packet *mirror = &replies[MIRROR], *other = &replies[server];

	(void)q;
	return server == KNOT && mirror->rcode == 6 &&
	       ((other->flags & F_TC) || has_type(other, PART_ANSWER, T_DNAME));
}

/* Knot does not find all names that have a zero byte, nor a DNAME beside such a name. */
static bool errs_zero_byte(const struct question *q, const struct packet *replies,
			   unsigned server)
{
	const struct packet *mirror = &replies[MIRROR];
	bool has_zero = memchr(q->name, 0, q->name_len - 1u) != NULL;

	for (unsigned i = 0; i < mirror->counts[PART_ANSWER]; i++) {
		const struct record *r = &mirror->parts[PART_ANSWER][i];
		size_t head = r->owner_len + 8u;

		if (r->type == T_CNAME)
			has_zero |= memchr(r->bytes + head, 0, r->len - head - 1) != NULL;
	}
	has_zero |= replies[server].rcode == 3 && has_type(mirror, PART_ANSWER, T_DNAME);
	return server == KNOT && has_zero && mirror->rcode != replies[server].rcode;
}

/* At the end of a chain Knot and BIND look for DS below the cut. */
static bool errs_ds_of_chain(const struct question *q, const struct packet *replies,
			     unsigned server)
{
	const struct packet *mirror = &replies[MIRROR], *other = &replies[server];

	return server != NSD && q->type == T_DS && has_type(mirror, PART_ANSWER, T_CNAME) &&
	       !has_type(other, PART_ANSWER, T_DS) && has_type(other, PART_AUTHORITY, T_SOA) &&
	       is_answer_within(other, mirror);
}

/* Knot leaves out a SOA that does not fit, without TC. */
static bool errs_room_for_soa(const struct question *q, const struct packet *replies,
			      unsigned server)
{
	const struct packet *mirror = &replies[MIRROR], *other = &replies[server];

	return server == KNOT && !q->is_tcp && other->counts[PART_AUTHORITY] == 0 &&
	       mirror->rcode == other->rcode && has_type(mirror, PART_AUTHORITY, T_SOA) &&
	       is_same_part(mirror, other, PART_ANSWER);
}

/* For NSD the owner of an NSEC3 is a name like others, below which names may be missing. */
static bool errs_nsec3_owner(const struct question *q, const struct packet *replies,
			     unsigned server)
{
	uint8_t name[NAME_MAX_LEN];

	(void)replies;
	question_name(q, name);
	for (size_t at = 0; name[at] != 0; at += name[at] + 1u)
		if (truth_has_set(name + at, q->name_len - at, T_NSEC3))
			return server == NSD;
	return false;
}

const struct rule rules[] = {
	{ "ANY: which RRsets is the server's choice, RFC 8482 s.4.1", true, errs_any },
	{ "required glue is left out without TC, RFC 9471 s.3.1", true, errs_glue },
	{ "class ANY is never authoritative, RFC 1035 s.6.2", true, errs_class_any },
	{ "how long a chain of aliases is followed, no RFC says", true, errs_chain },
	{ "RRSIG, NSEC and NSEC3 of an alias that has none, RFC 1034 s.4.3.2 step 3a", false,
	  errs_proof_at_alias },
	{ "the owner of a DNAME is its own, RFC 6672 s.3.2 step 3c", false, errs_dname_owner },
	{ "what is below a DNAME is hidden, RFC 6672 s.2.4", false, errs_hidden_by_dname },
	{ "glue is what stands in the zone, not what a wildcard makes, RFC 9471 s.2.1", true,
	  errs_made_glue },
	{ "an alias leads on into another zone that we have, RFC 1034 s.4.3.2 step 3a", false,
	  errs_other_zone },
	{ "ANY follows what a DNAME made, RFC 6672 s.3.2 step 3c", false, errs_any_at_dname },
	{ "NS at a wildcard makes no cuts, RFC 4592 s.4.2", false, errs_wildcard_ns },
	{ "TC where the mirror finds room, RFC 2181 s.9", true, errs_no_room },
	{ "TC where the mirror and another find room, RFC 2181 s.9", false, errs_no_room_for_more },
	{ "TC of the mirror where another just finds room, RFC 2181 s.9", false, errs_room },
	{ "RRSIG asks for all of them, RFC 2181 s.5", false, errs_rrsig },
	{ "only DS is answered above a cut, RFC 4035 s.3.1.4.1", false, errs_nsec_at_cut },
	{ "the NSEC records must cover what is not there, RFC 4035 s.3.1.3", false, errs_denial },
	{ "NSEC3 make no names, RFC 5155 s.7.2.8", false, errs_nsec3_owner },
	{ "of several whole chains a server may choose, RFC 5155 s.7.3", false, errs_chain_of_nsec3 },
	{ "proofs begin at the closest provable encloser, RFC 5155 s.7.2.1 and 7.2.5", false,
	  errs_nsec3 },
	{ "\"*\" that is asked for is a name as others, RFC 4592 s.2.3", false, errs_asterisk },
	{ "the rcode of a chain that TC cuts short counts for nothing, RFC 2181 s.9", false,
	  errs_short_chain },
	{ "a proof that does not fit is left out without TC, RFC 4035 s.3.1.3", false,
	  errs_room_for_proof },
	{ "DS stands in a referral, signed or not, RFC 4035 s.3.1.4", false, errs_unsigned_ds },
	{ "YXDOMAIN ends the search, RFC 6672 s.3.2 step 3c", false,
	  errs_yxdomain },
	{ "DS of a chain's end is the parent's, RFC 4035 s.3.1.4.1", false, errs_ds_of_chain },
	{ "SOA is left out without TC, RFC 2308 s.3", false, errs_room_for_soa },
	{ "labels may have any byte, RFC 2181 s.11", false, errs_zero_byte },
	{ NULL, false, NULL },
};
