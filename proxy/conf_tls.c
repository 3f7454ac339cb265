/* SPDX-License-Identifier: ISC */
#include "proxy/conf_tls.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* ---- Values ---- */

/* As certificates have it: without the last dot. */
static bool set_name(const char *text, char name[TLS_NAME_MAX])
{
	uint8_t wire[NAME_LEN_MAX];
	size_t len = strlen(text);

	if (len == 0 || !name_from_text(text, wire) || wire[0] == 0)
		return false;
	len -= text[len - 1] == '.';
	if (len >= TLS_NAME_MAX)
		return false;
	memset(name, 0, TLS_NAME_MAX);
	memcpy(name, text, len);
	return true;
}

bool conf_tls_set(const struct conf_row *row, const char *text, void *field, char *problem,
		  size_t room)
{
	struct tls_pins *pins = field;

	if (row->type == CONF_TLS_NAME) {
		snprintf(problem, room, "%s = '%.80s' is no domain name: write it as in "
			 "\"ns1.example.com\"", row->name, text);
		return set_name(text, field);
	}
	if (row->type == CONF_TLS_FILE) {
		if (strlen(text) >= row->size)
			snprintf(problem, room, "%s is too long: at most %zu bytes", row->name,
				 row->size - 1);
		else if (access(text, R_OK) != 0)
			snprintf(problem, room, "%s: %.200s cannot be read: %s", row->name, text,
				 strerror(errno));
		else
			return memcpy(field, text, strlen(text) + 1);
		return false;
	}
	if (pins->count == TLS_PINS_MAX)
		snprintf(problem, room, "%s has more than %d pins: remove some", row->name,
			 TLS_PINS_MAX);
	else if (!tls_pin_parse(text, pins->pins[pins->count]))
		snprintf(problem, room, "%s = '%.80s' is no pin: write the SHA-256 of the server's "
			 "public key in base64, 44 characters", row->name, text);
	else
		return ++pins->count;
	return false;
}

/* ---- What must fit together ---- */

static bool has_tls_option(const struct tls_settings *s)
{
	return s->name[0] || s->ca[0] || s->cert[0] || s->key[0] || s->pins.count > 0;
}

/* What is wrong with it, or NULL. */
static const char *problem_of(const struct conf_target *t)
{
	const struct tls_settings *s = &t->tls_settings;

	if (!t->has_transfer_tls)
		return has_tls_option(s)
			? "has tls options, but transfers go in clear text: add "
			  "transfer-tls = true, or take them out" : NULL;
	if (!t->is_primary)
		return "has transfer-tls, but no zone is transferred from it: add primary = true, "
		       "or take transfer-tls out";
	if (!s->name[0] && s->pins.count == 0)
		return "has transfer-tls, but nothing tells it from others: add tls-name = \"...\" "
		       "or tls-pin = \"...\"";
	if (s->ca[0] && !s->name[0])
		return "has tls-ca, but no name to look for: add tls-name = \"...\"";
	if (!s->cert[0] != !s->key[0])
		return s->key[0] ? "has tls-key without its certificate: add tls-cert = \"...\""
				 : "has tls-cert without its key: add tls-key = \"...\"";
	return NULL;
}

static void set_address(struct conf_target *t)
{
	if (t->transfer_address.len == 0) {
		t->transfer_address = t->address;
		if (t->has_transfer_tls)
			address_set_port(&t->transfer_address, TRANSFER_TLS_PORT);
	} else if (address_port(&t->transfer_address) == 0) {
		address_set_port(&t->transfer_address,
				 t->has_transfer_tls ? TRANSFER_TLS_PORT : TRANSFER_PORT);
	}
}

static void make(struct conf_target *t, struct conf_report *r)
{
	const char *wrong = problem_of(t);
	char problem[TLS_PROBLEM_MAX];

	if (t->address.len > 0)		/* else that is the error */
		set_address(t);
	if (wrong) {
		conf_report_add(r, t->where, "backend '%s' %s", t->name, wrong);
		return;
	}
	if (!t->has_transfer_tls)
		return;
	t->tls = tls_profile_new(&t->tls_settings, problem);
	if (!t->tls)
		conf_report_add(r, t->where, "backend '%s': %s", t->name, problem);
}

void conf_tls_make(struct conf *c, struct conf_report *r)
{
	for (size_t p = 0; p < c->pool_count; p++)
		for (size_t i = 0; i < c->pools[p].target_count; i++)
			if (c->pools[p].targets[i].kind == TARGET_BACKEND)
				make(&c->pools[p].targets[i], r);
}
