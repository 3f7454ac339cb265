/* SPDX-License-Identifier: ISC */
/*
 * The decisions about queries, driven without sockets: time is a number, backends are lines of a
 * table, and every answer is counted.
 */
#include <limits.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "cache/dns.h"
#include "cache/message.h"
#include "cache/wire.h"
#include "cache/zone.h"
#include "proxy/dispatch.h"
#include "tests/temporary.h"

enum { SENT_MAX = 64, START_US = 1000000 };

struct sent { unsigned backend; uint32_t socket; uint16_t id; uint8_t query[512]; size_t len; };

static struct world {
	struct dispatch *dispatch;
	struct plan *plan;
	struct stats stats;
	struct mirror_zone zone;
	struct sent sent[SENT_MAX];	/* a ring: the latest attempts */
	unsigned sent_count;
	unsigned answers, alarms, refreshes, notes;
	struct notify_note note;
	uint8_t answer[DNS_MESSAGE_MAX];	/* the latest */
	size_t answer_len;
	uint64_t answers_sum;		/* over all, in whatever order */
	uint8_t room[DNS_MESSAGE_MAX];
	struct client client;
	unsigned suspicions;
	struct suspicion suspicion;	/* the latest */
	unsigned newers;
	struct newer newer;		/* the latest */
	unsigned transfers;
	bool is_transfer_slot_free;
	struct outgoing_ask transfer;	/* the latest; its pointers are stale but for `zone` */
} world;

/* ---- The shell ---- */

static uint8_t *fake_room(void *shell, const struct client *to, size_t want)
{
	(void)shell, (void)to, (void)want;
	return world.room;
}

static void fake_answer(void *shell, const struct client *to, const uint8_t *bytes, size_t len)
{
	(void)shell, (void)to;
	world.answers++;
	world.answer_len = len;
	world.answers_sum += XXH3_64bits(bytes, len);
	memmove(world.answer, bytes, len);
}

static bool fake_send(void *shell, struct attempt *a, const struct query *q)
{
	struct sent *s = &world.sent[world.sent_count % SENT_MAX];

	(void)shell;
	s->backend = a->backend;
	s->socket = 7 + a->backend;	/* no socket leads to two backends */
	do
		s->id = random_u16(&world.dispatch->random);
	while (!inflight_is_id_free(world.dispatch->inflight, s->socket, s->id));
	s->len = q->len;
	memcpy(s->query, q->bytes, q->len);
	wire_put_u16(s->query, s->id);
	inflight_sent(world.dispatch->inflight, a, s->socket, s->id);
	world.sent_count++;
	return true;
}

static void fake_alarm(void *shell)
{
	(void)shell;
	world.alarms++;
}

static void fake_refresh(void *shell, struct mirror_zone *zone)
{
	(void)shell, (void)zone;
	world.refreshes++;
}

static void fake_note(void *shell, const struct notify_note *note)
{
	(void)shell;
	world.notes++;
	world.note = *note;
}

static bool fake_transfer(void *shell, const struct client *to, const struct outgoing_ask *ask)
{
	(void)shell;
	ck_assert(to->is_tcp);
	if (!world.is_transfer_slot_free)
		return false;
	world.transfers++;
	world.transfer = *ask;
	return true;
}

static void fake_suspect(void *shell, const struct suspicion *s)
{
	(void)shell;
	world.suspicions++;
	world.suspicion = *s;
}

static void fake_newer(void *shell, const struct newer *n)
{
	(void)shell;
	world.newers++;
	world.newer = *n;
}

static const struct dispatch_ops ops = {
	fake_room, fake_answer, fake_send, fake_alarm, fake_refresh, fake_note, fake_transfer,
	fake_suspect, fake_newer,
};

/* ---- The world ---- */

static struct conf *conf_of(const char *text)
{
	char path[PATH_MAX];
	int fd = mkstemp(temporary_path(path, sizeof(path), "understudy-dispatch"));
	struct conf *conf;

	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	conf = conf_read(path, stderr);
	unlink(path);
	ck_assert_ptr_nonnull(conf);
	return conf;
}

static void add(struct zone_edit *e, const char *owner, uint16_t type, const char *rdata, uint16_t len)
{
	uint8_t name[NAME_LEN_MAX];

	name_from_text(owner, name);
	ck_assert_int_eq(zone_edit_add(e, name, type, 300, (const uint8_t *)rdata, len), ZONE_OK);
}

static struct generation *a_generation(void)
{
	uint8_t origin[NAME_LEN_MAX];
	enum zone_error why;
	struct zone_edit *e;

	name_from_text("example.com.", origin);
	e = zone_edit_new(origin, NULL, 0, 0);
	add(e, "example.com.", TYPE_SOA, "\0\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\16\20\0\0\0\74", 22);
	add(e, "example.com.", TYPE_NS, "\3ns1\7example\3com", 17);
	add(e, "www.example.com.", TYPE_A, "\300\0\2\1", 4);
	add(e, "two.example.com.", TYPE_A, "\300\0\2\1", 4);
	add(e, "two.example.com.", TYPE_A, "\300\0\2\2", 4);
	return zone_edit_finish(e, 1, &why, NULL);
}

static void given(const char *conf_text, bool has_mirror)
{
	uint8_t secret[COOKIE_SECRET_LEN] = { 1 };

	memset(&world, 0, sizeof(world));
	world.plan = plan_new(conf_of(conf_text), NULL, 1);
	if (has_mirror) {
		world.zone.current = a_generation();
		atomic_store(&world.zone.is_servable, true);
		world.plan->zones[0].mirror = &world.zone;
	}
	world.is_transfer_slot_free = true;
	world.client.address.v4.sin_family = AF_INET;
	world.client.address.v4.sin_port = htons(4711);
	world.client.address.v4.sin_addr.s_addr = htonl(0x7f000001);
	world.dispatch = dispatch_new(&ops, &world, 0, 64, secret, &world.stats, START_US);
	dispatch_set_plan(world.dispatch, world.plan);
}

static void teardown(void)
{
	dispatch_free(world.dispatch);
	plan_free(world.plan);
	generation_free(world.zone.current);
}

#define MIRRORED \
	"pool \"p\" { backend \"ns1\" { address = \"198.51.100.1:53\" tier = 0 primary = true }\n" \
	"mirror { tier = 1 } }\nzone \"example.com\" { pool = \"p\" }\n"
#define ALONE \
	"pool \"p\" { backend \"ns1\" { address = \"198.51.100.1:53\" tier = 0 primary = true } }\n" \
	"zone \"example.com\" { pool = \"p\" }\n"
#define THREE_AND_MIRROR \
	"pool \"p\" { backend \"ns1\" { address = \"198.51.100.1:53\" tier = 0 primary = true }\n" \
	"backend \"ns2\" { address = \"198.51.100.2:53\" tier = 0 }\n" \
	"backend \"ns3\" { address = \"198.51.100.3:53\" tier = 0 }\n" \
	"mirror { tier = 1 } }\nzone \"example.com\" { pool = \"p\" }\n"
#define MIRROR_FIRST \
	"pool \"p\" { mirror { tier = 0 }\n" \
	"backend \"ns1\" { address = \"198.51.100.1:53\" tier = 1 primary = true } }\n" \
	"zone \"example.com\" { pool = \"p\" }\n"
#define TWO \
	"pool \"p\" { backend \"ns1\" { address = \"198.51.100.1:53\" tier = 0 primary = true }\n" \
	"backend \"ns2\" { address = \"198.51.100.2:53\" tier = 1 } }\nzone \"example.com\" { pool = \"p\" }\n"

static size_t put_query(uint8_t *q, unsigned flags, const char *name, uint16_t type)
{
	struct wire_out o = wire_into(q, 512);
	uint8_t wire[NAME_LEN_MAX];
	size_t len = name_from_text(name, wire);

	wire_add_u16(&o, 0xbeef);
	wire_add_u16(&o, (uint16_t)flags);
	wire_add_u16(&o, 1);
	wire_add_u32(&o, 0);
	wire_add_u16(&o, 1);
	wire_add_bytes(&o, wire, len);
	wire_add_u16(&o, type);
	wire_add_u16(&o, CLASS_IN);
	wire_add_bytes(&o, "\0\0\51\4\320\0\0\0\0\0\0", 11);	/* OPT, 1232 */
	return o.len;
}

static void ask(unsigned flags, const char *name, uint16_t type)
{
	uint8_t q[512];
	size_t len = put_query(q, flags, name, type);

	dispatch_query(world.dispatch, q, len, &world.client);
}

static void ask_www(void)
{
	ask(0, "www.example.com.", TYPE_A);
}

static struct sent *last_sent(void)
{
	ck_assert_uint_gt(world.sent_count, 0);
	return &world.sent[(world.sent_count - 1) % SENT_MAX];
}

enum { OPT_LEN = 11 };

/* The backend asked in `s` replies with these flags beside QR, and with these records before OPT. */
static bool reply_with(const struct sent *s, unsigned flags, unsigned answers, unsigned authorities,
		       const char *records, size_t records_len)
{
	uint8_t reply[1024];
	struct wire_out o = wire_into(reply, sizeof(reply));

	wire_add_bytes(&o, s->query, s->len - OPT_LEN);
	wire_add_bytes(&o, records, records_len);
	wire_add_bytes(&o, s->query + s->len - OPT_LEN, OPT_LEN);
	wire_put_u16(reply + 2, (uint16_t)(DNS_QR | flags));
	wire_put_u16(reply + 6, (uint16_t)answers);
	wire_put_u16(reply + 8, (uint16_t)authorities);
	return dispatch_reply(world.dispatch, s->socket, s->backend, reply, o.len);
}

#define AN_A "\300\14\0\1\0\1\0\0\0\74\0\4\300\0\2\1"

/* The same with an address, if it is an answer at all. */
static bool reply_to(const struct sent *s, unsigned flags)
{
	bool has_answer = (flags & DNS_AA) && !(flags & (DNS_RCODE | DNS_TC));

	return reply_with(s, flags, has_answer, 0, AN_A, has_answer ? sizeof(AN_A) - 1 : 0);
}

static void no_shell_timer(void *shell, struct wheel_item *item)
{
	(void)shell, (void)item;
	ck_abort_msg("a timer of the shell");
}

static void time_passes_ms(unsigned ms)
{
	for (unsigned i = 0; i < ms; i++) {
		world.dispatch->now_us += 1000;
		dispatch_expire(world.dispatch, world.dispatch->now_us, no_shell_timer);
	}
}

static unsigned answer_rcode(void)
{
	return wire_get_u16(world.answer + 2) & DNS_RCODE;
}

/* RFC 8914: the info-code of the EDE option, or -1. */
static int answer_ede(void)
{
	for (size_t i = 12; i + 6 <= world.answer_len; i++)
		if (memcmp(world.answer + i, "\0\17\0\2", 4) == 0)
			return wire_get_u16(world.answer + i + 4);
	return -1;
}

static struct backend *backend_named(const char *name)
{
	for (unsigned i = 0; i < world.plan->pools[0].target_count; i++) {
		struct backend *b = world.plan->pools[0].targets[i].backend;

		if (b && strcmp(b->name, name) == 0)
			return b;
	}
	ck_abort_msg("no backend %s", name);
	return NULL;
}

static void set_share(const char *name, uint32_t share)
{
	atomic_store(&backend_named(name)->share, share);
}

static void assert_one_answer(unsigned rcode)
{
	ck_assert_uint_eq(world.answers, 1);
	ck_assert_uint_eq(wire_get_u16(world.answer), 0xbeef);
	ck_assert_uint_eq(answer_rcode(), rcode);
	ck_assert_uint_eq(inflight_query_count(world.dispatch->inflight), 0);
}

/* ---- Forwarding ---- */

START_TEST(query_goes_to_the_first_tier_and_its_reply_to_the_client)
{
	given(TWO, false);
	ask_www();
	ck_assert_uint_eq(world.sent_count, 1);
	ck_assert_str_eq(backend_get(last_sent()->backend)->name, "ns1");
	ck_assert(reply_to(last_sent(), DNS_AA));
	assert_one_answer(RCODE_NOERROR);
	ck_assert_uint_eq(counter_get(&world.stats.answers_primary), 1);
}
END_TEST

START_TEST(forged_reply_is_ignored_and_the_true_one_still_counts)
{
	struct sent forged;

	given(MIRRORED, true);
	ask_www();
	forged = *last_sent();
	forged.query[13] ^= 0x20;		/* the case of one letter */
	ck_assert(!reply_to(&forged, DNS_AA));
	forged = *last_sent();
	wire_put_u16(forged.query, (uint16_t)(forged.id + 1));
	ck_assert(!reply_to(&forged, DNS_AA));
	ck_assert_uint_eq(world.answers, 0);
	ck_assert(reply_to(last_sent(), DNS_AA));
	assert_one_answer(RCODE_NOERROR);
	ck_assert_uint_eq(counter_get(&world.stats.replies_mismatched), 2);
}
END_TEST

START_TEST(referral_of_the_primary_is_no_lame_reply)
{
	uint8_t reply[512];
	struct wire_out o;

	given(MIRRORED, true);
	ask(0, "x.sub.example.com.", TYPE_A);
	o = wire_into(reply, sizeof(reply));
	wire_add_bytes(&o, last_sent()->query, last_sent()->len - 11);
	wire_put_u16(reply + 2, DNS_QR);
	wire_put_u16(reply + 8, 1);
	wire_put_u16(reply + 10, 0);
	wire_add_bytes(&o, "\300\16\0\2\0\1\0\0\0\0\0\2\300\14", 14);	/* sub NS x.sub */
	ck_assert(dispatch_reply(world.dispatch, 7, last_sent()->backend, reply, o.len));
	assert_one_answer(RCODE_NOERROR);
	ck_assert_uint_eq(counter_get(&world.stats.answers_primary), 1);
}
END_TEST

