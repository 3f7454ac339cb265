/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/control_words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Words are NUL-terminated, printable, in order, and inside the line. */
static void check_words(const struct words *w, const char *line, size_t len)
{
	const char *end = line;

	assert(w->count >= 1 && w->count <= WORDS_MAX);
	for (unsigned i = 0; i < w->count; i++) {
		assert(w->word[i] >= end && w->word[i] < line + len);
		end = w->word[i] + strlen(w->word[i]);
		assert(end > w->word[i] && end <= line + len);
		for (const char *p = w->word[i]; p < end; p++)
			assert(*p > 0x20 && *p < 0x7f);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct words words;
	char *line;

	if (size > WORDS_LINE_MAX)
		return 0;
	line = malloc(size + 1);
	if (!line)
		abort();
	if (size > 0)
		memcpy(line, data, size);
	if (!words_split(line, size, &words))
		check_words(&words, line, size);
	free(line);
	return 0;
}
