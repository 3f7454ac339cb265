/* SPDX-License-Identifier: ISC */
/*
 * fuzz_catalog - lists of members out of any records.
 *
 * Input: two versions of a catalog, divided by a byte 255 in the place of a record's first. A record
 * is one byte that chooses its owner, one that chooses its type, one of length, and its rdata, which
 * is taken if it parses.
 */
#include <assert.h>
#include <string.h>

#include "cache/catalog.h"
#include "cache/dns.h"
#include "cache/rdata.h"
#include "cache/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMBERS_MAX = 20 };

static const char *const prefixes[] = {
	"version.", "zones.", "a.zones.", "b.zones.", "c.Zones.", "coo.a.zones.", "group.a.zones.",
	"COO.b.zones.", "group.b.zones.", "x.ext.a.zones.", "ext.", "d.zones.", "coo.d.zones.", "",
	"version.a.zones.", "e.zones.",
};
static const uint16_t types[] = { TYPE_TXT, TYPE_PTR, TYPE_A, TYPE_TXT, TYPE_PTR, TYPE_PTR, TYPE_TXT, TYPE_NS };

static const uint8_t SOA_RDATA[] = "\0\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1";
static const uint8_t NS_RDATA[] = "";

static struct zone_edit *edit_new(void)
{
	static const uint8_t origin[] = "\4catz";
	struct zone_edit *e = zone_edit_new(origin, NULL, 1000, 100000);

	zone_edit_add(e, origin, TYPE_SOA, 0, SOA_RDATA, sizeof(SOA_RDATA) - 1);
	zone_edit_add(e, origin, TYPE_NS, 0, NS_RDATA, 1);
	return e;
}

static void add_record(struct zone_edit *e, uint8_t which, uint8_t type_byte, const uint8_t *bytes, size_t len)
{
	uint16_t type = types[type_byte % (sizeof(types) / sizeof(types[0]))], out_len;
	uint8_t owner[NAME_LEN_MAX], out[65535];
	char text[64] = "";
	struct wire w = wire_over(bytes, len);

	strncat(text, prefixes[which % (sizeof(prefixes) / sizeof(prefixes[0]))], 40);
	strncat(text, "catz.", 10);
	assert(name_from_text(text, owner));
	if (rdata_parse(&w, type, (uint16_t)len, out, &out_len))
		zone_edit_add(e, owner, type, 0, out, out_len);
}

static struct generation *take_zone(struct wire *w)
{
	struct zone_edit *e = edit_new();
	enum zone_error why;

	while (wire_left(w) > 2) {
		uint8_t which = wire_u8(w);

		if (which == 255)
			break;
		uint8_t type = wire_u8(w);
		size_t len = wire_u8(w);

		if (len > wire_left(w))
			len = wire_left(w);
		add_record(e, which, type, wire_bytes(w, len), len);
	}
	return zone_edit_finish(e, 1, &why, NULL);
}

static struct catalog *take_list(const struct generation *g)
{
	enum catalog_fault fault;
	const uint8_t *where = NULL;
	struct catalog *c = catalog_read(g, MEMBERS_MAX, &fault, &where);

	assert((c != NULL) == (fault == CATALOG_OK));
	assert(c || (where && catalog_fault_text(fault)));
	for (size_t i = 0; c && i < c->count; i++) {
		const struct catalog_member *m = &c->members[i];

		assert(catalog_find(c, m->zone) == m);
		assert(i == 0 || catalog_compare(c->members[i - 1].zone, m->zone) < 0);
		catalog_is_in_group(c, m, "edge");
		assert(!m->coo || name_len(m->coo) > 0);
	}
	return c;
}

static bool has_arrived(const struct catalog_member *gone, void *arg)
{
	(void)arg;
	assert(name_len(gone->coo) > 0 && name_len(gone->zone) > 0);
	return gone->zone[0] % 2;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire w = wire_over(data, size);
	struct generation *a = take_zone(&w), *b = take_zone(&w);
	struct catalog *x = a ? take_list(a) : NULL, *y = b ? take_list(b) : NULL;

	if (x && y) {
		size_t lost = catalog_lost(x, y, has_arrived, NULL);

		assert(lost <= x->count && catalog_lost(x, x, has_arrived, NULL) == 0);
		assert(!catalog_loses_too_many(x, y, lost, 100) && !catalog_loses_too_many(x, x, 0, 0));
	}
	catalog_free(x);
	catalog_free(y);
	generation_free(a);
	generation_free(b);
	return 0;
}
