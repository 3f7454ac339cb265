/* SPDX-License-Identifier: ISC */
/*
 * What plans do with a configuration: ask what holds for a zone, share it, and end it when the last
 * of them has gone.
 */
#include "proxy/conf.h"

#include <stdlib.h>
#include <string.h>

#include "cache/memory.h"

const struct conf_regression *conf_regression_of(const struct conf_zone *z)
{
	bool is_own = z->on_regression.policy != REGRESS_AS_POOL;

	return is_own ? &z->on_regression : &z->pool->on_regression;
}

enum { MAX_SHRINK = 50 };	/* percent: see max-shrink in the manual */

/* Who accepts whatever its primary says takes it shrunk, too, unless the zone has a limit. */
static unsigned max_shrink_of(const struct conf *c, const struct conf_zone *z)
{
	if (z->review.max_shrink)
		return z->review.max_shrink;
	if (conf_regression_of(z)->policy == REGRESS_ACCEPT)
		return 100;
	return c->review.max_shrink ? c->review.max_shrink : MAX_SHRINK;
}

void conf_review_of(const struct conf *c, const struct conf_zone *z, struct review_rules *rules)
{
	const struct review_rules *own = &z->review;

	*rules = c->review;
	rules->max_shrink = max_shrink_of(c, z);
	if (own->zonemd)
		rules->zonemd = own->zonemd;
	if (own->program_us)
		rules->program_us = own->program_us;
	if (own->program)
		rules->program = own->program;
	if (rules->program && strcmp(rules->program, "off") == 0)
		rules->program = NULL;
}

void conf_zone_name(struct conf_zone *z, const uint8_t *origin)
{
	char text[NAME_TEXT_MAX];
	size_t text_size = strlen(name_to_text(origin, text)) + 1, origin_len = name_len(origin);

	z->text = memory_new(text_size + origin_len);
	memcpy(z->text, text, text_size);
	z->origin = memcpy(z->text + text_size, origin, origin_len);
}

void conf_hold(struct conf *c)
{
	c->references++;
}

static void zone_fini(struct conf_zone *z)
{
	free(z->text);
	free(z->own_allow_transfer.items);
	free(z->review.program);
}

static void free_catalogs(struct conf *c)
{
	for (size_t i = 0; i < c->catalog_count; i++) {
		zone_fini(&c->catalogs[i].zone);
		zone_fini(&c->catalogs[i].member);
		for (size_t g = 0; g < c->catalogs[i].group_count; g++)
			free(c->catalogs[i].groups[g].name);
		free(c->catalogs[i].groups);
		free(c->catalogs[i].suffixes.items);
	}
	free(c->catalogs);
}

void conf_free(struct conf *c)
{
	if (!c || --c->references > 0)
		return;
	if (c->keys)
		explicit_bzero(c->keys, c->key_count * sizeof(*c->keys));
	free(c->keys);
	for (size_t i = 0; i < c->pool_count; i++) {
		for (size_t j = 0; j < c->pools[i].target_count; j++)
			tls_profile_free(c->pools[i].targets[j].tls);
		free(c->pools[i].targets);
	}
	free(c->pools);
	for (size_t i = 0; i < c->zone_count; i++)
		zone_fini(&c->zones[i]);
	free(c->zones);
	free_catalogs(c);
	free(c->allow_transfer.items);
	free(c->review.program);
	for (size_t i = 0; i < c->file_count; i++)
		free(c->files[i]);
	free(c->files);
	free(c->places);
	explicit_bzero(c, sizeof(*c));
	free(c);
}
