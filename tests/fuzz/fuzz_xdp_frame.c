/* SPDX-License-Identifier: ISC */
/*
 * Input: u16 (length of the answer; the first bit: the header's sum is put right) | a frame as an
 * interface received it.
 * What is parsed lies in the frame; its answer has right sums, and is a frame itself.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cache/wire.h"
#include "proxy/xdp_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ANSWER_MAX = 1232 };

static void check_sum(const uint8_t *udp, size_t len, const uint8_t *addresses, size_t addresses_len)
{
	uint64_t sum = 17 + len;

	for (size_t i = 0; i < addresses_len; i += 2)
		sum += wire_get_u16(addresses + i);
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? udp[i] : (uint64_t)udp[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	assert(sum == 0xffff);
}

/* No fuzzer would find it. */
static void put_right_sum(uint8_t *ip)
{
	uint32_t sum = 0;

	wire_put_u16(ip + 10, 0);
	for (size_t i = 0; i < XDP_IPV4_LEN; i += 2)
		sum += wire_get_u16(ip + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	wire_put_u16(ip + 10, (uint16_t)~sum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *frame, *exact;
	struct xdp_frame f, back;
	struct sockaddr_in6 from;
	struct in6_addr asked;
	uint16_t port;
	size_t len, whole;

	if (size < 2)
		return 0;
	len = (wire_get_u16(data) & 0x7fffu) % (ANSWER_MAX + 1);
	exact = malloc(size - 2 ? size - 2 : 1);
	memcpy(exact, data + 2, size - 2);
	if (data[0] >> 7 && size - 2 >= XDP_ETHERNET_LEN + XDP_IPV4_LEN && exact[12] == 8)
		put_right_sum(exact + XDP_ETHERNET_LEN);
	if (xdp_frame_parse(exact, size - 2, &f)) {
		assert(f.message >= exact && f.message + f.message_len <= exact + size - 2);
		assert(f.head_len <= XDP_HEAD_MAX && f.message == exact + f.head_len);
		xdp_frame_source(&f, &from);
		xdp_frame_asked(&f, &asked, &port);
		frame = calloc(1, f.head_len + len + 2);
		whole = xdp_frame_answer(&f, frame, len);
		assert(whole == f.head_len + len);
		check_sum(frame + f.head_len - XDP_UDP_LEN, XDP_UDP_LEN + len,
			  frame + XDP_ETHERNET_LEN + (f.is_v6 ? 8 : 12), f.is_v6 ? 32 : 8);
		if (xdp_frame_parse(frame, whole, &back))	/* not when nobody was asked */
			assert(back.message_len == len && back.head_len == f.head_len);
		free(frame);
	}
	free(exact);
	return 0;
}
