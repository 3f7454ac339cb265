/* SPDX-License-Identifier: ISC */
/*
 * lame - does this reply come from a server that has the zone?
 *
 * Purpose:  tells a lame reply (AA clear, and no referral to below the zone) from an answer and
 *           from an honest referral. Looked at only when AA is clear.
 * Threads:  any; pure.
 * Spec:     RFC 9499 s.7 (lame delegation), RFC 1034 s.4.3.2 step 3b (referrals have AA clear).
 */
#ifndef LAME_H
#define LAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `reply` has a well-formed header. `origin`: the zone that the question fell into. */
bool lame_is_reply(const uint8_t *reply, size_t len, const uint8_t *origin);

#endif
