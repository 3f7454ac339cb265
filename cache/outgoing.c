/* SPDX-License-Identifier: ISC */
#include "cache/outgoing.h"

#include <assert.h>
#include <string.h>

#include "cache/response.h"
#include "cache/serial.h"

/* ---- The request ---- */

/* The SOA of the name that is asked for. `w` stands at the record. */
static bool soa_parse(struct wire *w, const uint8_t *qname, uint32_t *serial)
{
	uint8_t name[NAME_LEN_MAX];
	size_t rdata, rdata_len;

	if (name_parse(w, name) == 0 || !name_is_equal(name, qname))
		return false;
	if (wire_u16(w) != TYPE_SOA || wire_u16(w) != CLASS_IN)
		return false;
	wire_u32(w);
	rdata_len = wire_u16(w);
	rdata = w->pos;
	name_parse(w, name);
	name_parse(w, name);
	*serial = wire_u32(w);
	wire_skip(w, 16);
	return !w->bad && w->pos - rdata == rdata_len;
}

bool outgoing_request_serial(const uint8_t *packet, size_t len, const struct message *query,
			     uint32_t *serial)
{
	struct wire w = wire_over(packet, len);

	if (wire_get_u16(packet + 6) != 0 || wire_get_u16(packet + 8) != 1)
		return false;
	wire_skip(&w, query->question_end);
	return soa_parse(&w, query->qname, serial);
}

/* ---- Records, one after the other ---- */

enum outgoing_kind outgoing_kind_of(const struct outgoing_ask *ask)
{
	size_t index;

	if (!ask->is_ixfr)
		return OUTGOING_AXFR;
	if (!serial_is_newer(ask->zone->soa.serial, ask->serial))
		return OUTGOING_SOA;
	return history_find(ask->zone->history, ask->serial, &index) ? OUTGOING_IXFR
								     : OUTGOING_AXFR;
}

const char *outgoing_kind_text(enum outgoing_kind kind)
{
	return kind == OUTGOING_AXFR ? "axfr" : "ixfr";
}

static enum outgoing_stage stage_behind_first(enum outgoing_kind kind)
{
	switch (kind) {
	case OUTGOING_AXFR:	return STAGE_ZONE;
	case OUTGOING_IXFR:	return STAGE_DIFFERENCES;
	case OUTGOING_SOA:	break;
	}
	return STAGE_DONE;
}

/* The next record of all differences that are left. */
static bool next_in_differences(struct outgoing *o)
{
	const struct history *h = o->zone->history;

	for (; o->difference < h->count; o->difference++, o->difference_pos = 0)
		if (difference_next(h->items[o->difference], &o->difference_pos, &o->record))
			return true;
	return false;
}

/* The record at hand has been written: on to the one behind it. */
static void advance(struct outgoing *o)
{
	switch (o->stage) {
	case STAGE_FIRST_SOA:
		o->stage = stage_behind_first(o->kind);
		break;
	case STAGE_LAST_SOA:
		o->stage = STAGE_DONE;
		break;
	case STAGE_ZONE:
	case STAGE_DIFFERENCES:
	case STAGE_DONE:
		break;
	}
	if (o->stage == STAGE_ZONE && zone_cursor_next(&o->cursor, &o->record))
		return;
	if (o->stage == STAGE_DIFFERENCES && next_in_differences(o))
		return;
	if (o->stage == STAGE_DONE)
		return;
	o->stage = STAGE_LAST_SOA;
	zone_record_of_soa(o->zone, &o->record);
}

/* ---- Life ---- */

void outgoing_begin(struct outgoing *o, const struct outgoing_ask *ask)
{
	enum message_verdict verdict;

	assert(ask->len <= OUTGOING_REQUEST_MAX);
	generation_hold(ask->zone);
	o->zone = ask->zone;
	o->kind = outgoing_kind_of(ask);
	o->stage = STAGE_FIRST_SOA;
	o->difference = o->difference_pos = 0;
	o->messages = o->bytes = o->records = 0;
	memcpy(o->packet, ask->packet, ask->len);
	verdict = message_parse(o->packet, ask->len, &o->query);
	assert(verdict == MESSAGE_OK);
	(void)verdict;
	o->is_signed = ask->session != NULL;
	if (o->is_signed) {
		o->session = *ask->session;
		o->key = *ask->session->key;
		o->session.key = &o->key;
	}
	if (o->kind == OUTGOING_AXFR)
		zone_cursor_start(&o->cursor, o->zone);
	else if (o->kind == OUTGOING_IXFR)
		history_find(o->zone->history, ask->serial, &o->difference);
	zone_record_of_soa(o->zone, &o->record);
}

void outgoing_end(struct outgoing *o)
{
	generation_drop(o->zone);
	o->zone = NULL;
	if (o->is_signed)
		explicit_bzero(&o->key, sizeof(o->key));
}

bool outgoing_is_done(const struct outgoing *o)
{
	return o->stage == STAGE_DONE;
}

/* ---- Messages ---- */

/* Writes as many records as fit into `limit`. Returns the length, or 0 when not one does. */
static size_t fill(struct outgoing *o, uint8_t *out, size_t limit)
{
	struct response r;
	uint64_t before = o->records;

	response_begin(&r, &o->query, o->packet, NULL, out, limit);
	r.flags |= DNS_AA;
	while (o->stage != STAGE_DONE &&
	       response_put(&r, SECTION_ANSWER, o->record.owner, &o->record.set)) {
		o->records++;
		advance(o);
	}
	return o->records == before ? 0 : response_end(&r, RCODE_NOERROR);
}

size_t outgoing_next(struct outgoing *o, struct tsig_server *tsig, uint64_t now_s, uint8_t *out,
		     size_t cap)
{
	size_t tsig_len = o->is_signed ? tsig_server_room(&o->session) : 0, len = 0;
	size_t room = cap >= tsig_len + DNS_UDP_MAX ? cap - tsig_len : DNS_UDP_MAX;

	assert(o->stage != STAGE_DONE && cap >= DNS_UDP_MAX);
	if (room > OUTGOING_MESSAGE_AIM)
		len = fill(o, out, OUTGOING_MESSAGE_AIM);
	if (len == 0)
		len = fill(o, out, room);
	if (len > 0 && o->is_signed)
		len = tsig_server_sign(tsig, &o->session, out, len, cap, now_s);
	o->messages += len > 0;
	o->bytes += len;
	return len;
}
