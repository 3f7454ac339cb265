/* SPDX-License-Identifier: ISC */
/*
 * udp - a worker's UDP sockets towards the clients.
 *
 * Purpose:  takes queries in batches, hands each to dispatch, sends answers in batches, from the
 *           address that was asked (RFC 2181 s.4.1).
 * Not here: any decision (dispatch.h).
 * Owns:     one socket for each listen address (SO_REUSEPORT: each worker has its own) and the
 *           batch buffers.
 * Threads:  one per worker, inside its loop; udp_bind() in control.
 * Memory:   all of it in udp_new().
 * Failure:  what the kernel will not take is counted; nothing is retried here.
 */
#ifndef UDP_H
#define UDP_H

#include <ev.h>

#include "proxy/dispatch.h"

struct udp;

struct udp *udp_new(struct ev_loop *loop, struct dispatch *dispatch, void (*flush)(void *arg),
		    void *arg);
void udp_free(struct udp *u);		/* closes its sockets; NULL is fine */

/* Binds a socket; the worker starts it later. The descriptor, or -errno. */
int udp_bind(const struct address *address);

/*
 * Room for packets that wait while we do something else: `size` bytes each way where we may go over
 * the system's limits (net.core.rmem_max; CAP_NET_ADMIN), else as many as these allow.
 */
void udp_set_buffers(int fd, int size);

/* Listens on `fd` (owned from now on), which udp_bind() made for `address`. */
void udp_start(struct udp *u, int fd, const struct address *address);

/*
 * Answers what the kernel still holds for this listener, then reads no more. The socket stays
 * for the answers that are still owed, until udp_sweep() closes it.
 */
void udp_stop(struct udp *u, const struct address *address);
void udp_stop_all(struct udp *u);

/* About once a second: closes sockets that owe no answer any more. */
void udp_sweep(struct udp *u);

/* dispatch_ops.room and .answer for UDP clients */
uint8_t *udp_room(struct udp *u, size_t want);
void udp_answer(struct udp *u, const struct client *to, const uint8_t *bytes, size_t len);

/*
 * A query to this address (of IPv4 the first four bytes; never link-local) and port came past our
 * sockets: `c`, with its address set, becomes a client of the socket there. False: there is none.
 */
bool udp_adopt(struct udp *u, const struct in6_addr *asked, uint16_t port, unsigned interface,
	       struct client *c);

/* Sends the queued answers. */
void udp_flush(struct udp *u);

#endif
