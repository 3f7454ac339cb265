/* SPDX-License-Identifier: ISC */
/*
 * xdp - a worker's AF_XDP sockets: queries straight from an interface's receive queues.
 *
 * Purpose:  beside udp.h, for interfaces named by `listen-xdp`: takes frames in batches, hands the
 *           queries in them to dispatch, and answers those that are answered at once in frames.
 *           What is answered later (forwarded queries) leaves by the kernel's socket of the
 *           same address, which listens all the while; so does whatever does not fit here.
 * Not here: which frames come (xdp_steer.c), attaching to interfaces (xdp_interface.h), headers
 *           (xdp_frame.h), any decision (dispatch.h).
 * Owns:     its sockets, their rings and the memory of their frames: 8 MiB for each queue.
 * Threads:  xdp_queue_*() and xdp_take() by control, all but the MTU before the worker runs; the
 *           rest inside it.
 * Memory:   all of it in xdp_queue_open().
 * Failure:  an interface that goes away is left alone; frames that nobody can answer are counted
 *           as dropped_malformed.
 */
#ifndef XDP_H
#define XDP_H

#include <ev.h>

#include "proxy/udp.h"

struct xdp;
struct xdp_queue;

/*
 * The socket of one receive queue. `is_generic`: the program is not in the driver. NULL, and errno,
 * when the kernel gives none.
 */
struct xdp_queue *xdp_queue_open(const char *interface, unsigned queue, bool is_generic);
int xdp_queue_fd(const struct xdp_queue *q);
void xdp_queue_set_mtu(struct xdp_queue *q, unsigned mtu);	/* of its interface; at any time */
void xdp_queue_close(struct xdp_queue *q);	/* one that no worker took; NULL is fine */

struct xdp *xdp_new(struct ev_loop *loop, struct dispatch *dispatch, struct udp *udp,
		    void (*flush)(void *arg), void *arg);
void xdp_free(struct xdp *x);			/* closes its sockets; NULL is fine */

/* Owned from now on; before the loop runs. False: too many. */
bool xdp_take(struct xdp *x, struct xdp_queue *q);

/* Answers what the rings still hold, and reads no more. */
void xdp_stop(struct xdp *x);

/*
 * dispatch_ops.room and .answer; NULL, false: this client is no longer, or never was, one of the
 * frames at hand, or there is no room: it is udp.h's.
 */
uint8_t *xdp_room(struct xdp *x, const struct client *to, size_t want);
bool xdp_answer(struct xdp *x, const struct client *to, const uint8_t *bytes, size_t len);

/* Sends the queued answers. */
void xdp_flush(struct xdp *x);

#endif
