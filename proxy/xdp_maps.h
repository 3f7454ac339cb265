/* SPDX-License-Identifier: ISC */
/*
 * xdp_maps - what the program in the kernel (xdp_steer.c) and we (xdp_interface.h) both know.
 *
 * Threads:  none; types only.
 */
#ifndef XDP_MAPS_H
#define XDP_MAPS_H

#include <linux/types.h>

enum {
	XDP_QUEUES_MAX = 64,	/* receive queues of one interface */
	XDP_ASKED_MAX = 4096,	/* addresses and ports that go to our sockets */
	XDP_FRAME_MAX = 1536,	/* bytes; longer ones take the kernel's way */
	XDP_ASKED_V4 = 4,
	XDP_ASKED_V6 = 6,
};

struct xdp_asked {
	__u8 address[16];	/* of IPv4 the first four; the rest zero */
	__u16 port;		/* this machine's byte order */
	__u16 family;
};

#endif
