/* SPDX-License-Identifier: ISC */
/*
 * conf_tls - the options of a backend that say how zones are transferred from it.
 *
 * Purpose:  where to (transfer-address), and with transfer-tls how it proves who it is; what
 *           was read from the files becomes a tls_profile.
 * Not here: TLS (cache/tls_profile.h).
 * Threads:  one; reads the files that the options name.
 * Failure:  "what is wrong: the mend". Half a setting is an error: who writes tls-name means
 *           TLS, and shall not get clear text.
 */
#ifndef CONF_TLS_H
#define CONF_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/conf.h"
#include "proxy/conf_report.h"
#include "proxy/conf_table.h"

enum { TRANSFER_PORT = 53, TRANSFER_TLS_PORT = 853 };

/* The types CONF_TLS_NAME, CONF_TLS_FILE and CONF_PIN. */
bool conf_tls_set(const struct conf_row *row, const char *text, void *field, char *problem,
		  size_t room);

/* Completes all backends: their transfer addresses and profiles. */
void conf_tls_make(struct conf *c, struct conf_report *r);

#endif
