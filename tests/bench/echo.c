/* SPDX-License-Identifier: ISC */
/*
 * echo - the limit of what answers by UDP: takes a batch, sets QR, sends it back.
 *
 * Purpose:  what `make bench` holds answers from a mirror against. No server on ordinary sockets can
 *           cost less: it looks at nothing, and makes two system calls for a batch.
 *
 *   echo ADDR:PORT [PROCESSES]
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "cache/address.h"
#include "tests/bench/several.h"

enum { BATCH = 64, MESSAGE_MAX = 4096 };

static uint8_t messages[BATCH][MESSAGE_MAX];
static struct sockaddr_storage from[BATCH];
static struct iovec parts[BATCH];
static struct mmsghdr heads[BATCH];

static void reset(unsigned i)
{
	parts[i].iov_len = MESSAGE_MAX;
	heads[i].msg_hdr.msg_namelen = sizeof(from[i]);
}

static void serve(int fd)
{
	for (;;) {
		int n = recvmmsg(fd, heads, BATCH, MSG_WAITFORONE, NULL);

		for (int i = 0; i < n; i++) {
			messages[i][2] |= 0x80;
			parts[i].iov_len = heads[i].msg_len;
		}
		for (int done = 0, sent; done < n; done += sent > 0 ? sent : 1)
			sent = sendmmsg(fd, heads + done, (unsigned)(n - done), 0);
		for (int i = 0; i < n; i++)
			reset((unsigned)i);
	}
}

int main(int argc, char **argv)
{
	struct address a;
	int fd, size = 4 << 20;

	if (argc < 2 || argc > 3 || !address_from_text(argv[1], 53, &a)) {
		fprintf(stderr, "usage: echo ADDR:PORT [PROCESSES]\n");
		return 2;
	}
	if (argc == 3)
		become_several(argv[2]);
	fd = socket(a.storage.ss_family, SOCK_DGRAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	share_port(fd);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a.storage, a.len) < 0) {
		fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	for (unsigned i = 0; i < BATCH; i++) {
		parts[i].iov_base = messages[i];
		heads[i].msg_hdr.msg_iov = &parts[i];
		heads[i].msg_hdr.msg_iovlen = 1;
		heads[i].msg_hdr.msg_name = &from[i];
		reset(i);
	}
	serve(fd);
}
