/* SPDX-License-Identifier: ISC */
/*
 * The other end is our own client's side (tsig.h), which test_tsig.c holds against dnspython;
 * what that does not look at (signatures of error replies) is computed here with one HMAC().
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "cache/dns.h"
#include "cache/tsig_server.h"
#include "cache/wire.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { NOW = 1700000000, ROOM = 1500, MAC_TO_END = 6 };

static const char *const algorithms[] = {
	"hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512",
};
static const uint8_t QUERY[] = "\x12\x34\0\0\0\1\0\0\0\0\0\0\7example\3com\0\0\xfc\0\1";
static const uint8_t REPLY[] =
	"\x12\x34\x84\0\0\1\0\1\0\0\0\0\7example\3com\0\0\xfc\0\1\xc0\x0c\0\1\0\1\0\0\0\74\0\4\300\0\2\1";
#define QUERY_LEN (sizeof(QUERY) - 1)
#define REPLY_LEN (sizeof(REPLY) - 1)

static struct tsig_server *server;
static struct tsig_key keys[2];		/* the server's */
static struct tsig_key client_key;
static struct tsig_stream *client;
static struct tsig_session session;
static uint8_t request[ROOM];
static size_t request_len;

static void key_init(struct tsig_key *key, const char *name, const char *algorithm, uint8_t first)
{
	memset(key, 0, sizeof(*key));
	name_from_text(name, key->name);
	snprintf(key->algorithm, sizeof(key->algorithm), "%s", algorithm);
	for (uint8_t i = 0; i < 32; i++)
		key->secret[i] = (uint8_t)(first + i);
	key->secret_len = 32;
}

/* The client's key and a signed request; the server has it as the second of two. */
static void given_request(const char *algorithm)
{
	key_init(&keys[0], "other.example.", "hmac-sha256", 100);
	key_init(&keys[1], "key.example.", algorithm, 1);
	client_key = keys[1];
	tsig_stream_free(client);
	client = tsig_stream_new(&client_key);
	memcpy(request, QUERY, QUERY_LEN);
	request_len = tsig_stream_sign(client, request, QUERY_LEN, sizeof(request), NOW);
	ck_assert_uint_gt(request_len, QUERY_LEN);
}

static void setup(void)
{
	server = tsig_server_new();
	given_request("hmac-sha256");
}

static void teardown(void)
{
	tsig_server_free(server);
	tsig_stream_free(client);
	client = NULL;
}

static enum tsig_error verify_at(uint64_t now_s)
{
	return tsig_server_verify(server, keys, COUNT(keys), request, request_len, now_s, &session);
}

static enum tsig_error verify(void)
{
	return verify_at(NOW);
}

static enum tsig_error client_takes(const uint8_t *message, size_t len)
{
	size_t body_len;
	bool has_tsig;
	enum tsig_error e = tsig_stream_verify(client, message, len, NOW, &body_len, &has_tsig);

	ck_assert(has_tsig || e != TSIG_OK);
	return e;
}

START_TEST(request_of_a_client_is_verified_and_every_reply_of_a_stream_signed)
{
	uint8_t reply[ROOM];

	given_request(algorithms[_i]);
	ck_assert_int_eq(verify(), TSIG_OK);
	ck_assert_ptr_eq(session.key, &keys[1]);
	for (int i = 0; i < 5; i++) {
		size_t len;

		memcpy(reply, REPLY, REPLY_LEN);
		len = tsig_server_sign(server, &session, reply, REPLY_LEN, sizeof(reply), NOW + 1);
		ck_assert_uint_eq(len, REPLY_LEN + tsig_server_room(&session));
		ck_assert_int_eq(client_takes(reply, len), TSIG_OK);
	}
	ck_assert_int_eq(tsig_stream_end(client), TSIG_OK);
}
END_TEST

START_TEST(replies_in_another_order_do_not_verify)
{
	uint8_t first[ROOM], second[ROOM];
	size_t len;

	ck_assert_int_eq(verify(), TSIG_OK);
	memcpy(first, REPLY, REPLY_LEN);
	tsig_server_sign(server, &session, first, REPLY_LEN, sizeof(first), NOW);
	memcpy(second, REPLY, REPLY_LEN);
	len = tsig_server_sign(server, &session, second, REPLY_LEN, sizeof(second), NOW);
	ck_assert_int_eq(client_takes(second, len), TSIG_BADSIG);
}
END_TEST

