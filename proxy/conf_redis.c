/* SPDX-License-Identifier: ISC */
#include "proxy/conf_redis.h"

#include <string.h>

#include "proxy/conf_table.h"

static void refuse(const struct conf *c, struct conf_report *report, const char *option,
		   const char *problem)
{
	const struct conf_row *row = conf_row_find(SECTION_REDIS, option, strlen(option));

	conf_report_add(report, c->places[row - conf_rows], "%s", problem);
}

static void check_address(const struct conf *c, bool has_address, bool has_sentinel,
			  struct conf_where where, struct conf_report *report)
{
	if (has_sentinel && has_address)
		refuse(c, report, "address",
		       "both address and sentinel are given: the sentinels know the address, "
		       "remove one");
	else if (!has_sentinel && !has_address)
		conf_report_add(report, where,
				"section 'redis' has no address: add address = \"...\" or "
				"sentinel { ... }");
}

static const char *first_tls_option(const struct redis_tls_conf *t)
{
	return t->ca[0] ? "tls-ca" : t->name[0] ? "tls-name" : t->cert[0] ? "tls-cert"
		: t->key[0] ? "tls-key" : NULL;
}

static void check_tls(const struct conf *c, struct conf_report *report)
{
	const struct redis_tls_conf *t = &c->redis.tls;
	char reason[REDIS_TLS_REASON_MAX];
	const char *wrong;

	if (c->redis.address.storage.ss_family == AF_UNIX)
		refuse(c, report, "tls",
		       "no TLS on a UNIX socket: give an IP address, or leave tls out");
	if (!t->cert[0] != !t->key[0])
		refuse(c, report, t->cert[0] ? "tls-cert" : "tls-key",
		       "tls-cert and tls-key come together: add the other one");
	wrong = redis_tls_check(t, reason);
	if (wrong)
		refuse(c, report, wrong, reason);
}

void conf_redis_check(const struct conf *c, bool has_address, bool has_sentinel,
		      struct conf_where where, struct conf_report *report)
{
	check_address(c, has_address, has_sentinel, where, report);
	if (c->redis.tls.is_on)
		check_tls(c, report);
	else if (first_tls_option(&c->redis.tls))
		refuse(c, report, first_tls_option(&c->redis.tls),
		       "options of TLS without TLS: add tls = true");
}
