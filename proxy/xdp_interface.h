/* SPDX-License-Identifier: ISC */
/*
 * xdp_interface - AF_XDP on the interfaces that `listen-xdp` names.
 *
 * Purpose:  puts our program (xdp_steer.c) on each interface and a socket on each of its receive
 *           queues, which the workers get in turn; tells the program which addresses we listen on.
 * Not here: the sockets (xdp.h); which addresses those are (xdp_asked.h).
 * Owns:     the programs and their maps. The kernel takes them off when we end, however we end.
 * Threads:  control.
 * Time:     looks every few seconds at this machine's addresses and MTUs, which may change.
 * Failure:  one event with the reason; the interface's queries take the kernel's way, as they do
 *           without all this: nothing is lost but speed.
 */
#ifndef XDP_INTERFACE_H
#define XDP_INTERFACE_H

#include <ev.h>

#include "proxy/conf.h"
#include "proxy/worker.h"

struct xdp_interfaces;

/* Before the workers run. NULL when the configuration names none. */
struct xdp_interfaces *xdp_interfaces_open(struct ev_loop *loop, const struct conf *conf,
					   struct worker *const *workers, unsigned worker_count);

/* Other addresses are listened on now; NULL is fine, here and below. */
void xdp_interfaces_listen(struct xdp_interfaces *x, const struct conf *conf);

/* From here on queries take the kernel's way. Before the workers stop. */
void xdp_interfaces_close(struct xdp_interfaces *x);

#endif
