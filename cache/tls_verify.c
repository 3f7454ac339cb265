/* SPDX-License-Identifier: ISC */
#include "cache/tls_verify.h"

#include <stdio.h>

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

static bool read_pin(X509 *cert, uint8_t pin[TLS_PIN_LEN])
{
	unsigned char *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
	bool is_ok = len > 0 && EVP_Digest(der, (size_t)len, pin, NULL, EVP_sha256(), NULL) == 1;

	OPENSSL_free(der);
	return is_ok;
}

/*
 * With a pin alone nothing else of the certificate counts, its dates included: it is the key
 * that is trusted, RFC 7858 s.4.2.
 */
static int on_verify(X509_STORE_CTX *ctx, void *settings)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_shown *shown = SSL_get_app_data(ssl);
	const struct tls_settings *s = settings;
	X509 *cert = X509_STORE_CTX_get0_cert(ctx);
	uint8_t pin[TLS_PIN_LEN];

	X509_STORE_CTX_set_error(ctx, X509_V_ERR_APPLICATION_VERIFICATION);
	if (!cert || !read_pin(cert, pin))
		return 0;
	tls_pin_text(pin, shown->pin);
	if (s->pins.count > 0 ? !tls_pins_have(&s->pins, pin) : !s->name[0])
		return 0;
	X509_STORE_CTX_set_error(ctx, X509_V_OK);
	return !s->name[0] || X509_verify_cert(ctx) > 0;
}

/* It is asked for one when none is loaded, and has none either. */
static int on_certificate_wanted(SSL *ssl, X509 **cert, EVP_PKEY **key)
{
	struct tls_shown *shown = SSL_get_app_data(ssl);

	(void)cert;
	(void)key;
	shown->wants_certificate = true;
	return 0;
}

void tls_verify_with(SSL_CTX *context, const struct tls_settings *settings)
{
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(context, on_verify, (void *)settings);
	SSL_CTX_set_client_cert_cb(context, on_certificate_wanted);
}

/* Who signed it is nobody we know. */
static bool is_stranger(long result)
{
	return result == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT ||
	       result == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
	       result == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT ||
	       result == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
	       result == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE;
}

char *tls_verify_reason(long result, const char *pin, const struct tls_settings *settings,
			char *text, size_t room)
{
	const char *why = X509_verify_cert_error_string(result);

	if (result == X509_V_ERR_APPLICATION_VERIFICATION)
		snprintf(text, room, "the primary's key is not the pinned one: if it was changed "
			 "on purpose, it is now tls-pin = \"%s\"", pin);
	else if (result == X509_V_ERR_HOSTNAME_MISMATCH)
		snprintf(text, room, "the primary's certificate is not for %.100s: correct "
			 "tls-name, or the certificate", settings->name);
	else if (result == X509_V_ERR_CERT_HAS_EXPIRED)
		snprintf(text, room, "the primary's certificate has expired: renew it there");
	else if (result == X509_V_ERR_CERT_NOT_YET_VALID)
		snprintf(text, room, "the primary's certificate is not valid yet: look at both "
			 "clocks");
	else if (is_stranger(result))
		snprintf(text, room, "nobody whom we trust has signed the primary's certificate "
			 "(%s): set tls-ca to who has, or tls-pin to its key", why);
	else
		snprintf(text, room, "the primary's certificate cannot be believed (%s): look "
			 "at it with openssl s_client", why);
	return text;
}
