/* SPDX-License-Identifier: ISC */
/*
 * Input: one byte of options, then messages as they come by TCP: two bytes of length, then
 * the message. Its ID is overwritten by the right one unless it is 0xffff. With OPTION_IXFR a
 * zone of serial 5 is held, with its NS, www, hosta and hostb.
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

enum { OPTION_SOA = 1, OPTION_HAVE = 2, OPTION_KEY = 4, OPTION_IXFR = 8, ID = 0x1234 };

static const struct tsig_key KEY = {
	.name = "\3key", .algorithm = "hmac-sha256", .secret = "s", .secret_len = 1,
};
static const struct transfer_limits LIMITS = { 500, 100000, 5, 0 };

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

static const uint8_t ORIGIN[] = "\7example\3com";

/* What is held; made anew for each input, so that damage to it is found. */
static struct generation *hold_zone(void)
{
	static const uint8_t soa[] = "\7example\3com\0\7example\3com\0\0\0\0\5\0\0\xe\x10\0\0\2\x58\0\1\x51\x80"
				     "\0\0\0\74";
	struct zone_edit *e = zone_edit_new(ORIGIN, NULL, 0, 0);
	enum zone_error why;

	zone_edit_add(e, ORIGIN, 6, 60, soa, sizeof(soa) - 1);
	zone_edit_add(e, ORIGIN, 2, 60, (const uint8_t *)"\2ns\7example\3com", 16);
	zone_edit_add(e, (const uint8_t *)"\3www\7example\3com", 1, 60, (const uint8_t *)"\1\2\3\4", 4);
	zone_edit_add(e, (const uint8_t *)"\5hosta\7example\3com", 1, 60, (const uint8_t *)"\1\2\3\4", 4);
	zone_edit_add(e, (const uint8_t *)"\5hostb\7example\3com", 1, 60, (const uint8_t *)"\1\2\3\4", 4);
	return zone_edit_finish(e, 1, &why, NULL);
}

static void finish(struct transfer *t)
{
	bool is_difference = transfer_is_difference(t);
	enum zone_error why;
	char owner[NAME_TEXT_MAX];
	struct generation *g = zone_edit_finish(transfer_take_edit(t), 1, &why, owner);

	if (g) {
		assert(g->soa.serial == transfer_serial(t));
		assert(is_difference || g->records <= transfer_records(t));
		generation_free(g);
	}
}

static void ask(struct transfer *t, uint8_t options, const struct generation *held)
{
	uint8_t out[TRANSFER_ASK_MAX];

	if (options & OPTION_SOA)
		transfer_ask_soa(t, ID, 1700000000, out, sizeof(out));
	else if (options & OPTION_IXFR)
		transfer_ask_ixfr(t, held, ID, 1700000000, out, sizeof(out));
	else
		transfer_ask_axfr(t, ID, 1700000000, out, sizeof(out));
}

static enum transfer_status run(struct transfer *t, uint8_t options, const struct generation *have,
				const struct generation *held, struct wire *w)
{
	enum transfer_status status = TRANSFER_MORE;

	while (wire_left(w) > 0 && (status == TRANSFER_MORE || status == TRANSFER_NEWER ||
				    status == TRANSFER_ASK_AGAIN)) {
		size_t len = wire_u16(w);

		if (status == TRANSFER_NEWER)
			options &= (uint8_t)~OPTION_SOA;
		if (status != TRANSFER_MORE)
			ask(t, options, held);
		if (len > wire_left(w))
			len = wire_left(w);
		status = feed(t, have, wire_bytes(w, len), len);
	}
	return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire w = wire_over(data, size);
	struct generation have = { .soa.serial = 5 }, *held = hold_zone();
	uint8_t options = wire_u8(&w);
	const struct tsig_key *key = options & OPTION_KEY ? &KEY : NULL;
	struct transfer *t = transfer_new(ORIGIN, key, &LIMITS);
	enum transfer_status status;

	ask(t, options, held);
	status = run(t, options, options & OPTION_HAVE ? &have : NULL, held, &w);
	assert((status == TRANSFER_FAILED) == (transfer_reason(t)[0] != '\0'));
	if (status == TRANSFER_DONE)
		finish(t);
	else
		transfer_close(t, "closed");
	transfer_free(t);
	assert(held->records == 5 && held->soa.serial == 5 && held->tree.count == 4);
	generation_free(held);
	return 0;
}
