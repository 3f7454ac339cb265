/* SPDX-License-Identifier: ISC */
#include "proxy/ctl_render.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/stats.h"

enum { CELL_MAX = 1100, COLUMNS_MAX = 32, NAMES_MAX = 5, LIST_MAX = 12 };

enum format { PLAIN, DURATION, PERCENT, NAMES };

struct column {
	const char *title, *key;
	enum format format;
};

/* ---- Cells ---- */

static void put_duration(json_int_t s, char *cell, size_t size)
{
	const char *sign = s < 0 ? "-" : "";
	unsigned long long n = s < 0 ? 0ull - (unsigned long long)s : (unsigned long long)s;

	if (n < 60)
		snprintf(cell, size, "%s%llus", sign, n);
	else if (n < 3600)
		snprintf(cell, size, "%s%llum%02llus", sign, n / 60, n % 60);
	else if (n < 86400)
		snprintf(cell, size, "%s%lluh%02llum", sign, n / 3600, n % 3600 / 60);
	else
		snprintf(cell, size, "%s%llud%02lluh", sign, n / 86400, n % 86400 / 3600);
}

/* "a,b,c": of many the first ones, and how many follow. --json has them all. */
static void put_names(const char *text, char *cell, size_t size)
{
	const char *end = text;
	unsigned rest = 0;

	for (unsigned i = 0; i < NAMES_MAX && *end; i++)
		end += strcspn(end + (i > 0), ",") + (i > 0);
	for (const char *at = end; *at; at++)
		rest += *at == ',';
	if (rest > 1)
		snprintf(cell, size, "%.*s and %u more", (int)(end - text), text, rest);
	else
		snprintf(cell, size, "%s", *text ? text : "-");
}

static const char *put_cell(const json_t *value, enum format format, char cell[CELL_MAX])
{
	const char *text = json_string_value(value);

	if (text && format == NAMES)
		put_names(text, cell, CELL_MAX);
	else if (text)
		snprintf(cell, CELL_MAX, "%s", *text ? text : "-");
	else if (json_is_integer(value) && format == DURATION)
		put_duration(json_integer_value(value), cell, CELL_MAX);
	else if (json_is_integer(value))
		snprintf(cell, CELL_MAX, "%lld", (long long)json_integer_value(value));
	else if (json_is_real(value))
		snprintf(cell, CELL_MAX, format == PERCENT ? "%.0f%%" : "%.1f",
			 json_real_value(value));
	else if (json_is_boolean(value))
		snprintf(cell, CELL_MAX, "%s", json_is_true(value) ? "yes" : "no");
	else
		snprintf(cell, CELL_MAX, "-");
	return cell;
}

/* ---- Tables ---- */

/* The last column is not padded. */
static void put_row(const struct column *columns, const int *widths, const json_t *row, FILE *out)
{
	char cell[CELL_MAX];

	for (size_t i = 0; columns[i].title; i++) {
		const char *text = row
			? put_cell(json_object_get(row, columns[i].key), columns[i].format, cell)
			: columns[i].title;

		if (columns[i + 1].title)
			fprintf(out, "%-*s  ", widths[i], text);
		else
			fprintf(out, "%s\n", text);
	}
}

static void put_table(const struct column *columns, const json_t *rows, FILE *out)
{
	int widths[COLUMNS_MAX] = { 0 };
	char cell[CELL_MAX];
	size_t r;
	json_t *row;

	for (size_t i = 0; columns[i].title; i++) {
		widths[i] = (int)strlen(columns[i].title);
		json_array_foreach(rows, r, row) {
			const json_t *value = json_object_get(row, columns[i].key);
			int width = (int)strlen(put_cell(value, columns[i].format, cell));

			if (width > widths[i])
				widths[i] = width;
		}
	}
	put_row(columns, widths, NULL, out);
	json_array_foreach(rows, r, row)
		put_row(columns, widths, row, out);
}

