/* SPDX-License-Identifier: ISC */
/*
 * watch_accept - what a primary shows of a zone is taken though it is held.
 *
 * Purpose:  by the operator's word (watch_accept() in watch.h) or by `on-regression`: the gates of
 *           all primaries that show this serial open, and the mirror takes it by force.
 * Not here: what is held, and why (watch_gate.h).
 * Threads:  control.
 */
#ifndef WATCH_ACCEPT_H
#define WATCH_ACCEPT_H

#include "proxy/watched.h"

/* Accepts what is held there if the policy says so by now. */
void accept_by_policy(struct watched *b, size_t zone, uint64_t now);

/* What was accepted has not arrived in the mirror yet. */
bool accept_is_pending(const struct watched_zone *z);

/* What was accepted has to arrive in the mirror, or it would be held again some day. */
void accept_push(struct watch *w, struct watched_zone *z, uint64_t now);

#endif
