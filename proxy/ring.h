/* SPDX-License-Identifier: ISC */
/*
 * ring - the two ends of a queue between a worker and control, neither of which ever waits.
 *
 * Purpose:  counts which entry of somebody's array is whose: the writer fills a slot and commits
 *           it, the reader looks at it and releases it.
 * Not here: the entries.
 * Threads:  one writer, one reader.
 * Failure:  a full ring gives no slot; how many were lost is counted.
 */
#ifndef RING_H
#define RING_H

#include <stdatomic.h>
#include <stdbool.h>

/* All zero: empty. `head` is the writer's, `tail` the reader's; both only grow. */
struct ring { _Atomic unsigned head, tail, lost; };

/* [writer] The slot to be filled, of `size` (a power of two). False: the ring is full. */
static inline bool ring_claim(struct ring *r, unsigned size, unsigned *slot)
{
	unsigned head = atomic_load_explicit(&r->head, memory_order_relaxed);

	if (head - atomic_load_explicit(&r->tail, memory_order_acquire) == size) {
		atomic_fetch_add_explicit(&r->lost, 1, memory_order_relaxed);
		return false;
	}
	*slot = head % size;
	return true;
}

/* [writer] The slot is filled. */
static inline void ring_commit(struct ring *r)
{
	unsigned head = atomic_load_explicit(&r->head, memory_order_relaxed);

	atomic_store_explicit(&r->head, head + 1, memory_order_release);
}

/* [reader] The oldest slot. False: there is none. */
static inline bool ring_peek(struct ring *r, unsigned size, unsigned *slot)
{
	unsigned tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	if (tail == atomic_load_explicit(&r->head, memory_order_acquire))
		return false;
	*slot = tail % size;
	return true;
}

/* [reader] It is done with the oldest slot. */
static inline void ring_release(struct ring *r)
{
	unsigned tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
}

/* [reader] Entries lost since the last call. */
static inline unsigned ring_take_lost(struct ring *r)
{
	return atomic_exchange_explicit(&r->lost, 0, memory_order_relaxed);
}

#endif
