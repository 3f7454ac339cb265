/* SPDX-License-Identifier: ISC */
/* upstream_udp - connected UDP sockets to the backends; see upstream.h for how and why. */
#ifndef UPSTREAM_UDP_H
#define UPSTREAM_UDP_H

#include "proxy/upstream.h"

struct upstream_udp *upstream_udp_new(const struct upstream_shell *shell);
void upstream_udp_free(struct upstream_udp *u);		/* NULL is fine */
bool upstream_udp_send(struct upstream_udp *u, struct attempt *a, const struct query *q);

/* True when something was sent, so that there may be more to do. */
bool upstream_udp_flush(struct upstream_udp *u);

/* Where backend `index` is from now on; len 0: nowhere. */
void upstream_udp_set_address(struct upstream_udp *u, unsigned index, const struct address *a);
void upstream_udp_sweep(struct upstream_udp *u);

#endif
