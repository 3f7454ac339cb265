/* SPDX-License-Identifier: ISC */
#include "tests/system/differ/truth.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

static struct {
	uint64_t *slots;		/* open addressing; 0: free */
	size_t size, count;
} known;

enum { ORIGINS_MAX = 64 };

static struct {
	size_t len;
	uint8_t name[NAME_MAX_LEN];
} origins[ORIGINS_MAX];
static unsigned origin_count;

static uint64_t hash_of(const struct record *r, bool is_any_owner)
{
	size_t skip = is_any_owner ? r->owner_len : 0;

	return XXH3_64bits_withSeed(r->bytes + skip, r->len - skip, is_any_owner) | 1;
}

static uint64_t *slot_of(uint64_t hash)
{
	size_t i = hash % known.size;

	while (known.slots[i] != 0 && known.slots[i] != hash)
		i = (i + 1) % known.size;
	return &known.slots[i];
}

static void grow(void)
{
	uint64_t *old = known.slots;
	size_t old_size = known.size;

	known.size = old_size ? old_size * 2 + 1 : 8191;
	known.slots = calloc(known.size, sizeof(*known.slots));
	if (!known.slots)
		err(2, "calloc");
	for (size_t i = 0; i < old_size; i++)
		if (old[i] != 0)
			*slot_of(old[i]) = old[i];
	free(old);
}

static void add(uint64_t hash)
{
	if (known.count * 2 >= known.size)
		grow();
	uint64_t *slot = slot_of(hash);

	known.count += *slot == 0;
	*slot = hash;
}

bool truth_has(const struct record *r, bool is_any_owner)
{
	return known.size > 0 && *slot_of(hash_of(r, is_any_owner)) != 0;
}

static uint64_t hash_of_set(const uint8_t *owner, size_t len, uint16_t type)
{
	return XXH3_64bits_withSeed(owner, len, 2u + type) | 1;
}

bool truth_has_set(const uint8_t *owner, size_t len, uint16_t type)
{
	return known.size > 0 && *slot_of(hash_of_set(owner, len, type)) != 0;
}

/* In the place of a type: none is 0. */
enum { BELOW = 0 };

bool truth_has_below(const uint8_t *name, size_t len)
{
	return truth_has_set(name, len, BELOW);
}

static void add_above(const uint8_t *owner, size_t len)
{
	for (size_t at = 0; owner[at] != 0;) {
		at += owner[at] + 1u;
		add(hash_of_set(owner + at, len - at, BELOW));
	}
}

const uint8_t *truth_zone_of(const uint8_t *name, size_t len)
{
	for (size_t at = 0;; at += name[at] + 1u) {
		for (unsigned i = 0; i < origin_count; i++)
			if (origins[i].len == len - at && memcmp(origins[i].name, name + at, len - at) == 0)
				return origins[i].name;
		if (name[at] == 0)
			return NULL;
	}
}

static bool read_whole(int fd, uint8_t *to, size_t len)
{
	while (len > 0) {
		ssize_t n = read(fd, to, len);

		if (n <= 0)
			return false;
		to += n;
		len -= (size_t)n;
	}
	return true;
}

/* Learns one message of a transfer; returns how many SOA records it had, or -1. */
static int learn_message(const uint8_t *message, size_t len)
{
	static struct packet p;
	uint8_t name[NAME_MAX_LEN];
	size_t name_len, pos = 12;
	bool has_pointer;
	int soas = 0;

	if (len < 12 || (read_u16(message + 2) & F_RCODE))
		return -1;
	if (read_u16(message + 4) == 1)
		pos = name_unpack(message, len, pos, name, &name_len, &has_pointer) + 4;
	for (unsigned i = read_u16(message + 6); i > 0; i--) {
		struct record r;

		p.arena_len = 0;
		if (!record_read(&p, message, len, &pos, &r))
			return -1;
		add(hash_of(&r, false));
		add(hash_of(&r, true));
		add(hash_of_set(r.bytes, r.owner_len, r.type));
		add_above(r.bytes, r.owner_len);
		soas += r.type == T_SOA;
	}
	return soas;
}

void truth_learn(const struct server *s, const uint8_t *origin, size_t origin_len)
{
	static uint8_t message[MESSAGE_MAX];
	uint8_t query[2 + QUERY_MAX] = { 0, (uint8_t)(16 + origin_len), 0, 1, 0, 0, 0, 1 };
	int fd = server_connect(s), soas = 0;

	if (origin_count == ORIGINS_MAX)
		errx(2, "too many zones");
	bool has_pointer;

	name_unpack(origin, origin_len, 0, origins[origin_count].name, &origins[origin_count].len,
		    &has_pointer);
	origin_count++;
	memcpy(query + 14, origin, origin_len);
	memcpy(query + 14 + origin_len, "\0\374\0\1", 4);
	if (fd < 0 || write(fd, query, 18 + origin_len) < 0)
		err(2, "%s: transfer", s->name);
	while (soas < 2) {
		uint8_t head[2];
		int more = -1;

		if (read_whole(fd, head, 2) && read_whole(fd, message, read_u16(head)))
			more = learn_message(message, read_u16(head));
		if (more < 0)
			errx(2, "%s: the transfer failed", s->name);
		soas += more;
	}
	close(fd);
}
