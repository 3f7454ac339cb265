/* SPDX-License-Identifier: ISC */
/*
 * tcp_parts - what tcp.c (listeners, the table of connections), tcp_connection.c (one
 * connection: its bytes, answers and deadlines) and tcp_transfer.c (a zone transfer on one)
 * share. Private to them.
 */
#ifndef TCP_PARTS_H
#define TCP_PARTS_H

#include "cache/dns.h"
#include "proxy/tcp.h"

enum {
	TCP_LISTENERS_MAX = 2 * CONF_LISTEN_MAX,	/* a reload starts all new ones, then stops the old */
	TCP_LENGTH_LEN = 2,
	TCP_LARGE_LEN = 2 * (TCP_LENGTH_LEN + DNS_MESSAGE_MAX),
	TCP_LARGE_COUNT = 128,
	TCP_TRANSFERS_MAX = 8,		/* at a time, for each worker */
	CONNECTION_OWN_LEN = 1024,	/* a connection's own input buffer: ordinary queries */
};

struct large { struct large *next; uint8_t bytes[TCP_LARGE_LEN]; };

/* A zone transfer to a client. */
struct transfer {
	bool is_used;
	enum transfer_result result;	/* if it ended now */
	uint64_t started_us;
	struct outgoing outgoing;
};

/* What a connection's timer stands for. */
enum waiting { WAITING_NONE, WAITING_IDLE, WAITING_MESSAGE, WAITING_READER };

struct connection {
	ev_io io;
	struct tcp *owner;
	struct link link;		/* on the free list, or on `idle` while nothing is owed */
	struct link same_bucket;	/* clients whose addresses hash alike */
	struct wheel_item timer;
	enum waiting waiting;		/* set by set_deadline() only */
	bool is_open;
	bool is_ending;			/* no more queries are taken: FIN came, or we stop */
	bool is_reading;		/* else paused */
	uint32_t serial;		/* changes with each client */
	unsigned in_flight;		/* queries not answered yet */
	struct client client;		/* as dispatch sees it */
	size_t in_len;
	uint8_t *in;			/* own, or a large buffer's bytes */
	size_t in_size;
	size_t out_pos, out_len;
	uint8_t *out;			/* a large buffer's bytes, or NULL: nothing waits */
	struct transfer *transfer;	/* or NULL: no queries are taken meanwhile */
	uint8_t own[CONNECTION_OWN_LEN];
};

struct tcp_listener { ev_io io; struct tcp *owner; bool is_open; struct address address; };

struct tcp {
	struct ev_loop *loop;
	struct dispatch *dispatch;
	void (*flush)(void *arg);
	void *arg;
	unsigned per_client, pipeline;
	uint64_t idle_us, message_us;
	struct tcp_listener listeners[TCP_LISTENERS_MAX];
	struct connection *connections;	/* the first `used` of `count` are made */
	size_t used, count;
	struct link free, idle;		/* idle: the longest first */
	struct link *buckets;
	uint32_t bucket_mask;
	struct large *larges, *free_large;	/* likewise: the first `larges_used` */
	size_t larges_used;
	struct transfer *transfers;
	struct transfer_log *log;
	int spare_fd;			/* given up for a moment when descriptors run out */
	uint8_t room[DNS_MESSAGE_MAX];	/* for answers of our own */
};

/* ---- tcp_connection.c ---- */

/* A client on `fd`; `c` is off the free list. */
void connection_begin(struct connection *c, int fd, const struct client *client);

/* Back to the free list, whatever was owed. */
void connection_close(struct connection *c);

/* Takes what was sent, then no more: closes when all is answered. */
void connection_stop(struct connection *c);

/* Owed an answer, or has one to read. */
bool connection_is_busy(const struct connection *c);

/* ---- tcp_transfer.c ---- */

/* Writes the next message of c->transfer into `out` (DNS_MESSAGE_MAX bytes). 0: it cannot go on. */
size_t transfer_next(struct connection *c, uint8_t *out);

/* Tells of c->transfer and lets go of its zone. */
void transfer_end(struct connection *c);

#endif
