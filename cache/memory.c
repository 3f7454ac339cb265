/* SPDX-License-Identifier: ISC */
#include "cache/memory.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

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
