/* SPDX-License-Identifier: ISC */
#include "cache/tsig.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "cache/dns.h"
#include "cache/tsig_parts.h"

enum { UNSIGNED_MAX = 99 };	/* between two signed ones, RFC 8945 s.5.3.1 */

struct tsig_stream {
	const struct tsig_key *key;
	const struct tsig_algorithm *algorithm;
	uint8_t algorithm_name[NAME_LEN_MAX];
	EVP_MAC_CTX *mac;		/* has digested all since the last MAC, that one included */
	unsigned unsigned_run;		/* messages since the last signed one */
	bool is_first_done;		/* the first reply has been verified */
	uint16_t peer_error;
	char peer_text[64];
};

const char *tsig_error_text(enum tsig_error e)
{
	switch (e) {
	case TSIG_OK:		return "TSIG is good";
	case TSIG_MISSING:	return "a message that must be signed is not";
	case TSIG_MALFORMED:	return "TSIG record is malformed";
	case TSIG_BADKEY:	return "TSIG is by another key or algorithm";
	case TSIG_BADSIG:	return "TSIG does not match";
	case TSIG_BADTRUNC:	return "TSIG is truncated";
	case TSIG_BADTIME:	return "TSIG time is off; check both clocks";
	case TSIG_REFUSED:	return "server reports a TSIG error";
	}
	abort();
}

bool tsig_is_algorithm(const char *algorithm)
{
	return tsig_algorithm_find(algorithm) != NULL;
}

/* ---- Keys ---- */

