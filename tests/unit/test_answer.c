/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdbool.h>	/* before ldns, which takes bool for a signed char without it */
#include <stdlib.h>
#include <string.h>

#include <ldns/ldns.h>

#include "cache/answer.h"
#include "cache/cookie.h"
#include "cache/wire.h"
#include "tests/unit/fixture.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SIGNATURE " 13 3 300 20370101000000 20260101000000 1 example.com. AAAA\n"
#define LABEL58 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LABEL60 LABEL58 "aa"

static const char zone_text[] =
	"@ 3600 SOA ns1 host 7 7200 3600 1209600 300\n"
	"@ 3600 NS ns1\n@ 3600 NS ns.example.net.\n@ 60 MX 10 mail\n"
	"ns1 60 A 192.0.2.1\nns1 60 AAAA 2001:db8::1\nmail 60 A 192.0.2.25\n"
	"WwW 300 A 192.0.2.10\nwww 300 A 192.0.2.11\n"
	"www 300 RRSIG A" SIGNATURE "www 300 RRSIG NSEC" SIGNATURE "www 300 NSEC x A\n"
	"alias 60 CNAME www\nout 60 CNAME www.example.net.\nvoid 60 CNAME nowhere\n"
	"across 60 CNAME back.example.net.\nping 60 CNAME ping.example.net.\npong 60 CNAME ping\n"
	"lost 60 CNAME no.example.net.\nfar 60 CNAME gone.example.net.\n"
	"loop1 60 CNAME loop2\nloop2 60 CNAME loop1\nself 60 CNAME self\ndown 60 CNAME host.sub\n"
	"a.b.ent 60 TXT \"deep\"\n"
	"*.wild 60 A 192.0.2.77\nstop.wild 60 TXT \"no\"\n"
	"*.walias 60 CNAME www\n*.wself 60 CNAME x.wself\n"
	"sub 60 NS ns.sub\nsub 60 NS ns.beside\nsub 60 NS ns.example.net.\nsub 60 DS 1 13 2 00\n"
	"ns.sub 60 A 192.0.2.53\nns.sub 60 TXT \"hidden\"\n"
	"beside 60 NS ns.beside\nns.beside 60 A 192.0.2.54\n"
	"dn 60 DNAME wild\ndnself 60 DNAME dnself\n"
	"dnlong 60 DNAME " LABEL60 "." LABEL60 "." LABEL60 ".example.com.\n"
	"srv 60 SRV 0 0 1 mail\nsrv 60 SRV 0 0 2 mail\nsrv 60 SRV 0 0 3 ns.sub\n";

/* Another zone that we have, and a later generation of the first. */
static const char other_text[] =
	"@ 3600 SOA ns1 host 9 7200 3600 1209600 60\n@ 3600 NS ns1\n"
	"www 300 A 192.0.2.200\nback 60 CNAME www.example.com.\nping 60 CNAME pong.example.com.\n"
	"gone 60 CNAME nowhere.example.org.\n";
static const char later_text[] = "@ 60 SOA ns1 host 8 1 1 1 1\n@ 60 NS ns1\nwww 1 A 192.0.2.99\n";

static struct generation *zone, *other, *later;

static void setup(void)
{
	zone = fixture_zone("example.com.", zone_text);
	other = fixture_zone("example.net.", other_text);
	later = fixture_zone("example.com.", later_text);
}

static void teardown(void)
{
	generation_free(zone);
	generation_free(other);
	generation_free(later);
}

static const struct generation *find_zone(void *arg, const uint8_t *name, const struct name_key *key,
					  uint16_t type)
{
	(void)arg;
	(void)key;
	(void)type;
	if (name_is_at_or_below(name, other->origin))
		return other;
	return name_is_at_or_below(name, later->origin) ? later : NULL;
}

static const struct answer_zones two_zones = { find_zone, NULL };
static const struct answer_zones *zones;	/* for ask() */

enum { BY_TCP = 1, EDNS = 2, DO = 4, WITH_COOKIE = 8 };

static const uint8_t COOKIE[COOKIE_FULL_LEN] = "client**server cookie***";
static const struct edns_reply TELL = { .cookie = COOKIE };

static size_t put_query(uint8_t *out, size_t cap, const char *name, uint16_t type, uint16_t class,
			unsigned how, uint16_t size)
{
	struct wire_out o = wire_into(out, cap);
	uint8_t qname[NAME_LEN_MAX];

	wire_add_u16(&o, 4711);
	wire_add_u16(&o, DNS_RD | DNS_CD | DNS_AD);
	wire_add_u16(&o, 1);
	wire_add_u32(&o, 0);
	wire_add_u16(&o, how & EDNS ? 1 : 0);
	wire_add_bytes(&o, qname, name_from_text(name, qname));
	wire_add_u16(&o, type);
	wire_add_u16(&o, class);
	if (how & EDNS) {
		wire_add_u8(&o, 0);
		wire_add_u16(&o, TYPE_OPT);
		wire_add_u16(&o, size);
		wire_add_u32(&o, how & DO ? EDNS_DO : 0);
		wire_add_u16(&o, how & WITH_COOKIE ? 12 : 0);
		if (how & WITH_COOKIE)
			wire_add_bytes(&o, "\0\12\0\10client**", 12);
	}
	ck_assert(!o.full);
	return o.len;
}

struct reply {
	uint8_t bytes[DNS_MESSAGE_MAX];
	size_t len;
	ldns_pkt *pkt;
};

static struct reply reply;

static void ask_class(const char *name, uint16_t type, uint16_t class, unsigned how, uint16_t size)
{
	uint8_t query[512];
	size_t len = put_query(query, sizeof(query), name, type, class, how, size);
	struct name_key key;
	struct message m;

	ck_assert_int_eq(message_parse(query, len, &m), MESSAGE_OK);
	name_to_key(m.qname, &key);
	struct answer_ask ask = { .zone = zone, .query = &m, .packet = query, .key = &key,
				  .edns = &TELL, .is_tcp = how & BY_TCP, .zones = zones,
				  .limit = how & BY_TCP ? DNS_MESSAGE_MAX : message_udp_limit(&m) };

	/* In memory of its own size, so that a sanitizer sees any overrun. */
	uint8_t *out = malloc(ask.limit);

	reply.len = answer_write(&ask, out);
	ck_assert_uint_le(reply.len, ask.limit);
	memcpy(reply.bytes, out, reply.len);
	free(out);
	ldns_pkt_free(reply.pkt);
	ck_assert_int_eq(ldns_wire2pkt(&reply.pkt, reply.bytes, reply.len), LDNS_STATUS_OK);
	ck_assert_mem_eq(reply.bytes + DNS_HEADER_LEN, query + DNS_HEADER_LEN,
			 m.question_end - (size_t)DNS_HEADER_LEN);
}

static void ask(const char *name, uint16_t type, unsigned how)
{
	ask_class(name, type, CLASS_IN, how, DNS_EDNS_SIZE);
}

