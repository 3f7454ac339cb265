/* SPDX-License-Identifier: ISC */
/*
 * xdp_frame - a query in its Ethernet frame, and the frame of its answer.
 *
 * Purpose:  with AF_XDP the kernel leaves to us what its sockets do: who asked, at which address,
 *           and the headers and checksums of what goes back.
 * Not here: rings and memory (xdp.h); which frames come to us at all (xdp_steer.c).
 * Threads:  any; pure.
 * Failure:  a frame that is not wholly right is nobody's query.
 * Not done: the UDP checksum of a query is not verified: virtual interfaces leave it for cards to
 *           put in, and the frame does not tell. An answer goes back to the station that the query
 *           came from.
 * Spec:     RFC 791, RFC 1071, RFC 1122 s.3.2.1.2 (IPv4's checksum is verified), RFC 8200, RFC 768.
 */
#ifndef XDP_FRAME_H
#define XDP_FRAME_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	XDP_ETHERNET_LEN = 14,
	XDP_IPV4_LEN = 20,
	XDP_IPV6_LEN = 40,
	XDP_UDP_LEN = 8,
	XDP_HEAD_MAX = XDP_ETHERNET_LEN + XDP_IPV6_LEN + XDP_UDP_LEN,
};

struct xdp_frame {
	const uint8_t *bytes;		/* from its Ethernet header on */
	unsigned head_len;		/* up to the message; as much in the answer */
	bool is_v6;
	const uint8_t *message;		/* DNS */
	size_t message_len;
};

/*
 * False: no whole UDP datagram over IP without options or extensions, a fragment, or between
 * addresses, ports or stations that no answer can go between.
 */
bool xdp_frame_parse(const uint8_t *bytes, size_t len, struct xdp_frame *f);

/* The addresses of the question: who asked, and where. */
void xdp_frame_source(const struct xdp_frame *f, struct sockaddr_in6 *either_family);
void xdp_frame_asked(const struct xdp_frame *f, struct in6_addr *address, uint16_t *port);

/*
 * Puts headers before an answer of `len` bytes, which stands at frame + asked->head_len. The length
 * of the frame.
 */
size_t xdp_frame_answer(const struct xdp_frame *asked, uint8_t *frame, size_t len);

#endif
