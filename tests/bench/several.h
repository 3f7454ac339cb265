/* SPDX-License-Identifier: ISC */
/*
 * several - a limit as several processes, each with sockets of its own on the same port.
 *
 * Purpose:  what two workers of a server are held against: two that share nothing at all.
 */
#ifndef TESTS_BENCH_SEVERAL_H
#define TESTS_BENCH_SEVERAL_H

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Before sockets are opened. The others end with the first one. */
static void become_several(const char *count)
{
	for (unsigned long n = strtoul(count, NULL, 10); n > 1; n--) {
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGTERM);
			return;
		}
	}
}

static void share_port(int fd)
{
	int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
}

#endif
