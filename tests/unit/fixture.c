/* SPDX-License-Identifier: ISC */
#include "tests/unit/fixture.h"

#include <stdlib.h>
#include <string.h>

#include <ldns/ldns.h>

#include "cache/rdata.h"

static void must(bool is_fine, const char *origin, const char *what)
{
	if (is_fine)
		return;
	fprintf(stderr, "zone %s of the test: %s\n", origin, what);
	abort();
}

/* By way of the wire, so that the parser of transfers sees every record of a test. */
static void add_record(struct zone_edit *e, const char *origin, const ldns_rr *rr)
{
	static uint8_t rdata[65535];
	uint8_t *bytes, owner[NAME_LEN_MAX];
	size_t size;
	uint16_t len;

	must(ldns_rr2wire(&bytes, rr, LDNS_SECTION_ANSWER, &size) == LDNS_STATUS_OK, origin, "ldns");
	struct wire w = wire_over(bytes, size);

	name_parse(&w, owner);
	uint16_t type = wire_u16(&w);

	wire_skip(&w, 2);
	uint32_t ttl = wire_u32(&w);
	uint16_t rdlength = wire_u16(&w);

	must(rdata_parse(&w, type, rdlength, rdata, &len), origin, "a record does not parse");
	enum zone_error error = zone_edit_add(e, owner, type, ttl, rdata, len);

	must(error == ZONE_OK, origin, zone_error_text(error));
	free(bytes);
}

struct generation *fixture_zone_from_file(const char *origin, FILE *file)
{
	ldns_rdf *apex = ldns_dname_new_frm_str(origin);
	uint8_t name[NAME_LEN_MAX];
	ldns_zone *zone;
	int line = 0;

	ldns_status status = ldns_zone_new_frm_fp_l(&zone, file, apex, 3600, LDNS_RR_CLASS_IN, &line);

	if (status != LDNS_STATUS_OK)
		fprintf(stderr, "line %d: ", line);
	must(status == LDNS_STATUS_OK, origin, ldns_get_errorstr_by_id(status));
	must(name_from_text(origin, name) > 0, origin, "not a name");
	struct zone_edit *e = zone_edit_new(name, NULL, 0, 0);

	add_record(e, origin, ldns_zone_soa(zone));
	for (size_t i = 0; i < ldns_rr_list_rr_count(ldns_zone_rrs(zone)); i++)
		add_record(e, origin, ldns_rr_list_rr(ldns_zone_rrs(zone), i));
	ldns_zone_deep_free(zone);
	ldns_rdf_deep_free(apex);

	enum zone_error error;
	struct generation *g = zone_edit_finish(e, 1, &error, NULL);

	must(g, origin, zone_error_text(error));
	return g;
}

struct generation *fixture_zone(const char *origin, const char *text)
{
	FILE *file = fmemopen((void *)(uintptr_t)text, strlen(text), "r");

	must(file, origin, "no file of it");
	struct generation *g = fixture_zone_from_file(origin, file);

	fclose(file);
	return g;
}
