/* SPDX-License-Identifier: ISC */
/*
 * source - the primary of source.h as a program, for `make bench`.
 *
 *   source PORT RECORDS      SIGUSR1: the next version
 */
#include <signal.h>
#include <stdio.h>

#include "tests/bench/source.h"

int main(int argc, char **argv)
{
	sigset_t next;

	if (argc != 3) {
		fprintf(stderr, "usage: source PORT RECORDS\n");
		return 2;
	}
	source.records = (unsigned)strtoul(argv[2], NULL, 10);
	sigemptyset(&next);
	sigaddset(&next, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &next, NULL);	/* of all threads: they are made after this */
	source_start((uint16_t)strtoul(argv[1], NULL, 10));
	for (int number; sigwait(&next, &number) == 0;)
		source.serial++;
	return 0;
}
