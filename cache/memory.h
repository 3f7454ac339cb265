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
#include <string.h>

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

/*
 * The same for a table that is made for the worst day: of what is never touched there is no page.
 * calloc() gives that, too, but not where somebody has freed as much before, as reading a big
 * configuration does.
 */
void *memory_table(size_t count, size_t size);

/*
 * For what comes by the million: the names of zones. As memory_new() and realloc(); but each few
 * megabytes the heap of this thread is made longer ahead, and of huge pages where the system has
 * such (transparent_hugepage). Else it grows by a page at a time: a system call and a fault for each
 * fifty names, and where these are looked up, a walk through page tables that no cache holds.
 */
void *memory_bulk(size_t size);
void *memory_bulk_resize(void *p, size_t size);

/* *text becomes a copy of `to`, and what it was is freed: NULL when there is nothing to say. */
static inline void memory_set_text(char **text, const char *to)
{
	if (*text && strcmp(*text, to) == 0)
		return;
	free(*text);
	*text = *to ? strdup(to) : NULL;
	if (*to && !*text)
		abort();
}

#endif
