/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cache/store_settings.h"

#define SAFE "maxmemory_policy:noeviction\r\naof_enabled:1\r\nrole:master\r\ncluster_enabled:0\r\n"

static struct store_settings read_info(const char *text)
{
	struct store_settings s = { 0 };

	settings_read_info(&s, text, strlen(text));
	return s;
}

static unsigned judge_all(const struct store_settings *s)
{
	struct store_finding f;
	unsigned found = 0;

	for (unsigned i = 0; i < SETTING_COUNT; i++) {
		if (settings_judge(s, (enum store_setting)i, &f))
			found |= 1u << i;
		ck_assert(f.name && f.value && f.reason && f.mend);
	}
	return found;
}

static const struct {
	const char *what, *info, *save;
	unsigned found;
} cases[] = {
	{ "all is well", SAFE, "3600 1", 0 },
	{ "nothing is known", "", NULL, 0 },
	{ "noise", "\n\r\n:\nrole\n:x\nmaxmemory_policy\n\n", NULL, 0 },
	{ "no end of line", "maxmemory_policy:allkeys-lru", NULL, 1 << SETTING_EVICTION },
	{ "any key may be evicted", "maxmemory_policy:allkeys-lfu\r\n", NULL, 1 << SETTING_EVICTION },
	{ "only what expires is evicted", "maxmemory_policy:volatile-lru\r\n", NULL, 0 },
	{ "a name that only begins so", "maxmemory_policy2:allkeys-lru\r\n", NULL, 0 },
	{ "a policy of too many letters", "maxmemory_policy:allkeys-xxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n",
	  NULL, 0 },
	{ "never saved", "aof_enabled:0\r\n", "", 1 << SETTING_PERSISTENCE },
	{ "never saved, as far as is known", "aof_enabled:0\r\n", NULL, 0 },
	{ "no snapshots but a log", "aof_enabled:1\r\n", "", 0 },
	{ "no snapshots, a log perhaps", "", "", 0 },
	{ "a cluster", "cluster_enabled:1\r\n", NULL, 1 << SETTING_CLUSTER },
	{ "a replica", "role:slave\r\nslave_read_only:1\r\n", NULL, 0 },
	{ "a replica to write to", "role:slave\r\nslave_read_only:0\r\n", NULL, 1 << SETTING_REPLICA },
	{ "a master that would be one", "role:master\r\nslave_read_only:0\r\n", NULL, 0 },
};

START_TEST(settings_are_judged)
{
	struct store_settings s = read_info(cases[_i].info);

	if (cases[_i].save)
		settings_read_config(&s, "save", cases[_i].save);
	settings_read_config(&s, "appendfsync", "no");
	ck_assert_msg(judge_all(&s) == cases[_i].found, "%s: %x", cases[_i].what, judge_all(&s));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("store settings");
	TCase *tc = tcase_create("settings");

	tcase_add_loop_test(tc, settings_are_judged, 0, sizeof(cases) / sizeof(cases[0]));
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
