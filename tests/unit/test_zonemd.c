/* SPDX-License-Identifier: ISC */
/* Digests against those printed in RFC 8976, and against ldns, which signs and checks for itself. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <ldns/ldns.h>

#include "cache/dns.h"
#include "cache/memory.h"
#include "cache/rdata.h"
#include "cache/zonemd.h"
#include "tests/unit/fixture.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static enum zonemd_outcome outcome_of(const struct generation *g, size_t at_once)
{
	struct zonemd *z = zonemd_new(g);
	enum zonemd_outcome o;

	while (zonemd_step(z, at_once))
		;
	o = zonemd_outcome(z);
	zonemd_free(z);
	return o;
}

static enum zonemd_outcome outcome_of_text(const char *origin, const char *text)
{
	struct generation *g = fixture_zone(origin, text);
	enum zonemd_outcome o = outcome_of(g, SIZE_MAX), in_steps = outcome_of(g, 1);

	ck_assert_int_eq(o, in_steps);
	generation_free(g);
	return o;
}

/* ---- RFC 8976 appendix A ---- */

#define HEAD \
	"example. 86400 IN SOA ns1.example. admin.example. 2018031900 1800 900 604800 86400\n" \
	"example. 86400 IN NS ns1.example.\n" \
	"example. 86400 IN NS ns2.example.\n" \
	"ns1.example. 3600 IN A 203.0.113.63\n"
#define SIMPLE HEAD "ns2.example. 3600 IN AAAA 2001:db8::63\n"
#define MD "example. 86400 IN ZONEMD "
#define A1 "c68090d90a7aed716bc459f9340e3d7c1370d4d24b7e2fc3a1ddc0b9a87153b9a9713b3c9ae5cc27777f98b8e730044c"

static const char *const appendix[] = {
	SIMPLE MD "2018031900 1 1 " A1 "\n",
	HEAD MD "2018031900 1 1 a3b69bad980a3504e1cffcb0fd6397f93848071c93151f552ae2f6b1711d4bd2d8b39808226d7b9d"
		"b71e34b72077f8fe\n"
	"NS2.example. 3600 IN AAAA 2001:db8::63\n"
	"occluded.sub.example. 7200 IN TXT \"I'm occluded but must be digested\"\n"
	"sub.example. 7200 IN NS ns1.example.\n"
	"duplicate.example. 300 IN TXT \"I must be digested just once\"\n"
	"duplicate.example. 300 IN TXT \"I must be digested just once\"\n"
	"UPPERCASE.example. 3600 IN TXT \"canonicalize uppercase owner names\"\n"
	"*.example. 777 IN PTR dont-forget-about-wildcards.example.\n"
	"mail.example. 3600 IN MX 20 MAIL1.example.\n"
	"mail.example. 3600 IN MX 10 Mail2.Example.\n"
	"sortme.example. 3600 IN AAAA 2001:db8::5:61\n"
	"sortme.example. 3600 IN AAAA 2001:db8::3:62\n"
	"sortme.example. 3600 IN AAAA 2001:db8::4:63\n"
	"sortme.example. 3600 IN AAAA 2001:db8::1:65\n"
	"sortme.example. 3600 IN AAAA 2001:db8::2:64\n"
	"non-apex.example. 900 IN ZONEMD 2018031900 1 1 616c6c6f776564206275742069676e6f7265642e20616c6c6f77656420"
		"6275742069676e6f7265642e20616c6c6f7765\n",
};

START_TEST(digests_of_the_rfc_are_good)
{
	ck_assert_int_eq(outcome_of_text("example.", appendix[_i]), ZONEMD_GOOD);
}
END_TEST

#define SEVERAL HEAD \
	"ns2.example. 86400 IN TXT \"This example has multiple digests\"\n" \
	"ns2.example. 3600 IN AAAA 2001:db8::63\n"
#define A3_384 "1 1 62e6cf51b02e54b9b5f967d547ce43136792901f9f88e637493daaf401c92c279dd10f0edb1c56f8080211f8480ee306\n"
#define A3_512 "1 2 08cfa1115c7b948c4163a901270395ea226a930cd2cbcf2fa9a5e6eb85f37c8a4e114d884e66f176eab121cb02db7d65" \
	"2e0cc4827e7a3204f166b47e5613fd27\n"
