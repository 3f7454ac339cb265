/* SPDX-License-Identifier: ISC */
/*
 * A server of OpenSSL's own at the other end of a pair of sockets, with certificates that are
 * made here; both ends are driven by turns.
 */
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "cache/tls.h"
#include "tests/temporary.h"
#include "tests/unit/certificate.h"

#define NAME "ns1.example.com"

enum { CERT_PATH_MAX = 256 };

static char folder[128];
static char ca_path[CERT_PATH_MAX], other_path[CERT_PATH_MAX];
static EVP_PKEY *key;
static X509 *cert;
static char pin_text[TLS_PIN_TEXT_MAX];
static SSL_CTX *server_context;
static SSL *server;
static int fds[2];
static struct tls_settings settings;
static char problem[TLS_PROBLEM_MAX];
static const char *server_alpn;

/* ---- Certificates ---- */

static void write_cert(char path[CERT_PATH_MAX], const char *label, X509 *x)
{
	snprintf(path, CERT_PATH_MAX, "%s/%s", folder, label);
	certificate_write(x, path);
}

static void make_pin(void)
{
	unsigned char *der = NULL;
	uint8_t pin[TLS_PIN_LEN];
	int len = i2d_PUBKEY(key, &der);

	ck_assert_int_gt(len, 0);
	EVP_Digest(der, (size_t)len, pin, NULL, EVP_sha256(), NULL);
	OPENSSL_free(der);
	tls_pin_text(pin, pin_text);
}

static void make_certificates(void)
{
	EVP_PKEY *other = EVP_EC_gen("P-256");

	ck_assert_ptr_nonnull(mkdtemp(temporary_path(folder, sizeof(folder), "test_tls")));
	key = EVP_EC_gen("P-256");
	cert = certificate_new(key, NAME);
	make_pin();
	write_cert(ca_path, "ca", cert);
	X509 *x = certificate_new(other, NAME);

	write_cert(other_path, "other", x);
	X509_free(x);
	EVP_PKEY_free(other);
}

static void drop_certificates(void)
{
	unlink(ca_path);
	unlink(other_path);
	rmdir(folder);
	X509_free(cert);
	EVP_PKEY_free(key);
}

/* ---- The server ---- */

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen,
		   const unsigned char *in, unsigned inlen, void *arg)
{
	(void)ssl;
	(void)arg;
	ck_assert_uint_eq(inlen, 4);
	ck_assert_mem_eq(in, "\3dot", 4);
	if (!server_alpn)
		return SSL_TLSEXT_ERR_NOACK;
	*out = (const unsigned char *)server_alpn;
	*outlen = (unsigned char)strlen(server_alpn);
	return SSL_TLSEXT_ERR_OK;
}

static void setup(void)
{
	server_alpn = "dot";
	memset(&settings, 0, sizeof(settings));
	settings.needs_alpn = true;
	server_context = SSL_CTX_new(TLS_server_method());
	SSL_CTX_use_certificate(server_context, cert);
	SSL_CTX_use_PrivateKey(server_context, key);
	SSL_CTX_set_alpn_select_cb(server_context, on_alpn, NULL);
	server = SSL_new(server_context);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	SSL_set_fd(server, fds[1]);
	SSL_set_accept_state(server);
}

static void teardown(void)
{
	SSL_free(server);
	SSL_CTX_free(server_context);
	close(fds[0]);
	if (fds[1] >= 0)
		close(fds[1]);
}

static struct tls *client(void)
{
	struct tls_profile *p = tls_profile_new(&settings, problem);

	ck_assert_msg(p, "%s", problem);
	struct tls *t = tls_new(p, fds[0]);

	tls_profile_free(p);	/* the connection keeps it */
	return t;
}

/* How the client's handshake ends. */
static enum tls_status shake(struct tls *t)
{
	for (int i = 0; i < 20; i++) {
		enum tls_status status = tls_handshake(t);

		if (status != TLS_WAIT)
			return status;
		SSL_do_handshake(server);
	}
	return TLS_WAIT;
}

