/* SPDX-License-Identifier: ISC */
#include "cache/zone_cursor.h"

#include <assert.h>

#include "cache/dns.h"
#include "cache/priority.h"

/* On to a node with records, beginning with `node` itself; or to the end. */
static bool enter(struct zone_cursor *c, const struct node *node)
{
	while (node && !node_first(node, &c->set))
		node = generation_next(c->zone, node);	/* an empty non-terminal */
	c->node = node;
	c->pos = 0;
	return node != NULL;
}

static bool next_set(struct zone_cursor *c)
{
	c->pos = 0;
	return node_next(c->node, &c->set) || enter(c, generation_next(c->zone, c->node));
}

void zone_cursor_start(struct zone_cursor *c, const struct generation *zone)
{
	c->zone = zone;
	enter(c, generation_first(zone));
}

static void record_of(const struct node *n, const struct rrset *set, const uint8_t *rdata,
		      uint16_t len, struct zone_record *record)
{
	record->owner = node_name(n);
	record->set = *set;
	record->set.count = 1;
	record->set.rdata = rdata - 2;	/* its length stands before it */
	record->set.rdata_len = len + 2u;
}

bool zone_cursor_next(struct zone_cursor *c, struct zone_record *record)
{
	const uint8_t *rdata;
	uint16_t len;

	priority_give_way();
	while (c->node) {
		if (c->set.type != TYPE_SOA && rrset_next(&c->set, &c->pos, &rdata, &len)) {
			record_of(c->node, &c->set, rdata, len, record);
			return true;
		}
		if (!next_set(c))
			break;
	}
	return false;
}

void zone_record_of_soa(const struct generation *zone, struct zone_record *record)
{
	const uint8_t *rdata;
	struct rrset set;
	uint16_t len;
	size_t pos = 0;
	bool has_soa = node_find(zone->apex, TYPE_SOA, &set) && rrset_next(&set, &pos, &rdata, &len);

	assert(has_soa);	/* else it would be no generation */
	(void)has_soa;
	record_of(zone->apex, &set, rdata, len, record);
}