#define A3_HASH_240 "1 240 e2d523f654b9422a96c5a8f44607bbee\n"
#define A3_SCHEME_241 "241 1 e1846540e33a9e4189792d18d5d131f605fc283e0000000067929 01f9f88e637493daaf401c92c279dd10f0edb1c56f8\n"
#define BAD_384 "1 1 62e6cf51b02e54b9b5f967d547ce43136792901f9f88e637493daaf401c92c279dd10f0edb1c56f8080211f8480ee307\n"
#define SHORT_384 "1 1 62e6cf51b02e54b9b5f967d547ce43136792901f9f88e637\n"
#define NOW MD "2018031900 "
#define THEN MD "2018031899 "

static const struct { const char *what, *records; enum zonemd_outcome outcome; } several[] = {
	{ "none at all", "", ZONEMD_ABSENT },
	{ "all of appendix A.3", NOW A3_384 NOW A3_512 NOW A3_HASH_240 NOW A3_SCHEME_241, ZONEMD_GOOD },
	{ "SHA-384 alone", NOW A3_384, ZONEMD_GOOD },
	{ "SHA-512 alone", NOW A3_512, ZONEMD_GOOD },
	{ "one that fits is enough", NOW BAD_384 NOW A3_512, ZONEMD_GOOD },
	{ "a wrong digest", NOW BAD_384, ZONEMD_DIFFERS },
	{ "a wrong digest beside what nobody knows", NOW BAD_384 NOW A3_HASH_240, ZONEMD_DIFFERS },
	{ "an unknown hash", NOW A3_HASH_240, ZONEMD_UNSUPPORTED },
	{ "an unknown scheme", NOW A3_SCHEME_241, ZONEMD_UNSUPPORTED },
	{ "an older serial", THEN A3_384, ZONEMD_OTHER_SERIAL },
	{ "an older serial beside a good one", THEN A3_384 NOW A3_512, ZONEMD_GOOD },
	{ "too short", NOW SHORT_384, ZONEMD_MALFORMED },
	{ "too short beside a good one", NOW SHORT_384 NOW A3_512, ZONEMD_GOOD },
	{ "the same hash twice", NOW A3_384 NOW BAD_384, ZONEMD_TWICE },
	{ "the same hash twice, once of another serial", NOW A3_384 THEN A3_384, ZONEMD_OTHER_SERIAL },
	{ "the same hash twice beside a good one", NOW A3_384 NOW BAD_384 NOW A3_512, ZONEMD_GOOD },
	{ "the same hash twice, once too short", NOW A3_384 NOW SHORT_384, ZONEMD_TWICE },
};

START_TEST(of_several_records_one_that_fits_counts)
{
	char text[4000];

	snprintf(text, sizeof(text), "%s%s", SEVERAL, several[_i].records);
	enum zonemd_outcome o = outcome_of_text("example.", text);

	ck_assert_msg(o == several[_i].outcome, "%s: %s", several[_i].what, zonemd_text(o));
}
END_TEST

/* Each differs from the first example in one thing. */
static const struct { const char *what, *text; } changed[] = {
	{ "a TTL", HEAD "ns2.example. 3601 IN AAAA 2001:db8::63\n" },
	{ "an address", HEAD "ns2.example. 3600 IN AAAA 2001:db8::64\n" },
	{ "one record more", SIMPLE "new.example. 3600 IN A 192.0.2.1\n" },
	{ "one record less", HEAD },
	{ "another owner", HEAD "ns3.example. 3600 IN AAAA 2001:db8::63\n" },
};

START_TEST(whatever_changes_is_noticed)
{
	char text[4000];

	snprintf(text, sizeof(text), "%s" MD "2018031900 1 1 " A1 "\n", changed[_i].text);
	ck_assert_msg(outcome_of_text("example.", text) == ZONEMD_DIFFERS, "%s", changed[_i].what);
}
END_TEST

START_TEST(each_outcome_has_a_sentence)
{
	for (int o = ZONEMD_ABSENT; o <= ZONEMD_GOOD; o++)
		ck_assert_uint_gt(strlen(zonemd_text((enum zonemd_outcome)o)), 10);
}
END_TEST

/* ---- Canonical form ---- */

