/* SPDX-License-Identifier: ISC */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/backend.h"

static struct address address_of(const char *text)
{
	struct address a;

	ck_assert(address_from_text(text, 53, &a));
	return a;
}

static struct backend *take(const char *pool, const char *name, const char *text)
{
	struct address a = address_of(text);

	return backend_take(pool, name, &a);
}

START_TEST(a_new_backend_gets_all_of_its_traffic)
{
	struct backend *b = take("main", "ns1", "192.0.2.53");

	ck_assert(b->is_used);
	ck_assert_uint_eq(atomic_load(&b->share), BACKEND_SHARE_FULL);
	ck_assert(!atomic_load(&b->is_suspect));
	ck_assert_ptr_eq(backend_get(b->index), b);
	ck_assert_str_eq(b->name, "ns1");
	ck_assert_str_eq(b->pool, "main");
}
END_TEST

START_TEST(a_backend_keeps_its_slot_and_evidence_over_a_reload)
{
	struct backend *old = take("main", "ns1", "192.0.2.53");

	counter_add(&old->evidence[3].sent, 5);
	atomic_store(&old->share, 7);
	struct backend *new = take("main", "ns1", "192.0.2.53");

	backend_leave(old);	/* the old plan goes after the new one has come */
	ck_assert_ptr_eq(old, new);
	ck_assert(new->is_used);
	ck_assert_uint_eq(counter_get(&new->evidence[3].sent), 5);
	ck_assert_uint_eq(atomic_load(&new->share), 7);
	backend_leave(new);
	ck_assert(!new->is_used);
}
END_TEST

static const struct { const char *what, *pool, *name, *address; } others[] = {
	{ "another pool",    "spare", "ns1", "192.0.2.53" },
	{ "another name",    "main",  "ns2", "192.0.2.53" },
	{ "another address", "main",  "ns1", "192.0.2.54" },
	{ "another port",    "main",  "ns1", "192.0.2.53:54" },
};

START_TEST(another_backend_gets_another_slot)
{
	struct backend *b = take("main", "ns1", "192.0.2.53");

	ck_assert_msg(take(others[_i].pool, others[_i].name, others[_i].address) != b,
		      "shared a slot with %s", others[_i].what);
}
END_TEST

START_TEST(a_slot_with_open_attempts_is_not_given_to_another)
{
	char name[32];
	struct backend *first = take("main", "ns0", "192.0.2.53"), *second = NULL;

	for (unsigned i = 1; i < BACKENDS_MAX; i++) {
		snprintf(name, sizeof(name), "ns%u", i);
		second = take("main", name, "192.0.2.53");
	}
	atomic_store(&first->evidence[0].outstanding, 1);
	counter_add(&second->evidence[0].sent, 9);
	backend_leave(first);
	backend_leave(second);
	struct backend *b = take("main", "late", "192.0.2.53");

	ck_assert_ptr_eq(b, second);
	ck_assert_uint_eq(counter_get(&b->evidence[0].sent), 0);
	ck_assert_str_eq(b->name, "late");
}
END_TEST

START_TEST(sums_take_the_latest_reply_and_the_oldest_silence)
{
	struct backend *b = take("main", "ns1", "192.0.2.53");
	struct evidence_sum sum;

	counter_set(&b->evidence[0].sent, 10);
	counter_set(&b->evidence[1].sent, 20);
	counter_set(&b->evidence[0].heard[TRANSPORT_UDP].last_reply_us, 500);
	counter_set(&b->evidence[1].heard[TRANSPORT_UDP].last_reply_us, 400);
	counter_set(&b->evidence[1].heard[TRANSPORT_UDP].first_silent_us, 700);
	counter_set(&b->evidence[2].heard[TRANSPORT_UDP].first_silent_us, 600);
	atomic_store(&b->evidence[0].srtt_us, 100);
	atomic_store(&b->evidence[1].srtt_us, 300);
	atomic_store(&b->evidence[0].outstanding, 2);
	atomic_store(&b->evidence[63].outstanding, 3);
	backend_sum(b, &sum);
	ck_assert_uint_eq(sum.sent, 30);
	ck_assert_uint_eq(sum.heard[TRANSPORT_UDP].last_reply_us, 500);
	ck_assert_uint_eq(sum.heard[TRANSPORT_UDP].first_silent_us, 600);
	ck_assert_uint_eq(sum.srtt_us, 200);
	ck_assert_uint_eq(sum.outstanding, 5);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("backend");
	TCase *tc = tcase_create("registry");

	tcase_add_test(tc, a_new_backend_gets_all_of_its_traffic);
	tcase_add_test(tc, a_backend_keeps_its_slot_and_evidence_over_a_reload);
	tcase_add_loop_test(tc, another_backend_gets_another_slot, 0, 4);
	tcase_add_test(tc, a_slot_with_open_attempts_is_not_given_to_another);
	tcase_add_test(tc, sums_take_the_latest_reply_and_the_oldest_silence);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
