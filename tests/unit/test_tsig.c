/* SPDX-License-Identifier: ISC */
/*
 * Two witnesses: streams that dnspython signed (tsig_vectors.h), and a signer of our own here,
 * which follows RFC 8945 with one HMAC() over the whole, for streams that are long or wrong.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "cache/dns.h"
#include "cache/tsig.h"
#include "cache/wire.h"
#include "tests/unit/tsig_vectors.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define NOW VECTOR_TIME

enum { MESSAGE_MAX = 2000, PENDING_MAX = 200000 };

static struct tsig_key key;
static struct tsig_stream *stream;

static void given_key(const char *algorithm)
{
	memset(&key, 0, sizeof(key));
	name_from_text(VECTOR_KEY, key.name);
	snprintf(key.algorithm, sizeof(key.algorithm), "%s", algorithm);
	for (size_t i = 0; i < VECTOR_SECRET_LEN; i++)
		key.secret[i] = (uint8_t)i;
	key.secret_len = VECTOR_SECRET_LEN;
}

/* ---- dnspython's streams ---- */

struct vector {
	const char *algorithm;
	const uint8_t *request, *reply[3];
	size_t request_len, reply_len[3];
};

#define VECTOR(name, N) { name, N##_REQUEST, { N##_REPLY0, N##_REPLY1, N##_REPLY2 }, \
	sizeof(N##_REQUEST), { sizeof(N##_REPLY0), sizeof(N##_REPLY1), sizeof(N##_REPLY2) } }

static const struct vector vectors[] = {
	VECTOR("hmac-sha1", SHA1), VECTOR("hmac-sha224", SHA224), VECTOR("hmac-sha256", SHA256),
	VECTOR("hmac-sha384", SHA384), VECTOR("hmac-sha512", SHA512),
};

static const uint8_t QUERY[] = "\x12\x34\0\0\0\1\0\0\0\0\0\0\7example\3com\0\0\xfc\0\1";
#define QUERY_LEN (sizeof(QUERY) - 1)

static size_t sign_query(uint8_t message[MESSAGE_MAX])
{
	memcpy(message, QUERY, QUERY_LEN);
	return tsig_stream_sign(stream, message, QUERY_LEN, MESSAGE_MAX, NOW);
}

START_TEST(our_request_is_what_dnspython_would_send)
{
	const struct vector *v = &vectors[_i];
	uint8_t message[MESSAGE_MAX];

	given_key(v->algorithm);
	stream = tsig_stream_new(&key);
	ck_assert_uint_eq(sign_query(message), v->request_len);
	ck_assert_mem_eq(message, v->request, v->request_len);
	tsig_stream_free(stream);
}
END_TEST

START_TEST(a_stream_by_dnspython_verifies)
{
	const struct vector *v = &vectors[_i];
	uint8_t message[MESSAGE_MAX];
	size_t body_len;
	bool has_tsig;

	given_key(v->algorithm);
	stream = tsig_stream_new(&key);
	sign_query(message);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(tsig_stream_verify(stream, v->reply[i], v->reply_len[i], NOW, &body_len,
						    &has_tsig), TSIG_OK);
		ck_assert_int_eq(has_tsig, i != 1);
		ck_assert_uint_le(body_len, v->reply_len[i]);
		ck_assert_int_eq(tsig_stream_end(stream), i == 1 ? TSIG_MISSING : TSIG_OK);
	}
	tsig_stream_free(stream);
}
END_TEST

START_TEST(no_bit_of_a_stream_may_flip)
{
	const struct vector *v = &vectors[2];
	uint8_t message[MESSAGE_MAX], reply[MESSAGE_MAX];
	size_t body_len;
	bool has_tsig;

	given_key(v->algorithm);
	memcpy(reply, v->reply[0], v->reply_len[0]);
	for (size_t bit = 0; bit < 8 * v->reply_len[0]; bit++) {
		enum tsig_error e;

		if (bit < 16)	/* the ID is not signed; the Original ID is */
			continue;
		stream = tsig_stream_new(&key);
		sign_query(message);
		reply[bit / 8] ^= (uint8_t)(1 << bit % 8);
		e = tsig_stream_verify(stream, reply, v->reply_len[0], NOW, &body_len, &has_tsig);
		reply[bit / 8] ^= (uint8_t)(1 << bit % 8);
		tsig_stream_free(stream);
		if (e == TSIG_OK) {	/* case of the key's or algorithm's name: the same name */
			ck_assert_uint_eq(bit % 8, 5);
			ck_assert_uint_gt(bit / 8, v->reply_len[0] - 94);
		}
	}
}
END_TEST

