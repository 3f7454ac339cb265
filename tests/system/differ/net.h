/* SPDX-License-Identifier: ISC */
/*
 * net - asks several servers the same questions at once, by UDP or TCP.
 *
 * Purpose:  a batch of queries goes to each server; replies are sorted by ID. What is lost by
 *           UDP is asked again; a TCP connection that ends is opened anew.
 * Memory:   reply buffers are kept for the whole run and hold until the next batch.
 * Failure:  a server that stays silent has replies of length 0. What cannot be (no socket) ends
 *           the program.
 */
#ifndef DIFFER_NET_H
#define DIFFER_NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/system/differ/packet.h"

enum { SERVERS_MAX = 4, BATCH_MAX = 128, QUERY_MAX = 12 + NAME_MAX_LEN + 4 + 11 };

struct query {
	size_t len;
	unsigned servers;		/* bit i: server i is asked */
	uint8_t bytes[QUERY_MAX];	/* the ID is set by net_ask() */
};

struct reply {
	size_t len;			/* 0: none came */
	size_t room;
	uint8_t *bytes;
};

struct server {
	char name[16];
	struct sockaddr_in address;
	int udp, tcp;
	size_t begun_len;		/* of a message that TCP has not brought whole */
	uint8_t begun[2 + MESSAGE_MAX];
	struct reply replies[BATCH_MAX];
	unsigned missing;		/* replies that have not come yet */
};

/* `text` is NAME=ADDRESS@PORT. */
void server_init(struct server *s, const char *text);
void net_ask(struct server *servers, unsigned count, struct query *queries, unsigned query_count,
	     bool is_tcp);

/* For transfers: a connection of its own, blocking. -1 when it cannot be. */
int server_connect(const struct server *s);

#endif