/* "www.example.com. 300 A 192.0.2.10; ..." */
static const char *section_text(ldns_pkt_section section)
{
	static char text[3][131072];
	char *t = text[section % 3], *end = t + sizeof(text[0]);
	ldns_rr_list *list = ldns_pkt_get_section_clone(reply.pkt, section);

	*t = '\0';
	for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
		const ldns_rr *rr = ldns_rr_list_rr(list, i);
		char *line = ldns_rr2str(rr), *class = strstr(line, "\tIN\t");

		for (char *p = line; *p; p++)
			*p = *p == '\t' ? ' ' : *p == '\n' ? '\0' : *p;
		ck_assert_ptr_nonnull(class);
		t += snprintf(t, (size_t)(end - t), "%s%.*s%s", i ? "; " : "", (int)(class - line), line,
			      class + 3);
		free(line);
	}
	ldns_rr_list_deep_free(list);
	return text[section % 3];
}

static uint16_t flags(void)
{
	return wire_get_u16(reply.bytes + 2);
}

#define SOA "example.com. 300 SOA ns1.example.com. host.example.com. 7 7200 3600 1209600 300"
#define WWW "www.example.com. 300 A 192.0.2.10; www.example.com. 300 A 192.0.2.11"
#define NS1 "ns1.example.com. 60 A 192.0.2.1; ns1.example.com. 60 AAAA 2001:db8::1"
#define REFERRAL "sub.example.com. 60 NS ns.sub.example.com.; " \
	"sub.example.com. 60 NS ns.beside.example.com.; sub.example.com. 60 NS ns.example.net."
#define GLUE "ns.sub.example.com. 60 A 192.0.2.53; ns.beside.example.com. 60 A 192.0.2.54"

static const struct {
	const char *name;
	uint16_t type;
	unsigned how;
	unsigned rcode;
	const char *answer, *authority, *additional;
} cases[] = {
	{ "www.example.com.", TYPE_A, 0, RCODE_NOERROR, WWW, "", "" },
	{ "www.example.com.", TYPE_AAAA, 0, RCODE_NOERROR, "", SOA, "" },
	{ "example.com.", TYPE_NS, 0, RCODE_NOERROR,
	  "example.com. 3600 NS ns1.example.com.; example.com. 3600 NS ns.example.net.", "", NS1 },
	{ "example.com.", TYPE_MX, 0, RCODE_NOERROR, "example.com. 60 MX 10 mail.example.com.", "",
	  "mail.example.com. 60 A 192.0.2.25" },
	{ "nowhere.example.com.", TYPE_A, 0, RCODE_NXDOMAIN, "", SOA, "" },
	/* RFC 4592 s.2.2.2: empty non-terminals exist */
	{ "ent.example.com.", TYPE_A, 0, RCODE_NOERROR, "", SOA, "" },
	{ "b.ent.example.com.", TYPE_TXT, 0, RCODE_NOERROR, "", SOA, "" },
	{ "c.ent.example.com.", TYPE_TXT, 0, RCODE_NXDOMAIN, "", SOA, "" },
	/* aliases */
	{ "alias.example.com.", TYPE_A, 0, RCODE_NOERROR,
	  "alias.example.com. 60 CNAME www.example.com.; " WWW, "", "" },
	{ "alias.example.com.", TYPE_CNAME, 0, RCODE_NOERROR,
	  "alias.example.com. 60 CNAME www.example.com.", "", "" },
	{ "alias.example.com.", TYPE_TXT, 0, RCODE_NOERROR,
	  "alias.example.com. 60 CNAME www.example.com.", SOA, "" },
	{ "out.example.com.", TYPE_A, 0, RCODE_NOERROR,
	  "out.example.com. 60 CNAME www.example.net.", "", "" },
	{ "void.example.com.", TYPE_A, 0, RCODE_NXDOMAIN,
	  "void.example.com. 60 CNAME nowhere.example.com.", SOA, "" },
	{ "self.example.com.", TYPE_A, 0, RCODE_NOERROR,
	  "self.example.com. 60 CNAME self.example.com.", "", "" },
	{ "loop1.example.com.", TYPE_A, 0, RCODE_NOERROR,
	  "loop1.example.com. 60 CNAME loop2.example.com.; "
	  "loop2.example.com. 60 CNAME loop1.example.com.", "", "" },
	{ "down.example.com.", TYPE_A, 0, RCODE_NOERROR,
	  "down.example.com. 60 CNAME host.sub.example.com.",
	  REFERRAL, GLUE },
	/* wildcards: at the closest encloser only */
	{ "x.wild.example.com.", TYPE_A, 0, RCODE_NOERROR, "x.wild.example.com. 60 A 192.0.2.77", "", "" },
	{ "x.y.wild.example.com.", TYPE_A, 0, RCODE_NOERROR,
	  "x.y.wild.example.com. 60 A 192.0.2.77", "", "" },
	{ "*.wild.example.com.", TYPE_A, 0, RCODE_NOERROR, "*.wild.example.com. 60 A 192.0.2.77", "", "" },
	{ "x.wild.example.com.", TYPE_TXT, 0, RCODE_NOERROR, "", SOA, "" },
	{ "stop.wild.example.com.", TYPE_A, 0, RCODE_NOERROR, "", SOA, "" },
	{ "x.stop.wild.example.com.", TYPE_A, 0, RCODE_NXDOMAIN, "", SOA, "" },
	{ "wild.example.com.", TYPE_A, 0, RCODE_NOERROR, "", SOA, "" },
	{ "x.walias.example.com.", TYPE_A, 0, RCODE_NOERROR,
	  "x.walias.example.com. 60 CNAME www.example.com.; " WWW, "", "" },
	{ "y.wself.example.com.", TYPE_A, 0, RCODE_NOERROR,
	  "y.wself.example.com. 60 CNAME x.wself.example.com.; "
	  "x.wself.example.com. 60 CNAME x.wself.example.com.", "", "" },
	/* DNAME */
	{ "x.dn.example.com.", TYPE_A, 0, RCODE_NOERROR, "dn.example.com. 60 DNAME wild.example.com.; "
	  "x.dn.example.com. 60 CNAME x.wild.example.com.; x.wild.example.com. 60 A 192.0.2.77", "", "" },
	{ "x.dn.example.com.", TYPE_CNAME, 0, RCODE_NOERROR, "dn.example.com. 60 DNAME wild.example.com.; "
	  "x.dn.example.com. 60 CNAME x.wild.example.com.", "", "" },
	{ "dn.example.com.", TYPE_A, 0, RCODE_NOERROR, "", SOA, "" },
	{ "dn.example.com.", TYPE_DNAME, 0, RCODE_NOERROR,
	  "dn.example.com. 60 DNAME wild.example.com.", "", "" },
	{ "x.dnself.example.com.", TYPE_A, 0, RCODE_NOERROR,
	  "dnself.example.com. 60 DNAME dnself.example.com.; "
	  "x.dnself.example.com. 60 CNAME x.dnself.example.com.", "", "" },
	{ LABEL60 ".dnlong.example.com.", TYPE_A, 0, RCODE_YXDOMAIN, "dnlong.example.com. 60 DNAME "
	  LABEL60 "." LABEL60 "." LABEL60 ".example.com.", "", "" },
	/* odd types */
	{ "www.example.com.", TYPE_OPT, 0, RCODE_NOERROR, "", SOA, "" },
	{ "www.example.com.", 65535, 0, RCODE_NOERROR, "", SOA, "" },
	{ "www.example.com.", 0, 0, RCODE_NOERROR, "", SOA, "" },
	{ "ent.example.com.", TYPE_ANY, 0, RCODE_NOERROR, "", SOA, "" },
	{ "ns1.example.com.", TYPE_ANY, 0, RCODE_NOERROR, "ns1.example.com. 60 A 192.0.2.1", "", "" },
	{ "ns1.example.com.", TYPE_ANY, BY_TCP, RCODE_NOERROR, NS1, "", "" },
	/* addresses once each, and none that is another zone's */
	{ "srv.example.com.", TYPE_SRV, 0, RCODE_NOERROR,
	  "srv.example.com. 60 SRV 0 0 1 mail.example.com.; "
	  "srv.example.com. 60 SRV 0 0 2 mail.example.com.; "
	  "srv.example.com. 60 SRV 0 0 3 ns.sub.example.com.", "",
	  "mail.example.com. 60 A 192.0.2.25" },
	{ "sub.example.com.", TYPE_DS, 0, RCODE_NOERROR, "sub.example.com. 60 DS 1 13 2 00", "", "" },
	{ "beside.example.com.", TYPE_DS, 0, RCODE_NOERROR, "", SOA, "" },
};

