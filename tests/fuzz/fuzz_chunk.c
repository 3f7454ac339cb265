/* SPDX-License-Identifier: ISC */
/*
 * fuzz_chunk - chunk_read() and, behind it, edits of a zone with whatever it lets through.
 *
 * Each input is read as it is, and once more with its header made right, since no fuzzer
 * guesses a digest. Records with an odd TTL are removed instead of added.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "cache/chunk.h"
#include "cache/dns.h"
#include "cache/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t origin[] = "\7example\3com";

static bool edit_record(const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
			uint16_t len, void *arg)
{
	if (ttl & 1)
		zone_edit_del(arg, owner, type, rdata, len);
	else
		zone_edit_add(arg, owner, type, ttl, rdata, len);
	return true;
}

static bool count_record(const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
			 uint16_t len, void *arg)
{
	(void)owner, (void)type, (void)ttl, (void)rdata, (void)len;
	++*(size_t *)arg;
	return true;
}

static void read_and_edit(const uint8_t *data, size_t size)
{
	static const uint8_t soa[22];
	struct zone_edit *e = zone_edit_new(origin, NULL, 1000, 100000);
	enum zone_error why;
	size_t count = 0;

	zone_edit_add(e, origin, TYPE_SOA, 2, soa, sizeof(soa));
	zone_edit_add(e, origin, TYPE_NS, 2, origin, sizeof(origin));
	chunk_read(data, size, edit_record, e);
	struct generation *g = zone_edit_finish(e, 1, &why, NULL);

	if (g) {
		generation_walk(g, count_record, &count);
		assert(count == g->records);
	}
	generation_free(g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > CHUNK_ALONE_MAX)
		return 0;
	read_and_edit(data, size);
	if (size < CHUNK_HEADER_LEN)
		return 0;
	uint8_t *mended = malloc(size);
	size_t body_len = size - CHUNK_HEADER_LEN;

	if (!mended)
		abort();
	memcpy(mended, data, size);
	memcpy(mended, "UZC1", 4);
	wire_put_u32(mended + 8, (uint32_t)body_len);
	wire_put_u64(mended + 12, XXH3_64bits_withSeed(mended + CHUNK_HEADER_LEN, body_len,
						       wire_get_u32(mended + 4)));
	read_and_edit(mended, size);
	free(mended);
	return 0;
}
