/* SPDX-License-Identifier: ISC */
#include "proxy/verbs.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/dump.h"
#include "cache/rdata.h"
#include "proxy/daemon.h"
#include "proxy/follow.h"
#include "proxy/view.h"
#include "proxy/words.h"

struct verb {
	const char *name, *arguments;
	unsigned fewest, most;
	void (*run)(struct daemon *d, const char *const *arguments, unsigned count,
		    struct verb_answer *a);
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

static void run_status(struct daemon *d, const char *const *words, unsigned count, struct verb_answer *a)
{
	(void)words, (void)count;
	a->json = done_as(view_status(d));
}

static void run_backends(struct daemon *d, const char *const *words, unsigned count, struct verb_answer *a)
{
	(void)words, (void)count;
	a->json = done_with("backends", watch_backends_json(d->watch));
}

static void run_zones(struct daemon *d, const char *const *words, unsigned count, struct verb_answer *a)
{
	(void)words, (void)count;
	a->json = done_with("zones", view_zones(d));
}

static void run_health(struct daemon *d, const char *const *words, unsigned count, struct verb_answer *a)
{
	if (count == 1 && strcmp(words[0], "-f") != 0) {
		a->json = bad_choice("health", words[0], "-f");
		return;
	}
	a->json = json_pack("{sb so so so}", "ok", 1, "backends", watch_backends_json(d->watch),
			    "pools", watch_pools_json(d->watch), "events", follow_recent());
	a->is_followed = count == 1;
}

static void run_explain(struct daemon *d, const char *const *words, unsigned count, struct verb_answer *a)
{
	uint8_t name[NAME_LEN_MAX];
	uint16_t type = rdata_type_from_text(words[1]);

	(void)count;
	if (name_from_text(words[0], name) == 0)
		a->json = verbs_error("usage", "'%.255s' is not a domain name", words[0]);
	else if (type == 0)
		a->json = verbs_error("usage", "'%.32s' is not a record type", words[1]);
	else
		a->json = done_as(view_explain(d, name, type));
}

static void run_stats(struct daemon *d, const char *const *words, unsigned count, struct verb_answer *a)
{
	(void)words, (void)count;
	a->json = done_with("stats", view_stats(d));
}

/* ---- Zones ---- */

/* The zone that an operator named, or NULL with the reason in a->json. */
static const struct plan_zone *find_zone(struct daemon *d, const char *text, struct verb_answer *a)
{
	uint8_t name[NAME_LEN_MAX];
	const struct plan_zone *z = NULL;

	if (name_from_text(text, name) == 0) {
		a->json = verbs_error("usage", "'%.255s' is not a domain name", text);
		return NULL;
	}
	name_lower(name);
	z = plan_zone_named(d->plan, name);
	if (!z)
		a->json = verbs_error("refused", "no zone %.255s is configured", text);
	return z;
}

static const struct plan_zone *find_mirrored(struct daemon *d, const char *text, struct verb_answer *a)
{
	const struct plan_zone *z = find_zone(d, text, a);

	if (!z || z->mirror)
		return z;
	a->json = verbs_error("refused", "zone %s is not mirrored: its pool %s has no mirror",
			      z->conf->text, z->conf->pool->name);
	return NULL;
}

static void run_zone(struct daemon *d, const char *const *words, unsigned count, struct verb_answer *a)
{
	const struct plan_zone *z = find_zone(d, words[0], a);

	(void)count;
	if (z)
		a->json = done_with("zone", view_zone(d, z));
}

static void run_refresh(struct daemon *d, const char *const *words, unsigned count, struct verb_answer *a)
{
	const struct plan_zone *z = find_mirrored(d, words[0], a);

	(void)count;
	if (!z)
		return;
	mirror_refresh(d->mirror, z->mirror);
	a->json = done();
}

static void run_retransfer(struct daemon *d, const char *const *words, unsigned count, struct verb_answer *a)
{
	const struct plan_zone *z = find_mirrored(d, words[0], a);

	(void)count;
	if (!z)
		return;
	mirror_retransfer(d->mirror, z->mirror);
	a->json = done();
}

static void run_dump(struct daemon *d, const char *const *words, unsigned count, struct verb_answer *a)
{
	const struct plan_zone *z = find_mirrored(d, words[0], a);
	const struct generation *g = z ? rcu_read(z->mirror->current) : NULL;

	(void)count;
	if (!z)
		return;
	if (!g) {
		a->json = verbs_error("refused", "nothing is held of zone %s yet", z->conf->text);
		return;
	}
	a->dump = dump_new(g);
	a->json = json_pack("{sb ss sI sI}", "ok", 1, "zone", z->conf->text,
			    "serial", (json_int_t)g->soa.serial, "records", (json_int_t)g->records);
}

/* ---- Orders ---- */

static void run_backend(struct daemon *d, const char *const *words, unsigned count, struct verb_answer *a)
{
	static const enum health_order orders[] = { ORDER_AUTO, ORDER_UP, ORDER_DOWN, ORDER_DRAIN };

	(void)count;
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		if (strcmp(words[1], health_order_text(orders[i])) != 0)
			continue;
		a->json = watch_order_backend(d->watch, words[0], orders[i])
			? done() : verbs_error("refused", "no backend '%.64s'", words[0]);
		return;
	}
	a->json = bad_choice("backend", words[1], "up, down, auto, drain");
}