/* ---- Rescue ---- */

START_TEST(silent_primary_is_rescued_by_the_mirror_within_the_first_deadline)
{
	given(MIRRORED, true);
	ask_www();
	time_passes_ms(49);
	ck_assert_uint_eq(world.answers, 0);
	time_passes_ms(4);
	assert_one_answer(RCODE_NOERROR);
	ck_assert_uint_eq(counter_get(&world.stats.answers_mirror), 1);
	ck_assert_uint_eq(counter_get(&world.stats.rescued), 1);
	ck_assert_uint_ge(world.alarms, 1);
}
END_TEST

START_TEST(late_reply_is_evidence_and_is_not_sent_twice)
{
	struct evidence_sum sum;

	given(MIRRORED, true);
	ask_www();
	time_passes_ms(100);
	ck_assert_uint_eq(world.answers, 1);
	ck_assert(reply_to(last_sent(), DNS_AA));
	ck_assert_uint_eq(world.answers, 1);
	backend_sum(backend_named("ns1"), &sum);
	ck_assert_uint_eq(sum.late, 1);
	ck_assert_uint_eq(sum.heard[TRANSPORT_UDP].first_silent_us, 0);
	ck_assert_uint_ge(sum.srtt_us, 90000);
}
END_TEST

START_TEST(server_never_asked_before_is_given_what_its_probes_took)
{
	given(MIRRORED, true);
	atomic_store(&backend_named("ns1")->probe_rtt_us, 400);
	ask_www();
	time_passes_ms(13);
	assert_one_answer(RCODE_NOERROR);
	ck_assert_uint_eq(counter_get(&world.stats.answers_mirror), 1);
}
END_TEST

/* By the probes, on a busy machine, it was as far as 120 ms by TCP; by UDP it answered in one. */
START_TEST(server_never_asked_by_tcp_is_given_what_it_takes_by_udp)
{
	given(MIRRORED, true);
	atomic_store(&backend_named("ns1")->probe_rtt_us, 60000);
	rtt_add(&world.dispatch->balance.views[backend_named("ns1")->index].udp, 1000);
	world.client.is_tcp = true;
	ask_www();
	time_passes_ms(14);
	assert_one_answer(RCODE_NOERROR);
	ck_assert_uint_eq(counter_get(&world.stats.answers_mirror), 1);
}
END_TEST

/* It was near all the time, and now its round trips have crept up to 100 ms. */
static void ns1_has_grown_slow(void)
{
	struct balance_view *view = &world.dispatch->balance.views[backend_named("ns1")->index];

	rtt_note_least(&view->udp, 1000, START_US);
	for (unsigned i = 0; i < 100; i++)
		rtt_add(&view->udp, 100000);
}

START_TEST(server_that_grows_slow_does_not_take_its_clients_along)
{
	struct evidence_sum sum;

	given(MIRRORED, true);
	ns1_has_grown_slow();
	ask_www();
	time_passes_ms(33);
	assert_one_answer(RCODE_NOERROR);
	time_passes_ms(65);
	ck_assert(reply_to(last_sent(), DNS_AA));
	backend_sum(backend_named("ns1"), &sum);
	ck_assert_uint_eq(sum.heard[TRANSPORT_UDP].silent, 0);	/* slow is not silent */
}
END_TEST

START_TEST(slow_server_without_another_is_waited_for)
{
	given(ALONE, false);
	ns1_has_grown_slow();
	ask_www();
	time_passes_ms(100);
	ck_assert_uint_eq(world.sent_count, 1);
	ck_assert(reply_to(last_sent(), DNS_AA));
	assert_one_answer(RCODE_NOERROR);
}
END_TEST

START_TEST(silence_counts_in_its_time_though_the_query_left_early)
{
	struct evidence_sum sum;

	given(MIRRORED, true);
	ns1_has_grown_slow();
	ask_www();
	time_passes_ms(105);
	backend_sum(backend_named("ns1"), &sum);
	ck_assert_uint_eq(sum.heard[TRANSPORT_UDP].silent, 0);
	time_passes_ms(20);
	backend_sum(backend_named("ns1"), &sum);
	ck_assert_uint_eq(sum.heard[TRANSPORT_UDP].silent, 1);
	time_passes_ms(2000);
	backend_sum(backend_named("ns1"), &sum);
	ck_assert_uint_eq(sum.heard[TRANSPORT_UDP].silent, 1);
}
END_TEST

START_TEST(replies_by_one_transport_do_not_hide_silence_by_the_other)
{
	struct evidence_sum sum;
	bool is_deaf_by_tcp = _i != 0;

	given(MIRRORED, true);
	for (unsigned i = 0; i < 200; i++) {
		world.client.is_tcp = i % 2;
		ask_www();
		if (world.client.is_tcp != is_deaf_by_tcp)
			reply_to(last_sent(), DNS_AA);
		time_passes_ms(1);
	}
	backend_sum(backend_named("ns1"), &sum);
	ck_assert_uint_gt(sum.heard[is_deaf_by_tcp].silent, 0);
	ck_assert_uint_ne(sum.heard[is_deaf_by_tcp].first_silent_us, 0);
	ck_assert_uint_eq(sum.heard[!is_deaf_by_tcp].silent, 0);
}
END_TEST

START_TEST(connection_closed_without_any_answer_is_silence_over_tcp)
{
	struct evidence_sum sum;

	given(MIRRORED, true);
	world.client.is_tcp = true;
	ask_www();
	dispatch_connection_mute(world.dispatch, last_sent()->backend);
	backend_sum(backend_named("ns1"), &sum);
	ck_assert_uint_eq(sum.heard[TRANSPORT_TCP].silent, 1);
	ck_assert_uint_eq(sum.heard[TRANSPORT_TCP].first_silent_us, START_US);
	ck_assert_uint_eq(world.alarms, 1);
}
END_TEST

START_TEST(refusal_ends_all_attempts_in_the_same_turn)
{
	given(MIRRORED, true);
	for (int i = 0; i < 10; i++)
		ask_www();
	ck_assert_uint_eq(world.answers, 0);
	dispatch_backend_refused(world.dispatch, last_sent()->backend);
	ck_assert_uint_eq(world.answers, 10);
	ck_assert_uint_eq(counter_get(&world.stats.answers_mirror), 10);
	ck_assert_uint_eq(inflight_query_count(world.dispatch->inflight), 0);
}
END_TEST

START_TEST(next_backend_is_asked_and_the_first_may_still_win)
{
	struct sent first;

	given(TWO, false);
	ask_www();
	first = *last_sent();
	time_passes_ms(60);
	ck_assert_uint_eq(world.sent_count, 2);
	ck_assert_str_eq(backend_get(last_sent()->backend)->name, "ns2");
	ck_assert(reply_to(&first, DNS_AA));
	assert_one_answer(RCODE_NOERROR);
	ck_assert(reply_to(last_sent(), DNS_AA));
	ck_assert_uint_eq(world.answers, 1);
}
END_TEST

static const struct { const char *what; unsigned flags; } failed_replies[] = {
	{ "SERVFAIL", DNS_AA | RCODE_SERVFAIL }, { "REFUSED", RCODE_REFUSED },
	{ "NOTAUTH", RCODE_NOTAUTH }, { "lame", 0 }, { "lame NXDOMAIN", RCODE_NXDOMAIN },
};

START_TEST(reply_that_says_nothing_of_a_mirrored_zone_is_rescued)
{
	given(MIRRORED, true);
	ask_www();
	reply_to(last_sent(), failed_replies[_i].flags);
	assert_one_answer(RCODE_NOERROR);
	ck_assert_msg(counter_get(&world.stats.answers_mirror) == 1, "%s", failed_replies[_i].what);
}
END_TEST

#define SOA_TAIL(serial) "\0\6\0\1\0\0\0\74\0\26\0\0\0\0\0" serial "\0\0\0\1\0\0\0\1\0\0\16\20\0\0\0\74"

#define SOA_OF(serial) "\300\20" SOA_TAIL(serial)
enum { SOA_LEN = sizeof(SOA_OF("\1")) - 1 };

static const struct { const char *what; unsigned flags; const char *soa; bool is_rescued; } denials[] = {
	{ "NXDOMAIN under the mirror's serial", DNS_AA | RCODE_NXDOMAIN, SOA_OF("\1"), true },
	{ "no record under the mirror's serial", DNS_AA, SOA_OF("\1"), true },
	{ "NXDOMAIN without a serial", DNS_AA | RCODE_NXDOMAIN, NULL, true },
	{ "nothing at all", DNS_AA, NULL, true },
	{ "NXDOMAIN under a newer serial", DNS_AA | RCODE_NXDOMAIN, SOA_OF("\2"), false },
	{ "no record under a newer serial", DNS_AA, SOA_OF("\2"), false },
};

static void deny(unsigned row)
{
	const char *soa = denials[row].soa;

	reply_with(last_sent(), denials[row].flags, 0, soa != NULL, soa, soa ? SOA_LEN : 0);
}

START_TEST(denial_of_what_the_mirror_has_is_not_believed_but_under_a_newer_serial)
{
	struct plan_zone *zone;
	bool is_rescued = denials[_i].is_rescued;

	given(MIRRORED, true);
	zone = &world.plan->zones[0];
	ask_www();
	deny((unsigned)_i);
	assert_one_answer(is_rescued ? RCODE_NOERROR : denials[_i].flags & DNS_RCODE);
	ck_assert_msg(counter_get(&world.stats.rescued_denied) == is_rescued, "%s", denials[_i].what);
	ck_assert_uint_eq(counter_get(&world.stats.answers_mirror), is_rescued);
	ck_assert_msg(plan_set_target(&zone->heard->denied, 0, false) == is_rescued, "control hears of it");
}
END_TEST

START_TEST(denial_by_design_is_believed)
{
	given(MIRRORED, true);
	plan_set_target(&world.plan->zones[0].others, 0, true);
	ask_www();
	deny((unsigned)_i);
	assert_one_answer(denials[_i].flags & DNS_RCODE);
	ck_assert_uint_eq(counter_get(&world.stats.answers_primary), 1);
}
END_TEST

START_TEST(true_denial_passes)
{
	given(MIRRORED, true);
	ask(0, "no.example.com.", TYPE_A);
	ck_assert(reply_with(last_sent(), DNS_AA | RCODE_NXDOMAIN, 0, 1, "\300\17" SOA_TAIL("\1"), SOA_LEN));
	assert_one_answer(RCODE_NXDOMAIN);
	ck_assert_uint_eq(counter_get(&world.stats.rescued), 0);
}
END_TEST

START_TEST(rescue_is_counted_once_under_its_first_reason)
{
	given(THREE_AND_MIRROR, true);
	ask_www();
	reply_to(last_sent(), DNS_AA | RCODE_SERVFAIL);
	reply_to(last_sent(), RCODE_REFUSED);
	time_passes_ms(60);
	assert_one_answer(RCODE_NOERROR);
	ck_assert_uint_eq(counter_get(&world.stats.rescued), 1);
	ck_assert_uint_eq(counter_get(&world.stats.rescued_servfail), 1);
	ck_assert_uint_eq(counter_get(&world.stats.rescued_refused), 0);
	ck_assert_uint_eq(counter_get(&world.stats.rescued_silent), 0);
}
END_TEST

START_TEST(answer_of_a_zone_that_nobody_confirmed_in_time_counts_as_stale)
{
	given(MIRROR_FIRST, true);
	atomic_store(&world.zone.stale_us, START_US + 1000);
	ask_www();
	ck_assert_uint_eq(counter_get(&world.stats.answers_stale), 0);
	time_passes_ms(1);
	ask_www();
	ck_assert_uint_eq(counter_get(&world.stats.answers_mirror), 2);
	ck_assert_uint_eq(counter_get(&world.stats.answers_stale), 1);
}
END_TEST

START_TEST(answer_of_a_zone_in_its_grace_counts_as_stale)
{
	given(MIRROR_FIRST, true);
	ask_www();
	atomic_store(&world.zone.current->is_stale, true);
	ask_www();
	ck_assert_uint_eq(counter_get(&world.stats.answers_mirror), 2);
	ck_assert_uint_eq(counter_get(&world.stats.answers_stale), 1);
}
END_TEST

START_TEST(same_reply_passes_when_the_zone_is_not_mirrored)
{
	given(TWO, false);
	ask_www();
	reply_to(last_sent(), failed_replies[_i].flags);
	assert_one_answer(failed_replies[_i].flags & DNS_RCODE);
}
END_TEST

START_TEST(lost_packet_is_sent_again_when_there_is_only_one_server)
{
	given(ALONE, false);
	ask_www();
	time_passes_ms(200);
	ck_assert_uint_ge(world.sent_count, 2);
	ck_assert(reply_to(last_sent(), DNS_AA));
	assert_one_answer(RCODE_NOERROR);
}
END_TEST

/* Its estimate of half a second left time for two tries only. */
START_TEST(server_that_was_slow_a_moment_ago_still_has_five_tries)
{
	given(ALONE, false);
	for (unsigned i = 0; i < 20; i++)
		rtt_add(&world.dispatch->balance.views[backend_named("ns1")->index].udp, 500000);
	ask_www();
	time_passes_ms(690);
	ck_assert_uint_ge(world.sent_count, 5);
	ck_assert(reply_to(last_sent(), DNS_AA));
	assert_one_answer(RCODE_NOERROR);
}
END_TEST

