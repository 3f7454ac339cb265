/* SPDX-License-Identifier: ISC */
#include "proxy/conf_scan.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/conf_guess.h"
#include "proxy/conf_lex.h"
#include "proxy/conf_table.h"

/* No RFC: real files are kilobytes; a zone takes some 40 bytes, so this is a million zones. */
enum { SCAN_BYTES_MAX = 64 << 20, SCAN_DEPTH_MAX = 10, SCAN_FILES_MAX = 1000 };

/* One file as it is being scanned. */
struct source {
	struct conf_lex lex;
	const char *file;
	bool is_broken;		/* a syntax error: the rest is left out */
};

static void *grown(void *old, size_t size)
{
	void *p = realloc(old, size);

	if (!p)
		abort();
	return p;
}

static void text_init(struct conf_text *t)
{
	*t = (struct conf_text){ .room = 4096 };
	t->at = grown(NULL, t->room);
	t->at[0] = '\0';
}

static void text_fini(struct conf_text *t)
{
	explicit_bzero(t->at, t->room);
	free(t->at);
}

void conf_scan_init(struct conf_scan *s, struct conf *conf, struct conf_report *report)
{
	*s = (struct conf_scan){ .conf = conf, .report = report };
	text_init(&s->text);
	text_init(&s->zones);
	s->to = &s->text;
}

void conf_scan_fini(struct conf_scan *s)
{
	text_fini(&s->text);
	text_fini(&s->zones);
	free(s->places);
}

/* ---- Writing the flat text ---- */

static void emit(struct conf_scan *s, const char *bytes, size_t len)
{
	struct conf_text *t = s->to;

	if (t->len + len + 1 > t->room) {
		t->room = (t->len + len + 1) * 2;
		t->at = grown(t->at, t->room);
	}
	memcpy(t->at + t->len, bytes, len);
	t->len += len;
	t->at[t->len] = '\0';
}

static void emit_text(struct conf_scan *s, const char *text)
{
	emit(s, text, strlen(text));
}

static struct conf_where where_of(const struct source *src, int line)
{
	return (struct conf_where){ .file = src->file, .line = line };
}

static size_t place_add(struct conf_scan *s, struct conf_where where)
{
	if (s->place_count == s->place_room) {
		s->place_room = s->place_room ? s->place_room * 2 : 256;
		s->places = grown(s->places, s->place_room * sizeof(*s->places));
	}
	s->places[s->place_count] = where;
	return s->place_count++;
}

/* `content` with its place: a string keeps its quotes and escapes, a word gets quotes. */
static void emit_marked(struct conf_scan *s, const struct source *src, int line,
			const char *content, size_t len, char quote)
{
	char mark[32];

	snprintf(mark, sizeof(mark), "%c%zu:", quote, place_add(s, where_of(src, line)));
	emit_text(s, mark);
	emit(s, content, len);
	emit(s, &quote, 1);
}

static void emit_value(struct conf_scan *s, const struct source *src, const struct conf_token *t)
{
	if (t->kind == TOKEN_STRING)
		emit_marked(s, src, t->line, t->at + 1, t->len - 2, t->at[0]);
	else
		emit_marked(s, src, t->line, t->at, t->len, '\'');
}

const char *conf_scan_zones(const struct conf_scan *s, const char *text)
{
	const char *next = text ? text + strlen(text) + 1 : s->zones.at;

	return next < s->zones.at + s->zones.len ? next : NULL;
}

const char *conf_scan_value(const struct conf_scan *s, const char *marked, struct conf_where *where)
{
	char *end;
	unsigned long place = strtoul(marked, &end, 10);

	assert(end != marked && *end == ':' && place < s->place_count);
	*where = s->places[place];
	return end + 1;
}

/* ---- Syntax ---- */

