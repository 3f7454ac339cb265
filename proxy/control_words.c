/* SPDX-License-Identifier: ISC */
#include "proxy/control_words.h"

#include <stdbool.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

const char *words_split(char *line, size_t len, struct words *w)
{
	bool is_inside = false;

	w->count = 0;
	line[len] = '\0';
	for (size_t i = 0; i < len; i++) {
		if (is_blank(line[i])) {
			line[i] = '\0';
			is_inside = false;
			continue;
		}
		if (line[i] < 0x21 || line[i] > 0x7e)
			return "a byte that is not printable ASCII";
		if (is_inside)
			continue;
		if (w->count == WORDS_MAX)
			return "too many words";
		w->word[w->count++] = &line[i];
		is_inside = true;
	}
	return w->count > 0 ? NULL : "an empty line";
}