/* Each silent server had its 150 ms before the mirror was asked: with three of them 450 ms. */
START_TEST(whole_tier_is_silent_and_the_mirror_still_answers_within_300_ms)
{
	given(THREE_AND_MIRROR, true);
	for (unsigned i = 0; i < 20; i++)
		for (unsigned b = 0; b < 3; b++)
			rtt_add(&world.dispatch->balance.views[world.plan->pools[0].targets[b].backend->index].udp,
				200000);
	ask_www();
	time_passes_ms(300);
	ck_assert_uint_eq(world.sent_count, 2);
	assert_one_answer(RCODE_NOERROR);
	ck_assert_uint_eq(counter_get(&world.stats.answers_mirror), 1);
}
END_TEST

/* ---- Many servers ---- */

/* `text` for each of a hundred backends; `rest` behind them. */
static void given_a_hundred(const char *rest, bool has_mirror)
{
	static char text[16384];
	size_t len = (size_t)snprintf(text, sizeof(text), "pool \"p\" { policy = \"round-robin\"\n");

	for (unsigned i = 1; i <= 100; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
			"backend \"ns%u\" { address = \"198.51.100.%u:53\" %s }\n", i, i,
			i == 1 ? "primary = true" : "");
	snprintf(text + len, sizeof(text) - len, "%s }\nzone \"example.com\" { pool = \"p\" }\n", rest);
	given(text, has_mirror);
	for (unsigned i = 0; i < 100; i++)
		atomic_store(&world.plan->pools[0].targets[i].backend->probe_rtt_us, 1000);
}

/* Sixteen were asked one after the other first, 10 ms each. */
START_TEST(hundred_silent_servers_do_not_keep_the_mirror_waiting)
{
	given_a_hundred("mirror { tier = 1 }", true);
	ask_www();
	time_passes_ms(46);
	assert_one_answer(RCODE_NOERROR);
	ck_assert_uint_eq(counter_get(&world.stats.answers_mirror), 1);
	ck_assert_uint_le(world.sent_count, 5);
}
END_TEST

START_TEST(second_try_at_a_far_server_has_its_time)
{
	given_a_hundred("mirror { tier = 1 }", true);
	for (unsigned i = 0; i < 100; i++)
		atomic_store(&world.plan->pools[0].targets[i].backend->probe_rtt_us, 40000);
	ask_www();
	time_passes_ms(120);
	ck_assert_uint_eq(world.sent_count, 2);
	ck_assert(reply_to(last_sent(), DNS_AA));
	assert_one_answer(RCODE_NOERROR);
	ck_assert_uint_eq(counter_get(&world.stats.answers_mirror), 0);
}
END_TEST

/* Both had crept up together: the second was first asked when it was slow, and had 150 ms. */
START_TEST(second_try_does_not_take_all_the_time_that_there_is)
{
	given_a_hundred("mirror { tier = 1 }", true);
	for (unsigned i = 0; i < 100; i++) {
		struct backend *b = world.plan->pools[0].targets[i].backend;

		atomic_store(&b->probe_rtt_us, 120000);
		rtt_add(&world.dispatch->balance.views[b->index].udp, 120000);
	}
	rtt_note_least(&world.dispatch->balance.views[backend_named("ns1")->index].udp, 1000, START_US);
	ask_www();
	time_passes_ms(53);
	ck_assert_uint_eq(world.sent_count, 2);
	assert_one_answer(RCODE_NOERROR);
	ck_assert_uint_eq(counter_get(&world.stats.answers_mirror), 1);
}
END_TEST

/* A spare that crept up together with the primary: 30 ms was the best that clients ever had of it. */
START_TEST(server_first_asked_when_it_was_slow_is_not_far)
{
	struct backend *b;

	given(MIRRORED, true);
	b = backend_named("ns1");
	for (unsigned i = 0; i < 20; i++)
		rtt_add(&world.dispatch->balance.views[b->index].udp, 60000);
	rtt_note_least(&world.dispatch->balance.views[b->index].udp, 30000, START_US);
	atomic_store(&b->probe_least_us, 1000);
	ask_www();
	time_passes_ms(28);
	assert_one_answer(RCODE_NOERROR);
	ck_assert_uint_eq(counter_get(&world.stats.answers_mirror), 1);
}
END_TEST

/* It gives a byte each millisecond by TCP: 150 ms was the best there. */
START_TEST(server_that_is_near_by_udp_is_not_far_by_tcp)
{
	struct balance_view *view;

	given(MIRRORED, true);
	view = &world.dispatch->balance.views[backend_named("ns1")->index];
	rtt_note_least(&view->udp, 1000, START_US);
	rtt_add(&view->tcp, 150000);
	rtt_note_least(&view->tcp, 150000, START_US);
	world.client.is_tcp = true;
	ask_www();
	time_passes_ms(29);
	assert_one_answer(RCODE_NOERROR);
	ck_assert_uint_eq(counter_get(&world.stats.answers_mirror), 1);
}
END_TEST

/* Clients must not see the serial go back. */
START_TEST(mirror_that_lags_is_no_shortcut)
{
	given_a_hundred("mirror { tier = 1 }", true);
	plan_zone_hold(&world.plan->zones[0], 100, true);
	ask_www();
	time_passes_ms(150);
	ck_assert_uint_eq(world.answers, 0);
	ck_assert_uint_gt(world.sent_count, 10);
	ck_assert(reply_to(last_sent(), DNS_AA));
	assert_one_answer(RCODE_NOERROR);
	ck_assert_uint_eq(counter_get(&world.stats.answers_mirror), 0);
}
END_TEST

/* After sixteen silent servers nobody else was asked, and the client had SERVFAIL. */
START_TEST(one_live_server_among_a_hundred_is_found_without_a_mirror)
{
	given_a_hundred("", false);
	world.dispatch->balance.turn[0] = 1;	/* ns1, the live one, comes last */
	ask_www();
	time_passes_ms(250);
	ck_assert_uint_eq(world.answers, 0);
	for (unsigned i = 1; i < 100; i++)	/* by now probes have found them out */
		atomic_store(&world.plan->pools[0].targets[i].backend->share, 0);
	for (unsigned ms = 250; ms < 690 && last_sent()->backend != backend_named("ns1")->index; ms++)
		time_passes_ms(1);
	ck_assert(reply_to(last_sent(), DNS_AA));
	assert_one_answer(RCODE_NOERROR);
}
END_TEST

START_TEST(restarting_server_is_asked_again_after_a_pause_not_at_once)
{
	given(ALONE, false);
	ask_www();
	dispatch_backend_refused(world.dispatch, last_sent()->backend);
	ck_assert_uint_eq(world.sent_count, 1);
	time_passes_ms(60);
	ck_assert_uint_eq(world.sent_count, 2);
	ck_assert(reply_to(last_sent(), DNS_AA));
	assert_one_answer(RCODE_NOERROR);
}
END_TEST

/* ---- The end of all means ---- */

START_TEST(silence_of_all_ends_in_servfail_with_its_reason_before_750_ms)
{
	given(TWO, false);
	ask_www();
	time_passes_ms(690);
	ck_assert_uint_eq(world.answers, 0);
	time_passes_ms(60);
	assert_one_answer(RCODE_SERVFAIL);
	ck_assert_int_eq(answer_ede(), EDE_NO_REACHABLE_AUTHORITY);
}
END_TEST

START_TEST(all_down_is_answered_at_once_but_for_a_trickle)
{
	given(TWO, false);
	set_share("ns1", 0);
	set_share("ns2", 0);
	for (int i = 0; i < 40; i++)
		ask_www();
	ck_assert_uint_gt(world.answers, 20);
	ck_assert_uint_eq(answer_rcode(), RCODE_SERVFAIL);
	time_passes_ms(750);
	ck_assert_uint_eq(world.answers, 40);
}
END_TEST

/* 30 % loss took a lonely server down by its probes, and all of its clients with it. */
START_TEST(lonely_server_that_still_replies_is_asked_although_it_is_down)
{
	given(ALONE, false);
	ask_www();
	ck_assert(reply_to(last_sent(), DNS_AA));
	set_share("ns1", 0);
	for (unsigned i = 2; i < 40; i++) {
		unsigned before = world.sent_count;

		time_passes_ms(20);
		ask_www();
		ck_assert_uint_eq(world.sent_count, before + 1);
		if (i % 2) {			/* this one is lost: it is sent again */
			time_passes_ms(120);
			ck_assert_uint_gt(world.sent_count, before + 1);
		}
		ck_assert(reply_to(last_sent(), DNS_AA));
		ck_assert_uint_eq(world.answers, i);
		ck_assert_uint_eq(answer_rcode(), RCODE_NOERROR);
	}
	time_passes_ms(1100);			/* silent for a second: dead after all */
	for (unsigned i = 0; i < 40; i++)
		ask_www();
	ck_assert_uint_gt(counter_get(&world.stats.answers_servfail), 20);
}
END_TEST

START_TEST(expired_zone_says_so)
{
	given(MIRRORED, true);
	atomic_store(&world.zone.is_servable, false);
	ask_www();
	time_passes_ms(750);
	assert_one_answer(RCODE_SERVFAIL);
	ck_assert_int_eq(answer_ede(), EDE_INVALID_DATA);
}
END_TEST

/* TWO, and a mirror whose zone has expired: nothing of ours can answer. */
#define TWO_AND_MIRROR \
	"pool \"p\" { backend \"ns1\" { address = \"198.51.100.1:53\" tier = 0 primary = true }\n" \
	"backend \"ns2\" { address = \"198.51.100.2:53\" tier = 1 } mirror { tier = 2 } }\n" \
	"zone \"example.com\" { pool = \"p\" }\n"

START_TEST(failed_reply_is_not_passed_on_while_another_server_was_only_silent)
{
	struct sent first;

	given(TWO_AND_MIRROR, true);
	atomic_store(&world.zone.is_servable, false);
	ask_www();
	first = *last_sent();
	time_passes_ms(60);
	ck_assert_uint_eq(world.sent_count, 2);
	reply_to(last_sent(), RCODE_REFUSED);	/* the second has not the zone */
	ck_assert_uint_eq(world.answers, 0);
	ck_assert_uint_eq(world.sent_count, 3);	/* another round */
	reply_to(&first, DNS_AA | RCODE_NOERROR);	/* it was only slow */
	assert_one_answer(RCODE_NOERROR);
}
END_TEST

START_TEST(failed_replies_of_all_servers_are_passed_on_at_once)
{
	given(TWO_AND_MIRROR, true);
	atomic_store(&world.zone.is_servable, false);
	ask_www();
	reply_to(last_sent(), RCODE_REFUSED);
	ck_assert_uint_eq(world.sent_count, 2);
	reply_to(last_sent(), RCODE_SERVFAIL);
	assert_one_answer(RCODE_SERVFAIL);
}
END_TEST

/* It was found out that it can take a hundred queries a second. */
static void ns1_is_limited(void)
{
	backend_named("ns1")->limit[TRANSPORT_UDP] = (struct limit){
		.state = LIMIT_FOUND, .rate = 100, .pace = 100, .window_us = START_US, .lost_us = START_US,
		.needed_us = START_US,
	};
}

/* Nothing that max-outstanding kept from it shows that it needs a limit. */
START_TEST(what_waits_for_nobody_because_it_is_full_was_not_spared_by_its_limit)
{
	struct balance_view *view;
	struct limit *l;

	given(MIRRORED, true);
	ns1_is_limited();
	l = &backend_named("ns1")->limit[TRANSPORT_UDP];
	view = &world.dispatch->balance.views[backend_named("ns1")->index];
	atomic_store(&l->pace, 1000 * 1000);
	view->outstanding = UINT32_MAX / 2;
	for (unsigned i = 0; i < 5; i++)
		ask_www();
	ck_assert_uint_eq(counter_get(&world.stats.answers_mirror), 5);
	ck_assert_uint_eq(view->limit_count[TRANSPORT_UDP].spared + l->window.spared, 0);
	view->outstanding = 0;
}
END_TEST

START_TEST(what_a_server_cannot_take_goes_to_the_next_tier)
{
	struct evidence_sum sum;

	given(MIRRORED, true);
	ns1_is_limited();
	for (unsigned i = 0; i < 20; i++)
		ask_www();
	backend_sum(backend_named("ns1"), &sum);
	ck_assert_uint_eq(world.sent_count, 3);
	ck_assert_uint_eq(counter_get(&world.stats.answers_mirror), 17);
	ck_assert_uint_eq(counter_get(&world.stats.spilled), 17);
	ck_assert_uint_eq(sum.spared, 17);
	ck_assert_uint_eq(counter_get(&world.stats.rescued), 0);
	time_passes_ms(10);
	ask_www();
	ck_assert_uint_eq(world.sent_count, 4);
	world.client.is_tcp = true;		/* which has a limit of its own */
	ask_www();
	ck_assert_uint_eq(world.sent_count, 5);
}
END_TEST

START_TEST(limited_server_takes_all_when_nobody_else_is_left)
{
	given(ALONE, false);
	ns1_is_limited();
	for (unsigned i = 0; i < 20; i++)
		ask_www();
	ck_assert_uint_eq(world.sent_count, 20);
	ck_assert_uint_eq(counter_get(&world.stats.answers_servfail), 0);
}
END_TEST

START_TEST(limit_is_not_kept_where_the_operator_does_not_want_it)
{
	given("pool \"p\" { adaptive-limit = false  backend \"ns1\" { address = \"198.51.100.1:53\" primary = true }\n"
	      "mirror { tier = 1 } }\nzone \"example.com\" { pool = \"p\" }\n", true);
	ns1_is_limited();
	for (unsigned i = 0; i < 20; i++)
		ask_www();
	ck_assert_uint_eq(world.sent_count, 20);
}
END_TEST

