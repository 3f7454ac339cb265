/* SPDX-License-Identifier: ISC */
/*
 * Transfers written message by message, read back by a reader of this file's own, and compared
 * with the zone that they came from.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/dns.h"
#include "cache/outgoing.h"
#include "cache/rcu.h"
#include "cache/rdata.h"
#include "tests/unit/fixture.h"

enum { NOW = 1700000000, VERSIONS_MAX = 8 };

static struct generation *versions[VERSIONS_MAX];
static unsigned count;
static struct outgoing outgoing;
static struct tsig_server *tsig;
static uint8_t request[OUTGOING_REQUEST_MAX];
static size_t request_len;

/* ---- The other end ---- */

static struct received {
	struct zone_edit *edit;		/* what the records make; NULL at first */
	struct tsig_stream *client;	/* NULL: unsigned */
	unsigned soas, records, messages;
	bool is_ixfr, is_removing;
	size_t longest;
} received;

static uint8_t rdata_room[DNS_MESSAGE_MAX];

static void take_record(struct wire *w, unsigned left)
{
	uint8_t owner[NAME_LEN_MAX];
	uint16_t type, len;
	uint32_t ttl;

	ck_assert_uint_gt(name_parse(w, owner), 0);
	type = wire_u16(w);
	ck_assert_uint_eq(wire_u16(w), CLASS_IN);
	ttl = wire_u32(w);
	ck_assert(rdata_parse(w, type, wire_u16(w), rdata_room, &len));
	received.soas += type == TYPE_SOA;
	if (type == TYPE_SOA && received.records > 0 && received.is_ixfr)
		received.is_removing = !received.is_removing;
	received.records++;
	/* the first and the last SOA frame the others */
	if (type == TYPE_SOA && (received.records == 1 || (received.is_ixfr ? received.is_removing && left == 0
								: left == 0)))
		return;
	if (received.is_removing)
		ck_assert_int_eq(zone_edit_del(received.edit, owner, type, rdata_room, len), ZONE_OK);
	else
		ck_assert_int_eq(zone_edit_add(received.edit, owner, type, ttl, rdata_room, len), ZONE_OK);
}

static void take_message(const uint8_t *bytes, size_t len, bool is_last)
{
	struct wire w = wire_over(bytes, len);
	uint8_t name[NAME_LEN_MAX];
	unsigned answers = wire_get_u16(bytes + 6);

	ck_assert_uint_eq(wire_get_u16(bytes), 0xbeef);
	ck_assert_uint_eq(wire_get_u16(bytes + 2), DNS_QR | DNS_AA);
	ck_assert_uint_eq(wire_get_u16(bytes + 4), 1);
	ck_assert_uint_gt(answers, 0);
	wire_skip(&w, DNS_HEADER_LEN);
	name_parse(&w, name);
	wire_skip(&w, 4);
	while (answers-- > 0)
		take_record(&w, is_last ? answers : 1);
	ck_assert(!w.bad);
	received.messages++;
	received.longest = len > received.longest ? len : received.longest;
}

static void verify(const uint8_t *bytes, size_t len)
{
	size_t body_len;
	bool has_tsig = false;

	if (!received.client)
		return;
	ck_assert_int_eq(tsig_stream_verify(received.client, bytes, len, NOW, &body_len, &has_tsig), TSIG_OK);
	ck_assert(has_tsig);
}

/* Takes all messages of `outgoing`, each at most `cap` bytes. */
static void receive_all(size_t cap)
{
	uint8_t *bytes = malloc(cap);

	while (!outgoing_is_done(&outgoing)) {
		size_t len = outgoing_next(&outgoing, tsig, NOW, bytes, cap);

		ck_assert_uint_gt(len, 0);
		ck_assert_uint_le(len, cap);
		verify(bytes, len);
		take_message(bytes, len, outgoing_is_done(&outgoing));
	}
	ck_assert_uint_eq(outgoing.messages, received.messages);
	ck_assert_uint_eq(outgoing.records, received.records);
	free(bytes);
}

static bool differs(const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
		    uint16_t rdata_len, void *arg)
{
	(void)owner, (void)type, (void)ttl, (void)rdata, (void)rdata_len, (void)arg;
	return false;
}

