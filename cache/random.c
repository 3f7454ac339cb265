/* SPDX-License-Identifier: ISC */
#include "cache/random.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* getrandom(2) may give less than was asked for beyond 256 bytes, when a signal comes. */
static void fill_from_kernel(uint8_t *to, size_t len)
{
	while (len > 0) {
		ssize_t n = getrandom(to, len, 0);

		if (n < 0 && errno != EINTR)
			abort();
		if (n > 0) {
			to += n;
			len -= (size_t)n;
		}
	}
}

/* SplitMix64 (Steele, Lea, Flood 2014): evenly spread, and tiny; who sees one can tell the next. */
static uint64_t next_seeded(uint64_t *seed)
{
	do
		*seed += 0x9e3779b97f4a7c15u;
	while (*seed == 0);	/* 0 would mean the kernel's randomness */

	uint64_t z = *seed;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static void refill(struct random *r)
{
	if (r->seed == 0) {
		fill_from_kernel(r->pool, sizeof(r->pool));
	} else {
		for (size_t i = 0; i < sizeof(r->pool); i += sizeof(uint64_t)) {
			uint64_t v = next_seeded(&r->seed);

			memcpy(r->pool + i, &v, sizeof(v));
		}
	}
	r->left = sizeof(r->pool);
}

static inline void take(struct random *r, void *to, size_t len)
{
	if (r->left < len)
		refill(r);
	uint8_t *from = r->pool + sizeof(r->pool) - r->left;

	memcpy(to, from, len);
	memset(from, 0, len);	/* a later leak of the pool tells no past ID */
	r->left -= len;
}

void random_init(struct random *r)
{
	memset(r, 0, sizeof(*r));
}

void random_init_seeded(struct random *r, uint64_t seed)
{
	assert(seed != 0);
	memset(r, 0, sizeof(*r));
	r->seed = seed;
}

uint16_t random_u16(struct random *r)
{
	uint16_t v;

	take(r, &v, sizeof(v));
	return v;
}

uint32_t random_u32(struct random *r)
{
	uint32_t v;

	take(r, &v, sizeof(v));
	return v;
}

uint64_t random_u64(struct random *r)
{
	uint64_t v;

	take(r, &v, sizeof(v));
	return v;
}

/*
 * The high half of a 64-bit product (Lemire 2019); low halves below 2^32 mod n are drawn
 * again, since they would favour some results.
 */
uint32_t random_below(struct random *r, uint32_t n)
{
	assert(n > 0);
	uint64_t product = (uint64_t)random_u32(r) * n;

	if ((uint32_t)product < n) {
		uint32_t least = (0u - n) % n;

		while ((uint32_t)product < least)
			product = (uint64_t)random_u32(r) * n;
	}
	return (uint32_t)(product >> 32);
}
