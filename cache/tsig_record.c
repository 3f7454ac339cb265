/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/params.h>

#include "cache/dns.h"
#include "cache/tsig_parts.h"

enum { MAC_LEN_MIN = 10 };	/* or half the digest when longer, RFC 8945 s.5.2.2.1 */

const struct tsig_algorithm TSIG_TABLE[TSIG_ALGORITHMS] = {
	{ "hmac-sha1",   "SHA1",   20 },
	{ "hmac-sha224", "SHA224", 28 },
	{ "hmac-sha256", "SHA256", 32 },
	{ "hmac-sha384", "SHA384", 48 },
	{ "hmac-sha512", "SHA512", 64 },
};

const struct tsig_algorithm *tsig_algorithm_find(const char *name)
{
	for (size_t i = 0; i < TSIG_ALGORITHMS; i++)
		if (strcmp(TSIG_TABLE[i].name, name) == 0)
			return &TSIG_TABLE[i];
	return NULL;
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
static void parse_rdata(struct wire *w, struct tsig_record *r)
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
	if (w->pos - rdata != rdata_len || (r->other_len != 0 && r->other_len != TSIG_TIME_LEN))
		w->bad = true;
}

bool tsig_record_find(const uint8_t *message, size_t len, struct tsig_record *r, bool *has_tsig)
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

size_t tsig_record_put(const struct tsig_record *r, uint8_t *message, size_t len, size_t cap)
{
	struct wire_out o = wire_into(message, cap);
	size_t algorithm_len = name_len(r->algorithm);

	o.len = len;
	wire_add_bytes(&o, r->name, name_len(r->name));
	wire_add_u16(&o, TYPE_TSIG);
	wire_add_u16(&o, CLASS_ANY);
	wire_add_u32(&o, 0);
	wire_add_u16(&o, (uint16_t)(algorithm_len + r->mac_len + 16 + r->other_len));
	wire_add_bytes(&o, r->algorithm, algorithm_len);
	wire_add_u16(&o, (uint16_t)(r->time_s >> 32));
	wire_add_u32(&o, (uint32_t)r->time_s);
	wire_add_u16(&o, r->fudge);
	wire_add_u16(&o, r->mac_len);
	wire_add_bytes(&o, r->mac, r->mac_len);
	wire_add_u16(&o, r->original_id);
	wire_add_u16(&o, r->error);
	wire_add_u16(&o, r->other_len);
	wire_add_bytes(&o, r->other, r->other_len);
	if (o.full)
		return 0;
	wire_put_u16(message + 10, (uint16_t)(wire_get_u16(message + 10) + 1));
	return o.len;
}

enum tsig_error tsig_check_mac_len(const struct tsig_algorithm *a, size_t len)
{
	size_t least = a->mac_len / 2 > MAC_LEN_MIN ? a->mac_len / 2 : MAC_LEN_MIN;

	if (len > a->mac_len || len < least)
		return TSIG_MALFORMED;
	return len == a->mac_len ? TSIG_OK : TSIG_BADTRUNC;
}

bool tsig_is_in_time(const struct tsig_record *r, uint64_t now_s)
{
	return (now_s > r->time_s ? now_s - r->time_s : r->time_s - now_s) <= r->fudge;
}

/* ---- The digest ---- */

/* HMAC over memory fails only when memory is short. */
static void must(int ok)
{
	if (!ok)
		abort();
}

EVP_MAC_CTX *tsig_mac_new(const struct tsig_algorithm *a)
{
	EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *mac = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
						 (char *)(uintptr_t)a->digest, 0),
		OSSL_PARAM_construct_end(),
	};

	must(mac && EVP_MAC_CTX_set_params(mac, params));
	EVP_MAC_free(hmac);	/* the context keeps its own reference */
	return mac;
}

void tsig_mac_start(EVP_MAC_CTX *mac, const struct tsig_key *key)
{
	must(EVP_MAC_init(mac, key->secret, key->secret_len, NULL));
}

void tsig_mac_add(EVP_MAC_CTX *mac, const void *bytes, size_t len)
{
	must(EVP_MAC_update(mac, bytes, len));
}

size_t tsig_mac_end(EVP_MAC_CTX *mac, uint8_t out[TSIG_MAC_MAX])
{
	size_t len = 0;

	must(EVP_MAC_final(mac, out, &len, TSIG_MAC_MAX));
	return len;
}

void tsig_mac_add_mac(EVP_MAC_CTX *mac, const uint8_t *earlier, size_t len)
{
	uint8_t length[2];

	wire_put_u16(length, (uint16_t)len);
	tsig_mac_add(mac, length, sizeof(length));
	tsig_mac_add(mac, earlier, len);
}

void tsig_mac_add_message(EVP_MAC_CTX *mac, const uint8_t *message, const struct tsig_record *r)
{
	uint8_t header[DNS_HEADER_LEN];

	memcpy(header, message, sizeof(header));
	wire_put_u16(header, r->original_id);
	wire_put_u16(header + 10, (uint16_t)(wire_get_u16(header + 10) - 1));
	tsig_mac_add(mac, header, sizeof(header));
	tsig_mac_add(mac, message + sizeof(header), r->start - sizeof(header));
}

static void add_lower(struct wire_out *o, const uint8_t *name)
{
	size_t len = name_len(name);
	uint8_t *at = wire_room(o, len);

	if (!at)
		return;
	memcpy(at, name, len);
	name_lower(at);
}

void tsig_mac_add_variables(EVP_MAC_CTX *mac, const struct tsig_record *r, bool is_whole)
{
	uint8_t bytes[2 * NAME_LEN_MAX + 18 + TSIG_TIME_LEN];
	struct wire_out o = wire_into(bytes, sizeof(bytes));

	if (is_whole) {
		add_lower(&o, r->name);
		wire_add_u16(&o, CLASS_ANY);
		wire_add_u32(&o, 0);
		add_lower(&o, r->algorithm);
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
	tsig_mac_add(mac, bytes, o.len);
}