static void assert_received(const struct generation *zone)
{
	enum zone_error why;
	struct generation *got = zone_edit_finish(received.edit, 1, &why, NULL);

	received.edit = NULL;
	ck_assert_msg(got != NULL, "%s", zone_error_text(why));
	ck_assert_uint_eq(got->records, zone->records);
	ck_assert(generation_diff(got, zone, differs, differs, NULL));
	generation_free(got);
}

/* ---- This end ---- */

static void setup(void)
{
	rcu_thread_start();
	tsig = tsig_server_new();
	count = 0;
	memset(&received, 0, sizeof(received));
}

static void teardown(void)
{
	if (outgoing.zone)
		outgoing_end(&outgoing);
	zone_edit_free(received.edit);
	tsig_stream_free(received.client);
	for (unsigned i = 0; i < count; i++)
		generation_free(versions[i]);
	tsig_server_free(tsig);
	rcu_thread_stop();
}

#define HEAD "@ 3600 SOA ns h %u 3600 600 1209600 300\n@ 3600 NS ns\nns 3600 A 192.0.2.1\n"

static struct generation *publish(unsigned serial, const char *records)
{
	static char text[8 << 20];

	snprintf(text, sizeof(text), HEAD "%s", serial, records);
	versions[count] = fixture_zone("example.com.", text);
	if (count > 0)
		versions[count]->history = history_new(versions[count - 1], versions[count]);
	return versions[count++];
}

static void make_request(uint16_t type, uint32_t serial)
{
	struct wire_out o = wire_into(request, sizeof(request));

	wire_add_u16(&o, 0xbeef);
	wire_add_u16(&o, 0);
	wire_add_u16(&o, 1);
	wire_add_u16(&o, 0);
	wire_add_u16(&o, type == TYPE_IXFR);
	wire_add_u16(&o, 0);
	wire_add_bytes(&o, "\7example\3com\0", 13);
	wire_add_u16(&o, type);
	wire_add_u16(&o, CLASS_IN);
	if (type == TYPE_IXFR) {
		wire_add_bytes(&o, "\300\14\0\6\0\1\0\0\0\0\0\26\0\0", 14);
		wire_add_u32(&o, serial);
		wire_add_bytes(&o, "\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1", 16);
	}
	request_len = o.len;
}

/* Begins a transfer of `zone`; the reader starts from `base`. */
static void begin(const struct generation *zone, uint16_t type, uint32_t serial,
		  const struct generation *base)
{
	struct outgoing_ask ask = { .zone = zone, .packet = request, .is_ixfr = type == TYPE_IXFR };
	struct message m;

	make_request(type, serial);
	ask.len = request_len;
	ck_assert_int_eq(message_parse(request, request_len, &m), MESSAGE_OK);
	if (ask.is_ixfr)
		ck_assert(outgoing_request_serial(request, request_len, &m, &ask.serial));
	outgoing_begin(&outgoing, &ask);
	memset(request, 0xee, sizeof(request));		/* it is not looked at any more */
	received.is_ixfr = outgoing.kind == OUTGOING_IXFR;
	received.edit = zone_edit_new(zone->origin, received.is_ixfr ? base : NULL, 0, 0);
}

static void add_framing_soa(const struct generation *zone)
{
	struct zone_record soa;

	zone_record_of_soa(zone, &soa);
	ck_assert_int_eq(zone_edit_add(received.edit, soa.owner, TYPE_SOA, soa.set.ttl, soa.set.rdata + 2,
				       (uint16_t)(soa.set.rdata_len - 2)), ZONE_OK);
}

static const char VARIED[] =
	"a 60 A 192.0.2.1\na 60 A 192.0.2.2\na 60 MX 10 mail\na 60 TXT \"some text\"\n"
	"x.y.z 60 CNAME a\n*.w 60 AAAA 2001:db8::1\nsub 60 NS ns.sub\nns.sub 60 A 192.0.2.3\n"
	"MiXed.CaSe 60 PTR Other.Case.\n_s._tcp 60 SRV 1 2 3 a\nd 60 DNAME e\n"
	"@ 60 NSEC3PARAM 1 0 0 -\n"
	"0p9mhaveqvm6t7vbl5lop2u3t2rp3tom 60 NSEC3 1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr A\n"
	"2t7b4g4vsa5smi47k61mv5bv1a22bojr 60 NSEC3 1 0 0 - 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom A\n";

static const size_t caps[] = { 512, 513, 600, 1232, 4096, 16384, 16385, 65535 };

