/* SPDX-License-Identifier: ISC */
/*
 * OpenSSL reads and writes through a BIO of ours: its own would raise SIGPIPE.
 */
#include "cache/tls.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "cache/memory.h"
#include "cache/tls_verify.h"

enum { REASON_MAX = 400 };

struct tls {
	SSL *ssl;
	BIO_METHOD *method;
	struct tls_profile *profile;
	int fd;
	int error;			/* errno of the socket; 0: none */
	bool wants_write, is_shaken, is_failed;
	bool has_read;			/* some byte of the peer's */
	struct tls_shown shown;
	char reason[REASON_MAX];
};

__attribute__((format(printf, 2, 3)))
static enum tls_status fail(struct tls *t, const char *format, ...)
{
	va_list args;
	size_t len = (size_t)snprintf(t->reason, sizeof(t->reason), "TLS: ");

	va_start(args, format);
	vsnprintf(t->reason + len, sizeof(t->reason) - len, format, args);
	va_end(args);
	t->is_failed = true;
	ERR_clear_error();
	return TLS_FAILED;
}

/* ---- The socket, as OpenSSL sees it ---- */

static int on_bio_read(BIO *b, char *to, int room)
{
	struct tls *t = BIO_get_data(b);
	ssize_t n = recv(t->fd, to, (size_t)room, 0);

	BIO_clear_retry_flags(b);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_read(b);
	else if (n < 0)
		t->error = errno;
	return (int)n;
}

static int on_bio_write(BIO *b, const char *from, int len)
{
	struct tls *t = BIO_get_data(b);
	ssize_t n = send(t->fd, from, (size_t)len, MSG_NOSIGNAL);

	BIO_clear_retry_flags(b);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_write(b);
	else if (n < 0)
		t->error = errno;
	return (int)n;
}

static long on_bio_control(BIO *b, int command, long number, void *arg)
{
	(void)b;
	(void)number;
	(void)arg;
	return command == BIO_CTRL_FLUSH;	/* nothing is held back; the rest we do not have */
}

static BIO *bio_new(struct tls *t)
{
	BIO *bio;

	t->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "socket");
	if (!t->method)
		abort();
	BIO_meth_set_read(t->method, on_bio_read);
	BIO_meth_set_write(t->method, on_bio_write);
	BIO_meth_set_ctrl(t->method, on_bio_control);
	bio = BIO_new(t->method);
	if (!bio)
		abort();
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	return bio;
}

/* ---- What went wrong ---- */

static enum tls_status explain_alert(struct tls *t, int alert)
{
	const char *text = SSL_alert_desc_string_long(alert);

	switch (alert) {
	case SSL_AD_PROTOCOL_VERSION:
		return fail(t, "the primary does not speak TLS 1.3: it has to");
	case SSL_AD_NO_APPLICATION_PROTOCOL:
		return fail(t, "the primary does not speak DNS over TLS there (ALPN \"dot\" is "
			    "refused): correct transfer-address");
	case TLS13_AD_CERTIFICATE_REQUIRED:
	case SSL_AD_BAD_CERTIFICATE:
	case SSL_AD_UNSUPPORTED_CERTIFICATE:
	case SSL_AD_CERTIFICATE_REVOKED:
	case SSL_AD_CERTIFICATE_EXPIRED:
	case SSL_AD_CERTIFICATE_UNKNOWN:
	case SSL_AD_UNKNOWN_CA:
	case SSL_AD_ACCESS_DENIED:
		return fail(t, "the primary does not take our certificate (%s): set tls-cert and "
			    "tls-key to one that it takes", text);
	default:
		return fail(t, "the primary breaks it off (%s): its log may say why", text);
	}
}

static enum tls_status explain(struct tls *t)
{
	int reason = ERR_GET_REASON(ERR_peek_error());

	char what[REASON_MAX];

	if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
		return fail(t, "%s", tls_verify_reason(SSL_get_verify_result(t->ssl), t->shown.pin,
						       &t->profile->settings, what, sizeof(what)));
	if (reason > SSL_AD_REASON_OFFSET && reason <= SSL_AD_REASON_OFFSET + UINT8_MAX)
		return explain_alert(t, reason - SSL_AD_REASON_OFFSET);
	if (reason == SSL_R_UNSUPPORTED_PROTOCOL || reason == SSL_R_WRONG_SSL_VERSION)
		return explain_alert(t, SSL_AD_PROTOCOL_VERSION);
	if (reason == SSL_R_WRONG_VERSION_NUMBER)
		return fail(t, "what answers there does not speak TLS: correct transfer-address");
	const char *text = ERR_reason_error_string(ERR_peek_error());

