/* SPDX-License-Identifier: ISC */
#include "proxy/agenda.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cache/memory.h"

enum { WORD_BITS = 64 };

static size_t word_count(const struct agenda *a)
{
	return (a->count + WORD_BITS - 1) / WORD_BITS;
}

void agenda_init(struct agenda *a, size_t count)
{
	*a = (struct agenda){ .count = count };
	a->words = memory_zeroed(word_count(a), sizeof(a->words[0]));
}

void agenda_fini(struct agenda *a)
{
	free(a->words);
	*a = (struct agenda){ 0 };
}

void agenda_add(struct agenda *a, size_t item)
{
	assert(item < a->count);
	a->words[item / WORD_BITS] |= (uint64_t)1 << item % WORD_BITS;
}

/* No bit is set behind the last item: the hand need not look for that. */
void agenda_add_all(struct agenda *a)
{
	size_t words = word_count(a), rest = a->count % WORD_BITS;

	if (words == 0)
		return;
	memset(a->words, 0xff, words * sizeof(a->words[0]));
	if (rest > 0)
		a->words[words - 1] = ((uint64_t)1 << rest) - 1;
}

static void move_hand(struct agenda *a, size_t steps, size_t *left)
{
	if (steps > a->count - a->at)
		steps = a->count - a->at;
	if (steps > *left)
		steps = *left;
	*left -= steps;
	a->at = (a->at + steps) % a->count;
}

size_t agenda_next(struct agenda *a, size_t *left)
{
	while (a->count > 0 && *left > 0) {
		unsigned bit = a->at % WORD_BITS;
		uint64_t rest = a->words[a->at / WORD_BITS] >> bit;
		size_t ahead = rest ? (size_t)__builtin_ctzll(rest) : WORD_BITS - bit;
		size_t item = a->at + ahead;

		if (!rest || ahead >= *left) {
			move_hand(a, ahead, left);
			continue;
		}
		move_hand(a, ahead + 1, left);
		a->words[item / WORD_BITS] &= ~((uint64_t)1 << item % WORD_BITS);
		return item;
	}
	return SIZE_MAX;
}
