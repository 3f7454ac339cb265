/* SPDX-License-Identifier: ISC */
/*
 * answer_parts - what the two files of an answer share, and nobody else includes.
 *
 * answer.c           searches the zone, along aliases too, and fills the answer section
 * answer_sections.c  what follows from that: authority, additional, proofs, rcode
 */
#ifndef ANSWER_PARTS_H
#define ANSWER_PARTS_H

#include "cache/answer.h"
#include "cache/denial.h"
#include "cache/response.h"

enum {
	CHAIN_MAX = 17,		/* aliases met; resolvers give up at about as many */
	MADE_MAX = 2 + NAME_LEN_MAX,
	STALE_TTL_MAX = 30,	/* RFC 8767 s.4: what is past its time shall be asked for again soon */
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
	const struct tree_match *at;	/* where `name` fell in the zone; NULL: not looked up yet */
	struct tree_match own_at;	/* what `at` is, unless the caller knew */
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

/*
 * Adds an RRset and, for those who asked, its signatures: both or nothing, RFC 4035 s.3.1.1.
 * `n` is where they stand, `owner` whose they are said to be: a wildcard's are another's.
 */
bool answer_put_rrset(struct lookup *l, enum section section, const struct node *n,
		      const uint8_t *owner, const struct rrset *set);

/* The RRset of a type that the node is known to have. */
struct rrset answer_set_of(const struct node *n, uint16_t type);

/* Whether this client is owed proofs of what is not there. */
bool answer_owes_proof(const struct lookup *l);

/* Whether the name falls into the zone at hand. */
bool answer_is_in_zone(const struct lookup *l, const uint8_t *name);

/* Writes what follows from the outcome; sets l->failure when only SERVFAIL can be said. */
enum dns_rcode answer_put_outcome(struct lookup *l, enum outcome out);

#endif
