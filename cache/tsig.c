/* SPDX-License-Identifier: ISC */
#include "cache/tsig.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "cache/dns.h"
#include "cache/wire.h"

enum {
	FUDGE_S = 300,		/* RFC 8945 s.10 recommends it */
	UNSIGNED_MAX = 99,	/* between two signed ones, RFC 8945 s.5.3.1 */
	BADTIME_OTHER_LEN = 6,	/* the server's clock, RFC 8945 s.5.2.3 */
	MAC_LEN_MIN = 10,	/* or half the digest when longer, RFC 8945 s.5.2.2.1 */
	ERROR_BADSIG = 16, ERROR_BADKEY = 17, ERROR_BADTIME = 18, ERROR_BADTRUNC = 22,
};

struct algorithm {
	const char *name;	/* also its domain name, of one label */
	const char *digest;	/* OpenSSL's name */
	size_t mac_len;
};

/* RFC 8945 s.6. MD5 is left out: nobody should start with it now. */
static const struct algorithm ALGORITHMS[] = {
	{ "hmac-sha1",   "SHA1",   20 },
	{ "hmac-sha224", "SHA224", 28 },
	{ "hmac-sha256", "SHA256", 32 },
	{ "hmac-sha384", "SHA384", 48 },
	{ "hmac-sha512", "SHA512", 64 },
};

struct tsig_stream {
	const struct tsig_key *key;
	const struct algorithm *algorithm;
	uint8_t algorithm_name[NAME_LEN_MAX];
	EVP_MAC_CTX *mac;		/* has digested all since the last MAC, that one included */
	unsigned unsigned_run;		/* messages since the last signed one */
	bool is_first_done;		/* the first reply has been verified */
	uint16_t peer_error;
};

/* A TSIG record as it stands in a message. */
struct record {
	size_t start;			/* where it begins: the end of the message proper */
	uint8_t name[NAME_LEN_MAX];
	uint8_t algorithm[NAME_LEN_MAX];
	uint64_t time_s;
	uint16_t fudge, mac_len, original_id, error, other_len;
	const uint8_t *mac, *other;
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

static const struct algorithm *algorithm_find(const char *name)
{
	for (size_t i = 0; i < sizeof(ALGORITHMS) / sizeof(ALGORITHMS[0]); i++)
		if (strcmp(ALGORITHMS[i].name, name) == 0)
			return &ALGORITHMS[i];
	return NULL;
}

bool tsig_is_algorithm(const char *algorithm)
{
	return algorithm_find(algorithm) != NULL;
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

/* ---- The running digest ---- */

/* HMAC over memory fails only when memory is short. */
static void must(int ok)
{
	if (!ok)
		abort();
}

static void digest(struct tsig_stream *s, const uint8_t *bytes, size_t len)
{
	must(EVP_MAC_update(s->mac, bytes, len));
}

static void digest_start(struct tsig_stream *s)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
						 (char *)(uintptr_t)s->algorithm->digest, 0),
		OSSL_PARAM_construct_end(),
	};

	must(EVP_MAC_init(s->mac, s->key->secret, s->key->secret_len, params));
}

/* Ends the digest, and begins the next one with this MAC: RFC 8945 s.4.3.1 and s.5.3.1. */
static void digest_turn(struct tsig_stream *s, uint8_t mac[TSIG_MAC_MAX])
{
	size_t len = 0;
	uint8_t length[2];

	must(EVP_MAC_final(s->mac, mac, &len, TSIG_MAC_MAX));
	assert(len == s->algorithm->mac_len);
	digest_start(s);
	wire_put_u16(length, (uint16_t)len);
	digest(s, length, sizeof(length));
	digest(s, mac, len);
}

/* RFC 8945 s.4.3.3: the TSIG variables; later messages of a stream have the timers only. */
static void digest_variables(struct tsig_stream *s, const struct record *r)
{
	uint8_t bytes[2 * NAME_LEN_MAX + 18 + BADTIME_OTHER_LEN];
	struct wire_out o = wire_into(bytes, sizeof(bytes));
	bool is_whole = !s->is_first_done;

	if (is_whole) {
		wire_add_bytes(&o, s->key->name, name_len(s->key->name));
		wire_add_u16(&o, CLASS_ANY);
		wire_add_u32(&o, 0);
		wire_add_bytes(&o, s->algorithm_name, name_len(s->algorithm_name));
	}
	wire_add_u16(&o, (uint16_t)(r->time_s >> 32));
	wire_add_u32(&o, (uint32_t)r->time_s);
	wire_add_u16(&o, r->fudge);
	if (is_whole) {
		wire_add_u16(&o, r->error);
		wire_add_u16(&o, r->other_len);
		wire_add_bytes(&o, r->other, r->other_len);
	}
	assert(!o.full);
	digest(s, bytes, o.len);
}

