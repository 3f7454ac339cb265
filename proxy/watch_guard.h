/* SPDX-License-Identifier: ISC */
/*
 * watch_guard - the shell around guard.h: does what we send to a backend come back to us?
 *
 * Purpose:  sends the guard's questions, hears from workers which of them arrived at a listener,
 *           takes a backend DOWN for it, and ends that when they arrive no more.
 * Not here: the decisions (guard.h), the workers' side (dispatch_guard.c).
 * Threads:  control, inside an RCU read.
 * Time:     looked at with each tick; one question at a time to a backend, mostly one in ten
 *           seconds.
 * Failure:  a question that cannot be sent says nothing; a zone whose name leaves no room for the
 *           label is not guarded.
 */
#ifndef WATCH_GUARD_H
#define WATCH_GUARD_H

#include "proxy/watched.h"

/* After b->pool was set: `old_count` is the number of zones before a reload. */
void guards_take(struct watched *b, size_t old_count, uint64_t now);

/* It is back: each zone is asked for soon. */
void guards_hurry(struct watched *b, uint64_t now);

/* Looks at what workers saw, and at the time; asks. */
void guards_look(struct watched *b, uint64_t now);

/* The question on its way has ended, or was given up. */
void guards_on_check(struct watched *b, const struct probe_verdict *v, uint64_t now);
void guards_on_lost(struct watched *b);

/* The zone that was asked for last; while there is a loop, that which goes in a circle. */
const char *guards_zone_text(const struct watched *b, char text[NAME_TEXT_MAX]);

#endif
