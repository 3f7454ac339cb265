/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cache/memory.h"

enum { PAGE_LEN = 4096, PAGES = 1024, TABLE_LEN = PAGES * PAGE_LEN };

static unsigned resident(void *p)
{
	unsigned char pages[PAGES];
	unsigned count = 0;

	ck_assert_int_eq(mincore(p, TABLE_LEN, pages), 0);
	for (unsigned i = 0; i < PAGES; i++)
		count += pages[i] & 1;
	return count;
}

/* Malloc learns that such sizes come back, and keeps the last one, with what was written there. */
static void given_freed_memory(void)
{
	for (unsigned i = 0; i < 3; i++)
		free(memset(malloc(2 * TABLE_LEN), 0x5a, 2 * TABLE_LEN));
}

START_TEST(table_is_zeroed_and_takes_no_memory)
{
	const uint8_t *p;
	unsigned set = 0;

	given_freed_memory();
	p = memory_table(PAGES, PAGE_LEN);
	ck_assert_uint_eq(resident((void *)(uintptr_t)p), 0);
	for (size_t i = 0; i < TABLE_LEN; i++)
		set += p[i];
	ck_assert_uint_eq(set, 0);
	free((void *)(uintptr_t)p);
}
END_TEST

#if defined(__has_feature)
#define IS_CLANG_SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define IS_CLANG_SANITIZED 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || IS_CLANG_SANITIZED
enum { HAS_OWN_MALLOC = 1 };
#else
enum { HAS_OWN_MALLOC = 0 };
#endif

/* Of this process; 0 too where the system does not tell. */
static unsigned long huge_kb(void)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "r");
	char line[256];
	unsigned long kb = 0;

	while (f && fgets(line, sizeof(line), f) && sscanf(line, "AnonHugePages: %lu", &kb) != 1)
		;
	if (f)
		fclose(f);
	return kb;
}

/* Somebody who asks for them gets some: they are allowed, and there are free ones. */
static bool system_has_huge_pages(void)
{
	enum { LEN = 32 << 20, ENOUGH_KB = 24 << 10 };
	unsigned long before = huge_kb(), kb;
	void *p = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(p, MAP_FAILED);
	madvise(p, LEN, MADV_HUGEPAGE);
	memset(p, 1, LEN);
	kb = huge_kb() - before;
	munmap(p, LEN);
	return kb >= ENOUGH_KB;
}

/* As the mirror's thread has a heap of its own: 40 MB. */
static void *take_bulk(void *arg)
{
	enum { COUNT = 400000, LEN = 100, ENOUGH_KB = 16 << 10 };
	unsigned char **blocks = calloc(COUNT, sizeof(*blocks));
	unsigned long before = huge_kb();
	unsigned wrong = 0;

	memory_expect_bulk();
	for (unsigned i = 0; i < COUNT; i++) {
		blocks[i] = i % 2 ? memory_bulk(LEN) : memory_bulk_resize(NULL, LEN / 2);
		memset(blocks[i], (int)(i % 251), LEN / 2);
	}
	for (unsigned i = 0; i < COUNT; i += 2)
		blocks[i] = memory_bulk_resize(blocks[i], LEN);
	if (*(bool *)arg)
		ck_assert_uint_ge(huge_kb() - before, ENOUGH_KB);
	for (unsigned i = 0; i < COUNT; i++) {
		for (unsigned j = 0; j < LEN / 2; j++)
			wrong += blocks[i][j] != i % 251;
		free(blocks[i]);
	}
	ck_assert_uint_eq(wrong, 0);
	free(blocks);
	return NULL;
}

START_TEST(bulk_is_memory_like_any_and_of_huge_pages)
{
	bool has_huge = !HAS_OWN_MALLOC && system_has_huge_pages();
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, take_bulk, &has_huge), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

START_TEST(text_is_replaced_and_empty_is_none)
{
	char *text = NULL;

	memory_set_text(&text, "");
	ck_assert_ptr_null(text);
	memory_set_text(&text, "one");
	ck_assert_str_eq(text, "one");
	memory_set_text(&text, text);
	ck_assert_str_eq(text, "one");
	memory_set_text(&text, "another");
	ck_assert_str_eq(text, "another");
	memory_set_text(&text, "");
	ck_assert_ptr_null(text);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("memory");
	TCase *tc = tcase_create("memory");

	tcase_add_test(tc, table_is_zeroed_and_takes_no_memory);
	tcase_add_test(tc, bulk_is_memory_like_any_and_of_huge_pages);
	tcase_add_test(tc, text_is_replaced_and_empty_is_none);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
