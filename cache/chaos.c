/* SPDX-License-Identifier: ISC */
#include "cache/chaos.h"

#include <assert.h>

#include "cache/response.h"

static const struct { const char *wire; enum chaos_name asks; } names[] = {
	{ "\2id\6server", CHAOS_IDENTITY }, { "\10hostname\4bind", CHAOS_IDENTITY },
	{ "\7version\6server", CHAOS_VERSION }, { "\7version\4bind", CHAOS_VERSION },
};

enum chaos_name chaos_asked(const struct message *m)
{
	bool is_question = m->opcode == OPCODE_QUERY && m->qclass == CLASS_CH &&
			   (m->qtype == TYPE_TXT || m->qtype == TYPE_ANY);

	for (unsigned i = 0; is_question && i < sizeof(names) / sizeof(names[0]); i++)
		if (name_is_equal((const uint8_t *)names[i].wire, m->qname))
			return names[i].asks;
	return CHAOS_NONE;
}

size_t chaos_write(const struct message *query, const uint8_t *packet, const char *text,
		   const struct edns_reply *edns, uint8_t *out, size_t limit)
{
	uint8_t rdata[2 + 1 + CHAOS_TEXT_MAX];	/* as in a zone: its length, then it */
	size_t len = strlen(text);
	struct rrset txt = { .type = TYPE_TXT, .count = 1, .rdata = rdata };
	struct response r;

	assert(len <= CHAOS_TEXT_MAX);
	wire_put_u16(rdata, (uint16_t)(1 + len));
	rdata[2] = (uint8_t)len;
	memcpy(rdata + 3, text, len);
	txt.rdata_len = (uint32_t)(3 + len);

	response_begin(&r, query, packet, edns, out, limit);
	r.class = CLASS_CH;
	if (!response_put(&r, SECTION_ANSWER, query->qname, &txt))
		r.flags |= DNS_TC;
	return response_end(&r, RCODE_NOERROR);
}
