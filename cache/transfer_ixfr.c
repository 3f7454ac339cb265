/* SPDX-License-Identifier: ISC */
/*
 * What comes is, by RFC 1995 s.4:
 *
 *      SOA 9                                           up to date, when we hold 9
 *      SOA 9 | SOA 7 removed... SOA 8 added... | SOA 8 removed... SOA 9 added... | SOA 9
 *      SOA 9 | any record but an SOA ...                the whole zone, as by AXFR
 *
 * Each SOA that begins a step is removed from the edit, so it must be the one that is there;
 * each that ends one is added. Whatever does not fit fails, and the edit with it.
 */
#include "cache/transfer_parts.h"

#include <stdlib.h>

#include "cache/dns.h"
#include "cache/serial.h"

static bool edit_remove(struct transfer *t, const struct transfer_record *r)
{
	return transfer_judge_edit(t, r->type, zone_edit_del(t->edit, t->owner, r->type, t->rdata,
							     r->rdata_len));
}

static bool edit_add(struct transfer *t, const struct transfer_record *r)
{
	return transfer_judge_edit(t, r->type, zone_edit_add_new(t->edit, t->owner, r->type, r->ttl,
								 t->rdata, r->rdata_len));
}

static bool take_first(struct transfer *t, const struct transfer_record *r)
{
	if (!transfer_is_apex_soa(t, r))
		return transfer_fail_record(t, r->type, "first record is not the zone's SOA");
	transfer_keep_soa(t, r);
	t->state = serial_is_newer(t->serial, t->base) ? STATE_LONE : STATE_CURRENT;
	return true;
}

/* The first SOA of a step: what the edit has got so far goes on from here. */
static bool begin_step(struct transfer *t, const struct transfer_record *r)
{
	uint32_t from = transfer_soa_serial(t, r);

	if (from != t->step)
		return transfer_fail(t, "difference goes on from serial %u, but we are at %u", from,
				     t->step);
	t->state = STATE_REMOVING;
	return edit_remove(t, r);
}

/* The record behind the first SOA: RFC 1995 s.4. */
static bool take_second(struct transfer *t, const struct transfer_record *r)
{
	if (!transfer_is_apex_soa(t, r))
		return transfer_begin_body(t) && transfer_take_body(t, r);
	if (transfer_is_kept_soa(t, r))
		return transfer_fail(t, "no difference between two SOAs of serial %u", t->serial);
	t->is_difference = true;
	t->step = t->base;
	return begin_step(t, r);
}

static bool take_removed(struct transfer *t, const struct transfer_record *r)
{
	uint32_t to;

	if (!transfer_is_apex_soa(t, r)) {
		t->records++;
		return edit_remove(t, r);
	}
	to = transfer_soa_serial(t, r);
	if (!serial_is_newer(to, t->step) || serial_is_newer(to, t->serial))
		return transfer_fail(t, "difference leads from serial %u to %u, not towards %u", t->step,
				     to, t->serial);
	if (to == t->serial && !transfer_is_kept_soa(t, r))
		return transfer_fail(t, "two SOAs of serial %u differ", to);
	t->step = to;
	t->state = STATE_ADDING;
	return edit_add(t, r);
}

static bool take_added(struct transfer *t, const struct transfer_record *r)
{
	if (!transfer_is_apex_soa(t, r)) {
		t->records++;
		return edit_add(t, r);
	}
	if (t->step != t->serial)
		return begin_step(t, r);
	if (!transfer_is_kept_soa(t, r))
		return transfer_fail(t, "last SOA (serial %u) differs from the first (serial %u)",
				     transfer_soa_serial(t, r), t->serial);
	t->state = STATE_DONE;
	return true;
}

bool transfer_take_difference(struct transfer *t, const struct transfer_record *r)
{
	switch (t->state) {
	case STATE_IXFR:	return take_first(t, r);
	case STATE_LONE:	return take_second(t, r);
	case STATE_REMOVING:	return take_removed(t, r);
	case STATE_ADDING:	return take_added(t, r);
	case STATE_CURRENT:
		return transfer_fail(t, "more than an SOA, though its serial %u is not newer than ours",
				     t->serial);
	case STATE_IDLE:
	case STATE_SOA:
	case STATE_AXFR:
	case STATE_BODY:
	case STATE_DONE:
	case STATE_FAILED:	break;	/* not of these */
	}
	abort();
}
