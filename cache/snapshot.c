/* SPDX-License-Identifier: ISC */
#include "cache/snapshot.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "cache/chunk.h"
#include "cache/memory.h"
#include "cache/statefile.h"
#include "cache/wire.h"

#define MAGIC		"UZSNAP"

enum {
	SCHEMA = 1,		/* another number: another layout, of header or of chunks */
	MAGIC_LEN = 6,
	HEADER_LEN = MAGIC_LEN + 2 + 4 + 4 + 5 * 8 + 1 + NAME_LEN_MAX + 8,
	PREFIX_LEN = 4,		/* the length before each chunk */
};

static_assert(HEADER_LEN <= 512, "rewritten in place: no more than a sector");

struct header {
	uint32_t serial, chunks;
	uint64_t generation, records, digest;
	struct zone_times times;
	uint8_t origin[NAME_LEN_MAX];
};

/* ---- The header ---- */

static void put_header(const struct header *h, uint8_t bytes[HEADER_LEN])
{
	struct wire_out out = wire_into(bytes, HEADER_LEN);
	size_t origin_len = name_len(h->origin);

	memset(bytes, 0, HEADER_LEN);
	wire_add_bytes(&out, MAGIC, MAGIC_LEN);
	wire_add_u8(&out, (uint8_t)h->times.hold);
	wire_add_u8(&out, SCHEMA);
	wire_add_u32(&out, h->serial);
	wire_add_u32(&out, h->chunks);
	wire_add_u64(&out, h->generation);
	wire_add_u64(&out, h->times.refreshed_at);
	wire_add_u64(&out, h->times.expires_at);
	wire_add_u64(&out, h->records);
	wire_add_u64(&out, h->digest);
	wire_add_u8(&out, (uint8_t)origin_len);
	wire_add_bytes(&out, h->origin, origin_len);
	wire_put_u64(bytes + HEADER_LEN - 8, XXH3_64bits(bytes, HEADER_LEN - 8));
}

/* NULL, or what is wrong. `origin` is whose file this should be. */
static const char *parse_header(const uint8_t bytes[HEADER_LEN], const uint8_t *origin,
				struct header *h)
{
	struct wire w = wire_over(bytes, HEADER_LEN - 8);

	if (memcmp(wire_bytes(&w, MAGIC_LEN), MAGIC, MAGIC_LEN) != 0)
		return "file is no snapshot";
	uint8_t hold = wire_u8(&w);

	if (wire_u8(&w) != SCHEMA || hold >= ZONE_HOLDS)
		return "snapshot is of another version";
	if (wire_get_u64(bytes + HEADER_LEN - 8) != XXH3_64bits(bytes, HEADER_LEN - 8))
		return "snapshot header is damaged";
	h->times.hold = (enum zone_hold)hold;
	h->serial = wire_u32(&w);
	h->chunks = wire_u32(&w);
	h->generation = wire_u64(&w);
	h->times.refreshed_at = wire_u64(&w);
	h->times.expires_at = wire_u64(&w);
	h->records = wire_u64(&w);
	h->digest = wire_u64(&w);
	size_t origin_len = wire_u8(&w);

	if (origin_len != name_len(origin) || memcmp(wire_bytes(&w, origin_len), origin, origin_len) != 0)
		return "snapshot is of another zone";
	memcpy(h->origin, origin, origin_len);
	return NULL;
}

/* Each chunk's header holds its digest; chaining them covers order and number too. */
static uint64_t chain_digest(uint64_t digest, const uint8_t *chunk)
{
	return XXH3_64bits_withSeed(chunk, CHUNK_HEADER_LEN, digest);
}

/* ---- Writing ---- */

struct output {
	int fd;
	int error;		/* 0 or -errno; the first one stays */
	struct header header;	/* chunks, records and digest so far */
	struct chunk_writer chunk;
};

