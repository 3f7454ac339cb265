/* SPDX-License-Identifier: ISC */
#include "proxy/conf_quantity.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/clock.h"

struct unit {
	const char *name;
	uint64_t size;
};

static bool parse(const char *text, const struct unit *units, uint64_t *n)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*n = strtoull(text, &end, 10);
	bool is_over = errno == ERANGE;

	for (; units->name; units++) {
		if (strcmp(units->name, end) != 0)
			continue;
		if (is_over || __builtin_mul_overflow(*n, units->size, n))
			*n = UINT64_MAX;
		return true;
	}
	return false;
}

bool conf_number_parse(const char *text, uint64_t *n)
{
	static const struct unit none[] = { { "", 1 }, { NULL, 0 } };

	return parse(text, none, n);
}

bool conf_duration_parse(const char *text, uint64_t *us)
{
	static const struct unit units[] = {
		{ "us", 1 }, { "ms", US_PER_MS }, { "s", US_PER_S }, { "m", 60 * US_PER_S },
		{ "h", 3600 * US_PER_S }, { "d", 86400 * US_PER_S }, { NULL, 0 }
	};

	return parse(text, units, us);
}

bool conf_size_parse(const char *text, uint64_t *bytes)
{
	static const struct unit units[] = {
		{ "", 1 }, { "k", 1u << 10 }, { "M", 1u << 20 }, { "G", 1u << 30 }, { NULL, 0 }
	};

	return parse(text, units, bytes);
}
