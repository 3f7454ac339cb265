/* SPDX-License-Identifier: ISC */
/*
 * Files are read once and parsed from memory, so that the digest is of what was used, and no
 * file is taken in whole before its size is known.
 */
#include "cache/tls_profile.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "cache/memory.h"
#include "cache/tls_verify.h"

enum { CHAIN_MAX = 64 << 10, PIN_BASE64_LEN = 44 };

static const unsigned char ALPN[] = "\3dot";

/* What is under way in tls_profile_new(). */
struct making {
	struct tls_profile *profile;
	EVP_MD_CTX *digest;
	char *problem;
};

__attribute__((format(printf, 2, 3)))
static bool fail(struct making *m, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(m->problem, TLS_PROBLEM_MAX, format, args);
	va_end(args);
	ERR_clear_error();
	return false;
}

/* ---- Pins ---- */

/* OpenSSL takes what it likes; only what comes back the same was base64 of 32 bytes. */
bool tls_pin_parse(const char *text, uint8_t pin[TLS_PIN_LEN])
{
	uint8_t bytes[PIN_BASE64_LEN / 4 * 3 + 1];
	char again[TLS_PIN_TEXT_MAX];

	if (strlen(text) != PIN_BASE64_LEN)
		return false;
	if (EVP_DecodeBlock(bytes, (const unsigned char *)text, PIN_BASE64_LEN) != TLS_PIN_LEN + 1) {
		ERR_clear_error();
		return false;
	}
	if (strcmp(tls_pin_text(bytes, again), text) != 0)
		return false;
	memcpy(pin, bytes, TLS_PIN_LEN);
	return true;
}

char *tls_pin_text(const uint8_t pin[TLS_PIN_LEN], char text[TLS_PIN_TEXT_MAX])
{
	EVP_EncodeBlock((unsigned char *)text, pin, TLS_PIN_LEN);
	return text;
}

bool tls_pins_have(const struct tls_pins *pins, const uint8_t pin[TLS_PIN_LEN])
{
	for (unsigned i = 0; i < pins->count; i++)
		if (memcmp(pins->pins[i], pin, TLS_PIN_LEN) == 0)
			return true;
	return false;
}

/* ---- Files ---- */

/* The whole file as a memory BIO of OpenSSL, which the caller frees. */
static BIO *read_file(struct making *m, const char *option, const char *path)
{
	char *bytes = memory_new(TLS_FILE_MAX + 1);
	FILE *f = fopen(path, "re");
	size_t len = f ? fread(bytes, 1, TLS_FILE_MAX + 1, f) : 0;
	const char *why = !f || ferror(f) ? strerror(errno)
			  : len == 0	  ? "it is empty"
			  : len > TLS_FILE_MAX ? "it is over 1 MiB long" : NULL;
	BIO *bio = why ? NULL : BIO_new(BIO_s_mem());

	if (f)
		fclose(f);
	if (why)
		fail(m, "%s: %.200s cannot be read: %s", option, path, why);
	if (bio && (BIO_write(bio, bytes, (int)len) != (int)len ||
		    EVP_DigestUpdate(m->digest, bytes, len) != 1))
		abort();	/* no memory */
	explicit_bzero(bytes, len);
	free(bytes);
	return bio;
}

/* A key that needs a password is no key: there is nobody to ask. */
static int on_password(char *buf, int size, int is_writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)is_writing;
	(void)arg;
	return -1;
}

static bool load_ca(struct making *m, const char *path)
{
	X509_STORE *store = SSL_CTX_get_cert_store(m->profile->context);
	BIO *bio = read_file(m, "tls-ca", path);
	unsigned count = 0;
	X509 *ca;

	if (!bio)
		return false;
	while ((ca = PEM_read_bio_X509(bio, NULL, on_password, NULL))) {
		count += X509_STORE_add_cert(store, ca) == 1;
		X509_free(ca);
	}
	BIO_free(bio);
	ERR_clear_error();
	if (count > 0)
		return true;
	return fail(m, "tls-ca: %.200s has no certificate in it: name a file in PEM form, as "
		    "\"-----BEGIN CERTIFICATE-----\"", path);
}

