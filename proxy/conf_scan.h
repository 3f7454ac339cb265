/* SPDX-License-Identifier: ISC */
/*
 * conf_scan - configuration files to one flat text that libconfuse reads without surprises.
 *
 * Purpose:  libconfuse 3.3 stops at the first unknown name, counts lines wrongly behind
 *           comments, takes the end of a file for a closing brace, lets a second `workers` or
 *           `pool "main"` silently replace the first, and keeps no lines at all. So this pass
 *           reads the files, follows include(), drops comments, reports and leaves out what the
 *           table does not know, and writes each value as "PLACE:value":
 *
 *               workers = 4    # four          workers += { "0:4" }
 *               redis { prefix = "x" }   ->    redis { @ += { "1:" } prefix += { "2:x" } }
 *               pool "main" { }                pool { @ += { "3:main" } }
 *
 *           Zones go into texts of their own, CONF_SCAN_ZONES in each: of each section libconfuse
 *           makes kilobytes, and so it makes them of some hundred zones at a time.
 *           Titles become an option "@" since libconfuse compares each title with all others,
 *           which takes minutes for as many zones as some operators have.
 * Not here: escapes in strings, nesting, storing (libconfuse), values (conf_value.h).
 * Owns:     the text and the places until conf_scan_fini(). Names of files belong to the
 *           configuration that is being read.
 * Threads:  one.
 * Failure:  errors go to the report. After a syntax error the rest of that file is left out;
 *           what came before it is still checked. Secrets are never quoted.
 */
#ifndef CONF_SCAN_H
#define CONF_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/conf_report.h"

#define CONF_SCAN_TITLE	"@"	/* in each section: its title and place */

enum { CONF_SCAN_ZONES = 256 };

struct conf_text {
	char *at;			/* NUL-terminated */
	size_t len, room;
};

struct conf_scan {
	struct conf_text text;		/* for libconfuse: all but the zones */
	struct conf_text zones;		/* those: texts one behind the other, each with its NUL */
	struct conf_text *to;		/* which of them is written now */
	size_t zone_count;		/* at the most */
	struct conf_where *places;	/* by PLACE */
	size_t place_count, place_room;
	struct conf *conf;		/* gets the names of the files */
	struct conf_report *report;
	unsigned depth;			/* of includes */
	size_t bytes_read;
};

void conf_scan_init(struct conf_scan *s, struct conf *conf, struct conf_report *report);
void conf_scan_fini(struct conf_scan *s);	/* wipes the text: it held secrets */

/* Scans the file and all that it includes. False when it cannot be read. */
bool conf_scan_file(struct conf_scan *s, const char *file);

/* The text behind this one in `zones`; the first for NULL. NULL: there is none. */
const char *conf_scan_zones(const struct conf_scan *s, const char *text);

/*
 * Takes "PLACE:value" apart. Anything else (there is no way to write it into a file) is a
 * programming error.
 */
const char *conf_scan_value(const struct conf_scan *s, const char *marked,
			    struct conf_where *where);

#endif
