/* SPDX-License-Identifier: ISC */
/*
 * cookie - server cookies, so that a resolver sees no difference when the mirror answers.
 *
 * Purpose:  BIND asks again by TCP whenever a server that gave it cookies stops to; so every
 *           answer of ours to a query with COOKIE carries one. With the secret of the servers
 *           behind us, theirs are good here and ours are good there.
 * Not here: the option in OPT (edns.h), the file of secrets (cookie_secrets.h).
 * Threads:  one struct cookie_maker per worker.
 * Memory:   allocates at creation only; secrets are wiped when freed.
 * Spec:     RFC 7873, RFC 9018 s.4 (version 1: SipHash-2-4 over client cookie, version,
 *           timestamp, client address), s.5 (rollover of secrets).
 */
#ifndef COOKIE_H
#define COOKIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "cache/cookie_secrets.h"

enum { COOKIE_FULL_LEN = 24 };

struct cookie_maker;

struct cookie_maker *cookie_maker_new(const struct cookie_secrets *secrets);	/* one at least */
void cookie_maker_free(struct cookie_maker *c);		/* NULL is fine */

/* `out` becomes the client cookie (8 bytes) and our server cookie for it (16 bytes). */
void cookie_make(struct cookie_maker *c, const uint8_t client_cookie[8],
		 const struct sockaddr *client, uint32_t wall_s, uint8_t out[COOKIE_FULL_LEN]);

/*
 * What to give to a client that brought `cookie` (8 bytes at least): the same again while it is
 * good and young, else a new one. True when it was good: made with one of the secrets for this
 * address, less than an hour ago.
 */
bool cookie_renew(struct cookie_maker *c, const uint8_t *cookie, size_t len,
		  const struct sockaddr *client, uint32_t wall_s, uint8_t out[COOKIE_FULL_LEN]);

#endif
