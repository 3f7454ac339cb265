/* SPDX-License-Identifier: ISC */
#include "cache/mirror_zonelog.h"

#include <stdlib.h>
#include <string.h>

#include "cache/clock.h"
#include "cache/memory.h"

#define QUIET_US	(60 * US_PER_S)

void zonelog_init(struct zonelog *l, const uint8_t *origin)
{
	memset(l, 0, sizeof(*l));
	l->origin = origin;
}

void zonelog_forget(struct zonelog *l)
{
	free(l->said);
	l->said = NULL;
}

/* FNV-1a: equal lines are to be found again, nobody is to be kept out. */
static uint64_t hash_text(uint64_t hash, const char *text)
{
	for (; *text; text++)
		hash = (hash ^ (uint8_t)*text) * 0x100000001b3ull;
	return (hash ^ 0xff) * 0x100000001b3ull;
}

/* The line of this failure, or the one that was said longest ago. */
static struct zonelog_line *line_of(struct zonelog *l, uint64_t hash)
{
	struct zonelog_line *oldest;

	if (!l->said)
		l->said = memory_zeroed(ZONELOG_MEMORY, sizeof(l->said[0]));
	oldest = &l->said[0];
	for (size_t i = 0; i < ZONELOG_MEMORY; i++) {
		if (l->said[i].hash == hash)
			return &l->said[i];
		if (l->said[i].logged_us < oldest->logged_us)
			oldest = &l->said[i];
	}
	*oldest = (struct zonelog_line){ .hash = hash };
	return oldest;
}

/* False when this was said within the last minute; else how often it was not said. */
static bool is_news(struct zonelog *l, const char *event, const struct zonelog_failure *f,
		    unsigned *suppressed)
{
	uint64_t hash = 0xcbf29ce484222325ull;
	struct zonelog_line *line;

	hash = hash_text(hash, event);
	hash = hash_text(hash, f->source);
	hash = hash_text(hash, f->reason);
	line = line_of(l, hash | 1);
	if (line->logged_us != 0 && f->now_us - line->logged_us < QUIET_US) {
		line->suppressed++;
		return false;
	}
	*suppressed = line->suppressed;
	line->suppressed = 0;
	line->logged_us = f->now_us;
	return true;
}

static void log_failure(struct zonelog *l, enum event_level level, const char *event,
			const struct zonelog_failure *f)
{
	unsigned suppressed;
	struct event e;

	if (!is_news(l, event, f, &suppressed))
		return;
	event_begin(&e, level, event);
	event_name(&e, "zone", l->origin);
	event_text(&e, "source", f->source);
	if (f->owner)
		event_text(&e, "owner", f->owner);
	event_text(&e, "reason", f->reason);
	if (f->retry_s != UINT64_MAX)
		event_number(&e, "next_retry_s", f->retry_s);
	if (suppressed > 0)
		event_number(&e, "suppressed", suppressed);
	event_end(&e);
}

void zonelog_ixfr_failed(struct zonelog *l, const struct zonelog_failure *f)
{
	log_failure(l, EVENT_NOTICE, "ixfr_failed", f);
}

void zonelog_failed(struct zonelog *l, const struct zonelog_failure *f)
{
	log_failure(l, EVENT_WARNING, "zone_transfer_failed", f);
}

void zonelog_rejected(struct zonelog *l, const struct zonelog_failure *f)
{
	log_failure(l, EVENT_WARNING, "zone_rejected", f);
}

/* Of a zone that changes all the time each version may be one that is refused. */
void zonelog_refused(struct zonelog *l, const struct review_refusal *r,
		     const struct generation *held, const char *source, uint64_t now_us)
{
	struct zonelog_failure f = {
		.source = source, .reason = r->reason, .now_us = now_us,
	};
	char origin[NAME_TEXT_MAX];
	unsigned suppressed;
	struct event e;

	if (!is_news(l, "zone_refused", &f, &suppressed))
		return;
	event_begin(&e, EVENT_WARNING, "zone_refused");
	event_name(&e, "zone", l->origin);
	event_text(&e, "check", review_check_text(r->check));
	event_number(&e, "serial", r->serial);
	event_number(&e, "records", r->records);
	if (held) {
		event_number(&e, "from_serial", held->soa.serial);
		event_number(&e, "records_before", r->records_before);
	}
	event_text(&e, "source", source);
	event_text(&e, "reason", r->reason);
	event_format(&e, "mend", "understudyctl accept %s takes it",
		     name_to_text(l->origin, origin));
	if (suppressed > 0)
		event_number(&e, "suppressed", suppressed);
	event_end(&e);
}

void zonelog_not_saved(struct zonelog *l, const char *event, const char *reason, uint64_t now_us)
{
	struct zonelog_failure f = { .source = "", .reason = reason, .now_us = now_us };
	unsigned suppressed;
	struct event e;

	if (!is_news(l, event, &f, &suppressed))
		return;
	event_begin(&e, EVENT_WARNING, event);
	event_name(&e, "zone", l->origin);
	event_text(&e, "reason", reason);
	if (suppressed > 0)
		event_number(&e, "suppressed", suppressed);
	event_end(&e);
}

void zonelog_transferred(const struct zonelog *l, const struct zonelog_transfer *t)
{
	struct event e;

	event_begin(&e, EVENT_NOTICE, "zone_transferred");
	event_name(&e, "zone", l->origin);
	event_text(&e, "kind", t->is_difference ? "ixfr" : "axfr");
	if (t->old)
		event_number(&e, "from_serial", t->old->soa.serial);
	event_number(&e, "serial", t->new->soa.serial);
	event_number(&e, "generation", t->new->number);
	event_number(&e, "records", t->is_difference ? t->records : t->new->records);
	event_number(&e, "bytes", t->bytes);
	event_number(&e, "duration_ms", t->duration_us / US_PER_MS);
	event_text(&e, "source", t->source);
	event_end(&e);
}