START_TEST(answer_is_that_of_rfc1034)
{
	ask(cases[_i].name, cases[_i].type, cases[_i].how);
	ck_assert_msg((flags() & DNS_RCODE) == cases[_i].rcode, "%s: rcode %d", cases[_i].name,
		      flags() & DNS_RCODE);
	ck_assert_str_eq(section_text(LDNS_SECTION_ANSWER), cases[_i].answer);
	ck_assert_str_eq(section_text(LDNS_SECTION_AUTHORITY), cases[_i].authority);
	ck_assert_str_eq(section_text(LDNS_SECTION_ADDITIONAL), cases[_i].additional);
	ck_assert_uint_eq(flags() & (unsigned)~DNS_RCODE, DNS_QR | DNS_AA | DNS_RD | DNS_CD);
}
END_TEST

/* What is at or below a cut, whatever stands there in the zone. */
static const struct { const char *name; uint16_t type; } delegated[] = {
	{ "sub.example.com.", TYPE_A }, { "sub.example.com.", TYPE_NS }, { "sub.example.com.", TYPE_ANY },
	{ "ns.sub.example.com.", TYPE_A }, { "ns.sub.example.com.", TYPE_TXT },
	{ "ns.sub.example.com.", TYPE_DS }, { "x.y.sub.example.com.", TYPE_A },
};

START_TEST(below_a_cut_there_is_only_a_referral)
{
	ask(delegated[_i].name, delegated[_i].type, 0);
	ck_assert_uint_eq(flags(), DNS_QR | DNS_RD | DNS_CD);
	ck_assert_str_eq(section_text(LDNS_SECTION_ANSWER), "");
	ck_assert_str_eq(section_text(LDNS_SECTION_AUTHORITY), REFERRAL);
	ck_assert_str_eq(section_text(LDNS_SECTION_ADDITIONAL), GLUE);
}
END_TEST

START_TEST(signatures_come_only_to_those_who_ask)
{
	ask("www.example.com.", TYPE_A, EDNS);
	ck_assert_str_eq(section_text(LDNS_SECTION_ANSWER), WWW);

	ask("www.example.com.", TYPE_A, EDNS | DO);
	ck_assert_uint_eq(wire_get_u16(reply.bytes + 6), 3);
	ck_assert_ptr_nonnull(strstr(section_text(LDNS_SECTION_ANSWER), "RRSIG A 13"));
	ck_assert_ptr_null(strstr(section_text(LDNS_SECTION_ANSWER), "RRSIG NSEC"));

	ask("www.example.com.", TYPE_RRSIG, 0);
	ck_assert_uint_eq(wire_get_u16(reply.bytes + 6), 2);

	ask("www.example.com.", TYPE_ANY, BY_TCP | EDNS | DO);
	ck_assert_uint_eq(wire_get_u16(reply.bytes + 6), 5);	/* each signature once */

}
END_TEST

START_TEST(a_signature_lives_as_long_as_what_it_signs)
{
	generation_free(zone);
	zone = fixture_zone("example.com.", "@ 3600 SOA ns host 1 2 3 4 300\n@ 3600 NS ns\n"
			    "@ 3600 RRSIG SOA" SIGNATURE "www 60 A 192.0.2.1\nwww 60 RRSIG A" SIGNATURE);
	ask("nowhere.example.com.", TYPE_A, EDNS | DO);	/* RFC 2308 s.3: the SOA's TTL is lowered */
	ck_assert_ptr_nonnull(strstr(section_text(LDNS_SECTION_AUTHORITY), "example.com. 300 RRSIG SOA"));
	ask("www.example.com.", TYPE_A, EDNS | DO);
	ck_assert_ptr_nonnull(strstr(section_text(LDNS_SECTION_ANSWER), "www.example.com. 60 RRSIG A"));
}
END_TEST

START_TEST(opt_comes_back_if_and_only_if_it_was_sent)
{
	ask("www.example.com.", TYPE_A, 0);
	ck_assert_uint_eq(wire_get_u16(reply.bytes + 10), 0);

	ask("www.example.com.", TYPE_A, EDNS | DO);
	ck_assert(ldns_pkt_edns(reply.pkt) && ldns_pkt_edns_do(reply.pkt));
	ck_assert_uint_eq(ldns_pkt_edns_udp_size(reply.pkt), DNS_EDNS_SIZE);
	ck_assert_mem_eq(reply.bytes + reply.len - 2, "\0\0", 2);	/* no options */

	ask("www.example.com.", TYPE_A, EDNS);
	ck_assert(ldns_pkt_edns(reply.pkt) && !ldns_pkt_edns_do(reply.pkt));
}
END_TEST

START_TEST(cookie_comes_back_if_and_only_if_one_was_sent)
{
	ask("www.example.com.", TYPE_A, EDNS | WITH_COOKIE);
	ck_assert_mem_eq(reply.bytes + reply.len - 30, "\0\34\0\12\0\30", 6);
	ck_assert_mem_eq(reply.bytes + reply.len - 24, COOKIE, 24);
}
END_TEST

START_TEST(question_comes_back_in_the_client_s_case)
{
	ask("wWw.eXample.COM.", TYPE_A, 0);	/* ask() compares the question */
	ck_assert_mem_eq(reply.bytes + 12 + 17 + 4, "\300\14", 2);	/* and the owner points at it */
}
END_TEST

