/* SPDX-License-Identifier: ISC */
/*
 * meaning - what an answer says, free of order, case, compression and ID.
 *
 * Purpose:  two answers mean the same when their hashes are equal. By ldns: a second opinion
 *           that shares no code with what is under test.
 * Memory:   allocates and frees inside each call; ends the program when it cannot.
 */
#ifndef MEANING_H
#define MEANING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <ldns/ldns.h>
#include <xxhash.h>

struct meaning {
	uint64_t hash;		/* of the flags and sets that must agree */
	uint8_t rcode;
	bool is_truncated, has_edns, is_known;
};

/* Without the serial of an SOA when `is_serial_free`. */
static inline uint64_t hash_record(const ldns_rr *rr, bool is_serial_free)
{
	ldns_rr *copy = ldns_rr_clone(rr);
	ldns_buffer *b = ldns_buffer_new(LDNS_MAX_PACKETLEN);

	if (!copy || !b)
		abort();
	if (is_serial_free && ldns_rr_get_type(copy) == LDNS_RR_TYPE_SOA)
		ldns_rdf_deep_free(ldns_rr_set_rdf(copy, ldns_native2rdf_int32(LDNS_RDF_TYPE_INT32, 0), 2));
	ldns_rr2canonical(copy);
	if (ldns_rr2buffer_wire(b, copy, LDNS_SECTION_ANSWER) != LDNS_STATUS_OK)
		abort();
	uint64_t hash = XXH3_64bits(ldns_buffer_begin(b), ldns_buffer_position(b));

	ldns_buffer_free(b);
	ldns_rr_free(copy);
	return hash;
}

/* A sum, so that the order of records does not matter. */
static inline uint64_t hash_section(const ldns_rr_list *list, uint64_t salt, bool is_serial_free)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
		uint64_t pair[2] = { salt, hash_record(ldns_rr_list_rr(list, i), is_serial_free) };

		sum += XXH3_64bits(pair, sizeof(pair));
	}
	return sum;
}

/*
 * The answer section always counts. The authority section only if the answer is empty, since
 * servers may add the apex NS to a positive answer or not; glue only in a referral.
 */
static inline uint64_t hash_packet(const ldns_pkt *p, bool is_serial_free)
{
	bool is_empty = ldns_rr_list_rr_count(ldns_pkt_answer(p)) == 0;
	bool is_referral = is_empty && !ldns_pkt_aa(p);
	uint64_t hash = hash_section(ldns_pkt_answer(p), 1, is_serial_free);

	if (is_empty)
		hash += hash_section(ldns_pkt_authority(p), 2, is_serial_free);
	if (is_referral)
		hash += hash_section(ldns_pkt_additional(p), 3, is_serial_free);
	return hash + (ldns_pkt_aa(p) ? 0x9e3779b97f4a7c15u : 0) + ldns_pkt_get_rcode(p) * 0x1000193u;
}

/* False when it is no DNS message. */
static inline bool understand(const uint8_t *message, size_t len, bool is_serial_free,
			      struct meaning *m)
{
	ldns_pkt *p = NULL;

	if (ldns_wire2pkt(&p, message, len) != LDNS_STATUS_OK)
		return false;
	*m = (struct meaning){
		.rcode = (uint8_t)ldns_pkt_get_rcode(p), .is_truncated = ldns_pkt_tc(p),
		.has_edns = ldns_pkt_edns(p), .is_known = true,
	};
	m->hash = m->is_truncated ? 0 : hash_packet(p, is_serial_free);
	ldns_pkt_free(p);
	return true;
}

#endif
