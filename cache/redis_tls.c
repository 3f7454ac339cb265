/* SPDX-License-Identifier: ISC */
/*
 * Four watchers, two for each socket; after each turn only those run that something waits for,
 * so a side that does not take its bytes makes the other wait, too.
 */
#include "cache/redis_tls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "cache/memory.h"

enum { BUFFER_MAX = 16384, TURN_MAX = 16 };	/* a record; buffers moved before others run */

struct buffer {
	size_t at, len;			/* bytes[at .. len-1] wait */
	char bytes[BUFFER_MAX];
};

struct redis_tls {
	struct ev_loop *loop;
	redis_tls_fn changed;
	void *arg;
	SSL_CTX *context;
	SSL *ssl;
	int net, local;
	bool is_shaken;
	int error;			/* errno of the call that failed; 0: it was no call */
	bool wants_read, wants_write;	/* of `net`, by the last calls of OpenSSL */
	ev_io net_read, net_write, local_read, local_write;
	struct buffer in, out;		/* from Redis; to Redis */
};

/* ---- What went wrong ---- */

static const char *openssl_text(void)
{
	const char *text = ERR_reason_error_string(ERR_peek_last_error());

	return text ? text : "an error without a name";
}

static void explain(const struct redis_tls *t, int error, char reason[REDIS_TLS_REASON_MAX])
{
	long verdict = SSL_get_verify_result(t->ssl);

	if (!t->is_shaken && verdict != X509_V_OK)
		snprintf(reason, REDIS_TLS_REASON_MAX, "TLS: the certificate of Redis: %s",
			 X509_verify_cert_error_string(verdict));
	else if (!t->is_shaken && t->error)
		snprintf(reason, REDIS_TLS_REASON_MAX, "%s", strerrordesc_np(t->error));
	else if (error == SSL_ERROR_SSL)
		snprintf(reason, REDIS_TLS_REASON_MAX, "TLS: %s", openssl_text());
	else
		snprintf(reason, REDIS_TLS_REASON_MAX, "TLS: Redis closed the connection%s",
			 t->is_shaken ? "" : " in the handshake");
}

/* ---- The context ---- */

static const char *fail(const char *option, const char *path, char reason[REDIS_TLS_REASON_MAX])
{
	snprintf(reason, REDIS_TLS_REASON_MAX, "TLS: %s = '%.70s' cannot be used: %.40s", option,
		 path, openssl_text());
	return option;
}

static const char *load_own(SSL_CTX *c, const struct redis_tls_conf *conf,
			    char reason[REDIS_TLS_REASON_MAX])
{
	if (conf->cert[0] && SSL_CTX_use_certificate_chain_file(c, conf->cert) != 1)
		return fail("tls-cert", conf->cert, reason);
	if (conf->key[0] && SSL_CTX_use_PrivateKey_file(c, conf->key, SSL_FILETYPE_PEM) != 1)
		return fail("tls-key", conf->key, reason);
	if (conf->cert[0] && SSL_CTX_check_private_key(c) != 1)
		return fail("tls-key", conf->key, reason);
	return NULL;
}

static const char *load(SSL_CTX *c, const struct redis_tls_conf *conf,
			char reason[REDIS_TLS_REASON_MAX])
{
	ERR_clear_error();
	if (conf->ca[0] ? SSL_CTX_load_verify_file(c, conf->ca) != 1
			: SSL_CTX_set_default_verify_paths(c) != 1)
		return fail("tls-ca", conf->ca, reason);
	return load_own(c, conf, reason);
}

/* Nobody is asked for a password: whoever runs us could not type it. */
static int no_password(char *buffer, int size, int is_writing, void *arg)
{
	(void)buffer;
	(void)size;
	(void)is_writing;
	(void)arg;
	return -1;
}

static SSL_CTX *context_new(void)
{
	SSL_CTX *c = SSL_CTX_new(TLS_client_method());

	if (!c || SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) != 1)
		abort();	/* no memory */
	SSL_CTX_set_default_passwd_cb(c, no_password);
	SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	/* else reading goes on for as long as tickets and new keys come, and nobody else runs */
	SSL_CTX_clear_mode(c, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	return c;
}

