/* SPDX-License-Identifier: ISC */
#include "cache/rcu.h"

#include <urcu-qsbr.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RCU_TELL_TSAN
#endif
#elif defined(__SANITIZE_THREAD__)
#define RCU_TELL_TSAN
#endif

/*
 * What liburcu guarantees, told to TSan: all that a reader did before it slept happens
 * before rcu_wait() returns.
 */
#ifdef RCU_TELL_TSAN
#include <sanitizer/tsan_interface.h>

static char quiet;	/* only its address matters */

static void readers_left(void)
{
	__tsan_release(&quiet);
}

static void readers_waited_for(void)
{
	__tsan_acquire(&quiet);
}
#else
static void readers_left(void)
{
}

static void readers_waited_for(void)
{
}
#endif

void rcu_thread_start(void)
{
	urcu_qsbr_register_thread();
}

void rcu_thread_stop(void)
{
	readers_left();
	urcu_qsbr_unregister_thread();
}

void rcu_sleep(void)
{
	readers_left();
	urcu_qsbr_thread_offline();
}

void rcu_wake(void)
{
	urcu_qsbr_thread_online();
}

/*
 * synchronize_rcu() of this flavour takes a caller that is a reader offline meanwhile, so
 * two threads that wait at the same time do not wait for each other.
 */
void rcu_wait(void)
{
	readers_left();
	urcu_qsbr_synchronize_rcu();
	readers_waited_for();
}
