/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cache/dns.h"
#include "cache/transfer.h"
#include "cache/wire.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define NOW 1700000000ull

enum { SOA_ID = 0x1111, AXFR_ID = 0x2222, IXFR_ID = 0x3333, MESSAGE_MAX = 4096 };

#define OPT	"\0\0\x29\x04\xd0\0\0\0\0\0\4\0\11\0\0"	/* asks for EXPIRE */
#define OPT_LEN	15

static const uint8_t ORIGIN[] = "\7example\3com";
static const struct transfer_limits LIMITS = { 1000, 1 << 20, 3, 0 };
static struct transfer *transfer;

static void setup(void)
{
	transfer = transfer_new(ORIGIN, NULL, &LIMITS);
}

static void teardown(void)
{
	transfer_free(transfer);
}

/* ---- Messages ---- */

/*
 * A message is a string of records, each a letter: see put_record(). All else is as it should
 * be for the request at hand, but for what is not zero here.
 */
struct message {
	const char *records;
	uint16_t id_xor, flags_xor, qtype;
	int more_questions;
	unsigned missing, authority;	/* missing: counted, but not there */
	const char *opt;		/* of an OPT in the additional section; the first byte: its length */
	const char *qname;
	size_t cut, junk;
};

#define SAY(...) { .records = __VA_ARGS__ }

static uint16_t asked_id, asked_type;

static void put_rdata(struct wire_out *o, const void *bytes, size_t len)
{
	wire_add_u16(o, (uint16_t)len);
	wire_add_bytes(o, bytes, len);
}

static void put_head(struct wire_out *o, const char *owner, uint16_t type, uint16_t class)
{
	uint8_t name[NAME_LEN_MAX];

	wire_add_bytes(o, name, name_from_text(owner, name));
	wire_add_u16(o, type);
	wire_add_u16(o, class);
	wire_add_u32(o, 60);
}

static void put_soa_timed(struct wire_out *o, const char *owner, uint32_t serial, uint32_t refresh)
{
	put_head(o, owner, TYPE_SOA, CLASS_IN);
	wire_add_u16(o, 24);
	wire_add_bytes(o, "\xc0\x0c\xc0\x0c", 4);	/* compressed: the question's name */
	wire_add_u32(o, serial);
	wire_add_u32(o, refresh);
	wire_add_bytes(o, "\0\0\2\x58\0\1\x51\x80\0\0\0\74", 12);
}

static void put_soa(struct wire_out *o, const char *owner, uint32_t serial)
{
	put_soa_timed(o, owner, serial, 3600);
}

static void put_record(struct wire_out *o, char what)
{
	char host[] = "hostX.example.com";

	switch (what) {
	case 'S': put_soa(o, "example.com", 7); break;
	case 'C': put_soa(o, "EXAMPLE.com", 7); break;
	case '5': put_soa(o, "example.com", 5); break;
	case '6': put_soa(o, "example.com", 6); break;
	case '8': put_soa(o, "example.com", 8); break;
	case 'X': put_soa_timed(o, "example.com", 7, 1); break;
	case 'Y': put_soa_timed(o, "example.com", 5, 1); break;
	case 'B': put_soa(o, "below.example.com", 7); break;
	case 'F': put_soa(o, "example.net", 7); break;
	case 'N': put_head(o, "example.com", TYPE_NS, CLASS_IN); put_rdata(o, "\2ns\xc0\x0c", 5); break;
	case 'A': put_head(o, "www.example.com", TYPE_A, CLASS_IN); put_rdata(o, "\1\2\3\4", 4); break;
	case 'O': put_head(o, "www.example.net", TYPE_A, CLASS_IN); put_rdata(o, "\1\2\3\4", 4); break;
	case 'H': put_head(o, "www.example.com", TYPE_A, CLASS_CH); put_rdata(o, "\1\2\3\4", 4); break;
	case 'L': put_head(o, "www.example.com", TYPE_A, CLASS_IN); put_rdata(o, "\1\2\3\4\5", 5); break;
	case 'M': put_head(o, "example.com", TYPE_MX, CLASS_IN); put_rdata(o, "\0\1\7exam", 7); break;
	case 'E': put_head(o, "www.example.com", TYPE_CNAME, CLASS_IN); put_rdata(o, "\xc0\x0c", 2); break;
	case 'P': put_head(o, ".", TYPE_OPT, CLASS_IN); put_rdata(o, "", 0); break;
	case 'T': put_head(o, "example.com", TYPE_ANY, CLASS_IN); put_rdata(o, "", 0); break;
	case 'Z': put_head(o, "example.com", 0, CLASS_IN); put_rdata(o, "", 0); break;
	case 'U': put_head(o, "example.com", 65280, CLASS_IN); put_rdata(o, "any", 3); break;
	case 'V': put_head(o, "big.example.com", TYPE_A, CLASS_IN); wire_add_u16(o, 65535); break;
	default:
		host[4] = what;
		put_head(o, host, TYPE_A, CLASS_IN);
		put_rdata(o, "\1\2\3\4", 4);
	}
}

