/* SPDX-License-Identifier: ISC */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/scenario/sim.h"
#include "tests/temporary.h"

static const struct { unsigned first, others, mirror; } tiers[MODES] = {
	[MODE_FAILOVER] = { 0, 1, 1 }, [MODE_LAST_RESORT] = { 0, 1, 2 }, [MODE_MIRROR_FIRST] = { 1, 1, 0 },
	[MODE_ALL] = { 0, 0, 1 }, [MODE_ALL_AND_MIRROR] = { 0, 0, 0 }, [MODE_NO_MIRROR] = { 0, 1, 0 },
};

static void put_targets(FILE *f)
{
	for (unsigned i = 0; i < sim.server_count; i++)
		if (sim.members & 1u << i)
			fprintf(f, "backend \"ns%u\" { address = \"198.51.100.%u:53\" tier = %u weight = %u %s }\n",
				i + 1, i + 1, i ? tiers[sim.mode].others : tiers[sim.mode].first, i + 1,
				i ? "" : "primary = true");
	if (sim.has_mirror)
		fprintf(f, "mirror { tier = %u }\n", tiers[sim.mode].mirror);
}

static void put_conf(FILE *f)
{
	static const char *const policies[] = { "ordered", "round-robin", "weighted-random",
		"least-outstanding", "p2c-latency", "consistent-hash" };
	static const char *const intervals[] = { "200ms", "500ms", "1s", "1s", "2s" };
	static const char *const slow_starts[] = { "0s", "1s", "3s", "8s" };

	fprintf(f, "listen = { \"127.0.0.1:1\" }\npool \"p\" { policy = \"%s\"\n",
		policies[random_below(&sim.chance, 6)]);
	if (sim_percent(25))
		fprintf(f, "attempt-max = \"%ums\"\n", (unsigned)sim_between(20, 150));
	if (sim_percent(15))
		fprintf(f, "give-up = \"%ums\"\n", (unsigned)sim_between(400, 2000));
	if (sim.breach == BREACH_DENIAL_BELIEVED)
		fprintf(f, "retry-on = { \"servfail\", \"refused\", \"notauth\", \"lame\" }\n");
	if (sim_percent(75))
		fprintf(f, "shadow-check = %u\n", sim_percent(30) ? 100 : (unsigned)sim_between(0, 100));
	put_targets(f);
	fprintf(f, "health { interval = \"%s\" timeout = \"%ums\" ",
		intervals[random_below(&sim.chance, 5)], (unsigned)sim_between(100, 200));
	fprintf(f, "rise = %u fall = %u slow-start = \"%s\" }\n}\n", (unsigned)sim_between(1, 4),
		(unsigned)sim_between(1, 4), slow_starts[random_below(&sim.chance, 4)]);
	fprintf(f, "zone \"example.com\" { pool = \"p\" }\nzone \"sub.example.net\" { pool = \"p\" }\n");
}

struct plan *sim_plan(uint64_t number)
{
	char path[PATH_MAX];
	FILE *f = fdopen(mkstemp(temporary_path(path, sizeof(path), "understudy-sim")), "w");
	struct conf *conf;

	if (!f)
		abort();
	put_conf(f);
	fclose(f);
	conf = conf_read(path, stderr);
	unlink(path);
	if (!conf)
		abort();
	return plan_new(conf, sim.has_mirror ? (struct mirror *)(void *)&sim : NULL, number);
}
