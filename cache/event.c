/* SPDX-License-Identifier: ISC */
#include "cache/event.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "cache/clock.h"
#include "cache/name.h"

enum {
	TAIL_LEN = 64,		/* kept free for the quote, `time`, the brace and the newline */
	FIELDS_LEN = EVENT_LINE_MAX - TAIL_LEN,
	STALL_MS = 20,		/* the longest that one write waits for whoever reads the log */
	PREFIX_LEN = 3,
	HELD_MAX = 4096,	/* PIPE_BUF: what is written at once does not mix with others' */
};

enum log_kind { LOG_TO_STDERR, LOG_TO_SYSLOG, LOG_TO_FILE };

/* The process has one log. All of it is read and written under `mutex`. */
static struct {
	pthread_mutex_t mutex;
	enum log_kind kind;
	enum event_style style;
	enum event_level least;
	int fd;
	bool is_journal;	/* stderr is read by journald: prefix the severity */
	bool is_stalled;	/* the last line was lost: the next one waits for nobody */
	bool is_holding;	/* lines of this thread are gathered: */
	pthread_t holder;
	size_t held_len, held_lines;
	char held[PREFIX_LEN + EVENT_LINE_MAX];
	time_t second;		/* for which is: */
	char date[32];
	uint64_t lost;
	void (*hear)(const char *line, size_t len, void *arg);
	void *hear_arg;
} log_state = {
	.mutex = PTHREAD_MUTEX_INITIALIZER,
	.least = EVENT_INFO,
	.fd = STDERR_FILENO,
};

/* sd_journal_stream: JOURNAL_STREAM names device and inode of the pipe to journald. */
static bool is_journal(int fd)
{
	const char *text = getenv("JOURNAL_STREAM");
	char *colon, *end;
	struct stat st;

	if (!text || fstat(fd, &st) != 0)
		return false;
	uintmax_t device = strtoumax(text, &colon, 10);

	if (*colon != ':')
		return false;
	uintmax_t inode = strtoumax(colon + 1, &end, 10);

	return *end == '\0' && device == st.st_dev && inode == st.st_ino;
}

/*
 * One write for a line, or for some, so that lines of several processes do not mix. A reader that
 * has stopped reading costs STALL_MS once, and the lines from then on are lost, not waited for.
 */
static void write_held(void)
{
	struct pollfd p = { .fd = log_state.fd, .events = POLLOUT };
	ssize_t n = -1;

	if (log_state.held_lines == 0)
		return;
	/* else nobody reads; or nobody ever will, and SIGPIPE waits */
	if (poll(&p, 1, log_state.is_stalled ? 0 : STALL_MS) > 0 && p.revents == POLLOUT)
		do
			n = write(log_state.fd, log_state.held, log_state.held_len);
		while (n < 0 && errno == EINTR);
	log_state.is_stalled = n != (ssize_t)log_state.held_len;
	if (log_state.is_stalled)
		log_state.lost += log_state.held_lines;
	log_state.held_len = log_state.held_lines = 0;
}