struct tsig_stream *tsig_stream_new(const struct tsig_key *key)
{
	struct tsig_stream *s = calloc(1, sizeof(*s));
	EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);

	if (!s || !hmac || !(s->mac = EVP_MAC_CTX_new(hmac)))
		abort();
	EVP_MAC_free(hmac);	/* the context keeps its own reference */
	s->key = key;
	s->algorithm = algorithm_find(key->algorithm);
	assert(s->algorithm);
	name_from_text(key->algorithm, s->algorithm_name);
	digest_start(s);
	return s;
}

void tsig_stream_free(struct tsig_stream *s)
{
	if (!s)
		return;
	EVP_MAC_CTX_free(s->mac);
	free(s);
}

/* ---- Signing ---- */

size_t tsig_stream_sign(struct tsig_stream *s, uint8_t *message, size_t len, size_t cap,
			uint64_t now_s)
{
	struct record r = { .time_s = now_s, .fudge = FUDGE_S };
	struct wire_out o = wire_into(message, cap);
	uint8_t mac[TSIG_MAC_MAX];
	size_t algorithm_len = name_len(s->algorithm_name), mac_len = s->algorithm->mac_len;

	assert(len >= DNS_HEADER_LEN && len <= cap);
	digest(s, message, len);
	digest_variables(s, &r);
	digest_turn(s, mac);

	o.len = len;
	wire_add_bytes(&o, s->key->name, name_len(s->key->name));
	wire_add_u16(&o, TYPE_TSIG);
	wire_add_u16(&o, CLASS_ANY);
	wire_add_u32(&o, 0);
	wire_add_u16(&o, (uint16_t)(algorithm_len + mac_len + 16));
	wire_add_bytes(&o, s->algorithm_name, algorithm_len);
	wire_add_u16(&o, (uint16_t)(now_s >> 32));
	wire_add_u32(&o, (uint32_t)now_s);
	wire_add_u16(&o, FUDGE_S);
	wire_add_u16(&o, (uint16_t)mac_len);
	wire_add_bytes(&o, mac, mac_len);
	wire_add_bytes(&o, message, 2);	/* Original ID */
	wire_add_u16(&o, 0);		/* Error */
	wire_add_u16(&o, 0);		/* Other Len */
	if (o.full)
		return 0;
	wire_put_u16(message + 10, (uint16_t)(wire_get_u16(message + 10) + 1));
	return o.len;
}

/* ---- Finding the record ---- */

static void skip_questions(struct wire *w, unsigned count)
{
	uint8_t name[NAME_LEN_MAX];

	for (; count > 0 && !w->bad; count--) {
		name_parse(w, name);
		wire_skip(w, 4);
	}
}

/* Skips records; none of them may be a TSIG. */
static void skip_records(struct wire *w, unsigned count)
{
	uint8_t name[NAME_LEN_MAX];

	for (; count > 0 && !w->bad; count--) {
		name_parse(w, name);
		if (wire_u16(w) == TYPE_TSIG)
			w->bad = true;
		wire_skip(w, 6);
		wire_skip(w, wire_u16(w));
	}
}

/* RFC 8945 s.4.2. The algorithm's name is never compressed. */
static void parse_rdata(struct wire *w, struct record *r)
{
	size_t rdata_len = wire_u16(w), rdata = w->pos;
	size_t algorithm_len = name_parse(w, r->algorithm);

	if (w->pos - rdata != algorithm_len)
		w->bad = true;
	r->time_s = (uint64_t)wire_u16(w) << 32;
	r->time_s |= wire_u32(w);
	r->fudge = wire_u16(w);
	r->mac_len = wire_u16(w);
	r->mac = wire_bytes(w, r->mac_len);
	r->original_id = wire_u16(w);
	r->error = wire_u16(w);
	r->other_len = wire_u16(w);
	r->other = wire_bytes(w, r->other_len);
	if (w->pos - rdata != rdata_len || (r->other_len != 0 && r->other_len != BADTIME_OTHER_LEN))
		w->bad = true;
}

/*
 * Walks the message. False when it does not parse, or has TSIG anywhere but last: one that
 * is accepted elsewhere would let what follows it go unsigned (RFC 8945 s.5.1).
 */