/* Ours first, then those between it and the authority. */
static bool load_certificates(struct making *m, const char *path)
{
	SSL_CTX *context = m->profile->context;
	BIO *bio = read_file(m, "tls-cert", path);
	X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, on_password, NULL) : NULL;
	bool is_ok = cert && SSL_CTX_use_certificate(context, cert) == 1;

	X509_free(cert);
	while (is_ok && (cert = PEM_read_bio_X509(bio, NULL, on_password, NULL))) {
		is_ok = SSL_CTX_add0_chain_cert(context, cert) == 1;
		if (!is_ok)
			X509_free(cert);
	}
	ERR_clear_error();
	if (bio && !is_ok)
		fail(m, "tls-cert: %.200s has no certificate that can be used: name a file in PEM "
		     "form, ours first", path);
	BIO_free(bio);
	return is_ok;
}

static bool load_key(struct making *m, const char *path)
{
	SSL_CTX *context = m->profile->context;
	BIO *bio = read_file(m, "tls-key", path);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, on_password, NULL) : NULL;
	bool is_ok = key && SSL_CTX_use_PrivateKey(context, key) == 1 &&
		     SSL_CTX_check_private_key(context) == 1;

	if (bio && !key)
		fail(m, "tls-key: %.200s has no private key in it: name a file in PEM form, "
		     "without a password", path);
	else if (bio && !is_ok)
		fail(m, "tls-key: %.200s is not the key of the certificate in tls-cert: name the "
		     "two that belong together", path);
	EVP_PKEY_free(key);
	BIO_free(bio);
	ERR_clear_error();
	return is_ok;
}

/* ---- */

/* RFC 8310 s.8.1: a name counts where it is a subjectAltName, never in the subject. */
static bool set_name(struct making *m)
{
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(m->profile->context);
	const struct tls_settings *s = &m->profile->settings;

	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
					       X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	if (X509_VERIFY_PARAM_set1_host(param, s->name, 0) != 1)
		return fail(m, "tls-name: '%.80s' cannot be the name in a certificate: write it "
			    "as the certificate has it", s->name);
	if (s->ca[0])
		return load_ca(m, s->ca);
	if (SSL_CTX_set_default_verify_paths(m->profile->context) != 1)
		return fail(m, "tls-name: the system's authorities cannot be read: set tls-ca");
	return true;
}

static bool set_context(struct making *m)
{
	SSL_CTX *context = m->profile->context = SSL_CTX_new(TLS_client_method());

	if (!context || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_alpn_protos(context, ALPN, sizeof(ALPN) - 1) != 0)
		abort();	/* no memory */
	tls_verify_with(context, &m->profile->settings);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_max_cert_list(context, CHAIN_MAX);
	/* else reading goes on for as long as tickets and new keys come, and nobody else runs */
	SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	return true;
}

static bool fill(struct making *m)
{
	const struct tls_settings *s = &m->profile->settings;

	if (!set_context(m))
		return false;
	if (s->name[0] && !set_name(m))
		return false;
	if (s->cert[0] && !(load_certificates(m, s->cert) && load_key(m, s->key)))
		return false;
	return EVP_DigestFinal_ex(m->digest, m->profile->digest, NULL) == 1 || (abort(), false);
}

struct tls_profile *tls_profile_new(const struct tls_settings *settings,
				    char problem[TLS_PROBLEM_MAX])
{
	struct making m = {
		.profile = memory_zeroed(1, sizeof(*m.profile)),
		.digest = EVP_MD_CTX_new(), .problem = problem,
	};

	m.profile->users = 1;
	m.profile->settings = *settings;
	if (!m.digest || EVP_DigestInit_ex(m.digest, EVP_sha256(), NULL) != 1 ||
	    EVP_DigestUpdate(m.digest, settings, sizeof(*settings)) != 1)
		abort();
	if (!fill(&m)) {
		tls_profile_free(m.profile);
		m.profile = NULL;
	}
	EVP_MD_CTX_free(m.digest);
	return m.profile;
}

struct tls_profile *tls_profile_keep(struct tls_profile *p)
{
	if (p)
		p->users++;
	return p;
}

void tls_profile_free(struct tls_profile *p)
{
	if (!p || --p->users > 0)
		return;
	SSL_CTX_free(p->context);
	free(p);
}

bool tls_profile_is_equal(const struct tls_profile *a, const struct tls_profile *b)
{
	return a == b || (a && b && memcmp(a->digest, b->digest, sizeof(a->digest)) == 0);
}
