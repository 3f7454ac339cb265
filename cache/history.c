/* SPDX-License-Identifier: ISC */
#include "cache/history.h"

#include <stdlib.h>
#include <string.h>

#include "cache/change.h"
#include "cache/dns.h"
#include "cache/memory.h"
#include "cache/serial.h"
#include "cache/wire.h"

/* A list of packed records that grows: owner, type, TTL, length and rdata, one after the other. */
struct list {
	uint8_t *bytes;
	size_t len, room;
};

struct packer {
	struct list removed, added;
	size_t limit;
};

static size_t limit_of(const struct generation *g)
{
	size_t part = g->bytes / HISTORY_PART;

	return part > HISTORY_BYTES_LEAST ? part : HISTORY_BYTES_LEAST;
}

static void list_add(struct list *l, const uint8_t *owner, uint16_t type, uint32_t ttl,
		     const uint8_t *rdata, uint16_t rdata_len)
{
	size_t need = l->len + name_len(owner) + 8 + rdata_len;
	struct wire_out o;

	if (need > l->room) {
		l->room = 2 * need;
		l->bytes = realloc(l->bytes, l->room);
		if (!l->bytes)
			abort();
	}
	o = wire_into(l->bytes, l->room);
	o.len = l->len;
	wire_add_bytes(&o, owner, name_len(owner));
	wire_add_u16(&o, type);
	wire_add_u32(&o, ttl);
	wire_add_u16(&o, rdata_len);
	wire_add_bytes(&o, rdata, rdata_len);
	l->len = o.len;
}

/* The SOAs are there already: they come first. */
static bool pack(struct packer *p, struct list *l, const uint8_t *owner, uint16_t type,
		 uint32_t ttl, const uint8_t *rdata, uint16_t rdata_len)
{
	if (type != TYPE_SOA)
		list_add(l, owner, type, ttl, rdata, rdata_len);
	return p->removed.len + p->added.len <= p->limit;
}

static bool on_removed(const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
		       uint16_t rdata_len, void *arg)
{
	struct packer *p = arg;

	return pack(p, &p->removed, owner, type, ttl, rdata, rdata_len);
}

static bool on_added(const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
		     uint16_t rdata_len, void *arg)
{
	struct packer *p = arg;

	return pack(p, &p->added, owner, type, ttl, rdata, rdata_len);
}

static void add_soa(struct list *l, const struct generation *g)
{
	struct zone_record soa;

	zone_record_of_soa(g, &soa);
	list_add(l, soa.owner, TYPE_SOA, soa.set.ttl, soa.set.rdata + 2,
		 (uint16_t)(soa.set.rdata_len - 2));
}

/* NULL when it would be over the limit. */
static struct difference *difference_new(const struct generation *old,
					 const struct generation *new)
{
	struct packer p = { .limit = limit_of(new) };
	struct difference *d = NULL;

	add_soa(&p.removed, old);
	add_soa(&p.added, new);
	if (generation_diff(old, new, on_removed, on_added, &p)) {
		d = memory_new(sizeof(*d) + p.removed.len + p.added.len);
		d->references = 1;
		d->from = old->soa.serial;
		d->to = new->soa.serial;
		d->len = p.removed.len + p.added.len;
		memcpy(d->bytes, p.removed.bytes, p.removed.len);
		memcpy(d->bytes + p.removed.len, p.added.bytes, p.added.len);
	}
	free(p.removed.bytes);
	free(p.added.bytes);
	return d;
}

static void difference_leave(struct difference *d)
{
	if (--d->references == 0)
		free(d);
}

/* The latest of `old` as far as they fit beside `used` bytes and one more difference. */
static void take_over(struct history *h, const struct history *old, size_t used, size_t limit)
{
	size_t first = old->count;

	while (first > 0 && old->count - first < HISTORY_MAX - 1 &&
	       used + old->items[first - 1]->len <= limit)
		used += old->items[--first]->len;
	for (; first < old->count; first++) {
		old->items[first]->references++;
		h->bytes += old->items[first]->len;
		h->items[h->count++] = old->items[first];
	}
}

static bool on_any(const uint8_t *owner, uint16_t type, uint32_t ttl, const uint8_t *rdata,
		   uint16_t rdata_len, void *arg)
{
	(void)owner, (void)type, (void)ttl, (void)rdata, (void)rdata_len, (void)arg;
	return false;
}

/* The same zone under another number has the same past. */
static struct history *history_of_same(const struct generation *old, const struct generation *new)
{
	struct history *h = NULL;

	if (old->history && generation_diff(old, new, on_any, on_any, NULL)) {
		h = memory_zeroed(1, sizeof(*h));
		take_over(h, old->history, 0, limit_of(new));
	}
	return h;
}

struct history *history_new(const struct generation *old, const struct generation *new)
{
	struct difference *d;
	struct history *h;

	if (!change_is_cheap(old, new))
		return NULL;
	if (old->soa.serial == new->soa.serial)
		return history_of_same(old, new);
	if (!serial_is_newer(new->soa.serial, old->soa.serial))
		return NULL;
	d = difference_new(old, new);
	if (!d)
		return NULL;
	h = memory_zeroed(1, sizeof(*h));
	if (old->history)
		take_over(h, old->history, d->len, limit_of(new));
	h->items[h->count++] = d;
	h->bytes += d->len;
	return h;
}

void history_free(struct history *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < h->count; i++)
		difference_leave(h->items[i]);
	free(h);
}

bool history_find(const struct history *h, uint32_t serial, size_t *index)
{
	for (size_t i = h ? h->count : 0; i-- > 0;)
		if (h->items[i]->from == serial) {
			*index = i;
			return true;
		}
	return false;
}

bool difference_next(const struct difference *d, size_t *pos, struct zone_record *record)
{
	struct wire w = wire_over(d->bytes, d->len);
	uint16_t len;

	if (*pos == d->len)
		return false;
	w.pos = *pos;
	record->owner = d->bytes + w.pos;
	wire_skip(&w, name_len(record->owner));
	record->set.type = wire_u16(&w);
	record->set.covered = 0;
	record->set.ttl = wire_u32(&w);
	record->set.count = 1;
	record->set.rdata = d->bytes + w.pos;
	len = wire_u16(&w);
	wire_skip(&w, len);
	record->set.rdata_len = len + 2u;
	*pos = w.pos;
	return true;
}