START_TEST(other_classes_are_refused)
{
	ask_class("www.example.com.", TYPE_A, CLASS_CH, EDNS, DNS_EDNS_SIZE);
	ck_assert_uint_eq(flags(), DNS_QR | DNS_RD | DNS_CD | RCODE_REFUSED);
	ck_assert_str_eq(section_text(LDNS_SECTION_ANSWER), "");
	ck_assert(ldns_pkt_edns(reply.pkt));
}
END_TEST

START_TEST(any_class_is_answered_without_authority)
{
	ask_class("www.example.com.", TYPE_A, CLASS_ANY, 0, 0);
	ck_assert_uint_eq(flags(), DNS_QR | DNS_RD | DNS_CD);
	ck_assert_str_eq(section_text(LDNS_SECTION_ANSWER), WWW);
	ask_class("nowhere.example.com.", TYPE_A, CLASS_ANY, 0, 0);
	ck_assert_uint_eq(flags(), DNS_QR | DNS_RD | DNS_CD | RCODE_NXDOMAIN);
	ck_assert_str_eq(section_text(LDNS_SECTION_AUTHORITY), "");

	generation_free(zone);
	zone = fixture_zone("example.com.", "@ 60 SOA a a 1 2 3 4 5\n@ 60 NS a\n@ 60 NSEC @ NS SOA NSEC\n");
	ask_class("nowhere.example.com.", TYPE_A, CLASS_ANY, EDNS | DO, 1232);
	ck_assert_str_eq(section_text(LDNS_SECTION_AUTHORITY), "");
}
END_TEST

START_TEST(every_type_gets_some_answer)
{
	for (unsigned type = 0; type <= 65535; type++) {
		ask("ns1.example.com.", (uint16_t)type, 0);
		ck_assert_uint_eq(flags() & DNS_RCODE, RCODE_NOERROR);
	}
}
END_TEST

/* ---- Limits ---- */

/* A zone with `count` records made from `format`, which takes the number twice. */
static void given_zone(const char *more, unsigned count, const char *format)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	fputs("@ 60 SOA ns host 1 2 3 4 5\n@ 60 NS ns\nns 60 A 192.0.2.1\n", f);
	fputs(more, f);
	for (unsigned i = 0; i < count; i++)
		fprintf(f, format, i / 256, i % 256);
	fclose(f);
	generation_free(zone);
	zone = fixture_zone("example.com.", text);
	free(text);
}

#define ADDRESS "many 60 A 10.0.%u.%u\n"	/* 16 bytes each, behind 34 */

START_TEST(an_rrset_comes_whole_or_not_at_all)
{
	given_zone("", 29, ADDRESS);
	ask("many.example.com.", TYPE_A, 0);
	ck_assert_uint_eq(reply.len, 34 + 29 * 16);
	ck_assert_uint_eq(flags() & DNS_TC, 0);

	given_zone("", 30, ADDRESS);	/* 514 bytes */
	ask("many.example.com.", TYPE_A, 0);
	ck_assert_uint_eq(flags(), DNS_QR | DNS_AA | DNS_TC | DNS_RD | DNS_CD);
	ck_assert_uint_eq(reply.len, 34);
	ask("many.example.com.", TYPE_A, BY_TCP);
	ck_assert_uint_eq(reply.len, 34 + 30 * 16);
}
END_TEST

/* RFC 8482 s.4.1: one RRset will do. It was the first, and TC when that had no room. */
START_TEST(any_by_udp_gets_an_rrset_that_fits)
{
	given_zone("many 60 TXT small\n", 30, ADDRESS);
	ask("many.example.com.", TYPE_ANY, 0);
	ck_assert_uint_eq(flags(), DNS_QR | DNS_AA | DNS_RD | DNS_CD);
	ck_assert_str_eq(section_text(LDNS_SECTION_ANSWER), "many.example.com. 60 TXT \"small\"");
	ask("many.example.com.", TYPE_ANY, BY_TCP);
	ck_assert_uint_eq(wire_get_u16(reply.bytes + 6), 31);

	given_zone("", 30, ADDRESS);
	ask("many.example.com.", TYPE_ANY, 0);
	ck_assert_uint_eq(flags(), DNS_QR | DNS_AA | DNS_TC | DNS_RD | DNS_CD);
}
END_TEST

START_TEST(opt_has_its_room_from_the_start)
{
	given_zone("", 74, ADDRESS);	/* 1218 bytes: 14 short of the limit, OPT has 11, 39 with COOKIE */
	ask("many.example.com.", TYPE_A, EDNS);
	ck_assert_uint_eq(reply.len, 1218 + 11);
	ask("many.example.com.", TYPE_A, EDNS | WITH_COOKIE);
	ck_assert_uint_ne(flags() & DNS_TC, 0);
	ck_assert_uint_eq(reply.len, 34 + 39);
}
END_TEST

START_TEST(tcp_carries_all_that_64_kb_can_hold)
{
	given_zone("", 4093, ADDRESS);
	ask("many.example.com.", TYPE_A, BY_TCP);
	ck_assert_uint_eq(reply.len, 34 + 4093 * 16);
	given_zone("", 4094, ADDRESS);
	ask("many.example.com.", TYPE_A, BY_TCP);
	ck_assert_uint_ne(flags() & DNS_TC, 0);
}
END_TEST

START_TEST(names_beyond_the_reach_of_pointers_stand_in_full)
{
	given_zone("", 1200, "many 60 MX 1 host-%u-%u.somewhere.in.the.zone\n");
	ask("many.example.com.", TYPE_MX, BY_TCP);
	ck_assert_uint_eq(wire_get_u16(reply.bytes + 6), 1200);
	ck_assert_uint_gt(reply.len, 0x4000);
	ck_assert_ptr_nonnull(strstr(section_text(LDNS_SECTION_ANSWER),
				     "host-0-255.somewhere.in.the.zone.example.com."));
}
END_TEST

START_TEST(additional_data_is_left_out_before_anything_else)
{
	given_zone("mx 60 MX 1 many\n", 30, ADDRESS);
	ask("mx.example.com.", TYPE_MX, 0);
	ck_assert_uint_eq(flags() & DNS_TC, 0);
	ck_assert_str_eq(section_text(LDNS_SECTION_ANSWER), "mx.example.com. 60 MX 1 many.example.com.");
	ck_assert_str_eq(section_text(LDNS_SECTION_ADDITIONAL), "");
}
END_TEST

