/* SPDX-License-Identifier: ISC */
/* gate: what a backend shows of a zone, told as short stories, one row each. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/gate.h"

enum { SAMPLES = 4, FALL = 2 };

static struct gate g;
static struct gate_facts f;

/* The mirror holds 42 of a primary's zone. */
static void setup(void)
{
	f = (struct gate_facts){
		.has_newest = true, .newest = 42, .has_mirror = true, .mirror_serial = 42,
		.generation = 7, .is_primary = true, .samples = SAMPLES,
	};
	gate_init(&g, SAMPLES);
}

static void soa(uint32_t serial)
{
	gate_on_soa(&g, CAUSE_NONE, &serial, &f, FALL);
}

static void samples(enum gate_sample said, unsigned times)
{
	while (times-- > 0 && gate_next(&g, 0, 1000) == GATE_ASK_SAMPLE) {
		gate_on_asked(&g, 0);
		gate_on_sample(&g, said, &f);
	}
}

/* Whoever does not look at a gate that is quiet misses nothing, while the facts stay. */
static void expect_nothing_missed(const char *story)
{
	static const uint32_t times[] = { 0, 1000, 60000, UINT32_MAX };
	struct gate looked = g, again;

	gate_look(&looked, &f);
	if (!gate_is_quiet(&looked))
		return;
	again = looked;
	ck_assert_msg(!gate_look(&again, &f) && memcmp(&again, &looked, sizeof(again)) == 0,
		      "%s: another look changes it", story);
	for (unsigned i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		ck_assert_msg(gate_next(&looked, times[i], 1000) == GATE_ASK_NOTHING,
			      "%s: there is something to ask", story);
}

/*
 * A story: letters are what happens. f: it was away; s: SOA 42; o: 41; n: 43; r: REFUSED;
 * t: no reply; = d v 0: one sample the same, different, vanished, nothing; M: the mirror has 43;
 * G: a new generation of the same serial; X: the mirror is gone; B: it is back; a: accepted;
 * D: it goes down, and stays so until U; x, y: it denied what we have, y ten seconds after x.
 */
static void tell(const char *story)
{
	for (; *story; story++) {
		switch (*story) {
		case 'f':	gate_forget(&g, SAMPLES); break;
		case 'c':	gate_recheck(&g, SAMPLES); break;
		case 's':	soa(42); break;
		case 'o':	soa(41); break;
		case 'n':	soa(43); break;
		case 'r':	gate_on_soa(&g, CAUSE_RCODE, NULL, &f, FALL); break;
		case 't':	gate_on_soa(&g, CAUSE_TIMEOUT, NULL, &f, FALL); break;
		case 'x':	gate_on_denial(&g, SAMPLES, 1000); break;
		case 'y':	gate_on_denial(&g, SAMPLES, 11000); break;
		case '=':	samples(SAMPLE_SAME, 1); break;
		case 'd':	samples(SAMPLE_DIFFERS, 1); break;
		case 'v':	samples(SAMPLE_VANISHED, 1); break;
		case '0':	samples(SAMPLE_NOTHING, 1); break;
		case 'M':	f.newest = f.mirror_serial = 43; gate_look(&g, &f); break;
		case 'G':	f.generation++; gate_look(&g, &f); break;
		case 'X':	f.has_newest = f.has_mirror = false; gate_look(&g, &f); break;
		case 'B':	f.has_newest = f.has_mirror = true; gate_look(&g, &f); break;
		case 'D':	f.is_away = true; gate_forget(&g, SAMPLES); break;
		case 'U':	f.is_away = false; gate_look(&g, &f); break;
		case 'a':	f.is_accepted = true; f.accepted = g.serial; gate_accept(&g); break;
		default:	ck_abort_msg("no such letter: %c", *story);
		}
		expect_nothing_missed(story);
	}
}

static const struct { const char *story; enum gate_reason reason; const char *what; } stories[] = {
	{ "",		GATE_OPEN,	"a new server serves at once" },
	{ "s====",	GATE_OPEN,	"all well at the start" },
	{ "f",		GATE_UNPROVEN,	"who returns has to show the zone" },
	{ "ft",		GATE_UNPROVEN,	"silence shows nothing" },
	{ "fs",		GATE_UNPROVEN,	"the serial alone is not enough" },
	{ "fs===",	GATE_UNPROVEN,	"nor are some of the samples" },
	{ "fs====",	GATE_OPEN,	"serial and samples" },
	{ "fs0000",	GATE_OPEN,	"what cannot be compared is not held against it" },
	{ "fo",		GATE_OLDER,	"back with an older serial" },
	{ "fos",	GATE_OLDER,	"the right serial again, but not sampled" },
	{ "fos====",	GATE_OPEN,	"and sampled" },
	{ "fr",		GATE_MISSING,	"back without the zone" },
	{ "frs====",	GATE_OPEN,	"and with it" },
	{ "fs=d",	GATE_UNPROVEN,	"a sample differs: first the SOA is asked again" },
	{ "fs=ds",	GATE_DIFFERS,	"same serial, other data" },
	{ "fs=vs",	GATE_DIFFERS,	"same serial, a name is gone" },
	{ "fs=dn====",	GATE_OPEN,	"it was being updated" },
	{ "fs=dGs",	GATE_UNPROVEN,	"the mirror was: samples begin again" },
	{ "fs=dGs====",	GATE_OPEN,	"and are good" },
	{ "fs=dss====",	GATE_OPEN,	"the primary was repaired" },
	{ "fs=dsMn====", GATE_OPEN,	"by a new version" },
	{ "fnvvvv",	GATE_SHRUNK,	"a newer serial, and all names are gone" },
	{ "fnvvv=",	GATE_SHRUNK,	"or nearly all" },
	{ "fnvv==",	GATE_OPEN,	"half of them are not" },
	{ "fnvv00",	GATE_OPEN,	"too few samples told anything" },
	{ "fndddd",	GATE_OPEN,	"a newer serial may have other data" },
	{ "fnvvvvn===v", GATE_SHRUNK,	"a lucky draw is no return" },
	{ "fnvvvvn0000", GATE_SHRUNK,	"nor is silence" },
	{ "fnvvvvn====", GATE_OPEN,	"what was gone is" },
	{ "fnvvvvMn====", GATE_OPEN,	"the mirror took it: so be it" },
	{ "s====o",	GATE_OLDER,	"it went back while it served" },
	{ "s====r",	GATE_OPEN,	"one bad reply is no verdict" },
	{ "s====rr",	GATE_MISSING,	"two are" },
	{ "s====rsr",	GATE_OPEN,	"in a row, that is" },
	{ "s====M",	GATE_OPEN,	"the mirror is newer: the primary may be, too" },
	{ "s====Mn",	GATE_OPEN,	"it is" },
	{ "s====Ms",	GATE_OLDER,	"it is not" },
	{ "s====cs=ds",	GATE_DIFFERS,	"it was restarted so fast that nobody saw it go" },
	{ "fX",		GATE_OPEN,	"nobody to compare with" },
	{ "foX",	GATE_OPEN,	"nobody any more" },
	{ "fXr",	GATE_OPEN,	"nobody else could serve the zone" },
	{ "DXU",	GATE_OPEN,	"nor when it returns" },
	{ "DXs",	GATE_OPEN,	"nor while it does" },
	{ "DXsB",	GATE_UNPROVEN,	"it was let off while the mirror was expired, and has not returned yet" },
	{ "DXsBs====U",	GATE_OPEN,	"but has shown the zone since" },
	{ "DXBU",	GATE_UNPROVEN,	"the mirror expired while it was away, and is good again" },
	{ "Ds====",	GATE_OPEN,	"it flaps, and has shown the zone in between" },
	{ "Ds====MU",	GATE_UNPROVEN,	"then the mirror became newer: it has to show that, too" },
	{ "Ds====Mn====U", GATE_OPEN,	"and does" },
	{ "foa",	GATE_OPEN,	"accepted" },
	{ "foao",	GATE_OPEN,	"and so it stays" },
	{ "fs=dsas",	GATE_OPEN,	"accepted as different" },
	{ "fs=dsafs",	GATE_OPEN,	"even when it was away again" },
	{ "s=ds",	GATE_OPEN,	"it differs while all is well: by design" },
	{ "s=dsfs",	GATE_UNPROVEN,	"then it is sampled when it returns" },
	{ "s=dsfs=ds",	GATE_OPEN,	"but not held for it" },
	{ "s====Mn=dn",	GATE_OPEN,	"by design after an update" },
	{ "s=dsMn====fn=dn", GATE_DIFFERS, "it is by design no more" },
	{ "s=dsfo",	GATE_OLDER,	"its serial counts all the same" },
	{ "s====foasMs", GATE_OLDER,	"acceptance is of one serial" },
	{ "s====x",	GATE_OPEN,	"it denied what we have: it is looked at" },
	{ "s====xs=ds",	GATE_DIFFERS,	"and has lost its data" },
	{ "s====xs=vs",	GATE_DIFFERS,	"or a name" },
	{ "s====xs====", GATE_OPEN,	"or shows nothing amiss" },
	{ "s====xs====xs=ds", GATE_OPEN, "then it is left alone for a while" },
	{ "s====xs====ys=ds", GATE_DIFFERS, "and looked at again" },
	{ "s=dsxs=ds",	GATE_OPEN,	"who answers otherwise by design goes on so" },
};

START_TEST(story_ends_as_it_should)
{
	tell(stories[_i].story);
	ck_assert_msg(g.reason == stories[_i].reason, "%s (%s): is '%s', not '%s'",
		      stories[_i].what, stories[_i].story, gate_reason_text(g.reason),
		      gate_reason_text(stories[_i].reason));
}
END_TEST

/* The same for a server that is no primary: it is fed by one, and will catch up. */
static const struct { const char *story; enum gate_reason reason; } lags[] = {
	{ "s====Ms", GATE_BEHIND }, { "s====Msn", GATE_OPEN }, { "fo", GATE_BEHIND },
	{ "fos====", GATE_OPEN }, { "foa", GATE_OPEN }, { "foao", GATE_BEHIND },
};

/* Rate limiting, or an SOA of that size: a question by UDP brings a truncated reply, and the next another. */
START_TEST(truncated_soa_is_asked_for_by_tcp_and_then_not_over_and_over)
{
	uint32_t serial = 42;

	gate_on_asked(&g, 1000);
	gate_on_soa(&g, CAUSE_NONE, NULL, &f, FALL);
	gate_on_lost(&g);
	ck_assert(g.is_cut);
	ck_assert_int_eq(gate_next(&g, 1001, 500), GATE_ASK_SOA);
	gate_on_asked(&g, 1001);
	gate_on_soa(&g, CAUSE_NONE, NULL, &f, FALL);	/* not by TCP either */
	gate_on_lost(&g);
	ck_assert_int_eq(gate_next(&g, 1002, 500), GATE_ASK_NOTHING);
	ck_assert_int_eq(gate_next(&g, 1501, 500), GATE_ASK_SOA);
	gate_on_asked(&g, 1501);
	gate_on_soa(&g, CAUSE_TIMEOUT, NULL, &f, FALL);	/* TCP is dead */
	gate_on_lost(&g);
	ck_assert(!g.is_cut);
	ck_assert_int_eq(gate_next(&g, 1502, 500), GATE_ASK_NOTHING);
	gate_on_asked(&g, 2001);
	gate_on_soa(&g, CAUSE_NONE, &serial, &f, FALL);
	gate_on_lost(&g);
	ck_assert_int_eq(gate_next(&g, 2002, 500), GATE_ASK_SAMPLE);
}
END_TEST

START_TEST(secondary_lags_and_catches_up)
{
	f.is_primary = false;
	tell(lags[_i].story);
	ck_assert_msg(g.reason == lags[_i].reason, "%s: is '%s'", lags[_i].story,
		      gate_reason_text(g.reason));
}
END_TEST

/* A short lag ends with the serial: what is sampled then, is while it serves. */
START_TEST(lag_ends_with_one_question)
{
	f.is_primary = false;
	tell("s====Ms");
	ck_assert(!g.has_regressed);
	tell("n");
	ck_assert_int_eq(g.reason, GATE_OPEN);
	ck_assert_int_eq(gate_next(&g, 0, 1000), GATE_ASK_SAMPLE);
	tell("====");
	ck_assert_int_eq(gate_next(&g, 0, 1000), GATE_ASK_NOTHING);
}
END_TEST

START_TEST(going_back_is_remembered)
{
	tell("s====o");
	ck_assert(g.has_regressed);
	tell("s====");
	ck_assert(!g.has_regressed);
}
END_TEST

START_TEST(held_zone_is_asked_again)
{
	tell("fo");
	gate_on_asked(&g, 5000);
	ck_assert_int_eq(gate_next(&g, 9000, 1000), GATE_ASK_NOTHING);	/* it is on its way */
	gate_on_lost(&g);
	ck_assert_int_eq(gate_next(&g, 5999, 1000), GATE_ASK_NOTHING);
	ck_assert_int_eq(gate_next(&g, 6000, 1000), GATE_ASK_SOA);
	g.asked_ms = UINT32_MAX - 10;					/* the clock wraps */
	ck_assert_int_eq(gate_next(&g, 988, 1000), GATE_ASK_NOTHING);
	ck_assert_int_eq(gate_next(&g, 989, 1000), GATE_ASK_SOA);
}
END_TEST

START_TEST(what_takes_samples_is_asked_more_rarely)
{
	tell("fs=ds");
	gate_on_asked(&g, 0);
	gate_on_lost(&g);
	ck_assert_int_eq(gate_next(&g, 4999, 1000), GATE_ASK_NOTHING);
	ck_assert_int_eq(gate_next(&g, 5000, 1000), GATE_ASK_SOA);
}
END_TEST

/* RFC 1982: serials live on a circle. */
static const struct { uint32_t server, mirror; bool is_older; } serials[] = {
	{ 5, 5, false }, { 4, 5, true }, { 6, 5, false }, { 0xffffffff, 0, true },
	{ 0, 0xffffffff, false }, { 0, 0x80000000, false },
};

START_TEST(serials_compare_on_a_circle)
{
	f.newest = f.mirror_serial = serials[_i].mirror;
	soa(serials[_i].server);
	ck_assert_int_eq(g.reason == GATE_OLDER, serials[_i].is_older);
}
END_TEST

static const struct { const char *story; bool is_acceptable; } acceptables[] = {
	{ "", false }, { "f", false }, { "fr", false }, { "fo", true }, { "fs=ds", true },
	{ "fnvvvv", true },
};

START_TEST(only_data_can_be_accepted)
{
	tell(acceptables[_i].story);
	ck_assert_int_eq(gate_is_acceptable(&g), acceptables[_i].is_acceptable);
}
END_TEST

#define ROWS(table) (int)(sizeof(table) / sizeof(table[0]))

int main(void)
{
	Suite *s = suite_create("gate");
	TCase *tc = tcase_create("stories");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_loop_test(tc, story_ends_as_it_should, 0, ROWS(stories));
	tcase_add_test(tc, truncated_soa_is_asked_for_by_tcp_and_then_not_over_and_over);
	tcase_add_loop_test(tc, secondary_lags_and_catches_up, 0, ROWS(lags));
	tcase_add_test(tc, lag_ends_with_one_question);
	tcase_add_test(tc, going_back_is_remembered);
	tcase_add_test(tc, held_zone_is_asked_again);
	tcase_add_test(tc, what_takes_samples_is_asked_more_rarely);
	tcase_add_loop_test(tc, serials_compare_on_a_circle, 0, ROWS(serials));
	tcase_add_loop_test(tc, only_data_can_be_accepted, 0, ROWS(acceptables));
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
