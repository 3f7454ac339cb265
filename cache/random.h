/* SPDX-License-Identifier: ISC */
/*
 * random - random numbers by the handful, without a system call for each: unguessable, or seeded.
 *
 * Purpose:  message IDs, socket choice, jitter (RFC 5452 s.9.2 wants IDs unpredictable).
 * Owns:     a buffer filled by getrandom(2); consumed bytes are wiped.
 * Threads:  one struct per thread.
 * Failure:  aborts when the kernel has no randomness: no safe way on.
 */
#ifndef RANDOM_H
#define RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random {
	uint64_t seed;		/* not 0: a stream that follows from it */
	size_t left;
	uint8_t pool[512];
};

/* The kernel's randomness. */
void random_init(struct random *r);

/*
 * The same stream for the same seed (not 0): for simulations, and for choices by which nobody who
 * guesses them gains anything. It makes no system calls.
 */
void random_init_seeded(struct random *r, uint64_t seed);

uint16_t random_u16(struct random *r);
uint32_t random_u32(struct random *r);
uint64_t random_u64(struct random *r);

/* Uniform in 0 .. n-1; n > 0. */
uint32_t random_below(struct random *r, uint32_t n);

#endif
