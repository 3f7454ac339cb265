/* SPDX-License-Identifier: ISC */
/*
 * understudyctl - talks to a running Understudy.
 *
 * Purpose:  checks the command line against the table of verbs, sends one line, shows the answer.
 * Failure:  exit codes: 0 done, 1 refused, 2 usage, 3 not running, 4 degraded (status).
 */
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "proxy/ctl_render.h"
#include "proxy/verbs.h"
#include "proxy/control_words.h"

enum exit_code { EXIT_DONE, EXIT_REFUSED, EXIT_USAGE, EXIT_NOT_RUNNING, EXIT_DEGRADED };

enum {
	ANSWER_TIMEOUT_MS = 30 * 1000,	/* a reload waits for every worker */
	ANSWER_MAX = 256 * 1024 * 1024,	/* `zones` of a very large server */
};

static const char default_socket[] = "/run/understudy/control.sock";

struct row {
	const char *name, *arguments;
	int fewest, most;
	const char *sentence;
};

static const struct row rows[] = {
#define VERB_ROW(name, arguments, fewest, most, sentence) \
	{ #name, arguments, fewest, most, sentence },
	VERBS_TABLE(VERB_ROW)
#undef VERB_ROW
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

struct command {
	const char *socket;
	bool is_json;
	int count;			/* words */
	const char *words[WORDS_MAX];
};

/* ---- The command line ---- */

static void print_usage(FILE *out)
{
	fprintf(out, "usage: understudyctl [-s SOCKET] VERB [ARGUMENTS] [--json]\n\n");
	for (int i = 0; i < ROWS; i++)
		fprintf(out, "  %-10s %-26s %s\n", rows[i].name, rows[i].arguments,
			rows[i].sentence);
	fprintf(out, "\nexit: 0 done, 1 refused, 2 usage, 3 not running, 4 degraded (status)\n");
}

static const struct row *find_row(const char *verb)
{
	for (int i = 0; i < ROWS; i++)
		if (strcmp(rows[i].name, verb) == 0)
			return &rows[i];
	return NULL;
}

/* What the line protocol cannot carry: see control_words.h. */
static bool is_word(const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++)
		if (text[i] < 0x21 || text[i] > 0x7e)
			return false;
	return len > 0;
}

static bool add_word(struct command *c, const char *word)
{
	const char *wrong = NULL;

	if (!is_word(word))
		wrong = "not a word of printable ASCII";
	else if (c->count == WORDS_MAX)
		wrong = "too many arguments";
	if (wrong) {
		fprintf(stderr, "understudyctl: '%s': %s\n", word, wrong);
		return false;
	}
	c->words[c->count++] = word;
	return true;
}

static bool check_command(const struct command *c)
{
	const struct row *row = c->count ? find_row(c->words[0]) : NULL;

	if (c->count == 0)
		print_usage(stderr);
	else if (!row)
		fprintf(stderr,
			"understudyctl: unknown verb '%s': understudyctl --help lists them\n",
			c->words[0]);
	else if (c->count - 1 < row->fewest || c->count - 1 > row->most)
		fprintf(stderr, "usage: understudyctl %s %s\n", row->name, row->arguments);
	else
		return true;
	return false;
}

/* Options may stand anywhere; -f belongs to its verb. */
static bool parse_command(int argc, char **argv, struct command *c)
{
	*c = (struct command){ .socket = default_socket };
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i];

		if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 ||
		    (c->count == 0 && strcmp(word, "help") == 0)) {
			print_usage(stdout);
			exit(EXIT_DONE);
		} else if (strcmp(word, "--json") == 0) {
			c->is_json = true;
		} else if (strcmp(word, "-s") == 0 && i + 1 < argc) {
			c->socket = argv[++i];
		} else if (word[0] == '-' && strcmp(word, "-f") != 0) {
			fprintf(stderr, "understudyctl: %s '%s'\n",
				strcmp(word, "-s") == 0 ? "a path must follow" : "unknown option",
				word);
			return false;
		} else if (!add_word(c, word)) {
			return false;
		}
	}
	return check_command(c);
}

/* ---- The connection ---- */

/* -1 after saying why; *code is the exit code then. */
static int connect_to(const char *path, int *code)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*code = EXIT_USAGE;
	if (fd < 0 || strlen(path) >= sizeof(address.sun_path)) {
		fprintf(stderr, "understudyctl: %s: %s\n", path,
			fd < 0 ? strerror(errno) : "path too long");
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	*code = errno == EACCES || errno == EPERM ? EXIT_REFUSED : EXIT_NOT_RUNNING;
	fprintf(stderr, "understudyctl: %s: %s%s\n", path, strerror(errno),
		*code == EXIT_NOT_RUNNING ? ": understudy is not running" : "");
	close(fd);
	return -1;
}

