/* SPDX-License-Identifier: ISC */
#include "proxy/conf_addresses.h"

#include <stdio.h>
#include <string.h>

static bool has(const struct address *list, size_t count, const struct address *a)
{
	for (size_t i = 0; i < count; i++)
		if (address_is_equal(&list[i], a))
			return true;
	return false;
}

bool conf_listen_add(struct conf *c, const struct address *a, char problem[CONF_PROBLEM_MAX])
{
	char text[ADDRESS_TEXT_MAX];

	problem[0] = '\0';
	if (has(c->listen, c->listen_count, a))
		snprintf(problem, CONF_PROBLEM_MAX, "listen has '%s' twice: remove one",
			 address_to_text(a, text));
	else if (c->listen_count == CONF_LISTEN_MAX)
		snprintf(problem, CONF_PROBLEM_MAX,
			 "listen has more than %d addresses: use [::]:53 and 0.0.0.0:53",
			 CONF_LISTEN_MAX);
	else
		c->listen[c->listen_count++] = *a;
	return !problem[0];
}

bool conf_sentinel_add(struct redis_sentinel_conf *c, const struct address *a,
		       char problem[CONF_PROBLEM_MAX])
{
	char text[ADDRESS_TEXT_MAX];

	problem[0] = '\0';
	if (has(c->addresses, c->count, a))
		snprintf(problem, CONF_PROBLEM_MAX, "sentinel '%s' is given twice: remove one",
			 address_to_text(a, text));
	else if (c->count == REDIS_SENTINELS_MAX)
		snprintf(problem, CONF_PROBLEM_MAX, "more than %d sentinels: remove some",
			 REDIS_SENTINELS_MAX);
	else
		c->addresses[c->count++] = *a;
	return !problem[0];
}

bool conf_interface_add(struct conf_interfaces *c, const char *name,
			char problem[CONF_PROBLEM_MAX])
{
	size_t len = strlen(name);

	problem[0] = '\0';
	for (size_t i = 0; i < c->count; i++)
		if (strcmp(c->name[i], name) == 0)
			snprintf(problem, CONF_PROBLEM_MAX, "listen-xdp has '%s' twice: remove one", name);
	if (len == 0 || len >= sizeof(c->name[0]) || name[strcspn(name, "/: \t")])
		snprintf(problem, CONF_PROBLEM_MAX, "listen-xdp = '%.40s' is no interface: write its name, "
			 "as in \"eth0\"; addresses are for listen", name);
	else if (c->count == CONF_INTERFACES_MAX && !problem[0])
		snprintf(problem, CONF_PROBLEM_MAX, "listen-xdp has more than %d interfaces: remove some",
			 CONF_INTERFACES_MAX);
	if (problem[0])
		return false;
	memcpy(c->name[c->count++], name, len + 1);
	return true;
}
