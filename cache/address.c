/* SPDX-License-Identifier: ISC */
#include "cache/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static const char UNIX_PREFIX[] = "unix:";

enum { UNIX_PREFIX_LEN = sizeof(UNIX_PREFIX) - 1 };

static const struct sockaddr_in *as_v4(const struct address *a)
{
	return (const struct sockaddr_in *)&a->storage;
}

static const struct sockaddr_in6 *as_v6(const struct address *a)
{
	return (const struct sockaddr_in6 *)&a->storage;
}

static const struct sockaddr_un *as_unix(const struct address *a)
{
	return (const struct sockaddr_un *)&a->storage;
}

/* Digits only, 1 to `max`; 0 when it is anything else. */
static uint32_t number_from_text(const char *text, uint32_t max)
{
	uint32_t value = 0;

	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return 0;
		value = value * 10 + (uint32_t)(*text - '0');
		if (value > max)
			return 0;
	}
	return value;
}

static bool v4_from_text(const char *host, uint16_t port, struct address *a)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };

	if (inet_pton(AF_INET, host, &v4.sin_addr) != 1)
		return false;
	*a = (struct address){ .len = sizeof(v4) };
	memcpy(&a->storage, &v4, sizeof(v4));
	return true;
}

/* A link-local address names its interface behind '%', RFC 4007 s.11. Cuts `host` there. */
static bool scope_from_text(char *host, uint32_t *scope)
{
	char *percent = strchr(host, '%');

	if (!percent)
		return true;
	*percent++ = '\0';
	*scope = if_nametoindex(percent);
	if (*scope == 0)
		*scope = number_from_text(percent, INT32_MAX);
	return *scope != 0;
}

static bool v6_from_text(char *host, uint16_t port, struct address *a)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	if (!scope_from_text(host, &v6.sin6_scope_id))
		return false;
	if (inet_pton(AF_INET6, host, &v6.sin6_addr) != 1)
		return false;
	*a = (struct address){ .len = sizeof(v6) };
	memcpy(&a->storage, &v6, sizeof(v6));
	return true;
}

/* ":PORT" or nothing. */
static bool port_from_text(const char *text, uint16_t *port)
{
	if (*text == '\0')
		return true;
	if (*text != ':')
		return false;
	*port = (uint16_t)number_from_text(text + 1, UINT16_MAX);
	return *port != 0;
}

/* "[v6]" and a port perhaps. */
static bool bracketed_from_text(char *text, uint16_t port, struct address *a)
{
	char *end = strchr(text, ']');

	if (!end || !port_from_text(end + 1, &port))
		return false;
	*end = '\0';
	return v6_from_text(text + 1, port, a);
}

bool address_from_text(const char *text, uint16_t default_port, struct address *a)
{
	char copy[ADDRESS_TEXT_MAX];
	uint16_t port = default_port;
	size_t len = strlen(text);

	if (len >= sizeof(copy))
		return false;
	memcpy(copy, text, len + 1);
	if (copy[0] == '[')
		return bracketed_from_text(copy, port, a);

	char *colon = strchr(copy, ':');

	if (colon && strchr(colon + 1, ':'))	/* two colons: IPv6, no brackets, no port */
		return v6_from_text(copy, port, a);
	if (colon && !port_from_text(colon, &port))
		return false;
	if (colon)
		*colon = '\0';
	return v4_from_text(copy, port, a);
}

bool address_unix_from_text(const char *text, struct address *a)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	if (strncmp(text, UNIX_PREFIX, UNIX_PREFIX_LEN) != 0)
		return false;
	const char *path = text + UNIX_PREFIX_LEN;
	size_t len = strlen(path);

	/* A relative path would depend on where we were started. */
	if (path[0] != '/' || len < 2 || len >= sizeof(un.sun_path))
		return false;
	memcpy(un.sun_path, path, len + 1);
	*a = (struct address){ .len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len) };
	a->len++;	/* the NUL at the end */
	memcpy(&a->storage, &un, sizeof(un));
	return true;
}

static void v6_to_text(const struct sockaddr_in6 *v6, char text[ADDRESS_TEXT_MAX])
{
	char host[INET6_ADDRSTRLEN], name[IF_NAMESIZE], scope[1 + IF_NAMESIZE] = "";

	inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
	if (v6->sin6_scope_id && if_indextoname(v6->sin6_scope_id, name))
		snprintf(scope, sizeof(scope), "%%%s", name);
	else if (v6->sin6_scope_id)
		snprintf(scope, sizeof(scope), "%%%u", v6->sin6_scope_id);
	snprintf(text, ADDRESS_TEXT_MAX, "[%s%s]:%u", host, scope, ntohs(v6->sin6_port));
}

char *address_to_text(const struct address *a, char text[ADDRESS_TEXT_MAX])
{
	char host[INET_ADDRSTRLEN];

	if (a->len == 0) {
		snprintf(text, ADDRESS_TEXT_MAX, "none");
	} else if (a->storage.ss_family == AF_INET) {
		inet_ntop(AF_INET, &as_v4(a)->sin_addr, host, sizeof(host));
		snprintf(text, ADDRESS_TEXT_MAX, "%s:%u", host, ntohs(as_v4(a)->sin_port));
	} else if (a->storage.ss_family == AF_INET6) {
		v6_to_text(as_v6(a), text);
	} else if (a->storage.ss_family == AF_UNIX) {
		snprintf(text, ADDRESS_TEXT_MAX, "%s%s", UNIX_PREFIX, as_unix(a)->sun_path);
	} else {
		snprintf(text, ADDRESS_TEXT_MAX, "family-%u", a->storage.ss_family);
	}
	return text;
}

uint16_t address_port(const struct address *a)
{
	if (a->len == 0)
		return 0;
	if (a->storage.ss_family == AF_INET)
		return ntohs(as_v4(a)->sin_port);
	if (a->storage.ss_family == AF_INET6)
		return ntohs(as_v6(a)->sin6_port);
	return 0;
}

/* The flow label says nothing about who it is; the interface of a link-local address does. */
bool address_is_same_host(const struct address *a, const struct address *b)
{
	if (a->len == 0 || b->len == 0 || a->storage.ss_family != b->storage.ss_family)
		return false;
	if (a->storage.ss_family == AF_INET)
		return as_v4(a)->sin_addr.s_addr == as_v4(b)->sin_addr.s_addr;
	if (a->storage.ss_family == AF_INET6)
		return IN6_ARE_ADDR_EQUAL(&as_v6(a)->sin6_addr, &as_v6(b)->sin6_addr) &&
		       as_v6(a)->sin6_scope_id == as_v6(b)->sin6_scope_id;
	return a->storage.ss_family == AF_UNIX &&
	       strcmp(as_unix(a)->sun_path, as_unix(b)->sun_path) == 0;
}

void address_set_port(struct address *a, uint16_t port)
{
	if (a->storage.ss_family == AF_INET)
		((struct sockaddr_in *)&a->storage)->sin_port = htons(port);
	else if (a->storage.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&a->storage)->sin6_port = htons(port);
}

bool address_is_equal(const struct address *a, const struct address *b)
{
	if (a->len == 0 || b->len == 0)
		return a->len == b->len;
	return address_is_same_host(a, b) && address_port(a) == address_port(b);
}

bool address_is_any(const struct address *a)
{
	if (a->len == 0)
		return false;
	if (a->storage.ss_family == AF_INET)
		return as_v4(a)->sin_addr.s_addr == htonl(INADDR_ANY);
	return a->storage.ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&as_v6(a)->sin6_addr);
}