START_TEST(optional_addresses_are_looked_up_for_13_names)
{
	given_zone("mx 60 MX 1 a0\nmx 60 MX 1 a1\nmx 60 MX 1 a2\nmx 60 MX 1 a3\nmx 60 MX 1 a4\n"
		   "mx 60 MX 1 a5\nmx 60 MX 1 a6\nmx 60 MX 1 a7\nmx 60 MX 1 a8\nmx 60 MX 1 a9\n"
		   "mx 60 MX 1 a10\nmx 60 MX 1 a11\nmx 60 MX 1 a12\nmx 60 MX 1 a13\n",
		   14, "a%.0u%u 60 A 192.0.2.1\n");
	ask("mx.example.com.", TYPE_MX, BY_TCP);
	ck_assert_uint_eq(wire_get_u16(reply.bytes + 6), 14);
	ck_assert_uint_eq(wire_get_u16(reply.bytes + 10), 13);
}
END_TEST

/* RFC 9471 s.3.1, with the example of its s.2.1 in mind. */
START_TEST(required_glue_that_does_not_fit_sets_tc)
{
	given_zone("sub 60 NS ns.sub\n", 29, "ns.sub 60 A 10.0.%u.%u\n");
	ask("www.sub.example.com.", TYPE_A, 0);
	ck_assert_uint_eq(flags(), DNS_QR | DNS_TC | DNS_RD | DNS_CD);
	ask("www.sub.example.com.", TYPE_A, BY_TCP);
	ck_assert_uint_eq(flags(), DNS_QR | DNS_RD | DNS_CD);
	ck_assert_uint_eq(wire_get_u16(reply.bytes + 10), 29);
}
END_TEST

/* Servers, DS, the proof that there is none: a referral has all of it, or TC. */
static const struct {
	const char *what, *more, *format;
	uint16_t records;
} referrals[] = {
	{ "servers", "", "sub 60 NS server-number-%u-%u.example.net.\n", 25 },
	{ "DS", "@ 60 RRSIG SOA" SIGNATURE "sub 60 NS ns.example.net.\n",
	  "sub 60 DS %u 13 2 aabbccddeeff%02x\n", 26 },
	{ "proof", "@ 60 NSEC sub NS\nsub 60 NSEC @ NS\nsub 60 RRSIG NSEC" SIGNATURE,
	  "sub 60 NS ns%u%u.example.net.\n", 27 },
};

START_TEST(a_referral_comes_whole_or_cut_short)
{
	given_zone(referrals[_i].more, 25, referrals[_i].format);
	ask("www.sub.example.com.", TYPE_A, BY_TCP | EDNS | DO);
	ck_assert_uint_eq(flags(), DNS_QR | DNS_RD | DNS_CD);
	ck_assert_uint_eq(wire_get_u16(reply.bytes + 8), referrals[_i].records);
	ask_class("www.sub.example.com.", TYPE_A, CLASS_IN, EDNS | DO, 512);
	ck_assert_msg(flags() == (DNS_QR | DNS_TC | DNS_RD | DNS_CD), "%s", referrals[_i].what);
}
END_TEST

START_TEST(sibling_glue_is_looked_up_for_13_servers)
{
	given_zone("sub 60 NS a0\nsub 60 NS a1\nsub 60 NS a2\nsub 60 NS a3\nsub 60 NS a4\nsub 60 NS a5\n"
		   "sub 60 NS a6\nsub 60 NS a7\nsub 60 NS a8\nsub 60 NS a9\nsub 60 NS a10\nsub 60 NS a11\n"
		   "sub 60 NS a12\nsub 60 NS a13\n", 14, "a%.0u%u 60 A 192.0.2.1\n");
	ask("www.sub.example.com.", TYPE_A, BY_TCP);
	ck_assert_uint_eq(wire_get_u16(reply.bytes + 8), 14);
	ck_assert_uint_eq(wire_get_u16(reply.bytes + 10), 13);
}
END_TEST

START_TEST(sibling_glue_that_does_not_fit_sets_nothing)
{
	given_zone("sub 60 NS ns.beside\nbeside 60 NS ns.beside\n", 29, "ns.beside 60 A 10.0.%u.%u\n");
	ask("www.sub.example.com.", TYPE_A, 0);
	ck_assert_uint_eq(flags(), DNS_QR | DNS_RD | DNS_CD);
	ck_assert_uint_eq(wire_get_u16(reply.bytes + 10), 0);
}
END_TEST

START_TEST(a_set_whose_signature_does_not_fit_stays_away_too)
{
	given_zone("many 60 RRSIG A" SIGNATURE, 73, ADDRESS);
	ask("many.example.com.", TYPE_A, EDNS);
	ck_assert_uint_eq(flags() & DNS_TC, 0);
	ask("many.example.com.", TYPE_A, EDNS | DO);
	ck_assert_uint_ne(flags() & DNS_TC, 0);
	ck_assert_uint_eq(wire_get_u16(reply.bytes + 6), 0);
}
END_TEST

START_TEST(a_chain_ends_after_17_links)
{
	char text[4096] = "", *t = text;

	for (unsigned i = 0; i < 30; i++)
		t += snprintf(t, 64, "c%u 60 CNAME c%u\n", i, i + 1);
	given_zone(text, 0, "");
	ask("c0.example.com.", TYPE_A, BY_TCP);
	ck_assert_uint_eq(wire_get_u16(reply.bytes + 6), 17);
	ck_assert_uint_eq(flags() & DNS_RCODE, RCODE_NOERROR);
	ck_assert_str_eq(section_text(LDNS_SECTION_AUTHORITY), "");
	ask("c20.example.com.", TYPE_A, BY_TCP);
	ck_assert_uint_eq(flags() & DNS_RCODE, RCODE_NXDOMAIN);	/* RFC 6604: of the last name */
}
END_TEST

/* As NSD, Knot and BIND do; RFC 4035 s.3.1.4 is about signed zones. */
START_TEST(only_a_signed_zone_gives_ds_with_a_referral)
{
	ask("www.sub.example.com.", TYPE_A, EDNS | DO);
	ck_assert_str_eq(section_text(LDNS_SECTION_AUTHORITY), REFERRAL);

	given_zone("@ 60 RRSIG SOA" SIGNATURE "sub 60 NS ns.example.net.\nsub 60 DS 1 13 2 00\n", 0, "");
	ask("www.sub.example.com.", TYPE_A, EDNS | DO);
	ck_assert_str_eq(section_text(LDNS_SECTION_AUTHORITY),
			 "sub.example.com. 60 NS ns.example.net.; sub.example.com. 60 DS 1 13 2 00");
}
END_TEST

/* RFC 6604 s.2.1; a chain that does not fit was NOERROR, whatever it led to. */
START_TEST(a_chain_that_is_cut_short_has_the_rcode_of_its_end)
{
	char text[4096] = "dn 60 DNAME c0\n", *t = text + strlen(text);

	for (unsigned i = 0; i < 15; i++)
		t += snprintf(t, 200, "c%u 60 CNAME a-name-that-fills-the-message-%u.and-is-longer-than-most\n"
			      "a-name-that-fills-the-message-%u.and-is-longer-than-most 60 CNAME c%u\n", i, i, i, i + 1);
	given_zone(text, 0, "");
	ask("c8.example.com.", TYPE_A, 0);
	ck_assert_uint_eq(flags() & (DNS_TC | DNS_RCODE), DNS_TC | RCODE_NXDOMAIN);
	ck_assert_str_eq(section_text(LDNS_SECTION_AUTHORITY), "");
	ask("c8.example.com.", TYPE_A, BY_TCP);
	ck_assert_uint_eq(flags() & (DNS_TC | DNS_RCODE), RCODE_NXDOMAIN);
}
END_TEST

