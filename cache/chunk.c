/* SPDX-License-Identifier: ISC */
#include "cache/chunk.h"

#include <assert.h>
#include <string.h>

#include <xxhash.h>

#include "cache/rdata.h"
#include "cache/wire.h"

#define MAGIC	0x555a4331u	/* "UZC1" */

enum { RECORD_FIXED_LEN = 10 };	/* shared, owner length, type, ttl, rdata length */

/* ---- Writing ---- */

void chunk_start(struct chunk_writer *w)
{
	w->len = CHUNK_HEADER_LEN;
	w->records = 0;
}

/* How many bytes two names have in common at their ends, labels or not. */
static size_t shared_end(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	size_t n = 0;

	while (n < a_len && n < b_len && a[a_len - 1 - n] == b[b_len - 1 - n])
		n++;
	return n;
}

bool chunk_add(struct chunk_writer *w, const uint8_t *owner, uint16_t type, uint32_t ttl,
	       const uint8_t *rdata, uint16_t rdata_len)
{
	size_t owner_len = name_len(owner), shared = 0;

	if (w->records > 0)
		shared = shared_end(owner, owner_len, w->owner, name_len(w->owner));
	size_t own = owner_len - shared, need = RECORD_FIXED_LEN + own + rdata_len;

	/* The first record always goes in: CHUNK_ALONE_MAX is made for it. */
	if (w->records > 0 && w->len + need > CHUNK_MAX)
		return false;
	struct wire_out out = { .base = w->bytes, .cap = sizeof(w->bytes), .len = w->len };

	wire_add_u8(&out, (uint8_t)shared);
	wire_add_u8(&out, (uint8_t)own);
	wire_add_bytes(&out, owner, own);
	wire_add_u16(&out, type);
	wire_add_u32(&out, ttl);
	wire_add_u16(&out, rdata_len);
	wire_add_bytes(&out, rdata, rdata_len);
	assert(!out.full);
	w->len = out.len;
	memcpy(w->owner, owner, owner_len);
	w->records++;
	return true;
}

static uint64_t body_digest(const uint8_t *body, size_t len, uint32_t records)
{
	return XXH3_64bits_withSeed(body, len, records);
}

void chunk_finish(struct chunk_writer *w)
{
	size_t body_len = w->len - CHUNK_HEADER_LEN;

	wire_put_u32(w->bytes, MAGIC);
	wire_put_u32(w->bytes + 4, w->records);
	wire_put_u32(w->bytes + 8, (uint32_t)body_len);
	wire_put_u64(w->bytes + 12, body_digest(w->bytes + CHUNK_HEADER_LEN, body_len, w->records));
}

/* ---- Reading ---- */

struct record {
	uint8_t owner[NAME_LEN_MAX];	/* kept from record to record, to share from */
	size_t owner_len;		/* 0 before the first */
	uint16_t type, rdata_len;
	uint32_t ttl;
	const uint8_t *rdata;
};

/* Plain labels up to a root label that is the last byte: no pointer, nothing behind. */
static bool is_whole_name(const uint8_t *name, size_t len)
{
	size_t at = 0;

	while (at < len && name[at] != 0 && name[at] <= 63)
		at += 1u + name[at];
	return at + 1 == len && name[at] == 0;
}

static const char *read_owner(struct wire *w, struct record *r)
{
	size_t shared = wire_u8(w), own = wire_u8(w);
	const uint8_t *bytes = wire_bytes(w, own);

	if (!bytes)
		return "chunk ends inside a record";
	if (shared > r->owner_len || shared + own > NAME_LEN_MAX)
		return "owner name in chunk is malformed";
	memmove(r->owner + own, r->owner + r->owner_len - shared, shared);
	memcpy(r->owner, bytes, own);
	r->owner_len = own + shared;
	return is_whole_name(r->owner, r->owner_len) ? NULL : "owner name in chunk is malformed";
}

static const char *read_record(struct wire *w, struct record *r)
{
	const char *wrong = read_owner(w, r);

	if (wrong)
		return wrong;
	r->type = wire_u16(w);
	r->ttl = wire_u32(w);
	r->rdata_len = wire_u16(w);
	r->rdata = wire_bytes(w, r->rdata_len);
	if (!r->rdata)
		return "chunk ends inside a record";
	if (!rdata_is_valid(r->type, r->rdata, r->rdata_len))
		return "record data in chunk is malformed";
	return NULL;
}

/* Checks the header against the body. */
static const char *check_chunk(const uint8_t *bytes, size_t len)
{
	if (len < CHUNK_HEADER_LEN)
		return "chunk is too short";
	if (len > CHUNK_ALONE_MAX)
		return "chunk is too long";
	if (wire_get_u32(bytes) != MAGIC)
		return "chunk has another format";
	if (wire_get_u32(bytes + 8) != len - CHUNK_HEADER_LEN)
		return "chunk length does not match";
	uint64_t digest = body_digest(bytes + CHUNK_HEADER_LEN, len - CHUNK_HEADER_LEN,
				      wire_get_u32(bytes + 4));

	return wire_get_u64(bytes + 12) == digest ? NULL : "chunk digest does not match";
}

const char *chunk_read(const uint8_t *bytes, size_t len, zone_record_fn visit, void *arg)
{
	const char *wrong = check_chunk(bytes, len);
	struct record r;

	if (wrong)
		return wrong;
	struct wire w = wire_over(bytes + CHUNK_HEADER_LEN, len - CHUNK_HEADER_LEN);

	r.owner_len = 0;
	for (uint32_t left = wire_get_u32(bytes + 4); left > 0; left--) {
		wrong = read_record(&w, &r);
		if (wrong)
			return wrong;
		if (!visit(r.owner, r.type, r.ttl, r.rdata, r.rdata_len, arg))
			return NULL;
	}
	return wire_left(&w) > 0 ? "chunk has bytes left over" : NULL;
}
