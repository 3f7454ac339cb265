/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cache/name.h"
#include "cache/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What comes out as text is read back as the same name, and text is never trusted. */
static void check_text(const uint8_t *name, size_t len)
{
	uint8_t again[NAME_LEN_MAX];
	char text[NAME_TEXT_MAX];

	assert(name_from_text(name_to_text(name, text), again) == len);
	assert(memcmp(name, again, len) == 0);
	assert(strpbrk(text, " \t\r\n") == NULL);
}

static void check_pair(const uint8_t *a, const uint8_t *b)
{
	struct name_key a_key, b_key;

	name_to_key(a, &a_key);
	name_to_key(b, &b_key);
	assert(a_key.len <= NAME_KEY_MAX && a_key.label_count == name_label_count(a));
	int order = name_compare(a, b), keys = 0;

	for (size_t i = 0; keys == 0 && (i < a_key.len || i < b_key.len); i++)
		keys = (int)name_key_step(&a_key, i) - (int)name_key_step(&b_key, i);
	assert((order > 0) == (keys > 0) && (order < 0) == (keys < 0));
	assert((order == 0) == name_is_equal(a, b));
	bool is_prefix = b_key.len <= a_key.len && !memcmp(a_key.step, b_key.step, b_key.len);

	assert(is_prefix == name_is_at_or_below(a, b));
}

/* The input holds names one behind the other, which may point back into it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t name[NAME_LEN_MAX], before[NAME_LEN_MAX] = { 0 }, typed[NAME_LEN_MAX];
	char text[NAME_TEXT_MAX];
	struct wire w = wire_over(data, size);

	while (wire_left(&w) > 0) {
		size_t start = w.pos, len = name_parse(&w, name);

		assert((len == 0) == w.bad);
		if (len == 0)
			break;
		assert(len <= NAME_LEN_MAX && len == name_len(name) && w.pos > start);
		check_text(name, len);
		check_pair(name, before);
		check_pair(before, name);
		memcpy(before, name, len);
	}
	size_t text_len = size < sizeof(text) ? size : sizeof(text) - 1;

	memcpy(text, data, text_len);
	text[text_len] = '\0';
	size_t len = name_from_text(text, typed);

	if (len > 0) {
		assert(len == name_len(typed));
		check_text(typed, len);
	}
	return 0;
}
