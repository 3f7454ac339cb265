/* SPDX-License-Identifier: ISC */
/*
 * cookie - server cookies, so that a resolver sees no difference when the mirror answers.
 *
 * Purpose:  BIND asks again by TCP whenever a server that gave it cookies stops to; so every
 *           answer of ours to a query with COOKIE carries one.
 * Threads:  one struct cookie_maker per worker.
 * Memory:   allocates at creation only.
 * Spec:     RFC 7873, RFC 9018 s.4 (version 1: SipHash-2-4 over client cookie, version,
 *           timestamp, client address).
 */
#ifndef COOKIE_H
#define COOKIE_H

#include <stdint.h>
#include <sys/socket.h>

enum { COOKIE_FULL_LEN = 24, COOKIE_SECRET_LEN = 16 };

struct cookie_maker;

struct cookie_maker *cookie_maker_new(const uint8_t secret[COOKIE_SECRET_LEN]);
void cookie_maker_free(struct cookie_maker *c);

/* `out` becomes the client cookie (8 bytes) and our server cookie for it (16 bytes). */
void cookie_make(struct cookie_maker *c, const uint8_t client_cookie[8],
		 const struct sockaddr *client, uint32_t wall_s, uint8_t out[COOKIE_FULL_LEN]);

#endif
