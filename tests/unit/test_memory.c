/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
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
	tcase_add_test(tc, text_is_replaced_and_empty_is_none);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
