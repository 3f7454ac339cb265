/* SPDX-License-Identifier: ISC */
/*
 * instructions - one kind of query, over and over, through dispatch without sockets.
 *
 * Purpose:  is run by valgrind (tests/system/test_instructions.py), which counts what a query costs. The
 *           counts are the same each time: the seeds are fixed, and nothing waits.
 * Not here: what the kernel and the sockets cost (bench.py).
 *
 *   instructions KIND QUERIES
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/dns.h"
#include "cache/nsec3.h"
#include "cache/wire.h"
#include "cache/zone.h"
#include "proxy/dispatch.h"
#include "tests/temporary.h"

enum { HOSTS = 4096, CUTS = 64, START_US = 1000000, ROOM = 4096, SIGNATURE_LEN = 64, BATCH = 16 };

static const uint8_t ORIGIN[] = "\7example\3com";

static struct {
	struct dispatch *dispatch;
	struct stats stats;
	struct mirror_zone zone;
	uint8_t room[ROOM];
	size_t answer_len;
	uint8_t answer_head[DNS_HEADER_LEN];
	unsigned answers;
	uint8_t asked[512];		/* what went to the backend */
	size_t asked_len;
	unsigned backend;
	uint32_t socket;
} world;

static void die(const char *what)
{
	fprintf(stderr, "instructions: %s\n", what);
	exit(1);
}

/* ---- The shell ---- */

static uint8_t *shell_room(void *shell, const struct client *to, size_t want)
{
	(void)shell, (void)to, (void)want;
	return world.room;
}

static void shell_answer(void *shell, const struct client *to, const uint8_t *bytes, size_t len)
{
	(void)shell, (void)to;
	memcpy(world.answer_head, bytes, sizeof(world.answer_head));
	world.answer_len = len;
	world.answers++;
}

static bool shell_send(void *shell, struct attempt *a, const struct query *q)
{
	uint16_t id = random_u16(&world.dispatch->random);

	(void)shell;
	world.backend = a->backend;
	world.socket = 7;
	world.asked_len = q->len;
	memcpy(world.asked, q->bytes, q->len);
	wire_put_u16(world.asked, id);
	inflight_sent(world.dispatch->inflight, a, world.socket, id);
	return true;
}

static void shell_alarm(void *shell) { (void)shell; }
static void shell_refresh(void *shell, struct mirror_zone *zone) { (void)shell, (void)zone; }
static void shell_suspect(void *shell, const struct suspicion *s) { (void)shell, (void)s; }
static void shell_newer(void *shell, const struct newer *n) { (void)shell, (void)n; }

static bool shell_transfer(void *shell, const struct client *to, const struct outgoing_ask *ask)
{
	(void)shell, (void)to, (void)ask;
	return false;
}

static const struct dispatch_ops ops = {
	.room = shell_room, .answer = shell_answer, .send = shell_send, .alarm = shell_alarm,
	.refresh = shell_refresh, .transfer = shell_transfer, .suspect = shell_suspect,
	.newer = shell_newer,
};

/* ---- The zone ---- */

/* PREFIX and four digits, below the origin. */
static void numbered(char prefix, unsigned i, uint8_t name[NAME_LEN_MAX])
{
	uint8_t *at = name;

	*at++ = 5;
	*at++ = (uint8_t)prefix;
	for (unsigned part = 1000; part > 0; part /= 10)
		*at++ = (uint8_t)('0' + i / part % 10);
	memcpy(at, ORIGIN, sizeof(ORIGIN));
}

static void add(struct zone_edit *e, const uint8_t *owner, uint16_t type, const void *rdata, size_t len)
{
	if (zone_edit_add(e, owner, type, 3600, rdata, (uint16_t)len) != ZONE_OK)
		die("the zone does not take a record");
}

/* Of the right size; nobody verifies it here. */
static void add_signature(struct zone_edit *e, const uint8_t *owner, uint16_t covered)
{
	uint8_t rdata[18 + sizeof(ORIGIN) + SIGNATURE_LEN] = { 0 };

	wire_put_u16(rdata, covered);
	rdata[2] = 13;
	rdata[3] = 3;
	wire_put_u32(rdata + 8, 0x7fffffff);
	memcpy(rdata + 18, ORIGIN, sizeof(ORIGIN));
	add(e, owner, TYPE_RRSIG, rdata, sizeof(rdata));
}