static size_t write_message(const struct message *m, uint8_t out[MESSAGE_MAX])
{
	struct wire_out o = wire_into(out, MESSAGE_MAX);
	uint8_t name[NAME_LEN_MAX];

	wire_add_u16(&o, asked_id ^ m->id_xor);
	wire_add_u16(&o, (DNS_QR | DNS_AA) ^ m->flags_xor);
	wire_add_u16(&o, (uint16_t)(1 + m->more_questions));
	wire_add_u16(&o, (uint16_t)(strlen(m->records) + m->missing - m->authority));
	wire_add_u16(&o, (uint16_t)m->authority);
	wire_add_u16(&o, m->opt != NULL);
	for (int i = 0; i < 1 + m->more_questions; i++) {
		wire_add_bytes(&o, name, name_from_text(m->qname ? m->qname : "example.com", name));
		wire_add_u16(&o, m->qtype ? m->qtype : asked_type);
		wire_add_u16(&o, CLASS_IN);
	}
	for (const char *r = m->records; *r; r++)
		put_record(&o, *r);
	if (m->opt) {
		wire_add_bytes(&o, "\0\0\51\4\320\0\0\0\0", 9);
		put_rdata(&o, m->opt + 1, (size_t)m->opt[0]);
	}
	for (size_t i = 0; i < m->junk; i++)
		wire_add_u8(&o, 0);
	ck_assert(!o.full);
	return o.len - m->cut;
}

static enum transfer_status take(const struct message *m, const struct generation *have)
{
	uint8_t bytes[MESSAGE_MAX];
	size_t len = write_message(m, bytes);
	uint8_t *exact = malloc(len ? len : 1);	/* so that a read past the end is seen */
	enum transfer_status status;

	memcpy(exact, bytes, len);
	status = transfer_take_message(transfer, have, exact, len, NOW);
	free(exact);
	return status;
}

static void given_soa_asked(void)
{
	uint8_t out[TRANSFER_ASK_MAX];

	asked_id = SOA_ID;
	asked_type = TYPE_SOA;
	transfer_ask_soa(transfer, SOA_ID, NOW, out, sizeof(out));
}

static void given_axfr_asked(void)
{
	uint8_t out[TRANSFER_ASK_MAX];

	asked_id = AXFR_ID;
	asked_type = TYPE_AXFR;
	transfer_ask_axfr(transfer, AXFR_ID, NOW, out, sizeof(out));
}

/* ---- Requests ---- */

START_TEST(requests_are_plain_queries_of_class_in)
{
	uint8_t out[TRANSFER_ASK_MAX];
	size_t len = transfer_ask_soa(transfer, SOA_ID, NOW, out, sizeof(out));

	ck_assert_uint_eq(len, 29 + OPT_LEN);
	ck_assert_mem_eq(out, "\x11\x11\0\0\0\1\0\0\0\0\0\1\7example\3com\0\0\6\0\1" OPT, len);
}
END_TEST

START_TEST(axfr_is_asked_with_an_id_of_its_own)
{
	uint8_t out[TRANSFER_ASK_MAX];

	ck_assert_uint_eq(transfer_ask_axfr(transfer, AXFR_ID, NOW, out, sizeof(out)), 29 + OPT_LEN);
	ck_assert_mem_eq(out, "\x22\x22\0\0\0\1\0\0\0\0\0\1\7example\3com\0\0\xfc\0\1" OPT,
			 29 + OPT_LEN);
}
END_TEST

START_TEST(who_does_not_know_edns_is_asked_without)
{
	uint8_t out[TRANSFER_ASK_MAX];

	given_soa_asked();
	ck_assert_int_eq(take(&(struct message)SAY("", .flags_xor = RCODE_FORMERR), NULL),
			 TRANSFER_ASK_AGAIN);
	ck_assert_uint_eq(transfer_ask_soa(transfer, SOA_ID, NOW, out, sizeof(out)), 29);
	ck_assert_mem_eq(out, "\x11\x11\0\0\0\1\0\0\0\0\0\0\7example\3com\0\0\6\0\1", 29);
	ck_assert_int_eq(take(&(struct message)SAY("S"), NULL), TRANSFER_NEWER);
	given_axfr_asked();
	ck_assert_int_eq(take(&(struct message)SAY("", .flags_xor = RCODE_FORMERR), NULL), TRANSFER_FAILED);
	ck_assert_str_eq(transfer_reason(transfer), "primary answers FORMERR");
}
END_TEST

