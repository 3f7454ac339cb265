/* SPDX-License-Identifier: ISC */
/*
 * temporary - where tests and benches put files of their own: in TMPDIR, as mktemp(1) does.
 *
 * Memory:   none; the path goes into the caller's buffer.
 * Failure:  aborts when it does not fit.
 */
#ifndef TESTS_TEMPORARY_H
#define TESTS_TEMPORARY_H

#include <stdio.h>
#include <stdlib.h>

/* A template for mkstemp(3) or mkdtemp(3), which begins with `name`. Returns `path`. */
static inline char *temporary_path(char *path, size_t size, const char *name)
{
	const char *folder = getenv("TMPDIR");

	if ((size_t)snprintf(path, size, "%s/%s.XXXXXX", folder && *folder ? folder : P_tmpdir, name) >= size)
		abort();
	return path;
}

#endif