static int compare_hashes(const void *a, const void *b)
{
	return memcmp(a, b, NSEC3_HASH_LEN);
}

/* Each name of the zone, hashed once, is followed by the next: RFC 5155 s.7.1. */
static void add_chain(struct zone_edit *e)
{
	static const struct nsec3_params plain = { .salt = (const uint8_t *)"" };
	static uint8_t hashes[HOSTS + CUTS + 1][NSEC3_HASH_LEN];
	struct nsec3_hasher *h = nsec3_hasher_new();
	uint8_t name[NAME_LEN_MAX];
	unsigned count = 0;

	for (unsigned i = 0; i < HOSTS + CUTS + 1; i++) {
		if (i < HOSTS)
			numbered('h', i, name);
		else if (i < HOSTS + CUTS)
			numbered('c', i - HOSTS, name);
		else
			memcpy(name, ORIGIN, sizeof(ORIGIN));
		nsec3_hasher_begin(h, START_US);
		if (!nsec3_hash(h, &plain, name, hashes[count++]))
			die("a name that is not hashed");
	}
	qsort(hashes, count, NSEC3_HASH_LEN, compare_hashes);
	for (unsigned i = 0; i < count; i++) {
		uint8_t rdata[6 + NSEC3_HASH_LEN + 3] = { 1, 0, 0, 0, 0, NSEC3_HASH_LEN };

		memcpy(rdata + 6, hashes[(i + 1) % count], NSEC3_HASH_LEN);
		memcpy(rdata + 6 + NSEC3_HASH_LEN, "\0\1\100", 3);
		if (!nsec3_owner_of_hash(hashes[i], ORIGIN, name))
			die("a hash without an owner");
		add(e, name, TYPE_NSEC3, rdata, sizeof(rdata));
		add_signature(e, name, TYPE_NSEC3);
	}
	add(e, ORIGIN, TYPE_NSEC3PARAM, "\1\0\0\0\0", 5);
	nsec3_hasher_free(h);
}

static struct generation *make_zone(bool is_signed)
{
	static const uint8_t soa[] = "\2ns\7example\3com\0\4host\7example\3com\0\0\0\0\1\0\0\16\20\0\0\2\130\0\22\165\0\0\0\1\54";
	struct zone_edit *e = zone_edit_new(ORIGIN, NULL, 0, 0);
	uint8_t name[NAME_LEN_MAX];
	struct generation *g;
	enum zone_error why;

	add(e, ORIGIN, TYPE_SOA, soa, sizeof(soa) - 1);
	add(e, ORIGIN, TYPE_NS, "\2ns\7example\3com", 16);
	for (unsigned i = 0; i < HOSTS; i++) {
		numbered('h', i, name);
		add(e, name, TYPE_A, "\300\0\2\1", 4);
		if (is_signed)
			add_signature(e, name, TYPE_A);
	}
	for (unsigned i = 0; i < CUTS; i++) {
		numbered('c', i, name);
		add(e, name, TYPE_NS, "\2ns\5child\7example\3net", 22);
	}
	if (is_signed) {
		add_signature(e, ORIGIN, TYPE_SOA);
		add_chain(e);
	}
	g = zone_edit_finish(e, 1, &why, NULL);
	if (!g)
		die(zone_error_text(why));
	return g;
}

/* ---- The world ---- */

static struct conf *read_conf(const char *targets)
{
	char path[PATH_MAX];
	struct conf *conf;
	FILE *f;

	f = fdopen(mkstemp(temporary_path(path, sizeof(path), "understudy-instructions")), "w");
	if (!f)
		die("no file for the configuration");
	fprintf(f, "pool \"p\" { %s shadow-check = 0 }\nzone \"example.com\" { pool = \"p\" }\n", targets);
	fclose(f);
	conf = conf_read(path, stderr);
	unlink(path);
	if (!conf)
		die("the configuration is wrong");
	return conf;
}

static struct plan *given(const char *targets, bool is_signed)
{
	uint8_t secret[COOKIE_SECRET_LEN] = { 1 };
	struct plan *plan = plan_new(read_conf(targets), NULL, 1);

	world.zone.current = make_zone(is_signed);
	atomic_store(&world.zone.is_servable, true);
	plan->zones[0].mirror = &world.zone;
	world.dispatch = dispatch_new(&ops, &world, 0, 64, secret, &world.stats, START_US);
	random_init_seeded(&world.dispatch->random, 1);
	random_init_seeded(&world.dispatch->chance, 2);
	dispatch_set_plan(world.dispatch, plan);
	return plan;
}

