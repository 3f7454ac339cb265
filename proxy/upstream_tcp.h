/* SPDX-License-Identifier: ISC */
/* upstream_tcp - pipelined TCP connections to the backends; see upstream.h for how and why. */
#ifndef UPSTREAM_TCP_H
#define UPSTREAM_TCP_H

#include "proxy/upstream.h"

struct upstream_tcp *upstream_tcp_new(const struct upstream_shell *shell);
void upstream_tcp_free(struct upstream_tcp *u);		/* NULL is fine */
bool upstream_tcp_send(struct upstream_tcp *u, struct attempt *a, const struct query *q);

/* True when some connection failed and its attempts went elsewhere: there may be more to do. */
bool upstream_tcp_flush(struct upstream_tcp *u);

/* Where backend `index` is from now on; len 0: nowhere. */
void upstream_tcp_set_address(struct upstream_tcp *u, unsigned index, const struct address *a);
void upstream_tcp_sweep(struct upstream_tcp *u);

#endif