/* Without a second tier nobody would be left to answer. */
static bool has_one_tier(const struct plan_pool *p)
{
	return p->target_count == 0 || p->targets[0].tier == p->targets[p->target_count - 1].tier;
}

static void run_failover(struct daemon *d, const char *const *words, unsigned count, struct verb_answer *a)
{
	const struct plan_pool *pool = plan_pool_named(d->plan, words[0]);
	enum plan_failover order = POOL_FAILOVER_AUTO;

	(void)count;
	if (strcmp(words[1], "on") == 0)
		order = POOL_FAILOVER_ON;
	else if (strcmp(words[1], "off") == 0)
		order = POOL_FAILOVER_OFF;
	else if (strcmp(words[1], "auto") != 0) {
		a->json = bad_choice("failover", words[1], "on, off, auto");
		return;
	}
	if (!pool)
		a->json = verbs_error("refused", "no pool '%.64s'", words[0]);
	else if (order == POOL_FAILOVER_ON && has_one_tier(pool))
		a->json = verbs_error("refused", "pool %s has one tier: nobody could take over",
				      pool->conf->name);
	else
		a->json = watch_order_failover(d->watch, pool->conf->name, order)
			? done() : verbs_error("refused", "no pool '%.64s'", words[0]);
}

static void run_reload(struct daemon *d, const char *const *words, unsigned count, struct verb_answer *a)
{
	char *text = NULL;
	size_t len = 0;
	FILE *errors = open_memstream(&text, &len);
	bool is_done;

	(void)words, (void)count;
	if (!errors)
		abort();
	is_done = daemon_reload(d, errors);
	fclose(errors);
	while (len > 0 && text[len - 1] == '\n')
		text[--len] = '\0';
	a->json = is_done ? done_with("plan", json_integer((json_int_t)d->plan->number))
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

	*answer = (struct verb_answer){ .json = NULL };
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		const struct verb *v = &verbs[i];

		if (strcmp(v->name, words->word[0]) != 0)
			continue;
		if (count < v->fewest || count > v->most)
			answer->json = verbs_error("usage", "usage: %s%s%s", v->name,
						   *v->arguments ? " " : "", v->arguments);
		else
			v->run(d, words->word + 1, count, answer);
		if (!answer->json)	/* text of some name was not UTF-8 */
			answer->json = verbs_error("refused", "the answer cannot be written as JSON");
		return;
	}
	answer->json = verbs_error("usage", "unknown verb '%.64s'", words->word[0]);
}
