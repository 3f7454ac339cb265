/* SPDX-License-Identifier: ISC */
/*
 * snapshot - a zone's last generation as a file in state-dir: what answers when the primary
 *            and Redis are both away at a cold start.
 *
 * Purpose:  one file a zone, replaced by rename(2); read back as if an enemy had written it.
 *
 *      file   = header | count times { u32 length | chunk }          integers in network order
 *      header = magic "UZSNAP" u8 hold | u8 schema | u32 serial | u32 chunks | u64 generation
 *               | u64 refreshed_at | u64 expires_at | u64 records | u64 digest of the chunks
 *               | u8 length and 255 bytes of origin | u64 XXH3 of all before
 *      The chunks' digest runs over their headers in turn, and with those over all digests.
 *
 * Not here: the packing of records (chunk.h), file names and safe replacement (statefile.h),
 *           when to write (mirror_aside.c).
 * Threads:  the mirror's and that aside, never both for one zone. Blocking file calls: the mirror's loop may
 *           wait, workers never do.
 * Memory:   reads through a bounded buffer; sizes are checked before allocation.
 * Failure:  -errno or a sentence; the old file stays as it was.
 */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include <stddef.h>
#include <stdint.h>

#include "cache/zone.h"

/* By the operator's order the zone takes no newer generation. In the file: do not renumber. */
enum zone_hold {
	ZONE_FREE,
	ZONE_HELD,		/* frozen as it is */
	ZONE_ROLLED_BACK,	/* to an older generation */
	ZONE_HOLDS,		/* how many there are */
};

/* What a store remembers of a generation beside its records. Wall seconds. */
struct zone_times {
	uint64_t refreshed_at;	/* when the primary last confirmed the serial */
	uint64_t expires_at;	/* refreshed_at + SOA expire */
	enum zone_hold hold;	/* in snapshots alone: an order is for one instance */
};

/* A file that is to be written. */
struct snapshot_file {
	const struct generation *g;	/* borrowed */
	struct zone_times times;
	int error;		/* what became of it: 0 or -errno */
};

/*
 * Writes each `g` to `dir`/zones/NAME; creates the directories. Many at a time cost a fraction of what
 * they cost one by one (statefile_replace()). Of a zone one file at most.
 */
void snapshot_write_all(const char *dir, struct snapshot_file files[], size_t count);

/* One alone. 0 or -errno. */
int snapshot_write(const char *dir, const struct generation *g, const struct zone_times *times);

/*
 * Notes only a new refreshed_at/expires_at, in place (the header is within one sector). 0 or
 * -errno: -ENOENT when there is no file, -ESTALE when it holds another generation.
 */
int snapshot_touch(const char *dir, const struct generation *g, const struct zone_times *times);

/*
 * Reads the snapshot of `origin`. NULL with *why NULL when there is none; NULL with *why a
 * sentence when there is one that cannot be believed.
 */
struct generation *snapshot_read(const char *dir, const uint8_t *origin, size_t max_records,
				 size_t max_bytes, struct zone_times *times, const char **why);

/* Removes it: a zone that left the configuration. 0 or -errno (-ENOENT is 0). */
int snapshot_remove(const char *dir, const uint8_t *origin);

#endif
