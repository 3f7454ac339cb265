/* SPDX-License-Identifier: ISC */
#include "proxy/conf_allow.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/conf_value.h"

enum { PREFIX_TEXT_MAX = INET6_ADDRSTRLEN + 4 };

struct parse {
	const char *option, *text;
	char *problem;
};

__attribute__((format(printf, 2, 3)))
static bool fail(const struct parse *p, const char *format, ...)
{
	int len = snprintf(p->problem, CONF_ALLOW_PROBLEM_MAX, "%s = '%.100s' ", p->option, p->text);
	va_list args;

	va_start(args, format);
	vsnprintf(p->problem + len, CONF_ALLOW_PROBLEM_MAX - (size_t)len, format, args);
	va_end(args);
	return false;
}

/* ---- Prefixes ---- */

static uint8_t mask_of_byte(unsigned index, unsigned prefix_len)
{
	unsigned bits = prefix_len > 8 * index ? prefix_len - 8 * index : 0;

	return (uint8_t)(bits >= 8 ? 0xffu : 0xff00u >> bits & 0xffu);
}

static unsigned bytes_of(sa_family_t family)
{
	return family == AF_INET ? 4 : 16;
}

/* "/24" behind an address; without it the address alone. -1: no such length. */
static int prefix_len_parse(const char *slash, unsigned most)
{
	unsigned len = 0;

	if (!slash)
		return (int)most;
	if (!slash[1] || strlen(slash + 1) > 3)
		return -1;
	for (const char *c = slash + 1; *c; c++) {
		if (*c < '0' || *c > '9')
			return -1;
		len = 10 * len + (unsigned)(*c - '0');
	}
	return len <= most ? (int)len : -1;
}

/* Host bits are a slip of the pen that would let other clients in than those meant. */
static bool check_host_bits(const struct parse *p, const struct conf_allow *e)
{
	uint8_t mended[16] = { 0 };
	char text[INET6_ADDRSTRLEN];
	bool is_clean = true;

	for (unsigned i = 0; i < bytes_of(e->family); i++) {
		mended[i] = e->prefix[i] & mask_of_byte(i, e->prefix_len);
		is_clean = is_clean && mended[i] == e->prefix[i];
	}
	if (is_clean)
		return true;
	inet_ntop(e->family, mended, text, sizeof(text));
	return fail(p, "has bits set behind its /%u: write %s/%u, or the address alone",
		    e->prefix_len, text, e->prefix_len);
}

static bool prefix_parse(const struct parse *p, const char *word, size_t len,
			 struct conf_allow *e)
{
	char text[PREFIX_TEXT_MAX], *slash;
	int prefix_len;

	if (len >= sizeof(text))
		return fail(p, "has no address: write one as in \"192.0.2.0/24\" or \"key NAME\"");
	memcpy(text, word, len);
	text[len] = '\0';
	slash = strchr(text, '/');
	if (slash)
		*slash = '\0';
	if (inet_pton(AF_INET, text, e->prefix) == 1)
		e->family = AF_INET;
	else if (inet_pton(AF_INET6, text, e->prefix) == 1)
		e->family = AF_INET6;
	else
		return fail(p, "has no address: write one as in \"192.0.2.0/24\" or \"key NAME\"");
	prefix_len = prefix_len_parse(slash, 8 * bytes_of(e->family));
	if (prefix_len < 0)
		return fail(p, "has no usable prefix length: write /0 to /%u",
			    8 * bytes_of(e->family));
	e->prefix_len = (uint8_t)prefix_len;
	return check_host_bits(p, e);
}

/* ---- Entries ---- */

static bool key_parse(const struct parse *p, const char *name, const struct conf *conf,
		      struct conf_allow *e)
{
	uint8_t wire[NAME_LEN_MAX];

	e->key = name_from_text(name, wire) ? conf_key_find(conf, wire) : NULL;
	if (!e->key)
		return fail(p, "names no key that there is: add key \"%.80s\" { secret = \"...\" }",
			    *name ? name : "NAME");
	return true;
}

/* Steps over blanks. */
static const char *skip(const char *at)
{
	return at + strspn(at, " \t");
}

bool conf_allow_parse(const char *option, const char *text, const struct conf *conf,
		      struct conf_allow *entry, char problem[CONF_ALLOW_PROBLEM_MAX])
{
	const struct parse p = { option, text, problem };
	struct conf_allow e = { .family = AF_UNSPEC };
	const char *at = skip(text);
	size_t len = strcspn(at, " \t");
	bool is_key = len == 3 && memcmp(at, "key", 3) == 0;

	if (!is_key) {
		if (!prefix_parse(&p, at, len, &e))
			return false;
		at = skip(at + len);
		len = strcspn(at, " \t");
		is_key = len == 3 && memcmp(at, "key", 3) == 0;
		if (*at && !is_key)
			return fail(&p, "is neither PREFIX, key NAME nor PREFIX key NAME: "
					"write one entry for each");
	}
	if (is_key && !key_parse(&p, skip(at + len), conf, &e))
		return false;
	*entry = e;
	return true;
}

void conf_allow_add(struct conf_allow_list *list, const struct conf_allow *entry)
{
	list->items = realloc(list->items, (list->count + 1) * sizeof(*list->items));
	if (!list->items)
		abort();
	list->items[list->count++] = *entry;
}

/* ---- Who is on the list ---- */

static bool is_from(const struct conf_allow *e, const struct sockaddr *client)
{
	const uint8_t *address = (const uint8_t *)&((const struct sockaddr_in *)client)->sin_addr;

	if (e->family == AF_UNSPEC)
		return true;
	if (client->sa_family != e->family)
		return false;
	if (e->family == AF_INET6)
		address = ((const struct sockaddr_in6 *)client)->sin6_addr.s6_addr;
	for (unsigned i = 0; i < bytes_of(e->family); i++)
		if ((address[i] & mask_of_byte(i, e->prefix_len)) != e->prefix[i])
			return false;
	return true;
}

bool conf_allows(const struct conf_allow_list *list, const struct sockaddr *client,
		 const struct tsig_key *key)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct conf_allow *e = &list->items[i];

		if ((!e->key || e->key == key) && is_from(e, client))
			return true;
	}
	return false;
}