/* ---- A signer that can be made to err ---- */

static uint8_t pending[PENDING_MAX];	/* what the next MAC goes over */
static size_t pending_len;
static bool is_first;

static void pend(const void *bytes, size_t len)
{
	ck_assert_uint_le(pending_len + len, sizeof(pending));
	memcpy(pending + pending_len, bytes, len);
	pending_len += len;
}

static void pend_mac(const uint8_t *mac, size_t len)
{
	uint8_t length[2] = { 0, (uint8_t)len };

	pending_len = 0;
	pend(length, 2);
	pend(mac, len);
}

/* What may be wrong with one message; zero is a good signature. */
struct flaw {
	const char *what;
	enum tsig_error expect;
	int64_t time_offset;
	const char *key_name, *algorithm;	/* as text; NULL: the right ones */
	uint16_t id_on_wire, error, other_len, class, ttl, fudge;
	size_t mac_len;				/* 0: whole */
	bool has_mac_len, is_twice, is_in_answer, is_not_last, has_junk, is_compressed, is_unsigned;
	int rdlength_off;
};

static size_t put_record(uint8_t *at, const struct flaw *f, uint64_t time_s, const uint8_t *mac, size_t mac_len)
{
	struct wire_out o = wire_into(at, 500);
	uint8_t owner[NAME_LEN_MAX], algorithm[NAME_LEN_MAX], other[16] = { 0 };
	size_t algorithm_len;

	name_from_text(f->key_name ? f->key_name : VECTOR_KEY, owner);
	algorithm_len = name_from_text(f->algorithm ? f->algorithm : "hmac-sha256", algorithm);
	if (f->is_compressed) {		/* to "example.com" of the question: any pointer will do */
		memcpy(algorithm, "\xc0\x0c", 2);
		algorithm_len = 2;
	}
	wire_add_bytes(&o, owner, name_len(owner));
	wire_add_u16(&o, TYPE_TSIG);
	wire_add_u16(&o, f->class ? f->class : CLASS_ANY);
	wire_add_u32(&o, f->ttl);
	wire_add_u16(&o, (uint16_t)((int)(algorithm_len + mac_len + 16 + f->other_len) + f->rdlength_off));
	wire_add_bytes(&o, algorithm, algorithm_len);
	wire_add_u16(&o, (uint16_t)(time_s >> 32));
	wire_add_u32(&o, (uint32_t)time_s);
	wire_add_u16(&o, f->fudge ? f->fudge : 300);
	wire_add_u16(&o, (uint16_t)mac_len);
	wire_add_bytes(&o, mac, mac_len);
	wire_add_bytes(&o, "\x12\x34", 2);
	wire_add_u16(&o, f->error);
	wire_add_u16(&o, f->other_len);
	wire_add_bytes(&o, other, f->other_len);
	ck_assert(!o.full);
	return o.len;
}

static void pend_variables(const struct flaw *f, uint64_t time_s)
{
	uint8_t bytes[600], other[16] = { 0 };
	struct wire_out o = wire_into(bytes, sizeof(bytes));

	if (is_first) {
		wire_add_bytes(&o, key.name, name_len(key.name));
		wire_add_bytes(&o, "\0\xff\0\0\0\0\x0bhmac-sha256", 19);
	}
	wire_add_u16(&o, (uint16_t)(time_s >> 32));
	wire_add_u32(&o, (uint32_t)time_s);
	wire_add_u16(&o, f->fudge ? f->fudge : 300);
	if (is_first) {
		wire_add_u16(&o, f->error);
		wire_add_u16(&o, f->other_len);
		wire_add_bytes(&o, other, f->other_len);
	}
	pend(bytes, o.len);
}

