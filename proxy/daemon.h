/* SPDX-License-Identifier: ISC */
/*
 * daemon - the process as a whole: starts the threads, reloads, ends.
 *
 * Purpose:  owns everything that lives as long as the process; the control thread's struct.
 * Threads:  control only.
 */
#ifndef DAEMON_H
#define DAEMON_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <ev.h>

#include "cache/cookie.h"
#include "proxy/catalogs.h"
#include "proxy/control.h"
#include "proxy/notifier.h"
#include "proxy/plan.h"
#include "proxy/transfer_log.h"
#include "proxy/watch.h"
#include "proxy/worker.h"
#include "proxy/xdp_interface.h"

struct daemon {
	struct ev_loop *loop;
	const char *conf_file;
	struct plan *plan;		/* the one in use */
	struct xdp_interfaces *xdp;
	struct mirror *mirror;
	struct watch *watch;
	struct catalogs *catalogs;
	struct control *control;
	struct transfer_log *transfers;
	struct notifier *notifier;
	struct worker *workers[WORKERS_MAX];
	struct stats *stats[WORKERS_MAX];
	unsigned worker_count;
	uint64_t started_us;		/* monotonic */
	uint8_t cookie_secret[COOKIE_SECRET_LEN];
	ev_signal on_term, on_int, on_hup;
	sigset_t signals;		/* blocked before we began */
};

/*
 * Takes `conf` and starts everything. False, with a sentence on `errors`, when a socket or
 * the state directory cannot be had; what was begun is undone.
 */
bool daemon_start(struct daemon *d, const char *conf_file, struct conf *conf, FILE *errors);

/* Runs the control loop until SIGTERM or SIGINT; then answers what is in flight, and ends all. */
void daemon_run(struct daemon *d);

/*
 * Reads the configuration again: all or nothing. On failure the old one stays, the reasons are
 * on `errors` (unless NULL) and in the event config_reloaded result=failed.
 */
bool daemon_reload(struct daemon *d, FILE *errors);

/*
 * Goes over to `plan` (taken), made for the listeners that there are or prepared by all workers;
 * what catalogs changed is told. Cannot fail, and costs no query.
 */
void daemon_use_plan(struct daemon *d, struct plan *plan);

#endif