START_TEST(a_dname_comes_once_however_often_it_is_used)
{
	given_zone("dn 60 DNAME a.dn\n", 0, "");
	ask("x.dn.example.com.", TYPE_A, BY_TCP);
	ck_assert_uint_eq(wire_get_u16(reply.bytes + 6), 1 + 17);
	ck_assert_uint_eq(flags() & DNS_RCODE, RCODE_NOERROR);
}
END_TEST

START_TEST(a_dname_that_leads_to_itself_is_not_said_twice)
{
	given_zone("a 60 DNAME @\na 60 A 192.0.2.2\n", 0, "");
	ask("a.a.example.com.", TYPE_DNAME, BY_TCP);
	ck_assert_str_eq(section_text(LDNS_SECTION_ANSWER), "a.example.com. 60 DNAME example.com.; "
			 "a.a.example.com. 60 CNAME a.example.com.");
	ask("a.a.example.com.", TYPE_ANY, BY_TCP);
	ck_assert_uint_eq(wire_get_u16(reply.bytes + 6), 3);
}
END_TEST

START_TEST(a_dname_makes_names_of_up_to_255_bytes)
{
	ask(LABEL58 ".dnlong.example.com.", TYPE_A, BY_TCP);	/* 59 + 196 */
	ck_assert_uint_eq(flags() & DNS_RCODE, RCODE_NXDOMAIN);
	ask(LABEL58 "a.dnlong.example.com.", TYPE_A, BY_TCP);
	ck_assert_uint_eq(flags() & DNS_RCODE, RCODE_YXDOMAIN);
}
END_TEST

/* The second record of an owner that stands where no pointer reaches. */
/* Labels of one name took each other's place in the table, and answers grew to TC. */
START_TEST(an_owner_points_at_the_question_whatever_its_labels_are)
{
	given_zone("*.w 60 A 192.0.2.1\n", 0, "");
	for (unsigned i = 0; i < 200; i++) {
		char name[128];
		int len = snprintf(name, sizeof(name), "l%u.m%u.n%u.o%u.p%u.q%u.w.example.com.", i,
				   i, i, i, i, i);

		ask(name, TYPE_A, 0);
		ck_assert_uint_eq(reply.len, 12 + (size_t)len + 1 + 4 + 2 + 10 + 4);
	}
	/* more labels than the table has places */
	char many[256] = "";

	for (unsigned i = 0; i < 100; i++)
		strcat(many, "x.");
	strcat(many, "w.example.com.");
	ask(many, TYPE_A, 0);
	ck_assert_uint_eq(reply.len, 12 + strlen(many) + 1 + 4 + 2 + 10 + 4);
}
END_TEST

START_TEST(owners_beyond_the_reach_of_pointers_stand_in_full)
{
	given_zone("h0-0 60 A 192.0.2.1\nh0-0 60 A 192.0.2.2\n", 1200, "mx 60 MX 1 h%u-%u\n");
	ask("mx.example.com.", TYPE_MX, BY_TCP);
	ck_assert_uint_gt(reply.len, 0x4000);
	ck_assert_str_eq(section_text(LDNS_SECTION_ADDITIONAL),
			 "h0-0.example.com. 60 A 192.0.2.1; h0-0.example.com. 60 A 192.0.2.2");
}
END_TEST

/* SRV's target is not compressed, so the owners in the additional section are new names. */
START_TEST(what_did_not_fit_is_not_pointed_at)
{
	given_zone("srv 60 SRV 0 0 1 a.deep\nsrv 60 SRV 0 0 2 b.deep\nb.deep 60 A 192.0.2.1\n", 29,
		   "a.deep 60 A 10.0.%u.%u\n");
	ask("srv.example.com.", TYPE_SRV, 0);
	ck_assert_str_eq(section_text(LDNS_SECTION_ADDITIONAL), "b.deep.example.com. 60 A 192.0.2.1");
}
END_TEST

START_TEST(the_root_is_a_zone_like_others)
{
	generation_free(zone);
	zone = fixture_zone(".", ". 60 SOA a. b. 1 2 3 4 5\n. 60 NS a.\na. 60 A 192.0.2.1\n*. 60 TXT x\n");
	ask(".", TYPE_NS, 0);
	ck_assert_str_eq(section_text(LDNS_SECTION_ANSWER), ". 60 NS a.");
	ck_assert_str_eq(section_text(LDNS_SECTION_ADDITIONAL), "a. 60 A 192.0.2.1");
	ask("any.thing.", TYPE_TXT, 0);
	ck_assert_str_eq(section_text(LDNS_SECTION_ANSWER), "any.thing. 60 TXT \"x\"");
}
END_TEST

#define HEAVY(type, labels) " 60 RRSIG " type " 13 " labels " 60 20370101000000 20260101000000 1 example.com. !\n"

/* Each RRset drags 363 bytes of signature along, which "!" stands for. */
static const char heavy_text[] =
	"@ 60 SOA a a 1 2 3 4 5\n@" HEAVY("SOA", "2") "@ 60 NS a\n@" HEAVY("NS", "2")
	"@ 60 NSEC a NS SOA\n@" HEAVY("NSEC", "2")
	"a 60 A 192.0.2.1\na" HEAVY("A", "3") "a 60 AAAA 2001:db8::1\na" HEAVY("AAAA", "3")
	"a 60 NSEC b A AAAA\na" HEAVY("NSEC", "3")
	"alias 60 CNAME alias2\nalias" HEAVY("CNAME", "3") "alias2 60 CNAME a\nalias2" HEAVY("CNAME", "3")
	"dn 60 DNAME dn2\ndn" HEAVY("DNAME", "3") "dn2 60 DNAME a\ndn2" HEAVY("DNAME", "3")
	"s 60 NS ns.s\ns 60 DS 1 13 2 00\ns" HEAVY("DS", "3") "ns.s 60 A 192.0.2.2\n"
	"t 60 NS ns.t\nt 60 NSEC u NS\nt" HEAVY("NSEC", "3") "ns.t 60 A 192.0.2.2\n"
	"*.w 60 A 192.0.2.3\n*.w" HEAVY("A", "3") "*.w 60 NSEC x A\n*.w" HEAVY("NSEC", "3")
	"*.x 60 CNAME x.w\n*.x" HEAVY("CNAME", "3") "*.y 60 TXT " LABEL60 " " LABEL60 " " LABEL60 "\n";