static bool find_record(const uint8_t *message, size_t len, struct record *r, bool *has_tsig)
{
	struct wire w = wire_over(message, len);
	unsigned additional;
	uint16_t type;

	*has_tsig = false;
	if (len < DNS_HEADER_LEN)
		return false;
	w.pos = DNS_HEADER_LEN;
	skip_questions(&w, wire_get_u16(message + 4));
	skip_records(&w, wire_get_u16(message + 6));
	skip_records(&w, wire_get_u16(message + 8));
	additional = wire_get_u16(message + 10);
	if (additional > 0) {
		skip_records(&w, additional - 1);
		r->start = w.pos;
		name_parse(&w, r->name);
		type = wire_u16(&w);
		*has_tsig = !w.bad && type == TYPE_TSIG;
	}
	if (*has_tsig) {
		if (wire_u16(&w) != CLASS_ANY || wire_u32(&w) != 0)
			w.bad = true;
		parse_rdata(&w, r);
	} else if (additional > 0) {
		wire_skip(&w, 6);
		wire_skip(&w, wire_u16(&w));
	}
	return !w.bad && w.pos == len;
}

/* ---- Verifying ---- */

static enum tsig_error take_unsigned(struct tsig_stream *s, const uint8_t *message, size_t len)
{
	if (!s->is_first_done || ++s->unsigned_run > UNSIGNED_MAX)
		return TSIG_MISSING;
	digest(s, message, len);
	return TSIG_OK;
}

/* RFC 8945 s.5.2.2.1: neither longer than the digest nor too short to mean anything. */
static enum tsig_error check_mac_len(const struct tsig_stream *s, size_t len)
{
	size_t whole = s->algorithm->mac_len;
	size_t least = whole / 2 > MAC_LEN_MIN ? whole / 2 : MAC_LEN_MIN;

	if (len > whole || len < least)
		return TSIG_MALFORMED;
	return len == whole ? TSIG_OK : TSIG_BADTRUNC;
}

/* The message as its signer saw it: with its own ID, without TSIG. RFC 8945 s.4.3.2. */
static void digest_message(struct tsig_stream *s, const uint8_t *message, const struct record *r)
{
	uint8_t header[DNS_HEADER_LEN];

	memcpy(header, message, sizeof(header));
	wire_put_u16(header, r->original_id);
	wire_put_u16(header + 10, (uint16_t)(wire_get_u16(header + 10) - 1));
	digest(s, header, sizeof(header));
	digest(s, message + sizeof(header), r->start - sizeof(header));
}

/* Key, then MAC, then time: the order of RFC 8945 s.5.2. */
static enum tsig_error take_signed(struct tsig_stream *s, const uint8_t *message,
				   const struct record *r, uint64_t now_s)
{
	uint8_t mac[TSIG_MAC_MAX];
	enum tsig_error e;

	if (!name_is_equal(r->name, s->key->name) ||
	    !name_is_equal(r->algorithm, s->algorithm_name))
		return TSIG_BADKEY;
	e = check_mac_len(s, r->mac_len);
	if (e != TSIG_OK)
		return e;
	digest_message(s, message, r);
	digest_variables(s, r);
	digest_turn(s, mac);
	if (CRYPTO_memcmp(mac, r->mac, r->mac_len) != 0)
		return TSIG_BADSIG;
	if (now_s > r->time_s ? now_s - r->time_s > r->fudge : r->time_s - now_s > r->fudge)
		return TSIG_BADTIME;
	s->unsigned_run = 0;
	s->is_first_done = true;
	return TSIG_OK;
}

enum tsig_error tsig_stream_verify(struct tsig_stream *s, const uint8_t *message, size_t len,
				   uint64_t now_s, size_t *body_len, bool *has_tsig)
{
	struct record r;

	*body_len = len;
	if (!find_record(message, len, &r, has_tsig))
		return TSIG_MALFORMED;
	if (!*has_tsig)
		return take_unsigned(s, message, len);
	*body_len = r.start;
	if (r.error != 0) {	/* comes unsigned or not: either way no zone, RFC 8945 s.5.3.2 */
		s->peer_error = r.error;
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
	switch (s->peer_error) {
	case ERROR_BADSIG:	return "BADSIG";
	case ERROR_BADKEY:	return "BADKEY";
	case ERROR_BADTIME:	return "BADTIME";
	case ERROR_BADTRUNC:	return "BADTRUNC";
	default:		return "an error that we do not know";
	}
}
