/* SPDX-License-Identifier: ISC */
/*
 * compare - is the mirror's reply what the reference servers say?
 *
 * Purpose:  where the references agree, the mirror must agree; where they differ, the table
 *           of rules must know why, and the mirror must side with one of those that are right.
 * Not here: asking (net.h), the text of a report (differ.c).
 */
#ifndef DIFFER_COMPARE_H
#define DIFFER_COMPARE_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/system/differ/packet.h"

/* Servers in this order, everywhere. */
enum { NSD, KNOT, BIND, REFERENCES, MIRROR = REFERENCES };

struct question {
	uint16_t type, rdclass;
	uint16_t size;			/* offered in OPT; 0: no OPT */
	uint16_t flags;			/* RD, CD */
	bool is_tcp, is_dnssec_ok;
	unsigned servers;		/* bit i: server i has the zone */
	uint8_t name_len;
	const uint8_t *name;		/* in wire form, in the case that is asked */
};

struct verdict {
	bool is_good;
	const char *what;		/* good: NULL or the rule; else what differs. Until the next
					   call */
};

struct verdict compare(const struct question *q, const struct packet *replies);

/* What differs first between two replies, or NULL. Records do not count when one is truncated. */
const char *difference(const struct packet *a, const struct packet *b);
bool is_same_part(const struct packet *a, const struct packet *b, unsigned part);
bool has_type(const struct packet *p, unsigned part, uint16_t type);
bool has_record(const struct packet *p, unsigned part, const struct record *r);
bool is_referral(const struct packet *p);

/* The name that was asked for, in lower case. */
void question_name(const struct question *q, uint8_t *name);
bool lacks_glue(const struct packet *p);

/* ---- proof.c: does a proof by NSEC prove anything? ---- */

/*
 * True when the NSEC records in the authority section cover the name that was asked for, or
 * that its aliases lead to, and for NXDOMAIN the wildcard too.
 */
bool is_denial_whole(const struct question *q, const struct packet *p);

/*
 * True when an NSEC3 of the authority section of `a` and one of `b` belong to different chains
 * of one zone. Within one reply that proves nothing: RFC 5155 s.8.2.
 */
bool has_other_chain(const struct packet *a, const struct packet *b);

/* True when an NSEC3 of the authority section is that of a name above: RFC 5155 s.7.2.1. */
bool has_encloser(const struct question *q, const struct packet *p);

/* ---- rules.c: why servers may differ ---- */

/* A kind of disagreement, and which of the servers err; they do not count then. */
struct rule {
	const char *why;		/* with the RFC that decides */
	bool is_free;			/* all may err, but for the mirror */
	bool (*errs)(const struct question *q, const struct packet *replies, unsigned server);
};

extern const struct rule rules[];	/* ends with a `why` of NULL */

#endif