static const struct { uint16_t type; const char *stored, *canonical; size_t len; } forms[] = {
	{ TYPE_MX, "\0\12\4MaIl\2EX", "\0\12\4mail\2ex", 11 },
	{ TYPE_SRV, "AABBCC\1A\1B", "AABBCC\1a\1b", 11 },
	{ TYPE_NSEC, "\1A\1B\0\0\1\100", "\1A\1B\0\0\1\100", 8 },
	{ TYPE_RRSIG, "AABBCCCCDDDDEEEEFF\1A\1B\0SIG", "AABBCCCCDDDDEEEEFF\1a\1b\0SIG", 26 },
	{ TYPE_TXT, "\3ABC", "\3ABC", 4 },
	{ TYPE_SVCB, "AA\1A", "AA\1A", 5 },
	{ 65280, "ABC", "ABC", 3 },
	{ TYPE_NULL, "", "", 0 },
};

START_TEST(names_of_old_types_alone_lose_their_case)
{
	uint8_t out[64];

	rdata_to_canonical(forms[_i].type, (const uint8_t *)forms[_i].stored, (uint16_t)forms[_i].len, out);
	ck_assert_mem_eq(out, forms[_i].canonical, forms[_i].len);
}
END_TEST

/* ---- ldns ---- */

enum { TEXT_MAX = 1 << 20 };

/* What a zone may hold, and what is awkward to put in order; signed by a key made here. */
static const char *const records =
	"$ORIGIN Zone.Test.\n$TTL 300\n"
	"@ SOA Ns.Zone.TEST. Host.Master 7 3600 600 86400 60\n@ NS Ns\n@ NS A.ns.ELSEWHERE.\n"
	"@ TXT \"b\"\n@ TXT \"a\" \"b\"\n@ TXT \"\"\n@ MX 10 MX.other.\n@ MX 5 Mx\n@ CAA 0 issue \"CA.example\"\n"
	"ns A 192.0.2.1\nNS AAAA 2001:db8::1\nmx A 192.0.2.2\nMx A 192.0.2.10\nmx A 192.0.2.1\n"
	"*.Wild CNAME Target\n\\000.x TXT nul\n\\255.x TXT top\nX\\.y.x TXT dot\nz.x TXT z\n*.x TXT star\n"
	"a.b.c.d.e.f A 192.0.2.3\nsub NS ns.sub\nns.sub A 192.0.2.4\nsub DS 12345 8 2 "
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"
	"old DNAME NEW.zone.test.\nrp RP Me.Zone.Test. Txt.Zone.Test.\nsrv SRV 1 2 3 Host.Zone.Test.\n"
	"naptr NAPTR 1 2 \"U\" \"E2U+sip\" \"!^.*$!sip:X@Y!\" Repl.Zone.Test.\nkx KX 1 KX.Host.\n"
	"afs AFSDB 1 AFS.Host.\npx PX 1 MAP.a. X400.b.\nhinfo HINFO CPU OS\nloc LOC 1 N 2 E 3m\n"
	"unknown TYPE65280 \\# 3 414243\nunknown TYPE65280 \\# 2 4142\nempty TYPE65281 \\# 0\n"
	"md ZONEMD 7 1 1 00112233445566778899aabbccddeeff\n";

static ldns_key_list *keys_new(const char *origin)
{
	ldns_key_list *keys = ldns_key_list_new();
	ldns_key *key = ldns_key_new_frm_algorithm(LDNS_SIGN_ECDSAP256SHA256, 256);

	ck_assert_ptr_nonnull(key);
	ldns_key_set_pubkey_owner(key, ldns_dname_new_frm_str(origin));
	ldns_key_set_flags(key, LDNS_KEY_ZONE_KEY | LDNS_KEY_SEP_KEY);
	ldns_key_list_push_key(keys, key);
	return keys;
}

