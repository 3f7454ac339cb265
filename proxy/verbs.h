/* SPDX-License-Identifier: ISC */
/*
 * verbs - what an operator can ask of a running Understudy: one table, for both ends.
 *
 * Purpose:  each row is a verb: its name, its arguments, how many there may be, and a sentence.
 *           understudyctl's help and checks, the server's dispatch and the manual's test read it.
 * Not here: the socket (control.h), what the answers look like on a terminal (ctl_render.h).
 * Threads:  control, inside an RCU read.
 * Failure:  {"ok": false, "error": "...", "kind": "usage" or "refused"}.
 */
#ifndef VERBS_H
#define VERBS_H

#include <jansson.h>
#include <stdbool.h>

#include "proxy/control_zones.h"

struct daemon;
struct dump;
struct words;

/* name, arguments, fewest, most, sentence */
#define VERBS_TABLE(X) \
	X(status, "", 0, 0, \
	  "one look: pools, zones, store; exit 4 when degraded") \
	X(backends, "", 0, 0, \
	  "each backend: state, share, round trips, counts") \
	X(zones, "", 0, 0, \
	  "each zone: serial, generation, age, state") \
	X(zone, "ZONE", 1, 1, \
	  "all about one zone") \
	X(health, "[-f]", 0, 1, \
	  "states, causes and the last events; -f follows them") \
	X(explain, "NAME TYPE", 2, 2, \
	  "who would answer this question now, and why") \
	X(backend, "NAME up|down|auto|drain", 2, 2, \
	  "orders a backend's state; auto: health decides") \
	X(failover, "POOL on|off|auto", 2, 2, \
	  "on: without the first tier; off: never leave it") \
	X(drill, "POOL off|PERCENT DURATION", 2, 3, \
	  "serves a share of the queries from the mirror, for a while") \
	X(refresh, "ZONE", 1, 1, \
	  "asks the primary for a newer serial now") \
	X(retransfer, "ZONE", 1, 1, \
	  "transfers the whole zone again") \
	X(accept, "ZONE", 1, 1, \
	  "the primary's data of a held zone is right: mirror it, serve it") \
	X(hold, "ZONE", 1, 1, \
	  "the mirror takes no newer version, until accept") \
	X(rollback, "ZONE [GENERATION|SERIAL]", 1, 2, \
	  "the mirror's version before serves again, and is held") \
	X(dump, "ZONE", 1, 1, \
	  "the mirror's copy in presentation form") \
	X(stats, "", 0, 0, \
	  "counters since the start") \
	X(reload, "", 0, 0, \
	  "reads the configuration again, all or nothing")

/* The last line of a dump (a comment in the master file format): without it, it was cut off. */
#define VERBS_DUMP_END	"; end of zone\n"

/* What a verb leaves to the connection. */
struct verb_answer {
	json_t *json;		/* one line, first; owned by whoever called; or else: */
	struct zone_listing zones;	/* that line, part by part */
	struct dump *dump;	/* then this text, if not NULL; owned likewise */
	bool is_followed;	/* then event lines until the client leaves */
};

void verbs_run(struct daemon *d, const struct words *words, struct verb_answer *answer);

/* {"ok": false, ...} with a sentence made printable. `kind`: "usage" or "refused". */
json_t *verbs_error(const char *kind, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
