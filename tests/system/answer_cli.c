/* SPDX-License-Identifier: ISC */
/*
 * answer_cli - answers from a zone file, without a network: the core alone.
 *
 * Usage:    answer_cli ORIGIN FILE
 * Input:    queries: u8 (1: by TCP) | u16 length | message         in network order
 * Output:   for each a reply: u16 length | message; length 0 when there is none
 */
#include <stdlib.h>

#include "cache/answer.h"
#include "cache/wire.h"
#include "tests/unit/fixture.c"

static size_t reply_to(const struct generation *g, bool is_tcp, const uint8_t *packet, size_t len,
		       uint8_t *out)
{
	static struct nsec3_hasher *hasher;
	struct name_key key;
	struct message m;

	if (!hasher)
		hasher = nsec3_hasher_new();
	nsec3_hasher_begin(hasher, 0);
	if (message_parse(packet, len, &m) != MESSAGE_OK)
		return 0;
	if (!name_is_at_or_below(m.qname, g->origin))
		return message_reply_error(&m, packet, RCODE_REFUSED, EDE_NONE, NULL, out, DNS_UDP_MAX);
	name_to_key(m.qname, &key);

	size_t udp_limit = message_udp_limit(&m) < DNS_EDNS_SIZE ? message_udp_limit(&m) : DNS_EDNS_SIZE;
	struct answer_ask ask = { .zone = g, .query = &m, .packet = packet, .key = &key, .hasher = hasher,
				  .is_tcp = is_tcp, .limit = is_tcp ? DNS_MESSAGE_MAX : udp_limit };

	return answer_write(&ask, out);
}

int main(int argc, char **argv)
{
	static uint8_t packet[DNS_MESSAGE_MAX], out[2 + DNS_MESSAGE_MAX];
	uint8_t head[3];

	if (argc != 3) {
		fprintf(stderr, "usage: answer_cli ORIGIN FILE\n");
		return 2;
	}
	FILE *file = fopen(argv[2], "r");

	if (!file) {
		perror(argv[2]);
		return 1;
	}
	struct generation *g = fixture_zone_from_file(argv[1], file);

	fclose(file);
	while (fread(head, sizeof(head), 1, stdin) == 1) {
		size_t len = wire_get_u16(head + 1);

		if (fread(packet, 1, len, stdin) != len)
			break;
		len = reply_to(g, head[0] == 1, packet, len, out + 2);
		wire_put_u16(out, (uint16_t)len);
		fwrite(out, 1, 2 + len, stdout);
		fflush(stdout);
	}
	generation_free(g);
	return 0;
}