const char *redis_tls_check(const struct redis_tls_conf *conf, char reason[REDIS_TLS_REASON_MAX])
{
	SSL_CTX *c = context_new();
	const char *option = load(c, conf, reason);

	SSL_CTX_free(c);
	return option;
}

/* An IP address is looked for among the addresses of the certificate, a name among its names. */
static void expect(SSL *ssl, const char *name)
{
	X509_VERIFY_PARAM *p = SSL_get0_param(ssl);

	if (X509_VERIFY_PARAM_set1_ip_asc(p, name) == 1)
		return;
	X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (X509_VERIFY_PARAM_set1_host(p, name, 0) != 1 || SSL_set_tlsext_host_name(ssl, name) != 1)
		abort();	/* no memory */
}

/* ---- Moving bytes ---- */

/* True when OpenSSL got somewhere; else what it waits for is noted, or it has failed. */
static bool got_on(struct redis_tls *t, int result, int *failed)
{
	int error = result == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, result);

	if (error == SSL_ERROR_WANT_READ)
		t->wants_read = true;
	else if (error == SSL_ERROR_WANT_WRITE)
		t->wants_write = true;
	else if (error != SSL_ERROR_NONE)
		*failed = error;
	if (error == SSL_ERROR_SYSCALL)
		t->error = errno;
	return error == SSL_ERROR_NONE;
}

static bool read_net(struct redis_tls *t, int *failed)
{
	size_t n = 0;

	ERR_clear_error();
	if (t->in.len > 0 || !got_on(t, SSL_read_ex(t->ssl, t->in.bytes, BUFFER_MAX, &n), failed))
		return false;
	t->in.at = 0;
	t->in.len = n;
	return true;
}

static bool write_net(struct redis_tls *t, int *failed)
{
	struct buffer *b = &t->out;
	size_t n = 0;

	ERR_clear_error();
	if (b->len == 0 ||
	    !got_on(t, SSL_write_ex(t->ssl, b->bytes + b->at, b->len - b->at, &n), failed))
		return false;
	b->at += n;
	if (b->at == b->len)
		b->at = b->len = 0;
	return true;
}

static bool read_local(struct redis_tls *t, int *failed)
{
	ssize_t n;

	if (t->out.len > 0)
		return false;
	n = read(t->local, t->out.bytes, BUFFER_MAX);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		*failed = SSL_ERROR_SYSCALL;
	if (n <= 0)
		return false;
	t->out.at = 0;
	t->out.len = (size_t)n;
	return true;
}

static bool write_local(struct redis_tls *t, int *failed)
{
	struct buffer *b = &t->in;
	ssize_t n;

	if (b->len == 0)
		return false;
	n = send(t->local, b->bytes + b->at, b->len - b->at, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		*failed = SSL_ERROR_SYSCALL;
	if (n <= 0)
		return false;
	b->at += (size_t)n;
	if (b->at == b->len)
		b->at = b->len = 0;
	return true;
}

static void watch(struct redis_tls *t, ev_io *w, bool is_wanted)
{
	if (is_wanted)
		ev_io_start(t->loop, w);
	else
		ev_io_stop(t->loop, w);
}

static void end(struct redis_tls *t, int error)
{
	char reason[REDIS_TLS_REASON_MAX];

	explain(t, error, reason);
	watch(t, &t->net_read, false);
	watch(t, &t->net_write, false);
	watch(t, &t->local_read, false);
	watch(t, &t->local_write, false);
	t->changed(false, reason, t->arg);	/* `t` may be gone */
}

/* The first step that fails is the last one: another would wipe out what OpenSSL says of it. */
static bool move_once(struct redis_tls *t, int *failed)
{
	static bool (*const steps[])(struct redis_tls *, int *) = {
		read_net, write_local, read_local, write_net,
	};
	bool is_moving = false;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && !*failed; i++)
		is_moving = steps[i](t, failed) || is_moving;
	return is_moving;
}

/* Redis may have said why before it left: that is still to be read. */
static void hear_last_words(struct redis_tls *t, int *failed)
{
	int said = 0;

	if (*failed == SSL_ERROR_SYSCALL && !read_net(t, &said) && said)
		*failed = said;
}