/* The stream's next message, with the flaw. Returns its length. */
static size_t next_message(uint8_t message[MESSAGE_MAX], const struct flaw *f)
{
	static const uint8_t BODY[] =
		"\x12\x34\x84\0\0\1\0\1\0\0\0\0\7example\3com\0\0\xfc\0\1\xc0\x0c\0\1\0\1\0\0\0\74\0\4\300\0\2\1";
	size_t len = sizeof(BODY) - 1, record_len;
	uint8_t mac[TSIG_MAC_MAX];
	unsigned mac_len = 0;

	memcpy(message, BODY, len);
	pend(message, len);
	if (f->is_unsigned)
		return len;
	pend_variables(f, NOW + (uint64_t)f->time_offset);
	HMAC(EVP_sha256(), key.secret, (int)key.secret_len, pending, pending_len, mac, &mac_len);
	pend_mac(mac, mac_len);
	is_first = false;

	record_len = put_record(message + len, f, NOW + (uint64_t)f->time_offset, mac,
				f->has_mac_len ? f->mac_len : mac_len);
	message[f->is_in_answer ? 7 : 11]++;
	if (f->is_twice) {
		memcpy(message + len + record_len, message + len, record_len);
		message[11]++;
		len += record_len;
	}
	len += record_len;
	if (f->is_not_last) {
		memcpy(message + len, "\0\0\1\0\1\0\0\0\0\0\0", 11);
		message[11]++;
		len += 11;
	}
	len += f->has_junk;
	if (f->id_on_wire)
		wire_put_u16(message, f->id_on_wire);
	return len;
}

static void given_request(void)
{
	uint8_t message[MESSAGE_MAX];
	size_t len;

	given_key("hmac-sha256");
	stream = tsig_stream_new(&key);
	len = sign_query(message);
	is_first = true;
	/* the MAC is followed by Original ID, Error and Other Len */
	pend_mac(message + len - 6 - 32, 32);
}

static void teardown(void)
{
	tsig_stream_free(stream);
}

static enum tsig_error verify(const struct flaw *f)
{
	uint8_t message[MESSAGE_MAX];
	size_t body_len, len = next_message(message, f);
	bool has_tsig;

	return tsig_stream_verify(stream, message, len, NOW, &body_len, &has_tsig);
}

static const struct flaw GOOD, UNSIGNED = { .is_unsigned = true };

static const struct { int messages, sign_each; } lengths[] = {
	{ 1, 1 }, { 2, 1 }, { 2, 100 }, { 100, 1 }, { 100, 50 }, { 101, 100 }, { 300, 1 }, { 300, 96 }, { 300, 100 },
};

START_TEST(streams_of_any_length_and_density_verify)
{
	int last = lengths[_i].messages - 1;

	for (int i = 0; i <= last; i++) {
		bool is_signed = i % lengths[_i].sign_each == 0 || i == last;

		ck_assert_int_eq(verify(is_signed ? &GOOD : &UNSIGNED), TSIG_OK);
	}
	ck_assert_int_eq(tsig_stream_end(stream), TSIG_OK);
}
END_TEST

START_TEST(ninety_nine_unsigned_are_taken_and_the_hundredth_is_not)
{
	ck_assert_int_eq(verify(&GOOD), TSIG_OK);
	for (int i = 0; i < 99; i++)
		ck_assert_int_eq(verify(&UNSIGNED), TSIG_OK);
	ck_assert_int_eq(verify(&UNSIGNED), TSIG_MISSING);
}
END_TEST

START_TEST(unsigned_first_message_is_refused)
{
	ck_assert_int_eq(verify(&UNSIGNED), TSIG_MISSING);
}
END_TEST

START_TEST(unsigned_last_message_is_told)
{
	ck_assert_int_eq(tsig_stream_end(stream), TSIG_MISSING);
	ck_assert_int_eq(verify(&GOOD), TSIG_OK);
	ck_assert_int_eq(tsig_stream_end(stream), TSIG_OK);
	ck_assert_int_eq(verify(&UNSIGNED), TSIG_OK);
	ck_assert_int_eq(tsig_stream_end(stream), TSIG_MISSING);
}
END_TEST

START_TEST(altered_unsigned_message_is_found_by_the_next_signature)
{
	uint8_t message[MESSAGE_MAX];
	size_t body_len, len;
	bool has_tsig;

	ck_assert_int_eq(verify(&GOOD), TSIG_OK);
	len = next_message(message, &UNSIGNED);
	message[len - 1] ^= 1;
	ck_assert_int_eq(tsig_stream_verify(stream, message, len, NOW, &body_len, &has_tsig), TSIG_OK);
	ck_assert_int_eq(verify(&GOOD), TSIG_BADSIG);
}
END_TEST

START_TEST(left_out_message_is_found)
{
	uint8_t message[MESSAGE_MAX];

	ck_assert_int_eq(verify(&GOOD), TSIG_OK);
	next_message(message, &GOOD);	/* lost on the way */
	ck_assert_int_eq(verify(&GOOD), TSIG_BADSIG);
}
END_TEST

