/* SPDX-License-Identifier: ISC */
/*
 * packet - a reply taken apart strictly, its records in one normal form.
 *
 * Purpose:  two records are the same when their bytes in normal form are: owner | type | class |
 *           TTL | rdata, names whole and in lower case. Shares no code with what is under test.
 * Memory:   a packet keeps all inside itself; it is big (use static ones).
 * Failure:  what is not a sound reply to the query has a `fault`, and counts for nothing else.
 * Spec:     RFC 1035 s.4, RFC 3597 s.4, RFC 6891.
 */
#ifndef DIFFER_PACKET_H
#define DIFFER_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PART_ANSWER, PART_AUTHORITY, PART_ADDITIONAL, PARTS };
enum { MESSAGE_MAX = 65535, NAME_MAX_LEN = 255, RECORDS_MAX = 6000, ARENA_MAX = 1 << 20 };

enum {
	T_A = 1, T_NS = 2, T_CNAME = 5, T_SOA = 6, T_AAAA = 28, T_DNAME = 39, T_OPT = 41, T_DS = 43,
	T_RRSIG = 46, T_NSEC = 47, T_DNSKEY = 48, T_NSEC3 = 50, T_NSEC3PARAM = 51, T_ANY = 255,
};

enum { F_QR = 0x8000, F_AA = 0x0400, F_TC = 0x0200, F_RD = 0x0100, F_RA = 0x0080, F_Z = 0x0040,
       F_AD = 0x0020, F_CD = 0x0010, F_RCODE = 0x000f, OPCODE_MASK = 0x7800 };

struct record {
	const uint8_t *bytes;		/* in normal form */
	uint32_t len;
	uint16_t type;
	uint16_t covered;		/* of an RRSIG: the type it signs; else `type` */
	uint16_t owner_len;
};

struct packet {
	const char *fault;		/* NULL: all is well */
	size_t len;			/* on the wire */
	uint16_t flags;
	uint16_t rcode;			/* with the bits in OPT */
	bool has_opt, is_dnssec_ok;
	uint16_t opt_size, opt_flags;
	bool has_new_compression;	/* pointers in rdata where RFC 3597 s.4 forbids them */
	bool has_double;		/* the same record twice in a section */
	bool has_split_ttl;		/* an RRset with several TTLs: RFC 2181 s.5.2 */
	unsigned counts[PARTS];		/* OPT is not counted */
	struct record *parts[PARTS];	/* each sorted by its bytes */
	struct record records[RECORDS_MAX];
	size_t arena_len;
	uint8_t arena[ARENA_MAX];
};

/* A name at `pos`, whole and in lower case. Returns where it ended in the message, or 0. */
size_t name_unpack(const uint8_t *message, size_t len, size_t pos, uint8_t *name, size_t *name_len,
		   bool *has_pointer);

/* Takes the reply to `query` apart. `reply_len` 0: there was none. */
void packet_parse(struct packet *p, const uint8_t *query, size_t query_len, const uint8_t *reply,
		  size_t reply_len);

/* One record at `*pos` of a message, in normal form; false when it is unsound. */
bool record_read(struct packet *p, const uint8_t *message, size_t len, size_t *pos,
		 struct record *r);

uint16_t read_u16(const uint8_t *at);
uint32_t read_u32(const uint8_t *at);

#endif