static const struct { unsigned flags; bool vouches; } words[] = {
	{ DNS_AA, true }, { DNS_AA | RCODE_NXDOMAIN, true }, { 0, true }, { RCODE_REFUSED, false },
	{ RCODE_NOTIMP, false }, { RCODE_FORMERR, false }, { RCODE_SERVFAIL, false },
};

/* They outvote lost probes, and strangers can have errors from a server that hangs. */
START_TEST(errors_do_not_vouch_for_a_server)
{
	struct evidence_sum sum;

	given(ALONE, false);
	ask_www();
	reply_to(last_sent(), words[_i].flags);
	backend_sum(backend_named("ns1"), &sum);
	ck_assert_uint_eq(sum.replies, 1);
	ck_assert_uint_eq(sum.heard[TRANSPORT_UDP].in_time, words[_i].vouches);
}
END_TEST

/* Reloads by the hundred: the registry is full, and begins anew. */
static void slots_are_used_up(void)
{
	struct address nowhere;

	ck_assert(address_from_text("192.0.2.9:53", 53, &nowhere));
	for (unsigned i = 0; i < BACKENDS_MAX - 2; i++) {
		char name[16];

		snprintf(name, sizeof(name), "b%u", i);
		backend_leave(backend_take("q", name, &nowhere));
	}
}

START_TEST(server_that_gets_the_slot_of_another_has_not_its_limit)
{
	unsigned index;

	given(TWO_AND_MIRROR, true);
	index = backend_named("ns1")->index;
	ns1_is_limited();
	world.dispatch->balance.views[index].udp.srtt_us = 5000;
	slots_are_used_up();
	plan_free(world.plan);
	world.plan = plan_new(conf_of("pool \"p\" { backend \"new\" { address = \"198.51.100.7:53\" primary = true }\n"
				      "mirror { tier = 1 } }\nzone \"example.com\" { pool = \"p\" }\n"), NULL, 2);
	world.plan->zones[0].mirror = &world.zone;
	dispatch_set_plan(world.dispatch, world.plan);
	ck_assert_uint_eq(backend_named("new")->index, index);
	ck_assert_uint_eq(world.dispatch->balance.views[index].udp.srtt_us, 0);
	for (unsigned i = 0; i < 20; i++)
		ask_www();
	ck_assert_uint_eq(world.sent_count, 20);
}
END_TEST

START_TEST(server_that_loses_half_of_a_thousand_a_second_is_asked_less)
{
	given(MIRRORED, true);
	for (unsigned i = 0; i < 400; i++) {
		ask_www();
		if (i % 2 && world.sent_count > 0)
			reply_to(last_sent(), DNS_AA);
		time_passes_ms(1);
	}
	ck_assert_uint_gt(counter_get(&world.stats.spilled), 50);
	ck_assert_uint_ge(world.answers, 300);
}
END_TEST

START_TEST(full_table_answers_from_the_mirror)
{
	given(MIRRORED, true);
	for (int i = 0; i < 70; i++)
		ask_www();
	ck_assert_uint_eq(world.answers, 6);
	ck_assert_uint_eq(counter_get(&world.stats.in_flight_full), 6);
	ck_assert_uint_eq(counter_get(&world.stats.answers_mirror), 6);
}
END_TEST

START_TEST(down_primary_is_not_asked)
{
	given(MIRRORED, true);
	set_share("ns1", 0);
	ask_www();
	ck_assert_uint_eq(world.sent_count, 0);
	assert_one_answer(RCODE_NOERROR);
}
END_TEST

START_TEST(operator_takes_the_first_tier_out)
{
	given(MIRRORED, true);
	atomic_store(world.plan->pools[0].forced, POOL_FAILOVER_ON);
	ask_www();
	ck_assert_uint_eq(world.sent_count, 0);
	assert_one_answer(RCODE_NOERROR);
	atomic_store(world.plan->pools[0].forced, POOL_FAILOVER_AUTO);
}
END_TEST

/* Its SERVFAIL was passed on as the best answer there is. */
START_TEST(mirror_that_was_ordered_out_still_answers_when_the_others_fail)
{
	given(MIRROR_FIRST, true);
	atomic_store(world.plan->pools[0].forced, POOL_FAILOVER_ON);
	ask_www();
	ck_assert_uint_eq(world.sent_count, 1);
	reply_to(last_sent(), RCODE_SERVFAIL);
	assert_one_answer(RCODE_NOERROR);
	ck_assert_uint_eq(counter_get(&world.stats.answers_mirror), 1);
	ck_assert_uint_eq(counter_get(&world.stats.rescued), 1);
	atomic_store(world.plan->pools[0].forced, POOL_FAILOVER_AUTO);
}
END_TEST

/* ---- What must not pass ---- */

static const struct {
	const char *what, *name; unsigned flags; uint16_t type; int ede;
} forbidden[] = {
	{ "AXFR", "example.com.", 0, TYPE_AXFR, EDE_PROHIBITED },
	{ "IXFR", "example.com.", 0, TYPE_IXFR, EDE_PROHIBITED },
	{ "UPDATE", "example.com.", OPCODE_UPDATE << 11, TYPE_SOA, EDE_PROHIBITED },
	{ "NOTIFY of a stranger", "example.com.", OPCODE_NOTIFY << 11, TYPE_SOA, EDE_PROHIBITED },
	{ "unlisted", "example.net.", 0, TYPE_A, EDE_NOT_AUTHORITATIVE },
	{ "a parent", "com.", 0, TYPE_A, EDE_NOT_AUTHORITATIVE },
};

START_TEST(stranger_is_refused_and_the_primary_sees_nothing)
{
	given(MIRRORED, true);
	ask(forbidden[_i].flags, forbidden[_i].name, forbidden[_i].type);
	ck_assert_uint_eq(world.sent_count, 0);
	ck_assert_msg(answer_rcode() == RCODE_REFUSED, "%s: rcode %u", forbidden[_i].what, answer_rcode());
	ck_assert_int_eq(answer_ede(), forbidden[_i].ede);
	assert_one_answer(RCODE_REFUSED);
}
END_TEST

START_TEST(notify_of_the_primary_is_acknowledged_and_heard)
{
	given(MIRRORED, true);
	world.client.address.v4.sin_addr.s_addr = htonl(0xc6336401);
	ask(OPCODE_NOTIFY << 11 | DNS_AA, "example.com.", TYPE_SOA);
	assert_one_answer(RCODE_NOERROR);
	ck_assert_uint_eq(world.refreshes, 1);
	ck_assert_uint_eq(world.sent_count, 0);
}
END_TEST

/* What a NOTIFY must be like when primaries have keys: the conf below gives ns1 one, ns2 none. */
#define KEYED(more) \
	"key primary. { secret = c2VjcmV0 } key other. { secret = \"b3RoZXI=\" }\n" \
	"pool main { " more \
	" backend ns1 { address = 198.51.100.1 primary = true key = primary. }" \
	" backend ns2 { address = 198.51.100.2 primary = true }" \
	" backend ns3 { address = 198.51.100.3 tier = 1 } mirror { tier = 2 } }\n" \
	"zone example.com { pool = main }\n"

static const struct {
	const char *what, *key, *secret;
	uint32_t from;
	uint16_t type;
	int clock_off;
	unsigned rcode, refreshes, notes;
} notifies[] = {
	{ "signed by the primary", "primary.", "c2VjcmV0", 1, TYPE_SOA, 0, RCODE_NOERROR, 1, 0 },
	{ "key in other case", "PRIMARY.", "c2VjcmV0", 1, TYPE_SOA, 0, RCODE_NOERROR, 1, 0 },
	{ "the key from elsewhere", "primary.", "c2VjcmV0", 99, TYPE_SOA, 0, RCODE_NOERROR, 1, 0 },
	{ "not signed", NULL, NULL, 1, TYPE_SOA, 0, RCODE_REFUSED, 0, 1 },
	{ "another key of ours", "other.", "b3RoZXI=", 1, TYPE_SOA, 0, RCODE_REFUSED, 0, 1 },
	{ "another key, a stranger", "other.", "b3RoZXI=", 99, TYPE_SOA, 0, RCODE_REFUSED, 0, 0 },
	{ "no key of ours", "nobody.", "c2VjcmV0", 1, TYPE_SOA, 0, RCODE_NOTAUTH, 0, 0 },
	{ "a wrong secret", "primary.", "b3RoZXI=", 1, TYPE_SOA, 0, RCODE_NOTAUTH, 0, 0 },
	{ "an old signature", "primary.", "c2VjcmV0", 1, TYPE_SOA, -301, RCODE_NOTAUTH, 0, 0 },
	{ "the primary without a key", NULL, NULL, 2, TYPE_SOA, 0, RCODE_NOERROR, 1, 0 },
	{ "that one, signed by some key", "other.", "b3RoZXI=", 2, TYPE_SOA, 0, RCODE_NOERROR, 1, 0 },
	{ "a backend that is no primary", NULL, NULL, 3, TYPE_SOA, 0, RCODE_REFUSED, 0, 0 },
	{ "of another type", NULL, NULL, 2, TYPE_A, 0, RCODE_FORMERR, 0, 0 },
};

static struct tsig_stream *sign_notify(size_t row, struct tsig_key *key, uint8_t *q, size_t *len)
{
	struct tsig_stream *stream;

	if (!notifies[row].key)
		return NULL;
	*key = (struct tsig_key){ .algorithm = "hmac-sha256" };
	name_from_text(notifies[row].key, key->name);
	tsig_key_set_secret(key, notifies[row].secret);
	stream = tsig_stream_new(key);
	*len = tsig_stream_sign(stream, q, *len, 512,
				(uint64_t)((int64_t)world.dispatch->wall_s + notifies[row].clock_off));
	return stream;
}

START_TEST(notify_is_believed_of_primaries_only_and_by_their_keys)
{
	uint8_t q[512];
	struct tsig_key key;
	size_t len, body_len;
	bool has_tsig;

	given(KEYED(""), true);
	world.dispatch->wall_s = 1000000;
	world.client.address.v4.sin_addr.s_addr = htonl(0xc6336400 + notifies[_i].from);
	len = put_query(q, OPCODE_NOTIFY << 11 | DNS_AA, "example.com.", notifies[_i].type);
	struct tsig_stream *stream = sign_notify((size_t)_i, &key, q, &len);

	dispatch_query(world.dispatch, q, len, &world.client);
	ck_assert_msg(answer_rcode() == notifies[_i].rcode, "%s: rcode %u", notifies[_i].what,
		      answer_rcode());
	assert_one_answer(notifies[_i].rcode);
	ck_assert_uint_eq(world.refreshes, notifies[_i].refreshes);
	ck_assert_uint_eq(world.notes, notifies[_i].notes);
	ck_assert_uint_eq(counter_get(&world.stats.notify_heard), notifies[_i].refreshes);
	if (notifies[_i].notes)
		ck_assert(world.note.is_refused);
	if (stream && notifies[_i].rcode != RCODE_NOTAUTH)	/* who signs gets a signed answer */
		ck_assert_int_eq(tsig_stream_verify(stream, world.answer, world.answer_len, 1000000,
						    &body_len, &has_tsig), TSIG_OK);
	tsig_stream_free(stream);
}
END_TEST

START_TEST(notify_is_sent_on_when_the_pool_repeats_it)
{
	given(KEYED("notify = repeat"), true);
	world.client.address.v4.sin_addr.s_addr = htonl(0xc6336402);
	ask(OPCODE_NOTIFY << 11 | DNS_AA, "example.com.", TYPE_SOA);
	assert_one_answer(RCODE_NOERROR);
	ck_assert_uint_eq(world.refreshes, 1);
	ck_assert_uint_eq(world.notes, 1);
	ck_assert(!world.note.is_refused);
	ck_assert(name_is_equal(world.note.origin, world.plan->zones[0].origin));
	ck_assert_uint_eq(world.sent_count, 0);
}
END_TEST

START_TEST(notify_of_a_name_that_is_no_zone_of_ours_is_refused)
{
	static const char *const names[] = { "www.example.com.", "example.net.", "com.", "." };

	given(KEYED("notify = repeat"), true);
	world.client.address.v4.sin_addr.s_addr = htonl(0xc6336402);
	ask(OPCODE_NOTIFY << 11 | DNS_AA, names[_i], TYPE_SOA);
	assert_one_answer(RCODE_REFUSED);
	ck_assert_uint_eq(world.refreshes + world.notes, 0);
}
END_TEST

START_TEST(reply_is_never_answered)
{
	given(MIRRORED, true);
	ask(DNS_QR, "www.example.com.", TYPE_A);
	ask(DNS_QR | RCODE_FORMERR, "example.net.", TYPE_A);
	time_passes_ms(800);
	ck_assert_uint_eq(world.answers, 0);
	ck_assert_uint_eq(world.sent_count, 0);
}
END_TEST

/* ---- Transfers ---- */

enum { CLOCK = 1700000000 };

#define SECRET "c2VjcmV0IG9mIHRoZSB0ZXN0"
#define KEYS "key k { secret = " SECRET " } key l { secret = " SECRET " }\n"
#define ALLOWED MIRRORED KEYS "allow-transfer = { 127.0.0.0/8, \"192.0.2.0/24 key k\" }\n"
#define ALLOWED_BY_KEY MIRRORED KEYS "allow-transfer = { \"192.0.2.0/24\", \"127.0.0.0/8 key k\" }\n"

