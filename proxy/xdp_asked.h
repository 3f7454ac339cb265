/* SPDX-License-Identifier: ISC */
/*
 * xdp_asked - the addresses and ports of this machine that AF_XDP takes queries to.
 *
 * Purpose:  a listener to all addresses is one to each that this machine has, and to none that it
 *           has not. Left to the kernel: loopback, whose clients have no station; link-local
 *           addresses, which mean little without their interface; those of VLANs, as cards take
 *           the tag out of a frame and its answer would go back without.
 * Threads:  control.
 * Failure:  those found before stand.
 */
#ifndef XDP_ASKED_H
#define XDP_ASKED_H

#include <stddef.h>

#include "proxy/conf.h"
#include "proxy/xdp_maps.h"

struct xdp_asked_list {
	struct xdp_asked list[XDP_ASKED_MAX];	/* in order */
	size_t count;
};

/* False: the kernel does not tell now. */
bool xdp_asked_find(struct xdp_asked_list *l, const struct conf *conf);

bool xdp_asked_has(const struct xdp_asked_list *l, const struct xdp_asked *a);

#endif
