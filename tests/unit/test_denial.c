/* SPDX-License-Identifier: ISC */
/*
 * Which proofs an answer carries. The NSEC3 zone is that of RFC 5155 appendix A, and the
 * answers are those of its appendix B; the NSEC zone is after RFC 4035 appendix A.
 */
#include <check.h>
#include <stdbool.h>	/* before ldns, which takes bool for a signed char without it */
#include <stdlib.h>
#include <string.h>

#include <ldns/ldns.h>

#include "cache/answer.h"
#include "cache/denial.h"
#include "cache/wire.h"
#include "tests/unit/fixture.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define DATES " 3600 20370101000000 20260101000000 1 example. AAAA\n"

static const char nsec_text[] =
	"@ 3600 SOA ns1 host 7 7200 3600 1209600 3600\n@ 3600 RRSIG SOA 13 1" DATES
	"@ 3600 NS ns1\n@ 3600 NSEC a NS SOA RRSIG NSEC DNSKEY\n@ 3600 RRSIG NSEC 13 1" DATES
	"a 3600 NS ns.a\na 3600 DS 1 13 2 00\na 3600 RRSIG DS 13 2" DATES "a 3600 NSEC ai NS DS RRSIG NSEC\n"
	"ns.a 3600 A 192.0.2.5\nns.a 3600 RRSIG A 13 3" DATES
	"ai 3600 A 192.0.2.9\nai 3600 NSEC alias A RRSIG NSEC\n"
	"alias 3600 CNAME x.w\nalias 3600 NSEC b CNAME RRSIG NSEC\n"
	"b 3600 NS ns.b\nb 3600 NSEC dn NS RRSIG NSEC\n"
	"ns.b 3600 A 192.0.2.6\nz.ns.b 3600 A 192.0.2.7\n"
	"dn 3600 DNAME w\ndn 3600 NSEC c.d.ent DNAME RRSIG NSEC\nhidden.dn 3600 A 192.0.2.8\n"
	"c.d.ent 3600 A 192.0.2.10\nc.d.ent 3600 NSEC ns1 A RRSIG NSEC\n"
	"ns1 3600 A 192.0.2.1\nns1 3600 RRSIG A 13 2" DATES "ns1 3600 NSEC *.w A RRSIG NSEC\n"
	"*.w 3600 MX 1 ai\n*.w 3600 RRSIG MX 13 2" DATES "*.w 3600 NSEC x.w MX RRSIG NSEC\n"
	"*.w 3600 RRSIG NSEC 13 2" DATES
	"x.w 3600 MX 1 ai\nx.w 3600 NSEC x.*.wc MX RRSIG NSEC\n"
	"x.*.wc 3600 A 192.0.2.11\nx.*.wc 3600 NSEC @ A RRSIG NSEC\n";

#define LABEL60 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LONG_DATES " 3600 20370101000000 20260101000000 1 example. " \
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"
#define NSEC3(owner, next, types) owner " 3600 NSEC3 1 1 12 aabbccdd " next " " types "\n"
#define H_APEX "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"
#define H_A "35mthgpgcu1qg68fab165klnsnk3dpvl"
#define H_AI "gjeqe526plbf1g8mklp59enfd789njgi"
#define H_NS1 "2t7b4g4vsa5smi47k61mv5bv1a22bojr"
#define H_NS2 "q04jkcevqvmu85r014c7dkba38o0ji5r"
#define H_W "k8udemvp1j2f7eg6jebps17vp3n8i58h"
#define H_WILD "r53bq7cc2uvmubfu5ocmm6pers9tk9en"
#define H_XW "b4um86eghhds6nea196smvmlo4ors995"
#define H_YW "ji6neoaepv8b5o6k4ev33abha8ht9fgc"
#define H_XYW "2vptu5timamqttgl4luu9kg21e0aor3s"
#define H_XX "t644ebqk9bibcna874givr6joj62mlhv"
#define H_LIKE "kohar7mbb8dc2ce8a9qvl8hon4k53uhi"