static const struct {
	const char *what, *opt;
	uint32_t expect;
} expires[] = {
	{ "none", NULL, UINT32_MAX },
	{ "nothing in OPT", "\0", UINT32_MAX },
	{ "a day", "\10\0\11\0\4\0\1\121\200", 86400 },
	{ "behind another option", "\15\0\3\0\1x\0\11\0\4\0\0\0\2", 2 },
	{ "zero", "\10\0\11\0\4\0\0\0\0", UINT32_MAX },
	{ "without a value", "\4\0\11\0\0", UINT32_MAX },
	{ "of another length", "\7\0\11\0\3\0\0\1", UINT32_MAX },
	{ "longer than OPT", "\6\0\11\0\4\0\1", UINT32_MAX },
};

START_TEST(expire_option_is_read)
{
	given_soa_asked();
	ck_assert_int_eq(take(&(struct message)SAY("S", .opt = expires[_i].opt), NULL), TRANSFER_NEWER);
	ck_assert_msg(transfer_expire_s(transfer) == expires[_i].expect, "%s: %u", expires[_i].what,
		      transfer_expire_s(transfer));
}
END_TEST

/* ---- The reply to SOA ---- */

static const struct {
	const char *what;
	bool have;
	uint32_t held;
	enum transfer_status expect;
	struct message m;
} soa_replies[] = {
	{ "nothing held", false, 0, TRANSFER_NEWER, SAY("S") },
	{ "older held", true, 6, TRANSFER_NEWER, SAY("S") },
	{ "the same held", true, 7, TRANSFER_UP_TO_DATE, SAY("S") },
	{ "newer held", true, 8, TRANSFER_UP_TO_DATE, SAY("S") },
	{ "older across the wrap", true, 0xfffffff0, TRANSFER_NEWER, SAY("S") },
	{ "at distance 2^31", true, 7 + 0x80000000u, TRANSFER_UP_TO_DATE, SAY("S") },
	{ "owner in another case", false, 0, TRANSFER_NEWER, SAY("C") },
	{ "NS in authority", false, 0, TRANSFER_NEWER, SAY("SN", .authority = 1) },
	{ "no SOA", false, 0, TRANSFER_FAILED, SAY("A") },
	{ "no answer", false, 0, TRANSFER_FAILED, SAY("") },
	{ "SOA in authority only", false, 0, TRANSFER_FAILED, SAY("S", .authority = 1) },
	{ "SOA of another zone", false, 0, TRANSFER_FAILED, SAY("F") },
	{ "AA clear", false, 0, TRANSFER_FAILED, SAY("S", .flags_xor = DNS_AA) },
	{ "another ID", false, 0, TRANSFER_FAILED, SAY("S", .id_xor = 1) },
	{ "question of another type", false, 0, TRANSFER_FAILED, SAY("S", .qtype = TYPE_AXFR) },
	{ "no question", false, 0, TRANSFER_FAILED, SAY("S", .more_questions = -1) },
	{ "SERVFAIL", false, 0, TRANSFER_FAILED, SAY("", .flags_xor = RCODE_SERVFAIL) },
};

START_TEST(soa_reply_says_whether_to_go_on)
{
	struct generation held = { .soa.serial = soa_replies[_i].held };
	enum transfer_status status;

	given_soa_asked();
	status = take(&soa_replies[_i].m, soa_replies[_i].have ? &held : NULL);
	ck_assert_msg(status == soa_replies[_i].expect, "%s: %d %s", soa_replies[_i].what, (int)status,
		      transfer_reason(transfer));
	if (status != TRANSFER_FAILED)
		ck_assert_uint_eq(transfer_serial(transfer), 7);
}
END_TEST

/* ---- Good zones ---- */

static struct generation *finish(void)
{
	enum zone_error why;
	struct generation *g =
		zone_edit_finish(transfer_take_edit(transfer), 1, &why, (char[NAME_TEXT_MAX]){ "" });

	ck_assert_msg(g != NULL, "%s", zone_error_text(why));
	return g;
}

START_TEST(zone_in_one_message_is_taken)
{
	struct generation *g;

	given_axfr_asked();
	ck_assert_int_eq(take(&(struct message)SAY("SNAUS"), NULL), TRANSFER_DONE);
	ck_assert_uint_eq(transfer_serial(transfer), 7);
	ck_assert_uint_eq(transfer_records(transfer), 4);
	ck_assert_uint_gt(transfer_bytes(transfer), 100);
	g = finish();
	ck_assert_uint_eq(g->records, 4);
	ck_assert_uint_eq(g->soa.serial, 7);
	generation_free(g);
}
END_TEST

