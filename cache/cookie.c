/* SPDX-License-Identifier: ISC */
#include "cache/cookie.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "cache/wire.h"

/* RFC 9018 s.4: client cookie, version and three reserved bytes, time, hash. */
enum { CLIENT_LEN = 8, HASH_LEN = 8, VERSION_AT = 8, TIME_AT = 12, HASH_AT = 16, VERSION = 1 };

static_assert(HASH_AT + HASH_LEN == COOKIE_FULL_LEN, "RFC 9018 s.4");

/* RFC 9018 s.4.3: ages of a cookie. */
enum { RENEW_S = 30 * 60, OLDEST_S = 60 * 60, AHEAD_S = 5 * 60 };

struct cookie_maker {
	EVP_MAC *siphash;
	unsigned count;
	/* Each holds a key; begun anew for each cookie, without memory. */
	EVP_MAC_CTX *contexts[COOKIE_SECRETS_MAX];
};

static void must(bool is_done)
{
	if (!is_done)
		abort();	/* no memory, or an OpenSSL without SipHash */
}

struct cookie_maker *cookie_maker_new(const struct cookie_secrets *secrets)
{
	struct cookie_maker *c = calloc(1, sizeof(*c));
	size_t len = HASH_LEN;	/* SipHash-2-4 is OpenSSL's default for the rounds */
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &len),
		OSSL_PARAM_construct_end(),
	};

	must(c && secrets->count > 0);
	c->siphash = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
	must(c->siphash);
	c->count = secrets->count;
	for (unsigned i = 0; i < c->count; i++) {
		c->contexts[i] = EVP_MAC_CTX_new(c->siphash);
		must(c->contexts[i] && EVP_MAC_init(c->contexts[i], secrets->secrets[i],
						    COOKIE_SECRET_LEN, params));
	}
	return c;
}

void cookie_maker_free(struct cookie_maker *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < c->count; i++)
		EVP_MAC_CTX_free(c->contexts[i]);	/* wipes the key */
	EVP_MAC_free(c->siphash);
	free(c);
}

/* The client's address as RFC 9018 s.4.4 digests it: 4 or 16 bytes, no port. */
static size_t address_bytes(const struct sockaddr *client, uint8_t bytes[16])
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (client->sa_family == AF_INET) {
		memcpy(&v4, client, sizeof(v4));
		memcpy(bytes, &v4.sin_addr, 4);
		return 4;
	}
	if (client->sa_family != AF_INET6)
		return 0;
	memcpy(&v6, client, sizeof(v6));
	memcpy(bytes, &v6.sin6_addr, 16);
	if (!IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
		return 16;
	memmove(bytes, bytes + 12, 4);
	return 4;
}

/* Of all that stands before the hash in `cookie`, as RFC 9018 s.4 has it. */
static void hash_of(EVP_MAC_CTX *context, const uint8_t *cookie, const struct sockaddr *client,
		    uint8_t hash[HASH_LEN])
{
	uint8_t address[16];
	size_t address_len = address_bytes(client, address), hash_len;

	must(EVP_MAC_init(context, NULL, 0, NULL) &&
	     EVP_MAC_update(context, cookie, HASH_AT) &&
	     EVP_MAC_update(context, address, address_len) &&
	     EVP_MAC_final(context, hash, &hash_len, HASH_LEN));
}

void cookie_make(struct cookie_maker *c, const uint8_t client_cookie[8],
		 const struct sockaddr *client, uint32_t wall_s, uint8_t out[COOKIE_FULL_LEN])
{
	memmove(out, client_cookie, CLIENT_LEN);
	wire_put_u32(out + VERSION_AT, (uint32_t)VERSION << 24);	/* and three reserved zeros */
	wire_put_u32(out + TIME_AT, wall_s);
	hash_of(c->contexts[0], out, client, out + HASH_AT);
}

/* Seconds since it was made, by RFC 1982: below 0 when its maker's clock is ahead of ours. */
static int32_t age_of(const uint8_t *cookie, uint32_t wall_s)
{
	return (int32_t)(wall_s - wire_get_u32(cookie + TIME_AT));
}

/* The number of the secret that made the cookie, or -1. */
static int maker_of(struct cookie_maker *c, const uint8_t *cookie, size_t len,
		    const struct sockaddr *client, uint32_t wall_s)
{
	uint8_t hash[HASH_LEN];

	if (len != COOKIE_FULL_LEN || cookie[VERSION_AT] != VERSION)
		return -1;
	if (age_of(cookie, wall_s) > OLDEST_S || age_of(cookie, wall_s) < -AHEAD_S)
		return -1;
	for (unsigned i = 0; i < c->count; i++) {
		hash_of(c->contexts[i], cookie, client, hash);
		if (CRYPTO_memcmp(hash, cookie + HASH_AT, HASH_LEN) == 0)
			return (int)i;
	}
	return -1;
}

bool cookie_renew(struct cookie_maker *c, const uint8_t *cookie, size_t len,
		  const struct sockaddr *client, uint32_t wall_s, uint8_t out[COOKIE_FULL_LEN])
{
	int maker = maker_of(c, cookie, len, client, wall_s);

	if (maker == 0 && age_of(cookie, wall_s) < RENEW_S)
		memcpy(out, cookie, COOKIE_FULL_LEN);
	else
		cookie_make(c, cookie, client, wall_s, out);
	return maker >= 0;
}
