/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/control_words.h"

static char line[WORDS_LINE_MAX + 1];
static struct words w;

static const char *split(const char *text)
{
	strncpy(line, text, sizeof(line) - 1);
	return words_split(line, strlen(text), &w);
}

START_TEST(line_is_split_at_blanks)
{
	ck_assert_ptr_null(split("  backend\tns1   drain \r"));
	ck_assert_uint_eq(w.count, 3);
	ck_assert_str_eq(w.word[0], "backend");
	ck_assert_str_eq(w.word[1], "ns1");
	ck_assert_str_eq(w.word[2], "drain");
}
END_TEST

START_TEST(sixteen_words_fit_and_no_more)
{
	ck_assert_ptr_null(split("1 2 3 4 5 6 7 8 9 a b c d e f g"));
	ck_assert_uint_eq(w.count, WORDS_MAX);
	ck_assert_str_eq(split("1 2 3 4 5 6 7 8 9 a b c d e f g h"), "too many words");
}
END_TEST

static const char *const bad[] = { "", "   ", "zone \377", "zone \033[2J", "zone \177", "a\nb" };

START_TEST(bad_line_is_refused)
{
	ck_assert_ptr_nonnull(split(bad[_i]));
}
END_TEST

START_TEST(nul_is_not_printable)
{
	memcpy(line, "a\0b", 4);
	ck_assert_ptr_nonnull(words_split(line, 3, &w));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("words");
	TCase *tc = tcase_create("split");

	tcase_add_test(tc, line_is_split_at_blanks);
	tcase_add_test(tc, sixteen_words_fit_and_no_more);
	tcase_add_loop_test(tc, bad_line_is_refused, 0, sizeof(bad) / sizeof(bad[0]));
	tcase_add_test(tc, nul_is_not_printable);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