START_TEST(zone_of_one_record_a_message_is_taken)
{
	static const char *const parts[] = { "S", "N", "A", "", "1", "2", "U", "C" };
	struct generation *g;

	given_axfr_asked();
	for (size_t i = 0; i < COUNT(parts); i++) {
		struct message m = { .records = parts[i] };

		m.more_questions = i == 0 || i % 2 ? 0 : -1;	/* they may leave it out later */
		ck_assert_int_eq(take(&m, NULL), i + 1 < COUNT(parts) ? TRANSFER_MORE : TRANSFER_DONE);
	}
	g = finish();
	ck_assert_uint_eq(g->records, 6);
	generation_free(g);
}
END_TEST

START_TEST(soa_then_axfr_on_one_transfer)
{
	given_soa_asked();
	ck_assert_int_eq(take(&(struct message)SAY("S"), NULL), TRANSFER_NEWER);
	given_axfr_asked();
	given_axfr_asked();	/* again, on another connection */
	ck_assert_int_eq(take(&(struct message)SAY("8NA8"), NULL), TRANSFER_DONE);
	ck_assert_uint_eq(transfer_serial(transfer), 8);	/* it moved on meanwhile */
}
END_TEST

START_TEST(an_edit_that_nobody_takes_is_freed)
{
	given_axfr_asked();
	ck_assert_int_eq(take(&(struct message)SAY("SNAS"), NULL), TRANSFER_DONE);
}
END_TEST

START_TEST(closing_after_the_end_changes_nothing)
{
	given_axfr_asked();
	ck_assert_int_eq(take(&(struct message)SAY("SNAS"), NULL), TRANSFER_DONE);
	transfer_close(transfer, "closed early");
	ck_assert_str_eq(transfer_reason(transfer), "");
	generation_free(finish());
}
END_TEST

/* ---- Bad ones ---- */

static const struct {
	const char *what, *reason;	/* a part of the sentence */
	struct message m[2];		/* the second when it has records */
} bad[] = {
	{ "another ID", "ID", { SAY("SNAS", .id_xor = 9) } },
	{ "ID changes", "ID", { SAY("SN"), SAY("AS", .id_xor = 9) } },
	{ "QR clear", "QR", { SAY("SNAS", .flags_xor = DNS_QR) } },
	{ "another opcode", "opcode", { SAY("SNAS", .flags_xor = 0x2000) } },
	{ "TC set", "TC", { SAY("SNAS", .flags_xor = DNS_TC) } },
	{ "REFUSED", "REFUSED", { SAY("", .flags_xor = RCODE_REFUSED) } },
	{ "NOTAUTH", "NOTAUTH", { SAY("", .flags_xor = RCODE_NOTAUTH) } },
	{ "rcode 15", "unknown rcode", { SAY("", .flags_xor = 15) } },
	{ "rcode later", "SERVFAIL", { SAY("SN"), SAY("AS", .flags_xor = RCODE_SERVFAIL) } },
	{ "no question at first", "0 questions", { SAY("SNAS", .more_questions = -1) } },
	{ "two questions", "2 questions", { SAY("SNAS", .more_questions = 1) } },
	{ "question for another name", "question", { SAY("SNAS", .qname = "example.net") } },
	{ "question for another type", "question", { SAY("SNAS", .qtype = TYPE_IXFR) } },
	{ "another question later", "question", { SAY("SN"), SAY("AS", .qname = "example.net") } },
	{ "no SOA first", "first record", { SAY("NAS") } },
	{ "SOA of another zone first", "outside", { SAY("FNAF") } },
	{ "SOA below first", "first record", { SAY("BNAS") } },
	{ "last SOA differs", "differs", { SAY("SNA8") } },
	{ "SOA in the middle that differs", "differs", { SAY("SN8AS") } },
	{ "SOA in the middle", "after the last", { SAY("SNSAS") } },
	{ "records after the end", "after the last", { SAY("SNASA") } },
	{ "owner out of zone", "outside", { SAY("SNOS") } },
	{ "class CH", "class", { SAY("SNHS") } },
	{ "rdata too long", "rdata", { SAY("SNLS") } },
	{ "name past rdata", "rdata", { SAY("SNMS") } },
	{ "OPT as an answer", "hold", { SAY("SNPS") } },
	{ "type ANY", "hold", { SAY("SNTS") } },
	{ "type 0", "hold", { SAY("SNZS") } },
	{ "RDLENGTH past the message", "ends inside", { SAY("SNV") } },
	{ "cut in a record", "ends inside", { SAY("SNAS", .cut = 3) } },
	{ "cut in a header", "bytes", { SAY("", .cut = 20) } },
	{ "cut in the question", "question", { SAY("", .cut = 3) } },
	{ "counts that lie", "ends inside", { SAY("SNA", .missing = 1) } },
	{ "junk behind", "behind", { SAY("SNAS", .junk = 1) } },
	{ "authority that does not parse", "ends inside", { SAY("SNASV", .authority = 1) } },
};

