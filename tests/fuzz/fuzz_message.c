/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cache/cookie.h"
#include "cache/message.h"
#include "cache/wire.h"
#include "proxy/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t COOKIE[COOKIE_FULL_LEN];
static const struct edns_reply TELL = { .cookie = COOKIE };

static void check_fields(const struct message *m, const uint8_t *data, size_t size)
{
	assert(m->len <= size && m->question_end <= m->len);
	assert(m->qname_len == name_len(m->qname));
	assert(m->question_end == DNS_HEADER_LEN + m->qname_len + 4);
	assert(!m->edns.is_present || m->edns.size >= DNS_UDP_MAX);
	if (m->edns.cookie_len > 0) {
		assert(m->edns.cookie_len >= COOKIE_CLIENT_LEN && m->edns.cookie_len <= COOKIE_MAX);
		assert(m->edns.cookie > data && m->edns.cookie + m->edns.cookie_len <= data + m->len);
	}
}

/* A reply of ours, read as a query, is a good message that asks the same. */
static void check_reply(const struct message *m, const uint8_t *data, size_t cap)
{
	uint8_t *out = malloc(cap ? cap : 1);
	size_t len = message_reply_error(m, data, m->edns.is_present ? RCODE_BADVERS : RCODE_REFUSED,
					 EDE_OTHER, &TELL, out, cap);
	struct message r;

	assert(len <= cap);
	if (len > DNS_HEADER_LEN) {
		assert(message_parse(out, len, &r) == MESSAGE_DROP);
		out[2] &= 0x7f;
		enum message_verdict v = message_parse(out, len, &r);

		assert(v == MESSAGE_OK);
		assert(r.len == len && r.id == m->id && r.opcode == m->opcode);
		assert(r.qtype == m->qtype && memcmp(r.qname, m->qname, r.qname_len) == 0);
		assert(cap < 512 || r.edns.is_present == m->edns.is_present);
		assert(cap < 512 || (r.edns.cookie_len > 0) == (m->edns.cookie_len > 0));
	}
	free(out);
}

/* What is read out of a name makes that name again. */
static void check_guard(const struct message *m)
{
	struct guard_mark mark;
	uint8_t name[NAME_LEN_MAX];

	if (!guard_read(m->qname, &mark))
		return;
	assert(guard_is_likely(m->qname) && mark.number != 0);
	assert(guard_name(&mark, m->qname + 1 + GUARD_LABEL_LEN, name));
	assert(name_is_equal(name, m->qname));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct message m;
	uint8_t header[DNS_HEADER_LEN];
	enum message_verdict v = message_parse(data, size, &m);

	if (v == MESSAGE_DROP)
		return 0;
	assert(message_reply_short(&m, RCODE_FORMERR, header) == sizeof(header));
	assert(wire_get_u16(header) == m.id);
	if (v == MESSAGE_FORMERR || v == MESSAGE_NOTIMP)
		return 0;
	check_fields(&m, data, size);
	check_guard(&m);
	check_reply(&m, data, 512);
	check_reply(&m, data, m.len % 100);
	return 0;
}