static const char nsec3_text[] =
	"@ 3600 SOA ns1 bugs.x.w 1 3600 300 3600000 3600\n@ 3600 NS ns1\n@ 3600 NS ns2\n"
	"@ 3600 MX 1 xx\n@ 3600 NSEC3PARAM 1 0 12 aabbccdd\n"
	H_NS1 " 3600 A 192.0.2.127\n"	/* a name like a hash, and one that is in the chain */
	"a 3600 NS ns1.a\na 3600 DS 1 13 2 00\nns1.a 3600 A 192.0.2.5\nai 3600 A 192.0.2.9\n"
	"c 3600 NS ns1.c\nns1.c 3600 A 192.0.2.7\n"
	"opt.ent 3600 NS ns1\n"		/* an empty non-terminal that opt-out leaves out */
	"ns1 3600 A 192.0.2.1\nns2 3600 A 192.0.2.2\n*.w 3600 MX 1 ai\nx.w 3600 MX 1 xx\n"
	"x.y.w 3600 MX 1 xx\nxx 3600 A 192.0.2.10\nvia 3600 CNAME a.z.w\n"
	NSEC3(H_APEX, H_NS1, "MX NS SOA NSEC3PARAM RRSIG") H_APEX " 3600 RRSIG NSEC3 13 2" DATES
	H_XW " 3600 RRSIG NSEC3 13 2" LONG_DATES H_A " 3600 RRSIG NSEC3 13 2" LONG_DATES
	NSEC3(H_NS1, H_XYW, "A RRSIG") NSEC3(H_XYW, H_A, "MX RRSIG") NSEC3(H_A, H_XW, "NS DS RRSIG")
	NSEC3(H_XW, H_AI, "MX RRSIG") NSEC3(H_AI, H_YW, "A RRSIG") NSEC3(H_YW, H_W, "")
	NSEC3(H_W, H_LIKE, "") NSEC3(H_LIKE, H_NS2, "A RRSIG") NSEC3(H_NS2, H_WILD, "A RRSIG")
	NSEC3(H_WILD, H_XX, "MX RRSIG") NSEC3(H_XX, H_APEX, "A RRSIG");

/* Counts what is taken from the heap; sanitizers have an allocator of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(__clang__)
enum { COUNTS_MEMORY = 0 };
static unsigned allocations;
#else
enum { COUNTS_MEMORY = 1 };
static unsigned allocations;
void *__libc_malloc(size_t size);
void *malloc(size_t size)
{
	allocations++;
	return __libc_malloc(size);
}
#endif

static struct generation *nsec_zone, *nsec3_zone;
static struct nsec3_hasher *hasher;

static void setup(void)
{
	nsec_zone = fixture_zone("example.", nsec_text);
	nsec3_zone = fixture_zone("example.", nsec3_text);
	hasher = nsec3_hasher_new();
}

static void teardown(void)
{
	generation_free(nsec_zone);
	generation_free(nsec3_zone);
	nsec3_hasher_free(hasher);
}

static struct reply {
	uint8_t bytes[DNS_MESSAGE_MAX];
	size_t len;
	unsigned rcode;
	bool is_truncated;
	char proofs[2048];	/* owners of NSEC and NSEC3 in the authority section, in order */
	unsigned signatures;	/* in all sections */
} reply;

static const char *without_origin(char *owner)
{
	char *origin = strstr(owner, "example.");

	if (origin)
		*origin = '\0';
	return *owner ? owner : "@";
}

