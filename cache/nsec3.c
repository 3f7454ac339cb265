/* SPDX-License-Identifier: ISC */
#include "cache/nsec3.h"

#include <ctype.h>
#include <string.h>

/* EVP takes memory for each digest, which the query path must not; the plain calls do not. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include "cache/memory.h"
#include "cache/wire.h"

enum {
	ALGORITHM_SHA1 = 1,	/* RFC 5155 s.11 */
	SECOND_US = 1000000,
	BLOCK_END = 9,		/* SHA-1 ends a message with a bit and its length */
};

/* ---- Records ---- */

bool nsec3_params_parse(const uint8_t *rdata, uint16_t len, struct nsec3_params *p, uint8_t *flags)
{
	if (len < 5 || rdata[0] != ALGORITHM_SHA1 || rdata[4] > len - 5)
		return false;
	*flags = rdata[1];
	p->iterations = (uint16_t)(rdata[2] << 8 | rdata[3]);
	p->salt_len = rdata[4];
	p->salt = rdata + 5;
	return true;
}

bool nsec3_params_are_equal(const struct nsec3_params *a, const struct nsec3_params *b)
{
	return a->iterations == b->iterations && a->salt_len == b->salt_len &&
	       memcmp(a->salt, b->salt, a->salt_len) == 0;
}

const uint8_t *nsec3_next_hash(const uint8_t *rdata, uint16_t len)
{
	size_t at = 5u + rdata[4];

	if (at + 1 + NSEC3_HASH_LEN > len || rdata[at] != NSEC3_HASH_LEN)
		return NULL;
	return rdata + at + 1;
}

/* ---- Base32 with extended hex alphabet, RFC 4648 s.7: 5 bytes are 8 digits ---- */

static int digit_value(uint8_t c)
{
	c = (uint8_t)tolower(c);
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'v' ? c - 'a' + 10 : -1;
}

bool nsec3_hash_of_owner(const uint8_t *owner, uint8_t hash[NSEC3_HASH_LEN])
{
	uint32_t bits = 0;
	unsigned have = 0;

	if (owner[0] != NSEC3_LABEL_LEN)
		return false;
	for (unsigned i = 1; i <= NSEC3_LABEL_LEN; i++) {
		int value = digit_value(owner[i]);

		if (value < 0)
			return false;
		bits = bits << 5 | (unsigned)value;
		have += 5;
		if (have >= 8) {
			have -= 8;
			*hash++ = (uint8_t)(bits >> have);
		}
	}
	return true;
}

bool nsec3_owner_of_hash(const uint8_t hash[NSEC3_HASH_LEN], const uint8_t *origin,
			 uint8_t owner[NAME_LEN_MAX])
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuv";
	size_t origin_len = name_len(origin);
	uint8_t *out = owner;

	if (1 + NSEC3_LABEL_LEN + origin_len > NAME_LEN_MAX)
		return false;
	*out++ = NSEC3_LABEL_LEN;
	for (unsigned i = 0; i < NSEC3_HASH_LEN; i += 5) {
		uint64_t bits = (uint64_t)hash[i] << 32 | wire_get_u32(hash + i + 1);

		for (unsigned shift = 40; shift > 0; shift -= 5)
			*out++ = (uint8_t)digits[bits >> (shift - 5) & 31];
	}
	memcpy(out, origin, origin_len);
	return true;
}

/* ---- Hashing ---- */

struct nsec3_hasher {
	unsigned left;		/* rounds that this query may still cost */
	unsigned left_of_second;
	uint64_t refilled_us;
};

struct nsec3_hasher *nsec3_hasher_new(void)
{
	struct nsec3_hasher *h = memory_zeroed(1, sizeof(*h));

	h->left = NSEC3_QUERY_MAX;
	h->left_of_second = NSEC3_SECOND_MAX;
	return h;
}

void nsec3_hasher_free(struct nsec3_hasher *h)
{
	free(h);
}

void nsec3_hasher_begin(struct nsec3_hasher *h, uint64_t now_us)
{
	h->left = NSEC3_QUERY_MAX;
	if (now_us - h->refilled_us < SECOND_US)
		return;
	h->refilled_us = now_us;
	h->left_of_second = NSEC3_SECOND_MAX;
}

/* What fits one block with its end, a bit and its length, as nearly all does: made in place. */
static void digest_block(const struct nsec3_params *p, const uint8_t *x, size_t len,
			 uint8_t hash[NSEC3_HASH_LEN])
{
	uint8_t block[SHA_CBLOCK] = { 0 };
	SHA_CTX sha1;

	memcpy(block, x, len);
	memcpy(block + len, p->salt, p->salt_len);
	block[len + p->salt_len] = 0x80;
	wire_put_u16(block + SHA_CBLOCK - 2, (uint16_t)((len + p->salt_len) * 8));
	SHA1_Init(&sha1);
	SHA1_Transform(&sha1, block);
	wire_put_u32(hash, sha1.h0);
	wire_put_u32(hash + 4, sha1.h1);
	wire_put_u32(hash + 8, sha1.h2);
	wire_put_u32(hash + 12, sha1.h3);
	wire_put_u32(hash + 16, sha1.h4);
}

/* H(x || salt), RFC 5155 s.5. */
static void digest(const struct nsec3_params *p, const uint8_t *x, size_t len,
		   uint8_t hash[NSEC3_HASH_LEN])
{
	SHA_CTX sha1;

	if (len + p->salt_len + BLOCK_END <= SHA_CBLOCK) {
		digest_block(p, x, len, hash);
		return;
	}
	SHA1_Init(&sha1);	/* these cannot fail: they only calculate */
	SHA1_Update(&sha1, x, len);
	SHA1_Update(&sha1, p->salt, p->salt_len);
	SHA1_Final(hash, &sha1);
}

unsigned nsec3_cost(const struct nsec3_params *p)
{
	unsigned bytes = NSEC3_HASH_LEN + p->salt_len + BLOCK_END;

	return (p->iterations + 1u) * ((bytes + SHA_CBLOCK - 1) / SHA_CBLOCK);
}

bool nsec3_hash(struct nsec3_hasher *h, const struct nsec3_params *p, const uint8_t *name,
		uint8_t hash[NSEC3_HASH_LEN])
{
	uint8_t lower[NAME_LEN_MAX];
	size_t len = name_len(name);
	unsigned cost = nsec3_cost(p), beyond_first = p->iterations > 0 ? cost : 0;

	if (h->left < cost || h->left_of_second < beyond_first)
		return false;
	h->left -= cost;
	h->left_of_second -= beyond_first;
	memcpy(lower, name, len);
	name_lower(lower);
	digest(p, lower, len, hash);
	for (unsigned i = 0; i < p->iterations; i++)
		digest(p, hash, NSEC3_HASH_LEN, hash);
	return true;
}
