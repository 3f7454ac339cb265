/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cache/cookie.h"
#include "cache/message.h"
#include "cache/wire.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define BYTES(s) (const uint8_t *)(s), sizeof(s) - 1

/* Parts of packets. The ID is 0x1234 throughout. */
#define HEADER(flags, counts)	"\x12\x34" flags counts
#define QUERY			"\x01\x00"	/* RD */
#define ONE_QUESTION		"\0\1\0\0\0\0\0\0"
#define AND_ADDITIONAL(n)	"\0\1\0\0\0\0\0" n
#define QNAME			"\3www\7Example\3com\0"
#define QUESTION		QNAME "\0\1\0\1"
#define OPT(size, ttl, rdata)	"\0\0\x29" size ttl rdata
#define PLAIN_OPT		OPT("\4\xd0", "\0\0\0\0", "\0\0")
#define TSIG			"\1k\0\0\xfa\0\xff\0\0\0\0\0\1!"
#define SIG0			"\0\0\x18\0\xff\0\0\0\0\0\2\0\0"
#define A_RECORD		"\xc0\x0c\0\1\0\1\0\0\0\1\0\4\1\2\3\4"
#define COOKIE8			"\0\x0a\0\x08" "abcdefgh"

static enum message_verdict parse(const uint8_t *packet, size_t len, struct message *m)
{
	/* In memory of its own size, so that a sanitizer sees any overrun. */
	uint8_t *copy = malloc(len ? len : 1);

	memcpy(copy, packet, len);
	memset(m, 0xee, sizeof(*m));
	enum message_verdict v = message_parse(copy, len, m);

	m->edns.cookie = m->edns.subnet = NULL;	/* they pointed into the copy */
	free(copy);
	return v;
}

