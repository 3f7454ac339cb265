/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "cache/dns.h"
#include "proxy/probe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Input: flag bits of the ask, then a message. What is believed carries our ID and question. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t zone[] = "\7example\3com";
	uint8_t query[PROBE_QUERY_MAX];
	size_t query_len = probe_query(0, zone, query);
	struct probe_ask ask = { .zone = zone };
	struct probe_verdict v = { .cause = CAUSE_NONE };

	if (size < 1)
		return 0;
	ask.needs_aa = data[0] & 1;
	ask.any_reply = data[0] & 2;
	if (!probe_judge(&ask, query, query_len, data + 1, size - 1, &v))
		return 0;
	assert(size - 1 >= DNS_HEADER_LEN && memcmp(data + 1, query, 2) == 0);
	assert(!v.has_serial || !ask.any_reply);
	assert(v.cause != CAUSE_NONE || v.rcode == RCODE_NOERROR || ask.any_reply);
	return 0;
}
