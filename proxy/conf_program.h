/* SPDX-License-Identifier: ISC */
/*
 * conf_program - is this a program that we can run: what `verify` names.
 *
 * Purpose:  a path that means nothing to a shell or a search path, of a file that is there and may
 *           be executed by us, so that a slip of the pen is found at the start.
 * Not here: running it (verifier.h).
 * Threads:  one; looks at the file system.
 * Memory:   the copy, which is the caller's; aborts when there is none.
 * Failure:  false with "what is wrong: the mend" in `problem`.
 */
#ifndef CONF_PROGRAM_H
#define CONF_PROGRAM_H

#include <stdbool.h>

#include "proxy/conf_value.h"

/* A copy of `text`, which may be "off", takes the place of *program. `name` is the option's. */
bool conf_program_set(char **program, const char *name, const char *text,
		      char problem[CONF_PROBLEM_MAX]);

#endif