int event_open_log(const char *target, enum event_style style, enum event_level least)
{
	enum log_kind kind = LOG_TO_FILE;
	int fd = STDERR_FILENO;

	if (strcmp(target, "stderr") == 0)
		kind = LOG_TO_STDERR;
	else if (strcmp(target, "syslog") == 0)
		kind = LOG_TO_SYSLOG;
	else
		fd = open(target, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
	if (fd < 0)
		return -errno;
	if (kind == LOG_TO_SYSLOG)
		openlog("understudy", LOG_PID | LOG_NDELAY, LOG_DAEMON);

	pthread_mutex_lock(&log_state.mutex);
	write_held();
	int old = log_state.kind == LOG_TO_FILE ? log_state.fd : -1;

	log_state.kind = kind;
	log_state.style = style;
	log_state.least = least;
	log_state.fd = fd;
	log_state.is_journal = kind == LOG_TO_STDERR && is_journal(fd);
	log_state.is_stalled = false;
	pthread_mutex_unlock(&log_state.mutex);
	if (old >= 0)
		close(old);
	return 0;
}

void event_listen(void (*hear)(const char *line, size_t len, void *arg), void *arg)
{
	pthread_mutex_lock(&log_state.mutex);
	log_state.hear = hear;
	log_state.hear_arg = arg;
	pthread_mutex_unlock(&log_state.mutex);
}

uint64_t event_lost_count(void)
{
	pthread_mutex_lock(&log_state.mutex);
	uint64_t lost = log_state.lost;

	pthread_mutex_unlock(&log_state.mutex);
	return lost;
}

/*
 * Appends if all of it stays below `limit`; otherwise nothing, and the line counts as cut:
 * it takes no more fields, since half a field or a missing one in the middle would mislead.
 */
static bool add_bytes(struct event *e, const char *bytes, size_t len, size_t limit)
{
	if (e->is_cut || e->len + len > limit) {
		e->is_cut = true;
		return false;
	}
	memcpy(e->line + e->len, bytes, len);
	e->len += len;
	return true;
}

static bool add_string(struct event *e, const char *text, size_t limit)
{
	return add_bytes(e, text, strlen(text), limit);
}

/* Least code point of a sequence of 2, 3 and 4 bytes: anything below is overlong. */
static const uint32_t UTF8_LEAST[] = { 0, 0, 0x80, 0x800, 0x10000 };

/*
 * Length of the UTF-8 sequence at `s` that may be shown as it is, 0 if none: well-formed
 * (RFC 3629 s.4) and not a C1 control, which some terminals obey like ESC [.
 */
static size_t utf8_len(const char *s)
{
	const uint8_t *b = (const uint8_t *)s;
	size_t len = b[0] >= 0xf0 && b[0] < 0xf8 ? 4 : b[0] >= 0xe0 ? 3 : 2;

	if (b[0] < 0xc2 || b[0] > 0xf4)
		return 0;
	uint32_t point = b[0] & (0xffu >> (len + 1));

	for (size_t i = 1; i < len; i++) {	/* the NUL at the end is no continuation */
		if ((b[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (b[i] & 0x3fu);
	}
	bool is_surrogate = point >= 0xd800 && point <= 0xdfff;

	return point >= UTF8_LEAST[len] && point >= 0xa0 && point <= 0x10ffff && !is_surrogate
	       ? len : 0;
}

static bool needs_escape(uint8_t byte)
{
	return byte < ' ' || byte == '"' || byte == '\\' || byte == 0x7f;
}

/* The next character of a quoted value, escaped as JSON does (RFC 8259 s.7). */
static bool add_quoted_char(struct event *e, const char **text)
{
	static const char hex[] = "0123456789abcdef";
	uint8_t byte = (uint8_t)**text;
	size_t len = byte >= 0x80 ? utf8_len(*text) : !needs_escape(byte);
	const char *from = *text;

	*text += len ? len : 1;
	if (len)
		return add_bytes(e, from, len, FIELDS_LEN);
	switch (byte) {
	case '"':	return add_string(e, "\\\"", FIELDS_LEN);
	case '\\':	return add_string(e, "\\\\", FIELDS_LEN);
	case '\n':	return add_string(e, "\\n", FIELDS_LEN);
	case '\r':	return add_string(e, "\\r", FIELDS_LEN);
	case '\t':	return add_string(e, "\\t", FIELDS_LEN);
	default:	break;
	}
	char escape[6] = { '\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15] };

	return add_bytes(e, escape, sizeof(escape), FIELDS_LEN);
}

/* TAIL_LEN has room for the closing quote of a value that was cut. */
static void add_quoted(struct event *e, const char *text)
{
	if (!add_string(e, "\"", FIELDS_LEN))
		return;
	while (*text && add_quoted_char(e, &text))
		;
	e->line[e->len++] = '"';
}

/* logfmt quotes only what a reader could take for the end of the value. */
static bool is_bare(const char *text)
{
	if (*text == '\0')
		return false;
	while (*text) {
		uint8_t byte = (uint8_t)*text;
		size_t len = byte >= 0x80 ? utf8_len(text) : 1;

		if (byte <= ' ' || byte == '"' || byte == '=' || byte == 0x7f || len == 0)
			return false;
		text += len;
	}
	return true;
}

/* The key and what stands before its value. False: no room, or the line is not wanted. */
static bool add_key(struct event *e, const char *key)
{
	if (e->len == 0)
		return false;
	size_t need = strlen(key) + sizeof(",\"\":\"") + 1;

	if (e->is_cut || e->len + need > FIELDS_LEN) {
		e->is_cut = true;
		return false;
	}
	if (e->style == EVENT_LOGFMT)
		return add_string(e, " ", FIELDS_LEN) && add_string(e, key, FIELDS_LEN) &&
		       add_string(e, "=", FIELDS_LEN);
	return add_string(e, ",\"", FIELDS_LEN) && add_string(e, key, FIELDS_LEN) &&
	       add_string(e, "\":", FIELDS_LEN);
}

void event_begin(struct event *e, enum event_level level, const char *name)
{
	pthread_mutex_lock(&log_state.mutex);
	bool is_wanted = level <= log_state.least;

	e->style = log_state.style;
	pthread_mutex_unlock(&log_state.mutex);
	e->level = level;
	e->is_cut = false;
	e->len = 0;
	if (!is_wanted)
		return;
	add_string(e, e->style == EVENT_JSON ? "{\"event\":\"" : "event=", FIELDS_LEN);
	add_string(e, name, FIELDS_LEN);
	if (e->style == EVENT_JSON)
		add_string(e, "\"", FIELDS_LEN);
}

void event_text(struct event *e, const char *key, const char *value)
{
	if (!value)
		value = "";
	if (!add_key(e, key))
		return;
	size_t before = e->len;

	if (e->style == EVENT_JSON || !is_bare(value)) {
		add_quoted(e, value);
	} else if (!add_string(e, value, FIELDS_LEN)) {	/* bare, but too long to fit whole */
		e->is_cut = false;
		e->len = before;
		add_quoted(e, value);
	}
}

void event_number(struct event *e, const char *key, uint64_t value)
{
	char digits[24], *first = digits + sizeof(digits) - 1;

	*first = '\0';
	do {
		*--first = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	if (add_key(e, key))
		add_string(e, first, EVENT_LINE_MAX);	/* 20 bytes of the tail at most */
}

void event_name(struct event *e, const char *key, const uint8_t *dns_name)
{
	char text[NAME_TEXT_MAX];

	event_text(e, key, name_to_text(dns_name, text));
}

void event_format(struct event *e, const char *key, const char *format, ...)
{
	char text[EVENT_LINE_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	event_text(e, key, text);
}

/* RFC 3339 in UTC, to the millisecond. */
static void add_time(struct event *e)
{
	uint64_t now_us = clock_wall_us();
	time_t second = (time_t)(now_us / US_PER_S);
	unsigned ms = (unsigned)(now_us % US_PER_S / US_PER_MS);
	char rest[] = { '.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10),
			(char)('0' + ms % 10), 'Z', '\0' };
	struct tm tm;

	if (second != log_state.second) {
		gmtime_r(&second, &tm);
		strftime(log_state.date, sizeof(log_state.date), "%Y-%m-%dT%H:%M:%S", &tm);
		log_state.second = second;
	}
	e->is_cut = false;	/* what follows has its room */
	add_string(e, e->style == EVENT_JSON ? ",\"time\":\"" : " time=", EVENT_LINE_MAX);
	add_string(e, log_state.date, EVENT_LINE_MAX);
	add_string(e, rest, EVENT_LINE_MAX);
	add_string(e, e->style == EVENT_JSON ? "\"}\n" : "\n", EVENT_LINE_MAX);
}

static void put_line(const struct event *e)
{
	const char prefix[PREFIX_LEN] = { '<', (char)('0' + (unsigned)e->level), '>' };
	size_t prefix_len = log_state.is_journal ? PREFIX_LEN : 0;

	if (log_state.held_len + prefix_len + e->len > HELD_MAX)
		write_held();
	memcpy(log_state.held + log_state.held_len, prefix, prefix_len);
	memcpy(log_state.held + log_state.held_len + prefix_len, e->line, e->len);
	log_state.held_len += prefix_len + e->len;
	log_state.held_lines++;
	if (!log_state.is_holding || !pthread_equal(log_state.holder, pthread_self()))
		write_held();
}

void event_hold(void)
{
	pthread_mutex_lock(&log_state.mutex);
	log_state.is_holding = true;
	log_state.holder = pthread_self();
	pthread_mutex_unlock(&log_state.mutex);
}

void event_release(void)
{
	pthread_mutex_lock(&log_state.mutex);
	log_state.is_holding = false;
	write_held();
	pthread_mutex_unlock(&log_state.mutex);
}

void event_end(struct event *e)
{
	if (e->len == 0)
		return;
	pthread_mutex_lock(&log_state.mutex);
	add_time(e);
	if (log_state.kind == LOG_TO_SYSLOG)
		syslog((int)e->level, "%.*s", (int)e->len - 1, e->line);
	else
		put_line(e);
	if (log_state.hear)
		log_state.hear(e->line, e->len, log_state.hear_arg);
	pthread_mutex_unlock(&log_state.mutex);
}

void event_note(enum event_level level, const char *format, ...)
{
	struct event e;
	char text[EVENT_LINE_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	event_begin(&e, level, "note");
	event_text(&e, "text", text);
	event_end(&e);
}