START_TEST(no_bit_of_a_request_may_flip)
{
	for (size_t bit = 16; bit < 8 * request_len; bit++) {	/* the ID is not signed */
		enum tsig_error e;

		request[bit / 8] ^= (uint8_t)(1 << bit % 8);
		e = verify();
		request[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (e == TSIG_OK)	/* the case of the key's or the algorithm's name */
			ck_assert(bit % 8 == 5 && bit / 8 > QUERY_LEN);
	}
}
END_TEST

START_TEST(a_request_cut_anywhere_is_malformed)
{
	size_t whole = request_len;

	for (request_len = 0; request_len < whole; request_len++)
		ck_assert_int_eq(verify(), TSIG_MALFORMED);
}
END_TEST

START_TEST(unsigned_request_has_no_signature)
{
	memcpy(request, QUERY, QUERY_LEN);
	request_len = QUERY_LEN;
	ck_assert_int_eq(verify(), TSIG_MISSING);
}
END_TEST

START_TEST(key_of_another_name_algorithm_or_secret)
{
	name_from_text("nobody.example.", keys[1].name);
	ck_assert_int_eq(verify(), TSIG_BADKEY);
	key_init(&keys[1], "key.example.", "hmac-sha512", 1);
	ck_assert_int_eq(verify(), TSIG_BADKEY);
	key_init(&keys[1], "KEY.example.", "hmac-sha256", 1);
	ck_assert_int_eq(verify(), TSIG_OK);	/* names have no case */
	keys[1].secret[7] ^= 1;
	ck_assert_int_eq(verify(), TSIG_BADSIG);
	ck_assert_ptr_null(session.key);
}
END_TEST

static const struct { int64_t off; enum tsig_error expect; } clocks[] = {
	{ -301, TSIG_BADTIME }, { -300, TSIG_OK }, { 0, TSIG_OK }, { 300, TSIG_OK }, { 301, TSIG_BADTIME },
};

START_TEST(time_must_be_within_fudge)
{
	ck_assert_int_eq(verify_at((uint64_t)(NOW + clocks[_i].off)), clocks[_i].expect);
}
END_TEST

/* Shortens the MAC of the request to `len` bytes. */
static void truncate_mac(size_t len)
{
	size_t mac = request_len - MAC_TO_END - 32, rdlength = mac - 2 - 8 - 13 - 2;
	uint16_t cut = (uint16_t)(32 - len);

	memmove(request + mac + len, request + mac + 32, MAC_TO_END);
	request_len -= cut;
	wire_put_u16(request + mac - 2, (uint16_t)len);
	wire_put_u16(request + rdlength, (uint16_t)(wire_get_u16(request + rdlength) - cut));
}

static const struct { size_t len; enum tsig_error expect; } mac_lengths[] = {
	{ 31, TSIG_BADTRUNC }, { 16, TSIG_BADTRUNC }, { 15, TSIG_MALFORMED }, { 1, TSIG_MALFORMED },
	{ 0, TSIG_MALFORMED },
};

START_TEST(truncated_mac_is_told_from_a_wrong_one)
{
	truncate_mac(mac_lengths[_i].len);
	ck_assert_int_eq(verify(), mac_lengths[_i].expect);
	if (mac_lengths[_i].expect == TSIG_BADTRUNC) {
		request[request_len - MAC_TO_END - 1] ^= 1;
		ck_assert_int_eq(verify(), TSIG_BADSIG);	/* the MAC is looked at first */
	}
}
END_TEST

/* ---- Error replies ---- */

/* Offset of the TSIG's fields behind the algorithm, in a reply to `request`. */
static const uint8_t *fields_of(const uint8_t *reply)
{
	return reply + REPLY_LEN + 13 + 10 + 13;	/* "key.example.", fixed part, "hmac-sha256." */
}

START_TEST(bad_keys_and_signatures_are_told_unsigned)
{
	enum tsig_error error = _i ? TSIG_BADKEY : TSIG_BADSIG;
	uint8_t reply[ROOM];
	size_t len;

	if (_i)
		name_from_text("nobody.example.", keys[1].name);
	else
		keys[1].secret[0] ^= 1;
	ck_assert_int_eq(verify(), error);
	memcpy(reply, REPLY, REPLY_LEN);
	len = tsig_server_put_error(server, &session, error, reply, REPLY_LEN, sizeof(reply), NOW);
	ck_assert_uint_eq(len, REPLY_LEN + tsig_server_room(&session));
	ck_assert_uint_eq(wire_get_u16(fields_of(reply) + 8), 0);	/* MAC size */
	ck_assert_int_eq(client_takes(reply, len), TSIG_REFUSED);
	ck_assert_str_eq(tsig_stream_peer_error(client), _i ? "BADKEY" : "BADSIG");
}
END_TEST

/* RFC 8945 s.5.3.2: over the request's MAC, the reply and all of the TSIG's variables. */
static void assert_signed(const uint8_t *reply, const uint8_t *fields, size_t other_len)
{
	uint8_t digested[ROOM], mac[TSIG_MAC_MAX];
	struct wire_out o = wire_into(digested, sizeof(digested));
	unsigned mac_len = 0;

	wire_add_u16(&o, 32);
	wire_add_bytes(&o, request + request_len - MAC_TO_END - 32, 32);
	wire_add_bytes(&o, reply, REPLY_LEN);
	digested[34 + 11]--;			/* ARCOUNT without TSIG */
	wire_add_bytes(&o, keys[1].name, 13);
	wire_add_bytes(&o, "\0\xff\0\0\0\0\13hmac-sha256", 19);
	wire_add_bytes(&o, fields, 8);		/* time and fudge */
	wire_add_bytes(&o, fields + 10 + 32 + 2, 4 + other_len);
	HMAC(EVP_sha256(), keys[1].secret, 32, digested, o.len, mac, &mac_len);
	ck_assert_uint_eq(wire_get_u16(fields + 8), 32);
	ck_assert_mem_eq(fields + 10, mac, 32);
}

START_TEST(bad_time_is_told_with_our_clock_signed_for_the_clients)
{
	uint8_t reply[ROOM];
	const uint8_t *fields = fields_of(reply);
	size_t len;

	ck_assert_int_eq(verify_at(NOW + 5000), TSIG_BADTIME);
	memcpy(reply, REPLY, REPLY_LEN);
	len = tsig_server_put_error(server, &session, TSIG_BADTIME, reply, REPLY_LEN, sizeof(reply),
				    NOW + 5000);
	ck_assert_uint_eq(len, REPLY_LEN + tsig_server_room(&session) + 6);
	ck_assert_uint_eq(wire_get_u32(fields + 2), NOW);
	ck_assert_uint_eq(wire_get_u16(fields + 10 + 32 + 2), 18);
	ck_assert_uint_eq(wire_get_u16(fields + 10 + 32 + 4), 6);
	ck_assert_uint_eq(wire_get_u32(fields + 10 + 32 + 6 + 2), NOW + 5000);
	assert_signed(reply, fields, 6);
	ck_assert_int_eq(client_takes(reply, len), TSIG_REFUSED);
	ck_assert_ptr_nonnull(strstr(tsig_stream_peer_error(client), "BADTIME, its clock is "));
}
END_TEST

START_TEST(truncation_is_told_signed_with_a_whole_mac)
{
	uint8_t reply[ROOM];
	size_t len;

	truncate_mac(16);
	ck_assert_int_eq(verify(), TSIG_BADTRUNC);
	memcpy(reply, REPLY, REPLY_LEN);
	len = tsig_server_put_error(server, &session, TSIG_BADTRUNC, reply, REPLY_LEN, sizeof(reply), NOW);
	ck_assert_uint_eq(len, REPLY_LEN + tsig_server_room(&session));
	ck_assert_uint_eq(wire_get_u16(fields_of(reply) + 8), 32);
	ck_assert_int_eq(client_takes(reply, len), TSIG_REFUSED);
	ck_assert_str_eq(tsig_stream_peer_error(client), "BADTRUNC");
}
END_TEST

START_TEST(reply_without_room_for_a_signature_stays_as_it_is)
{
	uint8_t reply[ROOM];
	size_t cap;

	ck_assert_int_eq(verify(), TSIG_OK);
	memcpy(reply, REPLY, REPLY_LEN);
	cap = REPLY_LEN + tsig_server_room(&session);
	ck_assert_uint_eq(tsig_server_sign(server, &session, reply, REPLY_LEN, cap - 1, NOW), 0);
	ck_assert_mem_eq(reply, REPLY, REPLY_LEN);
	ck_assert_uint_eq(tsig_server_sign(server, &session, reply, REPLY_LEN, cap, NOW), cap);
	ck_assert_int_eq(client_takes(reply, cap), TSIG_OK);
}
END_TEST

START_TEST(a_rewritten_id_does_not_spoil_the_reply)
{
	uint8_t reply[ROOM];
	size_t len;

	wire_put_u16(request, 0x4321);		/* some proxy did that; and undoes it for the reply */
	ck_assert_int_eq(verify(), TSIG_OK);
	memcpy(reply, REPLY, REPLY_LEN);
	wire_put_u16(reply, 0x4321);
	len = tsig_server_sign(server, &session, reply, REPLY_LEN, sizeof(reply), NOW);
	wire_put_u16(reply, 0x1234);
	ck_assert_int_eq(client_takes(reply, len), TSIG_OK);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tsig_server");
	TCase *tc = tcase_create("requests");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, request_of_a_client_is_verified_and_every_reply_of_a_stream_signed, 0,
			    COUNT(algorithms));
	tcase_add_test(tc, replies_in_another_order_do_not_verify);
	tcase_add_test(tc, no_bit_of_a_request_may_flip);
	tcase_add_test(tc, a_request_cut_anywhere_is_malformed);
	tcase_add_test(tc, unsigned_request_has_no_signature);
	tcase_add_test(tc, key_of_another_name_algorithm_or_secret);
	tcase_add_loop_test(tc, time_must_be_within_fudge, 0, COUNT(clocks));
	tcase_add_loop_test(tc, truncated_mac_is_told_from_a_wrong_one, 0, COUNT(mac_lengths));
	tcase_add_loop_test(tc, bad_keys_and_signatures_are_told_unsigned, 0, 2);
	tcase_add_test(tc, bad_time_is_told_with_our_clock_signed_for_the_clients);
	tcase_add_test(tc, truncation_is_told_signed_with_a_whole_mac);
	tcase_add_test(tc, reply_without_room_for_a_signature_stays_as_it_is);
	tcase_add_test(tc, a_rewritten_id_does_not_spoil_the_reply);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
