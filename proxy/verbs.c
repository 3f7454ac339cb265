/* SPDX-License-Identifier: ISC */
#include "proxy/verbs.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/clock.h"
#include "cache/dns.h"
#include "cache/dump.h"
#include "cache/rdata.h"
#include "proxy/conf_quantity.h"
#include "proxy/daemon.h"
#include "proxy/control_follow.h"
#include "proxy/control_view.h"
#include "proxy/control_words.h"

#define DRILL_MIN_US	(1 * US_PER_S)
#define DRILL_MAX_US	(86400 * US_PER_S)	/* what is to last longer is a matter of tiers */

struct call {
	struct daemon *d;
	const char *const *words;	/* the arguments, as many as the table allows */
	unsigned count;
	struct verb_answer *answer;
};

struct verb {
	const char *name, *arguments;
	unsigned fewest, most;
	void (*run)(struct call *c);
};

/* ---- Answers ---- */

static json_t *done(void)
{
	return json_pack("{sb}", "ok", 1);
}

static json_t *done_with(const char *key, json_t *value)
{
	return json_pack("{sb so}", "ok", 1, key, value);
}

/* Adds "ok" to an object. */
static json_t *done_as(json_t *object)
{
	json_object_set_new(object, "ok", json_true());
	return object;
}

json_t *verbs_error(const char *kind, const char *format, ...)
{
	char text[8192];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	for (char *p = text; *p; p++)		/* JSON wants UTF-8, and files may hold anything */
		if ((*p < 0x20 || *p > 0x7e) && *p != '\n' && *p != '\t')
			*p = '?';
	return json_pack("{sb ss ss}", "ok", 0, "kind", kind, "error", text);
}

static json_t *bad_choice(const char *what, const char *given, const char *choices)
{
	return verbs_error("usage", "%s: '%.64s' is none of %s", what, given, choices);
}

/* ---- Verbs that read ---- */

static void run_status(struct call *c)
{
	c->answer->json = done_as(view_status(c->d));
}

static void run_backends(struct call *c)
{
	c->answer->json = done_with("backends", watch_backends_json(c->d->watch));
}

static void run_zones(struct call *c)
{
	if (zone_listing_is_wanted(c->d))
		zone_listing_begin(&c->answer->zones, c->d);
	else
		c->answer->json = done_with("zones", view_zones(c->d));
}

static void run_health(struct call *c)
{
	if (c->count == 1 && strcmp(c->words[0], "-f") != 0) {
		c->answer->json = bad_choice("health", c->words[0], "-f");
		return;
	}
	c->answer->json =
		json_pack("{sb so so so}", "ok", 1, "backends", watch_backends_json(c->d->watch),
			  "pools", watch_pools_json(c->d->watch), "events", follow_recent());
	c->answer->is_followed = c->count == 1;
}

static void run_explain(struct call *c)
{
	uint8_t name[NAME_LEN_MAX];
	uint16_t type = rdata_type_from_text(c->words[1]);

	if (name_from_text(c->words[0], name) == 0)
		c->answer->json =
			verbs_error("usage", "'%.255s' is not a domain name", c->words[0]);
	else if (type == 0)
		c->answer->json = verbs_error("usage", "'%.32s' is not a record type", c->words[1]);
	else
		c->answer->json = done_as(view_explain(c->d, name, type));
}

static void run_stats(struct call *c)
{
	c->answer->json = done_with("stats", view_stats(c->d));
}

/* ---- Zones ---- */

/* The zone that an operator named, or NULL with the reason in the answer. */
static const struct plan_zone *find_zone(struct call *c)
{
	uint8_t name[NAME_LEN_MAX];
	const char *text = c->words[0];
	const struct plan_zone *z = NULL;

	if (name_from_text(text, name) == 0) {
		c->answer->json = verbs_error("usage", "'%.255s' is not a domain name", text);
		return NULL;
	}
	name_lower(name);
	z = plan_zone_named(c->d->plan, name);
	if (!z)
		c->answer->json = verbs_error("refused", "no zone %.255s is configured", text);
	return z;
}