START_TEST(bad_message_fails_with_its_reason)
{
	enum transfer_status status;
	const uint8_t *owner;

	given_axfr_asked();
	status = take(&bad[_i].m[0], NULL);
	if (bad[_i].m[1].records) {
		ck_assert_msg(status == TRANSFER_MORE, "%s: %s", bad[_i].what, transfer_reason(transfer));
		status = take(&bad[_i].m[1], NULL);
	}
	ck_assert_msg(status == TRANSFER_FAILED, "%s: believed", bad[_i].what);
	ck_assert_msg(strstr(transfer_reason(transfer), bad[_i].reason) != NULL, "%s: '%s'", bad[_i].what,
		      transfer_reason(transfer));
	ck_assert_int_eq(transfer_zone_error(transfer, &owner), ZONE_OK);
	/* and it sticks */
	ck_assert_int_eq(take(&(struct message)SAY("SNAS"), NULL), TRANSFER_FAILED);
	transfer_close(transfer, "closed early");
	ck_assert_ptr_nonnull(strstr(transfer_reason(transfer), bad[_i].reason));
}
END_TEST

START_TEST(early_end_fails)
{
	given_axfr_asked();
	ck_assert_int_eq(take(&(struct message)SAY("SNA"), NULL), TRANSFER_MORE);
	transfer_close(transfer, "closed early");
	ck_assert_str_eq(transfer_reason(transfer), "closed early");
}
END_TEST

START_TEST(what_the_zone_itself_forbids_is_told_apart)
{
	const uint8_t *owner;
	enum transfer_status status;
	enum zone_error why = ZONE_OK;

	given_axfr_asked();
	status = take(&(struct message)SAY("SNBS"), NULL);
	if (status == TRANSFER_FAILED)
		why = transfer_zone_error(transfer, &owner);
	else
		ck_assert_ptr_null(zone_edit_finish(transfer_take_edit(transfer), 1, &why, NULL));
	ck_assert_int_eq(why, ZONE_SOA_ELSEWHERE);
}
END_TEST

/* ---- Limits ---- */

START_TEST(records_are_limited)
{
	transfer_free(transfer);
	transfer = transfer_new(ORIGIN, NULL, &(struct transfer_limits){ 5, 0, 3, 0 });
	given_axfr_asked();
	ck_assert_int_eq(take(&(struct message)SAY("SN123"), NULL), TRANSFER_MORE);
	ck_assert_int_eq(take(&(struct message)SAY("4"), NULL), TRANSFER_FAILED);
	ck_assert_str_eq(transfer_reason(transfer), "over the limit of 5 records: raise max-records");
}
END_TEST

START_TEST(exactly_the_limit_is_taken)
{
	transfer_free(transfer);
	transfer = transfer_new(ORIGIN, NULL, &(struct transfer_limits){ 5, 0, 3, 0 });
	given_axfr_asked();
	ck_assert_int_eq(take(&(struct message)SAY("SN123S"), NULL), TRANSFER_DONE);
}
END_TEST

START_TEST(a_stream_that_says_nothing_ends)
{
	given_axfr_asked();
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(take(&(struct message)SAY(""), NULL), TRANSFER_MORE);
	ck_assert_int_eq(take(&(struct message)SAY(""), NULL), TRANSFER_FAILED);
}
END_TEST

START_TEST(a_stream_that_repeats_itself_ends)
{
	enum transfer_status status;
	int messages = 0;

	transfer_free(transfer);
	transfer = transfer_new(ORIGIN, NULL, &(struct transfer_limits){ 0, 1000, 3, 0 });
	given_axfr_asked();
	status = take(&(struct message)SAY("SN"), NULL);
	/* duplicates: the zone does not grow, the bytes do */
	while (status == TRANSFER_MORE && messages++ < 100000)
		status = take(&(struct message)SAY("AAAAAAAAAAAAAAAAAAAA"), NULL);
	ck_assert_int_eq(status, TRANSFER_FAILED);
	ck_assert_ptr_nonnull(strstr(transfer_reason(transfer), "bytes of messages"));
}
END_TEST

/* ---- TSIG ---- */

static struct tsig_key key = { .name = "\3key", .algorithm = "hmac-sha256", .secret = "s", .secret_len = 1 };

START_TEST(unsigned_reply_to_a_signed_request_is_refused)
{
	transfer_free(transfer);
	transfer = transfer_new(ORIGIN, &key, &LIMITS);
	given_axfr_asked();
	ck_assert_int_eq(take(&(struct message)SAY("SNAS"), NULL), TRANSFER_FAILED);
	ck_assert_str_eq(transfer_reason(transfer), tsig_error_text(TSIG_MISSING));
}
END_TEST

