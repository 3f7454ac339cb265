/* SPDX-License-Identifier: ISC */
#include "cache/transfer_parts.h"

#include <string.h>

#include "cache/dns.h"
#include "cache/rdata.h"

enum { BYTES_SLACK = 1 << 20 };		/* so that a small limit still takes a small zone */

/* ---- A whole zone ---- */

bool transfer_judge_edit(struct transfer *t, uint16_t type, enum zone_error e)
{
	if (e == ZONE_OK)
		return true;
	if (e == ZONE_RRSET_OVER)	/* limits of ours, no fault of the zone's */
		return transfer_fail_record(t, type, zone_error_text(e));
	if (e == ZONE_TOO_BIG || e == ZONE_SCATTERED)
		return transfer_fail(t, "%s", zone_error_text(e));
	t->zone_error = e;
	return transfer_fail_record(t, type, zone_error_text(e));
}

void transfer_keep_soa(struct transfer *t, const struct transfer_record *r)
{
	memcpy(t->soa, t->rdata, r->rdata_len);
	memcpy(t->soa_owner, t->owner, name_len(t->owner));
	t->soa_len = r->rdata_len;
	t->soa_ttl = r->ttl;
	t->serial = transfer_soa_serial(t, r);
}

bool transfer_is_kept_soa(const struct transfer *t, const struct transfer_record *r)
{
	return rdata_is_equal(TYPE_SOA, t->soa, t->soa_len, t->rdata, r->rdata_len);
}

bool transfer_begin_body(struct transfer *t)
{
	enum zone_error e;

	zone_edit_free(t->edit);	/* IXFR: what we hold is not needed */
	t->edit = zone_edit_new(t->origin, NULL, t->limits.max_records, t->limits.max_bytes);
	zone_edit_limit_rrset(t->edit, t->limits.max_rrset);
	t->state = STATE_BODY;
	t->records = 1;
	e = zone_edit_add(t->edit, t->soa_owner, TYPE_SOA, t->soa_ttl, t->soa, t->soa_len);
	return transfer_judge_edit(t, TYPE_SOA, e);
}

/* RFC 5936 s.2.2: the first record is the SOA, and so is the last. */
static bool take_first_soa(struct transfer *t, const struct transfer_record *r)
{
	if (!transfer_is_apex_soa(t, r))
		return transfer_fail_record(t, r->type, "first record is not the zone's SOA");
	transfer_keep_soa(t, r);
	return transfer_begin_body(t);
}

static bool take_last_soa(struct transfer *t, const struct transfer_record *r)
{
	if (!transfer_is_kept_soa(t, r))
		return transfer_fail(t, "last SOA (serial %u) differs from the first (serial %u)",
				     transfer_soa_serial(t, r), t->serial);
	t->state = STATE_DONE;
	return true;
}

bool transfer_take_body(struct transfer *t, const struct transfer_record *r)
{
	enum zone_error e;

	if (transfer_is_apex_soa(t, r))
		return take_last_soa(t, r);
	if (t->limits.max_records != 0 && t->records >= t->limits.max_records)
		return transfer_fail(t, "over the limit of %zu records: raise max-records",
				     t->limits.max_records);
	e = zone_edit_add(t->edit, t->owner, r->type, r->ttl, t->rdata, r->rdata_len);
	t->records++;
	return transfer_judge_edit(t, r->type, e);
}

/* ---- A stream of messages ---- */

static bool is_over(size_t bytes, size_t limit)
{
	return bytes > BYTES_SLACK && (bytes - BYTES_SLACK) / 2 > limit;
}

/* A difference that is larger than the zone itself is better asked for as a zone. */
static bool check_bytes(struct transfer *t)
{
	if (t->limits.max_bytes != 0 && is_over(t->bytes, t->limits.max_bytes))
		return transfer_fail(t, "over %zu bytes of messages: raise max-size", t->bytes);
	if (t->is_difference && is_over(t->bytes, t->base_bytes))
		return transfer_fail(t, "difference is larger than the zone");
	return true;
}

static bool take_record(struct transfer *t, struct wire *w)
{
	struct transfer_record r;

	if (t->state == STATE_DONE)
		return transfer_fail(t, "records after the last SOA");
	if (!transfer_take_record(t, w, &r))
		return false;
	if (t->state == STATE_AXFR)
		return take_first_soa(t, &r);
	if (t->state == STATE_BODY)
		return transfer_take_body(t, &r);
	return transfer_take_difference(t, &r);
}

static bool is_over_now(const struct transfer *t)
{
	return t->state == STATE_DONE || t->state == STATE_CURRENT;
}

bool transfer_take_stream(struct transfer *t, struct wire *w, bool has_tsig)
{
	unsigned count = wire_get_u16(w->base + 6);

	t->bytes += w->len;
	if (!check_bytes(t))
		return false;
	if (count == 0 && ++t->empty > t->limits.max_empty)
		return transfer_fail(t, "over %u messages without a record", t->limits.max_empty);
	for (; count > 0; count--)
		if (!take_record(t, w))
			return false;
	if (!transfer_take_rest(t, w, has_tsig))
		return false;
	if (is_over_now(t) && t->tsig && tsig_stream_end(t->tsig) != TSIG_OK)
		return transfer_fail(t, "last message is not signed");
	return true;
}
