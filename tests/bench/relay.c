/* SPDX-License-Identifier: ISC */
/*
 * relay - the limit of what forwards by UDP: two sockets, batches both ways, another ID.
 *
 * Purpose:  what `make bench` holds forwarded queries against. It keeps who asked under the ID that it
 *           gave out, one after the other, and looks at nothing else.
 *
 *   relay ADDR:PORT BACKEND:PORT [PROCESSES]
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "cache/address.h"
#include "tests/bench/several.h"

enum { BATCH = 64, MESSAGE_MAX = 4096 };

struct asker { struct sockaddr_storage from; socklen_t len; uint8_t id[2]; };

static struct asker askers[65536];
static uint16_t next_id;
static uint8_t messages[BATCH][MESSAGE_MAX];
static struct sockaddr_storage names[BATCH];
static struct iovec parts[BATCH];
static struct mmsghdr heads[BATCH];

static int take(int fd, bool has_names)
{
	for (unsigned i = 0; i < BATCH; i++) {
		parts[i].iov_len = MESSAGE_MAX;
		heads[i].msg_hdr.msg_name = has_names ? &names[i] : NULL;
		heads[i].msg_hdr.msg_namelen = has_names ? sizeof(names[i]) : 0;
	}
	return recvmmsg(fd, heads, BATCH, MSG_DONTWAIT, NULL);
}

static void send_all(int fd, int n)
{
	for (int done = 0, sent; done < n; done += sent > 0 ? sent : 1)
		sent = sendmmsg(fd, heads + done, (unsigned)(n - done), 0);
}

static void pass_queries(int front, int back)
{
	int n = take(front, true);

	for (int i = 0; i < n; i++) {
		uint16_t id = next_id++;
		struct asker *a = &askers[id];

		memcpy(&a->from, &names[i], heads[i].msg_hdr.msg_namelen);
		a->len = heads[i].msg_hdr.msg_namelen;
		memcpy(a->id, messages[i], 2);
		memcpy(messages[i], &id, 2);
		parts[i].iov_len = heads[i].msg_len;
		heads[i].msg_hdr.msg_name = NULL;
		heads[i].msg_hdr.msg_namelen = 0;
	}
	send_all(back, n);
}

static void pass_replies(int front, int back)
{
	int n = take(back, false);

	for (int i = 0; i < n; i++) {
		struct asker *a;
		uint16_t id;

		memcpy(&id, messages[i], 2);
		a = &askers[id];
		memcpy(messages[i], a->id, 2);
		parts[i].iov_len = heads[i].msg_len;
		heads[i].msg_hdr.msg_name = &a->from;
		heads[i].msg_hdr.msg_namelen = a->len;
	}
	send_all(front, n);
}

static int opened(const char *text, const struct address *a, bool is_front)
{
	int fd = socket(a->storage.ss_family, SOCK_DGRAM, 0), size = 4 << 20;
	const struct sockaddr *sa = (const struct sockaddr *)&a->storage;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (is_front)
		share_port(fd);
	if (fd < 0 || (is_front ? bind(fd, sa, a->len) : connect(fd, sa, a->len)) < 0) {
		fprintf(stderr, "%s: %s\n", text, strerror(errno));
		exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	struct address front, back;
	struct pollfd fds[2] = { { .events = POLLIN }, { .events = POLLIN } };

	if (argc < 3 || argc > 4 || !address_from_text(argv[1], 53, &front) || !address_from_text(argv[2], 53, &back)) {
		fprintf(stderr, "usage: relay ADDR:PORT BACKEND:PORT [PROCESSES]\n");
		return 2;
	}
	if (argc == 4)
		become_several(argv[3]);
	fds[0].fd = opened(argv[1], &front, true);
	fds[1].fd = opened(argv[2], &back, false);
	for (unsigned i = 0; i < BATCH; i++) {
		parts[i].iov_base = messages[i];
		heads[i].msg_hdr.msg_iov = &parts[i];
		heads[i].msg_hdr.msg_iovlen = 1;
	}
	while (poll(fds, 2, -1) >= 0) {
		if (fds[0].revents)
			pass_queries(fds[0].fd, fds[1].fd);
		if (fds[1].revents)
			pass_replies(fds[0].fd, fds[1].fd);
	}
	return 1;
}
