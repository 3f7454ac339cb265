/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdlib.h>

#include "cache/serial.h"

#define HALF 0x80000000u

/* RFC 1982 s.3.2, and where others went wrong: serials over 2^31 in a signed int, no way round. */
static const struct { uint32_t a, b; bool is_newer; } pairs[] = {
	{ 0, 0, false }, { 1, 0, true }, { 0, 1, false },
	{ 0, UINT32_MAX, true }, { UINT32_MAX, 0, false }, { 44, UINT32_MAX - 100, true },
	{ HALF, HALF - 1, true }, { HALF - 1, HALF, false }, { HALF + 1, HALF, true },
	{ HALF - 1, 0, true }, { 0, HALF - 1, false },
	{ HALF + 1, 0, false }, { 0, HALF + 1, true },
	{ UINT32_MAX, HALF, true }, { HALF, UINT32_MAX, false },
	{ UINT32_MAX, UINT32_MAX, false }, { UINT32_MAX, UINT32_MAX - 1, true },
	{ 2026112701, 2026112700, true }, { 2026112700, 2026112701, false },
};

START_TEST(serials_compare_on_a_circle)
{
	ck_assert_msg(serial_is_newer(pairs[_i].a, pairs[_i].b) == pairs[_i].is_newer, "%u and %u",
		      pairs[_i].a, pairs[_i].b);
}
END_TEST

/* The RFC leaves it open which is newer; that both were would have two servers chase each other. */
START_TEST(opposite_serials_are_newer_neither_way)
{
	static const uint32_t serials[] = { 0, 1, 7, HALF - 1, HALF, UINT32_MAX };

	ck_assert(!serial_is_newer(serials[_i], serials[_i] + HALF));
	ck_assert(!serial_is_newer(serials[_i] + HALF, serials[_i]));
}
END_TEST

START_TEST(never_are_both_newer)
{
	uint32_t a = 1, b = 1;

	for (int i = 0; i < 100000; i++) {
		a = a * 1664525u + 1013904223u;
		b = b * 22695477u + 1u + a;
		ck_assert(!(serial_is_newer(a, b) && serial_is_newer(b, a)));
		ck_assert(serial_is_newer(a + (b >> 1), a) == (b >> 1 != 0));
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("serial");
	TCase *tc = tcase_create("serial");

	tcase_add_loop_test(tc, serials_compare_on_a_circle, 0, sizeof(pairs) / sizeof(pairs[0]));
	tcase_add_loop_test(tc, opposite_serials_are_newer_neither_way, 0, 6);
	tcase_add_test(tc, never_are_both_newer);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