/* ---- Kinds of queries ---- */

#define MIRROR	"mirror { tier = 0 } backend \"ns1\" { address = \"198.51.100.1:53\" tier = 1 primary = true }"
#define PRIMARY	"mirror { tier = 1 } backend \"ns1\" { address = \"198.51.100.1:53\" tier = 0 primary = true }"

static const struct kind {
	const char *name, *targets;
	char prefix;
	unsigned names;
	bool is_signed, is_forwarded;
	enum dns_rcode rcode;
} kinds[] = {
	{ "positive",		MIRROR,		'h', HOSTS, false, false, RCODE_NOERROR },
	{ "nxdomain",		MIRROR,		'n', 9999, false, false, RCODE_NXDOMAIN },
	{ "referral",		MIRROR,		'c', CUTS, false, false, RCODE_NOERROR },
	{ "signed-nxdomain",	MIRROR,		'n', 9999, true, false, RCODE_NXDOMAIN },
	{ "forwarded",		PRIMARY,	'h', HOSTS, false, true, RCODE_NOERROR },
};

static size_t make_query(uint8_t *q, const struct kind *k, unsigned i)
{
	struct wire_out o = wire_into(q, 512);
	uint8_t name[NAME_LEN_MAX];

	numbered(k->prefix, i * 7919 % k->names, name);
	wire_add_u16(&o, (uint16_t)i);
	wire_add_bytes(&o, "\0\0\0\1\0\0\0\0\0\1", 10);
	wire_add_bytes(&o, name, name_len(name));
	wire_add_bytes(&o, "\0\1\0\1" "\0\0\51\4\320\0\0\200\0\0\0", 15);
	if (!k->is_signed)
		q[o.len - 4] = 0;		/* DO */
	return o.len;
}

static void reply(void)
{
	uint8_t packet[512];
	size_t question_end = world.asked_len - 11;

	memcpy(packet, world.asked, question_end);
	memcpy(packet + question_end, "\300\14\0\1\0\1\0\0\16\20\0\4\300\0\2\1", 16);
	memcpy(packet + question_end + 16, world.asked + question_end, 11);
	wire_put_u16(packet + 2, DNS_QR | DNS_AA);
	wire_put_u16(packet + 6, 1);
	if (!dispatch_reply(world.dispatch, world.socket, world.backend, packet, world.asked_len + 16))
		die("a reply that is not believed");
}

/* What is counted: valgrind looks for it by name. Queries number `first` and on, in one batch. */
__attribute__((noinline))
static void ask(const struct kind *k, unsigned first, unsigned count)
{
	static uint8_t queries[BATCH][512];
	static struct arrival arrivals[BATCH];
	struct client client = { .address.v4 = { .sin_family = AF_INET, .sin_port = htons(4711) } };

	client.address.v4.sin_addr.s_addr = htonl(0x7f000001);
	world.dispatch->now_us += 100;
	for (unsigned i = 0; i < count; i++)
		arrivals[i] = (struct arrival){ .packet = queries[i], .len = make_query(queries[i], k, first + i),
						.client = client };
	dispatch_queries(world.dispatch, arrivals, count);
	if (k->is_forwarded)
		reply();
	if (world.answers != first + count || (wire_get_u16(world.answer_head + 2) & DNS_RCODE) != k->rcode)
		die("not the answer that was to be counted");
}

int main(int argc, char **argv)
{
	const struct kind *k = NULL;
	unsigned queries = argc == 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
	struct plan *plan;

	for (size_t i = 0; argc > 1 && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].name, argv[1]) == 0)
			k = &kinds[i];
	if (!k || queries == 0) {
		fprintf(stderr, "usage: instructions positive|nxdomain|referral|signed-nxdomain|forwarded QUERIES\n");
		return 2;
	}
	plan = given(k->targets, k->is_signed);
	for (unsigned i = 0, n; i < queries; i += n) {
		n = k->is_forwarded ? 1 : queries - i < BATCH ? queries - i : BATCH;
		ask(k, i, n);
	}
	dispatch_free(world.dispatch);
	plan_free(plan);
	generation_free(world.zone.current);
	return 0;
}
