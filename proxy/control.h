/* SPDX-License-Identifier: ISC */
/*
 * control - the UNIX socket that understudyctl talks to.
 *
 * Purpose:  takes one line ("VERB ARGUMENT ...", at most 4 KiB), answers it, closes. The
 *           answer is one line of JSON: {"ok": true, ...} or {"ok": false, "error": "..."};
 *           for `dump` and `health -f` a first such line and then text until the end.
 *           Presentation is understudyctl's affair.
 * Not here: what verbs do (verbs.c: one table of verbs).
 * Threads:  control's loop; slow readers are waited for without blocking it.
 * Failure:  a bad line gets an error answer; a client that stalls is closed.
 */
#ifndef CONTROL_H
#define CONTROL_H

#include <ev.h>

struct control;
struct daemon;

/* Binds the socket (mode 0660), replacing a stale one. NULL and errno when it cannot; EADDRINUSE
 * when another Understudy answers there. */
struct control *control_new(struct daemon *d, const char *path);
void control_free(struct control *c);	/* removes the socket file; NULL is fine */

#endif