static const struct plan_zone *find_mirrored(struct call *c)
{
	const struct plan_zone *z = find_zone(c);

	if (!z || z->mirror)
		return z;
	c->answer->json =
		verbs_error("refused", "zone %s is not mirrored: its pool %s has no mirror",
			    z->conf->text, z->conf->pool->name);
	return NULL;
}

static void run_zone(struct call *c)
{
	const struct plan_zone *z = find_zone(c);

	if (z)
		c->answer->json = done_with("zone", view_zone_whole(c->d, z));
}

/* What would bring a newer version is refused while the operator wants none. */
static const struct plan_zone *find_free(struct call *c)
{
	const struct plan_zone *z = find_mirrored(c);

	if (!z || mirror_zone_hold(z->mirror) == ZONE_FREE)
		return z;
	c->answer->json = verbs_error("refused", "zone %s is held: accept %s ends that, and transfers it",
				      z->conf->text, z->conf->text);
	return NULL;
}

static void run_refresh(struct call *c)
{
	const struct plan_zone *z = find_free(c);

	if (!z)
		return;
	mirror_refresh(c->d->mirror, z->mirror);
	c->answer->json = done();
}

static void run_retransfer(struct call *c)
{
	const struct plan_zone *z = find_free(c);

	if (!z)
		return;
	mirror_retransfer(c->d->mirror, z->mirror);
	c->answer->json = done();
}

static bool accept_catalog(struct call *c, const struct plan_zone *z, uint32_t *serial)
{
	struct mirror_zone_status s;

	mirror_zone_status(c->d->mirror, z->mirror, &s);
	if (!s.catalog_held.is_held)
		return false;
	*serial = s.catalog_held.serial;
	mirror_accept_catalog(c->d->mirror, z->mirror);
	return true;
}

/* The mirror would not have it; that a primary's gate is opened does not change its mind. */
static bool take_refused(struct call *c, const struct plan_zone *z, uint32_t *serial)
{
	struct mirror_zone_status s;

	mirror_zone_status(c->d->mirror, z->mirror, &s);
	if (s.refused_by == REVIEW_PASSED)
		return false;
	*serial = s.refused_serial;
	mirror_take_refused(c->d->mirror, z->mirror);
	return true;
}

/* One word for all that holds a zone: the operator's own order, and a primary's odd data. */
static void run_accept(struct call *c)
{
	const struct plan_zone *z = find_mirrored(c);
	bool is_ordered = z && mirror_zone_hold(z->mirror) != ZONE_FREE, is_taken;
	const char *why = "no version of it is held";
	uint32_t serial = 0;

	if (!z)
		return;
	if (is_ordered)
		mirror_accept(c->d->mirror, z->mirror);
	is_taken = z->catalog ? accept_catalog(c, z, &serial)
			      : watch_accept(c->d->watch, z, &serial, &why);
	is_taken = take_refused(c, z, &serial) || is_taken;
	if (!is_taken && !is_ordered) {
		c->answer->json = verbs_error("refused", "%s %s: %s", z->catalog ? "catalog" : "zone",
					      z->conf->text, why);
		return;
	}
	c->answer->json = json_pack("{sb ss sb}", "ok", 1, "zone", z->conf->text, "was_held", is_ordered);
	if (is_taken)
		json_object_set_new(c->answer->json, "serial", json_integer((json_int_t)serial));
}

static const char *order_refusal(enum mirror_done done)
{
	switch (done) {
	case MIRROR_EMPTY:	return "nothing of it is held yet";
	case MIRROR_NONE_OLDER:	return "no older generation is in memory: see zone, and the option keep";
	case MIRROR_NOT_KEPT:	return "no generation of that number or serial is in memory: see zone";
	case MIRROR_AMBIGUOUS:	return "that is the number of one generation and the serial of another: "
				       "write generation=N or serial=N";
	case MIRROR_DONE:
	case MIRROR_LATER:	break;
	}
	return NULL;
}

