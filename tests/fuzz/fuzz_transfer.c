/* SPDX-License-Identifier: ISC */
/*
 * Input: one byte of options, then messages as they come by TCP: two bytes of length, then
 * the message. Its ID is overwritten by the right one unless it is 0xffff.
 */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cache/transfer.h"
#include "cache/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OPTION_SOA = 1, OPTION_HAVE = 2, OPTION_KEY = 4, ID = 0x1234 };

static const struct tsig_key KEY = {
	.name = "\3key", .algorithm = "hmac-sha256", .secret = "s", .secret_len = 1,
};
static const struct transfer_limits LIMITS = { 500, 100000, 5 };

/* In a block of exactly its size, so that a read past its end is seen. */
static enum transfer_status feed(struct transfer *t, const struct generation *have, const uint8_t *at,
				 size_t len)
{
	uint8_t *message = malloc(len ? len : 1);
	enum transfer_status status;

	assert(message);
	if (len > 0)
		memcpy(message, at, len);
	if (len >= 2 && wire_get_u16(message) != 0xffff)
		wire_put_u16(message, ID);
	status = transfer_take_message(t, have, message, len, 1700000000);
	free(message);
	return status;
}

static void finish(struct transfer *t)
{
	enum zone_error why;
	char owner[NAME_TEXT_MAX];
	struct generation *g = zone_edit_finish(transfer_take_edit(t), 1, &why, owner);

	if (g) {
		assert(g->soa.serial == transfer_serial(t) && g->records <= transfer_records(t));
		generation_free(g);
	}
}

static enum transfer_status run(struct transfer *t, const struct generation *have, struct wire *w)
{
	uint8_t out[TRANSFER_ASK_MAX];
	enum transfer_status status = TRANSFER_MORE;

	while (wire_left(w) > 0 && (status == TRANSFER_MORE || status == TRANSFER_NEWER)) {
		size_t len = wire_u16(w);

		if (status == TRANSFER_NEWER)
			transfer_ask_axfr(t, ID, 1700000000, out, sizeof(out));
		if (len > wire_left(w))
			len = wire_left(w);
		status = feed(t, have, wire_bytes(w, len), len);
	}
	return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire w = wire_over(data, size);
	struct generation have = { .soa.serial = 5 };
	uint8_t options = wire_u8(&w), out[TRANSFER_ASK_MAX];
	const struct tsig_key *key = options & OPTION_KEY ? &KEY : NULL;
	struct transfer *t = transfer_new((const uint8_t *)"\7example\3com", key, &LIMITS);
	enum transfer_status status;

	if (options & OPTION_SOA)
		transfer_ask_soa(t, ID, 1700000000, out, sizeof(out));
	else
		transfer_ask_axfr(t, ID, 1700000000, out, sizeof(out));
	status = run(t, options & OPTION_HAVE ? &have : NULL, &w);
	assert((status == TRANSFER_FAILED) == (transfer_reason(t)[0] != '\0'));
	if (status == TRANSFER_DONE)
		finish(t);
	else
		transfer_close(t, "closed");
	transfer_free(t);
	return 0;
}
