/* SPDX-License-Identifier: ISC */
/* xdp_frame: queries in their frames, and the frames of answers. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cache/wire.h"
#include "proxy/xdp_frame.h"

enum { FRAME_MAX = 2048, V4_HEAD = 42, V6_HEAD = 62 };

static const uint8_t v4_query[] = {
	2, 0, 0, 0, 0, 1,	2, 0, 0, 0, 0, 2,	8, 0,
	0x45, 0, 0, 20 + 8 + 5,	0, 7, 0x40, 0,	64, 17, 0xb6, 0xc1,
	192, 0, 2, 2,		192, 0, 2, 1,
	0x10, 0x00,		0, 53,		0, 8 + 5,	0, 0,
	0xab, 0xcd, 'a', 'b', 'c',
};

static const uint8_t v6_query[] = {
	2, 0, 0, 0, 0, 1,	2, 0, 0, 0, 0, 2,	0x86, 0xdd,
	0x60, 0, 0, 0,		0, 8 + 5,	17, 64,
	0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
	0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
	0x10, 0x00,		0, 53,		0, 8 + 5,	0x23, 0xfa,
	0xab, 0xcd, 'a', 'b', 'c',
};

/* RFC 1071 as it is written, one byte after the other. */
static uint32_t sum_of(uint32_t sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	return sum;
}

