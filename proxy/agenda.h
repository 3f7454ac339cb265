/* SPDX-License-Identifier: ISC */
/*
 * agenda - which of many things are to be looked at: a bit for each, and a hand that goes round.
 *
 * Purpose:  what is put on it is taken off once, in turn, however often it was put there; what is
 *           not on it costs nothing but a word in 64.
 * Not here: what is looked at, and why (watch_due.h).
 * Threads:  whose agenda it is; pure.
 * Memory:   a bit for each; aborts when there is none.
 */
#ifndef AGENDA_H
#define AGENDA_H

#include <stddef.h>
#include <stdint.h>

struct agenda {
	uint64_t *words;
	size_t count;
	size_t at;		/* the hand */
};

void agenda_init(struct agenda *a, size_t count);	/* nothing is on it */
void agenda_fini(struct agenda *a);

void agenda_add(struct agenda *a, size_t item);
void agenda_add_all(struct agenda *a);

/*
 * Takes off the next one. The hand moves over no more than `*left` of them, which counts down: a
 * round that begins with `count` meets none twice. SIZE_MAX: there is none in the rest of it.
 */
size_t agenda_next(struct agenda *a, size_t *left);

#endif