void zonelog_restored(const struct zonelog *l, const struct generation *g, const char *source)
{
	struct event e;

	event_begin(&e, EVENT_NOTICE, "zone_restored");
	event_name(&e, "zone", l->origin);
	event_number(&e, "serial", g->soa.serial);
	event_number(&e, "generation", g->number);
	event_number(&e, "records", g->records);
	event_text(&e, "source", source);
	event_end(&e);
}

static void log_order(const struct zonelog *l, enum event_level level, const char *name,
		      const struct generation *g, const char *cause)
{
	struct event e;

	event_begin(&e, level, name);
	event_name(&e, "zone", l->origin);
	event_number(&e, "serial", g->soa.serial);
	event_number(&e, "generation", g->number);
	event_text(&e, "cause", cause);
	event_end(&e);
}

void zonelog_held(const struct zonelog *l, const struct generation *g, const char *cause)
{
	log_order(l, EVENT_WARNING, "zone_held", g, cause);
}

void zonelog_released(const struct zonelog *l, const struct generation *g)
{
	static const char by[] = "operator";

	log_order(l, EVENT_NOTICE, "zone_released", g, by);
}

void zonelog_rolled_back(const struct zonelog *l, const struct generation *from,
			 const struct generation *to, uint64_t copy_of)
{
	struct event e;

	event_begin(&e, EVENT_WARNING, "zone_rolled_back");
	event_name(&e, "zone", l->origin);
	event_number(&e, "from_serial", from->soa.serial);
	event_number(&e, "serial", to->soa.serial);
	event_number(&e, "from_generation", from->number);
	event_number(&e, "generation", to->number);
	event_number(&e, "copy_of", copy_of);
	event_end(&e);
}

void zonelog_newer_held(const struct zonelog *l, uint32_t serial, uint32_t newer,
			const char *source)
{
	struct event e;

	event_begin(&e, EVENT_WARNING, "zone_update_held");
	event_name(&e, "zone", l->origin);
	event_number(&e, "serial", serial);
	event_number(&e, "newer_serial", newer);
	event_text(&e, "source", source);
	event_text(&e, "reason", "the zone is held: understudyctl accept takes it");
	event_end(&e);
}

void zonelog_refreshed(const struct zonelog *l, uint32_t serial, unsigned failures,
		       const char *source)
{
	struct event e;

	event_begin(&e, EVENT_NOTICE, "zone_refreshed");
	event_name(&e, "zone", l->origin);
	event_number(&e, "serial", serial);
	event_number(&e, "after_failures", failures);
	event_text(&e, "source", source);
	event_end(&e);
}

void zonelog_faithful(const struct zonelog *l, uint32_t serial, const char *reason,
		      const uint8_t *owner)
{
	struct event e;

	event_begin(&e, reason ? EVENT_WARNING : EVENT_NOTICE,
		    reason ? "zone_unfaithful" : "zone_faithful");
	event_name(&e, "zone", l->origin);
	event_number(&e, "serial", serial);
	if (owner)
		event_name(&e, "owner", owner);
	if (reason)
		event_text(&e, "reason", reason);
	event_end(&e);
}

void zonelog_lease_taken(const struct zonelog *l, const char *from)
{
	struct event e;

	event_begin(&e, EVENT_NOTICE, "lease_taken");
	event_name(&e, "zone", l->origin);
	event_text(&e, "from", from);
	event_end(&e);
}

void zonelog_lease_lost(const struct zonelog *l, const char *to)
{
	struct event e;

	event_begin(&e, EVENT_NOTICE, "lease_lost");
	event_name(&e, "zone", l->origin);
	event_text(&e, "to", to);
	event_end(&e);
}

void zonelog_signatures_ending(const struct zonelog *l, uint32_t serial, uint64_t left_s,
			       const uint8_t *owner)
{
	struct event e;

	event_begin(&e, EVENT_WARNING, "zone_signatures_ending");
	event_name(&e, "zone", l->origin);
	event_number(&e, "serial", serial);
	event_number(&e, "ends_in_s", left_s);
	if (owner)
		event_name(&e, "owner", owner);
	event_end(&e);
}

void zonelog_expiring(const struct zonelog *l, unsigned percent_left, uint64_t left_s)
{
	struct event e;

	event_begin(&e, EVENT_WARNING, "zone_expiring");
	event_name(&e, "zone", l->origin);
	event_number(&e, "percent_left", percent_left);
	event_number(&e, "expires_in_s", left_s);
	event_end(&e);
}

void zonelog_grace_begun(const struct zonelog *l, uint32_t serial, uint64_t left_s,
			 const char *limit)
{
	struct event e;

	event_begin(&e, EVENT_ERROR, "zone_grace_begun");
	event_name(&e, "zone", l->origin);
	event_number(&e, "serial", serial);
	event_number(&e, "expires_in_s", left_s);
	event_text(&e, "limit", limit);
	event_end(&e);
}

void zonelog_grace_ended(const struct zonelog *l, uint32_t serial, const char *cause)
{
	struct event e;

	event_begin(&e, EVENT_NOTICE, "zone_grace_ended");
	event_name(&e, "zone", l->origin);
	event_number(&e, "serial", serial);
	event_text(&e, "cause", cause);
	event_end(&e);
}

void zonelog_expired(const struct zonelog *l, uint32_t serial)
{
	struct event e;

	event_begin(&e, EVENT_ERROR, "zone_expired");
	event_name(&e, "zone", l->origin);
	event_number(&e, "serial", serial);
	event_end(&e);
}
