/* SPDX-License-Identifier: ISC */
/*
 * stats - what a worker counts: one row for each number, one struct for each worker.
 *
 * Purpose:  counters on the query path; the same table names them for `understudyctl stats`.
 * Threads:  one writer (the worker), any readers.
 * The accounts: queries = the six kinds of answers + dropped_malformed: each query has one end.
 *           rescued = its seven reasons. Rows that begin "of" are parts of others.
 */
#ifndef STATS_H
#define STATS_H

#include "cache/counter.h"

#define STATS_TABLE(X) \
	X(queries_udp,		"queries that came by UDP") \
	X(queries_xdp,		"of queries_udp: past the kernel, by AF_XDP") \
	X(queries_tcp,		"queries that came by TCP") \
	X(answers_primary,	"answers that a primary gave") \
	X(answers_backend,	"answers that another backend gave") \
	X(answers_mirror,	"answers from the mirror") \
	X(answers_refused,	"REFUSED by us: unlisted names, updates, transfers and NOTIFY of strangers") \
	X(answers_error,	"FORMERR, NOTIMP, NOTAUTH, answered NOTIFY, CHAOS texts") \
	X(answers_servfail,	"SERVFAIL by us, NOTIMP to rare opcodes: no target left") \
	X(dropped_malformed,	"packets that must not be answered: short, or QR set") \
	X(dropped_closed,	"of the answers above: their client's connection was gone") \
	X(answers_stale,	"of answers_mirror: of a zone that no primary has confirmed in time") \
	X(rescued,		"queries answered by a later target after an attempt failed") \
	X(rescued_silent,	"of these, by the first failure: no reply in time") \
	X(rescued_unreachable,	"of these: ICMP, a connection refused or closed, no socket") \
	X(rescued_servfail,	"of these: SERVFAIL for a mirrored zone") \
	X(rescued_refused,	"of these: REFUSED for one") \
	X(rescued_notauth,	"of these: NOTAUTH for one") \
	X(rescued_lame,		"of these: AA clear and no referral") \
	X(rescued_denied,	"of these: a denial of what the mirror has under the same serial") \
	X(spilled,		"queries that passed over a server which had as many as it can take") \
	X(attempts,		"queries sent to backends, retries counted") \
	X(attempts_expired,	"attempts whose deadline passed") \
	X(attempts_refused,	"attempts ended by ICMP or a closed connection") \
	X(attempts_failed,	"attempts ended by a reply in retry-on") \
	X(replies_late,		"replies that came after another answer") \
	X(replies_mismatched,	"packets from backends that answer nothing we asked") \
	X(in_flight_full,	"queries answered SERVFAIL because the table was full") \
	X(notify_heard,		"of answers_error: NOTIFY of primaries") \
	X(transfers_out,	"of answers_mirror: zones or differences that clients transfer") \
	X(tcp_accepted,		"client connections accepted") \
	X(tcp_refused,		"client connections closed at once: too many") \
	X(tcp_closed_idle,	"client connections closed for idleness or slowness") \
	X(cookies_good,		"server cookies of ours or our fleet's that clients brought to us") \
	X(cookies_bad,		"server cookies that were not, or too old") \
	X(shadow_compared,	"answers of backends that were compared with the mirror's") \
	X(shadow_differed,	"of these, other than the mirror's; see divergence") \
	X(udp_send_errors,	"answers that the kernel would not take")

struct stats {
#define STATS_FIELD(name, text) counter name;
	STATS_TABLE(STATS_FIELD)
#undef STATS_FIELD
};

struct stats_row {
	const char *name, *text;
	uint64_t value;
};

enum {
#define STATS_COUNT(name, text) STATS_INDEX_##name,
	STATS_TABLE(STATS_COUNT)
#undef STATS_COUNT
	STATS_ROWS
};

/* Sums `count` workers' stats into rows, in the order of the table. */
void stats_sum(struct stats *const *workers, unsigned count, struct stats_row rows[STATS_ROWS]);

#endif