static void read_reply(void)
{
	ldns_pkt *pkt;
	ldns_rr_list *all;
	char *end = reply.proofs;

	*end = '\0';
	reply.signatures = 0;
	reply.rcode = wire_get_u16(reply.bytes + 2) & DNS_RCODE;
	reply.is_truncated = wire_get_u16(reply.bytes + 2) & DNS_TC;
	ck_assert_int_eq(ldns_wire2pkt(&pkt, reply.bytes, reply.len), LDNS_STATUS_OK);
	all = ldns_pkt_all_noquestion(pkt);
	for (size_t i = 0; i < ldns_rr_list_rr_count(all); i++)
		reply.signatures += ldns_rr_get_type(ldns_rr_list_rr(all, i)) == LDNS_RR_TYPE_RRSIG;
	ldns_rr_list_deep_free(all);
	for (size_t i = 0; i < ldns_rr_list_rr_count(ldns_pkt_authority(pkt)); i++) {
		const ldns_rr *rr = ldns_rr_list_rr(ldns_pkt_authority(pkt), i);
		char *owner = ldns_rdf2str(ldns_rr_owner(rr));

		if (ldns_rr_get_type(rr) == LDNS_RR_TYPE_NSEC || ldns_rr_get_type(rr) == LDNS_RR_TYPE_NSEC3)
			end += sprintf(end, "%s%s", end == reply.proofs ? "" : " ", without_origin(owner));
		free(owner);
	}
	ldns_pkt_free(pkt);
}

static void ask(const struct generation *zone, const char *name, uint16_t type, bool dnssec_ok,
		size_t limit)
{
	uint8_t query[512];
	struct wire_out o = wire_into(query, sizeof(query));
	uint8_t qname[NAME_LEN_MAX];
	struct name_key key;
	struct message m;

	wire_add_u64(&o, UINT64_C(1) << 16);	/* QDCOUNT 1 */
	wire_add_u32(&o, 1);
	wire_add_bytes(&o, qname, name_from_text(name, qname));
	wire_add_u16(&o, type);
	wire_add_u16(&o, CLASS_IN);
	wire_add_u8(&o, 0);
	wire_add_u16(&o, TYPE_OPT);
	wire_add_u16(&o, 4096);
	wire_add_u32(&o, dnssec_ok ? EDNS_DO : 0);
	wire_add_u16(&o, 0);
	ck_assert_int_eq(message_parse(query, o.len, &m), MESSAGE_OK);
	name_to_key(m.qname, &key);
	struct answer_ask ask = { .zone = zone, .query = &m, .packet = query, .key = &key,
				  .hasher = hasher, .limit = limit };

	if (hasher)
		nsec3_hasher_begin(hasher, 0);
	unsigned before = allocations;

	reply.len = answer_write(&ask, reply.bytes);
	ck_assert_uint_eq(allocations, before);
	read_reply();
}

struct expected {
	const char *name;
	uint16_t type;
	unsigned rcode;
	const char *proofs;
};

static void check_proofs(const struct generation *zone, const struct expected *e)
{
	ask(zone, e->name, e->type, true, 4096);
	ck_assert_uint_eq(reply.rcode, e->rcode);
	ck_assert_str_eq(reply.proofs, e->proofs);
	ask(zone, e->name, e->type, false, 4096);
	ck_assert_str_eq(reply.proofs, "");
	ck_assert_uint_eq(reply.signatures, 0);
}

