/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/clock.h"
#include "proxy/conf.h"
#include "tests/temporary.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SECRET "c2VjcmV0IG9mIHRoZSB0ZXN0"
#define BACKEND "backend \"ns1\" { address = \"192.0.2.53\" primary = yes } "

static char folder[128];
static char path[160];		/* of the main file */
static char *errors;		/* of the last read */
static size_t errors_len;

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(temporary_path(folder, sizeof(folder), "test_conf")));
	snprintf(path, sizeof(path), "%s/understudy.conf", folder);
}

static void teardown(void)
{
	char command[256];

	free(errors);
	snprintf(command, sizeof(command), "rm -r '%s'", folder);
	ck_assert_int_eq(system(command), 0);
}

static void given_file(const char *name, const char *text)
{
	char file[256];

	snprintf(file, sizeof(file), "%s/%s", folder, name);
	FILE *f = fopen(file, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

static struct conf *read_file(const char *file)
{
	free(errors);
	FILE *out = open_memstream(&errors, &errors_len);
	struct conf *c = conf_read(file, out);

	fclose(out);
	return c;
}

static struct conf *read_text(const char *text)
{
	given_file("understudy.conf", text);
	return read_file(path);
}

static struct conf *read_good(const char *text)
{
	struct conf *c = read_text(text);

	ck_assert_msg(c != NULL, "refused: %s", errors);
	ck_assert_str_eq(errors, "");
	return c;
}

static size_t line_count(const char *text)
{
	size_t count = 0;

	for (; *text; text++)
		count += *text == '\n';
	return count;
}

/* Some line begins with FILE:LINE: and holds `part`. */
static bool is_reported(const char *file, int line, const char *part)
{
	char begin[512], *copy = strdup(errors), *rest = copy, *text;
	bool is_found = false;

	snprintf(begin, sizeof(begin), "%s/%s:%d: ", folder, file, line);
	while ((text = strsep(&rest, "\n")))
		is_found = is_found || (!strncmp(text, begin, strlen(begin)) && strstr(text, part));
	free(copy);
	return is_found;
}

/* ---- What is good ---- */

static const char design[] =
"    listen    = { \"0.0.0.0:53\", \"[::]:53\" }\n"
"    workers   = 0                          # 0: one for each CPU\n"
"    control   = \"/run/understudy/control.sock\"\n"
"    state-dir = \"/var/lib/understudy\"\n"
"    redis { address = \"unix:/run/redis/redis-server.sock\"  prefix = \"understudy\" }\n"
"\n"
"    key \"transfer.example.com\" { algorithm = \"hmac-sha256\"  secret = \"" SECRET "\" }\n"
"\n"
"    pool \"main\" {\n"
"        policy = \"least-outstanding\"       # ordered round-robin weighted-random least-outstanding p2c-latency consistent-hash\n"
"        backend \"ns1\" { address = \"192.0.2.53:53\"  tier = 0  primary = true  key = \"transfer.example.com\" }\n"
"        backend \"ns2\" { address = \"192.0.2.54:53\"  tier = 1  weight = 2 }\n"
"        mirror        { tier = 1  weight = 1 }\n"
"        health        { interval = \"1s\"  timeout = \"500ms\"  rise = 3  fall = 2 }\n"
"    }\n"
"    zone \"example.com\" { pool = \"main\" }\n";

static void check_design_globals(const struct conf *c)
{
	char text[ADDRESS_TEXT_MAX];

	ck_assert_uint_eq(c->listen_count, 2);
	ck_assert_str_eq(address_to_text(&c->listen[0], text), "0.0.0.0:53");
	ck_assert_str_eq(address_to_text(&c->listen[1], text), "[::]:53");
	ck_assert_uint_ge(c->workers, 1);
	ck_assert_str_eq(c->control, "/run/understudy/control.sock");
	ck_assert_str_eq(c->state_dir, "/var/lib/understudy");
	ck_assert(c->has_redis);
	ck_assert_str_eq(address_to_text(&c->redis.address, text), "unix:/run/redis/redis-server.sock");
	ck_assert_str_eq(c->redis_prefix, "understudy");
}

static void check_design_pool(const struct conf *c)
{
	const struct conf_pool *p = &c->pools[0];
	char text[ADDRESS_TEXT_MAX];

	ck_assert_uint_eq(c->pool_count, 1);
	ck_assert_str_eq(p->name, "main");
	ck_assert_int_eq(p->policy, POLICY_LEAST_OUTSTANDING);
	ck_assert_uint_eq(p->target_count, 3);
	ck_assert_str_eq(p->targets[0].name, "ns1");
	ck_assert(p->targets[0].is_primary);
	ck_assert_ptr_eq(p->targets[0].key, &c->keys[0]);
	ck_assert_str_eq(address_to_text(&p->targets[1].address, text), "192.0.2.54:53");
	ck_assert_uint_eq(p->targets[1].tier, 1);
	ck_assert_uint_eq(p->targets[1].weight, 2);
	ck_assert_int_eq(p->targets[2].kind, TARGET_MIRROR);
	ck_assert_uint_eq(p->targets[2].tier, 1);
	ck_assert(p->has_mirror);
	ck_assert_uint_eq(p->health.interval_us, 1 * US_PER_S);
	ck_assert_uint_eq(p->health.timeout_us, 500 * US_PER_MS);
	ck_assert_int_eq(p->where.line, 9);
}

START_TEST(the_example_of_the_design_is_read_as_it_stands)
{
	struct conf *c = read_good(design);

	check_design_globals(c);
	check_design_pool(c);
	ck_assert_uint_eq(c->key_count, 1);
	ck_assert_str_eq(c->keys[0].algorithm, "hmac-sha256");
	ck_assert_mem_eq(c->keys[0].secret, "secret of the test", c->keys[0].secret_len);
	ck_assert_uint_eq(c->zone_count, 1);
	ck_assert_str_eq(c->zones[0].text, "example.com.");
	ck_assert_ptr_eq(c->zones[0].pool, &c->pools[0]);
	conf_free(c);
}
END_TEST

START_TEST(an_empty_file_gives_the_defaults)
{
	struct conf *c = read_good("");

	ck_assert_uint_eq(c->listen_count, 2);
	ck_assert_uint_eq(c->in_flight, 8192);
	ck_assert_uint_eq(c->tcp_connections, 4096);
	ck_assert_uint_eq(c->tcp_per_client, 256);
	ck_assert_uint_eq(c->tcp_pipeline, 128);
	ck_assert_uint_eq(c->tcp_idle_us, 10 * US_PER_S);
	ck_assert_uint_eq(c->tcp_message_us, 2 * US_PER_S);
	ck_assert_str_eq(c->log, "stderr");
	ck_assert_int_eq(c->log_style, EVENT_LOGFMT);
	ck_assert_int_eq(c->log_level, EVENT_INFO);
	ck_assert(!c->has_redis && !c->forward_unlisted);
	ck_assert_uint_eq(c->nsid.len, 0);
	ck_assert_str_eq(c->identity, "");
	ck_assert_str_eq(c->version, "");
	ck_assert_uint_eq(c->cookie_secrets.count, 0);
	ck_assert_int_eq(c->rrset_order, RRSET_FIXED);
	conf_free(c);
}
END_TEST

START_TEST(sections_that_are_left_out_have_their_defaults)
{
	struct conf *c = read_good("redis { address = \"127.0.0.1\" }\n"
				   "pool p { " BACKEND " } zone z { pool = p } forward-unlisted = p");
	const struct conf_pool *p = &c->pools[0];

	ck_assert_uint_eq(address_port(&c->redis.address), 6379);
	ck_assert_uint_eq(c->redis.connect_ms, 1000);
	ck_assert_uint_eq(c->redis.command_ms, 2000);
	ck_assert_uint_eq(c->redis.queue_max, 64u << 20);
	ck_assert_int_eq(p->policy, POLICY_ORDERED);
	ck_assert_uint_eq(p->retry_on, RETRY_SERVFAIL | RETRY_REFUSED | RETRY_NOTAUTH | RETRY_LAME | RETRY_DENIED);
	ck_assert_uint_eq(p->attempt_max_us, 150 * US_PER_MS);
	ck_assert_uint_eq(p->give_up_us, 700 * US_PER_MS);
	ck_assert_uint_eq(p->health.rise, 3);
	ck_assert_uint_eq(p->health.fall, 2);
	ck_assert_uint_eq(p->health.slow_start_us, 3 * US_PER_S);
	ck_assert_uint_eq(p->targets[0].max_outstanding, 4096);
	ck_assert_uint_eq(c->zones[0].max_records, 50000000);
	ck_assert_uint_eq(c->zones[0].max_bytes, (size_t)4 << 30);
	ck_assert_ptr_eq(c->forward_unlisted, p);
	conf_free(c);
}
END_TEST

START_TEST(all_forms_of_values_are_read)
{
	struct conf *c = read_good("listen = \"127.0.0.1:5300\" listen += { \"[::1]:5300\", }\n"
		"tcp-idle = 1m workers = 3 # three\n log = '/var/log/\\'u\\'.log' // end\n"
		"redis { address = \"[::1]:7000\" queue-max = 4M database = 2 username = u password = \"a\\\"b\" }\n"
		"pool p { retry-on = { } /* none\n*/ policy = consistent-hash " BACKEND " }\n"
		"zone . { pool = p max-size = 1048576 }");

	ck_assert_uint_eq(c->listen_count, 2);
	ck_assert_uint_eq(c->tcp_idle_us, 60 * US_PER_S);
	ck_assert_uint_eq(c->workers, 3);
	ck_assert_str_eq(c->log, "/var/log/'u'.log");
	ck_assert_uint_eq(c->redis.queue_max, 4u << 20);
	ck_assert_uint_eq(c->redis.database, 2);
	ck_assert_str_eq(c->redis.password, "a\"b");
	ck_assert_uint_eq(c->pools[0].retry_on, 0);
	ck_assert_int_eq(c->pools[0].policy, POLICY_CONSISTENT_HASH);
	ck_assert_uint_eq(c->zones[0].max_bytes, 1u << 20);
	ck_assert_str_eq(c->zones[0].text, ".");
	conf_free(c);
}
END_TEST

START_TEST(the_mirror_keeps_its_place_among_the_backends)
{
	struct conf *c = read_good("pool p { mirror { tier = 0 } " BACKEND " }\n"
				   "pool q {\n " BACKEND "\n mirror { tier = 0 }\n backend b { address = ::1 }\n}\n"
				   "listen = 127.0.0.1:5353\n");

	ck_assert_int_eq(c->pools[0].targets[0].kind, TARGET_MIRROR);
	ck_assert_int_eq(c->pools[0].targets[1].kind, TARGET_BACKEND);
	ck_assert_int_eq(c->pools[1].targets[1].kind, TARGET_MIRROR);
	ck_assert_str_eq(c->pools[1].targets[2].name, "b");
	conf_free(c);
}
END_TEST

START_TEST(regression_is_the_zones_or_the_pools)
{
	struct conf *c = read_good(
		"pool p { " BACKEND " }\npool q { on-regression = \"accept-after 1h\"\n"
		"backend b { address = ::2 } }\nzone a { pool = p }\n"
		"zone b { pool = q }\nzone c { pool = q on-regression = accept }\n"
		"zone d { pool = p on-regression = \"accept-after 2s\" }\n");

	ck_assert_int_eq(conf_regression_of(&c->zones[0])->policy, REGRESS_HOLD);
	ck_assert_int_eq(conf_regression_of(&c->zones[1])->policy, REGRESS_ACCEPT_AFTER);
	ck_assert_uint_eq(conf_regression_of(&c->zones[1])->after_us, 3600 * US_PER_S);
	ck_assert_int_eq(conf_regression_of(&c->zones[2])->policy, REGRESS_ACCEPT);
	ck_assert_uint_eq(conf_regression_of(&c->zones[3])->after_us, 2 * US_PER_S);
	conf_free(c);
}
END_TEST

START_TEST(keep_and_expire_are_the_zones_or_the_pools)
{
	struct conf *c = read_good(
		"pool p { " BACKEND " }\npool q { keep = 5 expire = grace grace = \"1h\"\n"
		"backend b { address = ::2 } }\nzone a { pool = p }\nzone b { pool = q }\n"
		"zone c { pool = q keep = 0 expire = strict }\n"
		"zone d { pool = p expire = grace }\nzone e { pool = q grace = \"2s\" }\n");
	static const struct { unsigned keep; uint64_t grace_s; } expected[] = {
		{ 2, 0 }, { 5, 3600 }, { 0, 0 }, { 2, 168 * 3600 }, { 5, 2 },
	};

	for (size_t i = 0; i < 5; i++) {
		ck_assert_uint_eq(conf_keep_of(&c->zones[i]), expected[i].keep);
		ck_assert_uint_eq(conf_grace_of(&c->zones[i]), expected[i].grace_s * US_PER_S);
	}
	conf_free(c);
}
END_TEST

static const struct {
	const char *root, *zone;
	struct review_rules rules;
} reviews[] = {
	{ "", "", { 50, REVIEW_ZONEMD_IF_PRESENT, NULL, 60 * US_PER_S } },
	{ "max-shrink = 10 zonemd = require verify = /bin/true verify-timeout = 2s\n", "",
	  { 10, REVIEW_ZONEMD_REQUIRE, "/bin/true", 2 * US_PER_S } },
	{ "max-shrink = 10 zonemd = require verify = /bin/true verify-timeout = 2s\n",
	  "max-shrink = 20 zonemd = off verify = /bin/false verify-timeout = 3s",
	  { 20, REVIEW_ZONEMD_OFF, "/bin/false", 3 * US_PER_S } },
	{ "verify = /bin/true\n", "verify = off", { 50, REVIEW_ZONEMD_IF_PRESENT, NULL, 60 * US_PER_S } },
	{ "verify = off\n", "verify = /bin/true",
	  { 50, REVIEW_ZONEMD_IF_PRESENT, "/bin/true", 60 * US_PER_S } },
	{ "max-shrink = 10\n", "on-regression = accept",
	  { 100, REVIEW_ZONEMD_IF_PRESENT, NULL, 60 * US_PER_S } },
	{ "", "on-regression = accept max-shrink = 30",
	  { 30, REVIEW_ZONEMD_IF_PRESENT, NULL, 60 * US_PER_S } },
};

START_TEST(review_is_the_zones_or_that_of_all)
{
	struct review_rules rules;
	char text[1024];

	snprintf(text, sizeof(text), "%spool p { " BACKEND " }\nzone a { pool = p %s }\n",
		 reviews[_i].root, reviews[_i].zone);
	struct conf *c = read_good(text);

	conf_review_of(c, &c->zones[0], &rules);
	ck_assert_uint_eq(rules.max_shrink, reviews[_i].rules.max_shrink);
	ck_assert_int_eq(rules.zonemd, reviews[_i].rules.zonemd);
	ck_assert_pstr_eq(rules.program, reviews[_i].rules.program);
	ck_assert_uint_eq(rules.program_us, reviews[_i].rules.program_us);
	conf_free(c);
}
END_TEST

START_TEST(secrets_may_stand_in_files)
{
	char text[1024];

	given_file("key", SECRET "\nsecond line\n");
	given_file("password", "hush\n");
	snprintf(text, sizeof(text), "key k { secret-file = \"%s/key\" }\n"
		 "redis { address = \"127.0.0.1\" password-file = \"%s/password\" }\n", folder, folder);
	struct conf *c = read_good(text);

	ck_assert_uint_eq(c->keys[0].secret_len, strlen("secret of the test"));
	ck_assert_str_eq(c->redis.password, "hush");
	conf_free(c);
}
END_TEST

static const struct { const char *text; size_t len; const char *bytes; } nsids[] = {
	{ "nsid = ns1.example.com", 15, "ns1.example.com" },
	{ "nsid = \"two words\"", 9, "two words" },
	{ "nsid = 0x00fFA1", 3, "\0\377\241" },
	{ "nsid = 0Xff", 4, "0Xff" },
	{ "nsid = \"\"", 0, "" },
};

START_TEST(nsid_is_text_or_hexadecimal)
{
	struct conf *c = read_good(nsids[_i].text);

	ck_assert_uint_eq(c->nsid.len, nsids[_i].len);
	ck_assert_mem_eq(c->nsid.bytes, nsids[_i].bytes, nsids[_i].len);
	conf_free(c);
}
END_TEST

START_TEST(secrets_of_cookies_stand_in_a_file)
{
	char text[256];

	given_file("cookies", "e5e973e5a6b2a43f48e7dc849e37bfcf\ndd3bdf9344b678b185a6f5cb60fca715\n");
	snprintf(text, sizeof(text), "cookie-secret-file = \"%s/cookies\"", folder);
	struct conf *c = read_good(text);

	ck_assert_uint_eq(c->cookie_secrets.count, 2);
	ck_assert_mem_eq(c->cookie_secrets.secrets[0], "\345\351\163\345", 4);
	conf_free(c);
	given_file("cookies", "e5e973e5a6b2a43f48e7dc849e37bfcf\n\nhush\n");
	ck_assert_ptr_null(read_text(text));
	ck_assert(is_reported("understudy.conf", 1, "/cookies:3: this is no secret"));
	ck_assert_ptr_null(strstr(errors, "hush"));
}
END_TEST

START_TEST(variables_of_the_environment_are_replaced_in_strings)
{
	setenv("TEST_CONF_DIR", "/some/where", 1);
	struct conf *c = read_good("state-dir = \"${TEST_CONF_DIR}/state\"");

	ck_assert_str_eq(c->state_dir, "/some/where/state");
	conf_free(c);
}
END_TEST

START_TEST(included_files_are_read_beside_the_one_that_includes_them)
{
	given_file("backends", "# what we have\n" BACKEND "\n");
	given_file("zones", "zone a { pool = p }\nzone b { pool = p }");
	struct conf *c = read_good("pool p { include(\"backends\") }\ninclude(zones)\nworkers = 2\n");

	ck_assert_uint_eq(c->pools[0].target_count, 1);
	ck_assert_uint_eq(c->zone_count, 2);
	ck_assert_str_eq(strrchr(c->zones[1].where.file, '/'), "/zones");
	ck_assert_int_eq(c->zones[1].where.line, 2);
	ck_assert_uint_eq(c->workers, 2);
	conf_free(c);
}
END_TEST

/* Who is let in by the list of `zone`, from `address`, with the key number `key` (-1: none). */
static bool is_let_in(const struct conf *c, unsigned zone, const char *address, int key)
{
	struct address a;

	ck_assert(address_from_text(address, 4711, &a));
	return conf_allows(c->zones[zone].allow_transfer, (const struct sockaddr *)&a.storage,
			   key < 0 ? NULL : &c->keys[key]);
}

#define ALLOWING \
	"key k { secret = " SECRET " } key l { secret = " SECRET " }\n" \
	"pool p { " BACKEND " mirror { } }\n" \
	"allow-transfer = { \"192.0.2.0/25\", \"2001:db8::/33\", \"198.51.100.7\", \"key k\",\n" \
	"\"203.0.113.0/24  key l\" }\n" \
	"zone a { pool = p }\nzone b { pool = p allow-transfer = { } }\n" \
	"zone c { pool = p allow-transfer = { \"0.0.0.0/0\", \"::1\" } }\n"

static const struct { unsigned zone; const char *address; int key; bool is_in; } visitors[] = {
	{ 0, "192.0.2.1", -1, true }, { 0, "192.0.2.127", -1, true }, { 0, "192.0.2.128", -1, false },
	{ 0, "192.0.3.1", -1, false }, { 0, "198.51.100.7", -1, true }, { 0, "198.51.100.6", -1, false },
	{ 0, "[2001:db8:7fff::1]", -1, true }, { 0, "[2001:db8:8000::1]", -1, false },
	{ 0, "10.0.0.1", 0, true }, { 0, "10.0.0.1", 1, false }, { 0, "203.0.113.9", 1, true },
	{ 0, "203.0.113.9", -1, false }, { 0, "[::ffff:192.0.2.1]", -1, false },
	{ 1, "192.0.2.1", 0, false }, { 2, "10.0.0.1", -1, true }, { 2, "[::1]", -1, true },
	{ 2, "[::2]", 0, false },
};

START_TEST(allow_transfer_lets_in_whom_it_names)
{
	struct conf *c = read_good(ALLOWING);

	ck_assert_msg(is_let_in(c, visitors[_i].zone, visitors[_i].address, visitors[_i].key)
		      == visitors[_i].is_in, "%s", visitors[_i].address);
	conf_free(c);
}
END_TEST

START_TEST(allow_transfer_lets_in_nobody_by_default)
{
	struct conf *c = read_good("pool p { " BACKEND " mirror { } } zone a { pool = p }\n"
				   "key k { secret = " SECRET " }");

	ck_assert(!is_let_in(c, 0, "127.0.0.1", 0));
	conf_free(c);
}
END_TEST

static const char *const samples[] = {
	"conf/understudy.conf", "conf/failover.conf", "conf/mirror-first.conf",
	"conf/active-active.conf",
};

START_TEST(samples_work_as_they_are)
{
	struct conf *c = read_file(samples[_i]);

	ck_assert_msg(c != NULL, "%s: %s", samples[_i], errors);
	conf_free(c);
}
END_TEST

/* ---- What is bad: one error each ---- */

#define HEX16 "000102030405060708090a0b0c0d0e0f"
#define HEX129 HEX16 HEX16 HEX16 HEX16 HEX16 HEX16 HEX16 HEX16 "ff"

START_TEST(a_catalog_is_a_zone_and_what_holds_for_its_members)
{
	struct conf *c = read_text(
		"listen = 127.0.0.1:53\npool p { " BACKEND " mirror { } }\n"
		"pool q { backend b { address = 192.0.2.2 } }\n"
		"pool hidden { backend b { address = 192.0.2.3 primary = yes } }\n"
		"allow-transfer = { \"192.0.2.9\" }\n"
		"catalog CAT.example { pool = p }\n"
		"catalog other.example { pool = q from = hidden max-members = 10 max-removed = 0\n"
		"  member-suffixes = { Example.NET, \"net.\" } max-records = 7 max-size = 64k\n"
		"  group a { pool = p }  group \"b c\" { pool = q }\n"
		"  allow-transfer = { } allow-catalog-transfer = { \"192.0.2.8\" }\n"
		"  on-regression = accept }\n");

	ck_assert_msg(c, "%s", errors);
	const struct conf_catalog *one = &c->catalogs[0], *two = &c->catalogs[1];

	ck_assert_uint_eq(c->catalog_count, 2);
	ck_assert_str_eq(one->zone.text, "cat.example.");
	ck_assert_ptr_eq(one->zone.pool, one->member.pool);
	ck_assert_uint_eq(one->max_members, 100000);
	ck_assert_uint_eq(one->max_removed, 20);
	ck_assert_uint_eq(one->zone.allow_transfer->count, 0);	/* the root's is not for catalogs */
	ck_assert_ptr_eq(one->member.allow_transfer, &c->allow_transfer);
	ck_assert_str_eq(two->zone.pool->name, "hidden");
	ck_assert_str_eq(two->member.pool->name, "q");
	ck_assert_uint_eq(two->member.max_records, 7);
	ck_assert_uint_gt(two->zone.max_records, 10);
	ck_assert_uint_eq(two->member.allow_transfer->count, 0);
	ck_assert_uint_eq(two->zone.allow_transfer->count, 1);
	ck_assert_int_eq(conf_regression_of(&two->member)->policy, REGRESS_ACCEPT);
	ck_assert_uint_eq(two->group_count, 2);
	ck_assert_str_eq(two->groups[1].name, "b c");
	ck_assert_uint_eq(two->suffixes.count, 2);
	ck_assert(conf_names_cover(&two->suffixes, (const uint8_t *)"\1x\7EXAMPLE\3net"));
	ck_assert(!conf_names_cover(&two->suffixes, (const uint8_t *)"\3org"));
	conf_free(c);
}
END_TEST

static const struct { const char *text; int line; const char *part; } bad[] = {
	/* names */
	{ "workers = 1\npolcy = 3\n", 2, "unknown option 'polcy': did you mean 'policy'?" },
	{ "pool p {\n" BACKEND "\npolcy = \"ordered\" }", 3,
	  "unknown option 'polcy' in section 'pool': did you mean 'policy'?" },
	{ "/* one\n two */ // three\n# four\ntcp-idel = 3s", 4, "did you mean 'tcp-idle'?" },
	{ "zzzzzz = { 1, { 2 }, 3 }\n", 1, "understudy.conf(5)" },
	{ "weight = 2", 1, "it belongs in section 'backend'" },
	{ "pool p { " BACKEND " workers = 2 }", 1, "it belongs outside of all sections" },
	{ "pol p { a { b = 1 } c = { 2 } }", 1, "did you mean 'pool'?" },
	{ "inclde(\"x\")", 1, "did you mean 'include'?" },
	/* types, units, ranges */
	{ "workers = many", 1, "workers = 'many' is no number" },
	{ "workers = -1", 1, "is no number" },
	{ "workers = 65", 1, "workers = 65 is out of range: it must be in 0..64" },
	{ "in-flight = 63", 1, "64..32768" },
	{ "in-flight = 99999999999999999999999", 1, "64..32768" },
	{ "tcp-idle = 10", 1, "has no unit: write \"10s\" for seconds" },
	{ "tcp-idle = 2w", 1, "is no duration" },
	{ "tcp-idle = 1.5s", 1, "is no duration" },
	{ "tcp-idle = \"1 s\"", 1, "is no duration" },
	{ "tcp-idle = 1d", 1, "must be in 100ms..10m" },
	{ "tcp-idle = 20000000000000000s", 1, "must be in 100ms..10m" },
	{ "redis { address = \"127.0.0.1\" queue-max = 64MB }", 1, "is no size" },
	{ "redis { address = \"127.0.0.1\" queue-max = 1k }", 1, "1M..4G" },
	{ "pool p { " BACKEND " backend b { address = ::2 primary = maybe } }", 1, "neither true nor false" },
	{ "log-format = jsn", 1, "did you mean 'json'?" },
	{ "log-level = 7", 1, "one of error warning notice info debug" },
	{ "pool p { policy = ordred " BACKEND " }", 1, "did you mean 'ordered'?" },
	{ "pool p { retry-on = { servfail,\n lam } " BACKEND " }", 2, "did you mean 'lame'?" },
	{ "pool p { " BACKEND " health { rise = 0 } }", 1, "1..100" },
	{ "pool p { on-regression = holt " BACKEND " }", 1, "write \"hold\", \"accept\" or" },
	{ "pool p { on-regression = \"accept-after\" " BACKEND " }", 1, "or \"accept-after 1h\"" },
	{ "pool p { on-regression = \"accept-after 1\" " BACKEND " }", 1, "write \"1s\" for seconds" },
	{ "pool p { on-regression = \"accept-after 100d\" " BACKEND " }", 1, "1s..720h" },
	{ "pool p { " BACKEND " health { interval = 2h } }", 1, "100ms..1h" },
	{ "pool p { " BACKEND " give-up = 6s }", 1, "50ms..5s" },
	{ "control = \"\"", 1, "control is empty" },
	{ "redis { address = \"127.0.0.1\" prefix = \"a{b\" }", 1, "letters, digits and _ . : - only" },
	{ "nsid = 0x", 1, "is not 1 to 128 bytes in hexadecimal" },
	{ "nsid = 0xabc", 1, "is not 1 to 128 bytes in hexadecimal" },
	{ "nsid = 0xag", 1, "is not 1 to 128 bytes in hexadecimal" },
	{ "nsid = 0x" HEX129, 1, "is not 1 to 128 bytes in hexadecimal" },
	{ "nsid = " HEX129, 1, "nsid is too long: at most 128 bytes" },
	{ "identity = " HEX129, 1, "identity is too long: at most 255 bytes" },
	{ "cookie-secret-file = /dev/null", 1, "/dev/null has no secret" },
	{ "cookie-secret-file = /nonexistent/file", 1, "cannot be read: No such file or directory" },
	{ "rrset-order = random", 1, "one of fixed rotate" },
	/* addresses */
	{ "listen = localhost:53", 1, "is a host name" },
	{ "listen = { \"0.0.0.0:53\",\n\"0.0.0.0:53\" }", 2, "twice" },
	{ "listen = 127.0.0.1:0", 1, "is no address" },
	{ "listen = 127.0.0.256", 1, "is no address" },
	{ "listen = { }", 1, "listen has no address" },
	{ "redis { address = \"redis.example.com:6379\" }", 1, "is a host name" },
	{ "redis { address = \"unix:\" }", 1, "is no address" },
	{ "redis { prefix = x }", 1, "section 'redis' has no address" },
	{ "redis {\n sentinel { master = m }\n}", 2, "section 'sentinel' has no address" },
	{ "redis {\n sentinel { address = ::1 }\n}", 2, "section 'sentinel' has no master" },
	{ "redis {\n sentinel { address = ::1 master = \"\" }\n}", 2, "master is empty" },
	{ "redis {\n sentinel { address = redis1 master = m }\n}", 2, "is a host name" },
	{ "redis {\n sentinel {\n address = { ::1,\n ::1 } master = m }\n}", 4, "given twice" },
	{ "redis { address = ::1\n sentinel { address = ::1 master = m }\n}", 1, "both address and sentinel" },
	{ "redis { sentinel { address = ::1 master = m }\n sentinel { address = ::1 master = m } }", 2,
	  "section 'sentinel' is given twice" },
	{ "pool p { backend b { address = ns1.example.com } }", 1, "is a host name" },
	{ "pool p { backend b { address = 0.0.0.0 } }", 1, "means all addresses" },
	{ "pool p { backend b { tier = 1 } }", 1, "section 'backend' has no address" },
	{ "listen = 192.0.2.53:53\npool p {\n backend b { address = 192.0.2.53 } }", 3,
	  "our own listener 192.0.2.53:53" },
	{ "pool p {\n backend b { address = 127.0.0.1:53 } }", 2, "our own listener 0.0.0.0:53" },
	{ "pool p {\n backend b { address = 127.9.9.9 } }", 2, "our own listener" },
	{ "pool p {\n backend b { address = ::1 } }", 2, "our own listener [::]:53" },
	/* what is given twice */
	{ "workers = 1\nworkers = 2", 2, "workers is given twice: the first is at " },
	{ "pool p { " BACKEND " }\nzone a { pool = p }\nzone A. { pool = p }", 3, "zone 'a.' is given twice" },
	{ "pool p { " BACKEND " }\npool p { " BACKEND " }", 2, "pool 'p' is given twice" },
	{ "pool p { " BACKEND "\n" BACKEND " }", 2, "backend 'ns1' is given twice" },
	{ "key k { secret = " SECRET " }\nkey K. { secret = " SECRET " }", 2, "key 'k.' is given twice" },
	{ "redis { address = ::1 }\nredis { address = ::1 }", 2, "section 'redis' is given twice" },
	{ "pool p { " BACKEND " mirror { }\n mirror { } }", 2, "section 'mirror' is given twice" },
	{ "pool p { " BACKEND " health { }\n health { } }", 2, "section 'health' is given twice" },
	{ "redis { address = ::1 password-file = /dev/null/x }", 1, "cannot be read" },
	/* what does not fit together */
	{ "zone a { }", 1, "section 'zone' has no pool" },
	{ "pool p { " BACKEND " }\ncatalog c { }", 2, "section 'catalog' has no pool" },
	{ "pool p { " BACKEND " }\ncatalog c..d { pool = p }", 2, "catalog 'c..d' is no domain name" },
	{ "pool p { " BACKEND " }\nzone c { pool = p }\ncatalog C. { pool = p }", 3,
	  "catalog 'c.' is given twice: the other is at" },
	{ "pool p { " BACKEND " }\ncatalog c { pool = p }\ncatalog c { pool = p }", 3,
	  "catalog 'c.' is given twice" },
	{ "pool p { backend b { address = 192.0.2.1 } }\ncatalog c { pool = p }", 2,
	  "catalog 'c.': pool 'p' has no primary to transfer it from" },
	{ "pool p { " BACKEND " }\npool q { backend b { address = 192.0.2.1 } }\n"
	  "catalog c { pool = p from = q }", 3, "pool 'q' has no primary" },
	{ "pool p { " BACKEND " }\ncatalog c { pool = p\n group g { } }", 3, "section 'group' has no pool" },
	{ "pool p { " BACKEND " }\ncatalog c { pool = p group g { pool = p }\n group g { pool = p } }", 3,
	  "group 'g' is given twice" },
	{ "pool p { " BACKEND " }\ncatalog c { pool = p\n group '' { pool = p } }", 3,
	  "group '' has no usable name" },
	{ "pool p { " BACKEND " }\ncatalog c { pool = p\n member-suffixes = { a, \"b..c\" } }", 3,
	  "member-suffixes = 'b..c' is no domain name" },
	{ "pool p { " BACKEND " }\ncatalog c { pool = p\n max-members = 0 }", 3,
	  "max-members = 0 is out of range: it must be in 1..10000000" },
	{ "pool p { " BACKEND " }\ncatalog c { pool = p\n max-removed = 101 }", 3, "must be in 0..100" },
	{ "pool p { " BACKEND " }\ncatalog c { pool = p\n polcy = p }", 3,
	  "unknown option 'polcy' in section 'catalog'" },
	{ "pool p { " BACKEND " }\ngroup g { pool = p }", 2, "unknown option 'group'" },
	{ "zone a { pool = nix }", 1, "there is no pool 'nix'" },
	{ "forward-unlisted = nix", 1, "there is no pool 'nix'" },
	{ "allow-transfer = { 192.0.2.1,\n\"192.0.2.1/24\" }", 2, "write 192.0.2.0/24, or the address alone" },
	{ "allow-transfer = \"2001:db8::1/32\"", 1, "write 2001:db8::/32" },
	{ "allow-transfer = \"192.0.2.0/33\"", 1, "write /0 to /32" },
	{ "allow-transfer = \"2001:db8::/129\"", 1, "write /0 to /128" },
	{ "allow-transfer = \"192.0.2.0/\"", 1, "no usable prefix length" },
	{ "allow-transfer = \"192.0.2.0/2x\"", 1, "no usable prefix length" },
	{ "allow-transfer = \"192.0.2.0/0024\"", 1, "no usable prefix length" },
	{ "allow-transfer = ns2.example.com", 1, "write one as in \"192.0.2.0/24\" or \"key NAME\"" },
	{ "allow-transfer = \"\"", 1, "has no address" },
	{ "allow-transfer = \"key\"", 1, "names no key" },
	{ "allow-transfer = \"key nix\"", 1, "add key \"nix\" { secret = \"...\" }" },
	{ "allow-transfer = \"192.0.2.1 192.0.2.2\"", 1, "write one entry for each" },
	{ "pool p { " BACKEND " mirror { } }\nzone a { pool = p\nallow-transfer = \"key nix\" }", 3, "names no key" },
	{ "pool p { " BACKEND " }\nzone a { pool = p allow-transfer = ::1 }", 2, "add mirror { }" },
	{ "workers = 1\npool p\n{\n}", 2, "pool 'p' has no target" },
	{ "pool p {\n backend b { address = 192.0.2.53 }\n mirror { } }", 3, "no primary to transfer from" },
	{ "pool p { mirror { } }", 1, "no primary to transfer from" },
	{ "pool p { " BACKEND " attempt-max = 800ms }", 1, "attempt-max is longer than give-up" },
	{ "pool p { " BACKEND " health { timeout = 2s } }", 1, "timeout (2000ms) is longer than interval (1000ms)" },
	{ "pool p { backend b { address = ::2 key = k } }", 1, "there is no key 'k'" },
	/* names that are none */
	{ "pool p { " BACKEND " }\nzone \"a..b\" { pool = p }", 2, "zone 'a..b' is no domain name" },
	{ "pool \"a b\" { " BACKEND " }", 1, "has no usable name" },
	{ "pool \"\" { " BACKEND " }", 1, "has no usable name" },
	{ "pool p { backend mirror { address = ::2 } }", 1, "name of the mirror" },
	{ "key \"a..b\" { secret = " SECRET " }", 1, "is no domain name" },
	/* keys */
	{ "key k { algorithm = hmac-md5 secret = " SECRET " }", 1, "hmac-sha256" },
	{ "key k { secret = \"not base64!\" }", 1, "secret is no base64" },
	{ "key k { secret = \"\" }", 1, "secret is no base64" },
	{ "key k { }", 1, "key 'k' has no secret" },
	{ "key k { secret-file = \"/nonexistent/file\" }", 1, "cannot be read: No such file or directory" },
	{ "key k { secret-file = \"/dev/null\" }", 1, "cannot be read: it is empty" },
	/* syntax */
	{ "workers 4", 1, "expected workers = VALUE" },
	{ "workers = { 4 }", 1, "one value, not a list" },
	{ "workers += 4", 1, "expected workers = VALUE" },
	{ "workers =", 1, "the file ends too early" },
	{ "workers = 1\n}\nworkers = 2", 2, "no more } than {" },
	{ "pool p { " BACKEND "\nworkers", 2, "NAME = VALUE" },
	{ "pool p { " BACKEND "\n", 1, "section 'pool' does not end" },
	{ "pool { " BACKEND " }", 1, "expected a name: pool \"NAME\" { ... }" },
	{ "redis \"x\" { address = ::1 }", 1, "expected redis { ... }" },
	{ "listen = { ::1 ::2 }", 1, "expected a comma or }" },
	{ "log = \"/tmp/x\nworkers = 3\n", 1, "the string does not end on its line" },
	{ "workers = 1\n/* x\n\n", 4, "the comment does not end" },
	{ "log = \"\\x41\"", 1, "behind \\ in a string" },
	{ "log = \"${HOME\"", 1, "${ without }" },
	{ "workers = 1 + 2", 1, "put quotes around values" },
	{ "include", 1, "expected include" },
	{ "include()", 1, "expected include" },
	{ "include(\"nix\")", 1, "/nix cannot be read: No such file or directory" },
};

START_TEST(bad_configuration_is_refused_with_its_line)
{
	struct conf *c = read_text(bad[_i].text);

	ck_assert_msg(!c, "accepted: %s", bad[_i].text);
	ck_assert_msg(is_reported("understudy.conf", bad[_i].line, bad[_i].part),
		      "%s\nshould have given line %d: %s\nbut gave: %s", bad[_i].text, bad[_i].line,
		      bad[_i].part, errors);
	ck_assert_msg(line_count(errors) == 1, "more than one error: %s", errors);
}
END_TEST

START_TEST(all_errors_come_in_one_run_and_in_the_order_of_the_lines)
{
	ck_assert_ptr_null(read_text("workers = 99\npolcy = 1\npool p { }\ntcp-idle = 5\n"
				     "zone a { pool = q }\nlog = \"open\n"));
	ck_assert_uint_eq(line_count(errors), 6);
	for (int line = 1; line <= 6; line++)
		ck_assert_msg(is_reported("understudy.conf", line, ""), "line %d: %s", line, errors);
	ck_assert_ptr_null(strstr(strstr(errors, "conf:6: "), "conf:1: "));
}
END_TEST

START_TEST(errors_of_an_included_file_name_that_file)
{
	given_file("more.conf", "\nworkers = 99\n");
	ck_assert_ptr_null(read_text("include(\"more.conf\")\ntcp-idle = 1\n"));
	ck_assert(is_reported("more.conf", 2, "workers = 99"));
	ck_assert(is_reported("understudy.conf", 2, "tcp-idle"));
}
END_TEST

START_TEST(a_syntax_error_ends_its_file_but_not_the_others)
{
	given_file("more.conf", "workers = = 3\nlog-level = nix\n");
	ck_assert_ptr_null(read_text("include(\"more.conf\")\ntcp-idle = 1\n"));
	ck_assert(is_reported("more.conf", 1, "unexpected '='"));
	ck_assert(!is_reported("more.conf", 2, ""));
	ck_assert(is_reported("understudy.conf", 2, "tcp-idle"));
}
END_TEST

START_TEST(a_file_that_includes_itself_is_refused)
{
	ck_assert_ptr_null(read_text("include(\"understudy.conf\")\n"));
	ck_assert(is_reported("understudy.conf", 1, "does a file include itself?"));
}
END_TEST

START_TEST(a_file_that_is_not_there_is_named)
{
	ck_assert_ptr_null(read_file("/nonexistent/understudy.conf"));
	ck_assert_str_eq(errors, "/nonexistent/understudy.conf: cannot be read: No such file or directory\n");
	ck_assert_ptr_null(read_file(folder));
	ck_assert_ptr_nonnull(strstr(errors, ": cannot be read: Is a directory\n"));
}
END_TEST

START_TEST(a_failed_read_does_not_spoil_the_next)
{
	for (size_t i = 0; i < COUNT(bad); i++)
		conf_free(read_text(bad[i].text));
	conf_free(read_good(design));
}
END_TEST

static const char *const leaks[] = {
	"key k { secret = \"hunter2 \" }", "key k { secret = hunter2+hunter2 }",
	"key k { secret = a hunter2 }", "key k { secret = a= hunter2 }", "key k { secret \"hunter2\" }",
	"key k { secret = { \"a\" \"hunter2\" } }", "key k { secret = \"hunter2\n }",
	"redis { address = ::1 password = \"a\" \"hunter2\" }", "redis { address = ::1 password = a/*hunter2 }",
	"key k { secret = \"a hunter2\" secret = \"hunter2!\" }",
};

START_TEST(secrets_are_not_repeated_in_errors)
{
	ck_assert_ptr_null(read_text(leaks[_i]));
	ck_assert_msg(!strstr(errors, "hunter2"), "%s", errors);
}
END_TEST

START_TEST(a_password_is_given_in_one_way_only)
{
	char text[512];

	given_file("password", "hush\n");
	snprintf(text, sizeof(text), "redis {\n address = ::1 password = a password-file = \"%s/password\" }",
		 folder);
	ck_assert_ptr_null(read_text(text));
	ck_assert(is_reported("understudy.conf", 1, "both password and password-file"));
}
END_TEST

/* ---- Reload ---- */

static const struct { const char *change; const char *part; int line; } restarts[] = {
	{ "", NULL, 0 },
	{ "workers = 7", "workers has changed", 3 },
	{ "control = \"/tmp/x\"", "control has changed", 3 },
	{ "state-dir = \"/tmp\"", "state-dir has changed", 3 },
	{ "in-flight = 100", "in-flight has changed", 3 },
	{ "tcp-connections = 100", "tcp-connections has changed", 3 },
	{ "listen = 127.0.0.1:5300", NULL, 0 },
	{ "log-level = debug log = syslog log-format = json", NULL, 0 },
	{ "key k { secret = " SECRET " }", NULL, 0 },
	{ "nsid = a identity = b version = c rrset-order = rotate", NULL, 0 },
	{ "pool p { " BACKEND " } zone z { pool = p } forward-unlisted = p", NULL, 0 },
};

START_TEST(a_reload_says_what_needs_a_restart)
{
	char text[512], *refused;
	size_t len;
	struct conf *old = read_good("redis { address = ::1 }\nworkers = 2\n");

	snprintf(text, sizeof(text), "redis { address = ::1 }\n\n%s%s", restarts[_i].change,
		 strstr(restarts[_i].change, "workers") ? "" : " workers = 2");
	struct conf *new = read_good(text);
	FILE *out = open_memstream(&refused, &len);
	bool can = conf_can_replace(old, new, out);

	fclose(out);
	ck_assert_int_eq(can, !restarts[_i].part);
	free(errors);
	errors = refused;
	if (restarts[_i].part)
		ck_assert(is_reported("understudy.conf", restarts[_i].line, restarts[_i].part));
	else
		ck_assert_str_eq(refused, "");
	conf_free(old);
	conf_free(new);
}
END_TEST

static const struct { const char *old, *new; const char *part; int line; } redis_changes[] = {
	{ "redis { address = ::1 }", "", "section 'redis' has gone", 1 },
	{ "", "\nredis { address = ::1 }", "section 'redis' has been added", 2 },
	{ "redis { address = ::1 }", "redis {\n address = 127.0.0.1 }", "address has changed", 2 },
	{ "redis { address = ::1 }", "redis { address = ::1\n prefix = b }", "prefix has changed", 2 },
	{ "redis { address = ::1 }", "redis { address = ::1\n password = b }", "password has changed", 2 },
	{ "redis { sentinel { address = ::1 master = m } }",
	  "redis { sentinel {\n address = ::2\n master = m } }", "address has changed", 2 },
	{ "redis { sentinel { address = ::1 master = m } }",
	  "redis { sentinel {\n address = ::1\n master = n } }", "master has changed", 3 },
};

START_TEST(a_reload_cannot_change_redis)
{
	char *refused;
	size_t len;
	struct conf *old = read_good(redis_changes[_i].old), *new = read_good(redis_changes[_i].new);
	FILE *out = open_memstream(&refused, &len);

	ck_assert(!conf_can_replace(old, new, out));
	fclose(out);
	free(errors);
	errors = refused;
	ck_assert_msg(is_reported("understudy.conf", redis_changes[_i].line, redis_changes[_i].part),
		      "%s", errors);
	ck_assert_uint_eq(line_count(errors), 1);
	conf_free(old);
	conf_free(new);
}
END_TEST

/* ---- The manual page ---- */

/* What the manual says of one option: from its .It to the next one. NULL: nothing. */
static char *manual_entry(const char *manual, const char *option)
{
	char section[64], item[64];
	const char *name = strrchr(option, '/') ? strrchr(option, '/') + 1 : option;
	size_t path_len = (size_t)(name - option);

	snprintf(section, sizeof(section), ".\\\" [%.*s]\n", path_len ? (int)path_len - 1 : 0, option);
	snprintf(item, sizeof(item), "\n.It Ic %s No = ", name);
	const char *begin = strstr(manual, section);
	const char *entry = begin ? strstr(begin, item) : NULL;
	const char *next = begin ? strstr(begin + 1, "\n.\\\" [") : NULL;

	if (!entry || (next && entry > next))
		return NULL;
	const char *end = strstr(entry + 1, "\n.It Ic ");

	return strndup(entry, end ? (size_t)(end - entry) : strlen(entry));
}

static void check_manual(const char *manual, char *row)
{
	char *rest = row, *option = strsep(&rest, "\t"), *type = strsep(&rest, "\t");
	char *range = strsep(&rest, "\t"), *def = strsep(&rest, "\t");
	char *entry = manual_entry(manual, option);

	ck_assert_msg(entry && type, "understudy.conf(5) lacks %s", option);
	ck_assert_msg(strcmp(def, "-") == 0 || strcmp(def, "required") == 0 || strstr(entry, def),
		      "understudy.conf(5) lacks the default of %s: %s", option, def);
	ck_assert_msg(strcmp(def, "required") != 0 || strstr(entry, "Required"),
		      "understudy.conf(5) does not say that %s is required", option);
	if (strncmp(range, "one of ", 7) != 0) {
		ck_assert_msg(strcmp(range, "-") == 0 || strstr(entry, range),
			      "understudy.conf(5) lacks the range of %s: %s", option, range);
	} else {
		rest = range + 7;
		for (char *word = strsep(&rest, " "); word; word = strsep(&rest, " "))
			ck_assert_msg(strstr(entry, word), "understudy.conf(5) lacks a value of %s: %s",
				      option, word);
	}
	free(entry);
}

START_TEST(the_manual_has_each_option_with_its_range_and_default)
{
	static char manual[65536];
	FILE *f = fopen("contrib/understudy.conf.5", "r");
	char *table, *rest, *row;
	size_t len;
	unsigned rows = 0;

	ck_assert_ptr_nonnull(f);
	manual[fread(manual, 1, sizeof(manual) - 1, f)] = '\0';
	fclose(f);
	FILE *out = open_memstream(&table, &len);

	conf_print_options(out);
	fclose(out);
	for (rest = table; (row = strsep(&rest, "\n")) && *row; rows++)
		check_manual(manual, row);
	ck_assert_uint_gt(rows, 40);
	free(table);
}
END_TEST

static TCase *case_new(const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, setup, teardown);
	return tc;
}

static TCase *good_case(void)
{
	TCase *tc = case_new("good");

	tcase_add_test(tc, the_example_of_the_design_is_read_as_it_stands);
	tcase_add_test(tc, an_empty_file_gives_the_defaults);
	tcase_add_test(tc, sections_that_are_left_out_have_their_defaults);
	tcase_add_test(tc, all_forms_of_values_are_read);
	tcase_add_test(tc, the_mirror_keeps_its_place_among_the_backends);
	tcase_add_loop_test(tc, allow_transfer_lets_in_whom_it_names, 0, COUNT(visitors));
	tcase_add_test(tc, allow_transfer_lets_in_nobody_by_default);
	tcase_add_test(tc, regression_is_the_zones_or_the_pools);
	tcase_add_test(tc, a_catalog_is_a_zone_and_what_holds_for_its_members);
	tcase_add_test(tc, keep_and_expire_are_the_zones_or_the_pools);
	tcase_add_loop_test(tc, review_is_the_zones_or_that_of_all, 0, sizeof(reviews) / sizeof(reviews[0]));
	tcase_add_test(tc, secrets_may_stand_in_files);
	tcase_add_loop_test(tc, nsid_is_text_or_hexadecimal, 0, COUNT(nsids));
	tcase_add_test(tc, secrets_of_cookies_stand_in_a_file);
	tcase_add_test(tc, variables_of_the_environment_are_replaced_in_strings);
	tcase_add_test(tc, included_files_are_read_beside_the_one_that_includes_them);
	tcase_add_loop_test(tc, samples_work_as_they_are, 0, COUNT(samples));
	tcase_add_test(tc, the_manual_has_each_option_with_its_range_and_default);
	return tc;
}

static TCase *bad_case(void)
{
	TCase *tc = case_new("bad");

	tcase_add_loop_test(tc, bad_configuration_is_refused_with_its_line, 0, COUNT(bad));
	tcase_add_test(tc, all_errors_come_in_one_run_and_in_the_order_of_the_lines);
	tcase_add_test(tc, errors_of_an_included_file_name_that_file);
	tcase_add_test(tc, a_syntax_error_ends_its_file_but_not_the_others);
	tcase_add_test(tc, a_file_that_includes_itself_is_refused);
	tcase_add_test(tc, a_file_that_is_not_there_is_named);
	tcase_add_test(tc, a_failed_read_does_not_spoil_the_next);
	tcase_add_loop_test(tc, secrets_are_not_repeated_in_errors, 0, COUNT(leaks));
	tcase_add_test(tc, a_password_is_given_in_one_way_only);
	return tc;
}

static TCase *reload_case(void)
{
	TCase *tc = case_new("reload");

	tcase_add_loop_test(tc, a_reload_says_what_needs_a_restart, 0, COUNT(restarts));
	tcase_add_loop_test(tc, a_reload_cannot_change_redis, 0, COUNT(redis_changes));
	return tc;
}

int main(void)
{
	Suite *s = suite_create("conf");

	suite_add_tcase(s, good_case());
	suite_add_tcase(s, bad_case());
	suite_add_tcase(s, reload_case());
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