static bool put_chunk(struct output *o)
{
	uint8_t prefix[PREFIX_LEN];

	chunk_finish(&o->chunk);
	wire_put_u32(prefix, (uint32_t)o->chunk.len);
	o->error = statefile_write(o->fd, prefix, sizeof(prefix));
	if (o->error == 0)
		o->error = statefile_write(o->fd, o->chunk.bytes, o->chunk.len);
	o->header.chunks++;
	o->header.records += o->chunk.records;
	o->header.digest = chain_digest(o->header.digest, o->chunk.bytes);
	chunk_start(&o->chunk);
	return o->error == 0;
}

static bool put_record(const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
		       uint16_t rdata_len, void *arg)
{
	struct output *o = arg;

	if (chunk_add(&o->chunk, owner, type, ttl, rdata, rdata_len))
		return true;
	return put_chunk(o) && chunk_add(&o->chunk, owner, type, ttl, rdata, rdata_len);
}

static struct header header_of(const struct snapshot_file *file)
{
	struct header h = { .serial = file->g->soa.serial, .generation = file->g->number, .times = file->times };

	memcpy(h.origin, file->g->origin, name_len(file->g->origin));
	return h;
}

/* The header goes in last: only then is what it says known. */
static int write_records(struct output *o, const struct generation *g)
{
	uint8_t header[HEADER_LEN] = { 0 };

	o->error = statefile_write(o->fd, header, sizeof(header));
	if (o->error == 0 && generation_walk(g, put_record, o))
		put_chunk(o);
	if (o->error < 0)
		return o->error;
	put_header(&o->header, header);
	if (lseek(o->fd, 0, SEEK_SET) < 0)
		return -errno;
	return statefile_write(o->fd, header, sizeof(header));
}

static int write_file(int fd, void *arg)
{
	const struct snapshot_file *file = arg;
	struct output *o = memory_new(sizeof(*o));

	o->fd = fd;
	o->header = header_of(file);
	chunk_start(&o->chunk);
	int error = write_records(o, file->g);

	free(o);
	return error;
}

void snapshot_write_all(const char *dir, struct snapshot_file files[], size_t count)
{
	struct statefile *places = memory_new(count * sizeof(*places));

	for (size_t i = 0; i < count; i++)
		places[i] = (struct statefile){ .origin = files[i].g->origin, .arg = &files[i] };
	statefile_replace(dir, places, count, write_file);
	for (size_t i = 0; i < count; i++)
		files[i].error = places[i].error;
	free(places);
}

int snapshot_write(const char *dir, const struct generation *g, const struct zone_times *times)
{
	struct snapshot_file file = { .g = g, .times = *times };

	snapshot_write_all(dir, &file, 1);
	return file.error;
}

/* ---- Reading ---- */

struct input {
	int fd;
	size_t left;		/* bytes of the file not read yet */
	struct header header;
	struct zone_edit *edit;
	enum zone_error error;	/* what the edit said */
	uint64_t records;
	uint8_t chunk[CHUNK_ALONE_MAX];
};

static bool take_record(const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
			uint16_t rdata_len, void *arg)
{
	struct input *in = arg;

	in->error = zone_edit_add(in->edit, owner, type, ttl, rdata, rdata_len);
	in->records++;
	return in->error == ZONE_OK;
}

static bool input_read(struct input *in, uint8_t *bytes, size_t len)
{
	if (len > in->left || !statefile_read(in->fd, bytes, len))
		return false;
	in->left -= len;
	return true;
}

static const char *read_header(struct input *in, const uint8_t *origin)
{
	uint8_t bytes[HEADER_LEN];

	if (!input_read(in, bytes, sizeof(bytes)))
		return "snapshot is cut short";
	return parse_header(bytes, origin, &in->header);
}

