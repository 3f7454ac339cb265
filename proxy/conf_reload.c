/* SPDX-License-Identifier: ISC */
/*
 * What a reload cannot change: tables, threads and connections that were made at the start.
 * The table says which options these are.
 */
#include <stdlib.h>
#include <string.h>

#include "proxy/conf.h"
#include "proxy/conf_report.h"
#include "proxy/conf_table.h"

static bool is_same_sentinels(const struct redis_sentinel_conf *a,
			      const struct redis_sentinel_conf *b)
{
	if (a->count != b->count)
		return false;
	for (unsigned i = 0; i < a->count; i++)
		if (!address_is_equal(&a->addresses[i], &b->addresses[i]))
			return false;
	return true;
}

static bool is_same(const struct conf_row *row, const struct conf *old, const struct conf *new)
{
	const void *a = (const char *)old + row->offset, *b = (const char *)new + row->offset;

	switch (row->type) {
	case CONF_TEXT:
	case CONF_PREFIX:
	case CONF_TEXT_FILE:
		return strcmp(a, b) == 0;
	case CONF_ADDRESS:
	case CONF_REDIS_ADDRESS:
		return address_is_equal(a, b);
	case CONF_SENTINELS:
		return is_same_sentinels(a, b);
	case CONF_INTERFACES:
	case CONF_NUMBER:
	case CONF_DURATION:
	case CONF_SIZE:
	case CONF_BOOL:
	case CONF_WORD:
	case CONF_WORDS:
		return memcmp(a, b, row->size) == 0;
	case CONF_BYTES:
	case CONF_COOKIE_FILE:
	case CONF_REGRESSION:
	case CONF_PROGRAM:
	case CONF_LISTEN:
	case CONF_POOL:
	case CONF_KEY:
	case CONF_ALLOW:
	case CONF_NAMES:
	case CONF_ALGORITHM:
	case CONF_SECRET:
	case CONF_SECRET_FILE:
	case CONF_TLS_NAME:
	case CONF_TLS_FILE:
	case CONF_PIN:
		break;
	}
	abort();	/* no option of these types needs a restart: see the table */
}

/* password and password-file are one field: one complaint. */
static bool needs_restart(const struct conf_row *row, const struct conf *old,
			  const struct conf *new)
{
	if (!conf_row_is_single(row) || row->flags & CONF_RELOAD || row->type == CONF_TEXT_FILE)
		return false;
	if (row->section != SECTION_ROOT && !(old->has_redis && new->has_redis))
		return false;
	return !is_same(row, old, new);
}

bool conf_can_replace(const struct conf *old, const struct conf *new, FILE *errors)
{
	struct conf_report report = { 0 };
	const struct conf_row *address = conf_row_find(SECTION_REDIS, "address", 7);

	if (old->has_redis != new->has_redis) {
		struct conf_where top = { .file = new->files[0], .line = 1 };

		conf_report_add(&report, new->has_redis ? new->places[address - conf_rows] : top,
				"section 'redis' has %s and needs a restart: restart, or undo this",
				new->has_redis ? "been added" : "gone");
	}
	for (size_t i = 0; i < conf_row_count; i++)
		if (needs_restart(&conf_rows[i], old, new))
			conf_report_add(&report, new->places[i],
					"%s has changed and needs a restart: restart, "
					"or put the old value back",
					conf_rows[i].name);
	bool can = report.count == 0;

	conf_report_print(&report, errors);
	return can;
}
