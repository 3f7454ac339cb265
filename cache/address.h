/* SPDX-License-Identifier: ISC */
/*
 * address - socket addresses: from text, to text, compared.
 *
 * Purpose:  "192.0.2.53:53", "[2001:db8::1]:53", "192.0.2.53" (port 53 by default) and,
 *           where allowed, "unix:/path". Never a host name: we might have to resolve it
 *           through ourselves.
 * Threads:  any; pure.
 * Failure:  false, and nothing is written.
 */
#ifndef ADDRESS_H
#define ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct address {
	socklen_t len;		/* 0: unset */
	struct sockaddr_storage storage;
};

enum { ADDRESS_TEXT_MAX = 128 };

bool address_from_text(const char *text, uint16_t default_port, struct address *a);
bool address_unix_from_text(const char *text, struct address *a);	/* "unix:/path" */
char *address_to_text(const struct address *a, char text[ADDRESS_TEXT_MAX]);
bool address_is_equal(const struct address *a, const struct address *b);	/* port too */
bool address_is_same_host(const struct address *a, const struct address *b);	/* IP only */
bool address_is_any(const struct address *a);	/* 0.0.0.0 or :: */
uint16_t address_port(const struct address *a);
void address_set_port(struct address *a, uint16_t port);	/* nothing for unix: */

#endif