START_TEST(unsigned_refusal_names_the_rcode)
{
	transfer_free(transfer);
	transfer = transfer_new(ORIGIN, &key, &LIMITS);
	given_axfr_asked();
	ck_assert_int_eq(take(&(struct message)SAY("", .flags_xor = RCODE_REFUSED), NULL),
			 TRANSFER_FAILED);
	ck_assert_str_eq(transfer_reason(transfer), "primary answers REFUSED");
}
END_TEST

/* Our own request, turned into a reply, is signed by the right key over the wrong things. */
START_TEST(echoed_signature_is_refused)
{
	uint8_t out[TRANSFER_ASK_MAX];
	size_t len;

	transfer_free(transfer);
	transfer = transfer_new(ORIGIN, &key, &LIMITS);
	len = transfer_ask_axfr(transfer, AXFR_ID, NOW, out, sizeof(out));
	out[2] |= 0x84;
	ck_assert_int_eq(transfer_take_message(transfer, NULL, out, len, NOW), TRANSFER_FAILED);
	ck_assert_str_eq(transfer_reason(transfer), tsig_error_text(TSIG_BADSIG));
}
END_TEST

/* ---- Differences: of a zone of serial 5 with NS, www, hosta and hostb ---- */

static struct generation *held;

/* Takes the parts between bars as messages of their own. The last status. */
static enum transfer_status take_all(const char *parts)
{
	enum transfer_status status = TRANSFER_MORE;
	char part[100];

	for (const char *at = parts; *at && status == TRANSFER_MORE; at += *at == '|') {
		size_t len = strcspn(at, "|");

		memcpy(part, at, len);
		part[len] = '\0';
		at += len;
		status = take(&(struct message){ .records = part }, held);
	}
	return status;
}

static void given_ixfr_asked(void)
{
	uint8_t out[TRANSFER_ASK_MAX];

	asked_id = IXFR_ID;
	asked_type = TYPE_IXFR;
	transfer_ask_ixfr(transfer, held, IXFR_ID, NOW, out, sizeof(out));
}

static void setup_held(void)
{
	setup();
	given_axfr_asked();
	ck_assert_int_eq(take_all("5NAab5"), TRANSFER_DONE);
	held = finish();
	transfer_free(transfer);
	transfer = transfer_new(ORIGIN, NULL, &LIMITS);
}

static void teardown_held(void)
{
	teardown();
	generation_free(held);
}

START_TEST(ixfr_is_asked_with_the_serial_that_we_hold)
{
	uint8_t out[TRANSFER_ASK_MAX];
	size_t len = transfer_ask_ixfr(transfer, held, IXFR_ID, NOW, out, sizeof(out));

	ck_assert_uint_eq(len, 29 + 34 + OPT_LEN);
	ck_assert_mem_eq(out, "\x33\x33\0\0\0\1\0\0\0\1\0\1\7example\3com\0\0\xfb\0\1"
			      "\xc0\x0c\0\6\0\1\0\0\0\0\0\x16\0\0\0\0\0\5\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
			      OPT, len);
}
END_TEST

/* What the zone has then: of hosta .. hostd and www those that are in the string. */
static const struct {
	const char *what, *parts, *expect;
	size_t records;		/* of the difference; 0: the whole zone came */
} differences[] = {
	{ "one step", "S5aScS", "Abc", 2 },
	{ "two steps", "S5a6c6bSdS", "Acd", 4 },
	{ "nothing removed", "S5ScS", "Aabc", 1 },
	{ "nothing added", "S5aSS", "Ab", 1 },
	{ "the SOA alone", "S5SS", "Aab", 0 },
	{ "added, then removed again", "S5a6cd6cdSaS", "Aab", 6 },
	{ "removed and added in one step", "S5abSabS", "Aab", 4 },
	{ "one record a message", "S|5|a|S|c|S", "Abc", 2 },
	{ "a message ends behind the first SOA", "S|5aScS", "Abc", 2 },
	{ "empty messages between", "S||5a|Sc||S", "Abc", 2 },
	{ "the whole zone", "SNAcS", "Ac", 4 },
	{ "the whole zone, a record a message", "S|N|A|c|S", "Ac", 4 },
	{ "SOA in another case", "C5aScC", "Abc", 2 },
};

static bool has_host(const struct generation *g, char which)
{
	char text[] = "hostX.example.com";
	uint8_t name[NAME_LEN_MAX];
	struct name_key at;

	text[4] = which;
	name_from_text(which == 'A' ? "www.example.com" : text, name);
	name_to_key(name, &at);
	return tree_get(&g->tree, &at) != NULL;
}