/* A transfer request, IXFR with an SOA of `serial`. */
static size_t put_request(uint8_t *q, const char *name, uint16_t type, uint32_t serial)
{
	size_t len = put_query(q, 0, name, type) - 11;
	struct wire_out o = wire_into(q, 512);

	o.len = len;
	wire_put_u16(q + 10, 0);
	if (type != TYPE_IXFR)
		return len;
	wire_put_u16(q + 8, 1);
	wire_add_bytes(&o, "\300\14\0\6\0\1\0\0\0\0\0\26\0\0", 14);
	wire_add_u32(&o, serial);
	wire_add_bytes(&o, "\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1", 16);
	return o.len;
}

static void request(const char *name, uint16_t type, uint32_t serial, bool is_tcp)
{
	uint8_t q[512];
	size_t len = put_request(q, name, type, serial);

	world.client.is_tcp = is_tcp;
	dispatch_query(world.dispatch, q, len, &world.client);
}

/* The same, signed; `wrong`: another secret than ours. */
static void signed_request(const char *key_name, bool is_wrong, const char *name, uint16_t type)
{
	struct tsig_key key = { .algorithm = "hmac-sha256" };
	struct tsig_stream *signer;
	uint8_t q[512];
	size_t len = put_request(q, name, type, 1);

	name_from_text(key_name, key.name);
	ck_assert(tsig_key_set_secret(&key, is_wrong ? "d3Jvbmc=" : SECRET));
	signer = tsig_stream_new(&key);
	len = tsig_stream_sign(signer, q, len, sizeof(q), CLOCK);
	world.dispatch->wall_s = CLOCK;
	world.client.is_tcp = true;
	dispatch_query(world.dispatch, q, len, &world.client);
	tsig_stream_free(signer);
}

static void assert_nothing_left(void)
{
	ck_assert_uint_eq(world.sent_count, 0);
	ck_assert_uint_eq(inflight_query_count(world.dispatch->inflight), 0);
	ck_assert_uint_eq(counter_get(&world.stats.queries_tcp) + counter_get(&world.stats.queries_udp),
			  counter_get(&world.stats.answers_mirror) + counter_get(&world.stats.answers_error)
			  + counter_get(&world.stats.answers_refused)
			  + counter_get(&world.stats.answers_servfail));
}

START_TEST(transfer_begins_for_whom_the_list_names)
{
	given(ALLOWED, true);
	request("EXAMPLE.com.", TYPE_AXFR, 0, true);
	ck_assert_uint_eq(world.transfers, 1);
	ck_assert_uint_eq(world.answers, 0);
	ck_assert_ptr_eq(world.transfer.zone, world.zone.current);
	ck_assert(!world.transfer.is_ixfr);
	request("example.com.", TYPE_IXFR, 0, true);
	ck_assert_uint_eq(world.transfers, 2);
	ck_assert(world.transfer.is_ixfr);
	ck_assert_uint_eq(counter_get(&world.stats.transfers_out), 2);
	assert_nothing_left();
}
END_TEST

static const struct {
	const char *what, *name; uint16_t type; bool is_tcp; unsigned rcode;
} allowed_but[] = {
	{ "AXFR by UDP", "example.com.", TYPE_AXFR, false, RCODE_FORMERR },
	{ "no apex", "www.example.com.", TYPE_AXFR, true, RCODE_NOTAUTH },
	{ "no apex, by UDP", "www.example.com.", TYPE_IXFR, false, RCODE_NOTAUTH },
	{ "no zone of ours", "example.net.", TYPE_AXFR, true, RCODE_REFUSED },
};

START_TEST(some_requests_fail_for_all)
{
	given(ALLOWED, true);
	request(allowed_but[_i].name, allowed_but[_i].type, 0, allowed_but[_i].is_tcp);
	ck_assert_msg(answer_rcode() == allowed_but[_i].rcode, "%s", allowed_but[_i].what);
	ck_assert_uint_eq(world.answers, 1);
	ck_assert_uint_eq(world.transfers, 0);
	assert_nothing_left();
}
END_TEST

START_TEST(ixfr_without_serial_is_formerr)
{
	given(ALLOWED, true);
	ask(0, "example.com.", TYPE_IXFR);
	assert_one_answer(RCODE_FORMERR);
	assert_nothing_left();
}
END_TEST

START_TEST(zone_that_is_not_mirrored_is_notauth)
{
	given(ALONE "allow-transfer = 127.0.0.1\n", false);
	request("example.com.", TYPE_AXFR, 0, true);
	assert_one_answer(RCODE_NOTAUTH);
	assert_nothing_left();
}
END_TEST

START_TEST(expired_zone_and_one_that_never_came_are_servfail)
{
	given(ALLOWED, true);
	atomic_store(&world.zone.is_servable, false);
	request("example.com.", TYPE_AXFR, 0, true);
	ck_assert_uint_eq(answer_rcode(), RCODE_SERVFAIL);
	request("example.com.", TYPE_IXFR, 0, false);
	ck_assert_uint_eq(answer_rcode(), RCODE_SERVFAIL);
	ck_assert_uint_eq(world.transfers, 0);
	assert_nothing_left();
}
END_TEST

START_TEST(too_many_transfers_are_servfail)
{
	given(ALLOWED, true);
	world.is_transfer_slot_free = false;
	request("example.com.", TYPE_AXFR, 0, true);
	assert_one_answer(RCODE_SERVFAIL);
	ck_assert_uint_eq(counter_get(&world.stats.transfers_out), 0);
	assert_nothing_left();
}
END_TEST

START_TEST(current_serial_needs_no_transfer)
{
	given(ALLOWED, true);
	for (int is_tcp = 0; is_tcp < 2; is_tcp++) {
		request("example.com.", TYPE_IXFR, 1, is_tcp);
		ck_assert_uint_eq(answer_rcode(), RCODE_NOERROR);
		ck_assert_uint_eq(wire_get_u16(world.answer + 6), 1);
	}
	ck_assert_uint_eq(world.transfers, 0);
	ck_assert(!generation_is_held(world.zone.current));
	assert_nothing_left();
}
END_TEST

START_TEST(small_zone_fits_a_datagram)
{
	given(ALLOWED, true);
	request("example.com.", TYPE_IXFR, 0, false);
	ck_assert_uint_eq(answer_rcode(), RCODE_NOERROR);
	ck_assert_uint_eq(wire_get_u16(world.answer + 6), world.zone.current->records + 1);
	ck_assert_uint_eq(wire_get_u16(world.answer + 2) & DNS_AA, DNS_AA);
	assert_nothing_left();
}
END_TEST

START_TEST(prefix_and_key_must_both_hold)
{
	given(ALLOWED_BY_KEY, true);
	request("example.com.", TYPE_AXFR, 0, true);
	assert_one_answer(RCODE_REFUSED);
	signed_request("l.", false, "example.com.", TYPE_AXFR);
	ck_assert_uint_eq(answer_rcode(), RCODE_REFUSED);
	ck_assert_uint_eq(wire_get_u16(world.answer + 10), 1);	/* signed, since the key is ours */
	ck_assert_uint_eq(world.transfers, 0);
	signed_request("k.", false, "example.com.", TYPE_AXFR);
	ck_assert_uint_eq(world.transfers, 1);
	world.client.address.v4.sin_addr.s_addr = htonl(0x0a000001);
	signed_request("k.", false, "example.com.", TYPE_AXFR);
	ck_assert_uint_eq(answer_rcode(), RCODE_REFUSED);
	ck_assert_uint_eq(world.transfers, 1);
	assert_nothing_left();
}
END_TEST

START_TEST(bad_signature_of_a_transfer_is_notauth)
{
	given(ALLOWED, true);
	signed_request(_i ? "k." : "m.", true, "example.com.", TYPE_AXFR);
	assert_one_answer(RCODE_NOTAUTH);
	ck_assert_uint_eq(world.answer[world.answer_len - 3], _i ? 16 : 17);
	ck_assert_uint_eq(world.transfers, 0);
	assert_nothing_left();
}
END_TEST

/* BIND as primary says NOTAUTH to a secondary whose key it does not know, and that never came to AXFR. */
START_TEST(secondary_sees_the_serial_that_it_would_get_whatever_the_primary_thinks_of_its_key)
{
	given(ALLOWED_BY_KEY, true);
	signed_request("k.", false, "example.com.", TYPE_SOA);
	assert_one_answer(RCODE_NOERROR);
	ck_assert_uint_eq(wire_get_u16(world.answer + 6), 1);
	ck_assert_uint_eq(wire_get_u16(world.answer + 10), 1);
	assert_nothing_left();
	signed_request("l.", false, "example.com.", TYPE_SOA);	/* no secondary of ours */
	ck_assert_uint_eq(world.sent_count, 1);
	signed_request("k.", true, "example.com.", TYPE_SOA);	/* the primary's key of that name, perhaps */
	ck_assert_uint_eq(world.sent_count, 2);
	signed_request("k.", false, "www.example.com.", TYPE_SOA);
	ck_assert_uint_eq(world.sent_count, 3);
}
END_TEST

START_TEST(mirror_signs_what_it_answers_to_a_signed_query)
{
	given(ALLOWED, true);
	set_share("ns1", 0);
	signed_request("l.", false, "www.example.com.", TYPE_A);
	assert_one_answer(RCODE_NOERROR);
	ck_assert_uint_eq(wire_get_u16(world.answer + 10), 1);
	signed_request("m.", false, "www.example.com.", TYPE_A);
	ck_assert_uint_eq(answer_rcode(), RCODE_NOTAUTH);
	assert_nothing_left();
}
END_TEST

/* ---- TCP ---- */

START_TEST(connection_closed_for_idleness_is_tried_again_at_the_same_server)
{
	given(TWO, false);
	world.client.is_tcp = true;
	world.dispatch->now_us += 5000000;
	ask_www();
	dispatch_connection_closed(world.dispatch, last_sent()->backend, last_sent()->socket, START_US);
	ck_assert_uint_eq(world.sent_count, 2);
	ck_assert_str_eq(backend_get(last_sent()->backend)->name, "ns1");
	dispatch_connection_closed(world.dispatch, last_sent()->backend, last_sent()->socket, START_US);
	ck_assert_uint_eq(world.sent_count, 3);
	ck_assert_str_eq(backend_get(last_sent()->backend)->name, "ns2");
	ck_assert(reply_to(last_sent(), DNS_AA));
	assert_one_answer(RCODE_NOERROR);
}
END_TEST

START_TEST(refused_connection_ends_attempts_by_tcp_only)
{
	struct sent by_udp;

	given(TWO, false);
	ask_www();
	by_udp = *last_sent();
	world.client.is_tcp = true;
	ask_www();
	dispatch_connection_refused(world.dispatch, by_udp.backend);
	ck_assert_uint_eq(world.sent_count, 3);
	ck_assert_str_eq(backend_get(last_sent()->backend)->name, "ns2");
	ck_assert(reply_to(&by_udp, DNS_AA));
	ck_assert_uint_eq(counter_get(&world.stats.answers_primary), 1);
	ck_assert(reply_to(last_sent(), DNS_AA));
	ck_assert_uint_eq(world.answers, 2);
}
END_TEST

/* ---- What a reply may not do ---- */

START_TEST(notauth_to_a_signed_query_speaks_of_its_key_and_passes)
{
	static const char tsig[] = "\0\0\372\0\377\0\0\0\0\0\0";	/* no rdata: nobody verifies here */
	uint8_t q[512];
	size_t len;

	given(MIRRORED, true);
	len = put_query(q, 0, "www.example.com.", TYPE_A);
	memcpy(q + len, tsig, sizeof(tsig) - 1);
	wire_put_u16(q + 10, 2);
	dispatch_query(world.dispatch, q, len + sizeof(tsig) - 1, &world.client);
	ck_assert(reply_to(last_sent(), RCODE_NOTAUTH));
	assert_one_answer(RCODE_NOTAUTH);
	ck_assert_uint_eq(counter_get(&world.stats.attempts_failed), 0);
}
END_TEST

START_TEST(reply_for_another_class_is_no_evidence_against_its_server)
{
	uint8_t q[512];
	size_t len;

	given(MIRRORED, true);
	len = put_query(q, 0, "www.example.com.", TYPE_TXT);
	wire_put_u16(q + len - 13, CLASS_CH);
	dispatch_query(world.dispatch, q, len, &world.client);
	ck_assert(reply_to(last_sent(), RCODE_REFUSED));
	assert_one_answer(RCODE_REFUSED);
	ck_assert_uint_eq(counter_get(&world.stats.attempts_failed), 0);
}
END_TEST

START_TEST(reply_longer_than_the_client_takes_is_truncated)
{
	uint8_t reply[1500] = { 0 };
	struct sent *s;

	given(ALONE, false);
	ask_www();
	s = last_sent();
	memcpy(reply, s->query, s->len);
	wire_put_u16(reply + 2, DNS_QR | DNS_AA);
	ck_assert(dispatch_reply(world.dispatch, s->socket, s->backend, reply, sizeof(reply)));
	assert_one_answer(RCODE_NOERROR);
	ck_assert_uint_le(world.answer_len, 1232);
	ck_assert_uint_eq(wire_get_u16(world.answer + 2), DNS_QR | DNS_AA | DNS_TC);
	ck_assert_uint_eq(counter_get(&world.stats.answers_primary), 1);
}
END_TEST

START_TEST(server_in_slow_start_that_is_alone_is_asked_every_time)
{
	given(ALONE, false);
	set_share("ns1", BACKEND_SHARE_FULL / 10);
	for (int i = 0; i < 50; i++) {
		ask_www();
		ck_assert(reply_to(last_sent(), DNS_AA));
	}
	ck_assert_uint_eq(world.sent_count, 50);
	ck_assert_uint_eq(counter_get(&world.stats.answers_primary), 50);
}
END_TEST

