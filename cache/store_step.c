/* SPDX-License-Identifier: ISC */
#include "cache/store_step.h"

#include <stdio.h>
#include <string.h>

#include <xxhash.h>

#include "cache/chunk.h"
#include "cache/history.h"

/* The numbers that an entry begins with, in this order. */
static const char *const NAMES[] = {
	"generation", "from_serial", "serial", "from_generation", "records", "bytes",
};

enum { NUMBERS = sizeof(NAMES) / sizeof(NAMES[0]), PARTS_AT = 2 * (NUMBERS + 1) };

enum number { GENERATION, FROM_SERIAL, SERIAL, FROM_GENERATION, RECORDS, BYTES };

/* ---- Digests ---- */

static uint64_t digest_part(uint64_t before, bool is_added, const uint8_t *bytes)
{
	return XXH3_64bits_withSeed(bytes, CHUNK_HEADER_LEN, before + is_added);
}

uint64_t step_digest(const struct change *c)
{
	uint64_t digest = 0;

	for (size_t i = 0; i < c->count; i++)
		digest = digest_part(digest, c->parts[i].is_added, c->parts[i].bytes);
	return digest;
}

void step_digest_text(uint64_t digest, char text[STEP_DIGEST_LEN + 1])
{
	snprintf(text, STEP_DIGEST_LEN + 1, "%016llx", (unsigned long long)digest);
}

bool step_digest_parse(const redisReply *r, uint64_t *digest)
{
	uint64_t v = 0;

	if (r->type != REDIS_REPLY_STRING || r->len != STEP_DIGEST_LEN)
		return false;
	for (size_t i = 0; i < STEP_DIGEST_LEN; i++) {
		const char *hex = "0123456789abcdef";
		const char *at = r->str[i] ? strchr(hex, r->str[i]) : NULL;

		if (!at)
			return false;
		v = v << 4 | (uint64_t)(at - hex);
	}
	*digest = v;
	return true;
}

/* ---- Reading ---- */

const redisReply *step_fields(const redisReply *entry, char id[STEP_ID_MAX])
{
	const redisReply *text;

	if (!reply_is_array(entry, 2) || (text = entry->element[0])->type != REDIS_REPLY_STRING ||
	    text->len >= STEP_ID_MAX)
		return NULL;
	memcpy(id, text->str, text->len + 1);
	return entry->element[1];
}

static bool read_numbers(const redisReply *fields, uint64_t v[NUMBERS])
{
	if (fields->type != REDIS_REPLY_ARRAY || fields->elements < PARTS_AT ||
	    fields->elements % 2 != 0)
		return false;
	for (size_t i = 0; i < NUMBERS; i++)
		if (!reply_is_string(fields->element[2 * i], NAMES[i]) ||
		    !reply_number(fields->element[2 * i + 1], &v[i]))
			return false;
	return true;
}

uint64_t step_generation(const redisReply *fields)
{
	uint64_t v[NUMBERS];

	return read_numbers(fields, v) ? v[GENERATION] : 0;
}

static const char *take_part(struct zone_edit *edit, const redisReply *name,
			     const redisReply *bytes, uint64_t *digest)
{
	bool is_added = reply_is_string(name, "added");
	uint32_t serial;

	if (bytes->type != REDIS_REPLY_STRING || (!is_added && !reply_is_string(name, "removed")))
		return "a field that is none of ours";
	if (bytes->len < CHUNK_HEADER_LEN || bytes->len > CHUNK_ALONE_MAX)
		return "a part is too short or too long";
	*digest = digest_part(*digest, is_added, (const uint8_t *)bytes->str);
	return change_part_apply(edit, is_added, (const uint8_t *)bytes->str, bytes->len, &serial);
}

static const char *take_parts(struct zone_edit *edit, const redisReply *fields)
{
	uint64_t digest = 0, promised;

	if (!reply_is_string(fields->element[2 * NUMBERS], "digest") ||
	    !step_digest_parse(fields->element[2 * NUMBERS + 1], &promised))
		return "an entry that is none of ours";
	for (size_t i = PARTS_AT; i < fields->elements; i += 2) {
		const char *wrong = take_part(edit, fields->element[i], fields->element[i + 1],
					      &digest);

		if (wrong)
			return wrong;
	}
	return digest == promised ? NULL : "its parts are not those that were written";
}

static const char *check_outcome(const struct generation *g, const uint64_t v[NUMBERS])
{
	if (g->soa.serial != v[SERIAL])
		return "its SOA has another serial";
	if (g->records != v[RECORDS] || g->bytes != v[BYTES])
		return "what comes out is not what its writer had";
	return NULL;
}

const char *step_take(const struct generation *before, const redisReply *fields,
		      size_t max_records, size_t max_bytes, struct generation **after)
{
	struct generation *g;
	struct zone_edit *edit;
	enum zone_error why;
	uint64_t v[NUMBERS];
	const char *wrong;

	if (!read_numbers(fields, v))
		return "an entry that is none of ours";
	if (v[FROM_GENERATION] != before->number || v[FROM_SERIAL] != before->soa.serial ||
	    v[GENERATION] <= before->number)
		return "does not follow the one before";
	edit = zone_edit_new(before->origin, before, max_records, max_bytes);
	wrong = take_parts(edit, fields);
	if (wrong) {
		zone_edit_free(edit);
		return wrong;
	}
	g = zone_edit_finish(edit, v[GENERATION], &why, NULL);
	if (!g)
		return zone_error_text(why);
	wrong = check_outcome(g, v);
	if (wrong) {
		generation_free(g);
		return wrong;
	}
	g->history = history_new(before, g);
	*after = g;
	return NULL;
}
