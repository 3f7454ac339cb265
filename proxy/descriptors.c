/* SPDX-License-Identifier: ISC */
#include "proxy/descriptors.h"

#include <sys/resource.h>

enum {
	OF_BACKEND = 4 + 16 + 4,	/* in each worker: sockets in use, replaced and still read, by TCP */
	OF_LISTENER = 2 * 2,		/* in each worker: UDP and TCP, and once more during a reload */
	OF_WORKER = 128,		/* its loop; what a flood replaces beside that */
	OF_PROBES = 4,			/* of each backend */
	OF_PROCESS = 256,		/* loops, control socket, Redis, snapshots, log, what libraries open */
	CLIENTS_SHARE = 4,		/* if there are very few in all, clients have one in so many */
};

static uint64_t backends_of(const struct conf *conf)
{
	uint64_t n = 0;

	for (size_t i = 0; i < conf->pool_count; i++)
		n += conf->pools[i].target_count;
	return n;
}

/* All that is not clients'. */
static uint64_t own_wanted(const struct conf *conf)
{
	uint64_t backends = backends_of(conf);
	uint64_t worker = OF_WORKER + OF_LISTENER * conf->listen_count + OF_BACKEND * backends;

	return conf->workers * worker + OF_PROBES * backends + conf->transfers.transfers + OF_PROCESS;
}

uint64_t descriptors_wanted(const struct conf *conf)
{
	return own_wanted(conf) + (uint64_t)conf->workers * conf->tcp_connections;
}

uint64_t descriptors_raise(uint64_t wanted)
{
	struct rlimit limit, more;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return wanted;		/* nobody says that there is one */
	more.rlim_max = limit.rlim_max > wanted ? limit.rlim_max : wanted;
	more.rlim_cur = more.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &more) == 0)
		return more.rlim_cur;
	more.rlim_cur = more.rlim_max = limit.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &more) == 0 ? more.rlim_cur : limit.rlim_cur;
}

unsigned descriptors_clients(const struct conf *conf, uint64_t limit)
{
	uint64_t own = own_wanted(conf), least = limit / CLIENTS_SHARE;
	uint64_t left = limit > own && limit - own > least ? limit - own : least;
	uint64_t each = left / conf->workers;

	if (each > conf->tcp_connections)
		return conf->tcp_connections;
	return each > 0 ? (unsigned)each : 1;
}
