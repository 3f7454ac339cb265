/* SPDX-License-Identifier: ISC */
/*
 * transfer_log - what became of zone transfers to clients, one event line for each.
 *
 * Purpose:  a way for workers to tell control, which writes the lines (zone_transfer_out): a
 *           ring for each worker, in which it writes and control reads; nobody waits.
 * Not here: the transfers (tcp_transfer.c).
 * Owns:     the rings, and a watcher in control's loop.
 * Threads:  transfer_log_put() in the worker of that number; all else in control.
 * Memory:   all of it in transfer_log_new().
 * Failure:  a full ring drops the entry; the next line says how many.
 */
#ifndef TRANSFER_LOG_H
#define TRANSFER_LOG_H

#include <ev.h>

#include "cache/address.h"
#include "cache/outgoing.h"

enum transfer_result {
	TRANSFER_OK,		/* the kernel has taken all of it */
	TRANSFER_CLOSED,	/* the client closed, or its connection broke */
	TRANSFER_SLOW,		/* it did not read for tcp-idle */
	TRANSFER_STOPPED,	/* we are stopping */
	TRANSFER_TOO_BIG,	/* a record that fits into no message */
};

struct transfer_entry {
	struct address client;
	uint8_t origin[NAME_LEN_MAX];
	bool is_signed;
	uint8_t key[NAME_LEN_MAX];	/* of the signature */
	uint32_t serial;
	enum outgoing_kind kind;
	enum transfer_result result;
	uint64_t messages, records, bytes, duration_us;
};

struct transfer_log;

struct transfer_log *transfer_log_new(struct ev_loop *loop, unsigned workers);

/* After the last worker: writes what is left. NULL is fine. */
void transfer_log_free(struct transfer_log *log);

/* [worker number `worker`] */
void transfer_log_put(struct transfer_log *log, unsigned worker,
		      const struct transfer_entry *entry);

#endif