static void move(struct redis_tls *t)
{
	int failed = 0;
	bool is_moving = true;

	t->wants_read = t->wants_write = false;
	for (unsigned i = 0; is_moving && !failed && i < TURN_MAX; i++)
		is_moving = move_once(t, &failed);
	if (failed) {
		hear_last_words(t, &failed);
		end(t, failed);
		return;
	}
	watch(t, &t->net_read, t->wants_read || t->in.len == 0);
	watch(t, &t->net_write, t->wants_write);
	watch(t, &t->local_read, t->out.len == 0);
	watch(t, &t->local_write, t->in.len > 0);
	if (is_moving)
		ev_feed_event(t->loop, &t->net_read, EV_READ);	/* OpenSSL may hold some */
}

static void shake(struct redis_tls *t)
{
	int failed = 0, result;

	t->wants_read = t->wants_write = false;
	ERR_clear_error();
	errno = 0;
	result = SSL_do_handshake(t->ssl);
	if (got_on(t, result, &failed)) {
		t->is_shaken = true;
		t->changed(true, NULL, t->arg);
		move(t);
	} else if (failed) {
		end(t, failed);
	} else {
		watch(t, &t->net_read, t->wants_read);
		watch(t, &t->net_write, t->wants_write);
	}
}

static void on_any(struct ev_loop *loop, ev_io *w, int revents)
{
	struct redis_tls *t = w->data;

	(void)loop;
	(void)revents;
	if (t->is_shaken)
		move(t);
	else
		shake(t);
}

/* ---- The object ---- */

static void io_init(struct redis_tls *t, ev_io *w, int fd, int events)
{
	ev_io_init(w, on_any, fd, events);
	w->data = t;
}

/* Takes hiredis' socket away and puts our end in its place; the number stays. */
static bool go_between(struct redis_tls *t, int fd)
{
	int pair[2];

	t->net = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (t->net < 0)
		return false;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		return false;
	t->local = pair[1];
	if (dup3(pair[0], fd, O_CLOEXEC) < 0) {
		close(pair[0]);
		return false;
	}
	close(pair[0]);
	return true;
}

static void set_up(struct redis_tls *t, const char *name)
{
	t->ssl = SSL_new(t->context);
	if (!t->ssl || SSL_set_fd(t->ssl, t->net) != 1)
		abort();	/* no memory */
	SSL_set_connect_state(t->ssl);
	expect(t->ssl, name);
	io_init(t, &t->net_read, t->net, EV_READ);
	io_init(t, &t->net_write, t->net, EV_WRITE);
	io_init(t, &t->local_read, t->local, EV_READ);
	io_init(t, &t->local_write, t->local, EV_WRITE);
	ev_io_start(t->loop, &t->net_write);	/* the connect is over when it is writable */
}

struct redis_tls *redis_tls_new(struct ev_loop *loop, const struct redis_tls_conf *conf,
				const char *host, int fd, redis_tls_fn changed, void *arg,
				char reason[REDIS_TLS_REASON_MAX])
{
	struct redis_tls *t = memory_zeroed(1, sizeof(*t));

	t->loop = loop;
	t->changed = changed;
	t->arg = arg;
	t->net = t->local = -1;
	t->context = context_new();
	if (load(t->context, conf, reason))
		goto fail;
	if (!go_between(t, fd)) {
		snprintf(reason, REDIS_TLS_REASON_MAX, "TLS: %s", strerrordesc_np(errno));
		goto fail;
	}
	set_up(t, conf->name[0] ? conf->name : host);
	return t;
fail:
	redis_tls_free(t);
	return NULL;
}

void redis_tls_free(struct redis_tls *t)
{
	if (!t)
		return;
	if (t->ssl) {
		watch(t, &t->net_read, false);
		watch(t, &t->net_write, false);
		watch(t, &t->local_read, false);
		watch(t, &t->local_write, false);
	}
	SSL_free(t->ssl);
	SSL_CTX_free(t->context);
	if (t->net >= 0)
		close(t->net);
	if (t->local >= 0)
		close(t->local);
	free(t);
}