START_TEST(difference_is_applied_to_what_we_hold)
{
	const char *what = differences[_i].what;
	enum transfer_status status;
	struct generation *g;

	given_ixfr_asked();
	status = take_all(differences[_i].parts);
	ck_assert_msg(status == TRANSFER_DONE, "%s: %d %s", what, (int)status, transfer_reason(transfer));
	ck_assert_msg(transfer_is_difference(transfer) == !strchr(differences[_i].parts, 'N'), "%s", what);
	if (differences[_i].records)
		ck_assert_uint_eq(transfer_records(transfer), differences[_i].records);
	g = finish();
	ck_assert_uint_eq(g->soa.serial, 7);
	ck_assert_uint_eq(g->records, 2 + strlen(differences[_i].expect));
	for (const char *host = "Aabcd"; *host; host++)
		ck_assert_msg(has_host(g, *host) == (strchr(differences[_i].expect, *host) != NULL),
			      "%s: host%c", what, *host);
	ck_assert(has_host(held, 'a') && held->soa.serial == 5 && held->records == 5);
	generation_free(g);
}
END_TEST

START_TEST(one_soa_that_is_not_newer_is_up_to_date)
{
	given_ixfr_asked();
	ck_assert_int_eq(take_all("5"), TRANSFER_UP_TO_DATE);
	ck_assert_uint_eq(transfer_serial(transfer), 5);
}
END_TEST

START_TEST(one_newer_soa_alone_is_no_difference)
{
	given_ixfr_asked();
	ck_assert(!transfer_is_lone(transfer));
	ck_assert_int_eq(take_all("S"), TRANSFER_MORE);
	ck_assert(transfer_is_lone(transfer));
	transfer_close(transfer, "primary is silent");
	ck_assert_ptr_nonnull(strstr(transfer_reason(transfer), "no difference from serial 5"));
}
END_TEST

static const struct {
	const char *what, *parts, *reason;
} bad_differences[] = {
	{ "removes what is absent", "S5cSS", "hostc.example.com. A: deletion of a record" },
	{ "removes twice", "S5aaSS", "deletion of a record" },
	{ "adds what is there", "S5SbS", "hostb.example.com. A: addition of a record" },
	{ "adds twice", "S5SccS", "addition of a record" },
	{ "begins elsewhere", "S6aScS", "from serial 6, but we are at 5" },
	{ "begins later than it ends", "S8aScS", "from serial 8" },
	{ "a gap between steps", "85a6cSb8d8", "from serial 7, but we are at 6" },
	{ "a step to itself", "S5a5cS", "from serial 5 to 5" },
	{ "past the end", "S5a8c8S", "from serial 5 to 8" },
	{ "our SOA in other words", "SYaScS", "deletion of a record" },
	{ "the new SOA in other words", "S5aXcS", "two SOAs of serial 7" },
	{ "the last SOA in other words", "S5aScX", "differs" },
	{ "an end too early", "85a6c8", "from serial 8, but we are at 6" },
	{ "two SOAs and no difference", "SS", "no difference between" },
	{ "no SOA first", "aS", "first record" },
	{ "an old SOA and more", "5a", "not newer" },
	{ "an old SOA and itself", "55", "not newer" },
	{ "records after the end", "S5aScSd", "after the last" },
	{ "owner out of zone", "S5aSOS", "outside" },
	{ "SOA below the apex removed", "S5BSS", "deletion" },
	{ "SOA below the apex added", "S5SBS", "SOA below" },
	{ "class CH", "S5aSHS", "class" },
	{ "rdata that does not parse", "S5LSS", "rdata" },
	{ "a type that no zone has", "S5STS", "hold" },
	{ "too many empty messages", "S|5a|||||", "without a record" },
};

START_TEST(difference_that_does_not_fit_fails)
{
	const char *what = bad_differences[_i].what;

	given_ixfr_asked();
	ck_assert_msg(take_all(bad_differences[_i].parts) == TRANSFER_FAILED, "%s: believed", what);
	ck_assert_msg(strstr(transfer_reason(transfer), bad_differences[_i].reason) != NULL, "%s: '%s'", what,
		      transfer_reason(transfer));
	ck_assert_uint_eq(held->records, 5);
}
END_TEST

START_TEST(difference_that_breaks_the_zone_is_found_at_the_end)
{
	enum zone_error why;

	given_ixfr_asked();
	ck_assert_int_eq(take_all("S5NSS"), TRANSFER_DONE);
	ck_assert_ptr_null(zone_edit_finish(transfer_take_edit(transfer), 1, &why, NULL));
	ck_assert_int_eq(why, ZONE_NO_NS);
}
END_TEST