/* What the mirror answers from now on, and whom clients are still answered by. */
static void answer_order(struct call *c, const struct plan_zone *z, enum mirror_done done)
{
	const char *why = order_refusal(done);
	struct mirror_zone_status s;
	json_t *explained;

	if (why) {
		c->answer->json = verbs_error("refused", "zone %s: %s", z->conf->text, why);
		return;
	}
	mirror_zone_status(c->d->mirror, z->mirror, &s);
	explained = view_explain(c->d, z->origin, TYPE_SOA);
	c->answer->json = json_pack("{sb ss sb sI sI sO*}", "ok", 1, "zone", z->conf->text,
				    "pending", done == MIRROR_LATER, "serial", (json_int_t)s.serial,
				    "generation", (json_int_t)s.generation,
				    "answered_by", json_object_get(explained, "answered_by"));
	json_decref(explained);
}

static void run_hold(struct call *c)
{
	const struct plan_zone *z = find_mirrored(c);

	if (z)
		answer_order(c, z, mirror_hold(c->d->mirror, z->mirror));
}

/* A generation's number or serial; as event lines have it, if it could be both. */
static bool read_which(struct call *c, struct mirror_which *which)
{
	const char *text = c->words[1];

	which->may_be_generation = which->may_be_serial = true;
	if (strncmp(text, "generation=", 11) == 0) {
		which->may_be_serial = false;
		text += 11;
	} else if (strncmp(text, "serial=", 7) == 0) {
		which->may_be_generation = false;
		text += 7;
	}
	size_t len = strspn(text, "0123456789");

	if (len == 0 || len > 18 || text[len]) {
		c->answer->json = verbs_error("usage", "rollback: '%.32s' is neither the number of a "
					      "generation nor a serial", c->words[1]);
		return false;
	}
	which->number = strtoull(text, NULL, 10);
	return true;
}

static void run_rollback(struct call *c)
{
	const struct plan_zone *z = find_mirrored(c);
	struct mirror_which which = { .number = 0 };

	if (!z || (c->count == 2 && !read_which(c, &which)))
		return;
	answer_order(c, z, mirror_roll_back(c->d->mirror, z->mirror, &which));
}

static void run_dump(struct call *c)
{
	const struct plan_zone *z = find_mirrored(c);
	const struct generation *g = z ? rcu_read(z->mirror->current) : NULL;

	if (!z)
		return;
	if (!g) {
		c->answer->json =
			verbs_error("refused", "nothing is held of zone %s yet", z->conf->text);
		return;
	}
	c->answer->dump = dump_new(g);
	c->answer->json = json_pack("{sb ss sI sI}", "ok", 1, "zone", z->conf->text,
			    "serial", (json_int_t)g->soa.serial, "records", (json_int_t)g->records);
}

/* ---- Orders ---- */

static void run_backend(struct call *c)
{
	static const enum health_order orders[] = { ORDER_AUTO, ORDER_UP, ORDER_DOWN, ORDER_DRAIN };

	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		if (strcmp(c->words[1], health_order_text(orders[i])) != 0)
			continue;
		c->answer->json = watch_order_backend(c->d->watch, c->words[0], orders[i])
			? done() : verbs_error("refused", "no backend '%.64s'", c->words[0]);
		return;
	}
	c->answer->json = bad_choice("backend", c->words[1], "up, down, auto, drain");
}

static void run_failover(struct call *c)
{
	const struct plan_pool *pool = plan_pool_named(c->d->plan, c->words[0]);
	enum plan_failover order = POOL_FAILOVER_AUTO;

	if (strcmp(c->words[1], "on") == 0)
		order = POOL_FAILOVER_ON;
	else if (strcmp(c->words[1], "off") == 0)
		order = POOL_FAILOVER_OFF;
	else if (strcmp(c->words[1], "auto") != 0) {
		c->answer->json = bad_choice("failover", c->words[1], "on, off, auto");
		return;
	}
	if (!pool)
		c->answer->json = verbs_error("refused", "no pool '%.64s'", c->words[0]);
	else if (order == POOL_FAILOVER_ON && plan_pool_has_one_tier(pool))
		c->answer->json =
			verbs_error("refused", "pool %s has one tier: nobody could take over",
				    pool->conf->name);
	else
		c->answer->json = watch_order_failover(c->d->watch, pool->conf->name, order)
			? done() : verbs_error("refused", "no pool '%.64s'", c->words[0]);
}