/* ---- What our own answers say beside data ---- */

#define TELLING MIRRORED "nsid = \"us\" identity = \"here\" tcp-idle = 7s\n"
#define OPTIONS "\0\3\0\0" "\0\11\0\0" "\0\13\0\0" "\0\23\0\0" "\0\12\0\10" "abcdefgh"
enum { OPTIONS_LEN = sizeof(OPTIONS) - 1 };

/* A question with every option that we know of, in an OPT of this version. */
static size_t put_telling_query(uint8_t *q, const char *name, uint16_t type, uint16_t class, uint8_t version)
{
	size_t len = put_query(q, 0, name, type);

	wire_put_u16(q + len - 13, class);
	q[len - 5] = version;
	wire_put_u16(q + len - 2, OPTIONS_LEN);
	memcpy(q + len, OPTIONS, OPTIONS_LEN);
	return len + OPTIONS_LEN;
}

static void ask_telling(const char *name, uint16_t type, uint16_t class, uint8_t version)
{
	uint8_t q[512];
	size_t len = put_telling_query(q, name, type, class, version);

	dispatch_query(world.dispatch, q, len, &world.client);
}

/* The value of an option of the answer, whose OPT is its last record; NULL: not there. */
static const uint8_t *answer_option(uint16_t wanted, uint16_t *len)
{
	size_t at = world.answer_len;
	struct message m;

	world.answer[2] &= 0x7f;	/* then our parser walks it */
	ck_assert_int_eq(message_parse(world.answer, world.answer_len, &m), MESSAGE_OK);
	world.answer[2] |= 0x80;
	for (size_t i = m.question_end; i + 11 <= world.answer_len; i++)
		if (memcmp(world.answer + i, "\0\0\51\4\320", 5) == 0)
			at = i + 11;
	while (at + 4 <= world.answer_len) {
		*len = wire_get_u16(world.answer + at + 2);
		if (wire_get_u16(world.answer + at) == wanted)
			return world.answer + at + 4;
		at += 4u + *len;
	}
	return NULL;
}

static void assert_option(uint16_t code, const char *value, uint16_t value_len)
{
	uint16_t len;
	const uint8_t *found = answer_option(code, &len);

	ck_assert_msg(found && len == value_len, "option %u", code);
	ck_assert_mem_eq(found, value, len);
}

static bool has_option(uint16_t code)
{
	uint16_t len;

	return answer_option(code, &len) != NULL;
}

START_TEST(mirror_tells_what_it_is_asked_for)
{
	given(TELLING, true);
	set_share("ns1", 0);
	atomic_store(&world.zone.expires_us, START_US + 3600999999);
	ask_telling("www.example.com.", TYPE_A, CLASS_IN, 0);
	assert_one_answer(RCODE_NOERROR);
	assert_option(EDNS_NSID, "us", 2);
	assert_option(EDNS_EXPIRE, "\0\0\16\20", 4);
	assert_option(EDNS_ZONEVERSION, "\2\0\0\0\0\1", 6);
	ck_assert(has_option(EDNS_COOKIE));
	ck_assert(!has_option(EDNS_KEEPALIVE));		/* this is UDP */
	world.client.is_tcp = true;
	ask_telling("www.example.com.", TYPE_A, CLASS_IN, 0);
	assert_option(EDNS_KEEPALIVE, "\0\106", 2);
}
END_TEST

/* It may end between the look at the zone and the answer. */
START_TEST(zone_that_expires_now_has_no_time_left)
{
	given(TELLING, true);
	set_share("ns1", 0);
	atomic_store(&world.zone.expires_us, START_US - 1);
	ask_telling("www.example.com.", TYPE_A, CLASS_IN, 0);
	assert_option(EDNS_EXPIRE, "\0\0\0\0", 4);
}
END_TEST

START_TEST(refusal_tells_of_us_but_of_no_zone)
{
	given(TELLING, true);
	ask_telling("www.example.net.", TYPE_A, CLASS_IN, 0);
	assert_one_answer(RCODE_REFUSED);
	assert_option(EDNS_NSID, "us", 2);
	assert_option(EDNS_EDE, "\0\24", 2);
	ck_assert(has_option(EDNS_COOKIE));
	ck_assert(!has_option(EDNS_EXPIRE) && !has_option(EDNS_ZONEVERSION));
}
END_TEST

START_TEST(cookie_comes_back_as_long_as_it_is_good)
{
	uint8_t q[512], first[24];
	size_t len;
	uint16_t cookie_len;

	given(TELLING, true);
	set_share("ns1", 0);
	world.dispatch->wall_s = 1000000;
	ask_telling("www.example.com.", TYPE_A, CLASS_IN, 0);
	memcpy(first, answer_option(EDNS_COOKIE, &cookie_len), 24);
	ck_assert_uint_eq(counter_get(&world.stats.cookies_bad), 0);

	len = put_telling_query(q, "www.example.com.", TYPE_A, CLASS_IN, 0) - 12;
	memcpy(q + len, "\0\12\0\30", 4);
	memcpy(q + len + 4, first, 24);
	wire_put_u16(q + len + 12 - OPTIONS_LEN - 2, OPTIONS_LEN + 16);
	world.dispatch->wall_s += 600;
	dispatch_query(world.dispatch, q, len + 28, &world.client);
	assert_option(EDNS_COOKIE, (const char *)first, 24);
	ck_assert_uint_eq(counter_get(&world.stats.cookies_good), 1);

	world.client.address.v4.sin_addr.s_addr = htonl(0x7f000002);
	dispatch_query(world.dispatch, q, len + 28, &world.client);
	ck_assert_mem_ne(answer_option(EDNS_COOKIE, &cookie_len), first, 24);
	ck_assert_uint_eq(counter_get(&world.stats.cookies_good), 1);
	ck_assert_uint_eq(counter_get(&world.stats.cookies_bad), 1);
}
END_TEST

/* RFC 6891 s.6.1.3: every answer of ours to another version, whoever the name belongs to. */
START_TEST(unknown_version_of_edns_is_badvers_from_us)
{
	static const char *const names[] = { "www.example.com.", "www.example.net.", "id.server." };

	given(TELLING, true);
	set_share("ns1", 0);
	for (unsigned i = 0; i < 3; i++) {
		ask_telling(names[i], TYPE_TXT, i == 2 ? CLASS_CH : CLASS_IN, 1);
		ck_assert_uint_eq(world.answers, i + 1);
		ck_assert_uint_eq(answer_rcode(), RCODE_BADVERS & DNS_RCODE);
		ck_assert_uint_eq(world.answer[world.answer_len - 6], RCODE_BADVERS >> 4);
		ck_assert_uint_eq(world.answer[world.answer_len - 5], 0);	/* the one that we speak */
	}
}
END_TEST

START_TEST(unknown_version_of_edns_is_for_the_primary_to_judge)
{
	given(TELLING, true);
	ask_telling("www.example.com.", TYPE_A, CLASS_IN, 1);
	ck_assert_uint_eq(world.answers, 0);
	ck_assert_uint_eq(world.sent_count, 1);
}
END_TEST

/* The same before, during and after a failure of the servers behind. */
START_TEST(identity_is_ours_in_every_state)
{
	given(TELLING, true);
	for (unsigned i = 1; i <= 2; i++) {
		ask_telling("id.server.", TYPE_TXT, CLASS_CH, 0);
		ck_assert_uint_eq(world.answers, i);
		ck_assert_uint_eq(answer_rcode(), RCODE_NOERROR);
		ck_assert_mem_eq(world.answer + 12 + 11 + 4, "\300\14\0\20\0\3\0\0\0\0\0\5\4here", 17);
		set_share("ns1", 0);
	}
	ck_assert_uint_eq(world.sent_count, 0);
	ck_assert_uint_eq(counter_get(&world.stats.answers_error), 2);
}
END_TEST

START_TEST(what_has_no_text_is_treated_like_any_name)
{
	given(TELLING "forward-unlisted = p\n", true);
	ask_telling("version.bind.", TYPE_TXT, CLASS_CH, 0);
	ask_telling("id.server.", TYPE_A, CLASS_CH, 0);
	ck_assert_uint_eq(world.sent_count, 2);
	teardown();
	given(TELLING, true);
	ask_telling("version.bind.", TYPE_TXT, CLASS_CH, 0);
	assert_one_answer(RCODE_REFUSED);
}
END_TEST

/* IQUERY, STATUS, 3, 7 and so on: whoever knows them is not there. */
START_TEST(class_that_the_mirror_has_no_zones_in_is_refused_without_servers)
{
	static const uint16_t classes[] = { 0, CLASS_CH, 4, CLASS_NONE, 65535 };

	given(MIRRORED, true);
	for (unsigned i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		set_share("ns1", BACKEND_SHARE_FULL);
		ask_telling("www.example.com.", TYPE_A, classes[i], 0);
		ck_assert_uint_eq(world.answers, i);		/* it is the primary's */
		set_share("ns1", 0);
		dispatch_backend_refused(world.dispatch, last_sent()->backend);
		time_passes_ms(750);
		ck_assert_uint_eq(world.answers, i + 1);
		ck_assert_uint_eq(wire_get_u16(world.answer + 2) & DNS_RCODE, RCODE_REFUSED);
	}
	ck_assert_uint_eq(world.dispatch->stats->answers_servfail, 0);
}
END_TEST

