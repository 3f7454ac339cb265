/* SPDX-License-Identifier: ISC */
/* What the store says: to the zone that it concerns, into the log, and where others look. */
#include <stdio.h>
#include <string.h>

#include "cache/clock.h"
#include "cache/event.h"
#include "cache/mirror_fleet.h"
#include "cache/mirror_parts.h"
#include "cache/redis_error.h"

#define OLDER_EVERY_US	(60 * US_PER_S)	/* on one connection: all zones tell it at once */

static void note_store(struct mirror *m, bool is_up, const char *reason)
{
	pthread_mutex_lock(&m->mutex);
	m->is_store_up = is_up;
	m->is_store_refusing = false;
	snprintf(m->store_reason, sizeof(m->store_reason), "%s", reason);
	pthread_mutex_unlock(&m->mutex);
}

static void log_store(const struct mirror *m, enum event_level level, const char *name,
		      const char *reason)
{
	char address[ADDRESS_TEXT_MAX];
	struct event e;

	event_begin(&e, level, name);
	event_text(&e, "address", address_to_text(store_address(m->shop.store), address));
	if (reason)
		event_text(&e, "reason", reason);
	if (reason && redis_error_mend(reason))
		event_text(&e, "mend", redis_error_mend(reason));
	event_end(&e);
}

static void on_store_up(void *arg)
{
	struct mirror *m = arg;

	m->shop.is_store_known = true;
	m->older_said_us = 0;
	note_store(m, true, "");
	log_store(m, EVENT_NOTICE, "store_up", NULL);
	for (size_t i = 0; i < m->works.count; i++)
		work_on_store_up(m->works.items[i]);
}

/* Said again while it stays down, with another reason perhaps: one line is enough. */
static void on_store_down(const char *reason, void *arg)
{
	struct mirror *m = arg;
	bool is_news = m->is_store_up || !m->shop.is_store_known;

	m->shop.is_store_known = true;
	note_store(m, false, reason);
	if (!is_news)
		return;
	log_store(m, EVENT_WARNING, "store_down", reason);
	for (size_t i = 0; i < m->works.count; i++)
		work_on_store_down(m->works.items[i]);
}

static void on_store_loaded(const uint8_t *origin, struct generation *g,
			    const struct zone_times *times, const char *reason, void *arg)
{
	struct mirror *m = arg;
	struct mirror_work *w = work_list_find(&m->works, origin);

	if (w)
		work_on_loaded(w, g, times, reason);
	else
		generation_free(g);	/* it left the configuration meanwhile */
}

static void on_store_saved(const uint8_t *origin, uint64_t generation, const char *reason,
			   void *arg)
{
	struct mirror *m = arg;
	struct mirror_work *w = work_list_find(&m->works, origin);

	if (w)
		work_on_saved(w, generation, reason);
}

static void on_store_lease(const uint8_t *origin, bool is_ours, const char *holder, void *arg)
{
	struct mirror *m = arg;
	struct mirror_work *w = work_list_find(&m->works, origin);

	if (w)
		work_on_lease(w, is_ours, holder);
}

static void on_store_holder(const uint8_t *origin, const char *holder, void *arg)
{
	struct mirror *m = arg;
	struct mirror_work *w = work_list_find(&m->works, origin);

	if (w)
		work_on_holder(w, holder);
}

static void on_store_newer(const uint8_t *origin, uint64_t generation, void *arg)
{
	struct mirror *m = arg;
	struct mirror_work *w = work_list_find(&m->works, origin);

	if (w)
		work_on_newer(w, generation);
}

static void on_store_followed(const uint8_t *origin, struct generation *g,
			      const struct zone_times *times, const char *reason, void *arg)
{
	struct mirror *m = arg;
	struct mirror_work *w = work_list_find(&m->works, origin);

	if (w)
		work_on_followed(w, g, times, reason);
	else
		generation_free(g);
}

static void on_store_wanted(const uint8_t *origin, uint32_t serial, void *arg)
{
	struct mirror *m = arg;
	struct mirror_work *w = work_list_find(&m->works, origin);

	if (w)
		work_on_wanted(w, serial);
}

static void on_store_spoilt(const uint8_t *origin, uint64_t generation, void *arg)
{
	struct mirror *m = arg;
	struct mirror_work *w = work_list_find(&m->works, origin);

	if (w)
		work_on_spoilt(w, generation);
}

