/* SPDX-License-Identifier: ISC */
#include "cache/memory.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- The bulk ---- */

enum {
	AHEAD = 4 << 20,
	HUGE_PAGE = 2 << 20,
	HEAP_END = 64 << 20,	/* a thread's heap ends at a multiple of this */
	PROBE = 64 << 10,	/* mostly at the end of the heap: there are few holes as large */
	EDGE = 64,		/* room for what malloc() notes at the end of the heap */
	OVERHEAD = 16,		/* of malloc(), for each block */
};

/* A compiler leaves out free(malloc()), were it not for volatile. */
static uintptr_t borrow(size_t size)
{
	void *volatile p = malloc(size);
	uintptr_t at = (uintptr_t)p;

	free(p);
	return at;
}

static _Thread_local bool expects_bulk;
static _Thread_local size_t bulk_len;	/* asked for since the heap was made longer */

/* malloc() maps a block of its own for such a size until one has been freed: mallopt(3). */
static void teach_malloc(void)
{
	static _Thread_local bool has_been;

	if (!has_been)
		borrow(AHEAD + 2 * HUGE_PAGE);
	has_been = true;
}

/*
 * What is freed at the end of the heap stays there, for what is asked for next. malloc() writes a few
 * bytes at the new end. Where they fall into the first part of a huge page, whose rest is not the heap's yet,
 * the kernel has to give it a small one, and that place is lost: so the heap shall end just before the end of a
 * huge page, which has been marked before. Where malloc() goes another way, this is for nothing, and no harm.
 */
static void make_longer(void)
{
	uintptr_t start = borrow(PROBE);
	uintptr_t end = (start + AHEAD + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
	uintptr_t heap_end = start / HEAP_END * HEAP_END + HEAP_END;
	uintptr_t page = start / HUGE_PAGE * HUGE_PAGE;
	uintptr_t marked_end = end + 2 * (uintptr_t)AHEAD;

	if (marked_end > heap_end)
		marked_end = heap_end;
	madvise((void *)page, marked_end - page, MADV_HUGEPAGE);
	borrow(end - start - EDGE);
}

static void count_bulk(size_t size)
{
	bulk_len += size + OVERHEAD;
	if (bulk_len < AHEAD || !expects_bulk)
		return;
	bulk_len = 0;
	teach_malloc();
	make_longer();
}

void memory_expect_bulk(void)
{
	expects_bulk = true;
}

void *memory_bulk(size_t size)
{
	count_bulk(size);
	return memory_new(size);
}

void *memory_bulk_resize(void *p, size_t size)
{
	count_bulk(size);
	p = realloc(p, size);
	if (!p)
		abort();
	return p;
}

/* ---- Tables ---- */

void *memory_table(size_t count, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), len;
	void *p;

	if (__builtin_mul_overflow(count, size, &len) || len > SIZE_MAX - page)
		abort();
	len = (len + page) / page * page;	/* one page at least */
	p = aligned_alloc(page, len);
	if (!p)
		abort();
	if (madvise(p, len, MADV_DONTNEED) != 0)	/* after mlockall() it may not */
		memset(p, 0, len);
	return p;
}
