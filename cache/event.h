/* SPDX-License-Identifier: ISC */
/*
 * event - the lines that an operator reads at 3 a.m.: one event, one line.
 *
 * Purpose:  builds a line of fields and writes it to stderr, a file or syslog, as logfmt
 *           (event=backend_down backend=ns1 ...) or as JSON with the same fields. The
 *           field `time` comes last. Values are escaped at this sink, whatever they hold.
 * Not here: deciding that something is worth a line; workers never log at all.
 * Threads:  control, mirror and main; lines are written whole, under one mutex.
 * Memory:   an event is a fixed buffer on the caller's stack; what does not fit is cut,
 *           never overrun.
 * Failure:  a log that cannot be written is counted and otherwise ignored.
 *
 *     struct event e;
 *     event_begin(&e, EVENT_NOTICE, "backend_down");
 *     event_text(&e, "backend", name);
 *     event_number(&e, "detect_ms", 180);
 *     event_end(&e);
 */
#ifndef EVENT_H
#define EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* syslog's severities, so that they can be handed on as they are. */
enum event_level {
	EVENT_ERROR = 3,
	EVENT_WARNING = 4,
	EVENT_NOTICE = 5,
	EVENT_INFO = 6,
	EVENT_DEBUG = 7,
};

enum event_style { EVENT_LOGFMT, EVENT_JSON };

enum { EVENT_LINE_MAX = 4096 };

struct event {
	enum event_level level;
	enum event_style style;	/* the log's when the event began */
	bool is_cut;
	size_t len;		/* 0: below the log's level, takes and writes nothing */
	char line[EVENT_LINE_MAX];
};

/*
 * Where lines go: "stderr", "syslog" or the path of a file. May be called again at a
 * reload, and by SIGHUP to reopen a rotated file. 0, or -errno and the old log stays.
 */
int event_open_log(const char *target, enum event_style style, enum event_level least);

void event_begin(struct event *e, enum event_level level, const char *name);
void event_text(struct event *e, const char *key, const char *value);
void event_number(struct event *e, const char *key, uint64_t value);
void event_name(struct event *e, const char *key, const uint8_t *dns_name);
void event_format(struct event *e, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void event_end(struct event *e);

/* A line that is no event of the contract: event=note text="...". */
void event_note(enum event_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Between these two the lines of the calling thread, one at most, are gathered and written several
 * at a time: of a hundred thousand zones each has one when it comes from its snapshot. Another
 * thread's line is written at once, behind those.
 */
void event_hold(void);
void event_release(void);

/*
 * Hears every line as it is written, newline included (understudyctl health -f, tests):
 * called under the log's mutex, so it must be quick and must not log. NULL to stop.
 */
void event_listen(void (*hear)(const char *line, size_t len, void *arg), void *arg);

/* Lines that could not be written since the start. */
uint64_t event_lost_count(void);

#endif
