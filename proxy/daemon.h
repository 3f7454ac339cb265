/* SPDX-License-Identifier: ISC */
/*
 * daemon - the process as a whole: starts the threads, reloads, ends.
 *
 * Purpose:  owns everything that lives as long as the process; the control thread's struct.
 * Threads:  control only.
 */
#ifndef DAEMON_H
#define DAEMON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <ev.h>

#include "proxy/control.h"
#include "proxy/plan.h"
#include "proxy/watch.h"
#include "proxy/worker.h"

struct daemon {
	struct ev_loop *loop;
	const char *conf_file;
	struct plan *plan;		/* the one in use */
	struct mirror *mirror;
	struct watch *watch;
	struct control *control;
	struct worker *workers[WORKERS_MAX];
	struct stats *stats[WORKERS_MAX];
	unsigned worker_count;
	uint64_t started_us;		/* monotonic */
	ev_signal on_term, on_int, on_hup;
};

/*
 * Reads the configuration again: all or nothing. On failure the old one stays, the reasons are
 * on `errors` and in the event config_reloaded result=failed.
 */
bool daemon_reload(struct daemon *d, FILE *errors);

#endif