static const struct expected nsec_answers[] = {
	{ "ns1.example.", TYPE_MX, 0, "ns1." },
	{ "ns1.example.", TYPE_A, 0, "" },
	{ "nn.example.", TYPE_A, RCODE_NXDOMAIN, "c.d.ent. @" },
	{ "zz.example.", TYPE_A, RCODE_NXDOMAIN, "x.*.wc. @" },
	{ "0.example.", TYPE_A, RCODE_NXDOMAIN, "@" },
	{ "ent.example.", TYPE_A, 0, "dn." },
	{ "d.ent.example.", TYPE_A, 0, "dn." },
	{ "b.d.ent.example.", TYPE_A, RCODE_NXDOMAIN, "dn." },
	{ "d.d.ent.example.", TYPE_A, RCODE_NXDOMAIN, "c.d.ent. dn." },
	{ "bb.example.", TYPE_A, RCODE_NXDOMAIN, "b. @" },		/* glue lies between */
	{ "e.example.", TYPE_A, RCODE_NXDOMAIN, "dn. @" },		/* hidden names do, too */
	{ "a.z.w.example.", TYPE_MX, 0, "x.w." },
	{ "a.z.w.example.", TYPE_AAAA, 0, "x.w. *.w." },
	{ "alias.example.", TYPE_A, 0, "x.w." },
	{ "y.wc.example.", TYPE_A, 0, "x.*.wc. x.w." },			/* the wildcard is empty */
	{ "mc.a.example.", TYPE_MX, 0, "" },
	{ "mc.b.example.", TYPE_MX, 0, "b." },
	{ "b.example.", TYPE_DS, 0, "b." },
	{ "a.example.", TYPE_DS, 0, "" },
	{ "example.", TYPE_DS, 0, "@" },
	{ "q.dn.example.", TYPE_AAAA, 0, "*.w." },			/* the target is by wildcard */
};

START_TEST(nsec_proves_what_the_answer_says)
{
	check_proofs(nsec_zone, &nsec_answers[_i]);
}
END_TEST

static const struct expected nsec3_answers[] = {
	{ "a.c.x.w.example.", TYPE_A, RCODE_NXDOMAIN, H_XW ". " H_APEX ". " H_A "." },	/* B.1 */
	{ "ns1.example.", TYPE_MX, 0, H_NS1 "." },					/* B.2 */
	{ "y.w.example.", TYPE_A, 0, H_YW "." },					/* B.2.1 */
	{ "mc.c.example.", TYPE_MX, 0, H_APEX ". " H_A "." },				/* B.3 */
	{ "a.z.w.example.", TYPE_MX, 0, H_NS2 "." },					/* B.4 */
	{ "a.z.w.example.", TYPE_AAAA, 0, H_NS2 ". " H_W ". " H_WILD "." },		/* B.5 */
	{ "example.", TYPE_DS, 0, H_APEX "." },						/* B.6 */
	{ "c.example.", TYPE_DS, 0, H_APEX ". " H_A "." },
	{ "mc.a.example.", TYPE_MX, 0, "" },
	{ "via.example.", TYPE_MX, 0, H_NS2 "." },
	/* RFC 5155 s.7.2.8: an NSEC3 owner is no name, unless it is one besides */
	{ H_XW ".example.", TYPE_NSEC3, RCODE_NXDOMAIN, NULL },
	{ H_XW ".example.", TYPE_ANY, RCODE_NXDOMAIN, NULL },
	{ "sub." H_XW ".example.", TYPE_A, RCODE_NXDOMAIN, NULL },
	{ H_NS1 ".example.", TYPE_A, 0, "" },
	{ H_NS1 ".example.", TYPE_NSEC3, 0, H_LIKE "." },
	{ "ent.example.", TYPE_A, 0, NULL },
	{ "opt.ent.example.", TYPE_DS, 0, NULL },
	{ "x.opt.ent.example.", TYPE_A, 0, NULL },
	{ "nn.example.", TYPE_A, RCODE_NXDOMAIN, NULL },
	{ "mm.nn.Example.", TYPE_A, RCODE_NXDOMAIN, NULL },
};

START_TEST(nsec3_proves_what_the_answer_says)
{
	const struct expected *e = &nsec3_answers[_i];

	if (e->proofs) {
		check_proofs(nsec3_zone, e);
		return;
	}
	ask(nsec3_zone, e->name, e->type, true, 4096);
	ck_assert_uint_eq(reply.rcode, e->rcode);
	ck_assert_ptr_nonnull(strstr(reply.proofs, H_APEX));	/* the closest provable encloser */
}
END_TEST

