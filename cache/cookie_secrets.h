/* SPDX-License-Identifier: ISC */
/*
 * cookie_secrets - the secrets of DNS cookies, and the file that servers share them by.
 *
 * Purpose:  a fleet, and the servers behind it, give cookies that are good everywhere if all
 *           read the same file: one secret a line, in hexadecimal, as NSD and Unbound have it.
 * Not here: making cookies of them (cookie.h).
 * Threads:  any; reads a file, so not on the query path.
 * Memory:   the caller's; what was read on the way is wiped.
 * Failure:  false, and "what is wrong: the mend" with FILE:LINE: where there is a line. Secrets
 *           are never quoted.
 * Spec:     RFC 9018 s.5 (rollover).
 */
#ifndef COOKIE_SECRETS_H
#define COOKIE_SECRETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	COOKIE_SECRET_LEN = 16,
	COOKIE_SECRETS_MAX = 4,		/* the one in use, and those that come or go */
};

/* The first one makes cookies; cookies of the others are still, or already, accepted. */
struct cookie_secrets {
	unsigned count;
	uint8_t secrets[COOKIE_SECRETS_MAX][COOKIE_SECRET_LEN];
};

/* Reads the file; at least one secret is in it. Empty lines mean nothing. */
bool cookie_secrets_read(struct cookie_secrets *s, const char *file, char *problem, size_t room);

#endif