static void by_name(const char *name, const char *ca)
{
	snprintf(settings.name, sizeof(settings.name), "%s", name);
	snprintf(settings.ca, sizeof(settings.ca), "%s", ca);
}

static void by_pin(const char *text)
{
	ck_assert(tls_pin_parse(text, settings.pins.pins[settings.pins.count++]));
}

static void expect_failure(const char *reason)
{
	struct tls *t = client();

	ck_assert_int_eq(shake(t), TLS_FAILED);
	ck_assert_msg(strstr(tls_reason(t), reason), "%s", tls_reason(t));
	tls_free(t);
}

/* ---- Pins ---- */

static const struct { const char *text; bool is_pin; } pins[] = {
	{ "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", true },
	{ "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", true },
	{ "", false },
	{ "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU", false },	/* cut short */
	{ "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU==", false },
	{ "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuF==", false },	/* 31 bytes */
	{ "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFUA", false },	/* 33 */
	{ "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=", false },	/* bits behind the end */
	{ "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=", false },	/* of URLs */
	{ "47DEQpj8HBSa =====5JCeuQeRkm5NMpJWZG3hSuFU= ", false },
	{ "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", false },
};

START_TEST(pins_are_base64_of_32_bytes)
{
	char again[TLS_PIN_TEXT_MAX];
	uint8_t pin[TLS_PIN_LEN];

	ck_assert_msg(tls_pin_parse(pins[_i].text, pin) == pins[_i].is_pin, "%s", pins[_i].text);
	if (pins[_i].is_pin)
		ck_assert_str_eq(tls_pin_text(pin, again), pins[_i].text);
}
END_TEST

/* ---- Who is believed ---- */

START_TEST(name_and_authority_are_believed)
{
	by_name(NAME, ca_path);
	struct tls *t = client();

	ck_assert_int_eq(shake(t), TLS_OK);
	tls_free(t);
}
END_TEST

