/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "proxy/denied.h"
#include "proxy/probe_judge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t origin[] = "\7example\3com", host[] = "\1w\7example\3com";

static struct generation *given_zone(void)
{
	struct zone_edit *e = zone_edit_new(origin, NULL, 0, 0);
	uint8_t soa[26] = "\1n\0\1h";
	enum zone_error why;

	soa[9] = 7;
	zone_edit_add(e, origin, TYPE_SOA, 60, soa, sizeof(soa));
	zone_edit_add(e, origin, TYPE_NS, 60, (const uint8_t *)"\1n", 3);
	zone_edit_add(e, host, TYPE_A, 60, (const uint8_t *)"\300\0\2\1", 4);
	return zone_edit_finish(e, 1, &why, NULL);
}

/* Input: what follows the question in a reply, behind two bytes of flags and two of its NSCOUNT. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct generation *zone;
	uint8_t reply[DNS_HEADER_LEN + NAME_LEN_MAX + 4 + 4096];
	struct message m;
	struct name_key key;
	size_t len;

	if (!zone)
		zone = given_zone();
	assert(zone);
	if (size < 4 || size > 4096)
		return 0;
	len = probe_question(7, host, TYPE_A, reply);
	if (message_parse(reply, len, &m) != MESSAGE_OK)
		return 0;
	name_to_key(m.qname, &key);
	memcpy(reply + 2, data, 2);
	memcpy(reply + 8, data + 2, 2);
	memcpy(reply + len, data + 4, size - 4);
	len += size - 4;
	if (denied_is_reply(zone, &m, &key, reply, len))
		assert(denied_is_denial(reply) && !(wire_get_u16(reply + 2) & DNS_TC));
	return 0;
}
