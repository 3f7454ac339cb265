/* SPDX-License-Identifier: ISC */
/*
 * transfer_parts - what the files of a transfer share, and nobody else includes.
 *
 * transfer.c        its life: requests, and what each reply message leads to
 * transfer_reply.c  a reply as a message: envelope, records, EDNS; the reply to SOA
 * transfer_axfr.c   the records of a whole zone, and the limits of all streams
 * transfer_ixfr.c   the records of differences
 *
 *      IDLE --ask--> SOA --reply--> IDLE
 *      IDLE --ask--> AXFR --SOA--> BODY --SOA--> DONE
 *      IDLE --ask--> IXFR --SOA--> LONE --SOA--> REMOVING --SOA--> ADDING --SOA--> DONE
 *                      \-- CURRENT    \-- BODY        ^--next step--'
 */
#ifndef TRANSFER_PARTS_H
#define TRANSFER_PARTS_H

#include "cache/transfer.h"
#include "cache/wire.h"

enum { TRANSFER_SOA_MAX = 2 * NAME_LEN_MAX + 20 };

enum transfer_state {
	STATE_IDLE,	/* nothing asked yet, or the SOA reply was NEWER */
	STATE_SOA,	/* SOA asked */
	STATE_AXFR,	/* AXFR asked, nothing of it seen */
	STATE_BODY,	/* past the first SOA, which is kept; `edit` is the zone so far */
	STATE_IXFR,	/* IXFR asked, nothing of it seen; `edit` has what we hold */
	STATE_LONE,	/* one SOA has come, newer than ours; the next record says what this is */
	STATE_CURRENT,	/* one SOA has come, not newer than ours; no more may come */
	STATE_REMOVING,	/* past a difference's first SOA, which was removed */
	STATE_ADDING,	/* past its second, which was added: `step` is its serial */
	STATE_DONE,	/* the last SOA has come */
	STATE_FAILED,	/* `reason` is set */
};

struct transfer {
	const struct tsig_key *key;
	struct tsig_stream *tsig;	/* NULL without a key */
	struct zone_edit *edit;
	struct transfer_limits limits;
	enum transfer_state state;	/* STATE_FAILED is set by transfer_fail() only */
	uint16_t id, qtype;
	bool is_plain;			/* EDNS was not understood: ask without */
	bool is_difference;		/* what came or comes is one */
	bool is_first_taken;		/* of the replies to the present request */
	unsigned empty;
	uint32_t serial;		/* that the primary reported */
	uint32_t base, step;		/* IXFR: serial of what we hold, and reached so far */
	size_t base_bytes;		/* its size */
	uint32_t expire_s;		/* of EDNS EXPIRE; UINT32_MAX: none */
	size_t records, bytes;
	enum zone_error zone_error;
	uint8_t owner[NAME_LEN_MAX];	/* of the record at hand */
	uint16_t soa_len;		/* the first SOA of the stream: */
	uint32_t soa_ttl;
	uint8_t soa[TRANSFER_SOA_MAX], soa_owner[NAME_LEN_MAX];
	uint8_t origin[NAME_LEN_MAX];
	char reason[TRANSFER_REASON_MAX];
	uint8_t rdata[UINT16_MAX];
};

/* One record of a message. Its owner and rdata are in struct transfer. */
struct transfer_record {
	uint16_t type, class, rdata_len;
	uint32_t ttl;
};

/* Sets the reason, unless there is one; false for the caller to return. */
bool __attribute__((format(printf, 2, 3)))
transfer_fail(struct transfer *t, const char *format, ...);

/* The same, about the record at hand: "www.example.com. TXT: does not parse". */
bool transfer_fail_record(struct transfer *t, uint16_t type, const char *what);

/* ---- transfer_reply.c: false when the transfer has failed ---- */

/* Header, rcode and signature. *len becomes the length without TSIG. */
bool transfer_check_envelope(struct transfer *t, const uint8_t *message, size_t *len,
			     uint64_t now_s, bool *has_tsig);
bool transfer_take_question(struct transfer *t, struct wire *w);

/* An answer record of this zone, rdata and all. Types that no zone can hold are refused. */
bool transfer_take_record(struct transfer *t, struct wire *w, struct transfer_record *r);

/* The sections behind the answer: OPT is looked at, and all must parse. */
bool transfer_take_rest(struct transfer *t, struct wire *w, bool has_tsig);

bool transfer_take_soa_reply(struct transfer *t, struct wire *w, bool has_tsig);

/* True for FORMERR as the first reply to a request that had OPT: RFC 6891 s.7. */
bool transfer_is_edns_refused(const struct transfer *t, const uint8_t *message, size_t len);

bool transfer_is_apex_soa(const struct transfer *t, const struct transfer_record *r);
uint32_t transfer_soa_serial(const struct transfer *t, const struct transfer_record *r);

/* ---- transfer_axfr.c ---- */

/* One message of the reply to AXFR or IXFR. */
bool transfer_take_stream(struct transfer *t, struct wire *w, bool has_tsig);

/* Keeps the SOA at hand as the first one. */
void transfer_keep_soa(struct transfer *t, const struct transfer_record *r);
bool transfer_is_kept_soa(const struct transfer *t, const struct transfer_record *r);

/* The kept SOA was the first record of a whole zone. */
bool transfer_begin_body(struct transfer *t);
bool transfer_take_body(struct transfer *t, const struct transfer_record *r);

/* What became of the record at hand in the edit. */
bool transfer_judge_edit(struct transfer *t, uint16_t type, enum zone_error e);

/* ---- transfer_ixfr.c ---- */

bool transfer_take_difference(struct transfer *t, const struct transfer_record *r);

#endif