START_TEST(pin_is_believed)
{
	by_pin("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
	by_pin(pin_text);	/* one of several is enough */
	struct tls *t = client();

	ck_assert_int_eq(shake(t), TLS_OK);
	tls_free(t);
}
END_TEST

START_TEST(others_are_not)
{
	by_name("ns2.example.com", ca_path);
	expect_failure("is not for ns2.example.com");
}
END_TEST

START_TEST(subject_is_no_name)
{
	by_name("subject.example.com", ca_path);
	expect_failure("is not for subject.example.com");
}
END_TEST

START_TEST(unknown_authority_is_not_believed)
{
	by_name(NAME, other_path);
	expect_failure("nobody whom we trust has signed");
}
END_TEST

START_TEST(pin_is_asked_for_beside_the_name)
{
	by_name(NAME, ca_path);
	by_pin("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
	expect_failure(pin_text);
}
END_TEST

START_TEST(name_is_asked_for_beside_the_pin)
{
	by_name("ns2.example.com", ca_path);
	by_pin(pin_text);
	expect_failure("is not for ns2.example.com");
}
END_TEST

START_TEST(settings_that_ask_for_nothing_trust_nobody)
{
	expect_failure("not the pinned one");
}
END_TEST

START_TEST(older_versions_are_refused)
{
	by_pin(pin_text);
	SSL_set_max_proto_version(server, TLS1_2_VERSION);
	expect_failure("does not speak TLS 1.3");
}
END_TEST

START_TEST(another_protocol_is_refused)
{
	by_pin(pin_text);
	settings.needs_alpn = false;
	server_alpn = "h2";
	expect_failure("");
}
END_TEST

START_TEST(no_protocol_is_refused_unless_allowed)
{
	by_pin(pin_text);
	server_alpn = NULL;
	if (_i == 0) {
		expect_failure("tls-require-alpn");
		return;
	}
	settings.needs_alpn = false;
	struct tls *t = client();

	ck_assert_int_eq(shake(t), TLS_OK);
	tls_free(t);
}
END_TEST

/* ---- Bytes ---- */

static struct tls *shaken(void)
{
	by_pin(pin_text);
	struct tls *t = client();

	ck_assert_int_eq(shake(t), TLS_OK);
	SSL_do_handshake(server);
	return t;
}

/* As the loop does it: again for as long as the socket is readable. */
static enum tls_status read_on(struct tls *t, uint8_t *to, size_t room, size_t *n)
{
	struct pollfd p = { .fd = fds[0], .events = POLLIN };
	enum tls_status status;

	do
		status = tls_read(t, to, room, n);
	while (status == TLS_WAIT && poll(&p, 1, 0) == 1);
	return status;
}

START_TEST(bytes_go_both_ways)
{
	static uint8_t sent[16384], got[16384];
	struct tls *t = shaken();
	size_t len = 0, n;

	ck_assert_int_eq(read_on(t, got, sizeof(got), &n), TLS_WAIT);
	ck_assert(!tls_wants_write(t));
	ck_assert_int_eq(tls_write(t, (const uint8_t *)"ask", 3, &n), TLS_OK);
	ck_assert_int_eq(SSL_read(server, got, 16), 3);
	memset(sent, 7, sizeof(sent));
	ck_assert_int_eq(SSL_write(server, sent, sizeof(sent)), sizeof(sent));
	ck_assert_int_eq(tls_read(t, got, 100, &n), TLS_OK);
	ck_assert(tls_has_pending(t));		/* though the socket is empty */
	for (len = n; len < sizeof(sent); len += n)
		ck_assert_int_eq(tls_read(t, got + len, sizeof(got) - len, &n), TLS_OK);
	ck_assert(!tls_has_pending(t));
	ck_assert_mem_eq(got, sent, sizeof(sent));
	tls_free(t);
}
END_TEST

/* Messages of the handshake, one behind the other, are no bytes: others want their turn. */
START_TEST(peer_that_only_changes_keys_does_not_keep_us)
{
	struct tls *t = shaken();
	int left = 0;
	uint8_t got[16];
	size_t n;

	for (int i = 0; i < 50; i++) {
		ck_assert_int_eq(SSL_key_update(server, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		ck_assert_int_eq(SSL_do_handshake(server), 1);
	}
	ck_assert_int_eq(tls_read(t, got, sizeof(got), &n), TLS_WAIT);
	ck_assert_int_eq(ioctl(fds[0], FIONREAD, &left), 0);
	ck_assert_int_gt(left, 1000);
	ck_assert_int_eq(SSL_write(server, "zone", 4), 4);
	ck_assert_int_eq(read_on(t, got, sizeof(got), &n), TLS_OK);
	ck_assert_uint_eq(n, 4);
	tls_free(t);
}
END_TEST

START_TEST(end_is_seen_with_and_without_good_bye)
{
	struct tls *t = shaken();
	uint8_t got[16];
	size_t n;

	if (_i == 0)
		SSL_shutdown(server);
	close(fds[1]);
	fds[1] = -1;
	enum tls_status status = read_on(t, got, sizeof(got), &n);

	ck_assert_int_eq(status, TLS_CLOSED);
	ck_assert_int_eq(tls_write(t, got, 1, &n) == TLS_OK, 0);	/* and no SIGPIPE */
	tls_free(t);
}
END_TEST

/* It has gone before we come to read, and our next write fails: what it said is not lost. */
START_TEST(alert_of_a_peer_that_is_gone_is_heard_when_a_write_fails)
{
	SSL_set_verify(server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	by_pin(pin_text);
	struct tls *t = client();
	size_t n;

	ck_assert_int_eq(shake(t), TLS_OK);
	ck_assert_int_ne(SSL_do_handshake(server), 1);
	close(fds[1]);
	fds[1] = -1;
	ck_assert_int_eq(tls_write(t, (const uint8_t *)"ask", 3, &n), TLS_FAILED);
	ck_assert_msg(strstr(tls_reason(t), "does not take our certificate"), "%s", tls_reason(t));
	tls_free(t);
}
END_TEST

START_TEST(peer_that_breaks_the_record_is_not_believed)
{
	struct tls *t = shaken();
	uint8_t got[16];
	size_t n;

	ck_assert_int_eq(write(fds[1], "\x17\x03\x03\x00\x20 this is no record of theirs, it is", 37), 37);
	ck_assert_int_eq(read_on(t, got, sizeof(got), &n), TLS_FAILED);
	ck_assert_ptr_eq(strstr(tls_reason(t), "TLS: "), tls_reason(t));
	tls_free(t);
}
END_TEST

START_TEST(garbage_is_no_handshake)
{
	by_pin(pin_text);
	struct tls *t = client();

	ck_assert_int_eq(tls_handshake(t), TLS_WAIT);
	ck_assert_int_eq(write(fds[1], "220 mail.example.com\r\n", 22), 22);
	ck_assert_int_eq(tls_handshake(t), TLS_FAILED);
	ck_assert_ptr_nonnull(strstr(tls_reason(t), "does not speak TLS: "));
	tls_free(t);
}
END_TEST

/* ---- Profiles ---- */

START_TEST(profiles_differ_by_what_the_files_hold)
{
	by_name(NAME, ca_path);
	struct tls_profile *a = tls_profile_new(&settings, problem);
	struct tls_profile *b = tls_profile_new(&settings, problem), *c;

	ck_assert(tls_profile_is_equal(a, b));
	ck_assert(!tls_profile_is_equal(a, NULL) && tls_profile_is_equal(NULL, NULL));
	FILE *f = fopen(ca_path, "a");

	fputs("# another line\n", f);
	fclose(f);
	c = tls_profile_new(&settings, problem);
	ck_assert(!tls_profile_is_equal(a, c));
	tls_profile_free(a);
	tls_profile_free(tls_profile_keep(b));
	tls_profile_free(b);
	tls_profile_free(c);
}
END_TEST

START_TEST(files_are_bounded)
{
	char path[CERT_PATH_MAX];

	snprintf(path, sizeof(path), "%s/long", folder);
	FILE *f = fopen(path, "w");

	ck_assert_int_eq(ftruncate(fileno(f), TLS_FILE_MAX + 1), 0);
	fclose(f);
	by_name(NAME, path);
	ck_assert_ptr_null(tls_profile_new(&settings, problem));
	ck_assert_ptr_nonnull(strstr(problem, "over 1 MiB"));
	unlink(path);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tls");
	TCase *tc = tcase_create("tls");

	tcase_add_unchecked_fixture(tc, make_certificates, drop_certificates);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, pins_are_base64_of_32_bytes, 0, sizeof(pins) / sizeof(pins[0]));
	tcase_add_test(tc, name_and_authority_are_believed);
	tcase_add_test(tc, pin_is_believed);
	tcase_add_test(tc, others_are_not);
	tcase_add_test(tc, subject_is_no_name);
	tcase_add_test(tc, unknown_authority_is_not_believed);
	tcase_add_test(tc, pin_is_asked_for_beside_the_name);
	tcase_add_test(tc, name_is_asked_for_beside_the_pin);
	tcase_add_test(tc, settings_that_ask_for_nothing_trust_nobody);
	tcase_add_test(tc, older_versions_are_refused);
	tcase_add_test(tc, another_protocol_is_refused);
	tcase_add_loop_test(tc, no_protocol_is_refused_unless_allowed, 0, 2);
	tcase_add_test(tc, bytes_go_both_ways);
	tcase_add_test(tc, peer_that_only_changes_keys_does_not_keep_us);
	tcase_add_loop_test(tc, end_is_seen_with_and_without_good_bye, 0, 2);
	tcase_add_test(tc, alert_of_a_peer_that_is_gone_is_heard_when_a_write_fails);
	tcase_add_test(tc, peer_that_breaks_the_record_is_not_believed);
	tcase_add_test(tc, garbage_is_no_handshake);
	tcase_add_test(tc, profiles_differ_by_what_the_files_hold);
	tcase_add_test(tc, files_are_bounded);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);

	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);

	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
