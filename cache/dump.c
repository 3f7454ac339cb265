/* SPDX-License-Identifier: ISC */
#include "cache/dump.h"

#include <assert.h>
#include <stdlib.h>

#include <ldns/ldns.h>

#include "cache/dns.h"
#include "cache/wire.h"

enum {
	TEXT_START = 8192,	/* ldns makes it grow */
	/*
	 * ldns takes an object and a longer array for each field: 4 GB for one TXT of 65,000
	 * empty strings. What is longer than this is written as bytes, RFC 3597 s.5.
	 */
	PARSED_MAX = 4096,
	RECORD_MAX = NAME_LEN_MAX + 10 + PARSED_MAX,
};

/*
 * Where the dump is: inside `set` of `node`, with `pos` behind the last record written.
 * The SOA goes first, as readers of zone files want it, and is passed over later.
 */
struct dump {
	const struct generation *zone;	/* held */
	const struct node *node;	/* NULL: at the end */
	bool is_at_soa;
	struct rrset set;
	size_t pos;
	ldns_buffer *text;
};

struct dump *dump_new(const struct generation *g)
{
	struct dump *d = calloc(1, sizeof(*d));

	if (!d || !(d->text = ldns_buffer_new(TEXT_START)))
		abort();
	generation_hold(g);
	d->zone = g;
	d->node = g->apex;
	d->is_at_soa = node_find(g->apex, TYPE_SOA, &d->set);
	assert(d->is_at_soa);	/* zone_edit_finish() makes no zone without */
	return d;
}

void dump_free(struct dump *d)
{
	if (!d)
		return;
	generation_drop(d->zone);
	ldns_buffer_free(d->text);
	free(d);
}

/* To the first set of the next name that has any, or to the end. */
static void go_to_next_name(struct dump *d)
{
	do
		d->node = generation_next(d->zone, d->node);
	while (d->node && !node_first(d->node, &d->set));
}

static void go_to_next_set(struct dump *d)
{
	if (d->is_at_soa) {
		d->is_at_soa = false;
		node_first(d->node, &d->set);
	} else if (!node_next(d->node, &d->set)) {
		go_to_next_name(d);
	}
	d->pos = 0;
	if (d->node == d->zone->apex && d->set.type == TYPE_SOA)
		d->pos = d->set.rdata_len;	/* was the first of all */
}

/* The next record. False at the end. */
static bool take_record(struct dump *d, const uint8_t **rdata, uint16_t *len)
{
	while (d->node && !rrset_next(&d->set, &d->pos, rdata, len))
		go_to_next_set(d);
	return d->node != NULL;
}

static ldns_rr *record_new(const uint8_t *owner, const struct rrset *set, const uint8_t *rdata,
			   uint16_t len)
{
	uint8_t record[RECORD_MAX];
	struct wire_out o = wire_into(record, sizeof(record));
	ldns_rr *rr = NULL;
	size_t pos = 0;

	wire_add_bytes(&o, owner, name_len(owner));
	wire_add_u16(&o, set->type);
	wire_add_u16(&o, CLASS_IN);
	wire_add_u32(&o, set->ttl);
	wire_add_u16(&o, len);
	wire_add_bytes(&o, rdata, len);
	if (o.full || ldns_wire2rr(&rr, o.base, o.len, &pos, LDNS_SECTION_ANSWER) != LDNS_STATUS_OK)
		return NULL;
	return rr;
}

static bool put_parsed(ldns_buffer *text, const uint8_t *owner, const struct rrset *set,
		       const uint8_t *rdata, uint16_t len)
{
	ldns_rr *rr = record_new(owner, set, rdata, len);
	size_t start = ldns_buffer_position(text);
	bool is_put = rr && ldns_rr2buffer_str(text, rr) == LDNS_STATUS_OK;

	ldns_rr_free(rr);
	if (!is_put)
		ldns_buffer_set_position(text, start);
	return is_put;
}

/* RFC 3597 s.5: right for any type. */
static void put_bytes(ldns_buffer *text, const uint8_t *owner, const struct rrset *set,
		      const uint8_t *rdata, uint16_t len)
{
	char name[NAME_TEXT_MAX];

	ldns_buffer_printf(text, "%s\t%u\tIN\tTYPE%u\t\\# %u", name_to_text(owner, name),
			   (unsigned)set->ttl, (unsigned)set->type, (unsigned)len);
	for (uint16_t i = 0; i < len; i++)
		ldns_buffer_printf(text, i == 0 ? " %02x" : "%02x", (unsigned)rdata[i]);
	ldns_buffer_printf(text, "\n");
}

const char *dump_next(struct dump *d, size_t want, size_t *len)
{
	const uint8_t *rdata;
	uint16_t rdata_len;

	ldns_buffer_clear(d->text);
	do {
		if (!take_record(d, &rdata, &rdata_len))
			break;
		if (!put_parsed(d->text, node_name(d->node), &d->set, rdata, rdata_len))
			put_bytes(d->text, node_name(d->node), &d->set, rdata, rdata_len);
	} while (ldns_buffer_position(d->text) < want);

	*len = ldns_buffer_position(d->text);
	return *len > 0 ? (const char *)ldns_buffer_begin(d->text) : NULL;
}
