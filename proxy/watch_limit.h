/* SPDX-License-Identifier: ISC */
/*
 * watch_limit - what control makes of the limits that workers found (limit.h).
 *
 * Purpose:  tells the operator of a server that is overloaded, or limits our rate; and keeps probes
 *           that such a server dropped from taking it down, as long as clients are answered.
 * Threads:  control.
 * Time:     monotonic microseconds, given by the caller.
 * Memory:   none.
 */
#ifndef WATCH_LIMIT_H
#define WATCH_LIMIT_H

#include "proxy/watch_check.h"

/* A probe leaves: notes what clients get meanwhile. */
void limits_note(struct check *c);

/*
 * The probe had no reply, and that proves nothing: while it was under way clients had most of
 * theirs; or the server answers part of what it is asked, and is asked less for it. Neither holds
 * for long once it falls silent altogether.
 */
bool limits_excuse(const struct watched *b, const struct check *c, uint64_t now);

/* Looks at what workers found since the last look, and tells of a change. */
void limits_look(struct watched *b, const struct evidence_sum *sum, uint64_t now);

/* Workers limit what it gets now. */
bool limits_are_on(const struct watched *b, const struct evidence_sum *sum);

#endif