static bool send_command(int fd, const struct command *c)
{
	char line[WORDS_LINE_MAX];
	size_t len = 0;

	for (int i = 0; i < c->count; i++) {
		int n = snprintf(line + len, sizeof(line) - len, "%s%s", c->words[i],
				 i + 1 < c->count ? " " : "\n");

		if (n < 0 || (size_t)n >= sizeof(line) - len) {
			fprintf(stderr, "understudyctl: the arguments are too long\n");
			return false;
		}
		len += (size_t)n;
	}
	return send(fd, line, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct answer { char *text; size_t len, line_len; };	/* line_len: up to its first newline */

/* Reads until the first line is whole. */
static bool read_line(int fd, struct answer *a)
{
	long deadline = now_ms() + ANSWER_TIMEOUT_MS;
	size_t cap = 0;

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		long left = deadline - now_ms();
		ssize_t n;
		char *end;

		if (a->len == cap) {
			cap = cap ? 2 * cap : 65536;
			a->text = cap <= ANSWER_MAX ? realloc(a->text, cap) : NULL;
			if (!a->text)
				return false;
		}
		if (left <= 0 || poll(&p, 1, (int)left) <= 0)
			return false;
		n = read(fd, a->text + a->len, cap - a->len);
		if (n <= 0)
			return false;
		end = memchr(a->text + a->len, '\n', (size_t)n);
		a->len += (size_t)n;
		if (end) {
			a->line_len = (size_t)(end - a->text);
			return true;
		}
	}
}

/* The last bytes of what was copied: a dump that is whole ends in VERBS_DUMP_END. */
struct tail { size_t len; char text[sizeof(VERBS_DUMP_END) - 1]; };

static void copy_out(struct tail *tail, const char *text, size_t len)
{
	size_t room = sizeof(tail->text), take = len < room ? len : room;
	size_t keep = tail->len < room - take ? tail->len : room - take;

	fwrite(text, 1, len, stdout);
	fflush(stdout);
	memmove(tail->text, tail->text + tail->len - keep, keep);
	memcpy(tail->text + keep, text + len - take, take);
	tail->len = keep + take;
}

/* What comes after the first line, as it is, until the server ends it. */
static void copy_rest(int fd, const struct answer *a, struct tail *tail)
{
	char text[65536];
	ssize_t n;

	copy_out(tail, a->text + a->line_len + 1, a->len - a->line_len - 1);
	while ((n = read(fd, text, sizeof(text))) > 0)
		copy_out(tail, text, (size_t)n);
}

static bool is_whole_dump(const struct tail *tail)
{
	return tail->len == sizeof(tail->text) &&
	       memcmp(tail->text, VERBS_DUMP_END, sizeof(tail->text)) == 0;
}

/* ---- The answer ---- */

static int exit_code(const char *verb, const json_t *answer)
{
	const char *kind = json_string_value(json_object_get(answer, "kind"));

	if (!json_is_true(json_object_get(answer, "ok")))
		return kind && strcmp(kind, "usage") == 0 ? EXIT_USAGE : EXIT_REFUSED;
	if (strcmp(verb, "status") == 0 && json_is_true(json_object_get(answer, "degraded")))
		return EXIT_DEGRADED;
	return EXIT_DONE;
}

static int show_answer(int fd, const struct command *c, const struct answer *a)
{
	json_t *answer = json_loadb(a->text, a->line_len, 0, NULL);
	const char *error = json_string_value(json_object_get(answer, "error"));
	int code = exit_code(c->words[0], answer);
	bool is_dump = code == EXIT_DONE && strcmp(c->words[0], "dump") == 0;
	struct tail tail = { .len = 0 };

	if (!json_is_object(answer)) {
		fprintf(stderr, "understudyctl: the answer is not JSON\n");
	} else if (c->is_json && !is_dump) {
		printf("%.*s\n", (int)a->line_len, a->text);
	} else if (error) {
		fprintf(stderr, "understudyctl: %s\n", error);
	} else {
		render_answer(c->words[0], answer, stdout);
	}
	json_decref(answer);
	copy_rest(fd, a, &tail);
	if (is_dump && !is_whole_dump(&tail)) {
		fprintf(stderr, "understudyctl: the dump was cut off\n");
		code = EXIT_REFUSED;
	}
	return fflush(stdout) == 0 ? code : EXIT_REFUSED;
}

int main(int argc, char **argv)
{
	struct command command;
	struct answer answer = { .text = NULL };
	int code, fd;

	if (!parse_command(argc, argv, &command))
		return EXIT_USAGE;
	fd = connect_to(command.socket, &code);
	if (fd < 0)
		return code;
	if (!send_command(fd, &command) || !read_line(fd, &answer)) {
		fprintf(stderr, "understudyctl: %s: no answer\n", command.socket);
		free(answer.text);
		close(fd);
		return EXIT_REFUSED;
	}
	code = show_answer(fd, &command, &answer);
	free(answer.text);
	close(fd);
	return code;
}
