/* SPDX-License-Identifier: ISC */
#include "cache/cookie_secrets.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* -1: no hexadecimal digit. */
static int digit_of(char c)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)((at - digits) % 16) : -1;
}

static bool add(struct cookie_secrets *s, const char *hex)
{
	uint8_t *secret = s->secrets[s->count];

	if (strlen(hex) != 2 * COOKIE_SECRET_LEN)
		return false;
	for (unsigned i = 0; i < COOKIE_SECRET_LEN; i++) {
		int high = digit_of(hex[2 * i]), low = digit_of(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		secret[i] = (uint8_t)(high << 4 | low);
	}
	s->count++;
	return true;
}

/* What is wrong with the line, or NULL. */
static const char *take_line(struct cookie_secrets *s, char *line)
{
	line[strcspn(line, " \t\r\n")] = '\0';
	if (!*line)
		return NULL;
	if (s->count == COOKIE_SECRETS_MAX)
		return "there are more secrets than can be in use: remove the old ones";
	return add(s, line) ? NULL : "this is no secret: write 32 hexadecimal digits";
}

static bool read_lines(struct cookie_secrets *s, FILE *f, const char *file, char *problem,
		       size_t room)
{
	char line[256];
	const char *why = NULL;
	int number = 0;

	while (!why && fgets(line, sizeof(line), f)) {
		number++;
		why = take_line(s, line);
	}
	explicit_bzero(line, sizeof(line));
	if (why)
		snprintf(problem, room, "%.200s:%d: %s", file, number, why);
	else if (ferror(f))
		snprintf(problem, room, "%.200s cannot be read: %s", file, strerror(errno));
	else if (s->count == 0)
		snprintf(problem, room, "%.200s has no secret: write a line of 32 hexadecimal digits",
			 file);
	else
		return true;
	return false;
}

bool cookie_secrets_read(struct cookie_secrets *s, const char *file, char *problem, size_t room)
{
	FILE *f = fopen(file, "re");
	bool is_ok;

	memset(s, 0, sizeof(*s));
	if (!f) {
		snprintf(problem, room, "%.200s cannot be read: %s", file, strerror(errno));
		return false;
	}
	is_ok = read_lines(s, f, file, problem, room);
	fclose(f);
	if (!is_ok)
		explicit_bzero(s, sizeof(*s));
	return is_ok;
}
