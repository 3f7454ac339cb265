/* SPDX-License-Identifier: ISC */
/*
 * rcu - readers never wait: what a thread publishes, others read without a lock.
 *
 * Purpose:  a thin cover over liburcu that ThreadSanitizer understands (liburcu's barriers are
 *           assembly, which TSan cannot see). Of its flavours that in which a reader who
 *           sleeps and wakes needs no barrier: rcu_wait() has one made in all of them (membarrier(2)).
 * Threads:  every thread that reads calls rcu_thread_start() first and rcu_thread_stop()
 *           last. It is a reader except between rcu_sleep() and rcu_wake(), which it
 *           puts around its wait for events; nothing it read before may be used after.
 *           rcu_wait() returns when every reader has slept once since; the calling
 *           thread may be a reader itself (then it sleeps meanwhile, with the same rule)
 *           and blocks for one turn of the slowest loop. Never call it in a worker.
 * Memory:   publish, rcu_wait(), then free what was replaced: in that order.
 */
#ifndef RCU_H
#define RCU_H

void rcu_thread_start(void);
void rcu_thread_stop(void);
void rcu_sleep(void);
void rcu_wake(void);
void rcu_wait(void);

/* `slot` is a pointer variable that several threads share. */
#define rcu_publish(slot, value)	__atomic_store_n(&(slot), (value), __ATOMIC_RELEASE)
#define rcu_read(slot)			__atomic_load_n(&(slot), __ATOMIC_ACQUIRE)

#endif