/* 1 to 100; 0: it is none. */
static unsigned percent_parse(const char *text)
{
	size_t len = strspn(text, "0123456789");
	unsigned long n = len > 0 && len <= 3 && !text[len] ? strtoul(text, NULL, 10) : 0;

	return n <= 100 ? (unsigned)n : 0;
}

/* False, with the answer, when the words make no drill. `percent` 0: `off`. */
static bool read_drill(struct call *c, unsigned *percent, uint64_t *us)
{
	*percent = 0;
	*us = 0;
	if (c->count == 2) {
		if (strcmp(c->words[1], "off") != 0)
			c->answer->json = verbs_error("usage", "usage: drill POOL PERCENT DURATION, "
							       "or drill POOL off");
		return strcmp(c->words[1], "off") == 0;
	}
	*percent = percent_parse(c->words[1]);
	if (*percent == 0)
		c->answer->json = verbs_error("usage", "drill: '%.32s' is no share: write a whole "
					      "number from 1 to 100", c->words[1]);
	else if (!conf_duration_parse(c->words[2], us) || *us < DRILL_MIN_US || *us > DRILL_MAX_US)
		c->answer->json = verbs_error("usage", "drill: '%.32s' is no duration from 1s to 24h, "
					      "as in 10m", c->words[2]);
	return !c->answer->json;
}

static void run_drill(struct call *c)
{
	const struct plan_pool *pool = plan_pool_named(c->d->plan, c->words[0]);
	const char *why = "";
	unsigned percent;
	uint64_t us;

	if (!read_drill(c, &percent, &us))
		return;
	if (!pool)
		c->answer->json = verbs_error("refused", "no pool '%.64s'", c->words[0]);
	else if (watch_order_drill(c->d->watch, pool, percent, us, &why))
		c->answer->json = percent == 0
			? json_pack("{sb ss}", "ok", 1, "pool", pool->conf->name)
			: json_pack("{sb ss sI sI}", "ok", 1, "pool", pool->conf->name, "percent",
				    (json_int_t)percent, "duration_s", (json_int_t)(us / US_PER_S));
	else
		c->answer->json = verbs_error("refused", "pool %s: %s", pool->conf->name, why);
}

static void run_reload(struct call *c)
{
	char *text = NULL;
	size_t len = 0;
	FILE *errors = open_memstream(&text, &len);
	bool is_done;

	if (!errors)
		abort();
	is_done = daemon_reload(c->d, errors);
	fclose(errors);
	while (len > 0 && text[len - 1] == '\n')
		text[--len] = '\0';
	c->answer->json = is_done ? done_with("plan", json_integer((json_int_t)c->d->plan->number))
			  : verbs_error("refused", "%s", len > 0 ? text : "reload failed");
	free(text);
}

/* ---- Dispatch ---- */

#define VERB_ROW(name, arguments, fewest, most, sentence) \
	{ #name, arguments, fewest, most, run_##name },
static const struct verb verbs[] = { VERBS_TABLE(VERB_ROW) };
#undef VERB_ROW

void verbs_run(struct daemon *d, const struct words *words, struct verb_answer *answer)
{
	unsigned count = words->count - 1;
	struct call call = {
		.d = d, .words = words->word + 1, .count = count, .answer = answer,
	};

	*answer = (struct verb_answer){ .json = NULL };
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		const struct verb *v = &verbs[i];

		if (strcmp(v->name, words->word[0]) != 0)
			continue;
		if (count < v->fewest || count > v->most)
			answer->json = verbs_error("usage", "usage: %s%s%s", v->name,
						   *v->arguments ? " " : "", v->arguments);
		else
			v->run(&call);
		if (!answer->json && !answer->zones.is_on)	/* text of some name was not UTF-8 */
			answer->json =
				verbs_error("refused", "the answer cannot be written as JSON");
		return;
	}
	answer->json = verbs_error("usage", "unknown verb '%.64s'", words->word[0]);
}
