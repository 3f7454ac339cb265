/* SPDX-License-Identifier: ISC */
/*
 * memory - heap memory for start-up, reload and the control and mirror threads.
 *
 * Purpose:  one answer to "out of memory": abort. A half-made plan or zone is worse than a
 *           restart, from which snapshots bring everything back. Never called for a query.
 * Memory:   ends with free().
 */
#ifndef MEMORY_H
#define MEMORY_H

#include <stddef.h>
#include <stdlib.h>

/* Zeroed; `count` may be 0. */
static inline void *memory_zeroed(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size);

	if (!p)
		abort();
	return p;
}

/* Not zeroed. */
static inline void *memory_new(size_t size)
{
	void *p = malloc(size ? size : 1);

	if (!p)
		abort();
	return p;
}

#endif