static const struct flaw flaws[] = {
	{ "nothing wrong", TSIG_OK, .ttl = 0 },
	{ "an ID that a proxy rewrote", TSIG_OK, .id_on_wire = 0x4321 },
	{ "the key's name in capitals", TSIG_OK, .key_name = "TRANSFER.Example.COM." },
	{ "time at the end of fudge, behind", TSIG_OK, .time_offset = -300 },
	{ "time at the end of fudge, ahead", TSIG_OK, .time_offset = 300 },
	{ "time past fudge, behind", TSIG_BADTIME, .time_offset = -301 },
	{ "time past fudge, ahead", TSIG_BADTIME, .time_offset = 301 },
	{ "time past a small fudge", TSIG_BADTIME, .time_offset = -2, .fudge = 1 },
	{ "another key's name", TSIG_BADKEY, .key_name = "other.example.com." },
	{ "another algorithm", TSIG_BADKEY, .algorithm = "hmac-sha512" },
	{ "an algorithm that nobody has", TSIG_BADKEY, .algorithm = "hmac-nonsense" },
	{ "a MAC of no bytes", TSIG_MALFORMED, .has_mac_len = true },
	{ "a MAC of one byte", TSIG_MALFORMED, .has_mac_len = true, .mac_len = 1 },
	{ "a MAC under half the digest", TSIG_MALFORMED, .has_mac_len = true, .mac_len = 15 },
	{ "a truncated MAC", TSIG_BADTRUNC, .has_mac_len = true, .mac_len = 16 },
	{ "a MAC that is too long", TSIG_MALFORMED, .has_mac_len = true, .mac_len = 33 },
	{ "two TSIGs", TSIG_MALFORMED, .is_twice = true },
	{ "TSIG in the answer section", TSIG_MALFORMED, .is_in_answer = true },
	{ "TSIG not last", TSIG_MALFORMED, .is_not_last = true },
	{ "a byte behind TSIG", TSIG_MALFORMED, .has_junk = true },
	{ "TSIG of class IN", TSIG_MALFORMED, .class = CLASS_IN },
	{ "TSIG with a TTL", TSIG_MALFORMED, .ttl = 1 },
	{ "a compressed algorithm", TSIG_MALFORMED, .is_compressed = true },
	{ "Other Len of 1", TSIG_MALFORMED, .other_len = 1 },
	{ "Other Len of 6 without an error", TSIG_OK, .other_len = 6 },
	{ "RDLENGTH too small", TSIG_MALFORMED, .rdlength_off = -1 },
	{ "RDLENGTH too large", TSIG_MALFORMED, .rdlength_off = 1 },
	{ "BADSIG from the server", TSIG_REFUSED, .error = 16, .has_mac_len = true },
	{ "BADKEY from the server", TSIG_REFUSED, .error = 17, .has_mac_len = true },
	{ "BADTIME from the server, signed", TSIG_REFUSED, .error = 18, .other_len = 6 },
	{ "an unknown error from the server", TSIG_REFUSED, .error = 999 },
};

START_TEST(each_flaw_has_its_verdict)
{
	enum tsig_error e = verify(&flaws[_i]);

	ck_assert_msg(e == flaws[_i].expect, "%s: %s", flaws[_i].what, tsig_error_text(e));
}
END_TEST

START_TEST(each_flaw_has_its_verdict_later_in_the_stream_too)
{
	enum tsig_error e;

	ck_assert_int_eq(verify(&GOOD), TSIG_OK);
	e = verify(&flaws[_i]);
	ck_assert_msg(e == flaws[_i].expect, "%s: %s", flaws[_i].what, tsig_error_text(e));
}
END_TEST

START_TEST(errors_of_the_server_have_names)
{
	verify(&(struct flaw){ .error = 17 });
	ck_assert_str_eq(tsig_stream_peer_error(stream), "BADKEY");
}
END_TEST

START_TEST(a_request_that_does_not_fit_is_not_signed)
{
	uint8_t message[MESSAGE_MAX];

	memcpy(message, QUERY, QUERY_LEN);
	tsig_stream_free(stream);
	stream = tsig_stream_new(&key);
	ck_assert_uint_eq(tsig_stream_sign(stream, message, QUERY_LEN, QUERY_LEN + 50, NOW), 0);
	ck_assert_uint_eq(message[11], 0);
}
END_TEST

