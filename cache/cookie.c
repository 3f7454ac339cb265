/* SPDX-License-Identifier: ISC */
#include "cache/cookie.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "cache/wire.h"

enum { CLIENT_LEN = 8, VERSION_LEN = 4, TIME_LEN = 4, HASH_LEN = 8, VERSION = 1 };

static_assert(CLIENT_LEN + VERSION_LEN + TIME_LEN + HASH_LEN == COOKIE_FULL_LEN, "RFC 9018 s.4");

struct cookie_maker {
	EVP_MAC *siphash;
	EVP_MAC_CTX *context;	/* holds the key; begun anew for each cookie, without memory */
};

static void must(bool is_done)
{
	if (!is_done)
		abort();	/* no memory, or an OpenSSL without SipHash */
}

struct cookie_maker *cookie_maker_new(const uint8_t secret[COOKIE_SECRET_LEN])
{
	struct cookie_maker *c = calloc(1, sizeof(*c));
	size_t len = HASH_LEN;	/* SipHash-2-4 is OpenSSL's default for the rounds */
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &len),
		OSSL_PARAM_construct_end(),
	};

	must(c);
	c->siphash = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
	must(c->siphash);
	c->context = EVP_MAC_CTX_new(c->siphash);
	must(c->context && EVP_MAC_init(c->context, secret, COOKIE_SECRET_LEN, params));
	return c;
}

void cookie_maker_free(struct cookie_maker *c)
{
	if (!c)
		return;
	EVP_MAC_CTX_free(c->context);	/* wipes the key */
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

void cookie_make(struct cookie_maker *c, const uint8_t client_cookie[8],
		 const struct sockaddr *client, uint32_t wall_s, uint8_t out[COOKIE_FULL_LEN])
{
	uint8_t *hash = out + COOKIE_FULL_LEN - HASH_LEN, address[16];
	size_t address_len = address_bytes(client, address), hash_len;

	memmove(out, client_cookie, CLIENT_LEN);
	wire_put_u32(out + CLIENT_LEN, (uint32_t)VERSION << 24);	/* and three reserved zeros */
	wire_put_u32(out + CLIENT_LEN + VERSION_LEN, wall_s);

	must(EVP_MAC_init(c->context, NULL, 0, NULL) &&
	     EVP_MAC_update(c->context, out, COOKIE_FULL_LEN - HASH_LEN) &&
	     EVP_MAC_update(c->context, address, address_len) &&
	     EVP_MAC_final(c->context, hash, &hash_len, HASH_LEN));
}
