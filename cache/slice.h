/* SPDX-License-Identifier: ISC */
/*
 * slice - long work in short pieces, between two turns of an event loop.
 *
 * Purpose:  each turn does one piece of one work, of several in rotation, so that a loop with
 *           long work goes on serving its sockets within milliseconds.
 * Not here: how long a piece is: `step` sees to that.
 * Owns:     one timer; works belong to their callers, and are out of the list when they end.
 * Threads:  that of the loop.
 */
#ifndef SLICE_H
#define SLICE_H

#include <ev.h>

/* Does a piece; after the last one it calls slice_stop(), and may free its work. */
typedef void (*slice_fn)(void *arg);

struct slice {
	slice_fn step;		/* NULL: not at work */
	void *arg;
	struct slice *prev, *next;
};

struct slices {
	struct ev_loop *loop;
	ev_timer turn;
	struct slice *first, *last;
};

void slices_init(struct slices *all, struct ev_loop *loop);

/* The first piece is done in the next turn. */
void slice_start(struct slices *all, struct slice *s, slice_fn step, void *arg);

/* At any time; what is not at work is fine. */
void slice_stop(struct slices *all, struct slice *s);

#endif
