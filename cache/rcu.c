/* SPDX-License-Identifier: ISC */
#include "cache/rcu.h"

#include <stdbool.h>

#include <urcu/urcu-memb.h>

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

/* Sections of liburcu's nest, ours do not: a thread is a reader, or it is none. */
static _Thread_local bool is_registered, is_reader;

static void begin(void)
{
	if (!is_registered || is_reader)
		return;
	is_reader = true;
	urcu_memb_read_lock();
}

static void end(void)
{
	readers_left();
	if (is_reader)
		urcu_memb_read_unlock();
	is_reader = false;
}

void rcu_thread_start(void)
{
	urcu_memb_register_thread();
	is_registered = true;
	begin();
}

void rcu_thread_stop(void)
{
	end();
	is_registered = false;
	urcu_memb_unregister_thread();
}

void rcu_sleep(void)
{
	end();
}

void rcu_wake(void)
{
	begin();
}

/* A reader that waited for itself would never return; and two that wait, not for each other. */
void rcu_wait(void)
{
	bool was_reader = is_reader;

	end();
	urcu_memb_synchronize_rcu();
	readers_waited_for();
	if (was_reader)
		begin();
}
