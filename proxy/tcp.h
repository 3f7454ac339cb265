/* SPDX-License-Identifier: ISC */
/*
 * tcp - a worker's TCP connections with clients.
 *
 * Purpose:  RFC 7766: many queries on one connection, answered in whatever order they are ready;
 *           idle and message timeouts; limits; a half-closed client still gets its answers.
 * Not here: any decision about a query (dispatch.h), what a zone transfer says (outgoing.h).
 *
 *   READING --(pipeline full, or the client does not read)--> PAUSED --> READING
 *      |                                                         |
 *      +--(client's FIN)--> ENDING (no more queries, answers still owed) --> closed
 *
 * Owns:     the connections, in a table made once; large buffers in a pool.
 * Threads:  one per worker, inside its loop; tcp_bind() in control.
 * Memory:   all of it in tcp_new(). A connection has a small buffer of its own; a message or
 *           backlog that is longer borrows a large one.
 * Failure:  a connection that breaks the rules or does not read is closed, and counted.
 * Spec:     RFC 7766, RFC 9210.
 */
#ifndef TCP_H
#define TCP_H

#include <ev.h>

#include "proxy/dispatch.h"
#include "proxy/transfer_log.h"

struct tcp;

/* tcp_set_conf() follows. */
struct tcp *tcp_new(struct ev_loop *loop, struct dispatch *dispatch, unsigned connections,
		    struct transfer_log *log, void (*flush)(void *arg), void *arg);
void tcp_free(struct tcp *t);		/* closes everything; NULL is fine */

/* Limits and timeouts of a new configuration (the table keeps its size). */
void tcp_set_conf(struct tcp *t, const struct conf *conf);

/* Binds and listens; the worker starts it later. The descriptor, or -errno. */
int tcp_bind(const struct address *address);

void tcp_start(struct tcp *t, int fd, const struct address *address);
void tcp_stop(struct tcp *t, const struct address *address);	/* connections stay */
void tcp_stop_all(struct tcp *t);	/* no new connections, no new queries on old ones */

/* dispatch_ops.room and .answer for TCP clients */
uint8_t *tcp_room(struct tcp *t, size_t want);
void tcp_answer(struct tcp *t, const struct client *to, const uint8_t *bytes, size_t len);

/*
 * dispatch_ops.transfer: the next message is made when the client has taken the one before, and
 * one for each turn of the loop, so that queries are not held up.
 */
bool tcp_transfer(struct tcp *t, const struct client *to, const struct outgoing_ask *ask);

/* A deadline of a connection has come (wheel items of kind TIMER_SHELL). */
void tcp_on_timer(struct tcp *t, struct wheel_item *item);

/* Connections that are still owed an answer or have one to read. */
size_t tcp_busy_count(const struct tcp *t);

#endif
