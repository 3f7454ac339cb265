/* SPDX-License-Identifier: ISC */
#include "cache/mirror_status.h"

#include <stddef.h>
#include <string.h>

#include "cache/memory.h"

#define TEXT(field) \
	{ offsetof(struct mirror_zone_status, field), sizeof(((struct mirror_zone_status *)0)->field) }

/* They stand behind all else. */
static const struct { size_t at, size; } texts[] = {
	TEXT(lease_holder), TEXT(refused_reason), TEXT(source), TEXT(unfaithful), TEXT(last_error),
};

enum {
	TEXT_COUNT = sizeof(texts) / sizeof(texts[0]),
	FACTS_LEN = offsetof(struct mirror_zone_status, lease_holder),
};

struct status_packed {
	uint8_t facts[FACTS_LEN];
	char texts[];		/* one after the other, each with its end */
};

static const char *text_of(const struct mirror_zone_status *s, unsigned i)
{
	return (const char *)s + texts[i].at;
}

struct status_packed *status_pack(const struct mirror_zone_status *status)
{
	struct status_packed *p;
	size_t len = 0;
	char *at;

	for (unsigned i = 0; i < TEXT_COUNT; i++)
		len += strnlen(text_of(status, i), texts[i].size - 1) + 1;
	p = memory_new(sizeof(*p) + len);
	memcpy(p->facts, status, sizeof(p->facts));
	at = p->texts;
	for (unsigned i = 0; i < TEXT_COUNT; i++) {
		len = strnlen(text_of(status, i), texts[i].size - 1);
		memcpy(at, text_of(status, i), len);
		at[len] = '\0';
		at += len + 1;
	}
	return p;
}

void status_unpack(const struct status_packed *packed, struct mirror_zone_status *status)
{
	const char *at;

	memset(status, 0, sizeof(*status));
	if (!packed)
		return;
	memcpy(status, packed->facts, sizeof(packed->facts));
	at = packed->texts;
	for (unsigned i = 0; i < TEXT_COUNT; i++) {
		size_t len = strlen(at) + 1;

		memcpy((char *)status + texts[i].at, at, len);
		at += len;
	}
}