static int base64_value(char c)
{
	static const char DIGITS[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(DIGITS, c) : NULL;

	return at ? (int)(at - DIGITS) : -1;
}

/* Four characters into `out`; the number of bytes they stand for, or 0. RFC 4648 s.4. */
static size_t base64_quad(const char *four, uint8_t out[3])
{
	size_t digits = 4;
	uint32_t bits = 0;

	while (digits > 2 && four[digits - 1] == '=')
		digits--;
	for (size_t i = 0; i < digits; i++) {
		int v = base64_value(four[i]);

		if (v < 0)
			return 0;
		bits |= (uint32_t)v << (18 - 6 * i);
	}
	out[0] = (uint8_t)(bits >> 16);
	out[1] = (uint8_t)(bits >> 8);
	out[2] = (uint8_t)bits;
	return digits - 1;
}

bool tsig_key_set_secret(struct tsig_key *key, const char *base64)
{
	size_t len = strlen(base64), out_len = 0;
	uint8_t secret[TSIG_SECRET_MAX + 3];
	bool is_good = len > 0 && len % 4 == 0 && len / 4 * 3 < sizeof(secret);

	for (size_t i = 0; is_good && i < len; i += 4) {
		size_t n = base64_quad(base64 + i, secret + out_len);

		out_len += n;
		is_good = n == 3 || (n > 0 && i + 4 == len);	/* padding ends it */
	}
	is_good = is_good && out_len <= TSIG_SECRET_MAX;
	if (is_good) {
		memcpy(key->secret, secret, out_len);
		key->secret_len = out_len;
	}
	OPENSSL_cleanse(secret, sizeof(secret));
	return is_good;
}

/* ---- A stream ---- */

struct tsig_stream *tsig_stream_new(const struct tsig_key *key)
{
	struct tsig_stream *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	s->key = key;
	s->algorithm = tsig_algorithm_find(key->algorithm);
	assert(s->algorithm);
	name_from_text(key->algorithm, s->algorithm_name);
	s->mac = tsig_mac_new(s->algorithm);
	tsig_mac_start(s->mac, key);
	return s;
}

void tsig_stream_free(struct tsig_stream *s)
{
	if (!s)
		return;
	EVP_MAC_CTX_free(s->mac);
	free(s);
}

/* Ends the digest, and begins the next one with this MAC: RFC 8945 s.4.3.1 and s.5.3.1. */
static void digest_turn(struct tsig_stream *s, uint8_t mac[TSIG_MAC_MAX])
{
	size_t len = tsig_mac_end(s->mac, mac);

	assert(len == s->algorithm->mac_len);
	tsig_mac_start(s->mac, s->key);
	tsig_mac_add_mac(s->mac, mac, len);
}

size_t tsig_stream_sign(struct tsig_stream *s, uint8_t *message, size_t len, size_t cap,
			uint64_t now_s)
{
	struct tsig_record r = { .time_s = now_s, .fudge = TSIG_FUDGE_S };
	uint8_t mac[TSIG_MAC_MAX];

	assert(len >= DNS_HEADER_LEN && len <= cap);
	memcpy(r.name, s->key->name, name_len(s->key->name));
	memcpy(r.algorithm, s->algorithm_name, name_len(s->algorithm_name));
	tsig_mac_add(s->mac, message, len);
	tsig_mac_add_variables(s->mac, &r, true);
	digest_turn(s, mac);
	r.mac = mac;
	r.mac_len = (uint16_t)s->algorithm->mac_len;
	r.original_id = wire_get_u16(message);
	return tsig_record_put(&r, message, len, cap);
}

/* ---- Verifying ---- */

static enum tsig_error take_unsigned(struct tsig_stream *s, const uint8_t *message, size_t len)
{
	if (!s->is_first_done || ++s->unsigned_run > UNSIGNED_MAX)
		return TSIG_MISSING;
	tsig_mac_add(s->mac, message, len);
	return TSIG_OK;
}

/* Key, then MAC, then time: the order of RFC 8945 s.5.2. */
static enum tsig_error take_signed(struct tsig_stream *s, const uint8_t *message,
				   const struct tsig_record *r, uint64_t now_s)
{
	uint8_t mac[TSIG_MAC_MAX];
	enum tsig_error e;

	if (!name_is_equal(r->name, s->key->name) ||
	    !name_is_equal(r->algorithm, s->algorithm_name))
		return TSIG_BADKEY;
	e = tsig_check_mac_len(s->algorithm, r->mac_len);
	if (e != TSIG_OK)
		return e;	/* of a truncated one, too: we ask for whole ones */
	tsig_mac_add_message(s->mac, message, r);
	tsig_mac_add_variables(s->mac, r, !s->is_first_done);
	digest_turn(s, mac);
	if (CRYPTO_memcmp(mac, r->mac, r->mac_len) != 0)
		return TSIG_BADSIG;
	if (!tsig_is_in_time(r, now_s))
		return TSIG_BADTIME;
	s->unsigned_run = 0;
	s->is_first_done = true;
	return TSIG_OK;
}

/* RFC 8945 s.5.2.3: Other Data is the server's clock. Nobody need have signed it: it is a hint. */
static void note_error(struct tsig_stream *s, const struct tsig_record *r, uint64_t now_s)
{
	uint64_t theirs;

	s->peer_error = r->error;
	if (r->error != TSIG_CODE_BADTIME || r->other_len != TSIG_TIME_LEN)
		return;
	theirs = (uint64_t)wire_get_u16(r->other) << 32 | wire_get_u32(r->other + 2);
	snprintf(s->peer_text, sizeof(s->peer_text), "BADTIME, its clock is %llu s %s ours",
		 (unsigned long long)(theirs > now_s ? theirs - now_s : now_s - theirs),
		 theirs > now_s ? "ahead of" : "behind");
}

enum tsig_error tsig_stream_verify(struct tsig_stream *s, const uint8_t *message, size_t len,
				   uint64_t now_s, size_t *body_len, bool *has_tsig)
{
	struct tsig_record r;

	*body_len = len;
	if (!tsig_record_find(message, len, &r, has_tsig))
		return TSIG_MALFORMED;
	if (!*has_tsig)
		return take_unsigned(s, message, len);
	*body_len = r.start;
	if (r.error != 0) {	/* comes unsigned or not: either way no zone, RFC 8945 s.5.3.2 */
		note_error(s, &r, now_s);
		return TSIG_REFUSED;
	}
	return take_signed(s, message, &r, now_s);
}

enum tsig_error tsig_stream_end(const struct tsig_stream *s)
{
	return s->is_first_done && s->unsigned_run == 0 ? TSIG_OK : TSIG_MISSING;
}

const char *tsig_stream_peer_error(const struct tsig_stream *s)
{
	if (s->peer_text[0])
		return s->peer_text;
	switch (s->peer_error) {
	case TSIG_CODE_BADSIG:		return "BADSIG";
	case TSIG_CODE_BADKEY:		return "BADKEY";
	case TSIG_CODE_BADTIME:		return "BADTIME";
	case TSIG_CODE_BADTRUNC:	return "BADTRUNC";
	default:			return "unknown";
	}
}
