/* SPDX-License-Identifier: ISC */
/*
 * tls_profile - how we speak TLS to one server, and how it proves who it is.
 *
 * Purpose:  settings (a name, authorities, pins, a certificate of our own) become a context of
 *           OpenSSL: TLS 1.3 only, no resumption, no early data.
 * Not here: connections (tls.h), options (proxy/conf_tls.h).
 * Owns:     the context and what was read from the files; counted, since zones share it.
 * Threads:  immutable; tls_profile_keep() and tls_profile_free() by any.
 * Memory:   files of at most TLS_FILE_MAX bytes; a peer's certificates of at most 64 kB.
 * Failure:  NULL with "OPTION: what is wrong: the mend".
 * Spec:     RFC 9103 s.7 and s.9.3 (strict authentication), RFC 8310 s.8.1 (names: SAN only),
 *           RFC 7858 s.4.2 (pins: SHA-256 of the SubjectPublicKeyInfo).
 */
#ifndef TLS_PROFILE_H
#define TLS_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TLS_PIN_LEN = 32,
	TLS_PIN_TEXT_MAX = 45,		/* base64 and NUL */
	TLS_PINS_MAX = 4,
	TLS_NAME_MAX = 254,		/* with NUL */
	TLS_PATH_MAX = 256,
	TLS_FILE_MAX = 1 << 20,
	TLS_PROBLEM_MAX = 400,
};

struct tls_pins {
	uint8_t pins[TLS_PINS_MAX][TLS_PIN_LEN];
	unsigned count;
};

/* A name, pins, or both: then both must hold. */
struct tls_settings {
	char name[TLS_NAME_MAX];	/* "": no name is asked for, pins decide alone */
	char ca[TLS_PATH_MAX];		/* PEM; "": the system's authorities */
	char cert[TLS_PATH_MAX], key[TLS_PATH_MAX];	/* PEM, our own; "": none */
	struct tls_pins pins;
	bool needs_alpn;		/* the server must choose "dot" */
};

struct ssl_ctx_st;

struct tls_profile {
	_Atomic unsigned users;
	struct ssl_ctx_st *context;
	struct tls_settings settings;
	uint8_t digest[32];		/* of the settings and of what the files held */
};

/* True for the base64 of a SHA-256. */
bool tls_pin_parse(const char *text, uint8_t pin[TLS_PIN_LEN]);
char *tls_pin_text(const uint8_t pin[TLS_PIN_LEN], char text[TLS_PIN_TEXT_MAX]);
bool tls_pins_have(const struct tls_pins *pins, const uint8_t pin[TLS_PIN_LEN]);

/* Reads the files. The caller has the first use of it. */
struct tls_profile *tls_profile_new(const struct tls_settings *settings,
				    char problem[TLS_PROBLEM_MAX]);

/* NULL is fine in both; keep returns `p`. */
struct tls_profile *tls_profile_keep(struct tls_profile *p);
void tls_profile_free(struct tls_profile *p);

/* The same settings, and files that held the same. NULL is equal to NULL only. */
bool tls_profile_is_equal(const struct tls_profile *a, const struct tls_profile *b);

#endif
