/* SPDX-License-Identifier: ISC */
/*
 * sample - one question out of a zone that the mirror holds, and a server's answer beside ours.
 *
 * Purpose:  finds a name and type that the zone has records for, and compares what a server says
 *           to it with what answer.h says: the rcode, and the RRset that was asked for. TTLs and
 *           the order of records do not matter, nor do signatures and their chains.
 * Not here: when to ask and what follows (gate.h), sockets (probe.h).
 * Threads:  control, inside an RCU read; pure but for `random`.
 * Memory:   none beyond the stack.
 * Failure:  a reply that cannot be read, was cut short, or is an error tells nothing.
 */
#ifndef SAMPLE_H
#define SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/random.h"
#include "cache/zone.h"
#include "proxy/gate.h"

enum { SAMPLE_TEXT_MAX = NAME_TEXT_MAX + 120 };

struct sample {
	uint8_t name[NAME_LEN_MAX];
	uint16_t type;
};

/*
 * False when the zone has nothing that could be compared. In a small zone each `turn` is the name
 * after that of the one before, so that a row of questions asks for as many names as it can.
 */
bool sample_choose(const struct generation *g, struct random *random, unsigned turn,
		   struct sample *s);

/*
 * `reply` carries the ID and the question that it should. `text` is set when the answers are not
 * the same: "www.example.com. A: NXDOMAIN, the mirror has 2 records".
 */
enum gate_sample sample_compare(const struct generation *g, const struct sample *s,
				const uint8_t *reply, size_t len, char text[SAMPLE_TEXT_MAX]);

#endif
