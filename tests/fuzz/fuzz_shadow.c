/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "cache/dns.h"
#include "cache/wire.h"
#include "proxy/probe_judge.h"
#include "proxy/shadow.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t origin[] = "\7example\3com", host[] = "\1w\7example\3com",
		     alias[] = "\1a\7example\3com", cut[] = "\1s\7example\3com",
		     below[] = "\1x\1s\7example\3com", nothing[] = "\1n\7example\3com";

/* SOA, NS; at w two addresses and a mail exchanger; an alias to w; a delegation. */
static struct generation *given_zone(void)
{
	struct zone_edit *e = zone_edit_new(origin, NULL, 0, 0);
	uint8_t soa[26] = "\1n\0\1h";
	enum zone_error why;

	zone_edit_add(e, origin, TYPE_SOA, 60, soa, sizeof(soa));
	zone_edit_add(e, origin, TYPE_NS, 60, (const uint8_t *)"\1n", 3);
	zone_edit_add(e, host, TYPE_A, 60, (const uint8_t *)"\300\0\2\1", 4);
	zone_edit_add(e, host, TYPE_A, 60, (const uint8_t *)"\300\0\2\2", 4);
	zone_edit_add(e, host, TYPE_MX, 60, (const uint8_t *)"\0\1\1m\0", 5);
	zone_edit_add(e, alias, TYPE_CNAME, 60, host, sizeof(host));
	zone_edit_add(e, cut, TYPE_NS, 60, (const uint8_t *)"\1n", 3);
	return zone_edit_finish(e, 1, &why, NULL);
}

static const struct { const uint8_t *name; uint16_t type; } questions[] = {
	{ host, TYPE_A }, { host, TYPE_MX }, { alias, TYPE_A }, { below, TYPE_A },
	{ nothing, TYPE_A }, { origin, TYPE_SOA }, { host, TYPE_TXT }, { cut, TYPE_DS },
};

static void check_text(const struct shadow_side *side)
{
	char text[SHADOW_TEXT_MAX];

	shadow_text(side, text);
	assert(strlen(text) < sizeof(text));
	for (const char *p = text; *p; p++)
		assert(*p >= ' ' && *p <= '~');
}

/* Input: which question was asked, then a reply. Whatever it is, it gets one of three verdicts. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct generation *zone;
	static struct shadow *shadow;
	uint8_t query[PROBE_QUERY_MAX];
	struct shadow_side theirs, ours;
	struct name_key key;
	struct message m;
	struct shadow_ask ask = { .query = &m, .packet = query, .key = &key };
	enum shadow_verdict verdict;
	size_t len;

	if (!zone) {
		zone = given_zone();
		shadow = shadow_new();
	}
	assert(zone);
	if (size < 1)
		return 0;
	len = probe_question(0, questions[data[0] % 8].name, questions[data[0] % 8].type, query);
	if (message_parse(query, len, &m) != MESSAGE_OK)
		return 0;
	name_to_key(m.qname, &key);
	ask.zone = zone;
	ask.reply = data + 1;
	ask.len = size - 1;
	verdict = shadow_compare(shadow, &ask, &theirs, &ours);
	if (verdict == SHADOW_SAME)
		assert(size - 1 > DNS_HEADER_LEN && !(wire_get_u16(data + 3) & DNS_TC));
	if (verdict != SHADOW_DIFFERS)
		return 0;
	check_text(&theirs);
	check_text(&ours);
	return 0;
}