static const char *read_chunk(struct input *in, uint64_t *digest)
{
	uint8_t prefix[PREFIX_LEN];

	if (!input_read(in, prefix, sizeof(prefix)))
		return "snapshot is cut short";
	size_t len = wire_get_u32(prefix);

	if (len < CHUNK_HEADER_LEN || len > sizeof(in->chunk))
		return "snapshot holds a chunk of impossible length";
	if (!input_read(in, in->chunk, len))
		return "snapshot is cut short";
	const char *wrong = chunk_read(in->chunk, len, take_record, in);

	*digest = chain_digest(*digest, in->chunk);
	return in->error == ZONE_OK ? wrong : zone_error_text(in->error);
}

static const char *read_chunks(struct input *in)
{
	uint64_t digest = 0;

	for (uint32_t left = in->header.chunks; left > 0; left--) {
		const char *wrong = read_chunk(in, &digest);

		if (wrong)
			return wrong;
	}
	if (in->left > 0)
		return "snapshot has bytes left over";
	if (digest != in->header.digest || in->records != in->header.records)
		return "snapshot digest does not match";
	return NULL;
}

/* Reads all of it; the generation, or NULL and *why. Takes the edit in both cases. */
static struct generation *read_file(struct input *in, const char **why)
{
	enum zone_error error;

	*why = read_chunks(in);
	if (*why) {
		zone_edit_free(in->edit);
		return NULL;
	}
	struct generation *g = zone_edit_finish(in->edit, in->header.generation, &error, NULL);

	if (!g)
		*why = zone_error_text(error);
	else if (g->soa.serial != in->header.serial)
		*why = "snapshot header and SOA differ in serial";
	if (g && *why) {
		generation_free(g);
		g = NULL;
	}
	return g;
}

struct generation *snapshot_read(const char *dir, const uint8_t *origin, size_t max_records,
				 size_t max_bytes, struct zone_times *times, const char **why)
{
	uint8_t lower[NAME_LEN_MAX];
	struct generation *g = NULL;
	size_t size = 0;

	memcpy(lower, origin, name_len(origin));
	name_lower(lower);
	int fd = statefile_open(dir, lower, O_RDONLY, &size);

	*why = fd >= 0 || fd == -ENOENT ? NULL : "snapshot cannot be opened";
	if (fd < 0)
		return NULL;
	struct input *in = memory_new(sizeof(*in));

	in->fd = fd;
	in->left = size;
	in->error = ZONE_OK;
	in->records = 0;
	*why = read_header(in, lower);
	if (!*why) {
		in->edit = zone_edit_new(lower, NULL, max_records, max_bytes);
		g = read_file(in, why);
	}
	if (g)
		*times = in->header.times;
	close(fd);
	free(in);
	return g;
}

/* ---- Small things ---- */

/* Rewrites the header if it is that of `g`. */
static int touch_file(int fd, const struct generation *g, const struct zone_times *times)
{
	uint8_t bytes[HEADER_LEN];
	struct header h;

	if (!statefile_read(fd, bytes, sizeof(bytes)) || parse_header(bytes, g->origin, &h))
		return -ESTALE;
	if (h.generation != g->number || h.serial != g->soa.serial || h.records != g->records)
		return -ESTALE;
	h.times = *times;
	put_header(&h, bytes);
	/* Not synced: a crash of ours loses nothing, and one of the machine a little age. */
	ssize_t n = pwrite(fd, bytes, sizeof(bytes), 0);

	return n == HEADER_LEN ? 0 : n < 0 ? -errno : -EIO;
}

int snapshot_touch(const char *dir, const struct generation *g, const struct zone_times *times)
{
	size_t size = 0;
	int fd = statefile_open(dir, g->origin, O_RDWR, &size);

	if (fd < 0)
		return fd;
	int error = touch_file(fd, g, times);

	close(fd);
	return error;
}

int snapshot_remove(const char *dir, const uint8_t *origin)
{
	uint8_t lower[NAME_LEN_MAX];

	memcpy(lower, origin, name_len(origin));
	name_lower(lower);
	return statefile_remove(dir, lower);
}
