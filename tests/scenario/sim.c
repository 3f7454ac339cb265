/* SPDX-License-Identifier: ISC */
/*
 * sim - plays worlds of the simulator.
 *
 *   sim SEED             the world of that seed, told step by step
 *   sim HOURS FIRST      worlds from seed FIRST on, until they add up to so many simulated hours
 *
 * Exit: 0 every promise was kept; 1 one was broken, and the seed is told.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/scenario/sim.h"
#include "tests/scenario/sim_run.h"

int main(int count, char **words)
{
	struct sim_tally sum = { 0 };
	bool is_good;

	if (count < 2 || count > 3) {
		fprintf(stderr, "usage: sim SEED | sim HOURS FIRST\n");
		return 2;
	}
	sim_run_prepare();
	if (count == 2)
		is_good = sim_play(strtoull(words[1], NULL, 10), SIM_WORLD_S, BREACH_NONE, true, &sum);
	else
		is_good = sim_run_hours(strtoull(words[1], NULL, 10), strtoull(words[2], NULL, 10), &sum);
	if (!is_good)
		fprintf(stderr, "%s\n", sim.why);
	sim_run_print(&sum);
	return is_good ? 0 : 1;
}
