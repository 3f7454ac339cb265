/* SPDX-License-Identifier: ISC */
/*
 * conf_guess - what the operator may have meant by a name that we do not know.
 *
 * Purpose:  the mend of "unknown option" and of unknown words: the nearest known name.
 * Threads:  any; pure.
 * Memory:   none; the caller gives `room` bytes at `mend`.
 */
#ifndef CONF_GUESS_H
#define CONF_GUESS_H

#include <stddef.h>

#include "proxy/conf_table.h"

/*
 * Mend for a name that `section` does not know: "did you mean 'policy'?", "it belongs in
 * section 'backend'", or where to look.
 */
void conf_name_mend(enum conf_section section, const char *name, size_t len, char *mend,
		    size_t room);

/* "did you mean 'hmac-sha256'?" or "one of a b c", for words. */
void conf_word_mend(const struct conf_word *words, const char *text, char *mend, size_t room);

#endif
