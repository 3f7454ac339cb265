/* SPDX-License-Identifier: ISC */
/*
 * redis_tls - TLS between hiredis, which knows none, and Redis.
 *
 * Purpose:  takes hiredis' socket to itself and gives it one end of a socket pair in its place;
 *           what comes out there in the clear goes to Redis encrypted, and back. Redis must
 *           have a certificate for its name, or nothing of ours is sent.
 * Not here: the TLS of transfers (tls.h), which has other rules (RFC 9103) and no hiredis.
 * Owns:     both sockets; hiredis owns its end of the pair.
 * Threads:  the thread of the loop.
 * Memory:   two buffers of 16 kB, and OpenSSL's.
 * Failure:  ends once, with a sentence that begins with "TLS: ".
 * Spec:     TLS 1.2 or 1.3, RFC 6125 s.6.4 (names).
 */
#ifndef REDIS_TLS_H
#define REDIS_TLS_H

#include <stdbool.h>

#include <ev.h>

struct redis_tls_conf {
	bool is_on;
	char ca[256];		/* PEM; empty: the system's authorities */
	char name[256];		/* in the certificate of Redis; empty: the address that we ask */
	char cert[256], key[256];	/* PEM, our own; empty: none */
};

enum { REDIS_TLS_REASON_MAX = 160 };

struct redis_tls;

/*
 * `is_ready`: the handshake is over, the pair may be used. Else it has ended, and may be freed
 * from inside this call. Never from inside redis_tls_new().
 */
typedef void (*redis_tls_fn)(bool is_ready, const char *reason, void *arg);

/*
 * Goes between: `fd` is connecting, and stands for our end afterwards. `host` is the text of
 * its IP address. NULL with a reason when the files cannot be used; `fd` is as before then.
 */
struct redis_tls *redis_tls_new(struct ev_loop *loop, const struct redis_tls_conf *conf,
				const char *host, int fd, redis_tls_fn changed, void *arg,
				char reason[REDIS_TLS_REASON_MAX]);
void redis_tls_free(struct redis_tls *t);	/* NULL is fine */

/* The name of the option that cannot be used, with a reason; NULL: all can. Reads the files. */
const char *redis_tls_check(const struct redis_tls_conf *conf, char reason[REDIS_TLS_REASON_MAX]);

#endif
