/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "cache/dns.h"
#include "cache/wire.h"
#include "proxy/sample.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t origin[] = "\7example\3com", host[] = "\1w\7example\3com";

/* SOA, NS, and at w two addresses and a mail exchanger. */
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
	return zone_edit_finish(e, 1, &why, NULL);
}

/* Input: which type was asked for, then a reply. Whatever it is, it gets one of four verdicts. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct generation *zone;
	struct sample s = { .type = TYPE_A };
	char text[SAMPLE_TEXT_MAX] = "";
	enum gate_sample said;

	if (!zone)
		zone = given_zone();
	assert(zone);
	if (size < 1)
		return 0;
	memcpy(s.name, host, sizeof(host));
	if (data[0] & 1)
		s.type = TYPE_MX;
	said = sample_compare(zone, &s, data + 1, size - 1, text);
	assert((said == SAMPLE_DIFFERS || said == SAMPLE_VANISHED) == (text[0] != '\0'));
	if (said == SAMPLE_SAME)
		assert(size - 1 > DNS_HEADER_LEN && (wire_get_u16(data + 3) & DNS_AA));
	return 0;
}
