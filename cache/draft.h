/* SPDX-License-Identifier: ISC */
/*
 * draft - one owner's records while they are added and removed, before they become a node.
 *
 * Purpose:  takes records one by one in constant time, drops duplicates, keeps one TTL for
 *           each RRset, and packs the outcome. An edit has one draft and uses it for one
 *           owner after another.
 * Not here: which owners a zone may have (zone_edit.c), the packed form (node.h).
 * Owns:     its buffers, which it keeps from owner to owner.
 * Threads:  the mirror's.
 * Memory:   at most ZONE_NODE_TYPES_MAX sets of 64 kB, twice (signatures); aborts when there
 *           is none.
 * Failure:  enum zone_error; nothing has changed then.
 * Spec:     RFC 2181 s.5 (no duplicates, one TTL), RFC 4034 s.3 (but signatures by type).
 */
#ifndef DRAFT_H
#define DRAFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/node.h"
#include "cache/zone.h"

struct draft_record {
	uint16_t type, rdata_len;
	uint32_t ttl;
	const uint8_t *rdata;	/* uncompressed */
};

struct draft_set;

struct draft {
	uint8_t owner[NAME_LEN_MAX];
	bool is_changed;	/* since draft_start() or draft_load() */
	unsigned max_set;	/* records of one set */
	size_t set_count;
	size_t set_room;	/* sets[set_count .. set_room-1] are spare, buffers and all */
	struct draft_set *sets;
};

void draft_init(struct draft *d);
void draft_fini(struct draft *d);

void draft_start(struct draft *d, const uint8_t *owner);	/* without records */
void draft_load(struct draft *d, const struct node *n);		/* with those of `n` */

/* *is_new is false when the record was there already: then only the TTL may have sunk. */
enum zone_error draft_add(struct draft *d, const struct draft_record *r, bool *is_new);

/* False when there is no such record. */
bool draft_del(struct draft *d, const struct draft_record *r);

struct node *draft_pack(const struct draft *d, bool is_apex);

#endif
