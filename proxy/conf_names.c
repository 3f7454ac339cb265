/* SPDX-License-Identifier: ISC */
#include "proxy/conf_names.h"

#include <stdlib.h>
#include <string.h>

bool conf_names_add(struct conf_names *list, const char *text)
{
	uint8_t name[NAME_LEN_MAX];

	if (name_from_text(text, name) == 0)
		return false;
	name_lower(name);
	list->items = realloc(list->items, (list->count + 1) * sizeof(*list->items));
	if (!list->items)
		abort();
	memcpy(list->items[list->count++], name, name_len(name));
	return true;
}

bool conf_names_cover(const struct conf_names *list, const uint8_t *name)
{
	for (size_t i = 0; i < list->count; i++)
		if (name_is_at_or_below(name, list->items[i]))
			return true;
	return false;
}