START_TEST(what_is_prepared_is_what_hashing_finds)
{
	const struct node *apex = nsec3_zone->nsec3_apex, *star = nsec3_zone->nsec3_star;
	uint8_t prepared[sizeof(reply.bytes)];
	size_t len;

	ck_assert_ptr_nonnull(apex);
	ck_assert_ptr_nonnull(star);
	ask(nsec3_zone, nsec3_answers[_i].name, nsec3_answers[_i].type, true, 4096);
	len = reply.len;
	memcpy(prepared, reply.bytes, len);
	nsec3_zone->nsec3_apex = nsec3_zone->nsec3_star = NULL;
	ask(nsec3_zone, nsec3_answers[_i].name, nsec3_answers[_i].type, true, 4096);
	nsec3_zone->nsec3_apex = apex;
	nsec3_zone->nsec3_star = star;
	ck_assert_mem_eq(reply.bytes, prepared, len);
	ck_assert_uint_eq(reply.len, len);
}
END_TEST

/* OpenSSL's EVP takes memory for each digest. */
START_TEST(proofs_take_no_memory)
{
	unsigned before = allocations;
	void *p = malloc(1);

	ck_assert_uint_eq(allocations - before, COUNTS_MEMORY);	/* or this test sees nothing */
	free(p);
	ask(nsec3_zone, "a.c.x.w.example.", TYPE_A, true, 4096);
}
END_TEST

START_TEST(proofs_come_with_their_signatures)
{
	ask(nsec_zone, "example.", TYPE_AAAA, true, 4096);
	ck_assert_uint_eq(reply.signatures, 2);		/* SOA, NSEC */
	ask(nsec3_zone, "example.", TYPE_AAAA, true, 4096);
	ck_assert_str_eq(reply.proofs, H_APEX ".");
	ck_assert_uint_eq(reply.signatures, 1);
}
END_TEST

START_TEST(glue_has_no_signature)
{
	ask(nsec_zone, "mc.a.example.", TYPE_A, true, 4096);
	ck_assert_uint_eq(reply.signatures, 1);		/* that of the DS */
}
END_TEST

START_TEST(proof_that_does_not_fit_is_truncation)
{
	ask(nsec3_zone, "a.c.x.w.example.", TYPE_A, true, 4096);
	size_t whole = reply.len;

	ck_assert_uint_gt(whole, 512);
	for (size_t limit = 512; limit <= whole; limit++) {
		ask(nsec3_zone, "a.c.x.w.example.", TYPE_A, true, limit);
		ck_assert_uint_le(reply.len, limit);
		ck_assert_int_eq(reply.is_truncated, limit < whole);
	}
}
END_TEST

START_TEST(hashing_over_the_budget_is_servfail)
{
	struct generation *costly = fixture_zone("example.",
		"@ 60 SOA a a 1 2 3 4 5\n@ 60 NS a.\n@ 60 NSEC3PARAM 1 0 2500 -\n"
		H_APEX " 60 NSEC3 1 0 2500 - " H_APEX " NS SOA NSEC3PARAM\n");

	ask(costly, "a.example.", TYPE_A, true, 4096);
	ck_assert_uint_eq(reply.rcode, RCODE_SERVFAIL);
	ask(costly, "a.example.", TYPE_A, false, 4096);
	ck_assert_uint_eq(reply.rcode, RCODE_NXDOMAIN);
	ask(costly, "example.", TYPE_NS, true, 4096);
	ck_assert_uint_eq(reply.rcode, RCODE_NOERROR);
	generation_free(costly);
}
END_TEST

#define HEAD "@ 60 SOA a a 1 2 3 4 5\n@ 60 NS a.\na.b 60 A 192.0.2.1\nc 60 NS a.\n*.d 60 A 192.0.2.1\n"
#define H_0 "00000000000000000000000000000000"
#define H_8 "88888888888888888888888888888888"
#define H_V "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv"