static bool is_right(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

static void check_sums(const uint8_t *frame, size_t len, bool is_v6)
{
	const uint8_t *ip = frame + XDP_ETHERNET_LEN, *udp = frame + (is_v6 ? V6_HEAD : V4_HEAD) - 8;
	size_t datagram = len - (size_t)(udp - frame);
	uint32_t sum = sum_of((uint32_t)datagram + 17, ip + (is_v6 ? 8 : 12), is_v6 ? 32 : 8);

	ck_assert(is_v6 || is_right(sum_of(0, ip, XDP_IPV4_LEN)));
	ck_assert(is_right(sum_of(sum, udp, datagram)));
	ck_assert_uint_eq(wire_get_u16(udp + 4), datagram);
	ck_assert_uint_ne(wire_get_u16(udp + 6), 0);
}

static void put_right_sum(uint8_t *frame)
{
	uint32_t sum;

	wire_put_u16(frame + 24, 0);
	sum = sum_of(0, frame + XDP_ETHERNET_LEN, XDP_IPV4_LEN);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	wire_put_u16(frame + 24, (uint16_t)~sum);
}

START_TEST(query_is_found_in_its_frame)
{
	struct xdp_frame f;
	struct sockaddr_in6 from;
	struct in6_addr asked;
	uint16_t port;

	ck_assert(xdp_frame_parse(v4_query, sizeof(v4_query), &f));
	ck_assert(f.message == v4_query + V4_HEAD && f.message_len == 5 && f.head_len == V4_HEAD);
	xdp_frame_source(&f, &from);
	ck_assert_int_eq(from.sin6_family, AF_INET);
	ck_assert_int_eq(ntohs(((struct sockaddr_in *)&from)->sin_port), 4096);
	ck_assert_mem_eq(&((struct sockaddr_in *)&from)->sin_addr, v4_query + 26, 4);
	xdp_frame_asked(&f, &asked, &port);
	ck_assert_mem_eq(&asked, v4_query + 30, 4);
	ck_assert_uint_eq(port, 53);

	ck_assert(xdp_frame_parse(v6_query, sizeof(v6_query), &f));
	ck_assert(f.message == v6_query + V6_HEAD && f.message_len == 5 && f.head_len == V6_HEAD);
	xdp_frame_source(&f, &from);
	ck_assert_int_eq(ntohs(from.sin6_port), 4096);
	ck_assert_mem_eq(&from.sin6_addr, v6_query + 22, 16);
	xdp_frame_asked(&f, &asked, &port);
	ck_assert_mem_eq(&asked, v6_query + 38, 16);
}
END_TEST

/* Ethernet pads what is shorter than 60 bytes. */
START_TEST(padding_is_no_part_of_the_message)
{
	uint8_t padded[60] = { 0 };
	struct xdp_frame f;

	memcpy(padded, v4_query, sizeof(v4_query));
	ck_assert(xdp_frame_parse(padded, sizeof(padded), &f));
	ck_assert_uint_eq(f.message_len, 5);
}
END_TEST

START_TEST(cut_frame_is_nobodys_query)
{
	struct xdp_frame f;

	for (size_t len = 0; len < sizeof(v4_query); len++) {
		uint8_t *exact = malloc(len ? len : 1);	/* for the sanitizer */

		memcpy(exact, v4_query, len);
		ck_assert(!xdp_frame_parse(exact, len, &f));
		free(exact);
	}
	for (size_t len = 0; len < sizeof(v6_query); len++)
		ck_assert(!xdp_frame_parse(v6_query, len, &f));
}
END_TEST

/* Each with a right sum of its IPv4 header: that is not what it is known by. */
static const struct { bool is_v6; unsigned at, value; const char *what; } lies[] = {
	{ false, 0, 0xff, "to many stations" },
	{ false, 6, 0x33, "from many stations" },
	{ false, 12, 0x81, "a VLAN tag" },
	{ false, 14, 0x46, "IPv4 with options" },
	{ false, 14, 0x65, "another version" },
	{ false, 17, 20 + 8 + 6, "longer than the frame" },
	{ false, 17, 19, "shorter than its header" },
	{ false, 17, 20 + 7, "no room for UDP" },
	{ false, 17, 20 + 8 + 4, "shorter than UDP says" },
	{ false, 20, 0x20, "more fragments" },
	{ false, 21, 1, "a later fragment" },
	{ false, 23, 6, "TCP" },
	{ false, 26, 0, "from no network" },
	{ false, 26, 127, "from loopback" },
	{ false, 26, 224, "from a group" },
	{ false, 26, 255, "from all" },
	{ false, 34, 0, "from port 0" },
	{ false, 39, 7, "a datagram without its header" },
	{ false, 38, 1, "a datagram longer than its packet" },
	{ true, 0, 0x33, "to many stations" },
	{ true, 14, 0x40, "another version" },
	{ true, 19, 8 + 6, "longer than the frame" },
	{ true, 20, 44, "a fragment" },
	{ true, 22, 0xff, "from a group" },
	{ true, 54, 0, "from port 0" },
	{ true, 59, 7, "a datagram without its header" },
};

START_TEST(frame_that_lies_is_nobodys_query)
{
	uint8_t frame[sizeof(v6_query)];
	size_t len = lies[_i].is_v6 ? sizeof(v6_query) : sizeof(v4_query);
	struct xdp_frame f;

	memcpy(frame, lies[_i].is_v6 ? v6_query : v4_query, len);
	frame[lies[_i].at] = (uint8_t)lies[_i].value;
	if (!lies[_i].is_v6)
		put_right_sum(frame);
	ck_assert_msg(!xdp_frame_parse(frame, len, &f), "%s", lies[_i].what);
}
END_TEST

/* RFC 1122 s.3.2.1.2, RFC 8200 s.8.1 */
START_TEST(frame_with_a_wrong_sum_is_nobodys_query)
{
	uint8_t frame[sizeof(v6_query)];
	struct xdp_frame f;

	for (unsigned bit = 0; bit < 8 * XDP_IPV4_LEN; bit++) {
		memcpy(frame, v4_query, sizeof(v4_query));
		frame[XDP_ETHERNET_LEN + bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert(!xdp_frame_parse(frame, sizeof(v4_query), &f));
	}
	memcpy(frame, v6_query, sizeof(frame));
	wire_put_u16(frame + V6_HEAD - 2, 0);
	ck_assert(!xdp_frame_parse(frame, sizeof(frame), &f));
}
END_TEST

START_TEST(nobody_is_at_the_unspecified_address_or_at_loopback)
{
	uint8_t frame[sizeof(v6_query)];
	struct xdp_frame f;

	memcpy(frame, v6_query, sizeof(frame));
	memset(frame + 22, 0, 16);
	ck_assert(!xdp_frame_parse(frame, sizeof(frame), &f));
	frame[37] = 1;
	ck_assert(!xdp_frame_parse(frame, sizeof(frame), &f));
	frame[37] = 2;
	ck_assert(xdp_frame_parse(frame, sizeof(frame), &f));
}
END_TEST

/* Each length, so each rest of what sums are made of. */
START_TEST(answer_goes_back_with_right_sums)
{
	const uint8_t *query = _i ? v6_query : v4_query;
	struct xdp_frame f, back;
	uint8_t frame[FRAME_MAX];

	ck_assert(xdp_frame_parse(query, _i ? sizeof(v6_query) : sizeof(v4_query), &f));
	for (size_t len = 2; len < 1300; len++) {
		size_t whole;

		memset(frame, 0xff, sizeof(frame));
		for (size_t i = 0; i < len; i++)
			frame[f.head_len + i] = (uint8_t)(i * 37 + len);
		whole = xdp_frame_answer(&f, frame, len);
		ck_assert_uint_eq(whole, f.head_len + len);
		check_sums(frame, whole, _i);
		ck_assert(_i || wire_get_u16(frame + 20) == 0x4000);	/* DF, and no fragment */
		ck_assert_mem_eq(frame, query + 6, 6);
		ck_assert_mem_eq(frame + 6, query, 6);
		ck_assert(xdp_frame_parse(frame, whole, &back));
		ck_assert_uint_eq(back.message_len, len);
		ck_assert_mem_eq(frame + f.head_len - 8, query + f.head_len - 6, 2);
		ck_assert_mem_eq(frame + f.head_len - 6, query + f.head_len - 8, 2);
	}
}
END_TEST

/* A sum that comes out as zero is sent as all ones: zero says that there is none (RFC 768). */
START_TEST(sum_of_zero_is_sent_as_ones)
{
	struct xdp_frame f;
	uint8_t frame[FRAME_MAX];
	unsigned seen = 0;

	ck_assert(xdp_frame_parse(v4_query, sizeof(v4_query), &f));
	for (unsigned v = 0; v <= UINT16_MAX; v++) {
		wire_put_u16(frame + V4_HEAD, (uint16_t)v);
		check_sums(frame, xdp_frame_answer(&f, frame, 2), false);
		seen += wire_get_u16(frame + V4_HEAD - 2) == UINT16_MAX;
	}
	ck_assert_uint_ge(seen, 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("xdp_frame");
	TCase *tc = tcase_create("frames");

	suite_add_tcase(s, tc);
	tcase_add_test(tc, query_is_found_in_its_frame);
	tcase_add_test(tc, padding_is_no_part_of_the_message);
	tcase_add_test(tc, cut_frame_is_nobodys_query);
	tcase_add_loop_test(tc, frame_that_lies_is_nobodys_query, 0, (int)(sizeof(lies) / sizeof(*lies)));
	tcase_add_test(tc, frame_with_a_wrong_sum_is_nobodys_query);
	tcase_add_test(tc, nobody_is_at_the_unspecified_address_or_at_loopback);
	tcase_add_loop_test(tc, answer_goes_back_with_right_sums, 0, 2);
	tcase_add_test(tc, sum_of_zero_is_sent_as_ones);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
