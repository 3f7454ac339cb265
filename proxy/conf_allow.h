/* SPDX-License-Identifier: ISC */
/*
 * conf_allow - who may: lists of prefixes and keys, as in `allow-transfer`.
 *
 * Purpose:  one entry from its text, and whether a client is on a list.
 * Not here: verifying signatures (tsig_server.h), what is allowed (dispatch_transfer.c).
 *
 *      "192.0.2.0/24"  "2001:db8::/32"  "192.0.2.1"     who comes from there
 *      "key transfer.example.com"                       who signs with it
 *      "192.0.2.0/24 key transfer.example.com"          who does both
 *
 * Owns:     a list its entries; keys are borrowed from the configuration.
 * Threads:  immutable once read; any.
 * Failure:  conf_allow_parse() says what is wrong, and the mend.
 */
#ifndef CONF_ALLOW_H
#define CONF_ALLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "cache/tsig.h"

struct conf;

struct conf_allow {
	sa_family_t family;		/* AF_UNSPEC: from anywhere */
	uint8_t prefix_len;		/* bits */
	uint8_t prefix[16];		/* 4 bytes for AF_INET; the bits behind are zero */
	const struct tsig_key *key;	/* NULL: signed or not */
};

struct conf_allow_list {
	struct conf_allow *items;
	size_t count;
};

enum { CONF_ALLOW_PROBLEM_MAX = 384 };

/* `text` is quoted in `problem`, after `option`. False: nothing was written to `entry`. */
bool conf_allow_parse(const char *option, const char *text, const struct conf *conf,
		      struct conf_allow *entry, char problem[CONF_ALLOW_PROBLEM_MAX]);

void conf_allow_add(struct conf_allow_list *list, const struct conf_allow *entry);

/* `key` is the one that the request is signed with, rightly; NULL: none. */
bool conf_allows(const struct conf_allow_list *list, const struct sockaddr *client,
		 const struct tsig_key *key);

#endif