static const struct {
	const char *name;
	uint16_t type;
} heavy_questions[] = {
	{ "example.com.", TYPE_SOA }, { "example.com.", TYPE_NS }, { "example.com.", TYPE_ANY },
	{ "example.com.", TYPE_RRSIG }, { "a.example.com.", TYPE_A }, { "a.example.com.", TYPE_ANY },
	{ "a.example.com.", TYPE_MX }, { "b.example.com.", TYPE_A }, { "alias.example.com.", TYPE_A },
	{ "alias.example.com.", TYPE_MX }, { "x.dn.example.com.", TYPE_A }, { "q.s.example.com.", TYPE_A },
	{ "q.t.example.com.", TYPE_A }, { "t.example.com.", TYPE_DS }, { "x.w.example.com.", TYPE_A },
	{ "x.w.example.com.", TYPE_MX }, { "x.x.example.com.", TYPE_A }, { "x.x.example.com.", TYPE_MX },
	{ "dn.example.com.", TYPE_DNAME }, { "x.y.example.com.", TYPE_TXT },
};

static struct generation *heavy_zone(void)
{
	static char text[65536];
	size_t len = 0;

	for (const char *c = heavy_text; *c; c++) {
		if (*c != '!') {
			text[len++] = *c;
			continue;
		}
		memset(text + len, 'A', 484);
		len += 484;
	}
	text[len] = '\0';
	return fixture_zone("example.com.", text);
}

START_TEST(every_limit_cuts_at_a_whole_rrset)
{
	struct generation *kept = zone, *heavy = heavy_zone();
	const char *name = heavy_questions[_i].name;
	uint16_t type = heavy_questions[_i].type;
	unsigned counts = 0;
	size_t whole;

	zone = heavy;
	ask(name, type, EDNS | DO | BY_TCP);
	whole = reply.len;
	ck_assert_int_eq(flags() & DNS_TC, 0);
	for (size_t size = 512; size <= whole; size++) {
		ask_class(name, type, CLASS_IN, EDNS | DO, (uint16_t)size);
		unsigned records = wire_get_u16(reply.bytes + 6) + wire_get_u16(reply.bytes + 8);

		ck_assert_uint_ge(records, counts);	/* more room, never less data */
		counts = records;
		for (unsigned i = 0; i < ldns_rr_list_rr_count(ldns_pkt_answer(reply.pkt)); i++) {
			const ldns_rr *rr = ldns_rr_list_rr(ldns_pkt_answer(reply.pkt), i);

			if (type != TYPE_RRSIG && ldns_rr_get_type(rr) == LDNS_RR_TYPE_RRSIG)
				ck_assert_uint_gt(i, 0);	/* behind what it signs */
		}
	}
	if (type != TYPE_ANY)		/* by UDP it is one RRset */
		ck_assert_int_eq(flags() & DNS_TC, 0);
	zone = kept;
	generation_free(heavy);
}
END_TEST

START_TEST(aliases_lead_across_the_zones_that_we_have)
{
	ask("across.example.com.", TYPE_A, 0);	/* only one zone is known */
	ck_assert_str_eq(section_text(LDNS_SECTION_ANSWER), "across.example.com. 60 CNAME back.example.net.");
	zones = &two_zones;
	ask("across.example.com.", TYPE_A, 0);	/* there and back, to the generation it began with */
	ck_assert_str_eq(section_text(LDNS_SECTION_ANSWER),
			 "across.example.com. 60 CNAME back.example.net.; "
			 "back.example.net. 60 CNAME www.example.com.; " WWW);
	ask("lost.example.com.", TYPE_A, 0);
	ck_assert_int_eq(flags() & (DNS_RCODE | DNS_AA), RCODE_NXDOMAIN | DNS_AA);
	ck_assert_str_eq(section_text(LDNS_SECTION_AUTHORITY),
			 "example.net. 60 SOA ns1.example.net. host.example.net. 9 7200 3600 1209600 60");
	ask("far.example.com.", TYPE_A, 0);	/* out of all of ours */
	ck_assert_int_eq(flags() & DNS_RCODE, RCODE_NOERROR);
	ck_assert_str_eq(section_text(LDNS_SECTION_AUTHORITY), "");
	ask("ping.example.com.", TYPE_A, 0);	/* a loop over both */
	ck_assert_int_eq(flags() & DNS_RCODE, RCODE_NOERROR);
	ck_assert_uint_eq(wire_get_u16(reply.bytes + 6), 3);
	zones = NULL;
}
END_TEST

static const uint8_t stale_ede[] = { 0, EDNS_EDE, 0, 2, 0, EDE_STALE_ANSWER };

static bool says_stale(void)
{
	size_t len = sizeof(stale_ede);

	return reply.len > len && memcmp(reply.bytes + reply.len - len, stale_ede, len) == 0;
}

/* RFC 8767 s.4: 30 seconds; what lives shorter stays so. */
START_TEST(stale_zone_is_answered_briefly_and_says_so)
{
	atomic_store(&zone->is_stale, true);
	ask("www.example.com.", TYPE_A, EDNS | DO);
	ck_assert_str_eq(section_text(LDNS_SECTION_ANSWER),
			 "www.example.com. 30 A 192.0.2.10; www.example.com. 30 A 192.0.2.11; "
			 "www.example.com. 30 RRSIG A" " 13 3 300 20370101000000 20260101000000 1 "
			 "example.com. AAAA");
	ck_assert(says_stale());
	ask("nowhere.example.com.", TYPE_A, EDNS);
	ck_assert_int_eq(flags() & (DNS_RCODE | DNS_AA), RCODE_NXDOMAIN | DNS_AA);
	ck_assert_str_eq(section_text(LDNS_SECTION_AUTHORITY),
			 "example.com. 30 SOA ns1.example.com. host.example.com. 7 7200 3600 1209600 300");
	ck_assert(says_stale());
	ask("example.com.", TYPE_MX, 0);
	ck_assert_str_eq(section_text(LDNS_SECTION_ADDITIONAL), "mail.example.com. 30 A 192.0.2.25");
	ck_assert(!says_stale());
	atomic_store(&zone->is_stale, false);
	ask("www.example.com.", TYPE_A, EDNS);
	ck_assert_str_eq(section_text(LDNS_SECTION_ANSWER), WWW);
	ck_assert(!says_stale());
}
END_TEST

START_TEST(alias_into_a_stale_zone_says_so_from_there_on)
{
	zones = &two_zones;
	atomic_store(&other->is_stale, true);
	ask("across.example.com.", TYPE_A, EDNS);
	ck_assert_str_eq(section_text(LDNS_SECTION_ANSWER),
			 "across.example.com. 60 CNAME back.example.net.; "
			 "back.example.net. 30 CNAME www.example.com.; "
			 "www.example.com. 30 A 192.0.2.10; www.example.com. 30 A 192.0.2.11");
	ck_assert(says_stale());
	ask("www.example.com.", TYPE_A, EDNS);
	ck_assert(!says_stale());
	zones = NULL;
}
END_TEST