	return fail(t, "%s", text ? text : "an error without a name");
}

/*
 * With TLS 1.3 the handshake is over before the server has looked at our certificate, and
 * not each server says why it closes then.
 */
static enum tls_status closed(struct tls *t)
{
	if (t->is_shaken && !t->has_read && t->shown.wants_certificate)
		return fail(t, "the primary wants a certificate of ours: set tls-cert and tls-key");
	ERR_clear_error();
	return TLS_CLOSED;
}

/* `result` is what OpenSSL's function returned, which came to nothing. */
static enum tls_status status_of(struct tls *t, int result)
{
	int error = SSL_get_error(t->ssl, result);

	t->wants_write = error == SSL_ERROR_WANT_WRITE;
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return TLS_WAIT;
	if (error == SSL_ERROR_ZERO_RETURN)
		return closed(t);
	t->is_failed = true;
	if (error == SSL_ERROR_SYSCALL ||
	    ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		return closed(t);
	return explain(t);
}

/* ---- */

static enum tls_status check_alpn(struct tls *t)
{
	const unsigned char *chosen = NULL;
	unsigned len = 0;

	SSL_get0_alpn_selected(t->ssl, &chosen, &len);
	if (len == 3 && memcmp(chosen, "dot", 3) == 0)
		return TLS_OK;
	if (len > 0)
		return fail(t, "the primary chose another protocol than DNS: correct "
			    "transfer-address");
	if (!t->profile->settings.needs_alpn)
		return TLS_OK;
	return fail(t, "the primary does not say that it speaks DNS over TLS (no ALPN \"dot\"): "
		    "correct transfer-address, or set tls-require-alpn = false for a server "
		    "that cannot");
}

enum tls_status tls_handshake(struct tls *t)
{
	ERR_clear_error();
	int result = SSL_do_handshake(t->ssl);

	if (result != 1)
		return status_of(t, result);
	t->is_shaken = true;
	return check_alpn(t);
}

enum tls_status tls_read(struct tls *t, uint8_t *to, size_t room, size_t *len)
{
	ERR_clear_error();
	int result = SSL_read_ex(t->ssl, to, room, len);

	if (result != 1)
		return status_of(t, result);
	t->has_read = true;
	return TLS_OK;
}

/* A peer that is gone may have said why before: that is still to be read. */
static enum tls_status last_words(struct tls *t)
{
	uint8_t byte;
	size_t n;

	ERR_clear_error();
	int result = SSL_peek_ex(t->ssl, &byte, 1, &n);

	if (result == 1 || SSL_get_error(t->ssl, result) != SSL_ERROR_SSL) {
		t->is_failed = true;
		return closed(t);
	}
	return status_of(t, result);
}

enum tls_status tls_write(struct tls *t, const uint8_t *from, size_t size, size_t *len)
{
	ERR_clear_error();
	int result = SSL_write_ex(t->ssl, from, size, len);

	if (result == 1)
		return TLS_OK;
	return SSL_get_error(t->ssl, result) == SSL_ERROR_SYSCALL ? last_words(t)
								  : status_of(t, result);
}

bool tls_has_pending(const struct tls *t)
{
	return SSL_pending(t->ssl) > 0;
}

bool tls_wants_write(const struct tls *t)
{
	return t->wants_write;
}

int tls_error(const struct tls *t)
{
	return t->error;
}

const char *tls_reason(const struct tls *t)
{
	return t->reason;
}

struct tls *tls_new(struct tls_profile *profile, int fd)
{
	struct tls *t = memory_zeroed(1, sizeof(*t));
	BIO *bio;

	t->profile = tls_profile_keep(profile);
	t->fd = fd;
	t->ssl = SSL_new(profile->context);
	if (!t->ssl)
		abort();
	bio = bio_new(t);
	SSL_set_bio(t->ssl, bio, bio);
	SSL_set_app_data(t->ssl, &t->shown);
	SSL_set_connect_state(t->ssl);
	if (profile->settings.name[0] &&
	    SSL_set_tlsext_host_name(t->ssl, profile->settings.name) != 1)
		abort();
	return t;
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	ERR_clear_error();
	if (t->is_shaken && !t->is_failed)
		SSL_shutdown(t->ssl);
	ERR_clear_error();
	SSL_free(t->ssl);
	BIO_meth_free(t->method);
	tls_profile_free(t->profile);
	free(t);
}
