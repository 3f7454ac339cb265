/* SPDX-License-Identifier: ISC */
/*
 * conf_table - every option there is: one row is the whole option.
 *
 * Purpose:  scanner, parser, checks, `conf_print_options()` and the test of the manual page
 *           all read these two tables; a new option is one new row (and its paragraph).
 * Not here: texts to values (conf_value.h), slips of the pen (conf_guess.h).
 * Threads:  any; the tables are constant.
 */
#ifndef CONF_TABLE_H
#define CONF_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum conf_section {
	SECTION_ROOT, SECTION_REDIS, SECTION_SENTINEL, SECTION_KEY, SECTION_POOL, SECTION_BACKEND,
	SECTION_MIRROR, SECTION_HEALTH, SECTION_ZONE, SECTION_CATALOG, SECTION_GROUP,
	SECTION_COUNT,
	SECTION_NONE = SECTION_COUNT,
};

struct conf_section_row {
	const char *path;		/* "pool/health"; "" for the root */
	const char *name;		/* as it is written in the file */
	enum conf_section parent;
	bool has_title;
	bool is_single;			/* at most one in its parent */
};

extern const struct conf_section_row conf_sections[SECTION_COUNT];

enum conf_type {
	CONF_NUMBER,		/* unsigned or size_t, by the field's size */
	CONF_DURATION,		/* uint64_t microseconds, or unsigned milliseconds */
	CONF_SIZE,		/* size_t bytes */
	CONF_BOOL,
	CONF_ADDRESS,		/* IP address and port */
	CONF_REDIS_ADDRESS,	/* the same, or unix:PATH */
	CONF_SENTINELS,		/* list of addresses; struct redis_sentinel_conf */
	CONF_LISTEN,		/* list of addresses; fills struct conf's listen */
	CONF_INTERFACES,	/* list of network interfaces; struct conf_interfaces */
	CONF_TEXT,		/* char[]; min 1: not empty */
	CONF_PREFIX,		/* char[]: of keys in Redis */
	CONF_TEXT_FILE,		/* char[]: the first line of the named file */
	CONF_BYTES,		/* struct conf_bytes: text, or 0x and hexadecimal digits */
	CONF_PROGRAM,		/* char *: absolute path of a file that we may run, or "off" */
	CONF_COOKIE_FILE,	/* struct cookie_secrets: the lines of the named file */
	CONF_WORD,		/* an enum, one of `words` */
	CONF_REGRESSION,	/* struct conf_regression: "hold", "accept", "accept-after 1h" */
	CONF_WORDS,		/* list; bits, of `words` */
	CONF_POOL,		/* const struct conf_pool *, by name */
	CONF_KEY,		/* const struct tsig_key *, by name */
	CONF_ALLOW,		/* list; struct conf_allow_list */
	CONF_NAMES,		/* list of domain names; struct conf_names */
	CONF_ALGORITHM,		/* of a struct tsig_key */
	CONF_SECRET,		/* base64, into a struct tsig_key */
	CONF_SECRET_FILE,	/* the same from the first line of the named file */
	CONF_TLS_NAME,		/* char[]: a domain name, as certificates have it */
	CONF_TLS_FILE,		/* char[]: a file that can be read */
	CONF_PIN,		/* list; struct tls_pins */
};

enum conf_flag {
	CONF_RELOAD = 1 << 0,	/* may change while we run */
	CONF_REQUIRED = 1 << 1,
	CONF_LIST = 1 << 2,
};

struct conf_word {
	const char *text;	/* NULL ends a list */
	unsigned value;
};

/* Times and sizes in `min` and `max` are microseconds and bytes. */
struct conf_row {
	enum conf_section section;
	const char *name;
	enum conf_type type;
	uint64_t min, max;		/* of numbers, times, sizes; default port of addresses */
	const char *def;		/* as it would be written; lists with ", "; NULL: none */
	unsigned flags;			/* enum conf_flag */
	size_t offset, size;		/* of the field, in the struct that the section fills */
	const struct conf_word *words;
	const char *sentence;
};

extern const struct conf_row conf_rows[];
extern const size_t conf_row_count;

/* There is one such option in a whole configuration, so its place is kept: conf->places. */
static inline bool conf_row_is_single(const struct conf_row *row)
{
	return row->section == SECTION_ROOT || row->section == SECTION_REDIS ||
	       row->section == SECTION_SENTINEL;
}

/* NULL, or SECTION_NONE, when there is none of this name in the section. */
const struct conf_row *conf_row_find(enum conf_section section, const char *name, size_t len);
enum conf_section conf_section_find(enum conf_section parent, const char *name, size_t len);

/* "one of a b c" */
void conf_words_list(const struct conf_word *words, char *text, size_t room);

/* "1..100", "10ms..1h", "one of a b c"; "-" when any value goes. */
void conf_range_text(const struct conf_row *row, char *text, size_t room);

#endif
