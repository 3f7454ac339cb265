/* SPDX-License-Identifier: ISC */
/*
 * Input: u8 (bit 0: by TCP, bit 1: all that OPT can tell, bits 2 and 3: which chain, bit 4:
 * rotated) | a query. The zone is the root, so that every name is in it. Whatever comes out keeps
 * to the limit, echoes the question,
 * and parses by our own parser and by ldns.
 */
#include <assert.h>
#include <stdbool.h>	/* before ldns, which takes bool for a signed char without it */

#include <ldns/ldns.h>

#include "cache/answer.h"
#include "cache/cookie.h"
#include "cache/wire.h"
#include "tests/unit/fixture.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char zone_text[] =
	". 9 SOA a. b. 1 2 3 4 5\n. 9 NS a.\n. 9 NS a.f.\n. 9 A 192.0.2.9\n. 9 MX 1 a.\n"
	"a. 9 A 192.0.2.1\na. 9 AAAA 2001:db8::1\na. 9 SRV 1 2 3 a.\n"
	"*.b. 9 TXT \"x\"\n*.b. 9 MX 1 a.\n*.b. 9 MX 2 z.b.\nd.c.b. 9 A 192.0.2.2\n"
	"c. 9 CNAME d.\nd. 9 CNAME e.\ne. 9 CNAME c.\n*.c. 9 CNAME a.b.\n"
	"f. 9 NS a.f.\nf. 9 NS a.g.\na.f. 9 A 192.0.2.3\nf. 9 DS 1 13 2 00\n"
	"g. 9 NS a.g.\na.g. 9 AAAA 2001:db8::2\n"
	"h. 9 DNAME b.\ni. 9 DNAME i.\nj. 9 DNAME a.i.\n*.k. 9 CNAME a.k.\n"
	"l. 9 RRSIG A 13 1 9 20370101000000 20260101000000 1 . AAAA\nl. 9 A 192.0.2.4\n"
	"l. 9 NSEC a. A RRSIG NSEC\nl. 9 RRSIG NSEC 13 1 9 20370101000000 20260101000000 1 . AAAA\n";


/* What makes that zone prove its denials; the last chain has a gap, and nothing in it fits. */
static const char *const chains[] = {
	"",
	". 9 NSEC a. NS SOA NSEC\na. 9 NSEC *.b. A NSEC\n*.b. 9 NSEC d.c.b. TXT NSEC\n"
	"d.c.b. 9 NSEC f. A NSEC\nf. 9 NSEC l. NS NSEC\n",
	". 9 NSEC3PARAM 1 0 0 -\n"
	"0p9mhaveqvm6t7vbl5lop2u3t2rp3tom. 9 NSEC3 1 1 0 - 35mthgpgcu1qg68fab165klnsnk3dpvl A\n"
	"35mthgpgcu1qg68fab165klnsnk3dpvl. 9 NSEC3 1 1 0 - 35mthgpgcu1qg68fab165klnsnk3dpvl A\n"
	"kp5d59qpopn1gb6vl2pls3eg6o7uo6p9. 9 NSEC3 1 1 0 - 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom NS\n",
	". 9 NSEC3PARAM 1 0 300 ab\n"
	"35mthgpgcu1qg68fab165klnsnk3dpvl. 9 NSEC3 1 1 300 ab 35mthgpgcu1qg68fab165klnsnk3dpvl A\n",
};
enum { ZONES = 4 };

static struct generation *zone_with(const char *chain)
{
	char text[sizeof(zone_text) + 1024];

	snprintf(text, sizeof(text), "%s%s", zone_text, chain);
	return fixture_zone(".", text);
}

static void check(const struct answer_ask *ask, uint8_t *out, size_t len)
{
	const struct message *m = ask->query;
	struct message again;
	ldns_pkt *pkt = NULL;

	assert(len <= ask->limit && (wire_get_u16(out + 2) & DNS_QR));
	assert(memcmp(out + DNS_HEADER_LEN, ask->packet + DNS_HEADER_LEN,
		      m->question_end - (size_t)DNS_HEADER_LEN) == 0);
	assert(ldns_wire2pkt(&pkt, out, len) == LDNS_STATUS_OK);
	ldns_pkt_free(pkt);
	out[2] &= 0x7f;
	assert(message_parse(out, len, &again) == MESSAGE_OK && again.len == len);
	assert(again.edns.is_present == m->edns.is_present);
	assert(again.edns.cookie_len == (m->edns.cookie_len && ask->edns ? COOKIE_FULL_LEN : 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct generation *zones[ZONES];
	static struct nsec3_hasher *hasher;
	static uint8_t out[DNS_MESSAGE_MAX];
	static const uint8_t cookie[COOKIE_FULL_LEN] = "12345678abcdefghABCDEFGH";
	static const struct edns_reply edns = { .cookie = cookie, .has_zone = true, .keepalive = 1,
						.nsid = cookie, .nsid_len = sizeof(cookie) };
	struct name_key key;
	struct message m;

	for (unsigned i = 0; i < ZONES && !zones[i]; i++)
		zones[i] = zone_with(chains[i]);
	if (!hasher)
		hasher = nsec3_hasher_new();
	nsec3_hasher_begin(hasher, 0);
	if (size == 0 || message_parse(data + 1, size - 1, &m) != MESSAGE_OK)
		return 0;
	name_to_key(m.qname, &key);

	bool is_tcp = data[0] & 1;
	struct answer_ask ask = { .zone = zones[data[0] >> 2 & 3], .hasher = hasher,
				  .query = &m, .packet = data + 1, .key = &key,
				  .edns = data[0] & 2 ? &edns : NULL, .is_tcp = is_tcp,
				  .is_rotating = data[0] & 16,
				  .limit = is_tcp ? DNS_MESSAGE_MAX : message_udp_limit(&m) };

	check(&ask, out, answer_write(&ask, out));
	return 0;
}