static void on_store_deaf(const char *reason, void *arg)
{
	log_store(arg, EVENT_WARNING, "store_news_failed", reason);
}

static void log_older(struct mirror *m, const uint8_t *origin, uint64_t generation, uint64_t before)
{
	uint64_t now_us = clock_monotonic_us();
	struct event e;

	if (m->older_said_us > 0 && now_us - m->older_said_us < OLDER_EVERY_US) {
		m->older_suppressed++;
		return;
	}
	event_begin(&e, EVENT_WARNING, "store_older");
	event_name(&e, "zone", origin);
	event_number(&e, "generation", generation);
	event_number(&e, "seen", before);
	event_text(&e, "reason", generation == 0 ? "Redis has lost the zone"
						 : "Redis went back to an earlier generation");
	event_text(&e, "mend", "what we hold is written again; see why Redis lost data: "
			       "persistence, eviction, a failover, a backup");
	if (m->older_suppressed > 0)
		event_number(&e, "suppressed", m->older_suppressed);
	event_end(&e);
	m->older_said_us = now_us;
	m->older_suppressed = 0;
}

static void on_store_older(const uint8_t *origin, uint64_t generation, uint64_t before, void *arg)
{
	struct mirror *m = arg;
	struct mirror_work *w = work_list_find(&m->works, origin);

	if (!w)
		return;
	log_older(m, origin, generation, before);
	work_on_older(w, generation);
}

/* NULL: writes are taken again. The connection stands either way. */
static void on_store_refusing(const char *reason, void *arg)
{
	struct mirror *m = arg;

	pthread_mutex_lock(&m->mutex);
	m->is_store_refusing = reason != NULL;
	snprintf(m->store_reason, sizeof(m->store_reason), "%s", reason ? reason : "");
	pthread_mutex_unlock(&m->mutex);
	if (!reason)
		log_store(m, EVENT_NOTICE, "store_up", NULL);
	else if (redis_error_of(reason) == REDIS_ERROR_REFUSES)
		log_store(m, EVENT_WARNING, "store_down", reason);
}

static void on_store_denied(const char *command, const char *reason, void *arg)
{
	struct mirror *m = arg;
	char address[ADDRESS_TEXT_MAX];
	struct event e;

	event_begin(&e, EVENT_WARNING, "store_denied");
	event_text(&e, "address", address_to_text(store_address(m->shop.store), address));
	event_text(&e, "command", command);
	event_text(&e, "reason", reason);
	event_text(&e, "mend", redis_error_mend(reason));
	event_end(&e);
}

static void on_store_setting(const struct store_finding *f, bool is_bad, void *arg)
{
	struct mirror *m = arg;
	char address[ADDRESS_TEXT_MAX], text[MIRROR_UNSAFE_MAX] = "";
	struct event e;

	if (is_bad)
		snprintf(text, sizeof(text), "%s is %s: %s", f->name, f->value, f->reason);
	pthread_mutex_lock(&m->mutex);
	memcpy(m->store_unsafe[f->setting], text, sizeof(text));
	pthread_mutex_unlock(&m->mutex);
	event_begin(&e, is_bad ? EVENT_WARNING : EVENT_NOTICE, is_bad ? "store_unsafe" : "store_safe");
	event_text(&e, "address", address_to_text(store_address(m->shop.store), address));
	event_text(&e, "setting", f->name);
	event_text(&e, "value", f->value);
	if (is_bad) {
		event_text(&e, "reason", f->reason);
		event_text(&e, "mend", f->mend);
	}
	event_end(&e);
}

const struct store_listener mirror_store_listener = {
	.on_up = on_store_up, .on_down = on_store_down, .on_loaded = on_store_loaded,
	.on_saved = on_store_saved, .on_lease = on_store_lease, .on_holder = on_store_holder,
	.on_newer = on_store_newer, .on_followed = on_store_followed,
	.on_wanted = on_store_wanted, .on_spoilt = on_store_spoilt,
	.on_deaf = on_store_deaf,
	.on_older = on_store_older, .on_refusing = on_store_refusing, .on_denied = on_store_denied,
	.on_setting = on_store_setting,
};
