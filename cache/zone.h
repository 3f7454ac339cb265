/* SPDX-License-Identifier: ISC */
/*
 * zone - one complete version of a zone's records: build it, check it, read it.
 *
 * Purpose:  a *generation* is immutable and shared by all readers; a *zone_edit* makes
 *           the next one from nothing (AXFR, snapshot) or from an older one (IXFR),
 *           copying only what it changes.
 * Not here: the order of names (tree.h), answers (answer.h), files, sockets.
 *
 *      generation 7 --tree--> twigs ---> node "www.example.com."  { A, AAAA }
 *                                 \----> node "b.example.com."    { }  empty non-terminal
 *      generation 8 --tree--> new path, the rest is shared
 *
 * NSEC3 records have a tree of their own, by hashed owner name: such a name is no name of the
 * zone, and may be asked for as if it were not there (RFC 5155 s.7.2.8).
 *
 * A node is one packed allocation (node.h): owner name, then its RRsets by type, each with
 * its rdata one after the other. Every name between an owner and the apex has a node, so an
 * empty node is an empty non-terminal (RFC 4592 s.2.2.2) and lookups need no second guess.
 *
 * Owns:     a generation owns its tree, the tree its nodes, by counted references.
 * Threads:  edits, zone_edit_finish() and generation_free() in one thread (the mirror's);
 *           a published generation is read by all. Others than workers pin one with
 *           generation_hold()/generation_drop(), from any thread, inside an RCU read.
 * Memory:   edits allocate and abort when they cannot; reads allocate nothing.
 * Failure:  enum zone_error; an edit that failed stays usable only for zone_edit_free().
 * Spec:     RFC 1034 s.4.2 (what a zone is), RFC 2181 s.5 (RRsets, one TTL) and s.10.1
 *           (CNAME stands alone, save for DNSSEC types), RFC 4034 s.3 (signatures keep the
 *           TTL of what they cover).
 */
#ifndef ZONE_H
#define ZONE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/name.h"
#include "cache/nsec3.h"
#include "cache/tree.h"

enum zone_error {
	ZONE_OK,
	ZONE_OUT_OF_ZONE,	/* owner not at or below the origin */
	ZONE_NO_SOA,		/* no SOA at the apex */
	ZONE_SOA_ELSEWHERE,	/* SOA below the apex, or two of them at it */
	ZONE_NO_NS,		/* no NS at the apex */
	ZONE_CNAME_CLASH,	/* CNAME beside other data, or two CNAMEs */
	ZONE_RRSET_TOO_BIG,	/* over ZONE_RRSET_RECORDS_MAX records or 64 kB of rdata */
	ZONE_RRSET_OVER,	/* over the limit given to zone_edit_limit_rrset() */
	ZONE_TYPES_TOO_MANY,	/* over ZONE_NODE_TYPES_MAX types at one name */
	ZONE_TOO_BIG,		/* over the limits given to zone_edit_new() */
	ZONE_SCATTERED,		/* records of one name are far apart, and it has many */
	ZONE_NO_RECORD,		/* deletion of a record that is not there */
	ZONE_DUPLICATE,		/* addition of one that is: zone_edit_add_new() */
	ZONE_BAD_RDATA,		/* does not parse as its type, or the type is not for zones */
	ZONE_NO_CATALOG,	/* is to be read as one, and is broken: catalog.h says how */
};

/* A sentence for each, for events: "owner name outside the zone". */
const char *zone_error_text(enum zone_error e);

enum {
	ZONE_RRSET_RECORDS_MAX = 4096,	/* no RFC says; one huge RRset must not hold us up */
	ZONE_NODE_TYPES_MAX = 100,	/* as BIND; signatures not counted */
	ZONE_EMPTIES_PER_RECORD = 16,	/* no RFC: a sparse /64 of ip6.arpa has eleven */
	/* A name whose turn comes again has its records moved: so many bytes at once, and for each byte
	 * that comes. The last of 4096 AAAA that come in no order at all takes 1,600 for each. */
	ZONE_MOVED_MAX = 1 << 28, ZONE_MOVED_PER_BYTE = 2048,
};

/* ---- Reading ---- */

struct node;	/* opaque: one owner name and its RRsets */
struct history;
struct catalog;

/*
 * A view of one RRset. Points into the node: valid as long as the generation. RRSIGs that
 * cover one type are a set of their own, since their TTL is that of what they cover: all
 * sets of type RRSIG at a node stand next to each other.
 */
struct rrset {
	uint16_t type;
	uint16_t covered;	/* RRSIG: the type it signs; else 0 */
	uint16_t count;		/* records, at least 1 */
	uint32_t ttl;
	uint32_t rdata_len;	/* bytes at `rdata`: count times { u16 length (network order), rdata } */
	const uint8_t *rdata;
};

/* The owner, uncompressed wire form, case as transferred. */
const uint8_t *node_name(const struct node *n);

/* No RRset at all: the name exists only because something below it does. */
bool node_is_empty(const struct node *n);

/* Finds the RRset of `type`, of RRSIG the first one. False if there is none. */
bool node_find(const struct node *n, uint16_t type, struct rrset *set);

/* Finds the signatures of the RRset of type `covered`. False if there are none. */
bool node_find_rrsig(const struct node *n, uint16_t covered, struct rrset *set);

/* Cheap test (a flag computed once): has NS and is not the apex, RFC 1034 s.4.2.1. */
bool node_is_cut(const struct node *n);
bool node_has_dname(const struct node *n);

/* The primary computes its answer to `type` here, from an ALIAS or LUA record (PowerDNS). */
bool node_is_computed(const struct node *n, uint16_t type);

