/* SPDX-License-Identifier: ISC */
/*
 * edns - OPT, both ways: what a query's OPT says, and the OPT of every reply that we make.
 *
 * Purpose:  one parser and one writer. An option is written only when the query asked for it
 *           and the caller has something to say.
 * Not here: which record is OPT and where it may stand (message.h), making cookies (cookie.h),
 *           what a zone or a configuration has to say (dispatch_answer.c).
 * Threads:  any; pure functions.
 * Memory:   none; struct edns points into the packet that it was parsed from.
 * Failure:  false: FORMERR. Only what no sender could mean is: options that do not fit their
 *           record, and a COOKIE of no lawful length (RFC 7873 s.5.2.2). Any other option that
 *           is not as its RFC wants it counts as absent: a resolver that sends it shall get
 *           the same answer whether or not a server behind us minds.
 * Spec:     RFC 6891 s.6.1, 5001 (NSID), 7314 (EXPIRE), 7828 (tcp-keepalive), 7871 (ECS),
 *           7873 (COOKIE), 8914 (EDE), 9660 (ZONEVERSION). Padding (RFC 7830) is ignored: it
 *           says something through encryption only, and we have none.
 */
#ifndef EDNS_H
#define EDNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/dns.h"
#include "cache/wire.h"

enum {
	COOKIE_CLIENT_LEN = 8,
	COOKIE_MAX = 40,
	EDNS_NSID_MAX = 128,	/* what we say; keeps every OPT of ours inside 512 bytes */
	EDNS_EDE_LEN = 6,	/* of the whole option */
};

/* What a query's OPT says. All zero when it has none. */
struct edns {
	bool is_present;
	bool dnssec_ok;
	bool wants_nsid, wants_expire, wants_zone_version, wants_keepalive;
	uint8_t version;	/* over 0: nothing is known of the options */
	uint8_t cookie_len;	/* 0: none */
	uint8_t subnet_len;	/* likewise */
	uint16_t size;		/* at least 512, RFC 6891 s.6.2.3 */
	const uint8_t *cookie, *subnet;	/* the options' values, in the packet */
};

/* What we could tell. All zero: nothing. */
struct edns_reply {
	const uint8_t *cookie;		/* COOKIE_FULL_LEN bytes (cookie.h), or NULL */
	const uint8_t *nsid;
	uint8_t nsid_len;		/* at most EDNS_NSID_MAX; 0: none */
	bool has_zone;			/* the answer is from a zone: the next three are set */
	uint8_t zone_labels;		/* of its origin, the root not counted */
	uint32_t zone_serial;
	uint32_t zone_expire_s;		/* until it may not answer any more */
	uint16_t keepalive;		/* in 100 ms; 0: this is not TCP */
};

/* The fields of an OPT record; `e` is all zero. False: FORMERR. */
bool edns_parse(struct edns *e, uint16_t class, uint32_t ttl, const uint8_t *rdata, size_t len);

/* The length of the OPT that a reply owes, without EDE; 0 when the query had none. */
size_t edns_len(const struct edns *query, const struct edns_reply *reply);

/*
 * Appends OPT, if the query had one, with `rcode`'s upper bits; EDE is the last option, unless
 * it is EDE_NONE. `reply` may be NULL. What does not fit is left out whole. True when OPT was
 * written: one more in ARCOUNT.
 */
bool edns_write(struct wire_out *o, const struct edns *query, const struct edns_reply *reply,
		enum dns_rcode rcode, enum dns_ede ede);

#endif