/* Zones whose chains do not hold what they should: an answer comes all the same. */
static const char *const broken[] = {
	HEAD,							/* no chain at all */
	HEAD "@ 60 NSEC c NS SOA\n",				/* most names have none */
	HEAD "@ 60 NSEC c NS SOA\n*.d 60 RRSIG A 13 2" DATES,
	HEAD "@ 60 NSEC3PARAM 1 0 0 -\n" H_8 " 60 NSEC3 1 0 0 - " H_8 " A\n",	/* nothing matches */
	HEAD "@ 60 NSEC3PARAM 1 0 0 -\n" H_8 " 60 NSEC3 1 0 0 - " H_8 " A\n"	/* two chains */
		H_0 " 60 NSEC3 1 0 7 - " H_V " A\n" H_V " 60 NSEC3 1 0 7 - " H_0 " A\n",
	HEAD "@ 60 NSEC3PARAM 1 0 0 -\n" H_8 " 60 NSEC3 1 0 0 - " H_8 " A\n"	/* at one name, too */
		H_8 " 60 NSEC3 1 0 7 ab " H_8 " A\n" H_V " 60 RRSIG NSEC3 13 2" DATES,
	HEAD "@ 60 NSEC3PARAM 1 0 1200 -\n" H_8 " 60 NSEC3 1 1 1200 - " H_8 " A\n",	/* two hashes */
	HEAD "@ 60 NSEC3PARAM 1 0 0 -\n" H_8 " 60 NSEC3 1 0 0 - " H_8 " A\n"
		"x." H_0 " 60 NSEC3 1 0 0 - " H_8 " A\ny.z 60 NSEC3 1 0 0 - " H_8 " A\n",
};
static const char *const asked_of_broken[] = {
	"example.", "b.example.", "c.example.", "x.c.example.", "x.d.example.", "d.example.",
	"w.v.u.t.s.r.q.p.o.n.m.l.k.j.i.h.g.f.e.example.", "x.a.b.example.",
};

START_TEST(chain_with_gaps_still_gives_an_answer)
{
	struct generation *g = fixture_zone("example.", broken[_i]);

	for (size_t i = 0; i < COUNT(asked_of_broken); i++) {
		ask(g, asked_of_broken[i], TYPE_AAAA, true, 4096);
		ck_assert_uint_le(reply.rcode, RCODE_NXDOMAIN);
		ask(g, asked_of_broken[i], TYPE_DS, true, 4096);
		ck_assert_uint_le(reply.rcode, RCODE_NXDOMAIN);
		ask(g, asked_of_broken[i], TYPE_A, true, 4096);
		ck_assert_uint_le(reply.rcode, RCODE_NXDOMAIN);
	}
	generation_free(g);
}
END_TEST

/* More records of another chain lie between than anyone looks through. */
START_TEST(chain_that_is_hard_to_find_costs_a_bounded_search)
{
	char text[65536], *end = text;

	end += sprintf(end, HEAD "@ 60 NSEC3PARAM 1 0 0 -\n" H_0 " 60 NSEC3 1 0 0 - " H_0 " A\n");
	for (int i = 1; i < 600; i++)
		end += sprintf(end, "%032d 60 NSEC3 1 0 7 - " H_0 " A\n", i);
	struct generation *g = fixture_zone("example.", text);

	ck_assert_int_eq(g->denial, ZONE_DENIAL_NSEC3);
	ask(g, "nothing.example.", TYPE_A, true, 4096);
	ck_assert_uint_eq(reply.rcode, RCODE_NXDOMAIN);
	generation_free(g);

	end = text + sprintf(text, HEAD "@ 60 NSEC3PARAM 1 0 0 -\n" H_V " 60 NSEC3 1 0 0 - " H_0 " A\n");
	for (int i = 1; i < 600; i++)
		end += sprintf(end, "%032d 60 NSEC3 1 0 7 - " H_0 " A\n", i);
	g = fixture_zone("example.", text);
	ck_assert_int_eq(g->denial, ZONE_DENIAL_NONE);
	generation_free(g);

	end = text + sprintf(text, HEAD "@ 60 NSEC c NS SOA\n");
	for (int i = 1; i < 600; i++)
		end += sprintf(end, "n%d 60 A 192.0.2.1\n", i);
	g = fixture_zone("example.", text);
	ask(g, "nx.example.", TYPE_A, true, 4096);
	ck_assert_uint_eq(reply.rcode, RCODE_NXDOMAIN);
	generation_free(g);
}
END_TEST