/* What NSD 4.6.1 answers, from a run of it: silence, or the rcode in twelve bytes. */
static const struct {
	const char *what;
	const uint8_t *packet;
	size_t len;
	enum message_verdict verdict;
} inputs[] = {
	{ "nothing at all", BYTES(""), MESSAGE_DROP },
	{ "11 bytes", BYTES(HEADER(QUERY, "\0\1\0\0\0\0\0")), MESSAGE_DROP },
	{ "QR without question", BYTES(HEADER("\x80\0", "\0\0\0\0\0\0\0\0")), MESSAGE_DROP },
	{ "QR with question", BYTES(HEADER("\x84\0", ONE_QUESTION) QUESTION), MESSAGE_DROP },
	{ "QR, opcode 15", BYTES(HEADER("\xf8\0", ONE_QUESTION) QUESTION), MESSAGE_DROP },
	{ "QDCOUNT=0", BYTES(HEADER(QUERY, "\0\0\0\0\0\0\0\0")), MESSAGE_FORMERR },
	{ "QDCOUNT=0 with a question", BYTES(HEADER(QUERY, "\0\0\0\0\0\0\0\0") QUESTION),
	  MESSAGE_FORMERR },
	{ "QDCOUNT=2", BYTES(HEADER(QUERY, "\0\2\0\0\0\0\0\0") QUESTION QUESTION),
	  MESSAGE_FORMERR },
	{ "QDCOUNT=65535", BYTES(HEADER(QUERY, "\xff\xff\0\0\0\0\0\0") QUESTION), MESSAGE_FORMERR },
	{ "header alone", BYTES(HEADER(QUERY, ONE_QUESTION)), MESSAGE_FORMERR },
	{ "question without class", BYTES(HEADER(QUERY, ONE_QUESTION) QNAME "\0\1\0"),
	  MESSAGE_FORMERR },
	{ "label 0x40", BYTES(HEADER(QUERY, ONE_QUESTION) "\x40" "abc\0\0\1\0\1"),
	  MESSAGE_FORMERR },
	{ "pointer to itself", BYTES(HEADER(QUERY, ONE_QUESTION) "\xc0\x0c\0\1\0\1"),
	  MESSAGE_FORMERR },
	{ "pointer into the header", BYTES(HEADER(QUERY, ONE_QUESTION) "\xc0\5\0\1\0\1"),
	  MESSAGE_FORMERR },
	{ "label, then pointer into the header",
	  BYTES(HEADER(QUERY, ONE_QUESTION) "\1a\xc0\4\0\1\0\1"),
	  MESSAGE_FORMERR },
	{ "ANCOUNT=1, no data", BYTES(HEADER(QUERY, "\0\1\0\1\0\0\0\0") QUESTION),
	  MESSAGE_FORMERR },
	{ "NSCOUNT=65535, no data", BYTES(HEADER(QUERY, "\0\1\0\0\xff\xff\0\0") QUESTION),
	  MESSAGE_FORMERR },
	{ "ARCOUNT=2, one OPT", BYTES(HEADER(QUERY, AND_ADDITIONAL("\2")) QUESTION PLAIN_OPT),
	  MESSAGE_FORMERR },
	{ "two OPT", BYTES(HEADER(QUERY, AND_ADDITIONAL("\2")) QUESTION PLAIN_OPT PLAIN_OPT),
	  MESSAGE_FORMERR },
	{ "OPT in answer", BYTES(HEADER(QUERY, "\0\1\0\1\0\0\0\0") QUESTION PLAIN_OPT),
	  MESSAGE_FORMERR },
	{ "OPT in authority", BYTES(HEADER(QUERY, "\0\1\0\0\0\1\0\0") QUESTION PLAIN_OPT),
	  MESSAGE_FORMERR },
	{ "OPT not at the root",
	  BYTES(HEADER(QUERY, AND_ADDITIONAL("\1")) QUESTION "\1a" PLAIN_OPT), MESSAGE_FORMERR },
	{ "OPT shorter than RDLENGTH",
	  BYTES(HEADER(QUERY, AND_ADDITIONAL("\1")) QUESTION OPT("\4\xd0", "\0\0\0\0", "\0\5abcd")),
	  MESSAGE_FORMERR },
	{ "option longer than OPT",
	  BYTES(HEADER(QUERY, AND_ADDITIONAL("\1")) QUESTION
		OPT("\4\xd0", "\0\0\0\0", "\0\6\0\3\0\3ab")), MESSAGE_FORMERR },
	{ "half an option header",
	  BYTES(HEADER(QUERY, AND_ADDITIONAL("\1")) QUESTION
		OPT("\4\xd0", "\0\0\0\0", "\0\3\0\3\0")), MESSAGE_FORMERR },
	{ "COOKIE of 7 bytes",
	  BYTES(HEADER(QUERY, AND_ADDITIONAL("\1")) QUESTION
		OPT("\4\xd0", "\0\0\0\0", "\0\x0b\0\x0a\0\7abcdefg")), MESSAGE_FORMERR },
	{ "COOKIE of 15 bytes",
	  BYTES(HEADER(QUERY, AND_ADDITIONAL("\1")) QUESTION
		OPT("\4\xd0", "\0\0\0\0", "\0\x13\0\x0a\0\x0f" "abcdefghabcdefg")),
	  MESSAGE_FORMERR },
	{ "COOKIE of 41 bytes",
	  BYTES(HEADER(QUERY, AND_ADDITIONAL("\1")) QUESTION
		OPT("\4\xd0", "\0\0\0\0",
		    "\0\x2d\0\x0a\0\x29" "abcdefghabcdefghabcdefghabcdefghabcdefgh!")),
	  MESSAGE_FORMERR },
	{ "empty COOKIE",
	  BYTES(HEADER(QUERY, AND_ADDITIONAL("\1")) QUESTION
		OPT("\4\xd0", "\0\0\0\0", "\0\4\0\x0a\0\0")), MESSAGE_FORMERR },
	{ "TSIG before OPT", BYTES(HEADER(QUERY, AND_ADDITIONAL("\2")) QUESTION TSIG PLAIN_OPT),
	  MESSAGE_FORMERR },
	{ "two TSIG", BYTES(HEADER(QUERY, AND_ADDITIONAL("\2")) QUESTION TSIG TSIG),
	  MESSAGE_FORMERR },
	{ "TSIG in answer", BYTES(HEADER(QUERY, "\0\1\0\1\0\0\0\0") QUESTION TSIG),
	  MESSAGE_FORMERR },
	{ "record with a label 0x80",
	  BYTES(HEADER(QUERY, AND_ADDITIONAL("\1")) QUESTION "\x80" "\0\0\1\0\1\0\0\0\0\0\0"),
	  MESSAGE_FORMERR },
	{ "record that ends in its owner",
	  BYTES(HEADER(QUERY, AND_ADDITIONAL("\1")) QUESTION "\3ww"),
	  MESSAGE_FORMERR },
	{ "NOTIFY without question", BYTES(HEADER("\x24\0", "\0\0\0\0\0\0\0\0")), MESSAGE_FORMERR },
	{ "UPDATE without zone", BYTES(HEADER("\x28\0", "\0\0\0\0\0\0\0\0")), MESSAGE_FORMERR },
	{ "IQUERY without question", BYTES(HEADER("\x08\0", "\0\0\0\0\0\0\0\0")), MESSAGE_NOTIMP },
	{ "opcode 3 without question", BYTES(HEADER("\x18\0", "\0\0\0\0\0\0\0\0")),
	  MESSAGE_NOTIMP },
	{ "opcode 15, bytes that are no question",
	  BYTES(HEADER("\x78\0", ONE_QUESTION) "\x7f" "abc"),
	  MESSAGE_NOTIMP },
	{ "DSO", BYTES(HEADER("\x30\0", "\0\0\0\0\0\0\0\0") "\0\1\0\4\0\0\0\0"), MESSAGE_NOTIMP },
	{ "DSO with a question", BYTES(HEADER("\x30\0", ONE_QUESTION) QUESTION), MESSAGE_NOTIMP },
	{ "OPT version 1",
	  BYTES(HEADER(QUERY, AND_ADDITIONAL("\1")) QUESTION OPT("\4\xd0", "\0\1\0\0", "\0\0")),
	  MESSAGE_BADVERS },
	{ "OPT version 1, options of another shape",
	  BYTES(HEADER(QUERY, AND_ADDITIONAL("\1")) QUESTION OPT("\4\xd0", "\0\1\0\0", "\0\1!")),
	  MESSAGE_BADVERS },

	{ "query", BYTES(HEADER(QUERY, ONE_QUESTION) QUESTION), MESSAGE_OK },
	{ "query for the root", BYTES(HEADER(QUERY, ONE_QUESTION) "\0\0\2\0\1"), MESSAGE_OK },
	{ "query with OPT", BYTES(HEADER(QUERY, AND_ADDITIONAL("\1")) QUESTION PLAIN_OPT),
	  MESSAGE_OK },
	{ "trailing garbage", BYTES(HEADER(QUERY, ONE_QUESTION) QUESTION "garbage"), MESSAGE_OK },
	{ "opcode 15", BYTES(HEADER("\x78\0", ONE_QUESTION) QUESTION), MESSAGE_OK },
	{ "every flag but QR", BYTES(HEADER("\x07\xff", ONE_QUESTION) QUESTION), MESSAGE_OK },
	{ "record with a pointer that goes nowhere",
	  BYTES(HEADER(QUERY, AND_ADDITIONAL("\1")) QUESTION "\xff\xff\0\1\0\1\0\0\0\0\0\0"),
	  MESSAGE_OK },
	{ "IXFR with its SOA",
	  BYTES(HEADER("\0\0", "\0\1\0\0\0\1\0\0") QNAME "\0\xfb\0\1"
		"\xc0\x0c\0\6\0\1\0\0\0\0\0\x16\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
	  MESSAGE_OK },
	{ "NOTIFY with its SOA",
	  BYTES(HEADER("\x24\0", "\0\1\0\1\0\0\0\0") QNAME "\0\6\0\1"
		"\xc0\x0c\0\6\0\1\0\0\0\0\0\x16\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
	  MESSAGE_OK },
	{ "UPDATE: delete a name, add a record",
	  BYTES(HEADER("\x28\0", "\0\1\0\0\0\2\0\0") QNAME "\0\6\0\1"
		"\xc0\x0c\0\xff\0\xff\0\0\0\0\0\0" A_RECORD), MESSAGE_OK },
};

START_TEST(input_gets_the_verdict_that_nsd_gives)
{
	struct message m;
	enum message_verdict v = parse(inputs[_i].packet, inputs[_i].len, &m);

	ck_assert_msg(v == inputs[_i].verdict, "%s: verdict %d, not %d", inputs[_i].what, v,
		      inputs[_i].verdict);
	if (v != MESSAGE_DROP)
		ck_assert_uint_eq(m.id, 0x1234);
	if (v != MESSAGE_OK && v != MESSAGE_BADVERS)
		return;
	ck_assert_uint_le(m.len, inputs[_i].len);

	/* Cut anywhere, a good message is not one any more; nothing reads past the cut. */
	for (size_t len = 0; len < m.len; len++) {
		struct message cut;

		v = parse(inputs[_i].packet, len, &cut);
		ck_assert_msg(v != MESSAGE_OK && v != MESSAGE_BADVERS, "%s cut to %zu",
			      inputs[_i].what, len);
	}
}
END_TEST

START_TEST(name_of_256_bytes_is_formerr)
{
	uint8_t packet[12 + 256 + 4];
	struct message m;

	memcpy(packet, HEADER(QUERY, ONE_QUESTION), 12);
	for (size_t last = 61; last <= 62; last++) {	/* 3 * 64 + 1 + last + 1 */
		uint8_t *p = packet + 12;

		for (int i = 0; i < 4; i++) {
			*p = i < 3 ? 63 : (uint8_t)last;
			memset(p + 1, 'x', *p);
			p += 1 + *p;
		}
		memcpy(p, "\0\0\1\0\1", 5);
		ck_assert_int_eq(parse(packet, (size_t)(p + 5 - packet), &m),
				 last == 61 ? MESSAGE_OK : MESSAGE_FORMERR);
	}
}
END_TEST

/* The owner of a record: labels of `label_len`, `count` of them. */
static enum message_verdict parse_with_owner(uint8_t label_len, int count)
{
	uint8_t packet[600] = HEADER(QUERY, AND_ADDITIONAL("\1")) QUESTION;
	uint8_t *p = packet + sizeof(HEADER(QUERY, ONE_QUESTION) QUESTION) - 1;
	struct message m;

	for (; count > 0; count--) {
		*p = label_len;
		memset(p + 1, 'x', label_len);
		p += 1 + label_len;
	}
	return parse(packet, (size_t)(p + 11 - packet), &m);
}

START_TEST(owner_of_a_record_is_a_name)
{
	ck_assert_int_eq(parse_with_owner(63, 3), MESSAGE_OK);
	ck_assert_int_eq(parse_with_owner(1, 127), MESSAGE_OK);
	ck_assert_int_eq(parse_with_owner(1, 128), MESSAGE_FORMERR);
	ck_assert_int_eq(parse_with_owner(63, 4), MESSAGE_FORMERR);
	ck_assert_int_eq(parse_with_owner(64, 1), MESSAGE_FORMERR);
	ck_assert_int_eq(parse_with_owner(0xbf, 1), MESSAGE_FORMERR);
}
END_TEST

/* CVE-2021-36754, CVE-2015-5477 and their like: no type or class is special here. */
START_TEST(every_type_and_class_is_a_question)
{
	uint8_t packet[] = HEADER(QUERY, AND_ADDITIONAL("\1")) QUESTION PLAIN_OPT;
	uint8_t *type = packet + 12 + sizeof(QNAME) - 1;
	struct message m;

	for (unsigned i = 0; i < 65536; i++) {
		wire_put_u16(type, (uint16_t)i);
		wire_put_u16(type + 2, (uint16_t)(i * 257));
		ck_assert_int_eq(message_parse(packet, sizeof(packet) - 1, &m), MESSAGE_OK);
		ck_assert_uint_eq(m.qtype, i);
		ck_assert_uint_eq(m.qclass, (uint16_t)(i * 257));
	}
}
END_TEST

START_TEST(every_record_type_in_every_section_is_survived)
{
	uint8_t packet[] = HEADER(QUERY, "\0\1\0\0\0\0\0\0") QUESTION "\0\0\0\0\1\0\0\0\0\0\0";
	uint8_t *type = packet + sizeof(packet) - 1 - 10;

	for (unsigned i = 0; i < 65536; i++) {
		for (int section = 0; section < 3; section++) {
			struct message m;
			bool is_meta = i == TYPE_OPT || i == TYPE_TSIG;

			memset(packet + 6, 0, 6);
			packet[7 + 2 * section] = 1;
			wire_put_u16(type, (uint16_t)i);
			enum message_verdict v = message_parse(packet, sizeof(packet) - 1, &m);

			ck_assert_int_eq(v, is_meta && section < 2 ? MESSAGE_FORMERR : MESSAGE_OK);
		}
	}
}
END_TEST

START_TEST(fields_of_a_query_are_read)
{
	static const uint8_t packet[] =
		HEADER("\1\x30", AND_ADDITIONAL("\1")) QNAME "\0\x1c\0\1"
		OPT("\x10\0", "\0\0\x80\0", "\0\x10\0\3\0\0" COOKIE8) "garbage";
	struct message m;

	ck_assert_int_eq(message_parse(packet, sizeof(packet) - 1, &m), MESSAGE_OK);
	ck_assert_uint_eq(m.flags, DNS_RD | DNS_AD | DNS_CD);
	ck_assert_uint_eq(m.opcode, OPCODE_QUERY);
	ck_assert_uint_eq(m.qtype, TYPE_AAAA);
	ck_assert_uint_eq(m.qclass, CLASS_IN);
	ck_assert_uint_eq(m.qname_len, 17);
	ck_assert_mem_eq(m.qname, QNAME, 17);
	ck_assert_uint_eq(m.question_end, 12 + 17 + 4);
	ck_assert_uint_eq(m.len, sizeof(packet) - 1 - 7);
	ck_assert(m.edns.is_present && m.edns.dnssec_ok && m.edns.wants_nsid && !m.is_signed);
	ck_assert_uint_eq(m.edns.size, 4096);
	ck_assert_uint_eq(m.edns.cookie_len, 8);
	ck_assert_mem_eq(m.edns.cookie, "abcdefgh", 8);
}
END_TEST

START_TEST(plain_query_has_no_edns)
{
	struct message m;

	ck_assert_int_eq(parse(BYTES(HEADER(QUERY, ONE_QUESTION) QUESTION), &m), MESSAGE_OK);
	ck_assert(!m.edns.is_present && !m.edns.dnssec_ok && !m.edns.wants_nsid && !m.is_signed);
	ck_assert_uint_eq(m.edns.cookie_len, 0);
	ck_assert_uint_eq(message_udp_limit(&m), 512);
}
END_TEST

START_TEST(small_edns_size_counts_as_512)
{
	struct message m;

	parse(BYTES(HEADER(QUERY, AND_ADDITIONAL("\1")) QUESTION
		    OPT("\0\1", "\0\0\0\0", "\0\0")), &m);
	ck_assert_uint_eq(message_udp_limit(&m), 512);
	parse(BYTES(HEADER(QUERY, AND_ADDITIONAL("\1")) QUESTION PLAIN_OPT), &m);
	ck_assert_uint_eq(message_udp_limit(&m), 1232);
}
END_TEST

static const struct { const char *what; const uint8_t *packet; size_t len; } signed_ones[] = {
	{ "TSIG", BYTES(HEADER(QUERY, AND_ADDITIONAL("\1")) QUESTION TSIG) },
	{ "OPT and TSIG", BYTES(HEADER(QUERY, AND_ADDITIONAL("\2")) QUESTION PLAIN_OPT TSIG) },
	{ "SIG(0)", BYTES(HEADER(QUERY, AND_ADDITIONAL("\1")) QUESTION SIG0) },
	{ "SIG(0) before OPT", BYTES(HEADER(QUERY, AND_ADDITIONAL("\2")) QUESTION SIG0 PLAIN_OPT) },
	{ "SIG(0) and TSIG", BYTES(HEADER(QUERY, AND_ADDITIONAL("\2")) QUESTION SIG0 TSIG) },
};

START_TEST(signed_message_is_known_as_such)
{
	struct message m;

	ck_assert_int_eq(parse(signed_ones[_i].packet, signed_ones[_i].len, &m), MESSAGE_OK);
	ck_assert_msg(m.is_signed, "%s", signed_ones[_i].what);
}
END_TEST

START_TEST(first_of_two_cookies_counts)
{
	static const uint8_t packet[] = HEADER(QUERY, AND_ADDITIONAL("\1")) QUESTION
		OPT("\4\xd0", "\0\0\0\0", "\0\x18" COOKIE8 "\0\x0a\0\x08" "ijklmnop");
	struct message m;

	ck_assert_int_eq(message_parse(packet, sizeof(packet) - 1, &m), MESSAGE_OK);
	ck_assert_mem_eq(m.edns.cookie, "abcdefgh", 8);
}
END_TEST

START_TEST(options_beyond_the_32nd_are_not_looked_at)
{
	uint8_t packet[512] = HEADER(QUERY, AND_ADDITIONAL("\1")) QUESTION PLAIN_OPT;
	size_t end = sizeof(HEADER(QUERY, AND_ADDITIONAL("\1")) QUESTION PLAIN_OPT) - 1;
	struct message m;

	for (unsigned before = 31; before <= 32; before++) {	/* empty options 0, then NSID */
		memset(packet + end, 0, 4 * before);
		wire_put_u32(packet + end + 4 * before, EDNS_NSID << 16);
		wire_put_u16(packet + end - 2, (uint16_t)(4 * before + 4));
		ck_assert_int_eq(message_parse(packet, end + 4 * before + 4, &m), MESSAGE_OK);
		ck_assert_int_eq(m.edns.wants_nsid, before < 32);
	}
}
END_TEST

START_TEST(message_of_64_kilobytes_of_records_is_walked)
{
	uint8_t *packet = calloc(1, 70000);
	struct message m;
	size_t at = 12 + 5;
	uint16_t count = 0;

	memcpy(packet, HEADER(QUERY, ONE_QUESTION) "\0\0\1\0\1", at);
	for (; at + 11 <= DNS_MESSAGE_MAX; at += 11)
		packet[at + 2] = 1, count++;
	wire_put_u16(packet + 6, count);
	ck_assert_int_eq(message_parse(packet, DNS_MESSAGE_MAX, &m), MESSAGE_OK);
	ck_assert_uint_eq(m.len, at);
	wire_put_u16(packet + 6, (uint16_t)(count + 1));
	ck_assert_int_eq(message_parse(packet, DNS_MESSAGE_MAX, &m), MESSAGE_FORMERR);
	ck_assert_int_eq(message_parse(packet, 70000, &m), MESSAGE_FORMERR);
	free(packet);
}
END_TEST

/* Replies */

START_TEST(short_reply_echoes_nothing_of_the_body)
{
	uint8_t out[DNS_HEADER_LEN];
	struct message m;

	parse(BYTES(HEADER("\x27\xff", "\0\0\0\1\0\2\0\3") "attack"), &m);
	ck_assert_uint_eq(message_reply_short(&m, RCODE_FORMERR, out), 12);
	ck_assert_mem_eq(out, "\x12\x34\xa1\x01\0\0\0\0\0\0\0\0", 12);
}
END_TEST

static const uint8_t FULL_COOKIE[COOKIE_FULL_LEN + 1] = "abcdefghSERVERCOOKIE1234";

#define QUERY_WITH_COOKIE \
	HEADER("\1\x10", AND_ADDITIONAL("\1")) QUESTION \
	OPT("\4\xd0", "\0\0\x80\0", "\0\x0c" COOKIE8)

static const struct {
	const char *what;
	const uint8_t *query;
	size_t query_len;
	enum dns_rcode rcode;
	enum dns_ede ede;
	const uint8_t *cookie;
	const uint8_t *reply;
	size_t reply_len;
} replies[] = {
	{ "without EDNS nothing is added", BYTES(HEADER(QUERY, ONE_QUESTION) QUESTION),
	  RCODE_REFUSED, EDE_NOT_AUTHORITATIVE, FULL_COOKIE,
	  BYTES(HEADER("\x81\x05", ONE_QUESTION) QUESTION) },
	{ "with EDNS there is OPT", BYTES(HEADER("\0\0", AND_ADDITIONAL("\1")) QUESTION PLAIN_OPT),
	  RCODE_SERVFAIL, EDE_NONE, FULL_COOKIE,
	  BYTES(HEADER("\x80\x02", AND_ADDITIONAL("\1")) QUESTION PLAIN_OPT) },
	{ "EDE, DO, CD and COOKIE", BYTES(QUERY_WITH_COOKIE),
	  RCODE_SERVFAIL, EDE_NO_REACHABLE_AUTHORITY, FULL_COOKIE,
	  BYTES(HEADER("\x81\x12", AND_ADDITIONAL("\1")) QUESTION
		OPT("\4\xd0", "\0\0\x80\0",
		    "\0\x22\0\x0a\0\x18" "abcdefghSERVERCOOKIE1234" "\0\x0f\0\2\0\x16")) },
	{ "COOKIE only if there is one to give", BYTES(QUERY_WITH_COOKIE),
	  RCODE_REFUSED, EDE_PROHIBITED, NULL,
	  BYTES(HEADER("\x81\x15", AND_ADDITIONAL("\1")) QUESTION
		OPT("\4\xd0", "\0\0\x80\0", "\0\6\0\x0f\0\2\0\x12")) },
	{ "BADVERS has its upper bits in OPT, and our version",
	  BYTES(HEADER(QUERY, AND_ADDITIONAL("\1")) QUESTION OPT("\4\xd0", "\0\1\x80\0", "\0\0")),
	  RCODE_BADVERS, EDE_NONE, NULL,
	  BYTES(HEADER("\x81\0", AND_ADDITIONAL("\1")) QUESTION
		OPT("\4\xd0", "\1\0\x80\0", "\0\0")) },
	{ "AA, TC, RA, Z and AD of the query are not ours",
	  BYTES(HEADER("\7\xff", ONE_QUESTION) QUESTION),
	  RCODE_NXDOMAIN, EDE_NONE, NULL, BYTES(HEADER("\x81\x13", ONE_QUESTION) QUESTION) },
	{ "opcode is kept, garbage is not",
	  BYTES(HEADER("\x28\0", ONE_QUESTION) QUESTION "garbage"),
	  RCODE_REFUSED, EDE_NONE, NULL, BYTES(HEADER("\xa8\5", ONE_QUESTION) QUESTION) },
};

START_TEST(error_reply_is_what_the_client_is_owed)
{
	uint8_t out[512];
	struct edns_reply edns = { .cookie = replies[_i].cookie };
	struct message m;

	message_parse(replies[_i].query, replies[_i].query_len, &m);
	size_t len = message_reply_error(&m, replies[_i].query, replies[_i].rcode, replies[_i].ede,
					 &edns, out, sizeof(out));

	ck_assert_msg(len == replies[_i].reply_len, "%s: %zu bytes", replies[_i].what, len);
	ck_assert_msg(memcmp(out, replies[_i].reply, len) == 0, "%s", replies[_i].what);
}
END_TEST

START_TEST(reply_never_exceeds_its_room)
{
	static const uint8_t query[] = QUERY_WITH_COOKIE;
	static const struct edns_reply edns = { .cookie = FULL_COOKIE };
	enum { QUESTION_END = 33, WITH_OPT = 44, WITH_COOKIE = 72, WHOLE = 78 };
	struct message m;

	message_parse(query, sizeof(query) - 1, &m);
	for (size_t cap = 0; cap <= 100; cap++) {
		uint8_t *out = malloc(cap ? cap : 1);
		size_t len = message_reply_error(&m, query, RCODE_SERVFAIL, EDE_OTHER, &edns,
						 out, cap);
		size_t want = cap >= WHOLE ? WHOLE : cap >= WITH_COOKIE ? WITH_COOKIE :
			      cap >= WITH_OPT + 6 ? WITH_OPT + 6 : cap >= WITH_OPT ? WITH_OPT :
			      cap >= QUESTION_END ? QUESTION_END : cap >= 12 ? 12 : 0;

		ck_assert_msg(len == want, "%zu bytes of room: %zu, not %zu", cap, len, want);
		if (len > 0)
			ck_assert_uint_eq(wire_get_u16(out + 10), len >= WITH_OPT);
		free(out);
	}
}
END_TEST

/* A referral with one record in each section but the first, as sent by a server. */
static const uint8_t REPLY[] = "\0\1\204\0\0\1\0\1\0\0\0\1"
			       "\3www\7example\3com\0\0\1\0\1"
			       "\300\14\0\1\0\1\0\0\1\54\0\4\300\0\2\1"
			       "\0\0\51\4\320\0\0\0\0\0\0";

START_TEST(reply_is_whole_only_with_every_record_it_promises)
{
	uint8_t reply[sizeof(REPLY)];
	size_t len = sizeof(REPLY) - 1;

	memcpy(reply, REPLY, len);
	ck_assert(message_reply_is_whole(reply, len));
	for (size_t cut = 12; cut < len; cut++)
		ck_assert_msg(!message_reply_is_whole(reply, cut), "cut at %zu", cut);
	reply[2] |= 0x02;
	ck_assert(message_reply_is_whole(reply, 40));	/* TC: cut by its sender */
	reply[2] &= (uint8_t)~0x02;
	reply[9] = 1;					/* one more is promised */
	ck_assert(!message_reply_is_whole(reply, len));
}
END_TEST

static TCase *parse_case(void)
{
	TCase *tc = tcase_create("parse");

	tcase_add_loop_test(tc, input_gets_the_verdict_that_nsd_gives, 0, COUNT(inputs));
	tcase_add_test(tc, reply_is_whole_only_with_every_record_it_promises);
	tcase_add_test(tc, name_of_256_bytes_is_formerr);
	tcase_add_test(tc, owner_of_a_record_is_a_name);
	tcase_add_test(tc, every_type_and_class_is_a_question);
	tcase_add_test(tc, every_record_type_in_every_section_is_survived);
	tcase_add_test(tc, fields_of_a_query_are_read);
	tcase_add_test(tc, plain_query_has_no_edns);
	tcase_add_test(tc, small_edns_size_counts_as_512);
	tcase_add_loop_test(tc, signed_message_is_known_as_such, 0, COUNT(signed_ones));
	tcase_add_test(tc, first_of_two_cookies_counts);
	tcase_add_test(tc, options_beyond_the_32nd_are_not_looked_at);
	tcase_add_test(tc, message_of_64_kilobytes_of_records_is_walked);
	return tc;
}

/* ---- The serial of a SOA ---- */

#define ZONE "\7example\3com\0"
#define TIMES "\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1"
#define SOA_OF(owner, class, rdlength, serial) \
	owner "\0\6\0" class "\0\0\0\74\0" rdlength "\1n\0\1h\0" serial TIMES
#define A_OF_ZONE ZONE "\0\1\0\1\0\0\0\74\0\4\300\0\2\1"

static const struct { const char *what; const char *bytes; size_t len; unsigned count; bool is_found, is_bad; } serials[] = {
#define ROW(what, bytes, count, is_found, is_bad) { what, bytes, sizeof(bytes) - 1, count, is_found, is_bad }
	ROW("the zone's", SOA_OF(ZONE, "\1", "\32", "\0\0\0\7"), 1, true, false),
	ROW("in another case", SOA_OF("\7EXAMPLE\3com\0", "\1", "\32", "\0\0\0\7"), 1, true, false),
	ROW("behind another record", A_OF_ZONE SOA_OF(ZONE, "\1", "\32", "\0\0\0\7"), 2, true, false),
	ROW("behind those that count", A_OF_ZONE SOA_OF(ZONE, "\1", "\32", "\0\0\0\7"), 1, false, false),
	ROW("of none", "", 0, false, false),
	ROW("of another zone", SOA_OF("\3org\0", "\1", "\32", "\0\0\0\7"), 1, false, false),
	ROW("of another class", SOA_OF(ZONE, "\3", "\32", "\0\0\0\7"), 1, false, false),
	ROW("whose length lies", SOA_OF(ZONE, "\1", "\33", "\0\0\0\7"), 1, false, true),
	ROW("cut in its numbers", ZONE "\0\6\0\1\0\0\0\74\0\32\1n\0\1h\0\0\0", 1, false, true),
	ROW("cut in its first name", ZONE "\0\6\0\1\0\0\0\74\0\32\1", 1, false, true),
	ROW("cut in its second name", ZONE "\0\6\0\1\0\0\0\74\0\32\1n\0\1", 1, false, true),
	ROW("of an owner that is cut", "\7exam", 1, false, true),
	ROW("behind a record that is cut", ZONE "\0\1\0\1\0\0\0\74\0\4\300", 2, false, true),
#undef ROW
};

START_TEST(serial_is_that_of_the_zone_or_none)
{
	struct wire w = wire_over((const uint8_t *)serials[_i].bytes, serials[_i].len);
	uint32_t serial = 0;
	bool is_found = message_find_serial(&w, serials[_i].count, (const uint8_t *)ZONE, &serial);

	ck_assert_msg(is_found == serials[_i].is_found && w.bad == serials[_i].is_bad, "%s", serials[_i].what);
	ck_assert(!is_found || serial == 7);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("message");
	TCase *tc = tcase_create("reply");

	tcase_add_test(tc, short_reply_echoes_nothing_of_the_body);
	tcase_add_loop_test(tc, error_reply_is_what_the_client_is_owed, 0, COUNT(replies));
	tcase_add_test(tc, reply_never_exceeds_its_room);
	suite_add_tcase(s, parse_case());
	tcase_add_loop_test(tc, serial_is_that_of_the_zone_or_none, 0, sizeof(serials) / sizeof(serials[0]));
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
