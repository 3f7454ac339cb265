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
 * For what comes by the million: names of zones, their records, and the trees to them. As memory_new()
 * and realloc(); but in a thread that expects much of it the heap is made longer ahead, some megabytes
 * at a time, and of huge pages where the system has such (transparent_hugepage). Else it grows by 4 kB: a
 * system call and a fault for each fifty names, and where these are looked up, a walk through page tables that
 * no cache holds. From the first megabytes on malloc() takes blocks of up to 8 MB from heaps, in all threads,
 * and keeps up to 16 MB at the end of each.
 */
void memory_expect_bulk(void);		/* in this thread; twice is fine */
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