static void put_pairs(const struct column *columns, const json_t *object, FILE *out)
{
	int width = 0;
	char cell[CELL_MAX];

	for (size_t i = 0; columns[i].title; i++)
		if ((int)strlen(columns[i].title) > width)
			width = (int)strlen(columns[i].title);
	for (size_t i = 0; columns[i].title; i++) {
		const json_t *value = json_object_get(object, columns[i].key);

		if (value)
			fprintf(out, "%-*s  %s\n", width, columns[i].title,
				put_cell(value, columns[i].format, cell));
	}
}

/* "a or b or 7 more" of an array of strings: `most` lines or words at the most, 0: all. */
static void put_list(const json_t *strings, const char *between, size_t most, FILE *out)
{
	size_t size = json_array_size(strings);
	size_t shown = most == 0 || size <= most ? size : most - 1;

	for (size_t i = 0; i < shown; i++)
		fprintf(out, "%s%s", i > 0 ? between : "",
			json_string_value(json_array_get(strings, i)));
	if (shown < size)
		fprintf(out, "%s%zu more", between, size - shown);
	fprintf(out, "\n");
}

/* ---- What the verbs show ---- */

static const struct column pool_columns[] = {
	{ "POOL", "name", PLAIN }, { "SERVED BY", "serving", NAMES }, { "TIER", "tier", PLAIN },
	{ "SINCE", "since_s", DURATION }, { "FAILOVER", "failover", PLAIN },
	{ "DRILL", "drill_percent", PERCENT }, { "ENDS IN", "drill_left_s", DURATION },
	{ "POLICY", "policy", PLAIN }, { "ZONES", "zones", PLAIN }, { NULL, NULL, PLAIN },
};

static const struct column backend_columns[] = {
	{ "BACKEND", "name", PLAIN },          { "POOL", "pool", PLAIN },
	{ "ADDRESS", "address", PLAIN },       { "TIER", "tier", PLAIN },
	{ "STATE", "state", PLAIN },           { "SINCE", "since_s", DURATION },
	{ "SHARE", "share_percent", PERCENT }, { "BACK IN", "returns_in_s", DURATION },
	{ "RELAPSES", "relapses", PLAIN },     { "HELD", "held_zones", PLAIN },
	{ "LOOP", "looping", PLAIN },          { "RTT ms", "srtt_ms", PLAIN },
	{ "OUT", "outstanding", PLAIN },       { "SENT", "sent", PLAIN },
	{ "REPLIES", "replies", PLAIN },       { "SILENT", "silent", PLAIN },
	{ "REFUSED", "refused", PLAIN },       { "FAILED", "failed", PLAIN },
	{ "RESCUED", "rescued", PLAIN },       { "LIMIT /s", "limit_per_s", PLAIN },
	{ "SPARED", "spared", PLAIN },         { NULL, NULL, PLAIN },
};

static const struct column health_columns[] = {
	{ "BACKEND", "name", PLAIN },
	{ "POOL", "pool", PLAIN },
	{ "STATE", "state", PLAIN },
	{ "HEALTH", "health", PLAIN },
	{ "CAUSE", "cause", PLAIN },
	{ "SINCE", "since_s", DURATION },
	{ "SHARE", "share_percent", PERCENT },
	{ "PROBE ms", "probe_rtt_ms", PLAIN },
	{ "RISE", "rise", PLAIN },
	{ "HELD ZONES", "held_zones", PLAIN },
	{ NULL, NULL, PLAIN },
};

static const struct column zones_columns[] = {
	{ "ZONE", "zone", PLAIN }, { "STATE", "state", PLAIN }, { "SERIAL", "serial", PLAIN },
	{ "GENERATION", "generation", PLAIN }, { "RECORDS", "records", PLAIN },
	{ "AGE", "age_s", DURATION }, { "REFRESH IN", "next_refresh_s", DURATION },
	{ "FAITHFUL", "faithful", PLAIN }, { "DIVERGED", "divergence", PLAIN },
	{ "SOURCE", "source", PLAIN }, { "ORDER", "order", PLAIN },
	{ "CATALOG", "catalog", PLAIN },
	{ "REFUSED", "refused_serial", PLAIN }, { "HELD AT", "held", PLAIN }, { NULL, NULL, PLAIN },
};

