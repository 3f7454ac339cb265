/* SPDX-License-Identifier: ISC */
/*
 * ctl_render - the server's JSON as text for people: aligned tables, one look.
 *
 * Purpose:  understudyctl without --json.
 * Not here: the connection and exit codes (understudyctl.c).
 * Threads:  one; pure but for the FILE.
 * Failure:  none: what is missing in the JSON is shown as "-".
 */
#ifndef CTL_RENDER_H
#define CTL_RENDER_H

#include <jansson.h>
#include <stdio.h>

/* Prints a good answer to `verb`. */
void render_answer(const char *verb, const json_t *answer, FILE *out);

#endif