/* Rows of ALIAS and LUA; `rcode` for a question of `type` at `name`. */
static const struct { const char *name; uint16_t type; unsigned rcode; } computed[] = {
	{ "example.com.", TYPE_A, RCODE_SERVFAIL },
	{ "example.com.", TYPE_AAAA, RCODE_SERVFAIL },
	{ "example.com.", TYPE_MX, RCODE_NOERROR },
	{ "example.com.", TYPE_NS, RCODE_NOERROR },
	{ "half.example.com.", TYPE_A, RCODE_NOERROR },	/* an address of its own */
	{ "half.example.com.", TYPE_AAAA, RCODE_SERVFAIL },
	{ "lua.example.com.", TYPE_TXT, RCODE_SERVFAIL },
	{ "lua.example.com.", TYPE_A, RCODE_NOERROR },
	{ "lua.example.com.", TYPE_ALIAS, RCODE_NOERROR },
	{ "luac.example.com.", TYPE_A, RCODE_SERVFAIL },
	{ "any.example.com.", TYPE_A, RCODE_SERVFAIL },
	{ "to.example.com.", TYPE_A, RCODE_SERVFAIL },
};

START_TEST(what_only_the_primary_computes_is_servfail_and_says_why)
{
	const char *text =
		"@ 3600 SOA ns host 1 2 3 4 300\n@ 3600 NS ns\nns 60 A 192.0.2.1\n"
		"@ 60 TYPE65401 \\# 3 016100\nhalf 60 TYPE65357 \\# 3 016100\nhalf 60 A 192.0.2.2\n"
		"lua 60 TYPE65402 \\# 4 00100161\nluac 60 TYPE65402 \\# 4 00050161\n"
		"* 60 TYPE65401 \\# 3 016100\nto 60 CNAME luac\n";
	static const uint8_t ede[] = { 0, EDNS_EDE, 0, 2, 0, EDE_NO_REACHABLE_AUTHORITY };

	generation_free(zone);
	zone = fixture_zone("example.com.", text);
	ask(computed[_i].name, computed[_i].type, EDNS);
	ck_assert_uint_eq(flags() & DNS_RCODE, computed[_i].rcode);
	if (computed[_i].rcode == RCODE_SERVFAIL) {
		ck_assert_uint_eq(flags() & DNS_AA, 0);
		ck_assert_uint_eq(wire_get_u16(reply.bytes + 6), 0);
		ck_assert_mem_eq(reply.bytes + reply.len - sizeof(ede), ede, sizeof(ede));
	}
}
END_TEST

/* What a chain leads to decides, though there is no room for its end. */
START_TEST(a_chain_that_is_cut_short_may_lead_to_what_is_computed)
{
	char text[4096] = LABEL60 ".c12 60 TYPE65401 \\# 3 016100\n", *t = text + strlen(text);

	for (unsigned i = 0; i < 12; i++)
		t += snprintf(t, 200, LABEL60 ".c%u 60 CNAME " LABEL60 ".c%u\n", i, i + 1);
	given_zone(text, 0, "");
	ask(LABEL60 ".c0.example.com.", TYPE_MX, 0);
	ck_assert_uint_eq(flags() & (DNS_TC | DNS_RCODE), DNS_TC | RCODE_NOERROR);
	ask(LABEL60 ".c0.example.com.", TYPE_A, 0);
	ck_assert_uint_eq(flags() & (DNS_TC | DNS_RCODE), RCODE_SERVFAIL);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("answer");
	TCase *rules = tcase_create("rules"), *limits = tcase_create("limits");

	tcase_add_checked_fixture(rules, setup, teardown);
	tcase_add_loop_test(rules, answer_is_that_of_rfc1034, 0, COUNT(cases));
	tcase_add_loop_test(rules, below_a_cut_there_is_only_a_referral, 0, COUNT(delegated));
	tcase_add_test(rules, signatures_come_only_to_those_who_ask);
	tcase_add_test(rules, only_a_signed_zone_gives_ds_with_a_referral);
	tcase_add_test(rules, a_signature_lives_as_long_as_what_it_signs);
	tcase_add_test(rules, opt_comes_back_if_and_only_if_it_was_sent);
	tcase_add_test(rules, cookie_comes_back_if_and_only_if_one_was_sent);
	tcase_add_test(rules, question_comes_back_in_the_client_s_case);
	tcase_add_test(rules, other_classes_are_refused);
	tcase_add_loop_test(rules, what_only_the_primary_computes_is_servfail_and_says_why, 0,
			    COUNT(computed));
	tcase_add_test(rules, stale_zone_is_answered_briefly_and_says_so);
	tcase_add_test(rules, alias_into_a_stale_zone_says_so_from_there_on);
	tcase_add_test(rules, a_chain_that_is_cut_short_may_lead_to_what_is_computed);
	tcase_add_test(rules, any_class_is_answered_without_authority);
	tcase_add_test(rules, every_type_gets_some_answer);
	tcase_set_timeout(rules, 30);
	tcase_add_checked_fixture(limits, setup, teardown);
	tcase_add_test(limits, an_rrset_comes_whole_or_not_at_all);
	tcase_add_test(limits, any_by_udp_gets_an_rrset_that_fits);
	tcase_add_test(limits, opt_has_its_room_from_the_start);
	tcase_add_test(limits, tcp_carries_all_that_64_kb_can_hold);
	tcase_add_test(limits, names_beyond_the_reach_of_pointers_stand_in_full);
	tcase_add_test(limits, additional_data_is_left_out_before_anything_else);
	tcase_add_test(limits, optional_addresses_are_looked_up_for_13_names);
	tcase_add_test(limits, required_glue_that_does_not_fit_sets_tc);
	tcase_add_loop_test(limits, a_referral_comes_whole_or_cut_short, 0, COUNT(referrals));
	tcase_add_test(limits, sibling_glue_is_looked_up_for_13_servers);
	tcase_add_test(limits, sibling_glue_that_does_not_fit_sets_nothing);
	tcase_add_test(limits, a_set_whose_signature_does_not_fit_stays_away_too);
	tcase_add_test(limits, a_chain_ends_after_17_links);
	tcase_add_test(limits, a_chain_that_is_cut_short_has_the_rcode_of_its_end);
	tcase_add_test(limits, a_dname_comes_once_however_often_it_is_used);
	tcase_add_test(limits, a_dname_that_leads_to_itself_is_not_said_twice);
	tcase_add_test(limits, a_dname_makes_names_of_up_to_255_bytes);
	tcase_add_test(limits, an_owner_points_at_the_question_whatever_its_labels_are);
	tcase_add_test(limits, owners_beyond_the_reach_of_pointers_stand_in_full);
	tcase_add_test(limits, what_did_not_fit_is_not_pointed_at);
	tcase_add_test(limits, the_root_is_a_zone_like_others);
	tcase_add_loop_test(limits, every_limit_cuts_at_a_whole_rrset, 0, COUNT(heavy_questions));
	tcase_add_test(rules, aliases_lead_across_the_zones_that_we_have);
	tcase_set_timeout(limits, 30);
	suite_add_tcase(s, rules);
	suite_add_tcase(s, limits);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