static const struct column hold_columns[] = {
	{ "HELD AT", "backend", PLAIN }, { "REASON", "reason", PLAIN },
	{ "SERIAL", "serial", PLAIN }, { "SINCE", "since_s", DURATION },
	{ "ACCEPTED IN", "accepted_in_s", DURATION }, { "EXAMPLE", "example", PLAIN },
	{ NULL, NULL, PLAIN },
};

static const struct column generation_columns[] = {
	{ "GENERATION", "generation", PLAIN }, { "SERIAL", "serial", PLAIN },
	{ "RECORDS", "records", PLAIN }, { "AGE", "age_s", DURATION },
	{ "SERVES", "serves", PLAIN }, { "COPY OF", "copy_of", PLAIN },
	{ "SOURCE", "source", PLAIN }, { NULL, NULL, PLAIN },
};

static const struct column divergence_columns[] = {
	{ "DIVERGED", "name", PLAIN }, { "TYPE", "type", PLAIN }, { "SERIAL", "serial", PLAIN },
	{ "AGO", "ago_s", DURATION }, { "BACKEND", "backend", PLAIN },
	{ "SAYS", "backend_says", PLAIN }, { "THE MIRROR SAYS", "mirror_says", PLAIN },
	{ NULL, NULL, PLAIN },
};

static const struct column zone_pairs[] = {
	{ "zone", "zone", PLAIN }, { "pool", "pool", PLAIN }, { "state", "state", PLAIN },
	{ "catalog", "catalog", PLAIN }, { "group", "group", PLAIN },
	{ "members", "members", PLAIN }, { "refused", "refused", PLAIN },
	{ "serial", "serial", PLAIN }, { "generation", "generation", PLAIN },
	{ "records", "records", PLAIN }, { "bytes", "bytes", PLAIN }, { "source", "source", PLAIN },
	{ "age", "age_s", DURATION }, { "next refresh in", "next_refresh_s", DURATION },
	{ "expires in", "expires_in_s", DURATION },
	{ "grace left", "grace_left_s", DURATION }, { "transferring", "transferring", PLAIN },
	{ "saved generation", "saved_generation", PLAIN }, { "lease", "lease", PLAIN },
	{ "lease holder", "lease_holder", PLAIN }, { "behind Redis, ms", "lag_ms", PLAIN },
	{ "faithful", "faithful", PLAIN }, { "unfaithful", "unfaithful_reason", PLAIN },
	{ "order", "order", PLAIN }, { "since", "order_age_s", DURATION },
	{ "newer serial", "newer_serial", PLAIN },
	{ "answers differ", "answers_otherwise", PLAIN }, { "diverged", "divergence", PLAIN },
	{ "refused serial", "refused_serial", PLAIN }, { "refused by", "refused_by", PLAIN },
	{ "refused because", "refused_reason", PLAIN },
	{ "last error", "last_error", PLAIN }, { NULL, NULL, PLAIN },
};

static const struct column member_columns[] = {
	{ "MEMBER", "zone", PLAIN }, { "POOL", "pool", PLAIN }, { "GROUP", "group", PLAIN },
	{ NULL, NULL, PLAIN },
};

static const struct column refused_columns[] = {
	{ "REFUSED", "zone", PLAIN }, { "REASON", "reason", PLAIN }, { NULL, NULL, PLAIN },
};

static const struct column target_columns[] = {
	{ "TARGET", "name", PLAIN }, { "KIND", "kind", PLAIN }, { "TIER", "tier", PLAIN },
	{ "STATE", "state", PLAIN }, { "SHARE", "share_percent", PERCENT },
	{ "WHY", "why", PLAIN }, { NULL, NULL, PLAIN },
};

static const struct column status_pairs[] = {
	{ "pid", "pid", PLAIN }, { "running for", "uptime_s", DURATION },
	{ "workers", "workers", PLAIN }, { "configuration", "plan", PLAIN },
	{ NULL, NULL, PLAIN },
};

/* What endangers the store, a line each. */
static void put_unsafe(const json_t *list, FILE *out)
{
	size_t i;
	json_t *one;
	char cell[CELL_MAX];

	json_array_foreach(list, i, one)
		fprintf(out, "\n               unsafe: %s", put_cell(one, PLAIN, cell));
}