START_TEST(axfr_reads_back_equal_whatever_the_buffer)
{
	publish(1, VARIED);
	begin(versions[0], TYPE_AXFR, 0, NULL);
	add_framing_soa(versions[0]);
	receive_all(caps[_i]);
	ck_assert_uint_eq(received.soas, 2);
	assert_received(versions[0]);
}
END_TEST

static const char *many(unsigned hosts)
{
	static char text[4 << 20];
	size_t len = 0;

	for (unsigned i = 0; i < hosts; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"host%u 60 TXT \"some text of the host with number %u\"\n", i, i);
	return text;
}

START_TEST(twenty_thousand_records_come_in_full_messages)
{
	publish(1, many(20000));
	begin(versions[0], TYPE_AXFR, 0, NULL);
	add_framing_soa(versions[0]);
	receive_all(DNS_MESSAGE_MAX);
	ck_assert_uint_le(received.longest, OUTGOING_MESSAGE_AIM);
	ck_assert_uint_gt(outgoing.bytes / outgoing.messages, OUTGOING_MESSAGE_AIM - 400);
	ck_assert_uint_eq(received.records, 20000 + 4);
	assert_received(versions[0]);
}
END_TEST

static struct generation *zone_of_long_records(size_t len, unsigned records)
{
	struct zone_edit *e;
	struct generation *g;
	enum zone_error why;
	uint8_t owner[NAME_LEN_MAX], *rdata = calloc(1, len);

	publish(1, "");
	e = zone_edit_new(versions[0]->origin, versions[0], 0, 0);
	for (unsigned i = 0; i < records; i++) {
		char name[64];

		snprintf(name, sizeof(name), "long%u.example.com.", i);
		name_from_text(name, owner);
		ck_assert_int_eq(zone_edit_add(e, owner, 65280, 60, rdata, (uint16_t)len), ZONE_OK);
	}
	g = versions[count++] = zone_edit_finish(e, 2, &why, NULL);
	ck_assert_ptr_nonnull(g);
	free(rdata);
	return g;
}

START_TEST(records_over_the_aim_have_messages_of_their_own)
{
	struct generation *g = zone_of_long_records(60000, 5);

	begin(g, TYPE_AXFR, 0, NULL);
	add_framing_soa(g);
	receive_all(DNS_MESSAGE_MAX);
	ck_assert_uint_gt(received.longest, 60000);
	assert_received(g);
}
END_TEST

START_TEST(a_record_that_fits_into_no_message_ends_the_transfer)
{
	struct generation *g = zone_of_long_records(65534, 1);
	uint8_t *bytes = malloc(DNS_MESSAGE_MAX);

	begin(g, TYPE_AXFR, 0, NULL);
	ck_assert_uint_gt(outgoing_next(&outgoing, tsig, NOW, bytes, DNS_MESSAGE_MAX), 0);
	ck_assert_uint_eq(outgoing_next(&outgoing, tsig, NOW, bytes, DNS_MESSAGE_MAX), 0);
	ck_assert(!outgoing_is_done(&outgoing));
	free(bytes);
}
END_TEST

START_TEST(ixfr_brings_each_version_up_to_date)
{
	publish(1, VARIED);
	publish(2, "a 60 A 192.0.2.1\nb 60 A 192.0.2.2\n");
	publish(3, "a 61 A 192.0.2.1\nb 60 A 192.0.2.2\nB 60 TXT x\n");
	publish(4, VARIED);
	begin(versions[3], TYPE_IXFR, versions[_i]->soa.serial, versions[_i]);
	ck_assert_int_eq(outgoing.kind, OUTGOING_IXFR);
	receive_all(_i % 2 ? 512 : DNS_MESSAGE_MAX);
	ck_assert_uint_eq(received.soas, 2 + 2 * (3 - (unsigned)_i));
	assert_received(versions[3]);
}
END_TEST

static const struct { uint32_t has, serial; enum outgoing_kind kind; } kinds[] = {
	{ 5, 5, OUTGOING_SOA }, { 5, 6, OUTGOING_SOA }, { 5, 4, OUTGOING_IXFR }, { 5, 3, OUTGOING_AXFR },
	{ 5, 5u + 0x7fffffffu, OUTGOING_SOA }, { 5, 5u + 0x80000001u, OUTGOING_AXFR },
};