/* All RRsets of a node, by type: for (bool ok = node_first(n, &s); ok; ok = node_next(n, &s)). */
bool node_first(const struct node *n, struct rrset *set);
bool node_next(const struct node *n, struct rrset *set);

/* The records of an RRset: pos starts at 0; false at the end. */
bool rrset_next(const struct rrset *set, size_t *pos, const uint8_t **rdata, uint16_t *len);

struct soa {
	uint32_t serial, refresh, retry, expire, minimum;
	uint32_t ttl;		/* of the SOA record itself */
};

/* How a zone proves that something is not there. */
enum zone_denial {
	ZONE_DENIAL_NONE,	/* not signed, or without a chain */
	ZONE_DENIAL_NSEC,	/* RFC 4035 s.3.1.3 */
	ZONE_DENIAL_NSEC3,	/* RFC 5155 s.7.2 */
};

struct generation {
	struct tree tree;		/* of struct node */
	struct tree nsec3;		/* of struct node: NSEC3 and their signatures alone */
	const struct node *apex;	/* in the tree */
	enum zone_denial denial;
	struct nsec3_params nsec3_params;	/* of the chain in use; with ZONE_DENIAL_NSEC3 */
	const struct node *nsec3_apex;	/* two thirds of most proofs: what is at the apex, and over the */
	const struct node *nsec3_star;	/* wildcard below it. NULL: not known yet, or not there */
	uint64_t number;		/* of this zone, upwards, never reused */
	struct soa soa;
	size_t records;
	size_t bytes;			/* wire size: owner + 10 + rdata, summed */
	size_t empties;			/* nodes without records */
	struct history *history;	/* differences that led here (history.h), or NULL */
	struct catalog *catalog;	/* its members (catalog.h), if it is read as one; or NULL */
	_Atomic uint32_t holds;		/* pins; see generation_hold() */
	/*
	 * It is past its SOA expire and answers all the same: briefly, and so that clients hear of it.
	 * The mirror's thread sets it, workers read it.
	 */
	_Atomic bool is_stale;
	uint8_t origin_labels;
	uint8_t origin[];		/* lower case */
};

/*
 * Every node: those of `tree` in canonical order, the apex first, then those of `nsec3`. NULL
 * at the end.
 */
const struct node *generation_first(const struct generation *g);
const struct node *generation_next(const struct generation *g, const struct node *n);

/*
 * Every record in that order of owners, then of types, those of a set in the order in which
 * they came; but the SOA first of all. Stops, and returns false, when `visit` does.
 */
typedef bool (*zone_record_fn)(const uint8_t *owner, uint16_t type, uint32_t ttl,
			       const uint8_t *rdata, uint16_t rdata_len, void *arg);
bool generation_walk(const struct generation *g, zone_record_fn visit, void *arg);

/*
 * What changed from `old` to `new`: each removed record, then each added one, owner by
 * owner. A changed TTL, or a change of case only, is a removal and an addition: whoever
 * applies it has `new` to the byte; so is a changed set of very many records. Shared parts cost
 * nothing.
 */
bool generation_diff(const struct generation *old, const struct generation *new,
		     zone_record_fn removed, zone_record_fn added, void *arg);

/* Pins `g`: the owner must not free it while generation_is_held(). */
void generation_hold(const struct generation *g);
void generation_drop(const struct generation *g);
bool generation_is_held(const struct generation *g);

/* After readers have passed and nobody holds it. NULL is fine. */
void generation_free(struct generation *g);

/* ---- Building ---- */

struct zone_edit;

/*
 * Starts an edit: empty when `base` is NULL, else of `base`'s records, which stays as it
 * is and need not outlive the edit. `max_records` and `max_bytes` bound the outcome at
 * every moment (0: no bound).
 */
struct zone_edit *zone_edit_new(const uint8_t *origin, const struct generation *base,
				size_t max_records, size_t max_bytes);

/* Bounds the records of one RRset; 0: by ZONE_RRSET_RECORDS_MAX, as without it. */
void zone_edit_limit_rrset(struct zone_edit *e, unsigned max_records);

void zone_edit_free(struct zone_edit *e);	/* NULL is fine */

/*
 * Adds a record; a duplicate is dropped silently; the RRset takes the lowest TTL given
 * (RFC 2181 s.5.2). `rdata` is uncompressed and already checked (rdata_parse()).
 * Fastest when records of one owner come together; ZONE_SCATTERED when they do by no means.
 */
enum zone_error zone_edit_add(struct zone_edit *e, const uint8_t *owner, uint16_t type,
			      uint32_t ttl, const uint8_t *rdata, uint16_t rdata_len);

/*
 * The same, but a duplicate is ZONE_DUPLICATE: a difference that adds what is there was made
 * for another zone.
 */
enum zone_error zone_edit_add_new(struct zone_edit *e, const uint8_t *owner, uint16_t type,
				  uint32_t ttl, const uint8_t *rdata, uint16_t rdata_len);

/* Removes a record (its TTL does not matter). Names left without purpose go too. */
enum zone_error zone_edit_del(struct zone_edit *e, const uint8_t *owner, uint16_t type,
			      const uint8_t *rdata, uint16_t rdata_len);

/*
 * Checks the whole (SOA and NS at the apex, CNAME rules, for nodes that were touched),
 * computes the flags, and hands over the new generation, or NULL with *why set and, when
 * `where` is not NULL, the offending owner as text. Frees the edit in both cases.
 */
struct generation *zone_edit_finish(struct zone_edit *e, uint64_t number,
				    enum zone_error *why, char where[NAME_TEXT_MAX]);

#endif
