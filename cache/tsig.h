/* SPDX-License-Identifier: ISC */
/*
 * tsig - transaction signatures: keys; signs our transfer requests, verifies the replies.
 *
 * Purpose:  a request signer and a verifier for a stream of reply messages, over OpenSSL.
 * Not here: requests of others (tsig_server.h), where keys come from (conf.c), what the
 *           messages say (transfer.c).
 * Owns:     a tsig_stream owns its digest state; the key is borrowed for its life.
 * Threads:  one per struct.
 * Memory:   allocates at creation and aborts when it cannot; keys are wiped when freed.
 * Time:     wall seconds, given by the caller.
 * Failure:  enum tsig_error; anything but TSIG_OK ends the transfer.
 * Spec:     RFC 8945: s.4.3 (what is digested), s.5.3.1 (streams: first and last signed,
 *           at most 99 unsigned between), s.5.2.2.1 (truncation), s.5.2.3 (time).
 */
#ifndef TSIG_H
#define TSIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/name.h"

enum tsig_error {
	TSIG_OK,
	TSIG_MISSING,	/* a message that had to be signed is not, or 100 in a row */
	TSIG_MALFORMED,	/* TSIG not last, twice, wrong class or TTL, lengths that lie */
	TSIG_BADKEY,	/* another key or algorithm than ours */
	TSIG_BADSIG,
	TSIG_BADTRUNC,	/* the MAC is cut short; we ask for whole ones */
	TSIG_BADTIME,
	TSIG_REFUSED,	/* the server reports an error: tsig_stream_peer_error() */
};

const char *tsig_error_text(enum tsig_error e);

enum { TSIG_SECRET_MAX = 512, TSIG_MAC_MAX = 64, TSIG_RECORD_MAX = 400 };

struct tsig_key {
	uint8_t name[NAME_LEN_MAX];	/* lower case */
	char algorithm[16];		/* "hmac-sha256": sha1, sha224, sha256, sha384, sha512 */
	uint8_t secret[TSIG_SECRET_MAX];
	size_t secret_len;
};

/* True for an algorithm that we have. */
bool tsig_is_algorithm(const char *algorithm);

/* Decodes base64 into the key. False: not base64, empty or too long. */
bool tsig_key_set_secret(struct tsig_key *key, const char *base64);

struct tsig_stream;

/*
 * For one request and the replies to it. `key` outlives the stream; its algorithm is one
 * that we have.
 */
struct tsig_stream *tsig_stream_new(const struct tsig_key *key);
void tsig_stream_free(struct tsig_stream *s);	/* NULL is fine */

/*
 * Appends TSIG to the request of `len` bytes in `message` (room: cap) and raises ARCOUNT.
 * Returns the new length, or 0 when it does not fit. Once, before any verification.
 */
size_t tsig_stream_sign(struct tsig_stream *s, uint8_t *message, size_t len, size_t cap,
			uint64_t now_s);

/*
 * Takes the next reply message of the stream. On TSIG_OK *body_len is its length without
 * the TSIG record; the message itself is not changed (its ARCOUNT still counts TSIG, and
 * *has_tsig says whether it did). After an error the stream is good for
 * tsig_stream_free() only.
 */
enum tsig_error tsig_stream_verify(struct tsig_stream *s, const uint8_t *message, size_t len,
				   uint64_t now_s, size_t *body_len, bool *has_tsig);

/* After the last message: TSIG_MISSING when that one was unsigned. */
enum tsig_error tsig_stream_end(const struct tsig_stream *s);

/* With TSIG_REFUSED: what the server said, "BADKEY"; of BADTIME also how far its clock is off. */
const char *tsig_stream_peer_error(const struct tsig_stream *s);

#endif
