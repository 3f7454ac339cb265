/* SPDX-License-Identifier: ISC */
#include "proxy/transfer_log.h"

#include <stdlib.h>

#include "cache/clock.h"
#include "cache/event.h"
#include "cache/memory.h"
#include "proxy/ring.h"

enum { RING_ENTRIES = 64 };	/* a power of two */

struct log_ring {
	struct ring ring;
	struct transfer_entry entries[RING_ENTRIES];
};

struct transfer_log {
	struct ev_loop *loop;
	ev_async news;
	unsigned count;
	struct log_ring *rings;
};

static const char *result_text(enum transfer_result result)
{
	switch (result) {
	case TRANSFER_OK:	return "ok";
	case TRANSFER_CLOSED:	return "closed";
	case TRANSFER_SLOW:	return "slow";
	case TRANSFER_STOPPED:	return "stopped";
	case TRANSFER_TOO_BIG:	return "record_too_big";
	}
	abort();
}

static void write_line(const struct transfer_entry *entry, unsigned lost)
{
	char client[ADDRESS_TEXT_MAX];
	struct event e;

	event_begin(&e, entry->result == TRANSFER_OK ? EVENT_INFO : EVENT_NOTICE,
		    "zone_transfer_out");
	event_name(&e, "zone", entry->origin);
	event_text(&e, "client", address_to_text(&entry->client, client));
	event_text(&e, "kind", outgoing_kind_text(entry->kind));
	event_number(&e, "serial", entry->serial);
	if (entry->is_signed)
		event_name(&e, "key", entry->key);
	event_number(&e, "messages", entry->messages);
	event_number(&e, "records", entry->records);
	event_number(&e, "bytes", entry->bytes);
	event_number(&e, "duration_ms", entry->duration_us / US_PER_MS);
	event_text(&e, "result", result_text(entry->result));
	if (lost > 0)
		event_number(&e, "unreported", lost);
	event_end(&e);
}

static void drain(struct log_ring *r)
{
	unsigned slot;

	while (ring_peek(&r->ring, RING_ENTRIES, &slot)) {
		write_line(&r->entries[slot], ring_take_lost(&r->ring));
		ring_release(&r->ring);
	}
}

static void on_news(struct ev_loop *loop, ev_async *news, int revents)
{
	struct transfer_log *log = news->data;

	(void)loop;
	(void)revents;
	for (unsigned i = 0; i < log->count; i++)
		drain(&log->rings[i]);
}

struct transfer_log *transfer_log_new(struct ev_loop *loop, unsigned workers)
{
	struct transfer_log *log = memory_zeroed(1, sizeof(*log));

	log->loop = loop;
	log->count = workers;
	log->rings = memory_zeroed(workers, sizeof(*log->rings));
	ev_async_init(&log->news, on_news);
	log->news.data = log;
	ev_async_start(loop, &log->news);
	return log;
}

void transfer_log_free(struct transfer_log *log)
{
	if (!log)
		return;
	on_news(log->loop, &log->news, 0);
	ev_async_stop(log->loop, &log->news);
	free(log->rings);
	free(log);
}

void transfer_log_put(struct transfer_log *log, unsigned worker,
		      const struct transfer_entry *entry)
{
	struct log_ring *r = &log->rings[worker];
	unsigned slot;

	if (!ring_claim(&r->ring, RING_ENTRIES, &slot))
		return;
	r->entries[slot] = *entry;
	ring_commit(&r->ring);
	ev_async_send(log->loop, &log->news);
}