static void broken(struct conf_scan *s, struct source *src, const struct conf_token *t,
		   const char *expected)
{
	struct conf_where where = where_of(src, t->line);

	if (src->is_broken)
		return;
	src->is_broken = true;
	switch (t->kind) {
	case TOKEN_BAD:
		conf_report_add(s->report, where, "%s", t->problem);
		break;
	case TOKEN_END:
		conf_report_add(s->report, where, "the file ends too early: expected %s", expected);
		break;
	case TOKEN_MARK:
		conf_report_add(s->report, where, "unexpected '%.*s': expected %s",
				(int)t->len, t->at, expected);
		break;
	case TOKEN_WORD:
	case TOKEN_STRING:	/* not quoted: it may be a piece of a secret */
		conf_report_add(s->report, where, "unexpected text: expected %s", expected);
		break;
	}
}

static bool expect(struct conf_scan *s, struct source *src, char mark, const char *expected)
{
	struct conf_token t = conf_lex_next(&src->lex);

	if (!conf_token_is(&t, mark))
		broken(s, src, &t, expected);
	return !src->is_broken;
}

static struct conf_token peek(const struct source *src)
{
	struct conf_lex ahead = src->lex;

	return conf_lex_next(&ahead);
}

/* ---- What the table does not know ---- */

/* Goes behind the mark that closes what `open` has opened. */
static void skip_nested(struct conf_scan *s, struct source *src, char open, char close)
{
	for (unsigned depth = 1; depth > 0 && !src->is_broken;) {
		struct conf_token t = conf_lex_next(&src->lex);

		if (t.kind == TOKEN_BAD || t.kind == TOKEN_END)
			broken(s, src, &t, open == '{' ? "a closing }" : "a closing )");
		depth += conf_token_is(&t, open);
		depth -= conf_token_is(&t, close);
	}
}

static void skip_statement(struct conf_scan *s, struct source *src)
{
	struct conf_token t = conf_lex_next(&src->lex);

	if (conf_token_is(&t, '=') || conf_token_is(&t, '+')) {
		t = conf_lex_next(&src->lex);
		if (conf_token_is_value(&t))
			return;
	} else if (conf_token_is_value(&t)) {
		t = conf_lex_next(&src->lex);
	}
	if (conf_token_is(&t, '{'))
		skip_nested(s, src, '{', '}');
	else if (conf_token_is(&t, '('))
		skip_nested(s, src, '(', ')');
	else
		broken(s, src, &t, "a value");
}

/* A name is only a name when '=', '{' or a title follows; else it may be a piece of a secret. */
static bool is_statement(const struct source *src)
{
	struct conf_lex ahead = src->lex;
	struct conf_token t = conf_lex_next(&ahead);

	if (conf_token_is_value(&t)) {
		t = conf_lex_next(&ahead);
		return conf_token_is(&t, '{');
	}
	return conf_token_is(&t, '=') || conf_token_is(&t, '+') || conf_token_is(&t, '{') ||
	       conf_token_is(&t, '(');
}

static void scan_unknown(struct conf_scan *s, struct source *src, enum conf_section section,
			 const struct conf_token *name)
{
	char mend[128];

	if (!is_statement(src)) {
		broken(s, src, name, "NAME = VALUE; put quotes around values with spaces in them");
		return;
	}
	conf_name_mend(section, name->at, name->len, mend, sizeof(mend));
	conf_report_add(s->report, where_of(src, name->line), "unknown option '%.*s'%s%s%s: %s",
			name->len < 64 ? (int)name->len : 64, name->at,
			section == SECTION_ROOT ? "" : " in section '",
			conf_sections[section].name, section == SECTION_ROOT ? "" : "'", mend);
	skip_statement(s, src);
}

/* ---- Options, sections, includes ---- */

static void scan_list(struct conf_scan *s, struct source *src)
{
	struct conf_token t = conf_lex_next(&src->lex);

	while (!conf_token_is(&t, '}')) {
		if (!conf_token_is_value(&t)) {
			broken(s, src, &t, "a value or }");
			return;
		}
		emit_value(s, src, &t);
		t = conf_lex_next(&src->lex);
		if (conf_token_is(&t, ',')) {
			emit_text(s, ",");
			t = conf_lex_next(&src->lex);
		} else if (!conf_token_is(&t, '}')) {
			broken(s, src, &t, "a comma or }");
			return;
		}
	}
}

