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
#include <sys/uio.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "cache/clock.h"
#include "cache/name.h"

enum {
	TAIL_LEN = 64,		/* kept free for the quote, `time`, the brace and the newline */
	FIELDS_LEN = EVENT_LINE_MAX - TAIL_LEN,
	STALL_MS = 20,		/* the longest that one line waits for whoever reads the log */
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
	char digits[24];

	snprintf(digits, sizeof(digits), "%" PRIu64, value);
	if (add_key(e, key))
		add_string(e, digits, EVENT_LINE_MAX);	/* 20 bytes of the tail at most */
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
	time_t seconds = (time_t)(now_us / US_PER_S);
	struct tm tm;
	char date[32], field[TAIL_LEN];

	gmtime_r(&seconds, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(field, sizeof(field), e->style == EVENT_JSON ? ",\"time\":\"%s.%03uZ\"}\n"
							      : " time=%s.%03uZ\n",
		 date, (unsigned)(now_us % US_PER_S / US_PER_MS));
	e->is_cut = false;	/* what follows has its room */
	add_string(e, field, EVENT_LINE_MAX);
}

/*
 * One write for a line, so that lines of several processes do not mix. A reader that has
 * stopped reading costs STALL_MS once, and the lines from then on are lost, not waited for.
 */
static bool write_line(enum event_level level, const char *line, size_t len)
{
	char prefix[3] = { '<', (char)('0' + (unsigned)level), '>' };
	struct iovec parts[2] = {
		{ .iov_base = prefix, .iov_len = log_state.is_journal ? sizeof(prefix) : 0 },
		{ .iov_base = (void *)(uintptr_t)line, .iov_len = len },
	};
	struct pollfd p = { .fd = log_state.fd, .events = POLLOUT };
	ssize_t n;

	if (poll(&p, 1, log_state.is_stalled ? 0 : STALL_MS) <= 0 || p.revents != POLLOUT)
		return false;	/* nobody reads; or nobody ever will, and SIGPIPE waits */
	do
		n = writev(log_state.fd, parts, 2);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)(parts[0].iov_len + len);
}

void event_end(struct event *e)
{
	if (e->len == 0)
		return;
	add_time(e);

	pthread_mutex_lock(&log_state.mutex);
	if (log_state.kind == LOG_TO_SYSLOG) {
		syslog((int)e->level, "%.*s", (int)e->len - 1, e->line);
	} else {
		log_state.is_stalled = !write_line(e->level, e->line, e->len);
		log_state.lost += log_state.is_stalled;
	}
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
