/* SPDX-License-Identifier: ISC */
/*
 * Input: u8 (what we could tell) | u8 (room for OPT) | u32 TTL | u16 class | rdata of an OPT.
 * What is parsed points into the input; what is written fits, says what was asked for, and is
 * parsed again.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "cache/cookie.h"
#include "cache/edns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD_LEN = 8, OPT_LEN = 11 };

static void check_inside(const uint8_t *value, size_t len, const uint8_t *rdata, size_t rdata_len)
{
	if (len > 0)
		assert(value >= rdata + 4 && value + len <= rdata + rdata_len);
}

static void check_parsed(const struct edns *e, const uint8_t *rdata, size_t len)
{
	assert(e->is_present && e->size >= DNS_UDP_MAX);
	assert(e->cookie_len == 0 ||
	       (e->cookie_len >= COOKIE_CLIENT_LEN && e->cookie_len <= COOKIE_MAX));
	assert(e->subnet_len == 0 || (e->subnet_len >= 4 && e->subnet_len <= 20));
	check_inside(e->cookie, e->cookie_len, rdata, len);
	check_inside(e->subnet, e->subnet_len, rdata, len);
}

static void check_written(const struct edns *e, const struct edns_reply *reply, size_t cap)
{
	uint8_t *out = malloc(cap ? cap : 1);
	struct wire_out o = wire_into(out, cap);
	struct edns again = { 0 };
	size_t whole = edns_len(e, reply) + EDNS_EDE_LEN;

	assert(whole <= DNS_UDP_MAX - (12 + 255 + 4));
	if (edns_write(&o, e, reply, RCODE_SERVFAIL, EDE_OTHER)) {
		assert(o.len >= OPT_LEN && o.len <= whole && (cap < whole || o.len == whole));
		assert(wire_get_u16(out + 9) == o.len - OPT_LEN);
		assert(edns_parse(&again, 1232, wire_get_u32(out + 5), out + OPT_LEN, o.len - OPT_LEN));
		assert(again.dnssec_ok == e->dnssec_ok && again.version == 0);
		if (cap >= whole) {
			assert((again.cookie_len > 0) == (e->cookie_len > 0 && reply->cookie));
			assert(again.wants_nsid == (e->wants_nsid && reply->nsid_len > 0));
			assert(again.subnet_len == e->subnet_len);
		}
	} else {
		assert(o.len == 0 && cap < OPT_LEN);
	}
	assert(!o.full);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t bytes[EDNS_NSID_MAX];
	struct edns e = { 0 };

	if (size < HEAD_LEN)
		return 0;

	struct edns_reply reply = {
		.cookie = data[0] & 1 ? bytes : NULL, .nsid = bytes,
		.nsid_len = data[0] & 2 ? EDNS_NSID_MAX : 0, .has_zone = data[0] & 4,
		.keepalive = data[0] & 8,
	};
	const uint8_t *rdata = data + HEAD_LEN;

	if (!edns_parse(&e, wire_get_u16(data + 6), wire_get_u32(data + 2), rdata, size - HEAD_LEN))
		return 0;
	check_parsed(&e, rdata, size - HEAD_LEN);
	check_written(&e, &reply, data[1]);
	check_written(&e, &reply, DNS_UDP_MAX);
	return 0;
}