static void show_status(const json_t *answer, FILE *out)
{
	const json_t *zones = json_object_get(answer, "zones");
	const json_t *store = json_object_get(answer, "store");
	const json_t *divergence = json_object_get(answer, "divergence");
	bool is_degraded = json_is_true(json_object_get(answer, "degraded"));
	char a[CELL_MAX], b[CELL_MAX], c[CELL_MAX];

	put_pairs(status_pairs, answer, out);
	fprintf(out, "zones          %s, %s mirrored, %s servable\n",
		put_cell(json_object_get(zones, "configured"), PLAIN, a),
		put_cell(json_object_get(zones, "mirrored"), PLAIN, b),
		put_cell(json_object_get(zones, "servable"), PLAIN, c));
	fprintf(out, "store          %s", put_cell(json_object_get(store, "state"), PLAIN, a));
	if (*put_cell(json_object_get(store, "reason"), PLAIN, b) != '-')
		fprintf(out, " (%s)", b);
	put_unsafe(json_object_get(store, "unsafe"), out);
	if (json_integer_value(json_object_get(divergence, "answers")) > 0)
		fprintf(out, "\ndivergence     %s answers in %s zones: see zones",
			put_cell(json_object_get(divergence, "answers"), PLAIN, a),
			put_cell(json_object_get(divergence, "zones"), PLAIN, b));
	fprintf(out, "\n%s       ", is_degraded ? "DEGRADED" : "all well");
	put_list(json_object_get(answer, "reasons"), "\n               ", LIST_MAX, out);
	fprintf(out, "\n");
	put_table(pool_columns, json_object_get(answer, "pools"), out);
}

static void show_backends(const json_t *answer, FILE *out)
{
	put_table(backend_columns, json_object_get(answer, "backends"), out);
}

static void show_zones(const json_t *answer, FILE *out)
{
	put_table(zones_columns, json_object_get(answer, "zones"), out);
}

/* Nothing when there are no rows. */
static void put_more(const struct column *columns, const json_t *rows, FILE *out)
{
	if (json_array_size(rows) == 0)
		return;
	fprintf(out, "\n");
	put_table(columns, rows, out);
}

static void show_zone(const json_t *answer, FILE *out)
{
	const json_t *zone = json_object_get(answer, "zone");

	put_pairs(zone_pairs, zone, out);
	put_more(generation_columns, json_object_get(zone, "generations"), out);
	if (json_object_get(zone, "is_catalog") && json_object_get(zone, "held"))
		fprintf(out, "\nHELD: %s\n", json_string_value(json_object_get(zone, "held")));
	put_more(hold_columns, json_object_get(zone, "holds"), out);
	put_more(divergence_columns, json_object_get(zone, "divergences"), out);
	put_more(member_columns, json_object_get(zone, "member_zones"), out);
	put_more(refused_columns, json_object_get(zone, "refused_zones"), out);
}

static void show_drill(const json_t *answer, FILE *out)
{
	char pool[CELL_MAX], percent[CELL_MAX], lasts[CELL_MAX];

	put_cell(json_object_get(answer, "pool"), PLAIN, pool);
	if (!json_object_get(answer, "percent"))
		fprintf(out, "pool %s: no drill\n", pool);
	else
		fprintf(out, "pool %s: %s%% of the queries from the mirror for %s\n", pool,
			put_cell(json_object_get(answer, "percent"), PLAIN, percent),
			put_cell(json_object_get(answer, "duration_s"), DURATION, lasts));
}

static void show_accept(const json_t *answer, FILE *out)
{
	char zone[CELL_MAX], serial[CELL_MAX];

	put_cell(json_object_get(answer, "zone"), PLAIN, zone);
	if (json_object_get(answer, "serial"))
		fprintf(out, "%s serial %s is accepted: the mirror transfers it\n", zone,
			put_cell(json_object_get(answer, "serial"), PLAIN, serial));
	else
		fprintf(out, "%s is not held any more: the mirror transfers it\n", zone);
}