/* Every option is a list for libconfuse, so that a second value is seen and not just the last. */
static void scan_option(struct conf_scan *s, struct source *src, const struct conf_row *row)
{
	struct conf_token t = conf_lex_next(&src->lex);
	char expected[96];

	snprintf(expected, sizeof(expected), "%s = VALUE", row->name);
	if (!conf_token_is(&t, '=') && !(conf_token_is(&t, '+') && row->flags & CONF_LIST)) {
		broken(s, src, &t, expected);
		return;
	}
	t = conf_lex_next(&src->lex);
	emit_text(s, row->name);
	emit_text(s, "+={");
	if (conf_token_is_value(&t))
		emit_value(s, src, &t);
	else if (conf_token_is(&t, '{') && row->flags & CONF_LIST)
		scan_list(s, src);
	else
		broken(s, src, &t, conf_token_is(&t, '{') ? "one value, not a list" : expected);
	emit_text(s, "}\n");
}

static void scan_statements(struct conf_scan *s, struct source *src, enum conf_section section,
			    int opened_line);

static void scan_section(struct conf_scan *s, struct source *src, enum conf_section section,
			 int line)
{
	const struct conf_section_row *row = &conf_sections[section];
	struct conf_token title = peek(src);
	char expected[96];

	if (row->has_title && !conf_token_is_value(&title)) {
		snprintf(expected, sizeof(expected), "a name: %s \"NAME\" { ... }", row->name);
		broken(s, src, &title, expected);
		return;
	}
	if (row->has_title)
		conf_lex_next(&src->lex);
	snprintf(expected, sizeof(expected), "%s%s { ... }", row->name,
		 row->has_title ? " \"NAME\"" : "");
	if (!expect(s, src, '{', expected))
		return;
	emit_text(s, row->name);
	emit_text(s, " {\n" CONF_SCAN_TITLE "+={");
	if (row->has_title)
		emit_value(s, src, &title);
	else
		emit_marked(s, src, line, "", 0, '"');
	emit_text(s, "}\n");
	scan_statements(s, src, section, line);
	emit_text(s, "}\n");
}

static void scan_zone(struct conf_scan *s, struct source *src, int line)
{
	s->to = &s->zones;
	if (s->zone_count > 0 && s->zone_count % CONF_SCAN_ZONES == 0)
		emit(s, "", 1);
	s->zone_count++;
	scan_section(s, src, SECTION_ZONE, line);
	s->to = &s->text;
}

static bool scan_source(struct conf_scan *s, const char *path, enum conf_section section,
			struct conf_where asked_at);

/* A relative name is looked for beside the file that includes it. */
static char *path_beside(const char *file, const char *name, size_t len)
{
	const char *slash = name[0] == '/' ? NULL : strrchr(file, '/');
	size_t folder_len = slash ? (size_t)(slash - file) + 1 : 0;
	char *path = grown(NULL, folder_len + len + 1);

	memcpy(path, file, folder_len);
	memcpy(path + folder_len, name, len);
	path[folder_len + len] = '\0';
	return path;
}

static void scan_include(struct conf_scan *s, struct source *src, enum conf_section section)
{
	static const char expected[] = "include(\"FILE\")";

	if (!expect(s, src, '(', expected))
		return;
	struct conf_token t = conf_lex_next(&src->lex);
	bool is_quoted = t.kind == TOKEN_STRING;

	if (!conf_token_is_value(&t)) {
		broken(s, src, &t, expected);
		return;
	}
	if (!expect(s, src, ')', expected))
		return;
	char *path = path_beside(src->file, t.at + is_quoted, t.len - 2 * is_quoted);

	scan_source(s, path, section, where_of(src, t.line));
	free(path);
}

