/* SPDX-License-Identifier: ISC */
/*
 * tls - one connection to a server through TLS, the client's side.
 *
 * Purpose:  handshake, proof of who the server is, reading and writing, over a socket that
 *           does not block. Nothing of ours is sent before the server has proved itself, a
 *           certificate of our own included.
 * Not here: the socket's life and waiting for it (channel.h), what is trusted (tls_profile.h).
 * Owns:     OpenSSL's state of the connection; the socket is borrowed.
 * Threads:  one per struct.
 * Memory:   a record of 16 kB each way while one is under way; certificates as in tls_profile.h.
 * Failure:  TLS_FAILED with "TLS: what is wrong: the mend"; then only tls_free() is left.
 *           Never SIGPIPE.
 * Spec:     RFC 8446, RFC 9103 s.7 (TLS 1.3, ALPN "dot"), RFC 7301.
 */
#ifndef TLS_H
#define TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/tls_profile.h"

struct tls;

enum tls_status {
	TLS_OK,
	TLS_WAIT,	/* for the socket: see tls_wants_write() */
	TLS_CLOSED,	/* by the peer; tls_error() is 0, or the errno with which it broke */
	TLS_FAILED,	/* tls_reason() says why */
};

/* Keeps `profile`. Aborts when memory is short. */
struct tls *tls_new(struct tls_profile *profile, int fd);
void tls_free(struct tls *t);		/* says good-bye if it can; NULL is fine */

enum tls_status tls_handshake(struct tls *t);

/* With TLS_OK *len is 1 at least. */
enum tls_status tls_read(struct tls *t, uint8_t *to, size_t room, size_t *len);
enum tls_status tls_write(struct tls *t, const uint8_t *from, size_t size, size_t *len);

/* Bytes have been read from the socket and wait for tls_read(): it need not become readable. */
bool tls_has_pending(const struct tls *t);

bool tls_wants_write(const struct tls *t);
int tls_error(const struct tls *t);
const char *tls_reason(const struct tls *t);

#endif
