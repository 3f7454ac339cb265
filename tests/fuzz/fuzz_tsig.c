/* SPDX-License-Identifier: ISC */
/*
 * Input: messages, each after two bytes of length. None of them can be signed rightly, since
 * the key is drawn anew: so no first message may ever verify.
 */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cache/random.h"
#include "cache/tsig.h"
#include "cache/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void draw_key(struct tsig_key *key)
{
	static struct random random;
	static bool is_ready;

	if (!is_ready)
		random_init(&random);
	is_ready = true;
	*key = (struct tsig_key){ .name = "\3key", .algorithm = "hmac-sha256", .secret_len = 16 };
	wire_put_u64(key->secret, random_u64(&random));
	wire_put_u64(key->secret + 8, random_u64(&random));
}

static enum tsig_error feed(struct tsig_stream *s, const uint8_t *at, size_t len)
{
	uint8_t *message = malloc(len ? len : 1);
	size_t body_len;
	bool has_tsig;
	enum tsig_error e;

	assert(message);
	memcpy(message, at, len);
	e = tsig_stream_verify(s, message, len, 1700000000, &body_len, &has_tsig);
	assert(body_len <= len && tsig_error_text(e));
	assert(memcmp(message, at, len) == 0);
	free(message);
	return e;
}

static void check_secret(const uint8_t *data, size_t size)
{
	struct tsig_key key = { .secret_len = 0 };
	char text[1024];
	size_t len = size < sizeof(text) - 1 ? size : sizeof(text) - 1;

	memcpy(text, data, len);
	text[len] = '\0';
	if (tsig_key_set_secret(&key, text))
		assert(key.secret_len > 0 && key.secret_len <= TSIG_SECRET_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t request[600] = "\x12\x34\0\0\0\1\0\0\0\0\0\0\7example\3com\0\0\xfc\0\1";
	struct wire w = wire_over(data, size);
	struct tsig_stream *s;
	struct tsig_key key;

	if (size == 0)
		return 0;
	check_secret(data, size);
	draw_key(&key);
	s = tsig_stream_new(&key);
	assert(tsig_stream_sign(s, request, 29, sizeof(request), 1700000000) > 29);
	while (wire_left(&w) > 0) {
		size_t len = wire_u16(&w);

		if (w.bad)	/* a single byte is left */
			break;
		if (len > wire_left(&w))
			len = wire_left(&w);
		assert(feed(s, wire_bytes(&w, len), len) != TSIG_OK);
	}
	assert(tsig_stream_end(s) == TSIG_MISSING);
	tsig_stream_free(s);
	return 0;
}
