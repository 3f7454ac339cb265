/* SPDX-License-Identifier: ISC */
#include "proxy/upstream.h"

#include <stdlib.h>

#include "cache/memory.h"
#include "proxy/upstream_tcp.h"
#include "proxy/upstream_udp.h"

struct upstreams {
	struct upstream_udp *udp;
	struct upstream_tcp *tcp;
};

struct upstreams *upstreams_new(const struct upstream_shell *shell)
{
	struct upstreams *u = memory_zeroed(1, sizeof(*u));

	u->udp = upstream_udp_new(shell);
	u->tcp = upstream_tcp_new(shell);
	return u;
}

void upstreams_free(struct upstreams *u)
{
	if (!u)
		return;
	upstream_udp_free(u->udp);
	upstream_tcp_free(u->tcp);
	free(u);
}

bool upstreams_send(struct upstreams *u, struct attempt *a, const struct query *q)
{
	return a->is_tcp ? upstream_tcp_send(u->tcp, a, q) : upstream_udp_send(u->udp, a, q);
}

void upstreams_flush(struct upstreams *u)
{
	while (upstream_udp_flush(u->udp) || upstream_tcp_flush(u->tcp))
		;
}

static void set_address(struct upstreams *u, unsigned index, const struct address *a)
{
	upstream_udp_set_address(u->udp, index, a);
	upstream_tcp_set_address(u->tcp, index, a);
}

void upstreams_set_plan(struct upstreams *u, const struct plan *plan)
{
	struct address addresses[BACKENDS_MAX] = { 0 };

	for (unsigned p = 0; p < plan->pool_count; p++) {
		const struct plan_pool *pool = &plan->pools[p];

		for (unsigned i = 0; i < pool->target_count; i++)
			if (pool->targets[i].kind == TARGET_BACKEND)
				addresses[pool->targets[i].backend->index]
					= pool->targets[i].backend->address;
	}
	/* Those that come first: what waits for those that go is brought to them. */
	for (unsigned i = 0; i < BACKENDS_MAX; i++)
		if (addresses[i].len != 0)
			set_address(u, i, &addresses[i]);
	for (unsigned i = 0; i < BACKENDS_MAX; i++)
		if (addresses[i].len == 0)
			set_address(u, i, &addresses[i]);
}

void upstreams_sweep(struct upstreams *u)
{
	upstream_udp_sweep(u->udp);
	upstream_tcp_sweep(u->tcp);
}