START_TEST(opcode_that_only_servers_know_is_notimp_without_them)
{
	static const uint8_t opcodes[] = { 1, 2, 3, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

	given(MIRRORED, true);
	for (unsigned i = 0; i < sizeof(opcodes); i++) {
		set_share("ns1", BACKEND_SHARE_FULL);
		ask((unsigned)opcodes[i] << 11, "www.example.com.", TYPE_A);
		ck_assert_uint_eq(world.answers, i);		/* it is the primary's */
		ck_assert_uint_eq(world.sent_count, i + 1);
		set_share("ns1", 0);
		dispatch_backend_refused(world.dispatch, last_sent()->backend);
		time_passes_ms(750);
		ck_assert_uint_eq(world.answers, i + 1);
		ck_assert_uint_eq(wire_get_u16(world.answer + 2),
				  DNS_QR | (unsigned)opcodes[i] << 11 | RCODE_NOTIMP);
		ck_assert_uint_eq(wire_get_u16(world.answer + 10), 1);	/* OPT for OPT */
	}
}
END_TEST

/* Of each kind some, in more than one group; the last bytes of some are missing. */
static void make_arrivals(struct arrival *arrivals, uint8_t bytes[][512], unsigned count)
{
	static const char *const names[] = { "www.example.com.", "nothing.example.com.", "two.example.com.",
					     "elsewhere.test.", "example.com.", ".", "a.b.c.example.com." };
	static const uint16_t types[] = { TYPE_A, TYPE_SOA, TYPE_DS, TYPE_AXFR };

	for (unsigned i = 0; i < count; i++) {
		size_t len = put_query(bytes[i], i % 11 == 10 ? OPCODE_NOTIFY << 11 : 0, names[i % 7], types[i / 7 % 4]);

		wire_put_u16(bytes[i], (uint16_t)(0x100 + i));
		len = i % 13 == 12 ? 7 : i % 5 == 4 ? len - 3 : len;
		arrivals[i] = (struct arrival){ bytes[i], len, world.client };
	}
}

START_TEST(queries_that_came_together_are_answered_as_one_by_one)
{
	enum { COUNT = 60 };
	static struct arrival arrivals[COUNT];
	static uint8_t bytes[COUNT][512];
	uint64_t sum;
	unsigned answers;

	given(MIRROR_FIRST, true);
	make_arrivals(arrivals, bytes, COUNT);
	for (unsigned i = 0; i < COUNT; i++)
		dispatch_query(world.dispatch, arrivals[i].packet, arrivals[i].len, &arrivals[i].client);
	answers = world.answers;
	sum = world.answers_sum;
	ck_assert_uint_gt(answers, COUNT / 2);
	ck_assert_uint_lt(answers, COUNT);	/* some are not worth a word */
	ck_assert_uint_gt(counter_get(&world.stats.answers_mirror), 10);
	ck_assert_uint_gt(counter_get(&world.stats.answers_refused), 5);

	world.answers = 0;
	world.answers_sum = 0;
	dispatch_queries(world.dispatch, arrivals, COUNT);
	ck_assert_uint_eq(world.answers, answers);
	ck_assert_uint_eq(world.answers_sum, sum);
	ck_assert_uint_eq(counter_get(&world.stats.queries_udp), 2 * COUNT);
}
END_TEST

START_TEST(records_rotate_by_the_id_if_so_configured)
{
	static const char *const orders[] = { "", "rrset-order = rotate\n" };
	unsigned firsts[2] = { 0, 0 };

	for (unsigned o = 0; o < 2; o++) {
		char text[512];

		snprintf(text, sizeof(text), "%s%s", MIRRORED, orders[o]);
		given(text, true);
		set_share("ns1", 0);
		for (uint16_t id = 0; id < 8; id++) {
			uint8_t q[512];
			size_t len = put_query(q, 0, "two.example.com.", TYPE_A);

			wire_put_u16(q, id);
			dispatch_query(world.dispatch, q, len, &world.client);
			firsts[o] |= 1u << world.answer[12 + 17 + 4 + 15];
		}
		if (o == 0)
			teardown();
	}
	ck_assert_uint_eq(firsts[0], 1 << 1);
	ck_assert_uint_eq(firsts[1], 1 << 1 | 1 << 2);
}
END_TEST

START_TEST(reload_changes_the_secret_of_cookies)
{
	char path[200], text[512];
	int fd = mkstemp(temporary_path(path, sizeof(path), "understudy-cookies"));
	struct plan *old;
	uint8_t before[24];
	uint16_t len;

	ck_assert_int_eq(write(fd, "e5e973e5a6b2a43f48e7dc849e37bfcf\n", 33), 33);
	close(fd);
	given(MIRRORED, true);
	set_share("ns1", 0);
	ask_telling("www.example.com.", TYPE_A, CLASS_IN, 0);
	memcpy(before, answer_option(EDNS_COOKIE, &len), 24);
	snprintf(text, sizeof(text), "%scookie-secret-file = \"%s\"\n", MIRRORED, path);
	old = world.plan;
	world.plan = plan_new(conf_of(text), NULL, 2);
	world.plan->zones[0].mirror = &world.zone;
	dispatch_set_plan(world.dispatch, world.plan);
	plan_free(old);
	unlink(path);
	ask_telling("www.example.com.", TYPE_A, CLASS_IN, 0);
	ck_assert_mem_ne(answer_option(EDNS_COOKIE, &len), before, 24);
}
END_TEST

/* ---- Guards ---- */

#define OTHERS_MARK	"understudy-loop-00000000000000070001.example.com."

/* The name that control would ask ns1 for; it is on its way. */
static const char *given_mark(uint64_t number)
{
	static char text[128];
	struct backend *b = backend_named("ns1");

	atomic_store(&b->guard_number, number);
	snprintf(text, sizeof(text), "understudy-loop-%016llx%04x.example.com.",
		 (unsigned long long)number, b->index);
	return text;
}

static uint64_t returned(void)
{
	return atomic_load(&backend_named("ns1")->guard_returned);
}

START_TEST(our_own_mark_is_noticed_and_goes_no_further)
{
	const char *mark;

	given(MIRRORED, true);
	mark = given_mark(0xfedcba9876543210);
	ask(0, mark, TYPE_SOA);
	ck_assert_uint_eq(world.sent_count, 0);
	assert_one_answer(RCODE_REFUSED);
	ck_assert_uint_eq(counter_get(&world.stats.answers_refused), 1);
	ck_assert_uint_eq(returned(), 0xfedcba9876543210);
	ck_assert_uint_eq(world.alarms, 1);
	ask(0, mark, TYPE_SOA);
	ck_assert_uint_eq(world.alarms, 1);	/* control need not be told over and over */
}
END_TEST

START_TEST(our_own_mark_is_known_whatever_zone_it_came_back_under)
{
	char mark[128];

	given(MIRRORED, true);
	snprintf(mark, sizeof(mark), "%.36s.example.net.", given_mark(3));
	ask(0, mark, TYPE_SOA);
	ck_assert_uint_eq(returned(), 3);
}
END_TEST

/* Stale, of another process, guessed, or of another backend of ours. */
START_TEST(mark_that_is_not_on_its_way_is_no_loop)
{
	char mark[128];

	given(TWO, false);
	snprintf(mark, sizeof(mark), "%s", given_mark(4));
	given_mark(5);
	ask(0, mark, TYPE_SOA);
	mark[35] ^= 1;
	memcpy(mark + 16, "0000000000000005", 16);
	ask(0, mark, TYPE_SOA);
	memcpy(mark + 32, "ffff", 4);
	memcpy(mark + 16, "0000000000000006", 16);
	ask(0, mark, TYPE_SOA);
	ck_assert_uint_eq(returned(), 0);
	ck_assert_uint_eq(world.sent_count, 3);	/* names like any other */
}
END_TEST

START_TEST(mark_of_others_goes_its_way_once)
{
	given(MIRRORED, true);
	ask(0, OTHERS_MARK, TYPE_SOA);
	ck_assert_uint_eq(world.sent_count, 1);
	ck_assert_uint_eq(atomic_load(&backend_named("ns1")->guard_hint), 1);	/* zone 0 */
	ck_assert_uint_eq(world.alarms, 1);
	ck_assert(reply_to(last_sent(), DNS_AA | RCODE_NXDOMAIN));
	assert_one_answer(RCODE_NXDOMAIN);
	ask(0, OTHERS_MARK, TYPE_SOA);
	ck_assert_uint_eq(world.sent_count, 1);
	ck_assert_uint_eq(answer_rcode(), RCODE_REFUSED);
	ck_assert_uint_eq(returned(), 0);
}
END_TEST

START_TEST(mark_of_others_passes_a_loop_that_no_query_passes)
{
	given(MIRRORED, true);
	set_share("ns1", 0);
	atomic_store(&backend_named("ns1")->is_looping, true);
	ask_www();
	assert_one_answer(RCODE_NOERROR);
	ck_assert_uint_eq(counter_get(&world.stats.answers_mirror), 1);
	ask(0, OTHERS_MARK, TYPE_SOA);
	ck_assert_uint_eq(world.sent_count, 1);
	time_passes_ms(300);			/* silence: one attempt is all that it gets there */
	ck_assert_uint_eq(world.sent_count, 1);
	ck_assert_uint_eq(world.answers, 2);
}
END_TEST

/* Each of them replied within the last second, so each query would have tried: they went round. */
START_TEST(loop_is_not_asked_as_the_last_resort)
{
	given(ALONE, false);
	set_share("ns1", 0);
	atomic_store(&backend_named("ns1")->is_looping, true);
	for (int i = 0; i < 64; i++) {
		counter_set(&backend_named("ns1")->evidence[0].heard[TRANSPORT_UDP].last_reply_us,
			    world.dispatch->now_us - 1000);
		ask_www();
	}
	ck_assert_uint_eq(world.sent_count, 0);
	ck_assert_uint_eq(world.answers, 64);
}
END_TEST

START_TEST(flood_of_marks_is_cut_off_with_servfail_and_the_account_holds)
{
	char mark[128];

	given(MIRRORED, true);
	for (unsigned i = 1; i <= 100; i++) {
		unsigned sent = world.sent_count;

		snprintf(mark, sizeof(mark), "understudy-loop-%016x0001.example.com.", i);
		ask(0, mark, TYPE_SOA);
		if (world.sent_count > sent)
			reply_with(last_sent(), DNS_AA | RCODE_NXDOMAIN, 0, 1, "\300\61" SOA_TAIL("\1"), SOA_LEN);
	}
	ck_assert_uint_eq(world.answers, 100);
	ck_assert_uint_lt(world.sent_count, 64);
	ck_assert_uint_eq(answer_rcode(), RCODE_SERVFAIL);
	ck_assert_uint_eq(counter_get(&world.stats.answers_primary)
			  + counter_get(&world.stats.answers_servfail), 100);
}
END_TEST

/* ---- Chance ---- */

/* ---- Answers beside the mirror's, and drills ---- */

#define SHADOWED(percent) \
	"pool \"p\" { shadow-check = " percent "\n" \
	"backend \"ns1\" { address = \"198.51.100.1:53\" tier = 0 primary = true }\n" \
	"mirror { tier = 1 } }\nzone \"example.com\" { pool = \"p\" }\n"

/* The primary gives www this address. */
static void reply_with_address(uint8_t last)
{
	const struct sent *s = last_sent();
	uint8_t reply[512];
	struct wire_out o = wire_into(reply, sizeof(reply));

	wire_add_bytes(&o, s->query, s->len - 11);
	wire_add_bytes(&o, "\300\14\0\1\0\1\0\0\0\1\0\4\300\0\2", 15);
	wire_add_u8(&o, last);
	wire_put_u16(reply + 2, DNS_QR | DNS_AA);
	wire_put_u16(reply + 6, 1);
	wire_put_u16(reply + 10, 0);
	ck_assert(dispatch_reply(world.dispatch, s->socket, s->backend, reply, o.len));
}

START_TEST(same_answer_is_compared_and_nothing_said)
{
	given(SHADOWED("100"), true);
	ask_www();
	reply_with_address(1);
	assert_one_answer(RCODE_NOERROR);
	ck_assert_uint_eq(counter_get(&world.stats.shadow_compared), 1);
	ck_assert_uint_eq(counter_get(&world.stats.shadow_differed), 0);
	ck_assert_uint_eq(world.suspicions, 0);
}
END_TEST

START_TEST(other_answer_reaches_the_client_and_is_suspected)
{
	given(SHADOWED("100"), true);
	ask_www();
	reply_with_address(9);
	assert_one_answer(RCODE_NOERROR);
	ck_assert_uint_eq(world.answer[world.answer_len - 1], 9);
	ck_assert_uint_eq(counter_get(&world.stats.shadow_differed), 1);
	ck_assert_uint_eq(world.suspicions, 1);
	ck_assert_uint_eq(world.suspicion.backend, backend_named("ns1")->index);
	ck_assert_uint_eq(world.suspicion.generation, 1);
	ck_assert_uint_eq(world.suspicion.serial, 1);
	ck_assert_uint_eq(world.suspicion.received_us, START_US);
	ck_assert_uint_eq(world.suspicion.type, TYPE_A);
	ck_assert(name_is_equal(world.suspicion.name, (const uint8_t *)"\3www\7example\3com"));
	ck_assert(name_is_equal(world.suspicion.origin, (const uint8_t *)"\7example\3com"));
	ck_assert_uint_eq(world.suspicion.theirs.rdata[3], 9);
	ck_assert_uint_eq(world.suspicion.ours.rdata[3], 1);
}
END_TEST

START_TEST(denial_that_is_not_believed_is_suspected_all_the_same)
{
	given(SHADOWED("100"), true);
	ask_www();
	reply_to(last_sent(), DNS_AA | RCODE_NXDOMAIN);
	assert_one_answer(RCODE_NOERROR);
	ck_assert_uint_eq(counter_get(&world.stats.rescued_denied), 1);
	ck_assert_uint_eq(world.suspicions, 1);
	ck_assert_uint_eq(world.suspicion.theirs.rcode, RCODE_NXDOMAIN);
}
END_TEST

static void reply_with_serial(unsigned serial)
{
	char soa[12 + 22] = "\300\14\0\6\0\1\0\0\0\74\0\26";

	soa[17] = (char)serial;
	ask(0, "example.com.", TYPE_SOA);
	ck_assert(reply_with(last_sent(), DNS_AA, 1, 0, soa, sizeof(soa)));
}

/* The mirror has serial 1. */
START_TEST(newer_serial_is_told_once)
{
	given(MIRRORED, true);
	reply_with_serial(1);
	reply_with_serial(0);
	ck_assert_uint_eq(world.newers, 0);
	reply_with_serial(3);
	ck_assert_uint_eq(world.newers, 1);
	ck_assert_uint_eq(world.newer.serial, 3);
	ck_assert_uint_eq(world.newer.backend, backend_named("ns1")->index);
	ck_assert(name_is_equal(world.newer.origin, (const uint8_t *)"\7example\3com"));
	reply_with_serial(3);
	reply_with_serial(2);
	ck_assert_uint_eq(world.newers, 1);
	reply_with_serial(4);
	ck_assert_uint_eq(world.newers, 2);
}
END_TEST

/* It says FORMERR, TC and one answer, and ends there: the type was read behind its end. */
START_TEST(header_alone_shows_no_serial)
{
	uint8_t *reply = malloc(DNS_HEADER_LEN);
	const struct sent *s;

	given(MIRRORED, true);
	ask(0, "example.com.", TYPE_SOA);
	s = last_sent();
	memcpy(reply, s->query, DNS_HEADER_LEN);
	wire_put_u16(reply + 2, DNS_QR | DNS_AA | DNS_TC | RCODE_FORMERR);
	wire_put_u16(reply + 4, 0);
	wire_put_u16(reply + 6, 1);
	wire_put_u16(reply + 10, 0);
	dispatch_reply(world.dispatch, s->socket, s->backend, reply, DNS_HEADER_LEN);
	ck_assert_uint_eq(world.newers, 0);
	free(reply);
}
END_TEST

START_TEST(what_cannot_be_compared_is_left_alone)
{
	given(SHADOWED("100"), true);
	ask(0, "www.example.com.", TYPE_ANY);
	reply_to(last_sent(), DNS_AA);
	ask(0, "www.example.com.", TYPE_DNSKEY);
	reply_to(last_sent(), DNS_AA);
	ask_www();
	atomic_store(&world.zone.is_servable, false);	/* it expires in the meantime */
	reply_with_address(9);
	ask_www();
	reply_with_address(9);
	ck_assert_uint_eq(world.answers, 4);
	ck_assert_uint_eq(counter_get(&world.stats.shadow_compared), 0);
	ck_assert_uint_eq(world.suspicions, 0);
}
END_TEST

START_TEST(share_of_answers_is_compared)
{
	static const struct { const char *conf; unsigned least, most; } shares[] = {
		{ SHADOWED("0"), 0, 0 }, { MIRRORED, 1, 60 }, { SHADOWED("30"), 500, 700 },
		{ SHADOWED("100"), 2000, 2000 },
	};

	given(shares[_i].conf, true);
	for (int i = 0; i < 2000; i++) {
		ask_www();
		reply_with_address(1);
	}
	ck_assert_uint_ge(counter_get(&world.stats.shadow_compared), shares[_i].least);
	ck_assert_uint_le(counter_get(&world.stats.shadow_compared), shares[_i].most);
	ck_assert_uint_eq(world.suspicions, 0);
}
END_TEST

static void given_drill(unsigned percent)
{
	atomic_store(&world.plan->pools[0].drill->percent, percent);
}

START_TEST(drill_is_answered_by_the_mirror_and_counted)
{
	given(SHADOWED("0"), true);
	given_drill(100);
	ask_www();
	assert_one_answer(RCODE_NOERROR);
	ck_assert_uint_eq(world.sent_count, 0);
	ck_assert_uint_eq(counter_get(&world.stats.answers_mirror), 1);
	ck_assert_uint_eq(counter_get(&world.stats.rescued), 0);
	ck_assert_uint_eq(plan_drill_served(world.plan->pools[0].drill), 1);
	given_drill(0);
	ask_www();
	ck_assert_uint_eq(world.sent_count, 1);
}
END_TEST

START_TEST(drill_of_all_leaves_what_is_to_be_compared_to_the_servers)
{
	given(SHADOWED("30"), true);
	given_drill(100);
	for (int i = 0; i < 2000; i++) {
		unsigned before = world.sent_count;

		ask_www();
		if (world.sent_count > before)
			reply_with_address(1);
	}
	ck_assert_uint_eq(world.answers, 2000);
	ck_assert(world.sent_count > 450 && world.sent_count < 750);
	ck_assert_uint_eq(counter_get(&world.stats.shadow_compared), world.sent_count);
	ck_assert_uint_eq(plan_drill_served(world.plan->pools[0].drill), 2000 - world.sent_count);
}
END_TEST

START_TEST(drill_leaves_to_the_servers_what_the_mirror_cannot_answer)
{
	given(SHADOWED("0"), true);
	given_drill(100);
	atomic_store(&world.zone.is_servable, false);
	ask_www();
	ck_assert_uint_eq(world.sent_count, 1);
	atomic_store(&world.zone.is_servable, true);
	plan_zone_hold(&world.plan->zones[0], 1, true);		/* it lags */
	ask_www();
	ck_assert_uint_eq(world.sent_count, 2);
	ck_assert_uint_eq(plan_drill_served(world.plan->pools[0].drill), 0);
}
END_TEST

/* Backends that reply, lie, refuse or are silent at random: each query has one answer in time. */
START_TEST(every_query_has_exactly_one_answer_whatever_happens)
{
	struct random chance;
	unsigned asked = 0;

	given(_i % 2 ? MIRRORED : TWO, _i % 2);
	random_init_seeded(&chance, (uint64_t)_i + 1);
	for (int step = 0; step < 3000; step++) {
		unsigned before = world.sent_count;

		if (random_below(&chance, 3) == 0) {
			world.client.is_tcp = random_below(&chance, 4) == 0;
			ask_www();
			asked++;
		}
		for (unsigned i = before > 8 ? before - 8 : 0; i < before; i++) {
			struct sent *s = &world.sent[i % SENT_MAX];
			static const unsigned flags[] = { DNS_AA, DNS_AA, 0, RCODE_SERVFAIL, DNS_AA | RCODE_NXDOMAIN };

			if (random_below(&chance, 6) == 0)
				reply_to(s, flags[random_below(&chance, 5)]);
		}
		if (random_below(&chance, 50) == 0 && world.sent_count)
			dispatch_backend_refused(world.dispatch, last_sent()->backend);
		if (random_below(&chance, 50) == 0 && world.sent_count)
			dispatch_connection_closed(world.dispatch, last_sent()->backend, last_sent()->socket,
						   random_below(&chance, 2) ? START_US : 0);
		if (random_below(&chance, 50) == 0 && world.sent_count)
			dispatch_connection_refused(world.dispatch, last_sent()->backend);
		if (random_below(&chance, 100) == 0)
			set_share("ns1", random_below(&chance, 2) ? BACKEND_SHARE_FULL : 0);
		time_passes_ms(random_below(&chance, 4));
		ck_assert_uint_le(world.answers, asked);
	}
	time_passes_ms(750);
	ck_assert_uint_eq(world.answers, asked);
	ck_assert_uint_eq(inflight_query_count(world.dispatch->inflight), 0);
	time_passes_ms(3000);
	ck_assert_uint_eq(world.dispatch->balance.views[backend_named("ns1")->index].outstanding, 0);
	if (_i % 2) {
		ck_assert_uint_eq(counter_get(&world.stats.answers_servfail), 0);
	}
	ck_assert_uint_eq(asked, counter_get(&world.stats.answers_primary)
			  + counter_get(&world.stats.answers_backend)
			  + counter_get(&world.stats.answers_mirror)
			  + counter_get(&world.stats.answers_servfail));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("dispatch");
	TCase *tc = tcase_create("decisions");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, query_goes_to_the_first_tier_and_its_reply_to_the_client);
	tcase_add_test(tc, forged_reply_is_ignored_and_the_true_one_still_counts);
	tcase_add_test(tc, referral_of_the_primary_is_no_lame_reply);
	tcase_add_test(tc, silent_primary_is_rescued_by_the_mirror_within_the_first_deadline);
	tcase_add_test(tc, late_reply_is_evidence_and_is_not_sent_twice);
	tcase_add_test(tc, server_never_asked_before_is_given_what_its_probes_took);
	tcase_add_test(tc, server_never_asked_by_tcp_is_given_what_it_takes_by_udp);
	tcase_add_test(tc, server_that_grows_slow_does_not_take_its_clients_along);
	tcase_add_test(tc, slow_server_without_another_is_waited_for);
	tcase_add_test(tc, silence_counts_in_its_time_though_the_query_left_early);
	tcase_add_loop_test(tc, replies_by_one_transport_do_not_hide_silence_by_the_other, 0, 2);
	tcase_add_test(tc, connection_closed_without_any_answer_is_silence_over_tcp);
	tcase_add_test(tc, refusal_ends_all_attempts_in_the_same_turn);
	tcase_add_test(tc, next_backend_is_asked_and_the_first_may_still_win);
	tcase_add_loop_test(tc, reply_that_says_nothing_of_a_mirrored_zone_is_rescued, 0, 5);
	tcase_add_loop_test(tc, denial_of_what_the_mirror_has_is_not_believed_but_under_a_newer_serial, 0, 6);
	tcase_add_loop_test(tc, denial_by_design_is_believed, 0, 6);
	tcase_add_test(tc, true_denial_passes);
	tcase_add_test(tc, rescue_is_counted_once_under_its_first_reason);
	tcase_add_test(tc, answer_of_a_zone_that_nobody_confirmed_in_time_counts_as_stale);
	tcase_add_test(tc, answer_of_a_zone_in_its_grace_counts_as_stale);
	tcase_add_loop_test(tc, same_reply_passes_when_the_zone_is_not_mirrored, 0, 5);
	tcase_add_test(tc, lost_packet_is_sent_again_when_there_is_only_one_server);
	tcase_add_test(tc, server_that_was_slow_a_moment_ago_still_has_five_tries);
	tcase_add_test(tc, whole_tier_is_silent_and_the_mirror_still_answers_within_300_ms);
	tcase_add_test(tc, hundred_silent_servers_do_not_keep_the_mirror_waiting);
	tcase_add_test(tc, second_try_at_a_far_server_has_its_time);
	tcase_add_test(tc, second_try_does_not_take_all_the_time_that_there_is);
	tcase_add_test(tc, server_first_asked_when_it_was_slow_is_not_far);
	tcase_add_test(tc, server_that_is_near_by_udp_is_not_far_by_tcp);
	tcase_add_test(tc, mirror_that_lags_is_no_shortcut);
	tcase_add_test(tc, one_live_server_among_a_hundred_is_found_without_a_mirror);
	tcase_add_test(tc, restarting_server_is_asked_again_after_a_pause_not_at_once);
	tcase_add_test(tc, silence_of_all_ends_in_servfail_with_its_reason_before_750_ms);
	tcase_add_test(tc, all_down_is_answered_at_once_but_for_a_trickle);
	tcase_add_test(tc, lonely_server_that_still_replies_is_asked_although_it_is_down);
	tcase_add_test(tc, expired_zone_says_so);
	tcase_add_test(tc, failed_reply_is_not_passed_on_while_another_server_was_only_silent);
	tcase_add_test(tc, failed_replies_of_all_servers_are_passed_on_at_once);
	tcase_add_test(tc, what_a_server_cannot_take_goes_to_the_next_tier);
	tcase_add_test(tc, what_waits_for_nobody_because_it_is_full_was_not_spared_by_its_limit);
	tcase_add_test(tc, limited_server_takes_all_when_nobody_else_is_left);
	tcase_add_test(tc, limit_is_not_kept_where_the_operator_does_not_want_it);
	tcase_add_loop_test(tc, errors_do_not_vouch_for_a_server, 0, sizeof(words) / sizeof(words[0]));
	tcase_add_test(tc, server_that_gets_the_slot_of_another_has_not_its_limit);
	tcase_add_test(tc, server_that_loses_half_of_a_thousand_a_second_is_asked_less);
	tcase_add_test(tc, full_table_answers_from_the_mirror);
	tcase_add_test(tc, down_primary_is_not_asked);
	tcase_add_test(tc, operator_takes_the_first_tier_out);
	tcase_add_test(tc, mirror_that_was_ordered_out_still_answers_when_the_others_fail);
	tcase_add_loop_test(tc, stranger_is_refused_and_the_primary_sees_nothing, 0, 6);
	tcase_add_test(tc, notify_of_the_primary_is_acknowledged_and_heard);
	tcase_add_loop_test(tc, notify_is_believed_of_primaries_only_and_by_their_keys, 0,
			    sizeof(notifies) / sizeof(notifies[0]));
	tcase_add_test(tc, notify_is_sent_on_when_the_pool_repeats_it);
	tcase_add_loop_test(tc, notify_of_a_name_that_is_no_zone_of_ours_is_refused, 0, 4);
	tcase_add_test(tc, reply_is_never_answered);
	tcase_add_test(tc, transfer_begins_for_whom_the_list_names);
	tcase_add_loop_test(tc, some_requests_fail_for_all, 0, 4);
	tcase_add_test(tc, ixfr_without_serial_is_formerr);
	tcase_add_test(tc, zone_that_is_not_mirrored_is_notauth);
	tcase_add_test(tc, expired_zone_and_one_that_never_came_are_servfail);
	tcase_add_test(tc, too_many_transfers_are_servfail);
	tcase_add_test(tc, current_serial_needs_no_transfer);
	tcase_add_test(tc, small_zone_fits_a_datagram);
	tcase_add_test(tc, prefix_and_key_must_both_hold);
	tcase_add_loop_test(tc, bad_signature_of_a_transfer_is_notauth, 0, 2);
	tcase_add_test(tc, secondary_sees_the_serial_that_it_would_get_whatever_the_primary_thinks_of_its_key);
	tcase_add_test(tc, mirror_signs_what_it_answers_to_a_signed_query);
	tcase_add_test(tc, connection_closed_for_idleness_is_tried_again_at_the_same_server);
	tcase_add_test(tc, refused_connection_ends_attempts_by_tcp_only);
	tcase_add_test(tc, notauth_to_a_signed_query_speaks_of_its_key_and_passes);
	tcase_add_test(tc, reply_for_another_class_is_no_evidence_against_its_server);
	tcase_add_test(tc, reply_longer_than_the_client_takes_is_truncated);
	tcase_add_test(tc, server_in_slow_start_that_is_alone_is_asked_every_time);
	tcase_add_test(tc, mirror_tells_what_it_is_asked_for);
	tcase_add_test(tc, zone_that_expires_now_has_no_time_left);
	tcase_add_test(tc, refusal_tells_of_us_but_of_no_zone);
	tcase_add_test(tc, cookie_comes_back_as_long_as_it_is_good);
	tcase_add_test(tc, unknown_version_of_edns_is_badvers_from_us);
	tcase_add_test(tc, unknown_version_of_edns_is_for_the_primary_to_judge);
	tcase_add_test(tc, identity_is_ours_in_every_state);
	tcase_add_test(tc, what_has_no_text_is_treated_like_any_name);
	tcase_add_test(tc, class_that_the_mirror_has_no_zones_in_is_refused_without_servers);
	tcase_add_test(tc, opcode_that_only_servers_know_is_notimp_without_them);
	tcase_add_test(tc, queries_that_came_together_are_answered_as_one_by_one);
	tcase_add_test(tc, records_rotate_by_the_id_if_so_configured);
	tcase_add_test(tc, reload_changes_the_secret_of_cookies);
	tcase_add_test(tc, our_own_mark_is_noticed_and_goes_no_further);
	tcase_add_test(tc, our_own_mark_is_known_whatever_zone_it_came_back_under);
	tcase_add_test(tc, mark_that_is_not_on_its_way_is_no_loop);
	tcase_add_test(tc, mark_of_others_goes_its_way_once);
	tcase_add_test(tc, mark_of_others_passes_a_loop_that_no_query_passes);
	tcase_add_test(tc, loop_is_not_asked_as_the_last_resort);
	tcase_add_test(tc, flood_of_marks_is_cut_off_with_servfail_and_the_account_holds);
	tcase_add_test(tc, same_answer_is_compared_and_nothing_said);
	tcase_add_test(tc, other_answer_reaches_the_client_and_is_suspected);
	tcase_add_test(tc, denial_that_is_not_believed_is_suspected_all_the_same);
	tcase_add_test(tc, newer_serial_is_told_once);
	tcase_add_test(tc, header_alone_shows_no_serial);
	tcase_add_test(tc, what_cannot_be_compared_is_left_alone);
	tcase_add_loop_test(tc, share_of_answers_is_compared, 0, 4);
	tcase_add_test(tc, drill_is_answered_by_the_mirror_and_counted);
	tcase_add_test(tc, drill_of_all_leaves_what_is_to_be_compared_to_the_servers);
	tcase_add_test(tc, drill_leaves_to_the_servers_what_the_mirror_cannot_answer);
	tcase_add_loop_test(tc, every_query_has_exactly_one_answer_whatever_happens, 0, 40);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
