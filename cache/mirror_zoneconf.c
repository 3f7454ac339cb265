/* SPDX-License-Identifier: ISC */
#include "cache/mirror_zoneconf.h"

#include <stddef.h>
#include <string.h>

#include "cache/memory.h"

/* A copy as it is handed out is the `conf` of one of these. */
struct copy {
	_Atomic unsigned holders;
	struct mirror_zone_conf conf;
	struct mirror_primary primaries[];
};

static struct copy *copy_of(const struct mirror_zone_conf *conf)
{
	return (struct copy *)(uintptr_t)((const char *)conf - offsetof(struct copy, conf));
}

static struct copy *copy_new(const struct mirror_zone_conf *conf)
{
	size_t size = conf->primary_count * sizeof(conf->primaries[0]);
	struct copy *c = memory_zeroed(1, sizeof(*c) + size);

	atomic_init(&c->holders, 1);
	c->conf = *conf;
	c->conf.origin = NULL;
	c->conf.primaries = c->primaries;
	if (size > 0)
		memcpy(c->primaries, conf->primaries, size);
	for (unsigned i = 0; i < conf->primary_count; i++)
		tls_profile_keep(c->primaries[i].tls);
	if (conf->review.program && !(c->conf.review.program = strdup(conf->review.program)))
		abort();
	return c;
}

static bool is_alike(const struct mirror_zone_conf *a, const struct mirror_zone_conf *b)
{
	return a->primaries == b->primaries && zoneconf_is_same(a, b) &&
	       a->catalog.is_one == b->catalog.is_one && a->is_newcomer == b->is_newcomer &&
	       a->grace_us == b->grace_us && a->keep == b->keep;
}

const struct mirror_zone_conf *zoneconf_copy(const struct mirror_zone_conf *conf,
					     const struct mirror_zone_conf *like,
					     const struct mirror_zone_conf *made)
{
	if (!like || !is_alike(conf, like))
		return &copy_new(conf)->conf;
	atomic_fetch_add(&copy_of(made)->holders, 1);
	return made;
}

void zoneconf_free(const struct mirror_zone_conf *copy)
{
	struct copy *c;

	if (!copy)
		return;
	c = copy_of(copy);
	if (atomic_fetch_sub(&c->holders, 1) != 1)
		return;
	for (unsigned i = 0; i < copy->primary_count; i++)
		tls_profile_free(c->primaries[i].tls);
	explicit_bzero(c->primaries, copy->primary_count * sizeof(c->primaries[0]));	/* keys */
	free(c->conf.review.program);
	free(c);
}

static bool is_same_primary(const struct mirror_primary *a, const struct mirror_primary *b)
{
	if (!address_is_equal(&a->address, &b->address) ||
	    !tls_profile_is_equal(a->tls, b->tls) || a->has_key != b->has_key)
		return false;
	return !a->has_key ||
	       (name_is_equal(a->key.name, b->key.name) &&
		strcmp(a->key.algorithm, b->key.algorithm) == 0 &&
		a->key.secret_len == b->key.secret_len &&
		memcmp(a->key.secret, b->key.secret, a->key.secret_len) == 0);
}

static bool is_same_limits(const struct stream_limits *a, const struct stream_limits *b)
{
	return a->idle_us == b->idle_us && a->pace.min_rate == b->pace.min_rate &&
	       a->pace.span_us == b->pace.span_us;
}

bool zoneconf_is_same(const struct mirror_zone_conf *a, const struct mirror_zone_conf *b)
{
	bool is_same = a->primary_count == b->primary_count &&
		       a->max_records == b->max_records && a->max_bytes == b->max_bytes &&
		       review_rules_are_equal(&a->review, &b->review) &&
		       a->max_rrset == b->max_rrset && a->timeout_us == b->timeout_us &&
		       is_same_limits(&a->stream_limits, &b->stream_limits) &&
		       a->catalog.max_members == b->catalog.max_members &&
		       a->catalog.max_removed == b->catalog.max_removed;

	for (unsigned i = 0; is_same && a->primaries != b->primaries && i < a->primary_count; i++)
		is_same = is_same_primary(&a->primaries[i], &b->primaries[i]);
	return is_same;
}
