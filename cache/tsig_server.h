/* SPDX-License-Identifier: ISC */
/*
 * tsig_server - TSIG as a server has it: verifies requests of clients, signs what we reply.
 *
 * Purpose:  finds the key of a request among ours, says what is wrong with a signature, and
 *           signs a reply, or each message of a stream of them; error replies too.
 * Not here: the client's side (tsig.h), who may do what with which key (conf_allow.h).
 * Owns:     a tsig_server owns the digest states, one for each algorithm. A session is plain
 *           memory of its owner and borrows its key.
 * Threads:  one tsig_server per worker.
 * Memory:   allocates at creation and aborts when it cannot; nothing of ours per query.
 * Time:     wall seconds, given by the caller.
 * Failure:  enum tsig_error. Replays inside the fudge are not noticed: nothing that we do for
 *           a signed request changes anything.
 * Spec:     RFC 8945 s.5.2 (what is checked, and in which order), s.5.3 (replies; every message
 *           of a stream is signed), s.5.3.2 (error replies).
 */
#ifndef TSIG_SERVER_H
#define TSIG_SERVER_H

#include "cache/tsig.h"

struct tsig_server;

struct tsig_server *tsig_server_new(void);
void tsig_server_free(struct tsig_server *s);	/* NULL is fine */

/* One signed request and the replies to it. */
struct tsig_session {
	const struct tsig_key *key;	/* ours; NULL when the request named none of ours */
	uint8_t name[NAME_LEN_MAX];	/* of the key and the algorithm, as the request has them */
	uint8_t algorithm[NAME_LEN_MAX];
	uint64_t request_time_s;
	uint16_t request_fudge;
	bool is_first_done;		/* the first reply has been signed */
	size_t mac_len;			/* of `mac`; 0: the request's was no good */
	uint8_t mac[TSIG_MAC_MAX];	/* the request's, then that of the latest reply */
};

/*
 * Verifies a request of `len` bytes against `count` keys.
 *   TSIG_OK         `session` can sign replies
 *   TSIG_MISSING    there is no TSIG; `session` is not set
 *   TSIG_MALFORMED  FORMERR, unsigned; `session` is not set
 *   TSIG_BADKEY, TSIG_BADSIG, TSIG_BADTIME, TSIG_BADTRUNC  NOTAUTH with
 *                   tsig_server_put_error()
 * A MAC that is right but truncated is TSIG_BADTRUNC: we ask for whole ones.
 */
enum tsig_error tsig_server_verify(struct tsig_server *s, const struct tsig_key *keys,
				   size_t count, const uint8_t *message, size_t len,
				   uint64_t now_s, struct tsig_session *session);

/* Bytes that a signature of this session adds to a reply. */
size_t tsig_server_room(const struct tsig_session *session);

/*
 * Signs the reply, or the next one of a stream, in place. Returns the new length, or 0 when
 * it does not fit into `cap`: nothing has changed then.
 */
size_t tsig_server_sign(struct tsig_server *s, struct tsig_session *session, uint8_t *message,
			size_t len, size_t cap, uint64_t now_s);

/*
 * Appends the TSIG that tells the client of `error` (one of the four): signed where RFC 8945
 * s.5.3.2 wants it. Returns the new length, or 0 when it does not fit.
 */
size_t tsig_server_put_error(struct tsig_server *s, struct tsig_session *session,
			     enum tsig_error error, uint8_t *message, size_t len, size_t cap,
			     uint64_t now_s);

#endif