/* The same zone with a ZONEMD by ldns, and signed with NSEC or NSEC3; as text. */
static char *text_by_ldns(bool is_signed, bool is_nsec3, int flags)
{
	char *text = memory_zeroed(1, TEXT_MAX);
	FILE *in = fmemopen((void *)(uintptr_t)records, strlen(records), "r");
	FILE *out = fmemopen(text, TEXT_MAX, "w");
	ldns_key_list *keys = is_signed ? keys_new("zone.test.") : ldns_key_list_new();
	ldns_rr_list *added = ldns_rr_list_new();
	uint8_t salt[] = { 0xab, 0xcd };
	ldns_dnssec_zone *zone = NULL;
	ldns_status s;

	s = ldns_dnssec_zone_new_frm_fp(&zone, in, NULL, 300, LDNS_RR_CLASS_IN);
	ck_assert_msg(s == LDNS_STATUS_OK, "%s", ldns_get_errorstr_by_id(s));
	flags |= is_signed ? 0 : LDNS_SIGN_NO_KEYS_NO_NSECS;
	if (is_nsec3)
		s = ldns_dnssec_zone_sign_nsec3_flg(zone, added, keys, ldns_dnssec_default_replace_signatures,
						    NULL, 1, 0, 3, sizeof(salt), salt, flags);
	else
		s = ldns_dnssec_zone_sign_flg(zone, added, keys, ldns_dnssec_default_replace_signatures,
					      NULL, flags);
	ck_assert_msg(s == LDNS_STATUS_OK, "%s", ldns_get_errorstr_by_id(s));
	ldns_dnssec_zone_print(out, zone);
	fclose(out);
	fclose(in);
	ldns_dnssec_zone_deep_free(zone);
	ldns_rr_list_free(added);
	ldns_key_list_free(keys);
	return text;
}

static const struct { bool is_signed, is_nsec3; int flags; } by_ldns[] = {
	{ false, false, LDNS_SIGN_WITH_ZONEMD_SIMPLE_SHA384 },
	{ false, false, LDNS_SIGN_WITH_ZONEMD_SIMPLE_SHA512 },
	{ true, false, LDNS_SIGN_WITH_ZONEMD_SIMPLE_SHA384 },
	{ true, false, LDNS_SIGN_WITH_ZONEMD_SIMPLE_SHA512 },
	{ true, true, LDNS_SIGN_WITH_ZONEMD_SIMPLE_SHA384 },
	{ true, true, LDNS_SIGN_WITH_ZONEMD_SIMPLE_SHA384 | LDNS_SIGN_WITH_ZONEMD_SIMPLE_SHA512 },
};

START_TEST(digests_by_ldns_are_good)
{
	char *text = text_by_ldns(by_ldns[_i].is_signed, by_ldns[_i].is_nsec3, by_ldns[_i].flags);
	char *changed_by_us = strstr(text, "192.0.2.3");

	ck_assert_ptr_nonnull(changed_by_us);
	ck_assert_int_eq(outcome_of_text("zone.test.", text), ZONEMD_GOOD);
	changed_by_us[8] = '9';
	ck_assert_int_eq(outcome_of_text("zone.test.", text), ZONEMD_DIFFERS);
	free(text);
}
END_TEST

/* A hashed owner name that has records of its own, too: one name, two trees. */
START_TEST(name_that_is_a_hash_as_well_is_digested_by_type)
{
	static const char both[] =
		"example. 60 IN SOA ns.example. h.example. 1 2 3 4 5\nexample. 60 IN NS ns.example.\n"
		"0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example. 60 IN TLSA 0 0 0 00\n"
		"0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example. 60 IN A 192.0.2.1\n"
		"0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example. 60 IN NSEC3 1 0 0 - "
		"2T7B4G4VSA5SMI47K61MV5BV1A22BOJR A\n";
	/* by dnspython 2.3 */
	static const char digest[] = MD "1 1 1 091c512faa29bf166cd5c3204269d0ffd1864a5de6da3ab6af788c6ce4817be9"
		"e82aec68746af68a73845c8efc5d5c59\n";
	char text[2000];

	snprintf(text, sizeof(text), "%s%s", both, digest);
	ck_assert_int_eq(outcome_of_text("example.", text), ZONEMD_GOOD);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("zonemd");
	TCase *tc = tcase_create("zonemd");
	SRunner *runner = srunner_create(s);

	tcase_add_loop_test(tc, digests_of_the_rfc_are_good, 0, COUNT(appendix));
	tcase_add_loop_test(tc, of_several_records_one_that_fits_counts, 0, COUNT(several));
	tcase_add_loop_test(tc, whatever_changes_is_noticed, 0, COUNT(changed));
	tcase_add_test(tc, each_outcome_has_a_sentence);
	tcase_add_loop_test(tc, names_of_old_types_alone_lose_their_case, 0, COUNT(forms));
	tcase_add_loop_test(tc, digests_by_ldns_are_good, 0, COUNT(by_ldns));
	tcase_add_test(tc, name_that_is_a_hash_as_well_is_digested_by_type);
	suite_add_tcase(s, tc);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);

	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