START_TEST(a_message_cut_anywhere_is_refused)
{
	uint8_t message[MESSAGE_MAX];
	size_t body_len, len = next_message(message, &GOOD);
	bool has_tsig;

	for (size_t cut = 0; cut < len; cut++)
		ck_assert_int_eq(tsig_stream_verify(stream, message, cut, NOW, &body_len, &has_tsig),
				 TSIG_MALFORMED);
}
END_TEST

/* ---- Keys ---- */

static const struct { const char *text, *bytes; } secrets[] = {
	{ "Zg==", "f" }, { "Zm8=", "fo" }, { "Zm9v", "foo" }, { "Zm9vYmFy", "foobar" },
	{ "", NULL }, { "Zg=", NULL }, { "Zg", NULL }, { "Z===", NULL }, { "====", NULL },
	{ "Zg==Zg==", NULL }, { "Zm9 ", NULL }, { "Zm9v\n", NULL }, { "Zm_v", NULL },
};

START_TEST(secrets_are_strict_base64)
{
	struct tsig_key k = { .secret_len = 0 };
	const char *bytes = secrets[_i].bytes;

	ck_assert_msg(tsig_key_set_secret(&k, secrets[_i].text) == (bytes != NULL), "'%s'", secrets[_i].text);
	ck_assert_uint_eq(k.secret_len, bytes ? strlen(bytes) : 0);
	if (bytes)
		ck_assert_mem_eq(k.secret, bytes, k.secret_len);
}
END_TEST

START_TEST(secrets_have_a_longest)
{
	struct tsig_key k = { .secret_len = 0 };
	char text[800];

	memset(text, 'A', sizeof(text));
	memcpy(text + 680, "AAA=", 5);		/* 170 quads and 2 bytes: 512 */
	ck_assert(tsig_key_set_secret(&k, text));
	ck_assert_uint_eq(k.secret_len, TSIG_SECRET_MAX);
	memcpy(text + 680, "AAAA", 5);
	ck_assert(!tsig_key_set_secret(&k, text));
}
END_TEST

START_TEST(algorithms_are_known_by_name)
{
	ck_assert(tsig_is_algorithm("hmac-sha256"));
	ck_assert(!tsig_is_algorithm("hmac-md5"));
	ck_assert(!tsig_is_algorithm(""));
}
END_TEST

static TCase *vector_cases(void)
{
	TCase *tc = tcase_create("vectors");

	tcase_add_loop_test(tc, our_request_is_what_dnspython_would_send, 0, COUNT(vectors));
	tcase_add_loop_test(tc, a_stream_by_dnspython_verifies, 0, COUNT(vectors));
	tcase_add_test(tc, no_bit_of_a_stream_may_flip);
	return tc;
}

static TCase *stream_cases(void)
{
	TCase *tc = tcase_create("stream");

	tcase_add_checked_fixture(tc, given_request, teardown);
	tcase_add_loop_test(tc, streams_of_any_length_and_density_verify, 0, COUNT(lengths));
	tcase_add_test(tc, ninety_nine_unsigned_are_taken_and_the_hundredth_is_not);
	tcase_add_test(tc, unsigned_first_message_is_refused);
	tcase_add_test(tc, unsigned_last_message_is_told);
	tcase_add_test(tc, altered_unsigned_message_is_found_by_the_next_signature);
	tcase_add_test(tc, left_out_message_is_found);
	tcase_add_loop_test(tc, each_flaw_has_its_verdict, 0, COUNT(flaws));
	tcase_add_loop_test(tc, each_flaw_has_its_verdict_later_in_the_stream_too, 0, COUNT(flaws));
	tcase_add_test(tc, errors_of_the_server_have_names);
	tcase_add_test(tc, a_request_that_does_not_fit_is_not_signed);
	tcase_add_test(tc, a_message_cut_anywhere_is_refused);
	return tc;
}

static TCase *key_cases(void)
{
	TCase *tc = tcase_create("keys");

	tcase_add_loop_test(tc, secrets_are_strict_base64, 0, COUNT(secrets));
	tcase_add_test(tc, secrets_have_a_longest);
	tcase_add_test(tc, algorithms_are_known_by_name);
	return tc;
}

int main(void)
{
	Suite *s = suite_create("tsig");
	SRunner *r;
	int failed;

	suite_add_tcase(s, vector_cases());
	suite_add_tcase(s, stream_cases());
	suite_add_tcase(s, key_cases());
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
