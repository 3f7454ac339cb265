/* SPDX-License-Identifier: ISC */
/*
 * Input: u16 type | u8 where the rdata begins | a message that ends with the rdata.
 * What parses must be valid in stored form, equal to itself, stored alike when read again,
 * and printable by ldns, which `understudyctl dump` hands it to.
 */
#include <assert.h>
#include <stdbool.h>	/* before ldns, which takes bool for a signed char without it */
#include <stdlib.h>

#include <ldns/ldns.h>

#include "cache/dns.h"
#include "cache/name.h"
#include "cache/rdata.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_names(uint16_t type, const uint8_t *rdata, uint16_t len)
{
	struct rdata_names names = rdata_compressible(type);
	size_t at = names.before;

	for (; names.count > 0; names.count--) {
		assert(at < len);
		at += name_len(rdata + at);
		assert(at <= len);
	}
}

static void print(uint16_t type, const uint8_t *rdata, uint16_t len)
{
	uint8_t record[4200];
	struct wire_out o = wire_into(record, sizeof(record));
	ldns_rr *rr = NULL;
	size_t pos = 0;

	wire_add_u8(&o, 0);
	wire_add_u16(&o, type);
	wire_add_u16(&o, CLASS_IN);
	wire_add_u32(&o, 3600);
	wire_add_u16(&o, len);
	wire_add_bytes(&o, rdata, len);
	if (!o.full && ldns_wire2rr(&rr, o.base, o.len, &pos, LDNS_SECTION_ANSWER) == LDNS_STATUS_OK)
		free(ldns_rr2str(rr));
	ldns_rr_free(rr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t stored[65535], again[65535];
	uint16_t len, again_len;

	if (size < 3 || size - 3 < data[2] || size - 3 - data[2] > 65535)
		return 0;
	uint16_t type = wire_get_u16(data);
	struct wire w = wire_over(data + 3, size - 3);

	wire_skip(&w, data[2]);
	if (!rdata_parse(&w, type, (uint16_t)wire_left(&w), stored, &len)) {
		assert(w.bad);
		return 0;
	}
	assert(wire_left(&w) == 0);
	assert(rdata_is_valid(type, stored, len));
	assert(rdata_is_equal(type, stored, len, stored, len));
	check_names(type, stored, len);
	w = wire_over(stored, len);
	assert(rdata_parse(&w, type, len, again, &again_len));
	assert(again_len == len && memcmp(stored, again, len) == 0);
	print(type, stored, len);
	return 0;
}
