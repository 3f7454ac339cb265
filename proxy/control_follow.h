/* SPDX-License-Identifier: ISC */
/*
 * control_follow - event lines for those who watch: the last few kept, new ones handed on.
 *
 * Purpose:  hears every line of the log (event_listen) from whatever thread wrote it, and wakes
 *           control, which sends them to the followers; keeps the last about backends and pools.
 * Not here: the followers' connections (control.c).
 * Owns:     one listener for the process, between follow_start() and follow_stop().
 * Threads:  lines come from any thread, under the log's mutex; the rest is control's.
 * Memory:   fixed; what does not fit before control comes to fetch it is lost, and said so.
 */
#ifndef CONTROL_FOLLOW_H
#define CONTROL_FOLLOW_H

#include <ev.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { FOLLOW_RECENT = 20, FOLLOW_PENDING_MAX = 65536 };

/* `wake` is started; it is sent whenever lines are pending. */
void follow_start(struct ev_loop *loop, ev_async *wake);
void follow_stop(void);

/* Lines are gathered only while somebody wants them. */
void follow_gather(bool is_wanted);

/* Takes the pending lines: copies them to `text`, returns their length. *lost: some did not fit. */
size_t follow_take(char text[FOLLOW_PENDING_MAX], bool *lost);

/* The last lines of backend_*, failover and failback events, oldest first: array of strings. */
json_t *follow_recent(void);

#endif