START_TEST(what_the_client_has_decides_what_it_gets)
{
	publish(4, "");
	publish(5, "a 60 A 192.0.2.1\n");
	begin(versions[1], TYPE_IXFR, kinds[_i].serial, versions[0]);
	ck_assert_int_eq(outgoing.kind, kinds[_i].kind);
	if (outgoing.kind != OUTGOING_SOA)
		return;
	receive_all(DNS_UDP_MAX);
	ck_assert_uint_eq(received.records, 1);
}
END_TEST

static const char *const algorithms[] = {
	"hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512",
};

START_TEST(every_message_is_signed_and_the_key_may_change_meanwhile)
{
	struct tsig_key key = { .secret = "secret", .secret_len = 6 }, client_key;
	struct outgoing_ask ask = { .packet = request };
	struct tsig_session session;

	publish(1, many(2000));
	name_from_text("key.example.", key.name);
	snprintf(key.algorithm, sizeof(key.algorithm), "%s", algorithms[_i]);
	client_key = key;
	received.client = tsig_stream_new(&client_key);
	make_request(TYPE_AXFR, 0);
	ask.len = tsig_stream_sign(received.client, request, request_len, sizeof(request), NOW);
	ck_assert_int_eq(tsig_server_verify(tsig, &key, 1, request, ask.len, NOW, &session), TSIG_OK);
	ask.zone = versions[0];
	ask.session = &session;
	outgoing_begin(&outgoing, &ask);
	memset(&key, 0, sizeof(key));
	memset(&session, 0, sizeof(session));
	received.edit = zone_edit_new(versions[0]->origin, NULL, 0, 0);
	add_framing_soa(versions[0]);
	receive_all(_i % 2 ? 1232 : DNS_MESSAGE_MAX);
	ck_assert_int_eq(tsig_stream_end(received.client), TSIG_OK);
	assert_received(versions[0]);
}
END_TEST

START_TEST(the_generation_is_held_until_the_end)
{
	publish(1, "");
	begin(versions[0], TYPE_AXFR, 0, NULL);
	ck_assert(generation_is_held(versions[0]));
	outgoing_end(&outgoing);
	ck_assert(!generation_is_held(versions[0]));
}
END_TEST

/* ---- Requests ---- */

static const struct { const char *what; size_t at; uint8_t byte; } flaws[] = {
	{ "no authority", 9, 0 }, { "two authorities", 9, 2 }, { "an answer", 7, 1 },
	{ "type NS", 29 + 3, 2 }, { "class CH", 29 + 5, 3 }, { "another owner", 29 + 1, 20 },
	{ "rdata too short", 29 + 11, 21 }, { "rdata too long", 29 + 11, 23 },
};

START_TEST(a_request_without_a_proper_soa_has_no_serial)
{
	struct message m;
	uint32_t serial = 0;

	make_request(TYPE_IXFR, 77);
	ck_assert_int_eq(message_parse(request, request_len, &m), MESSAGE_OK);
	ck_assert(outgoing_request_serial(request, request_len, &m, &serial));
	ck_assert_uint_eq(serial, 77);
	for (size_t cut = m.question_end; cut < request_len; cut++)
		ck_assert(!outgoing_request_serial(request, cut, &m, &serial));
	request[flaws[_i].at] = flaws[_i].byte;
	ck_assert_msg(!outgoing_request_serial(request, request_len, &m, &serial), "%s", flaws[_i].what);
}
END_TEST

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

int main(void)
{
	Suite *s = suite_create("outgoing");
	TCase *tc = tcase_create("outgoing");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, axfr_reads_back_equal_whatever_the_buffer, 0, COUNT(caps));
	tcase_add_test(tc, twenty_thousand_records_come_in_full_messages);
	tcase_add_test(tc, records_over_the_aim_have_messages_of_their_own);
	tcase_add_test(tc, a_record_that_fits_into_no_message_ends_the_transfer);
	tcase_add_loop_test(tc, ixfr_brings_each_version_up_to_date, 0, 3);
	tcase_add_loop_test(tc, what_the_client_has_decides_what_it_gets, 0, COUNT(kinds));
	tcase_add_loop_test(tc, every_message_is_signed_and_the_key_may_change_meanwhile, 0, COUNT(algorithms));
	tcase_add_test(tc, the_generation_is_held_until_the_end);
	tcase_add_loop_test(tc, a_request_without_a_proper_soa_has_no_serial, 0, COUNT(flaws));
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