/* Two whole chains, one of them with opt-out and so thin that none of it is near. */
START_TEST(thin_chain_beside_a_dense_one_is_not_used)
{
	static const char *const orders[] = {
		"@ 60 NSEC3PARAM 1 0 0 -\n@ 60 NSEC3PARAM 1 0 7 -\n",
		"@ 60 NSEC3PARAM 1 0 7 -\n@ 60 NSEC3PARAM 1 0 0 -\n",
	};
	char text[65536], *end = text;

	end += sprintf(end, HEAD "%s" H_0 " 60 NSEC3 1 1 0 - " H_0 " A\n", orders[_i]);
	for (int i = 1; i < 600; i++)
		end += sprintf(end, "%032d 60 NSEC3 1 0 7 - " H_0 " A\n", i);
	struct generation *g = fixture_zone("example.", text);

	ck_assert_int_eq(g->denial, ZONE_DENIAL_NSEC3);
	ck_assert_uint_eq(g->nsec3_params.iterations, 7);
	generation_free(g);
}
END_TEST

/* Records of other chains at one name, and parameters at the apex, by the hundred. */
START_TEST(chains_by_the_hundred_are_not_all_looked_at)
{
	char text[65536], *end = text + sprintf(text, HEAD);

	for (int i = 0; i < 300; i++)
		end += sprintf(end, "@ 60 NSEC3PARAM 1 0 %d -\n" H_8 " 60 NSEC3 1 0 %d - " H_8 " A\n",
			       1000 + i, i);
	struct generation *g = fixture_zone("example.", text);

	ck_assert_int_eq(g->denial, ZONE_DENIAL_NONE);
	generation_free(g);
	end = text + sprintf(text, HEAD "@ 60 NSEC3PARAM 1 0 100 -\n");
	for (int i = 0; i <= 100; i++)
		end += sprintf(end, H_8 " 60 NSEC3 1 0 %d - " H_8 " A\n", i);
	g = fixture_zone("example.", text);
	ck_assert_int_eq(g->denial, ZONE_DENIAL_NONE);	/* it is the last of a hundred: nobody looks */
	generation_free(g);
}
END_TEST

START_TEST(origin_without_room_for_a_hash_proves_nothing)
{
	static const char origin[] = LABEL60 "." LABEL60 "." LABEL60 "." LABEL60 ".";
	struct generation *g = fixture_zone(origin, "@ 60 SOA a. a. 1 2 3 4 5\n@ 60 NS a.\n"
		"@ 60 NSEC3PARAM 1 0 0 -\na 60 NSEC3 1 0 0 - " H_8 " A\n");
	char name[NAME_TEXT_MAX];

	snprintf(name, sizeof(name), "x.%s", origin);
	ask(g, name, TYPE_A, true, 4096);
	ck_assert_uint_eq(reply.rcode, RCODE_NXDOMAIN);
	ck_assert_str_eq(reply.proofs, "");
	generation_free(g);
}
END_TEST

START_TEST(without_a_hasher_nothing_is_made_up)
{
	struct nsec3_hasher *kept = hasher;

	hasher = NULL;
	ask(nsec3_zone, "nothing.example.", TYPE_A, true, 4096);
	ck_assert_uint_eq(reply.rcode, RCODE_SERVFAIL);
	hasher = kept;
}
END_TEST

