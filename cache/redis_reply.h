/* SPDX-License-Identifier: ISC */
/*
 * redis_reply - what Redis may say to us: bounds while it is read, and its shape afterwards.
 *
 * Purpose:  a guard between hiredis' reader and its replies, which refuses what is too large
 *           before memory is taken for it, and what answers no command; and small readers
 *           for the values of a reply, which take nothing for granted.
 * Not here: the connection (redis.h), which replies belong to which keys (store.c).
 *
 * hiredis 0.14 sets aside 8 bytes for each element that an array only announces (twelve
 * bytes of input, 780 MB), and ends the process by assert() when a reply comes that nobody
 * asked for. It makes its objects through a table of functions; the guard is such a table.
 *
 * Owns:     nothing; a guard lives inside its connection and outlives the reader.
 * Threads:  the mirror's.
 * Memory:   one reply takes at most REPLY_BYTES_MAX and REPLY_ELEMENTS_MAX.
 * Failure:  a refused reply ends the connection; guard->refusal says why.
 */
#ifndef REDIS_REPLY_H
#define REDIS_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

enum {
	REPLY_BYTES_MAX = 16 << 20,	/* the largest that we ask for has some 2 MB */
	REPLY_ELEMENTS_MAX = 4096,	/* likewise: about 200 */
};

struct reply_guard {
	const redisReplyObjectFunctions *inner;	/* hiredis' own table */
	const redisAsyncContext *context;
	size_t elements, bytes;		/* of the reply that is being read */
	const char *refusal;		/* a sentence, or NULL */
};

/* Puts the guard before the reader of a new context. */
void reply_guard_attach(struct reply_guard *g, redisAsyncContext *ac);

/* False when the reader holds more than any reply may have: a string that never ends. */
bool reply_guard_has_room(struct reply_guard *g);

/* True for an error or for no reply at all. */
bool reply_is_error(const redisReply *r);

/* The reply's own words ("WRONGTYPE Operation ..."), or what NULL and other shapes mean. */
const char *reply_text(const redisReply *r);

bool reply_is_status(const redisReply *r, const char *status);	/* "OK" */
bool reply_is_string(const redisReply *r, const char *text);

/* An array of exactly `count` elements. */
bool reply_is_array(const redisReply *r, size_t count);

/* Copies a string that is one printable word; empty when it is none, or does not fit. */
void reply_copy_word(const redisReply *r, char *word, size_t size);

/* Reads an integer, or a string that is one decimal number and nothing else. */
bool reply_number(const redisReply *r, uint64_t *v);

/* Reads a decimal number of `len` bytes: digits only, within 64 bits. */
bool reply_parse_number(const char *text, size_t len, uint64_t *v);

#endif
