/* SPDX-License-Identifier: ISC */
/*
 * Input: a request for a transfer. It cannot be signed rightly, since the keys are drawn anew: so
 * none may verify; and whatever is said of it must be a message that parses.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cache/outgoing.h"
#include "cache/random.h"
#include "cache/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW = 1700000000, KEYS = 2 };

static struct tsig_server *server;
static struct tsig_key keys[KEYS];

static void draw_keys(void)
{
	struct random random;

	server = tsig_server_new();
	random_init(&random);
	for (size_t i = 0; i < KEYS; i++) {
		keys[i] = (struct tsig_key){ .name = "\3key", .secret_len = 16 };
		memcpy(keys[i].algorithm, i ? "hmac-sha512" : "hmac-sha256", 12);
		wire_put_u64(keys[i].secret, random_u64(&random));
		wire_put_u64(keys[i].secret + 8, random_u64(&random));
	}
}

static void check_error_reply(const struct message *m, const uint8_t *packet, enum tsig_error e,
			      struct tsig_session *session)
{
	uint8_t out[2 * DNS_UDP_MAX];
	size_t len = message_reply_error(m, packet, RCODE_NOTAUTH, EDE_NONE, NULL, out, DNS_UDP_MAX);
	struct message again;

	assert(e == TSIG_BADKEY || e == TSIG_BADSIG);	/* the others need a MAC that is right */
	assert(!session->key);
	len = tsig_server_put_error(server, session, e, out, len, sizeof(out), NOW);
	assert(len > 0 && len <= sizeof(out));
	out[2] &= 0x7f;
	assert(message_parse(out, len, &again) == MESSAGE_OK && again.is_signed);
}

static void check_signature(const struct message *m, const uint8_t *packet)
{
	struct tsig_session session;
	enum tsig_error e = tsig_server_verify(server, keys, KEYS, packet, m->len, NOW, &session);

	assert(e != TSIG_OK && tsig_error_text(e));
	if (e != TSIG_MISSING && e != TSIG_MALFORMED)
		check_error_reply(m, packet, e, &session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *packet = malloc(size ? size : 1);
	uint32_t serial;
	struct message m;

	if (!server)
		draw_keys();
	assert(packet);
	memcpy(packet, data, size);
	if (message_parse(packet, size, &m) == MESSAGE_OK) {
		outgoing_request_serial(packet, m.len, &m, &serial);
		check_signature(&m, packet);
	} else {
		struct tsig_session session;

		assert(tsig_server_verify(server, keys, KEYS, packet, size, NOW, &session) != TSIG_OK);
	}
	assert(memcmp(packet, data, size) == 0);
	free(packet);
	return 0;
}
