/* SPDX-License-Identifier: ISC */
/*
 * chunk - records packed into blocks of at most 65,500 bytes, each with its digest.
 *
 * Purpose:  the one form in which zones leave memory: fields of the Redis base hash,
 *           entries of the change stream, and the body of a snapshot file.
 *
 *      chunk  = magic "UZC1" | u32 records | u32 body length | u64 XXH3 of body | body
 *           the digest is seeded with the count of records, so that it covers that too
 *      record = u8 shared | u8 owner length | owner bytes | u16 type | u32 ttl
 *               | u16 rdata length | rdata                      integers in network order
 *      owner: the first `shared` bytes *counted from the end* of the previous owner in this
 *      chunk are taken over; "owner bytes" go before them. The first record shares 0.
 *
 * Not here: where chunks are kept (snapshot.c, store.c).
 * Threads:  any; pure but for the caller's buffers.
 * Memory:   a writer owns one buffer of CHUNK_MAX; a reader none.
 * Failure:  fails closed: magic, length, digest, record count, every name and every rdata
 *           (rdata_is_valid) are checked before a record is handed out.
 */
#ifndef CHUNK_H
#define CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/zone.h"

enum { CHUNK_MAX = 65500, CHUNK_HEADER_LEN = 20 };

/*
 * One record may be longer than a chunk (rdata of 65,535 bytes): then a chunk holds that
 * record alone and exceeds CHUNK_MAX, up to CHUNK_ALONE_MAX.
 */
enum { CHUNK_ALONE_MAX = CHUNK_HEADER_LEN + 2 + 255 + 8 + 65535 };

struct chunk_writer {
	uint8_t bytes[CHUNK_ALONE_MAX];
	size_t len;
	uint32_t records;
	uint8_t owner[NAME_LEN_MAX];	/* of the last record, to share from */
};

void chunk_start(struct chunk_writer *w);

/* False when it does not fit: chunk_finish(), store it, chunk_start(), add again. */
bool chunk_add(struct chunk_writer *w, const uint8_t *owner, uint16_t type, uint32_t ttl,
	       const uint8_t *rdata, uint16_t rdata_len);

/* Writes the header; w->bytes[0 .. w->len-1] is the chunk. */
void chunk_finish(struct chunk_writer *w);

/*
 * Reads a chunk, calling `visit` for each record until it returns false (and then says
 * NULL: the visitor knows why). Returns NULL, or a sentence saying what is wrong ("chunk
 * digest does not match"); nothing was visited then unless the fault is in a record's own
 * bytes.
 */
const char *chunk_read(const uint8_t *bytes, size_t len, zone_record_fn visit, void *arg);

#endif