/* hold, rollback: at such a moment nobody should have to guess who answers now. */
static void show_order(const json_t *answer, FILE *out)
{
	char zone[CELL_MAX], serial[CELL_MAX], generation[CELL_MAX];
	const json_t *names = json_object_get(answer, "answered_by");

	put_cell(json_object_get(answer, "zone"), PLAIN, zone);
	if (json_is_true(json_object_get(answer, "pending"))) {
		fprintf(out, "%s: ordered; the mirror is busy, zone_held in the log says when it is done\n",
			zone);
		return;
	}
	fprintf(out, "%s is held at serial %s, generation %s: accept ends that\n", zone,
		put_cell(json_object_get(answer, "serial"), PLAIN, serial),
		put_cell(json_object_get(answer, "generation"), PLAIN, generation));
	fprintf(out, "clients are answered by ");
	if (json_array_size(names) == 0)
		fprintf(out, "nobody\n");
	else
		put_list(names, " or ", NAMES_MAX, out);
}

static void show_health(const json_t *answer, FILE *out)
{
	const json_t *events = json_object_get(answer, "events");

	put_table(health_columns, json_object_get(answer, "backends"), out);
	fprintf(out, "\n");
	put_table(pool_columns, json_object_get(answer, "pools"), out);
	if (json_array_size(events) > 0) {
		fprintf(out, "\n");
		put_list(events, "\n", 0, out);
	}
}

static void show_explain(const json_t *answer, FILE *out)
{
	const char *why = json_string_value(json_object_get(answer, "why"));
	char name[CELL_MAX], type[CELL_MAX], zone[CELL_MAX], pool[CELL_MAX];

	fprintf(out, "%s %s: ", put_cell(json_object_get(answer, "name"), PLAIN, name),
		put_cell(json_object_get(answer, "type"), PLAIN, type));
	if (!json_object_get(answer, "targets")) {
		fprintf(out, "REFUSED: %s\n", why ? why : "-");
		return;
	}
	fprintf(out, "zone %s, pool %s, answered by ",
		put_cell(json_object_get(answer, "zone"), PLAIN, zone),
		put_cell(json_object_get(answer, "pool"), PLAIN, pool));
	if (json_array_size(json_object_get(answer, "answered_by")) == 0)
		fprintf(out, "%s\n", why ? why : "nobody");
	else
		put_list(json_object_get(answer, "answered_by"), " or ", NAMES_MAX, out);
	put_table(target_columns, json_object_get(answer, "targets"), out);
}

static void show_stats(const json_t *answer, FILE *out)
{
	static const struct { const char *name, *text; } rows[] = {
#define STATS_NAME(name, text) { #name, text },
		STATS_TABLE(STATS_NAME)
#undef STATS_NAME
	};
	const json_t *stats = json_object_get(answer, "stats");
	char cell[CELL_MAX];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		fprintf(out, "%-20s %12s  %s\n", rows[i].name,
			put_cell(json_object_get(stats, rows[i].name), PLAIN, cell), rows[i].text);
	fprintf(out, "%-20s %12s  %s\n", "divergence",
		put_cell(json_object_get(stats, "divergence"), PLAIN, cell),
		"of shadow_differed, confirmed: same serial, other answer");
}

static void show_reload(const json_t *answer, FILE *out)
{
	char cell[CELL_MAX];

	fprintf(out, "configuration %s is in use\n",
		put_cell(json_object_get(answer, "plan"), PLAIN, cell));
}

/* Verbs that are not here have nothing to show. */
void render_answer(const char *verb, const json_t *answer, FILE *out)
{
	static const struct {
		const char *verb;
		void (*show)(const json_t *answer, FILE *out);
	} views[] = {
		{ "status", show_status }, { "backends", show_backends }, { "zones", show_zones },
		{ "zone", show_zone },     { "health", show_health },     { "explain", show_explain },
		{ "stats", show_stats },   { "reload", show_reload },     { "accept", show_accept },
		{ "drill", show_drill },   { "hold", show_order },        { "rollback", show_order },
	};

	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++)
		if (strcmp(views[i].verb, verb) == 0)
			views[i].show(answer, out);
}
