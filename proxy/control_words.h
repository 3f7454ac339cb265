/* SPDX-License-Identifier: ISC */
/*
 * control_words - a line of the control protocol, split at its blanks.
 *
 * Purpose:  "backend ns1 drain" -> { "backend", "ns1", "drain" }. There is no quoting: no
 *           argument of ours needs a blank (names in DNS text form write it as \032).
 * Threads:  any; pure.
 * Memory:   none; words point into the caller's line, which is cut up in place.
 * Failure:  a sentence for whoever sent the line.
 */
#ifndef CONTROL_WORDS_H
#define CONTROL_WORDS_H

#include <stddef.h>

enum { WORDS_LINE_MAX = 4096, WORDS_MAX = 16 };

struct words {
	unsigned count;			/* at least 1 */
	const char *word[WORDS_MAX];
};

/*
 * Splits line[0 .. len), where line[len] may be written: it becomes NUL. NULL when that went
 * well; else what is wrong: no word, too many, or a byte that is not printable ASCII.
 */
const char *words_split(char *line, size_t len, struct words *w);

#endif
