/* SPDX-License-Identifier: ISC */
/*
 * dump - a zone in presentation form, by ldns, a slice at a time.
 *
 * Purpose:  `understudyctl dump ZONE`. Nobody hostile writes here: records were checked when
 *           they came in.
 * Threads:  the caller's; the generation must be held (generation_hold()).
 */
#ifndef DUMP_H
#define DUMP_H

#include <stdbool.h>
#include <stddef.h>

#include "cache/zone.h"

struct dump;

struct dump *dump_new(const struct generation *g);	/* holds `g` until dump_free() */
void dump_free(struct dump *d);

/*
 * The next lines (whole records, at least one), at most about `want` bytes unless a single
 * record is longer. NULL at the end. The text is valid until the next call.
 */
const char *dump_next(struct dump *d, size_t want, size_t *len);

#endif
