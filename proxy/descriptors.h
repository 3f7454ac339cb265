/* SPDX-License-Identifier: ISC */
/*
 * descriptors - how many files may be open, and how many of them clients may have.
 *
 * Purpose:  TCP clients cost a descriptor each. What the configuration may need is taken from the
 *           system at start; where that does not give as many, clients by TCP are fewer, so that
 *           sockets to backends, transfers and the log have theirs at all times.
 * Not here: what is done when they have run out all the same (tcp.h, upstream_udp.h).
 * Threads:  control, at start.
 * Failure:  none: there are as many as there are.
 */
#ifndef DESCRIPTORS_H
#define DESCRIPTORS_H

#include <stdint.h>

#include "proxy/conf.h"

/* The most that a process with this configuration may have open, about. */
uint64_t descriptors_wanted(const struct conf *conf);

/*
 * May open as many as `wanted` from here on, or as many as the hard limit is: that is raised, too,
 * if we may. Never lowers a limit. Returns how many.
 */
uint64_t descriptors_raise(uint64_t wanted);

/* How many TCP clients each worker can have when `limit` files may be open. At least 1. */
unsigned descriptors_clients(const struct conf *conf, uint64_t limit);

#endif
