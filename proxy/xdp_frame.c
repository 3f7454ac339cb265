/* SPDX-License-Identifier: ISC */
#include "proxy/xdp_frame.h"

#include <string.h>

#include "cache/wire.h"

enum {
	STATION_LEN = 6,		/* an Ethernet address */
	GROUP = 1,			/* in its first byte: of many stations */
	TYPE_IPV4 = 0x0800,
	TYPE_IPV6 = 0x86dd,
	PROTOCOL_UDP = 17,
	HOPS = 64,
	IPV4_WHOLE = 0x4000,		/* DF: not to be fragmented */
	IPV4_MORE_OR_OFFSET = 0x3fff,	/* any of these bits: a fragment */
};

/* ---- Sums ---- */

static uint64_t sum_words(uint64_t sum, const uint8_t *p, size_t len)
{
	for (; len >= 4; p += 4, len -= 4)
		sum += wire_get_u32(p);
	if (len >= 2) {
		sum += (uint64_t)wire_get_u16(p) << 16;
		p += 2;
		len -= 2;
		if (len)
			sum += (uint64_t)p[0] << 8;
	} else if (len) {
		sum += (uint64_t)p[0] << 24;
	}
	return sum;
}

/* Of 32-bit words: folded, their ones' complement sum is that of 16-bit words. */
static uint16_t checksum(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* ---- A query ---- */

/* Addresses that never are a host's: this network, loopback, multicast and broadcast. */
static bool is_nobody_v4(const uint8_t *a)
{
	return a[0] == 0 || a[0] == 127 || a[0] >= 224;
}

static bool is_nobody_v6(const uint8_t *a)
{
	static const uint8_t none[15];

	return a[0] == 0xff || (memcmp(a, none, sizeof(none)) == 0 && a[15] <= 1);
}

/* Bytes that the datagram has by its IP header, UDP's header counted; 0: not for us. */
static size_t datagram_v4(const uint8_t *ip, size_t len)
{
	size_t total;

	if (len < XDP_IPV4_LEN || ip[0] != 0x45 || ip[9] != PROTOCOL_UDP || is_nobody_v4(ip + 12) ||
	    (wire_get_u16(ip + 6) & IPV4_MORE_OR_OFFSET))
		return 0;
	if (checksum(sum_words(0, ip, XDP_IPV4_LEN)) != 0)
		return 0;
	total = wire_get_u16(ip + 2);
	return total <= len && total >= XDP_IPV4_LEN ? total - XDP_IPV4_LEN : 0;
}

static size_t datagram_v6(const uint8_t *ip, size_t len)
{
	size_t payload;

	if (len < XDP_IPV6_LEN || ip[0] >> 4 != 6 || ip[6] != PROTOCOL_UDP || is_nobody_v6(ip + 8))
		return 0;
	payload = wire_get_u16(ip + 4);
	return payload <= len - XDP_IPV6_LEN ? payload : 0;
}

bool xdp_frame_parse(const uint8_t *bytes, size_t len, struct xdp_frame *f)
{
	const uint8_t *ip = bytes + XDP_ETHERNET_LEN, *udp;
	size_t datagram, said;
	unsigned type;

	if (len < XDP_ETHERNET_LEN || ((bytes[0] | bytes[STATION_LEN]) & GROUP))
		return false;
	type = wire_get_u16(bytes + 12);
	f->is_v6 = type == TYPE_IPV6;
	if (f->is_v6)
		datagram = datagram_v6(ip, len - XDP_ETHERNET_LEN);
	else
		datagram = type == TYPE_IPV4 ? datagram_v4(ip, len - XDP_ETHERNET_LEN) : 0;
	if (datagram < XDP_UDP_LEN)
		return false;
	udp = ip + (f->is_v6 ? XDP_IPV6_LEN : XDP_IPV4_LEN);
	said = wire_get_u16(udp + 4);
	if (said < XDP_UDP_LEN || said > datagram || wire_get_u16(udp) == 0)
		return false;
	if (f->is_v6 && wire_get_u16(udp + 6) == 0)	/* RFC 8200 s.8.1: there must be a sum */
		return false;
	f->bytes = bytes;
	f->message = udp + XDP_UDP_LEN;
	f->head_len = (unsigned)(f->message - bytes);
	f->message_len = said - XDP_UDP_LEN;
	return true;
}

static const uint8_t *udp_of(const struct xdp_frame *f)
{
	return f->message - XDP_UDP_LEN;
}

void xdp_frame_source(const struct xdp_frame *f, struct sockaddr_in6 *either_family)
{
	const uint8_t *ip = f->bytes + XDP_ETHERNET_LEN;

	if (f->is_v6) {
		struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

		memcpy(&v6.sin6_port, udp_of(f), sizeof(v6.sin6_port));
		memcpy(&v6.sin6_addr, ip + 8, sizeof(v6.sin6_addr));
		*either_family = v6;
	} else {
		struct sockaddr_in v4 = { .sin_family = AF_INET };

		memcpy(&v4.sin_port, udp_of(f), sizeof(v4.sin_port));
		memcpy(&v4.sin_addr, ip + 12, sizeof(v4.sin_addr));
		memcpy(either_family, &v4, sizeof(v4));
	}
}

void xdp_frame_asked(const struct xdp_frame *f, struct in6_addr *address, uint16_t *port)
{
	const uint8_t *ip = f->bytes + XDP_ETHERNET_LEN;

	*address = (struct in6_addr){ 0 };
	memcpy(address, ip + (f->is_v6 ? 24 : 16), f->is_v6 ? 16 : 4);
	*port = wire_get_u16(udp_of(f) + 2);
}

/* ---- Its answer ---- */

static void put_v4(const uint8_t *asked, uint8_t *ip, size_t total)
{
	ip[0] = 0x45;
	ip[1] = 0;
	wire_put_u16(ip + 2, (uint16_t)total);
	memcpy(ip + 4, ip + XDP_IPV4_LEN + XDP_UDP_LEN, 2);	/* the query's ID is as random as any */
	wire_put_u16(ip + 6, IPV4_WHOLE);	/* as what sockets send: udp.c */
	ip[8] = HOPS;
	ip[9] = PROTOCOL_UDP;
	wire_put_u16(ip + 10, 0);
	memcpy(ip + 12, asked + 16, 4);
	memcpy(ip + 16, asked + 12, 4);
	wire_put_u16(ip + 10, checksum(sum_words(0, ip, XDP_IPV4_LEN)));
}

static void put_v6(const uint8_t *asked, uint8_t *ip, size_t payload)
{
	memset(ip, 0, 4);
	ip[0] = 0x60;
	wire_put_u16(ip + 4, (uint16_t)payload);
	ip[6] = PROTOCOL_UDP;
	ip[7] = HOPS;
	memcpy(ip + 8, asked + 24, 16);
	memcpy(ip + 24, asked + 8, 16);
}

/* Its checksum is of both addresses, too; zero would mean: none. */
static void put_udp(const uint8_t *asked, uint8_t *udp, size_t len, const uint8_t *addresses,
		    size_t addresses_len)
{
	uint16_t sum;

	memcpy(udp, asked + 2, 2);
	memcpy(udp + 2, asked, 2);
	wire_put_u16(udp + 4, (uint16_t)len);
	wire_put_u16(udp + 6, 0);
	sum = checksum(sum_words(sum_words(len + PROTOCOL_UDP, addresses, addresses_len), udp, len));
	wire_put_u16(udp + 6, sum ? sum : 0xffff);
}

size_t xdp_frame_answer(const struct xdp_frame *asked, uint8_t *frame, size_t len)
{
	uint8_t *ip = frame + XDP_ETHERNET_LEN, *udp = frame + asked->head_len - XDP_UDP_LEN;
	size_t datagram = XDP_UDP_LEN + len;

	memcpy(frame, asked->bytes + STATION_LEN, STATION_LEN);
	memcpy(frame + STATION_LEN, asked->bytes, STATION_LEN);
	memcpy(frame + 2 * STATION_LEN, asked->bytes + 2 * STATION_LEN, 2);
	if (asked->is_v6) {
		put_v6(asked->bytes + XDP_ETHERNET_LEN, ip, datagram);
		put_udp(udp_of(asked), udp, datagram, ip + 8, 32);
	} else {
		put_v4(asked->bytes + XDP_ETHERNET_LEN, ip, XDP_IPV4_LEN + datagram);
		put_udp(udp_of(asked), udp, datagram, ip + 12, 8);
	}
	return asked->head_len + len;
}