static void scan_statement(struct conf_scan *s, struct source *src, enum conf_section section,
			   const struct conf_token *name)
{
	const struct conf_row *row = conf_row_find(section, name->at, name->len);
	enum conf_section child = conf_section_find(section, name->at, name->len);

	if (name->len == 7 && memcmp(name->at, "include", 7) == 0)
		scan_include(s, src, section);
	else if (row)
		scan_option(s, src, row);
	else if (child == SECTION_ZONE)
		scan_zone(s, src, name->line);
	else if (child != SECTION_NONE)
		scan_section(s, src, child, name->line);
	else
		scan_unknown(s, src, section, name);
}

/* Up to the closing brace, or to the end of a file when `opened_line` is 0. */
static void scan_statements(struct conf_scan *s, struct source *src, enum conf_section section,
			    int opened_line)
{
	while (!src->is_broken) {
		struct conf_token t = conf_lex_next(&src->lex);

		if (t.kind == TOKEN_WORD) {
			scan_statement(s, src, section, &t);
		} else if (t.kind == TOKEN_END && opened_line > 0) {
			src->is_broken = true;
			conf_report_add(s->report, where_of(src, opened_line),
					"section '%s' does not end: add its closing }",
					conf_sections[section].name);
		} else if (t.kind == TOKEN_END || (conf_token_is(&t, '}') && opened_line > 0)) {
			return;
		} else {
			broken(s, src, &t, conf_token_is(&t, '}') ? "no more } than {"
								  : "the name of an option");
		}
	}
}

/* ---- Files ---- */

static const char *file_add(struct conf_scan *s, const char *path)
{
	struct conf *c = s->conf;

	c->files = grown(c->files, (c->file_count + 1) * sizeof(*c->files));
	c->files[c->file_count] = strdup(path);
	if (!c->files[c->file_count])
		abort();
	return c->files[c->file_count++];
}

/* The whole file, or NULL with errno. *len is at most SCAN_BYTES_MAX + 1. */
static char *file_read(const char *path, size_t *len)
{
	FILE *f = fopen(path, "re");
	char *text = NULL;
	size_t room = 0, got;

	*len = 0;
	if (!f)
		return NULL;
	do {
		room = room ? room * 2 : 4096;
		text = grown(text, room);
		got = fread(text + *len, 1, room - *len, f);
		*len += got;
	} while (got > 0 && *len <= SCAN_BYTES_MAX);
	int why = ferror(f) ? errno : 0;

	fclose(f);
	if (why == 0)
		return text;
	free(text);
	errno = why;
	return NULL;
}

static void scan_text(struct conf_scan *s, struct source *src, enum conf_section section,
		      size_t len)
{
	s->bytes_read += len;
	if (s->bytes_read > SCAN_BYTES_MAX)
		conf_report_add(
			s->report, where_of(src, 0),
			"larger than 64 MB with all that it includes: is this the right file?");
	else if (memchr(src->lex.at, '\0', len))
		conf_report_add(s->report, where_of(src, 0), "not a text file: it has NUL bytes");
	else
		scan_statements(s, src, section, 0);
}

/* `asked_at` is the place of the include, or no place for the first file. False when
 * there is nothing to scan. */
static bool scan_source(struct conf_scan *s, const char *path, enum conf_section section,
			struct conf_where asked_at)
{
	size_t len;

	if (s->depth == SCAN_DEPTH_MAX || s->conf->file_count == SCAN_FILES_MAX) {
		conf_report_add(s->report, asked_at,
				"too many includes: does a file include itself?");
		return false;
	}
	const char *file = file_add(s, path);
	char *text = file_read(path, &len);

	if (!text) {
		if (!asked_at.file)
			conf_report_add(s->report, (struct conf_where){ .file = file },
					"cannot be read: %s", strerror(errno));
		else
			conf_report_add(s->report, asked_at, "include: %s cannot be read: %s",
					path, strerror(errno));
		return false;
	}
	struct source src = {
		.lex = { .at = text, .end = text + len, .line = 1 }, .file = file,
	};

	s->depth++;
	scan_text(s, &src, section, len);
	s->depth--;
	explicit_bzero(text, len);
	free(text);
	return true;
}

bool conf_scan_file(struct conf_scan *s, const char *file)
{
	return scan_source(s, file, SECTION_ROOT, (struct conf_where){ 0 });
}