START_TEST(difference_larger_than_the_zone_fails)
{
	enum transfer_status status;

	given_ixfr_asked();
	status = take_all("S5");
	for (int i = 0; i < 100000 && status == TRANSFER_MORE; i++)
		status = take_all("abababababababababab|Sabababababababababab");
	ck_assert_int_eq(status, TRANSFER_FAILED);
}
END_TEST

START_TEST(difference_stays_within_the_limits_of_the_zone)
{
	transfer_free(transfer);
	transfer = transfer_new(ORIGIN, NULL, &(struct transfer_limits){ 6, 0, 3, 0 });
	given_ixfr_asked();
	ck_assert_int_eq(take_all("S5Sc|dS"), TRANSFER_FAILED);
	ck_assert_str_eq(transfer_reason(transfer), zone_error_text(ZONE_TOO_BIG));
}
END_TEST

START_TEST(what_we_hold_may_be_replaced_meanwhile)
{
	struct generation *g;

	given_ixfr_asked();
	ck_assert_int_eq(take_all("S5a"), TRANSFER_MORE);
	generation_free(held);
	held = NULL;
	ck_assert_int_eq(take_all("ScS"), TRANSFER_DONE);
	g = finish();
	ck_assert(has_host(g, 'b') && has_host(g, 'c') && !has_host(g, 'a'));
	generation_free(g);
}
END_TEST

START_TEST(ixfr_may_be_asked_again_before_a_reply)
{
	given_ixfr_asked();
	given_ixfr_asked();
	ck_assert_int_eq(take(&(struct message)SAY("", .flags_xor = RCODE_FORMERR), held),
			 TRANSFER_ASK_AGAIN);
	given_ixfr_asked();
	ck_assert_int_eq(take_all("S5aScS"), TRANSFER_DONE);
	generation_free(finish());
}
END_TEST

static TCase *difference_cases(void)
{
	TCase *tc = tcase_create("difference");

	tcase_add_checked_fixture(tc, setup_held, teardown_held);
	tcase_add_test(tc, ixfr_is_asked_with_the_serial_that_we_hold);
	tcase_add_loop_test(tc, difference_is_applied_to_what_we_hold, 0, COUNT(differences));
	tcase_add_test(tc, one_soa_that_is_not_newer_is_up_to_date);
	tcase_add_test(tc, one_newer_soa_alone_is_no_difference);
	tcase_add_loop_test(tc, difference_that_does_not_fit_fails, 0, COUNT(bad_differences));
	tcase_add_test(tc, difference_that_breaks_the_zone_is_found_at_the_end);
	tcase_add_test(tc, difference_larger_than_the_zone_fails);
	tcase_add_test(tc, difference_stays_within_the_limits_of_the_zone);
	tcase_add_test(tc, what_we_hold_may_be_replaced_meanwhile);
	tcase_add_test(tc, ixfr_may_be_asked_again_before_a_reply);
	return tc;
}

static TCase *good_cases(void)
{
	TCase *tc = tcase_create("good");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, requests_are_plain_queries_of_class_in);
	tcase_add_test(tc, axfr_is_asked_with_an_id_of_its_own);
	tcase_add_test(tc, who_does_not_know_edns_is_asked_without);
	tcase_add_loop_test(tc, expire_option_is_read, 0, COUNT(expires));
	tcase_add_loop_test(tc, soa_reply_says_whether_to_go_on, 0, COUNT(soa_replies));
	tcase_add_test(tc, zone_in_one_message_is_taken);
	tcase_add_test(tc, zone_of_one_record_a_message_is_taken);
	tcase_add_test(tc, soa_then_axfr_on_one_transfer);
	tcase_add_test(tc, an_edit_that_nobody_takes_is_freed);
	tcase_add_test(tc, closing_after_the_end_changes_nothing);
	return tc;
}

static TCase *bad_cases(void)
{
	TCase *tc = tcase_create("bad");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, bad_message_fails_with_its_reason, 0, COUNT(bad));
	tcase_add_test(tc, early_end_fails);
	tcase_add_test(tc, what_the_zone_itself_forbids_is_told_apart);
	tcase_add_test(tc, records_are_limited);
	tcase_add_test(tc, exactly_the_limit_is_taken);
	tcase_add_test(tc, a_stream_that_says_nothing_ends);
	tcase_add_test(tc, a_stream_that_repeats_itself_ends);
	tcase_add_test(tc, unsigned_reply_to_a_signed_request_is_refused);
	tcase_add_test(tc, unsigned_refusal_names_the_rcode);
	tcase_add_test(tc, echoed_signature_is_refused);
	return tc;
}

int main(void)
{
	Suite *s = suite_create("transfer");
	SRunner *r;
	int failed;

	suite_add_tcase(s, good_cases());
	suite_add_tcase(s, bad_cases());
	suite_add_tcase(s, difference_cases());
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
