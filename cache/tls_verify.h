/* SPDX-License-Identifier: ISC */
/*
 * tls_verify - is the server the one that was meant?
 *
 * Purpose:  the decision over a server's certificate, in the middle of the handshake, before a
 *           certificate of ours goes out; and in words why it fell out badly.
 * Not here: what is asked for (tls_profile.h), the handshake (tls.h).
 * Threads:  any.
 * Failure:  fails closed: settings that ask for nothing trust nobody.
 * Spec:     RFC 5280, RFC 8310 s.8, RFC 7858 s.4.2.
 */
#ifndef TLS_VERIFY_H
#define TLS_VERIFY_H

#include <stddef.h>

#include "cache/tls_profile.h"

struct x509_store_ctx_st;
struct ssl_ctx_st;

/* What a handshake shows: the application data of the connection. */
struct tls_shown {
	char pin[TLS_PIN_TEXT_MAX];	/* of the server's key */
	bool wants_certificate;		/* and we have none */
};

/* Sets OpenSSL's callbacks. `settings` outlive the context. */
void tls_verify_with(struct ssl_ctx_st *context, const struct tls_settings *settings);

/* `result` is what SSL_get_verify_result() says; returns `text`. */
char *tls_verify_reason(long result, const char *pin, const struct tls_settings *settings,
			char *text, size_t room);

#endif
