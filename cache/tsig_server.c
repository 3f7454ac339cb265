/* SPDX-License-Identifier: ISC */
#include "cache/tsig_server.h"

#include <assert.h>
#include <string.h>

#include <openssl/crypto.h>

#include "cache/dns.h"
#include "cache/memory.h"
#include "cache/tsig_parts.h"

enum { RECORD_FIXED_LEN = 10 + 16 };	/* of a TSIG record without names, MAC and Other Data */

struct tsig_server {
	EVP_MAC_CTX *macs[TSIG_ALGORITHMS];	/* parallel to TSIG_TABLE */
};

struct tsig_server *tsig_server_new(void)
{
	struct tsig_server *s = memory_zeroed(1, sizeof(*s));

	for (size_t i = 0; i < TSIG_ALGORITHMS; i++)
		s->macs[i] = tsig_mac_new(&TSIG_TABLE[i]);
	return s;
}

void tsig_server_free(struct tsig_server *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < TSIG_ALGORITHMS; i++)
		EVP_MAC_CTX_free(s->macs[i]);
	free(s);
}

static EVP_MAC_CTX *mac_start(struct tsig_server *s, const struct tsig_key *key)
{
	EVP_MAC_CTX *mac = s->macs[tsig_algorithm_find(key->algorithm) - TSIG_TABLE];

	tsig_mac_start(mac, key);
	return mac;
}

/* ---- Verifying ---- */

static bool is_algorithm_of(const struct tsig_key *key, const uint8_t *algorithm)
{
	uint8_t name[NAME_LEN_MAX];

	return name_from_text(key->algorithm, name) && name_is_equal(name, algorithm);
}

static const struct tsig_key *find_key(const struct tsig_key *keys, size_t count,
				       const struct tsig_record *r)
{
	for (size_t i = 0; i < count; i++)
		if (name_is_equal(keys[i].name, r->name) && is_algorithm_of(&keys[i], r->algorithm))
			return &keys[i];
	return NULL;
}

static void session_begin(struct tsig_session *session, const struct tsig_record *r)
{
	memcpy(session->name, r->name, name_len(r->name));
	memcpy(session->algorithm, r->algorithm, name_len(r->algorithm));
	session->key = NULL;
	session->request_time_s = r->time_s;
	session->request_fudge = r->fudge;
	session->is_first_done = false;
	session->mac_len = 0;
}

static bool is_mac_right(struct tsig_server *s, const struct tsig_key *key, const uint8_t *message,
			 const struct tsig_record *r)
{
	EVP_MAC_CTX *mac = mac_start(s, key);
	uint8_t right[TSIG_MAC_MAX];

	tsig_mac_add_message(mac, message, r);
	tsig_mac_add_variables(mac, r, true);
	tsig_mac_end(mac, right);
	return CRYPTO_memcmp(right, r->mac, r->mac_len) == 0;
}

/* Key, MAC, time, truncation: the order of RFC 8945 s.5.2. */
enum tsig_error tsig_server_verify(struct tsig_server *s, const struct tsig_key *keys,
				   size_t count, const uint8_t *message, size_t len,
				   uint64_t now_s, struct tsig_session *session)
{
	const struct tsig_key *key;
	enum tsig_error mac_len;
	struct tsig_record r;
	bool has_tsig;

	if (!tsig_record_find(message, len, &r, &has_tsig))
		return TSIG_MALFORMED;
	if (!has_tsig)
		return TSIG_MISSING;
	session_begin(session, &r);
	key = find_key(keys, count, &r);
	if (!key)
		return TSIG_BADKEY;
	mac_len = tsig_check_mac_len(tsig_algorithm_find(key->algorithm), r.mac_len);
	if (mac_len == TSIG_MALFORMED)
		return TSIG_MALFORMED;
	if (!is_mac_right(s, key, message, &r))
		return TSIG_BADSIG;
	session->key = key;
	memcpy(session->mac, r.mac, r.mac_len);
	session->mac_len = r.mac_len;
	if (!tsig_is_in_time(&r, now_s))
		return TSIG_BADTIME;
	return mac_len;
}

/* ---- Signing ---- */

size_t tsig_server_room(const struct tsig_session *session)
{
	return name_len(session->name) + name_len(session->algorithm) + RECORD_FIXED_LEN +
	       (session->key ? tsig_algorithm_find(session->key->algorithm)->mac_len : 0);
}

static void record_begin(struct tsig_record *r, const struct tsig_session *session,
			 const uint8_t *message)
{
	memcpy(r->name, session->name, name_len(session->name));
	memcpy(r->algorithm, session->algorithm, name_len(session->algorithm));
	r->original_id = wire_get_u16(message);
	r->fudge = TSIG_FUDGE_S;
	r->error = r->mac_len = r->other_len = 0;
	r->mac = r->other = NULL;
}

/* Signs with `r` as it stands, and puts it behind the message. */
static size_t sign(struct tsig_server *s, struct tsig_session *session, struct tsig_record *r,
		   uint8_t *message, size_t len, size_t cap)
{
	EVP_MAC_CTX *mac;

	assert(session->key && session->mac_len > 0);
	if (cap < len || cap - len < tsig_server_room(session) + r->other_len)
		return 0;
	mac = mac_start(s, session->key);
	tsig_mac_add_mac(mac, session->mac, session->mac_len);
	tsig_mac_add(mac, message, len);
	tsig_mac_add_variables(mac, r, !session->is_first_done);
	session->mac_len = tsig_mac_end(mac, session->mac);
	session->is_first_done = true;
	r->mac = session->mac;
	r->mac_len = (uint16_t)session->mac_len;
	return tsig_record_put(r, message, len, cap);
}

size_t tsig_server_sign(struct tsig_server *s, struct tsig_session *session, uint8_t *message,
			size_t len, size_t cap, uint64_t now_s)
{
	struct tsig_record r;

	record_begin(&r, session, message);
	r.time_s = now_s;
	return sign(s, session, &r, message, len, cap);
}

size_t tsig_server_put_error(struct tsig_server *s, struct tsig_session *session,
			     enum tsig_error error, uint8_t *message, size_t len, size_t cap,
			     uint64_t now_s)
{
	uint8_t clock[TSIG_TIME_LEN];
	struct tsig_record r;

	record_begin(&r, session, message);
	r.time_s = now_s;
	if (error == TSIG_BADKEY || error == TSIG_BADSIG) {
		r.error = error == TSIG_BADKEY ? TSIG_CODE_BADKEY : TSIG_CODE_BADSIG;
		return tsig_record_put(&r, message, len, cap);
	}
	assert(error == TSIG_BADTIME || error == TSIG_BADTRUNC);
	r.error = error == TSIG_BADTIME ? TSIG_CODE_BADTIME : TSIG_CODE_BADTRUNC;
	if (error == TSIG_BADTIME) {	/* s.5.2.3: so that its own clock can verify this */
		r.time_s = session->request_time_s;
		r.fudge = session->request_fudge;
		wire_put_u16(clock, (uint16_t)(now_s >> 32));
		wire_put_u32(clock + 2, (uint32_t)now_s);
		r.other = clock;
		r.other_len = sizeof(clock);
	}
	return sign(s, session, &r, message, len, cap);
}
