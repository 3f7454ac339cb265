/* SPDX-License-Identifier: ISC */
/*
 * fixture - zones from text, for tests: parsed by ldns, then built as a transfer would.
 *
 * Memory:   the generation is the caller's, who frees it with generation_free().
 * Failure:  says what is wrong on stderr and ends the test program.
 */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <stdio.h>

#include "cache/zone.h"

/* `text` is a zone file whose first record is the SOA. */
struct generation *fixture_zone(const char *origin, const char *text);

struct generation *fixture_zone_from_file(const char *origin, FILE *file);

#endif