static const struct {
	const char *text;
	enum zone_denial denial;
	unsigned iterations;
} chains[] = {
	{ "", ZONE_DENIAL_NONE, 0 },
	{ "@ 60 NSEC @ NS SOA\n", ZONE_DENIAL_NSEC, 0 },
	{ "@ 60 NSEC3PARAM 1 0 5 -\n", ZONE_DENIAL_NONE, 0 },	/* no chain */
	{ "@ 60 NSEC3PARAM 1 0 5 -\n@ 60 NSEC @ NS SOA\n", ZONE_DENIAL_NSEC, 0 },
	{ "@ 60 NSEC3PARAM 1 0 5 -\n" H_A " 60 NSEC3 1 0 5 - " H_A " A\n", ZONE_DENIAL_NSEC3, 5 },
	{ "@ 60 NSEC3PARAM 1 128 5 -\n" H_A " 60 NSEC3 1 0 5 - " H_A " A\n", ZONE_DENIAL_NONE, 0 },
	{ "@ 60 NSEC3PARAM 2 0 5 -\n" H_A " 60 NSEC3 1 0 5 - " H_A " A\n", ZONE_DENIAL_NONE, 0 },
	{ "@ 60 NSEC3PARAM 1 0 5 -\n@ 60 NSEC3PARAM 1 0 7 ab\n" H_A " 60 NSEC3 1 0 5 ab " H_A " A\n"
	  H_AI " 60 NSEC3 1 0 7 ab " H_AI " A\n", ZONE_DENIAL_NSEC3, 7 },
	{ "@ 60 NSEC3PARAM 1 0 7 ab\n@ 60 NSEC3PARAM 1 0 5 -\n" H_A " 60 NSEC3 1 0 5 - " H_A " A\n"
	  H_AI " 60 NSEC3 1 0 7 ab " H_AI " A\n", ZONE_DENIAL_NSEC3, 7 },	/* the first of two */
	{ H_A " 60 NSEC3 1 0 5 - " H_A " A\n", ZONE_DENIAL_NONE, 0 },
};

START_TEST(chain_in_use_is_the_one_that_is_whole)
{
	char text[1024];

	snprintf(text, sizeof(text), "@ 60 SOA a a 1 2 3 4 5\n@ 60 NS a.\n%s", chains[_i].text);
	struct generation *g = fixture_zone("example.", text);

	ck_assert_int_eq(g->denial, chains[_i].denial);
	if (g->denial == ZONE_DENIAL_NSEC3)
		ck_assert_uint_eq(g->nsec3_params.iterations, chains[_i].iterations);
	generation_free(g);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("denial");
	TCase *tc = tcase_create("denial");
	SRunner *runner = srunner_create(s);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, nsec_proves_what_the_answer_says, 0, COUNT(nsec_answers));
	tcase_add_loop_test(tc, nsec3_proves_what_the_answer_says, 0, COUNT(nsec3_answers));
	tcase_add_loop_test(tc, what_is_prepared_is_what_hashing_finds, 0, COUNT(nsec3_answers));
	tcase_add_test(tc, proofs_take_no_memory);
	tcase_add_test(tc, proofs_come_with_their_signatures);
	tcase_add_test(tc, glue_has_no_signature);
	tcase_add_test(tc, proof_that_does_not_fit_is_truncation);
	tcase_add_test(tc, hashing_over_the_budget_is_servfail);
	tcase_add_loop_test(tc, chain_with_gaps_still_gives_an_answer, 0, COUNT(broken));
	tcase_add_test(tc, chain_that_is_hard_to_find_costs_a_bounded_search);
	tcase_add_loop_test(tc, thin_chain_beside_a_dense_one_is_not_used, 0, 2);
	tcase_add_test(tc, chains_by_the_hundred_are_not_all_looked_at);
	tcase_add_test(tc, origin_without_room_for_a_hash_proves_nothing);
	tcase_add_test(tc, without_a_hasher_nothing_is_made_up);
	tcase_add_loop_test(tc, chain_in_use_is_the_one_that_is_whole, 0, COUNT(chains));
	suite_add_tcase(s, tc);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);

	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
