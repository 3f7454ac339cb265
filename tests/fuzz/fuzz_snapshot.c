/* SPDX-License-Identifier: ISC */
/*
 * fuzz_snapshot - snapshot_read() over files with any content.
 *
 * Each input is read as it is, and once more with all its digests made right. What makes a zone
 * has its ZONEMD checked, if there is one.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "cache/chunk.h"
#include "cache/snapshot.h"
#include "cache/wire.h"
#include "cache/zonemd.h"
#include "tests/temporary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEADER_LEN = 320, DIGEST_AT = 48, SIZE_MAX_FED = 200000 };

static const uint8_t origin[] = "\7example\3com";
static char dir[200], zones[216], path[240];

static void remove_all(void)
{
	unlink(path);
	rmdir(zones);
	rmdir(dir);
}

static void make_directory(void)
{
	if (access("/dev/shm", W_OK) == 0)	/* unless a folder is given: thousands of files a second */
		setenv("TMPDIR", "/dev/shm", 0);
	if (!mkdtemp(temporary_path(dir, sizeof(dir), "fuzz_snapshot")))
		abort();
	snprintf(zones, sizeof(zones), "%s/zones", dir);
	snprintf(path, sizeof(path), "%s/example.com.", zones);
	if (mkdir(zones, 0700) < 0)
		abort();
	atexit(remove_all);
}

/* As a transfer of the same records would be reviewed. */
static void digest(const struct generation *g)
{
	struct zonemd *z = zonemd_new(g);

	while (zonemd_step(z, 1))
		;
	zonemd_free(z);
}

static void read_file(const uint8_t *data, size_t size)
{
	struct zone_times times;
	const char *why = "";
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	close(fd);
	struct generation *g = snapshot_read(dir, origin, 1000, 100000, &times, &why);

	assert((g == NULL) == (why != NULL));
	if (g)
		digest(g);
	generation_free(g);
}

/* Makes each chunk's digest right, then their chain's, then the header's. */
static void mend(uint8_t *file, size_t size)
{
	uint64_t chain = 0;

	for (size_t at = HEADER_LEN; size - at >= 4 + CHUNK_HEADER_LEN;) {
		uint8_t *chunk = file + at + 4;
		size_t len = wire_get_u32(file + at);

		if (len < CHUNK_HEADER_LEN || len > size - at - 4)
			break;
		wire_put_u32(chunk + 8, (uint32_t)len - CHUNK_HEADER_LEN);
		wire_put_u64(chunk + 12,
			     XXH3_64bits_withSeed(chunk + CHUNK_HEADER_LEN, len - CHUNK_HEADER_LEN,
						  wire_get_u32(chunk + 4)));
		chain = XXH3_64bits_withSeed(chunk, CHUNK_HEADER_LEN, chain);
		at += 4 + len;
	}
	wire_put_u64(file + DIGEST_AT, chain);
	wire_put_u64(file + HEADER_LEN - 8, XXH3_64bits(file, HEADER_LEN - 8));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!path[0])
		make_directory();
	if (size > SIZE_MAX_FED)
		return 0;
	read_file(data, size);
	if (size < HEADER_LEN)
		return 0;
	uint8_t *mended = malloc(size);

	if (!mended)
		abort();
	memcpy(mended, data, size);
	mend(mended, size);
	read_file(mended, size);
	free(mended);
	return 0;
}
