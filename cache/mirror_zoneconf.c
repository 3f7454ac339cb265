/* SPDX-License-Identifier: ISC */
#include "cache/mirror_zoneconf.h"

#include <stddef.h>
#include <string.h>

#include "cache/memory.h"

/* What the `primaries` of copies point into. */
struct shared {
	_Atomic unsigned holders;
	unsigned count;
	struct mirror_primary list[];
};

static struct shared *shared_of(const struct mirror_zone_conf *copy)
{
	return (struct shared *)(uintptr_t)((const char *)copy->primaries -
					    offsetof(struct shared, list));
}

static const struct mirror_primary *share(const struct mirror_zone_conf *conf)
{
	size_t size = conf->primary_count * sizeof(conf->primaries[0]);
	struct shared *s = memory_zeroed(1, sizeof(*s) + size);

	atomic_init(&s->holders, 1);
	s->count = conf->primary_count;
	if (size > 0)
		memcpy(s->list, conf->primaries, size);
	for (unsigned i = 0; i < s->count; i++)
		tls_profile_keep(s->list[i].tls);
	return s->list;
}

struct mirror_zone_conf *zoneconf_copy(const struct mirror_zone_conf *conf,
				       const struct mirror_zone_conf *like,
				       const struct mirror_zone_conf *made)
{
	struct mirror_zone_conf *copy = memory_new(sizeof(*copy));

	*copy = *conf;
	if (conf->review.program && !(copy->review.program = strdup(conf->review.program)))
		abort();
	if (made && like->primaries == conf->primaries &&
	    like->primary_count == conf->primary_count) {
		copy->primaries = made->primaries;
		atomic_fetch_add(&shared_of(made)->holders, 1);
	} else {
		copy->primaries = share(conf);
	}
	return copy;
}

void zoneconf_free(struct mirror_zone_conf *conf)
{
	struct shared *s;

	if (!conf)
		return;
	s = shared_of(conf);
	if (atomic_fetch_sub(&s->holders, 1) == 1) {
		for (unsigned i = 0; i < s->count; i++)
			tls_profile_free(s->list[i].tls);
		explicit_bzero(s->list, s->count * sizeof(s->list[0]));	/* it held keys */
		free(s);
	}
	free(conf->review.program);
	free(conf);
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

	for (unsigned i = 0; is_same && i < a->primary_count; i++)
		is_same = is_same_primary(&a->primaries[i], &b->primaries[i]);
	return is_same;
}
